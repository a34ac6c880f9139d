import type { RunHandle } from "aion/client";
import { TestEngine } from "aion/testing";
import type { ChildOptions } from "aion/workflow";
import {
  ApplicationFailure,
  CancelledFailure,
  ChildFailure,
  TerminatedFailure,
  TimeoutFailure,
  activity,
  child,
  continueAsNew,
  isCancelled,
  receive,
  scope,
  shield,
  signal,
  sleep,
  workflow,
} from "aion/workflow";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { errorOf, eventsOf, eventsOfType, rootOf, typesOf } from "./run-history.ts";

const go = signal("go");

/** Waits for its signal, then does as it was told. */
const kid = workflow("kid", async (what: "complete" | "fail") => {
  await receive(go);
  if (what === "fail") throw new ApplicationFailure("kid failed", { type: "Naughty", details: [1] });
  return "grown up";
});

const parent = workflow(
  "parent",
  (input: { readonly what: "complete" | "fail"; readonly options?: ChildOptions }) =>
    child(kid, input.what, { id: "kid", ...input.options }),
);

describe("a child", () => {
  it("that completes gives its result to the parent, once", async () => {
    // I-34
    await using t = await TestEngine.open({ workflows: [parent, kid] });
    const run = await t.client.start(parent, { what: "complete" });
    await t.settle();
    await t.client.get("kid").signal(go);
    expect(await t.result(run)).toBe("grown up");
    expect(await typesOf(run)).toEqual([
      "WorkflowStarted",
      "ChildWorkflowStarted",
      "ChildWorkflowCompleted",
      "WorkflowCompleted",
    ]);
    expect((await t.client.get("kid").describe()).parentWorkflowId).toBe(run.workflowId);
  });

  it("that fails throws a ChildFailure whose cause is what it threw", async () => {
    // I-34
    await using t = await TestEngine.open({ workflows: [parent, kid] });
    const run = await t.client.start(parent, { what: "fail" });
    await t.settle();
    await t.client.get("kid").signal(go);
    const error = await errorOf(t.result(run));
    expect(error).toBeInstanceOf(ChildFailure);
    expect(error).toMatchObject({ workflowType: "kid", childWorkflowId: "kid" });
    expect(rootOf(error)).toMatchObject({ kind: "application", type: "Naughty", details: [1] });
  });

  it.each<
    [string, (t: TestEngine, kidRun: RunHandle) => Promise<void>, abstract new (...args: never[]) => unknown]
  >([
    ["is cancelled", (_t, run) => run.cancel("no"), CancelledFailure],
    ["is terminated", (_t, run) => run.terminate("no"), TerminatedFailure],
    ["times out", (t) => t.skip("1h"), TimeoutFailure],
  ])("that %s tells its parent so", async (_what, end, cause) => {
    // I-34
    await using t = await TestEngine.open({ workflows: [parent, kid] });
    const run = await t.client.start(parent, { what: "complete", options: { runTimeout: "1h" } });
    await t.settle();
    await end(t, t.client.get("kid"));
    const error = await errorOf(t.result(run));
    expect(error).toBeInstanceOf(ChildFailure);
    expect(rootOf(error)).toBeInstanceOf(cause);
    // The parent was not cancelled itself.
    expect((await run.describe()).status).toBe("failed");
  });

  it("that continues as new tells its parent how the last of the chain ended", async () => {
    // I-34, I-36
    const counter = workflow("counter", async (left: number): Promise<string> => {
      await sleep("1m");
      return left === 0 ? "done" : continueAsNew(left - 1);
    });
    const starter = workflow("starter", () => child(counter, 5, { id: "counter" }));
    await using t = await TestEngine.open({ workflows: [starter, counter] });
    const run = await t.client.start(starter);
    await t.skip("3m");
    await t.crash();
    expect(await t.result(run)).toBe("done");
    expect((await t.client.get("counter").describe()).runs).toHaveLength(6);
  });

  it("of a run that has continued as new says nothing to the run after it", async () => {
    // I-34: the outcome is the one parent's that started it
    const renewing = workflow("renewing", async (generation: number): Promise<string> => {
      const options = { id: `kid-${generation}`, parentClosePolicy: "abandon" } as const;
      const called = child(kid, "complete", options);
      if (generation === 1) return `${generation} ${await called}`;
      called.catch(() => undefined);
      await sleep("1m");
      return continueAsNew(generation + 1);
    });
    await using t = await TestEngine.open({ workflows: [renewing, kid] });
    const run = await t.client.start(renewing, 0);
    await t.skip("2m");
    await t.client.get("kid-0").signal(go);
    await t.skip("1m");
    expect((await t.client.get("kid-0").describe()).status).toBe("completed");
    expect((await t.client.get(run.workflowId).describe()).pendingChildren).toHaveLength(1);
    await t.client.get("kid-1").signal(go);
    expect(await t.result(run)).toBe("1 grown up");
  });

  it("of an unknown type fails the call", async () => {
    const starter = workflow("starter", () => child("nobody", 1));
    await using t = await TestEngine.open({ workflows: [starter] });
    const error = await errorOf(t.result(await t.client.start(starter)));
    expect(error).toMatchObject({ kind: "child", cause: { kind: "engine", code: "workflow_type_unknown" } });
  });

  it("whose input does not fit is not started", async () => {
    const strict = workflow(
      "strict",
      { input: z.object({ amount: z.number() }) },
      async ({ amount }) => amount,
    );
    const starter = workflow("starter", (input: unknown) =>
      child(strict, input as { amount: number }, { id: "kid" }),
    );
    await using t = await TestEngine.open({ workflows: [starter, strict] });
    const run = await t.client.start(starter, { amount: "lots" });
    expect(await errorOf(t.result(run))).toMatchObject({ kind: "engine", code: "payload_invalid" });
    expect(await t.client.count({ workflowType: "strict" })).toBe(0);
    const byName = workflow("by-name", (input: unknown) => child("strict", input));
    await t.close();
    await using other = await TestEngine.open({ workflows: [byName, strict] });
    const error = await errorOf(other.result(await other.client.start(byName, { amount: "lots" })));
    expect(error).toMatchObject({ kind: "child", cause: { kind: "engine", code: "payload_invalid" } });
  });

  it("has its schema applied to its input once", async () => {
    const strict = workflow("strict", { input: z.string().transform((text) => text.length) }, async (n) => n);
    const starter = workflow("starter", () =>
      Promise.all([child(strict, "four"), child("strict", "seventh")]),
    );
    await using t = await TestEngine.open({ workflows: [starter, strict] });
    expect(await t.result(await t.client.start(starter))).toEqual([4, 7]);
  });

  it("without an id gets one that is the same on replay, and another for each call", async () => {
    const leaf = workflow("leaf", async (n: number) => n);
    const starter = workflow("starter", () => Promise.all([1, 2, 3].map((n) => child(leaf, n))));
    await using t = await TestEngine.open({ workflows: [starter, leaf] });
    const run = await t.client.start(starter);
    expect(await t.result(run)).toEqual([1, 2, 3]);
    const ids = (await eventsOfType(run, "ChildWorkflowStarted")).map((event) => event.childWorkflowId);
    expect(new Set(ids).size).toBe(3);
  });
});

