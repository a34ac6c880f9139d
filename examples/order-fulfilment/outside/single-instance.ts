import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";

export interface InstanceLock {
  release(): void;
}

/**
 * Takes the lock at `path`, or returns undefined when another process has it. Node has no lock on files of its own, so
 * an SQLite file serves: the operating system drops its lock when the holder dies, by `kill -9` too, which no file with
 * a process id in it can promise.
 */
export function acquireInstanceLock(path: string): InstanceLock | undefined {
  mkdirSync(dirname(path), { recursive: true });
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    database.close();
    if (cause instanceof Error && /locked|busy/i.test(cause.message)) return undefined;
    throw cause;
  }
  return { release: () => database.close() };
}
