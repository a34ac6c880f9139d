import { AionError } from "./errors.ts";

/** A length of time: milliseconds, or text such as `"30s"`, `"2 days"`, `"1h 30m"`. */
export type Duration = number | string;

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  millisecond: 1,
  milliseconds: 1,
  s: 1_000,
  sec: 1_000,
  secs: 1_000,
  second: 1_000,
  seconds: 1_000,
  m: 60_000,
  min: 60_000,
  mins: 60_000,
  minute: 60_000,
  minutes: 60_000,
  h: 3_600_000,
  hr: 3_600_000,
  hrs: 3_600_000,
  hour: 3_600_000,
  hours: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  days: 86_400_000,
  w: 604_800_000,
  week: 604_800_000,
  weeks: 604_800_000,
};

/** About 10,000 years; beyond it instants stop being exact dates. */
export const durationMsMax = 315_360_000_000_000;

const formHint =
  'Write milliseconds as a number, or text such as "500ms", "30s", "5 minutes", "2h", "2 days", "1h 30m".';
/** Of what was given, in a message. */
const shownMax = 100;

/** Milliseconds, a whole number of 0 or more (parts of a millisecond round up). Throws `invalid_argument`. */
export function parseDuration(duration: Duration, what = "duration"): number {
  // Whoever writes JavaScript, or a configuration, may hand in anything.
  const given: unknown = duration;
  if (typeof given !== "number" && typeof given !== "string") {
    throw new AionError("invalid_argument", `${what} must be a number or a text, got ${typeof given}`, {
      hint: formHint,
    });
  }
  const ms = typeof given === "number" ? given : parseText(given, what);
  if (!Number.isFinite(ms) || ms < 0 || ms > durationMsMax) {
    throw new AionError(
      "invalid_argument",
      `${what} must be between 0 and ${durationMsMax} milliseconds, got ${String(given).slice(0, shownMax)}`,
    );
  }
  return Math.ceil(ms);
}

function parseText(text: string, what: string): number {
  const part = /\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*,?/giy;
  let total = 0;
  while (part.lastIndex < text.length) {
    const match = part.exec(text);
    const unit = match === null ? undefined : unitMs[(match[2] ?? "").toLowerCase()];
    if (match === null || unit === undefined) {
      throw new AionError(
        "invalid_argument",
        `${what} ${JSON.stringify(text.slice(0, shownMax))} is no duration`,
        {
          hint: formHint,
        },
      );
    }
    // 8.05 * 1000 is 8050.000000000001 in binary fractions, which would round up to 8051.
    total += Number((Number(match[1]) * unit).toPrecision(15));
  }
  if (text === "") throw new AionError("invalid_argument", `${what} is empty text`);
  return total;
}
