import { z } from "zod";
import {
  descriptionToJson,
  feedToJson,
  historyToJson,
  logsToJson,
  resultToJson,
  scheduleToJson,
  updateToJson,
} from "../client/json-form.ts";
import type { JsonObject } from "../client/json-form.ts";
import { routes } from "../client/routes.ts";
import type { Route } from "../client/routes.ts";
import type { CallOptions, Service } from "../client/service.ts";
import { describeCall, isTraced } from "../client/traced-service.ts";
import type { TracedRequests } from "../client/traced-service.ts";
import { AionError } from "../core/errors.ts";
import { fromPayload } from "../core/payload.ts";
import type { SpanKind, TraceContext, Tracing } from "../core/tracing.ts";
import { spanAttribute, toTraceContext } from "../core/tracing.ts";
import { whyEnded } from "./admission.ts";
import type { Admission } from "./admission.ts";
import { httpLimits } from "./http-limits.ts";
import type { HttpLimits } from "./http-limits.ts";
import { parseRequest, requestSchemasFor } from "./requests.ts";
import type { ReplyOf } from "./requests.ts";

export interface Answer {
  readonly status: 200 | 201 | 204;
  readonly body?: JsonObject;
}

export interface PerformOptions extends CallOptions {
  /** The span in which the caller is. */
  readonly trace: TraceContext | undefined;
  readonly namespace: string;
  readonly tracing?: Tracing | undefined;
}

export interface Operation {
  readonly method: keyof Service;
  readonly route: Route;
  readonly schema: z.ZodType;
  /** The form of the request as JSON Schema, before it is parsed. */
  readonly form: JsonSchema;
  /** How large the body of a request may be. */
  readonly bodyLimitBytes: number;
  perform(service: Service, request: unknown, options: PerformOptions): Promise<Answer>;
}

export type JsonSchema = Readonly<Record<string, unknown>> & {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
};

type Answers = { readonly [Method in keyof Service]: (reply: ReplyOf<Method>) => Answer };

const done = (): Answer => ({ status: 204 });
const ok = (body: object): Answer => ({ status: 200, body: body as JsonObject });

const answers: Answers = {
  start: (reply) => ({ status: reply.isNew ? 201 : 200, body: { ...reply } }),
  signal: done,
  query: (payload) => ok({ result: fromPayload(payload) }),
  update: (reply) => ok(updateToJson(reply)),
  updateResult: (reply) => ok(updateToJson(reply)),
  cancel: done,
  terminate: done,
  pause: done,
  resume: done,
  resumeActivity: ok,
  reopen: done,
  reset: (reply) => ({ status: reply.isNew ? 201 : 200, body: { ...reply } }),
  fork: (reply) => ({ status: reply.isNew ? 201 : 200, body: { ...reply } }),
  result: (reply) => ok(resultToJson(reply)),
  describe: (reply) => ok(descriptionToJson(reply)),
  list: ok,
  count: (count) => ok({ count }),
  history: (reply) => ok(historyToJson(reply)),
  logs: (reply) => ok(logsToJson(reply)),
  feed: (reply) => ok(feedToJson(reply)),
  deploy: (reply) => ({ status: reply.isNew ? 201 : 200, body: { ...reply } }),
  listPackages: ok,
  listWorkers: ok,
  route: done,
  unload: done,
  createSchedule: (reply) => ({ status: reply.isNew ? 201 : 200, body: { ...reply } }),
  updateSchedule: done,
  describeSchedule: (reply) => ok(scheduleToJson(reply)),
  listSchedules: ok,
  pauseSchedule: done,
  resumeSchedule: done,
  triggerSchedule: ok,
  backfillSchedule: ok,
  deleteSchedule: done,
};

