import { createServer } from "node:http";
import { createServer as createHttp2Server, Http2ServerResponse, constants } from "node:http2";
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { getRequestListener } from "@hono/node-server";
import { AionError } from "../core/errors.ts";
import type { Meter } from "../core/ports.ts";
import { createApp } from "./app.ts";
import type { AppOptions } from "./app.ts";
import { errorToJson, statusOf, toAionError } from "./errors.ts";
import { httpLimits, OpenStreams } from "./http-limits.ts";
import { HttpMeter } from "./http-meter.ts";
import { peerOf } from "./peer.ts";
import type { NodeHandler, NodeRequest, NodeResponse } from "./rpc.ts";
import { UnreadAnswers } from "./unread-answers.ts";
import { WebSockets } from "./web-sockets.ts";

const headersTimeoutMs = 10_000;
/** How long one request may take to arrive. */
const requestTimeoutMs = 60_000;
/** How long closing waits for calls that change something, and for answers to be taken. */
const drainTimeoutMs = 5_000;
/** How long a connection of HTTP/2 may be without a call. */
const idleTimeoutMsDefault = 120_000;
/** Of the services of `proto/`. */
const rpcPrefix = "/aion.";
/** Of workers, whose requests last as long as they do. */
const workPrefix = "/aion.v1.WorkerService/";
/** How a connection of HTTP/2 begins; no request of HTTP/1 does. */
const http2Preface = "PRI";

/** HTTP on connections that somebody else accepts. */
export interface HttpAnswers {
  take(caller: Socket): void;
  /** Calls that wait are answered with `engine_closed` at once; the others with what they lead to. */
  close(): Promise<void>;
}

export interface HttpOptions extends Omit<AppOptions, "closing" | "httpMeter" | "streams"> {
  /** How long a connection of HTTP/2 may be without a call. Default 2 minutes. */
  readonly idleTimeoutMs?: number;
  /** Where requests are counted. Absent: nowhere. */
  readonly meter?: Meter;
}

/** Speaks HTTP/1.1 and HTTP/2 without TLS, whichever the caller begins with: gRPC needs the latter. */
export function answerHttp(options: HttpOptions): HttpAnswers {
  const closing = new AbortController();
  const { meter } = options;
  const httpMeter = meter === undefined ? undefined : new HttpMeter(meter);
  const { streamsPerCaller, callsPerConnection, unreadAnswersBytes } = httpLimits(
    options.payloadLimitBytes,
    options.limits,
  );
  const unread = new UnreadAnswers(unreadAnswersBytes, options.log);
  const appOptions = {
    ...options,
    closing: closing.signal,
    streams: new OpenStreams(streamsPerCaller),
    ...(httpMeter === undefined ? {} : { httpMeter }),
  };
  // The two describe the same requests and responses of Node by types of their own.
  const api = getRequestListener(createApp(appOptions).fetch, { overrideGlobalObjects: false }) as (
    request: unknown,
    response: unknown,
  ) => Promise<void>;
  let rpc: Promise<NodeHandler> | undefined;
  const answer = async (request: NodeRequest, response: NodeResponse): Promise<void> => {
    if (answerOrigin(request, response, options.origins ?? [])) return;
    if (request.url?.startsWith(rpcPrefix) !== true) return await api(request, response);
    const authority = ("authority" in request ? request.authority : request.headers.host) ?? "";
    if (!URL.canParse(request.url, `http://${authority}`)) {
      throw new AionError("invalid_argument", "the request names no host, or none that can be");
    }
    // The half of what there is to load, and most engines are never asked that way.
    rpc ??= import("./rpc.ts").then(({ rpcHandler }) => rpcHandler(appOptions, api));
    (await rpc)(request, response);
  };
  const underWay = new Set<Promise<void>>();
  const listener = (request: NodeRequest, response: NodeResponse): void => {
    const answered = new Promise<void>((resolve) => response.once("close", resolve)).finally(() =>
      underWay.delete(answered),
    );
    underWay.add(answered);
    unread.add(response);
    // HTTP/2 has a farewell of its own.
    if (closing.signal.aborted && request.httpVersionMajor === 1) response.setHeader("connection", "close");
    if (response instanceof Http2ServerResponse && request.url?.startsWith(workPrefix) !== true)
      boundArrival(response.stream);
    answer(request, response).catch((reason: unknown) => refuse(response, reason));
  };
  const first = createServer(
    {
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      // Whoever offers another protocol takes this one as well: clients that would rather have HTTP/2 ask so.
      shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === "websocket",
    },
    listener,
  );
  const sockets = new WebSockets(appOptions);
  first.on("upgrade", (request, socket, head) => void sockets.upgrade(request, socket, head));
  const second = createHttp2Server({ settings: { maxConcurrentStreams: callsPerConnection } }, listener);
  const sessions = new Set<ServerHttp2Session>();
  second.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    session.on("error", () => session.destroy());
    // The time-out of the session itself begins anew with every frame, a ping too.
    const { idleTimeoutMs = idleTimeoutMsDefault } = options;
    const toTimer = (): NodeJS.Timeout => setTimeout(() => session.close(), idleTimeoutMs).unref();
    let openCount = 0;
    let idle = toTimer();
    session.on("stream", (stream) => {
      openCount += 1;
      clearTimeout(idle);
      stream.once("close", () => {
        openCount -= 1;
        if (openCount === 0 && !session.closed) idle = toTimer();
      });
    });
    session.once("close", () => clearTimeout(idle));
  });
  // They listen to nothing themselves; this is when the one begins to watch for callers that take too long.
  first.emit("listening");
  const undecided = new Set<Socket>();
  const callers = new Set<Socket>();
  const unwatch = httpMeter?.watch(() => callers.size);
  return {
    take: (caller) => {
      callers.add(caller);
      // One that is reset meanwhile does not tell any more.
      peerOf(caller);
      caller.once("close", () => callers.delete(caller));
      undecided.add(caller);
      caller.once("close", () => undecided.delete(caller));
      // Over TLS the two have agreed on it before.
      const decided =
        caller instanceof TLSSocket ? Promise.resolve(caller.alpnProtocol === "h2") : decide(caller);
      void decided.then((isSecond) => {
        undecided.delete(caller);
        if (isSecond === undefined) return;
        (isSecond ? second : first).emit("connection", caller);
        caller.resume();
      });
    },
    close: async () => {
      closing.abort();
      for (const caller of undecided) caller.destroy();
      first.closeIdleConnections();
      const farewells = [...sessions].map(
        (session) =>
          new Promise<void>((resolve) => {
            // One that is about to end already does not call back.
            session.once("close", resolve);
            session.close();
          }),
      );
      const timeout = Promise.withResolvers<void>();
      const timer = setTimeout(timeout.resolve, drainTimeoutMs);
      await Promise.race([Promise.all([...underWay, ...farewells, sockets.close()]), timeout.promise]);
      clearTimeout(timer);
      first.closeAllConnections();
      for (const session of sessions) session.destroy();
      sockets.cut();
      // Of a session that has ended the caller may have heard, and not hung up.
      for (const caller of callers) caller.destroy();
      first.close();
      second.close();
      unread.close();
      unwatch?.();
    },
  };
}

