import type { RetryPolicy } from "aion/workflow";
import { ActivityFailure, ApplicationFailure, activity, isFailure, sleep, workflow } from "aion/workflow";
import { AionError } from "aion";
import type { ErrorCode } from "aion";
import { TestEngine } from "aion/testing";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { errorOf, eventsOf, eventsOfType, rootOf } from "./run-history.ts";

/** A workflow that calls one activity with a policy, and how long after the start each attempt began. */
async function attemptsUnder(retry: RetryPolicy, options: { readonly seed?: number } = {}) {
  const call = activity("call", { retry }, async (): Promise<never> => {
    throw new Error("it is never up");
  });
  const caller = workflow("caller", () => call(undefined));
  await using t = await TestEngine.open({ workflows: [caller], activities: [call], ...options });
  const startedAt = t.now();
  const run = await t.client.start(caller);
  const error = await errorOf(t.result(run));
  const scheduledRetries = (await eventsOfType(run, "ActivityFailed")).flatMap(
    (event) => event.retryAt ?? [],
  );
  return {
    delays: t.calls("call").map((attempt) => attempt.calledAt - startedAt),
    numbers: t.calls("call").map((attempt) => attempt.attempt),
    scheduledRetries: scheduledRetries.map((at) => at - startedAt),
    error,
  };
}

