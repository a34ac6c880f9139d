import { Worker } from "node:worker_threads";
import type { AuditEntry, AuditPage, AuditQuery } from "../client/access.ts";
import { AionError } from "../core/errors.ts";
import type { ErrorCode } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { Log } from "../core/ports.ts";
import { parseCursor } from "./audit-file.ts";
import type { AuditEnd, AuditRow } from "./audit-file.ts";
import type { AuditFacts, AuditSink } from "./gatekeeper.ts";
import { RefusalCounter } from "./refusal-counter.ts";

export type AuditJob = { readonly number: number } & (
  | { readonly kind: "write"; readonly rows: readonly AuditRow[]; readonly ends: readonly AuditEnd[] }
  | { readonly kind: "read"; readonly query: AuditQuery; readonly above: number }
  | { readonly kind: "prune"; readonly before: number }
  | { readonly kind: "close" }
);

export type AuditAnswer =
  | { readonly kind: "ready"; readonly lastId: number }
  | { readonly kind: "done"; readonly number: number }
  | { readonly kind: "pruned"; readonly number: number; readonly isAll: boolean }
  | { readonly kind: "page"; readonly number: number; readonly page: AuditPage; readonly firstId: number }
  | { readonly kind: "failed"; readonly number: number; readonly code: ErrorCode; readonly message: string };

type Unnumbered<Job> = Job extends AuditJob ? Omit<Job, "number"> : never;

interface Begun {
  readonly row: AuditRow;
  readonly resolve: () => void;
  readonly reject: (error: AionError) => void;
}

export interface AuditOptions {
  /** Of the server's data. */
  readonly directory: string;
  readonly retentionMs: number;
  readonly log: Log;
  readonly now?: () => number;
}

/** What is not waited for is written within this time. */
const lingerMs = 50;
const lookMs = 1_000;
const pruneMs = 60 * 60 * 1_000;
/** Of how many entries it is asked in one go whether they are what somebody looks for. */
const readAtOnce = 50_000;
/** What is kept to be written again, while the disk is full. */
const keptMax = 10_000;

/**
 * What was asked of a server, and what became of it, on the disk.
 *
 * Laws:
 *  1. What changes something is on the disk (fsync) before it is done, its outcome soon after: a crash leaves entries without an
 *     outcome, and nothing that was done without an entry.
 *  2. What cannot be written is not done: `begin` rejects. Nothing else waits for the disk.
 *  3. Refusals are bounded by time, whoever makes them be (see `RefusalCounter`).
 *  4. What is asked of it, and what it forgets, is done in small parts, between which is written what waits.
 *
 * Calls at the same time share an fsync.
 */
export class AuditLog implements AuditSink {
  readonly #options: AuditOptions;
  readonly #now: () => number;
  readonly #refusals: RefusalCounter;
  readonly #timers: readonly NodeJS.Timeout[];
  #worker: Worker | undefined;
  readonly #answers = new Map<number, (answer: AuditAnswer) => void>();
  #jobCount = 0;
  #lastId = 0;
  #begun: Begun[] = [];
  #rows: AuditRow[] = [];
  #ends: AuditEnd[] = [];
  #lingering: NodeJS.Timeout | undefined;
  #isWriting = false;
  #isAwaited = false;
  #lostCount = 0;
  #isClosing = false;

  private constructor(options: AuditOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#refusals = new RefusalCounter(this.#now, (facts, outcome, count) =>
      this.#add(facts, outcome, count),
    );
    this.#timers = [
      setInterval(() => this.#refusals.look(), lookMs).unref(),
      setInterval(() => void this.#prune(), pruneMs).unref(),
    ];
  }

  /** Error: `store_unavailable`. */
  static async open(options: AuditOptions): Promise<AuditLog> {
    const log = new AuditLog(options);
    try {
      await log.#start();
    } catch (error) {
      await log.close();
      throw error;
    }
    void log.#prune();
    return log;
  }

  begin(facts: AuditFacts): Promise<number> {
    const row = this.#toRow(facts, undefined, 1);
    return new Promise((resolve, reject) => {
      this.#begun.push({ row, resolve: () => resolve(row.id), reject });
      this.#write(true);
    });
  }

  end(entry: number, outcome: "ok" | ErrorCode, ids: AuditFacts["ids"]): void {
    this.#ends.push({ id: entry, outcome, ids });
    this.#write(false);
  }

  refused(facts: AuditFacts, outcome: ErrorCode): void {
    this.#refusals.count(facts, outcome);
  }

