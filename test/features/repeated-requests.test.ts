import type { RunHandle } from "aion/client";
import type { Store } from "aion/store";
import { openMemoryStore } from "aion/store";
import { TestEngine } from "aion/testing";
import {
  activity,
  continueAsNew,
  isCancelled,
  receive,
  shield,
  signal,
  sleep,
  workflow,
} from "aion/workflow";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { errorOf, eventsOf, eventsOfType, typesOf } from "./run-history.ts";

const go = signal<"end" | "next">("go");
const cleanUp = activity("clean-up", async (_n: number) => undefined);

/** Ends as it is told; cleans up, which takes a day, when it is asked to stop. */
const job = workflow("job", async (n: number): Promise<number> => {
  try {
    if ((await receive(go)) === "next") return continueAsNew(n + 1);
    return n;
  } catch (error) {
    if (isCancelled(error)) {
      await shield(async () => {
        await cleanUp(n);
        await sleep("1 day");
      });
    }
    throw error;
  }
});
const setup = { workflows: [job], activities: [cleanUp] };

const closed = { code: "run_closed" };

describe("a request to terminate", () => {
  it("that is repeated after the run has ended is answered as it was, and another one is refused", async () => {
    await using t = await TestEngine.open(setup);
    const run = await t.client.start(job, 1, { id: "a" });
    await run.terminate("enough", { requestId: "r-1" });
    const events = await eventsOf(run);
    expect(events.at(-1)).toMatchObject({ type: "WorkflowTerminated", reason: "enough", requestId: "r-1" });
    for (let round = 0; round < 3; round += 1) {
      await run.terminate("enough", { requestId: "r-1" });
      await t.crash();
    }
    expect(await errorOf(run.terminate("enough", { requestId: "r-2" }))).toMatchObject(closed);
    expect(await errorOf(run.terminate("enough"))).toMatchObject(closed);
    // A cancellation is another request, whatever its id.
    expect(await errorOf(run.cancel("enough", { requestId: "r-1" }))).toMatchObject(closed);
    expect(await eventsOf(run)).toEqual(events);
  });

  it("that is repeated does not reach the run that has the id by now", async () => {
    await using t = await TestEngine.open(setup);
    const first = await t.client.start(job, 1, { id: "a" });
    const ofFirst = t.client.get("a", first.runId === undefined ? {} : { runId: first.runId });
    await t.client.get("a").terminate(undefined, { requestId: "r-1" });
    const second = await t.client.start(job, 2, { id: "a", reuse: "after-close" });
    await t.client.get("a").terminate(undefined, { requestId: "r-1" });
    await ofFirst.terminate(undefined, { requestId: "r-1" });
    expect((await second.describe()).status).toBe("running");
    await t.client.get("a").terminate(undefined, { requestId: "r-2" });
    await t.client.get("a").terminate(undefined, { requestId: "r-1" });
    expect((await second.describe()).status).toBe("terminated");
    expect(await errorOf(ofFirst.terminate(undefined, { requestId: "r-2" }))).toMatchObject(closed);
  });

  it("of a run that is held is answered again, too", async () => {
    await using t = await TestEngine.open(setup);
    const run = await t.client.start(job, 1, { id: "a" });
    await t.crash({ workflows: [] });
    await run.terminate(undefined, { requestId: "r-1" });
    await run.terminate(undefined, { requestId: "r-1" });
    await t.crash(setup);
    await run.terminate(undefined, { requestId: "r-1" });
    expect(await eventsOfType(run, "WorkflowTerminated")).toHaveLength(1);
  });
});

it.each(["terminate", "cancel"] as const)(
  "a request to %s that is made twice at one time does not reach a run that is begun meanwhile",
  async (what) => {
    const inner = openMemoryStore();
    const gate = Promise.withResolvers<void>();
    let isHeld = false;
    const store: Store = new Proxy(inner, {
      get: (target, key) => {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== "function") return member;
        return async (...args: readonly unknown[]): Promise<unknown> => {
          const answer: unknown = await Reflect.apply(member, target, args);
          // What it was told of the runs of the id is old when it goes on.
          if (key === "readRunChain" && isHeld) {
            isHeld = false;
            await gate.promise;
          }
          return answer;
        };
      },
    });
    await using t = await TestEngine.open({ ...setup, store });
    // Not begun: a cancellation ends it at once, too.
    const first = await t.client.start(job, 1, { id: "a", startDelay: "1h" });
    const run = t.client.get("a");
    isHeld = true;
    const slow = run[what](undefined, { requestId: "r-1" });
    await expect.poll(() => isHeld, { interval: 1 }).toBe(false);
    await run[what](undefined, { requestId: "r-1" });
    const next = await t.client.start(job, 1, { id: "a", reuse: "after-close", startDelay: "1h" });
    expect(next.runId).not.toBe(first.runId);
    gate.resolve();
    await slow;
    await t.settle();
    expect((await next.describe()).status).toBe("running");
    expect(await typesOf(next)).toHaveLength(3);
  },
);

