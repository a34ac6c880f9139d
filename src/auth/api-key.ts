import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** An API key in its two parts: an id that may be shown, and 256 random bits that are never kept. */
export interface ApiKey {
  readonly id: string;
  readonly secret: string;
}

const form = /^aion_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;

/** What begins like this is meant to be a key, and nothing else. */
export const keyPrefix = "aion_";

export function newKeyId(): string {
  return randomBytes(8).toString("hex");
}

export function newSecret(): string {
  return randomBytes(32).toString("base64url");
}

export function formatKey({ id, secret }: ApiKey): string {
  return `${keyPrefix}${id}_${secret}`;
}

/** `undefined`: it is none. */
export function parseKey(token: string): ApiKey | undefined {
  const [, id, secret] = form.exec(token) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}

/** Of 256 random bits a fast hash is enough: nobody guesses them, however fast. */
export function hashOf(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

const nobody = hashOf(newSecret());

/** Takes as long whether there is something to compare with or not. */
export function isSecret(given: Buffer, kept: Uint8Array | undefined): boolean {
  const isSame = timingSafeEqual(given, kept ?? nobody);
  return isSame && kept !== undefined;
}
