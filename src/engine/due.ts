import { startDelayOrdinal } from "../core/event.ts";
import type { RunId } from "../core/ids.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import type { RunState } from "../replay/run-state.ts";
import type { Slot } from "./attempt.ts";
import { toStartedEvent } from "./attempt.ts";
import { coordinatorLookAt } from "./coordinator.ts";
import type { Input } from "./input.ts";

/**
 * What has come due in a run by `nowMs`: time-outs of the run first, then timers in the order of their instants, then attempts.
 * Each is asked again when its turn comes: the run may have been read anew, and what was due then may be due later now.
 */
export function dueInputs(
  state: RunState,
  nowMs: number,
  attempts: { isUnderWay(ordinal: number): boolean; attemptStart(ordinal: number): Input },
): Input[] {
  const deadline = runDeadline(state);
  if (deadline !== undefined && deadline.at <= nowMs) {
    const { timeout } = deadline;
    const toEvent: Input["toEvent"] = (now, takenAt) =>
      now.isClosed || !isPast(runDeadline(now)?.at, takenAt)
        ? undefined
        : { type: "WorkflowTimedOut", timeout };
    return [{ toEvent }];
  }
  const timers = [...state.timers.values()].filter((timer) => timer.fireAt <= nowMs);
  timers.sort((a, b) => a.fireAt - b.fireAt || a.ordinal - b.ordinal);
  const inputs: Input[] = timers.map(({ ordinal }) => ({
    toEvent: (now, takenAt) =>
      isPast(now.timers.get(ordinal)?.fireAt, takenAt) ? { type: "TimerFired", ordinal } : undefined,
  }));
  if (timers.some((timer) => timer.ordinal === startDelayOrdinal) || state.pause !== undefined) return inputs;
  for (const activity of state.activities.values()) {
    if (activity.startedAt !== undefined || attempts.isUnderWay(activity.ordinal)) continue;
    const mayBegin = activity.parked === undefined && (activity.retryAt ?? 0) <= nowMs;
    const isDue = mayBegin || activityDeadlineAt(activity) <= nowMs;
    if (isDue) inputs.push(attempts.attemptStart(activity.ordinal));
  }
  return inputs;
}

function isPast(at: number | undefined, nowMs: number): boolean {
  return at !== undefined && at <= nowMs;
}

/** The next attempt of an activity at rest. `reserve` takes a slot, or lets the activity stand in line. */
export function attemptStart(
  ordinal: number,
  slots: {
    reserve(activity: OpenActivity): Slot | undefined;
    leave(activity: OpenActivity, runId: RunId): void;
  },
): Input {
  return {
    toEvent: (state, nowMs) => {
      const activity = state.activities.get(ordinal);
      if (activity === undefined || activity.startedAt !== undefined || state.pausing.holdsAttempts)
        return undefined;
      const { attempt } = activity;
      if (activity.isCancelRequested) return { type: "ActivityCancelled", ordinal, attempt };
      if (activityDeadlineAt(activity) <= nowMs) {
        const { scheduleToCloseMs } = activity.options;
        const isClose = scheduleToCloseMs !== undefined && activity.scheduledAt + scheduleToCloseMs <= nowMs;
        slots.leave(activity, state.started.runId);
        const timeout = isClose ? "schedule-to-close" : "schedule-to-start";
        return { type: "ActivityTimedOut", ordinal, attempt, timeout };
      }
      if (activity.parked !== undefined) return undefined;
      if (activity.retryAt !== undefined && activity.retryAt > nowMs) return undefined;
      const slot = slots.reserve(activity);
      return slot === undefined ? undefined : toStartedEvent(ordinal, attempt + 1, slot);
    },
  };
}

/** When the run itself times out, and by which of its time-outs; `undefined`: it has none. */
export function runDeadline(
  state: RunState,
): { readonly at: number; readonly timeout: "run" | "execution" } | undefined {
  const { runDeadlineAt, executionDeadlineAt } = state.deadlines;
  if (executionDeadlineAt !== undefined && executionDeadlineAt <= (runDeadlineAt ?? executionDeadlineAt)) {
    return { at: executionDeadlineAt, timeout: "execution" };
  }
  return runDeadlineAt === undefined ? undefined : { at: runDeadlineAt, timeout: "run" };
}

/** Deadlines that hold while no attempt is under way; a running attempt has timers of its own. */
export function activityDeadlineAt(activity: OpenActivity): number {
  if (activity.startedAt !== undefined) return Number.POSITIVE_INFINITY;
  const { scheduleToStartMs, scheduleToCloseMs } = activity.options;
  const toStart =
    scheduleToStartMs === undefined || activity.attempt > 0
      ? Number.POSITIVE_INFINITY
      : activity.scheduledAt + scheduleToStartMs;
  const toClose =
    scheduleToCloseMs === undefined ? Number.POSITIVE_INFINITY : activity.scheduledAt + scheduleToCloseMs;
  return Math.min(toStart, toClose);
}

/** When a run at rest must be looked at next, from its state alone. With `afterMs`: what came due before is seen to. */
export function nextLookAt(state: RunState, afterMs = Number.NEGATIVE_INFINITY): number | null {
  const { schedule } = state;
  if (schedule !== undefined) return coordinatorLookAt(state, schedule);
  let at = Number.POSITIVE_INFINITY;
  const consider = (instant: number | undefined): void => {
    if (instant !== undefined && instant > afterMs && instant < at) at = instant;
  };
  for (const timer of state.timers.values()) consider(timer.fireAt);
  for (const activity of state.pause === undefined ? state.activities.values() : []) {
    consider(activity.retryAt);
    consider(activityDeadlineAt(activity));
  }
  consider(runDeadline(state)?.at);
  return at === Number.POSITIVE_INFINITY ? null : at;
}
