import type { ClientRequest } from "node:http";
import { readAnswer } from "../client/http-answer.ts";
import { HttpService } from "../client/http-service.ts";
import type { HttpAnswer, HttpCall } from "../client/http-answer.ts";
import { livePath } from "../client/routes.ts";
import type { Service } from "../client/service.ts";
import { AionError, isAionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";

/** A service at the other end of a local socket. */
export interface LocalService extends Service {
  /** Breaks off what is under way (`transport_failed`); what was sent may have its effect all the same. */
  close(): void;
}

const pingTimeoutMs = 1_000;

/**
 * The service of an engine in another process, through its socket. Connects anew for each call, so it outlives a
 * restart of the engine. Errors: those of the service, under the same codes; `transport_failed`.
 */
export function connectLocal(socketPath: string): LocalService {
  const calls = new Set<ClientRequest>();
  const service = new HttpService({ send: (call) => send(socketPath, call, calls) });
  return Object.assign(service, {
    close: () => {
      for (const underWay of calls) underWay.destroy(new Error("the connection was closed"));
    },
  });
}

/** Asks whether an engine answers at the socket, within a second. If not: why. */
export async function pingLocal(socketPath: string): Promise<AionError | undefined> {
  try {
    readAnswer(await send(socketPath, { verb: "GET", path: livePath, timeoutMs: pingTimeoutMs }));
    return undefined;
  } catch (error) {
    return isAionError(error) ? error : brokenOff(socketPath, error);
  }
}

/** One request on a connection of its own: none is ever sent twice without its caller knowing. */
async function send(
  socketPath: string,
  { verb, path, body, contentType, trace, timeoutMs, abortSignal }: HttpCall,
  calls?: Set<ClientRequest>,
): Promise<HttpAnswer> {
  abortSignal?.throwIfAborted();
  // Only who calls needs it, and an engine that is asked nothing by others does not.
  const { request: httpRequest } = await import("node:http");
  return await new Promise((resolve, reject) => {
    const fail = (error: unknown): void =>
      reject(abortSignal?.aborted === true ? (abortSignal.reason as Error) : brokenOff(socketPath, error));
    const sent = httpRequest({
      socketPath,
      path,
      method: verb,
      agent: false,
      headers: {
        ...(contentType === undefined ? {} : { "content-type": contentType }),
        ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }),
        ...trace,
      },
      ...(abortSignal === undefined ? {} : { signal: abortSignal }),
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
        const text = Buffer.concat(chunks).toString("utf8");
        if (response.complete) resolve({ status: response.statusCode ?? 0, text });
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
