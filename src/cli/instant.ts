import { parseDuration } from "../core/duration.ts";
import { AionError, isAionError } from "../core/errors.ts";

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

const pad = (value: number, length = 2): string => String(value).padStart(length, "0");

/** `2026-03-01 09:05:07`, in the time zone of whoever looks. */
export function formatInstant(ms: number): string {
  const date = new Date(ms);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${formatClock(ms).slice(0, 8)}`;
}

/** `09:05:07.123`. */
export function formatClock(ms: number): string {
  const date = new Date(ms);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

/** `850ms`, `2.4s`, `3m 20s`, `5h 12m`, `12d 4h`: two units at most. */
export function formatSpan(ms: number): string {
  const length = Math.abs(ms);
  if (length < secondMs) return `${Math.round(length)}ms`;
  if (length < 10 * secondMs) return `${(Math.floor(length / 100) / 10).toFixed(1)}s`;
  if (length < minuteMs) return `${Math.floor(length / secondMs)}s`;
  if (length < hourMs) return two(length, [minuteMs, "m"], [secondMs, "s"]);
  if (length < dayMs) return two(length, [hourMs, "h"], [minuteMs, "m"]);
  return two(length, [dayMs, "d"], [hourMs, "h"]);
}

function two(
  length: number,
  [largeMs, large]: readonly [number, string],
  [smallMs, small]: readonly [number, string],
): string {
  const rest = Math.floor((length % largeMs) / smallMs);
  return `${Math.floor(length / largeMs)}${large}${rest === 0 ? "" : ` ${rest}${small}`}`;
}

/** `3m 20s ago`, `in 2d`, `now`. */
export function formatRelative(ms: number, nowMs: number): string {
  const span = ms - nowMs;
  if (Math.abs(span) < secondMs) return "now";
  return span < 0 ? `${formatSpan(span)} ago` : `in ${formatSpan(span)}`;
}

/** Both: `2026-03-01 09:05:07 (3m 20s ago)`. */
export function formatWhen(ms: number, nowMs: number): string {
  return `${formatInstant(ms)} (${formatRelative(ms, nowMs)})`;
}

/** An instant as people give it: `2h` (that long ago), an ISO date or time, or milliseconds since 1970. */
export function parseInstant(text: string, nowMs: number): number {
  if (/^\d{10,}$/.test(text)) return Number(text);
  if (/^\d{4}-\d{2}/.test(text)) {
    const ms = Date.parse(text);
    if (!Number.isNaN(ms)) return ms;
  } else {
    try {
      return nowMs - parseDuration(text);
    } catch (error) {
      if (!isAionError(error)) throw error;
    }
  }
  throw new AionError("invalid_argument", `${JSON.stringify(text)} is no time`, {
    hint: 'Write how long ago ("2h", "3 days"), or a date ("2026-03-01", "2026-03-01T09:00:00Z").',
  });
}
