import { AionError, Engine } from "aion";
import { TestEngine } from "aion/testing";
import {
  activity,
  child,
  continueAsNew,
  info,
  receive,
  scope,
  signal,
  signalWorkflow,
  sleep,
  workflow,
} from "aion/workflow";
import { describe, expect, it } from "vitest";
import { openMemoryStore } from "../../src/store/memory.ts";
import { overStore } from "../recovery/over-store.ts";
import { errorOf, eventsOf, eventsOfType, rootOf, typesOf } from "./run-history.ts";

const go = signal<number>("go");
const note = activity("note", async (value: number) => value);

/** Notes as many as it is told to, one after the other, and then waits. */
const sequence = workflow("sequence", async (count: number) => {
  for (let value = 0; value < count; value++) await note(value);
  return await receive(go);
});

/** Waits, and then asks for many things at once. */
const wide = workflow("wide", async (what: "activities" | "timers" | "children" | "sends") => {
  const count = await receive(go);
  const each = Array.from({ length: count }, (_, index) => index);
  switch (what) {
    case "activities":
      return await Promise.all(each.map((index) => note(index)));
    case "timers":
      return await Promise.all(each.map((index) => sleep(1_000 + index)));
    case "children":
      return await Promise.all(each.map((index) => child(leaf, index)));
    case "sends":
      return await Promise.all(each.map((index) => signalWorkflow("target", go, index)));
  }
});
const leaf = workflow("leaf", async (value: number) => value);
const target = workflow("target", async () => {
  await sleep("1 day");
  let sum = 0;
  for (let count = 0; count < 3; count++) sum += await receive(go);
  return sum;
});

describe("a history that gets long", () => {
  const chatty = workflow("chatty", async (rounds: number) => {
    const told: boolean[] = [];
    for (let round = 0; round < rounds; round++) {
      await sleep("1s");
      told.push(info().continueAsNewSuggested);
    }
    return told;
  });

  it("tells its code to continue as new, and the same on replay under an engine with other limits", async () => {
    // I-57
    const limits = { historyEventsWarn: 6 };
    await using t = await TestEngine.open({ workflows: [chatty], limits });
    const run = await t.client.start(chatty, 5);
    await t.skip("3s");
    await t.crash({ limits: { historyEventsWarn: 3 } });
    // Start, then two events for each round: after the third there are six before the fourth timer.
    expect(await t.result(run)).toEqual([false, false, true, true, true]);
    const [started] = await eventsOfType(run, "WorkflowStarted");
    expect(started?.longHistory).toEqual({ events: 6, bytes: 10 * 1024 * 1024 });
    const other = await t.client.start(chatty, 3);
    expect(await t.result(other)).toEqual([true, true, true]);
  });

  it("is told by its bytes, too", async () => {
    await using t = await TestEngine.open({
      workflows: [sequence],
      activities: [note],
      limits: { historyBytesWarn: 2_000 },
    });
    const run = await t.client.start(sequence, 1);
    await t.settle();
    expect((await run.describe()).historySize).toMatchObject({ isLong: false });
    await run.signal("other", "x".repeat(2_000));
    const { historySize } = await run.describe();
    expect(historySize).toMatchObject({ isLong: true, eventsMax: 50_000, waitingSignals: 1 });
    expect(historySize.bytes).toBeGreaterThan(2_000);
    expect(historySize.bytes).toBeLessThan(4_000);
  });

  it("warns once, and not again after a crash", async () => {
    await using t = await TestEngine.open({ workflows: [chatty], limits: { historyEventsWarn: 4 } });
    const run = await t.client.start(chatty, 8);
    await t.skip("4s");
    await t.crash();
    await t.result(run);
    const warnings = t.logs.filter(({ message }) => message.includes("had better continue as new"));
    expect(warnings).toMatchObject([
      { level: "warn", fields: { workflowId: run.workflowId, events: 4, eventsMax: 50_000 } },
    ]);
  });

  it("is begun anew by code that does as it is told", async () => {
    const counting = workflow("counting", async (sum: number): Promise<number> => {
      for (let now = sum; now < 10; now++) {
        if (info().continueAsNewSuggested) continueAsNew(now);
        await sleep("1s");
      }
      return 10;
    });
    await using t = await TestEngine.open({ workflows: [counting], limits: { historyEventsWarn: 6 } });
    const run = await t.client.start(counting, 0);
    expect(await t.result(run)).toBe(10);
    const { runs } = await run.describe();
    expect(runs.length).toBe(4);
    expect(Math.max(...runs.map(({ historyLength }) => historyLength))).toBeLessThan(9);
  });

  it("records nothing of it where nothing was set", async () => {
    await using t = await TestEngine.open({ workflows: [chatty] });
    const run = await t.client.start(chatty, 1);
    expect(await t.result(run)).toEqual([false]);
    expect((await eventsOfType(run, "WorkflowStarted"))[0]).not.toHaveProperty("longHistory");
  });
});

