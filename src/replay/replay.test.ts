import { describe, expect, it } from "vitest";
import type { Activation, Turn } from "../core/activation.ts";
import type { Command } from "../core/command.ts";
import type { Event, EventBody } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { Replay } from "./replay.ts";
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
const scheduled = (ordinal: number): EventBody => ({
  type: "ActivityScheduled",
  ordinal,
  activityType: "charge",
  input,
  options: {},
});
const begun = (ordinal: number, attempt = 1): EventBody => ({ type: "ActivityStarted", ordinal, attempt });
const completed = (ordinal: number): EventBody => ({
  type: "ActivityCompleted",
  ordinal,
  attempt: 1,
  result: input,
});
const failure = { kind: "application", message: "no" } as const;
const run = (ordinal: number): Command => ({
  kind: "run-activity",
  ordinal,
  activityType: "charge",
  input,
  options: {},
});
const end: EventBody = { type: "WorkflowCompleted", result: input };
const complete: Command = { kind: "complete", result: input };

function events(...bodies: readonly EventBody[]): readonly Event[] {
  return bodies.map((body, index) => ({ ...body, seq: index + 1, recordedAt: 100 + index, workflowId }));
}

function turn(...commands: readonly Command[]): Turn {
  return {
    commands,
    sources: commands.map((_each, index) => `order.ts:${index + 1}:1`),
    isSettled: false,
    isStuck: false,
    waitingSignals: 0,
  };
}

/** A replay of a whole history, and the activation that comes next. */
function replayOf(...bodies: readonly EventBody[]): {
  readonly replay: Replay;
  readonly state: RunState;
  readonly next: () => Activation;
} {
  const state = new RunState(workflowId);
  const replay = new Replay(state);
  replay.push(events(...bodies));
  replay.complete();
  return {
    replay,
    state,
    next: () => {
      const activation = replay.next();
      if (activation === undefined || activation === "more") throw new Error(`no activation: ${activation}`);
      return activation;
    },
  };
}

