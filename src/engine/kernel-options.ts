import type { AionError } from "../core/errors.ts";
import type { SyncPayloadCodec } from "../core/payload-codec.ts";
import type { Ports } from "../core/ports.ts";
import type { Tracing } from "../core/tracing.ts";
import type { ProgramSource } from "../program/program.ts";
import type { OwnerToken, Store } from "../store/contract.ts";
import type { AnyActivity } from "../workflow/definition.ts";
import type { Catalog } from "./catalog.ts";
import type { RecoveryReport } from "./recovery.ts";
import type { RunLimits } from "./run-limits.ts";
import type { WorkerOptions } from "./workers.ts";

export interface KernelOptions {
  readonly store: Store;
  readonly token: OwnerToken;
  readonly leaseMs: number;
  readonly ports: Ports;
  readonly programs: ProgramSource;
  /** The same, if packages can be deployed. */
  readonly catalog?: Catalog;
  readonly activities: readonly AnyActivity[];
  /** Absent: nothing is traced here. */
  readonly tracing?: Tracing | undefined;
  readonly activityConcurrency: number;
  readonly activityConcurrencyPerType: Readonly<Record<string, number>>;
  /** Default: `workerOptionsDefault`. */
  readonly workers?: WorkerOptions;
  readonly residentMax: number;
  readonly payloadLimitBytes: number;
  readonly onNondeterminism: "fail" | "block";
  /** Default: `runLimitsDefault`. */
  readonly limits?: RunLimits;
  /** Default: `block`. */
  readonly onRunLimit?: "fail" | "block";
  /** Of activities in the process of the engine. The programs have theirs already: see `withCodec`. */
  readonly codec?: SyncPayloadCodec;
  readonly outsideWorkflow: <Result>(run: () => Result) => Result;
  readonly onRecovery?: (report: RecoveryReport) => void;
  /** The engine can write no more: another owner took over, or the disk failed. */
  readonly onStopped?: (error: AionError) => void;
}
