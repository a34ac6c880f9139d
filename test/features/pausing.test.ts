import { openMemoryStore } from "aion/store";
import { TestEngine } from "aion/testing";
import {
  activity,
  child,
  continueAsNew,
  expose,
  isCancelled,
  query,
  receive,
  shield,
  signal,
  sleep,
  workflow,
} from "aion/workflow";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { errorOf, eventsOf, eventsOfType, rootOf, typesOf } from "./run-history.ts";

const note = signal<string>("note");
const heard = query<readonly string[]>("heard");

/** Tells what reached it, in the order in which it did. */
const listener = workflow("listener", async (count: number): Promise<readonly string[]> => {
  const all: string[] = [];
  expose(heard, () => all);
  while (all.length < count) {
    const got = await receive(note, { timeout: "1 hour" });
    all.push(got.ok ? got.value : "timeout");
  }
  return all;
});

/** An activity whose attempts end when they are told. */
function gated(name: string) {
  const waiting: ((value: string) => void)[] = [];
  const work = activity(name, { retry: { maxAttempts: 3, initialDelay: "1s", jitter: 0 } }, () => {
    const gate = Promise.withResolvers<string>();
    waiting.push(gate.resolve);
    return gate.promise;
  });
  return { work, waiting };
}

describe("a paused run", () => {
  it("executes no code, and is told afterwards what was recorded meanwhile, in that order", async () => {
    await using t = await TestEngine.open({ workflows: [listener], activities: [] });
    const run = await t.client.start(listener, 4);
    await run.signal(note, "a");
    await run.pause("look at it first");
    await run.signal(note, "b");
    await t.skip("2 hours");
    await run.signal(note, "c");
    await t.settle();
    expect(await run.query(heard)).toEqual(["a"]);
    const paused = await run.describe();
    expect(paused).toMatchObject({ status: "paused", paused: { reason: "look at it first" } });
    expect(paused.paused?.since).toBeLessThanOrEqual(t.now() - 7_200_000);
    // The timer began when "a" had come, and ran out between "b" and "c".
    await run.resume();
    expect(await t.result(run)).toEqual(["a", "b", "c", "timeout"]);
    const types = await typesOf(run);
    const from = types.indexOf("WorkflowPaused");
    expect(types.slice(from, from + 6)).toEqual([
      "WorkflowPaused",
      "SignalReceived",
      "TimerFired",
      "SignalReceived",
      "WorkflowResumed",
      "InputDelivered",
    ]);
    expect((await run.describe()).paused).toBeUndefined();
  });

  // I-58
  it("lets an attempt under way end, and begins none, not even a retry", async () => {
    const { work, waiting } = gated("work");
    const two = workflow("two", async () => [await work(undefined), await work(undefined)]);
    await using t = await TestEngine.open({ workflows: [two], activities: [work] });
    const run = await t.client.start(two);
    await t.settle();
    await run.pause();
    waiting.shift()?.("first");
    await t.skip("1 day");
    expect(await eventsOfType(run, "ActivityCompleted")).toHaveLength(1);
    expect(t.calls("work")).toHaveLength(1);
    await run.resume();
    await t.settle();
    expect(t.calls("work")).toHaveLength(2);
    waiting.shift()?.("second");
    expect(await t.result(run)).toEqual(["first", "second"]);
  });

  // C-20
  it("does not try again before it is resumed", async () => {
    let isUp = false;
    const call = activity("call", { retry: { initialDelay: "1s", jitter: 0 } }, async () => {
      if (!isUp) throw new Error("down");
      return "up";
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const run = await t.client.start(caller);
    await t.settle();
    await run.pause();
    const before = t.calls("call").length;
    await t.skip("1 hour");
    await t.crash();
    await t.skip("1 hour");
    expect(t.calls("call")).toHaveLength(before);
    isUp = true;
    await run.resume();
    expect(await t.result(run)).toBe("up");
    expect(t.calls("call")).toHaveLength(before + 1);
  });

  it("is paused after a crash, without being loaded for it", async () => {
    await using t = await TestEngine.open({ workflows: [listener], activities: [] });
    const run = await t.client.start(listener, 1);
    await run.pause();
    expect(await t.crash()).toEqual([]);
    expect(t.residents).toEqual([]);
    expect((await run.describe()).status).toBe("paused");
    await run.signal(note, "x");
    await t.crash();
    await run.resume();
    await t.crash();
    expect(await t.result(run)).toEqual(["x"]);
  });

  it("waits for its start delay and for its code as it would otherwise", async () => {
    await using t = await TestEngine.open({ workflows: [listener], activities: [] });
    const run = await t.client.start(listener, 1, { startDelay: "1 hour" });
    await run.pause();
    await t.skip("2 hours");
    expect((await typesOf(run)).at(-1)).toBe("TimerFired");
    await run.signal(note, "x");
    await run.resume();
    expect(await t.result(run)).toEqual(["x"]);
  });

  it("keeps result waiting, and is found by its status", async () => {
    await using t = await TestEngine.open({ workflows: [listener], activities: [] });
    const run = await t.client.start(listener, 1);
    const other = await t.client.start(listener, 1);
    await run.pause();
    const waiting = errorOf(run.result({ timeout: "1 minute" }));
    await t.skip("1 minute");
    expect(await waiting).toMatchObject({ code: "result_timeout" });
    const ids = async (status: "paused" | "running") => {
      const found: string[] = [];
      for await (const { workflowId } of t.client.list({ status })) found.push(workflowId);
      return found;
    };
    expect(await ids("paused")).toEqual([run.workflowId]);
    expect(await ids("running")).toEqual([other.workflowId]);
    expect(await t.client.count({ status: "paused" })).toBe(1);
    expect(await t.client.count({ status: "running" })).toBe(1);
    const result = run.result();
    await run.signal(note, "x");
    await run.resume();
    expect(await result).toEqual(["x"]);
    await other.terminate();
  });

  it("is ended by terminate and by its time-outs", async () => {
    await using t = await TestEngine.open({ workflows: [listener], activities: [] });
    const first = await t.client.start(listener, 1);
    await first.pause();
    await first.terminate("enough");
    expect(await errorOf(first.result())).toMatchObject({ kind: "terminated" });
    const second = await t.client.start(listener, 1, { runTimeout: "1 day" });
    await second.pause();
    await t.crash();
    await t.skip("1 day");
    expect(await errorOf(second.result())).toMatchObject({ kind: "timeout" });
    const third = await t.client.start(listener, 1, { executionTimeout: "1 day" });
    await third.pause();
    await t.skip("1 day");
    expect((await third.describe()).status).toBe("timed-out");
  });

  it("goes on when it is cancelled, and begins nothing that is called off at once", async () => {
    const { work, waiting } = gated("work");
    const undo = activity("undo", async () => undefined);
    const pair = workflow("pair", async () => {
      try {
        await work(undefined);
        return await work(undefined);
      } catch (error) {
        if (isCancelled(error)) await shield(() => undo(undefined));
        throw error;
      }
    });
    await using t = await TestEngine.open({ workflows: [pair], activities: [work, undo] });
    const run = await t.client.start(pair);
    await t.settle();
    await run.pause();
    waiting.shift()?.("done");
    await t.settle();
    await run.cancel("no longer needed");
    expect(await errorOf(t.result(run))).toMatchObject({ kind: "cancelled" });
    // What it asked for when it was told of the first outcome was never begun.
    expect(t.calls("work")).toHaveLength(1);
    expect(t.calls("undo")).toHaveLength(1);
    const types = await typesOf(run);
    const from = types.indexOf("WorkflowCancelRequested");
    expect(types.slice(from, from + 2)).toEqual(["WorkflowCancelRequested", "WorkflowResumed"]);
  });

  it("ends at once when it is cancelled before its code has begun", async () => {
    await using t = await TestEngine.open({ workflows: [listener], activities: [] });
    const run = await t.client.start(listener, 1, { startDelay: "1 hour" });
    await run.pause();
    await run.cancel();
    expect((await run.describe()).status).toBe("cancelled");
  });

  it("hands on what it was not told when it goes on as a new run", async () => {
    const chain = workflow("chain", async (n: number): Promise<string> => {
      const got = await receive(note);
      return n === 0 ? continueAsNew(n + 1) : got;
    });
    await using t = await TestEngine.open({ workflows: [chain], activities: [] });
    const run = await t.client.start(chain, 0);
    await run.pause();
    await run.signal(note, "one", { signalId: "s-1" });
    await run.signal(note, "two", { signalId: "s-2" });
    await run.resume();
    await run.signal(note, "two", { signalId: "s-2" });
    expect(await t.result(run)).toBe("two");

    const stops = workflow("stops", async (n: number): Promise<string> => {
      if (n > 0) await sleep("365 days");
      await receive(note);
      return continueAsNew(n + 1);
    });
    await using u = await TestEngine.open({ workflows: [stops], activities: [] });
    const second = await u.client.start(stops, 0);
    await second.pause();
    await second.signal(note, "go");
    await second.cancel("stop");
    await u.settle();
    expect(await errorOf(second.result())).toMatchObject({ kind: "cancelled" });
    expect((await second.describe()).runs).toHaveLength(2);
  });

  it("is waited for by its parent, and is terminated with it", async () => {
    const parent = workflow("parent", () => child(listener, 1, { id: "the-child" }));
    await using t = await TestEngine.open({ workflows: [parent, listener], activities: [] });
    const run = await t.client.start(parent);
    await t.settle();
    const held = t.client.get("the-child");
    await held.pause();
    await run.pause();
    await held.signal(note, "x");
    await held.resume();
    await t.settle();
    expect(await eventsOfType(run, "ChildWorkflowCompleted")).toHaveLength(1);
    expect((await run.describe()).status).toBe("paused");
    await run.resume();
    expect(await t.result(run)).toEqual(["x"]);

    const again = await t.client.start(parent);
    await t.settle();
    await t.client.get("the-child").pause();
    await again.terminate();
    await t.settle();
    expect((await t.client.get("the-child").describe()).status).toBe("terminated");
  });
});

it("more than one commit holds is told after a pause in as many as it takes, across a crash", async () => {
  await using t = await TestEngine.open({ workflows: [listener], activities: [] });
  const run = await t.client.start(listener, 2_500);
  await run.pause();
  for (let index = 0; index < 2_500; index += 1) await run.signal(note, String(index));
  await run.resume();
  await t.crash();
  expect(await t.result(run)).toEqual(Array.from({ length: 2_500 }, (_, index) => String(index)));
});

it("no more signals are kept for a paused run than for any other", async () => {
  await using t = await TestEngine.open({
    workflows: [listener],
    activities: [],
    limits: { waitingSignalsMax: 3 },
  });
  const run = await t.client.start(listener, 3);
  await run.pause();
  for (const each of ["a", "b", "c"]) await run.signal(note, each);
  expect(await errorOf(run.signal(note, "d"))).toMatchObject({ code: "signals_full" });
  await run.resume();
  expect(await t.result(run)).toEqual(["a", "b", "c"]);
});

describe("to pause and to resume", () => {
  it("again changes nothing, and of a run that has ended is refused", async () => {
    await using t = await TestEngine.open({ workflows: [listener], activities: [] });
    const run = await t.client.start(listener, 1);
    await run.resume();
    await run.pause("first");
    await run.pause("second");
    expect(await eventsOfType(run, "WorkflowPaused")).toMatchObject([{ reason: "first" }]);
    await run.resume();
    await run.resume();
    expect(await eventsOfType(run, "WorkflowResumed")).toHaveLength(1);
    await run.terminate();
    expect(await errorOf(run.pause())).toMatchObject({ code: "run_closed" });
    expect(await errorOf(run.resume())).toMatchObject({ code: "run_closed" });
    expect(await errorOf(t.client.get("nobody").pause())).toMatchObject({ code: "run_not_found" });
  });

  it("by a request that was made before has no second effect", async () => {
    // I-18
    await using t = await TestEngine.open({ workflows: [listener], activities: [] });
    const run = await t.client.start(listener, 1, { id: "a" });
    await run.pause("p", { requestId: "p-1" });
    await run.pause("p", { requestId: "p-2" });
    await run.resume(undefined, { requestId: "r-1" });
    await t.crash();
    await run.pause("p", { requestId: "p-1" });
    await run.pause("p", { requestId: "p-2" });
    expect((await run.describe()).status).toBe("running");
    await run.pause();
    await run.resume(undefined, { requestId: "r-1" });
    expect((await run.describe()).status).toBe("paused");
    await run.terminate();
    await run.pause("p", { requestId: "p-1" });
    const next = await t.client.start(listener, 1, { id: "a", reuse: "after-close" });
    await run.pause("p", { requestId: "p-1" });
    await t.client.get("a").resume(undefined, { requestId: "r-1" });
    expect((await next.describe()).status).toBe("running");
    expect(await eventsOfType(next, "WorkflowPaused")).toMatchObject([
      { requestId: "p-1" },
      { requestId: "p-2", isFurther: true },
      {},
    ]);
    await next.terminate();
  });
});

describe("any order of pauses, signals, time and crashes", () => {
  it("gives the code the same as if it had never been paused, but later", async () => {
    const act = fc.constantFrom("pause", "resume", "signal", "hour", "crash", "settle");
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 14 }), async (acts) => {
        const store = openMemoryStore();
        await using t = await TestEngine.open({ workflows: [listener], activities: [], store });
        const run = await t.client.start(listener, 1_000_000);
        let sent = 0;
        for (const each of acts) {
          if (each === "pause") await run.pause();
          else if (each === "resume") await run.resume();
          else if (each === "signal") await run.signal(note, String(sent++));
          else if (each === "hour") await t.skip("61 minutes");
          else if (each === "crash") await t.crash();
          else await t.settle();
        }
        await run.resume();
        await t.settle();
        const told = (await run.query(heard)).filter((each) => each !== "timeout");
        expect(told).toEqual(Array.from({ length: sent }, (_, index) => String(index)));
        const events = await eventsOf(run);
        const held: { readonly seq: number; readonly type: string }[] = [];
        const delivered = events.flatMap((event) => (event.type === "InputDelivered" ? [event.of] : []));
        let isPaused = false;
        for (const event of events) {
          if (event.type === "WorkflowPaused") isPaused = true;
          if (event.type === "WorkflowResumed") isPaused = false;
          if (!isPaused) continue;
          if (event.type === "SignalReceived" || event.type === "TimerFired") held.push(event);
          expect(["TimerStarted", "TimerCancelled", "InputDelivered"]).not.toContain(event.type);
        }
        // A timer that the code has called off by then is told of no more.
        const known = held.filter(({ seq, type }) => type === "SignalReceived" || delivered.includes(seq));
        expect(delivered).toEqual(known.map(({ seq }) => seq));
      }),
      { numRuns: 60, seed: Number(process.env["AION_TEST_SEED"] ?? 1) },
    );
  });
});

