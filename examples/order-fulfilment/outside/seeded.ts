import { createHash } from "node:crypto";

/**
 * Random numbers that depend on the given parts alone, so that orders, faults and delays are the same in every run
 * whatever the order in which they are asked for.
 */
export class Seeded {
  #state: number;

  constructor(...parts: readonly (string | number)[]) {
    this.#state = createHash("sha256").update(parts.join("\u0000")).digest().readUInt32LE(0);
  }

  /** A number in [0, 1): mulberry32, public domain, by Tommy Ettinger. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `least` to `most`, both included. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(choices: readonly [T, ...(readonly T[])]): T {
    return choices[this.integer(0, choices.length - 1)] ?? choices[0];
  }

  /** One of the choices, each as likely as its weight says. */
  weighted<const T>(choices: readonly [readonly [T, number], ...(readonly (readonly [T, number])[])]): T {
    let left = this.next() * choices.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [choice, weight] of choices) {
      left -= weight;
      if (left < 0) return choice;
    }
    return choices[0][0];
  }
}
