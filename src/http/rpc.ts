import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { create, fromJson, toJson } from "@bufbuild/protobuf";
import type { DescMethod, DescService, JsonObject, Message } from "@bufbuild/protobuf";
import { createContextKey } from "@connectrpc/connect";
import type { ConnectRouter, HandlerContext, Interceptor } from "@connectrpc/connect";
import { defaultNamespace } from "../client/routes.ts";
import type { Service } from "../client/service.ts";
import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import { underAdmission, whyEnded } from "./admission.ts";
import type { Asked, AskedOperation } from "./admission.ts";
import type { AppOptions } from "./app.ts";
import { toAionError } from "./errors.ts";
import { pagesOf } from "./event-stream.ts";
import type { StreamEntry, StreamRequest } from "./event-stream.ts";
import {
  FeedEventSchema,
  FollowResponseSchema,
  PackageService,
  WorkflowService,
} from "./gen/aion/v1/workflows_pb.ts";
import { ScheduleService } from "./gen/aion/v1/schedules_pb.ts";
import { WorkerService } from "./gen/aion/v1/workers_pb.ts";
import type { HttpMeter } from "./http-meter.ts";
import { httpLimits } from "./http-limits.ts";
import { operationsFor, orOver, traceIn } from "./operations.ts";
import type { Operation } from "./operations.ts";
import { plain } from "./plain-json.ts";
import { isOfProtocol, rpcAdapter } from "./rpc-adapter.ts";
import { nodeCallerOf, rpcCallerOf, rpcContextOf } from "./rpc-caller.ts";
import { fromConnectError, toConnectError } from "./rpc-error.ts";
import { refuseUnread } from "./rpc-refusal.ts";
import { addWorkers, answerWorker, isPlainGrpc } from "./worker-rpc.ts";

/** Where what a service does stands in the protocol. One without a place does not compile. */
export const places: Readonly<Record<keyof Service, readonly [service: DescService, method: string]>> = {
  start: [WorkflowService, "start"],
  list: [WorkflowService, "list"],
  count: [WorkflowService, "count"],
  describe: [WorkflowService, "describe"],
  result: [WorkflowService, "result"],
  history: [WorkflowService, "history"],
  logs: [WorkflowService, "logs"],
  feed: [WorkflowService, "feed"],
  signal: [WorkflowService, "signal"],
  query: [WorkflowService, "query"],
  update: [WorkflowService, "update"],
  updateResult: [WorkflowService, "updateResult"],
  cancel: [WorkflowService, "cancel"],
  terminate: [WorkflowService, "terminate"],
  pause: [WorkflowService, "pause"],
  resume: [WorkflowService, "resume"],
  resumeActivity: [WorkflowService, "resumeActivity"],
  reopen: [WorkflowService, "reopen"],
  reset: [WorkflowService, "reset"],
  fork: [WorkflowService, "fork"],
  deploy: [PackageService, "deploy"],
  listPackages: [PackageService, "listPackages"],
  listWorkers: [WorkflowService, "listWorkers"],
  unload: [PackageService, "unload"],
  route: [PackageService, "route"],
  createSchedule: [ScheduleService, "createSchedule"],
  updateSchedule: [ScheduleService, "updateSchedule"],
  describeSchedule: [ScheduleService, "describeSchedule"],
  listSchedules: [ScheduleService, "listSchedules"],
  pauseSchedule: [ScheduleService, "pauseSchedule"],
  resumeSchedule: [ScheduleService, "resumeSchedule"],
  triggerSchedule: [ScheduleService, "triggerSchedule"],
  backfillSchedule: [ScheduleService, "backfillSchedule"],
  deleteSchedule: [ScheduleService, "deleteSchedule"],
};

/** What a request may have besides payloads, and all that is read for somebody who may do it nowhere. */
const restBytesMax = 64 * 1024;

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;
export type NodeHandler = (request: NodeRequest, response: NodeResponse) => void;

