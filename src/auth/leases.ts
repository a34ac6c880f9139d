import type { AionError } from "../core/errors.ts";

interface Lease {
  readonly controller: AbortController;
  readonly whyOver: () => AionError | undefined;
}

const lookMs = 1_000;

/**
 * What is open on the strength of a proof (a key, a token, a certificate), and so must end with it.
 *
 * Law: within a second of the end of a proof its signal has fired; `look` makes that at once. A proof is looked at only while
 * something is open with it.
 */
export class Leases {
  readonly #leases = new Map<string, Lease>();
  readonly #timer = setInterval(() => this.look(), lookMs).unref();

  /** One signal for all that is open with the same proof. */
  signalOf(proof: string, whyOver: Lease["whyOver"]): AbortSignal {
    let lease = this.#leases.get(proof);
    if (lease === undefined) {
      lease = { controller: new AbortController(), whyOver };
      this.#leases.set(proof, lease);
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
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
