import { TestEngine } from "aion/testing";
import {
  activity,
  continueAsNew,
  expose,
  query,
  receive,
  signal,
  sleep,
  update,
  workflow,
} from "aion/workflow";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { errorOf, eventsOf, eventsOfType } from "./run-history.ts";

const slow = update<string, string>("slow");
const stop = signal("stop");

function fragile() {
  const state = { isUp: false };
  const work = activity("work", async () => {
    if (!state.isUp) throw new Error("down");
    return "worked";
  });
  const flow = workflow("fragile", async () => {
    expose(slow, async (name) => {
      await sleep("1h");
      return `slow ${name}`;
    });
    await receive(stop);
    const done = await work(undefined);
    await sleep("3h");
    return done;
  });
  return { state, work, flow };
}

// I-26, I-59
describe("an update that was open when its run failed, and the run is reopened", () => {
  it("keeps the outcome that was told, whatever its handler does since", async () => {
    const { state, work, flow } = fragile();
    await using t = await TestEngine.open({ workflows: [flow], activities: [work] });
    const run = await t.client.start(flow);
    const handle = await run.startUpdate(slow, "a", { updateId: "u-1" });
    await run.signal(stop);
    await errorOf(t.result(run));
    const told = await errorOf(handle.result());
    expect(told).toMatchObject({ kind: "engine", code: "update_unfinished" });
    state.isUp = true;
    await run.reopen();
    expect(await errorOf(run.update(slow, "a", { updateId: "u-1" }))).toEqual(told);
    expect((await run.describe()).pendingUpdates).toEqual([]);
    await t.skip("2h");
    expect(await eventsOfType(run, "UpdateCompleted")).toHaveLength(1);
    expect(await errorOf(run.update(slow, "a", { updateId: "u-1" }))).toEqual(told);
    await t.crash();
    expect(await errorOf(run.update(slow, "a", { updateId: "u-1" }))).toEqual(told);
    expect(await t.result(run)).toBe("worked");
    expect(await errorOf(run.update(slow, "a", { updateId: "u-1" }))).toEqual(told);
  });
});

const go = signal<number>("go");

describe("a run that failed for a limit", () => {
  it("is not reopened to fail for it at once again", async () => {
    const leaf = activity("leaf", async () => "leaf");
    const wide = workflow("wide", async () => {
      const count = await receive(go);
      return await Promise.all(Array.from({ length: count }, async () => leaf(undefined)));
    });
    await using t = await TestEngine.open({
      workflows: [wide],
      activities: [leaf],
      limits: { pendingActivitiesMax: 3 },
      onRunLimit: "fail",
    });
    const run = await t.client.start(wide);
    await run.signal(go, 4);
    expect(await errorOf(t.result(run))).toMatchObject({ code: "run_limit" });
    const before = await eventsOf(run);
    expect(await errorOf(run.reopen())).toMatchObject({ code: "run_not_reopenable" });
    expect(await eventsOf(run)).toEqual(before);
    await t.crash({ limits: { pendingActivitiesMax: 4 } });
    await run.reopen();
    expect(await t.result(run)).toHaveLength(4);
  });

  it("of its history is not reopened under the same limit", async () => {
    const leaf = activity("leaf", async () => "leaf");
    const long = workflow("long", async () => {
      for (let i = 0; i < 10; i++) await leaf(undefined);
      return "long";
    });
    await using t = await TestEngine.open({
      workflows: [long],
      activities: [leaf],
      limits: { historyEventsMax: 10 },
      onRunLimit: "fail",
    });
    const run = await t.client.start(long);
    expect(await errorOf(t.result(run))).toMatchObject({ code: "run_limit" });
    const before = await eventsOf(run);
    expect(await errorOf(run.reopen())).toMatchObject({ code: "run_not_reopenable" });
    expect(await eventsOf(run)).toEqual(before);
    await t.crash({ limits: { historyEventsMax: 100 } });
    await run.reopen();
    expect(await t.result(run)).toBe("long");
  });
});

