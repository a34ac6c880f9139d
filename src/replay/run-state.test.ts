import { describe, expect, it } from "vitest";
import type { Event, EventBody } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { RunState } from "./run-state.ts";

const workflowId = "w" as WorkflowId;
const input = "1" as Payload;
const start: EventBody = {
  type: "WorkflowStarted",
  runId: "r" as RunId,
  workflowType: "t",
  version: "1",
  input,
};
const failure = { kind: "application", message: "no" } as const;
const scheduled: EventBody = {
  type: "ActivityScheduled",
  ordinal: 0,
  activityType: "charge",
  input,
  options: { startToCloseMs: 5 },
};
const child: EventBody = {
  type: "ChildWorkflowStarted",
  ordinal: 0,
  childWorkflowId: "c" as WorkflowId,
  workflowType: "ship",
  input,
  parentClosePolicy: "cancel",
};

/** The state after the events, and what the last of them told. */
function after(...bodies: readonly EventBody[]): {
  readonly state: RunState;
  readonly told: ReturnType<RunState["apply"]>;
} {
  const state = new RunState(workflowId);
  let told: ReturnType<RunState["apply"]>;
  for (const [index, body] of bodies.entries()) {
    told = state.apply({ ...body, seq: index + 5, recordedAt: 100 + index, workflowId });
  }
  return { state, told };
}

