import { describe, expect, it } from "vitest";
import type { Delivery } from "../core/activation.ts";
import type { Command } from "../core/command.ts";
import type { WorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { ResumeTracker } from "./resume-point.ts";

const input = "1" as Payload;
const start: Delivery = { kind: "start", input };
const run = (ordinal: number): Command => ({
  kind: "run-activity",
  ordinal,
  activityType: "charge",
  input,
  options: {},
});
const timer = (ordinal: number): Command => ({ kind: "start-timer", ordinal, durationMs: 5 });
const outcome = { ok: true, value: input } as const;

/** A tracker that has seen these turns: what was told, what was asked for, and how much of it beyond history. */
function tracked(...turns: readonly (readonly [Delivery, readonly Command[], number?])[]): ResumeTracker {
  const tracker = new ResumeTracker();
  for (const [delivery, commands, liveCount = 0] of turns) {
    tracker.delivered(delivery);
    tracker.issued(commands, liveCount);
  }
  return tracker;
}

describe("the resume point", () => {
  it("is the first command, in the order of the program, that history does not answer", () => {
    const tracker = tracked(
      [start, [run(0), timer(0), run(1)]],
      [{ kind: "activity", ordinal: 0, outcome }, [run(2)]],
    );
    expect(tracker.resumePoint(9)).toEqual({ commandIndex: 1, command: timer(0), head: 9 });
    expect(tracker.resolutions).toEqual([{ commandIndex: 0, command: run(0), outcome }]);
  });

  it("is none where nothing is open", () => {
    const tracker = tracked([start, [timer(0)]], [{ kind: "timer", ordinal: 0 }, []]);
    expect(tracker.resumePoint(3)).toBeUndefined();
    expect(tracker.issuedCount).toBe(1);
  });

  it("passes over commands whose own record answers them, and not over the same beyond history", () => {
    const value: Command = { kind: "side-effect", ordinal: 0, value: input };
    const mark: Command = { kind: "mark-version", changeId: "fee" };
    expect(tracked([start, [value, mark, run(0)]]).resumePoint(3)).toMatchObject({ commandIndex: 2 });
    expect(tracked([start, [value, mark], 1]).resumePoint(3)).toMatchObject({
      commandIndex: 1,
      command: mark,
    });
    const complete: Command = { kind: "complete", result: input };
    expect(tracked([start, [complete], 1]).resumePoint(1)).toMatchObject({ command: complete });
    expect(tracked([start, [value, mark, complete], 3]).resumePoint(1)).toMatchObject({ command: value });
  });

  it("of a signal that came before it was asked for lies behind it", () => {
    const awaits = (index: number): Command => ({ kind: "await-signal", name: "go", index });
    const signal: Delivery = { kind: "signal", name: "go", payload: input };
    expect(
      tracked([start, [timer(0)]], [signal, []], [{ kind: "timer", ordinal: 0 }, [awaits(0)]]).resumePoint(4),
    ).toBeUndefined();
    expect(tracked([start, [awaits(0)]], [signal, [awaits(1)]]).resumePoint(2)).toMatchObject({
      commandIndex: 1,
      command: awaits(1),
    });
    expect(tracked([start, [awaits(0)]], [{ ...signal, name: "other" }, []]).resumePoint(2)).toMatchObject({
      commandIndex: 0,
    });
  });

  it("lies behind a wait that its timer ended, and behind a timer that was called off", () => {
    const waits: Command = { kind: "await-signal", name: "go", index: 0, timer: 0 };
    const over = tracked([start, [waits, timer(0)]], [{ kind: "timer", ordinal: 0 }, [run(0)]]);
    expect(over.resumePoint(4)).toMatchObject({ commandIndex: 2, command: run(0) });

    const off: Command = { kind: "cancel-timer", ordinal: 0 };
    const came = tracked(
      [start, [waits, timer(0)]],
      [{ kind: "signal", name: "go", payload: input }, [off, run(0)]],
    );
    expect(came.resumePoint(5)).toMatchObject({ commandIndex: 3, command: run(0) });

    const cancelled = tracked([start, [waits, timer(0)]], [{ kind: "cancel" }, [off, run(0)]]);
    expect(cancelled.resumePoint(5)).toMatchObject({ commandIndex: 3, command: run(0) });
  });

  it("lies behind a timer that was called off, and not behind another", () => {
    const turns = [
      [start, [timer(0), timer(1), run(0)]],
      [{ kind: "cancel" }, [{ kind: "cancel-timer", ordinal: 1 }]],
    ] as const satisfies readonly (readonly [Delivery, readonly Command[]])[];
    expect(tracked(...turns).resumePoint(6)).toMatchObject({ commandIndex: 0, command: timer(0) });
    const fired = tracked(...turns, [{ kind: "timer", ordinal: 0 }, []]);
    expect(fired.resumePoint(7)).toMatchObject({ commandIndex: 2, command: run(0) });
  });

  it("lies behind a signal that the run began with", () => {
    const awaits = (index: number): Command => ({ kind: "await-signal", name: "go", index });
    const signals = [{ name: "go", payload: input }];
    const began = tracked([{ ...start, signals }, [awaits(0), awaits(1)]]);
    expect(began.resumePoint(1)).toMatchObject({ commandIndex: 1, command: awaits(1) });
    expect(began.resolutions).toEqual([{ commandIndex: 0, command: awaits(0), outcome: undefined }]);
  });

  it("lies behind the wait that a signal is for when the one before it has timed out", () => {
    const waits = (index: number, timerOrdinal: number): Command => ({
      kind: "await-signal",
      name: "go",
      index,
      timer: timerOrdinal,
    });
    // Both name the first signal: none had come when they were asked for.
    const tracker = tracked(
      [start, [waits(0, 0), timer(0), waits(0, 1), timer(1)]],
      [{ kind: "timer", ordinal: 0 }, []],
      [{ kind: "signal", name: "go", payload: input }, []],
    );
    expect(tracker.resumePoint(5)).toMatchObject({ commandIndex: 3, command: timer(1) });
    expect(tracker.resolutions.map(({ commandIndex }) => commandIndex)).toEqual([1, 0, 2]);
  });

  it("lies behind both of two waits that a signal each was for, the first of them with its timer called off", () => {
    const waits = (timerOrdinal: number): Command => ({
      kind: "await-signal",
      name: "go",
      index: 0,
      timer: timerOrdinal,
    });
    const signal: Delivery = { kind: "signal", name: "go", payload: input };
    const off = (ordinal: number): Command => ({ kind: "cancel-timer", ordinal });
    const turns = [
      [start, [waits(0), timer(0), waits(1), timer(1)]],
      [signal, [off(0)]],
    ] as const satisfies readonly (readonly [Delivery, readonly Command[]])[];
    expect(tracked(...turns).resumePoint(7)).toMatchObject({ commandIndex: 2, command: waits(1) });
    const over = tracked(...turns, [signal, [off(1), run(0)]]);
    expect(over.resumePoint(9)).toMatchObject({ commandIndex: 6, command: run(0) });
    expect(over.resolutions.map(({ commandIndex }) => commandIndex)).toEqual([0, 4, 2, 5]);
  });

  it("has one answer for each command: of a wait that a signal ended its timer says nothing more", () => {
    const tracker = tracked(
      [start, [{ kind: "await-signal", name: "go", index: 0, timer: 0 }, timer(0)]],
      [{ kind: "signal", name: "go", payload: input }, []],
      [{ kind: "timer", ordinal: 0 }, [run(0)]],
    );
    expect(tracker.resumePoint(4)).toMatchObject({ commandIndex: 2 });
    expect(tracker.resolutions.map(({ commandIndex }) => commandIndex)).toEqual([0, 1]);
  });

  it("lies behind a wait that its scope called off, and the next signal is for the wait behind it", () => {
    const awaits = (index: number): Command => ({ kind: "await-signal", name: "go", index });
    const withdraw = (place: number): Command => ({ kind: "withdraw-signal", name: "go", place });
    const signal: Delivery = { kind: "signal", name: "go", payload: input };
    const off = tracked([start, [awaits(0)]], [{ kind: "cancel" }, [withdraw(0), run(0)]]);
    expect(off.resumePoint(3)).toMatchObject({ commandIndex: 2, command: run(0) });
    // Also where history holds nothing of that turn.
    expect(tracked([start, [awaits(0)]], [{ kind: "cancel" }, [withdraw(0)]]).resumePoint(2)).toBeUndefined();

    const turns = [
      [start, [awaits(0), awaits(1)]],
      [{ kind: "cancel" }, [withdraw(0), awaits(1)]],
    ] as const satisfies readonly (readonly [Delivery, readonly Command[]])[];
    expect(tracked(...turns).resumePoint(2)).toMatchObject({ commandIndex: 1 });
    const came = tracked(...turns, [signal, []]);
    expect(came.resumePoint(3)).toMatchObject({ commandIndex: 3 });
    expect(came.resolutions.map(({ commandIndex }) => commandIndex)).toEqual([2, 1]);
    expect(tracked(...turns, [signal, []], [signal, []]).resumePoint(4)).toBeUndefined();
  });

  it("knows children and signals sent by what became of them", () => {
    const child: Command = {
      kind: "start-child",
      ordinal: 0,
      childWorkflowId: "c" as WorkflowId,
      workflowType: "ship",
      input,
      parentClosePolicy: "terminate",
    };
    const send: Command = {
      kind: "send-signal",
      ordinal: 0,
      target: "other" as WorkflowId,
      name: "go",
      payload: input,
    };
    const open = tracked([start, [send, child]]);
    expect(open.resumePoint(3)).toMatchObject({ command: send });
    const settled = tracked([start, [send, child]], [{ kind: "signal-settled", ordinal: 0, outcome }, []]);
    expect(settled.resumePoint(4)).toMatchObject({ command: child });
    const done = tracked(
      [start, [send, child]],
      [{ kind: "signal-settled", ordinal: 0, outcome }, []],
      [{ kind: "child", ordinal: 0, outcome }, [run(0)]],
    );
    expect(done.resumePoint(5)).toMatchObject({ commandIndex: 2 });
    expect(done.resolutions.map(({ commandIndex }) => commandIndex)).toEqual([0, 1]);
  });

  it("forgets a replay that was begun and not finished, whatever it had seen", () => {
    const awaits = (index: number, timerOrdinal?: number): Command => ({
      kind: "await-signal",
      name: "go",
      index,
      ...(timerOrdinal === undefined ? {} : { timer: timerOrdinal }),
    });
    const signal: Delivery = { kind: "signal", name: "go", payload: input };
    const turns = [
      [start, [timer(0), awaits(0), run(0)]],
      [signal, [awaits(1, 1), timer(1)]],
      [signal, [awaits(2)]],
    ] as const satisfies readonly (readonly [Delivery, readonly Command[]])[];
    const fresh = tracked(...turns);
    // A second replay of the same history, cut off after each of its turns.
    for (let cut = 0; cut <= turns.length; cut++) {
      const tracker = tracked(...turns.slice(0, cut));
      tracker.restart();
      expect(tracker.issuedCount).toBe(0);
      expect(tracker.resumePoint(0)).toBeUndefined();
      for (const [delivery, commands] of turns) {
        tracker.delivered(delivery);
        tracker.issued(commands, 0);
      }
      expect(tracker.resumePoint(6)).toEqual(fresh.resumePoint(6));
      expect(tracker.resolutions).toEqual(fresh.resolutions);
    }
    // Nor does it know of timers and waits that a replay with tracing, or other code, may not come to.
    const tracker = tracked([start, [awaits(0, 0), timer(0)]]);
    tracker.restart();
    tracker.delivered(start);
    tracker.issued([awaits(0), timer(0)], 0);
    tracker.delivered({ kind: "timer", ordinal: 0 });
    expect(tracker.resumePoint(3)).toMatchObject({ commandIndex: 0 });
  });
});
