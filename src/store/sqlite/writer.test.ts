import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { AionError } from "../../core/errors.ts";
import { encodeCommit } from "../commit.ts";
import { endOf, idOf, mark, startOf } from "../conformance/world.ts";
import type { Commit } from "../contract.ts";
import type { Job, JobResult } from "./job.ts";
import { openDatabase } from "./migrate.ts";
import { Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

let directory: string;
let path: string;
let database: DatabaseSync;
let writer: Writer;
let reader: Reader;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-writer-"));
  path = join(directory, "store.db");
  database = openDatabase({ path, readOnly: false });
  writer = new Writer(database, { path, storeName: `sqlite:${path}` });
  reader = new Reader(database);
  writer.run([{ kind: "claim", claim: { leaseMs: 1_000 }, now: 0, version: "0" }]);
});

afterEach(() => {
  database.close();
  rmSync(directory, { recursive: true });
});

function append(...commits: readonly Commit[]): Job {
  return { kind: "append", epoch: 1, now: 0, commits: commits.map(encodeCommit) };
}

function extension(expectedSeq: number, text: string, fields: object = {}): Commit {
  const run = {
    runKey: 1,
    workflowId: idOf("w"),
    expectedSeq,
    events: [mark(text)],
    status: "running" as const,
    wakeAt: null,
    wakeAtBefore: null,
    ...fields,
  };
  return { run };
}

function errorOf(result: JobResult | undefined): AionError {
  return (result?.kind === "failed" ? result.error : undefined) as AionError;
}

function countRows(table: string): number {
  return Number(database.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.["count"]);
}

it("the writer tells how much of the log the file does not have yet", () => {
  writer.run([{ kind: "checkpoint" }]);
  expect(writer.logPages()).toBe(0);
  writer.run([append({ start: startOf("w") })]);
  const afterOne = writer.logPages() ?? 0;
  expect(afterOne).toBeGreaterThan(2);
  writer.run([append(extension(1, "x".repeat(40_960)))]);
  expect(writer.logPages()).toBeGreaterThan(afterOne + 10);
  const [moved] = writer.run([{ kind: "checkpoint" }]);
  // That many are in it, and the file has them all.
  expect(moved).toMatchObject({ kind: "done", value: expect.any(Number) });
  expect(writer.logPages()).toBe(0);
});

// I-47
it("a full disk rolls the append back, leaves reads alone, and is over when there is space", () => {
  writer.run([append({ start: startOf("w") })]);
  database.exec("PRAGMA max_page_count = 20");
  const large = "x".repeat(30_000);
  let headSeq = 1;
  let result: JobResult | undefined;
  for (;;) {
    // Two appends that share a transaction share its end.
    const results = writer.run([append(extension(headSeq, large)), append(extension(headSeq + 1, large))]);
    [result] = results;
    if (result?.kind === "failed") {
      expect(errorOf(results[1])).toBe(result.error);
      break;
    }
    headSeq += 2;
  }
  expect(errorOf(result).code).toBe("store_full");
  expect(errorOf(result).message).toContain(path);
  expect(errorOf(result).cause).toBeInstanceOf(Error);
  expect(reader.findRunByKey(1)?.headSeq).toBe(headSeq);
  expect(reader.readHistory(idOf("w"), 1, 1_000)).toHaveLength(headSeq);
  database.exec("PRAGMA max_page_count = 4294967294");
  expect(writer.run([append(extension(headSeq, large))])[0]).toMatchObject({ results: [{ ok: true }] });
  expect(reader.readHistory(idOf("w"), 1, 1_000)).toHaveLength(headSeq + 1);
});

// I-4
it("a commit whose statement cannot be carried out takes no other with it", () => {
  writer.run([append({ start: startOf("w") })]);
  // Stands for any statement that SQLite refuses: a text over its limit, a broken constraint.
  database.exec(
    "CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.row LIKE '%poison%' BEGIN SELECT RAISE(ABORT, 'no'); END",
  );
  const results = writer.run([
    append(extension(1, "a"), { start: startOf("v") }),
    append(extension(2, "poison"), extension(2, "b"), {
      start: startOf("u", { events: [mark("poison")] }),
      send: [{ target: idOf("x"), message: { kind: "cancel" } }],
    }),
    append(extension(3, "c")),
  ]);
  const oks = results.flatMap((result) =>
    result.kind === "appended" ? result.results.map(({ ok }) => String(ok)) : ["failed"],
  );
  expect(oks).toEqual(["true", "true", "false", "true", "false", "true"]);
  const texts = reader
    .readHistory(idOf("w"), 2, 100)
    .map((event) => (event.type === "VersionMarked" ? event.changeId : ""));
  expect(texts).toEqual(["a", "b", "c"]);
  expect(reader.findRun(idOf("u"), undefined)).toBeUndefined();
  expect(reader.listMessages(0, 10)).toEqual([]);
});

