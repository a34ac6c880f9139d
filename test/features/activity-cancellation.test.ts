import { TestEngine } from "aion/testing";
import type { ActivityTask } from "aion/workflow";
import { CancelledFailure, activity, isCancelled, scope, shield, sleep, step, workflow } from "aion/workflow";
import { describe, expect, it } from "vitest";
import { errorOf, eventsOf, typesOf } from "./run-history.ts";

/** Ends when the attempt is told to stop. */
function untilAborted(task: ActivityTask): Promise<never> {
  return new Promise((_resolve, reject) => {
    task.signal.addEventListener("abort", () => reject(task.signal.reason as Error));
  });
}

describe("cancelling a run whose activity is under way", () => {
  it("tells the attempt through its AbortSignal, and waits for it to stop", async () => {
    // I-38: reaches running activities
    const call = activity("call", async (_input: undefined, task) => {
      try {
        return await untilAborted(task);
      } catch {
        await t.delay("3s");
        throw new Error("stopped");
      }
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const startedAt = t.now();
    const run = await t.client.start(caller);
    await t.settle();
    await run.cancel("no longer wanted");
    const error = await errorOf(t.result(run));
    expect(error).toBeInstanceOf(CancelledFailure);
    expect(t.now() - startedAt).toBe(3_000);
    expect(await typesOf(run)).toEqual([
      "WorkflowStarted",
      "ActivityScheduled",
      "ActivityStarted",
      "WorkflowCancelRequested",
      "ActivityCancelRequested",
      "ActivityCancelled",
      "WorkflowCancelled",
    ]);
    expect(t.calls("call")).toHaveLength(1);
  });

  it("gives the result of an activity that completes all the same, once", async () => {
    // I-38: a cancelled-then-completed activity gives one result
    const charge = activity("charge", async () => {
      await t.delay("3s");
      return "pay_1";
    });
    const seen: string[] = [];
    const caller = workflow("caller", async () => {
      const paymentId = await charge(undefined);
      return shield(() => `charged ${paymentId}`);
    });
    await using t = await TestEngine.open({ workflows: [caller], activities: [charge] });
    const run = await t.client.start(caller);
    await t.settle();
    await run.cancel();
    seen.push(await t.result(run));
    expect(seen).toEqual(["charged pay_1"]);
    const types = await typesOf(run);
    expect(types.filter((type) => type === "ActivityCompleted" || type === "ActivityCancelled")).toEqual([
      "ActivityCompleted",
    ]);
  });

  it("does not retry it, and ends one that is backing off at once", async () => {
    // I-10, I-38
    const retry = { maxAttempts: 5, backoff: "fixed", initialDelay: "1h", jitter: 0 } as const;
    const call = activity("call", { retry }, async () => {
      throw new Error("down");
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const startedAt = t.now();
    const run = await t.client.start(caller);
    await t.settle();
    await run.cancel();
    expect(await errorOf(t.result(run))).toBeInstanceOf(CancelledFailure);
    expect(t.now()).toBe(startedAt);
    await t.skip("10h");
    expect(t.calls("call")).toHaveLength(1);
  });

  it("ends one that nobody can run at once", async () => {
    const call = activity("unheard-of", async () => "never");
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller] });
    const run = await t.client.start(caller);
    await t.settle();
    await run.cancel();
    expect(await errorOf(t.result(run))).toBeInstanceOf(CancelledFailure);
  });

  it("lets an attempt that a crash cut off afterwards not begin again", async () => {
    // I-38
    const call = activity("call", () => new Promise<never>(() => undefined));
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const run = await t.client.start(caller);
    await t.settle();
    await run.cancel();
    await t.settle();
    expect(t.calls("call")).toHaveLength(1);
    await t.crash();
    expect(await errorOf(t.result(run))).toBeInstanceOf(CancelledFailure);
    expect(t.calls("call")).toHaveLength(1);
  });

  it("reaches it through a time-out as well: what times out after the cancellation was cancelled", async () => {
    const call = activity(
      "call",
      { startToClose: "1m", retry: { maxAttempts: 3 } },
      () => new Promise<never>(() => undefined),
    );
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const run = await t.client.start(caller);
    await t.skip("10s");
    await run.cancel();
    expect(await errorOf(t.result(run))).toBeInstanceOf(CancelledFailure);
    expect(t.calls("call")).toHaveLength(1);
  });
});

describe("an activity in a scope that is cancelled", () => {
  it("is told, and its siblings outside of the scope are not", async () => {
    const aborted: string[] = [];
    const call = activity("call", async (name: string, task) => {
      task.signal.addEventListener("abort", () => aborted.push(name));
      await t.delay("10s");
      if (task.signal.aborted) throw new Error("stopped");
      return name;
    });
    const caller = workflow("caller", async () => {
      const outside = call("outside");
      const inside = await scope(async (inner) => {
        const called = call("inside");
        await sleep("1s");
        inner.cancel("enough");
        return called;
      }).catch((error: unknown) => (isCancelled(error) ? "cancelled" : error));
      return [await outside, inside];
    });
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    expect(await t.result(await t.client.start(caller))).toEqual(["outside", "cancelled"]);
    expect(aborted).toEqual(["inside"]);
  });

  it("that loses a race against a time-out is told to stop", async () => {
    const call = activity("call", async (_input: undefined, task) => untilAborted(task));
    const caller = workflow("caller", () => scope(() => call(undefined), { timeout: "5s" }));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const run = await t.client.start(caller);
    expect(await t.result(run)).toEqual({ ok: false, reason: "timeout" });
    expect(await typesOf(run)).toContain("ActivityCancelled");
  });
});

describe("the end of a run", () => {
  it.each(["completes", "fails", "is terminated", "times out"] as const)(
    "tells attempts that are still under way to stop when it %s",
    async (end) => {
      const aborted: boolean[] = [];
      const call = activity("call", async (_input: undefined, task) => {
        task.signal.addEventListener("abort", () => aborted.push(true));
        return new Promise<never>(() => undefined);
      });
      const caller = workflow("caller", async () => {
        const called = call(undefined);
        if (end === "is terminated" || end === "times out") return called;
        await sleep("1s");
        if (end === "fails") throw new Error("failed");
        return undefined;
      });
      await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
      const run = await t.client.start(caller, undefined, end === "times out" ? { runTimeout: "1s" } : {});
      await t.skip("1s");
      if (end === "is terminated") await run.terminate();
      await t.settle();
      expect((await run.describe()).status).not.toBe("running");
      expect(aborted).toEqual([true]);
      expect(t.activitiesInFlight).toBe(0);
    },
  );
});

describe("a step", () => {
  it("runs its closure in place, records the result, and is not run again on replay", async () => {
    // I-42
    let count = 0;
    const stepper = workflow("stepper", async (name: string) => {
      const greeting = await step("greet", () => {
        count += 1;
        return `hello ${name}`;
      });
      await sleep("1h");
      return greeting;
    });
    await using t = await TestEngine.open({ workflows: [stepper] });
    const run = await t.client.start(stepper, "Ann");
    await t.settle();
    await t.crash();
    expect(await t.result(run)).toBe("hello Ann");
    expect(count).toBe(1);
  });

  it("takes the options of an activity: retries, time-outs, the task", async () => {
    const keys: string[] = [];
    const stepper = workflow("stepper", () =>
      step(
        "flaky",
        async (task) => {
          keys.push(task.idempotencyKey);
          if (task.attempt === 1) throw new Error("no");
          if (task.attempt === 2) return new Promise<never>(() => undefined);
          return task.attempt;
        },
        { retry: { maxAttempts: 3, initialDelay: "1s", jitter: 0 }, startToClose: "10s" },
      ),
    );
    await using t = await TestEngine.open({ workflows: [stepper] });
    const startedAt = t.now();
    expect(await t.result(await t.client.start(stepper))).toBe(3);
    expect(t.now() - startedAt).toBe(13_000);
    expect(new Set(keys).size).toBe(1);
  });

  it("that a crash cut off is run again with the closure of the replayed code", async () => {
    const log: string[] = [];
    const stepper = workflow("stepper", async () => {
      const values = [1, 2, 3];
      const sums: number[] = [];
      for (const value of values) {
        sums.push(
          await step(`add ${value}`, async (task) => {
            log.push(`${value}.${task.attempt}`);
            if (value === 2 && task.attempt === 1) return new Promise<never>(() => undefined);
            return value + (sums.at(-1) ?? 0);
          }),
        );
      }
      return sums;
    });
    await using t = await TestEngine.open({ workflows: [stepper] });
    const run = await t.client.start(stepper);
    await t.settle();
    await t.crash();
    expect(await t.result(run)).toEqual([1, 3, 6]);
    expect(log).toEqual(["1.1", "2.1", "2.2", "3.1"]);
  });

  it("may not use the functions of the workflow from inside", async () => {
    const stepper = workflow("stepper", () => step("inside", () => sleep("1s")));
    await using t = await TestEngine.open({ workflows: [stepper] });
    const run = await t.client.start(stepper);
    const error = await errorOf(t.result(run));
    expect(error).toMatchObject({ kind: "activity", cause: { kind: "engine", code: "outside_workflow" } });
    expect((await eventsOf(run)).filter((event) => event.type === "TimerStarted")).toEqual([]);
  });
});
