import type { DatabaseSync } from "node:sqlite";
import { AionError } from "../../core/errors.ts";
import { toStoreError } from "./errors.ts";
import { checkLog } from "./log-damage.ts";
import { openDatabase } from "./migrate.ts";
import type { OwnerFacts } from "./owner.ts";
import { OwnerRow } from "./owner.ts";
import { Reader } from "./reader.ts";
import { newestVersionText } from "./row.ts";

export interface StoreFacts {
  readonly runCount: number;
  readonly runningCount: number;
  /** Running, and held until somebody acts. */
  readonly blockedCount: number;
  /** Runs of which activities wait for an operator. */
  readonly parkedCount: number;
  /** Running, and marked as to be taken up at once: an activity is under way, or the engine that had it is gone. */
  readonly underWayCount: number;
  /** Running, with a timer, a backoff or a time-out that was due by `dueBy`; at most `countMax`. */
  readonly dueCount: number;
  /** The longest that one of them has been due. */
  readonly dueSince?: number;
  readonly messageCount: number;
  /** The latest instant that was recorded, as far as the newest runs, ends and leases tell. */
  readonly latestAt?: number;
  /** The version of Aion that last owned the file, and the newest that ever did. */
  readonly lastVersion?: string;
  readonly newestVersion?: string;
  readonly owner?: OwnerFacts;
}

export const countMax = 10_000;
const newestRuns = 50;

/**
 * What a store says about itself, read beside whoever owns it. Errors: those of opening a store for reading; `store_corrupt` also
 * when its log is damaged.
 */
export function inspectSqliteStore(
  path: string,
  at: { readonly now: number; readonly dueBy: number },
): StoreFacts {
  checkLog(path);
  return reading(path, (database) => {
    const number = (sql: string, ...values: readonly number[]): number | undefined => {
      const found = Object.values(database.prepare(sql).get(...values) ?? {})[0];
      return typeof found === "number" ? found : undefined;
    };
    const text = (sql: string): string | undefined => {
      const found = Object.values(database.prepare(sql).get() ?? {})[0];
      return typeof found === "string" ? found : undefined;
    };
    const due = "closed_at IS NULL AND wake_at > 0 AND wake_at <= ? AND blocked IS NULL";
    const owner = new OwnerRow(database, `sqlite:${path}`).inspect(at.now);
    const dueSince = number(`SELECT min(wake_at) FROM runs INDEXED BY runs_open WHERE ${due}`, at.dueBy);
    const latestAt = Math.max(
      latestEventAt(database),
      number("SELECT max(closed_at) FROM runs INDEXED BY runs_closed WHERE closed_at IS NOT NULL") ?? 0,
      owner === undefined ? 0 : owner.claimedAt,
      owner === undefined ? 0 : owner.renewedAt,
    );
    const lastVersion = text("SELECT value FROM meta WHERE name = 'aion_version'");
    const newestVersion = text(newestVersionText);
    return {
      runCount: number("SELECT count(*) FROM runs") ?? 0,
      runningCount: number("SELECT count(*) FROM runs INDEXED BY runs_open WHERE closed_at IS NULL") ?? 0,
      blockedCount:
        number(
          "SELECT count(*) FROM runs INDEXED BY runs_blocked WHERE blocked IS NOT NULL AND closed_at IS NULL",
        ) ?? 0,
      parkedCount:
        number(
          "SELECT count(*) FROM runs INDEXED BY runs_parked WHERE parked IS NOT NULL AND closed_at IS NULL",
        ) ?? 0,
      underWayCount:
        number("SELECT count(*) FROM runs INDEXED BY runs_open WHERE closed_at IS NULL AND wake_at = 0") ?? 0,
      dueCount:
        number(
          `SELECT count(*) FROM (SELECT 1 FROM runs INDEXED BY runs_open WHERE ${due} LIMIT ${countMax})`,
          at.dueBy,
        ) ?? 0,
      messageCount: number("SELECT count(*) FROM messages") ?? 0,
      ...(dueSince === undefined ? {} : { dueSince }),
      ...(latestAt === 0 ? {} : { latestAt }),
      ...(lastVersion === undefined ? {} : { lastVersion }),
      ...(newestVersion === undefined ? {} : { newestVersion }),
      ...(owner === undefined ? {} : { owner }),
    };
  });
}

/** Of the runs that began last. What cannot be read says nothing here, and is found elsewhere. */
function latestEventAt(database: DatabaseSync): number {
  const reader = new Reader(database);
  const keys = database.prepare(`SELECT run_key FROM runs ORDER BY run_key DESC LIMIT ${newestRuns}`).all();
  let latestAt = 0;
  for (const { run_key: key } of keys) {
    try {
      const run = reader.findRunByKey(Number(key));
      const [last] = run === undefined ? [] : reader.readSegment(run, run.headSeq, 1);
      latestAt = Math.max(latestAt, last?.recordedAt ?? 0);
    } catch {
      continue;
    }
  }
  return latestAt;
}

/** The tables, the small ones first: a check that is broken off has looked at most of them. */
export function listTables(path: string): readonly string[] {
  return reading(path, (database) => {
    const names = database
      .prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
      )
      .all()
      .map(({ name }) => String(name));
    const large: readonly string[] = ["runs", "packages", "feed", "events"];
    return names.toSorted((one, two) => large.indexOf(one) - large.indexOf(two));
  });
}

/**
 * Looks through the pages of one table and its indexes; a transaction of its own, so that the log can be moved in between.
 * Returns the first thing that is wrong.
 */
export function checkTable(path: string, table: string): string | undefined {
  return reading(path, (database) => {
    const [first] = database.prepare(`PRAGMA quick_check("${table}")`).all();
    const found = String(Object.values(first ?? {})[0]);
    return found === "ok" ? undefined : found;
  });
}

function reading<Result>(path: string, work: (database: DatabaseSync) => Result): Result {
  const database = openDatabase({ path, readOnly: true });
  try {
    return work(database);
  } catch (error) {
    const known = toStoreError(error, { action: "read", path });
    throw known instanceof Error ? known : new AionError("internal", String(known));
  } finally {
    database.close();
  }
}