describe("a history at its limit", () => {
  const open = (onRunLimit: "block" | "fail", limits = { historyEventsMax: 20 }) =>
    TestEngine.open({ workflows: [sequence, parent], activities: [note], limits, onRunLimit });
  const parent = workflow(
    "parent",
    async (count: number) => await child(sequence, count, { id: "the-child" }),
  );

  it("holds its run, which goes on under a larger limit with all that was sent to it meanwhile", async () => {
    // I-22, I-57
    await using t = await open("block");
    const run = await t.client.start(sequence, 10);
    await t.settle();
    const before = await eventsOf(run);
    expect((await run.describe()).blocked).toContain("run_limit: ");
    expect((await run.describe()).blocked).toContain("historyEventsMax");
    expect(before.length).toBeGreaterThan(20);
    expect(before.length).toBeLessThan(25);
    await run.signal(go, 7);
    await t.crash();
    expect(await eventsOf(run)).toEqual(before);
    await t.crash({ limits: { historyEventsMax: 100 } });
    expect(await t.result(run)).toBe(7);
    expect((await eventsOf(run)).slice(0, before.length)).toEqual(before);
  });

  it("is not said to hold its run that goes on, though the store refused to take that back", async () => {
    // I-57
    const inner = openMemoryStore();
    let refusedCount = 0;
    const store = overStore(inner, {
      append: async (token, commits) => {
        if (commits.some(({ run }) => run?.blocked === null && run.events.length === 0)) {
          refusedCount += 1;
          throw new AionError("store_unavailable", "the store is busy");
        }
        return await inner.append(token, commits);
      },
    });
    const limits = { historyEventsMax: 20 };
    await using t = await TestEngine.open({ workflows: [sequence], activities: [note], limits, store });
    const run = await t.client.start(sequence, 10);
    await t.settle();
    expect((await run.describe()).blocked).toContain("run_limit: ");
    await t.crash({ limits: { historyEventsMax: 100 } });
    await t.settle();
    expect(refusedCount).toBeGreaterThan(0);
    expect((await run.describe()).status).toBe("running");
    expect((await run.describe()).blocked).toBeUndefined();
    await run.signal(go, 7);
    expect(await t.result(run)).toBe(7);
  });

  it("holds it by its bytes, and lets it be terminated", async () => {
    // I-57
    await using t = await TestEngine.open({
      workflows: [sequence],
      activities: [note],
      limits: { historyBytesMax: 1_000 },
    });
    const run = await t.client.start(sequence, 100);
    await t.settle();
    expect((await run.describe()).blocked).toContain("historyBytesMax");
    await t.crash();
    expect((await run.describe()).blocked).toContain("historyBytesMax");
    await run.terminate("it is too long");
    expect(await run.describe()).toMatchObject({ status: "terminated" });
  });

  it("fails it, if that is the policy, and its parent hears", async () => {
    await using t = await open("fail");
    const run = await t.client.start(parent, 10);
    const error = await errorOf(t.result(run));
    expect(rootOf(error)).toMatchObject({ message: expect.stringContaining("historyEventsMax") as string });
    const last = (await eventsOf(t.client.get("the-child"))).at(-1);
    expect(last).toMatchObject({ type: "WorkflowFailed", failure: { kind: "engine", type: "run_limit" } });
  });

  it("fails one that was held, when it is read by an engine that fails them", async () => {
    const store = openMemoryStore();
    const options = { store, workflows: [sequence], activities: [note], limits: { historyEventsMax: 20 } };
    const first = await TestEngine.open(options);
    const { workflowId } = await first.client.start(sequence, 10);
    await first.settle();
    expect((await first.client.get(workflowId).describe()).blocked).toContain("run_limit");
    await first.close({ checkReplay: false });
    await using second = await TestEngine.open({ ...options, onRunLimit: "fail" });
    await second.settle();
    expect(await second.client.get(workflowId).describe()).toMatchObject({
      status: "failed",
      failure: { type: "run_limit" },
    });
  });
});