describe("the state of a run", () => {
  it("begins with its start, at whatever place of the chain", () => {
    const { state, told } = after(start);
    expect(told).toEqual({ kind: "start", input });
    expect(state).toMatchObject({ headSeq: 5, historyLength: 1, status: "running", isCodeStarted: true });
    expect(state).toMatchObject({ isClosed: false, isCancelRequested: false, terminal: undefined });
    expect(state.started.runId).toBe("r");
    expect(new RunState(workflowId)).toMatchObject({
      headSeq: 0,
      historyLength: 0,
      isCodeStarted: false,
    });
    expect(() => new RunState(workflowId).started).toThrow(
      expect.objectContaining({ code: "history_shape", message: expect.stringContaining("workflow w") }),
    );
  });

  it("has an activity that was scheduled open, and no attempt of it made", () => {
    const { state, told } = after(start, scheduled);
    expect(told).toBeUndefined();
    expect([...state.activities.values()]).toEqual([
      {
        ordinal: 0,
        activityType: "charge",
        input,
        options: { startToCloseMs: 5 },
        keyRunId: "r",
        isStep: false,
        scheduledAt: 101,
        attempt: 0,
        startedAt: undefined,
        worker: undefined,
        failedCount: 0,
        lostCount: 0,
        leftCount: 0,
        retryAt: undefined,
        heartbeat: undefined,
        heartbeatAttempt: 0,
        lastFailure: undefined,
        isCancelRequested: false,
      },
    ]);
  });

  it("follows an activity through its attempts: those that failed count, one that was cut off does not", () => {
    const { state, told } = after(
      start,
      scheduled,
      { type: "ActivityStarted", ordinal: 0, attempt: 1 },
      { type: "ActivityFailed", ordinal: 0, attempt: 1, failure, retryAt: 900, heartbeat: input },
      { type: "ActivityStarted", ordinal: 0, attempt: 2 },
      { type: "ActivityStarted", ordinal: 0, attempt: 3 },
    );
    expect(told).toBeUndefined();
    expect(state.activities.get(0)).toMatchObject({
      attempt: 3,
      failedCount: 1,
      retryAt: undefined,
      startedAt: 105,
      scheduledAt: 101,
      heartbeat: input,
      heartbeatAttempt: 1,
      lastFailure: failure,
    });
  });

  it("has an activity that failed out of work until its next attempt, and keeps what it last reported", () => {
    const failed = [
      start,
      { ...scheduled, isStep: true },
      { type: "ActivityStarted", ordinal: 0, attempt: 1 },
      { type: "ActivityFailed", ordinal: 0, attempt: 1, failure, retryAt: 900, heartbeat: input },
    ] as const satisfies readonly EventBody[];
    const { state, told } = after(...failed);
    expect(told).toBeUndefined();
    expect(state.activities.get(0)).toMatchObject({
      isStep: true,
      isCancelRequested: false,
      attempt: 1,
      startedAt: undefined,
      retryAt: 900,
    });
    const again = after(
      ...failed,
      { type: "ActivityStarted", ordinal: 0, attempt: 2 },
      { type: "ActivityTimedOut", ordinal: 0, attempt: 2, timeout: "start-to-close", retryAt: 990 },
    );
    // The second attempt reported nothing: what the first one did is what the third one gets.
    expect(again.state.activities.get(0)).toMatchObject({
      failedCount: 2,
      retryAt: 990,
      heartbeat: input,
      heartbeatAttempt: 1,
      lastFailure: { kind: "timeout", timeout: "start-to-close" },
    });
  });

  it("knows what was asked to stop: an activity, and the run itself", () => {
    const activity = after(start, scheduled, { type: "ActivityCancelRequested", ordinal: 0 });
    expect(activity.told).toBeUndefined();
    expect(activity.state.activities.get(0)).toMatchObject({ isStep: false, isCancelRequested: true });
    expect(activity.state.isCancelRequested).toBe(false);

    const run = after(start, { type: "WorkflowCancelRequested", reason: "enough" });
    expect(run.told).toStrictEqual({ kind: "cancel", reason: "enough" });
    expect(run.state).toMatchObject({ isCancelRequested: true, status: "running", isClosed: false });
    expect(after(start, { type: "WorkflowCancelRequested" }).told).toStrictEqual({ kind: "cancel" });
  });

  it("has timers open, each until it fires or is called off", () => {
    const timers = [0, 1, 2].map((ordinal): EventBody => ({
      type: "TimerStarted",
      ordinal,
      durationMs: 5,
      fireAt: 200 + ordinal,
    }));
    const fired = after(start, ...timers, { type: "TimerFired", ordinal: 1 });
    expect(fired.told).toEqual({ kind: "timer", ordinal: 1 });
    expect([...fired.state.timers.values()]).toEqual([
      { ordinal: 0, fireAt: 200 },
      { ordinal: 2, fireAt: 202 },
    ]);
    const off = after(start, ...timers, { type: "TimerCancelled", ordinal: 0 });
    expect(off.told).toBeUndefined();
    expect([...off.state.timers.keys()]).toEqual([1, 2]);
  });

  it.each([
    [
      "completed",
      { type: "ActivityCompleted", ordinal: 0, attempt: 1, result: input },
      { ok: true, value: input },
    ],
    [
      "failed for good",
      { type: "ActivityFailed", ordinal: 0, attempt: 2, failure },
      { ok: false, failure: { kind: "activity", of: "charge", attempt: 2, cause: failure } },
    ],
    [
      "timed out for good",
      { type: "ActivityTimedOut", ordinal: 0, attempt: 2, timeout: "heartbeat" },
      { ok: false, failure: { kind: "activity", cause: { kind: "timeout", timeout: "heartbeat" } } },
    ],
    [
      "cancelled",
      { type: "ActivityCancelled", ordinal: 0, attempt: 1 },
      { ok: false, failure: { kind: "cancelled" } },
    ],
  ] as const)("tells of an activity that was %s, and has it no longer open", (_how, event, outcome) => {
    const { state, told } = after(start, scheduled, event);
    expect(told).toMatchObject({ kind: "activity", ordinal: 0, outcome });
    expect(state.activities.size).toBe(0);
  });

  it.each([
    ["ChildWorkflowCompleted", { result: input }, { ok: true, value: input }],
    ["ChildWorkflowFailed", { failure }, { ok: false, failure: { kind: "child", cause: failure } }],
    ["ChildWorkflowCancelled", {}, { ok: false, failure: { kind: "child", cause: { kind: "cancelled" } } }],
    [
      "ChildWorkflowTimedOut",
      {},
      { ok: false, failure: { kind: "child", cause: { kind: "timeout", timeout: "run" } } },
    ],
    [
      "ChildWorkflowTerminated",
      {},
      { ok: false, failure: { kind: "child", cause: { kind: "terminated" }, childWorkflowId: "c" } },
    ],
  ] as const)("tells of a child: %s", (type, more, outcome) => {
    const { state, told } = after(start, child, { type, ordinal: 0, ...more } as EventBody);
    expect(told).toMatchObject({ kind: "child", ordinal: 0, outcome });
    expect(state.children.size).toBe(0);
  });

  it("has a signal that was sent open until it is settled", () => {
    const sent: EventBody = {
      type: "SignalSent",
      ordinal: 0,
      target: "other" as WorkflowId,
      name: "go",
      payload: input,
    };
    expect([...after(start, sent).state.sends.keys()]).toEqual([0]);
    const good = after(start, sent, { type: "SignalSettled", ordinal: 0 });
    expect(good.told).toMatchObject({ kind: "signal-settled", outcome: { ok: true } });
    const bad = after(start, sent, { type: "SignalSettled", ordinal: 0, failure });
    expect(bad.told).toMatchObject({ kind: "signal-settled", outcome: { ok: false, failure } });
    expect(bad.state.sends.size).toBe(0);
    const two = after(start, sent, { ...sent, ordinal: 1 }, { type: "SignalSettled", ordinal: 0 });
    expect([...two.state.sends.keys()]).toEqual([1]);
  });

  it("remembers the ids of signals, with those of earlier runs, up to a bound", () => {
    const { state } = after(
      { ...start, signalIds: ["old"] },
      {
        type: "SignalReceived",
        name: "go",
        payload: input,
        signalId: "fresh",
      },
    );
    expect(state.requests.hasSignal("old")).toBe(true);
    expect(state.requests.hasSignal("fresh")).toBe(true);
    expect(state.requests.hasSignal("other")).toBe(false);
    expect(state.requests.recent().signalIds).toEqual(["old", "fresh"]);
    expect(after(start).state.requests.recent().signalIds).toEqual([]);

    const many = Array.from({ length: 1_500 }, (_each, index): EventBody => ({
      type: "SignalReceived",
      name: "go",
      payload: input,
      signalId: `s${index}`,
    }));
    const recent = after(start, ...many).state.requests.recent().signalIds;
    expect(recent).toHaveLength(1_000);
    expect(recent.at(-1)).toBe("s1499");
  });

  it("begins with signals that were sent with its start, and remembers their ids", () => {
    const signals = [
      { name: "go", payload: input, signalId: "first" },
      { name: "go", payload: input },
    ];
    const { state, told } = after(
      { ...start, signals },
      { type: "SignalReceived", name: "go", payload: input },
    );
    expect(told).toEqual({ kind: "signal", name: "go", payload: input });
    // A signal without an id is no second one of any.
    expect(state.requests.recent().signalIds).toEqual(["first"]);
    expect(after({ ...start, signals }).told).toStrictEqual({ kind: "start", input, signals });
    expect(after(start).told).toStrictEqual({ kind: "start", input });
  });

  it("has children open, each until it ends", () => {
    const second = { ...child, ordinal: 1, childWorkflowId: "d" as WorkflowId } as EventBody;
    const ended = after(start, child, second, { type: "ChildWorkflowCompleted", ordinal: 0, result: input });
    expect([...ended.state.children.values()]).toEqual([
      {
        ordinal: 1,
        parentRunId: "r",
        childWorkflowId: "d",
        workflowType: "ship",
        parentClosePolicy: "cancel",
      },
    ]);
  });

  it("has nothing open when it has ended, and knows what it left behind", () => {
    const { state } = after(
      start,
      scheduled,
      { type: "TimerStarted", ordinal: 0, durationMs: 5, fireAt: 105 },
      child,
      { type: "SignalSent", ordinal: 0, target: "other" as WorkflowId, name: "go", payload: input },
      { type: "WorkflowTerminated", reason: "enough" },
    );
    expect(state).toMatchObject({ status: "terminated", isClosed: true });
    expect(state.activities.size + state.timers.size + state.sends.size).toBe(0);
    expect(state.abandoned.map((activity) => activity.activityType)).toEqual(["charge"]);
    // Whose policy is applied now.
    expect([...state.children.values()]).toMatchObject([{ parentClosePolicy: "cancel" }]);
    expect(state.terminal).toMatchObject({ type: "WorkflowTerminated", seq: 10 });
  });

  it("runs no code before its start delay is over, and takes signals meanwhile", () => {
    const delayed = { ...start, startAt: 500 } as EventBody;
    expect(after(delayed).told).toBeUndefined();
    expect(after(delayed).state.isCodeStarted).toBe(false);
    const over = after(delayed, { type: "TimerFired", ordinal: -1 });
    expect(over.told).toEqual({ kind: "start", input });
    expect(over.state.isCodeStarted).toBe(true);
  });
});

