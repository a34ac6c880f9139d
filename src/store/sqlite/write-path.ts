import { AionError, isAionError } from "../../core/errors.ts";
import { isBusy } from "./errors.ts";
import { archiveOf } from "./job.ts";
import type { Job, JobResult, Pending } from "./job.ts";
import { LogMeter, pagesPerCheckpoint } from "./log-meter.ts";
import type { StoreMeter } from "./store-meter.ts";
import { ThreadHandle } from "./thread-handle.ts";
import type { Writer } from "./writer.ts";

/** Commits in one flush up to which the calling thread writes them itself. */
const inlineCommitsMax = 2;
/** Commits that go to the thread without waiting for the end of the turn. */
const commitsPerPost = 64;
/** Writing here stops the engine for as long as an fsync takes; on a slow disk that is too long. */
const inlineMillisMax = 1;
/** How many flushes the thread gets before the disk is tried again. */
const flushesUntilRetry = 200;
/**
 * Pages written here after which the thread moves the log. Few: it does so beside the commits, and until the
 * log begins anew it grows, and an fsync of a growing file takes half as long again.
 */
const pagesPerCheckpointBeside = 1_000;
/** A thread that dies this often is given up, and everything is written on the calling thread. */
const threadDeathsMax = 3;

/** `at-once`: within the call, for a store in memory, where there is no fsync to share. */
export type WriteMode = "auto" | "thread" | "inline" | "at-once";

/**
 * The way of a job to the file.
 *
 * Owner: the store. Law: jobs are done in the order in which they are given, one transaction at a time.
 *  1. What is given in one turn of the event loop is written together (group commit).
 *  2. The calling thread writes only while the writer thread has nothing to do, so the two never overtake
 *     each other; they never wait for each other's lock either.
 *  3. With `auto` a lone commit is written here: handing it over and back costs a third of an fsync. What
 *     comes together is written by the thread, while the engine goes on.
 *  4. After `store_failed`, on whichever thread, nothing is written any more.
 */
export class WritePath {
  readonly #writer: Writer;
  readonly #path: string;
  readonly #storeMeter: StoreMeter | undefined;
  #mode: WriteMode;
  readonly #meter = new LogMeter();
  #queue: Pending[] = [];
  #queuedCommits = 0;
  #isScheduled = false;
  #hasTurnFlushed = false;
  #thread: ThreadHandle | undefined;
  #failure: unknown;
  #isClosed = false;
  /** What a write on this thread took lately. */
  #inlineMillis = inlineMillisMax / 2;
  #flushesToSkip = 0;
  #threadDeaths = 0;

  constructor(
    writer: Writer,
    of: { readonly path: string; readonly mode: WriteMode; readonly storeMeter?: StoreMeter | undefined },
  ) {
    this.#writer = writer;
    this.#path = of.path;
    this.#storeMeter = of.storeMeter;
    this.#mode = of.mode;
  }

