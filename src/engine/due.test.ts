import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ActivityOptionsRecord, EventBody, EventOf } from "../core/event.ts";
import { startDelayOrdinal } from "../core/event.ts";
import { toRunId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import { RunState } from "../replay/run-state.ts";
import { idOf } from "../store/conformance/world.ts";
import { slotHere } from "./attempt.ts";
import { activityDeadlineAt, attemptStart, dueInputs, nextLookAt, runDeadline } from "./due.ts";
import type { Input } from "./input.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);
const workflowId = idOf("w");
const input = "null" as Payload;
/** When everything in a history here is recorded. */
const recordedAt = 1_000;

/** A run in memory to which more may happen. */
class Run {
  readonly state = new RunState(workflowId);
  #seq = 0;

  constructor(started: Partial<EventOf<"WorkflowStarted">> = {}, ...bodies: readonly EventBody[]) {
    const runId = toRunId("r");
    this.add({ type: "WorkflowStarted", runId, workflowType: "main", version: "1", input, ...started });
    this.add(...bodies);
  }

  add(...bodies: readonly EventBody[]): void {
    for (const body of bodies) {
      this.#seq += 1;
      this.state.apply({ ...body, seq: this.#seq, recordedAt, workflowId });
    }
  }
}

const timer = (ordinal: number, fireAt: number): EventBody => ({
  type: "TimerStarted",
  ordinal,
  durationMs: fireAt - recordedAt,
  fireAt,
});
const scheduled = (ordinal: number, options: ActivityOptionsRecord = {}): EventBody => ({
  type: "ActivityScheduled",
  ordinal,
  activityType: "work",
  input,
  options,
});
const attempt = (ordinal: number, number = 1): EventBody => ({
  type: "ActivityStarted",
  ordinal,
  attempt: number,
});
const failed = (ordinal: number, retryAt: number, number = 1): EventBody => ({
  type: "ActivityFailed",
  ordinal,
  attempt: number,
  failure: { kind: "application", message: "no" },
  retryAt,
});
/** An attempt that failed, and the next of which waits until then. */
const retried = (
  ordinal: number,
  retryAt: number,
  options: ActivityOptionsRecord = {},
): readonly EventBody[] => [scheduled(ordinal, options), attempt(ordinal), failed(ordinal, retryAt)];

/** What is due, each with the event it gives at that instant. Attempts are named by their ordinals. */
function due({ state }: Run, nowMs: number, underWay: readonly number[] = []): readonly unknown[] {
  const inputs = dueInputs(state, nowMs, {
    isUnderWay: (ordinal) => underWay.includes(ordinal),
    attemptStart: (ordinal): Input => ({ toEvent: () => scheduled(ordinal) }),
  });
  return inputs.map((one) => {
    const event = one.toEvent(state, nowMs);
    return event?.type === "ActivityScheduled" ? `attempt of ${event.ordinal}` : event;
  });
}

function inputsOf({ state }: Run, nowMs: number): readonly Input[] {
  return dueInputs(state, nowMs, {
    isUnderWay: () => false,
    attemptStart: () => {
      throw new Error("no attempt is due");
    },
  });
}

const fired = (ordinal: number): EventBody => ({ type: "TimerFired", ordinal });

describe("a timer", () => {
  // I-28
  it("is due at its instant and not a millisecond before", () => {
    const run = new Run({}, timer(0, 5_000));
    expect(due(run, 4_999)).toEqual([]);
    expect(due(run, 5_000)).toEqual([fired(0)]);
    expect(due(run, 9_999_999)).toEqual([fired(0)]);
  });

  // I-28
  it("fires after those of earlier instants, and at one instant in the order in which they were set", () => {
    const instants = fc.uniqueArray(fc.tuple(fc.nat({ max: 50 }), fc.integer({ min: 1_000, max: 1_010 })), {
      selector: ([ordinal]) => ordinal,
      maxLength: 20,
    });
    fc.assert(
      fc.property(instants, (timers) => {
        const run = new Run({}, ...timers.map(([ordinal, fireAt]) => timer(ordinal, fireAt)));
        const expected = timers
          .filter(([, fireAt]) => fireAt <= 1_005)
          .toSorted(([one, at], [other, otherAt]) => at - otherAt || one - other)
          .map(([ordinal]) => fired(ordinal));
        expect(due(run, 1_005)).toEqual(expected);
      }),
      { seed },
    );
  });

  it("that was cancelled, or fired, by the time its turn comes does not fire", () => {
    for (const end of [{ type: "TimerCancelled", ordinal: 0 } as const, fired(0)]) {
      const run = new Run({}, timer(0, 5_000));
      const [turn] = inputsOf(run, 5_000);
      run.add(end);
      expect(turn?.toEvent(run.state, 5_000)).toBeUndefined();
    }
  });

  // I-28
  it("does not fire when it is due later by the time its turn comes: the run was read anew, or the clock went back", () => {
    const [turn] = inputsOf(new Run({}, timer(0, 5_000)), 5_000);
    expect(turn?.toEvent(new Run({}, timer(0, 6_000)).state, 5_500)).toBeUndefined();
    expect(turn?.toEvent(new Run({}, timer(0, 5_000)).state, 4_999)).toBeUndefined();
    expect(turn?.toEvent(new Run({}, timer(0, 5_000)).state, 5_000)).toEqual(fired(0));
  });
});

describe("a start delay", () => {
  it("is over before anything else of the run begins", () => {
    const run = new Run({ startAt: 5_000 });
    expect(due(run, 4_999)).toEqual([]);
    expect(due(run, 5_000)).toEqual([fired(startDelayOrdinal)]);
    run.add(scheduled(0));
    expect(due(run, 5_000)).toEqual([fired(startDelayOrdinal)]);
    run.add(fired(startDelayOrdinal));
    expect(due(run, 5_000)).toEqual(["attempt of 0"]);
  });
});

describe("the time-outs of a run", () => {
  it.each([
    [{}, undefined],
    [{ runDeadlineAt: 5_000 }, { at: 5_000, timeout: "run" }],
    [{ executionDeadlineAt: 5_000 }, { at: 5_000, timeout: "execution" }],
    [
      { runDeadlineAt: 5_000, executionDeadlineAt: 6_000 },
      { at: 5_000, timeout: "run" },
    ],
    [
      { runDeadlineAt: 6_000, executionDeadlineAt: 5_000 },
      { at: 5_000, timeout: "execution" },
    ],
    [
      { runDeadlineAt: 5_000, executionDeadlineAt: 5_000 },
      { at: 5_000, timeout: "execution" },
    ],
  ] as const)("%j: the earlier one counts, %j", (started, expected) => {
    const run = new Run(started);
    expect(runDeadline(run.state)).toEqual(expected);
    expect(due(run, 4_999)).toEqual([]);
    const timedOut = { type: "WorkflowTimedOut", timeout: expected?.timeout };
    expect(due(run, 5_000)).toEqual(expected === undefined ? [] : [timedOut]);
  });

  // I-37, I-39
  it("come before all else that is due", () => {
    const run = new Run({ runDeadlineAt: 5_000 }, timer(0, 4_000), scheduled(1));
    expect(due(run, 4_999)).toEqual([fired(0), "attempt of 1"]);
    expect(due(run, 5_000)).toEqual([{ type: "WorkflowTimedOut", timeout: "run" }]);
  });

  // I-37
  it("are no end of a run that has ended by the time their turn comes, or whose time is not up then", () => {
    const run = new Run({ runDeadlineAt: 5_000 });
    const [turn] = inputsOf(run, 5_000);
    expect(turn?.toEvent(new Run({ runDeadlineAt: 6_000 }).state, 5_999)).toBeUndefined();
    expect(turn?.toEvent(new Run().state, 5_999)).toBeUndefined();
    expect(turn?.toEvent(run.state, 4_999)).toBeUndefined();
    expect(turn?.toEvent(run.state, 5_000)).toEqual({ type: "WorkflowTimedOut", timeout: "run" });
    run.add({ type: "WorkflowCompleted", result: input });
    expect(turn?.toEvent(run.state, 5_000)).toBeUndefined();
  });
});

describe("an attempt", () => {
  it("is due when its activity is scheduled, unless one is under way", () => {
    const run = new Run({}, scheduled(0), scheduled(1), scheduled(2), attempt(2));
    expect(due(run, recordedAt)).toEqual(["attempt of 0", "attempt of 1"]);
    expect(due(run, recordedAt, [0])).toEqual(["attempt of 1"]);
  });

  // I-30
  it("is due when its activity is scheduled, though the clock shows 1970", () => {
    expect(due(new Run({}, scheduled(0)), 0)).toEqual(["attempt of 0"]);
  });

  // I-10
  it("is due again when its backoff is over and not before", () => {
    const run = new Run({}, ...retried(0, 5_000));
    expect(due(run, 4_999)).toEqual([]);
    expect(due(run, 5_000)).toEqual(["attempt of 0"]);
  });

  // I-39
  it("is due while it waits when the time of its activity is up", () => {
    const run = new Run({}, ...retried(0, 50_000, { scheduleToCloseMs: 2_000 }));
    expect(due(run, recordedAt + 1_999)).toEqual([]);
    expect(due(run, recordedAt + 2_000)).toEqual(["attempt of 0"]);
  });

  it("does not wait for timers that are due with it", () => {
    const run = new Run({}, scheduled(0), timer(1, 2_000));
    expect(due(run, 2_000)).toEqual([fired(1), "attempt of 0"]);
  });
});

describe("the deadline of an activity at rest", () => {
  const never = Number.POSITIVE_INFINITY;

  it.each<readonly [what: string, bodies: readonly EventBody[], afterMs: number]>([
    ["is none without time-outs", [scheduled(0)], never],
    ["is that of its start", [scheduled(0, { scheduleToStartMs: 300 })], 300],
    ["is that of its end", [scheduled(0, { scheduleToCloseMs: 300 })], 300],
    ["is the earlier of the two", [scheduled(0, { scheduleToStartMs: 300, scheduleToCloseMs: 200 })], 200],
    ["is the earlier of the two ", [scheduled(0, { scheduleToStartMs: 200, scheduleToCloseMs: 300 })], 200],
    [
      "has no start to wait for after the first attempt",
      retried(0, 9_000, { scheduleToStartMs: 300 }),
      never,
    ],
    [
      "is still that of its end after the first attempt",
      retried(0, 9_000, { scheduleToStartMs: 200, scheduleToCloseMs: 300 }),
      300,
    ],
    [
      "is the dispatcher's while an attempt is under way",
      [scheduled(0, { scheduleToStartMs: 200, scheduleToCloseMs: 300 }), attempt(0)],
      never,
    ],
  ])("%s", (_what, bodies, afterMs) => {
    const activity = new Run({}, ...bodies).state.activities.get(0);
    expect(activity && activityDeadlineAt(activity)).toBe(recordedAt + afterMs);
  });
});

describe("the turn of an attempt", () => {
  /** What it records at that instant, and what it did with the slots. */
  function turn(
    run: Run,
    nowMs: number,
    hasSlot = true,
  ): { readonly event: EventBody | undefined; readonly did: readonly string[] } {
    const did: string[] = [];
    const note = (what: string, { ordinal }: OpenActivity): void => void did.push(`${what} ${ordinal}`);
    const start = attemptStart(0, {
      reserve: (activity) => {
        note("reserve", activity);
        return hasSlot ? slotHere : undefined;
      },
      leave: (activity, runId) => note(`leave ${runId}`, activity),
    });
    return { event: start.toEvent(run.state, nowMs), did };
  }

  // I-10
  it("begins it when there is a slot, numbered without gaps", () => {
    const first = new Run({}, scheduled(0));
    expect(turn(first, recordedAt)).toEqual({ event: attempt(0, 1), did: ["reserve 0"] });
    const second = new Run({}, ...retried(0, 5_000));
    expect(turn(second, 5_000)).toEqual({ event: attempt(0, 2), did: ["reserve 0"] });
  });

  it("lets it stand in line when there is none", () => {
    expect(turn(new Run({}, scheduled(0)), recordedAt, false)).toEqual({
      event: undefined,
      did: ["reserve 0"],
    });
  });

  // I-10
  it("does nothing before the backoff is over", () => {
    expect(turn(new Run({}, ...retried(0, 5_000)), 4_999)).toEqual({ event: undefined, did: [] });
  });

  // I-8
  it("does nothing for an activity that has an outcome, or an attempt under way, by then", () => {
    expect(turn(new Run(), recordedAt)).toEqual({ event: undefined, did: [] });
    const ended = new Run({}, scheduled(0), attempt(0), {
      type: "ActivityCompleted",
      ordinal: 0,
      attempt: 1,
      result: input,
    });
    expect(turn(ended, recordedAt)).toEqual({ event: undefined, did: [] });
    const underWay = new Run({}, scheduled(0, { scheduleToCloseMs: 1 }), attempt(0));
    expect(turn(underWay, 9_999)).toEqual({ event: undefined, did: [] });
  });

  // I-38
  it("ends an activity that was cancelled while it waited", () => {
    const run = new Run({}, ...retried(0, 5_000), { type: "ActivityCancelRequested", ordinal: 0 });
    expect(turn(run, 1_500)).toEqual({
      event: { type: "ActivityCancelled", ordinal: 0, attempt: 1 },
      did: [],
    });
  });

  // I-39
  it.each<readonly [options: ActivityOptionsRecord, afterMs: number, timeout: string]>([
    [{ scheduleToStartMs: 200 }, 200, "schedule-to-start"],
    [{ scheduleToStartMs: 200, scheduleToCloseMs: 300 }, 200, "schedule-to-start"],
    [{ scheduleToStartMs: 200, scheduleToCloseMs: 300 }, 300, "schedule-to-close"],
    [{ scheduleToStartMs: 300, scheduleToCloseMs: 200 }, 200, "schedule-to-close"],
    [{ scheduleToCloseMs: 200 }, 200, "schedule-to-close"],
  ])("with %j ends it after %d ms: %s, and leaves the line", (options, afterMs, timeout) => {
    const run = new Run({}, scheduled(0, options));
    expect(turn(run, recordedAt + afterMs)).toEqual({
      event: { type: "ActivityTimedOut", ordinal: 0, attempt: 0, timeout },
      did: ["leave r 0"],
    });
    const least = Math.min(options.scheduleToStartMs ?? afterMs, options.scheduleToCloseMs ?? afterMs);
    expect(turn(run, recordedAt + least - 1)).toEqual({ event: attempt(0), did: ["reserve 0"] });
  });
});

describe("the next look at a run", () => {
  it.each<readonly [what: string, run: Run, at: number | null]>([
    ["is not needed when it waits for nothing that time brings", new Run({}, scheduled(0), attempt(0)), null],
    ["is at its earliest timer", new Run({}, timer(0, 7_000), timer(1, 5_000), timer(2, 6_000)), 5_000],
    ["is at the end of its start delay", new Run({ startAt: 5_000, runDeadlineAt: 6_000 }), 5_000],
    ["is at its time-out", new Run({ runDeadlineAt: 5_000 }, timer(0, 6_000)), 5_000],
    ["is at the end of a backoff", new Run({}, ...retried(0, 5_000), timer(1, 6_000)), 5_000],
    [
      "is at the deadline of an activity that waits",
      new Run({}, ...retried(0, 5_000, { scheduleToCloseMs: 500 }), scheduled(1, { scheduleToStartMs: 600 })),
      1_500,
    ],
  ])("%s", (_what, { state }, at) => {
    expect(nextLookAt(state)).toBe(at);
  });

  it("is at what comes after an instant when what came before has been seen to", () => {
    const { state } = new Run({ runDeadlineAt: 8_000 }, timer(0, 5_000), ...retried(1, 6_000));
    expect([4_999, 5_000, 6_000, 7_999, 8_000].map((afterMs) => nextLookAt(state, afterMs))).toEqual([
      5_000,
      6_000,
      8_000,
      8_000,
      null,
    ]);
  });

  // I-29
  it("is when the first thing comes due, not later and not earlier: nothing waits for a look that does not come", () => {
    const events = fc.array(
      fc.oneof(
        fc.nat({ max: 500 }).map((ms) => ["timer", ms] as const),
        fc.nat({ max: 500 }).map((ms) => ["retry", ms] as const),
        fc.nat({ max: 500 }).map((ms) => ["close", ms] as const),
      ),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(events, fc.option(fc.nat({ max: 500 }), { nil: undefined }), (parts, deadline) => {
        const run = new Run(
          deadline === undefined ? {} : { runDeadlineAt: recordedAt + 1 + deadline },
          ...parts.flatMap(([kind, ms], ordinal) => {
            const at = recordedAt + 1 + ms;
            if (kind === "timer") return [timer(ordinal, at)];
            return retried(
              ordinal,
              kind === "retry" ? at : 1e9,
              kind === "close" ? { scheduleToCloseMs: ms + 1 } : {},
            );
          }),
        );
        const at = nextLookAt(run.state);
        expect(due(run, (at ?? 1e8) - 1)).toEqual([]);
        if (at !== null) expect(due(run, at)).not.toEqual([]);
      }),
      { seed },
    );
  });
});
