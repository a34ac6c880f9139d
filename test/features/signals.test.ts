import { setImmediate } from "node:timers/promises";
import { TestEngine } from "aion/testing";
import {
  ApplicationFailure,
  activity,
  continueAsNew,
  expose,
  receive,
  signal,
  signalWorkflow,
  sleep,
  waitUntil,
  workflow,
} from "aion/workflow";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { errorOf, eventsOf, eventsOfType, typesOf } from "./run-history.ts";

const item = signal<number>("item");
const stop = signal("stop");

/** Takes items until it is told to stop, and gives them back. */
const collector = workflow("collector", async () => {
  const items: number[] = [];
  expose(item, (value) => {
    items.push(value);
  });
  await receive(stop);
  return items;
});

describe("a signal", () => {
  it("waits in the history until the run asks for it", async () => {
    // I-22
    const late = workflow("late", async () => {
      await sleep("1h");
      return [await receive(item), await receive(item)];
    });
    await using t = await TestEngine.open({ workflows: [late] });
    const run = await t.client.start(late);
    await run.signal(item, 1);
    await t.crash();
    await run.signal(item, 2);
    expect(await t.result(run)).toEqual([1, 2]);
  });

  it("is acknowledged only when it is recorded, and survives the crash that follows", async () => {
    // I-3, I-22
    await using t = await TestEngine.open({ workflows: [collector] });
    const run = await t.client.start(collector);
    for (let value = 0; value < 20; value++) {
      await run.signal(item, value);
      expect((await eventsOfType(run, "SignalReceived")).length).toBe(value + 1);
      if (value % 5 === 0) await t.crash();
    }
    await run.signal(stop);
    expect(await t.result(run)).toEqual(Array.from({ length: 20 }, (_, value) => value));
  });

  it("keeps the order of its sender, of several names at once, whoever waits first", async () => {
    // I-23
    const other = signal<number>("other");
    const both = workflow("both", async () => {
      const seen: (readonly [string, number])[] = [];
      for (let count = 0; count < 3; count++) {
        const [first, second] = await Promise.all([receive(other), receive(item)]);
        seen.push(["other", first], ["item", second]);
      }
      return seen;
    });
    await using t = await TestEngine.open({ workflows: [both] });
    const run = await t.client.start(both);
    await Promise.all([1, 2, 3].flatMap((value) => [run.signal(item, value), run.signal(other, value * 10)]));
    expect(await t.result(run)).toEqual([
      ["other", 10],
      ["item", 1],
      ["other", 20],
      ["item", 2],
      ["other", 30],
      ["item", 3],
    ]);
  });

  it("goes to whoever has waited longest for one of its name", async () => {
    // I-23
    const eager = workflow("eager", () =>
      Promise.all([receive(item), receive(item, { timeout: "1h" }), receive(item)]),
    );
    await using t = await TestEngine.open({ workflows: [eager] });
    const run = await t.client.start(eager);
    await run.signal(item, 1);
    await t.crash();
    for (const value of [2, 3]) await run.signal(item, value);
    expect(await t.result(run)).toEqual([1, { ok: true, value: 2 }, 3]);
  });

  it("with an id is received once, however often and whenever it is sent", async () => {
    // I-22: exactly once
    await using t = await TestEngine.open({ workflows: [collector] });
    const run = await t.client.start(collector);
    await Promise.all([1, 2, 3].map(() => run.signal(item, 1, { signalId: "a" })));
    await run.signal(item, 1, { signalId: "a" });
    await t.crash();
    await run.signal(item, 1, { signalId: "a" });
    await run.signal(item, 2, { signalId: "b" });
    await run.signal(stop);
    expect(await t.result(run)).toEqual([1, 2]);
  });

  it("to a run that does not exist, or that has ended, is refused", async () => {
    // I-24: or the sender gets an error
    await using t = await TestEngine.open({ workflows: [collector] });
    expect(await errorOf(t.client.get("nobody").signal(item, 1))).toMatchObject({ code: "run_not_found" });
    const run = await t.client.start(collector);
    await run.signal(stop);
    await t.result(run);
    const before = await eventsOf(run);
    expect(await errorOf(run.signal(item, 1))).toMatchObject({ code: "run_closed" });
    expect(await eventsOf(run)).toEqual(before);
  });

  it("that is on its way when the run ends is either in the history or refused", async () => {
    // I-24
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 12 }), fc.integer(), async (stopAt, seed) => {
        await using t = await TestEngine.open({ workflows: [collector], seed });
        const run = await t.client.start(collector);
        const sent = Array.from({ length: 12 }, async (_, value) => {
          if (value === stopAt) await run.signal(stop);
          await run.signal(item, value);
          return value;
        });
        const outcomes = await Promise.allSettled(sent);
        if (stopAt === 12) await run.signal(stop);
        await t.result(run);
        const acknowledged = outcomes.flatMap((outcome) =>
          outcome.status === "fulfilled" ? [outcome.value] : [],
        );
        const recorded = (await eventsOfType(run, "SignalReceived"))
          .filter((event) => event.name === "item")
          .map((event) => Number(event.payload));
        expect(new Set(recorded)).toEqual(new Set(acknowledged));
        expect(recorded).toHaveLength(acknowledged.length);
        for (const outcome of outcomes) {
          if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "run_closed" });
        }
      }),
      { numRuns: 30 },
    );
  });

  it("whose payload does not fit is refused, and leaves no trace", async () => {
    const strict = signal("strict", z.object({ amount: z.number() }));
    const taker = workflow("taker", { signals: [strict] }, async () => receive(strict));
    await using t = await TestEngine.open({ workflows: [taker], payloadLimitBytes: 1_000 });
    const run = await t.client.start(taker);
    const before = await eventsOf(run);
    expect(await errorOf(run.signal("strict", { amount: "lots" }))).toMatchObject({
      code: "payload_invalid",
    });
    expect(await errorOf(run.signal("strict", { amount: 1, note: "x".repeat(2_000) }))).toMatchObject({
      code: "payload_too_large",
    });
    expect(await eventsOf(run)).toEqual(before);
    await run.signal(strict, { amount: 5 });
    expect(await t.result(run)).toEqual({ amount: 5 });
  });

  it("wakes a wait with a time-out, or the time-out does: whichever was recorded first", async () => {
    const waiter = workflow("waiter", () => receive(item, { timeout: "1h" }));
    await using t = await TestEngine.open({ workflows: [waiter] });
    const inTime = await t.client.start(waiter);
    const tooLate = await t.client.start(waiter);
    await t.skip(3_599_999);
    await inTime.signal(item, 1);
    await t.skip(1);
    expect(await t.result(inTime)).toEqual({ ok: true, value: 1 });
    expect(await t.result(tooLate)).toEqual({ ok: false, reason: "timeout" });
    expect(await errorOf(tooLate.signal(item, 2))).toMatchObject({ code: "run_closed" });
  });

  it("goes to a handler in order of arrival, also what came before the handler was there", async () => {
    const late = workflow("late", async () => {
      const seen: number[] = [];
      await sleep("1m");
      expose(item, async (value) => {
        await sleep("1s");
        seen.push(value);
      });
      await waitUntil(() => seen.length === 4);
      return seen;
    });
    await using t = await TestEngine.open({ workflows: [late] });
    const run = await t.client.start(late);
    await run.signal(item, 1);
    await run.signal(item, 2);
    await t.skip("1m");
    await run.signal(item, 3);
    await run.signal(item, 4);
    expect(await t.result(run)).toEqual([1, 2, 3, 4]);
  });

  it("whose handler fails, fails the run", async () => {
    const fragile = workflow("fragile", async () => {
      expose(item, async (value) => {
        await sleep("1s");
        throw new ApplicationFailure(`cannot take ${value}`, { type: "Bad" });
      });
      await receive(stop);
    });
    await using t = await TestEngine.open({ workflows: [fragile] });
    const run = await t.client.start(fragile);
    await run.signal(item, 7);
    expect(await errorOf(t.result(run))).toMatchObject({
      kind: "application",
      type: "Bad",
      message: "cannot take 7",
    });
  });
});

