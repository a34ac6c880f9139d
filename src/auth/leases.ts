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
/** So many are looked at in a millisecond at the most, over time. */
const leasesPerMs = 10;

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
  #armedFor = Infinity;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** One signal for all that is open with the same proof. */
  signalOf(proof: string, term: Term): AbortSignal {
    let lease = this.#leases.get(proof);
    if (lease === undefined) {
      lease = { controller: new AbortController(), ...term };
      this.#leases.set(proof, lease);
      this.#armFor(term.lookAt() ?? Infinity);
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
    let next = Infinity;
    for (const { lookAt } of this.#leases.values()) next = Math.min(next, lookAt() ?? Infinity);
    clearTimeout(this.#timer);
    this.#armedFor = Infinity;
    this.#armFor(next);
  }

  /** At that instant, if nothing is to be looked at before. */
  #armFor(at: number): void {
    if (at >= this.#armedFor) return;
    clearTimeout(this.#timer);
    this.#armedFor = at;
    // Looking at many takes its time, and many may be over one after the other.
    const leastMs = Math.max(1, this.#leases.size / leasesPerMs);
    const sleepMs = Math.min(Math.max(at - this.#now(), leastMs), sleepMsMax);
    this.#timer = setTimeout(() => this.look(), sleepMs).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#leases.clear();
  }
}
