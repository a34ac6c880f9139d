import type { Writer } from "./writer.ts";

/** Pages in the log after which they are moved into the file: 16 MiB. */
const pagesPerCheckpoint = 4_000;

/**
 * When the log is worth moving into the file. SQLite tells how long the log is only when it is asked to move
 * it, so its length is estimated from the last time.
 */
export class CheckpointMeter {
  readonly #writer: Writer;
  #commitCount = 0;
  #pagesPerCommit = 4;

  constructor(writer: Writer) {
    this.#writer = writer;
  }

  add(commitCount: number): void {
    this.#commitCount += commitCount;
  }

  runIfDue(): void {
    if (this.#commitCount * this.#pagesPerCommit > pagesPerCheckpoint) this.run();
  }

  // A checkpoint that fails leaves the pages in the log, and is tried again when as many have come.
  run(): void {
    const [result] = this.#writer.run([{ kind: "checkpoint" }]);
    const pages = result?.kind === "done" ? result.value : 0;
    if (pages > 0 && this.#commitCount > 0) this.#pagesPerCommit = Math.max(1, pages / this.#commitCount);
    this.#commitCount = 0;
  }
}
