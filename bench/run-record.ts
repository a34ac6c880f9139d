import type { EngineName } from "./engine-under-test.ts";
import { quantile } from "./fsync-rate.ts";
import type { FsyncRate } from "./fsync-rate.ts";
import type { Metrics, WorkloadId } from "./workload.ts";

/** One run of one case. */
export interface RunRecord {
  readonly workload: WorkloadId;
  readonly engine: EngineName;
  /** Of the case: what tells sizes of one workload apart. */
  readonly count: number;
  readonly workflows: number;
  readonly seconds: number;
  /** Undefined where they could not be counted. */
  readonly fsyncs: number | undefined;
  readonly metrics: Metrics;
  readonly fsyncRate: FsyncRate;
}

/** The runs of one case, as their median. */
export interface ResultRow extends RunRecord {
  readonly runs: number;
  /** Slowest by fastest run in seconds. */
  readonly spread: number;
}

/** The stable form of a run: one flat JSON object. */
export function toJsonLine(record: RunRecord): string {
  return JSON.stringify({
    workload: record.workload,
    engine: record.engine,
    count: record.count,
    workflows: record.workflows,
    seconds: record.seconds,
    fsyncs: record.fsyncs ?? null,
    ...record.metrics,
    ...record.fsyncRate,
  });
}

export function toRows(records: readonly RunRecord[]): readonly ResultRow[] {
  const cases = new Map<string, RunRecord[]>();
  for (const record of records) {
    const key = `${record.workload} ${record.engine} ${record.count}`;
    const runs = cases.get(key);
    if (runs === undefined) cases.set(key, [record]);
    else runs.push(record);
  }
  return [...cases.values()].map(toRow);
}

function toRow(runs: readonly RunRecord[]): ResultRow {
  const [first] = runs;
  if (first === undefined) throw new TypeError("a row needs a run");
  const seconds = runs.map((run) => run.seconds);
  const counted = runs.map((run) => run.fsyncs).filter((fsyncs) => fsyncs !== undefined);
  return {
    ...first,
    runs: runs.length,
    seconds: median(seconds),
    spread: Math.max(...seconds) / Math.min(...seconds),
    fsyncs: counted.length === 0 ? undefined : median(counted),
    metrics: medianMetrics(runs.map((run) => run.metrics)),
    fsyncRate: {
      appendMicros: median(runs.map((run) => run.fsyncRate.appendMicros)),
      appendP99Micros: median(runs.map((run) => run.fsyncRate.appendP99Micros)),
      overwriteMicros: median(runs.map((run) => run.fsyncRate.overwriteMicros)),
    },
  };
}

/** Texts are the first run's; every number is the median of its own. */
function medianMetrics(runs: readonly Metrics[]): Metrics {
  const merged: Record<string, number | string> = {};
  for (const [name, value] of Object.entries(runs[0] ?? {})) {
    const numbers = runs.map((run) => run[name]).filter((candidate) => typeof candidate === "number");
    merged[name] = typeof value === "number" && numbers.length > 0 ? median(numbers) : value;
  }
  return merged;
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
