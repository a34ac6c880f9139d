import type { AionError } from "../core/errors.ts";
import type { RunId } from "../core/ids.ts";
import type { ProgramInstance } from "../program/program.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import type { Commit, CommitResult } from "../store/contract.ts";
import type { Slot } from "./attempt.ts";
import type { Batch, NewAttempt } from "./batch.ts";
import type { EngineMeter } from "./engine-meter.ts";
import type { ResidentRun } from "./resident-run.ts";
import type { RunLimitsKeeper } from "./run-limits.ts";
import type { RunSpans } from "./run-spans.ts";

/** What a run asks of the kernel. */
export interface RunHost {
  readonly meter: EngineMeter;
  readonly spans: RunSpans;
  readonly limits: RunLimitsKeeper;
  now(): number;
  newRunId(): RunId;
  /** The version that a new run of the type gets; `undefined`: the type is unknown. */
  routedVersion(workflowType: string): string | undefined;
  /** Calls `settle` of the run after the turn. */
  activate(run: ResidentRun): void;
  record(commit: Commit, done: (result: CommitResult) => void): void;
  /** Takes a slot for an attempt, or lets the activity stand in line. */
  reserve(run: ResidentRun, activity: OpenActivity): Slot | undefined;
  /** The activity is over before it had a slot: it stands in line no more. */
  leave(run: ResidentRun, activity: OpenActivity): void;
  /** Gives a slot back: the attempt does not begin. */
  release(run: ResidentRun, attempt: NewAttempt): void;
  instantiate(run: ResidentRun): ProgramInstance;
  committed(run: ResidentRun, batch: Batch, result: CommitResult & { readonly ok: true }): void;
  refused(run: ResidentRun, batch: Batch, error: AionError): void;
  /** Nothing is left to do for now. */
  rested(run: ResidentRun): void;
  /** The code broke a law (an await that is not durable): what becomes of the run? */
  onFault(run: ResidentRun, error: AionError): "fail" | "block";
}
