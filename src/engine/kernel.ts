import { AionError } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { toRunId } from "../core/ids.ts";
import { messageOf } from "../core/payload.ts";
import type { Ports } from "../core/ports.ts";
import type { ProgramInstance } from "../program/program.ts";
import { ResumeTracker } from "../replay/resume-point.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import type { Commit, CommitResult, RunRef, Store } from "../store/contract.ts";
import { BlockedRuns } from "./blocked-runs.ts";
import type { Slot, TaskAddress } from "./attempt.ts";
import { slotHere } from "./attempt.ts";
import { coordinatorInputs } from "./coordinator.ts";
import { Dispatcher } from "./dispatcher.ts";
import { attemptStart, dueInputs, nextLookAt } from "./due.ts";
import { Endings } from "./endings.ts";
import { EngineMeter } from "./engine-meter.ts";
import { Feed } from "./feed.ts";
import { HeartbeatKeeper } from "./heartbeat-keeper.ts";
import type { Input } from "./input.ts";
import { insist } from "./insist.ts";
import type { KernelOptions } from "./kernel-options.ts";
import { Lease } from "./lease.ts";
import { toInit } from "./load.ts";
import { Mailbox } from "./mailbox.ts";
import { Recorder } from "./recorder.ts";
import type { RecoveryReport } from "./recovery.ts";
import { recoverRuns } from "./recovery.ts";
import { tellParked } from "./parked.ts";
import { RunLimitsKeeper } from "./run-limits.ts";
import { fieldsOfRun } from "./run-lines.ts";
import { RunSpans } from "./run-spans.ts";
import { Residency } from "./residency.ts";
import type { Batch, NewAttempt } from "./batch.ts";
import type { ResidentRun } from "./resident-run.ts";
import type { RunHost } from "./run-host.ts";
import type { LabourView } from "./views.ts";
import { standingOf } from "./views.ts";
import { WakeQueue } from "./wake-queue.ts";
import { Watchers } from "./watchers.ts";
import { Workers, workerOptionsDefault } from "./workers.ts";

const retryMs = 1_000;
/** Runs that are settled in one turn: whoever shares the thread has his turn in between. */
const settlesPerTurn = 16;

/**
 * The engine over its ports: its parts put together, and what follows from a commit. One owner per store.
 *
 * Laws: whatever a caller or the world learns was on disk before. A run that cannot go on is held (blocked) and stops no
 * other. What is not resident costs a row. After the loss of ownership nothing is written and everything in memory is forgotten.
 */
export class Kernel implements RunHost {
  readonly store: Store;
  readonly options: KernelOptions;
  readonly meter: EngineMeter;
  readonly recorder: Recorder;
  readonly watchers = new Watchers();
  readonly feed: Feed;
  readonly mailbox: Mailbox;
  readonly blocked: BlockedRuns;
  readonly endings: Endings;
  readonly residency: Residency;
  readonly heartbeats: HeartbeatKeeper;
  readonly dispatcher: Dispatcher;
  readonly workers: Workers;
  readonly spans: RunSpans;
  readonly limits: RunLimitsKeeper;
  readonly wakes: WakeQueue;
  readonly #settling: ResidentRun[] = [];
  #isTurnAsked = false;
  #stopped: AionError | undefined;
  readonly lease: Lease;