  readonly read = async (query: AuditQuery): Promise<AuditPage> => {
    // What was answered before is in the answer.
    await this.#flush();
    const { limit, cursor, ...rest } = query;
    const found: AuditEntry[] = [];
    let from = Math.min(this.#lastId + 1, cursor === undefined ? Infinity : parseCursor(cursor));
    for (;;) {
      const above = from - 1 - readAtOnce;
      // One more than is wanted: whether there is more.
      const part = { ...rest, limit: limit + 1 - found.length, cursor: String(from) };
      const answer = await this.#ask({ kind: "read", query: part, above });
      if (answer.kind === "failed") throw new AionError(answer.code, answer.message);
      if (answer.kind !== "page")
        throw new AionError("internal", "the thread of the audit log answered something else");
      found.push(...answer.page.entries);
      const last = found[limit - 1];
      if (found.length > limit && last !== undefined)
        return { entries: found.slice(0, limit), nextCursor: String(last.id) };
      if (above < answer.firstId) return { entries: found };
      from = above + 1;
    }
  };

  /** Writes what is left. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#refusals.close();
    await this.#flush();
    const worker = this.#worker;
    if (worker === undefined) return;
    await this.#ask({ kind: "close" });
    await worker.terminate();
  }

  #toRow(facts: AuditFacts, outcome: ErrorCode | undefined, count: number): AuditRow {
    const { subject, keyId, namespace, operation, ids, address } = facts;
    this.#lastId += 1;
    return {
      id: this.#lastId,
      at: this.#now(),
      ...(subject === undefined ? {} : { subject }),
      ...(keyId === undefined ? {} : { keyId }),
      ...(namespace === undefined ? {} : { namespace }),
      operation,
      ids,
      address,
      ...(outcome === undefined ? {} : { outcome }),
      count,
    };
  }

  #add(facts: AuditFacts, outcome: ErrorCode, count: number): void {
    this.#rows.push(this.#toRow(facts, outcome, count));
    this.#write(false);
  }

  #write(isAwaited: boolean): void {
    this.#isAwaited ||= isAwaited;
    // What comes in the meantime goes together, in the next one.
    if (this.#isWriting) return;
    if (!this.#isAwaited) {
      this.#lingering ??= setTimeout(() => void this.#writeNow(), lingerMs).unref();
      return;
    }
    this.#isWriting = true;
    setImmediate(() => void this.#writeNow());
  }

  async #flush(): Promise<void> {
    while (this.#isWriting || this.#begun.length + this.#rows.length + this.#ends.length > 0) {
      const lost = this.#lostCount;
      await this.#writeNow();
      if (this.#lostCount > lost || this.#worker === undefined) return;
    }
  }

  #writing: Promise<void> = Promise.resolve();

  /** One after the other. */
  #writeNow(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#writeAll());
    return this.#writing;
  }

  async #writeAll(): Promise<void> {
    clearTimeout(this.#lingering);
    this.#lingering = undefined;
    this.#isAwaited = false;
    const [begun, rows, ends] = [this.#begun, this.#rows, this.#ends];
    [this.#begun, this.#rows, this.#ends] = [[], [], []];
    if (begun.length + rows.length + ends.length > 0) {
      this.#isWriting = true;
      const answer = await this.#ask({
        kind: "write",
        rows: [...begun.map(({ row }) => row), ...rows],
        ends,
      });
      if (answer.kind === "failed") this.#failed(answer.message, { begun, rows, ends });
      else for (const { resolve } of begun) resolve();
    }
    this.#isWriting = false;
    if (this.#begun.length > 0) this.#write(true);
    else if (this.#rows.length + this.#ends.length > 0) this.#write(false);
  }

  #failed(
    message: string,
    of: {
      readonly begun: readonly Begun[];
      readonly rows: readonly AuditRow[];
      readonly ends: readonly AuditEnd[];
    },
  ): void {
    for (const { reject } of of.begun)
      reject(new AionError("audit_unavailable", `the audit log cannot be written: ${message}`));
    // Under other numbers: if its thread ended before it told that all was written, theirs are taken.
    this.#rows.unshift(...of.rows.map((row) => ({ ...row, id: (this.#lastId += 1) })));
    this.#ends.unshift(...of.ends);
    const lost = this.#rows.splice(keptMax).length + this.#ends.splice(keptMax).length;
    this.#lostCount += 1;
    this.#options.log("error", "the audit log cannot be written", {
      error: message,
      refused: of.begun.length,
      lost,
    });
  }

  async #ask(job: Unnumbered<AuditJob>): Promise<AuditAnswer> {
    const number = (this.#jobCount += 1);
    try {
      await this.#start();
    } catch (error) {
      return { kind: "failed", number, code: "store_unavailable", message: messageOf(error) };
    }
    return await new Promise((resolve) => {
      this.#answers.set(number, resolve);
      this.#worker?.ref();
      this.#worker?.postMessage({ ...job, number });
    });
  }

  #starting: Promise<void> | undefined;

  /** Anew, if its thread is gone. */
  async #start(): Promise<void> {
    if (this.#worker !== undefined) return;
    this.#starting ??= this.#startNow().finally(() => (this.#starting = undefined));
    await this.#starting;
  }

  async #startNow(): Promise<void> {
    const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
    const worker = new Worker(new URL(`./audit-thread${extension}`, import.meta.url), {
      name: "aion-audit",
      execArgv: [],
      workerData: { directory: this.#options.directory },
    });
    const ready = Promise.withResolvers<void>();
    let why = "its thread ended";
    worker.on("message", (answer: AuditAnswer) => {
      if (answer.kind === "ready") {
        this.#lastId = Math.max(this.#lastId, answer.lastId);
        this.#worker = worker;
        ready.resolve();
        return;
      }
      this.#answers.get(answer.number)?.(answer);
      this.#answers.delete(answer.number);
      if (this.#answers.size === 0) worker.unref();
    });
    worker.on("error", (error) => (why = messageOf(error)));
    worker.on("exit", () => {
      if (this.#worker === worker) this.#worker = undefined;
      ready.reject(new AionError("store_unavailable", `the audit log cannot be opened: ${why}`));
      for (const [number, answer] of this.#answers)
        answer({ kind: "failed", number, code: "store_unavailable", message: why });
      this.#answers.clear();
    });
    await ready.promise;
    worker.unref();
  }

  async #prune(): Promise<void> {
    const before = this.#now() - this.#options.retentionMs;
    while (!this.#isClosing) {
      const answer = await this.#ask({ kind: "prune", before });
      if (answer.kind === "failed")
        this.#options.log("warn", "the audit log keeps what is too old", { error: answer.message });
      if (answer.kind !== "pruned" || answer.isAll) return;
    }
  }
}