describe("a schedule", () => {
  // I-32, I-57
  it.each(["block", "fail"] as const)(
    "starts its times for ever under limits that its own history is longer than (%s)",
    async (onRunLimit) => {
      const limits = { historyEventsMax: 20, historyBytesMax: 2_000 };
      await using t = await TestEngine.open({ workflows: [leaf], limits, onRunLimit });
      const schedule = await t.client.schedules.create("s", leaf, 1, { every: "1m" });
      await t.skip("1h");
      await t.crash();
      await t.skip("1h");
      expect(await schedule.describe()).toMatchObject({ state: "active", startedCount: 120 });
      await schedule.delete();
    },
  );
});

describe("what is pending in a run", () => {
  const cases = [
    { what: "activities", limit: "pendingActivitiesMax" },
    { what: "timers", limit: "pendingTimersMax" },
    { what: "children", limit: "pendingChildrenMax" },
    { what: "sends", limit: "pendingSendsMax" },
    { what: "timers", limit: "activationCommandsMax" },
  ] as const;

  it.each(cases)("holds it beyond $limit, and what it learned is not lost", async ({ what, limit }) => {
    // I-57
    await using t = await TestEngine.open({
      workflows: [wide, leaf, target],
      activities: [note],
      limits: { [limit]: 3 },
    });
    await t.client.start(target, undefined, { id: "target" });
    const fine = await t.client.start(wide, what);
    await fine.signal(go, 3);
    expect(await t.result(fine)).toHaveLength(3);
    const run = await t.client.start(wide, what);
    await run.signal(go, 4);
    await t.settle();
    expect((await run.describe()).blocked).toContain(limit);
    // The signal is there, and nothing that it led to.
    expect(await typesOf(run)).toEqual(["WorkflowStarted", "SignalReceived"]);
    await t.crash();
    expect((await run.describe()).blocked).toContain(limit);
    await t.crash({ limits: { [limit]: 4 } });
    expect(await t.result(run)).toHaveLength(4);
  });

  // I-41, I-57, I-58
  it.each(["block", "fail"] as const)(
    "ends without its code being told of more, if it came by that after a pause, and it replays (%s)",
    async (onRunLimit) => {
      const limits = { pendingActivitiesMax: 1 };
      await using t = await TestEngine.open({ workflows: [wide], activities: [note], limits, onRunLimit });
      const run = await t.client.start(wide, "activities");
      await t.settle();
      await run.pause();
      await run.signal(go, 2);
      await run.signal(go, 3);
      await run.resume();
      await t.settle();
      if (onRunLimit === "block") {
        expect((await run.describe()).blocked).toContain("pendingActivitiesMax");
        await run.terminate();
      }
      const types = await typesOf(run);
      expect(types.slice(types.indexOf("WorkflowResumed"))).toEqual([
        "WorkflowResumed",
        "InputDelivered",
        onRunLimit === "block" ? "WorkflowTerminated" : "WorkflowFailed",
      ]);
    },
  );

  it("fails it, if that is the policy, and it replays", async () => {
    await using t = await TestEngine.open({
      workflows: [wide],
      activities: [note],
      limits: { pendingActivitiesMax: 3 },
      onRunLimit: "fail",
    });
    const run = await t.client.start(wide, "activities");
    await run.signal(go, 4);
    expect(await errorOf(t.result(run))).toMatchObject({ code: "run_limit" });
    expect(await typesOf(run)).toEqual(["WorkflowStarted", "SignalReceived", "WorkflowFailed"]);
    expect(await t.checkReplay()).toBe(1);
  });

  it("counts no timer that was called off", async () => {
    const patient = workflow("patient", async () => {
      for (let round = 0; round < 10; round++) await scope(() => undefined, { timeout: "1h" });
      return "done";
    });
    await using t = await TestEngine.open({ workflows: [patient], limits: { pendingTimersMax: 1 } });
    expect(await t.result(await t.client.start(patient))).toBe("done");
  });
});

