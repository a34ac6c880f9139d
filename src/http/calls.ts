import { setTimeout as delay } from "node:timers/promises";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Context, Hono } from "hono";
import { z } from "zod";
import { apiPrefix, callsPath, togetherMethods } from "../client/routes.ts";
import type { TogetherMethod } from "../client/routes.ts";
import { AionError } from "../core/errors.ts";
import { toTraceContext } from "../core/tracing.ts";
import { underAdmission } from "./admission.ts";
import type { Asked } from "./admission.ts";
import type { AppOptions } from "./app.ts";
import { readBody } from "./body.ts";
import { errorToJson, statusOf, toAionError } from "./errors.ts";
import { httpLimits } from "./http-limits.ts";
import { orOver } from "./operations.ts";
import type { Operation } from "./operations.ts";
import { askedOf, parseJson } from "./request-context.ts";
import type { Env } from "./request-context.ts";
import { parseRequest } from "./requests.ts";

const callSchema = z.strictObject({
  operation: z.enum(togetherMethods),
  request: z
    .looseObject({})
    .meta({ description: "All fields of its request, wherever they stand otherwise." }),
  trace: z.strictObject({ traceparent: z.string(), tracestate: z.string().exactOptional() }).exactOptional(),
});
export const callsSchema = z.strictObject({ calls: z.array(callSchema).min(1) });

/** The form of the request as JSON Schema. */
export function callsFormUpTo(max: number): object {
  const upTo = z.strictObject({ calls: z.array(callSchema).min(1).max(max) });
  return z.toJSONSchema(upTo, { io: "input" });
}

type OneCall = z.output<typeof callSchema>;

/**
 * Many calls in one request: who makes hundreds at once spends more on requests than on what they say. Each is admitted, counted and
 * answered as if it had come alone, one line of JSON each, as soon as it is there.
 */
export function addCalls(app: Hono<Env>, operations: readonly Operation[], options: AppOptions): void {
  const byMethod = new Map<string, Operation>(operations.map((operation) => [operation.method, operation]));
  const { callsPerRequest } = httpLimits(options.payloadLimitBytes, options.limits);
  // No call may be larger than it may be alone, and all of them not than one.
  const limitBytes = byMethod.get("start" satisfies TogetherMethod)?.bodyLimitBytes ?? 0;
  app.post(`${apiPrefix}:namespace${callsPath}`, async (context) => {
    const namespace = context.req.param("namespace") ?? "";
    const of = askedOf(context, "calls", namespace);
    const calls = await underAdmission(options.admit, { ...of, isUnread: true }, async () => {
      const body: { readonly calls?: unknown } = parseJson(await readBody(context.req.raw, limitBytes));
      demandFew(body.calls, callsPerRequest);
      return parseRequest(callsSchema, body, "calls").calls;
    });
    const over = answerAll(context, calls, (call, closing, take) => {
      const operation = byMethod.get(call.operation) as Operation;
      const asked = { ...of, operation: operation.method };
      return answerOne(operation, call, asked, { ...options, closing, take });
    });
    const { closing } = options;
    if (closing.aborted) over.abort();
    closing.addEventListener("abort", () => over.abort(), { once: true, signal: over.signal });
    return RESPONSE_ALREADY_SENT;
  });
}

/** Throws `invalid_argument`, with the number that a client may send instead. */
function demandFew(calls: unknown, max: number): void {
  if (!Array.isArray(calls) || calls.length <= max) return;
  throw new AionError("invalid_argument", `${calls.length} calls in one request, and there may be ${max}`, {
    hint: "Send them in several requests: none of them was begun.",
    details: { callsMax: max },
  });
}

/** Makes the text of an answer, unless there is no room for it. */
type Take = (toText: () => string) => string | undefined;

/** Of answers that were not taken, in UTF-16 units. */
const heldMax = 4 * 1024 * 1024;
/** Those whose answer may be large. They change nothing, so that they can be asked again. */
const largeMethods: ReadonlySet<TogetherMethod> = new Set(["describe", "result", "query"]);
/** Of those in one turn, so that what is large is seen to be so before all of it is there. */
const begunAtOnce = 32;
/** For so long the next one waits for a call that is asked for again. */
const lineMs = 1_000;

/**
 * Writes what each call leads to; those that have it in the same turn in one piece. What is large and comes while much was not taken is
 * dropped, and asked for again when there is room, one call after the other: so what is held is bounded, whatever is asked for. Aborting
 * what is returned ends the waits; so does the end of the response.
 */
