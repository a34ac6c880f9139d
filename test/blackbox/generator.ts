/** Random cases from a seed. */
import type { Act, Case, ClosePolicy, Kill, Program, Statement, Work } from "./program.ts";

/** A small generator of numbers (mulberry32): the same seed gives the same, everywhere. */
export class Draws {
  #state: number;

  constructor(seed: string) {
    // FNV-1a, so that neighbouring seeds lie far apart.
    let state = 0x81_1c_9d_c5;
    for (let index = 0; index < seed.length; index++) {
      state = Math.imul(state ^ seed.charCodeAt(index), 0x01_00_01_93);
    }
    this.#state = state >>> 0;
  }

  number(): number {
    this.#state = (this.#state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number, both bounds included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.number() * (most - least + 1));
  }

  chance(part: number): boolean {
    return this.number() < part;
  }

  of<Value>(values: readonly [Value, ...Value[]]): Value {
    return values[this.between(0, values.length - 1)] ?? values[0];
  }

  weighted<Value>(choices: readonly (readonly [weight: number, value: Value])[], otherwise: Value): Value {
    let left = this.number() * choices.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, value] of choices) {
      left -= weight;
      if (left < 0) return value;
    }
    return otherwise;
  }
}

export interface Trial {
  readonly of: Case;
  readonly kills: readonly Kill[];
}

type Op = Statement["op"];

const simple: readonly (readonly [number, Op])[] = [
  [9, "activity"],
  [5, "step"],
  [5, "sleep"],
  [4, "receive"],
  [2, "wait-until"],
  [2, "send"],
  [2, "side-effect"],
  [2, "now"],
  [1, "draw"],
  [1, "patched"],
  [2, "compensate"],
  [0.6, "fail"],
  [0.4, "return"],
  [0.7, "cancel-scope"],
];
const nested: readonly (readonly [number, Op])[] = [
  [3, "child"],
  [3, "all"],
  [2, "settled"],
  [3, "race"],
  [2, "any"],
  [4, "scope"],
  [2, "shield"],
  [1.5, "loop"],
  [4, "try"],
  [1.5, "finally"],
];

class Generator {
  readonly #draws: Draws;
  #sites = 0;
  #children = 0;
  #left: number;

  constructor(draws: Draws) {
    this.#draws = draws;
    this.#left = draws.between(3, 26);
  }