describe("a thousand signals", () => {
  it("to one run are all received, in order, exactly once", async () => {
    // I-22, I-23
    await using t = await TestEngine.open({ workflows: [collector] });
    const run = await t.client.start(collector);
    await Promise.all(Array.from({ length: 1_000 }, (_, value) => run.signal(item, value)));
    await run.signal(stop);
    const items = await t.result(run);
    expect(items).toEqual(Array.from({ length: 1_000 }, (_, value) => value));
  });
});

describe("continue-as-new", () => {
  const message = signal<number>("message");
  const next = signal("next");
  /** Asks for no message until the last generation, which gives all of them back. */
  const relay = workflow("relay", async (generation: number) => {
    if (generation > 0) {
      await receive(next);
      return continueAsNew(generation - 1);
    }
    const seen: number[] = [];
    for (;;) {
      const answer = await receive(message, { timeout: "1s" });
      if (!answer.ok) return seen;
      seen.push(answer.value);
    }
  });

  it("carries over what was not asked for, in order, through many runs and crashes", async () => {
    // I-24, I-23
    await using t = await TestEngine.open({ workflows: [relay] });
    const run = await t.client.start(relay, 5);
    let value = 0;
    for (let generation = 0; generation < 5; generation++) {
      await run.signal(message, value++);
      await run.signal(message, value++);
      if (generation % 2 === 0) await t.crash();
      await run.signal(next);
    }
    expect(await t.result(run)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("loses and reorders none of those that arrive while it happens", async () => {
    // I-24, I-23
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }), async (steps) => {
        await using t = await TestEngine.open({ workflows: [relay] });
        const generations = steps.filter((isNext) => isNext).length;
        const run = await t.client.start(relay, generations);
        let value = 0;
        await Promise.all(steps.map((isNext) => (isNext ? run.signal(next) : run.signal(message, value++))));
        expect(await t.result(run)).toEqual(Array.from({ length: value }, (_, index) => index));
      }),
      { numRuns: 60 },
    );
  });

  it("keeps the order of messages from another workflow, too", async () => {
    // I-23, I-24
    const sender = workflow("sender", async (count: number) => {
      const sent: Promise<void>[] = [];
      for (let value = 0; value < count; value++) {
        sent.push(signalWorkflow("target", message, value));
        if (value % 4 === 3) sent.push(signalWorkflow("target", next, undefined));
      }
      await Promise.all(sent);
    });
    await using t = await TestEngine.open({ workflows: [relay, sender] });
    const run = await t.client.start(relay, 5, { id: "target" });
    await t.result(await t.client.start(sender, 20));
    expect(await t.result(run)).toEqual(Array.from({ length: 20 }, (_, value) => value));
  });

  it("remembers the ids of what it received", async () => {
    // I-22
    await using t = await TestEngine.open({ workflows: [relay] });
    const run = await t.client.start(relay, 3);
    for (let generation = 0; generation < 3; generation++) {
      await run.signal(message, 1, { signalId: "only" });
      await run.signal(next);
    }
    expect(await t.result(run)).toEqual([1]);
  });
});

