import { chmodSync, lstatSync, mkdtempSync, renameSync, rmSync, unlinkSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Service } from "../client/service.ts";
import { AionError, isAionError } from "../core/errors.ts";
import { messageOf, payloadLimitBytesDefault } from "../core/payload.ts";
import type { Log } from "../core/ports.ts";
import { pingLocal } from "./client.ts";
import { bodyLimitBytesFor, isMethod, parseRequest, requestSchemasFor } from "./request.ts";
import { encodeError, pingMethod, statusOf, wirePrefix } from "./wire.ts";

export interface LocalServerOptions {
  /** Where to listen: see `socketPathFor`. */
  readonly path: string;
  /** The engine's limit for one payload. */
  readonly payloadLimitBytes?: number;
  /** Where trouble with accepting connections is told. */
  readonly log?: Log;
}

export interface LocalServer {
  readonly path: string;
  /**
   * Stops listening and removes the socket. Calls that wait are answered with `engine_closed` at once; the others with
   * what they lead to.
   */
  close(): Promise<void>;
}

const headersTimeoutMs = 10_000;
/** How long one request may take to arrive. */
const requestTimeoutMs = 60_000;
const silenceAttemptsMax = 8;
const silenceRetryMs = 250;
/** How long closing waits for calls that change something, and for answers to be taken. */
const drainTimeoutMs = 5_000;
/** What is too large is read to its end, up to this, so that its sender is there to hear the refusal. */
const discardBytesMax = 256 * 1024 * 1024;

/**
 * Lets other processes of the same user reach the service through a unix socket.
 *
 * A socket file that a dead process left is replaced; one behind which somebody answers is not.
 * Errors: `store_owned` (another engine answers there), `store_unavailable` (the socket cannot be made).
 */
export async function serveLocal(service: Service, options: LocalServerOptions): Promise<LocalServer> {
  const connections = new Connections(service, options.payloadLimitBytes ?? payloadLimitBytesDefault);
  const server = createServer(
    { headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs },
    (request, response) => connections.handle(request, response),
  );
  await demandSilence(options.path);
  const inode = await bindPrivately(server, options.path);
  server.on("error", (error) =>
    options.log?.("warn", "the local socket had an error", { error: messageOf(error) }),
  );
  // It must not be what keeps the process alive: an engine that nobody needs any more may end with its program.
  server.unref();
  return {
    path: options.path,
    close: async () => {
      // Another owner may have put its own there since.
      if (inodeOf(options.path) === inode) unlinkSync(options.path);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await connections.drain();
      server.closeAllConnections();
      await closed;
    },
  };
}

// An engine that was overtaken while it was frozen answers until it notices, which it soon does.
async function demandSilence(socketPath: string): Promise<void> {
  for (let attempt = 1; (await pingLocal(socketPath)) === undefined; attempt++) {
    if (attempt === silenceAttemptsMax) {
      throw new AionError("store_owned", `another engine answers at ${socketPath}`);
    }
    await delay(silenceRetryMs);
  }
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
    const body = await readBody(request, bodyLimitBytesFor(this.#payloadLimitBytes));
    const method = url.startsWith(wirePrefix) ? url.slice(wirePrefix.length) : "";
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

/**
 * Binds in a directory that only this user can enter, restricts the socket, and moves it into place: at no moment can
 * anybody else connect, whatever the umask, and a stale file is replaced in one step. Returns the inode.
 */
async function bindPrivately(server: Server, socketPath: string): Promise<number> {
  let directory: string | undefined;
  try {
    directory = mkdtempSync(path.join(path.dirname(socketPath), ".a"));
    const staging = path.join(directory, "s");
    await listen(server, staging);
    chmodSync(staging, 0o600);
    const found = lstatSync(socketPath, { throwIfNoEntry: false });
    if (found !== undefined && !found.isSocket())
      throw new Error("there is a file of that name, which is no socket");
    renameSync(staging, socketPath);
    return lstatSync(socketPath).ino;
  } catch (error) {
    server.close();
    throw new AionError("store_unavailable", `cannot make the socket ${socketPath}: ${messageOf(error)}`, {
      cause: error,
      hint: "Check that the directory can be written and that nothing else has that name.",
    });
  } finally {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  }
}

function listen(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function inodeOf(socketPath: string): number | undefined {
  return lstatSync(socketPath, { throwIfNoEntry: false })?.ino;
}