describe("an activity that fails", () => {
  it("is tried once when no policy says otherwise", async () => {
    const call = activity("call", async () => {
      throw new Error("no");
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const error = await errorOf(t.result(await t.client.start(caller)));
    expect(error).toBeInstanceOf(ActivityFailure);
    expect(error).toMatchObject({ activityType: "call", attempt: 1 });
    expect(rootOf(error)).toMatchObject({ message: "no", type: "Error" });
    expect(t.calls("call")).toHaveLength(1);
  });

  it.each<[string, RetryPolicy, readonly number[]]>([
    [
      "exponential backoff doubles",
      { maxAttempts: 5, initialDelay: "1s", jitter: 0 },
      [0, 1_000, 3_000, 7_000, 15_000],
    ],
    [
      "exponential backoff grows by its multiplier up to its longest wait",
      { maxAttempts: 5, initialDelay: "1s", multiplier: 10, maxDelay: "1m", jitter: 0 },
      [0, 1_000, 11_000, 71_000, 131_000],
    ],
    [
      "without a longest wait it is sixty times the first",
      { maxAttempts: 9, initialDelay: "1s", jitter: 0 },
      [0, 1, 3, 7, 15, 31, 63, 123, 183].map((seconds) => seconds * 1_000),
    ],
    [
      "linear backoff grows by its increment",
      { maxAttempts: 4, backoff: "linear", initialDelay: "1s", increment: "5s", jitter: 0 },
      [0, 1_000, 7_000, 18_000],
    ],
    [
      "linear backoff without an increment grows by the first wait",
      { maxAttempts: 4, backoff: "linear", initialDelay: "2s", jitter: 0 },
      [0, 2_000, 6_000, 12_000],
    ],
    [
      "fixed backoff stays",
      { maxAttempts: 4, backoff: "fixed", initialDelay: "10s", jitter: 0 },
      [0, 10_000, 20_000, 30_000],
    ],
    ["no delay at all is possible", { maxAttempts: 3, initialDelay: 0, jitter: 0 }, [0, 0, 0]],
  ])("%s", async (_what, retry, expected) => {
    // I-10: never before its backoff is over
    const { delays, numbers, error } = await attemptsUnder(retry);
    expect(delays).toEqual(expected);
    expect(numbers).toEqual(expected.map((_delay, index) => index + 1));
    expect(error).toMatchObject({ kind: "activity", attempt: expected.length });
  });

  it("draws jitter downwards, within its bounds, and each attempt begins exactly when its event says", async () => {
    // I-10
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          seed: fc.nat(),
          jitter: fc.double({ min: 0, max: 1, noNaN: true }),
          initialMs: fc.integer({ min: 1, max: 100_000 }),
          backoff: fc.constantFrom("exponential", "linear", "fixed"),
        }),
        async ({ seed, jitter, initialMs, backoff }) => {
          const policy = {
            maxAttempts: 4,
            backoff,
            initialDelay: initialMs,
            jitter,
            maxDelay: 250_000,
          } as const;
          const { delays, scheduledRetries } = await attemptsUnder(policy, { seed });
          expect(delays.slice(1)).toEqual(scheduledRetries);
          const factors = { exponential: [1, 2, 4], linear: [1, 2, 3], fixed: [1, 1, 1] }[backoff];
          for (const [index, factor] of factors.entries()) {
            const longest = Math.min(initialMs * factor, 250_000);
            const waited = (delays[index + 1] ?? 0) - (delays[index] ?? 0);
            expect(waited).toBeLessThanOrEqual(longest);
            expect(waited).toBeGreaterThanOrEqual(Math.floor(longest * (1 - jitter)));
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it("draws over the whole width of the jitter", async () => {
    const shares: number[] = [];
    for (let seed = 1; seed <= 20; seed++) {
      const { delays } = await attemptsUnder(
        { maxAttempts: 2, initialDelay: 1_000_000, jitter: 0.5 },
        { seed },
      );
      shares.push((delays[1] ?? 0) / 1_000_000);
    }
    expect(Math.min(...shares)).toBeLessThan(0.6);
    expect(Math.max(...shares)).toBeGreaterThan(0.9);
  });

  it("draws the same jitter from the same seed, and another from another", async () => {
    const policy: RetryPolicy = { maxAttempts: 5, initialDelay: "1h", jitter: 0.5 };
    const first = await attemptsUnder(policy, { seed: 7 });
    const again = await attemptsUnder(policy, { seed: 7 });
    const other = await attemptsUnder(policy, { seed: 8 });
    expect(again.delays).toEqual(first.delays);
    expect(other.delays).not.toEqual(first.delays);
  });

  it("succeeds at a later attempt, and the workflow sees one result", async () => {
    const call = activity("call", { retry: { maxAttempts: 3 } }, async (_input: undefined, task) => {
      if (task.attempt < 3) throw new Error("not yet");
      return task.attempt;
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const run = await t.client.start(caller);
    expect(await t.result(run)).toBe(3);
    const attempts = (await eventsOf(run)).flatMap((event) => ("attempt" in event ? [event.attempt] : []));
    expect(attempts).toEqual([1, 1, 2, 2, 3, 3]);
  });

  it.each([
    ["a failure that says so itself", () => new ApplicationFailure("no", { nonRetryable: true }), undefined],
    ["a type that the policy names", () => new ApplicationFailure("no", { type: "Declined" }), ["Declined"]],
    ["a class that the policy names", () => new RangeError("no"), ["RangeError"]],
  ])("is not tried again after %s", async (_what, makeError, nonRetryable) => {
    // I-10: none after a non-retryable failure
    const retry = { maxAttempts: 10, ...(nonRetryable === undefined ? {} : { nonRetryable }) };
    const call = activity("call", { retry }, async () => {
      throw makeError();
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    await errorOf(t.result(await t.client.start(caller)));
    await t.skip("10 days");
    expect(t.calls("call")).toHaveLength(1);
  });

  it("is tried again after a failure of another type than the policy names", async () => {
    const retry = { maxAttempts: 4, nonRetryable: ["Declined"] };
    const call = activity("call", { retry }, async () => {
      throw new ApplicationFailure("no", { type: "Unreachable" });
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    await errorOf(t.result(await t.client.start(caller)));
    expect(t.calls("call")).toHaveLength(4);
  });

  it.each<[ErrorCode, number]>([
    ["result_timeout", 3],
    ["store_full", 3],
    ["run_not_found", 3],
    ["internal", 3],
    ["payload_invalid", 1],
    ["payload_not_serializable", 1],
    ["payload_too_large", 1],
  ])(
    "with an error of Aion's own, %s, is tried %i times where the policy allows three",
    async (code, times) => {
      // An activity may itself ask an engine for something. What passes is tried again, data that does not fit is not.
      const call = activity("call", { retry: { maxAttempts: 3 } }, async () => {
        throw new AionError(code, "thrown by what the activity asked");
      });
      const caller = workflow("caller", () => call(undefined));
      await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
      const error = await errorOf(t.result(await t.client.start(caller)));
      expect(error).toMatchObject({ kind: "activity", attempt: times });
      expect(rootOf(error)).toMatchObject({ kind: "engine", code });
      expect(t.calls("call")).toHaveLength(times);
    },
  );

  it("hands the workflow the type, the details and the chain of causes of the last failure", async () => {
    const call = activity("call", { retry: { maxAttempts: 2 } }, async (_input: undefined, task) => {
      throw new ApplicationFailure(`declined at ${task.attempt}`, {
        type: "Declined",
        details: { code: 51 },
        cause: new Error("issuer says no"),
      });
    });
    const caller = workflow("caller", async () => {
      try {
        return await call(undefined);
      } catch (error) {
        const cause = isFailure(error) ? error.cause : undefined;
        if (!(cause instanceof ApplicationFailure)) throw error;
        return {
          type: cause.type,
          details: cause.details,
          root: (cause.cause as Error).message,
          message: cause.message,
        };
      }
    });
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    expect(await t.result(await t.client.start(caller))).toEqual({
      type: "Declined",
      details: { code: 51 },
      root: "issuer says no",
      message: "declined at 2",
    });
  });

  it("checks its input against its schema before the implementation sees it, and is not tried again", async () => {
    const strict = activity(
      "strict",
      { input: z.object({ n: z.string().transform(Number) }), retry: { maxAttempts: 5 } },
      async ({ n }) => n + 1,
    );
    const caller = workflow("caller", (input: { readonly n: string }) => strict(input));
    await using t = await TestEngine.open({ workflows: [caller], activities: [strict] });
    expect(await t.result(await t.client.start(caller, { n: "41" }))).toBe(42);
    const error = await errorOf(t.result(await t.client.start("caller", { n: 41 })));
    expect(rootOf(error)).toMatchObject({ kind: "engine", code: "payload_invalid" });
    expect(t.calls("strict")).toHaveLength(1);
  });

  it("checks what it gives against its schema before it is recorded, and is not tried again", async () => {
    const Amount = z.object({ cents: z.string().transform(Number), note: z.string().default("none") });
    const price = activity(
      "price",
      { input: z.string(), output: Amount, retry: { maxAttempts: 5 } },
      async (item) => (item === "odd" ? { cents: 5 as unknown as string } : { cents: "250" }),
    );
    const free = activity("free", { output: z.number() }, async (item: string) => item.length);
    // The types are those of what the schemas give.
    const buyer = workflow("buyer", async (item: string) => {
      const { cents, note } = await price(item);
      return [cents + (await free(item)), note.toUpperCase()] as const;
    });
    await using t = await TestEngine.open({ workflows: [buyer], activities: [price, free] });
    const run = await t.client.start(buyer, "tea");
    expect(await t.result(run)).toEqual([253, "NONE"]);
    const [completed] = await eventsOfType(run, "ActivityCompleted");
    expect(completed?.result).toBe('{"cents":250,"note":"none"}');
    await t.crash();
    const error = await errorOf(t.result(await t.client.start(buyer, "odd")));
    expect(rootOf(error)).toMatchObject({ kind: "engine", code: "payload_invalid" });
    expect(t.calls("price")).toHaveLength(2);
    // Called where no workflow runs, too.
    expect(await price("tea")).toEqual({ cents: 250, note: "none" });
    expect(await errorOf(price("odd"))).toMatchObject({ code: "payload_invalid" });
  });

  it("is not tried again when its input does not fit or its result cannot be recorded", async () => {
    const big = activity("big", { retry: { maxAttempts: 5 } }, async () => "x".repeat(5_000));
    const odd = activity("odd", { retry: { maxAttempts: 5 } }, async () => 1n);
    const caller = workflow("caller", async (which: string) =>
      which === "big" ? big(undefined) : String(await odd(undefined)),
    );
    await using t = await TestEngine.open({
      workflows: [caller],
      activities: [big, odd],
      payloadLimitBytes: 1_000,
    });
    const tooBig = await errorOf(t.result(await t.client.start(caller, "big")));
    expect(rootOf(tooBig)).toMatchObject({ kind: "engine", code: "payload_too_large" });
    const notJson = await errorOf(t.result(await t.client.start(caller, "odd")));
    expect(rootOf(notJson)).toMatchObject({ kind: "engine", code: "payload_not_serializable" });
    expect([...t.calls("big"), ...t.calls("odd")]).toHaveLength(2);
  });
});

describe("a crash of the engine", () => {
  const retry: RetryPolicy = { maxAttempts: 4, backoff: "fixed", initialDelay: "1h", jitter: 0 };

  it("does not shorten a backoff, however often it comes", async () => {
    // I-10: a restart does not shorten the backoff
    const call = activity("call", { retry }, async (_input: undefined, task) => {
      if (task.attempt < 4) throw new Error("not yet");
      return "done";
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const startedAt = t.now();
    const run = await t.client.start(caller);
    await t.settle();
    for (let minutes = 0; minutes < 240; minutes += 7) {
      await t.crash();
      await t.skip("7m");
    }
    expect(await t.result(run)).toBe("done");
    expect(t.calls("call").map((attempt) => (attempt.calledAt - startedAt) / 3_600_000)).toEqual([
      0, 1, 2, 3,
    ]);
    expect(t.calls("call").map((attempt) => attempt.attempt)).toEqual([1, 2, 3, 4]);
  });

  it("does not shorten a backoff either when the run is woken meanwhile, by a timer, a signal or a query", async () => {
    // I-10
    const call = activity("call", { retry }, async (_input: undefined, task) => {
      if (task.attempt < 4) throw new Error("not yet");
      return "done";
    });
    const caller = workflow("caller", async () => {
      const called = call(undefined);
      for (let tick = 0; tick < 30; tick++) await sleep("5m");
      return called;
    });
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const startedAt = t.now();
    const run = await t.client.start(caller);
    await t.settle();
    for (let minutes = 0; minutes < 180; minutes += 7) {
      if (minutes % 2 === 0) await t.crash();
      await run.signal("poke");
      await errorOf(run.query("nothing"));
      await t.skip("7m");
    }
    expect(await t.result(run)).toBe("done");
    expect(t.calls("call").map((attempt) => (attempt.calledAt - startedAt) / 3_600_000)).toEqual([
      0, 1, 2, 3,
    ]);
  });

  it("gives an attempt that it cut off the next number, without counting it against the policy", async () => {
    // I-10: numbered without gaps
    const call = activity(
      "call",
      { retry: { ...retry, maxAttempts: 2 } },
      async (_input: undefined, task) => {
        if (task.attempt <= 3) await new Promise<never>(() => undefined);
        throw new Error("it answered no");
      },
    );
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const run = await t.client.start(caller);
    await t.settle();
    for (let crash = 0; crash < 3; crash++) await t.crash();
    const error = await errorOf(t.result(run));
    expect(error).toMatchObject({ kind: "activity", attempt: 5 });
    expect(t.calls("call").map((attempt) => attempt.attempt)).toEqual([1, 2, 3, 4, 5]);
  });

  it("leaves the idempotency key as it was, over attempts and lives, and different from every other", async () => {
    const keys: string[] = [];
    const call = activity("call", { retry }, async (_input: number, task) => {
      keys.push(task.idempotencyKey);
      if (task.attempt < 3) throw new Error("not yet");
    });
    const caller = workflow("caller", async () => {
      await Promise.all([call(1), call(2)]);
    });
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const run = await t.client.start(caller);
    await t.skip("30m");
    await t.crash();
    await t.result(run);
    expect(keys).toHaveLength(6);
    expect(new Set(keys).size).toBe(2);
    const other = await t.client.start(caller);
    await t.result(other);
    expect(new Set(keys).size).toBe(4);
  });

  it("never runs an activity again whose outcome is recorded", async () => {
    // I-8
    const first = activity("first", async () => "once");
    const second = activity("second", () => new Promise<string>(() => undefined));
    const caller = workflow("caller", async () => [await first(undefined), await second(undefined)]);
    await using t = await TestEngine.open({ workflows: [caller], activities: [first, second] });
    await t.client.start(caller);
    await t.settle();
    for (let crash = 0; crash < 5; crash++) await t.crash();
    expect(t.calls("first")).toHaveLength(1);
    expect(t.calls("second")).toHaveLength(6);
  });
});

it("an error that cannot be read fails its activity as any other does", async () => {
  const error = new Error("no");
  Object.defineProperty(error, "message", {
    get: () => {
      throw new Error("ha");
    },
  });
  const call = activity("call", async () => {
    throw error;
  });
  const caller = workflow("caller", () => call(undefined));
  await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
  const run = await t.client.start(caller);
  expect(await errorOf(t.result(run))).toMatchObject({
    kind: "activity",
    message: expect.stringContaining("cannot be read") as unknown,
  });
});
