import { Seeded } from "./seeded.ts";

/** What goes wrong with one request. */
export type Fault =
  /** 503 before anything was done. */
  | { readonly kind: "unavailable" }
  /** Nothing is done and no answer ever comes: the caller has to time out. */
  | { readonly kind: "time-out" }
  /** Done and answered, but late: perhaps after the caller has given up and asked again. */
  | { readonly kind: "slow"; readonly delayMs: number }
  /** Done, and the connection is cut instead of answering: the caller cannot know. */
  | { readonly kind: "lost-reply" };

export const FAULT_KINDS = ["unavailable", "time-out", "slow", "lost-reply"] as const;

/** How often a card of a flaky customer is turned away before its bank answers. */
const FLAKY_ATTEMPTS = 2;

/**
 * Decides which request fails how. The decision depends on the seed, the order and its attempt alone, so a run meets
 * the same faults however its requests interleave. Attempts are counted here, by a service that outlives its callers, or
 * brought along by callers that outlive the service.
 */
export class FaultInjector {
  readonly #rate: number;
  readonly #seed: number;
  readonly #attempts = new Map<string, number>();

  constructor(options: { readonly rate: number; readonly seed: number }) {
    this.#rate = options.rate;
    this.#seed = options.seed;
  }

  next(subject: string, options: { readonly flaky: boolean }): Fault | undefined {
    const attempt = (this.#attempts.get(subject) ?? 0) + 1;
    this.#attempts.set(subject, attempt);
    if (options.flaky && attempt <= FLAKY_ATTEMPTS) return { kind: "unavailable" };
    return this.at(subject, attempt);
  }

  at(subject: string, attempt: number): Fault | undefined {
    const random = new Seeded("fault", this.#seed, subject, attempt);
    if (!random.chance(this.#rate)) return undefined;
    const kind = random.weighted([
      ["unavailable", 40],
      ["slow", 25],
      ["lost-reply", 20],
      ["time-out", 15],
    ]);
    return kind === "slow" ? { kind, delayMs: random.integer(300, 2_500) } : { kind };
  }
}
