import { statSync } from "node:fs";
import { AionError } from "../../core/errors.ts";

/**
 * Refuses a file that has a second name. SQLite names the log and its locks after the file: through another
 * name another log is written and other locks are held, and two writers destroy the file between them.
 * A symbolic link is no second name, since it is followed first.
 */
export function checkSingleName(path: string): void {
  const linkCount = statSync(path, { throwIfNoEntry: false })?.nlink ?? 1;
  if (linkCount <= 1) return;
  throw new AionError(
    "store_unavailable",
    `cannot open store ${path}: the file has ${linkCount} names (hard links)`,
    {
      hint: "Remove the other names, or copy the file and open the copy. `find DIRECTORY -samefile FILE` finds them.",
      details: { linkCount },
    },
  );
}

/**
 * Which file a store was opened on. An open file can be removed, or another put in its place: what is written
 * then is on disk and yet belongs to no name, and is gone when the process ends.
 */
export class FileIdentity {
  readonly #path: string;
  /** For another thread that opens the same path. */
  readonly text: string | undefined;

  constructor(path: string, text: string | undefined = identityOf(path)) {
    this.#path = path;
    this.text = text;
  }

  /** Throws `store_failed` when the path no longer leads to the file. */
  check(): void {
    const identity = identityOf(this.#path);
    if (this.text === undefined || identity === this.text) return;
    const what = identity === undefined ? "removed" : "replaced by another";
    throw new AionError("store_failed", `the file of store ${this.#path} was ${what} while it was open`, {
      hint: "Stop this process before a file is removed or restored; start it again to open what is there now.",
    });
  }
}

function identityOf(path: string): string | undefined {
  if (path === ":memory:") return undefined;
  const stats = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`;
}
