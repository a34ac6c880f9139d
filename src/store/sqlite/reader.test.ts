import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeCommit } from "../commit.ts";
import { endOf, idOf, mark, runOf, startOf } from "../conformance/world.ts";
import type { Commit, RunRecord } from "../contract.ts";
import { openDatabase } from "./migrate.ts";
import { Reader } from "./reader.ts";
import { checksumOf, checksumSeed } from "./row.ts";
import { Writer } from "./writer.ts";

let directory: string;
let reading: DatabaseSync;
let writing: DatabaseSync;
let reader: Reader;
let writer: Writer;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-reader-"));
  const path = join(directory, "store.db");
  writing = openDatabase({ path, readOnly: false });
  reading = openDatabase({ path, readOnly: false });
  writer = new Writer(writing, { path, storeName: "written" });
  reader = new Reader(reading);
  writer.run([{ kind: "claim", claim: { leaseMs: 1_000 }, now: 0, version: "0" }]);
});

afterEach(() => {
  reading.close();
  writing.close();
  rmSync(directory, { recursive: true });
});

function append(...commits: readonly Commit[]): void {
  const [result] = writer.run([{ kind: "append", epoch: 1, now: 0, commits: commits.map(encodeCommit) }]);
  expect(result).toMatchObject({ kind: "appended", results: commits.map(() => ({ ok: true })) });
}

/** Ends the run and begins the next: the one time that is the right time for it to go unseen. */
function continueAsNew(): void {
  const run = { runKey: 1, workflowId: idOf("w"), runId: startOf("w").runId, headSeq: 1, wakeAt: null };
  const ending = {
    events: [endOf("continued-as-new")],
    status: "continued-as-new" as const,
    closedAt: 5,
  };
  append({ run: runOf(run, ending), start: startOf("w", { firstSeq: 3, events: [mark("next")] }) });
}

/** Does something, as another process might, right after the reader's `nth` statement of this read. */
async function amid<Result>(
  nth: number,
  work: () => void,
  read: () => Promise<Result> | Result,
): Promise<Result> {
  const prototype = Object.getPrototypeOf(reading.prepare("SELECT 1")) as Pick<StatementSync, "all" | "get">;
  const { all, get } = prototype;
  let count = 0;
  const after = <Value>(value: Value): Value => {
    count += 1;
    if (count === nth) work();
    return value;
  };
  prototype.all = function (...values: never[]) {
    return after(Reflect.apply(all, this, values) as ReturnType<typeof all>);
  };
  prototype.get = function (...values: never[]) {
    return after(Reflect.apply(get, this, values) as ReturnType<typeof get>);
  };
  try {
    return await read();
  } finally {
    Object.assign(prototype, { all, get });
  }
}

// I-36
it.each([1, 2, 3])(
  "of a run that continues as new amid a read exactly one half is seen, though it be after statement %i",
  async (nth) => {
    append({ start: startOf("w") });
    let count = 0;
    const once = (): void => {
      count += 1;
      if (count === 1) continueAsNew();
    };
    const keys = (runs: readonly { readonly runKey: number; readonly status: string }[]) =>
      runs.map((run) => [run.runKey, run.status]);
    const eitherHalf = [[[1, "running"]], [[2, "running"]]];
    expect(eitherHalf).toContainEqual(keys(await amid(nth, once, () => reader.listActive(0, 10))));
  },
);

it.each([1, 2, 3])("a search sees one of the two as well, though it be after statement %i", async (nth) => {
  append({ start: startOf("w") });
  const found = await amid(nth, continueAsNew, () => reader.list({ status: "running" }, undefined, 10));
  expect(found.map((run) => run.status)).toEqual(["running"]);
});

