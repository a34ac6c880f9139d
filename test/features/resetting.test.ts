import type { Event, RunHandle } from "aion/client";
import type { Store } from "aion/store";
import { openMemoryStore } from "aion/store";
import { TestEngine } from "aion/testing";
import {
  activity,
  child,
  expose,
  info,
  isFailure,
  query,
  random,
  receive,
  signal,
  signalWorkflow,
  sleep,
  update,
  uuid,
  workflow,
} from "aion/workflow";
import { describe, expect, it } from "vitest";
import { overStore } from "../recovery/over-store.ts";
import { errorOf, eventsOf, eventsOfType } from "./run-history.ts";

const go = signal<string>("go");
const refused = { code: "run_not_resettable" };

/** The seq of the nth event of that type (from 1), of the whole chain. */
async function seqOf(run: RunHandle, type: Event["type"], nth = 1): Promise<number> {
  const found = (await eventsOfType(run, type))[nth - 1];
  if (found === undefined) throw new Error(`there is no ${type} number ${nth}`);
  return found.seq;
}

/** Keeps what it was called with, and fails while it is told to. */
function kept(name: string) {
  const state = { isDown: false, keys: [] as string[], inputs: [] as unknown[] };
  const work = activity(name, {}, async (input: unknown, task) => {
    state.keys.push(task.idempotencyKey);
    state.inputs.push(input);
    if (state.isDown) throw new Error("down");
    return `${name} ${state.keys.length}`;
  });
  return { work, state };
}

