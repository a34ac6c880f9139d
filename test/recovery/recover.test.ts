import { describe, expect, it } from "vitest";
import { AionError } from "../../src/core/errors.ts";
import type { EventBody } from "../../src/core/event.ts";
import type { RunId, WorkflowId } from "../../src/core/ids.ts";
import type { RecoveryOutcome, RecoveryReport } from "../../src/engine/recovery.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import {
  activity,
  child,
  continueAsNew,
  expose,
  now,
  patched,
  query,
  receive,
  scope,
  sideEffect,
  signal,
  sleep,
  waitUntil,
  workflow,
} from "../../src/workflow/index.ts";
import { overStore } from "./over-store.ts";
import { World } from "./world.ts";
import type { Process, WorldOptions } from "./world.ts";
import { completed, json, scheduled, started, writeRuns } from "./written-history.ts";
import type { WrittenRun } from "./written-history.ts";

async function reportsOf(
  process: Process,
  which: "all" | "must-move" = "all",
): Promise<readonly RecoveryReport[]> {
  const reports: RecoveryReport[] = [];
  for await (const report of process.kernel.recover(which)) reports.push(report);
  return reports;
}

/** A world whose store holds the runs; they are asleep, so that nothing moves before they are recovered. */
async function worldWith(
  runs: readonly WrittenRun[],
  options: Omit<WorldOptions, "store">,
): Promise<{ readonly world: World; readonly process: Process }> {
  const inner = openMemoryStore();
  await writeRuns(
    inner,
    runs.map((run) => ({ wakeAt: null, ...run })),
  );
  const world = new World({ ...options, store: () => inner });
  return { world, process: await world.open() };
}

function outcomeOf<Kind extends RecoveryOutcome["kind"]>(
  reports: readonly RecoveryReport[],
  workflowId: string,
  kind: Kind,
): RecoveryOutcome & { readonly kind: Kind } {
  const report = reports.find((each) => each.workflowId === workflowId);
  if (report?.outcome.kind !== kind) {
    throw new Error(`${workflowId}: expected ${kind}, got ${JSON.stringify(report?.outcome)}`);
  }
  return report.outcome as RecoveryOutcome & { readonly kind: Kind };
}

/** Two activities, one after the other, and what they came to. */
const steady: Omit<WorldOptions, "store"> = {
  activities: (world) => [
    activity("first", async (input: unknown, task) => {
      await world.effect(task, input);
      return "live first";
    }),
    activity("second", async (input: unknown, task) => {
      await world.effect(task, input);
      return "live second";
    }),
  ],
  workflows: () => [
    workflow("steady", async (input: string) => {
      const one = await first(input);
      const two = await second(one);
      return [one, two];
    }),
  ],
};
const first = activity("first", (_input: unknown): string => "never called here");
const second = activity("second", (_input: unknown): string => "never called here");
const failure = { kind: "application", message: "no", type: "Nope" } as const;

