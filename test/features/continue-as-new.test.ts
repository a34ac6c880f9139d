import { TestEngine } from "aion/testing";
import { activity, continueAsNew, info, receive, signal, sleep, workflow } from "aion/workflow";
import { describe, expect, it } from "vitest";
import { errorOf, eventsOf, eventsOfType, typesOf } from "./run-history.ts";

const countdown = workflow("countdown", async (left: number): Promise<string> => {
  await sleep("1m");
  return left === 0 ? "lift-off" : continueAsNew(left - 1);
});

describe("continue-as-new", () => {
  it("ends one run and begins the next in one commit, in one gapless history", async () => {
    // I-36, I-40
    await using t = await TestEngine.open({ workflows: [countdown] });
    const run = await t.client.start(countdown, 3, { id: "c" });
    expect(await t.result(run)).toBe("lift-off");
    const events = await eventsOf(t.client.get("c"));
    expect(events.map((event) => event.seq)).toEqual(events.map((_event, index) => index + 1));
    const { runs } = await t.client.get("c").describe();
    expect(runs.map(({ status }) => status)).toEqual([
      "continued-as-new",
      "continued-as-new",
      "continued-as-new",
      "completed",
    ]);
    const ends = events.filter((event) => event.type === "WorkflowContinuedAsNew");
    const starts = events.filter((event) => event.type === "WorkflowStarted");
    for (const [index, end] of ends.entries()) {
      expect(starts[index + 1]).toMatchObject({
        seq: end.seq + 1,
        runId: end.newRunId,
        continuedFrom: starts[index]?.runId,
        recordedAt: end.recordedAt,
      });
    }
  });

  it("never leaves two open runs of an id, nor none, wherever it is looked at", async () => {
    // I-36
    await using t = await TestEngine.open({ workflows: [countdown] });
    await t.client.start(countdown, 20, { id: "c" });
    for (let minute = 0; minute < 20; minute++) {
      if (minute % 3 === 0) await t.crash();
      await t.skip("1m");
      expect(await t.client.count({ status: "running" })).toBe(1);
    }
  });

  it("in the very first activation works, also many times over", async () => {
    // I-36
    const eager = workflow("eager", async (left: number): Promise<string> =>
      left === 0 ? "done" : continueAsNew(left - 1),
    );
    await using t = await TestEngine.open({ workflows: [eager] });
    const run = await t.client.start(eager, 50, { id: "e" });
    expect(await t.result(run)).toBe("done");
    expect((await t.client.get("e").describe()).runs).toHaveLength(51);
    expect((await typesOf(t.client.get("e"))).slice(0, 3)).toEqual([
      "WorkflowStarted",
      "WorkflowContinuedAsNew",
      "WorkflowStarted",
    ]);
  });

  it("is followed by whoever waits for the result, from any run of the chain", async () => {
    await using t = await TestEngine.open({ workflows: [countdown] });
    const run = await t.client.start(countdown, 3, { id: "c" });
    const waiting = run.result();
    await t.skip("90s");
    const second = t.client.get<string>("c", { runId: (await t.client.get("c").describe()).runId });
    expect(await t.result(second)).toBe("lift-off");
    expect(await waiting).toBe("lift-off");
    expect(await t.client.get("c").result()).toBe("lift-off");
  });

  it("may go on as another workflow", async () => {
    const second = workflow("second", async (text: string) => `second ${text}`);
    const first = workflow("first", async (text: string): Promise<string> =>
      continueAsNew(second, `after ${text}`),
    );
    await using t = await TestEngine.open({ workflows: [first, second] });
    expect(await t.result(await t.client.start(first, "first"))).toBe("second after first");
  });

  it("gives the next run a fresh history and a memory of where it comes from", async () => {
    const curious = workflow("curious", async (generation: number): Promise<unknown> => {
      await sleep("1s");
      if (generation < 2) continueAsNew(generation + 1);
      const { historyLength, continuedFrom, runId } = info();
      return { historyLength, continuedFrom, runId };
    });
    await using t = await TestEngine.open({ workflows: [curious] });
    const run = await t.client.start(curious, 0, { id: "c" });
    const seen = (await t.result(run)) as { readonly historyLength: number; readonly continuedFrom: string };
    const { runs } = await t.client.get("c").describe();
    expect(seen.historyLength).toBe(3);
    expect(seen.continuedFrom).toBe(runs[1]?.runId);
  });

  it("keeps the execution time-out of the chain, and gives each run its run time-out anew", async () => {
    // I-39
    const forever = workflow("forever", async (count: number): Promise<never> => {
      await sleep("40m");
      return continueAsNew(count + 1);
    });
    await using t = await TestEngine.open({ workflows: [forever] });
    const startedAt = t.now();
    const run = await t.client.start(forever, 0, { id: "f", runTimeout: "1h", executionTimeout: "5h" });
    expect(await errorOf(t.result(run))).toMatchObject({ kind: "timeout", timeout: "execution" });
    expect(t.now() - startedAt).toBe(5 * 3_600_000);
    expect((await t.client.get("f").describe()).runs).toHaveLength(8);
  });

  it("drops activities of the run that ended, and what they say afterwards", async () => {
    // I-12: after continue-as-new
    const slow = activity("slow", async (generation: number) => {
      await t.delay("1h");
      return generation;
    });
    const hasty = workflow("hasty", async (generation: number): Promise<unknown> => {
      const called = slow(generation);
      called.catch(() => undefined);
      if (generation === 2) return called;
      await sleep("1m");
      return continueAsNew(generation + 1);
    });
    await using t = await TestEngine.open({ workflows: [hasty], activities: [slow] });
    const run = await t.client.start(hasty, 0, { id: "h" });
    expect(await t.result(run)).toBe(2);
    await t.skip("2h");
    expect(await eventsOfType(t.client.get("h"), "ActivityCompleted")).toHaveLength(1);
    expect(t.calls("slow").map((call) => call.outcome)).toEqual(
      [0, 1, 2].map((value) => ({ ok: true, value })),
    );
  });

  it("cannot be swallowed by the code that asked for it", async () => {
    const greedy = workflow("greedy", async (left: number): Promise<string> => {
      if (left === 0) return "done";
      try {
        return continueAsNew(left - 1);
      } catch {
        await sleep("1h");
        return "swallowed";
      }
    });
    await using t = await TestEngine.open({ workflows: [greedy] });
    const startedAt = t.now();
    expect(await t.result(await t.client.start(greedy, 2))).toBe("done");
    expect(t.now()).toBe(startedAt);
  });

  it("leaves a cancellation that came first with the run that was told", async () => {
    const stop = signal("stop");
    const loop = workflow("loop", async (count: number): Promise<string> => {
      try {
        await receive(stop);
        return "stopped";
      } catch (error) {
        if (count === 0) continueAsNew(1);
        throw error;
      }
    });
    await using t = await TestEngine.open({ workflows: [loop] });
    const run = await t.client.start(loop, 0, { id: "l" });
    await t.settle();
    await run.cancel();
    await t.settle();
    expect((await t.client.get("l").describe()).isCancelRequested).toBe(false);
    await run.signal(stop);
    expect(await t.result(run)).toBe("stopped");
  });

  it("is not stopped by a cancellation that arrives in the middle: the next run gets it", async () => {
    // I-36, I-38
    const next = signal("next");
    const loop = workflow("loop", async (count: number): Promise<string> => {
      await receive(next);
      return continueAsNew(count + 1);
    });
    await using t = await TestEngine.open({ workflows: [loop] });
    for (let ticks = 0; ticks < 40; ticks++) {
      const run = await t.client.start(loop, 0, { id: `l${ticks}` });
      await t.settle();
      const signalled = run.signal(next).catch((error: unknown) => error);
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
      await run.cancel();
      await signalled;
      await errorOf(t.result(run));
      expect((await t.client.get(`l${ticks}`).describe()).status).toBe("cancelled");
    }
    const { runs } = await t.client.get("l39").describe();
    expect(runs.map(({ status }) => status)).toEqual(["continued-as-new", "cancelled"]);
  });
});
