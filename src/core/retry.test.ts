import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RetryPolicy } from "./retry.ts";
import { backoffMs, bucketOf, parseRetryPolicy } from "./retry.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);

const anyPolicy: fc.Arbitrary<RetryPolicy> = fc.record(
  {
    maxAttempts: fc.integer({ min: 1, max: 100 }),
    backoff: fc.constantFrom("exponential" as const, "linear" as const, "fixed" as const),
    initialDelay: fc.nat({ max: 100_000 }),
    maxDelay: fc.nat({ max: 10_000_000 }),
    multiplier: fc.double({ min: 1, max: 10, noNaN: true }),
    increment: fc.nat({ max: 100_000 }),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<RetryPolicy>;
const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const failedCount = fc.integer({ min: 1, max: 5_000 });

describe("the wait before the next attempt", () => {
  // I-10
  it("is a whole number of milliseconds between what jitter leaves and the longest wait", () => {
    fc.assert(
      fc.property(anyPolicy, failedCount, draw, (policy, count, chance) => {
        const retry = parseRetryPolicy(policy);
        const wait = backoffMs(retry, count, chance);
        expect(Number.isSafeInteger(wait)).toBe(true);
        expect(wait).toBeGreaterThanOrEqual(0);
        expect(wait).toBeLessThanOrEqual(retry.maxMs);
        const least = Math.min(retry.initialMs, retry.maxMs) * (1 - retry.jitter);
        expect(wait).toBeGreaterThanOrEqual(Math.floor(least));
      }),
      { seed, numRuns: 500 },
    );
  });

  it("never gets shorter from one failure to the next, without jitter", () => {
    fc.assert(
      fc.property(anyPolicy, failedCount, (policy, count) => {
        const retry = parseRetryPolicy({ ...policy, jitter: 0 });
        expect(backoffMs(retry, count + 1, 0)).toBeGreaterThanOrEqual(backoffMs(retry, count, 0));
      }),
      { seed, numRuns: 300 },
    );
  });

  it.each([
    ["exponential", { initialDelay: "1s", multiplier: 3 }, [1_000, 3_000, 9_000, 27_000]],
    ["exponential", { initialDelay: "1s", maxDelay: "5s" }, [1_000, 2_000, 4_000, 5_000, 5_000]],
    ["linear", { initialDelay: "1s", increment: "500ms" }, [1_000, 1_500, 2_000]],
    ["linear", { initialDelay: "1s", maxDelay: "1500ms" }, [1_000, 1_500, 1_500]],
    ["fixed", { initialDelay: "2s" }, [2_000, 2_000, 2_000]],
  ] as const)("grows as the %s policy says: %j", (backoff, policy, waits) => {
    const retry = parseRetryPolicy({ ...policy, backoff, jitter: 0 });
    expect(waits.map((_wait, index) => backoffMs(retry, index + 1, 0.9))).toEqual(waits);
  });

  it("is shortened by at most the jitter, and never lengthened", () => {
    const retry = parseRetryPolicy({ initialDelay: 1_000, backoff: "fixed", jitter: 0.3 });
    expect(backoffMs(retry, 1, 0)).toBe(1_000);
    expect(backoffMs(retry, 1, 0.5)).toBe(850);
    expect(backoffMs(retry, 1, 0.999_999)).toBe(700);
  });

  it("stays finite after any number of failures", () => {
    const retry = parseRetryPolicy({ initialDelay: 1, multiplier: 10, maxDelay: "1 day", jitter: 0 });
    expect(backoffMs(retry, 100_000, 0)).toBe(86_400_000);
  });

  it("is nothing for ever when the first wait is nothing", () => {
    const retry = parseRetryPolicy({ initialDelay: 0, maxDelay: "1s", jitter: 0 });
    expect([1, 2, 50, 100_000].map((count) => backoffMs(retry, count, 0.5))).toEqual([0, 0, 0, 0]);
  });
});

describe("a retry policy", () => {
  it("has the documented defaults", () => {
    // Recorded in history: no field that says nothing.
    expect(parseRetryPolicy({})).toStrictEqual({
      backoff: "exponential",
      initialMs: 1_000,
      maxMs: 60_000,
      multiplier: 2,
      incrementMs: 1_000,
      jitter: 0.2,
      nonRetryable: [],
    });
    expect(parseRetryPolicy({ initialDelay: "10ms" }).maxMs).toBe(600);
  });

  it.each([
    [{ maxAttempts: 0 }],
    [{ maxAttempts: 1.5 }],
    [{ maxAttempts: Number.NaN }],
    [{ multiplier: 0.5 }],
    [{ multiplier: Number.NaN }],
    [{ multiplier: Number.POSITIVE_INFINITY }],
    [{ jitter: -0.1 }],
    [{ jitter: 1.1 }],
    [{ jitter: Number.NaN }],
    [{ initialDelay: "soon" }],
    [{ initialDelay: -1 }],
    [{ maxDelay: "never" }],
    [{ increment: "a lot" }],
    [{ backoff: "random" as "fixed" }],
  ])("that makes no sense is refused: %j", (policy) => {
    expect(() => parseRetryPolicy(policy)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });
});

describe("a failure", () => {
  const retry = parseRetryPolicy({ nonRetryable: ["CardDeclined"] });

  // I-10
  it("is final when it says so, when the policy names its type, or when it is an end by order", () => {
    expect(bucketOf({ kind: "application", message: "", nonRetryable: true }, retry)).toBe("final");
    expect(bucketOf({ kind: "application", message: "", type: "CardDeclined" }, retry)).toBe("final");
    expect(bucketOf({ kind: "cancelled", message: "" }, retry)).toBe("final");
    expect(bucketOf({ kind: "terminated", message: "" }, undefined)).toBe("final");
  });

  it("is tried again otherwise", () => {
    expect(bucketOf({ kind: "application", message: "", type: "Busy" }, retry)).toBe("retry");
    expect(bucketOf({ kind: "application", message: "CardDeclined" }, retry)).toBe("retry");
    expect(bucketOf({ kind: "timeout", message: "" }, retry)).toBe("retry");
    expect(bucketOf({ kind: "application", message: "", type: "CardDeclined" }, undefined)).toBe("retry");
  });

  it("asks for an operator where it says so, unless the policy calls it final", () => {
    expect(bucketOf({ kind: "application", message: "", park: true }, undefined)).toBe("park");
    expect(bucketOf({ kind: "application", message: "", park: true, nonRetryable: true }, retry)).toBe(
      "park",
    );
    expect(bucketOf({ kind: "application", message: "", type: "CardDeclined", park: true }, retry)).toBe(
      "final",
    );
    expect(bucketOf({ kind: "cancelled", message: "", park: true }, retry)).toBe("final");
  });
});

describe("the types that a policy parks", () => {
  const retry = parseRetryPolicy({ nonRetryable: ["CardDeclined"], park: ["KeyExpired"] });

  it("wait for an operator whatever the failure says, and no others do", () => {
    const failure = { kind: "application", message: "", type: "KeyExpired" } as const;
    expect(bucketOf(failure, retry)).toBe("park");
    expect(bucketOf({ ...failure, nonRetryable: true }, retry)).toBe("park");
    expect(bucketOf({ ...failure, type: "CardDeclined" }, retry)).toBe("final");
    expect(bucketOf({ ...failure, type: "Error" }, retry)).toBe("retry");
    expect(bucketOf({ kind: "application", message: "" }, retry)).toBe("retry");
    expect(bucketOf({ ...failure, kind: "cancelled" }, retry)).toBe("final");
  });

  it("are recorded if there are some", () => {
    expect(retry.park).toEqual(["KeyExpired"]);
    expect(parseRetryPolicy({ park: [] })).toEqual(parseRetryPolicy({}));
  });

  it("are refused where they are none, or final as well", () => {
    expect(() => parseRetryPolicy({ park: ["A", "B"], nonRetryable: ["B"] })).toThrow(
      /"B" is in nonRetryable and in park/,
    );
    for (const name of ["park", "nonRetryable"]) {
      for (const types of ["KeyExpired", [1], { length: 1 }])
        expect(() => parseRetryPolicy({ [name]: types })).toThrow(`retry.${name} must be a list`);
    }
  });
});

describe("onExhausted", () => {
  it("is recorded only when it is not the default", () => {
    expect(parseRetryPolicy({ maxAttempts: 2, onExhausted: "park" }).onExhausted).toBe("park");
    expect(parseRetryPolicy({ maxAttempts: 2, onExhausted: "fail" })).toEqual(
      parseRetryPolicy({ maxAttempts: 2 }),
    );
  });

  it("is refused where it says nothing, or nothing that is known", () => {
    expect(() => parseRetryPolicy({ onExhausted: "park" })).toThrow(/no end of attempts/);
    const unknown = { maxAttempts: 2, onExhausted: "wait" as "park" };
    expect(() => parseRetryPolicy(unknown)).toThrow(/must be "fail" or "park"/);
  });
});