describe("recovering the active workflows", () => {
  // C-2, C-11
  it("lists them and reads the history of each once, in the order of the list, and all are resumed", async () => {
    const { world, process } = await worldWith(
      [
        { workflowId: "one", bodies: [started("steady", "in")] },
        { workflowId: "two", bodies: [started("steady", "in")] },
        { workflowId: "three", bodies: [started("steady", "in"), scheduled(0, "first", "in")] },
      ],
      steady,
    );
    expect(world.historyReads).toEqual([]);
    const reports = await reportsOf(process);
    expect(world.historyReads).toEqual(["one", "two", "three"]);
    expect(reports.map((report) => [report.workflowId, report.outcome.kind])).toEqual([
      ["one", "resumed"],
      ["two", "resumed"],
      ["three", "resumed"],
    ]);
  });

  // C-1, C-2, I-42
  it("finds a history that has ended, and neither executes nor appends anything", async () => {
    const bodies: readonly EventBody[] = [
      started("steady", "in"),
      scheduled(0, "first", "in"),
      { type: "ActivityStarted", ordinal: 0, attempt: 1 },
      completed(0, "1st"),
      scheduled(1, "second", "1st"),
      { type: "ActivityStarted", ordinal: 1, attempt: 1 },
      completed(1, "2nd"),
      { type: "WorkflowCompleted", result: json(["1st", "2nd"]) },
    ];
    const inner = openMemoryStore();
    await writeRuns(inner, [{ workflowId: "done", bodies }]);
    // A list from before its end still names it: the end was committed between the list and the read.
    const late = overStore(inner, {
      listActive: async () => {
        const record = await inner.findRun("done" as WorkflowId);
        return record === undefined ? [] : [{ ...record, status: "running" }];
      },
    });
    const world = new World({ ...steady, store: () => late });
    const process = await world.open();
    const [report] = await reportsOf(process);
    await world.settle();
    expect(report?.outcome).toMatchObject({
      kind: "terminal",
      terminal: { type: "WorkflowCompleted", seq: 8 },
      head: 8,
      recorded: [
        { commandIndex: 0, command: { kind: "run-activity", activityType: "first" } },
        { commandIndex: 1, command: { kind: "run-activity", activityType: "second" } },
        { commandIndex: 2, command: { kind: "complete" } },
      ],
    });
    expect(world.effects).toEqual([]);
    expect(world.appendCount).toBe(0);
    expect(process.kernel.residency.size).toBe(0);
  });

  // I-11, C-11
  it("looks at active workflows alone, and brings each to its resume point", async () => {
    const { world, process } = await worldWith(
      [
        { workflowId: "new", bodies: [started("steady", "in")] },
        {
          workflowId: "ended",
          bodies: [started("steady", "in"), { type: "WorkflowTerminated", reason: "enough" }],
        },
        {
          workflowId: "half",
          bodies: [
            started("steady", "in"),
            scheduled(0, "first", "in"),
            { type: "ActivityStarted", ordinal: 0, attempt: 1 },
            completed(0, "1st"),
            scheduled(1, "second", "1st"),
            { type: "ActivityStarted", ordinal: 1, attempt: 1 },
          ],
        },
      ],
      steady,
    );
    const reports = await reportsOf(process);
    expect(reports.map((report) => report.workflowId).toSorted()).toEqual(["half", "new"]);
    expect(outcomeOf(reports, "new", "resumed")).toMatchObject({
      resumePoint: { commandIndex: 0, command: { kind: "run-activity", activityType: "first" }, head: 1 },
      recorded: [],
    });
    // Past the whole trail of attempts of what is answered, up to the first that is not.
    expect(outcomeOf(reports, "half", "resumed")).toMatchObject({
      resumePoint: {
        commandIndex: 1,
        command: { kind: "run-activity", activityType: "second", ordinal: 1, input: json("1st") },
        head: 6,
      },
      recorded: [{ commandIndex: 0, outcome: { ok: true, value: json("1st") } }],
    });
    expect(world.historyReads).not.toContain("ended");
  });

  it("does not run the live side effect but hands it over, and it follows from there", async () => {
    const { world, process } = await worldWith(
      [{ workflowId: "new", bodies: [started("steady", "in")] }],
      steady,
    );
    for await (const report of process.kernel.recover("all")) {
      expect(report.outcome.kind).toBe("resumed");
      expect(world.effects).toEqual([]);
      expect(await world.history("new")).toHaveLength(1);
    }
    await world.settle();
    expect(world.effects.map((effect) => effect.activityType)).toEqual(["first", "second"]);
    expect((await world.history("new")).at(-1)?.type).toBe("WorkflowCompleted");
  });

  // I-41, I-45, C-3
  it("after a live recording finds the same end, and never goes live", async () => {
    const recorded = new World(steady);
    await recorded.open();
    await recorded.during(
      recorded.call(async (client) => (await client.start("steady", "in", { id: "w" })).result()),
    );
    const history = await recorded.history("w");
    for (let head = 1; head < history.length; head++) {
      const bodies = history
        .slice(0, head)
        .map(({ seq: _s, recordedAt: _r, workflowId: _w, ...body }) => body);
      const { world, process } = await worldWith([{ workflowId: "w", bodies }], steady);
      const [report] = await reportsOf(process);
      expect(report?.outcome.kind).toBe("resumed");
      await world.settle();
      const again = (await world.history("w")).map((event) => event.type);
      const withoutNotes = (types: readonly string[]): readonly string[] =>
        types.filter((type) => type !== "ActivityStarted");
      expect(withoutNotes(again)).toEqual(withoutNotes(history.map((event) => event.type)));
      expect(recorded.effects).toHaveLength(2);
    }
  });

  it("gives the code the recorded instants as its time, not those of the replay", async () => {
    const seen: number[][] = [];
    const { process } = await worldWith(
      [
        {
          workflowId: "timed",
          atMs: 5_000,
          bodies: [
            started("timed"),
            { type: "TimerStarted", ordinal: 0, durationMs: 1_000, fireAt: 6_000 },
            { type: "TimerFired", ordinal: 0 },
            { type: "TimerStarted", ordinal: 1, durationMs: 2_000, fireAt: 9_000 },
          ],
        },
      ],
      {
        workflows: () => [
          workflow("timed", async () => {
            const times = [now()];
            seen.push(times);
            await sleep(1_000);
            times.push(now());
            await sleep(2_000);
          }),
        ],
      },
    );
    const reports = await reportsOf(process);
    expect(seen[0]).toEqual([5_000, 7_000]);
    expect(outcomeOf(reports, "timed", "resumed").resumePoint).toMatchObject({
      command: { kind: "start-timer", ordinal: 1, durationMs: 2_000 },
      head: 4,
    });
  });

  // C-1
  it("serves a failure for good from history, without a live call", async () => {
    const caught: unknown[] = [];
    const { world, process } = await worldWith(
      [
        {
          workflowId: "failed",
          bodies: [
            started("guarded"),
            scheduled(0, "first", "in"),
            { type: "ActivityStarted", ordinal: 0, attempt: 1 },
            { type: "ActivityFailed", ordinal: 0, attempt: 1, failure, retryAt: 4_000 },
            { type: "ActivityStarted", ordinal: 0, attempt: 2 },
            { type: "ActivityFailed", ordinal: 0, attempt: 2, failure },
            scheduled(1, "second", "instead"),
          ],
        },
      ],
      {
        ...steady,
        workflows: () => [
          workflow("guarded", async () => {
            try {
              await first("in");
            } catch (error) {
              caught.push(error);
              await second("instead");
            }
          }),
        ],
      },
    );
    const reports = await reportsOf(process);
    expect(world.effects).toEqual([]);
    expect(caught).toEqual([
      expect.objectContaining({
        kind: "activity",
        activityType: "first",
        attempt: 2,
        cause: expect.objectContaining({ kind: "application", type: "Nope", message: "no" }),
      }),
    ]);
    expect(outcomeOf(reports, "failed", "resumed")).toMatchObject({
      resumePoint: { commandIndex: 1, command: { activityType: "second" }, head: 7 },
      recorded: [{ commandIndex: 0, outcome: { ok: false, failure: { kind: "activity", attempt: 2 } } }],
    });
  });

  it("brings a history of many kinds of events to its resume point", async () => {
    const approval = signal<string>("approval");
    const { world, process } = await worldWith(
      [
        {
          workflowId: "rich",
          bodies: [
            started("rich", { id: 7 }),
            scheduled(0, "first", "reserve"),
            { type: "ActivityStarted", ordinal: 0, attempt: 1 },
            { type: "SignalReceived", name: "note", payload: json("nobody asks") },
            { type: "ActivityTimedOut", ordinal: 0, attempt: 1, timeout: "heartbeat", retryAt: 9_000 },
            { type: "ActivityStarted", ordinal: 0, attempt: 2 },
            completed(0, "reserved", 2),
            { type: "SideEffectRecorded", ordinal: 0, value: json("token") },
            { type: "VersionMarked", changeId: "fee" },
            { type: "TimerStarted", ordinal: 0, durationMs: 60_000, fireAt: 70_000 },
            { type: "SignalReceived", name: "approval", payload: json("yes"), signalId: "s-1" },
            { type: "TimerCancelled", ordinal: 0 },
            {
              type: "ChildWorkflowStarted",
              ordinal: 0,
              childWorkflowId: "rich/child" as WorkflowId,
              workflowType: "steady",
              input: json("in"),
              parentClosePolicy: "terminate",
            },
            { type: "ChildWorkflowCompleted", ordinal: 0, result: json("shipped") },
            { type: "TimerStarted", ordinal: 1, durationMs: 5_000, fireAt: 20_000 },
            { type: "TimerFired", ordinal: 1 },
            scheduled(1, "second", ["reserved", "token", true, { ok: true, value: "yes" }, "shipped"]),
            { type: "ActivityStarted", ordinal: 1, attempt: 1 },
          ],
        },
      ],
      {
        ...steady,
        workflows: () => [
          workflow("rich", async () => {
            const reserved = await first("reserve");
            const token = sideEffect(() => "made anew");
            const hasFee = patched("fee");
            const decision = await receive(approval, { timeout: "1 minute" });
            const shipped = await child("steady", "in", { id: "rich/child" });
            await sleep("5s");
            return second([reserved, token, hasFee, decision, shipped]);
          }),
        ],
      },
    );
    const { resumePoint, recorded } = outcomeOf(await reportsOf(process), "rich", "resumed");
    expect(resumePoint).toMatchObject({
      commandIndex: 8,
      command: { kind: "run-activity", activityType: "second", ordinal: 1 },
      head: 18,
    });
    expect(recorded.map(({ commandIndex, command }) => [commandIndex, command.kind])).toEqual([
      [0, "run-activity"],
      [1, "side-effect"],
      [2, "mark-version"],
      [3, "await-signal"],
      [5, "cancel-timer"],
      [6, "start-child"],
      [7, "start-timer"],
    ]);
    expect(world.effects).toEqual([]);
    expect(await world.history("rich")).toHaveLength(18);
  });
});

