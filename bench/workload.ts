import type { EngineName } from "./engine-under-test.ts";
import type { FsyncRate } from "./fsync-rate.ts";

export const workloadIds = ["W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9"] as const;
export type WorkloadId = (typeof workloadIds)[number];

/** One size of a workload on one engine. */
export interface WorkloadCase {
  /** Workflows (W1, W2, W5, W8), steps (W3, W4), messages (W6) or events (W7). */
  readonly count: number;
  /** Fixed number of workflows in flight; where absent and it matters, the best is searched first. */
  readonly inFlight?: number;
  /** What of the workload is run to count fsyncs under a tracer, where that cannot be done in the timed run. */
  readonly tracedCount?: number;
}

export type Metrics = Readonly<Record<string, number | string>>;

/** What a workload reports; the times are of the measured part alone, after the warm-up. */
export interface Measured {
  readonly workflows: number;
  readonly seconds: number;
  /** Undefined where they were not counted in this run. */
  readonly fsyncs: number | undefined;
  readonly metrics: Metrics;
}

/** What a timed section cost, over the whole tree of processes. */
export interface Cost {
  readonly seconds: number;
  readonly fsyncs: number | undefined;
  readonly cpuSeconds: number;
  /** Of the process that calls the engine: all of it where the engine is embedded. */
  readonly callerCpuSeconds: number;
}

export interface MeasureContext {
  readonly engine: EngineName;
  readonly measuredCase: WorkloadCase;
  /** Empty, on a real disk. */
  directory(name: string): string;
  /** True in a run that is traced: its times mean nothing. */
  readonly isTraced: boolean;
  readonly isQuick: boolean;
  /** Measures the section; called once in a measurement. */
  timed(section: () => Promise<void> | void): Promise<Cost>;
}

export interface Workload {
  readonly id: WorkloadId;
  readonly title: string;
  /** One sentence: what is measured, and where the clock starts and stops. */
  readonly measures: string;
  cases(engine: EngineName, isQuick: boolean): readonly WorkloadCase[];
  measure(context: MeasureContext): Promise<Measured>;
}

/** What a measuring process hands back. */
export interface MeasureResult extends Measured {
  readonly fsyncRate: FsyncRate;
  /** Seconds since the epoch, to find the timed section in a trace. */
  readonly timedFrom: number;
  readonly timedTo: number;
}