describe("signal-with-start", () => {
  it("records the signal with the start, in one commit", async () => {
    // I-25
    await using t = await TestEngine.open({ workflows: [collector] });
    const run = await t.client.start(collector, undefined, { id: "c", signal: [item, 7] });
    const [started] = await eventsOfType(run, "WorkflowStarted");
    expect(started?.signals).toEqual([{ name: "item", payload: "7" }]);
    await t.crash();
    await run.signal(stop);
    expect(await t.result(run)).toEqual([7]);
  });

  it("reaches code that asks for it at once and ends", async () => {
    // I-25
    const taker = workflow("taker", async () => receive(item));
    await using t = await TestEngine.open({ workflows: [taker] });
    const run = await t.client.start(taker, undefined, { signal: [item, 7] });
    expect(await t.result(run)).toBe(7);
    expect(await typesOf(run)).toEqual(["WorkflowStarted", "WorkflowCompleted"]);
  });

  it("sends the signal to the run that is there, and starts one when it has ended", async () => {
    await using t = await TestEngine.open({ workflows: [collector] });
    const first = await t.client.start(collector, undefined, { id: "c", signal: [item, 1] });
    const same = await t.client.start(collector, undefined, { id: "c", signal: [item, 2] });
    expect(same).toMatchObject({ runId: first.runId, isNew: false });
    await first.signal(stop);
    expect(await t.result(first)).toEqual([1, 2]);
    const second = await t.client.start(collector, undefined, { id: "c", signal: [item, 3] });
    expect(second.isNew).toBe(true);
    expect(second.runId).not.toBe(first.runId);
    await second.signal(stop);
    expect(await t.result(second)).toEqual([3]);
  });

  it("with a signal id is received once, if the call is repeated", async () => {
    // I-22, I-25
    await using t = await TestEngine.open({ workflows: [collector] });
    const start = () =>
      t.client.start(collector, undefined, { id: "c", signal: [item, 1, { signalId: "a" }] });
    const [run] = await Promise.all([start(), start(), start()]);
    await t.crash();
    await start();
    await run.signal(stop);
    expect(await t.result(run)).toEqual([1]);
  });

  it("a hundred at once make one run, which receives all the signals", async () => {
    // I-25, I-5
    await using t = await TestEngine.open({ workflows: [collector] });
    const runs = await Promise.all(
      Array.from({ length: 100 }, (_, value) =>
        t.client.start(collector, undefined, { id: "c", signal: [item, value] }),
      ),
    );
    expect(new Set(runs.map((run) => run.runId)).size).toBe(1);
    expect(runs.filter((run) => run.isNew === true)).toHaveLength(1);
    await runs[0]?.signal(stop);
    const items = await t.result(t.client.get<readonly number[]>("c"));
    expect(items.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, value) => value));
  });

  it("racing with the end of the run, loses no signal", async () => {
    // I-24, I-25
    const greedy = workflow("greedy", async () => {
      const items = [await receive(item)];
      for (;;) {
        const more = await receive(item, { timeout: 0 });
        if (!more.ok) return items;
        items.push(more.value);
      }
    });
    await using t = await TestEngine.open({ workflows: [greedy] });
    for (let value = 0; value < 60; value++) {
      void t.client.start(greedy, undefined, { id: "g", signal: [item, value] });
      if (value % 3 === 0) await t.settle();
    }
    await t.settle();
    const received: unknown[] = [];
    const chain = (await t.client.get("g").describe()).runs;
    for (const { runId } of chain) {
      const items = await t.result(t.client.get<readonly number[]>("g", { runId }));
      received.push(...items);
    }
    const inHistory = (await eventsOf(t.client.get("g"))).flatMap((event) =>
      event.type === "SignalReceived"
        ? [event.payload]
        : event.type === "WorkflowStarted"
          ? (event.signals ?? []).map((sent) => sent.payload)
          : [],
    );
    expect(inHistory).toHaveLength(60);
    expect(new Set(inHistory).size).toBe(60);
  });

  it("that explicitly returns a run that has ended says that the signal cannot be received", async () => {
    // I-24
    await using t = await TestEngine.open({ workflows: [collector] });
    const run = await t.client.start(collector, undefined, { id: "c", signal: [stop] });
    await t.result(run);
    const again = t.client.start(collector, undefined, { id: "c", reuse: "return", signal: [item, 1] });
    expect(await errorOf(again)).toMatchObject({ code: "workflow_already_exists" });
  });
});

