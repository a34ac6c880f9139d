import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import type { HistorySizeInfo, RunDescription } from "../client/service.ts";
import { describeRun } from "./run-view.ts";

function shown(of: Partial<RunDescription>): readonly string[] {
  const summary = {
    workflowId: "w",
    runId: "r",
    workflowType: "t",
    version: "inline",
    status: "running",
    startedAt: 0,
    historyLength: 2,
  } as const;
  const waits = {
    pendingActivities: [],
    pendingTimers: [],
    pendingChildren: [],
    pendingUpdates: [],
    isCancelRequested: false,
    historySize: { events: 2, bytes: 99, isLong: false },
  };
  const run = { ...summary, ...waits, runs: [summary], ...of };
  const text = describeRun(run, { nowMs: 3_600_000, width: 120, isFull: false });
  return stripVTControlCharacters(text).split("\n");
}

/** The line of that fact. */
function lineOf(name: string, of: Partial<RunDescription>): string | undefined {
  return shown(of)
    .find((line) => line.startsWith(`  ${name} `))
    ?.slice(`  ${name}`.length)
    .trim();
}

function eventsLine(historySize: HistorySizeInfo): string | undefined {
  return lineOf("events", { historySize });
}

describe("where a run comes from", () => {
  const by = { reason: "it was \u001b[31mwrong", requestId: "night-1" };

  it("is told with the request by which it goes on: a reset, a fork, a reopening", () => {
    const resetOf = { runId: "r0", toSeq: 4, at: 0 };
    expect(lineOf("reset", { resetOf })).toMatch(/^from event 4 of run r0 on, .*1h ago\)$/);
    expect(lineOf("reset", { resetOf: { ...resetOf, ...by } })).toMatch(
      /ago\), by request night-1: it was .*wrong$/,
    );
    expect(lineOf("fork", { resetOf: { ...resetOf, workflowId: "o" } })).toMatch(
      /^from event 4 of run r0 of o on, .*1h ago\)$/,
    );
    expect(lineOf("reopened", { reopened: { count: 1, at: 0 } })).toMatch(/^\d.*1h ago\)$/);
    expect(lineOf("reopened", { reopened: { count: 3, at: 0, ...by } })).toMatch(
      /^3 times, the last .*1h ago\), by request night-1: it was .*wrong$/,
    );
    expect(shown({ reopened: { count: 1, at: 0, ...by } }).join()).not.toContain("\u001b");
    for (const name of ["reset", "fork", "reopened"]) expect(lineOf(name, {})).toBeUndefined();
  });
});

describe("the size of a history", () => {
  it("is shown beside its limits, where there is an engine that has some", () => {
    expect(eventsLine({ events: 6, bytes: 423, isLong: false })).toBe("6, about 423 bytes");
    expect(
      eventsLine({
        events: 1_234,
        bytes: 5_452_596,
        eventsMax: 50_000,
        bytesMax: 104_857_600,
        isLong: false,
      }),
    ).toBe("1,234 of 50,000, about 5.2 MiB of 100 MiB");
  });

  it("tells of signals that nobody receives, and of a history that is long", () => {
    expect(eventsLine({ events: 12_000, bytes: 2_048, isLong: true, waitingSignals: 1_500 })).toBe(
      "12,000, about 2 KiB, 1,500 signals not received, time to continue as new",
    );
  });
});
