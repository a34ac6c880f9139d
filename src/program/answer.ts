import type { ErrorCode } from "../core/errors.ts";
import { AionError, isAionError, isErrorCode } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { Answer, EncodedError } from "./border.ts";

/** What the realm answered; throws the error that it tells of. */
export function readAnswer(text: string): unknown {
  const answer = JSON.parse(text) as Answer<unknown>;
  if (!answer.ok) throw decodeError(answer.error);
  return answer.value;
}

export function decodeError({ code, message, hint, details }: EncodedError): AionError {
  const known: ErrorCode = isErrorCode(code) ? code : "internal";
  return new AionError(known, message, {
    ...(hint === undefined ? {} : { hint }),
    ...(details === undefined ? {} : { details }),
  });
}

export function encodeError(error: unknown): EncodedError {
  if (!isAionError(error)) return { code: "internal", message: stackOf(error) };
  const { code, message, hint, details } = error;
  return { code, message, hint, ...(Object.keys(details).length === 0 ? {} : { details }) };
}

export function stackOf(error: unknown): string {
  return Error.isError(error) && error.stack !== undefined ? error.stack : messageOf(error);
}
