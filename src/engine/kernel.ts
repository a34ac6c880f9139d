import { AionError } from "../core/errors.ts";
import type { Event, EventBody } from "../core/event.ts";
import { toFailure } from "../core/failure.ts";
import type { Pid, RunId, WorkflowId } from "../core/ids.ts";
import { toPid, toRunId } from "../core/ids.ts";
import { messageOf } from "../core/payload.ts";
import type { Ports } from "../core/ports.ts";
import { isClosed } from "../core/status.ts";
import type { InstanceInit, Program, ProgramInstance } from "../program/program.ts";
import type { OpenActivity } from "../replay/run-state.ts";
import { RunState } from "../replay/run-state.ts";
import { ResumeTracker } from "../replay/resume-point.ts";
import type { Commit, CommitResult, RunRecord, Store } from "../store/contract.ts";
import { Dispatcher } from "./dispatcher.ts";
import { HeartbeatKeeper } from "./heartbeat-keeper.ts";
import type { Input } from "./input.ts";
import { insist } from "./insist.ts";
import type { KernelOptions } from "./kernel-options.ts";
import { Lease } from "./lease.ts";
import { Endings } from "./endings.ts";
import { evict } from "./eviction.ts";
import { loadPatiently, toInit } from "./load.ts";
import { toAionError } from "./to-aion-error.ts";
import { Mailbox } from "./mailbox.ts";
import { Recorder } from "./recorder.ts";
import type { RecoveryOutcome, RecoveryReport } from "./recovery.ts";
import { recoverRuns, toOutcome } from "./recovery.ts";
import type { Batch, RunHost } from "./resident-run.ts";
import { ResidentRun } from "./resident-run.ts";
import { Watchers } from "./watchers.ts";
import { BlockedRuns } from "./blocked-runs.ts";
import { attemptStart, dueInputs, nextLookAt } from "./due.ts";
import { WakeQueue } from "./wake-queue.ts";

const refusedRetryMs = 1_000;
/** A run that crashes this often without a commit in between is held. */
const crashesMax = 5;

type LiveInstance = Pick<InstanceInit, "onStray" | "onReady" | "onLost">;

type LoadOutcome =
  | { readonly kind: "loaded"; readonly run: ResidentRun }
  | (RecoveryOutcome & { readonly kind: "failed" });

/**
 * The engine over its ports: who is resident, what is under way, and what happens next. One owner per store.
 *
 * Laws: whatever a caller or the world learns was on disk before. A run that cannot go on is held (blocked) and stops no
 * other. What is not resident costs a row. After the loss of ownership nothing is written and everything in memory is forgotten.
 */
export class Kernel implements RunHost {
  readonly store: Store;
  readonly options: KernelOptions;
  readonly recorder: Recorder;
  readonly watchers = new Watchers();
  readonly mailbox: Mailbox;
  readonly blocked: BlockedRuns;
  readonly endings: Endings;
  readonly #dispatcher: Dispatcher;
  readonly #wakes: WakeQueue;
  readonly #runs = new Map<WorkflowId, ResidentRun>();
  /** Begun in memory, and not on disk yet: whether there is such a run, their first commit decides. */
  readonly #unborn = new Map<WorkflowId, ResidentRun>();
  readonly loads = new Map<WorkflowId, Promise<ResidentRun | undefined>>();
  readonly #heartbeats: HeartbeatKeeper;
  #settling: ResidentRun[] = [];
  readonly #kept = new Map<WorkflowId, readonly Input[]>();
  readonly #crashes = new Map<WorkflowId, number>();
  #isTurnAsked = false;
  #pidCount = 0;
  #stopped: AionError | undefined;
  readonly lease: Lease;

