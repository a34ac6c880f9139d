import type { NewEvent } from "../src/core/codec.ts";
import type { EventOf } from "../src/core/event.ts";
import type { Failure } from "../src/core/failure.ts";
import type { RetryRecord } from "../src/core/retry.ts";
import type { AuditedRun, Remark } from "./audited-run.ts";
import type { Protection } from "./cancel-oracle.ts";
import { protectionOfActivity, undoOf } from "./cancel-oracle.ts";

export interface AuditedActivity {
  readonly options: EventOf<"ActivityScheduled">["options"];
  readonly scheduledAt: number;
  attempt: number;
  /** By which owner the latest attempt was begun. */
  attemptEpoch: number;
  startedAt: number | undefined;
  failedCount: number;
  /** Workers that fell silent with it, or left it, one after the other. */
  lostCount: number;
  leftCount: number;
  /** The worker that has the latest attempt. */
  worker: string | undefined;
  /** When its start was on disk, by the time that only passes. */
  startedElapsedMs: number;
  retryAt: number | undefined;
  retryEpoch: number;
  setBackMs: number;
  readonly protection: Protection;
  isCancelRequested: boolean;
  /** It waits for an operator. */
  isParked: boolean;
  /** When that was on disk, by the time that only passes. */
  cancelledAtMs: number | undefined;
}

/** Judges what becomes of attempts on workers. */
export interface AttemptWatch {
  attemptStarted(
    run: AuditedRun,
    event: NewEvent & { readonly type: "ActivityStarted" },
    epoch: number,
  ): void;
  attemptLost(
    run: AuditedRun,
    event: NewEvent & { readonly type: "ActivityFailed" },
    of: {
      readonly identity: string;
      /** Since when it was under way, by the time that only passes. */
      readonly sinceMs: number;
      readonly isSameOwner: boolean;
    },
  ): void;
}

/** So many workers may fall silent in a row; the next one is a failure. */
const lossesBeforeFailure = 4;

/** What activities are judged with of the run that they are of. */
interface ActivitiesOptions {
  readonly run: AuditedRun;
  readonly setBackMs: () => number;
  readonly elapsedMs: () => number;
  readonly onRemark: (remark: Remark) => void;
  readonly watch: AttemptWatch | undefined;
  /** What takes back what the event has done that is applied now. */
  readonly onTakenBack: (takeBack: () => void) => void;
  /** Whether a command was recorded. */
  readonly isIssued: (key: string) => boolean;
  readonly fail: (kind: string, event: NewEvent, what: string) => never;
}

/** The activities of one run, their attempts, and what became of them, as its committed events tell it. Throws `SimulationFailure`. */
export class AuditedActivities {
  readonly open = new Map<number, AuditedActivity>();
  /** Idempotency keys of those that have had an outcome. */
  readonly settled = new Set<string>();
  readonly heartbeats = new Map<number, string>();
  /** Those of them that are in its history. */
  readonly #recordedHeartbeats = new Map<number, string>();
  /** Of attempts on workers, by ordinal and attempt: the details on disk when the attempt was begun. */
  readonly toldHeartbeats = new Map<string, string>();
  /** Compensations that were begun, in their order. */
  readonly undone: string[] = [];
  #undoing: number | undefined;
  /** What operators decided about parked activities, by the id of the request: of which. */
  readonly decisions = new Map<string, readonly number[]>();
  readonly #of: ActivitiesOptions;

  constructor(of: ActivitiesOptions) {
    this.#of = of;
  }

