import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { durationMsMax, parseDuration } from "./duration.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);

describe("a duration", () => {
  it.each([
    [0, 0],
    [1.2, 2],
    ["0ms", 0],
    ["500ms", 500],
    ["1.5s", 1_500],
    // Fractions that binary numbers cannot hold.
    ["0.07s", 70],
    ["8.05s", 8_050],
    ["8.2 hours", 29_520_000],
    ["30 seconds", 30_000],
    ["1 sec", 1_000],
    ["5 minutes", 300_000],
    ["2h", 7_200_000],
    ["2 hrs", 7_200_000],
    ["2 days", 172_800_000],
    ["1 week", 604_800_000],
    ["1h 30m", 5_400_000],
    ["1 hour, 30 minutes", 5_400_000],
    ["  10 S", 10_000],
    ["1h30m5s", 5_405_000],
    // Past what a platform timer can hold: 2³¹−1 ms.
    ["90 days", 7_776_000_000],
    [durationMsMax, durationMsMax],
    ["3650000 days", durationMsMax],
  ])("%j is %d ms", (duration, ms) => {
    expect(parseDuration(duration)).toBe(ms);
  });

  it.each([
    [1, "ms millisecond milliseconds"],
    [1_000, "s sec secs second seconds"],
    [60_000, "m min mins minute minutes"],
    [3_600_000, "h hr hrs hour hours"],
    [86_400_000, "d day days"],
    [604_800_000, "w week weeks"],
  ])("has names for the unit of %d ms: %s", (ms, names) => {
    for (const name of names.split(" ")) expect([name, parseDuration(`3 ${name}`)]).toEqual([name, 3 * ms]);
  });

  it("is at most ten thousand years", () => {
    expect(durationMsMax).toBe(10_000 * 365 * 86_400_000);
  });

  it.each([
    ["", "timeout is empty text", {}],
    ["   ", 'timeout "   " is no duration', { hint: expect.stringContaining('"1h 30m"') }],
    ["5 parsecs", 'timeout "5 parsecs" is no duration', { hint: expect.stringContaining('"1h 30m"') }],
    [-1, `timeout must be between 0 and ${durationMsMax} milliseconds, got -1`, {}],
    ["11000 years", 'timeout "11000 years" is no duration', {}],
    ["1e3 s", 'timeout "1e3 s" is no duration', {}],
    [
      "520000000 weeks",
      `timeout must be between 0 and ${durationMsMax} milliseconds, got 520000000 weeks`,
      {},
    ],
  ])("%j is refused with a message that says why: %s", (duration, message, more) => {
    expect(() => parseDuration(duration, "timeout")).toThrow(expect.objectContaining({ message, ...more }));
  });

  it.each([
    "",
    "   ",
    "soon",
    "5",
    "5 parsecs",
    "-5s",
    "5s ago",
    "s5",
    "1h and 5m",
    "1_000ms",
    "NaN",
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    durationMsMax + 1,
    "11000 years",
    "999999999999 weeks",
  ])("%j is refused, naming the value", (duration) => {
    expect(() => parseDuration(duration, "timeout")).toThrow(
      expect.objectContaining({ code: "invalid_argument", message: expect.stringContaining("timeout") }),
    );
  });

  it("takes parts of a millisecond up, never down: a wait is not shorter than asked", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (ms) => {
        const parsed = parseDuration(ms);
        expect(Number.isSafeInteger(parsed)).toBe(true);
        expect(parsed).toBeGreaterThanOrEqual(ms);
        expect(parsed - 1).toBeLessThan(ms === 0 ? 1 : ms);
      }),
      { seed },
    );
  });

  it("adds up its parts in any order", () => {
    const part = fc.tuple(
      fc.nat({ max: 1_000 }),
      fc.constantFrom(["ms", 1], ["s", 1_000], ["m", 60_000], ["h", 3_600_000], ["d", 86_400_000] as const),
    );
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 5 }),
        fc.constantFrom("", " ", ", "),
        (parts, gap) => {
          const text = parts.map(([count, [unit]]) => `${count}${String(unit)}`).join(gap);
          const sum = parts.reduce((total, [count, [, ms]]) => total + count * Number(ms), 0);
          expect(parseDuration(text)).toBe(sum);
        },
      ),
      { seed },
    );
  });

  it.each([null, undefined, {}, [], true, 5n])("refuses %s, whatever the types say", (value) => {
    expect(() => parseDuration(value as never)).toThrow(/must be a number or a text/);
  });

  it("does not send back all of what it refuses", () => {
    expect(() => parseDuration("x".repeat(10_000))).toThrow(/^.{1,300}$/);
  });
});
