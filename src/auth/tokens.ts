import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createLocalJWKSet, createRemoteJWKSet, customFetch, errors, jwtVerify } from "jose";
import type { FetchImplementation, JSONWebKeySet, JWTPayload, JWTVerifyGetKey } from "jose";
import type { Grant } from "../client/access.ts";
import type { Duration } from "../core/duration.ts";
import { parseDuration } from "../core/duration.ts";
import { AionError, isAionError } from "../core/errors.ts";
import { parseName } from "../core/ids.ts";
import type { OptionNames } from "../core/options.ts";
import { demandKnownOptions } from "../core/options.ts";
import { messageOf } from "../core/payload.ts";
import type { Log } from "../core/ports.ts";
import { unauthenticated } from "./gatekeeper.ts";
import type { Proof } from "./gatekeeper.ts";
import { parseGrants } from "./grants.ts";

/** Tokens (JWT) that another server gives out, for OpenID Connect and OAuth 2. */
export interface JwtOptions {
  readonly issuer: string;
  /** For whom a token must be: one of these. */
  readonly audience: readonly string[];
  /** Its keys: a URL (`https:`, or `http:` on this machine), or a file. */
  readonly jwks: string;
  /** Default: RS256, PS256, ES256 and EdDSA. Only those with two keys. */
  readonly algorithms?: readonly string[];
  /** How far the clocks may be apart. Default 30 s. */
  readonly clockTolerance?: Duration;
  /** The claim that holds grants. Default `aion_grants`. */
  readonly grantsClaim?: string;
  /** Whose claim is, or holds, the value may do that. */
  readonly rules?: readonly ClaimRule[];
}

export interface ClaimRule {
  readonly claim: string;
  readonly value: string;
  readonly grants: readonly (Grant | string)[];
}

const jwtOptionNames: OptionNames<JwtOptions> = {
  issuer: true,
  audience: true,
  jwks: true,
  algorithms: true,
  clockTolerance: true,
  grantsClaim: true,
  rules: true,
};
const algorithmsDefault = ["RS256", "PS256", "ES256", "EdDSA"];
const asymmetric: ReadonlySet<string> = new Set([
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
]);
const tokenLengthMax = 16_384;
/** A key that was withdrawn is noticed after this time. */
const provenMs = 60_000;
const provenMax = 10_000;
/** After the keys could not be had, how long they are not asked for again; and how long those of a file count that cannot be read any more. */
const pauseMs = 5_000;
const fetchTimeoutMs = 5_000;
const fileLookMs = 1_000;
/** A thousand keys, and more. */
const keySetBytesMax = 1024 * 1024;

/**
 * Tells callers by tokens. A token that was checked is known for a minute, so that a caller with many calls costs one signature.
 * Errors: `invalid_argument` (the options); of the function: `unauthenticated`, `identity_unavailable` (the keys cannot be had).
 */
