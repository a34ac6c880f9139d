import { closeSync, openSync } from "node:fs";

/** Made before anything is in it, for its user alone. What SQLite puts beside a file gets the mode of the file. */
export function makePrivate(file: string): void {
  closeSync(openSync(file, "a", 0o600));
}
