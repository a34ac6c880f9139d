import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, linkSync, lstatSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, resolve as resolvePath } from "node:path";
import { DatabaseSync, backup } from "node:sqlite";
import { AionError, isAionError } from "../../core/errors.ts";
import { messageOf } from "../../core/payload.ts";
import { toStoreError } from "./errors.ts";
import { openDatabase } from "./migrate.ts";
import { disown } from "./owner.ts";
import { Reader } from "./reader.ts";

export interface BackupOptions {
  /** The file of the store, which an engine may have open. */
  readonly from: string;
  /** The file to make. It must not be there, and its directory must be. */
  readonly to: string;
}

/** What was found in the copy when it was checked. */
export interface BackupReport {
  readonly runCount: number;
  readonly eventCount: number;
  /** On their way from one workflow to another. */
  readonly messageCount: number;
  /** Deployed packages; the archive of each was held against its hash. */
  readonly packageCount: number;
  readonly byteCount: number;
}

/**
 * Copies a store while engines go on writing to it. The copy is the state of one instant after the call, as a
 * single file that nobody owns; it is on disk, and has been read from end to end, before it gets its name.
 *
 * The copying is done on another thread; the checking holds up the calling one. For a large store let a process
 * of its own do it: `aion backup`.
 * Errors: `invalid_argument` (there is a file of that name), `history_corrupt` and `store_corrupt` (the store is
 * damaged; there is no copy then), `store_full`, and those of opening a store.
 */
export async function backUpSqliteStore({ from, to }: BackupOptions): Promise<BackupReport> {
  const target = resolvePath(to);
  refuseExisting(target);
  // Beside it, so that the name can be given at once.
  const partial = `${target}.partial-${process.pid}-${randomBytes(4).toString("hex")}`;
  try {
    await copy(resolvePath(from), partial);
    makeSingleFile(partial);
    syncPath(partial);
    const report = await check(partial);
    giveName(partial, target);
    syncPath(dirname(target));
    return report;
  } finally {
    for (const suffix of ["", "-journal", "-wal", "-shm"]) rmSync(`${partial}${suffix}`, { force: true });
  }
}

function refuseExisting(target: string): void {
  if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) throw alreadyThere(target);
}

function alreadyThere(target: string): AionError {
  return new AionError("invalid_argument", `${target} is there already, and a backup replaces nothing`, {
    hint: "Name a file that is not there, or remove that one first.",
  });
}

// All in one step, and so of one instant: in more steps it would begin again whenever somebody has written.
const pagesAtOnce = 2 ** 31 - 1;

async function copy(source: string, partial: string): Promise<void> {
  const database = openDatabase({ path: source, readOnly: true });
  try {
    await backup(database, partial, { rate: pagesAtOnce });
  } catch (error) {
    throw toStoreError(error, { action: "write", path: partial });
  } finally {
    database.close();
  }
}

/** Without a log beside it, and without the owner of the moment, who owns the original. */
function makeSingleFile(partial: string): void {
  try {
    const database = new DatabaseSync(partial);
    try {
      database.exec("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL");
      disown(database);
    } finally {
      database.close();
    }
  } catch (error) {
    throw toStoreError(error, { action: "write", path: partial });
  }
}

/** A file's bytes, or a directory's names, are on disk afterwards. */
function syncPath(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } catch (error) {
    throw new AionError("store_failed", `cannot write ${path} to disk: ${messageOf(error)}`, {
      cause: error,
      hint: "The copy is not to be trusted; look after the disk.",
    });
  } finally {
    closeSync(descriptor);
  }
}

const runsPerPage = 200;
const eventsPerPage = 5_000;

async function check(partial: string): Promise<BackupReport> {
  const database = openDatabase({ path: partial, readOnly: true });
  try {
    const [first] = database.prepare("PRAGMA integrity_check(1)").all();
    const found = String(Object.values(first ?? {})[0]);
    if (found !== "ok") throw damaged(found);
    const orphan = database
      .prepare("SELECT run_key FROM events WHERE run_key NOT IN (SELECT run_key FROM runs) LIMIT 1")
      .get();
    if (orphan !== undefined)
      throw damaged(`there are events of run ${String(orphan["run_key"])}, and no such run`);
    const reader = new Reader(database);
    const counts = { runCount: 0, eventCount: 0 };
    for (let below: number | undefined, runs = await reader.list({}, below, runsPerPage); runs.length > 0;) {
      for (const run of runs) {
        for (let fromSeq = run.firstSeq; fromSeq <= run.headSeq;) {
          // Each row's checksum, and that none is missing.
          const events = reader.readSegment(run, fromSeq, eventsPerPage);
          fromSeq += events.length;
          counts.eventCount += events.length;
        }
      }
      counts.runCount += runs.length;
      below = runs.at(-1)?.runKey;
      runs = await reader.list({}, below, runsPerPage);
    }
    let messageCount = 0;
    for (let afterId = 0; ;) {
      const messages = reader.listMessages(afterId, runsPerPage);
      const last = messages.at(-1);
      if (last === undefined) break;
      for (const { message } of messages)
        if (message.kind === "damaged") throw damaged(message.error.message);
      afterId = last.messageId;
      messageCount += messages.length;
    }
    const { packages } = reader.readCatalog();
    for (const { version } of packages) reader.readPackage(version);
    return { ...counts, messageCount, packageCount: packages.length, byteCount: statSync(partial).size };
  } catch (error) {
    throw toStoreError(error, { action: "read", path: partial });
  } finally {
    database.close();
  }
}

function damaged(found: string): AionError {
  return new AionError("store_corrupt", `the store is damaged, and was not backed up: ${found}`, {
    hint: "Restore the file from an earlier backup.",
  });
}

const isWithoutLinks: ReadonlySet<string> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/** Gives the name to the copy unless somebody else has taken it meanwhile. */
function giveName(partial: string, target: string): void {
  try {
    linkSync(partial, target);
    rmSync(partial);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") throw alreadyThere(target);
    if (isAionError(error) || !isWithoutLinks.has(code)) throw error;
    // A file system without links has no way to rename without replacing either.
    refuseExisting(target);
    renameSync(partial, target);
  }
}