  /** False: it is of something else. */
  absorb(event: NewEvent, epoch: number): boolean {
    switch (event.type) {
      case "ActivityScheduled":
        this.open.set(event.ordinal, {
          options: event.options,
          scheduledAt: event.recordedAt,
          attempt: 0,
          attemptEpoch: epoch,
          startedAt: undefined,
          failedCount: 0,
          lostCount: 0,
          leftCount: 0,
          worker: undefined,
          startedElapsedMs: 0,
          retryAt: undefined,
          retryEpoch: epoch,
          setBackMs: 0,
          protection: protectionOfActivity(event),
          isCancelRequested: false,
          isParked: false,
          cancelledAtMs: undefined,
        });
        this.#noteUndo(event);
        return true;
      case "ActivityStarted":
        this.#startAttempt(event, epoch);
        return true;
      case "ActivityParked":
        this.#park(event, epoch);
        return true;
      case "ActivityResumed":
        this.#decide(event, event.ordinals);
        for (const ordinal of event.ordinals) {
          const activity = this.find({ ...event, ordinal });
          if (activity.attemptEpoch !== epoch)
            this.#of.onRemark("parked activity tried again under another owner");
          this.#of.onRemark("parked activity tried again");
          activity.isParked = false;
          activity.failedCount = 0;
          activity.retryAt = event.recordedAt;
          activity.retryEpoch = epoch;
          activity.setBackMs = this.#of.setBackMs();
        }
        return true;
      case "ActivityCompleted":
        if (event.byOperator === true) {
          this.#decide(event, [event.ordinal]);
          this.#of.onRemark("parked activity given a result");
          this.#settleActivity(event);
          return true;
        }
        if (this.#endAttempt(event, epoch).isCancelRequested)
          this.#of.onRemark("activity completed after it was cancelled");
        this.#settleActivity(event);
        return true;
      case "ActivityFailed":
      case "ActivityTimedOut":
        if (event.type === "ActivityFailed" && event.byOperator === true) {
          this.#decide(event, [event.ordinal]);
          this.#of.onRemark("parked activity given a failure");
          this.#settleActivity(event);
          return true;
        }
        this.#failAttempt(event, epoch);
        return true;
      case "ActivityCancelled":
        if (!this.find(event).isCancelRequested)
          this.#fail("cancelled-unasked", event, "nobody asked for it");
        if (this.find(event).isParked) this.#of.onRemark("parked activity called off");
        this.#of.onRemark("attempt cancelled");
        this.#settleActivity(event);
        return true;
      default:
        return false;
    }
  }

  /** What was under way begins anew, with all that its options allow. */
  reopen(recordedAt: number): void {
    // The store keeps no details for a run that has ended; its history does.
    this.heartbeats.clear();
    for (const [ordinal, details] of this.#recordedHeartbeats) this.heartbeats.set(ordinal, details);
    for (const [ordinal, activity] of this.open)
      this.open.set(ordinal, {
        ...activity,
        scheduledAt: recordedAt,
        startedAt: undefined,
        worker: undefined,
        failedCount: 0,
        lostCount: 0,
        leftCount: 0,
        retryAt: undefined,
      });
  }

  /** I-38: compensations follow one another. */
  #noteUndo(event: NewEvent & { readonly type: "ActivityScheduled" }): void {
    const undo = undoOf(event);
    if (undo === undefined) return;
    if (this.#undoing !== undefined && this.open.has(this.#undoing))
      this.#fail("cleanup", event, `${this.undone.at(-1)} is still under way`);
    this.#undoing = event.ordinal;
    this.undone.push(undo);
  }

  // I-10
  #startAttempt(event: NewEvent & { readonly type: "ActivityStarted" }, epoch: number): void {
    const activity = this.find(event);
    // I-60
    if (activity.isParked) this.#fail("parked-moves", event, "it waits for an operator");
    if (event.attempt !== activity.attempt + 1)
      this.#fail("attempt-number", event, `the latest attempt was ${activity.attempt}`);
    if (activity.retryAt !== undefined) {
      if (event.recordedAt < activity.retryAt - (this.#of.setBackMs() - activity.setBackMs))
        this.#fail("backoff-shortened", event, `the backoff is over at ${activity.retryAt}`);
      this.#of.onRemark("attempt failed and tried again");
      if (activity.retryEpoch !== epoch) this.#of.onRemark("backoff that went on under another owner");
    } else if (activity.startedAt !== undefined && activity.worker !== undefined) {
      // I-11: what a worker has is ended with a word, whichever engine comes.
      this.#fail("attempt-cut-off", event, `attempt ${activity.attempt} is with ${activity.worker}`);
    } else if (activity.startedAt !== undefined && activity.attemptEpoch !== epoch) {
      this.#of.onRemark("attempt begun anew after its engine died");
    }
    activity.attempt = event.attempt;
    activity.attemptEpoch = epoch;
    activity.startedAt = event.recordedAt;
    activity.retryAt = undefined;
    activity.worker = event.worker;
    activity.startedElapsedMs = this.#of.elapsedMs();
    if (event.worker === undefined) return;
    const details = this.heartbeats.get(event.ordinal);
    if (details !== undefined) this.toldHeartbeats.set(`${event.ordinal} ${event.attempt}`, details);
    this.#of.watch?.attemptStarted(this.#of.run, event, epoch);
  }

  /** I-12: an outcome is that of the attempt under way. */
  #endAttempt(
    event: NewEvent & { readonly ordinal: number; readonly attempt: number },
    epoch: number,
  ): AuditedActivity {
    const activity = this.find(event);
    if (activity.startedAt === undefined || activity.attempt !== event.attempt)
      this.#fail("late-outcome", event, `attempt ${activity.attempt} is the latest`);
    if (activity.worker !== undefined && activity.attemptEpoch !== epoch)
      this.#of.onRemark("attempt on a worker ended under another owner");
    return activity;
  }

  #failAttempt(
    event: NewEvent & { readonly type: "ActivityFailed" | "ActivityTimedOut" },
    epoch: number,
  ): void {
    const activity = this.find(event);
    const { retry, startToCloseMs, scheduleToCloseMs, scheduleToStartMs, heartbeatMs } = activity.options;
    if (event.type === "ActivityTimedOut") {
      const declared = {
        "start-to-close": startToCloseMs,
        "schedule-to-close": scheduleToCloseMs,
        "schedule-to-start": scheduleToStartMs,
        heartbeat: heartbeatMs,
        scope: undefined,
        run: undefined,
        execution: undefined,
      }[event.timeout];
      if (declared === undefined) this.#fail("undeclared-time-out", event, "no such time-out was declared");
      this.#of.onRemark("attempt timed out");
      if (activity.startedAt === undefined) this.#of.onRemark("activity timed out that was not under way");
      if (activity.isParked) this.#of.onRemark("parked activity ran out of time");
    }
    const isOfAttempt = event.type === "ActivityFailed" || activity.startedAt !== undefined;
    if (isOfAttempt) this.#endAttempt(event, epoch);
    if (event.type === "ActivityFailed" && event.lost !== undefined) {
      this.#loseAttempt(event, activity, epoch);
      return;
    }
    if (event.type === "ActivityFailed" && event.failure.type === "worker_lost") {
      if (activity.worker === undefined || activity.lostCount < lossesBeforeFailure)
        this.#fail("given-up", event, `${activity.lostCount} workers were lost with it before`);
      this.#of.onRemark("activity given up after five silent workers");
    }
    activity.failedCount += 1;
    activity.lostCount = 0;
    activity.leftCount = 0;
    const isLast =
      retry === undefined || activity.failedCount >= (retry.maxAttempts ?? Number.POSITIVE_INFINITY);
    const isFinal =
      (event.type === "ActivityFailed" && isFinalFor(event.failure, retry)) ||
      (event.type === "ActivityTimedOut" && event.timeout.startsWith("schedule-to"));
    // I-14: of the last one, too: it may be taken back.
    this.#noteHeartbeat(event);
    const isToPark =
      event.type === "ActivityFailed" && asksToPark(event.failure, retry)
        ? !isInvalid(event)
        : isLast && !isFinal && retry?.onExhausted === "park";
    // I-60
    if (isToPark) this.#fail("not-parked", event, "it was to wait for an operator");
    if (event.retryAt === undefined) {
      const mayBeTooLate = scheduleToCloseMs !== undefined;
      if (!isLast && !isFinal && !mayBeTooLate)
        this.#fail("given-up", event, `${activity.failedCount} attempts failed, and the policy allows more`);
      this.#settleActivity(event);
      return;
    }
    if (isLast || isFinal)
      this.#fail("attempts-exceeded", event, `${activity.failedCount} attempts failed; no other may follow`);
    const { atLeast, atMost } = boundsOf(retry, activity.failedCount);
    const waitMs = event.retryAt - event.recordedAt;
    if (waitMs < atLeast || waitMs > atMost)
      this.#fail("backoff-length", event, `waits ${waitMs} ms, the policy says ${atLeast} to ${atMost}`);
    if (scheduleToCloseMs !== undefined && event.retryAt >= activity.scheduledAt + scheduleToCloseMs)
      this.#fail(
        "beyond-time-out",
        event,
        `all attempts were to be over ${scheduleToCloseMs} ms after the first`,
      );
    activity.retryAt = event.retryAt;
    activity.retryEpoch = epoch;
    activity.setBackMs = this.#of.setBackMs();
    activity.startedAt = undefined;
  }

