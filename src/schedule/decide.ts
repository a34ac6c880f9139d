import type { ScheduleState } from "../core/schedule-state.ts";
import type { SkipReason, StartCause, WatchedRun } from "../core/schedule.ts";
import type { TimesWithin } from "./spec.ts";
import { Times } from "./spec.ts";

/** What a schedule does next. */
export type Decision =
  /** Nothing by this time; `null`: nothing until it is told something. */
  | { readonly kind: "wait"; readonly at: number | null }
  | {
      readonly kind: "start";
      readonly cause: StartCause;
      readonly nominalAt: number;
      readonly isWatched: boolean;
      readonly hasWaited: boolean;
    }
  | {
      readonly kind: "skip";
      readonly cause: StartCause;
      readonly times: TimesWithin;
      /** Everything up to here is decided. */
      readonly untilAt: number;
      readonly reason: SkipReason;
    }
  | { readonly kind: "end-other"; readonly run: WatchedRun; readonly how: "cancel" | "terminate" };

/** Something is to be done whatever the time is. */
const atOnce = Number.NEGATIVE_INFINITY;

/**
 * The next decision, from what is recorded and the time alone. Each is recorded before it is carried out, and the one after it is asked
 * for when it has been: so whatever crashes in between, it is made once.
 *
 * Law: `whenNext` is the earliest `nowAt` at which this gives something other than `wait`.
 */
export function decide(state: ScheduleState, nowAt: number): Decision {
  const at = whenNext(state);
  if (at === null || at > nowAt) return { kind: "wait", at };
  return (
    skipBehindWaiting(state) ?? (isTimeDue(state, nowAt) ? decideTime(state, nowAt) : decideBackfill(state))
  );
}

/** When there is something to decide: from the state alone, so that it can be written down beside it. */
export function whenNext(state: ScheduleState): number | null {
  if (!state.isCreated || state.isDeleted) return null;
  if (skipBehindWaiting(state) !== undefined || isBackfillReady(state)) return atOnce;
  return whenTime(state);
}

function isTimeDue(state: ScheduleState, nowAt: number): boolean {
  const at = whenTime(state);
  return at !== null && at <= nowAt;
}

/** The next time that no decision covers. A schedule that has used up its actions has none. */
function nextTime(state: ScheduleState): number | undefined {
  return state.actionsLeft === 0 ? undefined : Times.of(state.config.spec).next(state.cursorAt);
}

/** While a run is open that they may not overlap with, times wait: what becomes of them is decided when it has ended. */
function whenTime(state: ScheduleState): number | null {
  if (state.paused !== undefined) return null;
  const nominalAt = nextTime(state);
  if (nominalAt === undefined) return null;
  const { overlap } = state.config;
  if (isHeld(state)) {
    const ends = overlap === "cancel-other" || overlap === "terminate-other";
    if (!ends || unasked(state) === undefined) return null;
  }
  return dueAt(state, nominalAt);
}

function dueAt(state: ScheduleState, nominalAt: number): number {
  return nominalAt + Times.of(state.config.spec).jitter(state.scheduleId, nominalAt);
}

/** A run is open that no other may run beside. */
export function isHeld(state: ScheduleState): boolean {
  return state.config.overlap !== "allow-all" && state.running.size > 0;
}

function unasked(state: ScheduleState): WatchedRun | undefined {
  for (const run of state.running.values()) if (!run.isEndAsked) return run;
  return undefined;
}

/** Of a time that has waited for its start, those that came due meanwhile have not. */
function skipBehindWaiting(state: ScheduleState): Decision | undefined {
  const { skipUntilAt } = state;
  return skipUntilAt <= state.cursorAt ? undefined : skip(state, skipUntilAt, "overlap");
}

/** A time is due, and may start if nothing says otherwise. */
function decideTime(state: ScheduleState, nowAt: number): Decision {
  const { overlap, spec, catchUpWindowMs } = state.config;
  const times = Times.of(spec);
  if (isHeld(state)) {
    const run = unasked(state);
    if (run !== undefined)
      return { kind: "end-other", run, how: overlap === "cancel-other" ? "cancel" : "terminate" };
  }
  const nominalAt = nextTime(state) ?? nowAt;
  const hasWaited = overlap !== "allow-all" && nominalAt < state.freedAt;
  if (hasWaited && overlap === "skip") return skip(state, state.freedAt - 1, "overlap") ?? wait;
  const possibleAt = Math.max(dueAt(state, nominalAt), hasWaited ? state.freedAt : atOnce);
  if (nowAt - possibleAt > catchUpWindowMs) {
    const untilAt = hasWaited ? state.freedAt - 1 : nowAt - catchUpWindowMs - 1;
    return skip(state, Math.max(untilAt, nominalAt), "missed") ?? wait;
  }
  if (overlap === "allow-all") {
    const untilAt = times.latest(state.cursorAt, nowAt, catchUpMax);
    if (untilAt !== undefined) return skip(state, untilAt, "too-many") ?? wait;
  }
  if (overlap === "cancel-other" || overlap === "terminate-other") {
    // All but the latest would be ended at once.
    let [last, before] = [nominalAt, nominalAt];
    for (let count = 0; count < latestLooksMax; count++) {
      const next = times.next(last);
      if (next === undefined || dueAt(state, next) > nowAt) break;
      before = last;
      last = next;
    }
    if (last > nominalAt) return skip(state, before, "overlap") ?? wait;
  }
  return {
    kind: "start",
    cause: "time",
    nominalAt,
    isWatched: overlap !== "allow-all",
    hasWaited: hasWaited && overlap === "buffer-one",
  };
}

/** Of times that are due together, as after an outage, no more than so many start: the latest. */
export const catchUpMax = 1_000;
const latestLooksMax = 1_000;
const wait: Decision = { kind: "wait", at: null };

/** Skips the times that are not decided yet, up to that instant; `undefined`: there are none. */
export function skip(state: ScheduleState, untilAt: number, reason: SkipReason): Decision | undefined {
  if (state.actionsLeft === 0) return undefined;
  const times = Times.of(state.config.spec).within(state.cursorAt, untilAt);
  return times === undefined ? undefined : { kind: "skip", cause: "time", times, untilAt, reason };
}

function isBackfillReady(state: ScheduleState): boolean {
  const [range] = state.backfills;
  return range !== undefined && (range.overlap === "allow-all" || state.running.size === 0);
}

function decideBackfill(state: ScheduleState): Decision {
  const [range] = state.backfills;
  if (range === undefined) return wait;
  const nominalAt = Times.of(state.config.spec).next(range.cursorAt);
  const { toAt } = range;
  if (nominalAt === undefined || nominalAt > toAt) {
    // The schedule was changed since the range was counted.
    const times = { fromAt: Math.min(range.cursorAt + 1, toAt), toAt, count: 0, isLeast: false };
    return { kind: "skip", cause: "backfill", times, untilAt: toAt, reason: "updated" };
  }
  const isWatched = range.overlap === "one-by-one";
  return { kind: "start", cause: "backfill", nominalAt, isWatched, hasWaited: false };
}