it("who waits for the result of a run that becomes blocked hears of it", async () => {
  const leaf = activity("leaf", async () => "leaf");
  const wide = workflow("wide", async () => {
    expose(slow, async (name) => {
      await sleep("1h");
      return name;
    });
    const count = await receive(go);
    return await Promise.all(Array.from({ length: count }, async () => leaf(undefined)));
  });
  await using t = await TestEngine.open({
    workflows: [wide],
    activities: [leaf],
    limits: { pendingActivitiesMax: 3 },
  });
  const run = await t.client.start(wide);
  const result = errorOf(run.result());
  const handle = await run.startUpdate(slow, "a");
  const answer = errorOf(handle.result());
  await run.signal(go, 4);
  expect(await result).toMatchObject({ code: "run_blocked" });
  expect(await answer).toMatchObject({ code: "run_blocked" });
  // And who comes after it hears so at once.
  const since = t.now();
  expect(await errorOf(run.result())).toMatchObject({ code: "run_blocked" });
  expect(await errorOf(handle.result())).toMatchObject({ code: "run_blocked" });
  expect(t.now()).toBe(since);
  await run.terminate();
});

describe("an attempt that its run left behind", () => {
  it("counts for nothing when the run is reopened", async () => {
    const gates: PromiseWithResolvers<string>[] = [];
    const stubborn = activity("stubborn", async () => {
      const gate = Promise.withResolvers<string>();
      gates.push(gate);
      return gate.promise;
    });
    const state = { isUp: false };
    const work = activity("work", async () => {
      if (!state.isUp) throw new Error("down");
      return "worked";
    });
    const both = workflow("both", async () => {
      const first = stubborn(undefined);
      await receive(stop);
      return [await work(undefined), await first];
    });
    await using t = await TestEngine.open({ workflows: [both], activities: [stubborn, work] });
    const run = await t.client.start(both);
    await t.settle();
    await run.signal(stop);
    expect(await errorOf(t.result(run))).toBeInstanceOf(Error);
    state.isUp = true;
    await run.reopen();
    await t.settle();
    gates[0]?.resolve("old");
    await t.settle();
    expect((await run.describe()).status).toBe("running");
    expect(gates).toHaveLength(2);
    gates[1]?.resolve("new");
    expect(await t.result(run)).toEqual(["worked", "new"]);
  });
});