const sentHeaders = [
  "authorization",
  "content-type",
  "idempotency-key",
  "last-event-id",
  "connect-protocol-version",
  "connect-timeout-ms",
  "grpc-timeout",
  "x-grpc-web",
  "x-request-id",
  "x-user-agent",
];
const readHeaders = ["grpc-status", "grpc-message", "grpc-status-details-bin", "www-authenticate"];
const preflightSeconds = 600;

/** Returns whether that was all that was asked: https://fetch.spec.whatwg.org/#http-cors-protocol */
function answerOrigin(
  { headers, method }: NodeRequest,
  response: NodeResponse,
  origins: readonly string[],
): boolean {
  const { origin } = headers;
  if (origin === undefined || !origins.includes(origin)) return false;
  response.setHeader("access-control-allow-origin", origin);
  response.setHeader("vary", "Origin");
  response.setHeader("access-control-expose-headers", readHeaders.join(", "));
  if (method !== "OPTIONS" || headers["access-control-request-method"] === undefined) return false;
  response.setHeader("access-control-allow-methods", "GET, POST, DELETE");
  response.setHeader("access-control-allow-headers", sentHeaders.join(", "));
  response.setHeader("access-control-max-age", preflightSeconds);
  response.statusCode = 204;
  response.end();
  return true;
}

/** HTTP/1 has a limit of its own; over HTTP/2 Node lets a request arrive for as long as it likes. */
function boundArrival(stream: ServerHttp2Stream): void {
  if (stream.endAfterHeaders) return;
  const timer = setTimeout(() => {
    if (stream.state.state === constants.NGHTTP2_STREAM_STATE_OPEN) stream.close(constants.NGHTTP2_CANCEL);
  }, requestTimeoutMs);
  stream.once("close", () => clearTimeout(timer));
}

/** The answer to what nobody else has answered. */
function refuse(response: NodeResponse, reason: unknown): void {
  const error = toAionError(reason);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.statusCode = statusOf(error.code);
  response.setHeader("content-type", "application/json");
  response.end(errorToJson(error));
}

/** Whether the caller begins with HTTP/2; `undefined`: it went away, or said nothing for too long. */
function decide(caller: Socket): Promise<boolean | undefined> {
  return new Promise((resolve) => {
    const end = (isSecond: boolean | undefined): void => {
      clearTimeout(timer);
      caller.off("readable", onReadable);
      caller.off("close", onEnd);
      caller.off("error", onEnd);
      caller.off("end", onEnd);
      resolve(isSecond);
    };
    let begun: Buffer = Buffer.alloc(0);
    const onEnd = (): void => {
      caller.destroy();
      end(undefined);
    };
    const onReadable = (): void => {
      const more = caller.read() as Buffer | null;
      if (more === null) return;
      begun = Buffer.concat([begun, more]);
      const text = begun.subarray(0, http2Preface.length).toString("latin1");
      // Too little to tell: the rest will come.
      if (text.length < http2Preface.length && http2Preface.startsWith(text)) return;
      end(text === http2Preface);
      caller.unshift(begun);
    };
    const timer = setTimeout(onEnd, headersTimeoutMs);
    caller.on("readable", onReadable);
    caller.once("close", onEnd);
    caller.once("error", onEnd);
    caller.once("end", onEnd);
    onReadable();
  });
}
