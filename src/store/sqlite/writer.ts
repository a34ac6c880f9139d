import process from "node:process";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { AionError, isAionError } from "../../core/errors.ts";
import { messageOf } from "../../core/payload.ts";
import { isClosed } from "../../core/status.ts";
import { packageNotFound } from "../catalog.ts";
import { chainOpen, chainOther, messageGone, sequenceConflict } from "../commit.ts";
import type { EncodedCommit, EncodedPart } from "../commit.ts";
import type { CommitResult, RunCommit, RunKey, StartCommit } from "../contract.ts";
import { AttributeWriter } from "./attributes.ts";
import { CatalogWriter } from "./catalog.ts";
import { isStatementFault, toStoreError } from "./errors.ts";
import { FeedWriter } from "./feed.ts";
import { FileIdentity } from "./file-identity.ts";
import type { Batch, Job, JobResult } from "./job.ts";
import { OwnerRow } from "./owner.ts";
import { RunLogWriter } from "./run-log.ts";
import { encodeReply } from "./job.ts";
import { checksumOf, checksumSeed, newestVersionText, statusCodes } from "./row.ts";
import { isLaterVersion } from "./version.ts";
import { plainSuccess } from "./wire.ts";

/**
 * Everything that writes to the file, synchronously, on the thread and the connection it is made with.
 *
 * Owner: the store (inline) or its writer thread. Law: one call is one transaction, and returns after its fsync.
 *  1. The epoch is checked first, inside the transaction.
 *  2. A commit is checked before its first write, or by its first write; what follows cannot be refused.
 *     So a refused commit has written nothing, and no savepoint is needed.
 *  3. If a statement fails all the same, everything is rolled back, and done again with each commit in a
 *     savepoint of its own: one bad commit does not take others with it.
 *  4. After an I/O error nothing is written any more: what a failed fsync left on disk is unknown until
 *     the file is opened anew. Nor when the file that was opened is no longer the one that its path names.
 */
export class Writer {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly file: FileIdentity;
  readonly #owner: OwnerRow;
  readonly #catalog: CatalogWriter;
  readonly #feed: FeedWriter;
  readonly #log: RunLogWriter;
  readonly #attributes: AttributeWriter;
  readonly #sql: Statements;
  #failure: AionError | undefined;
  /** Of transactions of commits: see `StoreMeter`. */
  #numbers: number[] = [];
  #flushMillis = 0;
  // Asked once a transaction, and only if a run closes in it: mostly there are none at all.
  #mayHaveHeartbeats: boolean | undefined;
  #lastRunKey: RunKey | undefined;
  /** Asked once a transaction of each package that a commit needs. */
  readonly #packagesThere = new Map<string, boolean>();
  /** Columns of event rows, written together: nothing in the transaction reads them. */
  #rows: (number | string)[] = [];

  constructor(
    database: DatabaseSync,
    of: { readonly path: string; readonly storeName: string; readonly file?: FileIdentity },
  ) {
    this.#database = database;
    this.#path = of.path;
    this.file = of.file ?? new FileIdentity(of.path);
    this.#owner = new OwnerRow(database, of.storeName);
    this.#catalog = new CatalogWriter(database);
    this.#feed = new FeedWriter(database);
    this.#log = new RunLogWriter(database);
    this.#attributes = new AttributeWriter(database);
    this.#sql = prepareStatements(database);
    // Before a word is written: a thread that opens the path anew may have been given another file.
    try {
      this.file.check();
    } catch (error) {
      this.#remember(error);
    }
  }

  /**
   * Does the jobs in their order; appends that follow one another share a transaction.
   * Never throws: each job has its own answer.
   */
  run(jobs: readonly Job[]): JobResult[] {
    const results: JobResult[] = [];
    let batches: Batch[] = [];
    for (const job of jobs) {
      if (job.kind === "append") {
        batches.push(job);
        continue;
      }
      this.#append(batches, results);
      batches = [];
      results.push(this.#runOne(job));
    }
    this.#append(batches, results);
    return results;
  }

  #append(batches: readonly Batch[], results: JobResult[]): void {
    if (batches.length === 0) return;
    try {
      results.push(...this.#applyAll(batches));
    } catch (error) {
      // The same transaction, so the same answer for all.
      for (const _ of batches) results.push({ kind: "failed", error });
    }
  }

  #applyAll(batches: readonly Batch[]): readonly JobResult[] {
    const startedAt = performance.now();
    let results: readonly JobResult[];
    try {
      results = this.#transaction(() => this.#applyBatches(batches, (commit) => this.#apply(commit)));
    } catch (error) {
      if (!isStatementFault(error)) throw error;
      results = this.#transaction(() => this.#applyBatches(batches, (commit) => this.#applyAlone(commit)));
    }
    this.#count(batches, results, performance.now() - startedAt);
    return results;
  }

