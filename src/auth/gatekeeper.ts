import { createHash } from "node:crypto";
import { AionError } from "../core/errors.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { toAionError } from "../http/errors.ts";
import type { Admission, Asked, Ids } from "../http/admission.ts";
import type { Peer } from "../http/peer.ts";
import { keyPrefix } from "./api-key.ts";
import { FailedAttempts } from "./failed-attempts.ts";
import type { KeyStore } from "./key-store.ts";
import { Leases } from "./leases.ts";
import { demandRole, demands, judge, mayAnywhere, mayKnow, rolesOf } from "./policy.ts";
import type { Principal } from "./policy.ts";

/** Something that was asked for, as it goes on record. */
export interface AuditFacts {
  readonly subject: string | undefined;
  readonly keyId: string | undefined;
  readonly operation: string;
  readonly namespace: string | undefined;
  readonly ids: Ids;
  readonly address: string;
}

/** Where it goes on record. */
export interface AuditSink {
  /** Resolves when it is on disk that this is about to be done. Error: `audit_unavailable`. */
  begin(facts: AuditFacts): Promise<number>;
  end(entry: number, outcome: "ok" | ErrorCode, ids: Ids): void;
  refused(facts: AuditFacts, outcome: ErrorCode): void;
}

/** Somebody who has shown who he is. */
export interface Proof {
  readonly principal: Principal;
  /** The same for the same proof, and no secret. */
  readonly id: string;
  readonly whyOver: () => AionError | undefined;
  /** When it may be over by itself. `undefined`: never. */
  readonly lookAt: () => number | undefined;
}

const failedAttemptsMaxDefault = 100;

export interface GatekeeperOptions {
  readonly keys: KeyStore;
  /** Tells callers by tokens of somebody else. Errors: `unauthenticated`, `identity_unavailable`. */
  readonly proveToken?: (token: string) => Promise<Proof>;
  readonly proveCertificate?: (certificate: NonNullable<Peer["certificate"]>) => Proof | undefined;
  /** Pages of these may call, besides those that the server itself has sent. */
  readonly origins?: readonly string[];
  /** Of one address within a minute; more are told no more than that. Default 100. */
  readonly failedAttemptsMax?: number;
  readonly audit?: AuditSink;
  /** What `X-Forwarded-For` says goes on record beside the address of the proxy. */
  readonly isBehindProxy?: boolean;
  readonly log: Log;
}

/**
 * Stands before everything that is asked of a server: who calls, and whether he may. The one place where that is decided.
 *
 * Laws:
 *  1. Nobody is let in by default: no proof, no role, no entry in the table of operations, no admission.
 *  2. What is shown must hold: a token that does not is refused, though the connection has a certificate that would.
 *  3. Nothing of a namespace is looked at before its caller may know of it.
 */
export class Gatekeeper {
  readonly #options: GatekeeperOptions;
  readonly #leases = new Leases();
  readonly #failed: FailedAttempts;