describe("a report", () => {
  it("of a run that waits for a condition says so, and the run goes on when it holds", async () => {
    const go = signal<number>("go");
    const { world, process } = await worldWith([{ workflowId: "w", bodies: [started("patient")] }], {
      workflows: () => [
        workflow("patient", async () => {
          let sum = 0;
          expose(go, (amount) => {
            sum += amount;
          });
          await waitUntil(() => sum >= 3);
          return sum;
        }),
      ],
    });
    const resumed = outcomeOf(await reportsOf(process), "w", "resumed");
    expect(resumed).toMatchObject({ resumePoint: { commandIndex: 0, command: undefined, head: 1 } });
    await world.during(process.client.get("w").signal(go, 1));
    await world.during(process.client.get("w").signal(go, 2));
    expect(await world.during(process.client.get("w").result())).toBe(3);
  });

  it("of a run that began with a signal lies behind the wait for it", async () => {
    const go = signal<number>("go");
    const begun: EventBody = {
      ...started("eager"),
      signals: [{ name: "go", payload: json(1), signalId: "s-1" }],
    } as EventBody;
    const { process } = await worldWith([{ workflowId: "w", bodies: [begun] }], {
      workflows: () => [workflow("eager", async () => [await receive(go), await receive(go)])],
    });
    expect(outcomeOf(await reportsOf(process), "w", "resumed")).toMatchObject({
      resumePoint: { commandIndex: 1, command: { kind: "await-signal", name: "go", index: 1 }, head: 1 },
      recorded: [{ commandIndex: 0 }],
    });
  });

  it("of a run that stopped waiting for a signal, its scope over, lies behind that wait", async () => {
    const go = signal<number>("go");
    const { process } = await worldWith(
      [
        {
          workflowId: "w",
          bodies: [
            started("impatient"),
            { type: "TimerStarted", ordinal: 0, durationMs: 60_000, fireAt: 61_000 },
            { type: "TimerFired", ordinal: 0 },
            scheduled(0, "first", "instead"),
          ],
        },
      ],
      {
        ...steady,
        workflows: () => [
          workflow("impatient", async () => {
            const waited = await scope(() => receive(go), { timeout: "1 minute" });
            return [waited.ok, await first("instead"), await receive(go)];
          }),
        ],
      },
    );
    const resumed = outcomeOf(await reportsOf(process), "w", "resumed");
    expect(resumed.resumePoint).toMatchObject({
      command: { kind: "run-activity", activityType: "first" },
      head: 4,
    });
    expect(resumed.recorded.map(({ command }) => command.kind)).toEqual(["start-timer", "withdraw-signal"]);
  });

  it("of a run whose start is delayed says that nothing was asked for yet", async () => {
    const { process } = await worldWith(
      [
        {
          workflowId: "w",
          bodies: [{ ...started("steady", "in"), startAt: 9e12 } as EventBody],
          wakeAt: 9e12,
        },
      ],
      steady,
    );
    const resumed = outcomeOf(await reportsOf(process), "w", "resumed");
    expect(resumed.resumePoint).toEqual({ commandIndex: 0, command: undefined, head: 1 });
  });

  // I-17
  it("of a run that is live in this process tells of it, and adopts nothing", async () => {
    const world = new World(steady);
    const process = await world.open();
    const hold = workflow("hold", async () => sleep("1 hour"));
    const held = new World({ workflows: () => [hold] });
    const holding = await held.open();
    await held.during(holding.client.start(hold, undefined, { id: "w" }));
    const [before] = holding.kernel.residency.list();
    const reports = await reportsOf(holding);
    const resumed = outcomeOf(reports, "w", "resumed");
    expect(resumed.resumePoint).toMatchObject({ commandIndex: 0, command: { kind: "start-timer" }, head: 2 });
    expect(resumed.active).toMatchObject({ kind: "resident", pid: before?.pid });
    expect(holding.kernel.residency.list()).toEqual([before]);
    expect(await held.history("w")).toHaveLength(2);
    expect(await reportsOf(process)).toEqual([]);
  });

  it("names the run, its version and the pid of the process that holds it", async () => {
    const { process } = await worldWith([{ workflowId: "w", bodies: [started("steady", "in")] }], steady);
    const resumed = outcomeOf(await reportsOf(process), "w", "resumed");
    expect(resumed.active).toEqual({
      kind: "resident",
      runId: "run-1" as RunId,
      loadedVersion: "inline",
      pid: process.kernel.residency.list()[0]?.pid,
    });
  });
});

