import { Worker } from "node:worker_threads";
import { AionError, isAionError } from "../../core/errors.ts";
import { sqliteCodeOf } from "./errors.ts";
import type { Job, JobResult } from "./job.ts";
import { decodeResults, encodeJobs } from "./wire.ts";
import type { Wire } from "./wire.ts";
import type { Writer } from "./writer.ts";

/** Commits in one flush up to which the calling thread writes them itself. */
const inlineCommitsMax = 2;
/** Commits that go to the thread without waiting for the end of the turn. */
const commitsPerPost = 32;
/** Writing here stops the engine for as long as an fsync takes; on a slow disk that is too long. */
const inlineMillisMax = 1;
/** How many flushes the thread gets before the disk is tried again. */
const flushesUntilRetry = 200;
/** Commits written here after which the log is worth a checkpoint (a commit is about eight pages of 4 KiB). */
const inlineCommitsPerCheckpoint = 250;
const busy = 5;

interface Pending {
  readonly job: Job;
  readonly settle: (result: JobResult) => void;
}

/**
 * The way of a job to the file.
 *
 * Owner: the store. Law: jobs are done in the order in which they are given, one transaction at a time.
 *  1. What is given in one turn of the event loop is written together (group commit).
 *  2. The calling thread writes only while the writer thread has nothing to do, so the two never overtake
 *     each other; they never wait for each other's lock either.
 *  3. A lone commit is written here: handing it over and back costs a third of an fsync. What comes
 *     together is written by the thread, while the engine goes on.
 *  4. After `store_failed`, on whichever thread, nothing is written any more.
 */
export class WritePath {
  readonly #writer: Writer;
  readonly #path: string;
  readonly #mode: "thread" | "inline" | "at-once";
  #queue: Pending[] = [];
  #queuedCommits = 0;
  #isScheduled = false;
  #thread: ThreadHandle | undefined;
  #failure: unknown;
  /** What a write on this thread took lately. */
  #inlineMillis = inlineMillisMax / 2;
  #flushesToSkip = 0;
  #inlineCommits = 0;

  constructor(writer: Writer, of: { readonly path: string; readonly mode: "thread" | "inline" | "at-once" }) {
    this.#writer = writer;
    this.#path = of.path;
    this.#mode = of.mode;
  }

  submit(job: Job): Promise<JobResult> {
    return new Promise((settle) => {
      this.#queue.push({ job, settle });
      this.#queuedCommits += commitCountOf(job);
      // A long turn of the engine's need not end before the thread gets something to do.
      if (this.#mode === "at-once" || (this.#mode === "thread" && this.#queuedCommits >= commitsPerPost))
        this.#flush();
      else this.#schedule();
    });
  }

  /** Everything given so far is done, and the thread gone. */
  async close(): Promise<void> {
    this.#flush();
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.close();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#flush());
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
    } else if (this.#mode !== "thread") {
      this.#write(pending);
    } else if (this.#thread?.isBusy === true) {
      this.#thread.post(pending);
    } else if (commitCount <= inlineCommitsMax && this.#isDiskQuick()) {
      this.#write(pending);
      this.#considerCheckpoint();
    } else {
      const thread = this.#startThread();
      // Until it is up nobody waits for it.
      if (thread.isReady) thread.post(pending);
      else this.#write(pending);
    }
  }

  #write(pending: readonly Pending[]): void {
    const startedAt = performance.now();
    const results = this.#writer.run(pending.map(({ job }) => job));
    const millis = performance.now() - startedAt;
    this.#inlineMillis += (Math.min(millis, 3 * inlineMillisMax) - this.#inlineMillis) / 16;
    const first = results[0];
    if (
      this.#mode === "thread" &&
      pending.length === 1 &&
      first?.kind === "failed" &&
      isBusyError(first.error)
    ) {
      // Somebody else holds the file's lock. Let the thread wait for it.
      this.#startThread().post(pending);
      return;
    }
    this.#settle(pending, results);
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