  #count(batches: readonly Batch[], results: readonly JobResult[], millis: number): void {
    let commitCount = 0;
    let eventCount = 0;
    for (const [index, { commits }] of batches.entries()) {
      const result = results[index];
      if (result?.kind !== "appended") continue;
      for (const [place, { run, start }] of commits.entries()) {
        if (result.results[place]?.ok !== true) continue;
        commitCount += 1;
        eventCount += (run?.eventCount ?? 0) + (start?.eventCount ?? 0);
      }
    }
    this.#numbers.push(millis / 1_000, this.#flushMillis / 1_000, commitCount, eventCount);
  }

  /** Numbers of the transactions since the last time. */
  takeNumbers(): readonly number[] {
    const numbers = this.#numbers;
    this.#numbers = [];
    return numbers;
  }

  #runOne(job: Exclude<Job, { readonly kind: "append" }>): JobResult {
    try {
      return { kind: "done", value: this.#valueOf(job) };
    } catch (error) {
      return { kind: "failed", error };
    }
  }

  #valueOf(job: Exclude<Job, { readonly kind: "append" }>): number {
    switch (job.kind) {
      case "claim":
        return this.#transaction(() => {
          this.file.check();
          const epoch = this.#owner.claim(job.claim, job.now);
          this.#feed.claim(job.claim, job.now);
          this.#noteVersion(job.version);
          return epoch;
        });
      case "renew":
        // What an engine does all its life, twice in a lease.
        return this.#alone(() => {
          this.file.check();
          return this.#owner.renew(job.epoch, job.now);
        });
      case "release":
        return this.#transaction(() => this.#owner.release(job.epoch));
      case "delete-closed":
        return this.#transaction(() => this.#deleteClosed(job));
      case "change-catalog":
        return this.#transaction(() => {
          this.file.check();
          this.#owner.check(job.epoch, job.now);
          return encodeReply(this.#catalog.change(job.change));
        });
      case "checkpoint":
        return this.#checkpoint();
    }
  }

  /** The version that owns the file now, and the newest that ever did: what it wrote may be unknown to an older one. */
  #noteVersion(version: string): void {
    const noted = this.#sql.selectVersion.get()?.["version"];
    const isNewest = typeof noted !== "string" || !isLaterVersion(noted, version);
    this.#sql.setMeta.run("newest_version", isNewest ? version : noted);
    this.#sql.setMeta.run("aion_version", version);
  }

  #deleteClosed(of: Extract<Job, { readonly kind: "delete-closed" }>): number {
    this.#owner.check(of.epoch, of.now);
    const closed = this.#sql.selectClosed.all(of.closedBefore, of.limit);
    for (const { workflow_id: workflowId } of closed) {
      // A history keeps no gap: for each run that may go, the first of its chain goes.
      const runKey = this.#sql.selectFirstRun.get(workflowId ?? null)?.["run_key"] ?? null;
      this.#sql.raiseRunKeyFloor.run(runKey);
      this.#sql.deleteEvents.run(runKey);
      this.#sql.deleteHeartbeats.run(runKey);
      this.#log.delete(Number(runKey));
      this.#attributes.delete(Number(runKey));
      this.#sql.deleteRun.run(runKey);
    }
    return closed.length;
  }

  #transaction<Result>(work: () => Result): Result {
    if (this.#failure !== undefined) throw this.#failure;
    this.#mayHaveHeartbeats = undefined;
    this.#lastRunKey = undefined;
    this.#packagesThere.clear();
    this.#rows = [];
    this.#feed.begin();
    try {
      this.#sql.begin.run();
      const result = work();
      const worked = performance.now();
      this.#sql.commit.run();
      this.#flushMillis = performance.now() - worked;
      return result;
    } catch (error) {
      this.#rollBack();
      throw this.#remember(error);
    }
  }

  /** One statement, which is a transaction of its own. */
  #alone<Result>(work: () => Result): Result {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return work();
    } catch (error) {
      throw this.#remember(error);
    }
  }

  /** Pages of the log that the file does not have yet; `undefined`: SQLite does not tell. Asking takes a microsecond. */
  logPages(): number | undefined {
    if (!doesTellOfLog || this.#failure !== undefined) return undefined;
    try {
      const row = this.#sql.lookAtLog.get();
      return Number(row?.["log"]) - Number(row?.["checkpointed"]);
    } catch {
      // Busy: somebody else moves it.
      return undefined;
    }
  }

  // Pages of the log go into the file. What cannot be moved now (a reader needs it, the disk is full) stays in
  // the log and is moved later: nothing is lost by it.
  #checkpoint(): number {
    return this.#alone(() => Number(this.#sql.checkpoint.get()?.["log"] ?? 0));
  }

  #rollBack(): void {
    try {
      // SQLite has rolled back by itself after some errors.
      if (this.#database.isTransaction) this.#sql.rollback.run();
    } catch (error) {
      // Whether it was rolled back is unknown now.
      this.#failure ??= new AionError(
        "store_failed",
        `cannot roll back store ${this.#path}: ${messageOf(error)}`,
        {
          cause: error,
        },
      );
    }
  }

  /** The error as Aion's; one that ends all writing is kept. */
  #remember(error: unknown): unknown {
    const failure = toStoreError(error, { action: "write", path: this.#path });
    if (isAionError(failure) && failure.code === "store_failed") this.#failure = failure;
    return failure;
  }

  #applyBatches(batches: readonly Batch[], apply: (commit: EncodedCommit) => CommitResult): JobResult[] {
    const owner = this.#owner.readLease();
    const results = batches.map((batch): JobResult => {
      const refusal = this.#owner.refusal(owner, batch.epoch);
      if (refusal !== undefined) return { kind: "failed", error: refusal };
      this.#owner.renewWhenDue(owner, batch.now);
      return { kind: "appended", results: batch.commits.map(apply) };
    });
    this.#flushRows();
    this.#feed.write(owner, batches.at(-1)?.now ?? 0);
    return results;
  }

  #applyAlone(commit: EncodedCommit): CommitResult {
    const { length } = this.#feed;
    this.#sql.savepoint.run();
    try {
      const result = this.#apply(commit);
      this.#flushRows();
      return result;
    } catch (error) {
      if (!isStatementFault(error)) throw error;
      this.#rows = [];
      this.#feed.forget(length);
      this.#sql.rollbackToSavepoint.run();
      return { ok: false, error: toStoreError(error, { action: "write", path: this.#path }) as AionError };
    } finally {
      if (this.#database.isTransaction) this.#sql.releaseSavepoint.run();
    }
  }

  #apply(commit: EncodedCommit): CommitResult {
    const { run, start, send, consume, needsPackage } = commit;
    if (needsPackage !== undefined && !this.#isPackageThere(needsPackage))
      return { ok: false, error: packageNotFound(needsPackage) };
    const isSimple = consume.length === 0 && (run === undefined || start === undefined);
    if (!isSimple) {
      const refusal = this.#refusal(commit);
      if (refusal !== undefined) return { ok: false, error: refusal };
      for (const messageId of consume) this.#sql.deleteMessage.run(messageId);
    }
    if (run !== undefined) {
      const refusal = this.#extend(run);
      if (refusal !== undefined) return { ok: false, error: refusal };
    }
    let startedKey: RunKey | undefined;
    if (start !== undefined) {
      startedKey = this.#start(start);
      if (startedKey === undefined)
        return { ok: false, error: this.#startRefusal(start, undefined) ?? lostStart(start.of) };
    }
    if (send.length === 0 && startedKey === undefined) return plainSuccess;
    const messageIds = send.map(({ target, body }) => {
      const checksum = checksumOf(body, { seed: checksumSeed(target), firstSeq: 0 });
      return Number(this.#sql.insertMessage.run(checksum, target, body).lastInsertRowid);
    });
    return startedKey === undefined ? { ok: true, messageIds } : { ok: true, messageIds, startedKey };
  }

  #refusal({ run, start, consume }: EncodedCommit): AionError | undefined {
    if (run !== undefined) {
      const refusal = this.#runRefusal(run.of);
      if (refusal !== undefined) return refusal;
    }
    if (start !== undefined) {
      const refusal = this.#startRefusal(start, run);
      if (refusal !== undefined) return refusal;
    }
    const missing = consume.find((messageId) => this.#sql.selectMessage.get(messageId) === undefined);
    return missing === undefined ? undefined : messageGone(missing);
  }

  #runRefusal({ runKey, workflowId, expectedSeq }: EncodedPart<RunCommit>["of"]): AionError | undefined {
    const row = this.#sql.selectRun.get(runKey, workflowId);
    // A run that another one follows is history: the seqs after it are taken.
    const last =
      row === undefined || row["closed_at"] === null ? row : this.#sql.selectLatest.get(workflowId);
    const found = Number(last?.["head_seq"] ?? 0);
    if (row !== undefined && last?.["run_key"] === runKey && found === expectedSeq) return undefined;
    return sequenceConflict({ workflowId, expected: expectedSeq, found });
  }

  #startRefusal(
    { of: start }: EncodedPart<StartCommit>,
    run: EncodedPart<RunCommit> | undefined,
  ): AionError | undefined {
    const { workflowId, firstSeq, follows } = start;
    const row = this.#sql.selectLatest.get(workflowId);
    // A run that the same commit extends was found to be the latest.
    const expected = firstSeq - 1;
    const found = Number(row?.["head_seq"] ?? 0) + (run?.eventCount ?? 0);
    if (found !== expected) return sequenceConflict({ workflowId, expected, found });
    if (follows !== undefined && follows !== row?.["run_key"])
      return chainOther({ workflowId, expected, found });
    if (row === undefined) return undefined;
    const isOpen = run === undefined ? row["closed_at"] === null : !isClosed(run.of.status);
    return isOpen ? chainOpen({ workflowId, expected, found }) : undefined;
  }

  /** Returns why not. Nothing was written then. */
  #extend(part: EncodedPart<RunCommit>): AionError | undefined {
    const { of: commit, eventCount, row } = part;
    const { runKey, workflowId, expectedSeq, status, wakeAt } = commit;
    const headSeq = expectedSeq + eventCount;
    const closes = isClosed(status);
    let changes: number | bigint;
    if (commit.blocked !== undefined || commit.parked !== undefined) {
      changes = 0;
    } else if (closes) {
      changes = this.#sql.closeRun.run(
        headSeq,
        statusCodes[status],
        commit.closedAt ?? 0,
        runKey,
        expectedSeq,
        workflowId,
      ).changes;
    } else if (wakeAt === commit.wakeAtBefore) {
      changes = this.#sql.extendRun.run(
        headSeq,
        runKey,
        expectedSeq,
        workflowId,
        wakeAt,
        statusCodes[status],
      ).changes;
    } else {
      changes = this.#sql.extendAndWakeRun.run(
        headSeq,
        wakeAt,
        runKey,
        expectedSeq,
        workflowId,
        statusCodes[status],
      ).changes;
    }
    if (changes === 0) {
      // A refusal, or one of the rare changes that the short statements leave alone.
      const refusal = this.#runRefusal(commit);
      if (refusal !== undefined) return refusal;
      this.#updateRun(commit, headSeq);
    }
    if (eventCount > 0) this.#insertRow({ runKey, workflowId, firstSeq: expectedSeq + 1, row, eventCount });
    if (part.log.length > 0) this.#log.write(commit, part.log);
    if (part.attributes !== undefined) this.#attributes.replace(runKey, part.attributes);
    if (closes) {
      if (this.#hasHeartbeats()) this.#sql.deleteHeartbeats.run(runKey);
    } else if (commit.heartbeats !== undefined) {
      for (const { ordinal, attempt, details } of commit.heartbeats) {
        this.#sql.upsertHeartbeat.run(runKey, ordinal, attempt, details);
        this.#mayHaveHeartbeats = true;
      }
    }
    return undefined;
  }

  #updateRun(commit: EncodedPart<RunCommit>["of"], headSeq: number): void {
    const { runKey, status, wakeAt, closedAt, blocked, parked } = commit;
    this.#sql.updateRun.run(
      headSeq,
      statusCodes[status],
      closedAt ?? null,
      isClosed(status) ? null : wakeAt,
      runKey,
    );
    if (blocked !== undefined) this.#sql.setBlocked.run(blocked, runKey);
    if (parked !== undefined) this.#sql.setParked.run(parked, runKey);
  }

  /** Returns the key, or undefined if there is no room for the run. Nothing was written then. */
  #start(part: EncodedPart<StartCommit>): RunKey | undefined {
    const { of: start, eventCount, row } = part;
    const { workflowId, firstSeq, parent } = start;
    this.#lastRunKey ??= Number(this.#sql.selectLastRunKey.get()?.["last_key"] ?? 0);
    const runKey = this.#lastRunKey + 1;
    const isFirst = firstSeq === 1 && start.follows === undefined;
    const insert = isFirst ? this.#sql.insertFirstRun : this.#sql.insertNextRun;
    const { changes } = insert.run(
      runKey,
      firstSeq + eventCount - 1,
      firstSeq,
      statusCodes[start.status],
      isClosed(start.status) ? null : start.wakeAt,
      start.startedAt,
      start.closedAt ?? null,
      workflowId,
      start.runId,
      start.workflowType,
      start.version,
      parent?.workflowId ?? null,
      parent?.runId ?? null,
      parent?.ordinal ?? null,
      ...(isFirst ? [] : [start.follows ?? null]),
    );
    if (changes === 0) return undefined;
    this.#lastRunKey = runKey;
    this.#insertRow({ runKey, workflowId, firstSeq, row, eventCount });
    if (part.log.length > 0) this.#log.write({ runKey, workflowId }, part.log);
    if (part.attributes !== undefined) this.#attributes.insert(runKey, part.attributes);
    return runKey;
  }

  #insertRow(of: {
    readonly runKey: RunKey;
    readonly workflowId: string;
    readonly firstSeq: number;
    readonly row: string;
    readonly eventCount: number;
  }): void {
    const { runKey, workflowId, firstSeq, row } = of;
    this.#feed.note(runKey, firstSeq, of.eventCount);
    this.#rows.push(runKey, firstSeq, checksumOf(row, { seed: checksumSeed(workflowId), firstSeq }), row);
    if (this.#rows.length < rowsPerStatement * columnsPerRow) return;
    this.#sql.insertManyEvents.run(...this.#rows);
    this.#rows = [];
  }

  #flushRows(): void {
    for (let at = 0; at < this.#rows.length; at += columnsPerRow) {
      this.#sql.insertEvents.run(...this.#rows.slice(at, at + columnsPerRow));
    }
    this.#rows = [];
  }

  #isPackageThere(version: string): boolean {
    const known = this.#packagesThere.get(version) ?? this.#catalog.has(version);
    this.#packagesThere.set(version, known);
    return known;
  }

  #hasHeartbeats(): boolean {
    this.#mayHaveHeartbeats ??= this.#sql.selectAnyHeartbeat.get() !== undefined;
    return this.#mayHaveHeartbeats;
  }
}