// I-61
describe("a run that is reset", () => {
  it("goes on as a new run: what was done before the point is not done again, and what came after it is", async () => {
    const first = kept("first");
    const second = kept("second");
    const order = workflow("order", async () => {
      const one = await first.work("a");
      const two = await second.work("b");
      return [one, two, await receive(go)];
    });
    await using t = await TestEngine.open({ workflows: [order], activities: [first.work, second.work] });
    const run = await t.client.start(order);
    await t.settle();
    const before = await run.describe();
    const next = await run.reset({
      toSeq: await seqOf(run, "ActivityCompleted"),
      reason: "once more",
      requestId: "r-1",
    });
    await t.settle();
    expect(next).toMatchObject({ isNew: true, workflowId: run.workflowId });
    expect(next.runId).not.toBe(before.runId);
    const after = await run.describe();
    expect(after).toMatchObject({
      runId: next.runId,
      status: "running",
      resetOf: { runId: before.runId, toSeq: 4, at: t.now(), reason: "once more", requestId: "r-1" },
      runs: [
        { runId: before.runId, status: "terminated" },
        { runId: next.runId, status: "running" },
      ],
    });
    await run.signal(go, "x");
    // It waited for the run that was started, and hears of the one that went on.
    expect(await t.result(run)).toEqual(["first 1", "second 2", "x"]);
    expect(first.state.keys).toEqual([`${before.runId}:0`]);
    expect(second.state.keys).toEqual([`${before.runId}:1`, `${next.runId}:1`]);
    const old = t.client.get(run.workflowId, { runId: before.runId });
    expect(await old.describe()).toMatchObject({ status: "terminated", resetTo: next.runId });
    const [terminated] = await eventsOfType(run, "WorkflowTerminated");
    expect(terminated?.reason).toBe(`reset to event 4, from where run ${next.runId} goes on: once more`);
    await t.crash();
    expect(await t.result(run)).toEqual(["first 1", "second 2", "x"]);
  });

  it("has the random numbers of before up to the point, and others behind it", async () => {
    const { work, state } = kept("work");
    const draws = workflow("draws", async () => {
      const told: unknown[] = [];
      for (let step = 0; step < 4; step += 1)
        told.push(await work([uuid(), random(), info().runId, info().workflowId]));
      return await receive(go);
    });
    await using t = await TestEngine.open({ workflows: [draws], activities: [work] });
    const run = await t.client.start(draws);
    await t.settle();
    const toSeq = await seqOf(run, "ActivityCompleted", 2);
    const next = await run.reset({ toSeq });
    await t.settle();
    const { runId } = next;
    // The two before it were not asked for again; those behind it are others, and say which run they are of.
    expect(state.inputs).toHaveLength(6);
    const [, , third, fourth, thirdAnew, fourthAnew] = state.inputs as [string, number, string, string][];
    expect(thirdAnew?.[0]).not.toBe(third?.[0]);
    expect(thirdAnew?.[1]).not.toBe(third?.[1]);
    expect(fourthAnew?.[0]).not.toBe(fourth?.[0]);
    expect([third?.[2], thirdAnew?.[2], fourthAnew?.[2]]).toEqual([run.runId, runId, runId]);
    // I-41
    await t.crash();
    await run.signal(go, "x");
    expect(await t.result(run)).toBe("x");
  });

  it("keeps the key of an activity that was open at the point, and begins a new attempt", async () => {
    const { work, state } = kept("work");
    const order = workflow("order", async () => work(1).then(async (one) => [one, await receive(go)]));
    await using t = await TestEngine.open({ workflows: [order], activities: [work] });
    const run = await t.client.start(order);
    await t.settle();
    await run.reset({ toSeq: await seqOf(run, "ActivityStarted") });
    await t.settle();
    expect(state.keys).toEqual([`${run.runId}:0`, `${run.runId}:0`]);
    expect(t.calls("work").map(({ attempt }) => attempt)).toEqual([1, 2]);
    await run.signal(go, "x");
    expect(await t.result(run)).toEqual(["work 2", "x"]);
  });

  it("tries an activity again that was parked at the point", async () => {
    let isDown = true;
    const work = activity("work", { retry: { maxAttempts: 1, onExhausted: "park" } }, async () => {
      if (isDown) throw new Error("down");
      return "done";
    });
    const order = workflow("order", () => work(undefined));
    await using t = await TestEngine.open({ workflows: [order], activities: [work] });
    const run = await t.client.start(order);
    await t.settle();
    isDown = false;
    await run.reset({ toSeq: await seqOf(run, "ActivityParked") });
    expect(await t.result(run)).toBe("done");
    const runs = [];
    for await (const one of t.client.list({ isParked: true })) runs.push(one);
    expect(runs).toEqual([]);
  });

  it("goes on from before the failure that it failed by, when no point is named", async () => {
    const { work, state } = kept("work");
    const undo = kept("undo");
    const order = workflow("order", async () => {
      try {
        return await work(1);
      } catch (error) {
        await undo.work(1);
        throw error;
      }
    });
    state.isDown = true;
    await using t = await TestEngine.open({ workflows: [order], activities: [work, undo.work] });
    const run = await t.client.start(order);
    expect(isFailure(await errorOf(t.result(run)))).toBe(true);
    state.isDown = false;
    const next = await run.reset();
    expect(await t.result(next)).toBe("work 2");
    expect(undo.state.keys).toHaveLength(1);
  });

  it("leaves a bad deploy behind: what the code learned is kept, and it acts anew on it", async () => {
    const store = openMemoryStore();
    const { work, state } = kept("work");
    const old = workflow("job", async () => {
      const one = await work("one");
      await sleep("1 hour");
      return [one, await work("old"), await receive(go)];
    });
    const mended = workflow("job", async () => {
      const one = await work("one");
      return [one, await work("mended"), await receive(go)];
    });
    await using t = await TestEngine.open({
      workflows: [old],
      activities: [work],
      store,
      onNondeterminism: "block",
    });
    const run = await t.client.start(old);
    await t.settle();
    await t.crash({ workflows: [mended] });
    // It waits on disk until somebody acts, and then is for the run that goes on.
    await run.signal(go, "x");
    expect((await run.describe()).blocked).toContain("nondeterminism");
    const next = await run.reset();
    expect(await t.result(next)).toEqual(["work 1", "work 2", "x"]);
    expect(state.inputs).toEqual(["one", "mended"]);
    const [reset] = await eventsOfType(run, "WorkflowReset");
    expect(reset?.isRedone).toBe(true);
    await t.close({ checkReplay: false });
  });

  it("is told of the signals that came after the point, each once and in order, unless they are dropped", async () => {
    const heard = query<readonly string[]>("heard");
    const { work } = kept("work");
    const listener = workflow("listener", async (): Promise<never> => {
      const all: string[] = [];
      expose(heard, () => all);
      await work(1);
      for (;;) all.push(await receive(go));
    });
    await using t = await TestEngine.open({ workflows: [listener], activities: [work] });
    const run = await t.client.start(listener);
    await t.settle();
    for (const id of ["a", "b", "c", "d"]) await run.signal(go, id, { signalId: id });
    const toSeq = await seqOf(run, "SignalReceived", 2);
    await run.reset({ toSeq });
    await run.signal(go, "c", { signalId: "c" });
    await run.signal(go, "e", { signalId: "e" });
    expect(await run.query(heard)).toEqual(["a", "b", "c", "d", "e"]);
    await t.crash();
    expect(await run.query(heard)).toEqual(["a", "b", "c", "d", "e"]);
    await run.reset({ toSeq: await lastSeqOf(run, "b"), signals: "drop" });
    await run.signal(go, "d", { signalId: "d" });
    await run.signal(go, "f");
    expect(await run.query(heard)).toEqual(["a", "b", "f"]);
    await run.terminate();
  });

  it("may be reset while it is paused, goes on then, and hears what came in the pause", async () => {
    const heard = query<readonly string[]>("heard");
    const listener = workflow("listener", async (): Promise<never> => {
      const all: string[] = [];
      expose(heard, () => all);
      for (;;) all.push(await receive(go));
    });
    await using t = await TestEngine.open({ workflows: [listener], activities: [] });
    const run = await t.client.start(listener);
    await run.signal(go, "a");
    await run.pause();
    await run.signal(go, "b");
    await run.signal(go, "c");
    await run.reset({ toSeq: await seqOf(run, "SignalReceived", 2) });
    expect(await run.describe()).toMatchObject({ status: "running" });
    expect(await run.query(heard)).toEqual(["a", "b", "c"]);
    await t.crash();
    expect(await run.query(heard)).toEqual(["a", "b", "c"]);
    await run.terminate();
  });

  it("is given its time again when it has run out, and keeps the instants of its timers", async () => {
    const waits = workflow("waits", async () => {
      await sleep("30 minutes");
      return receive(go);
    });
    await using t = await TestEngine.open({ workflows: [waits], activities: [] });
    const run = await t.client.start(waits, undefined, { runTimeout: "1 hour" });
    await t.skip("2 hours");
    expect((await run.describe()).status).toBe("timed-out");
    await run.reset({ toSeq: 2 });
    await t.settle();
    const types = (await eventsOf(run)).map(({ type }) => type);
    // It was due long ago.
    expect(types.at(-1)).toBe("TimerFired");
    await t.skip("59 minutes");
    expect((await run.describe()).status).toBe("running");
    await t.skip("1 minute");
    expect((await run.describe()).status).toBe("timed-out");
  });

  it("answers for the updates of before as it did, and goes on with those that are open", async () => {
    const ask = update<string, string>("ask");
    const said: string[] = [];
    const clerk = workflow("clerk", async (): Promise<never> => {
      let count = 0;
      expose(ask, async (question: string) => {
        const answer = `${question} ${(count += 1)} ${await receive(go)}`;
        said.push(answer);
        return answer;
      });
      for (;;) await sleep("1 day");
    });
    await using t = await TestEngine.open({ workflows: [clerk], activities: [] });
    const run = await t.client.start(clerk);
    const first = await run.startUpdate(ask, "first", { updateId: "u1" });
    const second = await run.startUpdate(ask, "second", { updateId: "u2" });
    await run.signal(go, "x");
    expect(await first.result()).toBe("first 1 x");
    const third = await run.startUpdate(ask, "third", { updateId: "u3" });
    const waiting = errorOf(third.result());
    // Behind the acceptance of both, and before the outcome of the first.
    await run.reset({ toSeq: await seqOf(run, "UpdateAccepted", 2), signals: "drop" });
    expect(await waiting).toMatchObject({ code: "update_unfinished" });
    await run.signal(go, "y");
    await run.signal(go, "z");
    await t.settle();
    expect(said).toEqual(["first 1 x", "first 1 y", "second 2 z"]);
    expect(await first.result()).toBe("first 1 x");
    expect(await second.result()).toBe("second 2 z");
    expect(await run.update(ask, "first", { updateId: "u1" })).toBe("first 1 x");
    expect(await errorOf(run.update(ask, "third", { updateId: "u3" }))).toMatchObject({
      code: "update_unfinished",
    });
    await run.terminate();
  });

  it("answers for an update as the run did that went on with it before, when it is copied once more", async () => {
    const ask = update<string, string>("ask");
    const clerk = workflow("clerk", async (): Promise<never> => {
      expose(ask, async (question: string) => `${question} ${await receive(go)}`);
      for (;;) await sleep("1 day");
    });
    await using t = await TestEngine.open({ workflows: [clerk], activities: [] });
    const run = await t.client.start(clerk);
    const asked = await run.startUpdate(ask, "what", { updateId: "u1" });
    const first = t.client.get(run.workflowId, { runId: (await run.describe()).runId });
    const toSeq = await seqOf(run, "UpdateAccepted");
    await run.reset({ toSeq });
    await run.signal(go, "x");
    expect(await asked.result()).toBe("what x");
    await first.reset({ toSeq, signals: "drop" });
    await run.signal(go, "y");
    await t.settle();
    expect(await run.update(ask, "what", { updateId: "u1" })).toBe("what x");
    // To before it was accepted: it had no outcome then, and has failed.
    const other = await t.client.start(clerk);
    const lost = await other.startUpdate(ask, "what", { updateId: "u2" });
    const old = t.client.get(other.workflowId, { runId: (await other.describe()).runId });
    const behind = await seqOf(other, "UpdateAccepted");
    await other.reset({ toSeq: 1 });
    expect(await errorOf(lost.result())).toMatchObject({ code: "update_unfinished" });
    await old.reset({ toSeq: behind });
    await other.signal(go, "z");
    await t.settle();
    expect(await errorOf(other.update(ask, "what", { updateId: "u2" }))).toMatchObject({
      code: "update_unfinished",
    });
    await run.terminate();
    await other.terminate();
  });

  it("answers for an update of before by itself when the run that had answered is no longer kept", async () => {
    const inner = openMemoryStore();
    const store = overStore(inner, {
      claim: async (claim) => {
        token = await inner.claim(claim);
        return token;
      },
    });
    let token: Awaited<ReturnType<Store["claim"]>> | undefined;
    const ask = update<string, string>("ask");
    const clerk = workflow("clerk", async (): Promise<never> => {
      expose(ask, async (question: string) => `${question} ${await receive(go)}`);
      for (;;) await sleep("1 day");
    });
    await using t = await TestEngine.open({ store, workflows: [clerk], activities: [] });
    const run = await t.client.start(clerk);
    const asked = await run.startUpdate(ask, "what", { updateId: "u1" });
    const toSeq = await seqOf(run, "UpdateAccepted");
    await run.signal(go, "x");
    expect(await asked.result()).toBe("what x");
    const gone = await run.startUpdate(ask, "where", { updateId: "u2" });
    await run.signal(go, "x");
    expect(await gone.result()).toBe("where x");
    await run.reset({ toSeq, signals: "drop" });
    await run.signal(go, "y");
    await t.settle();
    const again = (question: string, updateId: string): Promise<string> =>
      run.update(ask, question, { updateId });
    expect(await again("what", "u1")).toBe("what x");
    expect(await again("where", "u2")).toBe("where x");
    if (token === undefined) throw new Error("nobody has claimed the store");
    expect(await inner.deleteClosed(token, Number.MAX_SAFE_INTEGER, 10)).toBe(1);
    expect(await again("what", "u1")).toBe("what y");
    // It has not accepted this one, and does not accept it twice.
    expect(await errorOf(again("where", "u2"))).toMatchObject({ code: "update_not_found" });
    await run.terminate();
  });

  it("knows what it was asked for before another run had its id", async () => {
    const ask = update<string, string>("ask");
    const heard = query<readonly string[]>("heard");
    const clerk = workflow("clerk", async (): Promise<readonly string[]> => {
      const all: string[] = [];
      expose(heard, () => all);
      expose(ask, async (question: string) => `${question} ${await receive(go)}`);
      while (all.at(-1) !== "end") all.push(await receive(go));
      return all;
    });
    await using t = await TestEngine.open({ workflows: [clerk], activities: [] });
    const first = await t.client.start(clerk, undefined, { id: "desk" });
    await first.signal(go, "a", { signalId: "a" });
    const asked = await first.startUpdate(ask, "what", { updateId: "u1" });
    await first.signal(go, "b", { signalId: "b" });
    await first.signal(go, "c", { signalId: "c" });
    await first.signal(go, "end");
    await t.result(first);
    const told = await asked.result();
    const { runId } = await first.describe();
    await t.client.start(clerk, undefined, { id: "desk", reuse: "after-close" });
    await t.settle();
    await t.client.get("desk", { runId }).reset({ toSeq: 1, signals: "drop" });
    const now = t.client.get<typeof clerk>("desk");
    for (const id of ["a", "b", "c"]) await now.signal(go, id, { signalId: id });
    await now.signal(go, "d");
    expect(await now.query(heard)).toEqual(["d"]);
    expect(await now.update(ask, "what", { updateId: "u1" })).toBe(told);
    await t.crash();
    expect(await now.update(ask, "what", { updateId: "u1" })).toBe(told);
    await now.terminate();
  });

  it("may be reset again, and from an earlier run of its chain", async () => {
    const { work, state } = kept("work");
    const order = workflow("order", async () => {
      const all: string[] = [uuid()];
      for (let step = 0; step < 3; step += 1) all.push(await work([step, uuid()]));
      return [...all, await receive(go)];
    });
    await using t = await TestEngine.open({ workflows: [order], activities: [work] });
    const run = await t.client.start(order);
    await t.settle();
    const toSeq = await seqOf(run, "ActivityCompleted");
    await run.reset({ toSeq });
    await t.settle();
    const latest = await run.describe();
    // Within the copied part of the second run, and then of the first.
    const copied = (await eventsOfType(run, "ActivityScheduled")).findLast(({ ordinal }) => ordinal === 0);
    await run.reset({ toSeq: copied?.seq ?? 0 });
    await t.settle();
    expect(await errorOf(run.reset({ toSeq }))).toMatchObject(refused);
    const old = t.client.get(run.workflowId, run.runId === undefined ? {} : { runId: run.runId });
    const last = await old.reset({ toSeq });
    await t.settle();
    await t.crash();
    await run.signal(go, "x");
    const result = await t.result(run);
    expect(result.slice(1)).toEqual(["work 1", "work 9", "work 10", "x"]);
    expect(state.keys[5]).toBe(`${run.runId}:0`);
    expect((await run.describe()).runs.map(({ runId }) => runId)).toEqual([
      run.runId,
      latest.runId,
      expect.any(String),
      last.runId,
    ]);
    const draws = state.inputs.map((input) => (input as [number, string])[1]);
    // The same before the point of each, and never twice behind it.
    expect(draws[5]).toBe(draws[0]);
    expect(new Set(draws).size).toBe(draws.length - 1);
  });
});