it.each([1, 2, 3])("a run is listed with the attributes of one instant, after statement %i", async (nth) => {
  append({ start: startOf("w", { attributes: { amount: 5 } }) });
  const run = { runKey: 1, workflowId: idOf("w"), runId: startOf("w").runId, headSeq: 1, wakeAt: null };
  const change = (): void => {
    append({ run: runOf(run, { events: [mark("changed")], attributes: { amount: 6 } }) });
  };
  const [found] = await amid(nth, change, () => reader.list({}, undefined, 10, true));
  expect([
    [1, 5],
    [2, 6],
  ]).toContainEqual([found?.headSeq, found?.attributes?.["amount"]]);
});

it.each([1, 2, 3])("a count too, after statement %i", async (nth) => {
  append({ start: startOf("w") });
  const filter = { status: "running", workflowType: "order" } as const;
  expect(await amid(nth, continueAsNew, () => reader.count(filter))).toBe(1);
});

it.each([1, 2, 3, 4])("a history is of one instant, after statement %i", async (nth) => {
  append({ start: startOf("w") });
  const history = await amid(nth, continueAsNew, () => reader.readHistory(idOf("w"), 1, 100));
  expect([1, 3]).toContain(history.length);
});

// I-50
it("a row that is what was written, and yet no row, is damage, and not of a newer version", () => {
  append({ start: startOf("w") });
  for (const row of ["no JSON", "{}", '{"f":1,"t":1,"e":[]}']) {
    const checksum = checksumOf(row, { seed: checksumSeed("w"), firstSeq: 1 });
    writing.prepare("UPDATE events SET row = ?, checksum = ?").run(row, checksum);
    expect(() => reader.readHistory(idOf("w"), 1, 10)).toThrow(
      expect.objectContaining({ code: "history_corrupt" }),
    );
  }
});

