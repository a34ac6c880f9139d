import type { Event, EventBody } from "./event.ts";

/** The state of a run. A projection of its events, with no other source. */
export type RunStatus =
  | "running"
  /** Held by an operator: not ended, and no code of it runs. */
  | "paused"
  | "completed"
  | "failed"
  | "cancelled"
  | "terminated"
  | "timed-out"
  | "continued-as-new";

export const runStatuses: readonly RunStatus[] = [
  "running",
  "paused",
  "completed",
  "failed",
  "cancelled",
  "terminated",
  "timed-out",
  "continued-as-new",
];

/** The status that an event gives its run; `undefined` for events that leave it as it is. */
export function statusAfter(event: EventBody): RunStatus | undefined {
  // Of a request that changed nothing only its id is kept.
  if ("isFurther" in event && event.isFurther) return undefined;
  switch (event.type) {
    case "WorkflowStarted":
    case "WorkflowResumed":
    case "WorkflowReopened":
    case "WorkflowReset":
      return "running";
    case "WorkflowPaused":
      return "paused";
    case "WorkflowCompleted":
      return "completed";
    case "WorkflowFailed":
      return "failed";
    case "WorkflowCancelled":
      return "cancelled";
    case "WorkflowTerminated":
      return "terminated";
    case "WorkflowTimedOut":
      return "timed-out";
    case "WorkflowContinuedAsNew":
      return "continued-as-new";
    default:
      return undefined;
  }
}

/** The status after all of `events`; total: an empty history is running. */
export function projectStatus(events: readonly EventBody[]): RunStatus {
  for (let index = events.length - 1; index >= 0; index--) {
    const event = events[index];
    const status = event === undefined ? undefined : statusAfter(event);
    if (status !== undefined) return status;
  }
  return "running";
}

export function isClosed(status: RunStatus): boolean {
  return status !== "running" && status !== "paused";
}

export function isTerminal(event: EventBody): boolean {
  const status = statusAfter(event);
  return status !== undefined && isClosed(status);
}

/** The terminal event of the latest run, if it has ended. */
export function terminalOf(events: readonly Event[]): Event | undefined {
  for (let index = events.length - 1; index >= 0; index--) {
    const event = events[index];
    if (event === undefined || event.type === "WorkflowStarted" || event.type === "WorkflowReopened")
      return undefined;
    if (isTerminal(event)) return event;
  }
  return undefined;
}
