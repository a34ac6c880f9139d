import type { AionError } from "../core/errors.ts";
import type { EventBody } from "../core/event.ts";
import { toFailure } from "../core/failure.ts";
import type { WorkflowId } from "../core/ids.ts";
import type { LogLevel } from "../core/ports.ts";
import type { InstanceInit } from "../program/program.ts";
import type { ResumeTracker } from "../replay/resume-point.ts";
import type { RunState } from "../replay/run-state.ts";
import type { RunRecord } from "../store/contract.ts";
import type { LogEntry, LogLine } from "../store/run-log.ts";
import type { BlockedRuns } from "./blocked-runs.ts";
import type { Endings } from "./endings.ts";
import type { EngineMeter } from "./engine-meter.ts";
import type { HeartbeatKeeper } from "./heartbeat-keeper.ts";
import type { KernelOptions } from "./kernel-options.ts";
import type { LoadedRun } from "./load.ts";
import { isOthersFault, loadPatiently } from "./load.ts";
import type { Mailbox } from "./mailbox.ts";
import type { RecoveryFailure } from "./recovery.ts";
import type { RunLimitsKeeper } from "./run-limits.ts";
import { RunLines, fieldsOfRun, sealLine } from "./run-lines.ts";
import { toAionError } from "./to-aion-error.ts";

export interface LoaderHost {
  readonly options: KernelOptions;
  readonly meter: EngineMeter;
  readonly limits: RunLimitsKeeper;
  readonly mailbox: Mailbox;
  readonly blocked: BlockedRuns;
  readonly endings: Endings;
  readonly heartbeats: HeartbeatKeeper;
  /** Why nothing happens any more; `undefined`: the engine is open. */
  readonly stopped: AionError | undefined;
  log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void;
}

/** Whom the code of a run tells what it does by itself. */
export type LiveInstance = Pick<InstanceInit, "onStray" | "onReady" | "onLost">;

/** A run as its history has it, with all that is needed to go on with it. */
export interface ReadRun extends LoadedRun {
  readonly lines: RunLines;
  /** What the last activation said, if no commit has brought it to the log. */
  readonly unsaid: LogEntry | undefined;
  /** It was blocked until now. */
  readonly isHeld: boolean;
}

/**
 * Brings the code of runs from disk. Owner: the residency, within its visits.
 *
 * Laws: nothing is written, and no run is given, before all that it needs was read; and what a failure to load means for a run (it is
 * blocked, failed, or left as it was) is said here alone.
 */
export class RunLoader {
  readonly #host: LoaderHost;

  constructor(host: LoaderHost) {
    this.#host = host;
  }

  /** Throws what `failed` is to be asked about. */
  async read(row: RunRecord, tracker: ResumeTracker | undefined, live: LiveInstance): Promise<ReadRun> {
    const { blocked, heartbeats, limits, mailbox } = this.#host;
    const { workflowId, runKey } = row;
    const isHeld = row.blocked !== undefined || blocked.get(workflowId) !== undefined;
    let state: RunState | undefined;
    this.#demandWhole(workflowId);
    limits.demandRow(row);
    const lines = this.newLines(workflowId, () => state, { isLoading: true });
    const loaded = await this.replay(row, tracker, lines, live);
    try {
      state = loaded.state;
      limits.demandLoaded(state, loaded.live);
      await heartbeats.restore(runKey, state);
      const unsaid = await this.#findUnsaid(row, loaded.lastInput, lines);
      if (isHeld) {
        await mailbox.takeUp();
        this.#demandWhole(workflowId);
      }
      return { ...loaded, lines, unsaid, isHeld };
    } catch (error) {
      loaded.instance.dispose();
      throw error;
    }
  }

  #demandWhole(workflowId: WorkflowId): void {
    const damage = this.#host.mailbox.damageOf(workflowId);
    if (damage !== undefined) throw damage;
  }

  /** What the last activation said, if that is not in the run's log: its input was recorded without the code. */
  async #findUnsaid(
    row: RunRecord,
    { seq, recordedAt }: LoadedRun["lastInput"],
    lines: RunLines,
  ): Promise<LogEntry | undefined> {
    const entry = lines.take(seq, recordedAt);
    if (entry === undefined) return undefined;
    const { entries } = await this.#host.options.store.readLog(row, seq - 1, 1);
    return entries.length === 0 ? entry : undefined;
  }

  newLines(
    workflowId: WorkflowId,
    stateOf: () => RunState | undefined,
    options: { readonly isLoading: boolean },
  ): RunLines {
    const { ports, codec } = this.#host.options;
    const { log } = ports;
    return new RunLines(
      (level, message, fields) =>
        log(level, message, { ...fields, ...fieldsOfRun(workflowId, stateOf()?.started) }),
      {
        ...options,
        ...(codec === undefined ? {} : { seal: (line: LogLine) => sealLine(codec, workflowId, line) }),
      },
    );
  }

  /** The run's code, at the end of its history. */
  replay(
    row: RunRecord,
    tracker: ResumeTracker | undefined,
    lines: RunLines,
    live: LiveInstance,
  ): Promise<LoadedRun> {
    const { store, ports, programs, payloadLimitBytes } = this.#host.options;
    return loadPatiently(row, {
      store,
      programs,
      scheduler: ports.scheduler,
      payloadLimitBytes,
      log: lines.say,
      onActivation: () => lines.begin(),
      ...live,
      meter: this.#host.meter,
      ...(tracker === undefined ? {} : { tracker }),
    });
  }

  /** What becomes of a run that could not be loaded. */
  async failed(row: RunRecord, error: AionError): Promise<RecoveryFailure> {
    const host = this.#host;
    const { workflowId } = row;
    const failed: RecoveryFailure = { kind: "failed", error, failureRecorded: false };
    // Nothing is held against the run for that, and for one that was deleted, nothing against the next of its id.
    if (isPassing(error) || error.code === "run_not_found" || host.stopped !== undefined) return failed;
    const isViolation = error.code === "nondeterminism" || error.code === "nondurable_await";
    if (isViolation) host.meter.violated(error.code);
    const { onNondeterminism, onRunLimit } = host.options;
    const isLimit = error.code === "run_limit";
    if ((isViolation && onNondeterminism === "fail") || (isLimit && onRunLimit === "fail")) {
      const { runId, workflowType } = row;
      const why = isLimit ? "reached a limit" : "diverged from its history";
      host.log("error", `a run ${why} and was failed`, {
        workflowId,
        runId,
        workflowType,
        code: error.code,
        error: error.message,
      });
      try {
        const event: EventBody = { type: "WorkflowFailed", failure: toFailure(error) };
        await host.endings.withoutCode(row, event);
        return { ...failed, failureRecorded: true };
      } catch (reason) {
        return { ...failed, error: toAionError(reason) };
      }
    }
    await host.blocked.block(row, error);
    return failed;
  }
}

/** The store is out of order, or another run ended the process of the code: nothing is wrong with the run. */
export function isPassing(error: AionError): boolean {
  return error.code === "store_unavailable" || isOthersFault(error);
}
