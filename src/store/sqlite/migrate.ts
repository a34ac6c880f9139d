import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { AionError } from "../../core/errors.ts";
import { isBusy, needsRollback, toStoreError } from "./errors.ts";
import { checkSingleName } from "./file-identity.ts";
import { checkLog } from "./log-damage.ts";

/** "Aion" in ASCII: lies in the header of the file, so that it can be told from another application's. */
export const applicationId = 0x41_69_6f_6e;

/** In order; the number of those applied is the format of the file (`PRAGMA user_version`). Only ever added to. */
const migrations: readonly string[] = [
  "001-runs-and-events.sql",
  "002-packages.sql",
  "003-feed-and-requests.sql",
  "004-run-log.sql",
  "005-paused.sql",
  "006-attributes.sql",
  "007-parked.sql",
];

/** The format that this version writes. */
export const storeFormat = migrations.length;

const busyTimeoutMs = 5_000;
const busyPauseMs = 5;

export interface OpenDatabaseOptions {
  readonly path: string;
  readonly readOnly: boolean;
}

/**
 * Opens the file as a store of the current format, creating or migrating it. Nothing is written to a file
 * that is not ours, is newer, or is damaged.
 */
export function openDatabase(options: OpenDatabaseOptions): DatabaseSync {
  const { path, readOnly } = options;
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
      throw new AionError("store_unavailable", `cannot open store ${path}: it is a directory`, {
        hint: "Name a file in that directory.",
      });
    }
    checkSingleName(path);
    if (path === ":memory:") return prepareDatabase(new DatabaseSync(path), path);
    if (readOnly) return openForReading(path);
    // Looked at through a connection that cannot write, before one that can.
    if (sizeOf(path) > 0) {
      checkLog(path);
      lookAt(path);
    }
    return prepareDatabase(new DatabaseSync(path, { timeout: busyTimeoutMs }), path);
  } catch (error) {
    throw toStoreError(error, { action: "open", path });
  }
}

function lookAt(path: string): void {
  const database = new DatabaseSync(path, { readOnly: true, timeout: busyTimeoutMs });
  try {
    checkFormat(database, path);
  } catch (error) {
    // Its creation was cut off, and only a connection that can write takes back what was begun.
    if (!needsRollback(error)) throw error;
  } finally {
    database.close();
  }
}

/** Another connection to a store that `openDatabase` has opened. */
export function connect(path: string): DatabaseSync {
  try {
    const database = new DatabaseSync(path, { timeout: busyTimeoutMs });
    try {
      configure(database);
      checkWritable(database);
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  } catch (error) {
    throw toStoreError(error, { action: "open", path });
  }
}

function openForReading(path: string): DatabaseSync {
  if (!existsSync(path)) {
    const isDirectoryThere = existsSync(dirname(path));
    throw new AionError(
      "store_unavailable",
      `cannot open store ${path}: no such ${isDirectoryThere ? "file" : "directory"}`,
      {
        hint: "Check the path; a store is made by the first engine that opens it.",
      },
    );
  }
  const database = openReadOnly(path);
  try {
    const format = checkFormat(database, path);
    if (format !== storeFormat) {
      throw new AionError(
        "store_unavailable",
        `store ${path} has format ${format}, and format ${storeFormat} is needed to read it`,
        {
          hint: "Open it with an engine of this version once; that brings it to the current format.",
          details: { found: format, needed: storeFormat },
        },
      );
    }
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

function openReadOnly(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { readOnly: true, timeout: busyTimeoutMs });
  try {
    database.prepare("SELECT count(*) FROM sqlite_schema").get();
    return database;
  } catch (error) {
    database.close();
    // In a directory that cannot be written no index of the log can be made. Without a log none is needed:
    // then nobody writes either, and the file may be read as it is.
    if (isBusy(error) || sizeOf(`${path}-wal`) > 0 || existsSync(`${path}-shm`)) throw error;
    const url = new URL("file:");
    url.pathname = path;
    url.searchParams.set("immutable", "1");
    return new DatabaseSync(url, { readOnly: true });
  }
}

function prepareDatabase(database: DatabaseSync, path: string): DatabaseSync {
  try {
    if (checkFormat(database, path) < storeFormat) migrate(database, path);
    // The mode lies in the file. Set after the tables are there: until then a plain journal makes the
    // creation one step, and no file of ours exists without our mark in its header.
    enterLogMode(database);
    configure(database);
    checkWritable(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

// For this SQLite does not wait: another process that opens the new file at the same time makes it fail at once.
function enterLogMode(database: DatabaseSync): void {
  for (const endAt = performance.now() + busyTimeoutMs; ;) {
    try {
      database.exec("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      if (!isBusy(error) || performance.now() > endAt) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, busyPauseMs);
    }
  }
}

// SQLite opens what it cannot write for reading, and says so only when something is written.
function checkWritable(database: DatabaseSync): void {
  database.exec("PRAGMA busy_timeout = 0");
  try {
    database.exec("BEGIN IMMEDIATE");
    // On what was opened for reading BEGIN IMMEDIATE succeeds, and only a statement that writes is refused.
    database.exec(`PRAGMA application_id = ${applicationId}`);
    database.exec("ROLLBACK");
  } catch (error) {
    // Held by somebody who can write, and this connection could too: a claim will tell who.
    if (!isBusy(error)) throw error;
  } finally {
    database.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
  }
}

function configure(database: DatabaseSync): void {
  database.exec("PRAGMA synchronous = FULL");
  // Moving the log into the file takes long, and is the write path's to time.
  database.exec("PRAGMA wal_autocheckpoint = 0");
}

function migrate(database: DatabaseSync, path: string): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    // Again, under the lock: another process may have migrated meanwhile.
    for (let format = checkFormat(database, path); format < storeFormat; format += 1) {
      const file = migrations[format];
      if (file === undefined) break;
      database.exec(readFileSync(new URL(`./migrations/${file}`, import.meta.url), "utf8"));
      database.exec(`PRAGMA user_version = ${format + 1}`);
    }
    database.exec(`PRAGMA application_id = ${applicationId}`);
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

/** The format of the file; 0 when there is nothing in it yet. */
function checkFormat(database: DatabaseSync, path: string): number {
  const { id, format, tableCount } = readHeader(database);
  if (id === 0 && format === 0 && tableCount === 0) return 0;
  if (id !== applicationId) {
    throw new AionError(
      "store_corrupt",
      `${path} is a database of another application (application id ${id})`,
      {
        hint: "Choose another path; the file was not changed.",
      },
    );
  }
  if (format > storeFormat) {
    throw new AionError(
      "store_newer_format",
      `store ${path} has format ${format}, and this version of Aion knows formats up to ${storeFormat}`,
      { details: { found: format, known: storeFormat } },
    );
  }
  return format;
}

/** Of one instant: another process may be making the store. */
function readHeader(database: DatabaseSync): {
  readonly id: number;
  readonly format: number;
  readonly tableCount: number;
} {
  const isOwnTransaction = !database.isTransaction;
  if (isOwnTransaction) database.exec("BEGIN");
  try {
    return {
      id: numberOf(database, "PRAGMA application_id"),
      format: numberOf(database, "PRAGMA user_version"),
      tableCount: numberOf(database, "SELECT count(*) FROM sqlite_schema"),
    };
  } finally {
    if (isOwnTransaction && database.isTransaction) database.exec("ROLLBACK");
  }
}

function numberOf(database: DatabaseSync, sql: string): number {
  const row = database.prepare(sql).get() ?? {};
  return Number(Object.values(row)[0] ?? 0);
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
