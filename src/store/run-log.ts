import { AionError, assert } from "../core/errors.ts";
import type { Payload } from "../core/payload.ts";
import type { LogLevel } from "../core/ports.ts";

/**
 * What the code of a run said (`log` in workflow code), beside its history: nothing is replayed from it, and it is bounded. The same
 * for every backend.
 */
export interface LogEntry {
  /** Of the input in whose activation it was said: names the entry within its workflow id. */
  readonly seq: number;
  /** When that was recorded, in milliseconds since 1970. */
  readonly saidAt: number;
  /** One or more. */
  readonly lines: readonly LogLine[];
}

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  /** JSON text of an object. */
  readonly fields?: Payload;
}

export interface LogPage {
  readonly entries: readonly LogEntry[];
  /** Lines of the run that were dropped for newer ones, since it began. */
  readonly droppedCount: number;
}

/**
 * What is kept of one run: within both bounds, but in any case the newest entry. The oldest entries are dropped first, in the
 * transaction that brings the new one.
 */
export const runLogLinesMax = 1_000;
/** In UTF-16 units of the encoded lines. */
export const runLogCharsMax = 256 * 1_024;

/** An entry as text. */
export interface EncodedLogEntry {
  readonly seq: number;
  readonly saidAt: number;
  readonly lineCount: number;
  readonly text: string;
}

/** Throws for what only a bug of the writer makes. */
export function encodeLog(entries: readonly LogEntry[]): readonly EncodedLogEntry[] {
  let before = 0;
  return entries.map(({ seq, saidAt, lines }) => {
    assert(
      seq > before && lines.length > 0,
      "entries of a run's log have lines, and are in the order of their seqs",
    );
    before = seq;
    return { seq, saidAt, lineCount: lines.length, text: JSON.stringify(lines) };
  });
}

/** Error: `store_corrupt`. */
export function decodeLog({ seq, saidAt, text }: Omit<EncodedLogEntry, "lineCount">): LogEntry {
  let lines: unknown;
  try {
    lines = JSON.parse(text);
  } catch {
    // Told below.
  }
  if (Array.isArray(lines) && lines.length > 0 && lines.every(isLine)) return { seq, saidAt, lines };
  throw new AionError("store_corrupt", `what workflow code said at event ${seq} is damaged`);
}

function isLine(line: unknown): line is LogLine {
  if (typeof line !== "object" || line === null) return false;
  const { level, message, fields } = line as Readonly<Record<string, unknown>>;
  return (
    typeof level === "string" &&
    typeof message === "string" &&
    (fields === undefined || typeof fields === "string")
  );
}

/** All that a run has said so far, with what was dropped of it. */
export interface LogTotals {
  readonly lines: number;
  readonly chars: number;
}

/** Whether an entry that begins after `before` may stay when there are `now` in all. */
export function isWithinLog(before: LogTotals, now: LogTotals): boolean {
  return now.lines - before.lines <= runLogLinesMax && now.chars - before.chars <= runLogCharsMax;
}
