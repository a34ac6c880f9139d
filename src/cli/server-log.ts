import { encodeLogEntry } from "../core/log-entry.ts";
import type { Log, LogLevel } from "../core/ports.ts";
import { errorStyle } from "./output.ts";
import type { Style } from "./output.ts";
import { printable } from "./printable.ts";

const ranks: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
const styles: Readonly<Record<LogLevel, Style>> = {
  debug: "dim",
  info: "cyan",
  warn: "yellow",
  error: "red",
};

/** A line on stderr for each entry: for people, or one JSON object (`time`, `level`, `message`, and the fields). */
export function serverLog(format: "text" | "json" | undefined, level: LogLevel): Log {
  const isJson = format === undefined ? !process.stderr.isTTY : format === "json";
  return (entryLevel, message, fields = {}) => {
    if (ranks[entryLevel] < ranks[level]) return;
    const time = new Date().toISOString();
    process.stderr.write(
      isJson
        ? `${encodeLogEntry(time, entryLevel, message, fields)}\n`
        : `${errorStyle("dim", time)} ${errorStyle(styles[entryLevel], entryLevel.padEnd(5))} ${printable(message).replaceAll("\n", "\\n")}${shown(fields)}\n`,
    );
  };
}

function shown(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(
      ([name, value]) =>
        ` ${errorStyle("dim", `${name}=`)}${name === "stack" ? toStack(value) : toLine(value)}`,
    )
    .join("");
}

/** What somebody else has written must not look like an entry of its own. */
function toLine(value: unknown): string {
  return printable(typeof value === "string" ? value : JSON.stringify(value)).replaceAll("\n", "\\n");
}

function toStack(value: unknown): string {
  return printable(String(value)).replaceAll("\n", "\n    ");
}