async function lastSeqOf(run: RunHandle, signalId: string): Promise<number> {
  const found = (await eventsOfType(run, "SignalReceived")).findLast((event) => event.signalId === signalId);
  return found?.seq ?? 0;
}

describe("the children of a run that is reset", () => {
  const leaf = workflow("leaf", async (name: string) => `${name} ${await receive(go)}`);
  const two = workflow("two", async () => {
    const one = child(leaf, "one", { id: "one" });
    const got = await receive(go);
    const other = await child(leaf, "two");
    return [got, await one, other];
  });

  it("that are open at the point are taken over, and those that it started later are ended", async () => {
    await using t = await TestEngine.open({ workflows: [two, leaf], activities: [] });
    const run = await t.client.start(two);
    await run.signal(go, "x");
    await t.settle();
    const before = (await run.describe()).pendingChildren.map(({ workflowId }) => workflowId);
    await run.reset({ toSeq: await seqOf(run, "ChildWorkflowStarted") });
    await t.settle();
    await t.crash();
    const after = (await run.describe()).pendingChildren.map(({ workflowId }) => workflowId);
    expect(after[0]).toBe("one");
    expect(after[1]).not.toBe(before[1]);
    expect((await t.client.get(before[1] ?? "").describe()).status).toBe("terminated");
    expect((await t.client.get("one").describe()).status).toBe("running");
    await t.client.get("one").signal(go, "1");
    await t.client.get(after[1] ?? "").signal(go, "2");
    expect(await t.result(run)).toEqual(["x", "one 1", "two 2"]);
  });

  it("that have ended since are told of again", async () => {
    await using t = await TestEngine.open({ workflows: [two, leaf], activities: [] });
    const run = await t.client.start(two);
    await t.settle();
    await t.client.get("one").signal(go, "1");
    await run.signal(go, "x");
    await t.settle();
    await run.reset({ toSeq: await seqOf(run, "ChildWorkflowStarted") });
    await t.settle();
    const [second] = (await run.describe()).pendingChildren;
    await t.client.get(second?.workflowId ?? "").signal(go, "2");
    expect(await t.result(run)).toEqual(["x", "one 1", "two 2"]);
  });

  it("may be reset themselves: their parent waits for what they go on as", async () => {
    const parent = workflow("parent", () => child(leaf, "it", { id: "leaf" }));
    await using t = await TestEngine.open({ workflows: [parent, leaf], activities: [] });
    const run = await t.client.start(parent);
    await t.settle();
    await t.client.get("leaf").reset({ toSeq: 1 });
    await t.settle();
    expect((await run.describe()).status).toBe("running");
    await t.client.get("leaf").signal(go, "x");
    expect(await t.result(run)).toBe("it x");
  });

  it("that were ended with it stand against a reset of a run that has ended", async () => {
    await using t = await TestEngine.open({ workflows: [two, leaf], activities: [] });
    const run = await t.client.start(two);
    await t.settle();
    const toSeq = await seqOf(run, "ChildWorkflowStarted");
    await run.terminate();
    await t.settle();
    expect(await errorOf(run.reset({ toSeq }))).toMatchObject({
      ...refused,
      message: expect.stringContaining("was ended with its parent") as string,
    });
    // To begin with, there was none.
    await run.reset({ toSeq: 1 });
    await t.settle();
    expect((await t.client.get("one").describe()).runs).toHaveLength(2);
    await run.terminate();
  });

  it("that have the id of the run itself are no reason to wait for what is sent to it meanwhile", async () => {
    const inner = openMemoryStore();
    let meanwhile: (() => Promise<unknown>) | undefined;
    const store = overStore(inner, {
      readRunChain: async (workflowId) => {
        const now = meanwhile;
        meanwhile = undefined;
        await now?.();
        return await inner.readRunChain(workflowId);
      },
    });
    const nobody = workflow("nobody", async () => 0);
    const own = workflow("own", async () => {
      await child(nobody, undefined, { id: info().workflowId }).catch(() => undefined);
      return await receive(go);
    });
    const sender = workflow("sender", async () => {
      await signalWorkflow("itself", go, "x");
    });
    await using t = await TestEngine.open({ store, workflows: [own, nobody, sender], activities: [] });
    const run = await t.client.start(own, undefined, { id: "itself" });
    await t.settle();
    meanwhile = async () => {
      const sending = await t.client.start(sender);
      await expect.poll(async () => (await eventsOfType(sending, "SignalSent")).length).toBe(1);
    };
    await run.reset({ toSeq: await seqOf(run, "ChildWorkflowStarted") });
    expect(await t.result(run)).toBe("x");
  });
});

