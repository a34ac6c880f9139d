import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { WorkflowId } from "../../core/ids.ts";
import type { RunKey } from "../contract.ts";
import type { EncodedLogEntry, LogEntry, LogPage, LogTotals } from "../run-log.ts";
import { decodeLog, isWithinLog } from "../run-log.ts";
import { checksumOf, checksumSeed } from "./row.ts";

/** Writes what runs said, within the transaction of their commits. */
export class RunLogWriter {
  readonly #sql: Readonly<Record<keyof typeof writerTexts, StatementSync>>;

  constructor(database: DatabaseSync) {
    this.#sql = prepare(database, writerTexts);
  }

  write(
    run: { readonly runKey: RunKey; readonly workflowId: WorkflowId },
    entries: readonly EncodedLogEntry[],
  ): void {
    const { runKey, workflowId } = run;
    const newest = this.#sql.newest.get(runKey);
    let total = newest === undefined ? nothing : after(newest);
    let newestSeq = Number(newest?.["seq"] ?? 0);
    for (const { seq, saidAt, lineCount, text } of entries) {
      // Said before, by an engine that replayed the same input.
      if (seq <= newestSeq) continue;
      newestSeq = seq;
      const checksum = checksumOf(text, { seed: checksumSeed(workflowId), firstSeq: seq });
      this.#sql.insert.run(
        runKey,
        seq,
        saidAt,
        lineCount,
        text.length,
        total.lines,
        total.chars,
        checksum,
        text,
      );
      total = { lines: total.lines + lineCount, chars: total.chars + text.length };
    }
    for (;;) {
      const oldest = this.#sql.oldest.get(runKey);
      if (oldest === undefined || Number(oldest["seq"]) === newestSeq || isWithinLog(before(oldest), total))
        return;
      this.#sql.deleteOne.run(runKey, Number(oldest["seq"]));
    }
  }

  delete(runKey: RunKey): void {
    this.#sql.deleteAll.run(runKey);
  }
}

export class RunLogReader {
  readonly #sql: Readonly<Record<keyof typeof readerTexts, StatementSync>>;

  constructor(database: DatabaseSync) {
    this.#sql = prepare(database, readerTexts);
  }

  read(
    run: { readonly runKey: RunKey; readonly workflowId: WorkflowId },
    afterSeq: number,
    limit: number,
  ): LogPage {
    const { runKey, workflowId } = run;
    const oldest = this.#sql.oldest.get(runKey);
    if (oldest === undefined) return { entries: [], droppedCount: 0 };
    const entries: LogEntry[] = [];
    let lineCount = 0;
    // A row has a line at the least.
    for (const row of this.#sql.rows.all(runKey, afterSeq, limit)) {
      if (lineCount >= limit) break;
      const seq = Number(row["seq"]);
      const text = String(row["lines"]);
      const isWhole = checksumOf(text, { seed: checksumSeed(workflowId), firstSeq: seq }) === row["checksum"];
      entries.push(decodeLog({ seq, saidAt: Number(row["said_at"]), text: isWhole ? text : damaged }));
      lineCount += Number(row["line_count"]);
    }
    return { entries, droppedCount: before(oldest).lines };
  }
}

/** In the place of lines that are not what was written. They hide no others. */
const damaged = JSON.stringify([{ level: "error", message: "what was said here is damaged on the disk" }]);

type Row = Readonly<Record<string, unknown>>;

const nothing: LogTotals = { lines: 0, chars: 0 };

function before(row: Row): LogTotals {
  return { lines: Number(row["lines_before"]), chars: Number(row["chars_before"]) };
}

function after(row: Row): LogTotals {
  const { lines, chars } = before(row);
  return { lines: lines + Number(row["line_count"]), chars: chars + Number(row["chars"]) };
}

const select =
  "SELECT seq, line_count, chars, lines_before, chars_before FROM run_log WHERE run_key = ? ORDER BY seq";

const writerTexts = {
  newest: `${select} DESC LIMIT 1`,
  oldest: `${select} LIMIT 1`,
  insert: `INSERT INTO run_log (run_key, seq, said_at, line_count, chars, lines_before, chars_before, checksum, lines)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  deleteOne: "DELETE FROM run_log WHERE run_key = ? AND seq = ?",
  deleteAll: "DELETE FROM run_log WHERE run_key = ?",
} as const;

const readerTexts = {
  oldest: `${select} LIMIT 1`,
  rows: "SELECT seq, said_at, line_count, checksum, lines FROM run_log WHERE run_key = ? AND seq > ? ORDER BY seq LIMIT ?",
} as const;

function prepare<Name extends string>(
  database: DatabaseSync,
  texts: Readonly<Record<Name, string>>,
): Readonly<Record<Name, StatementSync>> {
  return Object.fromEntries(
    Object.entries<string>(texts).map(([name, text]) => [name, database.prepare(text)]),
  ) as Readonly<Record<Name, StatementSync>>;
}
