import { createRequire } from "node:module";
import { resolve as resolvePath } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { AionError, isAionError } from "../../core/errors.ts";
import type { Event } from "../../core/event.ts";
import type { RunId, WorkflowId } from "../../core/ids.ts";
import type { Clock } from "../../core/ports.ts";
import { encodeCommit, parseCursor } from "../commit.ts";
import type {
  Commit,
  CommitResult,
  DueCursor,
  DueRun,
  Heartbeat,
  OwnerClaim,
  OwnerRecord,
  OwnerToken,
  RunFilter,
  RunKey,
  RunPage,
  RunRecord,
  RunRef,
  Store,
  StoredMessage,
} from "../contract.ts";
import { toOwnerToken } from "../contract.ts";
import { toStoreError } from "./errors.ts";
import { openDatabase } from "./migrate.ts";
import { OwnerRow } from "./owner.ts";
import { Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

export interface SqliteStoreOptions {
  /** The database file, made if it is not there; its directory must be. `:memory:` keeps everything in this process. */
  readonly path: string;
  /** For leases. Default: the machine's clock. */
  readonly clock?: Clock;
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
  return new SqliteStore(database, { ...options, path, readOnly });
}

interface SqliteStoreParts {
  readonly path: string;
  readonly readOnly: boolean;
  readonly clock?: Clock;
}

class SqliteStore implements Store {
  readonly name: string;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #database: DatabaseSync;
  readonly #reader: Reader;
  readonly #owner: OwnerRow;
  readonly #writer: Writer | undefined;
  #isClosed = false;

  constructor(database: DatabaseSync, of: SqliteStoreParts) {
    this.name = `sqlite:${of.path}`;
    this.#path = of.path;
    this.#clock = of.clock ?? { now: () => Date.now() };
    this.#database = database;
    this.#reader = new Reader(database);
    this.#owner = new OwnerRow(database, this.name);
    this.#writer = of.readOnly ? undefined : new Writer(database, { path: of.path, storeName: this.name });
  }

  async claim(claim: OwnerClaim): Promise<OwnerToken> {
    const version = String(
      (createRequire(import.meta.url)("aion/package.json") as { version?: unknown }).version,
    );
    return toOwnerToken(this.#writing().claim(claim, { now: this.#clock.now(), version }));
  }

  async renew(token: OwnerToken): Promise<void> {
    this.#writing().renew(token.epoch, this.#clock.now());
  }

  async release(token: OwnerToken): Promise<void> {
    this.#writing().release(token.epoch);
  }

  async readOwner(): Promise<OwnerRecord | undefined> {
    return this.#read(() => this.#owner.read(this.#clock.now()));
  }

  async append(token: OwnerToken, commits: readonly Commit[]): Promise<readonly CommitResult[]> {
    const writer = this.#writing();
    const [result] = writer.append([
      { epoch: token.epoch, now: this.#clock.now(), commits: commits.map(encodeCommit) },
    ]);
    if (result === undefined || isAionError(result)) throw result;
    return result;
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
    return this.#read(() => this.#reader.listActive(afterKey, limit));
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

  async list(
    filter: RunFilter,
    page: { readonly cursor?: string; readonly limit: number },
  ): Promise<RunPage> {
    const beforeKey = parseCursor(page.cursor);
    return this.#read(() => {
      const runs = this.#reader.list(filter, beforeKey, page.limit + 1);
      const last = runs[page.limit - 1];
      return runs.length <= page.limit || last === undefined
        ? { runs }
        : { runs: runs.slice(0, page.limit), nextCursor: String(last.runKey) };
    });
  }

  async count(filter: RunFilter): Promise<number> {
    return this.#read(() => this.#reader.count(filter));
  }

  async deleteClosed(token: OwnerToken, closedBefore: number, limit: number): Promise<number> {
    return this.#writing().deleteClosed(token.epoch, { now: this.#clock.now(), closedBefore, limit });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#database.close();
  }

  #writing(): Writer {
    this.#checkOpen();
    if (this.#writer === undefined) {
      throw new AionError("store_read_only", `store ${this.name} was opened for reading only`, {
        hint: "Open it without `readOnly` to write.",
      });
    }
    return this.#writer;
  }

  #read<Result>(work: () => Result): Result {
    this.#checkOpen();
    try {
      return work();
    } catch (error) {
      throw toStoreError(error, { action: "read", path: this.#path });
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new AionError("store_unavailable", `store ${this.name} is closed`);
  }
}