it("two that are copied at once, each with a child that has the other's id, do not wait for each other", async () => {
  const sitter = workflow("sitter", () => receive(go));
  const middle = workflow("middle", async () => {
    await receive(go);
    return await child(sitter, undefined, { id: "a", parentClosePolicy: "abandon" });
  });
  const first = workflow("first", () => child(middle, undefined, { id: "b", parentClosePolicy: "abandon" }));
  const sender = workflow("sender", async () => {
    await Promise.all([signalWorkflow("a", go, "x"), signalWorkflow("b", go, "x")]);
  });
  const inner = openMemoryStore();
  const held = new Set<string>();
  const goOn = Promise.withResolvers<void>();
  let isResetting = false;
  const store = overStore(inner, {
    // Read when nobody else comes near the workflow.
    readRunChain: async (workflowId) => {
      if (isResetting) {
        held.add(workflowId);
        await goOn.promise;
      }
      return await inner.readRunChain(workflowId);
    },
  });
  const workflows = [first, middle, sitter, sender];
  await using t = await TestEngine.open({ store, workflows, activities: [] });
  const { runId } = await t.client.start(first, undefined, { id: "a" });
  const [a, b] = [t.client.get("a"), t.client.get("b")];
  await t.settle();
  await a.terminate();
  await b.signal(go, "x");
  await t.settle();
  await b.terminate();
  const ofA = await seqOf(a, "ChildWorkflowStarted");
  const ofB = await seqOf(b, "ChildWorkflowStarted");
  isResetting = true;
  const resets = [t.client.get("a", { runId: runId ?? "" }).reset({ toSeq: ofA }), b.reset({ toSeq: ofB })];
  await expect.poll(() => held.size).toBe(2);
  isResetting = false;
  const sending = await t.client.start(sender);
  // What is sent to each of them waits until the other's reset is over.
  await expect.poll(async () => (await eventsOfType(sending, "SignalSent")).length).toBe(2);
  goOn.resolve();
  // Which comes first decides whether the other finds what it is to wait for.
  const made = await Promise.allSettled(resets);
  expect(made.map(({ status }) => status)).toContain("fulfilled");
  await t.settle();
  expect((await sending.describe()).status).not.toBe("running");
  for (const run of [a, b]) await run.terminate().catch(() => undefined);
});