  constructor(options: GatekeeperOptions) {
    this.#options = options;
    this.#failed = new FailedAttempts(options.failedAttemptsMax ?? failedAttemptsMaxDefault);
    options.keys.watch(() => this.#leases.look());
  }

  readonly admit = async (asked: Asked): Promise<Admission> => {
    let proof: Proof | undefined;
    try {
      checkOrigin(asked, this.#options);
      const demand = demands[asked.operation];
      if (demand.of === "anyone") return {};
      proof = await this.#proveOrCount(asked);
      if (asked.isUnread === true) return { mayAnywhere: mayAnywhere(proof.principal, asked) };
      judge(proof.principal, asked);
      return this.#admission(asked, proof);
    } catch (reason) {
      const error = toAionError(reason);
      this.#options.audit?.refused(this.#facts(asked, proof, {}), error.code);
      throw error;
    }
  };

  close(): void {
    this.#leases.close();
  }

  #admission(asked: Asked, proof: Proof): Admission {
    const { audit } = this.#options;
    const { principal } = proof;
    const demand = demands[asked.operation];
    const changes = "changes" in demand && demand.changes;
    const leases = this.#leases;
    let entry: number | undefined;
    let ends: AbortSignal | undefined;
    return {
      subject: principal.subject,
      mayKnow: (namespace) => mayKnow(principal, namespace),
      // Asked of those that stay open: most calls are over before anything could end them. One admission has one signal.
      get ends() {
        return (ends ??= leases.signalOf(proof.id, proof));
      },
      begin: async (request, ids) => {
        const { operation, namespace } = asked;
        try {
          // Reading or queueing may have taken its time.
          const why = proof.whyOver();
          if (why !== undefined) throw why;
          if (namespace !== undefined)
            for (const role of rolesOf(request)) demandRole(principal, { operation, namespace, role });
        } catch (reason) {
          const error = toAionError(reason);
          audit?.refused(this.#facts(asked, proof, ids), error.code);
          throw error;
        }
        if (changes) entry = await audit?.begin(this.#facts(asked, proof, ids));
      },
      end: (outcome, ids) => {
        if (entry !== undefined) audit?.end(entry, outcome, ids);
      },
    };
  }

  /** Who fails again and again from one address hears that instead of why; a proof that holds is taken all the same. */
  async #proveOrCount(asked: Asked): Promise<Proof> {
    try {
      return await this.#prove(asked);
    } catch (reason) {
      const error = toAionError(reason);
      if (error.code !== "unauthenticated") throw error;
      const retryAfterSeconds = this.#failed.count(this.#addressOf(asked));
      if (retryAfterSeconds === undefined) throw error;
      throw new AionError("too_many_attempts", "too many calls from this address showed nothing that holds", {
        details: { retryAfterSeconds },
      });
    }
  }

  async #prove({ headers, peer }: Asked): Promise<Proof> {
    const { keys, proveToken, proveCertificate } = this.#options;
    const authorization = headers.get("authorization");
    if (authorization === null) {
      const proof = peer.certificate === undefined ? undefined : proveCertificate?.(peer.certificate);
      if (proof === undefined) throw unauthenticated("the call says not who makes it");
      return proof;
    }
    const [, token] = /^Bearer +([\x21-\x7e]+) *$/i.exec(authorization) ?? [];
    if (token === undefined) throw unauthenticated("the header Authorization is no bearer token");
    if (!token.startsWith(keyPrefix)) {
      if (proveToken === undefined) throw unauthenticated("the token is no API key");
      return await proveToken(token);
    }
    const proof = keys.prove(token);
    if (proof === undefined) throw unauthenticated(keyIsOver);
    return {
      principal: proof.principal,
      id: `key:${createHash("sha256").update(token).digest("base64url")}`,
      whyOver: () => (proof.holds() ? undefined : unauthenticated(keyIsOver)),
      lookAt: proof.expiresAt,
    };
  }

  /** Behind a proxy the last one is what the proxy itself has seen; those before are what it was told. */
  #addressOf({ peer, headers }: Asked): string {
    const forwarded = this.#options.isBehindProxy === true ? headers.get("x-forwarded-for") : null;
    return forwarded === null ? peer.address : (forwarded.split(",").at(-1) ?? "").trim().slice(0, 100);
  }

  #facts(asked: Asked, proof: Proof | undefined, ids: Ids): AuditFacts {
    const { operation, namespace } = asked;
    return {
      subject: proof?.principal.subject,
      keyId: proof?.principal.keyId,
      operation,
      namespace: namespace?.slice(0, 100).toWellFormed(),
      ids,
      address: this.#addressOf(asked),
    };
  }
}

// One text for all of it: which keys there are, or were, is nobody's business.
const keyIsOver = "the API key is none, has expired, or was revoked";

export function unauthenticated(message: string): AionError {
  return new AionError("unauthenticated", message);
}

/**
 * A browser sends what a certificate proves by itself, whatever page asks for it. So a page may call only if this server sent it,
 * or if the settings name its origin.
 */
function checkOrigin(
  { headers, host, peer }: Asked,
  { origins = [], isBehindProxy = false }: Pick<GatekeeperOptions, "origins" | "isBehindProxy">,
): void {
  const origin = headers.get("origin");
  if (origin === null || origins.includes(origin)) return;
  const own = URL.parse(origin);
  // Whoever is on the way may make up a page without TLS, under whatever name.
  const isSafe = own?.protocol === "https:" || (peer.isEncrypted !== true && !isBehindProxy);
  if (own !== null && own.host !== "" && own.host === host && isSafe) return;
  throw new AionError(
    "permission_denied",
    `pages of ${JSON.stringify(origin.slice(0, 100))} may not call this server`,
    { hint: "The setting `origins` names those whose pages may." },
  );
}
