import type { DatabaseSync, SQLOutputValue, StatementSync } from "node:sqlite";
import type { RowKey } from "../../core/codec.ts";
import { decodeRow } from "../../core/codec.ts";
import { AionError, assert, isAionError } from "../../core/errors.ts";
import type { Event } from "../../core/event.ts";
import type { RunId, WorkflowId } from "../../core/ids.ts";
import type { Message } from "../../core/message.ts";
import { isMessageKind } from "../../core/message.ts";
import type { Payload } from "../../core/payload.ts";
import type {
  Catalog,
  DueCursor,
  DueRun,
  FeedPage,
  FeedRange,
  Heartbeat,
  RunFilter,
  RunKey,
  RunRecord,
  RunRef,
  StoredMessage,
} from "../contract.ts";
import type { LogPage } from "../run-log.ts";
import { AttributeReader, attributeCheck, leadingRuns } from "./attributes.ts";
import { CatalogReader } from "./catalog.ts";
import { FeedReader } from "./feed.ts";
import { RunLogReader } from "./run-log.ts";
import { checksumOf, checksumSeed, newestVersionText, statusCodes, statusOfCode } from "./row.ts";
import { isLaterVersion, thisVersion } from "./version.ts";

/** How many keys a search looks at in one turn of the event loop: a few milliseconds. */
const keysPerSlice = 10_000;
const fewOpenMax = 2_000;

type Row = Record<string, SQLOutputValue>;

/**
 * Everything that is read from the file, synchronously, on the calling thread's connection.
 * Law: a row is handed out only if it is what was written, where it was written.
 */
export class Reader {
  readonly #database: DatabaseSync;
  readonly #sql: Readonly<Record<keyof typeof statementTexts, StatementSync>>;