  constructor(options: KernelOptions) {
    this.options = options;
    this.store = options.store;
    const lose = (error: AionError): void => this.#lose(error);
    this.recorder = new Recorder(options.store, options.token, lose, () => this.#pause(refusedRetryMs));
    this.lease = new Lease(options, lose);
    this.mailbox = new Mailbox(this);
    this.blocked = new BlockedRuns(this);
    this.endings = new Endings(this);
    const { scheduler, log } = options.ports;
    this.#heartbeats = new HeartbeatKeeper(options.store, scheduler, (id) => this.#runs.get(id), log);
    this.#wakes = new WakeQueue(options.ports, options.store, (workflowId) =>
      this.#wake(workflowId as WorkflowId),
    );
    this.#dispatcher = new Dispatcher({
      ports: options.ports,
      activities: options.activities,
      limits: { total: options.activityConcurrency, perType: options.activityConcurrencyPerType },
      payloadLimitBytes: options.payloadLimitBytes,
      host: {
        settled: (address, _attempt, toEvent) =>
          this.offer(address.workflowId, address.runId, { toEvent, settles: address.ordinal }),
        slotFree: (address) => {
          const start = this.#attemptStart(address.workflowId, address.ordinal);
          const decline = (): void => this.#dispatcher.decline(address);
          this.offer(address.workflowId, address.runId, {
            toEvent: (state, nowMs) => {
              const isMeant = state.started.runId === address.runId;
              const event = isMeant ? start.toEvent(state, nowMs) : undefined;
              if (event?.type !== "ActivityStarted") decline();
              return event;
            },
            onRefused: decline,
          });
        },
        heartbeat: (address, attempt, details) => this.#heartbeats.note(address, attempt, details),
        outside: options.outsideWorkflow,
      },
    });
  }

  get residentCount(): number {
    return this.#runs.size;
  }

  get inFlightCount(): number {
    return this.#dispatcher.inFlightCount;
  }

  get dispatcher(): Dispatcher {
    return this.#dispatcher;
  }

  residentRun(workflowId: WorkflowId): ResidentRun | undefined {
    return this.#runs.get(workflowId);
  }

  unbornRun(workflowId: WorkflowId): ResidentRun | undefined {
    return this.#unborn.get(workflowId);
  }

  /** The supervision tree: engine, workflow types, runs with their pids. */
  residents(): readonly {
    readonly workflowId: WorkflowId;
    readonly runId: RunId;
    readonly workflowType: string;
    readonly pid: Pid;
  }[] {
    return [...this.#runs.values()]
      .filter((run) => run.state.headSeq > 0)
      .map((run) => ({
        workflowId: run.workflowId,
        runId: run.state.started.runId,
        workflowType: run.state.started.workflowType,
        pid: run.pid,
      }));
  }

  // Life of the engine.

  /** Takes up what must move: runs with open attempts, then messages, then what is due. */
  async start(): Promise<{ readonly recoveredCount: number }> {
    this.lease.keep();
    const { onRecovery } = this.options;
    // Read before any run is, since one to which a message is damaged does not go on.
    await this.mailbox.list();
    let recoveredCount = 0;
    if (onRecovery === undefined) {
      // A report holds all that history answered: none is made when nobody is there to read it.
      const recoverOne = (record: RunRecord) => this.#takeUp(record, undefined);
      for await (const { outcome } of recoverRuns({ store: this.store, which: "must-move", recoverOne })) {
        if (outcome.kind !== "failed") recoveredCount += 1;
      }
    } else {
      for await (const report of this.recover("must-move")) {
        if (report.outcome.kind !== "failed") recoveredCount += 1;
        onRecovery(report);
      }
    }
    this.mailbox.start();
    await this.#wakes.start();
    return { recoveredCount };
  }

  /** A report for each active run (`"all"`), or for each that must move now; one failure never touches another. */
  recover(which: "all" | "must-move"): AsyncGenerator<RecoveryReport> {
    return recoverRuns({
      store: this.store,
      which,
      recoverOne: (record) => this.#recoverOne(record),
    });
  }

  async #recoverOne(record: RunRecord): Promise<RecoveryOutcome> {
    const tracker = new ResumeTracker();
    const { workflowId } = record;
    // One that is being begun, loaded or ended is looked at when that is done.
    const unborn = this.#unborn.get(workflowId);
    if (unborn !== undefined) await new Promise<void>((resolve) => unborn.ask(resolve));
    while (this.loads.has(workflowId)) await this.loads.get(workflowId)?.catch(() => undefined);
    const present = this.#runs.get(workflowId);
    if (present !== undefined && !present.isGone) {
      // Live here already: it is not adopted again, but told about, from its history.
      const latest = (await this.store.findRunByKey(record.runKey)) ?? record;
      const { state, instance } = await this.#tryLoad(latest, tracker, { onStray: () => undefined });
      instance.dispose();
      return toOutcome(latest, state, tracker, present.pid);
    }
    const loaded = await this.#takeUp(record, tracker);
    return loaded.kind === "failed" ? loaded : toOutcome(record, loaded.run.state, tracker, loaded.run.pid);
  }

  /** Loads a run for recovery. Whoever wants the run meanwhile waits, so that it is not ended, say, between its reading and its use. */
  async #takeUp(record: RunRecord, tracker: ResumeTracker | undefined): Promise<LoadOutcome> {
    const { workflowId } = record;
    const load = this.#load(record, tracker);
    const latest = load
      .then((outcome) => (outcome.kind === "loaded" && outcome.run.isHere ? outcome.run : undefined))
      .finally(() => this.loads.delete(workflowId));
    this.loads.set(workflowId, latest);
    await latest;
    const outcome = await load;
    if (outcome.kind === "failed" && outcome.error.code === "store_unavailable") this.#bringBack(workflowId);
    return outcome;
  }

  async close(graceMs: number): Promise<void> {
    if (this.#stopped === undefined) {
      this.#wakes.stop();
      await this.#dispatcher.stop(graceMs);
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
    this.#wakes.stop();
    void this.#dispatcher.stop(0);
    this.lease.stop();
    this.log("error", "the engine stopped", { code: error.code, message: error.message });
    this.#forgetAll(error);
    this.options.onStopped?.(error);
  }

  #forgetAll(error: AionError): void {
    for (const run of [...this.#runs.values(), ...this.#unborn.values()]) {
      for (const input of run.discard()) input.onRefused?.(error);
    }
    this.#runs.clear();
    this.#unborn.clear();
    this.watchers.fail(error);
  }

  // Inputs.

  /** Hands an input to a run, loading it if it is not resident. Late ones for an ended run are dropped or refused. */
  offer(workflowId: WorkflowId, runId: RunId | undefined, input: Input): void {
    const run = this.#runs.get(workflowId);
    if (run !== undefined && run.isHere && (input.settles !== undefined || !this.loads.has(workflowId))) {
      if (runId === undefined || run.state.started.runId === runId) {
        run.offer(input);
        return;
      }
    }
    const unborn = this.#unborn.get(workflowId);
    if (runId !== undefined && unborn?.state.started.runId === runId) unborn.offer(input);
    else if (input.settles === undefined) void this.#offerLater(workflowId, runId, input);
    else {
      this.#keep(workflowId, [input]);
      this.#bringBack(workflowId);
    }
  }

  /** What is known of a run that is being read anew: the first thing it hears then, so that no known outcome is worked for again. */
  #keep(workflowId: WorkflowId, inputs: readonly Input[]): void {
    this.#kept.set(workflowId, [...(this.#kept.get(workflowId) ?? []), ...inputs]);
  }

  /** Nobody waits for it, and what is kept for it must reach it. */
  #bringBack(workflowId: WorkflowId): void {
    this.insist("bringing a run back", () => this.resident(workflowId));
  }

  insist(what: string, work: () => Promise<unknown>): void {
    void insist(work, { ports: this.options.ports, what, isWanted: () => this.#stopped === undefined });
  }

  async #offerLater(workflowId: WorkflowId, runId: RunId | undefined, input: Input): Promise<void> {
    try {
      this.demandOpen();
      const run = await this.resident(workflowId);
      if (run === undefined) throw await this.absent(workflowId);
      if (runId !== undefined && run.state.started.runId !== runId) {
        throw new AionError("run_closed", `run ${runId} of workflow ${workflowId} has ended`);
      }
      if (run.isGone || run.state.isClosed) await this.#offerLater(workflowId, runId, input);
      else run.offer(input);
    } catch (error) {
      const reason = toAionError(error);
      if (input.onRefused !== undefined) input.onRefused(reason);
      else this.log("debug", "a late outcome was dropped", { workflowId, code: reason.code });
    }
  }

  async absent(workflowId: WorkflowId): Promise<AionError> {
    const blocked = this.blocked.get(workflowId);
    if (blocked !== undefined)
      return new AionError("run_blocked", `workflow ${workflowId} is blocked: ${blocked}`);
    const record = await this.store.findRun(workflowId);
    if (record === undefined) return new AionError("run_not_found", `there is no workflow ${workflowId}`);
    return new AionError(
      "run_closed",
      `workflow ${workflowId} has ended: its latest run ${record.runId} is ${record.status}`,
    );
  }

  /** The latest run of the id with its code in memory; `undefined`: unknown, ended, or blocked. */
  async resident(workflowId: WorkflowId): Promise<ResidentRun | undefined> {
    const unborn = this.#unborn.get(workflowId);
    if (unborn !== undefined) await new Promise<void>((resolve) => unborn.ask(resolve));
    const loading = this.loads.get(workflowId);
    if (loading !== undefined) return loading;
    const present = this.#runs.get(workflowId);
    if (present !== undefined && !present.isGone) {
      if (present.isHere) return present;
      // Its end is being committed; what comes next depends on that.
      await new Promise<void>((resolve) => present.ask(resolve));
      return this.resident(workflowId);
    }
    const load = this.#loadLatest(workflowId).finally(() => this.loads.delete(workflowId));
    this.loads.set(workflowId, load);
    return load;
  }

  async #loadLatest(workflowId: WorkflowId): Promise<ResidentRun | undefined> {
    const run = await this.#findAndLoad(workflowId);
    const kept = this.#kept.get(workflowId);
    if (kept === undefined) return run;
    this.#kept.delete(workflowId);
    if (run?.isHere === true) run.offerAll(kept);
    else {
      const error = await this.absent(workflowId);
      for (const input of kept) input.onRefused?.(error);
    }
    return run;
  }

  async #findAndLoad(workflowId: WorkflowId): Promise<ResidentRun | undefined> {
    const record = await this.store.findRun(workflowId);
    if (record === undefined || isClosed(record.status)) return undefined;
    const unborn = this.#unborn.get(workflowId);
    if (unborn?.state.started.runId === record.runId) {
      // Begun while it was looked for: it is on disk, and its engine has not heard of that yet.
      await new Promise<void>((resolve) => unborn.ask(resolve));
      return this.#findAndLoad(workflowId);
    }
    const outcome = await this.#load(record, undefined);
    if (outcome.kind === "failed" && outcome.error.code === "store_unavailable") throw outcome.error;
    return outcome.kind === "failed" || outcome.run.state.isClosed ? undefined : outcome.run;
  }

  /** Loads a run by replay and makes it resident; the one place where a failure to load is dealt with. */
  async #load(
    record: RunRecord,
    tracker: ResumeTracker | undefined,
  ): Promise<
    { readonly kind: "loaded"; readonly run: ResidentRun } | (RecoveryOutcome & { readonly kind: "failed" })
  > {
    const { workflowId } = record;
    const present = this.#runs.get(workflowId);
    if (present !== undefined && !present.isGone) return { kind: "loaded", run: present };
    let holder: ResidentRun | undefined;
    try {
      this.#demandWhole(workflowId);
      const loaded = await this.#tryLoad(
        record,
        tracker,
        this.#liveOf(() => holder),
      );
      const { state, program, instance, live, isStuck } = loaded;
      await this.#heartbeats.restore(record.runKey, state);
      if (record.blocked !== undefined) {
        await this.mailbox.takeUp();
        this.#demandWhole(workflowId);
      }
      const raced = this.#runs.get(workflowId);
      if (raced !== undefined && !raced.isGone) {
        instance.dispose();
        return { kind: "loaded", run: raced };
      }
      const runId = state.started.runId;
      const kept = this.#kept.get(workflowId) ?? [];
      this.#kept.delete(workflowId);
      const known = new Set(kept.map((input) => input.settles));
      for (const activity of state.activities.values()) {
        // The attempt that history has as under way died with its process, unless it is still at work in this one, or
        // has ended and its outcome waits to be recorded.
        const isAlive = this.#dispatcher.isUnderWay(runId, activity.ordinal) || known.has(activity.ordinal);
        if (!isAlive) activity.startedAt = undefined;
      }
      const run = this.#admit(record, state, program, instance);
      holder = run;
      if (record.blocked !== undefined) this.blocked.unblock(record);
      if (state.isClosed) return { kind: "loaded", run };
      run.resume(live);
      run.offerAll([...kept, ...this.#dueInputs(run)]);
      const why = `workflow ${workflowId} waits for nothing durable and has not ended`;
      if (isStuck) run.fault(new AionError("nondurable_await", why));
      this.#arm(run, nextLookAt(state));
      run.correctRow();
      if (run.isIdle) this.rested(run);
      return { kind: "loaded", run };
    } catch (error) {
      return this.#failLoad(record, toAionError(error));
    }
  }

  #demandWhole(workflowId: WorkflowId): void {
    const damage = this.mailbox.damageOf(workflowId);
    if (damage !== undefined) throw damage;
  }

  #tryLoad(record: RunRecord, tracker: ResumeTracker | undefined, live: LiveInstance) {
    const { ports, programs, payloadLimitBytes } = this.options;
    return loadPatiently(record, {
      store: this.store,
      programs,
      scheduler: ports.scheduler,
      payloadLimitBytes,
      log: (level, message, fields) =>
        ports.log(level, message, { ...fields, workflowId: record.workflowId }),
      ...live,
      ...(tracker === undefined ? {} : { tracker }),
    });
  }

  async #failLoad(
    record: RunRecord,
    error: AionError,
  ): Promise<RecoveryOutcome & { readonly kind: "failed" }> {
    const { workflowId } = record;
    // The store is out of order, not the run, or the run was deleted: nothing is held against it, nor against the next of its id.
    if (error.code === "store_unavailable" || error.code === "run_not_found")
      return { kind: "failed", error, failureRecorded: false };
    const isViolation = error.code === "nondeterminism" || error.code === "nondurable_await";
    if (isViolation && this.options.onNondeterminism === "fail") {
      const { message } = error;
      this.log("error", "a run diverged from its history and was failed", { workflowId, message });
      try {
        const event: EventBody = { type: "WorkflowFailed", failure: toFailure(error) };
        await (
          await this.endings.withoutCode(record, event)
        ).ended;
        return { kind: "failed", error, failureRecorded: true };
      } catch (reason) {
        return { kind: "failed", error: toAionError(reason), failureRecorded: false };
      }
    }
    await this.blocked.block(record, error);
    return { kind: "failed", error, failureRecorded: false };
  }

  #admit(
    record: RunRecord,
    state: RunState,
    program: Program | undefined,
    instance: ProgramInstance | undefined,
  ): ResidentRun {
    const run = new ResidentRun({
      host: this,
      workflowId: record.workflowId,
      pid: this.#nextPid(),
      state,
      program,
      instance,
      runKey: record.runKey,
      firstSeq: record.firstSeq,
      wakeAt: record.wakeAt,
      isHeld: record.blocked !== undefined,
    });
    if (!state.isClosed) this.#runs.set(record.workflowId, run);
    return run;
  }

  /** A run that begins now: its code moves before its first commit, and nothing of that leaves before it. */
  begin(
    workflowId: WorkflowId,
    program: Program,
    before: RunRecord | undefined,
    inputs: readonly Input[],
  ): void {
    const damage = this.mailbox.damageOf(workflowId);
    if (damage !== undefined) {
      for (const input of inputs) input.onRefused?.(damage);
      return;
    }
    const run = new ResidentRun({
      host: this,
      workflowId,
      pid: this.#nextPid(),
      state: new RunState(workflowId),
      program,
      instance: undefined,
      runKey: undefined,
      firstSeq: (before?.headSeq ?? 0) + 1,
      follows: before?.runKey,
      wakeAt: null,
    });
    this.#unborn.set(workflowId, run);
    run.offerAll(inputs);
  }

  // What blocked runs and ends from outside need (BlockingHost, EndingHost).

  get isStopped(): boolean {
    return this.#stopped !== undefined;
  }

  wakeAt(workflowId: WorkflowId, at: number): void {
    this.#wakes.add(workflowId, at, false);
  }

  async timeOut(record: RunRecord, timeout: "run" | "execution"): Promise<void> {
    const { ended } = await this.endings.withoutCode(record, { type: "WorkflowTimedOut", timeout });
    await ended;
  }

  adopt(record: RunRecord, state: RunState): ResidentRun {
    return this.#admit(record, state, undefined, undefined);
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
      const runs = this.#settling;
      this.#settling = [];
      for (const run of runs) {
        try {
          run.settle();
        } catch (error) {
          this.#crash(run, error);
        }
      }
      this.recorder.flush();
    });
  }

  /** A bug of ours met this run: it is thrown away and read anew; the others do not notice. */
  #crash(run: ResidentRun, error: unknown): void {
    const { workflowId, pid } = run;
    const count = (this.#crashes.get(workflowId) ?? 0) + 1;
    this.#crashes.set(workflowId, count);
    this.log("error", "a run crashed and is loaded again", { workflowId, pid, count, error: String(error) });
    const isToReload = count < crashesMax || run.runKey === undefined;
    if (isToReload) return this.#reload(run, toAionError(error), run.discard());
    this.#crashes.delete(workflowId);
    this.#hold(run, toAionError(error));
  }

  /** Takes a run out of memory and blocks it. */
  #hold(run: ResidentRun, error: AionError): void {
    const { workflowId } = run;
    this.#runs.delete(workflowId);
    for (const input of run.discard()) {
      input.onRefused?.(new AionError("run_blocked", `workflow ${workflowId} is blocked: ${error.message}`));
    }
    this.insist("holding a run", async () => {
      const record = await this.store.findRun(workflowId);
      if (record !== undefined) await this.blocked.block(record, error);
    });
  }

  /** A message to the workflow is damaged: its run, if one is open, is blocked. */
  holdFor(workflowId: WorkflowId, error: AionError): void {
    const run = this.#runs.get(workflowId);
    if (run !== undefined && run.isHere) this.#hold(run, error);
    else if (this.blocked.get(workflowId) === undefined) this.#bringBack(workflowId);
  }

  instantiate(run: ResidentRun): ProgramInstance {
    const { program } = run;
    if (program === undefined) throw new AionError("internal", "a run without code was activated");
    const { ports, payloadLimitBytes } = this.options;
    return program.instantiate({
      ...toInit(
        run.state,
        {
          payloadLimitBytes,
          log: (level, message, fields) =>
            ports.log(level, message, { ...fields, workflowId: run.workflowId }),
        },
        false,
      ),
      ...this.#liveOf(() => run),
    });
  }

  /** What an instance that is kept tells of itself; `of`: its run, once there is one. */
  #liveOf(of: () => ResidentRun | undefined): LiveInstance {
    return {
      onStray: (error) => of()?.fault(error),
      onReady: () => {
        const run = of();
        if (run !== undefined) this.activate(run);
      },
      onLost: (error, isCulprit) => {
        const run = of();
        if (run === undefined || run.isGone) return;
        if (isCulprit) this.#crash(run, error);
        else this.#reload(run, error, run.discard());
      },
    };
  }

  reserve(run: ResidentRun, activity: OpenActivity): boolean {
    const { activityType, isStep, ordinal } = activity;
    const address = { workflowId: run.workflowId, runId: run.state.started.runId, ordinal };
    return this.#dispatcher.reserve(address, activityType, isStep);
  }

  committed(run: ResidentRun, batch: Batch, result: CommitResult & { readonly ok: true }): void {
    const { workflowId, state } = run;
    const { runId } = state.started;
    if (this.#unborn.get(workflowId) === run) {
      this.#unborn.delete(workflowId);
      if (batch.terminal === undefined) this.#runs.set(workflowId, run);
    }
    if (this.#crashes.size > 0) this.#crashes.delete(workflowId);
    for (const input of batch.inputs) input.onDurable?.();
    if (batch.send.length > 0) this.mailbox.sent(batch.send, result.messageIds);
    if (batch.terminal !== undefined) this.#closed(run, batch, batch.terminal);
    else {
      for (const { ordinal, activityType } of batch.attempts) {
        const activity = state.activities.get(ordinal);
        if (activity === undefined) this.#dispatcher.release(activityType);
        else
          this.#dispatcher.run({ workflowId, runId, ordinal }, activity, run.instance?.stepFunction(ordinal));
      }
      for (const ordinal of batch.cancelled) this.#dispatcher.cancel(runId, ordinal);
      this.#arm(run, batch.armAt);
    }
    this.watchers.appended(workflowId, state.headSeq);
  }

  #closed(run: ResidentRun, batch: Batch, terminal: Event): void {
    const { workflowId, state } = run;
    const { runId } = state.started;
    for (const { activityType } of batch.attempts) this.#dispatcher.release(activityType);
    for (const { activityType, ordinal } of batch.abandoned) {
      this.#dispatcher.leave(activityType, { workflowId, runId, ordinal });
    }
    this.#dispatcher.drop(
      runId,
      batch.abandoned.map((activity) => activity.ordinal),
    );
    if (this.#runs.get(workflowId) === run) this.#runs.delete(workflowId);
    const left = run.discard();
    this.watchers.closed(workflowId, runId, terminal);
    const goesOn = terminal.type === "WorkflowContinuedAsNew";
    for (const input of left) {
      if (goesOn && input.followsChain === true) {
        this.offer(workflowId, undefined, input);
      } else if (input.onRefused !== undefined) {
        input.onRefused(new AionError("run_closed", `run ${runId} of workflow ${workflowId} has ended`));
      }
    }
    if (goesOn) this.#bringBack(workflowId);
  }

  refused(run: ResidentRun, batch: Batch, error: AionError): void {
    for (const { activityType } of batch.attempts) this.#dispatcher.release(activityType);
    this.#dispatcher.leaveRun(run.state.started.runId);
    // If its run is deleted by now, reading cannot tell whether it was made, and what it sent may be on disk.
    if (error.code === "commit_unknown" && batch.send.length > 0) this.mailbox.listAgain();
    this.#reload(run, error, run.discard());
  }

  /** Forgets what was not committed, reads the run anew, and offers again what nobody was told about. */
  #reload(run: ResidentRun, error: AionError, left: readonly Input[]): void {
    const { workflowId } = run;
    if (this.#unborn.get(workflowId) === run) {
      this.#unborn.delete(workflowId);
      for (const input of left) input.onRefused?.(error);
      return;
    }
    if (this.#runs.get(workflowId) === run) this.#runs.delete(workflowId);
    const again: Input[] = [];
    for (const input of left) {
      // After a conflict nothing was written, and whoever asked need not hear of it; but a message that is no longer there was
      // answered before.
      const isAnswered =
        input.messageId !== undefined && input.messageId === error.details["missingMessageId"];
      if (input.onRefused === undefined || (error.code === "sequence_conflict" && !isAnswered))
        again.push(input);
      else input.onRefused(error);
    }
    if (this.#stopped !== undefined) return;
    this.#keep(workflowId, again);
    void this.#pause(refusedRetryMs).then(() => this.#bringBack(workflowId));
  }

  rested(run: ResidentRun): void {
    // A wake-up may lead to nothing (the activity still stands in line), and then no commit arms the next.
    if (run.armedAt === null && run.isHere) this.#arm(run, nextLookAt(run.state, this.now()));
    if (this.#runs.size <= this.options.residentMax) return;
    evict(this.#runs, run, this.options.residentMax);
  }

  onFault(run: ResidentRun, error: AionError): "fail" | "block" {
    const { workflowId } = run;
    const { message } = error;
    this.log("error", "workflow code broke a law of durable execution", { workflowId, message });
    if (this.options.onNondeterminism === "fail" || run.runKey === undefined) return "fail";
    this.#hold(run, error);
    return "block";
  }

  // Time.

  #arm(run: ResidentRun, at: number | null): void {
    if (at === null || (run.armedAt !== null && run.armedAt <= at && run.armedAt > this.now())) return;
    // While an attempt is open the row says 0, and nobody but the queue knows the instant.
    if (this.#wakes.add(run.workflowId, at, run.wakeAtWritten === at)) run.armedAt = at;
  }

  async #wake(workflowId: WorkflowId): Promise<void> {
    try {
      const run = await this.resident(workflowId);
      if (run === undefined || run.state.isClosed || this.#stopped !== undefined) return;
      // Put away for another run between the two lines above: it has to be brought back.
      if (run.isGone) return await this.#wake(workflowId);
      run.armedAt = null;
      const inputs = this.#dueInputs(run);
      if (inputs.length > 0) run.offerAll(inputs);
      else this.#arm(run, nextLookAt(run.state));
    } catch (error) {
      this.log("warn", "a run could not be woken; trying again", { workflowId, error: messageOf(error) });
      await this.#pause(refusedRetryMs);
      if (this.#stopped === undefined) await this.#wake(workflowId);
    }
  }

  #dueInputs(run: ResidentRun): Input[] {
    const { runId } = run.state.started;
    return dueInputs(run.state, this.now(), {
      isUnderWay: (ordinal) => this.#dispatcher.isUnderWay(runId, ordinal),
      attemptStart: (ordinal) => this.#attemptStart(run.workflowId, ordinal),
    });
  }

  /** The next attempt of an activity that is at rest: begins it, or lets it stand in line for a slot. */
  #attemptStart(workflowId: WorkflowId, ordinal: number): Input {
    return attemptStart(ordinal, {
      reserve: (activity) => {
        const run = this.#runs.get(workflowId);
        return run !== undefined && this.reserve(run, activity);
      },
      leave: (activity, runId) =>
        this.#dispatcher.leave(activity.activityType, { workflowId, runId, ordinal }),
    });
  }

  log(level: Parameters<Ports["log"]>[0], message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.options.ports.log(level, message, fields);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.options.ports.scheduler.delay(ms, resolve));
  }

  #nextPid(): Pid {
    this.#pidCount += 1;
    return toPid(this.options.token.epoch, this.#pidCount);
  }
}
