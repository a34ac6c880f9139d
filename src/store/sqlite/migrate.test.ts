import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { isAionError } from "../../core/errors.ts";
import { applicationId, connect, openDatabase, storeFormat } from "./migrate.ts";
import { openSqliteStore } from "./store.ts";

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-migrate-"));
  path = join(directory, "store.db");
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

function codeOfOpening(options: { readonly path: string; readonly readOnly?: boolean }): string {
  try {
    void openSqliteStore(options).close();
    return "opened";
  } catch (error) {
    if (!isAionError(error)) throw error;
    expect(error.message).toContain(options.path);
    expect(error.hint).not.toBe("");
    return error.code;
  }
}

async function create(): Promise<void> {
  await openSqliteStore({ path }).close();
}

function alter(sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}

it("a new file is a store of the current format, marked as Aion's, in WAL mode", async () => {
  await create();
  const database = new DatabaseSync(path, { readOnly: true });
  const values = ["application_id", "user_version", "journal_mode"].map((name) =>
    Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {}),
  );
  database.close();
  expect(values.flat()).toEqual([applicationId, storeFormat, "wal"]);
  const header = readFileSync(path).subarray(0, 72);
  expect(header.readUInt32BE(60)).toBe(storeFormat);
  expect(header.subarray(68, 72).toString("latin1")).toBe("Aion");
});

it("each connection that writes syncs every commit, waits for locks, and leaves the log to the write path", () => {
  const made = openDatabase({ path, readOnly: false });
  const again = openDatabase({ path, readOnly: false });
  const connected = connect(path);
  for (const database of [made, again, connected]) {
    const values = ["synchronous", "wal_autocheckpoint", "busy_timeout", "journal_mode"].map((name) =>
      Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {}),
    );
    expect(values.flat()).toEqual([2, 0, 5_000, "wal"]);
    expect(database.isTransaction).toBe(false);
    database.close();
  }
});

it("a connection to what cannot be opened is refused, with the path", () => {
  const missing = join(directory, "none", "store.db");
  expect(() => connect(missing)).toThrow(
    expect.objectContaining({
      code: "store_unavailable",
      message: expect.stringContaining(missing) as string,
    }),
  );
});

it("amid another's commit a store is opened without waiting for it", async () => {
  await create();
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  // Whoever waited for it would be refused in the end: it stays.
  for (const open of [() => openDatabase({ path, readOnly: false }), () => connect(path)]) {
    const database = open();
    expect(database.prepare("PRAGMA busy_timeout").get()).toEqual({ timeout: 5_000 });
    database.close();
  }
  expect(other.isTransaction).toBe(true);
  other.close();
});

describe("the switch to the log", () => {
  /** Lets it fail so often, as it does when others switch at the same time, and returns the pauses that are made. */
  function failSwitching(count: number, errcode: number): number[] {
    let failures = 0;
    const original = Object.getOwnPropertyDescriptor(DatabaseSync.prototype, "exec")
      ?.value as DatabaseSync["exec"];
    vi.spyOn(DatabaseSync.prototype, "exec").mockImplementation(function (this: DatabaseSync, sql) {
      if (sql === "PRAGMA journal_mode = WAL" && failures < count) {
        failures += 1;
        throw Object.assign(new Error("database is locked"), { errcode });
      }
      Reflect.apply(original, this, [sql]);
    });
    const pauses: number[] = [];
    const wait = Atomics.wait.bind(Atomics);
    vi.spyOn(Atomics, "wait").mockImplementation((...args: readonly unknown[]) => {
      // A pause, and not one that is over at once.
      expect(Reflect.apply(wait, undefined, [...args.slice(0, 3), 0])).toBe("timed-out");
      pauses.push(Number(args[3]));
      return "timed-out";
    });
    return pauses;
  }

  it("is tried again when others are at it, after a pause", () => {
    const pauses = failSwitching(3, 5);
    const database = openDatabase({ path, readOnly: false });
    expect(pauses).toEqual([5, 5, 5]);
    expect(database.prepare("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" });
    database.close();
  });

  it("is given up when others are at it for too long", () => {
    const pauses = failSwitching(Number.POSITIVE_INFINITY, 5);
    const startedAt = performance.now();
    vi.spyOn(performance, "now").mockImplementation(
      () => startedAt + pauses.reduce((sum, millis) => sum + millis, 0),
    );
    expect(codeOfOpening({ path })).toBe("store_unavailable");
    expect(pauses.length * 5).toBeGreaterThan(4_990);
    expect(pauses.length * 5).toBeLessThan(5_050);
  });

  it("is not tried again after any other failure", () => {
    const pauses = failSwitching(Number.POSITIVE_INFINITY, 10);
    expect(codeOfOpening({ path })).toBe("store_failed");
    expect(pauses).toEqual([]);
  });
});

