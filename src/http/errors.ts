import { AionError, errorTable, isAionError } from "../core/errors.ts";
import type { ErrorCode, ErrorKind } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";

const statusOfKind: Readonly<Record<ErrorKind, number>> = {
  usage: 400,
  denied: 403,
  not_found: 404,
  conflict: 409,
  failed: 422,
  bug: 500,
  unavailable: 503,
};

export function statusOf(code: ErrorCode): number {
  if (code === "unauthenticated") return 401;
  if (code === "too_many_attempts" || code === "too_many_streams") return 429;
  if (code === "payload_too_large" || code === "package_too_large") return 413;
  return statusOfKind[errorTable[code].kind];
}

/** Whatever was thrown, as an error with a code. */
export function toAionError(reason: unknown): AionError {
  return isAionError(reason) ? reason : new AionError("internal", messageOf(reason), { cause: reason });
}

export function errorToJson({ code, message, hint, details }: AionError): string {
  try {
    return JSON.stringify({ error: { code, message, hint, details } });
  } catch {
    // Details that are no JSON are a courtesy lost; the error itself must arrive.
    return JSON.stringify({ error: { code, message, hint, details: {} } });
  }
}

/** The headers that go with an error. https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1 */
export function errorHeaders({ code, details }: AionError): Readonly<Record<string, string>> {
  const { retryAfterSeconds: seconds } = details;
  if (code === "too_many_attempts" && typeof seconds === "number") return { "retry-after": String(seconds) };
  return code === "unauthenticated" ? { "www-authenticate": 'Bearer realm="aion"' } : {};
}
