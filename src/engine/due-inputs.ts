import { startDelayOrdinal } from "../core/event.ts";
import type { RunState } from "../replay/run-state.ts";
import type { Input } from "./input.ts";
import { activityDeadlineAt } from "./resident-run.ts";

/** What has come due in a run by `nowMs`: time-outs of the run first, then timers in the order of their instants, then attempts. */
export function dueInputs(
  state: RunState,
  nowMs: number,
  attempts: { isUnderWay(ordinal: number): boolean; attemptStart(ordinal: number): Input },
): Input[] {
  const { started } = state;
  const { runDeadlineAt, executionDeadlineAt } = started;
  for (const [deadlineAt, timeout] of [
    [executionDeadlineAt, "execution"],
    [runDeadlineAt, "run"],
  ] as const) {
    if (deadlineAt !== undefined && deadlineAt <= nowMs) {
      return [{ toEvent: (now) => (now.isClosed ? undefined : { type: "WorkflowTimedOut", timeout }) }];
    }
  }
  const timers = [...state.timers.values()].filter((timer) => timer.fireAt <= nowMs);
  timers.sort((a, b) => a.fireAt - b.fireAt || a.ordinal - b.ordinal);
  const inputs: Input[] = timers.map(({ ordinal }) => ({
    toEvent: (now) => (now.timers.has(ordinal) ? { type: "TimerFired", ordinal } : undefined),
  }));
  if (timers.some((timer) => timer.ordinal === startDelayOrdinal)) return inputs;
  for (const activity of state.activities.values()) {
    if (activity.startedAt !== undefined || attempts.isUnderWay(activity.ordinal)) continue;
    const isDue = (activity.retryAt ?? 0) <= nowMs || activityDeadlineAt(activity) <= nowMs;
    if (isDue) inputs.push(attempts.attemptStart(activity.ordinal));
  }
  return inputs;
}
