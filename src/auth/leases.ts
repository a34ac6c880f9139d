import type { AionError } from "../core/errors.ts";

/** Why something may be over, and when that is to be asked. */
export interface Term {
  readonly whyOver: () => AionError | undefined;
  /** When it may be over by itself, by the clock of the server. `undefined`: never. */
  readonly lookAt: () => number | undefined;
}

interface Lease extends Term {
  readonly controller: AbortController;
}

/** However far off the end is: the clock may be set forward meanwhile. */
const sleepMsMax = 60_000;

/**
 * What is open on the strength of a proof (a key, a token, a certificate), and so must end with it.
 *
 * Law: when a proof is over its signal fires; `look` makes that at once for what nobody could know before. While nothing is open, or
 * nothing of that can be over by itself, nothing is looked at.
 */
export class Leases {
  readonly #leases = new Map<string, Lease>();
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** One signal for all that is open with the same proof. */
  signalOf(proof: string, term: Term): AbortSignal {
    let lease = this.#leases.get(proof);
    if (lease === undefined) {
      lease = { controller: new AbortController(), ...term };
      this.#leases.set(proof, lease);
      this.#arm();
    }
    return lease.controller.signal;
  }

  look(): void {
    for (const [proof, { controller, whyOver }] of this.#leases) {
      const why = whyOver();
      if (why === undefined) continue;
      this.#leases.delete(proof);
      controller.abort(why);
    }
    this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const next = Math.min(...[...this.#leases.values()].map(({ lookAt }) => lookAt() ?? Infinity));
    if (next === Infinity) return;
    const sleepMs = Math.min(Math.max(next - this.#now(), 1), sleepMsMax);
    this.#timer = setTimeout(() => this.look(), sleepMs).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#leases.clear();
  }
}
