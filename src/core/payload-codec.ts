import type { AionErrorOptions } from "./errors.ts";
import { AionError, isAionError } from "./errors.ts";
import type { Failure } from "./failure.ts";
import type { Payload } from "./payload.ts";
import { fromPayload, messageOf } from "./payload.ts";

/** What a codec is told of a payload. A hint for the choice of a key, and nothing to rely on: values are passed on. */
export interface PayloadContext {
  /**
   * `start`: the input of a workflow. `input`: of an activity. `value`: of a `sideEffect`. `failure`: what is hidden of a
   * failure. `answer`: to a query. `update`: the input of an update; what comes of it is a `result`.
   */
  readonly kind:
    | "start"
    | "input"
    | "result"
    | "signal"
    | "query"
    | "update"
    | "answer"
    | "heartbeat"
    | "value"
    | "failure";
  /** The workflow that the payload is for. Absent where a start leaves the id to the engine. */
  readonly workflowId?: string;
}

/**
 * Encodes payloads before they leave the process that knows what they say, and decodes them where they are read.
 *
 * What goes in and comes out is JSON text. An encoded payload should be an object with a field `$aion`, which names how it was
 * encoded: so it is told from one that is not. `decode` is given every payload, also those that were never encoded, and gives back
 * such a one as it is, or refuses it. It throws `payload_undecodable`, or `codec_key_unknown`, and never gives back anything
 * but what was encoded.
 */
export interface PayloadCodec {
  encode(text: string, context: PayloadContext): string | Promise<string>;
  decode(text: string, context: PayloadContext): string | Promise<string>;
  /**
   * What becomes of the messages and stacks of failures. `"encoded"` (default): they are hidden with the details. `"plain"`: the
   * details alone are. Types, and what kind of failure it is, are never encoded: retry policies go by them.
   */
  readonly failureText?: "encoded" | "plain";
  /** The largest text, in bytes, whose encoded form has at most so many. Default: the same. */
  plainLimitBytes?(encodedLimitBytes: number): number;
}

/** A codec that answers at once: what an engine needs, since workflow code does not wait for anything that is not durable. */
export interface SyncPayloadCodec extends PayloadCodec {
  encode(text: string, context: PayloadContext): string;
  decode(text: string, context: PayloadContext): string;
}

/** The field that only encoded payloads have. */
export const codecMark = "$aion";
const quotedMark = JSON.stringify(codecMark);

/** An encoded payload, as a value. */
export function isEncodedValue(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.hasOwn(value, codecMark) &&
    typeof (value as Record<string, unknown>)[codecMark] === "string"
  );
}

/** The text may hold an encoded payload, or be one. */
export function mayHoldEncoded(text: string): boolean {
  return text.includes(quotedMark);
}

/** Parsed, if the text is an encoded payload. */
export function parseEncoded(text: string): Readonly<Record<string, unknown>> | undefined {
  // Its own field may stand anywhere in it: a transport may order fields as it likes.
  if (!text.startsWith("{") || !mayHoldEncoded(text)) return undefined;
  const value: unknown = JSON.parse(text);
  return isEncodedValue(value) ? value : undefined;
}

/** Replaces each encoded payload that a value holds, however deep. `decode` is asked in the order of the text. */
export function replaceEncoded(
  text: string,
  decode: (encoded: Readonly<Record<string, unknown>>) => unknown,
): string {
  return JSON.stringify(
    JSON.parse(text, (_name, value: unknown) => (isEncodedValue(value) ? decode(value) : value)),
  );
}

/**
 * Whether two inputs are the same, as far as that can be told without a key: encoded ones carry keyed hashes of what they say
 * (`same`, by key), made for one workflow id. Two that have none in common are different.
 */
export function isSameInput(left: Payload, right: Payload): boolean {
  if (left === right) return true;
  const [ofLeft, ofRight] = [left, right].map((payload) => parseEncoded(payload)?.["same"]);
  if (typeof ofLeft !== "object" || ofLeft === null || typeof ofRight !== "object" || ofRight === null)
    return false;
  const hashes = new Map(Object.entries(ofRight));
  return Object.entries(ofLeft).some(([key, hash]) => typeof hash === "string" && hashes.get(key) === hash);
}