it("one that has just ended hears what became of the children that it told to end", async () => {
  const inner = openMemoryStore();
  const leafMayEnd = Promise.withResolvers<void>();
  let isAsked = false;
  const store = overStore(inner, {
    append: async (token, commits) => {
      if (commits.some(({ run }) => run?.workflowId === "leaf" && run.status === "terminated"))
        await leafMayEnd.promise;
      return await inner.append(token, commits);
    },
    readRunChain: async (workflowId) => {
      isAsked = true;
      return await inner.readRunChain(workflowId);
    },
  });
  const leaf = workflow("leaf", () => receive(go));
  const parent = workflow("parent", () => child(leaf, undefined, { id: "leaf" }));
  await using t = await TestEngine.open({ store, workflows: [parent, leaf], activities: [] });
  const run = await t.client.start(parent);
  await t.settle();
  const toSeq = await seqOf(run, "ChildWorkflowStarted");
  await run.terminate();
  isAsked = false;
  const refusal = errorOf(run.reset({ toSeq }));
  await expect.poll(() => isAsked).toBe(true);
  for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  leafMayEnd.resolve();
  expect(await refusal).toMatchObject({
    ...refused,
    message: expect.stringContaining("was ended with its parent") as string,
  });
});

describe("to reset", () => {
  it("is refused at a point from which the code cannot go on, and the points that are near are named", async () => {
    const { work } = kept("work");
    const wide = workflow("wide", async () => {
      await Promise.all([work(1), work(2), work(3)]);
      return receive(go);
    });
    await using t = await TestEngine.open({ workflows: [wide], activities: [work] });
    expect(await errorOf(t.client.get("nobody").reset({ toSeq: 1 }))).toMatchObject({
      code: "run_not_found",
    });
    const run = await t.client.start(wide);
    await t.settle();
    const before = await eventsOf(run);
    const lastScheduled = before.findLast(({ type }) => type === "ActivityScheduled")?.seq ?? 0;
    for (const toSeq of [2, 3])
      expect(await errorOf(run.reset({ toSeq }))).toMatchObject({
        ...refused,
        details: { before: 1, after: lastScheduled },
        message: expect.stringContaining(
          `the nearest points are 1 before it and ${lastScheduled} after it`,
        ) as string,
      });
    expect(await errorOf(run.reset({ toSeq: 99 }))).toMatchObject({
      ...refused,
      message: expect.stringMatching(/; the nearest point is \d+ before it$/) as string,
    });
    expect(await errorOf(run.reset({ toSeq: 0 }))).toMatchObject({ code: "invalid_argument" });
    expect(await errorOf(run.reset())).toMatchObject(refused);
    expect(await eventsOf(run)).toEqual(before);
    await run.signal(go, "x");
    expect(await t.result(run)).toBe("x");
    const end = (await eventsOf(run)).length;
    expect(await errorOf(run.reset({ toSeq: end }))).toMatchObject({
      ...refused,
      message: expect.stringContaining("end of its code") as string,
    });
    expect(await errorOf(run.reset())).toMatchObject(refused);
    // What it learned last it acts on anew, and ends again.
    await run.reset({ toSeq: end - 1 });
    expect(await t.result(t.client.get(run.workflowId))).toBe("x");
  });

  it("is refused where the code of today does something else, and nothing is written", async () => {
    const store = openMemoryStore();
    const { work } = kept("work");
    const old = workflow("job", async () => [await work("old"), await receive(go)]);
    const other = workflow("job", async () => [await work("other"), await receive(go)]);
    await using t = await TestEngine.open({
      workflows: [old],
      activities: [work],
      store,
      onNondeterminism: "block",
    });
    const run = await t.client.start(old);
    await t.settle();
    await t.crash({ workflows: [other] });
    const before = await eventsOf(run);
    expect(await errorOf(run.reset({ toSeq: before.length }))).toMatchObject({
      ...refused,
      message: expect.stringContaining("event 2: history has") as string,
    });
    expect(await eventsOf(run)).toEqual(before);
    await run.reset({ toSeq: 1 });
    await run.signal(go, "x");
    expect(await t.result(run)).toEqual(["work 2", "x"]);
    await t.close({ checkReplay: false });
  });

  it("is refused where the code does more than it did, and not where it did nothing", async () => {
    const { work, state } = kept("work");
    const old = workflow("job", async () => [await work("a"), await receive(go)]);
    const wider = workflow("job", async () => [await Promise.all([work("a"), work("b")]), await receive(go)]);
    const longer = workflow("job", async () => [await work("a"), await work(uuid()), await receive(go)]);
    await using t = await TestEngine.open({ workflows: [old], activities: [work] });
    const run = await t.client.start(old);
    await t.settle();
    const toSeq = await seqOf(run, "ActivityStarted");
    await t.crash({ workflows: [wider] });
    expect(await errorOf(run.fork("wide", { toSeq }))).toMatchObject({
      ...refused,
      message: expect.stringContaining("does more there now") as string,
    });
    await t.crash({ workflows: [longer] });
    const done = await seqOf(run, "ActivityCompleted");
    const copies = [await run.fork("one", { toSeq: done }), await run.fork("two", { toSeq: done })];
    await t.settle();
    // What they do for the first time they do each with draws of its own.
    expect(new Set(state.inputs).size).toBe(3);
    for (const copy of copies) await copy.signal(go, "x");
    for (const copy of copies) await t.result(copy);
    await run.terminate();
    await t.close({ checkReplay: false });
  });

  for (const onRunLimit of ["fail", "block"] as const)
    it(`is refused when the run would ${onRunLimit} at once for a limit, with the signals that it takes along`, async () => {
      const listener = workflow("listener", async (): Promise<never> => {
        for (;;) await receive(go);
      });
      await using t = await TestEngine.open({
        workflows: [listener],
        activities: [],
        onRunLimit,
        limits: { historyEventsMax: 10 },
      });
      const run = await t.client.start(listener);
      for (let sent = 0; sent < 10; sent += 1) await run.signal(go, "x");
      await t.settle();
      const before = await run.describe();
      expect(before.historySize.events).toBeGreaterThan(10);
      expect(await errorOf(run.reset())).toMatchObject(refused);
      if (onRunLimit === "fail") expect(await errorOf(run.reset({ toSeq: 2 }))).toMatchObject(refused);
      expect((await run.describe()).runId).toBe(before.runId);
      await run.reset({ signals: "drop" });
      await t.settle();
      const after = await t.client.get(run.workflowId).describe();
      expect([after.status, after.blocked]).toEqual(["running", undefined]);
      await t.client.get(run.workflowId).terminate();
    });

  it("by a request that was made before has no second effect, whatever happened since", async () => {
    const waits = workflow("waits", () => receive(go));
    await using t = await TestEngine.open({ workflows: [waits], activities: [] });
    const run = await t.client.start(waits);
    const first = await run.reset({ toSeq: 1, requestId: "r-1" });
    await t.crash();
    const again = await run.reset({ toSeq: 1, requestId: "r-1" });
    expect([again.runId, again.isNew]).toEqual([first.runId, false]);
    const { historySize } = await run.describe();
    expect(historySize.events).toBe(2);
    const second = await run.reset({ toSeq: 3, requestId: "r-2" });
    expect(second.runId).not.toBe(first.runId);
    expect((await run.reset({ toSeq: 1, requestId: "r-1" })).runId).toBe(first.runId);
    // Another one of that name is neither made nor taken for it.
    const taken = { code: "request_conflict", message: expect.stringContaining('"r-1"') as string };
    expect(await errorOf(run.reset({ toSeq: 3, requestId: "r-1" }))).toMatchObject(taken);
    const ofSecond = t.client.get(run.workflowId, { runId: `${second.runId}` });
    expect(await errorOf(ofSecond.reset({ toSeq: 1, requestId: "r-1" }))).toMatchObject(taken);
    await run.signal(go, "x");
    expect(await t.result(run)).toBe("x");
    expect((await run.reset({ toSeq: 3, requestId: "r-2" })).runId).toBe(second.runId);
    expect((await run.describe()).status).toBe("completed");
  });

  it("does not repeat a request that was made of the run before", async () => {
    const waits = workflow("waits", () => receive(go));
    await using t = await TestEngine.open({ workflows: [waits], activities: [] });
    const run = await t.client.start(waits);
    await run.cancel("too early", { requestId: "c-1" });
    await errorOf(t.result(run));
    await run.reset({ toSeq: 1 });
    await run.cancel("too early", { requestId: "c-1" });
    await t.settle();
    expect((await run.describe()).status).toBe("running");
    await run.signal(go, "x");
    expect(await t.result(t.client.get(run.workflowId))).toBe("x");
  });
});

