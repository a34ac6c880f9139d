import { crc32 } from "node:zlib";
import type { DatabaseSync, SQLOutputValue, StatementSync } from "node:sqlite";
import type { Attributes } from "../../core/attributes.ts";
import { AionError, isAionError } from "../../core/errors.ts";
import type { Event } from "../../core/event.ts";
import type { RunId, WorkflowId } from "../../core/ids.ts";
import type { FeedDamage, FeedPage, FeedRange, OwnerClaim, RunKey } from "../contract.ts";
import { claimFeed, damagedFeed, decodeEntries, encodeEntries, feedTrimStep, readFeedPage } from "../feed.ts";
import type { FeedEntry, FeedRun, FeedState, FeedTransaction } from "../feed.ts";
import type { Lease } from "./owner.ts";

type Row = Record<string, SQLOutputValue>;

/**
 * What is written to the feed.
 *
 * Owner: the writer. Law: every method runs inside a transaction that the caller began. The position is given in it, behind the
 * last one, so whoever sees a position sees all before it.
 */
export class FeedWriter {
  readonly #sql: Statements<typeof writeTexts>;
  readonly #readState: () => FeedState;
  #entries: FeedEntry[] = [];
  /** When the transaction was recorded up to which the next step of trimming goes. */
  #nextTrim: { readonly position: number; readonly recordedAt: number } | undefined;
  /** Up to this floor no row is left over. */
  #cleanFloor = 0;

  constructor(database: DatabaseSync) {
    this.#sql = prepare(database, writeTexts);
    this.#readState = () => toState(this.#sql.state.get());
  }

