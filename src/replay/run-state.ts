import type { Delivery } from "../core/activation.ts";
import type { Attributes } from "../core/attributes.ts";
import { changeAttributes, noAttributes } from "../core/attributes.ts";
import { AionError } from "../core/errors.ts";
import type { CodeIdentity, Event, EventBody, EventOf, ParentClosePolicy } from "../core/event.ts";
import { startDelayOrdinal } from "../core/event.ts";
import type { Failure } from "../core/failure.ts";
import { longHistoryDefault, sizeOfEvent } from "../core/history-size.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { nullPayload } from "../core/payload.ts";
import { coordinatorType } from "../core/schedule.ts";
import { ScheduleState } from "../core/schedule-state.ts";
import type { RunStatus } from "../core/status.ts";
import { isClosed, isTerminal, statusAfter } from "../core/status.ts";
import { historyShape } from "./history-shape.ts";
import type { OpenActivity } from "./open-activity.ts";
import {
  beginAttempt,
  noteDetails,
  noteFailedAttempt,
  park,
  toActivityFailure,
  toBeginAnew,
  toOpenActivity,
  unpark,
} from "./open-activity.ts";
import { PauseState } from "./pause-state.ts";
import { RequestIds } from "./request-ids.ts";
import { UpdateStates } from "./update-states.ts";

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

const noTimers: ReadonlyMap<number, OpenTimer> = new Map();
const noChildren: ReadonlyMap<number, OpenChild> = new Map();
const noVoids: ReadonlySet<number> = new Set();
const noSends: ReadonlyMap<number, RunId> = new Map();

/**
 * What is open in one run: a projection of its segment, with no other source. The same code builds it live and
 * on replay. `apply` also says what the workflow code is to learn from an event.
 *
 * Laws: events come in seq order; after an event that closes the run none is accepted. What happens to a paused run counts at
 * once, and the code learns of it after the pause.
 */
export class RunState {
  readonly workflowId: WorkflowId;
  readonly activities = new Map<number, OpenActivity>();
  readonly updates = new UpdateStates();
  readonly requests = new RequestIds();
  readonly pausing = new PauseState();
  // Most runs have none of these, and thousands of runs are in memory.
  #timers: Map<number, OpenTimer> | undefined;
  #children: Map<number, OpenChild> | undefined;
  #sends: Map<number, RunId> | undefined;
  readonly #voids: ReadonlySet<number>;
  #deadlines: { readonly runDeadlineAt?: number; readonly executionDeadlineAt?: number } | undefined;
  #started: EventOf<"WorkflowStarted"> | undefined;
  #headSeq = 0;
  #historyBytes = 0;
  #longHistory = longHistoryDefault;
  #longSinceSeq = Number.POSITIVE_INFINITY;
  #parkedSeq = 0;
  #status: RunStatus = "running";
  #terminal: Event | undefined;
  #abandoned: readonly OpenActivity[] = [];
  #isCodeStarted = false;
  #isCancelRequested = false;
  #latestWorker: string | undefined;
  #schedule: ScheduleState | undefined;
  #attributes: Attributes | undefined;
  #identity: CodeIdentity | undefined;

  #reopened: (EventOf<"WorkflowReopened"> & { readonly count: number }) | undefined;
  #reset: EventOf<"WorkflowReset"> | undefined;

  /** `voids`: the seqs of events that a reopening has voided. */
  constructor(workflowId: WorkflowId, voids: ReadonlySet<number> = noVoids) {
    this.workflowId = workflowId;
    this.#voids = voids;
  }

  /** Whether the event does not count any more. */
  isVoid(seq: number): boolean {
    return this.#voids.has(seq);
  }

  /** Its latest reopening, and how many there have been with it. */
  get reopened(): (EventOf<"WorkflowReopened"> & { readonly count: number }) | undefined {
    return this.#reopened;
  }