/** What is no call of the protocol goes to `fallback`. */
export function rpcHandler(
  options: AppOptions,
  fallback: (request: unknown, response: unknown) => Promise<void>,
): NodeHandler {
  const operations = operationsByPath();
  const unknownCall = (request: NodeRequest, response: NodeResponse): void => {
    const type = request.headers["content-type"] ?? "";
    // In the protocol in which it was made, so that who made it can read it.
    if (/^application\/(grpc|connect\+|proto)/.test(type)) {
      const path = (request.url ?? "").slice(0, 200);
      const error = new AionError("endpoint_unknown", `there is no call ${path}`);
      options.httpMeter?.answered("rpc", "unknown", options.httpMeter.now(), error);
      refuseUnread(request, response, toConnectError(error));
    } else void fallback(request, response);
  };
  const handlerUpTo = (readMaxBytes: number): NodeHandler =>
    rpcAdapter({
      routes: (router) => addRpc(router, options),
      interceptors: options.httpMeter === undefined ? [] : [countCalls(options.httpMeter)],
      fallback: unknownCall,
      // Who reads JSON reads a count of 0, and not nothing.
      contextValues: (request) => rpcContextOf(request).set(sinceKey, options.httpMeter?.now() ?? 0),
      onRefused: (request, values, error) => {
        const since = values.get(sinceKey);
        if (since === undefined) return;
        options.httpMeter?.answered("rpc", operations.get(pathOf(request)) ?? "unknown", since, error);
      },
      jsonOptions: { alwaysEmitImplicit: true, ignoreUnknownFields: false },
      readMaxBytes,
    });
  const { packageBytes, requestBytes } = httpLimits(options.payloadLimitBytes, options.limits);
  const readMaxBytes = Math.max(packageBytes, requestBytes) + restBytesMax;
  const handler = handlerUpTo(requestBytes);
  // A package has a limit of its own, and what a worker sends is not one request.
  const largeHandler = handlerUpTo(readMaxBytes);
  let small: NodeHandler | undefined;
  // The protocol reads the whole message before it asks anybody what to do with it.
  const admitUnread = async (request: NodeRequest, response: NodeResponse): Promise<void> => {
    const operation = operations.get(pathOf(request));
    if (operation !== undefined) {
      const since = options.httpMeter?.now() ?? 0;
      try {
        const admission = await options.admit?.({ operation, isUnread: true, ...nodeCallerOf(request) });
        // He will be refused, and it takes no more than the name of the namespace to tell why.
        if (admission?.mayAnywhere === false) {
          small ??= handlerUpTo(restBytesMax);
          small(request, response);
          return;
        }
      } catch (reason) {
        const error = toAionError(reason);
        options.httpMeter?.answered("rpc", operation, since, error);
        if (isGone(response)) return;
        refuseUnread(request, response, toConnectError(error));
        return;
      }
    }
    if (isGone(response)) return;
    if (operation === "work" && options.workersOf !== undefined && isPlainGrpc(request, response))
      answerWorker(request, response as Http2ServerResponse, { options, limitBytes: readMaxBytes });
    else if (operation === "deploy" || operation === "work") largeHandler(request, response);
    else handler(request, response);
  };
  return (request, response) => {
    admitUnread(request, response).catch(() => response.destroy());
  };
}

/** Of a call that was not counted yet: what the protocol refuses by itself comes no further. */
const sinceKey = createContextKey<number | undefined>(undefined, { description: "since when it is made" });

function pathOf({ url = "" }: NodeRequest): string {
  return url.split("?", 1)[0] ?? "";
}

/** Whoever asks may go while it is decided whether he may. */
function isGone(response: NodeResponse): boolean {
  return (
    response.destroyed || ("stream" in response && (response.stream.closed || response.stream.destroyed))
  );
}

function operationsByPath(): ReadonlyMap<string, AskedOperation> {
  const toPath = (service: DescService, name: string): string =>
    `/${service.typeName}/${service.method[name]?.name ?? ""}`;
  return new Map<string, AskedOperation>([
    ...(Object.keys(places) as (keyof Service)[]).map(
      (operation) => [toPath(...places[operation]), operation] as const,
    ),
    [toPath(WorkflowService, "follow"), "events"],
    [toPath(WorkflowService, "watch"), "events"],
    [toPath(WorkerService, "work"), "work"],
  ]);
}

const streamed: Readonly<Record<string, string>> = { follow: "events", watch: "events", work: "work" };

/** Each call with what became of it; a stream as soon as it has begun. */
function countCalls(meter: HttpMeter): Interceptor {
  return (next) => async (request) => {
    const since = meter.now();
    const name = request.method.localName;
    const answered = (error?: unknown): void => {
      // It is told of by who tells the caller.
      if (isOfProtocol(error)) return;
      request.contextValues.set(sinceKey, undefined);
      const told = error === undefined ? error : fromConnectError(error);
      meter.answered("rpc", streamed[name] ?? name, since, told);
    };
    let response: Awaited<ReturnType<typeof next>>;
    try {
      response = await next(request);
    } catch (error) {
      answered(error);
      throw error;
    }
    if (!response.stream) {
      answered();
      return response;
    }
    return { ...response, message: toldOfBegin(response.message, answered) };
  };
}

/** Tells once: of the first message, of the error before it, or of the end. */
async function* toldOfBegin<Item>(
  items: AsyncIterable<Item>,
  tell: (error?: unknown) => void,
): AsyncGenerator<Item> {
  let isTold = false;
  const tellOnce = (error?: unknown): void => {
    if (!isTold) tell(error);
    isTold = true;
  };
  try {
    for await (const item of items) {
      tellOnce();
      yield item;
    }
  } catch (error) {
    tellOnce(error);
    throw error;
  } finally {
    tellOnce();
  }
}

/**
 * The service over gRPC, gRPC-Web and Connect. The JSON form of each message is the request, or the answer, of the same operation over
 * HTTP, so that no operation is written twice.
 */
