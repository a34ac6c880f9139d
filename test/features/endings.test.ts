import type { RunHandle } from "aion/client";
import { TestEngine } from "aion/testing";
import { TerminatedFailure, TimeoutFailure, activity, receive, signal, sleep, workflow } from "aion/workflow";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { errorOf, eventsOf, rootOf, typesOf } from "./run-history.ts";

const go = signal("go");
const terminal = /^Workflow(Completed|Failed|Cancelled|Terminated|TimedOut|ContinuedAsNew)$/;

const waiter = workflow("waiter", async () => {
  await receive(go);
  return "gone";
});

describe("a run time-out", () => {
  it("ends a run at its instant, with no engine code of its own awake", async () => {
    // I-39
    await using t = await TestEngine.open({ workflows: [waiter] });
    const startedAt = t.now();
    const run = await t.client.start(waiter, undefined, { runTimeout: "3 days" });
    await t.skip(3 * 86_400_000 - 1);
    expect((await run.describe()).status).toBe("running");
    const error = await errorOf(t.result(run));
    expect(error).toBeInstanceOf(TimeoutFailure);
    expect(error).toMatchObject({ timeout: "run" });
    expect(t.now() - startedAt).toBe(3 * 86_400_000);
  });

  it("fires for a run whose activity nobody can run, and for one that a crash left", async () => {
    // I-39: when no worker exists
    const lost = activity("unheard-of", async () => "never");
    const caller = workflow("caller", () => lost(undefined));
    await using t = await TestEngine.open({ workflows: [caller] });
    const startedAt = t.now();
    const run = await t.client.start(caller, undefined, { runTimeout: "2h" });
    await t.skip("1h");
    await t.crash();
    expect(await errorOf(t.result(run))).toMatchObject({ timeout: "run" });
    expect(t.now() - startedAt).toBe(2 * 3_600_000);
  });

  it("fires when the engine is there again, if it was due while none was", async () => {
    // I-39
    await using t = await TestEngine.open({ workflows: [waiter] });
    const run = await t.client.start(waiter, undefined, { runTimeout: "1h" });
    t.jumpClock(86_400_000);
    await t.crash();
    await t.settle();
    expect((await run.describe()).status).toBe("timed-out");
  });

  it("fires for a run that is held because its code is not there", async () => {
    // I-39
    await using t = await TestEngine.open({ workflows: [waiter] });
    const startedAt = t.now();
    const run = await t.client.start(waiter, undefined, {
      id: "r",
      runTimeout: "2h",
      executionTimeout: "1h",
    });
    const later = await t.client.start(waiter, undefined, { id: "later", runTimeout: "3h" });
    await t.crash({ workflows: [] });
    await run.signal(go);
    await later.signal(go);
    expect((await run.describe()).blocked).toContain("workflow_type_unknown");
    await t.skip(3_600_000 - 1);
    await t.crash();
    expect((await run.describe()).status).toBe("running");
    await t.skip(1);
    const { status, closedAt, blocked } = await run.describe();
    expect({ status, closedAt, blocked }).toEqual({
      status: "timed-out",
      closedAt: startedAt + 3_600_000,
      blocked: undefined,
    });
    t.jumpClock(86_400_000);
    await t.crash({ workflows: [waiter] });
    expect(await errorOf(t.result(later))).toMatchObject({ timeout: "run" });
  });

  it("begins when the start delay is over", async () => {
    await using t = await TestEngine.open({ workflows: [waiter] });
    const startedAt = t.now();
    const run = await t.client.start(waiter, undefined, { startDelay: "1h", runTimeout: "1h" });
    await errorOf(t.result(run));
    expect(t.now() - startedAt).toBe(2 * 3_600_000);
  });

  it("does not fire for a run that ended in time", async () => {
    await using t = await TestEngine.open({ workflows: [waiter] });
    const run = await t.client.start(waiter, undefined, { runTimeout: "1h", executionTimeout: "2h" });
    await run.signal(go);
    await t.skip("3h");
    expect(await t.result(run)).toBe("gone");
  });

  it("comes before what else is due at the same instant, also after an outage", async () => {
    const sleeper = workflow("sleeper", async () => {
      await sleep("1h");
      return "slept";
    });
    await using t = await TestEngine.open({ workflows: [sleeper] });
    const run = await t.client.start(sleeper, undefined, { runTimeout: "90m" });
    await t.settle();
    t.jumpClock(86_400_000);
    await t.crash();
    await t.settle();
    expect((await run.describe()).status).toBe("timed-out");
  });
});