describe("an event that no engine writes at its place", () => {
  it.each<readonly [string, readonly EventBody[], RegExp]>([
    ["anything before the start", [scheduled], /event 5 \(ActivityScheduled\): .*no WorkflowStarted/],
    ["a second start", [start, start], /event 6 .*started before/],
    [
      "anything after the end",
      [start, { type: "WorkflowCompleted", result: input }, scheduled],
      /ended before/,
    ],
    [
      "an outcome of an activity that is not open",
      [start, { type: "ActivityCompleted", ordinal: 0, attempt: 1, result: input }],
      /activity #0 is not open/,
    ],
    [
      "a second outcome of an activity",
      [
        start,
        scheduled,
        { type: "ActivityCompleted", ordinal: 0, attempt: 1, result: input },
        { type: "ActivityFailed", ordinal: 0, attempt: 1, failure },
      ],
      /activity #0 is not open/,
    ],
    ["an attempt of nothing", [start, { type: "ActivityStarted", ordinal: 3, attempt: 1 }], /activity #3/],
    ["a timer that was not started", [start, { type: "TimerFired", ordinal: 0 }], /no such timer/],
    ["the calling off of no timer", [start, { type: "TimerCancelled", ordinal: 0 }], /no such timer/],
    ["the end of no child", [start, { type: "ChildWorkflowCancelled", ordinal: 0 }], /child #0 is not open/],
    ["the settling of no signal", [start, { type: "SignalSettled", ordinal: 0 }], /no such signal/],
  ])("is refused, naming it: %s", (_what, bodies, message) => {
    expect(() => after(...bodies)).toThrow(
      expect.objectContaining({
        code: "history_shape",
        message: expect.stringMatching(message),
        details: expect.objectContaining({ workflowId: "w" }),
      }),
    );
  });

  it("is one that leaves a gap, or comes twice", () => {
    const { state } = after(start);
    const at = (seq: number): Event => ({ ...scheduled, seq, recordedAt: 1, workflowId });
    expect(() => state.apply(at(7))).toThrow(/event 6 was expected/);
    state.apply(at(6));
    expect(() => state.apply(at(6))).toThrow(/event 7 was expected/);
  });
});