/** All that a service does, as it is done over HTTP. */
export function operationsFor(
  payloadLimitBytes: number,
  limits = httpLimits(payloadLimitBytes),
): readonly Operation[] {
  const schemas = requestSchemasFor(payloadLimitBytes);
  return (Object.keys(routes) as (keyof Service)[]).map((method): Operation => {
    const schema: z.ZodType = schemas[method];
    const route: Route = routes[method];
    return {
      method,
      route,
      schema,
      form: z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema,
      bodyLimitBytes: bodyLimitOf(route, limits),
      perform: async (service, request, options) => {
        // The schema, the method and the answer of one name belong together; the types of a list of them do not say so.
        const call = service[method].bind(service) as (
          request: unknown,
          options: CallOptions,
        ) => Promise<unknown>;
        const answer = answers[method] as (reply: unknown) => Answer;
        const parsed: unknown = parseRequest(schema, request, method);
        const { abortSignal } = options;
        const rest: CallOptions = abortSignal === undefined ? {} : { abortSignal };
        if (!isTraced(method)) return answer(await call(parsed, rest));
        return await performTraced(method, parsed as TracedRequests[typeof method], options, async (traced) =>
          answer(await call(traced, rest)),
        );
      },
    };
  });
}

/** Within a span of the server, inside that of the caller. */
async function performTraced<Method extends keyof TracedRequests>(
  method: Method,
  request: TracedRequests[Method],
  { trace: parent, namespace, tracing }: PerformOptions,
  work: (traced: TracedRequests[Method]) => Promise<Answer>,
): Promise<Answer> {
  const traced = (trace: TraceContext | undefined): TracedRequests[Method] =>
    trace === undefined ? request : { ...request, trace };
  if (tracing === undefined) return await work(traced(parent));
  const { name, attributes } = describeCall(method, request);
  const span = {
    name,
    kind: "server" satisfies SpanKind,
    inside: "current",
    parent,
    attributes: { [spanAttribute.namespace]: namespace, ...attributes },
  } as const;
  return await tracing.within(span, (trace) => work(traced(trace ?? parent)));
}

/** What headers say of the span in which the caller is, under the names that the standard has. */
export function traceIn(headers: Headers): TraceContext | undefined {
  return toTraceContext(headers.get("traceparent"), headers.get("tracestate"));
}

function bodyLimitOf(route: Route, { packageBytes, requestBytes }: HttpLimits): number {
  if (route.rest === "query") return 0;
  return route.rest === "archive" ? packageBytes : requestBytes;
}

/**
 * The fields of a query string, which are all text, as the types that the form asks for. What does not fit stays text, and what is given
 * twice and is no list stays both, which no form takes: either may be meant.
 */
export function readQuery(query: URLSearchParams, form: JsonSchema): Record<string, unknown> {
  const given = new Map<string, string[]>();
  for (const [name, text] of query) {
    const texts = given.get(name);
    if (texts === undefined) given.set(name, [text]);
    else texts.push(text);
  }
  return Object.fromEntries(
    [...given].map(([name, texts]) => [name, toField(texts, form.properties?.[name]?.["type"])]),
  );
}

function toField(texts: readonly string[], type: unknown): unknown {
  const [text = "", ...more] = texts;
  if (type === "array" || more.length > 0) return texts;
  if ((type === "number" || type === "integer") && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  return type === "boolean" && (text === "true" || text === "false") ? text === "true" : text;
}

// Only for calls that wait and change nothing: the caller of any other must learn what became of it.
export function orOver<Result>(
  { method }: Operation,
  { closing, admission }: { readonly closing: AbortSignal; readonly admission: Admission },
  call: (abortSignal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const waits = ["result", "updateResult", "history", "logs", "feed"].includes(method);
  if (!waits) return call(closing);
  const { ends } = admission;
  const over = ends === undefined ? closing : AbortSignal.any([closing, ends]);
  return new Promise((resolve, reject) => {
    const onOver = (): void =>
      reject(whyEnded(admission) ?? new AionError("engine_closed", "the engine is closing"));
    if (over.aborted) {
      onOver();
      return;
    }
    over.addEventListener("abort", onOver, { once: true });
    call(over)
      .then(resolve, reject)
      .finally(() => over.removeEventListener("abort", onOver));
  });
}
