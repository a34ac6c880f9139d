import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { EventBody } from "../../src/core/event.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import type { RecoveryReport } from "../../src/engine/recovery.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import {
  activity,
  ApplicationFailure,
  child,
  patched,
  receive,
  sideEffect,
  signal,
  signalWorkflow,
  sleep,
  step,
  waitUntil,
  workflow,
} from "../../src/workflow/index.ts";
import { World } from "./world.ts";
import type { WorldOptions } from "./world.ts";
import { completed, json, scheduled, started, writeRuns } from "./written-history.ts";

const alpha = activity("alpha", (_input: unknown): unknown => undefined);
const beta = activity("beta", (_input: unknown): unknown => undefined);
const go = signal<number>("go");

async function recoverWith(
  bodies: readonly EventBody[],
  run: () => unknown,
  options: Partial<WorldOptions> = {},
): Promise<{ readonly world: World; readonly report: RecoveryReport }> {
  const inner = openMemoryStore();
  await writeRuns(inner, [{ workflowId: "subject", bodies, wakeAt: null }]);
  const world = new World({
    activities: () => [alpha, beta],
    workflows: () => [workflow("subject", run), workflow("leaf", () => 1)],
    store: () => inner,
    ...options,
  });
  const process = await world.open();
  let last: RecoveryReport | undefined;
  for await (const report of process.kernel.recover("all")) last = report;
  if (last === undefined) throw new Error("nothing was recovered");
  return { world, report: last };
}

const startedLeaf = (of: Partial<EventBody & { readonly type: "ChildWorkflowStarted" }> = {}): EventBody => ({
  type: "ChildWorkflowStarted",
  ordinal: 0,
  childWorkflowId: "leaf-1" as WorkflowId,
  workflowType: "leaf",
  input: json(1),
  parentClosePolicy: "terminate",
  ...of,
});
const timer = (ordinal: number, durationMs: number): EventBody => ({
  type: "TimerStarted",
  ordinal,
  durationMs,
  fireAt: 1_000 + durationMs,
});

interface Violation {
  readonly what: string;
  /** After WorkflowStarted. */
  readonly history: readonly EventBody[];
  readonly run: () => unknown;
  readonly seq: number;
  readonly expected: string;
  readonly found: string;
}