  constructor(options: KernelOptions) {
    this.options = options;
    this.store = options.store;
    this.meter = new EngineMeter(options.ports.meter);
    this.spans = new RunSpans(options.tracing);
    const lose = (error: AionError): void => this.#lose(error);
    this.feed = new Feed(options.store, options.ports.scheduler);
    this.recorder = new Recorder(
      options.store,
      options.token,
      lose,
      () => this.pause(),
      () => this.feed.appended(),
      this.meter,
    );
    this.lease = new Lease(options, lose);
    this.limits = new RunLimitsKeeper(this, options.limits);
    this.mailbox = new Mailbox(this);
    this.blocked = new BlockedRuns(this);
    this.endings = new Endings(this);
    this.residency = new Residency(this);
    const { scheduler, log } = options.ports;
    this.heartbeats = new HeartbeatKeeper(options.store, scheduler, (id) => this.residency.get(id), log);
    this.wakes = new WakeQueue(options.ports, options.store, (workflowId) =>
      this.#wake(workflowId as WorkflowId),
    );
    this.dispatcher = new Dispatcher({
      ports: options.ports,
      activities: options.activities,
      limits: { total: options.activityConcurrency, perType: options.activityConcurrencyPerType },
      payloadLimitBytes: options.payloadLimitBytes,
      codec: options.codec,
      tracing: options.tracing,
      host: {
        // `toEvent` looks at the run, too, and has nothing to record for another one.
        settled: ({ workflowId, ordinal }, toEvent) =>
          this.residency.offer(workflowId, { toEvent, settles: ordinal }),
        slotFree: (address) => this.#slotFree(address),
        heartbeat: (address, attempt, details) => this.heartbeats.note(address, attempt, details),
        outside: options.outsideWorkflow,
      },
    });
    this.workers = new Workers({
      ports: options.ports,
      options: options.workers ?? workerOptionsDefault,
      payloadLimitBytes: options.payloadLimitBytes,
      codec: options.codec,
      epoch: options.token.epoch,
      host: {
        settled: ({ workflowId, ordinal }, outcome) =>
          this.residency.offer(workflowId, { ...outcome, settles: ordinal }),
        slotFree: (address) => this.#slotFree(address),
        heartbeat: (address, attempt, details) => this.heartbeats.note(address, attempt, details),
        isAtHand: (workflowId) => this.residency.get(workflowId)?.isHere === true,
        standingOf: (address, attempt) => standingOf(this.store, address, attempt),
        gone: (how) => this.meter.workerGone(how),
      },
    });
  }

  get inFlightCount(): number {
    return this.dispatcher.inFlightCount + this.workers.inFlightCount;
  }

