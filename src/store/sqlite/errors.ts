import { accessSync, constants, existsSync } from "node:fs";
import { dirname } from "node:path";
import { AionError, isAionError } from "../../core/errors.ts";
import type { AionErrorOptions, ErrorCode } from "../../core/errors.ts";
import { messageOf } from "../../core/payload.ts";

/** What the store was doing when SQLite refused. */
export type StoreAction = "open" | "read" | "write";

// Primary result codes, https://www.sqlite.org/rescode.html
const codes: ReadonlyMap<number, ErrorCode> = new Map([
  [3, "store_read_only"], // PERM
  [5, "store_unavailable"], // BUSY
  [6, "store_unavailable"], // LOCKED
  [7, "store_unavailable"], // NOMEM
  [8, "store_read_only"], // READONLY
  [10, "store_failed"], // IOERR
  [11, "store_corrupt"], // CORRUPT
  [13, "store_full"], // FULL
  [15, "store_unavailable"], // PROTOCOL
  [26, "store_corrupt"], // NOTADB
]);
const genericError = 1;
const busy = 5;
const cantOpen = 14;
// The index of the write-ahead log could not be grown: the disk is full, and nothing was written.
const ioErrorShmSize = 4874;
const ioErrorNoMemory = 3082;
const readOnlyRollback = 776;
const constraint = 19;
const tooBig = 18;

/** The extended result code of an error that `node:sqlite` threw, or of Aion's that was made of it. */
function sqliteCodeOf(error: unknown): number | undefined {
  // Errors that come from the writer thread have lost the fields of their cause, but not their details.
  if (isAionError(error))
    return typeof error.details["sqliteCode"] === "number" ? error.details["sqliteCode"] : undefined;
  if (typeof error !== "object" || error === null || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode : undefined;
}

/** True when somebody else held the lock for longer than was waited. */
export function isBusy(error: unknown): boolean {
  return ((sqliteCodeOf(error) ?? 0) & 0xff) === busy;
}

/** True when a crash left a transaction half made, and the connection may not take it back since it only reads. */
export function needsRollback(error: unknown): boolean {
  return sqliteCodeOf(error) === readOnlyRollback;
}

/** True when the statement itself could not be carried out, through no fault of the file or the machine. */
export function isStatementFault(error: unknown): boolean {
  const code = (sqliteCodeOf(error) ?? 0) & 0xff;
  return code === constraint || code === tooBig;
}

/** Any error of SQLite's as Aion's, with the path in its message. Others' errors pass as they are. */
export function toStoreError(
  error: unknown,
  of: { readonly action: StoreAction; readonly path: string },
): unknown {
  if (isAionError(error)) return error;
  const extended = sqliteCodeOf(error);
  if (extended === undefined) return error;
  const { path, action } = of;
  const primary = extended & 0xff;
  const details = { sqliteCode: extended };
  const message = `cannot ${action} store ${path}: ${messageOf(error)} (SQLite result ${extended})`;
  // A statement of ours does not fit the tables: they are not the ones that the format number says.
  if (primary === genericError && action === "open")
    return new AionError("store_corrupt", message, { cause: error, details });
  if (primary === cantOpen) return whyUnopened(path, message, { cause: error, details });
  if (extended === ioErrorShmSize) return new AionError("store_full", message, { cause: error, details });
  if (extended === ioErrorNoMemory)
    return new AionError("store_unavailable", message, { cause: error, details });
  return new AionError(codes.get(primary) ?? "internal", message, { cause: error, details });
}

// SQLite says "unable to open" for all of these, and they have different remedies.
function whyUnopened(path: string, message: string, options: AionErrorOptions): AionError {
  const directory = dirname(path);
  if (!existsSync(directory)) {
    return new AionError("store_unavailable", `${message}: directory ${directory} does not exist`, {
      ...options,
      hint: `Create the directory ${directory}, or choose another path.`,
    });
  }
  if (!isWritable(directory) || (existsSync(path) && !isWritable(path))) {
    return new AionError("store_read_only", message, options);
  }
  return new AionError("store_unavailable", message, options);
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