const violations: readonly Violation[] = [
  {
    what: "another kind of command: a timer for an activity",
    history: [scheduled(0, "alpha", 1)],
    run: () => sleep(10),
    seq: 2,
    expected: 'run-activity "alpha" #0',
    found: "start-timer 10 ms #0",
  },
  {
    what: "a step for an activity of the same name",
    history: [scheduled(0, "alpha", null)],
    run: () => step("alpha", () => 1),
    seq: 2,
    expected: 'run-activity "alpha" #0',
    found: 'step "alpha" #0',
  },
  {
    what: "another name of an activity",
    history: [scheduled(0, "alpha", 1)],
    run: () => beta(1),
    seq: 2,
    expected: 'run-activity "alpha" #0',
    found: 'run-activity "beta" #0',
  },
  {
    what: "another input of an activity",
    history: [scheduled(0, "alpha", { amount: 1 })],
    run: () => alpha({ amount: 2 }),
    seq: 2,
    expected: 'run-activity "alpha" #0',
    found: 'run-activity "alpha" #0',
  },
  {
    what: "another ordinal of an activity",
    history: [scheduled(1, "alpha", 1)],
    run: () => alpha(1),
    seq: 2,
    expected: 'run-activity "alpha" #1',
    found: 'run-activity "alpha" #0',
  },
  {
    what: "another duration of a timer",
    history: [timer(0, 10)],
    run: () => sleep(20),
    seq: 2,
    expected: "start-timer 10 ms #0",
    found: "start-timer 20 ms #0",
  },
  {
    what: "another order of two activities",
    history: [scheduled(0, "alpha", 1), scheduled(1, "beta", 2)],
    run: () => Promise.all([beta(2), alpha(1)]),
    seq: 2,
    expected: 'run-activity "alpha" #0',
    found: 'run-activity "beta" #0',
  },
  {
    what: "a command more, before a recorded input",
    history: [scheduled(0, "alpha", 1), completed(0, "x")],
    run: () => Promise.all([alpha(1), beta(2)]),
    seq: 1,
    expected: "no further command",
    found: 'run-activity "beta" #1',
  },
  {
    what: "a command less",
    history: [scheduled(0, "alpha", 1), scheduled(1, "beta", 2)],
    run: () => alpha(1),
    seq: 3,
    expected: 'run-activity "beta" #1',
    found: "no further command",
  },
  {
    what: "an end that comes too early, with events left over",
    history: [scheduled(0, "alpha", 1), completed(0, "x"), scheduled(1, "beta", 2), completed(1, "y")],
    run: () => alpha(1),
    seq: 4,
    expected: 'run-activity "beta" #1',
    found: "complete",
  },
  {
    what: "an end where more is recorded to have been learned",
    history: [
      scheduled(0, "alpha", 1),
      completed(0, "x"),
      { type: "SignalReceived", name: "go", payload: json(1) },
    ],
    run: () => alpha(1),
    seq: 3,
    expected: "no further command",
    found: "complete",
  },
  {
    what: "another child type",
    history: [startedLeaf()],
    run: () => child("branch", 1, { id: "leaf-1" }),
    seq: 2,
    expected: 'start-child "leaf" leaf-1 #0',
    found: 'start-child "branch" leaf-1 #0',
  },
  {
    what: "another child id",
    history: [startedLeaf()],
    run: () => child("leaf", 1, { id: "leaf-2" }),
    seq: 2,
    expected: 'start-child "leaf" leaf-1 #0',
    found: 'start-child "leaf" leaf-2 #0',
  },
  {
    what: "another parent-close policy",
    history: [startedLeaf()],
    run: () => child("leaf", 1, { id: "leaf-1", parentClosePolicy: "abandon" }),
    seq: 2,
    expected: 'start-child "leaf" leaf-1 #0',
    found: 'start-child "leaf" leaf-1 #0',
  },
  {
    what: "another input of a child",
    history: [startedLeaf()],
    run: () => child("leaf", 2, { id: "leaf-1" }),
    seq: 2,
    expected: 'start-child "leaf" leaf-1 #0',
    found: 'start-child "leaf" leaf-1 #0',
  },
  {
    what: "a signal to another target",
    history: [{ type: "SignalSent", ordinal: 0, target: "one" as WorkflowId, name: "go", payload: json(1) }],
    run: () => signalWorkflow("two", go, 1),
    seq: 2,
    expected: 'send-signal "go" to one #0',
    found: 'send-signal "go" to two #0',
  },
  {
    what: "a signal with another payload",
    history: [{ type: "SignalSent", ordinal: 0, target: "one" as WorkflowId, name: "go", payload: json(1) }],
    run: () => signalWorkflow("one", go, 2),
    seq: 2,
    expected: 'send-signal "go" to one #0',
    found: 'send-signal "go" to one #0',
  },
  {
    what: "a side effect that is no longer asked for",
    history: [{ type: "SideEffectRecorded", ordinal: 0, value: json(4) }, timer(0, 10)],
    run: () => sleep(10),
    seq: 2,
    expected: "side-effect #0",
    found: "start-timer 10 ms #0",
  },
  {
    what: "a side effect that was not asked for then",
    history: [timer(0, 10), { type: "TimerFired", ordinal: 0 }],
    run: () => {
      sideEffect(() => 1);
      return sleep(10);
    },
    seq: 2,
    expected: "start-timer 10 ms #0",
    found: "side-effect #0",
  },
  {
    what: "a version mark that was removed from the code",
    history: [{ type: "VersionMarked", changeId: "fee" }, timer(0, 10)],
    run: () => sleep(10),
    seq: 2,
    expected: 'mark-version "fee"',
    found: "start-timer 10 ms #0",
  },
  {
    what: "a version mark of another name",
    history: [{ type: "VersionMarked", changeId: "fee" }, timer(0, 10)],
    run: () => {
      patched("tax");
      return sleep(10);
    },
    seq: 2,
    expected: 'mark-version "fee"',
    found: "start-timer 10 ms #0",
  },
  {
    what: "a cancelled timer that is left to run",
    history: [
      timer(0, 10),
      { type: "SignalReceived", name: "go", payload: json(1) },
      { type: "TimerCancelled", ordinal: 0 },
      timer(1, 20),
    ],
    run: async () => {
      await Promise.race([sleep(10), receive(go)]);
      await sleep(20);
    },
    seq: 4,
    expected: "cancel-timer #0",
    found: "start-timer 20 ms #1",
  },
  {
    what: "a cancelled activity that is not cancelled",
    history: [
      timer(0, 5),
      scheduled(0, "alpha", 1),
      { type: "TimerFired", ordinal: 0 },
      { type: "ActivityCancelRequested", ordinal: 0 },
    ],
    run: async () => {
      await Promise.race([sleep(5), alpha(1)]);
      await waitUntil(() => false);
    },
    seq: 5,
    expected: "cancel-activity #0",
    found: "no further command",
  },
];

