import { Gatekeeper } from "../auth/gatekeeper.ts";
import { KeyStore } from "../auth/key-store.ts";
import type { AuditPage } from "../client/access.ts";
import type { Log } from "../core/ports.ts";
import type { AccessOptions } from "../http/access.ts";
import type { Admit } from "../http/admission.ts";

/** How callers show who they are. API keys always do. */
export interface AuthenticationOptions {
  /** Web pages of these origins may call, besides those that the server itself has sent. Default: none. */
  readonly origins?: readonly string[];
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
  readonly #gatekeeper: Gatekeeper;

  private constructor(keys: KeyStore, gatekeeper: Gatekeeper) {
    this.keys = keys;
    this.#gatekeeper = gatekeeper;
  }

  /** Error: `store_unavailable` (the file of the keys). */
  static open({ directory, ...options }: DoorOptions): Door {
    const keys = new KeyStore(directory);
    return new Door(keys, new Gatekeeper({ ...options, keys }));
  }

  get admit(): Admit {
    return this.#gatekeeper.admit;
  }

  readonly readAudit = async (): Promise<AuditPage> => ({ entries: [] });

  close(): void {
    this.#gatekeeper.close();
    this.keys.close();
  }
}
