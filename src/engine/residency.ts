import { AionError, assert } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import type { Pid, RunId, WorkflowId } from "../core/ids.ts";
import { toPid } from "../core/ids.ts";
import { isCodecError } from "../core/payload-codec.ts";
import { isClosed } from "../core/status.ts";
import type { Program, ProgramInstance } from "../program/program.ts";
import type { ResumeTracker } from "../replay/resume-point.ts";
import { RunState } from "../replay/run-state.ts";
import type { RunRecord, RunRef } from "../store/contract.ts";
import type { LogEntry } from "../store/run-log.ts";
import type { Batch } from "./batch.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Visit, Which } from "./door.ts";
import { Door } from "./door.ts";
import { nextLookAt } from "./due.ts";
import { evict } from "./eviction.ts";
import type { Input } from "./input.ts";
import type { RecoveryFailure, RecoveryOutcome } from "./recovery.ts";
import { toOutcome } from "./recovery.ts";
import { ResidentRun } from "./resident-run.ts";
import { runBlocked, runEnded } from "./run-errors.ts";
import type { RunHost } from "./run-host.ts";
import { RunLines, fieldsOfRun } from "./run-lines.ts";
import type { LiveInstance, LoaderHost, ReadRun } from "./run-loader.ts";
import { RunLoader, isPassing } from "./run-loader.ts";
import { toAionError } from "./to-aion-error.ts";
import { WaitingInputs, refuse } from "./waiting-inputs.ts";
import type { Workers } from "./workers.ts";

/** A run that crashes this often without a commit in between is held. */
const crashesMax = 5;

export interface ResidencyHost extends RunHost, LoaderHost {
  readonly dispatcher: Dispatcher;
  readonly workers: Workers;
  insist(what: string, work: () => Promise<unknown>): void;
  pause(): Promise<void>;
  /** Whether the run has activities that are more than in line for a worker. */
  isAtWork(run: ResidentRun): boolean;
  /** What came due while the run was not in memory. */
  dueInputs(run: ResidentRun): readonly Input[];
  arm(run: ResidentRun, at: number | null): void;
}

type LoadOutcome =
  | { readonly kind: "loaded"; readonly run: ResidentRun }
  | { readonly kind: "ended"; readonly state: RunState }
  | RecoveryFailure;

/**
 * Who is in memory. Owner: the kernel.
 *
 * Laws:
 *  1. A run is taken in from disk by a visit alone: `Door`.
 *  2. A run is begun in memory, and whether there is such a run its first commit decides. Until then nobody finds it.
 *  3. What is offered to a run that is not here waits in line, and is let in, or turned away with the reason, by the load that it
 *     asks for. If the store fails that load, whoever waits hears so, and what nobody waits for stays in line.
 *  4. After the engine has stopped nobody comes in.
 */
export class Residency {
  readonly #host: ResidencyHost;
  /** In the order of their use. */
  readonly #runs = new Map<WorkflowId, ResidentRun>();
  /** Begun in memory, and not on disk yet. */
  readonly #unborn = new Map<WorkflowId, ResidentRun>();
  /** Whoever wants a run that is being brought in waits for the same. */
  readonly #loads = new Map<WorkflowId, Promise<ResidentRun | undefined>>();
  readonly #waiting = new WaitingInputs();
  readonly #crashes = new Map<WorkflowId, number>();
  readonly #loader: RunLoader;
  readonly #door: Door;
  #pidCount = 0;

  constructor(host: ResidencyHost) {
    this.#host = host;
    this.#loader = new RunLoader(host);
    this.#door = new Door({ store: host.options.store, runs: this.#runs, unborn: this.#unborn });
  }

  get size(): number {
    return this.#runs.size;
  }

  /** How many of them are paused. */
  get pausedCount(): number {
    let count = 0;
    for (const { state } of this.#runs.values()) if (state.pause !== undefined) count += 1;
    return count;
  }

  /** What of the workflow is in memory at this moment. Whether it can be turned to, `isHere` tells. */
  get(workflowId: WorkflowId): ResidentRun | undefined {
    return this.#runs.get(workflowId) ?? this.#unborn.get(workflowId);
  }

  /** The supervision tree: engine, workflow types, runs with their pids. */
  list(): readonly {
    readonly workflowId: WorkflowId;
    readonly runId: RunId;
    readonly workflowType: string;
    readonly pid: Pid;
  }[] {
    return [...this.#runs.values()].map(({ workflowId, state, pid }) => {
      const { runId, workflowType } = state.started;
      return { workflowId, runId, workflowType, pid };
    });
  }