describe("a violation of determinism", () => {
  // I-43
  it.each(violations)("is found: $what", async ({ history, run, seq, expected, found }) => {
    const bodies = [started("subject"), ...history];
    const { world, report } = await recoverWith(bodies, run);
    expect(report).toMatchObject({
      workflowId: "subject",
      outcome: {
        kind: "failed",
        failureRecorded: true,
        error: {
          code: "nondeterminism",
          details: { workflowId: "subject", seq, expected, found },
        },
      },
    });
    const { outcome } = report;
    const message = outcome.kind === "failed" ? outcome.error.message : "";
    for (const part of ["workflow subject", `event ${seq}`, expected, found]) expect(message).toContain(part);
    const recorded = await world.history("subject");
    expect(recorded.slice(0, bodies.length).map((event) => event.type)).toEqual(
      bodies.map((event) => event.type),
    );
    expect(recorded.slice(bodies.length)).toEqual([
      expect.objectContaining({
        type: "WorkflowFailed",
        failure: expect.objectContaining({ kind: "engine" }),
      }),
    ]);
  });

  it("shows both values where only they differ", async () => {
    const { report } = await recoverWith([started("subject"), scheduled(0, "alpha", { amount: 1 })], () =>
      alpha({ amount: 2 }),
    );
    const message = report.outcome.kind === "failed" ? report.outcome.error.message : "";
    expect(message).toContain('recorded with {"amount":1}, found with {"amount":2}');
  });

  it("names the line of the workflow that asked for it", async () => {
    const { report } = await recoverWith(
      [started("subject"), timer(0, 10), { type: "TimerFired", ordinal: 0 }, scheduled(0, "alpha", 1)],
      async () => {
        await sleep(10);
        await beta(1); // <- the line of the violation
      },
    );
    const file = fileURLToPath(import.meta.url);
    const line =
      readFileSync(file, "utf8")
        .split("\n")
        .findIndex((text) => text.endsWith("// <- the line of the violation")) + 1;
    const { outcome } = report;
    const error = outcome.kind === "failed" ? outcome.error : undefined;
    expect(error?.details["source"]).toMatch(new RegExp(`determinism-violation\\.test\\.ts:${line}:\\d+$`));
    expect(error?.message).toMatch(new RegExp(`at \\S*determinism-violation\\.test\\.ts:${line}:\\d+`));
  });

  it("is no value that the code can swallow", async () => {
    let swallowed: unknown;
    const { report } = await recoverWith([started("subject"), scheduled(0, "alpha", 1)], async () => {
      try {
        await beta(1);
      } catch (error) {
        swallowed = error;
      }
    });
    expect(report.outcome).toMatchObject({ kind: "failed", failureRecorded: true });
    expect(swallowed).toBeUndefined();
  });

  it("is found at whatever place of a long history, and the rest of it is not looked at", async () => {
    const rounds = 300;
    const bodies: EventBody[] = [started("subject")];
    for (let index = 0; index < rounds; index++) {
      bodies.push(scheduled(index, "alpha", index), completed(index, index));
    }
    const { report } = await recoverWith(bodies, async () => {
      for (let index = 0; index < rounds; index++) await alpha(index === 250 ? -1 : index);
    });
    expect(report.outcome).toMatchObject({
      error: { details: { seq: 2 + 250 * 2, expected: 'run-activity "alpha" #250' } },
    });
  });
});

