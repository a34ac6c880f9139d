import type { ClientRequest } from "node:http";
import type { FeedRequest, HistoryRequest, ResultRequest, Service } from "../client/service.ts";
import { AionError, isAionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import { decodeReply, pingMethod, waitMsMax, wirePrefix } from "./wire.ts";
import type { ReplyOf, RequestOf } from "./wire.ts";

/** A service at the other end of a local socket. */
export interface LocalService extends Service {
  /** Breaks off what is under way (`transport_failed`); what was sent may have its effect all the same. */
  close(): void;
}

const pingTimeoutMs = 1_000;
/** Beyond what a call may wait at the other end, how long the answer may take before the engine counts as frozen. */
const answerTimeoutMs = 60_000;

/**
 * The service of an engine in another process, through its socket. Connects anew for each call, so it outlives a
 * restart of the engine. Errors: those of the service, under the same codes; `transport_failed`.
 */
export function connectLocal(socketPath: string): LocalService {
  const calls = new Set<ClientRequest>();

  async function call<Method extends keyof Service>(
    method: Method,
    request: RequestOf<Method>,
  ): Promise<ReplyOf<Method>> {
    const text = await post({ socketPath, method, request, timeoutMs: waitMsMax + answerTimeoutMs, calls });
    return decodeReply(text) as ReplyOf<Method>;
  }

  async function tell<Method extends "signal" | "cancel" | "terminate" | "route" | "unload">(
    method: Method,
    request: RequestOf<Method>,
  ): Promise<void> {
    await call(method, request);
  }

  return {
    start: (request) => call("start", request),
    signal: (request) => tell("signal", request),
    query: (request) => call("query", request),
    cancel: (request) => tell("cancel", request),
    terminate: (request) => tell("terminate", request),
    result: (request) => waitForResult(request, (part) => call("result", part)),
    describe: (request) => call("describe", request),
    list: (request) => call("list", request),
    count: (request) => call("count", request),
    feed: (request) => waitForFeed(request, (part) => call("feed", part)),
    deploy: ({ archive, ...rest }) =>
      // As the schema of the request has it.
      call("deploy", { ...rest, archive: Buffer.from(archive).toString("base64") as never }),
    listPackages: (filter) => call("listPackages", filter),
    route: (request) => tell("route", request),
    unload: (request) => tell("unload", request),
    history: (request) => waitForHistory(request, (part) => call("history", part)),
    close: () => {
      for (const underWay of calls) underWay.destroy(new Error("the connection was closed"));
    },
  };
}

/** Asks whether an engine answers at the socket, within a second. If not: why. */
export async function pingLocal(socketPath: string): Promise<AionError | undefined> {
  try {
    decodeReply(await post({ socketPath, method: pingMethod, request: {}, timeoutMs: pingTimeoutMs }));
    return undefined;
  } catch (error) {
    return isAionError(error) ? error : brokenOff(socketPath, error);
  }
}

async function waitForResult(
  request: ResultRequest,
  ask: (request: ResultRequest) => Promise<ReplyOf<"result">>,
): Promise<ReplyOf<"result">> {
  const endAt = performance.now() + request.waitMs;
  for (;;) {
    const leftMs = Math.max(0, Math.ceil(endAt - performance.now()));
    const reply = await ask({ ...request, waitMs: Math.min(leftMs, waitMsMax) });
    if (reply.status !== "running" || reply.blocked !== undefined || leftMs <= waitMsMax) return reply;
  }
}

async function waitForHistory(
  request: HistoryRequest,
  ask: (request: HistoryRequest) => Promise<ReplyOf<"history">>,
): Promise<ReplyOf<"history">> {
  if (request.waitMs === undefined) return await ask(request);
  const endAt = performance.now() + request.waitMs;
  for (;;) {
    const leftMs = Math.max(0, Math.ceil(endAt - performance.now()));
    const reply = await ask({ ...request, waitMs: Math.min(leftMs, waitMsMax) });
    if (reply.events.length > 0 || reply.isEnd || leftMs <= waitMsMax) return reply;
  }
}

async function waitForFeed(
  request: FeedRequest,
  ask: (request: FeedRequest) => Promise<ReplyOf<"feed">>,
): Promise<ReplyOf<"feed">> {
  if (request.waitMs === undefined) return await ask(request);
  const endAt = performance.now() + request.waitMs;
  for (let after = request.after; ;) {
    const leftMs = Math.max(0, Math.ceil(endAt - performance.now()));
    const part = { ...request, waitMs: Math.min(leftMs, waitMsMax) };
    const reply = await ask(after === undefined ? part : { ...part, after });
    if (reply.events.length > 0 || !reply.isAtHead || leftMs <= waitMsMax) return reply;
    after = reply.nextCursor;
  }
}

/** One request on a connection of its own: none is ever sent twice without its caller knowing. */
async function post(of: {
  readonly socketPath: string;
  readonly method: string;
  readonly request: unknown;
  readonly timeoutMs: number;
  readonly calls?: Set<ClientRequest>;
}): Promise<string> {
  const { socketPath, method, timeoutMs, calls } = of;
  const body = Buffer.from(JSON.stringify(of.request));
  // Only who calls needs it, and an engine that is asked nothing by others does not.
  const { request: httpRequest } = await import("node:http");
  return await new Promise((resolve, reject) => {
    const fail = (error: unknown): void => reject(brokenOff(socketPath, error));
    const sent = httpRequest({
      socketPath,
      path: `${wirePrefix}${method}`,
      method: "POST",
      agent: false,
      headers: { "content-type": "application/json", "content-length": body.length },
    });
    calls?.add(sent);
    const timer = setTimeout(() => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    sent.once("close", () => {
      clearTimeout(timer);
      calls?.delete(sent);
      fail(new Error("the connection ended before the answer"));
    });
    sent.once("error", fail);
    sent.once("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", fail);
      response.once("end", () => {
        if (response.complete) resolve(Buffer.concat(chunks).toString("utf8"));
      });
    });
    sent.end(body);
  });
}

function brokenOff(socketPath: string, error: unknown): AionError {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const what =
    code === "ENOENT" || code === "ECONNREFUSED"
      ? `no engine answers at ${socketPath}`
      : code === "EACCES" || code === "EPERM"
        ? `the socket ${socketPath} belongs to another user`
        : `the connection to the engine at ${socketPath} broke: ${messageOf(error)}`;
  return new AionError("transport_failed", what, { cause: error });
}
