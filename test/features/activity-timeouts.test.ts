import { TestEngine } from "aion/testing";
import type { ActivityTask } from "aion/workflow";
import { TimeoutFailure, activity, sleep, workflow } from "aion/workflow";
import { describe, expect, it } from "vitest";
import { errorOf, eventsOf, eventsOfType, rootOf, typesOf } from "./run-history.ts";

const forever = () => new Promise<never>(() => undefined);

/** Ends when the attempt is told to stop. */
function untilAborted(task: ActivityTask): Promise<never> {
  return new Promise((_resolve, reject) => {
    task.signal.addEventListener("abort", () => reject(task.signal.reason as Error));
  });
}

describe("start-to-close", () => {
  it("ends an attempt that takes longer, and tells it to stop", async () => {
    // I-39
    const call = activity("call", { startToClose: "30s" }, async (_input: undefined, task) =>
      untilAborted(task),
    );
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const startedAt = t.now();
    const run = await t.client.start(caller);
    await t.skip(29_999);
    expect(t.activitiesInFlight).toBe(1);
    expect(t.calls("call")[0]?.outcome).toBeUndefined();
    await t.skip(1);
    expect(t.activitiesInFlight).toBe(0);
    expect(t.calls("call")[0]?.outcome).toMatchObject({ ok: false });
    const root = rootOf(await errorOf(t.result(run)));
    expect(root).toBeInstanceOf(TimeoutFailure);
    expect(root).toMatchObject({ timeout: "start-to-close" });
    expect(t.now() - startedAt).toBe(30_000);
  });

  it("counts each attempt by itself, and a timed-out attempt against the policy", async () => {
    const retry = { maxAttempts: 3, backoff: "fixed", initialDelay: "5s", jitter: 0 } as const;
    const call = activity("call", { retry, startToClose: "30s" }, forever);
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const startedAt = t.now();
    const run = await t.client.start(caller);
    expect(rootOf(await errorOf(t.result(run)))).toMatchObject({ timeout: "start-to-close" });
    expect(t.calls("call").map((attempt) => attempt.calledAt - startedAt)).toEqual([0, 35_000, 70_000]);
    const timedOut = await eventsOfType(run, "ActivityTimedOut");
    expect(timedOut.map((event) => event.attempt)).toEqual([1, 2, 3]);
    expect(timedOut.map((event) => event.retryAt !== undefined)).toEqual([true, true, false]);
  });

  it("does not end an attempt that is quick enough", async () => {
    const call = activity("call", { startToClose: "30s" }, async () => {
      await t.delay(29_999);
      return "just so";
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    expect(await t.result(await t.client.start(caller))).toBe("just so");
  });
});

describe("schedule-to-start", () => {
  it("ends an activity that nobody can run", async () => {
    // I-39: fires when no worker exists
    const call = activity("unheard-of", { scheduleToStart: "10m" }, forever);
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller] });
    const run = await t.client.start(caller);
    await t.skip(599_999);
    const { pendingActivities } = await run.describe();
    expect(pendingActivities).toMatchObject([{ activityType: "unheard-of", attempt: 0, state: "no worker" }]);
    await t.skip(1);
    expect(rootOf(await errorOf(run.result()))).toMatchObject({ timeout: "schedule-to-start" });
    expect(await typesOf(run)).toEqual([
      "WorkflowStarted",
      "ActivityScheduled",
      "ActivityTimedOut",
      "WorkflowFailed",
    ]);
  });

  it("ends one that waits for a slot for too long, and lets the next in line have it", async () => {
    const call = activity("call", { scheduleToStart: "1m" }, async (seconds: number) => {
      await t.delay(seconds * 1_000);
      return seconds;
    });
    const caller = workflow("caller", (seconds: number) => call(seconds));
    const patient = workflow("patient", (seconds: number) => call(seconds, { scheduleToStart: "1h" }));
    await using t = await TestEngine.open({
      workflows: [caller, patient],
      activities: [call],
      activityConcurrency: 1,
    });
    const first = await t.client.start(caller, 90);
    const second = await t.client.start(caller, 1);
    const third = await t.client.start(patient, 2);
    expect(rootOf(await errorOf(t.result(second)))).toMatchObject({ timeout: "schedule-to-start" });
    expect(await t.result(first)).toBe(90);
    expect(await t.result(third)).toBe(2);
    expect(t.calls("call").map((attempt) => attempt.input)).toEqual([90, 2]);
  });

  it("holds for the wait before the first attempt, not for backoffs", async () => {
    const retry = { maxAttempts: 2, initialDelay: "1h", jitter: 0 };
    const call = activity("call", { retry, scheduleToStart: "1m" }, async (_input: undefined, task) => {
      if (task.attempt === 1) throw new Error("not yet");
      return "done";
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    expect(await t.result(await t.client.start(caller))).toBe("done");
  });

  it("survives a crash with the instant it had", async () => {
    const call = activity("unheard-of", { scheduleToStart: "10m" }, forever);
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller] });
    const startedAt = t.now();
    const run = await t.client.start(caller);
    for (let crash = 0; crash < 3; crash++) {
      await t.skip("3m");
      await t.crash();
    }
    await errorOf(t.result(run));
    expect(t.now() - startedAt).toBe(600_000);
  });
});

