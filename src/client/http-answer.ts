import { AionError, isErrorCode } from "../core/errors.ts";
import type { TraceContext } from "../core/tracing.ts";
import type { JsonObject } from "./json-form.ts";
import { waitMsMax } from "./routes.ts";
import type { Route } from "./routes.ts";

/** One request, on whatever carries it. */
export interface HttpCall {
  readonly verb: Route["verb"];
  /** With the query string. */
  readonly path: string;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly contentType?: string;
  /** The span in which it is made. */
  readonly trace?: TraceContext;
  /** After which there is no answer to be expected any more. */
  readonly timeoutMs: number;
  readonly abortSignal?: AbortSignal;
  /** Told each line of an answer that has none but lines, as it comes; the answer that is given in the end has no text then. */
  readonly onLine?: (line: string) => void;
}

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

/** Throws `transport_failed` if there is no whole answer, and the reason of the signal if that has fired. */
export type HttpSend = (call: HttpCall) => Promise<HttpAnswer>;

/** Beyond what a call may wait at the other end, how long the answer may take. */
const answerTimeoutMs = 60_000;
/** After which there is no answer to be expected any more. */
export const callTimeoutMs = waitMsMax + answerTimeoutMs;

/** The reply in an answer; throws the error in it, under the code it had. Error: `transport_failed` (no answer of ours). */
export function readAnswer({ status, text }: HttpAnswer): JsonObject {
  if (status === 204) return {};
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new AionError("transport_failed", `the answer (HTTP ${status}) is no JSON`, { cause: error });
  }
  return readJson(status, json);
}

/** The same of one that was read as JSON. */
export function readJson(status: number, json: unknown): JsonObject {
  const error = isRecord(json) ? json["error"] : undefined;
  if (status < 400 && isRecord(json)) return json;
  if (!isRecord(error) || typeof error["code"] !== "string" || typeof error["message"] !== "string") {
    throw strange(`the answer (HTTP ${status}) has a form that is not known`);
  }
  const { code, message, hint, details } = error;
  const rest = {
    ...(typeof hint === "string" ? { hint } : {}),
    ...(isRecord(details) ? { details } : {}),
  };
  if (isErrorCode(code)) throw new AionError(code, message, rest);
  throw new AionError("internal", `${message} (code ${code}, which this version does not know)`, rest);
}

/** Something came that is no answer of a server. */
export function strange(what: string, cause?: unknown): AionError {
  return new AionError("transport_failed", what, {
    hint: "Something else than Aion may listen there, or a proxy between; check the address.",
    ...(cause === undefined ? {} : { cause }),
  });
}

function isRecord(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
