import type { Event } from "./event.ts";
import type { Failure } from "./failure.ts";

/** How long a run's history may get before its code is told to continue as new. */
export interface HistorySize {
  readonly events: number;
  readonly bytes: number;
}

/** Of a run that has nothing else recorded. Never to be changed: replay depends on it. */
export const longHistoryDefault: HistorySize = Object.freeze({ events: 10_000, bytes: 10 * 1024 * 1024 });

/** What an event takes beyond its data. */
const fixedBytes = 64;

/**
 * About what an event takes in a store, in bytes: its data as text, one byte for each UTF-16 unit, and a fixed part.
 * Workflow code learns what follows from it, and so it is never to be changed: replay depends on it.
 */
export function sizeOfEvent(event: Event): number {
  switch (event.type) {
    case "WorkflowStarted": {
      let size = fixedBytes + event.input.length + (event.sent?.length ?? 0);
      for (const { payload } of event.signals ?? []) size += fixedBytes + payload.length;
      return size;
    }
    case "ActivityScheduled":
    case "ChildWorkflowStarted":
    case "WorkflowContinuedAsNew":
      return fixedBytes + event.input.length;
    case "WorkflowCompleted":
    case "ActivityCompleted":
    case "ChildWorkflowCompleted":
      return fixedBytes + event.result.length;
    case "SignalReceived":
    case "SignalSent":
      return fixedBytes + event.payload.length;
    case "UpdateAccepted":
      // By what was sent: that is known before the code has said what it makes of it.
      return fixedBytes + (event.sent ?? event.input).length;
    case "UpdateCompleted":
      return fixedBytes + (event.result?.length ?? 0) + sizeOfFailure(event.failure);
    case "SideEffectRecorded":
      return fixedBytes + (event.value?.length ?? 0) + sizeOfFailure(event.failure);
    case "WorkflowFailed":
    case "ChildWorkflowFailed":
      return fixedBytes + sizeOfFailure(event.failure);
    case "ActivityFailed":
    case "ActivityParked":
      return fixedBytes + (event.heartbeat?.length ?? 0) + sizeOfFailure(event.failure);
    case "ActivityTimedOut":
      return fixedBytes + (event.heartbeat?.length ?? 0);
    default:
      return fixedBytes;
  }
}

function sizeOfFailure(failure: Failure | undefined): number {
  if (failure === undefined) return 0;
  return failure.message.length + (failure.stack?.length ?? 0) + sizeOfFailure(failure.cause);
}