export function tokenProver(
  options: JwtOptions,
  { log, now = Date.now }: { readonly log: Log; readonly now?: () => number },
): (token: string) => Promise<Proof> {
  demandKnownOptions(options, jwtOptionNames, "the tokens of an issuer");
  const { issuer, audience, algorithms = algorithmsDefault, grantsClaim = "aion_grants" } = options;
  const stray = algorithms.find((algorithm) => !asymmetric.has(algorithm));
  if (stray !== undefined || algorithms.length === 0)
    throw invalid(
      `tokens cannot be signed by ${JSON.stringify(stray)}: there are ${[...asymmetric].join(", ")}`,
    );
  if (issuer === "" || audience.length === 0) throw invalid("tokens need an issuer and an audience");
  const toleranceMs = parseDuration(options.clockTolerance ?? 30_000, "clockTolerance");
  const rules = (options.rules ?? []).map((rule) => ({ ...rule, grants: parseGrants(rule.grants) }));
  const keys = careful(toKeys(options.jwks, now), log, now);
  const proven = new Map<string, { readonly proof: Proof; readonly since: number }>();

  const check = async (token: string): Promise<Checked> => {
    if (token.length > tokenLengthMax) throw unauthenticated("the token is too long to be one");
    let payload: JWTPayload;
    try {
      ({ payload } = await jwtVerify(token, keys, {
        issuer,
        audience: [...audience],
        algorithms: [...algorithms],
        clockTolerance: Math.round(toleranceMs / 1_000),
        requiredClaims: ["exp", "sub"],
        currentDate: new Date(now()),
      }));
    } catch (error) {
      if (error instanceof AionError) throw error;
      throw unauthenticated(`the token does not hold: ${whyNot(error)}`);
    }
    return toChecked(payload);
  };

  const toChecked = (payload: JWTPayload): Checked => {
    const expiresAt = (payload.exp ?? 0) * 1_000 + toleranceMs;
    let principal: Proof["principal"];
    try {
      const held: unknown = payload[grantsClaim] ?? [];
      principal = {
        subject: `jwt:${parseName(payload.sub, "the claim sub")}`,
        grants: [
          ...parseGrants(held),
          ...rules
            .filter(({ claim, value }) =>
              holds(Object.hasOwn(payload, claim) ? payload[claim] : undefined, value),
            )
            .flatMap(({ grants }) => grants),
        ],
      };
    } catch (error) {
      throw unauthenticated(`the token has claims that cannot be used: ${messageOf(error)}`);
    }
    return { principal, expiresAt };
  };

  /** What is open with a token is asked as often as calls are: its key may have been withdrawn. */
  const toTerm = (token: string, expiresAt: number): Pick<Proof, "whyOver" | "lookAt"> => {
    let checkedAt = now();
    let isChecking = false;
    let over: AionError | undefined;
    const checkAgain = async (): Promise<void> => {
      isChecking = true;
      try {
        await check(token);
      } catch (error) {
        // That the keys cannot be had says nothing against it.
        if (isAionError(error) && error.code === "unauthenticated") over = error;
      }
      isChecking = false;
      checkedAt = now();
    };
    return {
      whyOver: () => {
        if (now() >= expiresAt) return unauthenticated("the token has expired");
        if (over === undefined && !isChecking && !isWithin(provenMs, checkedAt, now())) void checkAgain();
        return over;
      },
      lookAt: () => {
        if (over !== undefined) return now();
        return Math.min(expiresAt, isChecking ? now() + 1_000 : checkedAt + provenMs);
      },
    };
  };

  return async (token) => {
    const id = `jwt:${createHash("sha256").update(token).digest("base64url")}`;
    const known = proven.get(id);
    if (known !== undefined && isWithin(provenMs, known.since, now())) {
      const why = known.proof.whyOver();
      if (why === undefined) return known.proof;
    }
    proven.delete(id);
    const { expiresAt, principal } = await check(token);
    const proof: Proof = { principal, id, ...toTerm(token, expiresAt) };
    if (proven.size >= provenMax) for (const oldest of proven.keys()) if (proven.delete(oldest)) break;
    proven.set(id, { proof, since: now() });
    return proof;
  };
}

/** With a clock that was set back nothing is. */
function isWithin(spanMs: number, since: number, now: number): boolean {
  return now >= since && now < since + spanMs;
}

/** What is wrong with it is no secret: whoever has it can read it. The text of it is one. */
function whyNot(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "it has expired";
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason } = error;
    if (reason === "missing") return `it has no claim ${JSON.stringify(claim)}`;
    return claim === "nbf"
      ? "it is not to be used yet"
      : `its claim ${JSON.stringify(claim)} is not one that is taken here`;
  }
  if (error instanceof errors.JWKSNoMatchingKey) return "none of the issuer's keys has signed it";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "its signature is not right";
  if (error instanceof errors.JOSEAlgNotAllowed) return "it is signed by an algorithm that is not taken";
  return error instanceof errors.JOSEError ? `it cannot be read (${error.code})` : "it cannot be read";
}

interface Checked {
  readonly principal: Proof["principal"];
  readonly expiresAt: number;
}

function holds(claim: unknown, value: string): boolean {
  return claim === value || (Array.isArray(claim) && claim.includes(value));
}

