import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { createApp } from "./app.ts";
import type { AppOptions } from "./app.ts";
import { WebSockets } from "./web-sockets.ts";

const headersTimeoutMs = 10_000;
/** How long one request may take to arrive. */
const requestTimeoutMs = 60_000;
/** How long closing waits for calls that change something, and for answers to be taken. */
const drainTimeoutMs = 5_000;

/** HTTP on connections that somebody else accepts. */
export interface HttpAnswers {
  take(caller: Duplex): void;
  /** Calls that wait are answered with `engine_closed` at once; the others with what they lead to. */
  close(): Promise<void>;
}

export type HttpOptions = Omit<AppOptions, "closing">;

export function answerHttp(options: HttpOptions): HttpAnswers {
  const closing = new AbortController();
  const appOptions = { ...options, closing: closing.signal };
  const app = createApp(appOptions);
  // Whatever the application answers has been made by it: errors, too.
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const sockets = new WebSockets(appOptions);
  const underWay = new Set<Promise<void>>();
  const server = createServer(
    { headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs },
    (request: IncomingMessage, response: ServerResponse) => {
      const answered = new Promise<void>((resolve) => response.once("close", resolve)).finally(() =>
        underWay.delete(answered),
      );
      underWay.add(answered);
      if (closing.signal.aborted) response.setHeader("connection", "close");
      void listener(request, response);
    },
  );
  server.on("upgrade", (request, socket, head) => void sockets.upgrade(request, socket, head));
  // It listens to nothing itself; this is when it begins to watch for callers that take too long.
  server.emit("listening");
  return {
    take: (caller) => {
      server.emit("connection", caller as Socket);
      caller.resume();
    },
    close: async () => {
      closing.abort();
      server.closeIdleConnections();
      const timeout = Promise.withResolvers<void>();
      const timer = setTimeout(timeout.resolve, drainTimeoutMs);
      await Promise.race([Promise.all([...underWay, sockets.close()]), timeout.promise]);
      clearTimeout(timer);
      server.closeAllConnections();
      sockets.cut();
      server.close();
    },
  };
}
