/**
 * What happened in a world, line by line, and a hash over it: two worlds with one hash took the same way. Lines are kept only
 * when somebody wants to read them.
 */
export class Trace {
  readonly #lines: string[] | undefined;
  #high = 0x811c9dc5;
  #low = 0x1b873593;
  #count = 0;

  constructor(keepsLines: boolean) {
    this.#lines = keepsLines ? [] : undefined;
  }

  add(line: string): void {
    this.#count += 1;
    let high = this.#high;
    let low = this.#low;
    for (let index = 0; index < line.length; index++) {
      const unit = line.charCodeAt(index);
      high = Math.imul(high ^ unit, 0x01000193);
      low = Math.imul(low ^ unit, 0x85ebca6b) ^ (high >>> 13);
    }
    this.#high = high ^ 0x0a;
    this.#low = low ^ 0x0a;
    this.#lines?.push(line);
  }

  get count(): number {
    return this.#count;
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  get hash(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  }
}
