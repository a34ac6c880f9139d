import { isAionError } from "../core/errors.ts";
import type { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { Ports } from "../core/ports.ts";
import type { OwnerToken, Store } from "../store/contract.ts";

export interface LeaseOptions {
  readonly store: Store;
  readonly token: OwnerToken;
  readonly leaseMs: number;
  readonly ports: Ports;
}

/** Renews the ownership of the store twice within its lease. Owner: the kernel. */
export class Lease {
  readonly #of: LeaseOptions;
  readonly #onLost: (error: AionError) => void;
  #cancel: (() => void) | undefined;
  #isStopped = false;

  constructor(of: LeaseOptions, onLost: (error: AionError) => void) {
    this.#of = of;
    this.#onLost = onLost;
  }

  keep(): void {
    const { store, token, leaseMs, ports } = this.#of;
    this.#cancel = ports.scheduler.delay(Math.floor(leaseMs / 2), () => {
      store.renew(token).then(
        () => this.#again(),
        (error: unknown) => {
          if (isAionError(error) && error.code === "not_owner") {
            this.#onLost(error);
            return;
          }
          ports.log("warn", "the lease could not be renewed; trying again", { error: messageOf(error) });
          this.#again();
        },
      );
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  #again(): void {
    if (!this.#isStopped) this.keep();
  }
}