  /** By which it goes on from a point of another run; `undefined`: it began at its beginning. */
  get reset(): EventOf<"WorkflowReset"> | undefined {
    return this.#reset;
  }

  /** When the run, and the whole chain, times out. */
  get deadlines(): { readonly runDeadlineAt?: number; readonly executionDeadlineAt?: number } {
    return this.#deadlines ?? this.started;
  }

  /** As whom the code acts from here on; `undefined`: as the run that it is, and never as another. */
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

  /** What the run can be found by; `undefined`: nothing was ever set. */
  get attributes(): Attributes | undefined {
    return this.#attributes;
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
    return this.pausing.since;
  }

  /** The pause is over, and the code has not been told of all that was recorded during it: what comes next, by its seq. */
  get undelivered(): number | undefined {
    return this.isClosed ? undefined : this.pausing.nextSeq;
  }

  get terminal(): Event | undefined {
    return this.#terminal;
  }

  /** Activities that had no outcome when the run ended. */
  get abandoned(): readonly OpenActivity[] {
    return this.#abandoned;
  }

  /** Activities that wait for an operator. */
  get parked(): readonly OpenActivity[] {
    return this.#parkedSeq === 0 ? [] : [...this.activities.values()].filter(({ parked }) => parked);
  }

  /** The event by which what is parked changed last; 0: nothing ever was. */
  get parkedSeq(): number {
    return this.#parkedSeq;
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

  /** Takes the next event. Throws `history_shape` for one that no engine writes at this place. */
  apply(event: Event): Delivery | undefined {
    if (this.#started === undefined && event.type !== "WorkflowStarted") {
      throw historyShape(event, "the run has no WorkflowStarted before it");
    }
    if (this.#started !== undefined && event.seq !== this.#headSeq + 1) {
      throw historyShape(event, `event ${this.#headSeq + 1} was expected`);
    }
    if (this.isClosed) throw historyShape(event, "the run has ended before it");
    this.#headSeq = event.seq;
    if (this.#voids.has(event.seq)) {
      this.#measure(event);
      this.#noteVoid(event);
      return undefined;
    }
    const status = statusAfter(event);
    if (status !== undefined) {
      this.#status = status;
      if (isClosed(status)) this.#end(event);
    }
    const delivery = this.#absorb(event);
    this.#measure(event);
    if (delivery === undefined || !this.pausing.hold(event.seq, delivery)) return delivery;
    // The start delay is over, and the code has yet to begin.
    if (delivery.kind === "start") this.#isCodeStarted = false;
    return undefined;
  }

  /** What holds all the same of an event that does not count. */
  #noteVoid(event: Event): void {
    // The request of a cancellation is known.
    if (event.type === "WorkflowCancelRequested" || event.type === "WorkflowCancelled")
      this.requests.noteCancel(event.requestId);
    // And that of a decision on a parked activity.
    if (event.type === "ActivityFailed") this.requests.noteControl("resume-activity", event.requestId);
    // It was told to those that waited for an update, and stands.
    if (isTerminal(event)) this.updates.leave(event);
    // The next attempt is told of what the one before it left.
    if (event.type === "ActivityFailed" || event.type === "ActivityTimedOut")
      noteDetails(this.#activityOf(event), event);
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
    if (this.parked.length > 0) this.#parkedSeq = terminal.seq;
    this.activities.clear();
    this.#timers = undefined;
    this.#sends = undefined;
    this.updates.leave(terminal);
    this.pausing.end();
  }

  #absorb(event: Event): Delivery | undefined {
    if (this.#schedule !== undefined && event.type !== "WorkflowStarted") {
      this.#schedule.apply(event);
      return undefined;
    }
    switch (event.type) {
      case "WorkflowStarted":
        if (this.#started !== undefined) throw historyShape(event, "the run has started before it");
        this.#started = event;
        if (event.longHistory !== undefined) this.#longHistory = event.longHistory;
        this.#attributes = event.attributes;
        this.requests.begin(event);
        this.updates.begin(event);
        if (event.workflowType === coordinatorType) {
          this.#schedule = ScheduleState.of(event);
          return undefined;
        }
        if (event.startAt === undefined) return this.#startCode(event);
        this.#arm(startDelayOrdinal, event.startAt);
        return undefined;
      case "ActivityScheduled":
        this.activities.set(event.ordinal, toOpenActivity(event, this.#actsAs));
        return undefined;
      case "ActivityStarted":
        beginAttempt(this.#activityOf(event), event);
        if (event.worker !== undefined) this.#latestWorker = event.worker;
        return undefined;
      case "ActivityCompleted":
        this.requests.noteControl("resume-activity", event.requestId);
        this.#settleActivity(event);
        return { kind: "activity", ordinal: event.ordinal, outcome: { ok: true, value: event.result } };
      case "ActivityFailed":
      case "ActivityTimedOut":
        if (event.retryAt !== undefined) {
          noteFailedAttempt(this.#activityOf(event), event, event.retryAt);
          return undefined;
        }
        if (event.type === "ActivityFailed") this.requests.noteControl("resume-activity", event.requestId);
        return fail("activity", event.ordinal, toActivityFailure(this.#settleActivity(event), event));
      case "ActivityParked":
        park(this.#activityOf(event), event);
        this.#parkedSeq = event.seq;
        return undefined;
      case "ActivityResumed":
        this.requests.noteControl("resume-activity", event.requestId);
        for (const ordinal of event.ordinals) unpark(this.#parkedOf(event, ordinal), event.recordedAt);
        this.#parkedSeq = event.seq;
        return undefined;
      case "ActivityCancelRequested":
        // It had its outcome during a pause, of which the code is told yet.
        if (!this.pausing.holds("activity", event.ordinal)) this.#activityOf(event).isCancelRequested = true;
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
        if (this.#timers?.delete(event.ordinal) !== true) throw historyShape(event, "no such timer is open");
        return event.ordinal === startDelayOrdinal
          ? this.#startCode(this.started)
          : { kind: "timer", ordinal: event.ordinal };
      case "TimerCancelled":
        // It ran out during a pause, and the code has called it off before it was told.
        if (this.pausing.forget("timer", event.ordinal)) return undefined;
        if (this.#timers?.delete(event.ordinal) !== true) throw historyShape(event, "no such timer is open");
        return undefined;
      case "SignalReceived":
        this.requests.noteSignal(event.signalId);
        return { kind: "signal", name: event.name, payload: event.payload };
      case "SignalSent":
        this.#sends ??= new Map();
        this.#sends.set(event.ordinal, this.#actsAs);
        return undefined;
      case "SignalSettled":
        if (this.#sends?.delete(event.ordinal) !== true) throw historyShape(event, "no such signal was sent");
        return event.failure === undefined
          ? { kind: "signal-settled", ordinal: event.ordinal, outcome: { ok: true, value: nullPayload } }
          : {
              kind: "signal-settled",
              ordinal: event.ordinal,
              outcome: { ok: false, failure: event.failure },
            };
      case "UpdateAccepted":
        this.updates.accept(event);
        return { kind: "update", updateId: event.updateId, name: event.name, input: event.input };
      case "UpdateCompleted":
        this.updates.settle(event);
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
        this.requests.noteCancel(event.requestId);
        if (event.isFurther === true) return undefined;
        this.#isCancelRequested = true;
        return { kind: "cancel", ...(event.reason === undefined ? {} : { reason: event.reason }) };
      case "WorkflowPaused":
        this.requests.noteControl("pause", event.requestId);
        if (event.isFurther === true) return undefined;
        this.pausing.begin(event);
        return undefined;
      case "WorkflowResumed":
        this.requests.noteControl("resume", event.requestId);
        if (event.isFurther !== true) this.pausing.end();
        return undefined;
      case "WorkflowReopened":
        this.requests.noteControl("reopen", event.requestId);
        this.#reopen(event);
        return undefined;
      case "WorkflowReset":
        this.#identity = event.as;
        this.#reopen(event);
        this.pausing.carry(event.carriedSignals ?? 0);
        return undefined;
      case "InputDelivered":
        return this.#tell(this.pausing.deliver(event));
      case "SearchAttributesUpdated":
        this.#attributes = changeAttributes(this.#attributes ?? noAttributes, event.attributes);
        return undefined;
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
        throw historyShape(event, "the run is not the coordinator of a schedule");
    }
  }

  #arm(ordinal: number, fireAt: number): void {
    this.#timers ??= new Map();
    this.#timers.set(ordinal, { ordinal, fireAt });
  }

  /**
   * What was under way when it ended was told to stop: it begins anew, with all that its options allow. A pause in which it ended is
   * over, and what the code was not told of in it comes next.
   */
  #reopen(event: EventOf<"WorkflowReopened"> | EventOf<"WorkflowReset">): void {
    // What another run was reopened for before it was copied is nothing of this one.
    const count = (this.#reopened?.count ?? 0) + 1;
    this.#reopened = event.type === "WorkflowReopened" ? { ...event, count } : undefined;
    if (event.type === "WorkflowReset") this.#reset = event;
    this.pausing.end();
    const owner = event.type === "WorkflowReset" ? event.keysRunId : undefined;
    for (const [ordinal, activity] of this.activities)
      this.activities.set(ordinal, toBeginAnew(activity, event.recordedAt, owner));
    // Who lets it go on from there has decided on what was parked, too: it is tried again.
    if (event.type === "WorkflowReset")
      for (const activity of this.activities.values()) activity.parked = undefined;
    if (owner !== undefined) this.#own(owner);
    if (this.parked.length > 0) this.#parkedSeq = event.seq;
    const { runDeadlineAt, executionDeadlineAt } = { ...this.deadlines, ...event };
    this.#deadlines = {
      ...(runDeadlineAt === undefined ? {} : { runDeadlineAt }),
      ...(executionDeadlineAt === undefined ? {} : { executionDeadlineAt }),
    };
  }

  /** What is open belongs to that run from here on. */
  #own(runId: RunId): void {
    for (const [ordinal, child] of this.#children ?? [])
      this.#children?.set(ordinal, { ...child, parentRunId: runId });
    for (const ordinal of this.#sends?.keys() ?? []) this.#sends?.set(ordinal, runId);
  }

  #tell(held: Delivery): Delivery {
    if (held.kind === "start") this.#isCodeStarted = true;
    return held;
  }

  #startCode(started: EventOf<"WorkflowStarted">): Delivery {
    this.#isCodeStarted = true;
    const { input, signals, attributes } = started;
    return {
      kind: "start",
      input,
      ...(signals === undefined ? {} : { signals }),
      ...(attributes === undefined ? {} : { attributes }),
    };
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
    if (activity === undefined) throw historyShape(event, `activity #${event.ordinal} is not open`);
    return activity;
  }

  #parkedOf(event: Event, ordinal: number): OpenActivity {
    const activity = this.activities.get(ordinal);
    if (activity?.parked === undefined) throw historyShape(event, `activity #${ordinal} is not parked`);
    return activity;
  }

  #settleActivity(event: Event & { readonly ordinal: number }): OpenActivity {
    const activity = this.#activityOf(event);
    if (activity.parked !== undefined) this.#parkedSeq = event.seq;
    this.activities.delete(event.ordinal);
    return activity;
  }

  #settleChild(event: Event & { readonly ordinal: number }): OpenChild {
    const open = this.children.get(event.ordinal);
    if (open === undefined) throw historyShape(event, `child #${event.ordinal} is not open`);
    this.#children?.delete(event.ordinal);
    return open;
  }
}

function fail(kind: "activity" | "child", ordinal: number, failure: Failure): Delivery {
  return { kind, ordinal, outcome: { ok: false, failure } };
}
