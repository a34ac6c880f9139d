/** The result page. Pure: everything that it says is handed in. */
import type { EngineName } from "./engine-under-test.ts";
import type { MachineFacts } from "./machine.ts";
import type { ResultRow } from "./run-record.ts";
import { evaluateTargets, formatNumber, metric } from "./targets.ts";
import type { Workload, WorkloadId } from "./workload.ts";

export interface ReportFacts {
  readonly machine: MachineFacts;
  readonly versions: Readonly<Record<string, string>>;
  readonly durability: Readonly<Partial<Record<EngineName, string>>>;
  readonly date: string;
  readonly command: string;
  readonly repeats: number;
  /** How fsyncs were counted, in a sentence. */
  readonly fsyncCounting: string;
  readonly totalSeconds: number;
}

interface Column {
  readonly head: string;
  readonly cell: (row: ResultRow) => string;
}

function numberColumn(head: string, name: string, digits = 0): Column {
  return { head, cell: (row) => formatNumber(metric(row, name), digits) };
}

const secondsColumn = (head: string, digits = 2): Column => ({
  head,
  cell: (row) => formatNumber(row.seconds, digits),
});
const countColumn = (head: string): Column => ({ head, cell: (row) => formatNumber(row.count, 0) });
const fsyncsColumn: Column = {
  head: "fsyncs",
  cell: (row) => {
    if (row.fsyncs === undefined) return "–";
    const isEstimate = typeof row.metrics["fsyncsFrom"] === "string";
    return `${isEstimate ? "≈ " : ""}${formatNumber(row.fsyncs, 0)}`;
  },
};
const fsyncRateColumn: Column = {
  head: "bare fsync µs, append / overwrite",
  cell: (row) =>
    `${formatNumber(row.fsyncRate.appendMicros, 0)} / ${formatNumber(row.fsyncRate.overwriteMicros, 0)}`,
};
/** Restarts differ in what was killed, so they are listed with it. */
const restartColumn: Column = {
  head: "restart to first new step, ms",
  cell: (row) => {
    const restarts = Object.entries(row.metrics).filter(([name]) => name.startsWith("restartMs ("));
    if (restarts.length === 0) return "–";
    return restarts
      .map(([name, value]) => `${formatNumber(Number(value), 0)} ${name.slice("restartMs ".length)}`)
      .join("<br>");
  },
};

const columns: Readonly<Record<WorkloadId, readonly Column[]>> = {
  W1: [
    countColumn("workflows"),
    numberColumn("in flight", "inFlight"),
    numberColumn("workflows/s", "workflowsPerSecond"),
    numberColumn("steps/s", "stepsPerSecond"),
    secondsColumn("seconds"),
    fsyncsColumn,
    numberColumn("CPU s", "cpuSeconds", 1),
    numberColumn("of it caller", "callerCpuSeconds", 1),
    numberColumn("peak RSS MiB", "peakRssMib"),
  ],
  W2: [
    countColumn("workflows"),
    numberColumn("p50 ms", "p50Ms", 2),
    numberColumn("p99 ms", "p99Ms", 2),
    numberColumn("max ms", "maxMs", 1),
    fsyncsColumn,
    numberColumn("CPU s", "cpuSeconds", 1),
  ],
  W3: [
    countColumn("steps"),
    secondsColumn("seconds", 3),
    numberColumn("slowest", "slowestSeconds", 3),
    fsyncsColumn,
    numberColumn("CPU s", "cpuSeconds", 2),
  ],
  W4: [
    countColumn("steps"),
    secondsColumn("seconds"),
    numberColumn("steps/s", "stepsPerSecond"),
    restartColumn,
    fsyncsColumn,
    numberColumn("CPU s", "cpuSeconds", 1),
  ],
  W5: [
    countColumn("sleepers"),
    secondsColumn("start all, s"),
    numberColumn("ready, ms", "readyMs"),
    numberColumn("program RSS MiB", "programRssMib"),
    numberColumn("over idle Node", "overIdleNodeMib"),
    numberColumn("server RSS MiB", "serverRssMib"),
    numberColumn("RSS before crash", "rssBeforeMib"),
    fsyncsColumn,
  ],
  W6: [
    countColumn("messages"),
    secondsColumn("seconds", 3),
    { head: "best way", cell: (row) => String(row.metrics["best"] ?? "–") },
  ],
  W7: [
    numberColumn("events", "events"),
    numberColumn("recover, ms", "recoverMs"),
    numberColumn("the same, short history", "recoverShortMs"),
    numberColumn("replay, events/s", "replayEventsPerSecond"),
    numberColumn("RSS MiB", "rssMib"),
    numberColumn("the same, short history", "rssShortMib"),
  ],
  W8: [
    countColumn("sleepers"),
    numberColumn("CPU s per minute", "cpuSecondsPerMinute", 2),
    numberColumn("queries per minute", "queriesPerMinute", 1),
    fsyncsColumn,
  ],
  W9: [
    countColumn("workflows"),
    numberColumn("in flight", "inFlight"),
    numberColumn("workflows/s", "workflowsPerSecond"),
    numberColumn("p50 ms, one at a time", "p50Ms", 2),
    numberColumn("p99 ms", "p99Ms", 2),
    fsyncsColumn,
    numberColumn("CPU s", "cpuSeconds", 1),
    numberColumn("of it caller", "callerCpuSeconds", 1),
    numberColumn("server, µs a workflow", "serverCpuMicros"),
    numberColumn("code host", "codeHostCpuMicros"),
    numberColumn("worker", "workerCpuMicros"),
    numberColumn("peak RSS MiB", "peakRssMib"),
  ],
};

