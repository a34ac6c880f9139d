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
import type { PayloadCodec, PayloadContext } from "../core/payload-codec.ts";
import { mayHoldEncoded, replaceEncoded } from "../core/payload-codec.ts";

/**
 * `aes256gcm` by the Web Crypto API, for clients in browsers: what the one encodes the other decodes. It answers later, so it is
 * not for an engine.
 *
 * @example
 * const client = new Client({ url, codec: webAes256gcm({ keys: { "2026-11": key }, current: "2026-11" }) });
 */
export function webAes256gcm(options: KeyRingOptions): PayloadCodec {
  const ring = new KeyRing(options, fromBase64);
  const ciphers = new Map([...ring.keys].map(([name, key]) => [name, new WebCipher(key)]));
  const cipherOf = (name: string): WebCipher => {
    ring.keyOf(name);
    return ciphers.get(name) as WebCipher;
  };
  const open = async (envelope: Envelope): Promise<string> => {
    const cipher = cipherOf(envelope.key);
    demandSameKey(envelope, await cipher.check());
    const bytes = fromBase64(envelope.data);
    if (bytes === undefined || bytes.length < nonceBytes + tagBytes) throw doesNotFit(envelope);
    try {
      return await cipher.open(bytes, ring.boundTo(envelope));
    } catch (error) {
      throw doesNotFit(envelope, error);
    }
  };
  return {
    failureText: options.failureText ?? "encoded",
    plainLimitBytes: (encodedLimitBytes) => plainLimitBytes(encodedLimitBytes, ring),
    encode: async (text, context) => {
      const key = ring.currentFor(context);
      const cipher = cipherOf(key);
      const check = await cipher.check();
      const same = await hashes(ciphers, text, context);
      const data = await cipher.seal(text, ring.boundTo({ key, check, same }));
      return formatEnvelope({ key, check, same, data: toBase64(data) });
    },
    decode: async (text) => {
      const envelope = parseEnvelope(text);
      if (envelope !== undefined) return await open(envelope);
      if (ring.requireEncoded) throw notEncoded();
      if (!mayHoldEncoded(text)) return text;
      const found: Promise<string>[] = [];
      replaceEncoded(text, (value) => void found.push(open(toEnvelope(value))));
      const opened = await Promise.all(found);
      let at = 0;
      return replaceEncoded(text, () => JSON.parse(opened[at++] ?? "null") as unknown);
    },
  };
}

async function hashes(
  ciphers: ReadonlyMap<string, WebCipher>,
  text: string,
  context: PayloadContext,
): Promise<Envelope["same"]> {
  const hashed = fingerprintOf(text, context);
  if (hashed === undefined) return undefined;
  const made = [...ciphers].map(async ([name, cipher]) => [name, await cipher.fingerprint(hashed)] as const);
  return Object.fromEntries(await Promise.all(made));
}

type WebKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

const gcm = (nonce: Uint8Array, boundTo: string) => ({
  name: "AES-GCM",
  iv: Uint8Array.from(nonce.subarray(12)),
  additionalData: new TextEncoder().encode(boundTo),
  tagLength: tagBytes * 8,
});

class WebCipher {
  readonly #key: Uint8Array<ArrayBuffer>;
  #blockKey: Promise<WebKey> | undefined;
  #zero: Promise<Uint8Array> | undefined;
  #fingerprintKey: Promise<Uint8Array<ArrayBuffer>> | undefined;
  #check: Promise<Uint8Array> | undefined;

  constructor(key: Uint8Array) {
    this.#key = Uint8Array.from(key);
  }

  async seal(text: string, boundTo: string): Promise<Uint8Array> {
    const nonce = crypto.getRandomValues(new Uint8Array(nonceBytes));
    const key = await this.#keyFor(nonce, "encrypt");
    const sealed = await crypto.subtle.encrypt(gcm(nonce, boundTo), key, new TextEncoder().encode(text));
    const bytes = new Uint8Array(nonceBytes + sealed.byteLength);
    bytes.set(nonce);
    bytes.set(new Uint8Array(sealed), nonceBytes);
    return bytes;
  }

  async open(bytes: Uint8Array, boundTo: string): Promise<string> {
    const nonce = bytes.subarray(0, nonceBytes);
    const key = await this.#keyFor(nonce, "decrypt");
    const sealed = Uint8Array.from(bytes.subarray(nonceBytes));
    return new TextDecoder().decode(await crypto.subtle.decrypt(gcm(nonce, boundTo), key, sealed));
  }

  async fingerprint(hashed: string): Promise<string> {
    this.#fingerprintKey ??= hmac(this.#key, labels.fingerprint);
    return toBase64(cutFingerprint(await hmac(await this.#fingerprintKey, hashed)));
  }

  async check(): Promise<string> {
    this.#check ??= hmac(this.#key, labels.check);
    return toBase64(cutCheck(await this.#check));
  }

  async #keyFor(nonce: Uint8Array, use: "encrypt" | "decrypt"): Promise<WebKey> {
    this.#zero ??= this.#encryptBlock(new Uint8Array(16));
    const [first, second] = derivationBlocks(await this.#zero, nonce);
    const halves = await Promise.all([this.#encryptBlock(first), this.#encryptBlock(second)]);
    const key = Uint8Array.from(halves.flatMap((half) => [...half]));
    return await crypto.subtle.importKey("raw", key, "AES-GCM", false, [use]);
  }

  /** One block of AES: the first of CBC with nothing before it. */
  async #encryptBlock(block: Uint8Array): Promise<Uint8Array> {
    this.#blockKey ??= crypto.subtle.importKey("raw", this.#key, "AES-CBC", false, ["encrypt"]);
    const cbc = { name: "AES-CBC", iv: new Uint8Array(16) };
    const encrypted = await crypto.subtle.encrypt(cbc, await this.#blockKey, Uint8Array.from(block));
    return new Uint8Array(encrypted).subarray(0, 16);
  }
}

async function hmac(raw: Uint8Array<ArrayBuffer>, text: string): Promise<Uint8Array<ArrayBuffer>> {
  const sha256 = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", raw, sha256, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(text)));
}

/** What `String.fromCharCode` takes at once. */
const chunkBytes = 0x80_00;

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += chunkBytes)
    text += String.fromCharCode(...bytes.subarray(at, at + chunkBytes));
  return btoa(text);
}

/** Canonical base64 alone. */
function fromBase64(text: string): Uint8Array | undefined {
  try {
    const units = atob(text);
    const bytes = new Uint8Array(units.length);
    for (let at = 0; at < bytes.length; at++) bytes[at] = units.charCodeAt(at);
    return btoa(units) === text ? bytes : undefined;
  } catch {
    return undefined;
  }
}