it.runIf(existsSync("/proc/self/fd"))("what could not be opened is not left open", async () => {
  await create();
  const openFiles = (): readonly string[] =>
    readdirSync("/proc/self/fd").flatMap((fd) => {
      try {
        const target = readlinkSync(`/proc/self/fd/${fd}`);
        return target.startsWith(directory) ? [target] : [];
      } catch {
        return [];
      }
    });
  for (const [sql, code] of [
    ["PRAGMA user_version = 0", "store_unavailable"],
    [`PRAGMA user_version = ${storeFormat}; ALTER TABLE owner RENAME TO lost`, "store_corrupt"],
    [`PRAGMA user_version = ${storeFormat + 1}`, "store_newer_format"],
    ["PRAGMA application_id = 5", "store_corrupt"],
  ] as const) {
    alter(sql);
    expect(codeOfOpening({ path, readOnly: true })).toBe(code);
    // Of an older format it would be brought to this one, which its tables are not.
    expect(codeOfOpening({ path })).toBe(code === "store_unavailable" ? "store_corrupt" : code);
    expect(openFiles()).toEqual([]);
  }
  writeFileSync(path, "dear diary\n".repeat(100));
  for (const readOnly of [false, true]) expect(codeOfOpening({ path, readOnly })).toBe("store_corrupt");
  expect(() => connect(path)).toThrow(expect.objectContaining({ code: "store_corrupt" }));
  expect(openFiles()).toEqual([]);
});

it("an older format is refused to a reader, with both numbers, and is not touched", async () => {
  await create();
  alter("PRAGMA user_version = 0");
  const before = readFileSync(path);
  expect(() => openSqliteStore({ path, readOnly: true })).toThrow(
    expect.objectContaining({
      code: "store_unavailable",
      message: expect.stringContaining(`format 0, and format ${storeFormat}`) as string,
    }),
  );
  expect(readFileSync(path).equals(before)).toBe(true);
});

it("a migration that fails leaves the file as it was", async () => {
  await create();
  alter("PRAGMA user_version = 0; DROP TABLE heartbeats");
  const dump = (): unknown => {
    const database = new DatabaseSync(path, { readOnly: true });
    const schema = database.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").all();
    const version = database.prepare("PRAGMA user_version").get();
    database.close();
    return { schema, version };
  };
  const before = dump();
  expect(codeOfOpening({ path })).toBe("store_corrupt");
  expect(dump()).toEqual(before);
});

it("an empty file becomes a store", () => {
  writeFileSync(path, "");
  expect(codeOfOpening({ path })).toBe("opened");
  expect(codeOfOpening({ path, readOnly: true })).toBe("opened");
});

it("a store that is opened again keeps what it holds", async () => {
  const first = openSqliteStore({ path });
  const token = await first.claim({ leaseMs: 1_000 });
  await first.release(token);
  await first.close();
  const second = openSqliteStore({ path });
  const again = await second.claim({ leaseMs: 1_000 });
  expect(again.epoch).toBe(token.epoch + 1);
  await second.close();
});

it("a store of a newer format is refused with both numbers, and not touched", async () => {
  await create();
  alter(`PRAGMA user_version = ${storeFormat + 1}; CREATE TABLE from_the_future (a)`);
  const before = readFileSync(path);
  for (const readOnly of [false, true]) {
    expect(() => openSqliteStore({ path, readOnly })).toThrow(
      expect.objectContaining({
        code: "store_newer_format",
        details: { found: storeFormat + 1, known: storeFormat },
        message: expect.stringContaining(`format ${storeFormat + 1}`) as string,
      }),
    );
  }
  expect(readFileSync(path).equals(before)).toBe(true);
});

it.each([
  ["with an application id of its own", "PRAGMA application_id = 252006673; CREATE TABLE notes (a)"],
  ["without an application id", "CREATE TABLE notes (a); INSERT INTO notes VALUES (1)"],
  ["in WAL mode", "PRAGMA journal_mode = WAL; CREATE TABLE notes (a)"],
  ["with nothing but a version", "PRAGMA user_version = 7"],
])("another application's database %s is refused and not touched", (_, sql) => {
  alter(sql);
  const before = readFileSync(path);
  expect(codeOfOpening({ path })).toBe("store_corrupt");
  expect(codeOfOpening({ path, readOnly: true })).toBe("store_corrupt");
  expect(readFileSync(path).equals(before)).toBe(true);
});

