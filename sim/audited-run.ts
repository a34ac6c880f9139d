import type { Attributes } from "../src/core/attributes.ts";
import type { NewEvent } from "../src/core/codec.ts";
import { roleOf } from "../src/core/event.ts";
import type { EventOf } from "../src/core/event.ts";
import { isTerminal } from "../src/core/status.ts";
import type { AttemptWatch } from "./audited-activities.ts";
import { AuditedActivities } from "./audited-activities.ts";
import { attributesAfter, textOfAttributes } from "./attribute-oracle.ts";
import type { Protection } from "./cancel-oracle.ts";
import { protectionOfChild } from "./cancel-oracle.ts";
import { SimulationFailure } from "./failure.ts";
import { checkNewDeadlines, checkVoids } from "./reopen-oracle.ts";

interface AuditedChild {
  readonly childWorkflowId: string;
  readonly policy: EventOf<"ChildWorkflowStarted">["parentClosePolicy"];
  readonly protection: Protection;
  isCancelRequested: boolean;
}

/** When all is well a timer is late by no more than this: how often the engine looks at the clock, in case it was set. I-29 */
const lateMsMax = 31_000;

/** What an event made true that is worth counting. */
export type Remark =
  | "timer fired under another owner"
  | "timer fired by another clock than began it"
  | "attempt begun anew after its engine died"
  | "attempt failed and tried again"
  | "attempt timed out"
  | "activity timed out that was not under way"
  | "attempt cancelled"
  | "activity completed after it was cancelled"
  | "backoff that went on under another owner"
  | "child ended under another owner"
  | "attempt on a worker ended under another owner"
  | "activity given up after five silent workers"
  | "run paused"
  | "run resumed"
  | "told after a pause"
  | "timer called off that ran out in a pause"
  | "activity parked"
  | "activity parked by a time-out"
  | "activity parked by its policy"
  | "activity parked for the type of its failure"
  | "parked activity tried again"
  | "parked activity tried again under another owner"
  | "parked activity given a result"
  | "parked activity given a failure"
  | "parked activity called off"
  | "parked activity ran out of time"
  | "run reopened with a parked activity"
  | "run reopened"
  | "cancelled run reopened"
  | "timed-out run reopened"
  | "run reopened again"
  | "run reopened that had ended in a pause"
  | "failure taken back by a reopening"
  | "attributes taken back by a reopening";

/**
 * One run as its committed events tell it, written apart from the engine's own projection: every event is held against what may
 * stand there. Throws `SimulationFailure`.
 */
export class AuditedRun {
  readonly workflowId: string;
  readonly started: EventOf<"WorkflowStarted">;
  readonly epoch: number;
  readonly events: NewEvent[] = [];
  readonly work: AuditedActivities;
  readonly timers = new Map<
    number,
    {
      readonly fireAt: number;
      readonly epoch: number;
      readonly setBackMs: number;
      /** By when it has to fire, by the time that only passes; for those that begin when all is well. */
      readonly latestMs?: number;
    }
  >();
  readonly children = new Map<number, AuditedChild & { readonly epoch: number }>();
  readonly sends = new Set<number>();
  readonly signalIds = new Set<string>();
  /** Accepted updates, and whether they have had an outcome. */
  readonly updates = new Map<string, "open" | "settled">();
  terminal: NewEvent | undefined;
  /** By its row. */
  closedAt: number | undefined;
  /** When it is to be looked at, by its row. */
  wakeAt: number | null = null;
  /** Its row says that it cannot go on now: its code is missing, or it has too much. */
  isHeld = false;
  /** What its row says of what is parked. */
  parkedRow: string | null = null;
  /** The same, since it has more than the engine allows. */
  isHeldForLimit = false;
  /** The owner that has told a worker so, which its row does not say yet. */
  heldSoonBy: number | undefined;
  /** Commits that have added to it since it has more events than the engine allows. */
  beyondCount = 0;
  /** By retention. */
  isDeleted = false;
  isCancelRequested = false;
  isPaused = false;
  /** By its history. */
  attributes: Attributes = {};
  /** By its commits. */
  foundBy: Attributes = {};
  /** What that was after each commit that changed it. */
  readonly foundByStates: string[] = [];
  /** Recorded during a pause, and not told yet. */
  readonly #held: { readonly seq: number; readonly type: string; readonly ordinal: number | undefined }[] =
    [];
  /** Seqs of what reopenings have made void. */
  readonly voids = new Set<number>();
  /** When it times out: by its start, or by the latest reopening that says otherwise. */
  deadlines: { readonly runDeadlineAt?: number; readonly executionDeadlineAt?: number };
  /** How often it was reopened. */
  reopenedCount = 0;
  /** What takes back what an event has done, by its seq: for those that a reopening may make void. */
  readonly #takenBackBy = new Map<number, (() => void)[]>();
  /** Requests to pause, to resume and to reopen, those of the runs that it continues included. */
  readonly controlRequests = new Set<string>();
  readonly #setBackMs: () => number;
  readonly #ownedFromMs: () => number;
  readonly #elapsedMs: () => number;
  readonly #nowMs: () => number;
  readonly #spreadMs: number;
  readonly #skewOf: (epoch: number) => number;
  readonly #isCalm: () => boolean;
  readonly #onRemark: (remark: Remark) => void;
  readonly #issued = new Set<string>();

