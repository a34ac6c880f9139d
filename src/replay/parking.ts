import type { EventOf } from "../core/event.ts";
import type { Failure, TimeoutKind } from "../core/failure.ts";
import type { OpenActivity } from "./run-state.ts";

/** Since when an activity waits for an operator. */
export interface Parking {
  readonly at: number;
  /** Its last attempt was with a worker. */
  readonly onWorker: boolean;
}

/** What an attempt that ran into a time-out is told as. */
export function timeoutFailure(activityType: string, timeout: TimeoutKind): Failure {
  return {
    kind: "timeout",
    message: `activity ${JSON.stringify(activityType)}: ${timeout} time-out`,
    timeout,
  };
}

/** Its attempt has failed, and none begins until an operator says so. */
export function park(activity: OpenActivity, event: EventOf<"ActivityParked">): void {
  activity.parked = { at: event.recordedAt, onWorker: activity.worker !== undefined };
  activity.startedAt = undefined;
  activity.worker = undefined;
  activity.retryAt = undefined;
  activity.failedCount += 1;
  activity.lostCount = 0;
  activity.leftCount = 0;
  if (event.heartbeat !== undefined) {
    activity.heartbeat = event.heartbeat;
    activity.heartbeatAttempt = event.attempt;
  }
  activity.lastFailure = event.failure;
}

/** It is tried again, with all that its policy allows. */
export function unpark(activity: OpenActivity, at: number): void {
  activity.parked = undefined;
  activity.failedCount = 0;
  activity.retryAt = at;
}