it.each([
  ["random bytes", Buffer.from(Array.from({ length: 8_192 }, (_, index) => (index * 7919 + 13) % 251))],
  ["text", Buffer.from("dear diary\n".repeat(100))],
  [
    "a header and nothing sensible after it",
    Buffer.concat([Buffer.from("SQLite format 3\0"), Buffer.alloc(4_080, 9)]),
  ],
])("a file of %s is refused and not touched", (_, bytes) => {
  writeFileSync(path, bytes);
  expect(codeOfOpening({ path })).toBe("store_corrupt");
  expect(codeOfOpening({ path, readOnly: true })).toBe("store_corrupt");
  expect(readFileSync(path).equals(bytes)).toBe(true);
});

it("a truncated store is refused and not touched", async () => {
  await create();
  truncateSync(path, 8_192);
  const before = readFileSync(path);
  expect(codeOfOpening({ path })).toBe("store_corrupt");
  expect(codeOfOpening({ path, readOnly: true })).toBe("store_corrupt");
  expect(readFileSync(path).equals(before)).toBe(true);
});

it("a store with bytes after its end opens", async () => {
  await create();
  appendFileSync(path, Buffer.alloc(4_096));
  expect(codeOfOpening({ path })).toBe("opened");
});

it("another application's database is not touched either when it has a log that nobody has looked after", () => {
  const live = join(directory, "live.db");
  const database = new DatabaseSync(live);
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE notes (a); INSERT INTO notes VALUES (1)");
  // As its process leaves it when it is killed.
  for (const suffix of ["", "-wal"]) copyFileSync(`${live}${suffix}`, `${path}${suffix}`);
  database.close();
  const read = (): readonly Buffer[] => ["", "-wal"].map((suffix) => readFileSync(`${path}${suffix}`));
  const before = read();
  expect(before[1]?.length).toBeGreaterThan(4_096);
  for (const readOnly of [true, false]) {
    expect(codeOfOpening({ path, readOnly })).toBe("store_corrupt");
    expect(read().map((bytes, index) => bytes.equals(before[index] ?? Buffer.alloc(0)))).toEqual([
      true,
      true,
    ]);
  }
});

it("a missing directory is named, with what to do", () => {
  const nowhere = join(directory, "none", "store.db");
  for (const readOnly of [false, true]) {
    expect(() => openSqliteStore({ path: nowhere, readOnly })).toThrow(
      expect.objectContaining({
        code: "store_unavailable",
        message: expect.stringContaining("director") as string,
      }),
    );
  }
});

it("a directory is no store", () => {
  mkdirSync(path);
  expect(codeOfOpening({ path })).toBe("store_unavailable");
  expect(codeOfOpening({ path, readOnly: true })).toBe("store_unavailable");
});

it("reading a store that is not there makes none", () => {
  expect(codeOfOpening({ path, readOnly: true })).toBe("store_unavailable");
  for (const [where, said] of [
    [path, "no such file"],
    [join(directory, "none", "store.db"), "no such directory"],
  ] as const)
    expect(() => openSqliteStore({ path: where, readOnly: true })).toThrow(said);
  expect(() => readFileSync(path)).toThrow("ENOENT");
});

it("a path is a path, though it looks like a URI or holds what URIs give meaning to", async () => {
  for (const name of ["file:x.db", "a?mode=ro#b%20c.db", "ünï code.db"]) {
    const odd = join(directory, name);
    const store = openSqliteStore({ path: odd });
    const token = await store.claim({ leaseMs: 1_000 });
    await store.release(token);
    await store.close();
    expect(readFileSync(odd).subarray(68, 72).toString("latin1")).toBe("Aion");
    expect(codeOfOpening({ path: odd, readOnly: true })).toBe("opened");
  }
});

it("a store that could not be made leaves no half of one behind", async () => {
  // A creation that stops before its commit: the tables of the first migration, and no mark.
  alter("PRAGMA journal_mode = DELETE; BEGIN; CREATE TABLE runs (a); ROLLBACK");
  await create();
  expect(codeOfOpening({ path })).toBe("opened");
});

it("a creation that was cut off amid its writes is taken back and made anew", async () => {
  const cut = join(directory, "cut.db");
  const database = new DatabaseSync(cut);
  // A cache that is too small for the transaction: its pages go to the file before the commit.
  database.exec("PRAGMA cache_size = 1; BEGIN; CREATE TABLE runs (a); CREATE TABLE filling (a)");
  const insert = database.prepare("INSERT INTO filling VALUES (zeroblob(3000))");
  for (let count = 0; count < 50; count += 1) insert.run();
  copyFileSync(cut, path);
  copyFileSync(`${cut}-journal`, `${path}-journal`);
  database.exec("ROLLBACK");
  database.close();
  expect(readFileSync(path).length).toBeGreaterThan(0);

  await create();
  expect(codeOfOpening({ path })).toBe("opened");
  expect(codeOfOpening({ path, readOnly: true })).toBe("opened");
});