describe("schedule-to-close", () => {
  it("ends the running attempt, whatever attempts remain", async () => {
    const retry = { maxAttempts: 10, backoff: "fixed", initialDelay: "10s", jitter: 0 } as const;
    const call = activity("call", { retry, startToClose: "20s", scheduleToClose: "70s" }, forever);
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const startedAt = t.now();
    const error = await errorOf(t.result(await t.client.start(caller)));
    expect(rootOf(error)).toMatchObject({ timeout: "schedule-to-close" });
    expect(error).toMatchObject({ attempt: 3 });
    expect(t.now() - startedAt).toBe(70_000);
  });

  it("ends an activity at once when the next backoff would pass it", async () => {
    const retry = { maxAttempts: 10, backoff: "fixed", initialDelay: "1h", jitter: 0 } as const;
    const call = activity("call", { retry, scheduleToClose: "30m" }, async () => {
      throw new Error("down");
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const startedAt = t.now();
    expect(rootOf(await errorOf(t.result(await t.client.start(caller))))).toMatchObject({ message: "down" });
    expect(t.now()).toBe(startedAt);
  });

  it("fires for an activity that nobody can run, and for one that a crash cut off", async () => {
    const call = activity("call", { scheduleToClose: "10m" }, forever);
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const startedAt = t.now();
    const run = await t.client.start(caller);
    await t.skip("4m");
    await t.crash({ activities: [] });
    await t.skip("1m");
    expect((await run.describe()).pendingActivities).toMatchObject([{ attempt: 1, state: "no worker" }]);
    expect(rootOf(await errorOf(t.result(run)))).toMatchObject({ timeout: "schedule-to-close" });
    expect(t.now() - startedAt).toBe(600_000);
  });

  it("holds on across a crash for an attempt that is under way again", async () => {
    const call = activity("call", { scheduleToClose: "10m" }, forever);
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const startedAt = t.now();
    const run = await t.client.start(caller);
    await t.skip("9m");
    await t.crash();
    expect(t.activitiesInFlight).toBe(1);
    await errorOf(t.result(run));
    expect(t.now() - startedAt).toBe(600_000);
    expect(t.calls("call").map((attempt) => attempt.attempt)).toEqual([1, 2]);
  });
});

describe("a heartbeat", () => {
  const retry = { maxAttempts: 3, backoff: "fixed", initialDelay: "1s", jitter: 0 } as const;

  it("that stays out ends the attempt, that long after the last one", async () => {
    // I-14: missing beats end the attempt in bounded time; I-13
    const call = activity("call", { heartbeat: "10s" }, async (_input: undefined, task) => {
      for (let beat = 0; beat < 5; beat++) {
        await t.delay("9s");
        task.heartbeat();
      }
      return forever();
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const startedAt = t.now();
    expect(rootOf(await errorOf(t.result(await t.client.start(caller))))).toMatchObject({
      timeout: "heartbeat",
    });
    expect(t.now() - startedAt).toBe(55_000);
  });

  it("keeps the attempt alive for as long as it comes", async () => {
    const call = activity("call", { heartbeat: "10s" }, async (_input: undefined, task) => {
      for (let beat = 0; beat < 100; beat++) {
        await t.delay("9s");
        task.heartbeat();
      }
      return "alive";
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    expect(await t.result(await t.client.start(caller))).toBe("alive");
  });

  it("leaves its details to the next attempt, whether this one failed, timed out or fell silent", async () => {
    // I-14: heartbeat details reach the next attempt
    const seen: unknown[] = [];
    const call = activity(
      "call",
      { retry: { ...retry, maxAttempts: 5 }, heartbeat: "10s", startToClose: "1m" },
      async (_input: undefined, task) => {
        seen.push(task.lastHeartbeat);
        task.heartbeat({ done: task.attempt });
        if (task.attempt === 1) throw new Error("failed");
        if (task.attempt === 2) return forever();
        if (task.attempt === 3) {
          for (;;) {
            await t.delay("5s");
            task.heartbeat({ done: "while it was slow" });
          }
        }
        return "done";
      },
    );
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const run = await t.client.start(caller);
    expect(await t.result(run)).toBe("done");
    expect(seen).toEqual([undefined, { done: 1 }, { done: 2 }, { done: "while it was slow" }]);
    expect((await eventsOfType(run, "ActivityTimedOut")).map((event) => event.timeout)).toEqual([
      "heartbeat",
      "start-to-close",
    ]);
  });

  it("leaves its details to the attempts after a crash, also when the one in between gave none", async () => {
    // I-14
    const seen: unknown[] = [];
    const call = activity("call", { retry }, async (_input: undefined, task) => {
      seen.push(task.lastHeartbeat);
      if (task.attempt === 1) task.heartbeat({ row: 1_000 });
      if (task.attempt === 4) return "done";
      return forever();
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const run = await t.client.start(caller);
    await t.skip("2s");
    for (let crash = 0; crash < 3; crash++) {
      await t.crash();
      await t.skip("2s");
    }
    expect(await t.result(run)).toBe("done");
    expect(seen).toEqual([undefined, { row: 1_000 }, { row: 1_000 }, { row: 1_000 }]);
  });

  it("of an attempt that failed is not replaced by an older one after a crash", async () => {
    // I-14
    const seen: unknown[] = [];
    const call = activity(
      "call",
      { retry: { ...retry, initialDelay: "1h" } },
      async (_input: undefined, task) => {
        seen.push(task.lastHeartbeat);
        task.heartbeat("first");
        await t.delay("2s");
        task.heartbeat("second");
        if (task.attempt === 1) throw new Error("failed");
      },
    );
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const run = await t.client.start(caller);
    await t.skip("10s");
    await t.crash();
    await t.result(run);
    expect(seen).toEqual([undefined, "second"]);
  });
});

describe("what comes too late", () => {
  it("after a time-out, a completion changes nothing, and the next attempt's result counts", async () => {
    // I-12
    const retry = { maxAttempts: 2, backoff: "fixed", initialDelay: "1m", jitter: 0 } as const;
    const call = activity("call", { retry, startToClose: "10s" }, async (_input: undefined, task) => {
      await t.delay(task.attempt === 1 ? "15s" : "5s");
      return `attempt ${task.attempt}`;
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const run = await t.client.start(caller);
    await t.skip("10s");
    const before = await eventsOf(run);
    await t.skip("10s");
    expect(t.calls("call")[0]?.outcome).toEqual({ ok: true, value: "attempt 1" });
    expect(await eventsOf(run)).toEqual(before);
    expect(await t.result(run)).toBe("attempt 2");
  });

  it("while a newer attempt runs, a completion of the older one does not end it", async () => {
    // I-12
    const retry = { maxAttempts: 2, initialDelay: 0, jitter: 0 };
    const call = activity("call", { retry, startToClose: "10s" }, async (_input: undefined, task) => {
      await t.delay(task.attempt === 1 ? "12s" : "8s");
      return `attempt ${task.attempt}`;
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    expect(await t.result(await t.client.start(caller))).toBe("attempt 2");
    const [first, second] = t.calls("call");
    expect(first?.outcome).toEqual({ ok: true, value: "attempt 1" });
    expect(second?.outcome).toEqual({ ok: true, value: "attempt 2" });
  });

  it.each(["terminate", "run time-out", "completion"] as const)(
    "after the %s of its run changes nothing",
    async (end) => {
      // I-12
      const call = activity("call", async () => {
        await t.delay("1h");
        return "late";
      });
      const caller = workflow("caller", async () => {
        const called = call(undefined);
        if (end === "completion") {
          called.catch(() => undefined);
          await sleep("1m");
          return "early";
        }
        return called;
      });
      await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
      const run = await t.client.start(caller, undefined, end === "run time-out" ? { runTimeout: "1m" } : {});
      await t.skip("1m");
      if (end === "terminate") await run.terminate();
      await t.settle();
      const before = await eventsOf(run);
      expect(before.at(-1)?.type).toMatch(/^Workflow(Completed|Terminated|TimedOut)$/);
      expect(t.activitiesInFlight).toBe(0);
      await t.skip("2h");
      expect(t.calls("call")[0]?.outcome).toEqual({ ok: true, value: "late" });
      expect(await eventsOf(run)).toEqual(before);
    },
  );

  it("a heartbeat of an attempt that is over is not taken for one of the next", async () => {
    // I-12
    const retry = { maxAttempts: 3, initialDelay: 0, jitter: 0 };
    const seen: unknown[] = [];
    const call = activity("call", { retry, startToClose: "10s" }, async (_input: undefined, task) => {
      seen.push(task.lastHeartbeat);
      if (task.attempt === 1) {
        await t.delay("12s");
        task.heartbeat("from the dead");
      }
      if (task.attempt < 3) return forever();
      return "done";
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    expect(await t.result(await t.client.start(caller))).toBe("done");
    expect(seen).toEqual([undefined, undefined, undefined]);
  });
});
