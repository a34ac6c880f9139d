import { encodeLogEntry } from "../core/log-entry.ts";
import type { Log } from "../core/ports.ts";

/** Warnings and errors, a line of JSON each. */
export const logToStderr: Log = (level, message, fields) => {
  if (level === "debug" || level === "info") return;
  process.stderr.write(`${encodeLogEntry(new Date().toISOString(), level, message, fields)}\n`);
};
