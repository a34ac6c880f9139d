import type { Dirent, FSWatcher } from "node:fs";
import { readdirSync, statSync, watch } from "node:fs";
import path from "node:path";

export interface SourceWatchOptions {
  /** Watched with all that is below it. */
  readonly root: string;
  /** Directories that are not looked into. */
  readonly isPassedOver: (directory: string) => boolean;
  /** A file, or a directory, was made, written, replaced or taken away. */
  readonly onChange: (place: string) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * Tells of changes in directories.
 *
 * Law: directories are watched, never files. A watch on a file is one on what lies behind its name at that moment, and is dead when an
 * editor writes another file and renames it (as `fs.watch` with `recursive` is on Linux). The same is true of a directory that is taken
 * away and made again, so each refresh looks whether it is still the one, and what the root lies in is watched, too.
 */
export class SourceWatch {
  readonly #of: SourceWatchOptions;
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; readonly identity: string }>();

  constructor(of: SourceWatchOptions) {
    this.#of = of;
  }

  /** Watches what is there now: what is below the root, what that lies in, and the directories of other files. */
  refresh(others: Iterable<string> = []): void {
    const { root } = this.#of;
    const files = [root, ...others];
    const wanted = new Set([...this.#below(root), ...files.map((file) => path.dirname(file))]);
    for (const [directory, { watcher, identity }] of this.#watchers) {
      if (wanted.has(directory) && identityOf(directory) === identity) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    for (const directory of wanted) if (!this.#watchers.has(directory)) this.#watch(directory);
  }

  close(): void {
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watch(directory: string): void {
    const identity = identityOf(directory);
    if (identity === undefined) return;
    try {
      const watcher = watch(directory, (_kind, name) => {
        this.#of.onChange(name === null ? directory : path.join(directory, name));
      });
      watcher.on("error", (error) => {
        // A directory that was taken away: the next refresh knows what is there.
        watcher.close();
        if (this.#watchers.get(directory)?.watcher === watcher) this.#watchers.delete(directory);
        if (!isGone(error)) this.#of.onError(error);
      });
      this.#watchers.set(directory, { watcher, identity });
    } catch (error) {
      if (!isGone(error)) this.#of.onError(error);
    }
  }

  #below(root: string): readonly string[] {
    const found = [root];
    for (const directory of found) {
      for (const entry of entriesOf(directory)) {
        const place = path.join(directory, entry.name);
        if (entry.isDirectory() && !this.#of.isPassedOver(place)) found.push(place);
      }
    }
    return found;
  }
}

/** None of one that is not there. */
export function entriesOf(directory: string): readonly Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** Numbers of directories are given out again. */
function identityOf(directory: string): string | undefined {
  const found = statSync(directory, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? undefined : `${found.dev} ${found.ino} ${found.birthtimeNs}`;
}

function isGone(error: unknown): boolean {
  return (
    error instanceof Error && "code" in error && ["ENOENT", "ENOTDIR", "EPERM"].includes(String(error.code))
  );
}
