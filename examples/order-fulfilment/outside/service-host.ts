/**
 * What the payment service and the approval desk have in common: HTTP on a free loopback port, a token, and a state
 * file by which other processes find them again.
 *
 * Owner: the service's own process; one instance per data directory (single-instance.ts).
 * 1. The state file is written after the port answers, so whoever reads it can connect at once.
 * 2. Every request needs the token; only who may read the state file has it.
 * 3. A handler that throws ends the service: whoever needs it starts it again, from what is on disk.
 * 4. A service that nobody has asked anything for `idleExitMs` ends by itself: none is left behind for ever.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { z } from "zod";

const BODY_BYTES_MAX = 64 * 1024;

export const ServiceState = z.strictObject({
  name: z.string(),
  pid: z.int().positive(),
  port: z.int().min(1).max(65_535),
  token: z.string().min(16),
});
export type ServiceState = z.infer<typeof ServiceState>;

export const ServiceHealth = z.strictObject({
  name: z.string(),
  pid: z.int().positive(),
  settings: z.record(z.string(), z.union([z.string(), z.number()])),
});
export type ServiceHealth = z.infer<typeof ServiceHealth>;

export interface ServiceRequest {
  readonly method: string;
  readonly path: string;
  readonly idempotencyKey: string | undefined;
  /** The parsed JSON body, unchecked; undefined when there was none. */
  readonly body: unknown;
}

/** `silence` leaves the caller waiting for an answer that never comes; `cut` breaks the connection instead of answering. */
export type ServiceReply =
  | { readonly kind: "json"; readonly status: number; readonly body: unknown }
  | { readonly kind: "lines"; readonly lines: Iterable<unknown> }
  | { readonly kind: "silence" }
  | { readonly kind: "cut" };

export interface ServiceOptions {
  readonly name: string;
  readonly dataDir: string;
  /** Shown in the health answer, so that a caller can tell whether this service is the one it wants. */
  readonly settings: ServiceHealth["settings"];
  readonly idleExitMs?: number | undefined;
  readonly handle: (request: ServiceRequest) => Promise<ServiceReply>;
  /** Called once, after the last connection is closed. */
  readonly onClose: () => Promise<void>;
}

export interface HostedService {
  readonly url: string;
  readonly token: string;
  /** Resolves when the service has ended, whoever ended it; rejects when a failure did. */
  readonly closed: Promise<void>;
  close(): Promise<void>;
}

export function statePath(dataDir: string, name: string): string {
  return join(dataDir, `${name}.state.json`);
}

export async function hostService(options: ServiceOptions): Promise<HostedService> {
  const token = randomBytes(24).toString("base64url");
  const server = createServer((message, response) => {
    idle?.refresh();
    answer(message, response).catch(() => response.destroy());
  });

  async function answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!hasToken(message, token)) return sendJson(response, 401, { error: { code: "unauthorized" } });
    const body = await readBody(message);
    if (body === "too large") return sendJson(response, 413, { error: { code: "body_too_large" } });
    if (body === "not json") return sendJson(response, 400, { error: { code: "not_json" } });
    const { method = "GET", url: path = "/" } = message;
    if (method === "GET" && path === "/health") {
      const health: ServiceHealth = { name: options.name, pid: process.pid, settings: options.settings };
      return sendJson(response, 200, health);
    }
    if (method === "POST" && path === "/shutdown") {
      sendJson(response, 202, {});
      response.once("finish", () => void close());
      return;
    }
    const key = message.headers["idempotency-key"];
    const idempotencyKey = typeof key === "string" && key !== "" ? key.slice(0, 200) : undefined;
    const reply = await handleOrStop({ method, path, idempotencyKey, body: body?.value });
    switch (reply.kind) {
      case "json":
        return sendJson(response, reply.status, reply.body);
      case "lines":
        response.writeHead(200, { "content-type": "application/jsonl" });
        response.end([...reply.lines].map((line) => `${JSON.stringify(line)}\n`).join(""));
        return;
      case "silence":
        return;
      case "cut":
        response.destroy();
    }
  }

  /** A service that cannot write its books must not go on answering from memory. */
  async function handleOrStop(request: ServiceRequest): Promise<ServiceReply> {
    try {
      return await options.handle(request);
    } catch (cause) {
      failure ??= cause;
      void close();
      throw cause;
    }
  }

  let failure: unknown;
  let closing: Promise<void> | undefined;
  const ended = Promise.withResolvers<void>();
  function close(): Promise<void> {
    closing ??= (async () => {
      clearTimeout(idle);
      ended.promise.catch(() => undefined);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      rmSync(statePath(options.dataDir, options.name), { force: true });
      await options.onClose();
    })();
    closing.then(() => (failure === undefined ? ended.resolve() : ended.reject(failure)), ended.reject);
    return closing;
  }
  const idle =
    options.idleExitMs === undefined ? undefined : setTimeout(() => void close(), options.idleExitMs);

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the service has no port");
  writeState(options.dataDir, { name: options.name, pid: process.pid, port: address.port, token });
  return { url: `http://127.0.0.1:${address.port}`, token, closed: ended.promise, close };
}

function writeState(dataDir: string, state: ServiceState): void {
  const path = statePath(dataDir, state.name);
  writeFileSync(`${path}.next`, `${JSON.stringify(state)}\n`, { mode: 0o600 });
  renameSync(`${path}.next`, path);
}

function hasToken(message: IncomingMessage, token: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(message.headers.authorization ?? ""), digest(`Bearer ${token}`));
}

async function readBody(
  message: IncomingMessage,
): Promise<{ readonly value: unknown } | undefined | "too large" | "not json"> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > BODY_BYTES_MAX) return "too large";
    chunks.push(chunk);
  }
  if (length === 0) return undefined;
  try {
    return { value: JSON.parse(Buffer.concat(chunks).toString("utf8")) };
  } catch {
    return "not json";
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