describe("a replay", () => {
  it("gives out an activation for each input, with what was recorded of it", () => {
    const { replay, next } = replayOf(start, scheduled(0), begun(0), completed(0), scheduled(1));
    expect(next()).toEqual({
      delivery: { kind: "start", input },
      nowMs: 100,
      historyLength: 1,
      recorded: [],
      isHistoryLong: false,
      isLast: false,
      isReplaying: true,
    });
    expect(replay.check(turn(run(0)))).toEqual([]);
    expect(next()).toEqual({
      delivery: { kind: "activity", ordinal: 0, outcome: { ok: true, value: input } },
      nowMs: 103,
      historyLength: 4,
      recorded: [],
      isHistoryLong: false,
      isLast: true,
      isReplaying: true,
    });
    expect(replay.check(turn(run(1)))).toEqual([]);
    expect(replay.next()).toBeUndefined();
  });

  it("hands over what the last turn asks for beyond its history", () => {
    const { replay, next } = replayOf(start, scheduled(0));
    next();
    expect(replay.check(turn(run(0), run(1), run(2)))).toEqual([run(1), run(2)]);
    expect(replay.next()).toBeUndefined();
  });

  it("gives recorded values to the turn that they are from", () => {
    const { next } = replayOf(
      start,
      { type: "SideEffectRecorded", ordinal: 0, value: input },
      { type: "VersionMarked", changeId: "fee" },
      { type: "SideEffectRecorded", ordinal: 1, failure },
    );
    expect(next().recorded).toStrictEqual([
      { kind: "side-effect", value: input },
      { kind: "version", changeId: "fee" },
      { kind: "side-effect", failure },
    ]);
  });

  it("gives back a value that is all that a turn recorded, and nothing where it recorded nothing", () => {
    const single = replayOf(
      start,
      { type: "SideEffectRecorded", ordinal: 0, value: input },
      { type: "WorkflowCancelRequested" },
    );
    expect(single.next()).toMatchObject({
      recorded: [{ kind: "side-effect", value: input }],
      isReplaying: true,
    });
    expect(single.replay.check(turn({ kind: "side-effect", ordinal: 0, value: input }))).toEqual([]);
    expect(single.next()).toMatchObject({ recorded: [], isReplaying: false });

    const silent = replayOf(start, { type: "WorkflowCancelRequested" });
    expect(silent.next()).toMatchObject({ recorded: [], isReplaying: false, isLast: false });
    expect(silent.replay.check(turn())).toEqual([]);
    expect(silent.next()).toMatchObject({ recorded: [], isReplaying: false, isLast: true });
  });

  it("waits for more where an activation may not be whole yet, and is the same however it is cut", () => {
    const history = events(
      start,
      scheduled(0),
      begun(0),
      completed(0),
      scheduled(1),
      begun(1),
      completed(1),
      end,
    );
    const turns = [turn(run(0)), turn(run(1)), turn(complete)];
    const cuts: unknown[][] = [];
    for (let size = 1; size <= history.length; size++) {
      const replay = new Replay(new RunState(workflowId));
      const seen: unknown[] = [];
      for (let at = 0; ;) {
        const activation = replay.next();
        if (activation === undefined) break;
        if (activation === "more") {
          replay.push(history.slice(at, at + size));
          at += size;
          if (at >= history.length) replay.complete();
          continue;
        }
        expect(replay.check(turns[seen.length] ?? turn())).toEqual([]);
        seen.push(activation);
      }
      cuts.push(seen);
    }
    expect(cuts[0]).toHaveLength(3);
    for (const cut of cuts) expect(cut).toEqual(cuts[0]);
  });

  it("takes notes wherever they stand, and tells nobody", () => {
    const { replay, next, state } = replayOf(
      start,
      scheduled(0),
      begun(0),
      scheduled(1),
      begun(1),
      { type: "ActivityFailed", ordinal: 0, attempt: 1, failure, retryAt: 500 },
      begun(0, 2),
    );
    expect(next().isLast).toBe(true);
    expect(replay.check(turn(run(0), run(1)))).toEqual([]);
    expect(replay.next()).toBeUndefined();
    expect(state.activities.get(0)).toMatchObject({ attempt: 2, failedCount: 1, retryAt: undefined });
  });

  it("has nothing to compare with where an arrival answers a command", () => {
    const { replay, next } = replayOf(start, { type: "SignalReceived", name: "go", payload: input }, end);
    next();
    expect(replay.check(turn({ kind: "await-signal", name: "go", index: 0 }))).toEqual([]);
    expect(next().delivery).toEqual({ kind: "signal", name: "go", payload: input });
    expect(replay.check(turn(complete))).toEqual([]);
  });

  it("runs no code before a start delay is over", () => {
    const delayed = { ...start, startAt: 9_000 } as EventBody;
    const waiting = replayOf(delayed);
    expect(waiting.replay.next()).toBeUndefined();
    expect(waiting.state.timers.get(-1)).toEqual({ ordinal: -1, fireAt: 9_000 });

    const over = replayOf(delayed, { type: "TimerFired", ordinal: -1 }, scheduled(0));
    expect(over.next()).toMatchObject({ delivery: { kind: "start" }, nowMs: 101, historyLength: 2 });
    expect(over.replay.check(turn(run(0)))).toEqual([]);
  });

  it("takes an end before the code began for one that code did not issue", () => {
    const { replay, state } = replayOf(
      { ...start, startAt: 9_000 },
      {
        type: "WorkflowCancelled",
      },
    );
    expect(replay.next()).toBeUndefined();
    expect(state.status).toBe("cancelled");
  });

  it("asks nothing of a run that got a signal before its code began, and was ended then", () => {
    const { replay, next, state } = replayOf(
      { ...start, startAt: 9_000 },
      { type: "SignalReceived", name: "go", payload: input },
      { type: "WorkflowCancelled" },
    );
    // The end is not one that code issued: there is nothing to compare, and nothing to hand out again.
    expect(next()).toMatchObject({ delivery: { kind: "signal" }, isReplaying: false, isLast: false });
    expect(replay.check(turn())).toEqual([]);
    expect(replay.next()).toBeUndefined();
    expect(state.status).toBe("cancelled");
  });

  it("refuses a history that does not begin with its start", () => {
    for (const first of [begun(0), scheduled(0), completed(0)]) {
      const { replay } = replayOf(first, start);
      expect(() => replay.next()).toThrow(expect.objectContaining({ code: "history_shape" }));
    }
  });

  it("has nothing to say of a turn before it has given out an activation", () => {
    const { replay } = replayOf(start, scheduled(0));
    expect(() => replay.check(turn(run(0)))).toThrow(expect.objectContaining({ code: "internal" }));
  });

  it.each([
    ["terminated", { type: "WorkflowTerminated" }],
    ["timed out", { type: "WorkflowTimedOut", timeout: "run" }],
    [
      "failed by the engine",
      { type: "WorkflowFailed", failure: { kind: "engine", type: "nondeterminism", message: "diverged" } },
    ],
  ] as const)(
    "lets a run that was %s ask for what it likes in its last turn: it does not count",
    (_how, last) => {
      const { replay, next } = replayOf(start, scheduled(0), last);
      expect(next().isLast).toBe(false);
      expect(replay.check(turn(run(0), run(1)))).toEqual([]);
      expect(replay.next()).toBeUndefined();
    },
  );

  it("knows the input that a run ended from outside could no longer act on", () => {
    const bodies = [start, scheduled(0), completed(0), { type: "WorkflowTerminated" }] as const;
    const { replay, next } = replayOf(...bodies);
    next();
    expect(replay.check(turn(run(0)))).toEqual([]);
    next();
    expect(replay.unheardSeq).toBeUndefined();
    expect(replay.check(turn(run(1)))).toEqual([]);
    expect(replay.unheardSeq).toBe(3);

    // Code that asks for nothing then has acted on it, and so has code that ended by itself.
    const silent = replayOf(...bodies);
    silent.next();
    silent.replay.check(turn(run(0)));
    silent.next();
    expect(silent.replay.check(turn())).toEqual([]);
    expect(silent.replay.unheardSeq).toBeUndefined();
    const ended = replayOf(start, end);
    ended.next();
    ended.replay.check(turn(complete));
    expect(ended.replay.unheardSeq).toBeUndefined();
  });

  it("tells the code nothing from a given event on, and takes that into the state", () => {
    const state = new RunState(workflowId);
    const replay = new Replay(state, 3);
    replay.push(events(start, scheduled(0), completed(0), { type: "WorkflowTerminated" }));
    replay.complete();
    expect(replay.next()).toMatchObject({ delivery: { kind: "start" } });
    expect(replay.check(turn(run(0)))).toEqual([]);
    expect(replay.next()).toBeUndefined();
    expect(state).toMatchObject({ status: "terminated", headSeq: 4 });
    expect(state.activities.size).toBe(0);
    expect(replay.unheardSeq).toBeUndefined();
  });
});

