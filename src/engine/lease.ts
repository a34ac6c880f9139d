import { AionError, isAionError } from "../core/errors.ts";
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
  /** When the renewal that succeeded last was asked for. */
  #renewedAt = Number.NEGATIVE_INFINITY;

  constructor(of: LeaseOptions, onLost: (error: AionError) => void) {
    this.#of = of;
    this.#onLost = onLost;
  }

  keep(): void {
    const { leaseMs, ports } = this.#of;
    this.#cancel = ports.scheduler.delay(Math.floor(leaseMs / 2), () => {
      this.#renew().then(
        () => this.#again(),
        (error: unknown) => {
          if (isAionError(error) && error.code === "not_owner") return;
          ports.log("warn", "the lease could not be renewed; trying again", { error: messageOf(error) });
          this.#again();
        },
      );
    });
  }

  /**
   * For what is answered from memory: resolves if nobody else has owned the store up to now. The store is asked only when the
   * lease may have run out, as after a freeze; it is read, and not renewed, since a full disk has to answer, too. Throws
   * `not_owner`.
   */
  async confirm(): Promise<void> {
    const { ports, leaseMs, store, token } = this.#of;
    if (ports.clock.now() < this.#renewedAt + leaseMs) return;
    // Every claim raises the epoch, and outlives its owner.
    const owner = await store.readOwner();
    if (owner?.epoch === token.epoch) return;
    const found = owner === undefined ? "nobody owns it now" : `it is at epoch ${owner.epoch} now`;
    const error = new AionError(
      "not_owner",
      `store ${store.name}: this engine holds epoch ${token.epoch}, and ${found}`,
    );
    this.#onLost(error);
    throw error;
  }

  async #renew(): Promise<void> {
    const { store, token, ports } = this.#of;
    const askedAt = ports.clock.now();
    try {
      await store.renew(token);
      this.#renewedAt = askedAt;
    } catch (error) {
      if (isAionError(error) && error.code === "not_owner") this.#onLost(error);
      throw error;
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  #again(): void {
    if (!this.#isStopped) this.keep();
  }
}
