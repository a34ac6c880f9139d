import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Service } from "../client/service.ts";
import { AionError, isAionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import { bodyLimitBytesFor, isMethod, parseRequest, requestSchemasFor } from "./request.ts";
import { encodeError, pingMethod, statusOf, wirePrefix } from "./wire.ts";

const headersTimeoutMs = 10_000;
/** How long one request may take to arrive. */
const requestTimeoutMs = 60_000;
/** How long closing waits for calls that change something, and for answers to be taken. */
const drainTimeoutMs = 5_000;
/** What is too large is read to its end, up to this, so that its sender is there to hear the refusal. */
const discardBytesMax = 256 * 1024 * 1024;

/** HTTP on connections that somebody else accepts. */
export interface HttpAnswers {
  take(caller: Socket): void;
  /** Calls that wait are answered with `engine_closed` at once; the others with what they lead to. */
  close(): Promise<void>;
}

export function answerHttp(service: Service, payloadLimitBytes: number): HttpAnswers {
  const connections = new Connections(service, payloadLimitBytes);
  const server = createServer(
    { headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs },
    (request, response) => connections.handle(request, response),
  );
  // It listens to nothing itself; this is when it begins to watch for callers that take too long.
  server.emit("listening");
  return {
    take: (caller) => {
      server.emit("connection", caller);
      caller.resume();
    },
    close: async () => {
      await connections.drain();
      server.closeAllConnections();
      server.close();
    },
  };
}

/** What is under way, so that closing can end it. */
class Connections {
  readonly #service: Service;
  readonly #payloadLimitBytes: number;
  readonly #schemas: ReturnType<typeof requestSchemasFor>;
  readonly #underWay = new Set<Promise<void>>();
  readonly #closing = Promise.withResolvers<never>();

  constructor(service: Service, payloadLimitBytes: number) {
    this.#service = service;
    this.#payloadLimitBytes = payloadLimitBytes;
    this.#schemas = requestSchemasFor(payloadLimitBytes);
    this.#closing.promise.catch(() => undefined);
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const answered = this.#answer(request, response).finally(() => this.#underWay.delete(answered));
    this.#underWay.add(answered);
  }

  async drain(): Promise<void> {
    this.#closing.reject(new AionError("engine_closed", "the engine is closing"));
    const timeout = Promise.withResolvers<void>();
    const timer = setTimeout(timeout.resolve, drainTimeoutMs);
    await Promise.race([Promise.all(this.#underWay), timeout.promise]);
    clearTimeout(timer);
  }

  /** Never rejects: whatever goes wrong is an answer, or there is nobody to hear it. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let status = 200;
    let body: string;
    try {
      const result = await this.#call(request);
      body = JSON.stringify({ result: result ?? null });
    } catch (reason) {
      const error = isAionError(reason)
        ? reason
        : new AionError("internal", messageOf(reason), { cause: reason });
      status = statusOf(error);
      body = encodeError(error);
    }
    if (response.destroyed) return;
    response.writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      connection: "close",
    });
    await new Promise<void>((resolve) => {
      response.once("close", resolve);
      response.end(body);
    });
  }

  async #call(request: IncomingMessage): Promise<unknown> {
    const { method: verb = "", url = "" } = request;
    // Read whatever it is: a connection that ends with something unread in it loses the answer, too.
    const method = url.startsWith(wirePrefix) ? url.slice(wirePrefix.length) : "";
    const body = await readBody(request, bodyLimitBytesFor(method, this.#payloadLimitBytes));
    if (verb === "POST" && method === pingMethod) return { pid: process.pid };
    if (verb !== "POST" || !isMethod(method, this.#schemas)) {
      throw new AionError("invalid_argument", `there is no ${verb} ${url.slice(0, 100)}`, {
        hint: "The socket speaks the protocol of one version of Aion: use the `aion` command of the version that the engine runs.",
      });
    }
    return await this.#dispatch(method, parseJson(body, method));
  }

  #dispatch(method: keyof Service, value: unknown): Promise<unknown> {
    const service = this.#service;
    const schemas = this.#schemas;
    switch (method) {
      case "start":
        return service.start(parseRequest(schemas.start, value, method));
      case "signal":
        return service.signal(parseRequest(schemas.signal, value, method));
      case "query":
        return service.query(parseRequest(schemas.query, value, method));
      case "cancel":
        return service.cancel(parseRequest(schemas.cancel, value, method));
      case "terminate":
        return service.terminate(parseRequest(schemas.terminate, value, method));
      case "result":
        return this.#orClosing(service.result(parseRequest(schemas.result, value, method)));
      case "describe":
        return service.describe(parseRequest(schemas.describe, value, method));
      case "list":
        return service.list(parseRequest(schemas.list, value, method));
      case "count":
        return service.count(parseRequest(schemas.count, value, method));
      case "feed":
        return this.#orClosing(service.feed(parseRequest(schemas.feed, value, method)));
      case "deploy":
        return service.deploy(parseRequest(schemas.deploy, value, method));
      case "listPackages":
        return service.listPackages(parseRequest(schemas.listPackages, value, method));
      case "route":
        return service.route(parseRequest(schemas.route, value, method));
      case "unload":
        return service.unload(parseRequest(schemas.unload, value, method));
      case "history":
        return this.#orClosing(service.history(parseRequest(schemas.history, value, method)));
    }
  }

  // Only for calls that wait and change nothing: the caller of any other must learn what became of it.
  #orClosing(waiting: Promise<unknown>): Promise<unknown> {
    return Promise.race([waiting, this.#closing.promise]);
  }
}

async function readBody(request: IncomingMessage, limitBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= limitBytes) chunks.push(chunk);
    else chunks.length = 0;
    // Leaving the loop early breaks the connection.
    if (bytes > discardBytesMax) break;
  }
  if (bytes > limitBytes) {
    throw new AionError(
      "payload_too_large",
      `the request has ${bytes} bytes, more than the limit of ${limitBytes}`,
      {
        details: { bytes, limitBytes },
      },
    );
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(text: string, method: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AionError("invalid_argument", `the request of ${method} is no JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