describe("signals that nobody receives", () => {
  it("are refused beyond the limit by a code, and those that were taken are received", async () => {
    // I-22
    const limits = { waitingSignalsMax: 3 };
    await using t = await TestEngine.open({ workflows: [target], limits });
    const run = await t.client.start(target);
    for (const value of [1, 2, 3]) await run.signal(go, value, { signalId: `s${value}` });
    const refusal = { code: "signals_full", details: { limit: "waitingSignalsMax", max: 3, count: 3 } };
    expect(await errorOf(run.signal(go, 4))).toMatchObject(refusal);
    // One that is there is no other one.
    await run.signal(go, 3, { signalId: "s3" });
    await t.crash();
    expect(await errorOf(run.signal(go, 4))).toMatchObject(refusal);
    expect((await run.describe()).historySize.waitingSignals).toBe(3);
    expect(await t.result(run)).toBe(6);
    expect(await eventsOfType(run, "SignalReceived")).toHaveLength(3);
  });

  it("there is room again when the code has received some", async () => {
    const taker = workflow("taker", async () => {
      await sleep("1h");
      await receive(go);
      await sleep("1h");
      return (await receive(go)) + (await receive(go));
    });
    await using t = await TestEngine.open({ workflows: [taker], limits: { waitingSignalsMax: 2 } });
    const run = await t.client.start(taker);
    await run.signal(go, 1);
    await run.signal(go, 2);
    expect(await errorOf(run.signal(go, 3))).toMatchObject({ code: "signals_full" });
    await t.skip("1h");
    await run.signal(go, 3);
    expect(await t.result(run)).toBe(5);
  });

  it("count while the run is paused, too", async () => {
    await using t = await TestEngine.open({ workflows: [target], limits: { waitingSignalsMax: 3 } });
    const run = await t.client.start(target);
    await run.signal(go, 1);
    await run.pause();
    for (const value of [2, 3]) await run.signal(go, value);
    expect(await errorOf(run.signal(go, 4))).toMatchObject({ code: "signals_full" });
    await run.resume();
    expect(await t.result(run)).toBe(6);
  });

  it("from another workflow are refused to it, and it goes on", async () => {
    const sender = workflow("sender", async () => {
      await signalWorkflow("target", go, 1);
      try {
        await signalWorkflow("target", go, 2);
        return "taken";
      } catch (error) {
        return String(error);
      }
    });
    await using t = await TestEngine.open({
      workflows: [target, sender],
      limits: { waitingSignalsMax: 1 },
    });
    await t.client.start(target, undefined, { id: "target" });
    expect(await t.result(await t.client.start(sender))).toContain("may have 1");
  });

  it("are refused when as many wait on disk for a run that is held", async () => {
    await using t = await TestEngine.open({
      workflows: [sequence],
      activities: [note],
      limits: { historyEventsMax: 5, waitingSignalsMax: 2 },
    });
    const run = await t.client.start(sequence, 5);
    await t.settle();
    await run.signal(go, 1);
    await run.signal(go, 2);
    expect(await errorOf(run.signal(go, 3))).toMatchObject({ code: "signals_full" });
    await t.crash();
    expect(await errorOf(run.signal(go, 3))).toMatchObject({ code: "signals_full" });
    await run.cancel();
    await t.crash({ limits: { waitingSignalsMax: 2 } });
    expect(await eventsOfType(run, "SignalReceived")).toHaveLength(2);
  });
});

describe("limits that are none", () => {
  it.each([{ historyEventsMax: 0 }, { pendingTimersMax: 1.5 }, { waitingSignalsMax: "9" }, { events: 3 }])(
    "are refused: %j",
    async (limits) => {
      const error = await errorOf(Engine.open({ store: "memory:", limits: limits as object }));
      expect(error).toMatchObject({ code: "invalid_argument" });
    },
  );
});
