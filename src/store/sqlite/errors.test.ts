import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AionError } from "../../core/errors.ts";
import { isBusy, isStatementFault, needsRollback, toStoreError } from "./errors.ts";
import type { StoreAction } from "./errors.ts";

/** As `node:sqlite` throws it. */
function sqliteError(errcode: unknown): Error {
  return Object.assign(new Error("SQLite says no"), { code: "ERR_SQLITE_ERROR", errcode });
}

function translate(errcode: number, action: StoreAction = "write", path = "dir/a.db"): AionError {
  const cause = sqliteError(errcode);
  const error = toStoreError(cause, { action, path });
  if (!(error instanceof AionError)) throw new Error(`${errcode} was left as it is`);
  expect(error.cause).toBe(cause);
  expect(error.details).toEqual({ sqliteCode: errcode });
  for (const said of [`cannot ${action} store ${path}`, "SQLite says no", `SQLite result ${errcode}`])
    expect(error.message).toContain(said);
  return error;
}

// https://www.sqlite.org/rescode.html
describe("an error of SQLite's", () => {
  it.each([
    ["PERM", 3, "store_read_only"],
    ["BUSY", 5, "store_unavailable"],
    ["BUSY_SNAPSHOT", 517, "store_unavailable"],
    ["LOCKED", 6, "store_unavailable"],
    ["NOMEM", 7, "store_unavailable"],
    ["READONLY", 8, "store_read_only"],
    ["READONLY_DBMOVED", 1032, "store_read_only"],
    ["IOERR", 10, "store_failed"],
    ["IOERR_FSYNC", 1034, "store_failed"],
    ["IOERR_SHMMAP", 5386, "store_failed"],
    ["CORRUPT", 11, "store_corrupt"],
    ["CORRUPT_INDEX", 779, "store_corrupt"],
    ["FULL", 13, "store_full"],
    ["PROTOCOL", 15, "store_unavailable"],
    ["NOTADB", 26, "store_corrupt"],
    // Nothing is wrong with the disk: there was no room for the log's index, or no memory.
    ["IOERR_SHMSIZE", 4874, "store_full"],
    ["IOERR_NOMEM", 3082, "store_unavailable"],
    ["ERROR", 1, "internal"],
    ["MISUSE", 21, "internal"],
    ["CONSTRAINT", 19, "internal"],
    ["a code of another version", 77, "internal"],
  ])("%s is told by its code, with the path and the result", (_, errcode, code) => {
    expect(translate(errcode).code).toBe(code);
    expect(translate(errcode, "read").code).toBe(code);
  });

  it("about a statement of ours, while a store is opened, means that its tables are not ours", () => {
    expect(translate(1, "open").code).toBe("store_corrupt");
    expect(translate(21, "open").code).toBe("internal");
  });

  it("is Aion's once: what was translated, and what is nobody's of the two, passes as it is", () => {
    for (const error of [
      new AionError("store_full", "full"),
      translate(13),
      new Error("a bug"),
      sqliteError("5"),
      { errcode: "5" },
      "text",
      null,
      undefined,
      5,
    ])
      expect(toStoreError(error, { action: "read", path: "a.db" })).toBe(error);
  });
});

describe("a store that SQLite is unable to open", () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "aion-errors-"));
  });

  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it("has no directory: it is named, with what to do", () => {
    const missing = join(directory, "missing");
    const error = translate(14, "open", join(missing, "a.db"));
    expect(error.code).toBe("store_unavailable");
    expect(error.message).toContain(`directory ${missing} does not exist`);
    expect(error.hint).toContain(missing);
  });

  it("is unavailable for a reason that cannot be told", () => {
    const path = join(directory, "a.db");
    for (const prepare of [() => {}, () => writeFileSync(path, "")]) {
      prepare();
      const error = translate(14, "open", path);
      expect([error.code, error.message]).toEqual([
        "store_unavailable",
        expect.not.stringContaining("directory"),
      ]);
    }
  });
});

describe("of an error is told", () => {
  const codes = [1, 5, 261, 517, 8, 776, 10, 18, 19, 787, 1555, 1811, 2067];
  const told = (tell: (error: unknown) => boolean): readonly number[] =>
    codes.filter((code) => tell(sqliteError(code)));

  it("that somebody else held the lock", () => {
    expect(told(isBusy)).toEqual([5, 261, 517]);
  });

  it("that a crash left something to take back", () => {
    expect(told(needsRollback)).toEqual([776]);
  });

  it("that the statement was at fault, and neither file nor machine", () => {
    expect(told(isStatementFault)).toEqual([18, 19, 787, 1555, 1811, 2067]);
  });

  it("the same after it has become Aion's, and has come from another thread without its cause", () => {
    const error = translate(517);
    expect(isBusy(error)).toBe(true);
    expect(isBusy(new AionError(error.code, error.message, { details: error.details }))).toBe(true);
    expect(isBusy(new AionError("store_unavailable", "closed"))).toBe(false);
    expect(isBusy(new AionError("store_unavailable", "odd", { details: { sqliteCode: "5" } }))).toBe(false);
  });

  it("nothing when it is not SQLite's", () => {
    for (const error of [new Error("a bug"), sqliteError("5"), "5", null, undefined, 5]) {
      for (const tell of [isBusy, needsRollback, isStatementFault]) expect(tell(error)).toBe(false);
    }
  });
});

it("SQLite's own errors carry the results that are told apart", () => {
  const database = new DatabaseSync(":memory:");
  database.exec("CREATE TABLE t (a INTEGER PRIMARY KEY) STRICT; INSERT INTO t VALUES (1)");
  const errorOf = (sql: string): unknown => {
    try {
      database.exec(sql);
    } catch (error) {
      return error;
    }
    return undefined;
  };
  expect(isStatementFault(errorOf("INSERT INTO t VALUES (1)"))).toBe(true);
  expect(isStatementFault(errorOf("SELECT zeroblob(2000000000)"))).toBe(true);
  const ofNoTable = errorOf("SELECT * FROM nowhere");
  expect(isStatementFault(ofNoTable)).toBe(false);
  expect(toStoreError(ofNoTable, { action: "open", path: "a.db" })).toMatchObject({ code: "store_corrupt" });
  database.close();
});
