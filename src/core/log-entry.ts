import type { LogLevel } from "./ports.ts";

const own: ReadonlySet<string> = new Set(["time", "level", "message"]);

/**
 * A line of a log as one flat object: `time`, `level` and `message` come first and are what they say, also when a field, which may be
 * user code's, has one of these names. That field is then `field.message`, and so on.
 */
function toLogEntry(
  time: string,
  level: LogLevel,
  message: string,
  fields: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  const entry: Record<string, unknown> = { time, level, message };
  for (const [name, value] of Object.entries(fields)) entry[own.has(name) ? `field.${name}` : name] = value;
  return entry;
}

/** The same as JSON text. What is no JSON among the fields of user code (a cycle, a bigint) must not cost the line. */
export function encodeLogEntry(
  time: string,
  level: LogLevel,
  message: string,
  fields?: Readonly<Record<string, unknown>>,
): string {
  const entry = toLogEntry(time, level, message, fields);
  try {
    return JSON.stringify(entry);
  } catch {
    return JSON.stringify(
      Object.fromEntries(Object.entries(entry).map(([name, value]) => [name, readable(value)])),
    );
  }
}

function readable(value: unknown): unknown {
  try {
    JSON.stringify(value);
    return value;
  } catch (error) {
    return typeof value === "bigint" ? String(value) : `[no JSON: ${String(error).slice(0, 100)}]`;
  }
}
