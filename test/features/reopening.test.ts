import { openMemoryStore } from "aion/store";
import type { OwnerToken } from "aion/store";
import { TestEngine } from "aion/testing";
import {
  activity,
  child,
  compensate,
  expose,
  isCancelled,
  isFailure,
  query,
  receive,
  shield,
  signal,
  sleep,
  update,
  uuid,
  workflow,
} from "aion/workflow";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { overStore } from "../recovery/over-store.ts";
import { errorOf, eventsOf, eventsOfType, typesOf } from "./run-history.ts";

const go = signal<string>("go");
const refused = { code: "run_not_reopenable" };

/** An activity that fails until it is told to work. */
function flaky(name: string, retry?: { readonly maxAttempts: number }) {
  const state = { isUp: false, keys: [] as string[] };
  const work = activity(name, retry === undefined ? {} : { retry }, async (_n: number, task) => {
    state.keys.push(task.idempotencyKey);
    if (!state.isUp) throw new Error("down");
    return `${name} done`;
  });
  return { work, state };
}

// I-59
describe("a run that failed", () => {
  it("is reopened: what succeeded is kept, and what failed runs again", async () => {
    const first = activity("first", async () => "one");
    const { work, state } = flaky("work", { maxAttempts: 2 });
    const order = workflow("order", async () => {
      const id = uuid();
      const one = await first(undefined);
      return [id === uuid(), one, await work(1)];
    });
    await using t = await TestEngine.open({ workflows: [order], activities: [first, work] });
    const run = await t.client.start(order);
    expect(isFailure(await errorOf(t.result(run)))).toBe(true);
    const { runId } = await run.describe();
    state.isUp = true;
    await run.reopen("it is up again");
    expect(await t.result(run)).toEqual([false, "one", "work done"]);
    expect(t.calls("first")).toHaveLength(1);
    expect(t.calls("work").map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(new Set(state.keys).size).toBe(1);
    const after = await run.describe();
    expect(after).toMatchObject({ runId, status: "completed", runs: [{ runId }] });
    expect(after.reopened).toEqual({ count: 1, at: expect.any(Number) as number, reason: "it is up again" });
    const events = await eventsOf(run);
    const [reopened] = await eventsOfType(run, "WorkflowReopened");
    expect(reopened).toMatchObject({ reason: "it is up again" });
    expect(reopened?.voids.map((seq) => events[seq - 1]?.type)).toEqual(["ActivityFailed", "WorkflowFailed"]);
  });

  it("has its whole budget of attempts again, and may fail and be reopened again", async () => {
    const { work, state } = flaky("work", { maxAttempts: 2 });
    const order = workflow("order", () => work(1));
    await using t = await TestEngine.open({ workflows: [order], activities: [work] });
    const run = await t.client.start(order);
    for (let lease = 1; lease <= 3; lease += 1) {
      expect(isFailure(await errorOf(t.result(run)))).toBe(true);
      expect(t.calls("work")).toHaveLength(lease * 2);
      await run.reopen(undefined, { requestId: `r-${lease}` });
      await t.crash();
    }
    const last = (await eventsOfType(run, "WorkflowReopened")).at(-1);
    expect((await run.describe()).reopened).toEqual({ count: 3, at: last?.recordedAt, requestId: "r-3" });
    state.isUp = true;
    expect(await t.result(run)).toBe("work done");
    expect(await eventsOfType(run, "WorkflowFailed")).toHaveLength(3);
  });

  it("tells the next attempt of what the last one left", async () => {
    // I-14
    const told: unknown[] = [];
    const state = { isUp: false };
    const load = activity(
      "load",
      { heartbeat: "20s", retry: { maxAttempts: 2 } },
      async (_n: number, task) => {
        told.push(task.lastHeartbeat);
        for (let row = (task.lastHeartbeat as number | undefined) ?? 0; row < 9; row++) {
          if (row === 3 * told.length && !state.isUp) throw new Error("down");
          task.heartbeat(row + 1);
        }
        return "loaded";
      },
    );
    const importing = workflow("importing", () => load(1));
    await using t = await TestEngine.open({ workflows: [importing], activities: [load] });
    const run = await t.client.start(importing);
    await errorOf(t.result(run));
    state.isUp = true;
    await run.reopen();
    expect(await t.result(run)).toBe("loaded");
    expect(told).toEqual([undefined, 3, 6]);
  });

  it("voids all failures that the code had not acted on, and keeps what succeeded among them", async () => {
    const one = flaky("one");
    const two = flaky("two");
    const fine = activity("fine", async () => "fine");
    const gather = workflow("gather", async () => {
      const all = await Promise.allSettled([one.work(1), two.work(2), fine(undefined)]);
      const failed = all.find((each) => each.status === "rejected");
      if (failed !== undefined) throw failed.reason as Error;
      return all.map((each) => (each.status === "fulfilled" ? each.value : "never"));
    });
    await using t = await TestEngine.open({
      workflows: [gather],
      activities: [one.work, two.work, fine],
    });
    const run = await t.client.start(gather);
    await errorOf(t.result(run));
    one.state.isUp = true;
    two.state.isUp = true;
    await run.reopen();
    expect(await t.result(run)).toEqual(["one done", "two done", "fine"]);
    expect(t.calls("fine")).toHaveLength(1);
    expect(t.calls("one")).toHaveLength(2);
  });

  it("goes on with what was open beside the failure: attempts anew, timers at their instants", async () => {
    const { work, state } = flaky("work");
    const both = workflow("both", async () => Promise.all([sleep("1 hour"), work(1)]).then(() => "both"));
    await using t = await TestEngine.open({ workflows: [both], activities: [work] });
    const run = await t.client.start(both);
    const startedAt = t.now();
    await t.settle();
    expect((await run.describe()).status).toBe("failed");
    await t.skip("30 minutes");
    state.isUp = true;
    await run.reopen();
    expect((await run.describe()).pendingTimers).toEqual([{ ordinal: 0, fireAt: startedAt + 3_600_000 }]);
    expect(await t.result(run)).toBe("both");
    expect(t.now() - startedAt).toBe(3_600_000);
  });

  it("is not reopened when it undid what it had done, or did anything else about it", async () => {
    const { work, state } = flaky("work");
    const undo = activity("undo", async () => undefined);
    const careful = workflow("careful", async () => {
      compensate(() => undo(undefined));
      return work(1);
    });
    await using t = await TestEngine.open({ workflows: [careful], activities: [work, undo] });
    const run = await t.client.start(careful);
    await errorOf(t.result(run));
    state.isUp = true;
    const before = await eventsOf(run);
    expect(await errorOf(run.reopen())).toMatchObject(refused);
    expect(await eventsOf(run)).toEqual(before);
  });

  it("is not reopened to fail in the same way at once", async () => {
    const picky = workflow("picky", async () => {
      throw new Error(`no ${await receive(go)}`);
    });
    await using t = await TestEngine.open({ workflows: [picky], activities: [] });
    const run = await t.client.start(picky);
    await run.signal(go, "x");
    await errorOf(t.result(run));
    expect(await errorOf(run.reopen())).toMatchObject(refused);
  });

  it("since its code diverged goes on with code that fits", async () => {
    // I-41
    const store = openMemoryStore();
    const old = workflow("job", async () => {
      await sleep("1 minute");
      return receive(go);
    });
    const diverged = workflow("job", async () => receive(go));
    await using t = await TestEngine.open({ workflows: [old], activities: [], store });
    const run = await t.client.start(old);
    await t.skip("1 minute");
    await t.crash({ workflows: [diverged] });
    await errorOf(run.signal(go, "lost"));
    expect((await run.describe()).status).toBe("failed");
    expect(await errorOf(run.reopen())).toMatchObject(refused);
    await t.crash({ workflows: [old] });
    await run.reopen();
    await run.signal(go, "x");
    await t.crash();
    expect(await t.result(run)).toBe("x");
  });
});

describe("a run that was cancelled", () => {
  it("is not reopened when a caller was told of the cancellation, or its code did something about it: it is said what", async () => {
    const cleanUp = activity("clean-up", async () => "clean");
    const rename = update<string, string>("rename");
    const desk = workflow("desk", async (isClean: boolean) => {
      expose(rename, async (name) => {
        await sleep("1h");
        return name;
      });
      try {
        await sleep("1 day");
      } finally {
        if (isClean) await shield(() => cleanUp(undefined));
      }
    });
    await using t = await TestEngine.open({ workflows: [desk], activities: [cleanUp] });
    const cut = async (isClean: boolean, isAsked: boolean) => {
      const run = await t.client.start(desk, isClean);
      if (isAsked) await run.startUpdate(rename, "x");
      await t.settle();
      await run.cancel();
      await t.settle();
      return run;
    };
    const asked = await cut(false, true);
    await expect(asked.reopen()).rejects.toMatchObject({
      ...refused,
      message: expect.stringMatching(
        /in the same way again: an update was answered by then, .* \(event 8, UpdateCompleted\)$/,
      ) as string,
    });
    await expect((await cut(true, false)).reopen()).rejects.toMatchObject({
      ...refused,
      message: expect.stringMatching(/its code did something about that, .* \(event \d+, Activity/) as string,
    });
    await (await cut(false, false)).reopen();
  });

  it("is reopened where it was, if it did nothing but end", async () => {
    const slow = activity("slow", async (_n: number, task) => {
      await new Promise<void>((resolve) => {
        if (task.signal.aborted) resolve();
        task.signal.addEventListener("abort", () => resolve());
        if (task.attempt > 1) resolve();
      });
      task.signal.throwIfAborted();
      return "slow done";
    });
    const waits = workflow("waits", async () => {
      const got = await receive(go, { timeout: "1 day" });
      return [got.ok && got.value, await slow(1)];
    });
    await using t = await TestEngine.open({ workflows: [waits], activities: [slow] });
    const run = await t.client.start(waits);
    await run.cancel("too early", { requestId: "c-1" });
    expect(await errorOf(t.result(run))).toMatchObject({ kind: "cancelled" });
    await run.reopen();
    await run.cancel("too early", { requestId: "c-1" });
    expect((await run.describe()).isCancelRequested).toBe(false);
    await run.signal(go, "x");
    await t.settle();
    await run.cancel();
    expect(await errorOf(t.result(run))).toMatchObject({ kind: "cancelled" });
    expect(await typesOf(run)).toContain("ActivityCancelled");
    await run.reopen();
    await t.crash();
    expect(await t.result(run)).toEqual(["x", "slow done"]);
    expect(t.calls("slow").map(({ attempt }) => attempt)).toEqual([1, 2]);
  });

  it("is not reopened when it cleaned up", async () => {
    const clean = activity("clean", async () => undefined);
    const tidy = workflow("tidy", async () => {
      try {
        return await receive(go);
      } catch (error) {
        if (isCancelled(error)) await shield(() => clean(undefined));
        throw error;
      }
    });
    await using t = await TestEngine.open({ workflows: [tidy], activities: [clean] });
    const run = await t.client.start(tidy);
    await run.cancel();
    await errorOf(t.result(run));
    expect(await errorOf(run.reopen())).toMatchObject(refused);
  });

  it("before its code had begun waits for its start delay again", async () => {
    const waits = workflow("waits", () => receive(go));
    await using t = await TestEngine.open({ workflows: [waits], activities: [] });
    const run = await t.client.start(waits, undefined, { startDelay: "1 hour" });
    await run.cancel();
    await run.reopen();
    await run.signal(go, "x");
    await t.crash();
    expect(await t.result(run)).toBe("x");
  });
});

describe("a run that timed out", () => {
  it("is given its time again", async () => {
    const waits = workflow("waits", () => receive(go));
    await using t = await TestEngine.open({ workflows: [waits], activities: [] });
    const run = await t.client.start(waits, undefined, { runTimeout: "1 hour", executionTimeout: "3 hours" });
    await t.skip("1 hour");
    expect((await run.describe()).status).toBe("timed-out");
    await run.reopen();
    await t.crash();
    await t.skip("59 minutes");
    expect((await run.describe()).status).toBe("running");
    await t.skip("1 minute");
    expect((await run.describe()).status).toBe("timed-out");
    await t.skip("1 hour");
    await run.reopen();
    await run.signal(go, "x");
    expect(await t.result(run)).toBe("x");
  });
});

describe("the children of a run that is reopened", () => {
  const { work, state } = flaky("work");
  const leaf = workflow("leaf", async () => [await receive(go), await work(1)]);
  const parent = workflow("parent", () => child(leaf, undefined, { id: "leaf" }));

  it("when one failed it is reopened first, and its parent then waits for it", async () => {
    state.isUp = false;
    await using t = await TestEngine.open({ workflows: [parent, leaf], activities: [work] });
    const run = await t.client.start(parent);
    await t.settle();
    await t.client.get("leaf").signal(go, "x");
    await errorOf(t.result(run));
    expect(await errorOf(run.reopen())).toMatchObject(refused);
    await t.client.get("leaf").reopen();
    await t.settle();
    // It failed again: its parent, which has heard of the first time, would hear nothing better.
    expect(await errorOf(run.reopen())).toMatchObject(refused);
    state.isUp = true;
    await t.client.get("leaf").reopen();
    await t.settle();
    await run.reopen();
    expect(await t.result(run)).toEqual(["x", "work done"]);
  });

  it("and one that still runs then tells it of its end", async () => {
    state.isUp = false;
    const slow = workflow("slow", async () => [await work(1), await receive(go)]);
    const over = workflow("over", () => child(slow, undefined, { id: "slow" }));
    await using t = await TestEngine.open({ workflows: [over, slow], activities: [work] });
    const run = await t.client.start(over);
    await errorOf(t.result(run));
    state.isUp = true;
    await t.client.get("slow").reopen();
    await t.settle();
    await run.reopen();
    await t.crash();
    await t.client.get("slow").signal(go, "y");
    expect(await t.result(run)).toEqual(["work done", "y"]);
  });

  it("one that was ended with it stands against it, and one that went on does not", async () => {
    const { work: other, state: up } = flaky("other");
    const make = (policy: "terminate" | "abandon") =>
      workflow(policy, async () => {
        const ended = child(leaf, undefined, { id: policy, parentClosePolicy: policy });
        await Promise.race([other(1), ended]);
        return ended;
      });
    const workflows = [make("terminate"), make("abandon"), leaf];
    await using t = await TestEngine.open({ workflows, activities: [work, other] });
    const [torn, kept] = workflows;
    if (torn === undefined || kept === undefined) throw new Error("they are there");
    const first = await t.client.start("terminate");
    const second = await t.client.start("abandon");
    await t.settle();
    up.isUp = true;
    state.isUp = true;
    expect(await errorOf(first.reopen())).toMatchObject({
      ...refused,
      message: expect.stringContaining("with its parent") as string,
    });
    await t.client
      .get("abandon")
      .signal(go, "x")
      .catch(() => undefined);
    await second.reopen();
    expect(await t.result(second)).toEqual(["x", "work done"]);
  });
});

describe("to reopen", () => {
  it("is refused for a run that runs, completed or was terminated, and for one that is not the latest", async () => {
    const waits = workflow("waits", () => receive(go));
    await using t = await TestEngine.open({ workflows: [waits], activities: [] });
    expect(await errorOf(t.client.get("nobody").reopen())).toMatchObject({ code: "run_not_found" });
    const run = await t.client.start(waits, undefined, { id: "a" });
    expect(await errorOf(run.reopen())).toMatchObject(refused);
    await run.signal(go, "x");
    await t.result(run);
    expect(await errorOf(run.reopen())).toMatchObject(refused);
    const second = await t.client.start(waits, undefined, { id: "a", reuse: "after-close" });
    await second.terminate();
    expect(await errorOf(second.reopen())).toMatchObject(refused);
    const third = await t.client.start(waits, undefined, { id: "a", reuse: "after-close" });
    await third.cancel();
    await errorOf(third.result());
    await t.client.start(waits, undefined, { id: "a", reuse: "after-close" });
    const named = t.client.get("a", third.runId === undefined ? {} : { runId: third.runId });
    expect(await errorOf(named.reopen())).toMatchObject(refused);
    await t.client.get("a").terminate();
  });

  it("by a request that was made before has no second effect", async () => {
    const waits = workflow("waits", () => receive(go));
    await using t = await TestEngine.open({ workflows: [waits], activities: [] });
    const run = await t.client.start(waits);
    await run.cancel();
    await run.reopen(undefined, { requestId: "r-1" });
    await run.reopen(undefined, { requestId: "r-1" });
    await t.crash();
    await run.cancel();
    await errorOf(run.result());
    await run.reopen(undefined, { requestId: "r-1" });
    expect((await run.describe()).status).toBe("cancelled");
    await run.reopen(undefined, { requestId: "r-2" });
    expect((await run.describe()).status).toBe("running");
    await run.pause();
    await run.cancel();
    await t.settle();
    await run.reopen();
    await run.signal(go, "x");
    expect(await t.result(run)).toBe("x");
  });
});

it.each(["read", "written"] as const)("a run that is deleted while it is %s is not found", async (when) => {
  // I-20
  const inner = openMemoryStore();
  let token: OwnerToken | undefined;
  let isRetired = false;
  const retire = async (): Promise<void> => {
    if (isRetired && token !== undefined) await inner.deleteClosed(token, Number.MAX_SAFE_INTEGER, 10);
  };
  const store = overStore(inner, {
    claim: async (claim) => (token = await inner.claim(claim)),
    readSegment: async (run, from, limit) => {
      if (when === "read") await retire();
      return await inner.readSegment(run, from, limit);
    },
    append: async (by, commits) => {
      if (commits.some(({ run }) => run?.events[0]?.type === "WorkflowReopened")) await retire();
      return await inner.append(by, commits);
    },
  });
  const { work } = flaky("work");
  const fails = workflow("fails", () => work(1));
  await using t = await TestEngine.open({ workflows: [fails], activities: [work], store });
  const run = await t.client.start(fails);
  await errorOf(run.result());
  isRetired = true;
  expect(await errorOf(run.reopen())).toMatchObject({ code: "run_not_found" });
});

it("a run after which another is begun while it is reopened is not the latest any more", async () => {
  // I-36
  const inner = openMemoryStore();
  let begin: (() => Promise<unknown>) | undefined;
  const store = overStore(inner, {
    readSegment: async (run, from, limit) => {
      const page = await inner.readSegment(run, from, limit);
      const other = begin;
      begin = undefined;
      await other?.();
      return page;
    },
  });
  const { work } = flaky("work");
  const waits = workflow("waits", () => receive(go));
  const fails = workflow("fails", () => work(1));
  await using t = await TestEngine.open({ workflows: [fails, waits], activities: [work], store });
  const run = await t.client.start(fails, undefined, { id: "a" });
  await errorOf(run.result());
  begin = () => t.client.start(waits, undefined, { id: "a", reuse: "after-close" });
  expect(await errorOf(t.client.get("a").reopen())).toMatchObject(refused);
  expect((await t.client.get("a").describe()).status).toBe("running");
  await t.client.get("a").terminate();
});

it("a run that timed out in a pause goes on, and hears what reached it in the pause", async () => {
  await using t = await TestEngine.open({ workflows: [listener], activities: [] });
  const run = await t.client.start(listener, undefined, { runTimeout: "1 hour" });
  await run.pause();
  await run.signal(go, "x");
  await t.skip("1 hour");
  expect((await run.describe()).status).toBe("timed-out");
  await run.reopen();
  await t.crash();
  expect(await run.describe()).toMatchObject({ status: "running" });
  expect((await run.describe()).paused).toBeUndefined();
  expect(await run.query(heard)).toEqual(["x"]);
  await run.terminate();
});

const heard = query<readonly string[]>("heard");
const listener = workflow("listener", async (): Promise<never> => {
  const all: string[] = [];
  expose(heard, () => all);
  for (;;) {
    const got = await receive(go, { timeout: "1 hour" });
    if (got.ok) all.push(got.value);
  }
});

it("whatever a run is put through, it hears what it was sent once and in order, in every lease of it", async () => {
  // I-59
  const act = fc.constantFrom("signal", "signal", "cancel", "reopen", "pause", "resume", "hour", "crash");
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 16 }), async (acts) => {
      await using t = await TestEngine.open({ workflows: [listener], activities: [] });
      const run = await t.client.start(listener, undefined, { runTimeout: "150 minutes" });
      const sent: string[] = [];
      const isClosed = (error: unknown): void => expect(error).toMatchObject({ code: "run_closed" });
      for (const [index, each] of acts.entries()) {
        const text = String(index);
        if (each === "signal") await run.signal(go, text).then(() => sent.push(text), isClosed);
        else if (each === "cancel") await run.cancel().catch(isClosed);
        else if (each === "pause") await run.pause().catch(isClosed);
        else if (each === "resume") await run.resume().catch(isClosed);
        else if (each === "hour") await t.skip("1 hour");
        else if (each === "crash") await t.crash();
        else {
          await t.settle();
          await run.reopen().catch((error: unknown) => expect(error).toMatchObject(refused));
        }
      }
      await t.settle();
      if ((await run.describe()).closedAt === undefined) await run.resume();
      else await run.reopen();
      await t.crash();
      await t.settle();
      expect(await run.query(heard)).toEqual(sent);
      const events = await eventsOf(run);
      const ends = events.filter(({ type }) => type === "WorkflowCancelled" || type === "WorkflowTimedOut");
      const leases = events.filter(({ type }) => type === "WorkflowReopened");
      const isOpen = (await run.describe()).closedAt === undefined;
      expect(ends).toHaveLength(leases.length + (isOpen ? 0 : 1));
    }),
    { numRuns: 80, seed: Number(process.env["AION_TEST_SEED"] ?? 1) },
  );
});
