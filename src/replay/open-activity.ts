import type { ActivityOptionsRecord, EventOf } from "../core/event.ts";
import type { Failure, TimeoutKind } from "../core/failure.ts";
import type { RunId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";

/** An activity that has no outcome yet. */
export interface OpenActivity {
  readonly ordinal: number;
  readonly activityType: string;
  readonly input: Payload;
  readonly options: ActivityOptionsRecord;
  readonly isStep: boolean;
  /** Its idempotency key is of this run: of the one that asked for it first, though another goes on from there. */
  readonly keyRunId: RunId;
  readonly scheduledAt: number;
  /** The number of the latest attempt that began; 0: none did. */
  attempt: number;
  /** When it began; `undefined`: no attempt is under way by what history says. */
  startedAt: number | undefined;
  /** Who has the attempt that is under way; `undefined`: the process of the engine, or nobody. */
  worker: string | undefined;
  /** Attempts that failed or timed out: what the retry policy counts. One that a crash cut off is not among them. */
  failedCount: number;
  /** Workers that fell silent with an attempt of it, one after the other. */
  lostCount: number;
  /** Workers that left with an attempt of it under way, one after the other. */
  leftCount: number;
  /** The next attempt starts no earlier. */
  retryAt: number | undefined;
  heartbeat: Payload | undefined;
  /** The attempt that `heartbeat` is from; 0: none. */
  heartbeatAttempt: number;
  lastFailure: Failure | undefined;
  isCancelRequested: boolean;
  /** It waits for an operator. */
  parked: Parking | undefined;
}

/** Since when an activity waits for an operator. */
export interface Parking {
  readonly at: number;
  /** Its last attempt was with a worker. */
  readonly onWorker: boolean;
}

/*
 * What the events of its attempts make of an activity. Law: an attempt that a crash cut off, or that its worker was lost with, takes
 * nothing from what the retry policy allows.
 */

export function toOpenActivity(event: EventOf<"ActivityScheduled">, keyRunId: RunId): OpenActivity {
  return {
    ordinal: event.ordinal,
    activityType: event.activityType,
    input: event.input,
    options: event.options,
    isStep: event.isStep === true,
    keyRunId,
    scheduledAt: event.recordedAt,
    attempt: 0,
    startedAt: undefined,
    worker: undefined,
    failedCount: 0,
    lostCount: 0,
    leftCount: 0,
    retryAt: undefined,
    heartbeat: undefined,
    heartbeatAttempt: 0,
    lastFailure: undefined,
    isCancelRequested: false,
    parked: undefined,
  };
}

export function beginAttempt(activity: OpenActivity, event: EventOf<"ActivityStarted">): void {
  activity.attempt = event.attempt;
  activity.startedAt = event.recordedAt;
  activity.worker = event.worker;
  activity.retryAt = undefined;
}

type AttemptFailed = EventOf<"ActivityFailed"> | EventOf<"ActivityTimedOut">;

/** Another attempt follows, at `retryAt`. */
export function noteFailedAttempt(activity: OpenActivity, event: AttemptFailed, retryAt: number): void {
  activity.startedAt = undefined;
  activity.worker = undefined;
  if (event.type === "ActivityFailed" && event.lost !== undefined) {
    if (event.lost === "silent") activity.lostCount += 1;
    else activity.leftCount += 1;
  } else {
    activity.failedCount += 1;
    activity.lostCount = 0;
    activity.leftCount = 0;
  }
  activity.retryAt = retryAt;
  noteDetails(activity, event);
  activity.lastFailure = toAttemptFailure(activity, event);
}

/** What the attempt left for the next one. */
export function noteDetails(activity: OpenActivity, { attempt, heartbeat }: AttemptFailed): void {
  if (heartbeat === undefined) return;
  activity.heartbeat = heartbeat;
  activity.heartbeatAttempt = attempt;
}

/** No attempt follows: what the code is told. */
export function toActivityFailure(activity: OpenActivity, event: AttemptFailed): Failure {
  const { activityType } = activity;
  const failure = toAttemptFailure(activity, event);
  return {
    kind: "activity",
    message: `activity ${JSON.stringify(activityType)} failed at attempt ${event.attempt}: ${failure.message}`,
    of: activityType,
    attempt: event.attempt,
    cause: failure,
  };
}

function toAttemptFailure({ activityType }: OpenActivity, event: AttemptFailed): Failure {
  if (event.type === "ActivityFailed") return event.failure;
  return timeoutFailure(activityType, event.timeout);
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

/**
 * Its run had ended, and goes on after all: it has all that its options allow. What was parked is so still. `keyRunId`: it is another one's
 * from here on.
 */
export function toBeginAnew(
  activity: OpenActivity,
  nowMs: number,
  keyRunId: RunId = activity.keyRunId,
): OpenActivity {
  return {
    ...activity,
    keyRunId,
    scheduledAt: nowMs,
    startedAt: undefined,
    worker: undefined,
    failedCount: 0,
    lostCount: 0,
    leftCount: 0,
    retryAt: undefined,
  };
}