  #noteHeartbeat({
    ordinal,
    heartbeat,
  }: NewEvent & { readonly type: "ActivityFailed" | "ActivityTimedOut" | "ActivityParked" }): void {
    if (heartbeat === undefined) return;
    this.heartbeats.set(ordinal, heartbeat);
    this.#recordedHeartbeats.set(ordinal, heartbeat);
  }

  /** I-60: it asks for an operator, or its attempts are used up and its policy does. */
  #park(event: NewEvent & { readonly type: "ActivityParked" }, epoch: number): void {
    const activity = this.#endAttempt(event, epoch);
    const { retry, startToCloseMs, heartbeatMs } = activity.options;
    const { failure, timeout } = event;
    this.#noteHeartbeat(event);
    if (activity.isCancelRequested) this.#fail("parked-wrongly", event, "it was asked to stop");
    if (timeout !== undefined) {
      const declared = { "start-to-close": startToCloseMs, heartbeat: heartbeatMs }[timeout as string];
      if (declared === undefined) this.#fail("undeclared-time-out", event, "no such time-out was declared");
      this.#of.onRemark("attempt timed out");
      this.#of.onRemark("activity parked by a time-out");
    }
    const isLost = failure.type === "worker_lost";
    if (isLost && (activity.worker === undefined || activity.lostCount < lossesBeforeFailure))
      this.#fail("given-up", event, `${activity.lostCount} workers were lost with it before`);
    activity.failedCount += 1;
    activity.lostCount = 0;
    activity.leftCount = 0;
    const isExhausted =
      retry?.onExhausted === "park" && activity.failedCount >= (retry.maxAttempts ?? Infinity);
    const isAsked = asksToPark(failure, retry);
    if (!isAsked && (!isExhausted || isFinalFor(failure, retry)))
      this.#fail("parked-wrongly", event, `${activity.failedCount} attempts failed`);
    if (!isAsked) this.#of.onRemark("activity parked by its policy");
    else if (failure.park !== true) this.#of.onRemark("activity parked for the type of its failure");
    this.#of.onRemark("activity parked");
    activity.isParked = true;
    activity.startedAt = undefined;
    activity.worker = undefined;
    activity.retryAt = undefined;
    if (event.heartbeat !== undefined) this.heartbeats.set(event.ordinal, event.heartbeat);
  }

  /** I-60: what an operator decides is decided once, of what waits for him. */
  #decide(
    event: NewEvent & { readonly requestId?: string; readonly ordinal?: number },
    ordinals: readonly number[],
  ): void {
    const { requestId } = event;
    if (ordinals.length === 0) this.#fail("decided-nothing", event, "it is about no activity");
    for (const ordinal of ordinals) {
      if (this.open.get(ordinal)?.isParked !== true)
        this.#fail("decided-wrongly", event, `activity ${ordinal} waits for nobody`);
    }
    if (requestId === undefined) return;
    const request = `resume-activity:${requestId}`;
    if (this.#of.run.controlRequests.has(request)) this.#fail("control-twice", event, "it was made before");
    this.#of.run.controlRequests.add(request);
    this.decisions.set(requestId, ordinals);
  }

  /** The ordinals of what waits for an operator. */
  get parked(): readonly number[] {
    return [...this.open].flatMap(([ordinal, { isParked }]) => (isParked ? [ordinal] : []));
  }

  /** The worker is gone: nobody counts it, and the next attempt begins at once, but for those that end their workers. */
  #loseAttempt(
    event: NewEvent & { readonly type: "ActivityFailed" },
    activity: AuditedActivity,
    epoch: number,
  ): void {
    const { worker, attemptEpoch, startedElapsedMs } = activity;
    if (worker === undefined) return this.#fail("lost-without-cause", event, "no worker has it");
    if (event.lost === "silent") activity.lostCount += 1;
    else activity.leftCount += 1;
    if (activity.lostCount > lossesBeforeFailure)
      this.#fail("attempts-exceeded", event, `${activity.lostCount} workers were lost with it`);
    const count = event.lost === "silent" ? activity.lostCount : activity.leftCount;
    const waitMs = count < 2 ? 0 : Math.min(60_000, 1_000 * 2 ** (count - 2));
    if (event.retryAt !== event.recordedAt + waitMs)
      this.#fail("backoff-length", event, `it is the ${count}th in a row, and the wait is ${waitMs} ms`);
    this.#of.watch?.attemptLost(this.#of.run, event, {
      identity: worker,
      sinceMs: startedElapsedMs,
      isSameOwner: attemptEpoch === epoch,
    });
    activity.retryAt = event.retryAt;
    activity.retryEpoch = epoch;
    activity.setBackMs = this.#of.setBackMs();
    activity.startedAt = undefined;
    this.#noteHeartbeat(event);
  }

  find(event: NewEvent & { readonly ordinal: number }): AuditedActivity {
    const activity = this.open.get(event.ordinal);
    if (activity === undefined) return this.#fail("second-outcome", event, "no such activity is open");
    return activity;
  }

  #settleActivity(event: NewEvent & { readonly ordinal: number }): void {
    const activity = this.find(event);
    const key = `${this.#of.run.runId}:${event.ordinal}`;
    this.open.delete(event.ordinal);
    this.settled.add(key);
    this.#of.onTakenBack(() => {
      this.open.set(event.ordinal, activity);
      this.settled.delete(key);
      // Asked for after its outcome, in a pause: without that it counts.
      if (this.#of.isIssued(`ActivityCancelRequested ${event.ordinal}`)) activity.isCancelRequested = true;
    });
  }

  #fail(kind: string, event: NewEvent, what: string): never {
    return this.#of.fail(kind, event, what);
  }
}

