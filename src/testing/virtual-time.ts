import type { Clock } from "../core/ports.ts";

interface Delay {
  readonly at: number;
  /** Delays of one instant fire in the order in which they were asked for. */
  readonly order: number;
  readonly callback: () => void;
  isCancelled: boolean;
}

/**
 * Time that passes only when told to. Owner: one test engine.
 *
 * Two clocks, as on a real machine: `elapsedMs` only grows, and delays go by it; the wall clock is that plus an offset, which
 * `jump` changes. Delays fire one at a time, in order of their instants.
 */
export class VirtualTime {
  readonly clock: Clock = { now: () => this.#offsetMs + this.#elapsedMs };
  #offsetMs: number;
  #elapsedMs = 0;
  #order = 0;
  /** A heap; cancelled delays leave it when they come to its top. */
  #delays: Delay[] = [];

  constructor(startAtMs: number) {
    this.#offsetMs = startAtMs;
  }

  get elapsedMs(): number {
    return this.#elapsedMs;
  }

  /** When the next delay fires, by `elapsedMs`. */
  get nextAt(): number | undefined {
    for (let first = this.#delays[0]; first !== undefined; first = this.#delays[0]) {
      if (!first.isCancelled) return first.at;
      this.#pop();
    }
    return undefined;
  }

  delay(delayMs: number, callback: () => void): () => void {
    const at = this.#elapsedMs + Math.max(0, Math.ceil(delayMs));
    const delay: Delay = { at, order: this.#order++, callback, isCancelled: false };
    this.#push(delay);
    return () => {
      delay.isCancelled = true;
    };
  }

  /** Lets time pass until the next delay, and fires that one. */
  fireNext(): void {
    if (this.nextAt === undefined) return;
    const delay = this.#pop();
    if (delay === undefined) return;
    this.passUntil(delay.at);
    delay.isCancelled = true;
    delay.callback();
  }

  passUntil(elapsedMs: number): void {
    this.#elapsedMs = Math.max(this.#elapsedMs, elapsedMs);
  }

  /** Sets the wall clock forwards or backwards; no time passes. */
  jump(byMs: number): void {
    this.#offsetMs += byMs;
  }

  /** Whoever waited is gone. */
  forgetDelays(): void {
    this.#delays = [];
  }

  #push(delay: Delay): void {
    const heap = this.#delays;
    let index = heap.push(delay) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(delay, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = delay;
  }

  #pop(): Delay | undefined {
    const heap = this.#delays;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      const left = heap[child];
      if (left === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, left)) child += 1;
      const least = heap[child];
      if (least === undefined || !isBefore(least, last)) break;
      heap[index] = least;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(left: Delay, right: Delay): boolean {
  return left.at < right.at || (left.at === right.at && left.order < right.order);
}