describe("a child whose id is taken", () => {
  it("by a running workflow fails the call, and does not touch that one", async () => {
    await using t = await TestEngine.open({ workflows: [parent, kid] });
    const foreign = await t.client.start(kid, "complete", { id: "kid" });
    const before = await eventsOf(foreign);
    const error = await errorOf(t.result(await t.client.start(parent, { what: "complete" })));
    expect(error).toMatchObject({
      kind: "child",
      cause: { kind: "engine", code: "workflow_already_exists" },
    });
    expect(await eventsOf(foreign)).toEqual(before);
  });

  it.each(["terminate", "cancel"] as const)(
    "is not hit by the parent's end under the policy %s, however the two meet",
    async (parentClosePolicy) => {
      // I-35: applied to the child, and to nobody else
      const hasty = workflow("hasty", async () => {
        child(kid, "complete", { id: "kid", parentClosePolicy }).catch(() => undefined);
        return "gone";
      });
      await using t = await TestEngine.open({ workflows: [hasty, kid] });
      const foreign = await t.client.start(kid, "complete", { id: "kid" });
      const before = await eventsOf(foreign);
      expect(await t.result(await t.client.start(hasty))).toBe("gone");
      await t.settle();
      expect(await eventsOf(foreign)).toEqual(before);
      await foreign.signal(go);
      expect(await t.result(foreign)).toBe("grown up");
    },
  );

  it("is not hit by the parent cancelling the call, either", async () => {
    const hasty = workflow("hasty", async () => {
      const outcome = await scope(async (inner) => {
        const called = child(kid, "complete", { id: "kid" });
        inner.cancel();
        return called;
      }).catch((error: unknown) => (error as Error).name);
      return outcome;
    });
    await using t = await TestEngine.open({ workflows: [hasty, kid] });
    const foreign = await t.client.start(kid, "complete", { id: "kid" });
    expect(await t.result(await t.client.start(hasty))).toBe("ChildFailure");
    expect((await foreign.describe()).isCancelRequested).toBe(false);
    await foreign.signal(go);
    expect(await t.result(foreign)).toBe("grown up");
  });

  it("by one that has ended begins a new run of that id", async () => {
    await using t = await TestEngine.open({ workflows: [parent, kid] });
    const earlier = await t.client.start(kid, "complete", { id: "kid", signal: [go] });
    await t.result(earlier);
    const run = await t.client.start(parent, { what: "complete" });
    await t.settle();
    await t.client.get("kid").signal(go);
    expect(await t.result(run)).toBe("grown up");
    expect((await t.client.get("kid").describe()).runs).toHaveLength(2);
  });

  it("by its own parent fails the call", async () => {
    const selfish = workflow("selfish", (): Promise<unknown> => child("selfish", undefined, { id: "me" }));
    await using t = await TestEngine.open({ workflows: [selfish] });
    const error = await errorOf(t.result(await t.client.start(selfish, undefined, { id: "me" })));
    expect(rootOf(error)).toMatchObject({ code: "workflow_already_exists" });
  });
});