  #slotFree(address: TaskAddress): void {
    const { workflowId, runId, ordinal } = address;
    const start = this.#attemptStart(workflowId, ordinal);
    const decline = (): void => {
      this.dispatcher.decline(address);
      this.workers.slots.decline(address);
    };
    this.residency.offer(workflowId, {
      toEvent: (state, nowMs) => {
        const event = start.toEvent(state, nowMs);
        if (event?.type !== "ActivityStarted") decline();
        return event;
      },
      runId,
      onRefused: (error) => {
        decline();
        // Nothing is wrong with the run: it stands in line no more, and comes back to it when it is read.
        if (error.code === "store_unavailable")
          this.insist("bringing a run back", () => this.residency.resident(workflowId));
      },
    });
  }

  // Life of the engine.

  /** Takes up what must move: runs with open attempts, then messages, then what is due. */
  async start(): Promise<{ readonly recoveredCount: number }> {
    this.lease.keep();
    this.meter.watch(this);
    const since = this.meter.now();
    const { onRecovery } = this.options;
    // Read before any run is, since one to which a message is damaged does not go on.
    await this.mailbox.list();
    let recoveredCount = 0;
    if (onRecovery === undefined) {
      // A report holds all that history answered: none is made when nobody is there to read it.
      const recoverOne = (run: RunRef) => this.residency.recover(run, undefined);
      for await (const { outcome } of recoverRuns({ store: this.store, which: "must-move", recoverOne })) {
        if (outcome?.kind !== "failed") recoveredCount += 1;
        this.meter.recovered(outcome?.kind === "failed");
      }
    } else {
      for await (const report of this.recover("must-move")) {
        if (report.outcome.kind !== "failed") recoveredCount += 1;
        this.meter.recovered(report.outcome.kind === "failed");
        onRecovery(report);
      }
    }
    this.meter.recoveryEnded(since);
    this.mailbox.start();
    await this.wakes.start();
    this.workers.open();
    return { recoveredCount };
  }

  /** A report for each active run (`"all"`), or for each that must move now; one failure never touches another. */
  recover(which: "all" | "must-move"): AsyncGenerator<RecoveryReport> {
    return recoverRuns({
      store: this.store,
      which,
      recoverOne: (run) => this.residency.recover(run, new ResumeTracker()),
    });
  }

  async close(graceMs: number): Promise<void> {
    if (this.#stopped === undefined) {
      this.wakes.stop();
      this.workers.stop();
      await this.dispatcher.stop(graceMs);
      // Outcomes that arrived meanwhile are recorded; what they lead to begins when the engine is opened again.
      await new Promise<void>((resolve) => this.options.ports.scheduler.turn(resolve));
      await this.recorder.drained();
      this.#stopped = new AionError("engine_closed", "the engine is closed");
    }
    this.#forgetAll(new AionError("engine_closed", "the engine is closed"));
    await this.recorder.drained();
    this.lease.stop();
    try {
      await this.store.release(this.options.token);
    } catch (error) {
      this.log("debug", "ownership was gone already", { error: messageOf(error) });
    }
  }

  /** Throws when the engine can do nothing more. */
  demandOpen(): void {
    if (this.#stopped !== undefined) throw this.#stopped;
  }

  #lose(error: AionError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.meter.stopped(error.code);
    this.wakes.stop();
    this.workers.stop();
    void this.dispatcher.stop(0);
    this.lease.stop();
    this.log("error", "the engine stopped", { code: error.code, error: error.message });
    this.#forgetAll(error);
    this.options.onStopped?.(error);
  }

  #forgetAll(error: AionError): void {
    this.meter.close();
    this.residency.forgetAll(error);
    this.watchers.fail(error);
    this.feed.fail(error);
  }

  // What its parts need (ResidencyHost, EndingHost, BlockingHost).

  insist(what: string, work: () => Promise<unknown>): void {
    void insist(work, { ports: this.options.ports, what, isWanted: () => this.#stopped === undefined });
  }

  get stopped(): AionError | undefined {
    return this.#stopped;
  }

  wakeAt(workflowId: WorkflowId, at: number): void {
    this.wakes.add(workflowId, at, false);
  }

  pause(): Promise<void> {
    return new Promise((resolve) => this.options.ports.scheduler.delay(retryMs, resolve));
  }

  log(level: Parameters<Ports["log"]>[0], message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.options.ports.log(level, message, fields);
  }

  // What runs ask for (RunHost).

  now(): number {
    return this.options.ports.clock.now();
  }

  newRunId(): RunId {
    return toRunId(this.options.ports.random.uuid());
  }

  routedVersion(workflowType: string): string | undefined {
    return this.options.programs.route(workflowType)?.version;
  }

  /** A package was deployed: runs that waited for code are tried again. */
  codeHasCome(): void {
    for (const workflowId of this.blocked.waitingForCode())
      this.insist("trying a run again", () => this.residency.resident(workflowId));
  }

  /**
   * Why the workflow's run is blocked; `undefined`: it is not. When it is tried again just now, since what held it may have been mended,
   * that is waited for, as long as `patience` lasts.
   */
  async whyBlocked(
    workflowId: WorkflowId,
    patience: Promise<unknown> | undefined,
  ): Promise<string | undefined> {
    if (this.blocked.get(workflowId) !== undefined)
      await Promise.race([this.residency.bringingIn(workflowId), patience]);
    return this.blocked.get(workflowId);
  }

  activate(run: ResidentRun): void {
    this.#settling.push(run);
    this.#askTurn();
  }

  record(commit: Commit, done: (result: CommitResult) => void): void {
    this.recorder.record(commit, done);
    this.#askTurn();
  }

  #askTurn(): void {
    if (this.#isTurnAsked) return;
    this.#isTurnAsked = true;
    this.options.ports.scheduler.turn(() => {
      this.#isTurnAsked = false;
      const runs = this.#settling.splice(0, settlesPerTurn);
      if (this.#settling.length > 0) this.#askTurn();
      for (const run of runs) {
        try {
          run.settle();
        } catch (error) {
          this.residency.crashed(run, error);
        }
      }
      this.recorder.flush();
    });
  }

  instantiate(run: ResidentRun): ProgramInstance {
    const { program } = run;
    if (program === undefined) throw new AionError("internal", "a run without code was activated");
    const { payloadLimitBytes } = this.options;
    return program.instantiate({
      ...toInit(run.state, { payloadLimitBytes, log: run.lines.say }, false),
      ...this.residency.liveOf(() => run),
    });
  }

  reserve(run: ResidentRun, activity: OpenActivity): Slot | undefined {
    const address = { workflowId: run.workflowId, runId: run.state.started.runId, ordinal: activity.ordinal };
    if (this.#isHere(activity))
      return this.dispatcher.reserve(address, activity.activityType) ? slotHere : undefined;
    const worker = this.workers.slots.reserve(address, activity, run.state.latestWorker);
    return worker === undefined ? undefined : { worker };
  }

  #isHere({ isStep, activityType }: OpenActivity): boolean {
    return isStep || this.dispatcher.hasImplementation(activityType);
  }

  leave({ workflowId, state }: ResidentRun, activity: OpenActivity): void {
    this.#leave({ workflowId, runId: state.started.runId, ordinal: activity.ordinal }, activity);
  }

  /** Runs that only wait for workers may be many, and wait for long: the lines know them, and bring them back. */
  isAtWork({ state }: ResidentRun): boolean {
    for (const activity of state.activities.values()) {
      const mayBegin = state.pause === undefined && activity.parked === undefined;
      if (activity.startedAt !== undefined || (mayBegin && this.#isHere(activity))) return true;
    }
    return false;
  }

  release(run: ResidentRun, { ordinal, activityType, worker }: NewAttempt): void {
    if (worker === undefined) this.dispatcher.release(activityType);
    else this.workers.slots.release(run.state.started.runId, ordinal);
  }

  committed(run: ResidentRun, batch: Batch, result: CommitResult & { readonly ok: true }): void {
    const { workflowId, state } = run;
    const { runId } = state.started;
    this.meter.committed(batch, state);
    this.residency.committed(run, batch);
    this.spans.emit(batch.spans);
    for (const input of batch.inputs) input.onDurable?.();
    for (const { input, error } of batch.refused) input.onRefused?.(error);
    if (batch.send.length > 0) this.mailbox.sent(batch.send, result.messageIds);
    if (batch.terminal !== undefined) this.#closed(run, batch, batch.terminal);
    else {
      for (const attempt of batch.attempts) {
        const { ordinal, worker } = attempt;
        const activity = state.activities.get(ordinal);
        if (activity === undefined) this.release(run, attempt);
        else {
          const address = { workflowId, runId, ordinal };
          const trace = this.spans.contextOfActivity(state, ordinal);
          if (worker !== undefined) this.workers.begin(address, activity, trace);
          else this.dispatcher.run(address, activity, run.instance?.stepFunction(ordinal), trace);
        }
      }
      for (const ordinal of batch.cancelled) {
        this.dispatcher.cancel(runId, ordinal);
        this.workers.cancel(runId, ordinal);
      }
      this.arm(run, batch.armAt);
      if (batch.pausing !== undefined) this.#pausingDone(run, batch.pausing);
    }
    this.watchers.appended(workflowId, state.headSeq);
    this.limits.committed(run, batch);
    if (state.parkedSeq > state.headSeq - batch.events.length) tellParked(state, batch, this);
  }

  /** Nothing of a paused run stands in line; after the pause everything that it left does so again. */
  #pausingDone(run: ResidentRun, pausing: NonNullable<Batch["pausing"]>): void {
    if (pausing === "ends") {
      run.offerAll(this.dueInputs(run));
      return;
    }
    const { runId } = run.state.started;
    this.dispatcher.leaveRun(runId);
    this.workers.slots.leaveRun(runId);
  }

  #closed(run: ResidentRun, batch: Batch, terminal: Event): void {
    const { workflowId, state } = run;
    const { runId } = state.started;
    for (const attempt of batch.attempts) this.release(run, attempt);
    if (batch.abandoned.length > 0) {
      for (const activity of batch.abandoned)
        this.#leave({ workflowId, runId, ordinal: activity.ordinal }, activity);
      const ordinals = batch.abandoned.map((activity) => activity.ordinal);
      this.dispatcher.drop(runId, ordinals);
      this.workers.drop(runId, ordinals);
    }
    this.residency.ended(run, terminal);
    this.watchers.closed(workflowId, runId, terminal);
    // Who sent it something while it was blocked is to hear what became of it.
    if (this.blocked.ended(workflowId)) this.mailbox.listAgain();
    this.workers.hear(workflowId);
  }

  refused(run: ResidentRun, batch: Batch, error: AionError): void {
    // If its run is deleted by now, reading cannot tell whether it was made, and what it sent may be on disk.
    if (error.code === "commit_unknown" && batch.send.length > 0) this.mailbox.listAgain();
    this.residency.reload(run, error);
  }

  rested(run: ResidentRun): void {
    // A wake-up may lead to nothing (the activity still stands in line), and then no commit arms the next.
    if (run.armedAt === null && run.isHere) this.arm(run, nextLookAt(run.state, this.now()));
    this.residency.rested(run);
  }

  onFault(run: ResidentRun, error: AionError): "fail" | "block" {
    const { workflowId } = run;
    const isLimit = error.code === "run_limit";
    this.log("error", isLimit ? "a run reached a limit" : "workflow code broke a law of durable execution", {
      ...fieldsOfRun(workflowId, run.state.started),
      code: error.code,
      error: error.message,
    });
    if (!isLimit) this.meter.violated(error.code);
    const policy = isLimit ? this.options.onRunLimit : this.options.onNondeterminism;
    if (policy === "fail" || run.runKey === undefined) return "fail";
    this.residency.hold(run, error);
    return "block";
  }

  // Time.

  arm(run: ResidentRun, at: number | null): void {
    if (at === null || (run.armedAt !== null && run.armedAt <= at && run.armedAt > this.now())) return;
    // While an attempt is open the row says 0, and nobody but the queue knows the instant.
    if (this.wakes.add(run.workflowId, at, run.wakeAtWritten === at)) run.armedAt = at;
  }

  async #wake(workflowId: WorkflowId): Promise<void> {
    try {
      const run = await this.residency.resident(workflowId);
      if (run === undefined || run.state.isClosed || this.#stopped !== undefined) return;
      // Put away for another run between the two lines above: it has to be brought back.
      if (run.isGone) return await this.#wake(workflowId);
      run.armedAt = null;
      const inputs = this.dueInputs(run);
      if (inputs.length > 0) run.offerAll(inputs);
      // What is due and not to be begun is on its way to the disk: the commit that holds it tells what comes next.
      else this.arm(run, nextLookAt(run.state, this.now()));
    } catch (error) {
      this.log("warn", "a run could not be woken; trying again", { workflowId, error: messageOf(error) });
      await this.pause();
      if (this.#stopped === undefined) await this.#wake(workflowId);
    }
  }

  labourOf(runId: RunId): LabourView {
    return {
      isUnderWay: (ordinal) => this.#isUnderWay(runId, ordinal),
      // Where one runs that is open says history; where one will run, who is here.
      isHere: (activity) => this.#isHere(activity) && !this.workers.isUnderWay(runId, activity.ordinal),
      isServed: (activity) => this.workers.slots.isServed(activity),
      progressOf: (ordinal) =>
        this.dispatcher.progressOf(runId, ordinal) ?? this.workers.progressOf(runId, ordinal),
    };
  }

  #isUnderWay(runId: RunId, ordinal: number): boolean {
    return this.dispatcher.isUnderWay(runId, ordinal) || this.workers.isUnderWay(runId, ordinal);
  }

  dueInputs(run: ResidentRun): Input[] {
    if (run.state.schedule !== undefined) return coordinatorInputs(() => this.newRunId());
    const { runId } = run.state.started;
    return dueInputs(run.state, this.now(), {
      isUnderWay: (ordinal) => this.#isUnderWay(runId, ordinal),
      attemptStart: (ordinal) => this.#attemptStart(run.workflowId, ordinal),
    });
  }

  /** The next attempt of an activity that is at rest: begins it, or lets it stand in line for a slot. */
  #attemptStart(workflowId: WorkflowId, ordinal: number): Input {
    return attemptStart(ordinal, {
      reserve: (activity) => {
        const run = this.residency.get(workflowId);
        return run === undefined ? undefined : this.reserve(run, activity);
      },
      leave: (activity, runId) => this.#leave({ workflowId, runId, ordinal }, activity),
    });
  }

  /** It stands in line no more, and takes no slot that it was offered. */
  #leave(address: TaskAddress, activity: OpenActivity): void {
    this.dispatcher.leave(activity.activityType, address);
    this.workers.slots.leave(address, activity);
  }
}
