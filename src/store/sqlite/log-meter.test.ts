import { describe, expect, it } from "vitest";
import { AionError } from "../../core/errors.ts";
import { encodeCommit } from "../commit.ts";
import { startOf } from "../conformance/world.ts";
import type { Job, JobResult } from "./job.ts";
import { LogMeter, pagesPerCheckpoint } from "./log-meter.ts";

const commit = encodeCommit({ start: startOf("w") });
const job: Job = { kind: "append", epoch: 1, now: 0, commits: Array.from({ length: 100 }, () => commit) };
const done: JobResult = { kind: "appended", results: [] };
const full: JobResult = { kind: "failed", error: new AionError("store_full", "no room") };
const refused: JobResult = { kind: "failed", error: new AionError("not_owner", "somebody else") };

/** How many of these jobs make a log that is to be moved. */
function jobsUntilLong(meter: LogMeter, result: JobResult = done): number {
  for (let count = 1; count <= 1_000; count += 1) {
    meter.add([job], [result]);
    if (meter.isLongerThan(pagesPerCheckpoint)) return count;
  }
  return Number.POSITIVE_INFINITY;
}

describe("the meter of the log", () => {
  it("counts what was written, and nothing else", () => {
    const written = jobsUntilLong(new LogMeter());
    expect(written).toBeGreaterThan(5);
    expect(written).toBeLessThan(40);
    expect(jobsUntilLong(new LogMeter(), refused)).toBe(Number.POSITIVE_INFINITY);
    expect(jobsUntilLong(new LogMeter(), { kind: "done", value: 0 })).toBe(Number.POSITIVE_INFINITY);
  });

  it("is set right by what is found, fourfold at most", () => {
    const guessed = jobsUntilLong(new LogMeter());
    for (const [factor, expected] of [
      [0.5, 2],
      [2, 0.5],
      [0.01, 4],
      [100, 0.25],
    ] as const) {
      const meter = new LogMeter();
      jobsUntilLong(meter);
      meter.reset(pagesPerCheckpoint * factor);
      const ratio = jobsUntilLong(meter) / guessed;
      expect(Math.abs(ratio / expected - 1)).toBeLessThan(0.25);
    }
    const meter = new LogMeter();
    jobsUntilLong(meter);
    meter.reset(undefined);
    expect(jobsUntilLong(meter)).toBe(guessed);
  });

  // I-47
  it("has the log moved when the disk becomes full, and when there is room again, whatever its length", () => {
    const meter = new LogMeter();
    const isLong = (): boolean => meter.isLongerThan(pagesPerCheckpoint);
    meter.add([job], [done]);
    expect(isLong()).toBe(false);
    meter.add([job], [full]);
    expect(isLong()).toBe(true);
    // It could not be moved; while nothing changes it is left alone.
    meter.reset(undefined);
    expect(jobsUntilLong(meter, full)).toBe(Number.POSITIVE_INFINITY);
    meter.add([job], [done]);
    expect(isLong()).toBe(true);
    meter.reset(3);
    meter.add([job], [done]);
    expect(isLong()).toBe(false);
  });
});