describe("terminating a run", () => {
  it("ends it at once, whatever its code would say", async () => {
    const stubborn = workflow("stubborn", async () => {
      for (;;) await receive(go).catch(() => undefined);
    });
    await using t = await TestEngine.open({ workflows: [stubborn] });
    const run = await t.client.start(stubborn);
    await t.settle();
    await run.terminate("enough");
    const error = await errorOf(run.result());
    expect(error).toBeInstanceOf(TerminatedFailure);
    expect(String(error)).toContain("enough");
    expect(await typesOf(run)).toEqual(["WorkflowStarted", "WorkflowTerminated"]);
  });

  it("works on a run that sleeps in the store, and on one whose code is not there", async () => {
    await using t = await TestEngine.open({ workflows: [waiter], residentMax: 1 });
    const runs = await Promise.all([1, 2, 3].map(() => t.client.start(waiter)));
    await t.settle();
    await runs[0]?.terminate();
    await t.crash({ workflows: [] });
    await runs[1]?.terminate();
    await t.settle();
    expect(await t.client.count({ status: "terminated" })).toBe(2);
    await t.crash({ workflows: [waiter] });
    await runs[2]?.signal(go);
    const last = runs[2];
    if (last !== undefined) expect(await t.result(last)).toBe("gone");
  });

  it("of a run that has ended says so", async () => {
    await using t = await TestEngine.open({ workflows: [waiter] });
    const run = await t.client.start(waiter);
    await run.signal(go);
    await t.result(run);
    expect(await errorOf(run.terminate())).toMatchObject({ code: "run_closed" });
    expect(await errorOf(run.cancel())).toMatchObject({ code: "run_closed" });
  });
});

describe("a race between two ends of a run", () => {
  type End = (run: RunHandle, t: TestEngine) => Promise<unknown>;
  const ends: Readonly<Record<string, End>> = {
    complete: (run) => run.signal(go),
    cancel: (run) => run.cancel(),
    terminate: (run) => run.terminate(),
    "terminate again": (run) => run.terminate(),
    "time out": (_run, t) => t.skip("1h"),
  };
  const pairs = Object.keys(ends).flatMap((first) =>
    Object.keys(ends).flatMap((second) => (first === second ? [] : [[first, second] as const])),
  );

  it.each(pairs)(
    "%s against %s leaves one end, and each caller knows where it stands",
    async (first, second) => {
      // I-37
      for (const residency of ["resident", "dormant"] as const) {
        for (let ticks = 0; ticks < 30; ticks += 3) {
          await using t = await TestEngine.open({ workflows: [waiter] });
          const run = await t.client.start(waiter, undefined, { id: "r", runTimeout: "1h" });
          await t.settle();
          if (residency === "dormant") await t.crash();
          const calls = [first, second].map(async (name, index) => {
            for (let tick = 0; tick < index * ticks; tick++) await Promise.resolve();
            await ends[name]?.(run, t);
          });
          const outcomes = await Promise.allSettled(calls);
          await errorOf(t.result(run).then(() => Promise.reject(new Error("completed"))));
          await t.skip("2h");
          const types = await typesOf(run);
          expect(types.filter((type) => terminal.test(type))).toHaveLength(1);
          expect(types.at(-1)).toMatch(terminal);
          for (const outcome of outcomes) {
            if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "run_closed" });
          }
          expect(outcomes.some((outcome) => outcome.status === "fulfilled")).toBe(true);
        }
      }
    },
  );
});

describe("what a run ends with", () => {
  it("is checked against its schema, and fails the run if it does not fit", async () => {
    const liar = workflow("liar", { output: z.object({ n: z.number() }) }, async () => {
      await sleep("1s");
      return JSON.parse('{"n":"one"}') as { readonly n: number };
    });
    await using t = await TestEngine.open({ workflows: [liar] });
    expect(await errorOf(t.result(await t.client.start(liar)))).toMatchObject({
      kind: "engine",
      code: "payload_invalid",
    });
  });

  it("must be JSON and not too large", async () => {
    const big = workflow("big", async (size: number) => "x".repeat(size));
    const odd = workflow("odd", async () => 1n);
    await using t = await TestEngine.open({ workflows: [big, odd], payloadLimitBytes: 1_000 });
    expect(await t.result(await t.client.start(big, 900))).toHaveLength(900);
    expect(await errorOf(t.result(await t.client.start(big, 1_100)))).toMatchObject({
      code: "payload_too_large",
    });
    expect(await errorOf(t.result(await t.client.start(odd)))).toMatchObject({
      code: "payload_not_serializable",
    });
  });

  it("may be anything thrown", async () => {
    const thrower = workflow("thrower", async (what: string): Promise<void> => {
      // oxlint-disable-next-line typescript/only-throw-error -- the subject
      if (what === "text") throw "just text";
      // oxlint-disable-next-line typescript/only-throw-error -- the subject
      if (what === "nothing") throw undefined;
      throw new RangeError("too far", { cause: new Error("too fast") });
    });
    await using t = await TestEngine.open({ workflows: [thrower] });
    expect(await errorOf(t.result(await t.client.start(thrower, "text")))).toMatchObject({
      message: "just text",
    });
    expect(await errorOf(t.result(await t.client.start(thrower, "nothing")))).toMatchObject({
      kind: "application",
    });
    const error = await errorOf(t.result(await t.client.start(thrower, "range")));
    expect(error).toMatchObject({ type: "RangeError", message: "too far" });
    expect(rootOf(error)).toMatchObject({ message: "too fast" });
  });

  it("is the last event of its history, whatever is still open", async () => {
    // I-37
    const leaver = workflow("leaver", async () => {
      sleep("1h").catch(() => undefined);
      receive(go).catch(() => undefined);
      return "left";
    });
    await using t = await TestEngine.open({ workflows: [leaver] });
    const run = await t.client.start(leaver);
    expect(await t.result(run)).toBe("left");
    await t.skip("2h");
    expect((await eventsOf(run)).at(-1)?.type).toBe("WorkflowCompleted");
  });
});