describe("a fault of one workflow", () => {
  const broken: readonly WrittenRun[] = [
    { workflowId: "good-1", bodies: [started("steady", "in")] },
    // The code asks for "first", history has "other".
    {
      workflowId: "divergent",
      bodies: [started("steady", "in"), scheduled(0, "other", "in"), completed(0, 1)],
    },
    { workflowId: "unknown-type", bodies: [started("gone", "in")] },
    { workflowId: "no-start", bodies: [scheduled(0, "first", "in"), completed(0, "x")] },
    {
      workflowId: "impossible",
      bodies: [started("steady", "in"), scheduled(0, "first", "in"), completed(5, "x")],
    },
    { workflowId: "good-2", bodies: [started("steady", "in")] },
  ];

  // I-11, I-43, C-11
  it("touches no other: each is reported, the good ones go on", async () => {
    const { world, process } = await worldWith(broken, steady);
    const reports = await reportsOf(process);
    expect(reports).toHaveLength(broken.length);
    for (const good of ["good-1", "good-2"]) {
      expect(outcomeOf(reports, good, "resumed").resumePoint.commandIndex).toBe(0);
    }
    expect(outcomeOf(reports, "divergent", "failed")).toMatchObject({
      error: { code: "nondeterminism" },
      failureRecorded: true,
    });
    expect(outcomeOf(reports, "unknown-type", "failed")).toMatchObject({
      error: { code: "workflow_type_unknown" },
      failureRecorded: false,
    });
    expect(outcomeOf(reports, "no-start", "failed")).toMatchObject({
      error: { code: "history_shape", message: expect.stringContaining("no WorkflowStarted") },
      failureRecorded: false,
    });
    expect(outcomeOf(reports, "impossible", "failed")).toMatchObject({
      error: { code: "history_shape" },
      failureRecorded: false,
    });
    await world.settle();
    for (const good of ["good-1", "good-2"]) {
      expect((await world.history(good)).at(-1)?.type).toBe("WorkflowCompleted");
    }
  });

  it("that is no violation leaves its history as it was, and the run visible as blocked", async () => {
    const { world, process } = await worldWith(broken, steady);
    await reportsOf(process);
    await world.settle();
    for (const { workflowId, bodies } of broken) {
      if (!["unknown-type", "no-start", "impossible"].includes(workflowId)) continue;
      expect(await world.history(workflowId)).toHaveLength(bodies.length);
      const record = await world.store.findRun(workflowId as WorkflowId);
      expect(record).toMatchObject({ status: "running", blocked: expect.stringMatching(/^[a-z_]+: /) });
    }
    const { runs } = await process.client.listPage({ isBlocked: true });
    expect(runs.map((run) => run.workflowId).toSorted()).toEqual(["impossible", "no-start", "unknown-type"]);
    await expect(world.during(process.client.get("unknown-type").result())).rejects.toMatchObject({
      code: "run_blocked",
    });
  });

  // I-43, I-37, C-5, C-6
  it("that is a violation is recorded exactly once, and nothing more when it is recovered again", async () => {
    const { world, process } = await worldWith(broken, steady);
    await reportsOf(process);
    const history = await world.history("divergent");
    expect(history.at(-1)).toMatchObject({
      type: "WorkflowFailed",
      failure: { kind: "engine", type: "nondeterminism", message: expect.stringContaining("divergent") },
    });
    expect(history).toHaveLength(4);
    for (let round = 0; round < 2; round++) {
      world.kill();
      const next = await world.during(world.up());
      const reports = await reportsOf(next);
      expect(reports.some((report) => report.workflowId === "divergent")).toBe(false);
      expect(await world.history("divergent")).toEqual(history);
    }
  });

  it("that a missing type is goes away when the type arrives at the next opening", async () => {
    const inner = openMemoryStore();
    await writeRuns(inner, [{ workflowId: "w", bodies: [started("gone", "in")] }]);
    const before = new World({ ...steady, store: () => inner });
    const process = await before.open();
    expect(process.reports).toMatchObject([
      { workflowId: "w", outcome: { kind: "failed", failureRecorded: false } },
    ]);
    await before.settle();
    await before.close();
    const after = new World({
      ...steady,
      workflows: () => [workflow("gone", async (input: string) => first(input))],
      store: () => inner,
    });
    const next = await after.open();
    expect(next.reports).toMatchObject([{ workflowId: "w", outcome: { kind: "resumed" } }]);
    expect(await after.during(next.client.get("w").result())).toBe("live first");
    const record = await inner.findRun("w" as WorkflowId);
    expect(record?.blocked).toBeUndefined();
  });

  it("that reading one history is (an error of the store) stops no other", async () => {
    const inner = openMemoryStore();
    await writeRuns(
      inner,
      ["good-1", "bad", "good-2"].map((workflowId) => ({
        workflowId,
        bodies: [started("steady", "in")],
        wakeAt: null,
      })),
    );
    const world = new World({
      ...steady,
      store: () =>
        overStore(inner, {
          readSegment: (run, from, limit) =>
            run.workflowId === "bad"
              ? Promise.reject(new AionError("history_corrupt", "a flipped bit in bad"))
              : inner.readSegment(run, from, limit),
        }),
    });
    const reports = await reportsOf(await world.open());
    expect(outcomeOf(reports, "bad", "failed")).toMatchObject({
      error: { code: "history_corrupt" },
      failureRecorded: false,
    });
    expect(outcomeOf(reports, "good-1", "resumed").resumePoint.head).toBe(1);
    expect(outcomeOf(reports, "good-2", "resumed").resumePoint.head).toBe(1);
    await world.settle();
    expect(await inner.findRun("bad" as WorkflowId)).toMatchObject({
      status: "running",
      headSeq: 1,
      blocked: expect.stringContaining("history_corrupt"),
    });
  });
});

