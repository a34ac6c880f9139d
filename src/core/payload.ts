import { AionError } from "./errors.ts";

declare const payloadBrand: unique symbol;
/**
 * User data as it is stored: JSON text. Encoded once, at the border where it enters, and carried as
 * text from there, so that a history never holds an object that user code can still change.
 */
export type Payload = string & { readonly [payloadBrand]: true };

/** 2 MiB: larger data belongs in a blob store, with a reference in the workflow. */
export const payloadLimitBytesDefault = 2 * 1024 * 1024;

export const nullPayload = "null" as Payload;

/**
 * Encodes a value as it will be recorded; `undefined` becomes `null`.
 * Errors: `payload_not_serializable`, `payload_too_large`.
 */
export function toPayload(
  value: unknown,
  what: string,
  limitBytes: number = payloadLimitBytesDefault,
): Payload {
  let text: string | undefined;
  try {
    text = value === undefined ? "null" : JSON.stringify(value);
  } catch (error) {
    throw new AionError(
      "payload_not_serializable",
      `${what} cannot be written as JSON: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
  if (text === undefined) {
    throw new AionError("payload_not_serializable", `${what} is a ${typeof value}, which JSON cannot hold`);
  }
  return checkSize(text, what, limitBytes);
}

/** Takes JSON text from outside. Errors: `payload_not_serializable` (not JSON), `payload_too_large`. */
export function parsePayload(
  text: string,
  what: string,
  limitBytes: number = payloadLimitBytesDefault,
): Payload {
  checkSize(text, what, limitBytes);
  try {
    JSON.parse(text);
  } catch (error) {
    throw new AionError("payload_not_serializable", `${what} is not valid JSON: ${messageOf(error)}`, {
      cause: error,
      hint: "Pass JSON, for example '{\"amount\": 5}' or '\"text\"' (strings need their quotes).",
    });
  }
  return text as Payload;
}

/** The value, made anew at each call: what one reader changes no other reader sees. */
export function fromPayload(payload: Payload): unknown {
  return JSON.parse(payload) as unknown;
}

// UTF-8 never takes more than three bytes for one UTF-16 unit, so short texts need no counting.
function checkSize(text: string, what: string, limitBytes: number): Payload {
  if (text.length * 3 > limitBytes) {
    const bytes = utf8Length(text);
    if (bytes > limitBytes) {
      throw new AionError(
        "payload_too_large",
        `${what} has ${bytes} bytes, more than the limit of ${limitBytes}`,
        {
          details: { bytes, limitBytes },
        },
      );
    }
  }
  return text as Payload;
}

export function utf8Length(text: string): number {
  let bytes = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (unit >= 0xd800 && unit < 0xdc00) {
      bytes += 4;
      index += 1;
    } else bytes += 3;
  }
  return bytes;
}

export function messageOf(error: unknown): string {
  if (Error.isError(error)) return error.message;
  try {
    return String(error);
  } catch {
    return "an error that cannot be shown";
  }
}