  #considerCheckpoint(): void {
    this.#inlineCommits += 1;
    if (this.#inlineCommits < inlineCommitsPerCheckpoint) return;
    this.#inlineCommits = 0;
    // First beside the commits that go on here; then what they have added meanwhile, in turn with them, so
    // that the log is empty for once and begins anew.
    this.#startThread().checkpoint();
  }

  #startThread(): ThreadHandle {
    this.#thread ??= new ThreadHandle(this.#path, {
      settle: (pending, results) => this.#settle(pending, results),
      ended: () => {
        this.#thread = undefined;
      },
    });
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
  return job.kind === "delete-closed" ? inlineCommitsMax + 1 : 1;
}

function isBusyError(error: unknown): boolean {
  return (
    isAionError(error) &&
    error.code === "store_unavailable" &&
    ((sqliteCodeOf(error.cause) ?? 0) & 0xff) === busy
  );
}

interface ThreadEvents {
  settle(pending: readonly Pending[], results: readonly JobResult[]): void;
  ended(): void;
}

/** The writer thread, seen from the engine's. */
class ThreadHandle {
  readonly #worker: Worker;
  /** Counts what was posted; the thread sleeps on it. */
  readonly #signal = new Int32Array(new SharedArrayBuffer(4));
  readonly #events: ThreadEvents;
  readonly #posted: (readonly Pending[])[] = [];
  #isCheckpointing = false;
  #onIdle: (() => void) | undefined;
  isReady = false;

  constructor(path: string, events: ThreadEvents) {
    this.#events = events;
    const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
    this.#worker = new Worker(new URL(`./writer-thread${extension}`, import.meta.url), {
      name: "aion-store",
      workerData: { path, signal: this.#signal },
    });
    this.#worker.on("message", (message: Wire | "ready" | "checkpointed") => this.#receive(message));
    this.#worker.on("error", (error) => this.#end(error));
    this.#worker.on("exit", () => this.#end(undefined));
    // An idle thread keeps no process alive; a commit under way does.
    this.#worker.unref();
  }

  get isBusy(): boolean {
    return this.#posted.length > 0;
  }

  post(pending: readonly Pending[]): void {
    if (this.#posted.length === 0) this.#worker.ref();
    this.#posted.push(pending);
    this.#send(encodeJobs(pending.map(({ job }) => job)));
  }

  checkpoint(): void {
    if (this.#isCheckpointing) return;
    this.#isCheckpointing = true;
    this.#send("checkpoint");
  }

  async close(): Promise<void> {
    if (this.#posted.length > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.#worker.ref();
    const exited = new Promise((resolve) => this.#worker.once("exit", resolve));
    this.#send("close");
    await exited;
  }

  #send(message: Wire | "checkpoint" | "close"): void {
    this.#worker.postMessage(message);
    Atomics.add(this.#signal, 0, 1);
    Atomics.notify(this.#signal, 0);
  }

  #receive(message: Wire | "ready" | "checkpointed"): void {
    if (message === "ready") {
      this.isReady = true;
    } else if (message === "checkpointed") {
      this.#isCheckpointing = false;
      this.post([{ job: { kind: "checkpoint" }, settle: () => {} }]);
    } else {
      const [messageCount, ...results] = message;
      const pending = this.#posted.splice(0, Number(messageCount)).flat();
      if (this.#posted.length === 0) this.#worker.unref();
      this.#events.settle(pending, decodeResults(results));
      if (this.#posted.length === 0) this.#onIdle?.();
    }
  }

  #end(cause: unknown): void {
    this.#events.ended();
    for (const pending of this.#posted.splice(0)) {
      const error = new AionError(
        "commit_unknown",
        "the store's writer thread ended with commits under way",
        { cause },
      );
      this.#events.settle(
        pending,
        pending.map(() => ({ kind: "failed", error })),
      );
    }
    this.#onIdle?.();
  }
}