  claim({ feed }: OwnerClaim, now: number): void {
    if (feed === undefined) return;
    const { keepMs = null, era, floor } = claimFeed(this.#readState(), feed, now);
    this.#sql.setState.run(keepMs, era, floor);
  }

  /** A transaction begins. */
  begin(): void {
    this.#entries = [];
  }

  get length(): number {
    return this.#entries.length;
  }

  note(runKey: RunKey, firstSeq: number, count: number): void {
    this.#entries.push({ runKey, firstSeq, count });
  }

  /** What was noted since is undone. */
  forget(length: number): void {
    this.#entries.length = length;
  }

  write({ feedKeepMs: keepMs, feedFloor }: Lease, now: number): void {
    if (this.#entries.length === 0) return;
    let floor = feedFloor;
    if (keepMs !== undefined) {
      const head = Math.max(floor, Number(this.#sql.head.get()?.["head"] ?? 0));
      const position = head + 1;
      const text = encodeEntries(this.#entries);
      this.#sql.insert.run(position, now, checksumOf(text, position), text);
      // The last one stays, so that the positions go on from it.
      if (floor + feedTrimStep < position && this.#recordedAt(floor + feedTrimStep) < now - keepMs) {
        floor += feedTrimStep;
        this.#sql.setFloor.run(floor);
      }
    }
    if (this.#cleanFloor === floor) return;
    const { changes } = this.#sql.clean.run(floor, cleanStep - 1);
    if (Number(changes) < cleanStep) this.#cleanFloor = floor;
  }

  #recordedAt(position: number): number {
    if (this.#nextTrim?.position !== position) {
      const recordedAt = Number(this.#sql.recordedAt.get(position)?.["recorded_at"] ?? 0);
      this.#nextTrim = { position, recordedAt };
    }
    return this.#nextTrim.recordedAt;
  }
}

/** Rows below the floor that one transaction deletes. More than a step of trimming, so that they grow fewer. */
const cleanStep = 2 * feedTrimStep;

interface KeyedRun extends FeedRun {
  readonly runKey: RunKey;
}

/** How a row of events is read, and what is made of it: as for histories. */
export interface RowReader {
  readAttributes(runKey: RunKey): Attributes;
  /** Throws what a history of the workflow that has this row would throw. */
  readRow(run: KeyedRun, firstSeq: number): { readonly events: readonly Event[]; readonly chars: number };
}

/** What is read of the feed, on the reader's connection. */
export class FeedReader {
  readonly #sql: Statements<typeof readTexts>;
  readonly #rows: RowReader;

  constructor(database: DatabaseSync, rows: RowReader) {
    this.#sql = prepare(database, readTexts);
    this.#rows = rows;
  }

  /** Inside a transaction of the caller's: several statements, and one state. */
  read(request: FeedRange): FeedPage {
    const runs = new Map<RunKey, KeyedRun | undefined>();
    return readFeedPage<KeyedRun>(request, {
      state: toState(this.#sql.state.get()),
      transactions: (fromPosition) => this.#transactions(fromPosition),
      findRun: (runKey) => {
        if (!runs.has(runKey)) runs.set(runKey, this.#findRun(runKey, request));
        return runs.get(runKey);
      },
      readRow: (run, { firstSeq, count }) => {
        const lastSeq = firstSeq + count - 1;
        try {
          const read = this.#rows.readRow(run, firstSeq);
          if (read.events.length === count) return read;
          throw new AionError(
            "history_corrupt",
            `workflow ${run.workflowId}: the row at event ${firstSeq} has ${read.events.length} events, and the feed names ${count}`,
          );
        } catch (error) {
          if (!isAionError(error)) throw error;
          return { firstSeq, lastSeq, error } satisfies FeedDamage;
        }
      },
    });
  }

  #findRun(runKey: RunKey, { attributes }: FeedRange): KeyedRun | undefined {
    const run = toRun(runKey, this.#sql.run.get(runKey));
    if (run === undefined || attributes === undefined) return run;
    return { ...run, attributes: this.#rows.readAttributes(runKey) };
  }

  *#transactions(fromPosition: number): Generator<FeedTransaction> {
    // One may hold a row of events or thousands, so reads begin small: what is read beyond the page is read in vain.
    for (let [from, count] = [fromPosition, 1]; ; count = Math.min(2 * count, transactionsPerRead)) {
      const rows = this.#sql.page.all(from, count);
      for (const row of rows) {
        const position = Number(row["position"]);
        const text = String(row["entries"]);
        if (checksumOf(text, position) !== row["checksum"])
          throw damagedFeed(position, "does not have its checksum");
        yield { position, entries: decodeEntries(text) };
        from = position + 1;
      }
      if (rows.length < count) return;
    }
  }
}

const transactionsPerRead = 64;

function checksumOf(entries: string, position: number): number {
  return crc32(entries, position >>> 0);
}

function toState(row: Row | undefined): FeedState {
  const keepMs = row?.["feed_keep_ms"];
  const floor = Number(row?.["feed_floor"] ?? 0);
  return {
    keepMs: typeof keepMs === "number" ? keepMs : undefined,
    era: Number(row?.["feed_era"] ?? 0),
    floor,
    head: Math.max(floor, Number(row?.["head"] ?? 0)),
  };
}

function toRun(runKey: RunKey, row: Row | undefined): KeyedRun | undefined {
  if (row === undefined) return undefined;
  return {
    runKey,
    workflowId: String(row["workflow_id"]) as WorkflowId,
    runId: String(row["run_id"]) as RunId,
    workflowType: String(row["workflow_type"]),
  };
}

const stateText =
  "SELECT feed_keep_ms, feed_era, feed_floor, (SELECT max(position) FROM feed) AS head FROM owner WHERE id = 1";

const readTexts = {
  state: stateText,
  page: "SELECT position, checksum, entries FROM feed WHERE position >= ? ORDER BY position LIMIT ?",
  run: "SELECT workflow_id, run_id, workflow_type FROM runs WHERE run_key = ?",
} as const;

const writeTexts = {
  state: stateText,
  setState: "UPDATE owner SET feed_keep_ms = ?, feed_era = ?, feed_floor = ? WHERE id = 1",
  setFloor: "UPDATE owner SET feed_floor = ? WHERE id = 1",
  head: "SELECT max(position) AS head FROM feed",
  insert: "INSERT INTO feed (position, recorded_at, checksum, entries) VALUES (?, ?, ?, ?)",
  recordedAt: "SELECT recorded_at FROM feed WHERE position = ?",
  clean: "DELETE FROM feed WHERE position <= min(?1, (SELECT min(position) FROM feed) + ?2)",
} as const;

type Statements<Texts> = Readonly<Record<keyof Texts, StatementSync>>;

function prepare<Texts extends Readonly<Record<string, string>>>(
  database: DatabaseSync,
  texts: Texts,
): Statements<Texts> {
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, database.prepare(text)]),
  ) as Statements<Texts>;
}