/** What the policy says of its type goes before what the failure says. */
function asksToPark(failure: Failure, retry: RetryRecord | undefined): boolean {
  return !isNamed(failure, retry?.nonRetryable) && (failure.park === true || isNamed(failure, retry?.park));
}

function isFinalFor(failure: Failure, retry: RetryRecord | undefined): boolean {
  if (isNamed(failure, retry?.nonRetryable)) return true;
  return failure.nonRetryable === true && !isNamed(failure, retry?.park);
}

function isNamed({ type }: Failure, types: readonly string[] | undefined): boolean {
  return type !== undefined && types?.includes(type) === true;
}

/** Data that fits no schema or limit does not fit the next time either, whoever mends what. */
function isInvalid({ failure }: NewEvent & { readonly type: "ActivityFailed" }): boolean {
  return failure.kind === "engine" && failure.type?.startsWith("payload_") === true;
}

/** How long the wait after the `failedCount`-th failure is, from the text of the policy. */
function boundsOf(
  retry: RetryRecord | undefined,
  failedCount: number,
): { readonly atLeast: number; readonly atMost: number } {
  if (retry === undefined) return { atLeast: 0, atMost: 0 };
  let waitMs = retry.initialMs;
  for (let count = 1; count < failedCount; count++) {
    if (retry.backoff === "linear") waitMs += retry.incrementMs;
    else if (retry.backoff === "exponential") waitMs *= retry.multiplier;
  }
  const atMost = Math.min(waitMs, retry.maxMs);
  return { atLeast: Math.floor(atMost * (1 - retry.jitter)), atMost: Math.ceil(atMost) };
}
