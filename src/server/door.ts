import { AuditLog } from "../auth/audit-log.ts";
import { certificateProver } from "../auth/certificates.ts";
import type { CertificateRule } from "../auth/certificates.ts";
import { Gatekeeper } from "../auth/gatekeeper.ts";
import { KeyStore } from "../auth/key-store.ts";
import { tokenProver } from "../auth/tokens.ts";
import type { JwtOptions } from "../auth/tokens.ts";
import type { Duration } from "../core/duration.ts";
import { parseDuration } from "../core/duration.ts";
import type { Log } from "../core/ports.ts";
import type { AccessOptions } from "../http/access.ts";
import type { Admit } from "../http/admission.ts";

const auditRetentionDefault = "90 days";

/** How callers show who they are. API keys always do. */
export interface AuthenticationOptions {
  /** Web pages of these origins may call, besides those that the server itself has sent. Default: none. */
  readonly origins?: readonly string[];
  /** Tokens of another server are taken, too. */
  readonly jwt?: JwtOptions;
  /** Certificates of callers are taken, too: what each of them may do. */
  readonly certificates?: readonly CertificateRule[];
  /** Calls of one address within a minute that show nothing that holds, before it is told no more than that. Default 100. */
  readonly failedAttemptsMax?: number;
  /** How long the audit log keeps what was asked. Default 90 days. */
  readonly auditRetention?: Duration;
}

interface DoorOptions extends AuthenticationOptions {
  /** Of the server's data. */
  readonly directory: string;
  readonly isBehindProxy: boolean;
  readonly log: Log;
}

/** Who may come in, with all that it takes to know. */
export class Door implements AccessOptions {
  readonly keys: KeyStore;
  readonly readAudit: AuditLog["read"];
  readonly #audit: AuditLog;
  readonly #gatekeeper: Gatekeeper;

  private constructor(keys: KeyStore, audit: AuditLog, gatekeeper: Gatekeeper) {
    this.keys = keys;
    this.readAudit = audit.read;
    this.#audit = audit;
    this.#gatekeeper = gatekeeper;
  }

  /** Errors: `invalid_argument`; `store_unavailable` (the files of the keys and of the audit log). */
  static async open(of: DoorOptions): Promise<Door> {
    const { directory, auditRetention, jwt, certificates, ...options } = of;
    const provers = {
      ...(jwt === undefined ? {} : { proveToken: tokenProver(jwt, options) }),
      ...(certificates === undefined ? {} : { proveCertificate: certificateProver(certificates) }),
    };
    const retentionMs = parseDuration(auditRetention ?? auditRetentionDefault, "auditRetention");
    const keys = new KeyStore(directory);
    try {
      const audit = await AuditLog.open({ directory, retentionMs, log: options.log });
      return new Door(keys, audit, new Gatekeeper({ ...options, ...provers, keys, audit }));
    } catch (error) {
      keys.close();
      throw error;
    }
  }

  get admit(): Admit {
    return this.#gatekeeper.admit;
  }

  async close(): Promise<void> {
    this.#gatekeeper.close();
    await this.#audit.close();
    this.keys.close();
  }
}
