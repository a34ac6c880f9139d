import type { Service } from "../client/service.ts";
import { AionError, errorTable, isErrorCode } from "../core/errors.ts";
import type { ErrorKind } from "../core/errors.ts";

/**
 * What goes over the socket: `POST /v1/<method>` with the request as JSON, answered by `{ "result": … }` or
 * `{ "error": { code, message, hint, details } }`.
 */
export const wirePrefix = "/v1/";
/** Asks whether somebody is there. Not a method of the service. */
export const pingMethod = "ping";

/** One call waits at most this long; who wants to wait longer asks again. */
export const waitMsMax = 25_000;
export type RequestOf<Method extends keyof Service> = Parameters<Service[Method]>[0];
export type ReplyOf<Method extends keyof Service> = Awaited<ReturnType<Service[Method]>>;

const statusOfKind: Readonly<Record<ErrorKind, number>> = {
  usage: 400,
  not_found: 404,
  conflict: 409,
  failed: 422,
  bug: 500,
  unavailable: 503,
};

export function statusOf(error: AionError): number {
  return statusOfKind[errorTable[error.code].kind];
}

export function encodeError(error: AionError): string {
  const { code, message, hint, details } = error;
  try {
    return JSON.stringify({ error: { code, message, hint, details } });
  } catch {
    // Details that are no JSON are a courtesy lost; the error itself must arrive.
    return JSON.stringify({ error: { code, message, hint, details: {} } });
  }
}

/** The result in a reply; throws the error in it, under the code it had. Error: `transport_failed` (no reply of ours). */
export function decodeReply(text: string): unknown {
  let reply: unknown;
  try {
    reply = JSON.parse(text);
  } catch (error) {
    throw new AionError("transport_failed", "the engine's answer is no JSON", { cause: error });
  }
  if (isRecord(reply) && "result" in reply) return reply["result"];
  const error = isRecord(reply) ? reply["error"] : undefined;
  if (!isRecord(error) || typeof error["code"] !== "string" || typeof error["message"] !== "string") {
    throw new AionError("transport_failed", "the engine's answer has a form that is not known");
  }
  const { code, message, hint, details } = error;
  const rest = {
    ...(typeof hint === "string" ? { hint } : {}),
    ...(isRecord(details) ? { details } : {}),
  };
  if (isErrorCode(code)) throw new AionError(code, message, rest);
  throw new AionError("internal", `${message} (code ${code}, which this version does not know)`, rest);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
