import { createCipheriv, createDecipheriv, createHmac, randomFillSync } from "node:crypto";
import type { Cipheriv } from "node:crypto";
import type { Envelope, KeyRingOptions } from "../core/key-ring.ts";
import {
  KeyRing,
  cutCheck,
  cutFingerprint,
  demandSameKey,
  derivationBlocks,
  doesNotFit,
  fingerprintOf,
  formatEnvelope,
  labels,
  nonceBytes,
  notEncoded,
  parseEnvelope,
  plainLimitBytes,
  tagBytes,
  toEnvelope,
} from "../core/key-ring.ts";
import type { PayloadContext, SyncPayloadCodec } from "../core/payload-codec.ts";
import { mayHoldEncoded, replaceEncoded } from "../core/payload-codec.ts";

/**
 * AES-256-GCM with a key of its own for each payload (XAES-256-GCM), for the client, the worker and the engine. Rotation: a new
 * name in `current`, while the old keys stay in `keys`. In browsers: `webAes256gcm` of `aion/client`, of the same form.
 *
 * Errors: `invalid_argument`; when it decodes, `payload_undecodable` and `codec_key_unknown`.
 *
 * @example
 * import { aes256gcm } from "aion/codec";
 *
 * const keys = { "2026-05": process.env.AION_KEY_2026_05!, "2026-11": process.env.AION_KEY_2026_11! };
 * export default aes256gcm({ keys, current: "2026-11", scope: "payments" });
 */
export function aes256gcm(options: KeyRingOptions): SyncPayloadCodec {
  const ring = new KeyRing(options, fromBase64);
  const ciphers = new Map([...ring.keys].map(([name, key]) => [name, new KeyCipher(key)]));
  const cipherOf = (name: string): KeyCipher => {
    ring.keyOf(name);
    return ciphers.get(name) as KeyCipher;
  };
  const open = (envelope: Envelope): string => {
    const cipher = cipherOf(envelope.key);
    demandSameKey(envelope, cipher.check);
    const bytes = fromBase64(envelope.data);
    if (bytes === undefined || bytes.length < nonceBytes + tagBytes) throw doesNotFit(envelope);
    try {
      return cipher.open(bytes, ring.boundTo(envelope));
    } catch (error) {
      throw doesNotFit(envelope, error);
    }
  };
  return {
    failureText: options.failureText ?? "encoded",
    plainLimitBytes: (encodedLimitBytes) => plainLimitBytes(encodedLimitBytes, ring),
    encode: (text, context) => {
      const key = ring.currentFor(context);
      const cipher = cipherOf(key);
      const { check } = cipher;
      const same = hashes(ciphers, text, context);
      const data = cipher.seal(text, ring.boundTo({ key, check, same }));
      return formatEnvelope({ key, check, same, data: data.toString("base64") });
    },
    decode: (text) => {
      const envelope = parseEnvelope(text);
      if (envelope !== undefined) return open(envelope);
      if (ring.requireEncoded) throw notEncoded();
      if (!mayHoldEncoded(text)) return text;
      return replaceEncoded(text, (value) => JSON.parse(open(toEnvelope(value))) as unknown);
    },
  };
}

/** By every key that is there, so that an input is known again though the current key has changed since. */
function hashes(
  ciphers: ReadonlyMap<string, KeyCipher>,
  text: string,
  context: PayloadContext,
): Envelope["same"] {
  const hashed = fingerprintOf(text, context);
  if (hashed === undefined) return undefined;
  return Object.fromEntries([...ciphers].map(([name, cipher]) => [name, cipher.fingerprint(hashed)]));
}

class KeyCipher {
  readonly check: string;
  readonly #key: Uint8Array;
  /** One block after the other, each by itself: made once, since making a cipher takes longer than a payload. */
  readonly #blocks: Cipheriv;
  readonly #zero: Uint8Array;
  #fingerprintKey: Buffer | undefined;

  constructor(key: Uint8Array) {
    this.#key = key;
    this.#blocks = createCipheriv("aes-256-ecb", key, null);
    this.#blocks.setAutoPadding(false);
    this.#zero = this.#encryptBlocks(new Uint8Array(16));
    this.check = Buffer.from(cutCheck(hmac(key, labels.check))).toString("base64");
  }

  /** Nonce, ciphertext and tag. */
  seal(text: string, boundTo: string): Buffer {
    const nonce = randomFillSync(new Uint8Array(nonceBytes));
    const cipher = createCipheriv("aes-256-gcm", this.#keyFor(nonce), nonce.subarray(12), {
      authTagLength: tagBytes,
    });
    cipher.setAAD(Buffer.from(boundTo, "utf8"));
    const sealed = cipher.update(text, "utf8");
    return Buffer.concat([nonce, sealed, cipher.final(), cipher.getAuthTag()]);
  }

  /** Throws when the tag does not fit. */
  open(bytes: Uint8Array, boundTo: string): string {
    const nonce = bytes.subarray(0, nonceBytes);
    const end = bytes.length - tagBytes;
    const decipher = createDecipheriv("aes-256-gcm", this.#keyFor(nonce), nonce.subarray(12), {
      authTagLength: tagBytes,
    });
    decipher.setAAD(Buffer.from(boundTo, "utf8"));
    decipher.setAuthTag(bytes.subarray(end));
    const opened = decipher.update(bytes.subarray(nonceBytes, end));
    return Buffer.concat([opened, decipher.final()]).toString("utf8");
  }

  fingerprint(hashed: string): string {
    this.#fingerprintKey ??= hmac(this.#key, labels.fingerprint);
    return Buffer.from(cutFingerprint(hmac(this.#fingerprintKey, hashed))).toString("base64");
  }

  #keyFor(nonce: Uint8Array): Buffer {
    return this.#encryptBlocks(Buffer.concat(derivationBlocks(this.#zero, nonce)));
  }

  #encryptBlocks(blocks: Uint8Array): Buffer {
    return this.#blocks.update(blocks);
  }
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac("sha256", key).update(text, "utf8").digest();
}

/** Canonical base64 alone: of another text of the same bytes nobody would know that it was changed. */
function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}