describe("any order of updates, pauses, failures, reopenings, time and crashes", () => {
  const put = update<string, string>("put");
  const seen = query<readonly string[]>("seen");
  const acts = [
    "update",
    "again",
    "pause",
    "resume",
    "fail",
    "reopen",
    "hour",
    "three hours",
    "crash",
  ] as const;

  // I-26, I-41, I-58, I-59
  it("accepts an update once, tells one outcome of it for ever, and replays to the same", async () => {
    const fate = { isUp: true };
    const work = activity("work", { retry: { maxAttempts: 1 } }, async () => {
      if (!fate.isUp) throw new Error("down");
      return "up";
    });
    const flow = workflow("flow", async () => {
      const put1: string[] = [];
      expose(seen, () => [...put1]);
      expose(put, async (id) => {
        put1.push(id);
        await sleep("90 minutes");
        return `put ${id}`;
      });
      for (;;) {
        await receive(stop);
        await work(undefined);
      }
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...acts), { minLength: 3, maxLength: 16 }),
        async (script) => {
          fate.isUp = true;
          await using t = await TestEngine.open({ workflows: [flow], activities: [work] });
          const run = await t.client.start(flow, undefined, { runTimeout: "5h" });
          const told = new Map<string, string>();
          const sent: string[] = [];
          const odd: unknown[] = [];
          const waiting: Promise<void>[] = [];
          const note = (id: string, outcome: string): void => {
            const before = told.get(id);
            if (before !== undefined && before !== outcome) odd.push([before, outcome]);
            told.set(id, outcome);
          };
          const ask = async (id: string): Promise<void> => {
            try {
              note(id, await run.update(put, id, { updateId: id, timeout: "1s" }));
            } catch (error) {
              // Given up, and nobody took it: it may yet be sent again.
              const { code, message } = error as { code?: string; message: string };
              if (code === "update_unfinished") note(id, message);
              else if (!["result_timeout", "run_closed", "transport_failed"].includes(code ?? ""))
                odd.push(error);
            }
          };
          const isOpen = async (): Promise<boolean> =>
            ["running", "paused"].includes((await run.describe()).status);
          const reopen = async (): Promise<void> => {
            await run.reopen();
            expect((await run.describe()).paused).toBeUndefined();
          };
          for (const act of script) {
            // What it does by itself goes on until it is looked at.
            await t.settle();
            if (act === "update") {
              const id = `u-${sent.length}`;
              sent.push(id);
              waiting.push(ask(id));
              await t.settle();
            } else if (act === "again") {
              for (const id of sent) waiting.push(ask(id));
              await t.settle();
            } else if (act === "pause" || act === "resume") {
              if (await isOpen()) await run[act]();
            } else if (act === "fail") {
              if (!(await isOpen())) continue;
              fate.isUp = false;
              await run.signal(stop);
              await t.settle();
            } else if (act === "reopen") {
              fate.isUp = true;
              if (!(await isOpen())) await reopen();
            } else if (act === "hour") await t.skip("1h");
            else if (act === "three hours") await t.skip("3h");
            else await t.crash();
          }
          fate.isUp = true;
          // It may time out once more before its handlers are done.
          for (let round = 1; round <= 3; round += 1) {
            await t.settle();
            if (!(await isOpen())) await reopen();
            await run.resume();
            await t.skip("95 minutes");
          }
          if (!(await isOpen())) await reopen();
          await Promise.all(waiting);
          const events = await eventsOf(run);
          const accepted = events.flatMap((event) =>
            event.type === "UpdateAccepted" ? [event.updateId] : [],
          );
          expect(new Set(accepted).size).toBe(accepted.length);
          const completed = await eventsOfType(run, "UpdateCompleted");
          expect(completed.map(({ updateId }) => updateId).toSorted()).toEqual(accepted.toSorted());
          // Each handler ran once by what the code knows.
          expect(await run.query(seen)).toEqual(accepted);
          for (const id of accepted) await ask(id);
          expect([...told.keys()].toSorted()).toEqual(accepted.toSorted());
          await t.crash();
          for (const id of accepted) await ask(id);
          expect((await run.describe()).pendingUpdates).toEqual([]);
          expect(await t.checkReplay()).toBe(1);
          expect(odd).toEqual([]);
          await run.terminate();
        },
      ),
      {
        numRuns: Number(process.env["AION_TEST_RUNS"] ?? 60),
        seed: Number(process.env["AION_TEST_SEED"] ?? 1),
      },
    );
  });
});

it("a run that was given its time anew hands it on when it continues as new", async () => {
  const flow = workflow("flow", async (isFirst: boolean) => {
    await receive(stop);
    if (isFirst) continueAsNew(false);
    await sleep("30 minutes");
    return "in time";
  });
  await using t = await TestEngine.open({ workflows: [flow] });
  const run = await t.client.start(flow, true, { executionTimeout: "1h" });
  await t.skip("2h");
  expect((await run.describe()).status).toBe("timed-out");
  await run.reopen();
  const { runId } = await run.describe();
  await run.signal(stop);
  await run.signal(stop);
  expect(await t.result(run)).toBe("in time");
  expect((await run.describe()).runId).not.toBe(runId);
});

it("the TestEngine waits by the time that a reopened run was given anew", async () => {
  const flow = workflow("flow", async () => {
    await receive(stop);
    await sleep("30 days");
    return "in time";
  });
  await using t = await TestEngine.open({ workflows: [flow] });
  const run = await t.client.start(flow, undefined, { runTimeout: "60 days" });
  await t.skip("61 days");
  await run.reopen();
  await run.signal(stop);
  expect(await t.result(run)).toBe("in time");
});
