import type { Activation, Offered } from "../core/activation.ts";
import type { Command } from "../core/command.ts";
import { AionError, assert, isAionError } from "../core/errors.ts";
import type { Event, EventBody } from "../core/event.ts";
import { toFailure } from "../core/failure.ts";
import type { Pid, WorkflowId } from "../core/ids.ts";
import { messageOf } from "../core/payload.ts";
import { decodeError } from "../program/answer.ts";
import type { Program, ProgramInstance } from "../program/program.ts";
import type { RunState } from "../replay/run-state.ts";
import type { Commit, Heartbeat, RunKey } from "../store/contract.ts";
import type { LogEntry } from "../store/run-log.ts";
import { toStartedEvent } from "./attempt.ts";
import type { Batch } from "./batch.ts";
import { newBatch } from "./batch.ts";
import { closingMessages } from "./closing.ts";
import { toMessage } from "./command-message.ts";
import { demandScheduleEvent } from "./coordinator.ts";
import { nextLookAt } from "./due.ts";
import { measureOf } from "./engine-meter.ts";
import type { Input } from "./input.ts";
import { toFirstCommit, toMessages, toNextCommit } from "./run-commit.ts";
import { runEnded, waitsForNothing } from "./run-errors.ts";
import type { RunHost } from "./run-host.ts";
import type { RunLines } from "./run-lines.ts";
import { toSuccessor } from "./successor.ts";
import { toEvent } from "./to-event.ts";

type Mutable<Part> = { -readonly [Name in keyof Part]: Part[Name] };

/** Inputs taken into one commit at most: bounds the size of a row. */
const batchInputsMax = 1_000;

/**
 * One run whose code is in memory.
 *
 * Owner: the kernel. Laws:
 *  1. One thing at a time: inputs wait in the inbox; each becomes an event and is told to the code, until nothing moves.
 *  2. What the code did with an input is in the same commit as the input. Nothing of it leaves this object before that
 *     commit is on disk: no attempt begins, no message goes, no query is answered, nobody is told.
 *  3. One commit is under way at most. If it is refused, the object is thrown away and the run read anew.
 */
export class ResidentRun {
  readonly workflowId: WorkflowId;
  readonly pid: Pid;
  readonly state: RunState;
  /** `undefined`: the run is only ended, its code cannot be or need not be loaded. */
  readonly program: Program | undefined;
  instance: ProgramInstance | undefined;
  runKey: RunKey | undefined;
  wakeAtWritten: number | null = null;
  /** The wake-up that the kernel's queue holds for this run. */
  armedAt: number | null = null;
  /** Details that are newer than what is on disk, by the activity's ordinal. */
  #heartbeats: Map<number, Heartbeat> | undefined;
  readonly lines: RunLines;
  /** What the code said while it was loaded, and what no commit has brought to the log yet. */
  #unsaid: LogEntry | undefined;
  readonly #host: RunHost;
  readonly #firstSeq: number;
  readonly #follows: RunKey | undefined;
  readonly #inbox: Input[] = [];
  readonly #questions: (() => void)[] = [];
  #batch: Batch | undefined;
  /** When the input of the activation was recorded. */
  #saidAt = 0;
  #phase: "idle" | "activating" | "committing" | "gone" = "idle";
  #deferred: Command | undefined;
  /** An update that the code is being asked about. */
  #offered:
    | { readonly input: Input; readonly body: EventBody & { readonly type: "UpdateAccepted" } }
    | undefined;
  /** What the code asked for beyond the end of history, of a run that is paused. */
  #withheld: Command[] = [];
  #fault: AionError | undefined;
  /** Signals that have come, and that the code has not asked for. */
  waitingSignals: number;
  /** When its code was given the latest event. */
  #activatedAt = 0;
  #isHeld: boolean;

  constructor(options: {
    readonly host: RunHost;
    readonly workflowId: WorkflowId;
    readonly pid: Pid;
    readonly state: RunState;
    readonly program: Program | undefined;
    readonly instance: ProgramInstance | undefined;
    readonly runKey: RunKey | undefined;
    readonly firstSeq: number;
    /** A run that begins: the one before it. */
    readonly follows?: RunKey | undefined;
    readonly wakeAt: number | null;
    /** Its row says that it is blocked: its end is to say that it is no longer. */
    readonly isHeld?: boolean;
    readonly lines: RunLines;
    readonly unsaid?: LogEntry | undefined;
    readonly waitingSignals?: number | undefined;
  }) {
    this.#host = options.host;
    this.workflowId = options.workflowId;
    this.pid = options.pid;
    this.state = options.state;
    this.program = options.program;
    this.instance = options.instance;
    this.runKey = options.runKey;
    this.#firstSeq = options.firstSeq;
    this.#follows = options.follows;
    this.wakeAtWritten = options.wakeAt;
    this.#isHeld = options.isHeld ?? false;
    this.lines = options.lines;
    this.#unsaid = options.unsaid;
    this.waitingSignals = options.waitingSignals ?? 0;
  }

