import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Event, EventBody, EventType } from "./event.ts";
import { roleOf } from "./event.ts";
import type { RunStatus } from "./status.ts";
import { isClosed, isTerminal, projectStatus, runStatuses, statusAfter, terminalOf } from "./status.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);

/** What each event type makes of a run: closed over the union, so that a new type must say. */
const after: Readonly<Record<EventType, RunStatus | undefined>> = {
  WorkflowStarted: "running",
  WorkflowCompleted: "completed",
  WorkflowFailed: "failed",
  WorkflowCancelled: "cancelled",
  WorkflowTerminated: "terminated",
  WorkflowTimedOut: "timed-out",
  WorkflowContinuedAsNew: "continued-as-new",
  WorkflowCancelRequested: undefined,
  WorkflowPaused: "paused",
  WorkflowResumed: "running",
  WorkflowReopened: "running",
  WorkflowReset: "running",
  InputDelivered: undefined,
  ActivityScheduled: undefined,
  ActivityStarted: undefined,
  ActivityCompleted: undefined,
  ActivityFailed: undefined,
  ActivityTimedOut: undefined,
  ActivityParked: undefined,
  ActivityResumed: undefined,
  ActivityCancelRequested: undefined,
  ActivityCancelled: undefined,
  TimerStarted: undefined,
  TimerFired: undefined,
  TimerCancelled: undefined,
  SignalReceived: undefined,
  SignalSent: undefined,
  SignalSettled: undefined,
  UpdateAccepted: undefined,
  UpdateCompleted: undefined,
  ChildWorkflowStarted: undefined,
  ChildWorkflowCompleted: undefined,
  ChildWorkflowFailed: undefined,
  ChildWorkflowCancelled: undefined,
  ChildWorkflowTimedOut: undefined,
  ChildWorkflowTerminated: undefined,
  ChildWorkflowCancelRequested: undefined,
  SideEffectRecorded: undefined,
  VersionMarked: undefined,
  SearchAttributesUpdated: undefined,
  ScheduleCreated: undefined,
  ScheduleUpdated: undefined,
  SchedulePaused: undefined,
  ScheduleResumed: undefined,
  ScheduleDeleted: undefined,
  ScheduleTriggered: undefined,
  ScheduleSkipped: undefined,
  ScheduleBackfillRequested: undefined,
};
const types = Object.keys(after) as readonly EventType[];
const event = (type: EventType): Event => ({ type }) as unknown as Event;
const anyTypes = fc.array(fc.constantFrom(...types), { maxLength: 12 });

describe("the status of a run", () => {
  it.each(types)("after %s is what the event says", (type) => {
    expect(statusAfter(event(type))).toBe(after[type]);
  });

  it("is a total function of the events: any sequence has one of the known statuses", () => {
    fc.assert(
      fc.property(anyTypes, (sequence) => {
        expect(runStatuses).toContain(projectStatus(sequence.map(event)));
      }),
      { seed },
    );
  });

  it("is what the last event that says something says, and running before any does", () => {
    fc.assert(
      fc.property(anyTypes, (sequence) => {
        let expected: RunStatus = "running";
        for (const type of sequence) expected = after[type] ?? expected;
        expect(projectStatus(sequence.map(event))).toBe(expected);
      }),
      { seed },
    );
    expect(projectStatus([])).toBe("running");
  });

  it("is closed by exactly the terminal events", () => {
    expect(runStatuses.filter((status) => !isClosed(status))).toEqual(["running", "paused"]);
    expect(types.filter((type) => isTerminal(event(type)))).toEqual([
      "WorkflowCompleted",
      "WorkflowFailed",
      "WorkflowCancelled",
      "WorkflowTerminated",
      "WorkflowTimedOut",
      "WorkflowContinuedAsNew",
    ]);
  });
});

describe("the terminal event of the latest run", () => {
  it("is the one after its start, and none while it runs", () => {
    expect(terminalOf([])).toBeUndefined();
    expect(terminalOf([event("WorkflowStarted"), event("TimerFired")])).toBeUndefined();
    expect(terminalOf([event("WorkflowStarted"), event("WorkflowCompleted")])?.type).toBe(
      "WorkflowCompleted",
    );
    const continued = ["WorkflowStarted", "WorkflowContinuedAsNew", "WorkflowStarted"] as const;
    expect(terminalOf(continued.map(event))).toBeUndefined();
  });
});

describe("the role of an event", () => {
  it("is an input exactly when workflow code learns of it", () => {
    const inputs = types.filter((type) => roleOf(event(type) as EventBody) === "input");
    expect(inputs).toEqual([
      "WorkflowStarted",
      "WorkflowCancelRequested",
      "InputDelivered",
      "ActivityCompleted",
      "ActivityFailed",
      "ActivityTimedOut",
      "ActivityCancelled",
      "TimerFired",
      "SignalReceived",
      "SignalSettled",
      "UpdateAccepted",
      "ChildWorkflowCompleted",
      "ChildWorkflowFailed",
      "ChildWorkflowCancelled",
      "ChildWorkflowTimedOut",
      "ChildWorkflowTerminated",
    ]);
  });

  it("is a note for a failed attempt that will be tried again", () => {
    const failure = { kind: "application", message: "no" } as const;
    expect(roleOf({ type: "ActivityFailed", ordinal: 0, attempt: 1, failure })).toBe("input");
    expect(roleOf({ type: "ActivityFailed", ordinal: 0, attempt: 1, failure, retryAt: 5 })).toBe("note");
    const timeout = "heartbeat" as const;
    expect(roleOf({ type: "ActivityTimedOut", ordinal: 0, attempt: 1, timeout })).toBe("input");
    expect(roleOf({ type: "ActivityTimedOut", ordinal: 0, attempt: 1, timeout, retryAt: 0 })).toBe("note");
  });
});