  submit(job: Job): Promise<JobResult> {
    return new Promise((settle) => {
      this.#queue.push({ job, settle });
      this.#queuedCommits += commitCountOf(job);
      // A long turn of the engine's need not end before the thread gets something to do.
      const isPostWorth = this.#thread?.isReady === true && this.#queuedCommits >= commitsPerPost;
      if (this.#mode === "at-once" || isPostWorth) this.#flush();
      else this.#schedule();
    });
  }

  /** Everything given so far is done, and the thread gone. */
  async close(): Promise<void> {
    this.#flush();
    this.#isClosed = true;
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.close();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    if (this.#hasTurnFlushed) {
      // A chain of commits must let the event loop go on in between.
      setImmediate(() => this.#flush());
      return;
    }
    // A turn of the loop earlier than an immediate, and still behind all that this turn has to give.
    this.#hasTurnFlushed = true;
    setImmediate(() => {
      this.#hasTurnFlushed = false;
    });
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.#isScheduled = false;
    if (this.#queue.length === 0) return;
    const pending = this.#queue;
    const commitCount = this.#queuedCommits;
    this.#queue = [];
    this.#queuedCommits = 0;
    if (this.#failure !== undefined) {
      for (const { settle } of pending) settle({ kind: "failed", error: this.#failure });
    } else if (this.#mode === "at-once" || this.#mode === "inline") {
      this.#write(pending);
    } else if (this.#mode === "thread" || this.#thread?.isBusy === true) {
      this.#startThread().post(pending);
    } else if (commitCount <= inlineCommitsMax && this.#isDiskQuick()) {
      this.#writeLone(pending);
    } else {
      const thread = this.#startThread();
      // Until it is up nobody waits for it, but for what would hold up this thread for longer.
      if (thread.isReady || pending.some(({ job }) => archiveOf(job) !== undefined)) thread.post(pending);
      else this.#write(pending);
    }
  }

  #write(pending: readonly Pending[]): void {
    const jobs = pending.map(({ job }) => job);
    const results = this.#writer.run(jobs);
    if (this.#mode === "auto" && results.every(isBusyResult)) {
      // Somebody else holds the file's lock. Let the thread wait for it.
      this.#startThread().post(pending);
      return;
    }
    this.#storeMeter?.written(this.#writer.takeNumbers());
    this.#settle(pending, results);
    if (this.#mode === "at-once") return;
    this.#meter.add(jobs, results, this.#writer.logPages());
    if (this.#mode === "auto" && this.#meter.isLongerThan(pagesPerCheckpointBeside)) {
      this.#meter.reset(undefined);
      this.#startThread().checkpoint();
    } else if (this.#meter.isLongerThan(pagesPerCheckpoint)) {
      // In a later turn: the answers go out first.
      setImmediate(() => this.#checkpoint());
    }
  }

  #checkpoint(): void {
    if (this.#isClosed || !this.#meter.isLongerThan(pagesPerCheckpoint)) return;
    const [result] = this.#writer.run([{ kind: "checkpoint" }]);
    this.#meter.reset(result?.kind === "done" ? result.value : undefined);
  }

  #writeLone(pending: readonly Pending[]): void {
    const startedAt = performance.now();
    this.#write(pending);
    const millis = Math.min(performance.now() - startedAt, 3 * inlineMillisMax);
    this.#inlineMillis += (millis - this.#inlineMillis) / 16;
  }

  #isDiskQuick(): boolean {
    if (this.#flushesToSkip > 0) {
      this.#flushesToSkip -= 1;
      return false;
    }
    if (this.#inlineMillis <= inlineMillisMax) return true;
    this.#inlineMillis = inlineMillisMax / 2;
    this.#flushesToSkip = flushesUntilRetry;
    return false;
  }

  #startThread(): ThreadHandle {
    const events = {
      settle: (pending: readonly Pending[], results: readonly JobResult[]) => this.#settle(pending, results),
      written: (numbers: readonly number[]) => this.#storeMeter?.written(numbers),
      ended: () => {
        this.#thread = undefined;
        this.#threadDeaths += 1;
        if (this.#threadDeaths === threadDeathsMax) this.#mode = "inline";
      },
    };
    this.#thread ??= new ThreadHandle(this.#path, events, this.#writer.file.text);
    return this.#thread;
  }

  #settle(pending: readonly Pending[], results: readonly JobResult[]): void {
    for (const [index, { settle }] of pending.entries()) {
      const result = results[index] ?? {
        kind: "failed",
        error: new AionError("internal", "the store's writer gave no answer"),
      };
      if (result.kind === "failed" && isAionError(result.error) && result.error.code === "store_failed") {
        this.#failure = result.error;
      }
      settle(result);
    }
  }
}

function commitCountOf(job: Job): number {
  if (job.kind === "append") return job.commits.length;
  return job.kind === "delete-closed" || job.kind === "change-catalog" ? inlineCommitsMax + 1 : 1;
}

function isBusyResult(result: JobResult): boolean {
  return result.kind === "failed" && isBusy(result.error);
}