/** What stands in the place of a message that is encoded. */
export const encodedMessage = "(encoded)";

/** Tells what is hidden of a failure from what its author gave as details. */
const hiddenMark = "failure";

interface Hidden {
  readonly message?: string;
  readonly stack?: string;
  readonly details?: unknown;
}

export type PayloadMap = (payload: Payload, context: PayloadContext) => Payload;

/** Hides what a failure says: details always, messages and stacks unless the codec leaves them. */
export function encodeFailure(
  failure: Failure,
  encode: PayloadMap,
  of: Pick<PayloadCodec, "failureText"> & { readonly workflowId?: string },
): Failure {
  const { message, stack, details, cause, ...rest } = failure;
  const isHidden = of.failureText !== "plain";
  const inner = cause === undefined ? {} : { cause: encodeFailure(cause, encode, of) };
  // It comes from where it was encoded, and is passed on.
  const isDone = details !== undefined && parseEncoded(details) !== undefined;
  if (isHidden ? isDone && message === encodedMessage : isDone || details === undefined)
    return { ...failure, ...inner };
  const hidden: Hidden = {
    ...(isHidden ? { message, ...(stack === undefined ? {} : { stack }) } : {}),
    ...(details === undefined ? {} : { details: fromPayload(details) }),
  };
  return {
    ...rest,
    message: isHidden ? encodedMessage : message,
    ...(isHidden || stack === undefined ? {} : { stack }),
    details: encode(JSON.stringify({ [codecMark]: hiddenMark, ...hidden }) as Payload, failureContext(of)),
    ...inner,
  };
}

/** A failure as it was before it was encoded; one that was not stays as it is. */
export function decodeFailure(
  failure: Failure,
  decode: PayloadMap,
  of: { readonly workflowId?: string },
): Failure {
  const { cause, ...rest } = failure;
  const own = decodeOwn(rest, decode, of);
  if (cause === undefined) return own;
  const inner = decodeFailure(cause, decode, of);
  // The engine quotes what it could not read.
  const quote = `: ${encodedMessage}`;
  const isQuote = own.message.endsWith(quote) && cause.message === encodedMessage;
  const message = isQuote ? `${own.message.slice(0, -encodedMessage.length)}${inner.message}` : own.message;
  return { ...own, message, cause: inner };
}

function decodeOwn(failure: Failure, decode: PayloadMap, of: { readonly workflowId?: string }): Failure {
  if (failure.details === undefined) return failure;
  const decoded = decode(failure.details, failureContext(of));
  const hidden = parseEncoded(decoded);
  if (hidden?.[codecMark] !== hiddenMark) return { ...failure, details: decoded };
  const { message, stack, details } = hidden as Hidden;
  const { details: _encoded, ...rest } = failure;
  return {
    ...rest,
    ...(typeof message === "string" ? { message } : {}),
    ...(typeof stack === "string" ? { stack } : {}),
    ...(details === undefined ? {} : { details: JSON.stringify(details) as Payload }),
  };
}

function failureContext({ workflowId }: { readonly workflowId?: string }): PayloadContext {
  return { kind: "failure", ...(workflowId === undefined ? {} : { workflowId }) };
}

/** In the details of an error whose message is encoded: the message. */
export const encodedDetail = "encoded";

/** What code says of its data when it refuses it must not be read on the way either. */
export function encodeError(
  error: AionError,
  encode: PayloadMap,
  of: { readonly workflowId?: string },
): AionError {
  const { code, message, hint } = error;
  const hidden = { [codecMark]: hiddenMark, message } as const;
  const encoded = encode(JSON.stringify(hidden) as Payload, failureContext(of));
  return new AionError(code, encodedMessage, { hint, details: { [encodedDetail]: encoded } });
}

/** The encoded message of an error, if it has one. */
export function encodedMessageOf(error: unknown): Payload | undefined {
  if (!isAionError(error) || error.message !== encodedMessage) return undefined;
  const encoded = error.details[encodedDetail];
  return typeof encoded === "string" ? (encoded as Payload) : undefined;
}