it("a plain commit is two statements beside those of its transaction, and so is a start after the first", () => {
  writer.run([append({ start: startOf("w") })]);
  const statements: string[] = [];
  const counting = openDatabase({ path, readOnly: false });
  const prepare = counting.prepare.bind(counting);
  counting.prepare = (sql) => {
    const statement = prepare(sql);
    const name = sql.split(/\s+/).slice(0, 3).join(" ");
    const [run, get] = [statement.run.bind(statement), statement.get.bind(statement)];
    statement.run = (...values: never[]) => {
      statements.push(name);
      return run(...values);
    };
    statement.get = (...values: never[]) => {
      statements.push(name);
      return get(...values);
    };
    return statement;
  };
  const counted = new Writer(counting, { path, storeName: "counted" });
  const statementsOf = (...commits: readonly Commit[]): readonly string[] => {
    statements.length = 0;
    const [result] = counted.run([append(...commits)]);
    expect(result).toMatchObject({ kind: "appended", results: commits.map(() => ({ ok: true })) });
    expect(statements.splice(0, 2)).toEqual(["BEGIN IMMEDIATE", "SELECT epoch, pid,"]);
    expect(statements.pop()).toBe("COMMIT");
    return [...statements];
  };
  const [update, insert] = ["UPDATE runs SET", "INSERT INTO events"];
  expect(statementsOf(extension(1, "a"))).toEqual([update, insert]);
  expect(statementsOf(extension(2, "b", { wakeAt: 5 }))).toEqual([update, insert]);
  expect(statementsOf({ start: startOf("v") }, { start: startOf("u") })).toEqual([
    "SELECT max(coalesce((SELECT max(run_key)",
    "INSERT INTO runs",
    "INSERT INTO runs",
    insert,
    insert,
  ]);
  const closing = { status: "completed", closedAt: 5, events: [endOf("completed")] };
  expect(statementsOf(extension(3, "end", closing))).toEqual([update, "SELECT 1 FROM", insert]);
  // Many rows are one statement.
  const commits = Array.from({ length: 35 }, (_, index) =>
    extension(1 + index, "c", { runKey: 2, workflowId: idOf("v") }),
  );
  expect(statementsOf(...commits).filter((name) => name === insert)).toHaveLength(2 + 3);
  counting.close();
});

it("a statement of another job that cannot be carried out is told with the path, and ends nothing", () => {
  writer.run([append({ start: startOf("w") })]);
  database.exec("CREATE TRIGGER refuse BEFORE UPDATE ON owner BEGIN SELECT RAISE(ABORT, 'no'); END");
  for (const job of [
    { kind: "release", epoch: 1 },
    { kind: "renew", epoch: 1, now: 5 },
  ] as const) {
    const error = errorOf(writer.run([job])[0]);
    expect([error.code, error.message]).toEqual(["internal", expect.stringContaining(path)]);
  }
  database.exec("DROP TRIGGER refuse");
  expect(writer.run([append(extension(1, "a"))])[0]).toMatchObject({ results: [{ ok: true }] });
  expect(writer.run([{ kind: "release", epoch: 1 }])).toEqual([{ kind: "done", value: 1 }]);
});

it("what another writer has done in between counts: its heartbeats, and its keys", () => {
  const otherDatabase = openDatabase({ path, readOnly: false });
  const other = new Writer(otherDatabase, { path, storeName: "other" });
  const startedKey = (by: Writer, id: string): unknown => {
    const [result] = by.run([append({ start: startOf(id) })]);
    return result?.kind === "appended" && result.results[0]?.ok === true
      ? result.results[0].startedKey
      : undefined;
  };
  expect([startedKey(writer, "w"), startedKey(other, "v"), startedKey(writer, "u")]).toEqual([1, 2, 3]);
  const closing = { status: "completed", closedAt: 5, events: [endOf("completed")] };
  // Had none to delete, and must look again.
  writer.run([append(extension(1, "end", { ...closing, runKey: 3, workflowId: idOf("u") }))]);
  const heartbeats = [{ ordinal: 0, attempt: 1, details: "1" }];
  other.run([append(extension(1, "", { events: [], heartbeats }))]);
  expect(countRows("heartbeats")).toBe(1);
  writer.run([append(extension(1, "end", closing))]);
  expect([countRows("heartbeats"), reader.findRunByKey(1)?.status]).toEqual([0, "completed"]);
  otherDatabase.close();
});

