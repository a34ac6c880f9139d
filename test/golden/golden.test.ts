import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decodeRow } from "../../src/core/codec.ts";
import type { Event, EventType } from "../../src/core/event.ts";
import { isAionError } from "../../src/core/errors.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import { runChain } from "../../src/core/run-chain.ts";
import { coordinatorType } from "../../src/core/schedule.ts";
import { loadRun } from "../../src/engine/load.ts";
import { loadInline } from "../../src/program/inline.ts";
import type { RunRecord } from "../../src/store/contract.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import type { AnyWorkflow } from "../../src/workflow/definition.ts";
import { workflow } from "../../src/workflow/index.ts";
import { overStore } from "../recovery/over-store.ts";
import { checksumLine, checksumsPath, goldenNames, readGolden } from "./golden-file.ts";
import { goldenScenarios } from "./scenarios.ts";

const names = goldenNames();

/** The histories of a file, decoded as a store would. */
function historiesOf(name: string): readonly (readonly Event[])[] {
  return Object.entries(readGolden(name).histories).map(([workflowId, rows]) =>
    rows.flatMap(({ firstSeq, row }) => decodeRow(row, { workflowId: workflowId as WorkflowId, firstSeq })),
  );
}

/** Replays every run of a history. Errors: those of `loadRun`. */
async function replayHistory(history: readonly Event[], workflows: readonly AnyWorkflow[]): Promise<number> {
  const logged: string[] = [];
  const chain = runChain(history);
  for (const [index, { runId, status, firstSeq, lastSeq, startedAt }] of chain.entries()) {
    const segment = history.filter((event) => event.seq >= firstSeq && event.seq <= lastSeq);
    const [start] = segment;
    if (start?.type !== "WorkflowStarted") throw new Error("a run begins with its start");
    const run: RunRecord = {
      runKey: index + 1,
      workflowId: start.workflowId,
      runId,
      workflowType: start.workflowType,
      version: start.version,
      status,
      firstSeq,
      headSeq: lastSeq,
      startedAt,
      wakeAt: null,
    };
    const { state, live, instance } = await loadRun(run, {
      store: overStore(openMemoryStore(), {
        readSegment: async (_run, from) => segment.filter((event) => event.seq >= from),
      }),
      programs: loadInline(workflows),
      scheduler: { turn: (callback) => void setImmediate(callback), delay: () => () => undefined },
      payloadLimitBytes: 1_000_000,
      log: (_level, message) => logged.push(message),
      onStray: (error) => {
        throw error;
      },
    });
    instance.dispose();
    expect(live).toEqual([]);
    expect(state.status).toBe(status);
    expect(state.headSeq).toBe(lastSeq);
  }
  expect(logged).toEqual([]);
  return chain.length;
}

describe("a golden history", () => {
  // I-44
  it.each(names)("replays on today's code: %s", async (name) => {
    const scenario = goldenScenarios[readGolden(name).scenario];
    expect(scenario, "its scenario is gone").toBeDefined();
    const histories = historiesOf(name);
    expect(histories.length).toBeGreaterThan(0);
    for (const history of histories) {
      const runCount = await replayHistory(history, scenario?.workflows ?? []);
      expect(runCount).toBeGreaterThan(0);
    }
  });

  it("is added and never edited: each file is what it was when it was recorded", () => {
    const recorded = readFileSync(checksumsPath, "utf8").trimEnd().split("\n");
    expect(recorded.toSorted()).toEqual(names.map(checksumLine).toSorted());
  });

  it("is there for every scenario", () => {
    const kept = new Set(names.map((name) => readGolden(name).scenario));
    expect([...kept].toSorted()).toEqual(Object.keys(goldenScenarios).toSorted());
  });

  it("is there for every type of event, so that a change of any of them shows", () => {
    const seen = new Set<EventType>();
    for (const name of names)
      for (const history of historiesOf(name)) for (const event of history) seen.add(event.type);
    const all: Readonly<Record<EventType, true>> = {
      WorkflowStarted: true,
      WorkflowCompleted: true,
      WorkflowFailed: true,
      WorkflowCancelled: true,
      WorkflowTerminated: true,
      WorkflowTimedOut: true,
      WorkflowContinuedAsNew: true,
      WorkflowCancelRequested: true,
      WorkflowPaused: true,
      WorkflowResumed: true,
      WorkflowReopened: true,
      WorkflowReset: true,
      InputDelivered: true,
      ActivityScheduled: true,
      ActivityStarted: true,
      ActivityCompleted: true,
      ActivityFailed: true,
      ActivityTimedOut: true,
      ActivityParked: true,
      ActivityResumed: true,
      ActivityCancelRequested: true,
      ActivityCancelled: true,
      TimerStarted: true,
      TimerFired: true,
      TimerCancelled: true,
      SignalReceived: true,
      SignalSent: true,
      SignalSettled: true,
      UpdateAccepted: true,
      UpdateCompleted: true,
      ChildWorkflowStarted: true,
      ChildWorkflowCompleted: true,
      ChildWorkflowFailed: true,
      ChildWorkflowCancelled: true,
      ChildWorkflowTimedOut: true,
      ChildWorkflowTerminated: true,
      ChildWorkflowCancelRequested: true,
      SideEffectRecorded: true,
      VersionMarked: true,
      SearchAttributesUpdated: true,
      ScheduleCreated: true,
      ScheduleUpdated: true,
      SchedulePaused: true,
      ScheduleResumed: true,
      ScheduleDeleted: true,
      ScheduleTriggered: true,
      ScheduleSkipped: true,
      ScheduleBackfillRequested: true,
    };
    expect([...seen].toSorted()).toEqual(Object.keys(all).toSorted());
  });

  it.each(names)("fails to replay on code that asks for something else: %s", async (name) => {
    // What replays on anything shows nothing.
    for (const history of historiesOf(name)) {
      const types = new Set(
        history.flatMap((event) => (event.type === "WorkflowStarted" ? [event.workflowType] : [])),
      );
      // The coordinator of a schedule has no code.
      if (types.has(coordinatorType)) continue;
      const empty = [...types].map((type) => workflow(type, () => "nothing of it"));
      const error: unknown = await replayHistory(history, empty).catch((reason: unknown) => reason);
      expect(isAionError(error) && error.code).toBe("nondeterminism");
    }
  });
});
