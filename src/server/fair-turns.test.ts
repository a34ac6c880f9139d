import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FairTurns } from "./fair-turns.ts";
import type { Lane } from "./fair-turns.ts";

/** A loop that turns when it is told to, and a clock that tasks set forward. */
class Loop {
  nowMs = 0;
  turnCount = 0;
  readonly begun: string[] = [];
  readonly turns = new FairTurns({
    turn: (callback) => this.#next.push(callback),
    settled: (callback) => this.#settled.push(callback),
    now: () => this.nowMs,
  });
  #next: (() => void)[] = [];
  readonly #settled: (() => void)[] = [];

  get isIdle(): boolean {
    return this.#next.length === 0;
  }

  turn(): void {
    this.turnCount += 1;
    const callbacks = this.#next;
    this.#next = [];
    for (const callback of callbacks) {
      try {
        callback();
      } finally {
        this.settle();
      }
    }
  }

  settle(): void {
    for (let next = this.#settled.shift(); next !== undefined; next = this.#settled.shift()) next();
  }

  /** A task of the engine that takes so long. */
  ask(name: string, takesMs: number, label = name): void {
    this.turns.shareOf(name).turn(() => {
      this.begun.push(label);
      this.nowMs += takesMs;
    });
  }

  run(turnsMax = Infinity): void {
    for (let count = 0; !this.isIdle && count < turnsMax; count += 1) this.turn();
  }
}

const times = (count: number, work: (index: number) => void): void => {
  for (let index = 0; index < count; index += 1) work(index);
};

describe("one namespace", () => {
  it("has the loop's own turns, and never waits to enter", () => {
    const loop = new Loop();
    const share = loop.turns.shareOf("only");
    times(100, () => loop.ask("only", 10));
    expect(share.enter("calls")).toBeUndefined();
    loop.turn();
    expect(loop.begun).toHaveLength(100);
  });

  it("asked for twice is one", () => {
    const loop = new Loop();
    loop.turns.shareOf("only");
    expect(loop.turns.shareOf("only").enter("workers")).toBeUndefined();
  });
});

describe("several namespaces", () => {
  it("one that comes to a flood is next", () => {
    const loop = new Loop();
    loop.turns.shareOf("quiet");
    times(1_000, () => loop.ask("noisy", 1));
    loop.run(10);
    const before = loop.begun.length;
    loop.ask("quiet", 1);
    loop.turn();
    expect(loop.begun[before]).toBe("quiet");
  });

  it("each has the same time, whatever its tasks take", () => {
    const loop = new Loop();
    loop.turns.shareOf("small");
    times(400, () => loop.ask("large", 30));
    times(4_000, () => loop.ask("small", 3));
    while (loop.nowMs < 3_000) loop.turn();
    const large = loop.begun.filter((name) => name === "large").length;
    const small = loop.begun.length - large;
    expect(large * 30).toBeGreaterThan(3_000 / 2 - 60);
    expect(small * 3).toBeGreaterThan(3_000 / 2 - 60);
  });

  it("who did nothing for a long time has saved nothing up", () => {
    const loop = new Loop();
    loop.turns.shareOf("late");
    times(1_000, () => loop.ask("early", 1));
    loop.run(900);
    times(100, () => loop.ask("late", 1));
    const before = loop.begun.length;
    loop.run();
    const next = loop.begun.slice(before, before + 40);
    expect(next.filter((name) => name === "late").length).toBeLessThan(25);
  });

  it("who comes back again and again has no more than its part", () => {
    const loop = new Loop();
    loop.turns.shareOf("steady");
    const again = (): void =>
      loop.turns.shareOf("sly").turn(() => {
        loop.begun.push("sly");
        loop.nowMs += 1;
        again();
      });
    again();
    times(300, () => loop.ask("steady", 1));
    loop.run(400);
    const part = loop.begun.slice(0, 400).filter((name) => name === "sly").length;
    expect(part).toBeGreaterThan(180);
    expect(part).toBeLessThan(220);
  });

  it("a turn of the loop begins what fits into it, and one at least", () => {
    const loop = new Loop();
    loop.turns.shareOf("other");
    times(20, () => loop.ask("one", 0.1));
    loop.turn();
    expect(loop.begun).toHaveLength(5);
    times(3, () => loop.ask("two", 100));
    loop.run();
    expect(loop.begun).toHaveLength(23);
    expect(loop.turnCount).toBeLessThanOrEqual(2 + 3 + 3);
  });

  it("the lanes of a namespace take turns", async () => {
    const loop = new Loop();
    loop.turns.shareOf("other");
    const share = loop.turns.shareOf("busy");
    const entered: Lane[] = [];
    const enter = (lane: Lane): void => {
      void share.enter(lane)?.then(() => entered.push(lane));
    };
    times(1_000, () => enter("calls"));
    enter("workers");
    loop.ask("busy", 0, "engine");
    const isIn = (): boolean => entered.includes("workers") && loop.begun.includes("engine");
    for (let count = 0; count < 3 && !isIn(); count += 1) {
      loop.nowMs += 1;
      loop.turn();
      await Promise.resolve();
    }
    expect(isIn()).toBe(true);
  });

  it("a task that throws stops nobody", () => {
    const loop = new Loop();
    loop.turns.shareOf("other");
    loop.turns.shareOf("bad").turn(() => {
      throw new Error("its own affair");
    });
    loop.ask("other", 1);
    loop.ask("bad", 1);
    expect(() => loop.turn()).toThrow("its own affair");
    loop.run();
    expect(loop.begun).toEqual(["other", "bad"]);
  });

  it("every task is done once, in the order of its lane, and none waits while the loop is idle", () => {
    const asks = fc.array(
      fc.record({
        name: fc.constantFrom("a", "b", "c"),
        takesMs: fc.constantFrom(0, 0.01, 0.3, 5),
        turnsBefore: fc.nat({ max: 3 }),
      }),
      { maxLength: 200, size: "max" },
    );
    fc.assert(
      fc.property(asks, (asked) => {
        const loop = new Loop();
        for (const name of ["a", "b", "c"]) loop.turns.shareOf(name);
        for (const [index, { name, takesMs, turnsBefore }] of asked.entries()) {
          loop.run(turnsBefore);
          loop.ask(name, takesMs, `${name}${index}`);
        }
        loop.run();
        expect(loop.begun).toHaveLength(asked.length);
        for (const name of ["a", "b", "c"]) {
          const done = loop.begun.filter((label) => label.startsWith(name));
          expect(done).toEqual(asked.flatMap((ask, index) => (ask.name === name ? [`${name}${index}`] : [])));
        }
      }),
      { numRuns: 50 },
    );
  });
});