it("an activity that waits for a slot when its run is paused gives it to others", async () => {
  const { work, waiting } = gated("work");
  const one = workflow("one", () => work(undefined));
  await using t = await TestEngine.open({
    workflows: [one],
    activities: [work],
    activityConcurrency: 1,
  });
  const first = await t.client.start(one);
  await t.settle();
  const second = await t.client.start(one);
  const third = await t.client.start(one);
  await t.settle();
  await second.pause();
  waiting.shift()?.("1");
  expect(await t.result(first)).toBe("1");
  await t.settle();
  expect(await eventsOfType(second, "ActivityStarted")).toEqual([]);
  waiting.shift()?.("3");
  expect(await t.result(third)).toBe("3");
  await second.resume();
  await t.settle();
  waiting.shift()?.("2");
  expect(await t.result(second)).toBe("2");
});

it("a failure that comes during a pause is thrown after it", async () => {
  const call = activity("call", async () => {
    await gate.promise;
    throw new Error("no");
  });
  const gate = Promise.withResolvers<undefined>();
  const caller = workflow("caller", () => call(undefined));
  await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
  const run = await t.client.start(caller);
  await t.settle();
  await run.pause();
  gate.resolve(undefined);
  await t.settle();
  expect((await run.describe()).status).toBe("paused");
  await run.resume();
  expect(rootOf(await errorOf(t.result(run)))).toMatchObject({ message: "no" });
});