describe("a difference from history", () => {
  function violation(check: () => unknown): unknown {
    try {
      check();
    } catch (error) {
      return error;
    }
    throw new Error("no violation was found");
  }

  // I-43
  it("in a command names workflow, event, both commands, the place and what the code had learned", () => {
    const { replay, next } = replayOf(start, scheduled(0), completed(0), scheduled(1));
    next();
    replay.check(turn(run(0)));
    next();
    const timer: Command = { kind: "start-timer", ordinal: 0, durationMs: 5 };
    expect(violation(() => replay.check(turn(timer)))).toMatchObject({
      code: "nondeterminism",
      message:
        'workflow w, event 4: history has run-activity "charge" #1, and the code asked for start-timer 5 ms #0 ' +
        "at order.ts:1:1, having learned of event 3 (ActivityCompleted)",
      details: {
        workflowId: "w",
        seq: 4,
        expected: 'run-activity "charge" #1',
        found: "start-timer 5 ms #0",
        source: "order.ts:1:1",
      },
    });
  });

  it("names no place where none is known", () => {
    const { replay, next } = replayOf(start, scheduled(0), end);
    next();
    const error = violation(() => replay.check({ ...turn(run(1)), sources: [""] }));
    expect(error).toMatchObject({ message: expect.stringContaining('"charge" #1, having learned of') });
    expect(error).toMatchObject({ details: expect.not.objectContaining({ source: expect.anything() }) });
    expect(Object.keys((error as { readonly details: object }).details)).not.toContain("source");
  });

  // I-43
  it("is found where the code asks for more, or for less, before it learned of the next thing", () => {
    const more = replayOf(start, scheduled(0), completed(0));
    more.next();
    expect(violation(() => more.replay.check(turn(run(0), run(1))))).toMatchObject({
      details: { seq: 1, expected: "no further command", found: 'run-activity "charge" #1' },
    });
    const less = replayOf(start, scheduled(0), scheduled(1), completed(0));
    less.next();
    expect(violation(() => less.replay.check(turn(run(0))))).toMatchObject({
      details: { seq: 3, expected: 'run-activity "charge" #1', found: "no further command" },
    });
  });

  // I-43
  it("is found at the end: what is left over, what goes beyond a recorded end, another result", () => {
    const left = replayOf(start, scheduled(0), scheduled(1));
    left.next();
    expect(violation(() => left.replay.check(turn(run(0))))).toMatchObject({ details: { seq: 3 } });

    const ended = replayOf(start, end);
    ended.next();
    expect(violation(() => ended.replay.check(turn(run(0))))).toMatchObject({ details: { seq: 2 } });

    const beyond = replayOf(start, end);
    beyond.next();
    expect(violation(() => beyond.replay.check(turn(complete, run(0))))).toMatchObject({
      details: { seq: 1, expected: "no further command", found: 'run-activity "charge" #0' },
    });

    const other = replayOf(start, end);
    other.next();
    const result: Command = { kind: "complete", result: "2" as Payload };
    expect(violation(() => other.replay.check(turn(result)))).toMatchObject({
      message: expect.stringContaining("recorded with 1, found with 2"),
    });

    const silent = replayOf(start, end);
    silent.next();
    expect(violation(() => silent.replay.check(turn()))).toMatchObject({
      details: { seq: 2, found: "no further command" },
    });
  });

  // I-43
  it("is found where code fails that completed, completes that failed, or fails in another way", () => {
    const fail = (message: string): Command => ({ kind: "fail", failure: { kind: "application", message } });
    const failed: EventBody = { type: "WorkflowFailed", failure };
    for (const [last, command] of [
      [end, fail("no")],
      [failed, complete],
      [failed, fail("never")],
      [{ type: "WorkflowCancelled" } as const, fail("no")],
    ] as const) {
      const { replay, next } = replayOf(start, last);
      next();
      expect(violation(() => replay.check(turn(command)))).toMatchObject({ code: "nondeterminism" });
    }
    const same = replayOf(start, failed);
    same.next();
    expect(same.replay.check(turn(fail("no")))).toEqual([]);
  });
});
