import { describe, expect, test } from "vitest";
import type { EngineName } from "./engine-under-test.ts";
import { countTracedFsyncs } from "./fsync-counter.ts";
import { quantile } from "./fsync-rate.ts";
import { renderReport } from "./report.ts";
import type { ReportFacts } from "./report.ts";
import { toJsonLine, toRows } from "./run-record.ts";
import type { RunRecord } from "./run-record.ts";
import { evaluateTargets } from "./targets.ts";
import { workloads } from "./workloads/all.ts";

const fsyncRate = { appendMicros: 150, appendP99Micros: 300, overwriteMicros: 90 };

function w1(engine: EngineName, workflowsPerSecond: number, count = 20_000): RunRecord {
  const seconds = count / workflowsPerSecond;
  return {
    workload: "W1",
    engine,
    count,
    workflows: count,
    seconds,
    fsyncs: 200,
    metrics: { workflowsPerSecond },
    fsyncRate,
  };
}

const facts: ReportFacts = {
  machine: { cpu: "a CPU", cores: 2, memoryGib: 24, kernel: "linux 6", filesystem: "ext4" },
  versions: { Node: "24" },
  durability: { aion: "SQLite WAL, synchronous=FULL" },
  date: "2026-01-02T03:04:05Z",
  command: "npm run bench",
  repeats: 1,
  fsyncCounting: "counted",
  totalSeconds: 90,
};

describe("targets", () => {
  test("the best peer and the floor of the same size are what Aion is measured by", () => {
    const rows = toRows([
      w1("floor", 20_000),
      w1("aion", 12_000),
      w1("dbos", 300, 3_000),
      w1("restate", 400, 3_000),
    ]);
    expect(evaluateTargets(rows)).toEqual([
      {
        workload: "W1",
        target: "best peer, 20,000 workflows",
        wanted: "≥ 25.00 ×",
        reached: "30.00 ×",
        isMet: true,
      },
      {
        workload: "W1",
        target: "bare floor, 20,000 workflows",
        wanted: "≥ 50 %",
        reached: "60 %",
        isMet: true,
      },
    ]);
  });

  test("a target whose yardstick was not measured is left out, not called met", () => {
    expect(evaluateTargets(toRows([w1("aion", 12_000), w1("floor", 15_000, 200_000)]))).toEqual([]);
  });

  test("latency is compared with four fsyncs of the same run", () => {
    const record: RunRecord = {
      workload: "W2",
      engine: "aion",
      count: 100,
      workflows: 100,
      seconds: 0.1,
      fsyncs: 400,
      metrics: { p50Ms: 0.75, p99Ms: 3 },
      fsyncRate,
    };
    expect(evaluateTargets(toRows([record])).map(({ reached, isMet }) => ({ reached, isMet }))).toEqual([
      { reached: "1.25 ×", isMet: true },
      { reached: "2.50 ×", isMet: false },
    ]);
  });
});

describe("rows", () => {
  test("runs of one case become their median; other sizes stay apart", () => {
    const rows = toRows([
      w1("aion", 10_000),
      w1("aion", 40_000),
      w1("aion", 20_000),
      w1("aion", 9_000, 200_000),
    ]);
    expect(rows.map(({ count, runs, seconds, spread }) => ({ count, runs, seconds, spread }))).toEqual([
      { count: 20_000, runs: 3, seconds: 1, spread: 4 },
      { count: 200_000, runs: 1, seconds: 200_000 / 9_000, spread: 1 },
    ]);
    expect(rows[0]?.metrics["workflowsPerSecond"]).toBe(20_000);
  });

  test("a JSON line says null where fsyncs were not counted", () => {
    const parsed: unknown = JSON.parse(toJsonLine({ ...w1("restate", 400), fsyncs: undefined }));
    expect(parsed).toMatchObject({
      workload: "W1",
      engine: "restate",
      workflows: 20_000,
      seconds: 50,
      fsyncs: null,
    });
  });
});

test("the page shows each workload that ran, each target and how the figures were won", () => {
  const page = renderReport(toRows([w1("floor", 20_000), w1("aion", 9_000)]), workloads, facts);
  expect(page).toContain("| W1 | bare floor, 20,000 workflows | ≥ 50 % | 45 % | **not met** |");
  expect(page).toContain("## W1: many workflows");
  expect(page).not.toContain("## W2");
  expect(page).toContain("- Command: `npm run bench`");
  const table = page.split("\n").filter((line) => line.startsWith("| "));
  const widths = new Set(table.slice(-3).map((line) => line.split("|").length));
  expect(widths.size).toBe(1);
});

test("a quantile is the nearest rank", () => {
  expect(quantile([5, 1, 4, 2, 3], 0.5)).toBe(3);
  expect(quantile([1, 2], 0.99)).toBe(2);
  expect(quantile([7], 0)).toBe(7);
});

test("only fsyncs that began in the timed section are counted, each once", () => {
  const trace = [
    "100 10.5 fsync(3) = 0",
    "100 11.0 fdatasync(3 <unfinished ...>",
    "101 11.1 fsync(4) = 0",
    "100 11.2 <... fdatasync resumed>) = 0",
    "101 13.0 fdatasync(4) = 0",
  ].join("\n");
  expect(countTracedFsyncs(trace, 10.9, 12)).toBe(2);
});
