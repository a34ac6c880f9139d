import { isAionError } from "../../core/errors.ts";
import { archiveOf } from "./job.ts";
import type { Job, JobResult } from "./job.ts";

const pageBytes = 4_096;
/** What a lone commit touches beside its text: the run's row, an index, the header. Together it is less. */
const pagesPerCommit = 2.5;
const pagesPerTextPage = 1.2;

/**
 * How much of the log the file does not have yet. SQLite tells since 3.51; an older one only when it is asked to move the log, so
 * there it is estimated, and the estimate corrected by what was found the last time.
 */
export class LogMeter {
  #pages = 0;
  #correction = 1;
  #known: number | undefined;
  #isDiskFull = false;
  #isPressed = false;

  /** What was done; of a job that failed nothing is in the log. `known`: what SQLite tells of it. */
  add(jobs: readonly Job[], results: readonly JobResult[], known?: number): void {
    this.#known = known;
    let isFull = false;
    for (const [index, job] of jobs.entries()) {
      const result = results[index];
      if (result?.kind === "failed" && isAionError(result.error))
        isFull ||= result.error.code === "store_full";
      if (job.kind === "change-catalog" && result?.kind === "done")
        this.#pages += pagesPerCommit + (archiveOf(job)?.byteLength ?? 0) / pageBytes;
      if (job.kind !== "append" || result?.kind !== "appended") continue;
      for (const { run, start, send } of job.commits) {
        let bytes = (run?.row.length ?? 0) + (start?.row.length ?? 0);
        for (const { text } of [...(run?.log ?? []), ...(start?.log ?? [])]) bytes += text.length;
        for (const { body } of send) bytes += body.length;
        this.#pages += pagesPerCommit + (bytes / pageBytes) * pagesPerTextPage;
      }
    }
    if (isFull !== this.#isDiskFull) this.#isPressed = true;
    this.#isDiskFull = isFull;
  }

  get pages(): number {
    return this.#known ?? this.#pages * this.#correction;
  }

  /**
   * Whether the log should be moved, being longer than `pages`. When the disk becomes full it should be at any length, and when
   * there is room again, before the log takes that as well: the file has to grow by what is moved.
   */
  isLongerThan(pages: number): boolean {
    return this.#isPressed || this.pages > pages;
  }

  /** The log has been moved; `found` pages were in it, if that is known. */
  reset(found: number | undefined): void {
    this.#isPressed = false;
    if (found !== undefined && found > 0 && this.#pages > 0) {
      this.#correction = Math.min(4, Math.max(0.25, found / this.#pages));
    }
    this.#pages = 0;
    if (this.#known !== undefined) this.#known = 0;
  }
}

/** When the thread that writes moves the log itself: 16 MiB. Until then pages that change often are moved once. */
export const pagesPerCheckpoint = 4_000;