describe("a stream of commands that matches", () => {
  const faithful: readonly (readonly [string, readonly EventBody[], () => unknown])[] = [
    ["nothing but a start", [], () => alpha(1)],
    ["an activity", [scheduled(0, "alpha", 1)], () => alpha(1)],
    [
      "an activity that has other options now",
      [
        {
          type: "ActivityScheduled",
          ordinal: 0,
          activityType: "alpha",
          input: json(1),
          options: { startToCloseMs: 5_000 },
        },
      ],
      () => alpha(1, { startToClose: "1 minute", retry: { maxAttempts: 3 } }),
    ],
    [
      "a guarded change in a run that passed it before",
      [timer(0, 10), { type: "TimerFired", ordinal: 0 }, timer(1, 20)],
      async () => {
        if (patched("longer")) await sleep(15);
        await sleep(10);
        await sleep(20);
      },
    ],
    [
      "an unmarked change beyond the end of history",
      [scheduled(0, "alpha", 1)],
      () => Promise.all([alpha(1), beta(2), sleep(5)]),
    ],
    [
      "a side effect whose code gives another value now",
      [{ type: "SideEffectRecorded", ordinal: 0, value: json(10) }, timer(0, 10)],
      () => sleep(sideEffect(() => 99)),
    ],
    [
      "a side effect that failed then and would not now",
      [
        {
          type: "SideEffectRecorded",
          ordinal: 0,
          failure: { kind: "application", message: "no", type: "Odd" },
        },
        timer(0, 10),
      ],
      () => {
        try {
          sideEffect(() => 1);
        } catch (error) {
          if (error instanceof ApplicationFailure && error.type === "Odd") return sleep(10);
        }
        return sleep(20);
      },
    ],
    [
      "fields of a payload in the order in which they were recorded",
      [scheduled(0, "alpha", { a: 1, b: 2 })],
      () => alpha({ a: 1, b: 2 }),
    ],
    [
      "inputs that the code did not ask for",
      [
        timer(0, 10),
        { type: "SignalReceived", name: "unheard", payload: json(1) },
        { type: "SignalReceived", name: "unheard", payload: json(2) },
      ],
      () => sleep(10),
    ],
    [
      "attempts between commands and inputs",
      [
        scheduled(0, "alpha", 1),
        { type: "ActivityStarted", ordinal: 0, attempt: 1 },
        scheduled(1, "beta", 2),
        { type: "ActivityStarted", ordinal: 1, attempt: 1 },
        {
          type: "ActivityFailed",
          ordinal: 0,
          attempt: 1,
          failure: { kind: "application", message: "no" },
          retryAt: 5,
        },
        { type: "ActivityStarted", ordinal: 0, attempt: 2 },
      ],
      () => Promise.all([alpha(1), beta(2)]),
    ],
  ];

  it.each(faithful)("is taken for one: %s", async (_what, history, run) => {
    const { world, report } = await recoverWith([started("subject"), ...history], run);
    expect(report.outcome.kind).toBe("resumed");
    const recorded = await world.history("subject");
    expect(recorded.some((event) => event.type === "WorkflowFailed")).toBe(false);
  });
});

