import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeCommit } from "../commit.ts";
import type { EncodedCommit } from "../commit.ts";
import { archiveOf, deployOf, idOf, mark, runOf, startOf } from "../conformance/world.ts";
import type { CatalogChange } from "../contract.ts";
import { AionError } from "../../core/errors.ts";
import type { Job, JobResult } from "./job.ts";
import { LogMeter, pagesPerCheckpoint } from "./log-meter.ts";
import { openDatabase } from "./migrate.ts";
import { Writer } from "./writer.ts";

const known = { runKey: 1, workflowId: idOf("w"), runId: startOf("w").runId, headSeq: 1, wakeAt: null };

function append(commits: readonly EncodedCommit[]): Job {
  return { kind: "append", epoch: 1, now: 0, commits };
}

/** Commits whose text has so many characters, wherever in the commit it is. */
function textOf(where: "run" | "start" | "send", length: number): EncodedCommit {
  const none = { run: undefined, start: undefined, send: [], consume: [] };
  const part = { eventCount: 1, row: "x".repeat(length), log: [] };
  if (where === "run") return { ...none, run: { of: runOf(known), ...part } };
  if (where === "start") return { ...none, start: { of: startOf("w"), ...part } };
  return { ...none, send: [{ target: idOf("w"), body: part.row }] };
}

const done: JobResult = { kind: "appended", results: [] };
const full: JobResult = { kind: "failed", error: new AionError("store_full", "no room") };
const refused: JobResult = { kind: "failed", error: new AionError("not_owner", "somebody else") };

const resultOf = ({ kind }: Job): JobResult => (kind === "append" ? done : { kind: "done", value: 0 });

function pagesOf(...jobs: readonly Job[]): number {
  const meter = new LogMeter();
  meter.add(jobs, jobs.map(resultOf));
  return meter.pages;
}

describe("the estimated length of the log", () => {
  it("grows with each commit, wherever it stands, and with nothing else", () => {
    const small = textOf("run", 0);
    expect(new LogMeter().pages).toBe(0);
    expect(pagesOf(append([small]))).toBe(2.5);
    expect(pagesOf(append([small, small]), { kind: "checkpoint" }, append([small]))).toBe(7.5);
    expect(pagesOf({ kind: "renew", epoch: 1, now: 0 }, append([]))).toBe(0);
  });

  it.each(["run", "start", "send"] as const)("grows with the text of a commit's %s", (where) => {
    expect(pagesOf(append([textOf(where, 40_960)]))).toBeCloseTo(2.5 + 12, 9);
  });

  it("adds up the texts of one commit", () => {
    const commit = { ...textOf("run", 4_096), ...{ start: textOf("start", 8_192).start } };
    const [message] = textOf("send", 4_096).send;
    const send = message === undefined ? [] : [message, message];
    expect(pagesOf(append([{ ...commit, send }]))).toBeCloseTo(2.5 + 6, 9);
  });

  it("grows with the archive of a package, and hardly with any other change of the catalog", () => {
    const change = (of: CatalogChange): Job => ({ kind: "change-catalog", epoch: 1, now: 0, change: of });
    const archive = archiveOf(new Uint8Array(4_096_000), []);
    expect(pagesOf(change(deployOf(archive)))).toBeCloseTo(2.5 + 1_000, 9);
    expect(pagesOf(change({ kind: "unload", version: archive.version }))).toBe(2.5);
    const meter = new LogMeter();
    meter.add([change(deployOf(archive))], [full]);
    expect(meter.pages).toBe(0);
  });

  it("counts nothing of what failed", () => {
    const job = append([textOf("run", 0)]);
    const meter = new LogMeter();
    meter.add([job, job, job, job], [done, refused, full, done]);
    expect(meter.pages).toBe(5);
  });

  // I-47
  it("does not matter when the disk becomes full, nor when there is room again: the log should be moved", () => {
    const meter = new LogMeter();
    const job = append([textOf("run", 0)]);
    const isLongAfter = (...results: readonly JobResult[]): boolean => {
      meter.add(
        results.map(() => job),
        results,
      );
      return meter.isLongerThan(pagesPerCheckpoint);
    };
    expect(isLongAfter(done)).toBe(false);
    expect(isLongAfter(refused)).toBe(false);
    expect(isLongAfter(full, full)).toBe(true);
    // It could not be moved; while nothing changes it is left alone.
    meter.reset(undefined);
    expect(isLongAfter(full)).toBe(false);
    expect(isLongAfter(done)).toBe(true);
    meter.reset(3);
    expect(isLongAfter(done)).toBe(false);
    expect(meter.isLongerThan(2)).toBe(true);
    expect(meter.isLongerThan(meter.pages)).toBe(false);
  });

  it("is what SQLite tells, if it does, and nothing when the log has been moved", () => {
    const meter = new LogMeter();
    const job = append([textOf("run", 0)]);
    meter.add([job], [done], 3_999);
    expect([meter.pages, meter.isLongerThan(pagesPerCheckpoint)]).toEqual([3_999, false]);
    meter.add([job], [done], 4_001);
    expect(meter.isLongerThan(pagesPerCheckpoint)).toBe(true);
    meter.reset(4_001);
    expect(meter.pages).toBe(0);
    meter.add([job], [done], 7);
    expect(meter.pages).toBe(7);
    // It was asked while somebody else moved the log.
    meter.add([job], [done]);
    expect(meter.pages).toBeGreaterThan(0);
  });

  it("begins anew when the log was moved, and is corrected by what was found in it", () => {
    const meter = new LogMeter();
    const jobs = [append(Array.from({ length: 40 }, () => textOf("run", 0)))];
    const estimateAfter = (found: number | undefined): number => {
      meter.reset(found);
      expect(meter.pages).toBe(0);
      meter.add(jobs, jobs.map(resultOf));
      return meter.pages;
    };
    expect(estimateAfter(undefined)).toBe(100);
    // The correction is of the bare estimate, and no chain of corrections.
    expect(estimateAfter(150)).toBe(150);
    expect(estimateAfter(150)).toBe(150);
    // Not known, or nothing: no reason to think otherwise.
    expect(estimateAfter(undefined)).toBe(150);
    expect(estimateAfter(0)).toBe(150);
    expect(estimateAfter(50)).toBe(50);
    // Whoever reads keeps pages in the log, and whoever moves it beside takes them: neither is how commits are.
    expect(estimateAfter(100_000)).toBe(400);
    expect(estimateAfter(1)).toBe(25);
    meter.reset(undefined);
    meter.reset(300);
    meter.add(jobs, jobs.map(resultOf));
    expect(meter.pages).toBe(25);
  });
});

