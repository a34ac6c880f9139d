import { setImmediate } from "node:timers/promises";
import { openMemoryStore } from "aion/store";
import { TestEngine } from "aion/testing";
import { activity, child, expose, query, receive, signal, signalWorkflow, workflow } from "aion/workflow";
import { describe, expect, it } from "vitest";

const go = signal("go");
const heard = signal<string>("heard");
const stage = query<string>("stage");

/** A store whose answers to commits can be held back, as a slow disk would. */
function openSlowStore() {
  let held: (() => void)[] | undefined;
  const store = openMemoryStore({
    defer: (acknowledge) => {
      if (held === undefined) queueMicrotask(acknowledge);
      else held.push(acknowledge);
    },
  });
  return {
    store,
    hold: () => {
      held = [];
    },
    /** Answers those under way, and holds back what follows. */
    releaseOnce: () => {
      for (const acknowledge of held?.splice(0) ?? []) acknowledge();
    },
    release: () => {
      const answers = held ?? [];
      held = undefined;
      for (const acknowledge of answers) acknowledge();
    },
  };
}

/** Long enough for everything that could move without the disk. */
async function spin(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await setImmediate();
}

/** Whether a promise is settled by now. */
function watch(promise: Promise<unknown>): () => boolean {
  let isSettled = false;
  const note = (): void => {
    isSettled = true;
  };
  promise.then(note, note);
  return () => isSettled;
}

describe("while a commit is on its way to the disk", () => {
  const first = activity("first", () => new Promise<string>(() => undefined));
  const second = activity("second", async () => "second");
  const listener = workflow("listener", async () => receive(heard));
  const leaf = workflow("leaf", async () => "leaf");
  const flow = workflow("flow", async () => {
    let at = "first";
    expose(stage, () => at);
    await first(undefined);
    at = "second";
    return Promise.all([
      second(undefined),
      child(leaf, undefined, { id: "leaf" }),
      signalWorkflow("listener", heard, "from the flow"),
    ]);
  });
  const quick = workflow("quick", async () => {
    await receive(go);
    return "ended";
  });

  async function open() {
    const disk = openSlowStore();
    const outcome = Promise.withResolvers<string>();
    const t = await TestEngine.open({
      workflows: [flow, listener, leaf, quick],
      activities: { first: () => outcome.promise, second },
      store: disk.store,
    });
    return { t, disk, finishFirst: () => outcome.resolve("first") };
  }

  it("a run is described as it is on disk, and not as its code has gone on meanwhile", async () => {
    // I-9
    const { t, disk, finishFirst } = await open();
    await using _ = t;
    await t.client.start(listener, undefined, { id: "listener" });
    const run = await t.client.start(flow);
    await t.settle();
    const { historySize } = await run.describe();
    // What comes next is in its turn when the question is answered.
    disk.hold();
    const signalled = run.signal(go, undefined);
    await spin();
    const asked = run.describe();
    const signalledAgain = run.signal(go, undefined);
    finishFirst();
    await spin();
    disk.releaseOnce();
    const { historySize: seen, pendingActivities } = await asked;
    disk.release();
    await Promise.all([signalled, signalledAgain]);
    expect(seen.events).toBe(historySize.events + 1);
    expect(pendingActivities.map(({ activityType }) => activityType)).toEqual(["first"]);
  });

  it("nothing that follows from it leaves the run: no attempt, no child, no signal, no answer to a query", async () => {
    // I-9
    const { t, disk, finishFirst } = await open();
    await using _ = t;
    const listening = await t.client.start(listener, undefined, { id: "listener" });
    const run = await t.client.start(flow);
    await t.settle();
    disk.hold();
    finishFirst();
    await spin();
    const asked = run.query(stage);
    const isAnswered = watch(asked);
    await spin();
    expect(t.calls("second")).toEqual([]);
    expect(isAnswered()).toBe(false);
    expect(await t.client.count({ workflowType: "leaf" })).toBe(0);
    expect((await listening.describe()).status).toBe("running");
    disk.release();
    expect(await asked).toBe("second");
    expect(await t.result(run)).toEqual(["second", "leaf", null]);
    expect(await t.result(listening)).toBe("from the flow");
  });

  it("nobody is told: neither who starts, nor who signals, nor who waits for the result", async () => {
    // I-1, I-3, I-7
    const { t, disk } = await open();
    await using _ = t;
    const run = await t.client.start(quick);
    await t.settle();
    disk.hold();
    const calls = {
      start: t.client.start(quick, undefined, { id: "other" }),
      signal: run.signal(go),
      result: run.result(),
    };
    const isSettled = Object.values(calls).map(watch);
    await spin();
    expect(isSettled.map((isDone) => isDone())).toEqual([false, false, false]);
    disk.release();
    expect(await calls.result).toBe("ended");
    expect((await calls.start).isNew).toBe(true);
    await calls.signal;
  });

  it("a crash leaves either all of it or nothing", async () => {
    // I-4
    const { t, disk, finishFirst } = await open();
    await using _ = t;
    await t.client.start(listener, undefined, { id: "listener" });
    const run = await t.client.start(flow);
    await t.settle();
    disk.hold();
    finishFirst();
    await spin();
    disk.release();
    await t.crash();
    expect(await t.result(run)).toEqual(["second", "leaf", null]);
    expect(await t.client.count({ workflowType: "leaf" })).toBe(1);
  });
});