describe("the whole recovery", () => {
  it("fails when the active workflows cannot be listed, and only then", async () => {
    const inner = openMemoryStore();
    await writeRuns(inner, [{ workflowId: "w", bodies: [started("steady", "in")], wakeAt: null }]);
    const down = new AionError("store_unavailable", "the disk is asleep");
    const world = new World({
      ...steady,
      store: () => overStore(inner, { listActive: () => Promise.reject(down) }),
    });
    const process = await world.open();
    await expect(reportsOf(process)).rejects.toBe(down);
    expect(await inner.readHistory("w" as WorkflowId)).toHaveLength(1);
  });

  it("streams: no more than 64 runs are read at once, however many there are and however slow the listener", async () => {
    const inner = openMemoryStore();
    const runCount = 400;
    await writeRuns(
      inner,
      Array.from({ length: runCount }, (_each, index) => ({
        workflowId: `w${index}`,
        bodies: [started("sleepy")],
        wakeAt: null,
      })),
    );
    let begunCount = 0;
    const world = new World({
      workflows: () => [workflow("sleepy", async () => sleep("1 day"))],
      store: () =>
        overStore(inner, {
          readSegment: (run, from, limit) => {
            begunCount += 1;
            return inner.readSegment(run, from, limit);
          },
        }),
    });
    const process = await world.open();
    let reportedCount = 0;
    let mostAhead = 0;
    for await (const report of process.kernel.recover("all")) {
      expect(report.outcome.kind).toBe("resumed");
      reportedCount += 1;
      // A listener that takes its time: everything that can move does.
      if (reportedCount % 20 === 0) await world.settle();
      mostAhead = Math.max(mostAhead, begunCount - reportedCount);
    }
    expect(reportedCount).toBe(runCount);
    expect(mostAhead).toBeGreaterThan(8);
    expect(mostAhead).toBeLessThanOrEqual(64);
  });

  it("stops reading when its listener has heard enough", async () => {
    const inner = openMemoryStore();
    await writeRuns(
      inner,
      Array.from({ length: 1_000 }, (_each, index) => ({
        workflowId: `w${index}`,
        bodies: [started("sleepy")],
        wakeAt: null,
      })),
    );
    const world = new World({
      workflows: () => [workflow("sleepy", async () => sleep("1 day"))],
      store: () => inner,
    });
    const process = await world.open();
    for await (const report of process.kernel.recover("all")) {
      expect(report.outcome.kind).toBe("resumed");
      break;
    }
    await world.settle();
    expect(world.historyReads.length).toBeLessThanOrEqual(64);
  });

  it("keeps no more runs in memory than may be resident", async () => {
    const inner = openMemoryStore();
    await writeRuns(
      inner,
      Array.from({ length: 300 }, (_each, index) => ({
        workflowId: `w${index}`,
        bodies: [started("sleepy"), { type: "TimerStarted", ordinal: 0, durationMs: 1, fireAt: 9e12 }],
        wakeAt: 9e12,
      })),
    );
    const world = new World({
      workflows: () => [workflow("sleepy", async () => sleep(1))],
      store: () => inner,
      kernel: { residentMax: 10 },
    });
    const process = await world.open();
    const reports = await reportsOf(process);
    expect(reports).toHaveLength(300);
    expect(reports.every((report) => report.outcome.kind === "resumed")).toBe(true);
    await world.settle();
    expect(process.kernel.residency.size).toBeLessThanOrEqual(10);
  });
});