const engineTitles: Readonly<Record<EngineName, string>> = {
  floor: "bare floor",
  aion: "Aion",
  dbos: "DBOS",
  restate: "Restate",
};

export function renderReport(
  rows: readonly ResultRow[],
  workloads: readonly Workload[],
  facts: ReportFacts,
): string {
  const { machine } = facts;
  const lines: string[] = [
    "# Benchmark results",
    "",
    "Written by `npm run bench`; what is measured and how is in `bench/README.md`. All engines ran in turn in one run;",
    "figures of different runs must not be compared, ratios within one run may.",
    "",
    `- Command: \`${facts.command}\``,
    `- Date: ${facts.date}, ${formatNumber(facts.totalSeconds / 60, 1)} minutes in all`,
    `- Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB; ${machine.kernel}; ${machine.filesystem}`,
    `- Versions: ${Object.entries(facts.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}`,
    ...Object.entries(facts.durability).map(
      ([engine, setting]) => `- Durability, ${engineTitles[engine as EngineName]}: ${setting}`,
    ),
    `- Runs: ${facts.repeats === 1 ? "one of each" : `${facts.repeats} of each, the median is shown`}`,
    `- Fsyncs: ${facts.fsyncCounting}`,
    "",
    ...renderTargets(rows),
  ];
  for (const workload of workloads) {
    const own = rows.filter((row) => row.workload === workload.id);
    if (own.length === 0) continue;
    lines.push(
      `## ${workload.id}: ${workload.title}`,
      "",
      workload.measures,
      "",
      ...renderTable(workload.id, own),
      "",
    );
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

function renderTargets(rows: readonly ResultRow[]): readonly string[] {
  const targets = evaluateTargets(rows);
  if (targets.length === 0) return [];
  return [
    "## Targets",
    "",
    "| | target | wanted | reached | |",
    "|---|---|---|---|---|",
    ...targets.map(
      ({ workload, target, wanted, reached, isMet }) =>
        `| ${workload} | ${target} | ${wanted} | ${reached} | ${isMet ? "met" : "**not met**"} |`,
    ),
    "",
  ];
}

function renderTable(id: WorkloadId, rows: readonly ResultRow[]): readonly string[] {
  const hasRepeats = rows.some((row) => row.runs > 1);
  const shown: readonly Column[] = [
    { head: "", cell: (row) => engineTitles[row.engine] },
    ...columns[id],
    fsyncRateColumn,
    ...(hasRepeats
      ? [{ head: "slowest / fastest", cell: (row: ResultRow) => formatNumber(row.spread, 2) }]
      : []),
  ];
  return [
    `| ${shown.map((column) => column.head).join(" | ")} |`,
    `|${"---|".repeat(shown.length)}`,
    ...rows.map((row) => `| ${shown.map((column) => column.cell(row)).join(" | ")} |`),
  ];
}