it("heartbeats of one transaction are gone when the run closes in it", () => {
  const heartbeats = [{ ordinal: 0, attempt: 1, details: "1" }];
  const closing = { status: "completed", closedAt: 5, events: [endOf("completed")] };
  writer.run([append({ start: startOf("w") }, { start: startOf("v") })]);
  writer.run([
    append(
      extension(1, "end", { ...closing, runKey: 2, workflowId: idOf("v") }),
      extension(1, "", { events: [], heartbeats }),
      extension(1, "end", closing),
    ),
  ]);
  expect(reader.findRunByKey(1)?.status).toBe("completed");
  expect(countRows("heartbeats")).toBe(0);
});

it("retention leaves no row of a deleted run behind", () => {
  writer.run([append({ start: startOf("w") }, { start: startOf("v") })]);
  writer.run([append(extension(1, "a"), extension(2, "b"))]);
  writer.run([
    append(extension(3, "end", { status: "completed", closedAt: 5, events: [endOf("completed")] })),
  ]);
  expect([countRows("runs"), countRows("events")]).toEqual([2, 5]);
  expect(writer.run([{ kind: "delete-closed", epoch: 1, now: 0, closedBefore: 6, limit: 10 }])).toEqual([
    { kind: "done", value: 1 },
  ]);
  expect([countRows("runs"), countRows("events"), countRows("heartbeats")]).toEqual([1, 1, 0]);
});

// I-51
it("a file that is gone is not claimed", () => {
  writer.run([{ kind: "release", epoch: 1 }]);
  rmSync(path);
  const error = errorOf(writer.run([{ kind: "claim", claim: { leaseMs: 1 }, now: 0, version: "0" }])[0]);
  expect([error.code, error.message]).toEqual(["store_failed", expect.stringContaining("removed")]);
  // Nor is anything else written.
  expect(errorOf(writer.run([append({ start: startOf("w") })])[0])).toBe(error);
});

it("the version that claimed the store last is in the file", () => {
  const read = (): unknown =>
    database.prepare("SELECT value FROM meta WHERE name = 'aion_version'").get()?.["value"];
  expect(read()).toBe("0");
  writer.run([{ kind: "release", epoch: 1 }]);
  writer.run([{ kind: "claim", claim: { leaseMs: 1 }, now: 0, version: "0.2" }]);
  expect(read()).toBe("0.2");
});

it("a checkpoint moves the log into the file, so that the log begins anew", () => {
  writer.run([append({ start: startOf("w") })]);
  const logSize = (): number => statSync(`${path}-wal`).size;
  for (let headSeq = 1; headSeq < 50; headSeq += 1)
    writer.run([append(extension(headSeq, "x".repeat(3_000)))]);
  const before = logSize();
  expect(writer.run([{ kind: "checkpoint" }])[0]).toMatchObject({ kind: "done" });
  for (let headSeq = 50; headSeq < 90; headSeq += 1)
    writer.run([append(extension(headSeq, "x".repeat(3_000)))]);
  expect(logSize()).toBe(before);
});

// I-48
it("after an I/O error nothing is written any more", () => {
  writer.run([append({ start: startOf("w") })]);
  const commit = database.prepare("COMMIT");
  const failing = Object.assign(new Error("disk I/O error"), { errcode: 1034 });
  const prototype = Object.getPrototypeOf(commit) as {
    run: (this: typeof commit, ...values: never[]) => unknown;
  };
  const { run } = prototype;
  let failures = 0;
  prototype.run = function (...values) {
    if (this.sourceSQL === "COMMIT") {
      failures += 1;
      throw failing;
    }
    return run.apply(this, values);
  };
  try {
    expect(errorOf(writer.run([append(extension(1, "a"))])[0]).code).toBe("store_failed");
  } finally {
    prototype.run = run;
  }
  expect(failures).toBe(1);
  for (const job of [
    append(extension(1, "b")),
    { kind: "renew", epoch: 1, now: 5 } as const,
    { kind: "checkpoint" } as const,
  ]) {
    expect(errorOf(writer.run([job])[0]).code).toBe("store_failed");
  }
  expect(reader.findRunByKey(1)?.headSeq).toBe(1);
});