describe("signalWorkflow", () => {
  it("resolves when the target has it recorded, and delivers it once across crashes", async () => {
    // I-22
    const sender = workflow("sender", async (target: string) => {
      for (let value = 0; value < 5; value++) await signalWorkflow(target, item, value);
      await signalWorkflow(target, stop, undefined);
    });
    await using t = await TestEngine.open({ workflows: [collector, sender] });
    const target = await t.client.start(collector, undefined, { id: "target" });
    const run = await t.client.start(sender, "target");
    await t.crash();
    await t.result(run);
    expect(await t.result(target)).toEqual([0, 1, 2, 3, 4]);
  });

  it("rejects when there is no such run, or it has ended", async () => {
    // I-24
    const sender = workflow("sender", async (target: string) => {
      try {
        await signalWorkflow(target, item, 1);
        return "sent";
      } catch (error) {
        if (!(error instanceof ApplicationFailure)) throw error;
        return error.type;
      }
    });
    await using t = await TestEngine.open({ workflows: [collector, sender] });
    expect(await t.result(await t.client.start(sender, "nobody"))).toBe("SignalFailed");
    const ended = await t.client.start(collector, undefined, { id: "ended", signal: [stop] });
    await t.result(ended);
    expect(await t.result(await t.client.start(sender, "ended"))).toBe("SignalFailed");
  });

  it("reaches the workflow that sends it", async () => {
    const selfish = workflow("selfish", async () => {
      await signalWorkflow("self", item, 5);
      return receive(item);
    });
    await using t = await TestEngine.open({ workflows: [selfish] });
    expect(await t.result(await t.client.start(selfish, undefined, { id: "self" }))).toBe(5);
  });

  it("keeps the order of one sender, and reaches a run that sleeps", async () => {
    // I-23
    const sender = workflow("sender", async (target: string) => {
      await Promise.all(Array.from({ length: 50 }, (_, value) => signalWorkflow(target, item, value)));
      await signalWorkflow(target, stop, undefined);
    });
    const other = workflow("other", async () => sleep("1s"));
    await using t = await TestEngine.open({ workflows: [collector, sender, other], residentMax: 1 });
    const target = await t.client.start(collector, undefined, { id: "target" });
    await t.client.start(other);
    await t.settle();
    await t.client.start(sender, "target");
    expect(await t.result(target)).toEqual(Array.from({ length: 50 }, (_, value) => value));
  });

  it("sent before a crash arrives before what the same workflow sends after it", async () => {
    // I-23
    const hold = activity("hold", async (name: string, task) => {
      if (task.attempt === 1 || name !== "sender") await new Promise<never>(() => undefined);
    });
    const holder = workflow("holder", () => hold("holder"));
    const sender = workflow("sender", async (target: string) => {
      const first = [1, 2, 3].map((value) => signalWorkflow(target, item, value));
      await hold("sender");
      await Promise.all([...first, ...[4, 5, 6].map((value) => signalWorkflow(target, item, value))]);
      await signalWorkflow(target, stop, undefined);
    });
    for (let turns = 0; turns < 8; turns++) {
      await using t = await TestEngine.open({ workflows: [collector, sender, holder], activities: [hold] });
      const target = await t.client.start(collector, undefined, { id: "target" });
      const start = () => t.client.start(sender, "target", { id: "sender" });
      start().catch(() => undefined);
      // Much to take up after the crash, so that the sender goes on long before all of it is.
      for (let count = 0; count < 300; count++) t.client.start(holder).catch(() => undefined);
      for (let turn = 0; turn < turns; turn++) await setImmediate();
      await t.crash();
      await start();
      await t.settle();
      // Should the start itself have been lost, its attempt is the first only now.
      await t.crash();
      expect(await t.result(target)).toEqual([1, 2, 3, 4, 5, 6]);
    }
  });
});