  constructor(of: {
    readonly workflowId: string;
    readonly started: EventOf<"WorkflowStarted">;
    readonly epoch: number;
    /** By how much the clock was set back so far: something due may be recorded at an instant before that. */
    readonly setBackMs: () => number;
    /** When the owner of now became it. */
    readonly ownedFromMs: () => number;
    readonly elapsedMs: () => number;
    readonly nowMs: () => number;
    /** A timer that one engine began is late by another's clock. */
    readonly spreadMs: number;
    /** By how much the clock of an owner is ahead. */
    readonly skewOf: (epoch: number) => number;
    readonly isCalm: () => boolean;
    readonly onRemark: (remark: Remark) => void;
    readonly watch?: AttemptWatch | undefined;
  }) {
    this.workflowId = of.workflowId;
    this.started = of.started;
    this.epoch = of.epoch;
    this.#setBackMs = of.setBackMs;
    this.#ownedFromMs = of.ownedFromMs;
    this.#elapsedMs = of.elapsedMs;
    this.#nowMs = of.nowMs;
    this.#spreadMs = of.spreadMs;
    this.#skewOf = of.skewOf;
    this.#isCalm = of.isCalm;
    this.#onRemark = of.onRemark;
    this.work = new AuditedActivities({
      run: this,
      setBackMs: of.setBackMs,
      elapsedMs: of.elapsedMs,
      onRemark: of.onRemark,
      watch: of.watch,
      onTakenBack: (takeBack) => this.#onTakenBack(takeBack),
      isIssued: (key) => this.#issued.has(key),
      fail: (kind, event, what) => this.#fail(kind, event, what),
    });
    const { runDeadlineAt, executionDeadlineAt } = of.started;
    this.deadlines = {
      ...(runDeadlineAt === undefined ? {} : { runDeadlineAt }),
      ...(executionDeadlineAt === undefined ? {} : { executionDeadlineAt }),
    };
    for (const request of of.started.controlRequestIds ?? []) this.controlRequests.add(request);
    for (const { signalId } of of.started.signals ?? []) {
      if (signalId !== undefined) this.signalIds.add(signalId);
    }
    if (of.started.startAt !== undefined)
      this.timers.set(-1, {
        fireAt: of.started.startAt,
        epoch: of.epoch,
        setBackMs: of.setBackMs(),
      });
  }

  get runId(): string {
    return this.started.runId;
  }

  get isOpen(): boolean {
    return this.terminal === undefined;
  }

  /** The start delay is not over, or it ended in a pause that is not. */
  get isCodeUnbegun(): boolean {
    return (
      this.timers.has(-1) || this.#held.some(({ type, ordinal }) => type === "TimerFired" && ordinal === -1)
    );
  }