  // The way in.

  visit<Result>(workflowId: WorkflowId, which: Which, to: Visit<Result>): Promise<Result> {
    return this.#door.visit(workflowId, which, to);
  }

  latest(workflowId: WorkflowId): Promise<RunRecord | undefined> {
    return this.#door.latest(workflowId);
  }

  /** The latest run of the workflow with its code in memory; `undefined`: unknown, ended, or blocked. */
  async resident(workflowId: WorkflowId): Promise<ResidentRun | undefined> {
    const loading = this.#loads.get(workflowId);
    if (loading !== undefined) return loading;
    const run = this.#runs.get(workflowId);
    if (run !== undefined && run.isHere && !this.#waiting.has(workflowId)) return run;
    const load = this.#bringIn(workflowId);
    this.#loads.set(workflowId, load);
    return load;
  }

  /** Resolves when the run has been brought in, or cannot be; `undefined`: that is not under way. */
  bringingIn(workflowId: WorkflowId): Promise<unknown> | undefined {
    return this.#loads.get(workflowId)?.catch(() => undefined);
  }

  async #bringIn(workflowId: WorkflowId): Promise<ResidentRun | undefined> {
    let found: ResidentRun | undefined;
    try {
      found = await this.visit<ResidentRun | undefined>(
        workflowId,
        {},
        {
          here: (run) => {
            run.offerAll(this.#waiting.take(workflowId));
            return run;
          },
          onDisk: async (row) => {
            const outcome = await this.#bringInFrom(workflowId, row);
            if (outcome instanceof ResidentRun) return outcome;
            this.#turnAway(this.#waiting.take(workflowId), outcome);
            return undefined;
          },
        },
      );
    } catch (error) {
      this.#loads.delete(workflowId);
      const line = this.#waiting.take(workflowId);
      this.#waiting.join(
        workflowId,
        line.filter((input) => input.onRefused === undefined),
      );
      for (const input of line) input.onRefused?.(toAionError(error));
      throw error;
    }
    this.#loads.delete(workflowId);
    // Who came when the others had been let in, and found the run gone already.
    if (this.#waiting.has(workflowId)) this.#open(workflowId);
    return found;
  }

  async #bringInFrom(workflowId: WorkflowId, row: RunRecord | undefined): Promise<ResidentRun | AionError> {
    if (row === undefined) return new AionError("run_not_found", `there is no workflow ${workflowId}`);
    const ended = ({ runId, status }: Pick<RunRecord, "runId" | "status">): AionError =>
      new AionError("run_closed", `workflow ${workflowId} has ended: its latest run ${runId} is ${status}`);
    if (isClosed(row.status)) return ended(row);
    const outcome = await this.#load(row, undefined);
    if (outcome.kind === "loaded") return outcome.run;
    if (outcome.kind === "ended") return ended({ ...row, status: outcome.state.status });
    if (isPassing(outcome.error)) throw outcome.error;
    const blocked = this.#host.blocked.get(workflowId);
    if (blocked !== undefined) return runBlocked(workflowId, blocked);
    // Failed or timed out without its code, or deleted meanwhile.
    const latest = await this.#door.find(workflowId, {});
    return latest !== undefined && isClosed(latest.status) ? ended(latest) : outcome.error;
  }

  /** Hands an input to the workflow's run, loading it if it is not here. What is late for a run that has ended is dropped or refused. */
  offer(workflowId: WorkflowId, input: Input): void {
    const { runId } = input;
    const run = this.#runs.get(workflowId);
    if (run !== undefined && run.isHere && (input.settles !== undefined || !this.#waiting.has(workflowId))) {
      if (runId === undefined || run.state.started.runId === runId) {
        run.offer(input);
        return;
      }
    }
    const unborn = runId === undefined ? undefined : this.#unborn.get(workflowId);
    if (unborn !== undefined && unborn.state.started.runId === runId) {
      unborn.offer(input);
      return;
    }
    const { stopped } = this.#host;
    if (stopped !== undefined) {
      this.#turnAway([input], stopped);
      return;
    }
    this.#waiting.join(workflowId, [input]);
    if (input.onRefused === undefined) this.#bringBack(workflowId);
    else this.#open(workflowId);
  }

  #turnAway(inputs: readonly Input[], reason: AionError): void {
    for (const input of inputs) {
      if (input.onRefused !== undefined) input.onRefused(reason);
      else {
        input.onDropped?.();
        this.#host.log("debug", "a late outcome was dropped", { code: reason.code });
      }
    }
  }