  readonly #catalog: CatalogReader;
  readonly #feed: FeedReader;
  readonly #log: RunLogReader;
  readonly #attributes: AttributeReader;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#catalog = new CatalogReader(database);
    this.#log = new RunLogReader(database);
    this.#attributes = new AttributeReader(database);
    this.#feed = new FeedReader(database, {
      readAttributes: (runKey) => this.#attributes.read(runKey),
      readRow: ({ runKey, workflowId }, firstSeq) => this.#readRow(runKey, workflowId, firstSeq),
    });
    this.#sql = Object.fromEntries(
      Object.entries(statementTexts).map(([name, text]) => [name, database.prepare(text)]),
    ) as Readonly<Record<keyof typeof statementTexts, StatementSync>>;
    // The statement that replay lives on: an array a row costs half of what an object costs.
    this.#sql.rows.setReturnArrays(true);
  }

  readHistory(workflowId: WorkflowId, fromSeq: number, limit: number): Event[] {
    return this.#consistently(() => {
      const events: Event[] = [];
      for (const run of this.readRunChain(workflowId)) {
        if (run.headSeq < fromSeq) continue;
        if (events.length >= limit) break;
        this.#readRows(run, { fromSeq, limit }, events);
      }
      return events;
    });
  }

  readSegment({ runKey, workflowId }: RunRef, fromSeq: number, limit: number): Event[] {
    return this.#consistently(() => {
      const events: Event[] = [];
      const run = this.findRunByKey(runKey);
      if (run?.workflowId === workflowId) this.#readRows(run, { fromSeq, limit }, events);
      return events;
    });
  }

  readRunChain(workflowId: WorkflowId): RunRecord[] {
    return this.#sql.chain.all(workflowId).map((row) => checkId(toRunRecord(row), workflowId));
  }

  findRun(workflowId: WorkflowId, runId: RunId | undefined): RunRecord | undefined {
    const row =
      runId === undefined ? this.#sql.latestRun.get(workflowId) : this.#sql.run.get(workflowId, runId);
    return row === undefined ? undefined : checkId(toRunRecord(row), workflowId);
  }

  findRunByKey(runKey: RunKey): RunRecord | undefined {
    const row = this.#sql.runByKey.get(runKey);
    return row === undefined ? undefined : toRunRecord(row);
  }

  async listActive(afterKey: RunKey, limit: number): Promise<RunRecord[]> {
    const few = this.#consistently(() => {
      const keys = this.#fewOpenKeys()?.filter((key) => key > afterKey);
      const runs = keys && this.#findByKeys(keys.toSorted((left, right) => left - right));
      return runs?.filter(({ status }) => status === "running").slice(0, limit);
    });
    if (few !== undefined) return few;
    const found: RunRecord[] = [];
    const { lastKey } = this.#keyRange();
    for (let key = afterKey; key < lastKey && found.length < limit; key += keysPerSlice) {
      if (key > afterKey) await nextTurn();
      found.push(
        ...this.#sql.activeBetween.all(key, key + keysPerSlice, limit - found.length).map(toRunRecord),
      );
    }
    return found;
  }

  listDue(untilAt: number, after: DueCursor | undefined, limit: number): DueRun[] {
    const rows =
      after === undefined
        ? this.#sql.due.all(untilAt, limit)
        : this.#sql.dueAfter.all(untilAt, after.wakeAt, after.runKey, limit);
    return rows.map((row) => ({
      runKey: Number(row["run_key"]),
      workflowId: String(row["workflow_id"]) as WorkflowId,
      wakeAt: Number(row["wake_at"]),
    }));
  }

  nextWakeAt(afterAt: number): number | undefined {
    const wakeAt = this.#sql.nextWakeAt.get(afterAt)?.["wake_at"];
    return typeof wakeAt === "number" ? wakeAt : undefined;
  }

  listMessages(afterId: number, limit: number): StoredMessage[] {
    return this.#sql.messages.all(afterId, limit).map((row) => this.#toMessage(row));
  }

  readHeartbeats(runKey: RunKey): Heartbeat[] {
    return this.#sql.heartbeats.all(runKey).map((row) => ({
      ordinal: Number(row["ordinal"]),
      attempt: Number(row["attempt"]),
      details: String(row["details"]) as Payload,
    }));
  }

  readLog(run: RunRef, afterSeq: number, limit: number): LogPage {
    return this.#consistently(() =>
      this.findRunByKey(run.runKey)?.workflowId === run.workflowId
        ? this.#log.read(run, afterSeq, limit)
        : { entries: [], droppedCount: 0 },
    );
  }

  /**
   * Runs that match, latest key first, below `beforeKey`. What no index serves is searched for in slices, with
   * a turn of the event loop between two, so that a large store is not searched at the engine's expense.
   */
  async list(
    filter: RunFilter,
    beforeKey: number | undefined,
    limit: number,
    isWithAttributes = false,
  ): Promise<RunRecord[]> {
    const { from: runs, where, values, key, isAtOnce } = this.#plan(filter);
    const statement = this.#database.prepare(
      `SELECT ${runColumns} FROM ${runs} WHERE ${[...where, `${key} >= ?`, `${key} < ?`].join(" AND ")}
      ORDER BY ${key} DESC LIMIT ?`,
    );
    const { firstKey, lastKey } = this.#keyRange();
    const found: RunRecord[] = [];
    const sliceSize = isAtOnce ? lastKey - firstKey + 1 : keysPerSlice;
    let below = Math.min(beforeKey ?? lastKey + 1, lastKey + 1);
    // The first slice is open above: what began meanwhile may have taken the place of what ended meanwhile.
    let end = beforeKey ?? Number.MAX_SAFE_INTEGER;
    while (below > firstKey && found.length < limit) {
      const from = Math.max(firstKey, below - sliceSize);
      const read = (): RunRecord[] =>
        statement.all(...values, from, end, limit - found.length).map(toRunRecord);
      // A row and its attributes are of one moment.
      found.push(...(isWithAttributes ? this.#consistently(() => this.#withAttributes(read())) : read()));
      below = from;
      end = from;
      if (below > firstKey && found.length < limit) await nextTurn();
    }
    return found;
  }

  async count({ exceptIdPrefix, ...filter }: RunFilter): Promise<number> {
    if (exceptIdPrefix === undefined) return await this.#count(filter);
    const { where, values } = toWhere(filter);
    const checks = (filter.attributes ?? []).map(attributeCheck);
    const excepted = this.#database
      .prepare(
        `SELECT count(*) AS count FROM runs INDEXED BY runs_by_workflow_id
        WHERE ${[...where, ...checks.map(({ text }) => text), hasPrefix].join(" AND ")}`,
      )
      .get(...values, ...checks.flatMap((check) => check.values), ...prefixRange(exceptIdPrefix));
    return (await this.#count(filter)) - Number(excepted?.["count"] ?? 0);
  }

  async #count(filter: RunFilter): Promise<number> {
    const { from: runs, where, values, key, isAtOnce } = this.#plan(filter);
    const isOfAttributes = filter.attributes !== undefined && filter.attributes.length > 0;
    if (where.length === 0 && !isOfAttributes) return Number(this.#sql.countAll.get()?.["count"] ?? 0);
    if (where.length === 1 && !isOfAttributes && filter.status === "running")
      return Number(this.#sql.countRunning.get()?.["count"] ?? 0);
    const statement = this.#database.prepare(
      `SELECT count(*) AS count FROM ${runs} WHERE ${[...where, `${key} >= ?`, `${key} < ?`].join(" AND ")}`,
    );
    const { firstKey, lastKey } = this.#keyRange();
    const sliceSize = isAtOnce ? lastKey - firstKey + 1 : keysPerSlice;
    let count = 0;
    for (let from = firstKey; from <= lastKey; from += sliceSize) {
      if (from > firstKey) await nextTurn();
      count += Number(statement.get(...values, from, from + sliceSize)?.["count"] ?? 0);
    }
    return count;
  }

  #withAttributes(runs: readonly RunRecord[]): RunRecord[] {
    return runs.map((run) => {
      const attributes = this.#attributes.read(run.runKey);
      return Object.keys(attributes).length === 0 ? run : { ...run, attributes };
    });
  }

  /** How the runs that match are found. */
  #plan(filter: RunFilter): Plan {
    const { where, values } = toWhere(filter);
    const conditions = filter.attributes ?? [];
    const isFew = isIndexed(filter);
    const choice = isFew ? {} : this.#attributes.choose(conditions);
    const { leading } = choice;
    const checks = conditions.filter((condition) => condition !== leading).map(attributeCheck);
    const from = leading === undefined ? { text: runsFor(filter), values: [] } : leadingRuns(leading);
    return {
      from: from.text,
      where: [...where, ...checks.map(({ text }) => text)],
      values: [...from.values, ...values, ...checks.flatMap((check) => check.values)],
      key: leading === undefined ? "run_key" : "found.key",
      isAtOnce: isFew || choice.isFew === true,
    };
  }

  readCatalog(): Catalog {
    return this.#consistently(() => this.#catalog.read());
  }

  readPackage(version: string): Uint8Array | undefined {
    return this.#catalog.readPackage(version);
  }

  readFeed(request: FeedRange): FeedPage {
    return this.#consistently(() => this.#feed.read(request));
  }

  #readRow(
    runKey: RunKey,
    workflowId: WorkflowId,
    firstSeq: number,
  ): { readonly events: readonly Event[]; readonly chars: number } {
    const found = this.#sql.row.get(runKey, firstSeq);
    if (found === undefined) throw corrupt(workflowId, firstSeq, "it is not there");
    const row = String(found["row"]);
    if (checksumOf(row, { seed: checksumSeed(workflowId), firstSeq }) !== found["checksum"])
      throw corrupt(workflowId, firstSeq, "its checksum does not fit");
    return { events: this.#decode(row, { workflowId, firstSeq }), chars: row.length };
  }

  #keyRange(): { readonly firstKey: number; readonly lastKey: number } {
    const row = this.#sql.keyRange.get();
    return { firstKey: Number(row?.["first_key"] ?? 1), lastKey: Number(row?.["last_key"] ?? 0) };
  }

  /** The keys of all open runs, if they are few: then the index is the quicker way to them. */
  #fewOpenKeys(): number[] | undefined {
    const rows = this.#sql.openKeys.all(fewOpenMax + 1);
    return rows.length > fewOpenMax ? undefined : rows.map((row) => Number(row["run_key"]));
  }

  #findByKeys(keys: readonly RunKey[]): RunRecord[] {
    return keys.flatMap((key) => this.findRunByKey(key) ?? []);
  }

  // One snapshot for the run row and its events: the writer may commit between two statements.
  #consistently<Result>(work: () => Result): Result {
    if (this.#database.isTransaction) return work();
    this.#sql.begin.run();
    try {
      return work();
    } finally {
      if (this.#database.isTransaction) this.#sql.end.run();
    }
  }

  #page(runKey: RunKey, fromSeq: number, limit: number): readonly (readonly SQLOutputValue[])[] {
    const rows: unknown = this.#sql.rows.all(runKey, fromSeq, runKey, limit);
    return rows as readonly (readonly SQLOutputValue[])[];
  }

  #decode(row: string, key: RowKey): Event[] {
    try {
      return decodeRow(row, key);
    } catch (error) {
      throw isAionError(error) && error.code === "event_unknown" ? this.#withVersions(error) : error;
    }
  }

  #toMessage(row: Row): StoredMessage {
    const messageId = Number(row["message_id"]);
    const target = String(row["target"]) as WorkflowId;
    const body = String(row["body"]);
    const details = { messageId, target };
    const what = `message ${messageId} to workflow ${target}`;
    if (checksumOf(body, { seed: checksumSeed(target), firstSeq: 0 }) !== row["checksum"]) {
      const error = new AionError("message_corrupt", `${what} is damaged: its checksum does not fit`, {
        details,
      });
      return { messageId, target, message: { kind: "damaged", error } };
    }
    const message = JSON.parse(body) as Message;
    if (isMessageKind(message.kind)) return { messageId, target, message };
    const kind = JSON.stringify((message as { readonly kind?: unknown }).kind);
    const error = new AionError("event_unknown", `${what} is of kind ${kind}, which is not known`, {
      details,
    });
    return { messageId, target, message: { kind: "damaged", error: this.#withVersions(error) } };
  }

  /** Rows do not say who wrote them; the file says who may have. */
  #withVersions(error: AionError): AionError {
    const own = thisVersion();
    const newestVersion = this.#sql.newestVersion.get()?.["version"];
    const isLater = typeof newestVersion === "string" && isLaterVersion(newestVersion, own);
    const by = isLater
      ? `this is Aion ${own}, and it was written by ${newestVersion} or one before that`
      : `this is Aion ${own}, and no later version than ${own} is known to have written to the file`;
    return new AionError("event_unknown", `${error.message}; ${by}`, {
      cause: error,
      details: { ...error.details, thisVersion: own, newestVersion },
      ...(isLater ? { hint: `Open the store with Aion ${newestVersion}, or a later version.` } : {}),
    });
  }

  #readRows(
    run: RunRecord,
    range: { readonly fromSeq: number; readonly limit: number },
    into: Event[],
  ): void {
    const { runKey, workflowId, headSeq } = run;
    const fromSeq = Math.max(range.fromSeq, run.firstSeq);
    if (fromSeq > headSeq) return;
    const seed = checksumSeed(workflowId);
    let expectedSeq: number | undefined;
    let from = fromSeq;
    // A row may hold one event or a thousand, so pages begin small: what is read beyond the limit is read in vain.
    for (let rowCount = firstPageRows; ; rowCount = Math.min(4 * rowCount, pageRowsMax)) {
      const page = this.#page(runKey, from, rowCount);
      for (const [firstSeqColumn, checksum, row] of page) {
        const firstSeq = Number(firstSeqColumn);
        // The first row holds `fromSeq`, so it may begin before it, but neither after it nor before the run.
        const isExpected =
          expectedSeq === undefined
            ? firstSeq <= fromSeq && firstSeq >= run.firstSeq
            : firstSeq === expectedSeq;
        if (!isExpected) {
          throw corrupt(workflowId, expectedSeq ?? fromSeq, `the next row begins at event ${firstSeq}`);
        }
        if (typeof row !== "string" || checksumOf(row, { seed, firstSeq }) !== checksum) {
          throw corrupt(workflowId, firstSeq, "its checksum does not fit");
        }
        const events = this.#decode(row, { workflowId, firstSeq });
        expectedSeq = firstSeq + events.length;
        for (const event of events) if (event.seq >= fromSeq) into.push(event);
        if (into.length >= range.limit) return;
      }
      if (page.length < rowCount || expectedSeq === undefined || expectedSeq > headSeq) break;
      from = expectedSeq;
    }
    const endSeq = (expectedSeq ?? fromSeq) - 1;
    if (endSeq !== headSeq)
      throw corrupt(workflowId, endSeq + 1, `the rows end at event ${endSeq}, the run at event ${headSeq}`);
  }
}