describe("the end of a parent", () => {
  const ends: readonly [string, (run: RunHandle, t: TestEngine) => Promise<unknown>, string][] = [
    ["completes", (run) => run.signal(go), "completed"],
    ["is terminated", (run) => run.terminate(), "terminated"],
    ["times out", (_run, t) => t.skip("1h"), "timed-out"],
    ["fails", (run) => run.signal("fail"), "failed"],
  ];
  const leaver = workflow("leaver", async (parentClosePolicy: "terminate" | "cancel" | "abandon") => {
    child(kid, "complete", { id: "kid", parentClosePolicy }).catch(() => undefined);
    const fail = receive(signal("fail")).then(() => {
      throw new Error("failed");
    });
    await Promise.race([receive(go), fail]);
  });

  describe.each([
    ["terminate", "terminated"],
    ["cancel", "cancelled"],
    ["abandon", "running"],
  ] as const)("under the policy %s", (policy, status) => {
    it.each(ends)("that %s leaves the child " + status, async (_what, end, ended) => {
      // I-35
      await using t = await TestEngine.open({ workflows: [leaver, kid] });
      const run = await t.client.start(leaver, policy, { runTimeout: "1h" });
      await t.settle();
      await end(run, t);
      await t.settle();
      expect((await run.describe()).status).toBe(ended);
      const kidRun = t.client.get("kid");
      expect((await kidRun.describe()).status).toBe(status);
      const events = await eventsOf(run);
      await t.crash();
      await t.skip("1m");
      // Nothing reaches the parent after its end, and the policy is applied once.
      expect(await eventsOf(run)).toEqual(events);
      const types = await typesOf(kidRun);
      expect(types.filter((type) => /Cancel|Terminat/.test(type)).length).toBe(
        { terminate: 1, cancel: 2, abandon: 0 }[policy],
      );
      if (policy === "abandon") {
        await kidRun.signal(go);
        expect(await t.result(kidRun)).toBe("grown up");
      }
    });
  });

  it("terminates by default", async () => {
    const leaving = workflow("leaving", async () => {
      child(kid, "complete", { id: "kid" }).catch(() => undefined);
      await sleep("1s");
    });
    await using t = await TestEngine.open({ workflows: [leaving, kid] });
    await t.result(await t.client.start(leaving));
    await t.settle();
    expect((await t.client.get("kid").describe()).status).toBe("terminated");
  });

  it("lets a child that is told to cancel clean up", async () => {
    // I-38: cancellation reaches children
    const cleanUp = activity("clean-up", async () => {
      await t.delay("1m");
    });
    const tidy = workflow("tidy", async () => {
      try {
        await sleep("10 days");
      } finally {
        await shield(() => cleanUp(undefined));
      }
    });
    const leaving = workflow("leaving", async () => {
      child(tidy, undefined, { id: "tidy", parentClosePolicy: "cancel" }).catch(() => undefined);
      await sleep("1s");
    });
    await using t = await TestEngine.open({ workflows: [leaving, tidy], activities: [cleanUp] });
    await t.result(await t.client.start(leaving));
    await errorOf(t.result(t.client.get("tidy")));
    expect((await t.client.get("tidy").describe()).status).toBe("cancelled");
    expect(t.calls("clean-up")).toHaveLength(1);
  });
});