describe("a request to cancel", () => {
  it("is recorded once for its id, and answered again after the run has ended", async () => {
    await using t = await TestEngine.open(setup);
    const run = await t.client.start(job, 1, { id: "a" });
    await Promise.all(Array.from({ length: 20 }, () => run.cancel("enough", { requestId: "r-1" })));
    await t.crash();
    await run.cancel("enough", { requestId: "r-1" });
    expect(await eventsOfType(run, "WorkflowCancelRequested")).toMatchObject([
      { reason: "enough", requestId: "r-1" },
    ]);
    expect(await errorOf(t.result(run))).toMatchObject({ name: "CancelledFailure" });
    const length = (await eventsOf(run)).length;
    await run.cancel("enough", { requestId: "r-1" });
    await t.crash();
    await run.cancel("enough", { requestId: "r-1" });
    expect(await errorOf(run.cancel("enough", { requestId: "r-2" }))).toMatchObject(closed);
    expect(await eventsOf(run)).toHaveLength(length);
  });

  it("that comes while the run is being cancelled is remembered, and its code does not see it", async () => {
    await using t = await TestEngine.open(setup);
    const run = await t.client.start(job, 1, { id: "a" });
    await run.cancel("first", { requestId: "r-1" });
    await t.settle();
    await run.cancel("second", { requestId: "r-2" });
    await run.cancel("third");
    await run.cancel("second", { requestId: "r-2" });
    await t.crash();
    expect(await eventsOfType(run, "WorkflowCancelRequested")).toMatchObject([
      { requestId: "r-1" },
      { reason: "second", requestId: "r-2", isFurther: true },
    ]);
    expect(await errorOf(t.result(run))).toMatchObject({
      message: expect.stringContaining("first") as string,
    });
    expect(t.calls("clean-up")).toHaveLength(1);
    for (const requestId of ["r-1", "r-2"]) await run.cancel(undefined, { requestId });
    expect(await errorOf(run.cancel(undefined, { requestId: "r-3" }))).toMatchObject(closed);
  });

  it("before the code has begun ends the run, and is answered again", async () => {
    await using t = await TestEngine.open(setup);
    const run = await t.client.start(job, 1, { id: "a", startDelay: "1h" });
    await run.cancel("enough", { requestId: "r-1" });
    await run.cancel("enough", { requestId: "r-1" });
    expect(await eventsOf(run)).toMatchObject([
      { type: "WorkflowStarted" },
      { type: "WorkflowCancelled", requestId: "r-1" },
    ]);
    expect(await errorOf(run.cancel("enough", { requestId: "r-2" }))).toMatchObject(closed);
  });

  it("goes along when the run continues as new, and does not reach a run that was begun since", async () => {
    const stubborn = workflow("stubborn", async (n: number): Promise<number> => {
      for (;;) {
        try {
          if ((await receive(go)) === "next") return continueAsNew(n + 1);
          return n;
        } catch (error) {
          if (!isCancelled(error)) throw error;
          // Goes on all the same.
          await shield(async () => {
            await receive(go);
          });
          return continueAsNew(n + 1);
        }
      }
    });
    await using t = await TestEngine.open({ workflows: [stubborn] });
    const run = await t.client.start(stubborn, 1, { id: "a" });
    await run.cancel(undefined, { requestId: "r-1" });
    await run.signal(go, "next");
    await t.settle();
    await run.signal(go, "next");
    await t.settle();
    expect((await run.describe()).runs).toHaveLength(3);
    await run.cancel(undefined, { requestId: "r-1" });
    await t.crash();
    await run.cancel(undefined, { requestId: "r-1" });
    expect(await eventsOfType(run, "WorkflowCancelRequested")).toHaveLength(1);
    const starts = await eventsOfType(run, "WorkflowStarted");
    expect(starts.map(({ cancelRequestIds }) => cancelRequestIds)).toEqual([undefined, ["r-1"], ["r-1"]]);
    await run.terminate();
    await run.cancel(undefined, { requestId: "r-1" });
    const next = await t.client.start(stubborn, 9, { id: "a", reuse: "after-close" });
    await next.cancel(undefined, { requestId: "r-1" });
    expect(await eventsOfType(next, "WorkflowCancelRequested")).toHaveLength(1);
    expect((await next.describe()).isCancelRequested).toBe(false);
    await next.cancel(undefined, { requestId: "r-2" });
    expect((await next.describe()).isCancelRequested).toBe(true);
  });

  it("to a run that is held waits for it once, however often it is made", async () => {
    await using t = await TestEngine.open(setup);
    const run = await t.client.start(job, 1, { id: "a" });
    await t.crash({ workflows: [] });
    await run.cancel("enough", { requestId: "r-1" });
    await run.cancel("enough", { requestId: "r-1" });
    await t.crash(setup);
    await t.settle();
    await run.cancel("enough", { requestId: "r-1" });
    expect(await eventsOfType(run, "WorkflowCancelRequested")).toMatchObject([{ requestId: "r-1" }]);
    expect(await errorOf(t.result(run))).toMatchObject({ name: "CancelledFailure" });
  });
});

