import { AionError } from "./errors.ts";
import { parseName } from "./ids.ts";
import type { OptionNames } from "./options.ts";
import { demandKnownOptions } from "./options.ts";
import type { PayloadCodec, PayloadContext } from "./payload-codec.ts";
import { codecMark, parseEncoded, undecodable } from "./payload-codec.ts";

/**
 * The form in which AES-256-GCM carries a payload, without the cryptography: that is the platform's, and browsers and Node have
 * different ones. `docs/encryption.md` has it in words, for other languages.
 *
 * XAES-256-GCM (C2SP) is AES-256-GCM whose key is derived for each payload from the key and the first half of a random nonce of
 * 192 bits. With the 96 bits that AES-256-GCM itself takes, random nonces may serve a key for 2^32 payloads; so they serve for 2^80.
 */
const algorithm = "xaes-256-gcm";

export const keyBytes = 32;
export const nonceBytes = 24;
export const tagBytes = 16;
const fingerprintBytes = 16;
const checkBytes = 6;

export interface KeyRingOptions {
  /** By its name: 32 random bytes, or the base64 of them. Old ones stay for as long as something is kept that needs them. */
  readonly keys: Readonly<Record<string, Uint8Array | string>>;
  /** The name of the key that encodes; or which one, by the workflow id (for a key per customer). */
  readonly current: string | ((context: PayloadContext) => string);
  /** What is encoded in one scope cannot be decoded in another: name the deployment, or the namespace. Default: none. */
  readonly scope?: string;
  /** Refuse payloads that are not encoded, with `payload_undecodable`. Default false, for histories from before. */
  readonly requireEncoded?: boolean;
  /** See `PayloadCodec`. Default `"encoded"`. */
  readonly failureText?: PayloadCodec["failureText"];
}

const optionNames: OptionNames<KeyRingOptions> = {
  keys: true,
  current: true,
  scope: true,
  requireEncoded: true,
  failureText: true,
};

/**
 * An encoded payload. `check`: what the key is known by beside its name, so that another key of that name is no forgery.
 * `same`: keyed hashes of what the input of a start says, by key.
 */
export interface Envelope {
  readonly key: string;
  readonly check: string;
  readonly same: Readonly<Record<string, string>> | undefined;
  /** Base64 of nonce, ciphertext and tag. */
  readonly data: string;
}

const fields: ReadonlySet<string> = new Set([codecMark, "key", "check", "same", "data"]);

export class KeyRing {
  readonly keys: ReadonlyMap<string, Uint8Array>;
  readonly scope: string;
  readonly requireEncoded: boolean;
  readonly #current: KeyRingOptions["current"];

  /** Errors: `invalid_argument`. */
  constructor(options: KeyRingOptions, fromBase64: (text: string) => Uint8Array | undefined) {
    demandKnownOptions(options, optionNames, "a key ring");
    const { keys, current, scope = "", requireEncoded = false, failureText = "encoded" } = options;
    const parsed = Object.entries(keys).map(([name, key]): [string, Uint8Array] => {
      const bytes = typeof key === "string" ? fromBase64(key) : key;
      if (bytes instanceof Uint8Array && bytes.length === keyBytes)
        return [parseName(name, "the name of a key"), Uint8Array.from(bytes)];
      throw invalid(
        `key ${JSON.stringify(name)} must be ${keyBytes} bytes, or the base64 of them`,
        "`openssl rand -base64 32` makes one.",
      );
    });
    this.keys = new Map(parsed);
    if (typeof current === "string" && !this.keys.has(current))
      throw invalid(`the current key ${JSON.stringify(current)} is not among the keys`);
    if (typeof current !== "string" && typeof current !== "function")
      throw invalid("`current` must name a key");
    if (failureText !== "encoded" && failureText !== "plain")
      throw invalid('`failureText` must be "encoded" or "plain"');
    if (typeof scope !== "string" || !scope.isWellFormed()) throw invalid("`scope` must be a string");
    this.#current = current;
    this.scope = scope;
    this.requireEncoded = requireEncoded;
  }

  /** The name of the key that encodes. Error: `codec_key_unknown`. */
  currentFor(context: PayloadContext): string {
    const name = typeof this.#current === "string" ? this.#current : this.#current(context);
    this.keyOf(name);
    return name;
  }

  /** Error: `codec_key_unknown`. */
  keyOf(name: string): Uint8Array {
    const key = this.keys.get(name);
    if (key !== undefined) return key;
    throw new AionError(
      "codec_key_unknown",
      `there is no key ${JSON.stringify(name)} among ${[...this.keys.keys()].map((known) => JSON.stringify(known)).join(", ") || "the keys, of which there is none"}`,
      { details: { key: name } },
    );
  }