describe("starting an engine", () => {
  it("reads nothing of a thousand runs that sleep, and takes up the one that must move", async () => {
    const inner = openMemoryStore();
    const farAt = 9e12;
    await writeRuns(inner, [
      ...Array.from({ length: 1_000 }, (_each, index) => ({
        workflowId: `sleeper-${index}`,
        bodies: [
          started("sleepy"),
          { type: "TimerStarted", ordinal: 0, durationMs: 1, fireAt: farAt } as const,
        ],
        wakeAt: farAt,
      })),
      {
        workflowId: "mover",
        bodies: [started("steady", "in"), scheduled(0, "first", "in")],
      },
    ]);
    let callCount = 0;
    const counted = new Proxy(inner, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        return (...args: unknown[]): unknown => {
          callCount += 1;
          return Reflect.apply(value, target, args) as unknown;
        };
      },
    });
    const world = new World({
      ...steady,
      workflows: (of) => [...steady.workflows(of), workflow("sleepy", async () => sleep(1))],
      store: () => counted,
    });
    const process = await world.open();
    expect(world.historyReads).toEqual(["mover"]);
    // The claim, lists of what must move, what was said and what is due, and the one run.
    expect(callCount).toBeLessThan(20);
    expect(process.reports.map((report) => [report.workflowId, report.outcome.kind])).toEqual([
      ["mover", "resumed"],
    ]);
    await world.settle();
    expect(world.historyReads).toEqual(["mover"]);
    expect((await world.history("mover")).at(-1)?.type).toBe("WorkflowCompleted");
  });

  it("answers a query of a run that sleeps, by replay of that one alone", async () => {
    const stage = query<string>("stage");
    const inner = openMemoryStore();
    await writeRuns(
      inner,
      Array.from({ length: 20 }, (_each, index) => ({
        workflowId: `sleeper-${index}`,
        bodies: [
          started("sleepy"),
          { type: "TimerStarted", ordinal: 0, durationMs: 1, fireAt: 9e12 } as const,
        ],
        wakeAt: 9e12,
      })),
    );
    const world = new World({
      workflows: () => [
        workflow("sleepy", async () => {
          expose(stage, () => "asleep");
          await sleep(1);
        }),
      ],
      store: () => inner,
    });
    const process = await world.open();
    expect(world.historyReads).toEqual([]);
    expect(await world.during(process.client.get("sleeper-7").query(stage))).toBe("asleep");
    expect(world.historyReads).toEqual(["sleeper-7"]);
    expect(world.appendCount).toBe(0);
  });
});