/** An error whose message was encoded, from what decoding that gave. */
export function withMessage({ code, hint }: AionError, decoded: Payload): AionError {
  const message = parseEncoded(decoded)?.["message"];
  return new AionError(code, typeof message === "string" ? message : encodedMessage, { hint });
}

/**
 * Maps the payloads of a value by what answers later. `walk` goes through it twice, in one order: to find them, and to put what they
 * are mapped to in their places.
 */
export async function mapPayloads<Value>(
  walk: (map: PayloadMap) => Value,
  map: (payload: Payload, context: PayloadContext) => Promise<Payload>,
): Promise<Value> {
  const found: Promise<Payload>[] = [];
  walk((payload, context) => {
    found.push(map(payload, context));
    return payload;
  });
  const mapped = await Promise.all(found);
  let at = 0;
  return walk((payload) => mapped[at++] ?? payload);
}

export function undecodable(why: string, options: AionErrorOptions = {}): AionError {
  return new AionError("payload_undecodable", `a payload cannot be decoded: ${why}`, options);
}

/**
 * A codec as an engine uses it, its answers checked. What it throws that is no `AionError` is told as `payload_undecodable` or, when it
 * encodes, as `codec_failed`. Throws `invalid_argument` for one that does not give back what it was given.
 */
export function checkedSync(codec: PayloadCodec): SyncPayloadCodec {
  const demandText = (text: unknown, what: string): string => {
    if (typeof text === "string") return text;
    throw new AionError("invalid_argument", `${what} of a codec gave no text at once`, {
      hint: "An engine needs a codec that is synchronous: `aes256gcm` of `aion/codec` is.",
    });
  };
  const known = new Recent();
  const checked: SyncPayloadCodec = {
    ...(codec.failureText === undefined ? {} : { failureText: codec.failureText }),
    plainLimitBytes: (limitBytes) => codec.plainLimitBytes?.(limitBytes) ?? limitBytes,
    encode: (text, context) => {
      try {
        const encoded = demandText(codec.encode(text, context), "`encode`");
        known.set(encoded, text);
        return encoded;
      } catch (error) {
        throw toCodecError(error, "codec_failed");
      }
    },
    decode: (text, context) => {
      const before = known.get(text);
      if (before !== undefined) return before;
      try {
        const decoded = demandText(codec.decode(text, context), "`decode`");
        if (decoded !== text) known.set(text, decoded);
        return decoded;
      } catch (error) {
        throw toCodecError(error, "payload_undecodable");
      }
    },
  };
  const probe = JSON.stringify({ probe: "ä\u2028" });
  const encoded = checked.encode(probe, { kind: "value" });
  // Past what was remembered.
  const decoded = demandText(codec.decode(encoded, { kind: "value" }), "`decode`");
  if (decoded === probe && isJson(encoded)) return checked;
  throw new AionError("invalid_argument", "a codec does not give back what it was given, or gives no JSON");
}

/** In UTF-16 units, of what is encoded. */
const recentMax = 1_000_000;

/**
 * What was encoded or decoded last: what one part of an engine encodes another one decodes a moment later. The encoded text is the
 * key, all of it, so nothing is known again that was changed.
 */
class Recent {
  readonly #texts = new Map<string, string>();
  #size = 0;

  get(encoded: string): string | undefined {
    return this.#texts.get(encoded);
  }

  set(encoded: string, text: string): void {
    if (encoded.length > recentMax || this.#texts.has(encoded)) return;
    this.#texts.set(encoded, text);
    this.#size += encoded.length;
    for (const [oldest] of this.#texts) {
      if (this.#size <= recentMax) return;
      this.#texts.delete(oldest);
      this.#size -= oldest.length;
    }
  }
}

/** The payload cannot be read, or written, with the codec that is here: with another one, or other keys, it may. */
export function isCodecError(error: unknown): boolean {
  return (
    isAionError(error) &&
    (error.code === "payload_undecodable" ||
      error.code === "codec_key_unknown" ||
      error.code === "codec_failed")
  );
}

/** Whatever a codec threw, with a code. */
export function toCodecError(error: unknown, code: "codec_failed" | "payload_undecodable"): AionError {
  if (isAionError(error)) return error;
  return new AionError(code, `the codec threw: ${messageOf(error)}`, { cause: error });
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