interface Plan {
  /** In the place of `runs`. */
  readonly from: string;
  readonly where: readonly string[];
  readonly values: readonly (string | number)[];
  /** What the key of a run is called. */
  readonly key: string;
  /** Few rows are looked at. */
  readonly isAtOnce: boolean;
}

const firstPageRows = 8;
const pageRowsMax = 512;

// The index led to the row of another workflow: one of the two is damaged.
function checkId(run: RunRecord, workflowId: WorkflowId): RunRecord {
  if (run.workflowId !== workflowId) {
    throw corrupt(workflowId, run.firstSeq, `its run names workflow ${JSON.stringify(run.workflowId)}`);
  }
  return run;
}

function corrupt(workflowId: WorkflowId, seq: number, what: string): AionError {
  return new AionError(
    "history_corrupt",
    `workflow ${workflowId}, the row at event ${seq} is damaged: ${what}`,
    {
      details: { workflowId, seq },
    },
  );
}

const runColumns = `run_key, workflow_id, run_id, workflow_type, version, status, first_seq, head_seq, started_at, closed_at,
  wake_at, blocked, parked, parent_workflow_id, parent_run_id, parent_ordinal`;

const statementTexts = {
  begin: "BEGIN",
  end: "COMMIT",
  chain: `SELECT ${runColumns} FROM runs WHERE workflow_id = ? ORDER BY first_seq`,
  latestRun: `SELECT ${runColumns} FROM runs WHERE workflow_id = ? ORDER BY first_seq DESC LIMIT 1`,
  run: `SELECT ${runColumns} FROM runs WHERE workflow_id = ? AND run_id = ?`,
  runByKey: `SELECT ${runColumns} FROM runs WHERE run_key = ?`,
  keyRange:
    "SELECT (SELECT min(run_key) FROM runs) AS first_key, (SELECT max(run_key) FROM runs) AS last_key",
  countAll: `SELECT (SELECT count(*) FROM runs INDEXED BY runs_open WHERE closed_at IS NULL)
    + (SELECT count(*) FROM runs INDEXED BY runs_closed WHERE closed_at IS NOT NULL) AS count`,
  countRunning: `SELECT (SELECT count(*) FROM runs INDEXED BY runs_open WHERE closed_at IS NULL)
    - (SELECT count(*) FROM runs INDEXED BY runs_paused WHERE status = 7) AS count`,
  openKeys: "SELECT run_key FROM runs INDEXED BY runs_open WHERE closed_at IS NULL LIMIT ?",
  activeBetween: `SELECT ${runColumns} FROM runs NOT INDEXED
    WHERE run_key > ? AND run_key <= ? AND status = ${statusCodes.running} ORDER BY run_key LIMIT ?`,
  due: `SELECT run_key, workflow_id, wake_at FROM runs INDEXED BY runs_open
    WHERE closed_at IS NULL AND wake_at <= ? ORDER BY wake_at, run_key LIMIT ?`,
  dueAfter: `SELECT run_key, workflow_id, wake_at FROM runs INDEXED BY runs_open
    WHERE closed_at IS NULL AND wake_at <= ? AND (wake_at, run_key) > (?, ?) ORDER BY wake_at, run_key LIMIT ?`,
  nextWakeAt:
    "SELECT min(wake_at) AS wake_at FROM runs INDEXED BY runs_open WHERE closed_at IS NULL AND wake_at > ?",
  messages:
    "SELECT message_id, checksum, target, body FROM messages WHERE message_id > ? ORDER BY message_id LIMIT ?",
  newestVersion: newestVersionText,
  heartbeats: "SELECT ordinal, attempt, details FROM heartbeats WHERE run_key = ? ORDER BY ordinal",
  row: "SELECT checksum, row FROM events WHERE run_key = ? AND first_seq = ?",
  rows: `SELECT first_seq, checksum, row FROM events WHERE run_key = ?
    AND first_seq >= coalesce((SELECT max(first_seq) FROM events WHERE run_key = ?3 AND first_seq <= ?2), ?2)
    ORDER BY first_seq LIMIT ?4`,
} as const;