// I-62
describe("a fork", () => {
  it("goes on from the point under an id of its own, and the workflow that it is of goes on untouched", async () => {
    const { work, state } = kept("work");
    const order = workflow("order", async () => {
      const first = await work([info().workflowId, info().runId, uuid()]);
      const got = await receive(go);
      return [first, got, await work([info().workflowId, info().runId, uuid()])];
    });
    await using t = await TestEngine.open({ workflows: [order], activities: [work] });
    const run = await t.client.start(order, undefined, { id: "o" });
    await t.settle();
    const toSeq = await seqOf(run, "ActivityCompleted");
    await run.signal(go, "x");
    expect(await t.result(run)).toEqual(["work 1", "x", "work 2"]);
    const before = await eventsOf(run);
    const copy = await run.fork("p", { toSeq, reason: "to try it", requestId: "f-1" });
    expect(await eventsOf(run)).toEqual(before);
    expect(await copy.describe()).toMatchObject({
      workflowId: "p",
      status: "running",
      resetOf: { workflowId: "o", runId: run.runId, toSeq, reason: "to try it", requestId: "f-1" },
      runs: [{ runId: copy.runId }],
    });
    await t.crash();
    await copy.signal(go, "y");
    expect(await t.result(copy)).toEqual(["work 1", "y", "work 3"]);
    expect(state.keys).toEqual([`${run.runId}:0`, `${run.runId}:1`, `${copy.runId}:1`]);
    const [, second, third] = state.inputs as [string, string, string][];
    expect(second?.slice(0, 2)).toEqual(["o", run.runId]);
    expect(third?.slice(0, 2)).toEqual(["p", copy.runId]);
    expect(third?.[2]).not.toBe(second?.[2]);
  });

  it("stays what it is when it is reset", async () => {
    const who = query<readonly unknown[]>("who");
    const leaf = workflow("leaf", async () => {
      const told: unknown[] = [];
      expose(who, () => told);
      for (;;) {
        const { workflowId, parent } = info();
        told.push([workflowId, parent?.workflowId]);
        await receive(go);
      }
    });
    const parent = workflow("parent", () => child(leaf, undefined, { id: "leaf" }));
    await using t = await TestEngine.open({ workflows: [parent, leaf], activities: [] });
    const run = await t.client.start(parent, undefined, { id: "parent" });
    await t.settle();
    const copy = await t.client.get("leaf").fork("copy", { toSeq: 1 });
    await copy.reset({ toSeq: 2 });
    await copy.signal(go, "x");
    expect(await copy.query(who)).toEqual([
      ["leaf", "parent"],
      ["copy", null],
    ]);
    for (const id of ["copy", run.workflowId]) await t.client.get(id).terminate();
  });

  it("has keys of its own for what is open at the point", async () => {
    const { work, state } = kept("work");
    const order = workflow("order", () => work(1));
    await using t = await TestEngine.open({ workflows: [order], activities: [work] });
    const run = await t.client.start(order);
    await t.result(run);
    const copy = await run.fork("p", { toSeq: await seqOf(run, "ActivityStarted") });
    expect(await t.result(copy)).toBe("work 2");
    expect(state.keys).toEqual([`${run.runId}:0`, `${copy.runId}:0`]);
  });

  it("takes signals along when it is asked to", async () => {
    const waits = workflow("waits", async () => [await receive(go), await receive(go)]);
    await using t = await TestEngine.open({ workflows: [waits], activities: [] });
    const run = await t.client.start(waits);
    await run.signal(go, "a");
    await run.signal(go, "b");
    const copy = await run.fork("p", { toSeq: 1, signals: "carry" });
    expect(await t.result(copy)).toEqual(["a", "b"]);
  });

  it("is refused while a child is open there, unless it was let go, and has its outcome if there is one", async () => {
    const leaf = workflow("leaf", (name: string) => receive(go).then((got) => `${name} ${got}`));
    const waits = workflow("waits", async () => {
      void child(leaf, "free", { id: "free", parentClosePolicy: "abandon" });
      await receive(go);
      return child(leaf, "bound", { id: "bound" });
    });
    await using t = await TestEngine.open({ workflows: [waits, leaf], activities: [] });
    const run = await t.client.start(waits);
    await t.settle();
    const early = await run.fork("early", { toSeq: 2 });
    await run.signal(go, "x");
    await t.settle();
    const toSeq = await seqOf(run, "ChildWorkflowStarted", 2);
    expect(await errorOf(run.fork("late", { toSeq }))).toMatchObject({
      ...refused,
      message: expect.stringContaining("child bound is open there") as string,
    });
    await t.client.get("bound").signal(go, "y");
    expect(await t.result(run)).toBe("bound y");
    expect(await t.result(await run.fork("late", { toSeq }))).toBe("bound y");
    await early.terminate();
    await t.client.get("free").terminate();
  });

  it("has an id that nobody has, and made again it is the same", async () => {
    const waits = workflow("waits", () => receive(go));
    await using t = await TestEngine.open({ workflows: [waits], activities: [] });
    const run = await t.client.start(waits);
    await t.client.start(waits, undefined, { id: "taken" });
    expect(await errorOf(run.fork("taken", { toSeq: 1 }))).toMatchObject({ code: "workflow_already_exists" });
    const copy = await run.fork("p", { toSeq: 1, requestId: "f-1" });
    expect((await run.fork("p", { toSeq: 1, requestId: "f-1" })).runId).toBe(copy.runId);
    expect(await errorOf(run.fork("p", { toSeq: 3, requestId: "f-1" }))).toMatchObject({
      code: "request_conflict",
    });
    expect(await errorOf(run.fork("p", { toSeq: 1, requestId: "f-2" }))).toMatchObject({
      code: "workflow_already_exists",
    });
    const other = await run.fork("q", { toSeq: 1 });
    expect((await run.fork("q", { toSeq: 1 })).runId).toBe(other.runId);
    for (const id of ["taken", "p", "q", run.workflowId]) await t.client.get(id).terminate();
  });
});
