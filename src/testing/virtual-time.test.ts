import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VirtualTime } from "./virtual-time.ts";

describe("virtual time", () => {
  it("fires delays in the order of their instants, and those of one instant in the order of asking", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 60 }), (delays) => {
        const time = new VirtualTime(1_000);
        const fired: (readonly [at: number, index: number])[] = [];
        for (const [index, ms] of delays.entries()) time.delay(ms, () => fired.push([time.elapsedMs, index]));
        while (time.nextAt !== undefined) time.fireNext();
        const expected = delays
          .map((ms, index) => [ms, index] as const)
          .toSorted((left, right) => left[0] - right[0] || left[1] - right[1]);
        expect(fired).toEqual(expected);
      }),
    );
  });

  it("does not fire what was called off, whether it is the next or not", () => {
    const time = new VirtualTime(0);
    const fired: string[] = [];
    const callOffs = ["a", "b", "c"].map((name, index) => time.delay(index, () => fired.push(name)));
    callOffs[0]?.();
    callOffs[2]?.();
    expect(time.nextAt).toBe(1);
    time.fireNext();
    time.fireNext();
    expect(fired).toEqual(["b"]);
    expect(time.nextAt).toBeUndefined();
  });

  it("passes only when told to, and never backwards", () => {
    const time = new VirtualTime(5_000);
    time.delay(100, () => undefined);
    expect(time.clock.now()).toBe(5_000);
    time.fireNext();
    expect(time.clock.now()).toBe(5_100);
    time.passUntil(50);
    expect(time.elapsedMs).toBe(100);
  });

  it("lets the wall clock jump without a delay noticing", () => {
    const time = new VirtualTime(5_000);
    time.delay(100, () => undefined);
    time.jump(-4_000);
    expect(time.clock.now()).toBe(1_000);
    expect(time.nextAt).toBe(100);
  });

  it("rounds up: a delay never fires early", () => {
    const time = new VirtualTime(0);
    time.delay(0.2, () => undefined);
    time.delay(-5, () => undefined);
    expect(time.nextAt).toBe(0);
    time.fireNext();
    expect(time.nextAt).toBe(1);
  });

  it("forgets the delays of a life that is over", () => {
    const time = new VirtualTime(0);
    time.delay(1, () => undefined);
    time.forgetDelays();
    expect(time.nextAt).toBeUndefined();
  });
});
