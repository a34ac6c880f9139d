import { resolve as resolvePath } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { AionError, isAionError } from "../../core/errors.ts";
import type { Event } from "../../core/event.ts";
import type { RunId, WorkflowId } from "../../core/ids.ts";
import type { Clock, Meter } from "../../core/ports.ts";
import { encodeCatalogChange } from "../catalog.ts";
import { encodeCommit, parseCursor } from "../commit.ts";
import type {
  Catalog,
  CatalogChange,
  CatalogReply,
  Commit,
  CommitResult,
  DueCursor,
  DueRun,
  FeedPage,
  FeedRange,
  Heartbeat,
  OwnerClaim,
  OwnerRecord,
  OwnerToken,
  PageRequest,
  RunFilter,
  RunKey,
  RunPage,
  RunRecord,
  RunRef,
  Store,
  StoredMessage,
} from "../contract.ts";
import type { LogPage } from "../run-log.ts";
import { toOwnerToken } from "../contract.ts";
import { isBusy, toStoreError } from "./errors.ts";
import type { Job } from "./job.ts";
import { decodeReply } from "./job.ts";
import { openDatabase } from "./migrate.ts";
import { OwnerRow } from "./owner.ts";
import { Reader } from "./reader.ts";
import { StoreMeter } from "./store-meter.ts";
import { thisVersion } from "./version.ts";
import { WritePath } from "./write-path.ts";
import { Writer } from "./writer.ts";

export interface SqliteStoreOptions {
  /** The database file, made if it is not there; its directory must be. `:memory:` keeps everything in this process. */
  readonly path: string;
  /** For leases. Default: the machine's clock. */
  readonly clock?: Clock;
  /**
   * `auto` (default): commits that come together are written by a thread of their own, while a lone one is
   * written on the calling thread, which is quicker. `thread`: the calling thread never waits for the disk.
   * `inline`: no thread is started.
   */
  readonly writer?: "auto" | "thread" | "inline";
  /** Where it counts and measures. Default: nowhere. */
  readonly meter?: Meter;
  /** Only reads: beside a process that owns the store, or when none does. */
  readonly readOnly?: boolean;
}

/**
 * Opens a store on a SQLite file.
 * Errors: `store_unavailable`, `store_read_only`, `store_corrupt`, `store_newer_format`.
 */
export function openSqliteStore(options: SqliteStoreOptions): Store {
  const path = options.path === ":memory:" ? options.path : resolvePath(options.path);
  const readOnly = options.readOnly ?? false;
  const database = openDatabase({ path, readOnly });
  try {
    return new SqliteStore(database, { ...options, path });
  } catch (error) {
    database.close();
    throw toStoreError(error, { action: "open", path });
  }
}

class SqliteStore implements Store {
  readonly name: string;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #database: DatabaseSync;
  readonly #reader: Reader;
  readonly #owner: OwnerRow;
  readonly #writePath: WritePath | undefined;
  readonly #meter: StoreMeter | undefined;
  #isClosed = false;