/** By the index of the ids, and not by `LIKE`, to which letters are alike and some are signs. */
const hasPrefix = "workflow_id >= ? AND workflow_id < ?";

function prefixRange(prefix: string): readonly [string, string] {
  return [prefix, `${prefix}\u{10ffff}`];
}

function toWhere(filter: RunFilter): {
  readonly where: readonly string[];
  readonly values: readonly (string | number)[];
} {
  const where: string[] = [];
  const values: (string | number)[] = [];
  const add = (condition: string, value: string | number | undefined): void => {
    if (value === undefined) return;
    where.push(condition);
    values.push(value);
  };
  add("workflow_id = ?", filter.workflowId);
  if (filter.exceptIdPrefix !== undefined) {
    where.push(`NOT (${hasPrefix})`);
    values.push(...prefixRange(filter.exceptIdPrefix));
  }
  add("workflow_type = ?", filter.workflowType);
  // In full: by a parameter the index of the paused is not found.
  if (filter.status === "paused") where.push(`status = ${statusCodes.paused}`);
  else add("status = ?", filter.status === undefined ? undefined : statusCodes[filter.status]);
  add("started_at >= ?", filter.startedAfter);
  add("started_at <= ?", filter.startedBefore);
  add("closed_at >= ?", filter.closedAfter);
  add("closed_at <= ?", filter.closedBefore);
  add("parent_workflow_id = ?", filter.parentWorkflowId);
  if (filter.isBlocked !== undefined)
    where.push(filter.isBlocked ? "blocked IS NOT NULL" : "blocked IS NULL");
  if (filter.isParked !== undefined) where.push(filter.isParked ? "parked IS NOT NULL" : "parked IS NULL");
  return { where, values };
}

