import { beforeEach, describe, expect, it, vi } from "vitest";
import type { LogLevel } from "../core/ports.ts";
import { nodePorts } from "./node-ports.ts";

/** Above this `setTimeout` fires at once. */
const timeoutMsMax = 2 ** 31 - 1;

// I-31
describe("a delay on the machine's timers", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
    return () => vi.useRealTimers();
  });

  it("of more than they can hold is what these tests have to know: they fire at once", () => {
    let isFired = false;
    setTimeout(() => (isFired = true), timeoutMsMax + 1);
    vi.advanceTimersByTime(1);
    expect(isFired).toBe(true);
  });

  // I-28
  it.each([
    0,
    1,
    30_000,
    timeoutMsMax - 1,
    timeoutMsMax,
    timeoutMsMax + 1,
    3 * timeoutMsMax,
    90 * 86_400_000,
  ])("of %d ms is over then, once, and not before", (delayMs) => {
    const { clock, scheduler } = nodePorts(() => undefined);
    const began = clock.now();
    const fired: number[] = [];
    scheduler.delay(delayMs, () => fired.push(clock.now() - began));
    if (delayMs > 0) vi.advanceTimersByTime(delayMs - 1);
    expect(fired).toEqual([]);
    vi.advanceTimersByTime(1);
    vi.advanceTimersByTime(4 * timeoutMsMax);
    expect(fired).toEqual([delayMs]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([
    ["at its beginning", 0],
    ["late in it", 2 * timeoutMsMax + 5],
  ])("can be called off %s", (_when, afterMs) => {
    const { scheduler } = nodePorts(() => undefined);
    let isFired = false;
    const callOff = scheduler.delay(3 * timeoutMsMax, () => (isFired = true));
    vi.advanceTimersByTime(afterMs);
    callOff();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(4 * timeoutMsMax);
    expect(isFired).toBe(false);
  });
});

describe("the machine's ports", () => {
  it("call back in a turn after every microtask, and every one those queue", async () => {
    const { scheduler } = nodePorts(() => undefined);
    const order: string[] = [];
    const microtasks = (left: number): void => {
      order.push("microtask");
      if (left > 1) queueMicrotask(() => microtasks(left - 1));
    };
    await new Promise<void>((resolve) => {
      scheduler.turn(() => {
        order.push("turn");
        resolve();
      });
      queueMicrotask(() => microtasks(3));
    });
    expect(order).toEqual(["microtask", "microtask", "microtask", "turn"]);
  });

  it("tell the time of the wall clock, ids that do not repeat, and numbers from 0 to 1", () => {
    const { clock, random } = nodePorts(() => undefined);
    const before = Date.now();
    expect(clock.now()).toBeGreaterThanOrEqual(before);
    expect(clock.now()).toBeLessThanOrEqual(Date.now());
    const uuids = Array.from({ length: 100 }, () => random.uuid());
    expect(new Set(uuids).size).toBe(100);
    expect(uuids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const numbers = Array.from({ length: 100 }, () => random.number());
    expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
    expect(new Set(numbers).size).toBeGreaterThan(90);
  });

  it("log where they were told to", () => {
    const lines: (readonly [level: LogLevel, message: string])[] = [];
    nodePorts((level, message) => lines.push([level, message])).log("warn", "a line");
    expect(lines).toEqual([["warn", "a line"]]);
  });
});