function answerAll(
  { env }: Context<Env>,
  calls: readonly OneCall[],
  answerTo: (call: OneCall, over: AbortSignal, take: Take) => Promise<string | undefined>,
): AbortController {
  const response = env.outgoing;
  const over = new AbortController();
  response.once("close", () => over.abort());
  // Who left while his calls were read is not told of again.
  if (response.destroyed) over.abort();
  response.writeHead(200, { "content-type": "application/jsonl", "cache-control": "no-store" });
  response.flushHeaders();
  let openCount = calls.length;
  let lines = "";
  /** Of answers that are on their way to `lines`. */
  let takenLength = 0;
  let onRoom: (() => void) | undefined;
  const isFull = (): boolean =>
    !over.signal.aborted && takenLength + lines.length + response.writableLength > heldMax;
  const look = (): void => {
    if (!isFull()) onRoom?.();
  };
  const flush = (): void => {
    const text = lines;
    lines = "";
    if (response.destroyed) return;
    if (openCount === 0) response.end(text);
    else response.write(text);
    look();
  };
  response.on("drain", look);
  over.signal.addEventListener("abort", look, { once: true });
  let line: Promise<unknown> = Promise.resolve();
  const answerLater = async (
    call: OneCall,
    before: Promise<unknown>,
    next: (after: unknown) => void,
  ): Promise<string | undefined> => {
    await before;
    if (isFull()) await new Promise<void>((resolve) => (onRoom = resolve));
    const answered = answerTo(call, over.signal, (toText) => toText());
    next(Promise.race([answered, delay(lineMs, undefined, { ref: false })]));
    return await answered;
  };
  const begin = (call: OneCall, index: number): void => {
    const isLarge = largeMethods.has(call.operation);
    let ownLength = 0;
    const take: Take = (toText) => {
      if (isLarge && isFull()) return undefined;
      const text = toText();
      ownLength = text.length;
      takenLength += ownLength;
      return text;
    };
    const write = (answer: string | undefined): void => {
      takenLength -= ownLength;
      openCount -= 1;
      if (lines === "") setImmediate(flush);
      lines += `{"call":${index},${answer}}\n`;
    };
    // One that waits for something waits for that beside the others.
    const mayWait = call.operation === "result" && call.request["waitMs"] !== 0;
    const isLater = isLarge && !mayWait && isFull();
    const answered = isLater ? Promise.resolve(undefined) : answerTo(call, over.signal, take);
    void answered.then((answer) => {
      if (answer !== undefined) {
        write(answer);
        return;
      }
      const begun = Promise.withResolvers<unknown>();
      void answerLater(call, line, begun.resolve).then(write);
      line = begun.promise;
    });
  };
  let next = 0;
  const beginSome = (): void => {
    for (let largeCount = 0; next < calls.length && largeCount < begunAtOnce; next += 1) {
      const call = calls[next] as OneCall;
      if (largeMethods.has(call.operation)) largeCount += 1;
      begin(call, next);
    }
    if (next < calls.length) setImmediate(beginSome);
  };
  beginSome();
  return over;
}

/** Never rejects. `undefined`: it has an answer for which there is no room. */
async function answerOne(
  operation: Operation,
  call: OneCall,
  asked: Asked,
  options: AppOptions & { readonly take: Take },
): Promise<string | undefined> {
  const { admit, httpMeter, tracing, closing } = options;
  const { namespace = "" } = asked;
  const since = httpMeter?.now() ?? 0;
  try {
    const text = await underAdmission(admit, asked, async ({ admission, begin, note }) => {
      await begin(call.request);
      const service = options.serviceOf(namespace);
      const trace = toTraceContext(call.trace?.traceparent, call.trace?.tracestate);
      const { status, body } = await orOver(operation, { closing, admission }, (abortSignal) =>
        operation.perform(service, call.request, { abortSignal, trace, namespace, tracing }),
      );
      if (body === undefined) return `"status":${status}`;
      note(body);
      return options.take(() => `"status":${status},"body":${JSON.stringify(body)}`);
    });
    if (text !== undefined) httpMeter?.answered("http", operation.method, since);
    return text;
  } catch (reason) {
    const error = toAionError(reason);
    httpMeter?.answered("http", operation.method, since, error);
    if (error.code === "internal")
      options.log?.("error", "a call met a bug", { error: error.message, stack: error.stack });
    return `"status":${statusOf(error.code)},"body":${errorToJson(error)}`;
  }
}
