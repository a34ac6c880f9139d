const WINDOW_MS = 5_000;

/** How many events a second there were lately. */
export class RateMeter {
  readonly #startedAtMs: number;
  #timesMs: number[] = [];

  constructor(startedAtMs: number) {
    this.#startedAtMs = startedAtMs;
  }

  count(nowMs: number): void {
    this.#timesMs.push(nowMs);
  }

  perSecond(nowMs: number): number {
    this.#timesMs = this.#timesMs.filter((timeMs) => timeMs > nowMs - WINDOW_MS);
    const windowMs = Math.min(WINDOW_MS, Math.max(1_000, nowMs - this.#startedAtMs));
    return (this.#timesMs.length * 1_000) / windowMs;
  }
}