  constructor(database: DatabaseSync, of: SqliteStoreOptions) {
    this.name = `sqlite:${of.path}`;
    this.#path = of.path;
    this.#clock = of.clock ?? { now: () => Date.now() };
    this.#database = database;
    this.#reader = new Reader(database);
    this.#owner = new OwnerRow(database, this.name);
    if (of.readOnly !== true) {
      const mode = of.path === ":memory:" ? "at-once" : (of.writer ?? "auto");
      // The engine's thread does not wait for a lock while there is another that can.
      if (mode === "auto") database.exec("PRAGMA busy_timeout = 100");
      this.#meter = of.meter === undefined ? undefined : new StoreMeter(of.meter, of.path);
      this.#writePath = new WritePath(new Writer(database, { path: of.path, storeName: this.name }), {
        path: of.path,
        mode,
        storeMeter: this.#meter,
      });
    }
  }

  async claim(claim: OwnerClaim): Promise<OwnerToken> {
    const version = thisVersion();
    try {
      return toOwnerToken(await this.#write({ kind: "claim", claim, now: this.#clock.now(), version }));
    } catch (error) {
      throw this.#explainLock(error);
    }
  }

  // Somebody was frozen amid a commit: no lease helps then, since the lock is the kernel's.
  #explainLock(error: unknown): unknown {
    if (!isAionError(error) || !isBusy(error)) return error;
    const owner = this.#read(() => this.#owner.read(this.#clock.now()));
    if (owner === undefined) return error;
    const { pid, host } = owner;
    return new AionError("store_unavailable", `${error.message}; its owner is process ${pid} on ${host}`, {
      cause: error.cause,
      hint: `If process ${pid} is frozen amid a commit, continue it (kill -CONT ${pid}) or end it (kill -9 ${pid}).`,
      details: { ...error.details, pid, host },
    });
  }

  async renew(token: OwnerToken): Promise<void> {
    await this.#write({ kind: "renew", epoch: token.epoch, now: this.#clock.now() });
  }

  async release(token: OwnerToken): Promise<void> {
    await this.#write({ kind: "release", epoch: token.epoch });
  }

  async readOwner(): Promise<OwnerRecord | undefined> {
    return this.#read(() => this.#owner.read(this.#clock.now()));
  }

  async append(token: OwnerToken, commits: readonly Commit[]): Promise<readonly CommitResult[]> {
    const path = this.#writing();
    const encoded = commits.map(encodeCommit);
    const result = await path.submit({
      kind: "append",
      epoch: token.epoch,
      now: this.#clock.now(),
      commits: encoded,
    });
    if (result.kind === "appended") return result.results;
    throw result.kind === "failed"
      ? result.error
      : new AionError("internal", "an append was answered as something else");
  }

  async readHistory(workflowId: WorkflowId): Promise<readonly Event[]> {
    return this.#read(() => this.#reader.readHistory(workflowId, 1, Number.POSITIVE_INFINITY));
  }

  async readHistoryFrom(
    workflowId: WorkflowId,
    fromSeq: number,
    limit = Number.POSITIVE_INFINITY,
  ): Promise<readonly Event[]> {
    return this.#read(() => this.#reader.readHistory(workflowId, fromSeq, limit));
  }

  async readSegment(
    run: RunRef,
    fromSeq: number,
    limit = Number.POSITIVE_INFINITY,
  ): Promise<readonly Event[]> {
    return this.#read(() => this.#reader.readSegment(run, fromSeq, limit));
  }

  async readRunChain(workflowId: WorkflowId): Promise<readonly RunRecord[]> {
    return this.#read(() => this.#reader.readRunChain(workflowId));
  }

  async findRun(workflowId: WorkflowId, runId?: RunId): Promise<RunRecord | undefined> {
    return this.#read(() => this.#reader.findRun(workflowId, runId));
  }

  async findRunByKey(runKey: RunKey): Promise<RunRecord | undefined> {
    return this.#read(() => this.#reader.findRunByKey(runKey));
  }

  async listActive(afterKey: RunKey, limit: number): Promise<readonly RunRecord[]> {
    return await this.#readSlowly(() => this.#reader.listActive(afterKey, limit));
  }

  async listDue(untilAt: number, after: DueCursor | undefined, limit: number): Promise<readonly DueRun[]> {
    return this.#read(() => this.#reader.listDue(untilAt, after, limit));
  }

  async nextWakeAt(afterAt: number): Promise<number | undefined> {
    return this.#read(() => this.#reader.nextWakeAt(afterAt));
  }

  async listMessages(afterId: number, limit: number): Promise<readonly StoredMessage[]> {
    return this.#read(() => this.#reader.listMessages(afterId, limit));
  }

  async readHeartbeats(runKey: RunKey): Promise<readonly Heartbeat[]> {
    return this.#read(() => this.#reader.readHeartbeats(runKey));
  }

  async readLog(run: RunRef, afterSeq: number, limit: number): Promise<LogPage> {
    return this.#read(() => this.#reader.readLog(run, afterSeq, limit));
  }

  async list(filter: RunFilter, page: PageRequest): Promise<RunPage> {
    const { limit, withAttributes } = page;
    const beforeKey = parseCursor(page.cursor);
    const runs = await this.#readSlowly(() =>
      this.#reader.list(filter, beforeKey, limit + 1, withAttributes),
    );
    const last = runs[limit - 1];
    if (runs.length <= limit || last === undefined) return { runs };
    return { runs: runs.slice(0, limit), nextCursor: String(last.runKey) };
  }

  async count(filter: RunFilter): Promise<number> {
    return await this.#readSlowly(() => this.#reader.count(filter));
  }

  async deleteClosed(token: OwnerToken, closedBefore: number, limit: number): Promise<number> {
    return await this.#write({
      kind: "delete-closed",
      epoch: token.epoch,
      now: this.#clock.now(),
      closedBefore,
      limit,
    });
  }

  async readCatalog(): Promise<Catalog> {
    return this.#read(() => this.#reader.readCatalog());
  }

  async readPackage(version: string): Promise<Uint8Array | undefined> {
    return this.#read(() => this.#reader.readPackage(version));
  }

  async changeCatalog(token: OwnerToken, change: CatalogChange): Promise<CatalogReply> {
    this.#writing();
    const encoded = encodeCatalogChange(change);
    const reply = await this.#write({
      kind: "change-catalog",
      epoch: token.epoch,
      now: this.#clock.now(),
      change: encoded,
    });
    return decodeReply(reply);
  }

  async readFeed(request: FeedRange): Promise<FeedPage> {
    return this.#read(() => this.#reader.readFeed(request));
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#writePath?.close();
    this.#meter?.close();
    this.#database.close();
  }

  #writing(): WritePath {
    this.#checkOpen();
    if (this.#writePath === undefined) {
      throw new AionError("store_read_only", `store ${this.name} was opened for reading only`, {
        hint: "Open it without `readOnly` to write.",
      });
    }
    return this.#writePath;
  }

  async #write(job: Exclude<Job, { readonly kind: "append" }>): Promise<number> {
    const result = await this.#writing().submit(job);
    if (result.kind === "done") return result.value;
    throw result.kind === "failed"
      ? result.error
      : new AionError("internal", `${job.kind} was answered as something else`);
  }

  #read<Result>(work: () => Result): Result {
    this.#checkOpen();
    try {
      return work();
    } catch (error) {
      throw toStoreError(error, { action: "read", path: this.#path });
    }
  }

  // The store may be closed before or between two slices; then a statement fails, and this tells why.
  async #readSlowly<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      this.#checkOpen();
      throw toStoreError(error, { action: "read", path: this.#path });
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new AionError("store_unavailable", `store ${this.name} is closed`);
  }
}
