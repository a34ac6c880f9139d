import type { EventOf } from "../core/event.ts";
import type { RunState } from "../replay/run-state.ts";

/** Time-outs that have run out by `nowMs` are given anew, as long as the run had them when it began. The others hold. */
export function timeAnew(
  started: EventOf<"WorkflowStarted">,
  { runDeadlineAt, executionDeadlineAt }: RunState["deadlines"],
  nowMs: number,
): { readonly runDeadlineAt?: number; readonly executionDeadlineAt?: number } {
  const began = started.startAt ?? started.recordedAt;
  const isOver = (at: number | undefined): boolean => at !== undefined && at <= nowMs;
  return {
    ...(isOver(runDeadlineAt) && started.runDeadlineAt !== undefined
      ? { runDeadlineAt: nowMs + started.runDeadlineAt - began }
      : {}),
    ...(isOver(executionDeadlineAt) && started.executionDeadlineAt !== undefined
      ? { executionDeadlineAt: nowMs + started.executionDeadlineAt - began }
      : {}),
  };
}