interface TokenKeys extends JWTVerifyGetKey {
  /** Those that were had before and still count. */
  readonly held?: () => JWTVerifyGetKey | undefined;
  /** After they could not be had, how long they are not asked for again. Default `pauseMs`. */
  readonly pauseMs?: number;
}

function toKeys(jwks: string, now: () => number): TokenKeys {
  const url = /^[a-z]+:\/\//i.test(jwks) ? URL.parse(jwks) : undefined;
  if (url === null) throw invalid(`${JSON.stringify(jwks)} is no URL`);
  if (url === undefined) return fileKeys(jwks, now);
  const isOwn = url.protocol === "http:" && ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname);
  if (url.protocol !== "https:" && !isOwn)
    throw invalid(
      `the keys of tokens are not to be had from ${jwks}: anybody on the way could put in his own`,
    );
  const remote = createRemoteJWKSet(url, { timeoutDuration: fetchTimeoutMs, [customFetch]: fetchBounded });
  const held = (): JWTVerifyGetKey | undefined => {
    const known = remote.fresh ? remote.jwks() : undefined;
    return known === undefined ? undefined : createLocalJWKSet(known);
  };
  return Object.assign((...of: Parameters<JWTVerifyGetKey>) => remote(...of), { held });
}

/** An answer without end would fill the memory in the time that it may take, and parsing a large one would hold up everybody. */
const fetchBounded: FetchImplementation = async (url, options) => {
  const { body, status } = await fetch(url, options);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (body ?? []) as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    // Leaving the loop hangs up.
    if (bytes > keySetBytesMax) throw new Error(`the key set has more than ${keySetBytesMax} bytes`);
    chunks.push(chunk);
  }
  return new Response(bytes === 0 ? null : Buffer.concat(chunks), { status });
};

/** Read again when it changes. While it is being written those that it had count. */
function fileKeys(file: string, now: () => number): TokenKeys {
  let [stamp, lookedAt] = [-1, -Infinity];
  let failingSince: number | undefined;
  let keys: JWTVerifyGetKey | undefined;
  const get: JWTVerifyGetKey = async (header, token) => {
    if (keys === undefined || !isWithin(fileLookMs, lookedAt, now())) {
      try {
        const { mtimeMs } = statSync(file);
        if (keys === undefined || mtimeMs !== stamp) {
          keys = createLocalJWKSet(JSON.parse(readFileSync(file, "utf8")) as JSONWebKeySet);
          stamp = mtimeMs;
        }
        failingSince = undefined;
      } catch (error) {
        failingSince ??= now();
        if (keys === undefined || !isWithin(pauseMs, failingSince, now())) throw error;
      }
      lookedAt = now();
    }
    return await keys(header, token);
  };
  return Object.assign(get, { pauseMs: fileLookMs });
}

/** Whoever cannot be told by a key that is not to be had is not let in; that it is not to be had is told as such. */
function careful(keys: TokenKeys, log: Log, now: () => number): JWTVerifyGetKey {
  let failedAt = -Infinity;
  let why = "";
  return async (header, token) => {
    if (isWithin(keys.pauseMs ?? pauseMs, failedAt, now())) {
      // Who shows a token of a key that nobody knows makes the keys be asked for: that must not keep out those of known ones.
      const held = keys.held?.();
      if (held === undefined) throw unavailable(why);
      try {
        return await held(header, token);
      } catch (error) {
        throw error instanceof errors.JWKSNoMatchingKey ? unavailable(why) : error;
      }
    }
    try {
      return await keys(header, token);
    } catch (error) {
      const isAnswer =
        error instanceof errors.JWKSNoMatchingKey ||
        error instanceof errors.JWKSMultipleMatchingKeys ||
        error instanceof errors.JOSENotSupported;
      if (isAnswer) throw error;
      failedAt = now();
      why = messageOf(error);
      log("error", "the keys of tokens cannot be had; nobody is let in by one", { error: why });
      throw unavailable(why);
    }
  };
}

function unavailable(why: string): AionError {
  return new AionError("identity_unavailable", `the keys of tokens cannot be had: ${why}`);
}

function invalid(what: string): AionError {
  return new AionError("invalid_argument", what);
}