it("a request id is a name", async () => {
  await using t = await TestEngine.open(setup);
  const run = await t.client.start(job, 1, { id: "a" });
  for (const requestId of ["", "a\nb", "x".repeat(256)]) {
    expect(await errorOf(run.cancel(undefined, { requestId }))).toMatchObject({ code: "invalid_argument" });
    expect(await errorOf(run.terminate(undefined, { requestId }))).toMatchObject({
      code: "invalid_argument",
    });
  }
  expect(await typesOf(run)).toEqual(["WorkflowStarted"]);
});

it("whatever crashes and is repeated, a request ends one run, and never one that was begun after it was answered", async () => {
  const step = fc.record({
    what: fc.constantFrom(
      "cancel",
      "cancel",
      "terminate",
      "terminate",
      "start",
      "start",
      "crash",
      "skip",
      "next",
    ),
    requestId: fc.constantFrom("r-1", "r-2"),
    isCutOff: fc.boolean(),
  });
  let repeatedCount = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 16, size: "max" }), async (steps) => {
      const t = await TestEngine.open(setup);
      try {
        const run = t.client.get("a");
        const answered = new Set<string>();
        for (const { what, requestId, isCutOff } of [
          { what: "start", requestId: "r-1", isCutOff: false },
          ...steps,
        ]) {
          if (what === "start") await errorOrDone(t.client.start(job, 1, { id: "a", reuse: "after-close" }));
          if (what === "crash") await t.crash();
          if (what === "skip") await t.skip("2 days");
          if (what === "next") await errorOrDone(run.signal(go, "next"));
          if (what !== "cancel" && what !== "terminate") continue;
          const key = `${what} ${requestId}`;
          const before = await stateOf(run);
          const outcome = errorOrDone(run[what](undefined, { requestId }));
          if (isCutOff) await t.crash();
          const error = await outcome;
          if (answered.has(key)) {
            repeatedCount += 1;
            // Answered as it was, if the answer arrives at all, and without an effect.
            if (!isCutOff) expect(error).toBeUndefined();
            expect(await stateOf(run)).toEqual(before);
          }
          if (error === undefined) answered.add(key);
        }
        const requests = (await eventsOf(run)).flatMap((event) =>
          "requestId" in event && event.requestId !== undefined
            ? [`${event.type === "WorkflowTerminated" ? "terminate" : "cancel"} ${event.requestId}`]
            : [],
        );
        expect(new Set(requests).size).toBe(requests.length);
        for (const key of answered) expect(requests).toContain(key);
      } finally {
        await t.close();
      }
    }),
    { numRuns: 80 },
  );
  expect(repeatedCount).toBeGreaterThan(20);
});

async function errorOrDone(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
    return undefined;
  } catch (error) {
    return error;
  }
}

/** All that a request can change. */
async function stateOf(run: RunHandle): Promise<unknown> {
  const events = await eventsOf(run);
  return events.filter(({ type }) => /Cancel|Terminated/.test(type));
}
