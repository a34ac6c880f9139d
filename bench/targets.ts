/** What Aion must reach, as ratios within one run: figures of different machines and hours say nothing. */
import type { EngineName } from "./engine-under-test.ts";
import type { ResultRow } from "./run-record.ts";
import type { WorkloadId } from "./workload.ts";

export interface TargetResult {
  readonly workload: WorkloadId;
  readonly target: string;
  readonly wanted: string;
  readonly reached: string;
  readonly isMet: boolean;
}

/** A bound on a figure, in the direction that is good. */
interface Bound {
  readonly value: number;
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly unit: string;
  readonly digits?: number;
}

export function evaluateTargets(rows: readonly ResultRow[]): readonly TargetResult[] {
  const results: TargetResult[] = [];
  const check = (workload: WorkloadId, target: string, bound: Bound | undefined): void => {
    if (bound === undefined || Number.isNaN(bound.value)) return;
    const show = (value: number): string => `${formatNumber(value, bound.digits ?? 2)}${bound.unit}`;
    const { atLeast, atMost } = bound;
    results.push({
      workload,
      target,
      wanted: atLeast === undefined ? `≤ ${show(atMost ?? Number.NaN)}` : `≥ ${show(atLeast)}`,
      reached: show(bound.value),
      isMet: atLeast === undefined ? bound.value <= (atMost ?? Number.NaN) : bound.value >= atLeast,
    });
  };
  const rowOf = (workload: WorkloadId, engine: EngineName, count?: number): ResultRow | undefined =>
    rows.find(
      (row) =>
        row.workload === workload && row.engine === engine && (count === undefined || row.count === count),
    );
  const aionRows = (workload: WorkloadId): readonly ResultRow[] =>
    rows.filter((row) => row.workload === workload && row.engine === "aion");

  for (const row of aionRows("W1")) {
    const rate = metric(row, "workflowsPerSecond");
    const size = row.count.toLocaleString("en");
    const bestPeer = Math.max(
      ...(["dbos", "restate"] as const).map((peer) => metric(rowOf("W1", peer), "workflowsPerSecond") || 0),
    );
    if (bestPeer > 0)
      check("W1", `best peer, ${size} workflows`, { value: rate / bestPeer, atLeast: 25, unit: " ×" });
    const floor = metric(rowOf("W1", "floor", row.count), "workflowsPerSecond");
    check("W1", `bare floor, ${size} workflows`, {
      value: (rate / floor) * 100,
      atLeast: 50,
      unit: " %",
      digits: 0,
    });
  }
  for (const row of aionRows("W2")) {
    const fourFsyncsMs = (4 * row.fsyncRate.appendMicros) / 1000;
    check("W2", "p50, by the time of 4 fsyncs", {
      value: metric(row, "p50Ms") / fourFsyncsMs,
      atMost: 1.25,
      unit: " ×",
    });
    check("W2", "p99, by the time of 4 fsyncs at their p99", {
      value: metric(row, "p99Ms") / ((4 * row.fsyncRate.appendP99Micros) / 1000),
      atMost: 1.25,
      unit: " ×",
    });
  }
  for (const row of aionRows("W3"))
    check("W3", "seconds", { value: row.seconds, atMost: 0.1, unit: " s", digits: 3 });
  for (const row of aionRows("W4")) {
    const fsyncSeconds = (row.count * row.fsyncRate.appendMicros) / 1e6;
    check("W4", `by the time of ${row.count.toLocaleString("en")} fsyncs`, {
      value: row.seconds / fsyncSeconds,
      atMost: 1.3,
      unit: " ×",
    });
    check("W4", "process start to first new step", {
      value: metric(row, "bestRestartMs"),
      atMost: 400,
      unit: " ms",
      digits: 0,
    });
  }
  for (const row of aionRows("W5")) {
    const size = row.count.toLocaleString("en");
    if (row.count === 10_000) {
      check("W5", `start ${size}`, { value: row.seconds, atMost: 1, unit: " s" });
    }
    check("W5", `ready, ${size} sleeping`, {
      value: metric(row, "readyMs"),
      atMost: 400,
      unit: " ms",
      digits: 0,
    });
    check("W5", `memory over an idle Node, ${size} sleeping`, {
      value: metric(row, "overIdleNodeMib"),
      atMost: 60,
      unit: " MiB",
      digits: 0,
    });
  }
  for (const row of aionRows("W6"))
    check("W6", "seconds", { value: row.seconds, atMost: 0.2, unit: " s", digits: 3 });
  for (const row of aionRows("W7")) {
    check("W7", "replayed events per second", {
      value: metric(row, "replayEventsPerSecond"),
      atLeast: 500_000,
      unit: "",
      digits: 0,
    });
  }
  for (const row of aionRows("W8")) {
    check("W8", "CPU seconds per minute", {
      value: metric(row, "cpuSecondsPerMinute"),
      atMost: 0.5,
      unit: " s",
    });
    check("W8", "store queries per minute", {
      value: metric(row, "queriesPerMinute"),
      atMost: 10,
      unit: "",
      digits: 1,
    });
  }
  for (const row of aionRows("W9")) {
    const restate = metric(rowOf("W9", "restate"), "workflowsPerSecond");
    check("W9", "Restate", {
      value: metric(row, "workflowsPerSecond") / restate,
      atLeast: 6,
      unit: " ×",
    });
  }
  return results;
}

export function metric(row: ResultRow | undefined, name: string): number {
  const value = row?.metrics[name];
  return typeof value === "number" ? value : Number.NaN;
}

/** Thousands are grouped; the digits are those behind the point. */
export function formatNumber(value: number, digits: number): string {
  if (!Number.isFinite(value)) return "–";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