describe("against what SQLite finds", () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "aion-meter-"));
  });

  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it.each([
    ["lone commits", { rounds: 100, runs: 1, length: 10 }],
    ["commits of many runs that come together", { rounds: 20, runs: 40, length: 10 }],
    ["large texts", { rounds: 50, runs: 1, length: 20_000 }],
  ])("the estimate of %s is never far too low, and not far off after one correction", (_, of) => {
    const path = join(directory, "store.db");
    const database = openDatabase({ path, readOnly: false });
    const writer = new Writer(database, { path, storeName: path });
    writer.run([{ kind: "claim", claim: { leaseMs: 1_000 }, now: 0, version: "0" }]);
    const ids = Array.from({ length: of.runs }, (__, index) => `w-${index}`);
    writer.run([append(ids.map((id) => encodeCommit({ start: startOf(id) }))), { kind: "checkpoint" }]);
    const meter = new LogMeter();
    let headSeq = 1;
    const ratios = ["uncorrected", "corrected"].map(() => {
      for (let round = 0; round < of.rounds; round += 1) {
        const events = [mark("x".repeat(of.length))];
        const commits = ids.map((id, index) =>
          encodeCommit({
            run: {
              ...runOf(known, { expectedSeq: headSeq, events }),
              workflowId: idOf(id),
              runKey: index + 1,
            },
          }),
        );
        const [result] = writer.run([append(commits)]);
        expect(result).toMatchObject({ kind: "appended", results: commits.map(() => ({ ok: true })) });
        meter.add([append(commits)], [done]);
        headSeq += 1;
      }
      const estimate = meter.pages;
      const [result] = writer.run([{ kind: "checkpoint" }]);
      const found = result?.kind === "done" ? result.value : 0;
      meter.reset(found);
      return estimate / found;
    });
    database.close();
    // Too high costs a move of the log before its time; too low lets it grow.
    expect(Math.min(...ratios)).toBeGreaterThan(0.5);
    expect(ratios[1]).toBeLessThan(1.5);
  });
});
