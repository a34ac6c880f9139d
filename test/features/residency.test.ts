import { TestEngine } from "aion/testing";
import {
  activity,
  child,
  continueAsNew,
  expose,
  query,
  receive,
  signal,
  signalWorkflow,
  sleep,
  step,
  waitUntil,
  workflow,
} from "aion/workflow";
import { describe, expect, it } from "vitest";
import { errorOf } from "./run-history.ts";

const add = signal<number>("add");
const done = signal("done");
const sum = query<number>("sum");

const adder = workflow("adder", async () => {
  let total = 0;
  expose(sum, () => total);
  expose(add, (n) => {
    total += n;
  });
  await receive(done);
  return total;
});

describe("an engine that keeps one run in memory", () => {
  it("serves a hundred of them, in any order, with signals, queries and timers", async () => {
    await using t = await TestEngine.open({ workflows: [adder], residentMax: 1 });
    const runs = await Promise.all(Array.from({ length: 100 }, () => t.client.start(adder)));
    for (let round = 1; round <= 3; round++) {
      await Promise.all(runs.map((run, index) => run.signal(add, index)));
      for (const [index, run] of runs.entries()) expect(await run.query(sum)).toBe(index * round);
      await t.settle();
      expect(t.residents.length).toBeLessThanOrEqual(2);
    }
    await Promise.all(runs.map((run) => run.signal(done)));
    for (const [index, run] of runs.entries()) expect(await t.result(run)).toBe(index * 3);
  });

  it("runs everything there is, mixed", async () => {
    const double = activity("double", async (n: number) => {
      await t.delay("1s");
      return n * 2;
    });
    const leaf = workflow("leaf", async (n: number): Promise<number> => {
      await sleep("1m");
      if (n > 0) continueAsNew(n - 1);
      return step("plus", () => n + 1);
    });
    const mixed = workflow("mixed", async (n: number) => {
      let hasHeard = false;
      expose(add, () => {
        hasHeard = true;
      });
      const [doubled, one] = await Promise.all([double(n), child(leaf, 2)]);
      await signalWorkflow("hub", add, doubled + one);
      const isInTime = await waitUntil(() => hasHeard, "1h");
      return [doubled, one, isInTime];
    });
    await using t = await TestEngine.open({
      workflows: [adder, leaf, mixed],
      activities: [double],
      residentMax: 1,
    });
    const hub = await t.client.start(adder, undefined, { id: "hub" });
    const runs = await Promise.all(Array.from({ length: 20 }, (_, n) => t.client.start(mixed, n)));
    await t.skip("10m");
    for (const [index, run] of runs.entries()) if (index % 2 === 0) await run.signal(add, 1);
    for (const [index, run] of runs.entries()) {
      expect(await t.result(run)).toEqual([index * 2, 1, index % 2 === 0]);
    }
    await hub.signal(done);
    expect(await t.result(hub)).toBe(190 * 2 + 20);
  });

  it("does not put aside a run whose activity is under way", async () => {
    const slow = activity("slow", async (n: number) => {
      await t.delay("1h");
      return n;
    });
    const caller = workflow("caller", (n: number) => slow(n));
    await using t = await TestEngine.open({ workflows: [caller, adder], activities: [slow], residentMax: 1 });
    const runs = await Promise.all([1, 2, 3].map((n) => t.client.start(caller, n)));
    await t.client.start(adder);
    await t.settle();
    expect(t.residents.filter((resident) => resident.workflowType === "caller")).toHaveLength(3);
    expect(await Promise.all(runs.map((run) => t.result(run)))).toEqual([1, 2, 3]);
    expect(t.calls("slow")).toHaveLength(3);
  });

  it("cancels, terminates and times out those that sleep", async () => {
    await using t = await TestEngine.open({ workflows: [adder], residentMax: 1 });
    const [cancelled, terminated, timedOut] = [
      await t.client.start(adder, undefined, { id: "cancelled" }),
      await t.client.start(adder, undefined, { id: "terminated" }),
      await t.client.start(adder, undefined, { id: "timed-out", runTimeout: "1h" }),
    ];
    await t.client.start(adder);
    await t.settle();
    await cancelled.cancel();
    await terminated.terminate();
    await errorOf(t.result(timedOut));
    for (const run of [cancelled, terminated, timedOut]) {
      expect((await run.describe()).status).toBe(run.workflowId);
    }
  });
});

describe("the supervision tree", () => {
  it("shows each resident run with a pid of its own, another after each crash", async () => {
    await using t = await TestEngine.open({ workflows: [adder] });
    const runs = await Promise.all([1, 2, 3].map(() => t.client.start(adder)));
    await t.settle();
    const pids = t.residents.map((resident) => resident.pid);
    expect(new Set(pids).size).toBe(3);
    await t.crash();
    expect(t.residents).toEqual([]);
    for (const run of runs) await run.query(sum);
    const later = t.residents.map((resident) => resident.pid);
    expect(later).toHaveLength(3);
    expect(later.some((pid) => pids.includes(pid))).toBe(false);
    expect((await runs[0]?.describe())?.pid).toBe(later[0]);
  });

  it("takes up only what must move after a crash, and reports on each", async () => {
    const hold = activity("hold", () => new Promise<never>(() => undefined));
    const holder = workflow("holder", () => hold(undefined));
    await using t = await TestEngine.open({ workflows: [adder, holder], activities: [hold] });
    await Promise.all(Array.from({ length: 50 }, () => t.client.start(adder)));
    const moving = await t.client.start(holder);
    await t.settle();
    const reports = await t.crash();
    expect(reports).toMatchObject([
      {
        workflowId: moving.workflowId,
        outcome: { kind: "resumed", resumePoint: { commandIndex: 0, command: { kind: "run-activity" } } },
      },
    ]);
    expect(t.residents).toHaveLength(1);
  });
});
