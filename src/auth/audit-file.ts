import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { StatementSync } from "node:sqlite";
import type { AuditEntry, AuditPage, AuditQuery } from "../client/access.ts";
import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import { makePrivate } from "./private-file.ts";

/** In the directory of the server's data. */
export const auditFileName = "audit.db";

const fileFormat = 1;
const busyMs = 5_000;
const prunedAtOnce = 2_000;

const schema = `
CREATE TABLE entries (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  subject TEXT,
  key_id TEXT,
  operation TEXT NOT NULL,
  namespace TEXT,
  ids TEXT NOT NULL,
  address TEXT NOT NULL,
  outcome TEXT,
  count INTEGER NOT NULL
) STRICT;
CREATE INDEX entries_by_time ON entries (at);
CREATE INDEX entries_by_subject ON entries (subject, id);
CREATE INDEX entries_by_namespace ON entries (namespace, id);
PRAGMA user_version = ${fileFormat};
`;

/** An entry as it is written; without an outcome, that is to come. */
export type AuditRow = Omit<AuditEntry, "outcome"> & { readonly outcome?: string };

export interface AuditEnd {
  readonly id: number;
  readonly outcome: string;
  readonly ids: Readonly<Record<string, string>>;
}

/** The audit log on the disk, synchronously. Law: `write` is one transaction, and returns after its fsync. */
export class AuditFile {
  readonly #database: DatabaseSync;
  #insert: StatementSync | undefined;
  #end: StatementSync | undefined;

  /** Made if it is not there, unless it is only read. Error: `store_unavailable`. */
  constructor(directory: string, { readOnly = false }: { readonly readOnly?: boolean } = {}) {
    const file = path.join(directory, auditFileName);
    try {
      if (!readOnly) makePrivate(file);
      this.#database = new DatabaseSync(file, { readOnly });
      this.#database.exec(`PRAGMA busy_timeout = ${busyMs}`);
      if (!readOnly) this.#make();
    } catch (error) {
      throw new AionError("store_unavailable", `cannot open ${file}: ${messageOf(error)}`, { cause: error });
    }
  }

  #make(): void {
    this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN IMMEDIATE");
    const { user_version: format } = this.#database.prepare("PRAGMA user_version").get() as {
      readonly user_version: number;
    };
    if (format === 0) this.#database.exec(schema);
    this.#database.exec("COMMIT");
    if (format > fileFormat) throw new Error("it was written by a newer version of Aion");
    this.#insert = this.#database.prepare("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    this.#end = this.#database.prepare("UPDATE entries SET outcome = ?, ids = ? WHERE id = ?");
  }

  get lastId(): number {
    return this.#idOf("max");
  }

  get firstId(): number {
    return this.#idOf("min");
  }

  #idOf(which: "min" | "max"): number {
    const { id } = this.#database.prepare(`SELECT ${which}(id) AS id FROM entries`).get() as {
      readonly id: number | null;
    };
    return id ?? 0;
  }

  write(rows: readonly AuditRow[], ends: readonly AuditEnd[]): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      for (const row of rows) {
        this.#insert?.run(
          row.id,
          row.at,
          row.subject ?? null,
          row.keyId ?? null,
          row.operation,
          row.namespace ?? null,
          JSON.stringify(row.ids),
          row.address,
          row.outcome ?? null,
          row.count,
        );
      }
      for (const { id, outcome, ids } of ends) this.#end?.run(outcome, JSON.stringify(ids), id);
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  /** Only of those that came after `above`, if that is given: what has to be looked at is bounded by ids, whatever is asked for. */
  read({ limit, cursor, ...query }: AuditQuery, above?: number): AuditPage {
    const conditions: readonly (readonly [string, number | string | undefined])[] = [
      ["id < ?", cursor === undefined ? undefined : parseCursor(cursor)],
      ["id > ?", above],
      ["at >= ?", query.since],
      ["at <= ?", query.until],
      ["subject = ?", query.subject],
      ["operation = ?", query.operation],
      ["namespace = ?", query.namespace],
      ["coalesce(outcome, 'unknown') = ?", query.outcome],
    ];
    const given = conditions.flatMap(([text, value]) => (value === undefined ? [] : [{ text, value }]));
    const where = given.length === 0 ? "" : `WHERE ${given.map(({ text }) => text).join(" AND ")}`;
    const rows = this.#database
      .prepare(`SELECT * FROM entries ${where} ORDER BY id DESC LIMIT ?`)
      .all(...given.map(({ value }) => value), limit + 1) as unknown as readonly StoredRow[];
    const entries = rows.slice(0, limit).map(toEntry);
    const last = entries.at(-1);
    return rows.length > limit && last !== undefined ? { entries, nextCursor: String(last.id) } : { entries };
  }

  /** Forgets some of what is older. Returns whether there is more of it. */
  prune(before: number): boolean {
    const { changes } = this.#database
      .prepare("DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE at < ? ORDER BY at LIMIT ?)")
      .run(before, prunedAtOnce);
    return Number(changes) === prunedAtOnce;
  }

  close(): void {
    this.#database.close();
  }
}

interface StoredRow {
  readonly id: number;
  readonly at: number;
  readonly subject: string | null;
  readonly key_id: string | null;
  readonly operation: string;
  readonly namespace: string | null;
  readonly ids: string;
  readonly address: string;
  readonly outcome: string | null;
  readonly count: number;
}

function toEntry(row: StoredRow): AuditEntry {
  return {
    id: row.id,
    at: row.at,
    ...(row.subject === null ? {} : { subject: row.subject }),
    ...(row.key_id === null ? {} : { keyId: row.key_id }),
    operation: row.operation,
    ...(row.namespace === null ? {} : { namespace: row.namespace }),
    ids: JSON.parse(row.ids) as Record<string, string>,
    address: row.address,
    outcome: row.outcome ?? "unknown",
    count: row.count,
  };
}

/** Error: `invalid_argument`. */
export function parseCursor(cursor: string): number {
  const id = Number(cursor);
  if (/^\d+$/.test(cursor) && Number.isSafeInteger(id)) return id;
  throw new AionError(
    "invalid_argument",
    `${JSON.stringify(cursor.slice(0, 20))} is no cursor of the audit log`,
  );
}
