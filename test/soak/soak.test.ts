import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { soak } from "./main.ts";
import type { Life, Sample } from "./sample.ts";
import { judge, slopeOf } from "./sample.ts";

const mib = 1024 * 1024;

/** An hour at one sample a minute, in which nothing grows, unless `of` says so. */
function hour(of: (minute: number) => Partial<Sample> = () => ({})): Life {
  const samples = Array.from({ length: 60 }, (_, minute): Sample => ({
    uptimeSeconds: 60 * (minute + 1),
    rss: 200 * mib,
    fileBytes: 50 * mib,
    mallocBytes: 20 * mib,
    heapPageBytes: 70 * mib,
    heapTotal: 60 * mib,
    heapUsed: (20 + (minute % 3)) * mib,
    external: 10 * mib,
    resources: { Timeout: 300 + (minute % 7), PipeWrap: 1 },
    residents: 200,
    inFlight: 3,
    databaseBytes: 50 * mib,
    logBytes: 20 * mib,
    recovered: 0,
    started: 12_000 * (minute + 1) + 700,
    ended: 12_000 * (minute + 1),
    failed: 0,
    ...of(minute),
  }));
  return { end: "last", samples };
}

const growing = (life: Life): readonly string[] =>
  judge([life], 200)
    .filter(({ isFine }) => !isFine)
    .map(({ what }) => what);

describe("the judgement of a soak", () => {
  it("finds nothing where nothing grows", () => {
    expect(growing(hour())).toEqual([]);
  });

  it("finds what leaks", () => {
    expect(growing(hour((minute) => ({ heapUsed: (20 + minute / 8) * mib })))).toEqual([
      "heap after collection, over the longest life",
    ]);
    expect(growing(hour((minute) => ({ rss: (200 + minute) * mib })))).toEqual([
      "memory outside all heaps, over the longest life",
    ]);
    expect(growing(hour((minute) => ({ heapPageBytes: (70 + 5 * minute) * mib })))).toEqual([
      "heaps of other threads, at most",
    ]);
    expect(growing(hour((minute) => ({ resources: { Timeout: 300 + 5 * minute } })))).toEqual([
      "handles and timers, over the longest life",
    ]);
    expect(growing(hour((minute) => ({ databaseBytes: (50 + minute) * mib })))).toEqual([
      "database file, middle third and last third",
    ]);
    expect(growing(hour(() => ({ logBytes: 900 * mib })))).toEqual(["write-ahead log, at most"]);
  });

  it("finds a soak that shows nothing", () => {
    expect(growing(hour((minute) => ({ ended: 1_000 * minute })))).toContain("workflows ended");
    expect(growing(hour(() => ({ failed: 1 })))).toEqual(["workflows failed"]);
    expect(growing(hour((minute) => ({ started: 12_000 * (minute + 1) })))).toEqual([
      "runs put away at once, at most",
    ]);
  });

  it("takes the slope by least squares", () => {
    const points = [1, 2, 3, 4].map((x) => ({ x, y: 3 * x + 1 }));
    expect(slopeOf(points)).toBeCloseTo(3);
    expect(slopeOf([{ x: 1, y: 5 }])).toBe(0);
  });
});

// What grows cannot be told in seconds; that it runs, ends nothing wrongly, and puts runs away, can.
it("a short soak, with its kills and its stop", async () => {
  const directory = mkdtempSync(join(tmpdir(), "aion-soak-test-"));
  try {
    const { lives, verdicts } = await soak({
      minutes: 0.4,
      perSecond: 100,
      directory,
      sampleMs: 500,
      retentionMs: 4_000,
    });
    expect(lives.map((life) => life.end)).toEqual(["kill", "stop", "kill", "kill", "last"]);
    const of = (what: string) => verdicts.find((verdict) => verdict.what.startsWith(what));
    expect(of("workflows failed")).toMatchObject({ isFine: true });
    for (const life of lives) expect(life.samples.at(-1)?.ended).toBeGreaterThan(0);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