describe("among 25,000 runs", () => {
  const runCount = 25_000;
  const firstKey = 7;
  const all = Array.from({ length: runCount }, (_, index) => firstKey + index);
  const isRare = (key: number): boolean => key % 2_000 === 0 || key === firstKey;
  const isOpen = (key: number): boolean => key % 3 === 0;
  const keysOf = (runs: readonly RunRecord[]): readonly number[] => runs.map(({ runKey }) => runKey);
  const latestFirst = (keys: readonly number[]): readonly number[] => keys.toReversed();

  beforeEach(() => {
    writing
      .prepare(
        `INSERT INTO runs (run_key, head_seq, first_seq, status, wake_at, started_at, closed_at,
           workflow_id, run_id, workflow_type, version, blocked)
         WITH RECURSIVE keys (key) AS (SELECT CAST(?1 AS INTEGER) UNION ALL SELECT key + 1 FROM keys WHERE key < ?2)
         SELECT key, 1, 1, iif(key % 3 = 0, 0, 1), iif(key % 3 = 0, ?2 - key, NULL), key, iif(key % 3 = 0, NULL, key),
           'w-' || key, 'run', iif(key % 2000 = 0 OR key = ?1, 'rare', 'order'), 'v1', iif(key % 5000 = 1, 'why', NULL)
         FROM keys`,
      )
      .run(firstKey, firstKey + runCount - 1);
  });

  /** How many turns of the event loop go by amid a read. */
  async function turnsAmid<Result>(read: () => Promise<Result>): Promise<{ turns: number; result: Result }> {
    const progress = { turns: 0, isDone: false };
    const turn = (): void => {
      if (progress.isDone) return;
      progress.turns += 1;
      setImmediate(turn);
    };
    setImmediate(turn);
    const result = await read();
    progress.isDone = true;
    return { turns: progress.turns, result };
  }

  it("a search finds each that matches, latest first, to the limit, and lets the event loop go on", async () => {
    const rare = latestFirst(all.filter(isRare));
    const search = (limit: number, beforeKey?: number) =>
      turnsAmid(() => reader.list({ workflowType: "rare" }, beforeKey, limit));
    const whole = await search(100);
    expect(keysOf(whole.result)).toEqual(rare);
    expect(whole.turns).toBeGreaterThanOrEqual(2);
    for (const limit of [1, 5, rare.length - 1, rare.length, rare.length + 1]) {
      expect(keysOf((await search(limit)).result)).toEqual(rare.slice(0, limit));
      const [, second = 0] = rare;
      expect(keysOf((await search(limit, second)).result)).toEqual(rare.slice(2, 2 + limit));
    }
    // Those of the first part of the search are enough.
    expect((await search(3)).turns).toBe(0);
    expect(keysOf((await search(10, firstKey + 1)).result)).toEqual([firstKey]);
    expect(keysOf((await search(10, firstKey)).result)).toEqual([]);
  });

  it("a page goes on from one part of the search into the next", async () => {
    expect(keysOf(await reader.list({}, undefined, 24_000))).toEqual(latestFirst(all).slice(0, 24_000));
    expect(keysOf(await reader.list({}, 20_000, 15_000))).toEqual(
      latestFirst(all.filter((key) => key < 20_000)).slice(0, 15_000),
    );
  });

  it("what an index serves is found in one go", async () => {
    const blocked = latestFirst(all.filter((key) => key % 5_000 === 1));
    const found = await turnsAmid(() => reader.list({ isBlocked: true }, undefined, 100));
    expect([keysOf(found.result), found.turns]).toEqual([blocked, 0]);
    const counted = await turnsAmid(() => reader.count({ isBlocked: true }));
    expect(counted).toEqual({ result: blocked.length, turns: 0 });
    const one = await turnsAmid(() => reader.list({ workflowId: idOf("w-9000") }, undefined, 100));
    expect([keysOf(one.result), one.turns]).toEqual([[9_000], 0]);
  });

  it("a count is of all that match", async () => {
    expect(await reader.count({})).toBe(runCount);
    const openCount = all.filter(isOpen).length;
    expect(await turnsAmid(() => reader.count({ status: "running" }))).toEqual({
      result: openCount,
      turns: 0,
    });
    expect(await reader.count({ status: "completed" })).toBe(runCount - openCount);
    const rare = await turnsAmid(() => reader.count({ workflowType: "rare" }));
    expect(rare.result).toBe(all.filter(isRare).length);
    expect(rare.turns).toBeGreaterThanOrEqual(2);
    expect(await reader.count({ isBlocked: false })).toBe(runCount - 5);
  });

  it("active ones are found in the order of their keys, many or few", async () => {
    const open = all.filter(isOpen);
    for (const limit of [1, 3_333, 3_334, 5_000, 9_000]) {
      expect(keysOf(await reader.listActive(0, limit))).toEqual(open.slice(0, limit));
      const later = open.filter((key) => key > 12_000);
      expect(keysOf(await reader.listActive(12_000, limit))).toEqual(later.slice(0, limit));
    }
    const last = open.at(-1) ?? 0;
    expect(keysOf(await reader.listActive(last - 1, 10))).toEqual([last]);
    expect(keysOf(await reader.listActive(last, 10))).toEqual([]);
    expect((await turnsAmid(() => reader.listActive(0, 10))).turns).toBe(0);
    expect((await turnsAmid(() => reader.listActive(0, 9_000))).turns).toBeGreaterThanOrEqual(2);
    // The index holds these in another order.
    for (const [openMax, turnsMin] of [
      [2_001, 2],
      [2_000, 0],
    ] as const) {
      writing
        .prepare("UPDATE runs SET closed_at = 1, status = 1 WHERE closed_at IS NULL AND run_key > ?")
        .run(open[openMax - 1] ?? 0);
      const { result, turns } = await turnsAmid(() => reader.listActive(0, 9_000));
      expect(keysOf(result)).toEqual(open.slice(0, openMax));
      expect(turns > 0).toBe(turnsMin > 0);
    }
  });
});

it("an empty store has no runs to list, count or wake", async () => {
  expect(await reader.list({}, undefined, 10)).toEqual([]);
  expect(await reader.list({ workflowType: "order" }, 5, 10)).toEqual([]);
  expect(await reader.count({})).toBe(0);
  expect(await reader.count({ workflowType: "order" })).toBe(0);
  expect(await reader.listActive(0, 10)).toEqual([]);
  expect(reader.nextWakeAt(0)).toBeUndefined();
});
