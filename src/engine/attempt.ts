import type { EventBody } from "../core/event.ts";
import type { Failure, TimeoutKind } from "../core/failure.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import type { Ports, Random, Scheduler } from "../core/ports.ts";
import { backoffMs, bucketOf } from "../core/retry.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import { timeoutFailure } from "../replay/open-activity.ts";
import type { RunState } from "../replay/run-state.ts";

/** Which activity of which run. With the number of the attempt, results are accepted by this and nothing less. */
export interface TaskAddress {
  readonly workflowId: WorkflowId;
  readonly runId: RunId;
  readonly ordinal: number;
}

/** The idempotency key: stable over attempts and restarts. */
export function keyOf(runId: RunId, ordinal: number): string {
  return `${runId}:${ordinal}`;
}

/** The right of an attempt to be under way, taken before its start is recorded. */
export interface Slot {
  /** `undefined`: in the process of the engine. */
  readonly worker: string | undefined;
}

export const slotHere: Slot = Object.freeze({ worker: undefined });

export function toStartedEvent(ordinal: number, attempt: number, { worker }: Slot): EventBody {
  return worker === undefined
    ? { type: "ActivityStarted", ordinal, attempt }
    : { type: "ActivityStarted", ordinal, attempt, worker };
}

/** Decides against the state of the moment what is recorded. */
export type ToEvent = (state: RunState, nowMs: number) => EventBody | undefined;

/** What an attempt under way needs wherever it runs: its time-outs, and the details that it left. */
export interface OpenAttempt {
  readonly address: TaskAddress;
  readonly attempt: number;
  heartbeat: Payload | undefined;
  cancelTimers: (() => void)[];
  heartbeatTimer: (() => void) | undefined;
}

export function hasTimers({ options }: OpenActivity): boolean {
  return (
    options.startToCloseMs !== undefined ||
    options.scheduleToCloseMs !== undefined ||
    options.heartbeatMs !== undefined
  );
}

/** `graceMs`: the time-outs of the attempt alone fire no earlier than after this. */
export function armTimers(
  attempt: OpenAttempt,
  { options, scheduledAt }: OpenActivity,
  { scheduler, clock }: Ports,
  timeOut: (timeout: TimeoutKind) => void,
  since?: { readonly startedAt: number; readonly graceMs: number },
): void {
  const { startToCloseMs, scheduleToCloseMs, heartbeatMs } = options;
  if (startToCloseMs !== undefined) {
    const left =
      since === undefined
        ? startToCloseMs
        : Math.max(since.graceMs, since.startedAt + startToCloseMs - clock.now());
    attempt.cancelTimers.push(scheduler.delay(left, () => timeOut("start-to-close")));
  }
  if (scheduleToCloseMs !== undefined) {
    const left = Math.max(0, scheduledAt + scheduleToCloseMs - clock.now());
    attempt.cancelTimers.push(scheduler.delay(left, () => timeOut("schedule-to-close")));
  }
  const silenceMs = heartbeatMs === undefined ? undefined : Math.max(heartbeatMs, since?.graceMs ?? 0);
  armHeartbeat(attempt, silenceMs, scheduler, () => timeOut("heartbeat"));
}

export function armHeartbeat(
  attempt: OpenAttempt,
  heartbeatMs: number | undefined,
  scheduler: Scheduler,
  timeOut: () => void,
): void {
  if (heartbeatMs === undefined) return;
  attempt.heartbeatTimer?.();
  attempt.heartbeatTimer = scheduler.delay(heartbeatMs, timeOut);
}

export function disarm(attempt: OpenAttempt): void {
  for (const cancel of attempt.cancelTimers) cancel();
  attempt.heartbeatTimer?.();
}

/** Gives no event when the attempt is not the current one any more. */
export function ifCurrent(
  { address, attempt }: OpenAttempt,
  toEvent: (activity: OpenActivity, nowMs: number) => EventBody,
): ToEvent {
  return (state, nowMs) => {
    // The run may have been read anew, and another one of its chain be there.
    if (state.started.runId !== address.runId) return undefined;
    const activity = state.activities.get(address.ordinal);
    // Late: another attempt is the current one, or the activity has its outcome.
    if (activity === undefined || activity.attempt !== attempt || activity.startedAt === undefined)
      return undefined;
    return toEvent(activity, nowMs);
  };
}

export function toFailedEvent(
  activity: OpenActivity,
  { attempt, heartbeat }: OpenAttempt,
  failure: Failure,
  nowMs: number,
  random: Random,
): EventBody {
  const { ordinal } = activity;
  if (activity.isCancelRequested) return { type: "ActivityCancelled", ordinal, attempt };
  // Data that fits no schema or limit does not fit the next time either; other errors of ours pass.
  const invalid = failure.kind === "engine" && failure.type?.startsWith("payload_") === true;
  const bucket = invalid ? "final" : bucketOf(failure, activity.options.retry);
  if (bucket === "park" || (bucket === "retry" && parksNow(activity)))
    return toParkedEvent(activity, { attempt, heartbeat, failure });
  const retryAt = bucket === "final" ? undefined : retryAtOf(activity, nowMs, random);
  return {
    type: "ActivityFailed",
    ordinal,
    attempt,
    failure,
    ...(retryAt === undefined ? {} : { retryAt }),
    // Of the last attempt, too: its failure may be taken back.
    ...(heartbeat === undefined ? {} : { heartbeat }),
  };
}