/** Whether few rows must be looked at to answer. */
function isIndexed(filter: RunFilter): boolean {
  const { workflowId, isBlocked, isParked, status } = filter;
  return workflowId !== undefined || isBlocked === true || isParked === true || status === "paused";
}

function runsFor(filter: RunFilter): string {
  return filter.status === "paused" && filter.workflowId === undefined
    ? "runs INDEXED BY runs_paused"
    : "runs";
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function toRunRecord(row: Row): RunRecord {
  const status = statusOfCode(Number(row["status"]));
  const workflowId = String(row["workflow_id"]) as WorkflowId;
  assert(status, `the row of workflow ${workflowId} has a status that this version knows`);
  const { closed_at: closedAt, wake_at: wakeAt, blocked, parked, parent_workflow_id: parentId } = row;
  return {
    runKey: Number(row["run_key"]),
    workflowId,
    runId: String(row["run_id"]) as RunId,
    workflowType: String(row["workflow_type"]),
    version: String(row["version"]),
    status,
    firstSeq: Number(row["first_seq"]),
    headSeq: Number(row["head_seq"]),
    startedAt: Number(row["started_at"]),
    wakeAt: typeof wakeAt === "number" ? wakeAt : null,
    ...(typeof closedAt === "number" ? { closedAt } : {}),
    ...(typeof blocked === "string" ? { blocked } : {}),
    ...(typeof parked === "string" ? { parked } : {}),
    ...(typeof parentId === "string"
      ? {
          parent: {
            workflowId: parentId as WorkflowId,
            runId: String(row["parent_run_id"]) as RunId,
            ordinal: Number(row["parent_ordinal"]),
          },
        }
      : {}),
  };
}