  trial(killsMax: number): Trial {
    const draws = this.#draws;
    const acts: Act[] = [{ kind: "start", atMs: 0, target: "main", program: this.#program(3) }];
    if (draws.chance(0.3)) {
      this.#left = draws.between(2, 8);
      acts.push({ kind: "start", atMs: draws.between(1, 9), target: "other", program: this.#program(2) });
    }
    const horizonMs = draws.of([300, 900, 2_500]);
    for (let count = draws.between(0, 7); count > 0; count--) {
      const atMs = draws.between(10, horizonMs);
      const target = draws.chance(0.85) ? "main" : draws.of(["other", "main/c1", "main/c2", "nobody"]);
      acts.push(
        draws.weighted<Act>(
          [
            [
              8,
              {
                kind: "signal",
                atMs,
                target,
                signal: draws.of(["alpha", "alpha", "beta", "tick"]),
                value: draws.between(1, 3),
                isRepeated: draws.chance(0.2),
              },
            ],
            [2, { kind: "query", atMs, target }],
            [1.2, { kind: "cancel", atMs, target }],
            [0.3, { kind: "terminate", atMs, target }],
          ],
          { kind: "query", atMs, target },
        ),
      );
    }
    return {
      of: { acts: acts.toSorted((left, right) => left.atMs - right.atMs) },
      kills: this.#kills(killsMax, horizonMs, acts.length),
    };
  }

  #kills(max: number, horizonMs: number, actCount: number): readonly Kill[] {
    const draws = this.#draws;
    if (max === 0 || draws.chance(0.1)) return [];
    return Array.from({ length: draws.between(1, max) }, (): Kill => {
      const side = draws.of<"before" | "after">(["before", "after"]);
      return draws.weighted<Kill>(
        [
          [6, { at: "append", number: draws.between(1, draws.of([6, 20, 50])), side }],
          [3, { at: "effect", number: draws.between(1, draws.of([3, 8, 16])), side }],
          [2, { at: "answer", number: draws.between(0, actCount - 1) }],
          [1, { at: "time", ms: draws.between(1, horizonMs) }],
        ],
        { at: "time", ms: 1 },
      );
    });
  }

  #program(depth: number): Program {
    const body = this.#list(depth, 6);
    return { body, rounds: this.#draws.chance(0.15) ? this.#draws.between(1, 2) : 0 };
  }

  #list(depth: number, lengthMax: number): readonly Statement[] {
    const length = this.#draws.between(1, lengthMax);
    const list: Statement[] = [];
    for (let count = 0; count < length && (count === 0 || this.#left > 0); count++) {
      list.push(this.#statement(depth));
    }
    return list;
  }

  #branches(depth: number): readonly (readonly Statement[])[] {
    return Array.from({ length: this.#draws.between(2, 3) }, () => this.#list(depth, 3));
  }

  #statement(depth: number): Statement {
    this.#left -= 1;
    const draws = this.#draws;
    const isNested = depth > 0 && this.#left > 0 && draws.chance(0.38);
    const op = draws.weighted(isNested ? nested : simple, "sleep");
    // Children are counted by themselves, so that clients can guess their names.
    const site = op === "child" ? `c${(this.#children += 1)}` : `${op.slice(0, 2)}${(this.#sites += 1)}`;
    const inner = depth - 1;
    switch (op) {
      case "activity":
      case "step":
        return { op, site, work: this.#work() };
      case "sleep":
        return { op, site, ms: this.#ms() };
      case "receive":
        return {
          op,
          site,
          signal: draws.of(["alpha", "beta"]),
          timeoutMs: draws.chance(0.8) ? this.#ms() : 0,
        };
      case "wait-until":
        return { op, site, ticks: draws.between(0, 4), timeoutMs: draws.chance(0.85) ? this.#ms() : 0 };
      case "send":
        return {
          op,
          site,
          target: draws.of(["main", "main", "other", "main/c1", "nobody"]),
          signal: draws.of(["alpha", "beta", "tick"]),
          value: draws.between(1, 3),
        };
      case "child":
        return {
          op,
          site,
          program: this.#program(Math.min(inner, 1)),
          policy: draws.of<ClosePolicy>(["terminate", "cancel", "abandon"]),
          isDetached: draws.chance(0.3),
        };
      case "side-effect":
        return { op, site, fails: draws.chance(0.1) };
      case "compensate":
        return { op, site, ms: draws.between(1, 90), fails: draws.chance(0.15) };
      case "now":
      case "draw":
      case "patched":
      case "cancel-scope":
      case "fail":
      case "return":
        return { op, site };
      case "all":
      case "settled":
      case "race":
      case "any":
        return { op, site, branches: this.#branches(inner) };
      case "scope":
        return {
          op,
          site,
          timeoutMs: draws.chance(0.6) ? this.#ms() : 0,
          body: this.#list(inner, 3),
        };
      case "shield":
        return { op, site, body: this.#list(inner, 3) };
      case "loop":
        return { op, site, times: draws.between(2, 3), body: this.#list(inner, 2) };
      case "try":
      case "finally":
        return { op, site, body: this.#list(inner, 3), otherwise: this.#list(inner, 2) };
    }
  }

  #ms(): number {
    return this.#draws.between(1, this.#draws.of([60, 300, 900]));
  }

  #work(): Work {
    const draws = this.#draws;
    const isFlaky = draws.chance(0.35);
    return {
      ms: draws.between(1, draws.of([40, 200])),
      failures: isFlaky ? draws.between(1, 4) : 0,
      maxAttempts: isFlaky ? draws.between(1, 5) : draws.of([1, 3]),
      backoffMs: draws.between(1, 60),
      backoff: draws.of(["fixed", "linear", "exponential"]),
      isFinal: draws.chance(0.1),
      whenTold: draws.of(["stop", "go on"]),
    };
  }
}

/** The so-many-th case of a seed, and where the engine dies while it is played. */
export function generate(seed: string, killsMax: number): Trial {
  return new Generator(new Draws(seed)).trial(killsMax);
}
