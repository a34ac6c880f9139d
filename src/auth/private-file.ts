import { closeSync, fsyncSync, openSync } from "node:fs";
import path from "node:path";

/**
 * Made before anything is in it, for its user alone, and on the disk under its name. What SQLite puts beside a file gets the mode of the
 * file. One that is there stays as it is.
 */
export function makePrivate(file: string): void {
  let made: number;
  try {
    made = openSync(file, "wx", 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return;
    throw error;
  }
  closeSync(made);
  const directory = openSync(path.dirname(file), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
