import { AionError } from "../core/errors.ts";
import type {
  ActivityOptionsRecord,
  CodeIdentity,
  ControlKind,
  Event,
  EventBody,
  EventOf,
  ParentClosePolicy,
  StartSignal,
} from "../core/event.ts";
import { controlRequestKey, startDelayOrdinal } from "../core/event.ts";
import type { Failure } from "../core/failure.ts";
import { longHistoryDefault, sizeOfEvent } from "../core/history-size.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { nullPayload } from "../core/payload.ts";
import { coordinatorType } from "../core/schedule.ts";
import { ScheduleState } from "../core/schedule-state.ts";
import type { RunStatus } from "../core/status.ts";
import { isClosed, isTerminal, statusAfter } from "../core/status.ts";
import type { Delivery } from "../core/activation.ts";

/** An activity that has no outcome yet. */
export interface OpenActivity {
  readonly ordinal: number;
  readonly activityType: string;
  readonly input: Payload;
  readonly options: ActivityOptionsRecord;
  readonly isStep: boolean;
  /** Its idempotency key is that of this run: of the one that asked for it first, though another goes on from there. */
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
}

export interface OpenChild {
  readonly ordinal: number;
  /** Which run the child knows as its parent. */
  readonly parentRunId: RunId;
  readonly childWorkflowId: WorkflowId;
  readonly workflowType: string;
  readonly parentClosePolicy: ParentClosePolicy;
}

export interface OpenTimer {
  readonly ordinal: number;
  readonly fireAt: number;
}

/** An update that was accepted. */
export interface AcceptedUpdate {
  readonly updateId: string;
  readonly name: string;
  readonly acceptedSeq: number;
  readonly acceptedAt: number;
  /** The event that gave it its outcome: its own, or the end of the run; `undefined`: it has none yet. */
  settledSeq: number | undefined;
}

/** Recorded during a pause, and not told to the code yet. */
interface Held {
  readonly seq: number;
  readonly delivery: Delivery;
}

const noTimers: ReadonlyMap<number, OpenTimer> = new Map();
const noChildren: ReadonlyMap<number, OpenChild> = new Map();
const noVoids: ReadonlySet<number> = new Set();
const noSends: ReadonlyMap<number, RunId> = new Map();
const noUpdates: ReadonlySet<AcceptedUpdate> = new Set();

/** A bound: the dedupe ids that a chain of runs carries along, of signals, of updates and of cancellations each. */
const dedupeIdsMax = 1_000;

/**
 * What is open in one run: a projection of its segment, with no other source. The same code builds it live and
 * on replay. `apply` also says what the workflow code is to learn from an event.
 *
 * Laws: events come in seq order; after an event that closes the run none is accepted. What happens to a paused run counts at
 * once, and the code learns of it after the pause, in the same order.
 */
export class RunState {
  readonly workflowId: WorkflowId;
  readonly activities = new Map<number, OpenActivity>();
  // Most runs have none of these, and thousands of runs are in memory.
  #timers: Map<number, OpenTimer> | undefined;
  #children: Map<number, OpenChild> | undefined;
  #sends: Map<number, RunId> | undefined;
  #signalIds: Set<string> | undefined;
  #cancelRequestIds: Set<string> | undefined;
  #updates: Map<string, AcceptedUpdate> | undefined;
  #pendingUpdates: Set<AcceptedUpdate> | undefined;
  /** An end of the run was their outcome. */
  #leftUpdates: Set<AcceptedUpdate> | undefined;
  #controlRequestIds: Set<string> | undefined;
  #pause: { readonly at: number; readonly reason?: string } | undefined;
  #held: Held[] | undefined;
  readonly #voids: ReadonlySet<number>;
  #deadlines: { readonly runDeadlineAt?: number; readonly executionDeadlineAt?: number } | undefined;
  #started: EventOf<"WorkflowStarted"> | undefined;
  #headSeq = 0;
  #historyBytes = 0;
  #longHistory = longHistoryDefault;
  #longSinceSeq = Number.POSITIVE_INFINITY;
  #status: RunStatus = "running";
  #terminal: Event | undefined;
  #abandoned: readonly OpenActivity[] = [];
  #isCodeStarted = false;
  #isCancelRequested = false;
  #latestWorker: string | undefined;
  #schedule: ScheduleState | undefined;
  #identity: CodeIdentity | undefined;
  /** Signals behind a `WorkflowReset` that are yet to be told. */
  #carried = 0;