  /** For whoever stands in line: he hears it if that fails. */
  #open(workflowId: WorkflowId): void {
    this.resident(workflowId).catch(() => undefined);
  }

  /** Nobody waits for it, and it has to go on. */
  #bringBack(workflowId: WorkflowId): void {
    this.#host.insist("bringing a run back", () => this.resident(workflowId));
  }

  // Into memory.

  /** A run that begins now: its code moves before its first commit, and nothing of that leaves before it. */
  begin(
    workflowId: WorkflowId,
    program: Program,
    before: RunRecord | undefined,
    inputs: readonly Input[],
  ): void {
    const host = this.#host;
    const reason = host.stopped ?? host.mailbox.damageOf(workflowId);
    if (reason !== undefined) {
      refuse(inputs, reason);
      return;
    }
    const other = this.#unborn.get(workflowId);
    if (other !== undefined) {
      const why = `workflow ${workflowId} is being started by another call`;
      other.ask(() => refuse(inputs, new AionError("sequence_conflict", why)));
      return;
    }
    const run = new ResidentRun({
      host,
      workflowId,
      pid: this.#nextPid(),
      state: new RunState(workflowId),
      program,
      instance: undefined,
      runKey: undefined,
      firstSeq: (before?.headSeq ?? 0) + 1,
      follows: before?.runKey,
      wakeAt: null,
      lines: this.#loader.newLines(workflowId, () => run.state, { isLoading: false }),
    });
    this.#unborn.set(workflowId, run);
    run.offerAll(inputs);
  }

  /**
   * Takes a run up that is listed as active. With a tracker it is reported on; one that is live here already, or has ended, is
   * only told about, from its history. `undefined`: nobody wanted a report.
   */
  recover(run: RunRef, tracker: ResumeTracker): Promise<RecoveryOutcome>;
  recover(run: RunRef, tracker: undefined): Promise<RecoveryFailure | undefined>;
  async recover(
    { workflowId, runKey }: RunRef,
    tracker: ResumeTracker | undefined,
  ): Promise<RecoveryOutcome | undefined> {
    const tell = async (row: RunRecord | undefined, pid: Pid): Promise<RecoveryOutcome | undefined> => {
      if (row === undefined) return deleted(workflowId);
      if (tracker === undefined) return undefined;
      // Told by nobody: what it says was said before.
      const lines = new RunLines(() => undefined, { isLoading: true });
      const { state, instance } = await this.#loader.replay(row, tracker, lines, {
        onStray: () => undefined,
      });
      instance.dispose();
      return toOutcome(row, state, tracker, pid);
    };
    const visit = this.visit<RecoveryOutcome | undefined>(
      workflowId,
      { runKey },
      {
        here: async (run) => tell(await this.#door.find(workflowId, { runKey }), run.pid),
        onDisk: async (row) => {
          if (row === undefined || isClosed(row.status)) return tell(row, this.#nextPid());
          const loaded = await this.#load(row, tracker);
          if (loaded.kind === "failed") return loaded;
          if (tracker === undefined) return undefined;
          const { state, pid } = loaded.kind === "loaded" ? loaded.run : { ...loaded, pid: this.#nextPid() };
          return toOutcome(row, state, tracker, pid);
        },
      },
    );
    // A row that cannot be read now is no reason to forget the run.
    const outcome = await visit.catch((error: unknown): RecoveryFailure => ({
      kind: "failed",
      error: toAionError(error),
      failureRecorded: false,
    }));
    if (outcome?.kind === "failed" && isPassing(outcome.error)) this.#bringBack(workflowId);
    return outcome;
  }

  /** Loads a run by replay and makes it resident, within a visit. */
  async #load(row: RunRecord, tracker: ResumeTracker | undefined): Promise<LoadOutcome> {
    const host = this.#host;
    const { workflowId } = row;
    let holder: ResidentRun | undefined;
    let read: ReadRun | undefined;
    try {
      read = await this.#loader.read(
        row,
        tracker,
        this.liveOf(() => holder),
      );
      const { state, instance, lines, unsaid } = read;
      if (state.isClosed) {
        instance.dispose();
        return { kind: "ended", state };
      }
      const line = this.#waiting.of(workflowId);
      const outcomes = line.filter((input) => input.settles !== undefined);
      this.#takeUpAttempts(state, new Set(outcomes.map((input) => input.settles)));
      lines.loaded(unsaid !== undefined);
      const run = this.#admit(row, state, lines, read);
      holder = run;
      this.#waiting.take(workflowId);
      if (read.isHeld) host.blocked.unblock(row);
      run.resume(read.live);
      // What has happened comes before what came due since, and that before what was asked of the run.
      run.offerAll([
        ...outcomes,
        ...host.dueInputs(run),
        ...line.filter((input) => input.settles === undefined),
      ]);
      const why = `workflow ${workflowId} waits for nothing durable and has not ended`;
      if (read.isStuck) run.fault(new AionError("nondurable_await", why));
      host.arm(run, nextLookAt(state));
      run.correctRow();
      if (run.isIdle) host.rested(run);
      return { kind: "loaded", run };
    } catch (error) {
      if (holder === undefined) {
        read?.instance.dispose();
        return this.#loader.failed(row, toAionError(error));
      }
      this.crashed(holder, error);
      return { kind: "loaded", run: holder };
    }
  }

  /**
   * The attempt that history has as under way died with its process, unless it is still at work in this one, or has ended and its
   * outcome waits to be recorded (`known`).
   */
  #takeUpAttempts(state: RunState, known: ReadonlySet<number | undefined>): void {
    const { dispatcher, workers, spans } = this.#host;
    const { workflowId, started } = state;
    const { runId } = started;
    for (const activity of state.activities.values()) {
      const { ordinal, worker } = activity;
      const isAlive =
        activity.startedAt === undefined ||
        known.has(ordinal) ||
        dispatcher.isUnderWay(runId, ordinal) ||
        workers.isUnderWay(runId, ordinal);
      if (isAlive) continue;
      // One that a worker was given did not: the worker may come back to it.
      if (worker === undefined) activity.startedAt = undefined;
      else {
        const trace = spans.contextOfActivity(state, ordinal);
        workers.adopt({ workflowId, runId, ordinal }, activity, worker, trace);
      }
    }
  }

  /** What the code of a run that is kept tells of itself; `of`: the run, once there is one. */
  liveOf(of: () => ResidentRun | undefined): LiveInstance {
    return {
      onStray: (error) => of()?.fault(error),
      onReady: () => {
        const run = of();
        if (run !== undefined) this.#host.activate(run);
      },
      onLost: (error, isCulprit) => {
        const run = of();
        if (run === undefined || run.isGone) return;
        if (isCulprit) this.crashed(run, error);
        else this.reload(run, error);
      },
    };
  }

  /** Takes a run into memory without its code, to end it, within a visit. */
  adopt(row: RunRecord, state: RunState): ResidentRun {
    const lines = this.#loader.newLines(row.workflowId, () => state, { isLoading: false });
    return this.#admit(row, state, lines, {});
  }

  #admit(
    row: RunRecord,
    state: RunState,
    lines: RunLines,
    {
      program,
      instance,
      unsaid,
      waitingSignals,
    }: {
      readonly program?: Program;
      readonly instance?: ProgramInstance;
      readonly unsaid?: LogEntry | undefined;
      readonly waitingSignals?: number;
    },
  ): ResidentRun {
    const { workflowId, runKey, firstSeq, wakeAt } = row;
    if (this.#host.stopped !== undefined) throw this.#host.stopped;
    assert(
      this.#door.isVisited(workflowId) && !this.#runs.has(workflowId),
      "a run is taken in by a visit, once",
    );
    const run = new ResidentRun({
      host: this.#host,
      workflowId,
      pid: this.#nextPid(),
      state,
      program,
      instance,
      runKey,
      firstSeq,
      wakeAt,
      isHeld: row.blocked !== undefined,
      lines,
      unsaid,
      waitingSignals,
    });
    this.#runs.set(workflowId, run);
    return run;
  }

  #nextPid(): Pid {
    this.#pidCount += 1;
    return toPid(this.#host.options.token.epoch, this.#pidCount);
  }

  // In memory, and out of it.

  /** A commit of the run is on disk. The first one tells that there is such a run. */
  committed(run: ResidentRun, batch: Batch): void {
    const { workflowId } = run;
    if (batch.isFirst && this.#unborn.get(workflowId) === run) {
      this.#unborn.delete(workflowId);
      if (batch.terminal === undefined) this.#runs.set(workflowId, run);
    }
    if (this.#crashes.size > 0) this.#crashes.delete(workflowId);
  }

  /** The end of the run is on disk. */
  ended(run: ResidentRun, terminal: Event): void {
    const { workflowId, state } = run;
    if (this.#runs.get(workflowId) === run) this.#runs.delete(workflowId);
    const goesOn = terminal.type === "WorkflowContinuedAsNew";
    for (const input of run.discard()) {
      if (goesOn && input.followsChain === true) this.offer(workflowId, input);
      else refuse([input], runEnded(workflowId, state.started.runId));
    }
    if (goesOn) this.#bringBack(workflowId);
  }

  /** Nothing is left to do for now: the run may have to make room. */
  rested(run: ResidentRun): void {
    const { residentMax } = this.#host.options;
    if (this.#runs.size <= residentMax) return;
    const before = this.#runs.size;
    evict(this.#runs, run, residentMax, (each) => this.#host.isAtWork(each));
    this.#host.meter.evicted(before - this.#runs.size);
  }

  /** Forgets what was not committed, reads the run anew, and offers again what nobody was told about. */
  reload(run: ResidentRun, error: AionError): void {
    const { workflowId } = run;
    const isUnborn = this.#unborn.get(workflowId) === run;
    const left = this.#drop(run);
    if (isUnborn || this.#host.stopped !== undefined) {
      refuse(left, error);
      return;
    }
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
    this.#waiting.join(workflowId, again);
    void this.#host.pause().then(() => this.#bringBack(workflowId));
  }

  /** A bug of ours met this run: it is thrown away and read anew; the others do not notice. */
  crashed(run: ResidentRun, cause: unknown): void {
    const { workflowId, pid } = run;
    const error = toAionError(cause);
    const count = (this.#crashes.get(workflowId) ?? 0) + 1;
    this.#crashes.set(workflowId, count);
    this.#host.meter.crashed();
    this.#host.log("error", "a run crashed and is loaded again", {
      ...fieldsOfRun(workflowId, run.state.headSeq === 0 ? undefined : run.state.started),
      pid,
      count,
      error: String(cause),
    });
    // What cannot be decoded now cannot be decoded when it is read anew.
    const isFutile = isCodecError(error) && error.code !== "codec_failed";
    if ((count < crashesMax && !isFutile) || run.runKey === undefined) {
      this.reload(run, error);
      return;
    }
    this.#crashes.delete(workflowId);
    this.hold(run, error);
  }

  /** Takes a run out of memory and blocks it. */
  hold(run: ResidentRun, error: AionError): void {
    const { workflowId } = run;
    refuse(this.#drop(run), runBlocked(workflowId, error.message));
    this.block(workflowId, error);
  }

  /** Blocks the workflow's run, if one is open; one that is in memory when all that it did is on disk. */
  block(workflowId: WorkflowId, error: AionError): void {
    this.#host.insist("holding a run", () =>
      this.visit(
        workflowId,
        {},
        {
          here: (run) => run.ask(() => (run.isHere ? this.hold(run, error) : this.block(workflowId, error))),
          onDisk: async (row) => {
            if (row === undefined || isClosed(row.status)) return;
            if (this.#host.blocked.get(workflowId) === undefined) await this.#host.blocked.block(row, error);
          },
        },
      ),
    );
  }

  #drop(run: ResidentRun): readonly Input[] {
    const { workflowId, state } = run;
    if (this.#runs.get(workflowId) === run) this.#runs.delete(workflowId);
    if (this.#unborn.get(workflowId) === run) this.#unborn.delete(workflowId);
    // What it was to do next may never have been recorded.
    if (state.headSeq > 0) {
      this.#host.dispatcher.leaveRun(state.started.runId);
      this.#host.workers.slots.leaveRun(state.started.runId);
    }
    return run.discard();
  }

  /** The engine has stopped. */
  forgetAll(error: AionError): void {
    for (const run of [...this.#runs.values(), ...this.#unborn.values()]) refuse(run.discard(), error);
    this.#runs.clear();
    this.#unborn.clear();
    for (const workflowId of this.#waiting.workflowIds) this.#turnAway(this.#waiting.take(workflowId), error);
  }
}

function deleted(workflowId: WorkflowId): RecoveryFailure {
  const error = new AionError("run_not_found", `the run of workflow ${workflowId} was deleted`);
  return { kind: "failed", error, failureRecorded: false };
}
