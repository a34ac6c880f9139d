import { SeededRandom } from "../src/program/random.ts";

/** All chance of a world comes from dice like these, each named by what it decides: taking one decision away leaves the others. */
export class Dice {
  readonly #random: SeededRandom;

  constructor(name: string) {
    this.#random = new SeededRandom(name);
  }

  /** In [0, 1). */
  number(): number {
    return this.#random.number();
  }

  uuid(): string {
    return this.#random.uuid();
  }

  /** From `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.#random.number() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.#random.number() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[Math.floor(this.#random.number() * items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }

  /** An entry by its weight. */
  weighted<Item>(entries: readonly (readonly [weight: number, item: Item])[]): Item {
    let left = this.#random.number() * entries.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, item] of entries) {
      left -= weight;
      if (left < 0) return item;
    }
    const last = entries.at(-1);
    if (last === undefined) throw new Error("nothing to pick from");
    return last[1];
  }
}