describe("under the policy to hold what diverges", () => {
  const bodies = [started("subject"), scheduled(0, "alpha", 1)];

  it("a run is blocked with its history untouched, and goes on when the code is mended", async () => {
    const inner = openMemoryStore();
    await writeRuns(inner, [{ workflowId: "subject", bodies }]);
    const options = {
      activities: () => [alpha, beta],
      store: () => inner,
      kernel: { onNondeterminism: "block" },
    } as const;
    const before = new World({ ...options, workflows: () => [workflow("subject", () => beta(1))] });
    const process = await before.open();
    expect(process.reports).toMatchObject([
      { outcome: { kind: "failed", failureRecorded: false, error: { code: "nondeterminism" } } },
    ]);
    await before.settle();
    expect(await before.history("subject")).toHaveLength(2);
    expect(await process.client.get("subject").describe()).toMatchObject({
      status: "running",
      blocked: expect.stringContaining("nondeterminism"),
    });
    // What is sent to it meanwhile waits on disk.
    await before.during(process.client.get("subject").signal(go, 7));
    await expect(before.during(process.client.get("subject").query("any"))).rejects.toMatchObject({
      code: "run_blocked",
    });
    await before.close();

    const after = new World({
      ...options,
      workflows: () => [
        workflow("subject", async () => {
          await alpha(1);
          return receive(go);
        }),
      ],
    });
    const mended = await after.open();
    expect(mended.reports).toMatchObject([{ outcome: { kind: "resumed" } }]);
    expect(await after.during(mended.client.get("subject").result())).toBe(7);
    expect(await inner.findRun("subject" as WorkflowId)).toMatchObject({ status: "completed" });
  });

  it("a blocked run can be terminated without its code", async () => {
    const { world } = await recoverWith(bodies, () => beta(1), { kernel: { onNondeterminism: "block" } });
    await world.during(world.process.client.get("subject").terminate("give up"));
    expect((await world.history("subject")).at(-1)).toMatchObject({
      type: "WorkflowTerminated",
      reason: "give up",
    });
    expect(await world.store.findRun("subject" as WorkflowId)).toMatchObject({ status: "terminated" });
  });
});

describe("an await that is not durable, met while a run is brought back", () => {
  /** Goes on with an activity when somebody outside lets it. */
  function strayCode(): { readonly run: () => Promise<unknown>; readonly letGo: () => void } {
    const gates: (() => void)[] = [];
    return {
      run: async () => {
        void sleep(10);
        await new Promise<void>((resolve) => gates.push(resolve));
        return alpha(1);
      },
      letGo: () => {
        for (const open of gates.splice(0)) open();
      },
    };
  }

  // Not due: nothing else wakes the run.
  const farTimer = { ...timer(0, 10), fireAt: 9e12 } as EventBody;

  it("is recorded as the run's failure, once", async () => {
    const { run, letGo } = strayCode();
    const { world, report } = await recoverWith([started("subject"), farTimer], run);
    expect(report.outcome.kind).toBe("resumed");
    letGo();
    await world.settle();
    const history = await world.history("subject");
    expect(history.map((event) => event.type)).toEqual(["WorkflowStarted", "TimerStarted", "WorkflowFailed"]);
    expect(history.at(-1)).toMatchObject({ failure: { kind: "engine", type: "nondurable_await" } });
  });

  it("holds the run under the policy to hold", async () => {
    const { run, letGo } = strayCode();
    const { world } = await recoverWith([started("subject"), farTimer], run, {
      kernel: { onNondeterminism: "block" },
    });
    letGo();
    await world.settle();
    expect(await world.history("subject")).toHaveLength(2);
    expect(await world.store.findRun("subject" as WorkflowId)).toMatchObject({
      status: "running",
      blocked: expect.stringContaining("nondurable_await"),
    });
  });

  it("is found where the code waits for nothing durable at all", async () => {
    const { world, report } = await recoverWith([started("subject")], () => new Promise(() => undefined));
    await world.settle();
    expect((await world.history("subject")).at(-1)).toMatchObject({
      type: "WorkflowFailed",
      failure: { kind: "engine", type: "nondurable_await" },
    });
    expect(report.workflowId).toBe("subject");
  });
});
