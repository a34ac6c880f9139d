import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import type { HistorySizeInfo } from "../client/service.ts";
import { describeRun } from "./run-view.ts";

function eventsLine(historySize: HistorySizeInfo): string | undefined {
  const summary = {
    workflowId: "w",
    runId: "r",
    workflowType: "t",
    version: "inline",
    status: "running",
    startedAt: 0,
    historyLength: historySize.events,
  } as const;
  const waits = {
    pendingActivities: [],
    pendingTimers: [],
    pendingChildren: [],
    pendingUpdates: [],
    isCancelRequested: false,
  };
  const run = { ...summary, ...waits, historySize, runs: [summary] };
  const text = describeRun(run, { nowMs: 1, width: 120, isFull: false });
  return stripVTControlCharacters(text)
    .split("\n")
    .find((line) => line.startsWith("  events"))
    ?.slice("  events".length)
    .trim();
}

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