describe("a run whose row says that it must move, and that only waits", () => {
  const go = signal<string>("go");
  const idle: Omit<WorldOptions, "store"> = {
    ...steady,
    workflows: (world) => [
      ...steady.workflows(world),
      workflow("listener", async () => receive(go)),
      workflow("relay", async (round: number) => {
        if (round > 0) return receive(go);
        continueAsNew(round + 1);
      }),
      workflow("watcher", async () => {
        let heard = "";
        expose(go, (word) => {
          heard = word;
        });
        await waitUntil(() => heard !== "");
        return heard;
      }),
      workflow("sleeper", async () => {
        await sleep("2 days");
        return "awake";
      }),
    ],
  };
  const wakeAtOf = async (world: World): Promise<number | null | undefined> =>
    (await world.store.findRun("w" as WorkflowId))?.wakeAt;

  /** The next engine finds nothing to take up, and the run goes on all the same. */
  async function checkAsleep(world: World): Promise<void> {
    const readCount = world.historyReads.length;
    world.kill();
    const next = await world.during(world.up());
    expect(next.reports).toEqual([]);
    expect(world.historyReads).toHaveLength(readCount);
    expect(next.kernel.residency.size).toBe(0);
  }

  it.each([
    ["for a signal", "listener"],
    ["for a condition", "watcher"],
  ])("%s, started while no engine ran, is not loaded again at the next start", async (_for, type) => {
    const inner = openMemoryStore();
    await writeRuns(inner, [{ workflowId: "w", bodies: [started(type)] }]);
    const world = new World({ ...idle, store: () => inner });
    const process = await world.open();
    expect(process.reports).toHaveLength(1);
    await world.settle();
    expect(await wakeAtOf(world)).toBeNull();
    expect(await world.history("w")).toHaveLength(1);
    await checkAsleep(world);
    await world.during(world.process.client.get("w").signal(go, "now"));
    expect(await world.during(world.process.client.get("w").result())).toBe("now");
  });

  it("having continued as new, is not loaded at the next start", async () => {
    const world = new World(idle);
    const { client } = await world.open();
    await world.during(client.start("relay", 0, { id: "w" }));
    await world.settle();
    expect(await world.store.readRunChain("w" as WorkflowId)).toHaveLength(2);
    expect(await wakeAtOf(world)).toBeNull();
    await checkAsleep(world);
    await world.during(world.process.client.get("w").signal(go, "now"));
    expect(await world.during(world.process.client.get("w").result())).toBe("now");
  });

  it("for a timer, having been blocked, is woken by its timer and not by the next start", async () => {
    const inner = openMemoryStore();
    const fireAt = 1_700_000_000_000 + 2 * 86_400_000;
    const timer: EventBody = {
      type: "TimerStarted",
      ordinal: 0,
      durationMs: 2 * 86_400_000,
      fireAt,
    };
    await writeRuns(inner, [{ workflowId: "w", bodies: [started("sleeper"), timer], wakeAt: null }]);
    const without = new World({ ...steady, store: () => inner });
    expect(await reportsOf(await without.open())).toMatchObject([{ outcome: { kind: "failed" } }]);
    expect(await inner.findRun("w" as WorkflowId)).toMatchObject({
      wakeAt: 0,
      blocked: expect.stringContaining("workflow_type_unknown"),
    });
    await without.close();
    const world = new World({ ...idle, store: () => inner });
    expect((await world.open()).reports).toMatchObject([{ workflowId: "w", outcome: { kind: "resumed" } }]);
    await world.settle();
    expect(await wakeAtOf(world)).toBe(fireAt);
    await checkAsleep(world);
    expect(await world.during(world.process.client.get("w").result())).toBe("awake");
    expect(world.nowMs).toBe(fireAt);
  });

  it("for a slot or an implementation, keeps saying so: somebody has to put it in line again", async () => {
    const absent = activity("absent", (_input: unknown): string => "never called here");
    const world = new World({
      ...steady,
      workflows: () => [workflow("needy", async () => absent("in"))],
    });
    const { client } = await world.open();
    await world.during(client.start("needy", null, { id: "w" }));
    await world.settle();
    expect(await wakeAtOf(world)).toBe(0);
    for (let round = 0; round < 2; round++) {
      world.kill();
      expect((await world.during(world.up())).reports).toHaveLength(1);
      await world.settle();
      expect(await wakeAtOf(world)).toBe(0);
    }
  });

  it.each(["crash-before", "crash-after", "unknown-made", "unknown-lost", "full"] as const)(
    "says so no longer, whatever goes wrong as its row is written (%s)",
    async (fault) => {
      const inner = openMemoryStore();
      await writeRuns(inner, [{ workflowId: "w", bodies: [started("listener")] }]);
      let faults = 0;
      const world = new World({
        ...idle,
        store: () => inner,
        fault: ({ commits }) => {
          const isMeant = commits.some(({ run }) => run?.wakeAtBefore === 0 && run.wakeAt === null);
          return isMeant && faults++ === 0 ? fault : undefined;
        },
      });
      void world.open();
      await world.advance(60_000);
      await world.during(world.up());
      expect(faults).toBeGreaterThan(0);
      expect(await wakeAtOf(world)).toBeNull();
      await checkAsleep(world);
      await world.during(world.process.client.get("w").signal(go, "now"));
      expect(await world.during(world.process.client.get("w").result())).toBe("now");
      expect((await world.history("w")).map((event) => event.type)).toEqual([
        "WorkflowStarted",
        "SignalReceived",
        "WorkflowCompleted",
      ]);
    },
  );
});
