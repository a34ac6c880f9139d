import { Worker } from "node:worker_threads";
import { AionError } from "../../core/errors.ts";
import type { JobResult, Pending } from "./job.ts";
import { decodeResults, encodeJobs, transferOf } from "./wire.ts";
import type { Wire } from "./wire.ts";

interface ThreadEvents {
  settle(pending: readonly Pending[], results: readonly JobResult[]): void;
  /** What its transactions took and held. */
  written?(numbers: readonly number[]): void;
  ended(): void;
}

/** The writer thread, seen from the engine's. */
export class ThreadHandle {
  readonly #worker: Worker;
  /** Counts what was posted; the thread sleeps on it. */
  readonly #signal = new Int32Array(new SharedArrayBuffer(4));
  readonly #events: ThreadEvents;
  readonly #posted: (readonly Pending[])[] = [];
  /** Heard from the beginning: a thread that dies may be gone before anybody comes to wait for it. */
  readonly #exited: Promise<unknown>;
  #isCheckpointing = false;
  #isClosing = false;
  #hasEnded = false;
  #onIdle: (() => void) | undefined;
  isReady = false;

  constructor(path: string, events: ThreadEvents, identity?: string) {
    this.#events = events;
    const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
    this.#worker = new Worker(new URL(`./writer-thread${extension}`, import.meta.url), {
      name: "aion-store",
      // Not the parent's: some of its options fit no thread (`--input-type`), and none is needed.
      execArgv: [],
      workerData: { path, signal: this.#signal, identity },
    });
    this.#worker.on("message", (message: Wire | "ready" | "checkpointed") => this.#receive(message));
    this.#worker.on("error", (error) => this.#end(error));
    this.#worker.on("exit", () => this.#end(undefined));
    this.#exited = new Promise((resolve) => this.#worker.once("exit", resolve));
    // An idle thread keeps no process alive; a commit under way does.
    this.#worker.unref();
  }

  get isBusy(): boolean {
    return this.#posted.length > 0;
  }

  post(pending: readonly Pending[]): void {
    if (this.#posted.length === 0) this.#worker.ref();
    this.#posted.push(pending);
    const jobs = pending.map(({ job }) => job);
    this.#send(encodeJobs(jobs), transferOf(jobs));
  }

  /**
   * First beside the commits that go on on the calling thread; then what they have added meanwhile, in turn
   * with them, so that the log is empty for once and begins anew.
   */
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
    this.#isClosing = true;
    this.#worker.ref();
    this.#send("close");
    await this.#exited;
  }

  #send(message: Wire | "checkpoint" | "close", transfer: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
    Atomics.add(this.#signal, 0, 1);
    Atomics.notify(this.#signal, 0);
  }

  #receive(message: Wire | "ready" | "checkpointed"): void {
    if (message === "ready") {
      this.isReady = true;
    } else if (message === "checkpointed") {
      this.#isCheckpointing = false;
      if (!this.#isClosing) this.post([{ job: { kind: "checkpoint" }, settle: () => {} }]);
    } else {
      const [messageCount, numbers, ...results] = message;
      const pending = this.#posted.splice(0, Number(messageCount)).flat();
      if (this.#posted.length === 0) this.#worker.unref();
      this.#events.written?.(numbers as readonly number[]);
      this.#events.settle(pending, decodeResults(results));
      if (this.#posted.length === 0) this.#onIdle?.();
    }
  }

  // Called by `error`, and by the `exit` that follows it.
  #end(cause: unknown): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    if (!this.#isClosing) this.#events.ended();
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