export function toTimedOutEvent(
  activity: OpenActivity,
  { attempt, heartbeat }: OpenAttempt,
  timeout: TimeoutKind,
  nowMs: number,
  random: Random,
): EventBody {
  const { ordinal } = activity;
  if (activity.isCancelRequested) return { type: "ActivityCancelled", ordinal, attempt };
  if (timeout !== "schedule-to-close" && parksNow(activity)) {
    const failure = timeoutFailure(activity.activityType, timeout);
    return toParkedEvent(activity, { attempt, heartbeat, failure, timeout });
  }
  const retryAt = timeout === "schedule-to-close" ? undefined : retryAtOf(activity, nowMs, random);
  return {
    type: "ActivityTimedOut",
    ordinal,
    attempt,
    timeout,
    ...(retryAt === undefined ? {} : { retryAt }),
    // Of the last attempt, too: its failure may be taken back.
    ...(heartbeat === undefined ? {} : { heartbeat }),
  };
}

/** It waits for an operator. */
function toParkedEvent(
  { ordinal }: OpenActivity,
  of: {
    readonly attempt: number;
    readonly heartbeat: Payload | undefined;
    readonly failure: Failure;
    readonly timeout?: TimeoutKind;
  },
): EventBody {
  const { attempt, heartbeat, failure, timeout } = of;
  return {
    type: "ActivityParked",
    ordinal,
    attempt,
    failure,
    ...(timeout === undefined ? {} : { timeout }),
    ...(heartbeat === undefined ? {} : { heartbeat }),
  };
}

/** So many workers in a row that fall silent with one activity are taken for its own doing. */
const lossesMax = 5;
/** After the second loss in a row; doubled at each one after it, up to a minute. */
const lossBackoffMs = 1_000;
const lossBackoffMaxMs = 60_000;

/**
 * The worker of the attempt is gone. That is not the activity's fault, so its policy does not count it and the next attempt begins: at
 * once, and the more slowly the more workers in a row have gone. The fifth that has fallen silent is a failure like any other.
 */
export function toLostEvent(
  activity: OpenActivity,
  lost: OpenAttempt & { readonly identity: string },
  how: "silent" | "left",
  nowMs: number,
  random: Random,
): EventBody {
  const { ordinal } = activity;
  const { attempt, heartbeat, identity } = lost;
  if (activity.isCancelRequested) return { type: "ActivityCancelled", ordinal, attempt };
  const lostCount = activity.lostCount + (how === "silent" ? 1 : 0);
  const what = how === "silent" ? "was lost" : "left before it had ended";
  const message = `worker ${JSON.stringify(identity)} ${what}`;
  if (lostCount >= lossesMax) {
    const failure: Failure = {
      kind: "engine",
      type: "worker_lost",
      message: `${message}, the ${lostCount}th in a row`,
    };
    return toFailedEvent(activity, lost, failure, nowMs, random);
  }
  const count = how === "silent" ? lostCount : activity.leftCount + 1;
  const waitMs = count < 2 ? 0 : Math.min(lossBackoffMaxMs, lossBackoffMs * 2 ** (count - 2));
  return {
    type: "ActivityFailed",
    ordinal,
    attempt,
    failure: { kind: "engine", type: "worker_lost", message },
    lost: how,
    retryAt: nowMs + waitMs,
    ...(heartbeat === undefined ? {} : { heartbeat }),
  };
}

/** The attempt that has just failed was the last of its policy, which wants an operator then. */
function parksNow({ failedCount, options: { retry } }: OpenActivity): boolean {
  return retry?.onExhausted === "park" && failedCount + 1 >= (retry.maxAttempts ?? Number.POSITIVE_INFINITY);
}

/** When the next attempt may begin; `undefined`: there is none. */
function retryAtOf(activity: OpenActivity, nowMs: number, random: Random): number | undefined {
  const { retry, scheduleToCloseMs } = activity.options;
  if (retry === undefined) return undefined;
  const failedCount = activity.failedCount + 1;
  if (retry.maxAttempts !== undefined && failedCount >= retry.maxAttempts) return undefined;
  const retryAt = nowMs + backoffMs(retry, failedCount, random.number());
  const isTooLate = scheduleToCloseMs !== undefined && retryAt >= activity.scheduledAt + scheduleToCloseMs;
  return isTooLate ? undefined : retryAt;
}