function lostStart(start: EncodedPart<StartCommit>["of"]): AionError {
  return new AionError(
    "internal",
    `broken law: a start of workflow ${start.workflowId} that was refused has a reason`,
  );
}

/** An older SQLite would take `NOOP` for `PASSIVE`, and move the log. */
const doesTellOfLog = !isLaterVersion("3.51.0", process.versions["sqlite"] ?? "0.0.0");

type Statements = Readonly<Record<keyof typeof statementTexts, StatementSync>>;

// One statement for many rows takes half the time of one for each.
const rowsPerStatement = 16;
const columnsPerRow = 4;

const insertRun = `INSERT INTO runs (run_key, head_seq, first_seq, status, wake_at, started_at, closed_at, workflow_id, run_id,
  workflow_type, version, parent_workflow_id, parent_run_id, parent_ordinal)
  SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14 WHERE `;

const statementTexts = {
  begin: "BEGIN IMMEDIATE",
  commit: "COMMIT",
  rollback: "ROLLBACK",
  savepoint: "SAVEPOINT one_commit",
  rollbackToSavepoint: "ROLLBACK TO one_commit",
  releaseSavepoint: "RELEASE one_commit",
  checkpoint: "PRAGMA wal_checkpoint(PASSIVE)",
  lookAtLog: "PRAGMA wal_checkpoint(NOOP)",
  setMeta:
    "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value WHERE value <> excluded.value",
  selectVersion: newestVersionText,
  // The three that make up all but the rarest commits name no indexed column that they need not.
  extendRun: `UPDATE runs SET head_seq = ? WHERE run_key = ? AND head_seq = ? AND workflow_id = ? AND closed_at IS NULL
    AND wake_at IS ? AND status = ?`,
  extendAndWakeRun:
    "UPDATE runs SET head_seq = ?, wake_at = ? WHERE run_key = ? AND head_seq = ? AND workflow_id = ? AND closed_at IS NULL AND status = ?",
  closeRun: `UPDATE runs SET head_seq = ?, status = ?, closed_at = ?, wake_at = NULL
    WHERE run_key = ? AND head_seq = ? AND workflow_id = ? AND closed_at IS NULL`,
  updateRun: "UPDATE runs SET head_seq = ?, status = ?, closed_at = ?, wake_at = ? WHERE run_key = ?",
  setBlocked: "UPDATE runs SET blocked = ? WHERE run_key = ?",
  setParked: "UPDATE runs SET parked = ? WHERE run_key = ?",
  insertFirstRun: `${insertRun} NOT EXISTS (SELECT 1 FROM runs WHERE workflow_id = ?8)`,
  insertNextRun: `${insertRun} ?3 = (SELECT CASE WHEN closed_at IS NULL OR run_key <> coalesce(?15, run_key) THEN 0
    ELSE head_seq + 1 END FROM runs WHERE workflow_id = ?8 ORDER BY first_seq DESC LIMIT 1)`,
  selectLastRunKey: `SELECT max(coalesce((SELECT max(run_key) FROM runs), 0),
    coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'run_key_floor'), 0)) AS last_key`,
  raiseRunKeyFloor: `INSERT INTO meta (name, value) VALUES ('run_key_floor', CAST(CAST(? AS INTEGER) AS TEXT))
    ON CONFLICT DO UPDATE SET value = excluded.value WHERE CAST(value AS INTEGER) < CAST(excluded.value AS INTEGER)`,
  insertEvents: "INSERT INTO events (run_key, first_seq, checksum, row) VALUES (?, ?, ?, ?)",
  insertManyEvents: `INSERT INTO events (run_key, first_seq, checksum, row)
    VALUES ${Array.from({ length: rowsPerStatement }, () => "(?, ?, ?, ?)").join(", ")}`,
  selectRun: "SELECT run_key, head_seq, closed_at FROM runs WHERE run_key = ? AND workflow_id = ?",
  selectLatest:
    "SELECT run_key, head_seq, closed_at FROM runs WHERE workflow_id = ? ORDER BY first_seq DESC LIMIT 1",
  selectMessage: "SELECT 1 FROM messages WHERE message_id = ?",
  insertMessage: "INSERT INTO messages (checksum, target, body) VALUES (?, ?, ?)",
  deleteMessage: "DELETE FROM messages WHERE message_id = ?",
  selectAnyHeartbeat: "SELECT 1 FROM heartbeats LIMIT 1",
  upsertHeartbeat: `INSERT INTO heartbeats (run_key, ordinal, attempt, details) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET attempt = excluded.attempt, details = excluded.details`,
  deleteHeartbeats: "DELETE FROM heartbeats WHERE run_key = ?",
  // A run may go when it and all before it in its chain closed early enough.
  selectClosed: `SELECT workflow_id FROM runs WHERE closed_at < ?1 AND NOT EXISTS (SELECT 1 FROM runs AS earlier
      WHERE earlier.workflow_id = runs.workflow_id AND earlier.first_seq < runs.first_seq
      AND (earlier.closed_at IS NULL OR earlier.closed_at >= ?1))
    ORDER BY closed_at, run_key LIMIT ?2`,
  selectFirstRun: "SELECT run_key FROM runs WHERE workflow_id = ? ORDER BY first_seq LIMIT 1",
  deleteEvents: "DELETE FROM events WHERE run_key = ?",
  deleteRun: "DELETE FROM runs WHERE run_key = ?",
} as const;

function prepareStatements(database: DatabaseSync): Statements {
  return Object.fromEntries(
    Object.entries(statementTexts).map(([name, text]) => [name, database.prepare(text)]),
  ) as Statements;
}