describe("cancelling a parent", () => {
  it("cancels the child, waits for it, and sees how it ended", async () => {
    // I-38: reaches children
    await using t = await TestEngine.open({ workflows: [parent, kid] });
    const run = await t.client.start(parent, { what: "complete" });
    await t.settle();
    await run.cancel();
    expect(await errorOf(t.result(run))).toBeInstanceOf(CancelledFailure);
    expect((await t.client.get("kid").describe()).status).toBe("cancelled");
    expect(await typesOf(run)).toEqual([
      "WorkflowStarted",
      "ChildWorkflowStarted",
      "WorkflowCancelRequested",
      "ChildWorkflowCancelRequested",
      "ChildWorkflowCancelled",
      "WorkflowCancelled",
    ]);
  });

  it("gives the result of a child that completes all the same", async () => {
    const stubborn = workflow("stubborn", async () => {
      try {
        await sleep("1 day");
      } catch (error) {
        if (!isCancelled(error)) throw error;
      }
      return "as you wish";
    });
    const starter = workflow("starter", () => child(stubborn, undefined));
    await using t = await TestEngine.open({ workflows: [starter, stubborn] });
    const run = await t.client.start(starter);
    await t.settle();
    await run.cancel();
    expect(await t.result(run)).toBe("as you wish");
  });
});

describe("three levels of nesting", () => {
  const leaf = workflow("leaf", async (n: number) => {
    await sleep("1m");
    if (n === 13) throw new ApplicationFailure("unlucky", { type: "Unlucky" });
    return n;
  });
  const middle = workflow("middle", async (n: number) => {
    const values = await Promise.all([child(leaf, n), child(leaf, n + 1)]);
    return values.reduce((sum, value) => sum + value, 0);
  });
  const top = workflow("top", async (n: number) => {
    const values = await Promise.all([child(middle, n), child(middle, n + 10)]);
    return values.reduce((sum, value) => sum + value, 0);
  });
  const workflows = [top, middle, leaf];

  it("gives results all the way up", async () => {
    await using t = await TestEngine.open({ workflows });
    expect(await t.result(await t.client.start(top, 20))).toBe(20 + 21 + 30 + 31);
    expect(await t.client.count({ status: "completed" })).toBe(7);
  });

  it("gives failures all the way up, with the chain of causes, and ends what was left", async () => {
    // I-34, I-35
    await using t = await TestEngine.open({ workflows });
    const error = await errorOf(t.result(await t.client.start(top, 13)));
    expect(error).toMatchObject({
      kind: "child",
      workflowType: "middle",
      cause: { kind: "child", workflowType: "leaf", cause: { kind: "application", type: "Unlucky" } },
    });
    await t.settle();
    expect(await t.client.count({ status: "running" })).toBe(0);
  });

  it("passes a cancellation all the way down", async () => {
    // I-38
    await using t = await TestEngine.open({ workflows });
    const run = await t.client.start(top, 20);
    await t.skip("30s");
    expect(await t.client.count({ status: "running" })).toBe(7);
    await run.cancel();
    expect(await errorOf(t.result(run))).toBeInstanceOf(CancelledFailure);
    await t.settle();
    expect(await t.client.count({ status: "cancelled" })).toBe(7);
  });

  it("passes a termination all the way down", async () => {
    // I-35
    await using t = await TestEngine.open({ workflows });
    const run = await t.client.start(top, 20);
    await t.skip("30s");
    await run.terminate();
    await t.settle();
    expect(await t.client.count({ status: "terminated" })).toBe(7);
  });

  it("survives crashes at every level, with little memory", async () => {
    // I-34
    await using t = await TestEngine.open({ workflows, residentMax: 1 });
    const run = await t.client.start(top, 20);
    for (let crash = 0; crash < 10; crash++) {
      await t.crash();
      await t.skip("7s");
    }
    expect(await t.result(run)).toBe(102);
    expect(await t.client.count()).toBe(7);
  });
});

describe("a mocked child", () => {
  const starter = workflow("starter", async (n: number) => {
    const doubled = await child("double", n, { id: "d" });
    return `twice ${n} is ${String(doubled)}`;
  });

  it("answers with its mock, and its calls are noted", async () => {
    await using t = await TestEngine.open({
      workflows: [starter],
      children: { double: (n: number) => n * 2 },
    });
    expect(await t.result(await t.client.start(starter, 21))).toBe("twice 21 is 42");
    expect(t.calls("double").map((call) => call.input)).toEqual([21]);
  });

  it("fails with what its mock throws", async () => {
    await using t = await TestEngine.open({
      workflows: [starter],
      children: {
        double: () => {
          throw new ApplicationFailure("too big", { type: "Overflow" });
        },
      },
    });
    const error = await errorOf(t.result(await t.client.start(starter, 21)));
    expect(error).toMatchObject({ kind: "child", cause: { kind: "application", type: "Overflow" } });
  });

  it("takes the place of the real workflow", async () => {
    const double = workflow("double", async (n: number) => n * 2);
    await using t = await TestEngine.open({
      workflows: [starter, double],
      children: { double: async () => "mocked" },
    });
    expect(await t.result(await t.client.start(starter, 1))).toBe("twice 1 is mocked");
  });
});