  /** What is authenticated with the ciphertext. The order of fields is no part of it: a transport may change that. */
  boundTo({ key, check, same }: Omit<Envelope, "data">): string {
    const hashes = Object.entries(same ?? {}).toSorted(([left], [right]) => (left < right ? -1 : 1));
    return JSON.stringify(["aion payload", algorithm, key, check, this.scope, hashes]);
  }
}

/** What the hash of an input is made of: two of one text are the same for one workflow id, and tell nothing for two. */
export function fingerprintOf(text: string, { kind, workflowId }: PayloadContext): string | undefined {
  return kind === "start" && workflowId !== undefined ? `${workflowId}\u0000${text}` : undefined;
}

/** What is hashed with a key for other uses than encryption. */
export const labels = {
  /** The key of those hashes is one of its own. */
  fingerprint: "aion payload: the same input",
  check: "aion payload: which key",
} as const;

/** How much of a hash is carried. */
export function cutFingerprint(hash: Uint8Array): Uint8Array {
  return hash.subarray(0, fingerprintBytes);
}

export function cutCheck(hash: Uint8Array): Uint8Array {
  return hash.subarray(0, checkBytes);
}

export function formatEnvelope({ key, check, same, data }: Envelope): string {
  return JSON.stringify({
    [codecMark]: algorithm,
    key,
    check,
    ...(same === undefined ? {} : { same }),
    data,
  });
}

/** Error: `codec_key_unknown`, for a key that has the name and is another. */
export function demandSameKey({ key, check }: Envelope, checkHere: string): void {
  if (check === checkHere) return;
  throw new AionError(
    "codec_key_unknown",
    `the key ${JSON.stringify(key)} that is here is not the one that the payload was encoded with`,
    { details: { key } },
  );
}

/** `undefined`: the text is not encoded. Throws `payload_undecodable` for what is encoded in another way, or was changed. */
export function parseEnvelope(text: string): Envelope | undefined {
  const value = parseEncoded(text);
  return value === undefined ? undefined : toEnvelope(value);
}

export function toEnvelope(value: Readonly<Record<string, unknown>>): Envelope {
  if (value[codecMark] !== algorithm)
    throw undecodable(
      `it is encoded as ${JSON.stringify(String(value[codecMark]).slice(0, 60))}, not ${algorithm}`,
    );
  const { key, check, same, data } = value;
  const isSame =
    same === undefined ||
    (typeof same === "object" &&
      same !== null &&
      Object.values(same).every((hash) => typeof hash === "string"));
  // A field that is not authenticated could say anything.
  if (
    typeof key !== "string" ||
    typeof check !== "string" ||
    typeof data !== "string" ||
    !isSame ||
    !Object.keys(value).every((name) => fields.has(name))
  )
    throw undecodable("it has not the form in which it was encoded");
  return { key, check, data, same: same as Envelope["same"] };
}

export function doesNotFit({ key }: Envelope, cause?: unknown): AionError {
  return undecodable(
    `it does not fit key ${JSON.stringify(key)}: it was changed, or encoded in another scope`,
    { details: { key }, ...(cause === undefined ? {} : { cause }) },
  );
}

export function notEncoded(): AionError {
  return undecodable("it is not encoded, and the codec takes no other", {
    hint: "Whoever sent it has no codec. Histories from before the codec need one without `requireEncoded`.",
  });
}

/** Of the size that a payload may have, what is left for its text. */
export function plainLimitBytes(encodedLimitBytes: number, ring: KeyRing): number {
  const longestName = Math.max(0, ...[...ring.keys.keys()].map((name) => JSON.stringify(name).length * 3));
  const around = 120 + longestName + ring.keys.size * (longestName + 40);
  return Math.max(0, Math.floor((encodedLimitBytes - around) / 4) * 3 - nonceBytes - tagBytes - 2);
}

/**
 * The two blocks whose encryption is the key of one payload, by its nonce; `zero`: a block of zeros, encrypted with the key.
 * (CMAC, of which XAES-256-GCM's key derivation is made.)
 */
export function derivationBlocks(zero: Uint8Array, nonce: Uint8Array): readonly [Uint8Array, Uint8Array] {
  const subkey = new Uint8Array(16);
  for (let index = 0; index < 16; index++)
    subkey[index] = (((zero[index] ?? 0) << 1) | ((zero[index + 1] ?? 0) >> 7)) & 0xff;
  // The constant of the field, in no secret-dependent branch.
  subkey[15] = (subkey[15] ?? 0) ^ (0x87 & -((zero[0] ?? 0) >> 7));
  const block = (counter: number): Uint8Array => {
    const message = Uint8Array.from([0, counter, 0x58, 0, ...nonce.subarray(0, 12)]);
    for (let index = 0; index < 16; index++) message[index] = (message[index] ?? 0) ^ (subkey[index] ?? 0);
    return message;
  };
  return [block(1), block(2)];
}

function invalid(what: string, hint?: string): AionError {
  return new AionError("invalid_argument", `a key ring: ${what}`, hint === undefined ? {} : { hint });
}