function addRpc(router: ConnectRouter, options: AppOptions): void {
  for (const operation of operationsFor(
    options.payloadLimitBytes,
    httpLimits(options.payloadLimitBytes, options.limits),
  )) {
    const [service, name] = places[operation.method];
    const method = service.method[name];
    if (method === undefined) throw new AionError("internal", `the protocol has no method ${name}`);
    router.rpc(method as DescMethod & { methodKind: "unary" }, async (message, context) =>
      asRpc(async () => await answer(operation, method, message, { context, options })),
    );
  }
  if (options.workersOf !== undefined) addWorkers(router, options);
  router.rpc(WorkflowService.method.follow, async function* follow(message, context) {
    for await (const { text, seq = 0 } of entriesOf(
      "run",
      toRequest(WorkflowService.method.follow, message),
      { context, options },
    )) {
      yield create(FollowResponseSchema, { seq, event: toEvent(text, context) });
    }
  });
  router.rpc(WorkflowService.method.watch, async function* watch(message, context) {
    for await (const { text } of entriesOf("feed", toRequest(WorkflowService.method.watch, message), {
      context,
      options,
    })) {
      yield fromJson(FeedEventSchema, toEvent(text, context), { ignoreUnknownFields: true });
    }
  });
}

async function* entriesOf(
  kind: StreamRequest["kind"],
  request: Record<string, unknown>,
  call: Call,
): AsyncGenerator<StreamEntry, void, undefined> {
  const { context, options } = call;
  try {
    const asked = askedOf("events", request, context);
    const admission = await underAdmission(options.admit, asked, async (admitted) => admitted.admission);
    const service = options.serviceOf(asked.namespace);
    const over = admission.ends === undefined ? [] : [admission.ends];
    const gone = AbortSignal.any([context.signal, options.closing, ...over]);
    const pages = options.streams.counted(
      asked,
      admission,
      pagesOf(service, { kind, fields: request }, gone, options.httpMeter),
    );
    for await (const page of pages) yield* page.entries;
    const why = whyEnded(admission);
    if (why !== undefined) throw why;
    if (options.closing.aborted) throw new AionError("engine_closed", "the server is closing");
  } catch (reason) {
    throw toConnectError(toAionError(reason));
  }
}

interface Call {
  readonly context: HandlerContext;
  readonly options: AppOptions;
}

async function answer(
  operation: Operation,
  method: DescMethod,
  message: Message,
  call: Call,
): Promise<Message> {
  const { archive, ...request } = toRequest(method, message);
  const { context, options } = call;
  const asked = askedOf(operation.method, request, context);
  return await underAdmission(options.admit, asked, async ({ admission, begin, note }) => {
    await begin(request);
    const service = options.serviceOf(asked.namespace);
    // Bytes are text in JSON, and were none before.
    const whole = archive === undefined ? request : { ...request, archive: (message as never)["archive"] };
    const of = { closing: options.closing, admission };
    const { body = {} } = await orOver(operation, of, (abortSignal) =>
      operation.perform(service, whole, {
        abortSignal,
        trace: traceIn(context.requestHeader),
        namespace: asked.namespace,
        tracing: options.tracing,
      }),
    );
    note(body);
    const json = demandShallow(plain(body), context);
    return fromJson(method.output, json, { ignoreUnknownFields: true });
  });
}

function toEvent(text: string, context: HandlerContext): JsonObject {
  try {
    return demandShallow(JSON.parse(text) as JsonObject, context);
  } catch (reason) {
    throw toConnectError(toAionError(reason));
  }
}

/**
 * A message is read 100 levels deep, whoever reads it, and a value within a value takes two of them in binary form. What was too deep for
 * a reader would be told as a bug of his.
 */
const levelsMax = { binary: 50, json: 96 };

/** Error: `payload_too_large` (nested too deeply for a message). */
function demandShallow(json: JsonObject, { requestHeader }: HandlerContext): JsonObject {
  const form = requestHeader.get("content-type")?.includes("json") === true ? "json" : "binary";
  if (!isDeeper(json, levelsMax[form])) return json;
  throw new AionError(
    "payload_too_large",
    `the answer is nested more than ${levelsMax[form]} deep, and no message can hold that`,
    { hint: "Ask over HTTP: its answers are as deep as they are.", details: { levelsMax: levelsMax[form] } },
  );
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (levels === 0) return true;
  for (const part of Object.values(value)) if (isDeeper(part, levels - 1)) return true;
  return false;
}

/** Error: `invalid_argument` (a value that JSON does not have). */
export function toRequest(method: DescMethod, message: Message): Record<string, unknown> {
  try {
    return { ...(toJson(method.input, message, { alwaysEmitImplicit: false }) as JsonObject) };
  } catch (error) {
    throw new AionError("invalid_argument", `the request is no JSON: ${messageOf(error)}`, { cause: error });
  }
}

/** Takes the namespace out of the request. */
function askedOf(
  operation: Operation["method"] | "events",
  request: Record<string, unknown>,
  context: HandlerContext,
): Asked & { readonly namespace: string } {
  const { namespace: named } = request;
  const namespace = typeof named === "string" ? named : defaultNamespace;
  delete request["namespace"];
  return { operation, namespace, ...rpcCallerOf(context) };
}

async function asRpc<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (reason) {
    throw toConnectError(toAionError(reason));
  }
}