  get isIdle(): boolean {
    return this.#phase === "idle" && !this.#hasInput;
  }

  get #hasInput(): boolean {
    return this.#inbox.length > 0 || this.#toldNext !== undefined;
  }

  /** What its code is to be told next. A run that is here without its code is here to be ended, and nobody is told of anything. */
  get #toldNext(): number | undefined {
    return this.program === undefined ? undefined : this.state.undelivered;
  }

  /** Begun on disk, and not ended: the one to turn to. */
  get isHere(): boolean {
    return this.#phase !== "gone" && this.runKey !== undefined && !this.state.isClosed;
  }

  get isGone(): boolean {
    return this.#phase === "gone";
  }

  /** Takes an input; it has its turn as soon as what is under way is done. */
  offer(input: Input): void {
    assert(this.#phase !== "gone", "a run that was thrown away takes no input");
    this.#inbox.push(input);
    if (this.#phase === "idle") this.#pump();
  }

  offerAll(inputs: readonly Input[]): void {
    this.#inbox.push(...inputs);
    if (!this.#hasInput) return;
    if (this.#phase === "idle") this.#pump();
  }

  /** Calls back between activations, when all that the code did is on disk. */
  ask(question: () => void): void {
    if (this.#phase === "idle" || this.#phase === "gone") question();
    else this.#questions.push(question);
  }

  /** After a load: records what the code asked for beyond the end of history. */
  resume(live: readonly Command[]): void {
    if (this.state.pause !== undefined) this.#withheld = [...live];
    if (live.length === 0 || this.state.pause !== undefined) return;
    this.#begin();
    this.#issue(live, this.#host.now());
    this.#step();
  }

  /** The code moved when it must not have. */
  fault(error: AionError): void {
    if (this.#phase === "gone" || this.#fault !== undefined) return;
    this.#fault = error;
    if (this.#phase === "idle") this.#pump();
  }

  /** Goes to disk with the next commit, or when `saveHeartbeats` is called. */
  noteHeartbeat(heartbeat: Heartbeat): void {
    this.#heartbeats ??= new Map();
    this.#heartbeats.set(heartbeat.ordinal, heartbeat);
  }

  /** After a load: a row that asks for an engine at once, of a run that does not need one, is set right. */
  correctRow(): void {
    if (this.#phase !== "idle" || !this.#isRowStale) return;
    this.#begin();
    this.#seal();
  }

  /** Writes heartbeat details that are newer than what is on disk. */
  saveHeartbeats(): void {
    this.ask(() => {
      if (this.#phase !== "idle" || this.#heartbeats === undefined || this.runKey === undefined) return;
      this.#begin();
      this.#seal();
    });
  }

  /** Forgets everything; what was not answered is given back. */
  discard(): readonly Input[] {
    this.#phase = "gone";
    this.instance?.dispose();
    for (const attempt of this.#batch?.attempts ?? []) this.#host.release(this, attempt);
    const refused = this.#batch?.refused.map(({ input }) => input) ?? [];
    const left = [...(this.#batch?.inputs ?? []), ...refused, ...this.#inbox.splice(0)];
    this.#batch = undefined;
    this.#offered = undefined;
    for (const question of this.#questions.splice(0)) question();
    return left;
  }

  /** Called by the kernel when the turn is over and the code can move no further. */
  settle(): void {
    if (this.#phase !== "activating") return;
    const { instance } = this;
    if (instance === undefined) return this.#step();
    const turn = instance.end();
    // The instance says itself when it is done.
    if (turn === "later") return;
    if (turn === "again") {
      this.#host.activate(this);
      return;
    }
    this.#host.meter.activated(this.state.started.workflowType, this.#activatedAt);
    if (turn.offered !== undefined) this.#decide(turn.offered);
    if (turn.offered?.ok === false) this.lines.take(this.state.headSeq, this.#saidAt);
    else this.#takeLines();
    this.waitingSignals = turn.waitingSignals;
    this.#fault ??= this.#host.limits.ofTurn(this.state, turn.commands);
    if (this.#fault === undefined) {
      this.#issue(turn.commands, this.#host.now());
      if (turn.isStuck) this.#fault = waitsForNothing(this.state);
    }
    this.#step();
  }

  /** The activation is over: nothing but its input was recorded since it began. */
  #takeLines(): void {
    const said = this.lines.take(this.state.headSeq, this.#saidAt);
    if (said !== undefined) this.#batch?.log.push(said);
  }

  #pump(): void {
    this.#begin();
    this.#step();
  }

  #begin(): void {
    this.#phase = "activating";
    this.#batch = newBatch(this.runKey === undefined);
  }

  /** Takes inputs until one needs a turn of the code, or none is left. */
  #step(): void {
    const batch = this.#batch;
    assert(batch !== undefined, "an activating run has a batch");
    if (this.#fault !== undefined && !this.state.isClosed) {
      // What it learned last is kept: if it is held, it goes on from there.
      if (this.#fault.code === "run_limit" && batch.events.length > 0) return this.#seal();
      if (!this.#judge(this.#fault)) return;
    }
    while (this.#deferred === undefined && !this.state.isClosed && batch.inputs.length < batchInputsMax) {
      const input = this.#nextHeld() ?? this.#inbox.shift();
      if (input === undefined) break;
      if (this.#take(input, batch)) return;
    }
    this.#seal();
  }

  /** What was recorded during a pause comes before whatever came since. */
  #nextHeld(): Input | undefined {
    if (this.#toldNext === undefined) return undefined;
    return {
      // Asked again after a conflict, when it may have been told, or the end of the pause was not written.
      toEvent: ({ undelivered }) =>
        undelivered === undefined ? undefined : { type: "InputDelivered", of: undelivered },
    };
  }

  /** True when the code has to move first. */
  #take(input: Input, batch: Batch): boolean {
    const nowMs = this.#host.now();
    let body: EventBody | undefined;
    try {
      if (input.runId !== undefined && input.runId !== this.state.started.runId)
        throw runEnded(this.workflowId, input.runId);
      body = input.toEvent(this.state, nowMs);
      if (body !== undefined) demandScheduleEvent(this.state, body);
    } catch (error) {
      const refusal = isAionError(error)
        ? error
        : new AionError("internal", messageOf(error), { cause: error });
      if (input.onRefused !== undefined) input.onRefused(refusal);
      if (input.messageId === undefined) return false;
    }
    batch.inputs.push(input);
    if (input.messageId !== undefined) batch.consume.push(input.messageId);
    if (input.replies !== undefined) batch.send.push(...input.replies(body !== undefined));
    if (body === undefined) return false;
    if (body.type === "UpdateAccepted") return this.#offer(input, body, nowMs);
    const activation = this.#record(body, nowMs);
    // Who wants it to end wants its code to move.
    if (body.type === "WorkflowCancelRequested" && body.isFurther !== true && this.state.pause !== undefined)
      this.#record({ type: "WorkflowResumed", reason: "it was asked to stop" }, nowMs);
    if (batch.pausing === "ends") this.#issue(this.#withheld.splice(0), nowMs);
    // Of a coordinator: it has no code that would have asked for it.
    if (body.type === "WorkflowContinuedAsNew") this.#goOn(body, batch, nowMs);
    if (activation === undefined) return false;
    if (this.instance === undefined) {
      if (this.program === undefined) return false;
      this.instance = this.#host.instantiate(this);
    }
    const { historyLength, isHistoryLong } = this.state;
    this.#activate(this.instance, { delivery: activation, nowMs, historyLength, isHistoryLong });
    return true;
  }

  #activate(
    instance: ProgramInstance,
    of: Pick<Activation, "delivery" | "nowMs" | "historyLength" | "isHistoryLong">,
  ): void {
    // Asked for first: what the code begins on the platform must not come back within the turn.
    this.#host.activate(this);
    this.#activatedAt = this.#host.meter.now();
    this.#saidAt = of.nowMs;
    this.lines.begin();
    const { identity } = this.state;
    instance.begin({
      ...of,
      recorded: [],
      isLast: true,
      isReplaying: false,
      ...(identity === undefined ? {} : { identity }),
    });
  }

  /** Asks the code whether it takes an update, which is recorded if it does; what it does with it then is the same turn. */
  #offer(input: Input, body: EventBody & { readonly type: "UpdateAccepted" }, nowMs: number): boolean {
    const { instance } = this;
    if (instance === undefined) {
      const why = `workflow ${this.workflowId} is being ended, and its code is not here`;
      this.#refuse(input, new AionError("run_blocked", why));
      return false;
    }
    this.#offered = { input, body };
    const { updateId, name, input: sent } = body;
    const delivery = { kind: "update", updateId, name, input: sent, isOffered: true } as const;
    // As they will be, should it be recorded.
    const historyLength = this.state.historyLength + 1;
    const isHistoryLong = this.state.isHistoryLongWith(body);
    this.#activate(instance, { delivery, nowMs, historyLength, isHistoryLong });
    return true;
  }

  #decide(answer: Offered): void {
    const offered = this.#offered;
    assert(offered !== undefined, "the code answers about an update that it was asked about");
    this.#offered = undefined;
    const { input, body } = offered;
    if (!answer.ok) return this.#refuse(input, decodeError(answer.refusal));
    const sent = answer.input === body.input ? {} : { sent: body.input };
    this.#record({ ...body, input: answer.input, ...sent }, this.#saidAt);
  }

  #refuse(input: Input, error: AionError): void {
    const batch = this.#batch;
    assert(batch !== undefined, "an activating run has a batch");
    batch.inputs.splice(batch.inputs.indexOf(input), 1);
    batch.refused.push({ input, error });
  }

  #record(body: EventBody, nowMs: number): ReturnType<RunState["apply"]> {
    const batch = this.#batch;
    assert(batch !== undefined, "events are recorded into a batch");
    const seq = this.state.headSeq === 0 ? this.#firstSeq : this.state.headSeq + 1;
    // Filled in, not copied: bodies have many shapes, and copies of many shapes are slow.
    const event = body as Mutable<Event>;
    event.seq = seq;
    event.recordedAt = nowMs;
    event.workflowId = this.workflowId;
    const measure = measureOf(body, this.state, nowMs);
    this.#host.spans.note(this.state, event, batch.spans);
    const delivery = this.state.apply(event);
    batch.events.push(event);
    if (measure !== undefined) batch.measures.push(measure);
    if (body.type === "ActivityStarted") {
      const activity = this.state.activities.get(body.ordinal);
      if (activity !== undefined) {
        const { ordinal, worker } = body;
        batch.attempts.push({ ordinal, activityType: activity.activityType, worker });
      }
    }
    if (body.type === "SearchAttributesUpdated") batch.hasAttributes = true;
    if (body.type === "WorkflowPaused" && body.isFurther !== true) batch.pausing = "begins";
    else if (body.type === "InputDelivered" || (body.type === "WorkflowResumed" && body.isFurther !== true))
      batch.pausing = "ends";
    if (this.state.isClosed) {
      batch.terminal = event;
      batch.abandoned = this.state.abandoned;
      batch.send.push(...closingMessages(this.state, event));
    }
    return delivery;
  }

  #issue(commands: readonly Command[], nowMs: number): void {
    const batch = this.#batch;
    assert(batch !== undefined, "commands are recorded into a batch");
    for (const command of commands) {
      if (this.state.isClosed) return;
      if (command.kind === "continue-as-new" && batch.isFirst) {
        // One commit begins one run at most: the end of this one goes into the next commit.
        this.#deferred = command;
        return;
      }
      const body = toEvent(command, { nowMs, newRunId: () => this.#host.newRunId() });
      if (body === undefined) continue;
      this.#record(body, nowMs);
      this.#follow(command, body, batch, nowMs);
    }
  }

  /** What a command entails beyond its event. */
  #follow(command: Command, body: EventBody, batch: Batch, nowMs: number): void {
    const { state } = this;
    switch (command.kind) {
      case "run-activity": {
        const activity = state.activities.get(command.ordinal);
        const isHeld = activity === undefined || state.pausing.holdsAttempts;
        const slot = isHeld ? undefined : this.#host.reserve(this, activity);
        if (slot !== undefined) this.#record(toStartedEvent(command.ordinal, 1, slot), nowMs);
        return;
      }
      case "cancel-activity": {
        batch.cancelled.push(command.ordinal);
        const { ordinal } = command;
        this.#inbox.unshift({
          // An attempt under way ends by itself, having been told; one that has not begun, or waits, ends here.
          toEvent: (now) => {
            const activity = now.activities.get(ordinal);
            const isBegun = this.#batch?.attempts.some((attempt) => attempt.ordinal === ordinal) !== true;
            if (activity?.isCancelRequested !== true || (activity.startedAt !== undefined && isBegun))
              return undefined;
            this.#host.leave(this, activity);
            return { type: "ActivityCancelled", ordinal, attempt: activity.attempt };
          },
        });
        return;
      }
      case "send-signal":
      case "start-child":
      case "cancel-child": {
        const message = toMessage(command, state, this.#host.spans);
        if (message !== undefined) batch.send.push(message);
        return;
      }
      case "continue-as-new":
        if (body.type === "WorkflowContinuedAsNew") this.#goOn(body, batch, nowMs);
        return;
      default:
        return;
    }
  }

  #goOn(end: EventBody & { readonly type: "WorkflowContinuedAsNew" }, batch: Batch, nowMs: number): void {
    const { next, cancel } = toSuccessor(this.state, end, {
      unconsumed: this.instance?.unconsumedSignals() ?? [],
      version: this.#host.routedVersion(end.workflowType),
      longHistory: this.#host.limits.longHistory,
      nowMs,
    });
    batch.next = next;
    if (cancel !== undefined) batch.send.push(cancel);
  }

  /** False when the run goes away instead of going on. */
  #judge(error: AionError): boolean {
    this.instance?.dispose();
    this.instance = undefined;
    if (this.#host.onFault(this, error) === "block") return false;
    const nowMs = this.#host.now();
    this.#record({ type: "WorkflowFailed", failure: toFailure(error) }, nowMs);
    return true;
  }

  #seal(): void {
    const batch = this.#batch;
    assert(batch !== undefined, "an activating run has a batch");
    const { state } = this;
    const hasRow =
      batch.events.length > 0 ||
      (this.#heartbeats !== undefined && this.runKey !== undefined) ||
      this.#isRowStale;
    if (!hasRow && batch.send.length === 0 && batch.consume.length === 0) {
      this.#batch = undefined;
      this.#phase = "idle";
      for (const input of batch.inputs) input.onDurable?.();
      for (const { input, error } of batch.refused) input.onRefused?.(error);
      this.#rest();
      return;
    }
    this.#schedule(batch);
    this.#phase = "committing";
    const commit = this.#toCommit(batch, hasRow);
    this.#host.record(commit, (result) => {
      if (this.#phase !== "committing") return;
      if (!result.ok) {
        this.#host.refused(this, batch, result.error);
        return;
      }
      if (result.startedKey !== undefined && batch.next === undefined) this.runKey = result.startedKey;
      this.wakeAtWritten = batch.wakeAt;
      if (commit.run !== undefined) this.#isHeld = false;
      this.#batch = undefined;
      this.#phase = "idle";
      this.#host.committed(this, batch, result);
      if (this.isGone || state.isClosed) return;
      this.#rest();
    });
  }

  #rest(): void {
    if (this.#phase !== "idle") return;
    for (const question of this.#questions.splice(0)) question();
    if (this.#phase !== "idle") return;
    if (this.#deferred !== undefined) {
      const command = this.#deferred;
      this.#deferred = undefined;
      this.#begin();
      this.#issue([command], this.#host.now());
      this.#step();
    } else if (this.#hasInput || (this.#fault !== undefined && !this.state.isClosed)) this.#pump();
    else this.#host.rested(this);
  }

  #toCommit(batch: Batch, hasRow: boolean): Commit {
    const { state, runKey } = this;
    if (runKey === undefined)
      return toFirstCommit(batch, state, { firstSeq: this.#firstSeq, follows: this.#follows });
    if (!hasRow) return toMessages(batch);
    const heartbeats = [...(this.#heartbeats?.values() ?? [])];
    this.#heartbeats = undefined;
    if (this.#unsaid !== undefined) {
      batch.log.unshift(this.#unsaid);
      this.#unsaid = undefined;
    }
    const { wakeAtWritten } = this;
    return toNextCommit(batch, state, { runKey, wakeAtWritten, heartbeats, isHeld: this.#isHeld });
  }

  /**
   * When the run must be looked at. On disk 0 stands for "as soon as an engine runs": an attempt is under way or
   * stands in line, and after a crash somebody has to take it up again.
   */
  #schedule(batch: Batch): void {
    const { state } = this;
    batch.wakeAt = null;
    batch.armAt = null;
    if (state.isClosed) return;
    batch.armAt = nextLookAt(state);
    batch.wakeAt = this.#needsEngine ? 0 : batch.armAt;
  }

  get #needsEngine(): boolean {
    if (this.#deferred !== undefined || this.#fault !== undefined || this.state.undelivered !== undefined)
      return true;
    const isPaused = this.state.pause !== undefined;
    for (const { retryAt, worker, parked } of this.state.activities.values()) {
      // Of a paused run only what a worker has needs somebody to come back to.
      if (isPaused ? worker !== undefined : (retryAt ?? parked) === undefined) return true;
    }
    return false;
  }

  /** It would be loaded at every start, and only wait: it continued as new, or was begun or held without its code. */
  get #isRowStale(): boolean {
    if (this.wakeAtWritten !== 0 || this.runKey === undefined || this.state.isClosed) return false;
    return !this.#needsEngine;
  }
}