  /** `voids`: the seqs of events that a reopening has voided. */
  constructor(workflowId: WorkflowId, voids: ReadonlySet<number> = noVoids) {
    this.workflowId = workflowId;
    this.#voids = voids;
  }

  /** Whether the event does not count any more. */
  isVoid(seq: number): boolean {
    return this.#voids.has(seq);
  }

  /** When the run, and the whole chain, times out. */
  get deadlines(): { readonly runDeadlineAt?: number; readonly executionDeadlineAt?: number } {
    return this.#deadlines ?? this.started;
  }

  /** As whom the code acts from here on; `undefined`: as the run that it is, and nothing else. */
  get identity(): CodeIdentity | undefined {
    return this.#identity ?? this.#started?.resetOf?.begunAs;
  }

  get #actsAs(): RunId {
    return this.identity?.runId ?? this.started.runId;
  }

  /** The first event of the run. Throws `history_shape` before it was applied. */
  get started(): EventOf<"WorkflowStarted"> {
    if (this.#started === undefined) {
      throw new AionError(
        "history_shape",
        `workflow ${this.workflowId} has no WorkflowStarted event in its history`,
      );
    }
    return this.#started;
  }

  get timers(): ReadonlyMap<number, OpenTimer> {
    return this.#timers ?? noTimers;
  }

  get children(): ReadonlyMap<number, OpenChild> {
    return this.#children ?? noChildren;
  }

  /** Signals to others that have not been answered, and which run those know as the sender. */
  get sends(): ReadonlyMap<number, RunId> {
    return this.#sends ?? noSends;
  }

  /** Of the coordinator of a schedule, which has no code: all that it knows. */
  get schedule(): ScheduleState | undefined {
    return this.#schedule;
  }

  get headSeq(): number {
    return this.#headSeq;
  }

  get status(): RunStatus {
    return this.#status;
  }

  get isClosed(): boolean {
    return isClosed(this.#status);
  }

  /** Since when the run is paused, and why; `undefined`: it is not. */
  get pause(): { readonly at: number; readonly reason?: string } | undefined {
    return this.#pause;
  }

  /** The pause is over, and the code has not been told of all that was recorded during it: what comes next, by its seq. */
  get undelivered(): number | undefined {
    return this.#pause === undefined && !this.isClosed ? this.#held?.[0]?.seq : undefined;
  }

  /** What the code was never told, since it went on as a new run before: that one is to hear of it. */
  leftUntold(): {
    readonly signals: readonly StartSignal[];
    readonly cancel: { readonly reason?: string } | undefined;
  } {
    const signals: StartSignal[] = [];
    let cancel: { readonly reason?: string } | undefined;
    for (const { delivery } of this.#held ?? []) {
      if (delivery.kind === "signal") signals.push({ name: delivery.name, payload: delivery.payload });
      else if (delivery.kind === "cancel") cancel = delivery;
    }
    return { signals, cancel };
  }

  /** How much was recorded in a pause and not told yet. */
  get untoldCount(): number {
    return this.#held?.length ?? 0;
  }

  /** No attempt begins: the run is paused, or what the code is told after a pause may yet call off what it asked for. */
  get holdsAttempts(): boolean {
    return this.#pause !== undefined || this.#held !== undefined;
  }

  get terminal(): Event | undefined {
    return this.#terminal;
  }

  /** Updates that had no outcome when the run ended: that end is it. */
  get leftUpdates(): readonly AcceptedUpdate[] {
    const endSeq = this.#terminal?.seq;
    return [...(this.#leftUpdates ?? [])].filter(({ settledSeq }) => settledSeq === endSeq);
  }

  /** Activities that had no outcome when the run ended. */
  get abandoned(): readonly OpenActivity[] {
    return this.#abandoned;
  }

  /** False while a start delay runs. */
  get isCodeStarted(): boolean {
    return this.#isCodeStarted;
  }

  get isCancelRequested(): boolean {
    return this.#isCancelRequested;
  }

  /** The worker that was given the latest attempt of an activity of this run. */
  get latestWorker(): string | undefined {
    return this.#latestWorker;
  }

  get historyLength(): number {
    return this.#started === undefined ? 0 : this.#headSeq - this.#started.seq + 1;
  }

  /** About what its events take: see `sizeOfEvent`. */
  get historyBytes(): number {
    return this.#historyBytes;
  }

  /** The event by which the history became so long that the code had better continue as new; infinite: it is not. */
  get longSinceSeq(): number {
    return this.#longSinceSeq;
  }

  get isHistoryLong(): boolean {
    return this.#longSinceSeq <= this.#headSeq;
  }

  hasSignal(signalId: string): boolean {
    return this.#signalIds?.has(signalId) === true;
  }

  /** The latest dedupe ids, for the next run of the chain. */
  recentSignalIds(): readonly string[] {
    return [...(this.#signalIds ?? [])].slice(-dedupeIdsMax);
  }

  /** An update that this run accepted. */
  updateOf(updateId: string): AcceptedUpdate | undefined {
    return this.#updates?.get(updateId);
  }

  /** Accepted, and without an outcome, in the order in which they came. */
  get pendingUpdates(): ReadonlySet<AcceptedUpdate> {
    return this.#pendingUpdates ?? noUpdates;
  }

  /** An earlier run of the chain accepted an update of that id. */
  hasEarlierUpdate(updateId: string): boolean {
    return this.#started?.updateIds?.includes(updateId) === true;
  }

  /** The latest ids of updates, for the next run of the chain. */
  recentUpdateIds(): readonly string[] {
    return [...(this.#started?.updateIds ?? []), ...(this.#updates?.keys() ?? [])].slice(-dedupeIdsMax);
  }

  /** Whether the run, or one that it continues, was asked to stop by that request. */
  hasCancelRequest(requestId: string): boolean {
    return this.#cancelRequestIds?.has(requestId) === true;
  }

  /** Whether the run, or one that it continues, was asked for that by that request. */
  hasControlRequest(kind: ControlKind, requestId: string): boolean {
    return this.#controlRequestIds?.has(controlRequestKey(kind, requestId)) === true;
  }

  recentControlRequestIds(): readonly string[] {
    return [...(this.#controlRequestIds ?? [])].slice(-dedupeIdsMax);
  }

  recentCancelRequestIds(): readonly string[] {
    return [...(this.#cancelRequestIds ?? [])].slice(-dedupeIdsMax);
  }

  /** Takes the next event. Throws `history_shape` for one that no engine writes at this place. */
  apply(event: Event): Delivery | undefined {
    if (this.#started === undefined && event.type !== "WorkflowStarted") {
      throw this.#shape(event, "the run has no WorkflowStarted before it");
    }
    if (this.#started !== undefined && event.seq !== this.#headSeq + 1) {
      throw this.#shape(event, `event ${this.#headSeq + 1} was expected`);
    }
    if (this.isClosed) throw this.#shape(event, "the run has ended before it");
    this.#headSeq = event.seq;
    if (this.#voids.has(event.seq)) {
      this.#measure(event);
      // Of a cancellation that was undone the request is known all the same.
      if (event.type === "WorkflowCancelRequested" || event.type === "WorkflowCancelled")
        this.#rememberCancel(event.requestId);
      // It was told to those that waited for an update, and stands.
      if (isTerminal(event)) this.#leaveUpdates(event);
      return undefined;
    }
    const status = statusAfter(event);
    if (status !== undefined) {
      this.#status = status;
      if (isClosed(status)) this.#end(event);
    }
    const isCarried = this.#carried > 0;
    if (isCarried) this.#carried -= 1;
    const delivery = this.#absorb(event);
    this.#measure(event);
    if ((this.#pause === undefined && !isCarried) || delivery === undefined) return delivery;
    this.#held ??= [];
    this.#held.push({ seq: event.seq, delivery });
    // The start delay is over, and the code has yet to begin.
    if (delivery.kind === "start") this.#isCodeStarted = false;
    return undefined;
  }

  #measure(event: Event): void {
    this.#historyBytes += sizeOfEvent(event);
    if (this.#longSinceSeq < event.seq) return;
    if (this.#isLong(this.historyLength, this.#historyBytes)) this.#longSinceSeq = event.seq;
  }

  #isLong(historyLength: number, historyBytes: number): boolean {
    const { events, bytes } = this.#longHistory;
    return historyLength >= events || historyBytes >= bytes;
  }

  /** What `isHistoryLong` will be when that event is applied. */
  isHistoryLongWith(event: EventBody): boolean {
    const bytes = this.#historyBytes + sizeOfEvent(event as Event);
    return this.isHistoryLong || this.#isLong(this.historyLength + 1, bytes);
  }

  /** Nothing is open in a run that has ended; its children go their own way. */
  #end(terminal: Event): void {
    this.#terminal = terminal;
    this.#abandoned = [...this.activities.values()];
    this.activities.clear();
    this.#timers = undefined;
    this.#sends = undefined;
    this.#leaveUpdates(terminal);
    this.#pause = undefined;
  }

  #leaveUpdates(terminal: Event): void {
    for (const update of this.pendingUpdates) {
      update.settledSeq = terminal.seq;
      this.#leftUpdates ??= new Set();
      this.#leftUpdates.add(update);
    }
    this.#pendingUpdates = undefined;
  }

  #absorb(event: Event): Delivery | undefined {
    if (this.#schedule !== undefined && event.type !== "WorkflowStarted") {
      this.#schedule.apply(event);
      return undefined;
    }
    switch (event.type) {
      case "WorkflowStarted":
        if (this.#started !== undefined) throw this.#shape(event, "the run has started before it");
        this.#started = event;
        if (event.longHistory !== undefined) this.#longHistory = event.longHistory;
        for (const id of event.signalIds ?? []) this.#remember(id);
        for (const { signalId } of event.signals ?? []) this.#remember(signalId);
        for (const id of event.cancelRequestIds ?? []) this.#rememberCancel(id);
        if (event.controlRequestIds !== undefined) this.#controlRequestIds = new Set(event.controlRequestIds);
        if (event.workflowType === coordinatorType) {
          this.#schedule = ScheduleState.of(event);
          return undefined;
        }
        if (event.startAt === undefined) return this.#startCode(event);
        this.#arm(startDelayOrdinal, event.startAt);
        return undefined;
      case "ActivityScheduled":
        this.activities.set(event.ordinal, {
          ordinal: event.ordinal,
          activityType: event.activityType,
          input: event.input,
          options: event.options,
          isStep: event.isStep === true,
          keyRunId: this.#actsAs,
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
        });
        return undefined;
      case "ActivityStarted": {
        const activity = this.#activityOf(event);
        activity.attempt = event.attempt;
        activity.startedAt = event.recordedAt;
        activity.worker = event.worker;
        activity.retryAt = undefined;
        if (event.worker !== undefined) this.#latestWorker = event.worker;
        return undefined;
      }
      case "ActivityCompleted":
        this.#settleActivity(event);
        return { kind: "activity", ordinal: event.ordinal, outcome: { ok: true, value: event.result } };
      case "ActivityFailed":
      case "ActivityTimedOut":
        return this.#failActivity(event);
      case "ActivityCancelRequested":
        // It had its outcome during a pause, of which the code is told yet.
        if (this.#findHeld("activity", event.ordinal) < 0) this.#activityOf(event).isCancelRequested = true;
        return undefined;
      case "ActivityCancelled": {
        const { activityType } = this.#settleActivity(event);
        return fail("activity", event.ordinal, {
          kind: "cancelled",
          message: `activity ${JSON.stringify(activityType)} was cancelled`,
        });
      }
      case "TimerStarted":
        this.#arm(event.ordinal, event.fireAt);
        return undefined;
      case "TimerFired":
        if (this.#timers?.delete(event.ordinal) !== true) throw this.#shape(event, "no such timer is open");
        return event.ordinal === startDelayOrdinal
          ? this.#startCode(this.started)
          : { kind: "timer", ordinal: event.ordinal };
      case "TimerCancelled":
        if (this.#forgetFired(event.ordinal)) return undefined;
        if (this.#timers?.delete(event.ordinal) !== true) throw this.#shape(event, "no such timer is open");
        return undefined;
      case "SignalReceived":
        this.#remember(event.signalId);
        return { kind: "signal", name: event.name, payload: event.payload };
      case "SignalSent":
        this.#sends ??= new Map();
        this.#sends.set(event.ordinal, this.#actsAs);
        return undefined;
      case "SignalSettled":
        if (this.#sends?.delete(event.ordinal) !== true) throw this.#shape(event, "no such signal was sent");
        return event.failure === undefined
          ? { kind: "signal-settled", ordinal: event.ordinal, outcome: { ok: true, value: nullPayload } }
          : {
              kind: "signal-settled",
              ordinal: event.ordinal,
              outcome: { ok: false, failure: event.failure },
            };
      case "UpdateAccepted":
        return this.#acceptUpdate(event);
      case "UpdateCompleted":
        this.#settleUpdate(event);
        return undefined;
      case "ChildWorkflowStarted":
        this.#children ??= new Map();
        this.#children.set(event.ordinal, {
          ordinal: event.ordinal,
          parentRunId: this.#actsAs,
          childWorkflowId: event.childWorkflowId,
          workflowType: event.workflowType,
          parentClosePolicy: event.parentClosePolicy,
        });
        return undefined;
      case "ChildWorkflowCompleted":
        this.#settleChild(event);
        return { kind: "child", ordinal: event.ordinal, outcome: { ok: true, value: event.result } };
      case "ChildWorkflowFailed":
        return this.#failChild(event, event.failure.message, event.failure);
      case "ChildWorkflowCancelled":
        return this.#failChild(event, "was cancelled", {
          kind: "cancelled",
          message: "the child was cancelled",
        });
      case "ChildWorkflowTimedOut":
        return this.#failChild(event, "timed out", {
          kind: "timeout",
          message: "the child timed out",
          timeout: "run",
        });
      case "ChildWorkflowTerminated":
        return this.#failChild(event, "was terminated", {
          kind: "terminated",
          message: "the child was terminated",
        });
      case "WorkflowCancelRequested":
        this.#rememberCancel(event.requestId);
        if (event.isFurther === true) return undefined;
        this.#isCancelRequested = true;
        return { kind: "cancel", ...(event.reason === undefined ? {} : { reason: event.reason }) };
      case "WorkflowPaused":
        this.#rememberControl("pause", event.requestId);
        if (event.isFurther === true) return undefined;
        this.#pause = {
          at: event.recordedAt,
          ...(event.reason === undefined ? {} : { reason: event.reason }),
        };
        return undefined;
      case "WorkflowResumed":
        this.#rememberControl("resume", event.requestId);
        if (event.isFurther !== true) this.#pause = undefined;
        return undefined;
      case "WorkflowReopened":
        this.#rememberControl("reopen", event.requestId);
        this.#reopen(event);
        return undefined;
      case "WorkflowReset":
        this.#identity = event.as;
        this.#carried = event.carriedSignals ?? 0;
        this.#reopen(event);
        return undefined;
      case "InputDelivered":
        return this.#deliverHeld(event);
      case "ChildWorkflowCancelRequested":
      case "SideEffectRecorded":
      case "VersionMarked":
      case "WorkflowCompleted":
      case "WorkflowFailed":
      case "WorkflowCancelled":
      case "WorkflowTerminated":
      case "WorkflowTimedOut":
      case "WorkflowContinuedAsNew":
        return undefined;
      case "ScheduleCreated":
      case "ScheduleUpdated":
      case "SchedulePaused":
      case "ScheduleResumed":
      case "ScheduleDeleted":
      case "ScheduleTriggered":
      case "ScheduleSkipped":
      case "ScheduleBackfillRequested":
        throw this.#shape(event, "the run is not the coordinator of a schedule");
    }
  }

  #arm(ordinal: number, fireAt: number): void {
    this.#timers ??= new Map();
    this.#timers.set(ordinal, { ordinal, fireAt });
  }

  #remember(signalId: string | undefined): void {
    if (signalId === undefined) return;
    this.#signalIds ??= new Set();
    this.#signalIds.add(signalId);
  }

  #rememberCancel(requestId: string | undefined): void {
    if (requestId === undefined) return;
    this.#cancelRequestIds ??= new Set();
    this.#cancelRequestIds.add(requestId);
  }

  #acceptUpdate(event: EventOf<"UpdateAccepted">): Delivery {
    const { updateId, name, input, seq, recordedAt } = event;
    this.#updates ??= new Map();
    if (this.#updates.has(updateId)) throw this.#shape(event, `update ${updateId} was accepted before it`);
    const update = { updateId, name, acceptedSeq: seq, acceptedAt: recordedAt, settledSeq: undefined };
    this.#updates.set(updateId, update);
    this.#pendingUpdates ??= new Set();
    this.#pendingUpdates.add(update);
    return { kind: "update", updateId, name, input };
  }

  #settleUpdate(event: EventOf<"UpdateCompleted">): void {
    const update = this.#updates?.get(event.updateId);
    if (update !== undefined && this.#pendingUpdates?.delete(update) === true) update.settledSeq = event.seq;
    // Its run had ended, and goes on after all: what was told of it then stands.
    else if (update === undefined || this.#leftUpdates?.delete(update) !== true)
      throw this.#shape(event, `update ${event.updateId} is not open`);
  }

  #rememberControl(kind: ControlKind, requestId: string | undefined): void {
    if (requestId === undefined) return;
    this.#controlRequestIds ??= new Set();
    this.#controlRequestIds.add(controlRequestKey(kind, requestId));
  }

  /**
   * What was under way when it ended was told to stop: it begins anew, with all that its options allow. A pause in which it ended is
   * over, and what the code was not told of in it comes next.
   */
  #reopen(event: EventOf<"WorkflowReopened"> | EventOf<"WorkflowReset">): void {
    this.#pause = undefined;
    const isFork = event.type === "WorkflowReset" && event.isFork === true;
    for (const [ordinal, activity] of this.activities) {
      this.activities.set(ordinal, {
        ...activity,
        ...(isFork ? { keyRunId: event.as.runId } : {}),
        scheduledAt: event.recordedAt,
        startedAt: undefined,
        worker: undefined,
        failedCount: 0,
        lostCount: 0,
        leftCount: 0,
        retryAt: undefined,
      });
    }
    const { runDeadlineAt, executionDeadlineAt } = { ...this.deadlines, ...event };
    this.#deadlines = {
      ...(runDeadlineAt === undefined ? {} : { runDeadlineAt }),
      ...(executionDeadlineAt === undefined ? {} : { executionDeadlineAt }),
    };
  }

  #deliverHeld(event: EventOf<"InputDelivered">): Delivery {
    if (this.#pause !== undefined) throw this.#shape(event, "the run is paused");
    const held = this.#held?.shift();
    if (held?.seq !== event.of)
      throw this.#shape(event, `event ${event.of} is not what the code learns of next`);
    if (this.#held?.length === 0) this.#held = undefined;
    if (held.delivery.kind === "start") this.#isCodeStarted = true;
    return held.delivery;
  }

  /** It ran out during a pause, and the code has called it off before it was told. */
  #forgetFired(ordinal: number): boolean {
    const place = this.#findHeld("timer", ordinal);
    if (place < 0) return false;
    this.#held?.splice(place, 1);
    if (this.#held?.length === 0) this.#held = undefined;
    return true;
  }

  #findHeld(kind: "activity" | "timer", ordinal: number): number {
    return (
      this.#held?.findIndex(({ delivery }) => delivery.kind === kind && delivery.ordinal === ordinal) ?? -1
    );
  }

  #startCode(started: EventOf<"WorkflowStarted">): Delivery {
    this.#isCodeStarted = true;
    const { input, signals } = started;
    return { kind: "start", input, ...(signals === undefined ? {} : { signals }) };
  }

  #failActivity(event: EventOf<"ActivityFailed"> | EventOf<"ActivityTimedOut">): Delivery | undefined {
    const activity = this.#activityOf(event);
    const { activityType } = activity;
    const failure: Failure =
      event.type === "ActivityFailed"
        ? event.failure
        : {
            kind: "timeout",
            message: `activity ${JSON.stringify(activityType)}: ${event.timeout} time-out`,
            timeout: event.timeout,
          };
    if (event.retryAt !== undefined) {
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
      activity.retryAt = event.retryAt;
      if (event.heartbeat !== undefined) {
        activity.heartbeat = event.heartbeat;
        activity.heartbeatAttempt = event.attempt;
      }
      activity.lastFailure = failure;
      return undefined;
    }
    this.#settleActivity(event);
    return fail("activity", event.ordinal, {
      kind: "activity",
      message: `activity ${JSON.stringify(activityType)} failed at attempt ${event.attempt}: ${failure.message}`,
      of: activityType,
      attempt: event.attempt,
      cause: failure,
    });
  }

  #failChild(event: Event & { readonly ordinal: number }, what: string, cause: Failure): Delivery {
    const open = this.#settleChild(event);
    return fail("child", event.ordinal, {
      kind: "child",
      message: `child workflow ${JSON.stringify(open.workflowType)} (${open.childWorkflowId}): ${what}`,
      of: open.workflowType,
      childWorkflowId: open.childWorkflowId,
      cause,
    });
  }

  #activityOf(event: Event & { readonly ordinal: number }): OpenActivity {
    const activity = this.activities.get(event.ordinal);
    if (activity === undefined) throw this.#shape(event, `activity #${event.ordinal} is not open`);
    return activity;
  }

  #settleActivity(event: Event & { readonly ordinal: number }): OpenActivity {
    const activity = this.#activityOf(event);
    this.activities.delete(event.ordinal);
    return activity;
  }

  #settleChild(event: Event & { readonly ordinal: number }): OpenChild {
    const open = this.children.get(event.ordinal);
    if (open === undefined) throw this.#shape(event, `child #${event.ordinal} is not open`);
    this.#children?.delete(event.ordinal);
    return open;
  }

  #shape(event: Event, what: string): AionError {
    return new AionError(
      "history_shape",
      `workflow ${this.workflowId}, event ${event.seq} (${event.type}): ${what}`,
      {
        details: { workflowId: this.workflowId, seq: event.seq },
      },
    );
  }
}

function fail(kind: "activity" | "child", ordinal: number, failure: Failure): Delivery {
  return { kind, ordinal, outcome: { ok: false, failure } };
}
