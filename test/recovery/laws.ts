/** What must be true of whatever is on disk, whenever one looks. */
import { expect } from "vitest";
import type { Event } from "../../src/core/event.ts";
import { roleOf } from "../../src/core/event.ts";
import { runChain } from "../../src/core/run-chain.ts";
import type { World } from "./world.ts";

/** The events of each run. */
function runsOf(history: readonly Event[]): readonly (readonly Event[])[] {
  return runChain(history).map((run) =>
    history.filter((event) => event.seq >= run.firstSeq && event.seq <= run.lastSeq),
  );
}

/** Of which thing an event is the outcome: at most one of them may be recorded for each. */
function outcomeOf(event: Event): string | undefined {
  switch (event.type) {
    case "ActivityCompleted":
    case "ActivityCancelled":
      return `activity ${event.ordinal}`;
    case "ActivityFailed":
    case "ActivityTimedOut":
      return event.retryAt === undefined ? `activity ${event.ordinal}` : undefined;
    case "TimerFired":
    case "TimerCancelled":
      return `timer ${event.ordinal}`;
    case "ChildWorkflowCompleted":
    case "ChildWorkflowFailed":
    case "ChildWorkflowCancelled":
    case "ChildWorkflowTimedOut":
    case "ChildWorkflowTerminated":
      return `child ${event.ordinal}`;
    case "SignalSettled":
      return `send ${event.ordinal}`;
    default:
      return undefined;
  }
}

/** Keys of activities whose outcome is on disk: `<run id>:<ordinal>`. */
export async function settledKeys(world: World): Promise<ReadonlySet<string>> {
  const keys = new Set<string>();
  for (const { workflowId } of await world.runs()) {
    for (const run of runsOf(await world.history(workflowId))) {
      const [start] = run;
      for (const event of run) {
        const of = outcomeOf(event);
        if (of?.startsWith("activity ") === true && start?.type === "WorkflowStarted" && "ordinal" in event) {
          keys.add(`${start.runId}:${event.ordinal}`);
        }
      }
    }
  }
  return keys;
}

/** Looks at all that is on disk. */
export async function checkLaws(world: World): Promise<void> {
  const workflowIds = new Set((await world.runs()).map((run) => run.workflowId));
  for (const workflowId of workflowIds) {
    const history = await world.history(workflowId);
    // I-40, I-37, C-6: gapless, in order, one end for each run, nothing after it. Throws where it is not.
    const chain = runChain(history);
    expect(history[0]?.seq).toBe(1);
    for (const [index, event] of history.entries()) {
      // What a run began with as a copy has the instants at which it happened.
      if (event.type === "WorkflowStarted" && event.resetOf !== undefined) continue;
      expect(event.recordedAt).toBeGreaterThanOrEqual(history[index - 1]?.recordedAt ?? 0);
    }
    const records = await world.store.readRunChain(workflowId);
    expect(
      records.map(({ runId, status, firstSeq, headSeq }) => ({ runId, status, firstSeq, headSeq })),
    ).toEqual(
      chain.map(({ runId, status, firstSeq, lastSeq }) => ({ runId, status, firstSeq, headSeq: lastSeq })),
    );
    for (const run of runsOf(history)) {
      const settled = new Set<string>();
      const attempts = new Map<number, number>();
      const signalIds = new Set<string>();
      for (const event of run) {
        const of = outcomeOf(event);
        // C-5: one outcome for each activity, timer, child and signal sent.
        if (of !== undefined) {
          expect(settled.has(of), `${workflowId}, event ${event.seq}: a second outcome of ${of}`).toBe(false);
          settled.add(of);
        }
        // I-10: attempts are numbered without gaps.
        if (event.type === "ActivityStarted") {
          expect(event.attempt).toBe((attempts.get(event.ordinal) ?? 0) + 1);
          attempts.set(event.ordinal, event.attempt);
        }
        // I-22: a signal is received once.
        if (event.type === "SignalReceived" && event.signalId !== undefined) {
          expect(signalIds.has(event.signalId)).toBe(false);
          signalIds.add(event.signalId);
        }
      }
    }
  }
}

/** Nothing is left to do: every run has ended, and nothing is on its way. */
export async function checkAtRest(world: World): Promise<void> {
  const open = (await world.runs()).filter((run) => run.status === "running");
  expect(open.map((run) => [run.workflowId, run.blocked])).toEqual([]);
  expect(await world.store.listMessages(0, 100)).toEqual([]);
  for (const { runKey, wakeAt } of await world.runs()) {
    expect(wakeAt).toBeNull();
    expect(await world.store.readHeartbeats(runKey)).toEqual([]);
  }
}

const volatile: ReadonlySet<string> = new Set([
  "seq",
  "recordedAt",
  "fireAt",
  "retryAt",
  "runDeadlineAt",
  "executionDeadlineAt",
  "startAt",
  "attempt",
  "stack",
  // Of resets: seqs that notes on attempts before them move.
  "toSeq",
  "eventCount",
  "of",
  "at",
]);

/**
 * All histories without what a crash may change: notes on attempts, instants, and ids that engines make up, which are
 * named by the place of their run instead.
 */
export async function essenceOf(world: World): Promise<Readonly<Record<string, readonly string[]>>> {
  const runs = await world.runs();
  const names = new Map<string, string>();
  for (const { workflowId } of runs) {
    for (const [index, run] of (await world.store.readRunChain(workflowId)).entries()) {
      names.set(run.runId, `<${workflowId}#${index}>`);
    }
  }
  const essence: Record<string, readonly string[]> = {};
  for (const workflowId of [...new Set(runs.map((run) => run.workflowId))].toSorted()) {
    const events = (await world.history(workflowId)).filter((event) => roleOf(event) !== "note");
    essence[workflowId] = events.map((event) => {
      let text = JSON.stringify(event, (key, value: unknown) => (volatile.has(key) ? undefined : value));
      for (const [runId, name] of names) text = text.replaceAll(runId, name);
      return text.replaceAll(/at attempt \d+/g, "at attempt N").replaceAll(/reset to event \d+/g, "reset");
    });
  }
  return essence;
}