  /** The seqs of what the code has not been told of, since the run is or was paused. */
  get untoldSeqs(): ReadonlySet<number> {
    return new Set(this.#held.map(({ seq }) => seq));
  }

  /** The latest instant by which somebody has to look at the run; 0: at once, `null`: nothing of it will come by itself. */
  get wakeAtMax(): number | null {
    let at = Number.POSITIVE_INFINITY;
    if (!this.isPaused && this.#held.length > 0) return 0;
    for (const timer of this.timers.values()) at = Math.min(at, timer.fireAt);
    for (const { retryAt, startedAt, worker, isParked, scheduledAt, options } of this.work.open.values()) {
      if (isParked) {
        // A pause holds that up, too.
        if (!this.isPaused && options.scheduleToCloseMs !== undefined)
          at = Math.min(at, scheduledAt + options.scheduleToCloseMs);
        continue;
      }
      // Of a paused run only what a worker has may move.
      if (!this.isPaused || (startedAt !== undefined && worker !== undefined))
        at = Math.min(at, retryAt ?? 0);
    }
    at = Math.min(
      at,
      this.deadlines.runDeadlineAt ?? Number.POSITIVE_INFINITY,
      this.deadlines.executionDeadlineAt ?? Number.POSITIVE_INFINITY,
    );
    return at === Number.POSITIVE_INFINITY ? null : at;
  }

  /** The time-outs that hold while nothing of it moves, and whether its code is needed to see to them. */
  *timeOuts(): Generator<{ readonly at: number; readonly what: string; readonly needsCode: boolean }> {
    const { runDeadlineAt, executionDeadlineAt } = this.deadlines;
    for (const at of [runDeadlineAt, executionDeadlineAt])
      if (at !== undefined) yield { at, what: "the run", needsCode: false };
    for (const [ordinal, { options, scheduledAt, attempt, startedAt, retryAt }] of this.isPaused
      ? []
      : this.work.open) {
      if (startedAt !== undefined || retryAt !== undefined || attempt > 0) continue;
      const { scheduleToStartMs, scheduleToCloseMs } = options;
      for (const ms of [scheduleToStartMs, scheduleToCloseMs])
        if (ms !== undefined) yield { at: scheduledAt + ms, what: `activity ${ordinal}`, needsCode: true };
    }
  }

  apply(event: NewEvent, epoch: number): void {
    if (event.type === "WorkflowReopened") {
      this.#reopen(event, epoch);
      this.events.push(event);
      return;
    }
    if (this.terminal !== undefined) this.#fail("after-end", event, "the run has ended before it");
    this.#issueOnce(event);
    this.#checkPause(event);
    this.#absorb(event, epoch);
    const { attributes } = this;
    this.attributes = attributesAfter(attributes, event);
    if (event.type === "SearchAttributesUpdated")
      this.#onTakenBack(() => {
        this.attributes = attributes;
        this.#onRemark("attributes taken back by a reopening");
      });
    if (isTerminal(event)) {
      this.terminal = event;
      this.#onTakenBack(() => {
        this.terminal = undefined;
      });
    }
    this.events.push(event);
  }

  /** What a commit says that it is found by from now on. */
  found(attributes: Attributes): void {
    this.foundBy = attributes;
    this.foundByStates.push(textOfAttributes(attributes));
  }

  /** The seq of the event that is being applied. */
  get #seq(): number {
    return this.started.seq + this.events.length;
  }

  #onTakenBack(takeBack: () => void): void {
    const seq = this.#seq;
    this.#takenBackBy.set(seq, [takeBack, ...(this.#takenBackBy.get(seq) ?? [])]);
  }

  /**
   * I-59: what is void is as if it had not happened; what was under way begins anew, with all that its options allow, and the code
   * is told next what it was not told in a pause.
   */
  #reopen(event: NewEvent & { readonly type: "WorkflowReopened" }, epoch: number): void {
    checkVoids(this, event);
    checkNewDeadlines(this, event);
    if (event.requestId !== undefined) {
      const request = `reopen:${event.requestId}`;
      if (this.controlRequests.has(request)) this.#fail("control-twice", event, "it was made before");
      this.controlRequests.add(request);
    }
    this.#onRemark("run reopened");
    if (this.terminal?.type === "WorkflowCancelled") this.#onRemark("cancelled run reopened");
    if (this.terminal?.type === "WorkflowTimedOut") this.#onRemark("timed-out run reopened");
    if (this.isPaused) this.#onRemark("run reopened that had ended in a pause");
    if (this.reopenedCount > 0) this.#onRemark("run reopened again");
    if (event.voids.length > 1) this.#onRemark("failure taken back by a reopening");
    this.reopenedCount += 1;
    this.isHeld = false;
    this.isHeldForLimit = false;
    for (const seq of event.voids.toSorted((left, right) => right - left)) {
      this.voids.add(seq);
      for (const takeBack of this.#takenBackBy.get(seq) ?? []) takeBack();
    }
    this.isPaused = false;
    if (this.work.parked.length > 0) this.#onRemark("run reopened with a parked activity");
    const { runDeadlineAt, executionDeadlineAt } = event;
    this.deadlines = {
      ...this.deadlines,
      ...(runDeadlineAt === undefined ? {} : { runDeadlineAt }),
      ...(executionDeadlineAt === undefined ? {} : { executionDeadlineAt }),
    };
    this.work.reopen(event.recordedAt);
    for (const [ordinal, { latestMs, ...timer }] of this.timers)
      this.timers.set(ordinal, {
        ...timer,
        ...(latestMs === undefined ? {} : this.#latest(timer.fireAt, epoch)),
      });
  }

  /** By when a timer has to fire that is begun, or goes on, now that all is well. */
  #latest(fireAt: number, epoch: number): { readonly latestMs: number } {
    // By the clock as it is now: since the commit was asked for it may have been set back.
    return { latestMs: this.#elapsedMs() + this.#leftMs(fireAt, epoch) + lateMsMax + this.#spreadMs };
  }

  /** I-58: nothing moves in a pause, and what happens in it is told after it, in its order, before anything else is. */
  #checkPause(event: NewEvent): void {
    if (event.type === "WorkflowPaused" || event.type === "WorkflowResumed") {
      this.#noteControl(event);
      return;
    }
    const role = roleOf(event);
    if (event.type === "InputDelivered") {
      const next = this.#held.shift();
      if (this.isPaused || next?.seq !== event.of)
        this.#fail("pause-order", event, `told of next is ${next?.seq}`);
      this.#onRemark("told after a pause");
    } else if (this.isPaused) {
      // Cancelled before its code has begun, there is nothing that would move.
      const isEnd =
        (event.type === "WorkflowCancelled" && this.isCodeUnbegun) ||
        (event.type === "WorkflowFailed" && event.failure.kind === "engine");
      if ((role === "command" && !isEnd) || event.type === "ActivityStarted")
        this.#fail("pause-moves", event, "the run is paused");
      if (role === "input") {
        const ordinal = "ordinal" in event ? event.ordinal : undefined;
        const seq = this.#seq;
        this.#held.push({ seq, type: event.type, ordinal });
        this.#onTakenBack(() => {
          const at = this.#held.findIndex((held) => held.seq === seq);
          if (at >= 0) this.#held.splice(at, 1);
        });
      }
    } else if (this.#held.length > 0) {
      if (role === "input" || event.type === "ActivityStarted")
        this.#fail("pause-order", event, `the run is to be told of event ${this.#held[0]?.seq} first`);
      this.#checkCalledOff(event);
    }
  }

  /** The code has called a timer off that ran out in the pause. */
  #checkCalledOff(event: NewEvent): void {
    if (event.type !== "TimerCancelled") return;
    const at = this.#held.findIndex(
      ({ type, ordinal }) => type === "TimerFired" && ordinal === event.ordinal,
    );
    if (at < 0) return;
    const [fired] = this.#held.splice(at, 1);
    this.#onTakenBack(() => {
      this.timers.delete(event.ordinal);
      if (fired !== undefined) this.#held.splice(at, 0, fired);
    });
    // What follows holds it against the timers that are open.
    this.timers.set(event.ordinal, { fireAt: event.recordedAt, epoch: this.epoch, setBackMs: 0 });
    this.#onRemark("timer called off that ran out in a pause");
  }

  #noteControl(event: NewEvent & { readonly type: "WorkflowPaused" | "WorkflowResumed" }): void {
    const verb = event.type === "WorkflowPaused" ? "pause" : "resume";
    if (event.requestId !== undefined) {
      const request = `${verb}:${event.requestId}`;
      // I-20
      if (this.controlRequests.has(request)) this.#fail("control-twice", event, "it was made before");
      this.controlRequests.add(request);
    }
    if ((event.isFurther === true) !== (this.isPaused === (verb === "pause")))
      this.#fail("pause-status", event, `paused: ${this.isPaused}`);
    this.isPaused = verb === "pause";
    if (event.isFurther !== true) this.#onRemark(verb === "pause" ? "run paused" : "run resumed");
  }

  #absorb(event: NewEvent, epoch: number): void {
    if (this.work.absorb(event, epoch)) return;
    switch (event.type) {
      case "WorkflowStarted":
        if (this.events.length > 0) this.#fail("two-starts", event, "the run has begun before it");
        return;
      case "WorkflowCancelRequested":
        if (event.isFurther === true) return;
        if (this.isCancelRequested) this.#fail("cancel-twice", event, "it was requested before");
        this.isCancelRequested = true;
        this.#onTakenBack(() => {
          this.isCancelRequested = false;
        });
        return;
      case "WorkflowTimedOut": {
        const { runDeadlineAt, executionDeadlineAt } = this.deadlines;
        const deadlineAt = event.timeout === "run" ? runDeadlineAt : executionDeadlineAt;
        if (deadlineAt === undefined || event.recordedAt < deadlineAt - this.#setBackMs())
          this.#fail("early-time-out", event, `its deadline is ${deadlineAt}`);
        return;
      }
      case "ActivityCancelRequested": {
        this.#onTakenBack(() => {
          this.#issued.delete(`${event.type} ${event.ordinal}`);
          const open = this.work.open.get(event.ordinal);
          if (open === undefined) return;
          open.isCancelRequested = false;
          open.cancelledAtMs = undefined;
        });
        // I-38
        if (this.#held.some(({ type, ordinal }) => type.startsWith("Activity") && ordinal === event.ordinal))
          return;
        if (this.work.find(event).protection === "safe")
          this.#fail("shield", event, "it was begun in a shield");
        this.work.find(event).isCancelRequested = true;
        this.work.find(event).cancelledAtMs = this.#elapsedMs();
        return;
      }
      case "TimerStarted":
        if (event.fireAt !== event.recordedAt + event.durationMs)
          this.#fail("timer-instant", event, `begun at ${event.recordedAt}, to fire at ${event.fireAt}`);
        this.timers.set(event.ordinal, {
          fireAt: event.fireAt,
          epoch,
          setBackMs: this.#setBackMs(),
          ...(this.#isCalm() ? this.#latest(event.fireAt, epoch) : {}),
        });
        return;
      case "TimerFired": {
        const timer = this.timers.get(event.ordinal);
        if (timer === undefined) return this.#fail("second-outcome", event, "no such timer is open");
        // I-28
        if (event.recordedAt < timer.fireAt - (this.#setBackMs() - timer.setBackMs))
          this.#fail("early-timer", event, `due at ${timer.fireAt}`);
        // Another owner comes when it comes: the one before may have failed, and its lease last.
        if (
          this.#elapsedMs() >
          Math.max(
            timer.latestMs ?? Number.POSITIVE_INFINITY,
            timer.epoch === epoch ? 0 : this.#ownedFromMs() + lateMsMax,
          )
        )
          this.#fail("late-timer", event, `due at ${timer.fireAt}`);
        if (timer.epoch !== epoch) this.#onRemark("timer fired under another owner");
        if (this.#skewOf(timer.epoch) !== this.#skewOf(epoch))
          this.#onRemark("timer fired by another clock than began it");
        this.timers.delete(event.ordinal);
        return;
      }
      case "TimerCancelled": {
        const timer = this.timers.get(event.ordinal);
        if (timer === undefined) return this.#fail("second-outcome", event, "no such timer is open");
        this.timers.delete(event.ordinal);
        this.#onTakenBack(() => void this.timers.set(event.ordinal, timer));
        return;
      }
      case "SignalReceived":
        if (event.signalId === undefined) return;
        if (this.signalIds.has(event.signalId)) this.#fail("signal-twice", event, "it was received before");
        this.signalIds.add(event.signalId);
        return;
      case "UpdateAccepted":
        // I-26
        if (this.updates.has(event.updateId) || this.started.updateIds?.includes(event.updateId) === true)
          this.#fail("update-twice", event, "it was accepted before");
        this.updates.set(event.updateId, "open");
        return;
      case "UpdateCompleted":
        if (this.updates.get(event.updateId) !== "open")
          this.#fail("second-outcome", event, "no such update is open");
        if ((event.result === undefined) === (event.failure === undefined))
          this.#fail("update-outcome", event, "it is none, or two");
        this.updates.set(event.updateId, "settled");
        return;
      case "SignalSent":
        this.sends.add(event.ordinal);
        return;
      case "SignalSettled":
        if (!this.sends.delete(event.ordinal)) this.#fail("second-outcome", event, "no such signal was sent");
        return;
      case "ChildWorkflowStarted":
        this.children.set(event.ordinal, {
          childWorkflowId: event.childWorkflowId,
          policy: event.parentClosePolicy,
          protection: protectionOfChild(event),
          isCancelRequested: false,
          epoch,
        });
        return;
      case "ScheduleTriggered":
        if (event.isWatched)
          this.children.set(event.ordinal, {
            childWorkflowId: event.startedId,
            policy: "abandon",
            protection: "none",
            isCancelRequested: false,
            epoch,
          });
        return;
      case "ScheduleSkipped":
        if (event.ordinal !== undefined) this.children.delete(event.ordinal);
        return;
      case "ChildWorkflowCancelRequested": {
        const child = this.children.get(event.ordinal);
        if (child === undefined) return;
        // I-38
        if (child.protection === "safe") this.#fail("shield", event, "it was begun in a shield");
        child.isCancelRequested = true;
        return;
      }
      case "ChildWorkflowCompleted":
      case "ChildWorkflowFailed":
      case "ChildWorkflowCancelled":
      case "ChildWorkflowTimedOut":
      case "ChildWorkflowTerminated": {
        const child = this.children.get(event.ordinal);
        if (child === undefined) return this.#fail("second-outcome", event, "no such child is open");
        if (child.epoch !== epoch) this.#onRemark("child ended under another owner");
        this.children.delete(event.ordinal);
        this.#onTakenBack(() => void this.children.set(event.ordinal, child));
        return;
      }
      default:
        return;
    }
  }

  /** By the owner's clock of this moment: it may have been set since the event was made. */
  #leftMs(at: number, epoch: number): number {
    return Math.max(0, at - this.#nowMs() - this.#skewOf(epoch));
  }

  /** An ordinal is given once for each kind of command. */
  #issueOnce(event: NewEvent): void {
    switch (event.type) {
      case "ActivityScheduled":
      case "TimerStarted":
      case "ChildWorkflowStarted":
      case "SignalSent":
      case "SideEffectRecorded":
      case "ChildWorkflowCancelRequested":
      case "ActivityCancelRequested": {
        const key = `${event.type} ${event.ordinal}`;
        if (this.#issued.has(key)) this.#fail("command-twice", event, "the command was recorded before");
        this.#issued.add(key);
        return;
      }
      default:
        return;
    }
  }

  #fail(kind: string, event: NewEvent, what: string): never {
    const text = JSON.stringify(event, (key, value: unknown) => (key === "stack" ? undefined : value));
    throw new SimulationFailure(kind, `${this.workflowId}, run ${this.runId}, ${text}: ${what}`);
  }
}
