/**
 * The random numbers of one run: sfc32 (Chris Doty-Humphrey, PractRand), seeded from the run id by four rounds of
 * a 32-bit mix (after cyrb128). Part of the replay contract: it must never change.
 */
export class SeededRandom {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: string) {
    let h1 = 1779033703;
    let h2 = 3144134277;
    let h3 = 1013904242;
    let h4 = 2773480762;
    for (let index = 0; index < seed.length; index++) {
      const unit = seed.charCodeAt(index);
      h1 = h2 ^ Math.imul(h1 ^ unit, 597399067);
      h2 = h3 ^ Math.imul(h2 ^ unit, 2869860233);
      h3 = h4 ^ Math.imul(h3 ^ unit, 951274213);
      h4 = h1 ^ Math.imul(h4 ^ unit, 2716044179);
    }
    this.#a = h1 | 0;
    this.#b = h2 | 0;
    this.#c = h3 | 0;
    this.#d = h4 | 0;
    for (let round = 0; round < 12; round++) this.#next();
  }

  #next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + sum) | 0;
    return sum >>> 0;
  }

  /** In [0, 1), with 53 random bits. */
  number(): number {
    const high = this.#next() >>> 5;
    const low = this.#next() >>> 6;
    return (high * 67_108_864 + low) / 9_007_199_254_740_992;
  }

  /** The form of a version 4 UUID (RFC 9562). */
  uuid(): string {
    const words = [this.#next(), this.#next(), this.#next(), this.#next()];
    const hex = words.map((word) => word.toString(16).padStart(8, "0")).join("");
    const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  }
}
