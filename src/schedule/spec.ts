import { Cron } from "croner";
import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { CronRule, IntervalRule, ScheduleSpec } from "../core/schedule.ts";

/** Rules of one schedule, of both kinds together. */
const rulesMax = 50;
const expressionLengthMax = 200;
/** Of times of cron rules in a range, counted at once: a time takes some 30 µs. */
const countMax = 2_000;
/** 9999-12-31: instants beyond it are no dates that people write. */
const instantMax = 253_402_300_799_999;

/** The times in a range. */
export interface TimesWithin {
  readonly fromAt: number;
  /** The last one that was counted. */
  readonly toAt: number;
  readonly count: number;
  /** There are more than were counted. */
  readonly isLeast: boolean;
}

/** A specification that can be asked for its times. Pure: the same answers for ever (but for what governments do to time zones). */
export class Times {
  readonly #spec: ScheduleSpec;
  readonly #crons: readonly Cron[];
  #lastAsked: number | undefined;
  #lastAnswer: number | undefined;
  /** Of times that were few enough. */
  #counted: { readonly afterAt: number; readonly untilAt: number; readonly count: number } | undefined;

  private constructor(spec: ScheduleSpec) {
    this.#spec = spec;
    this.#crons = (spec.crons ?? []).map(toCron);
  }

  /** Made once for a specification: reading its expressions is most of the work. */
  static of(spec: ScheduleSpec): Times {
    let times = known.get(spec);
    if (times === undefined) {
      times = new Times(spec);
      known.set(spec, times);
    }
    return times;
  }

  /** The first time later than `afterAt`; `undefined`: there is none. */
  next(afterAt: number): number | undefined {
    if (this.#lastAsked === afterAt) return this.#lastAnswer;
    const { startAt, endAt = instantMax, intervals = [] } = this.#spec;
    const after = startAt === undefined ? afterAt : Math.max(afterAt, startAt - 1);
    let next = Number.POSITIVE_INFINITY;
    for (const rule of intervals) next = Math.min(next, nextOfInterval(rule, after));
    if (after < endAt)
      for (const cron of this.#crons)
        next = Math.min(next, cron.nextRun(new Date(after))?.getTime() ?? Number.POSITIVE_INFINITY);
    this.#lastAsked = afterAt;
    this.#lastAnswer = next <= endAt ? next : undefined;
    return this.#lastAnswer;
  }

  /** The times later than `afterAt` and not later than `untilAt`; `undefined`: there are none. */
  within(afterAt: number, untilAt: number, max = countMax): TimesWithin | undefined {
    const fromAt = this.next(afterAt);
    if (fromAt === undefined || fromAt > untilAt) return undefined;
    const [only, ...others] = this.#spec.intervals ?? [];
    if (only !== undefined && others.length === 0 && this.#crons.length === 0) {
      const more = Math.floor((Math.min(untilAt, this.#spec.endAt ?? instantMax) - fromAt) / only.everyMs);
      return { fromAt, toAt: fromAt + more * only.everyMs, count: more + 1, isLeast: false };
    }
    let toAt = fromAt;
    let count = 1;
    for (; ; count++) {
      const next = this.next(toAt);
      if (next === undefined || next > untilAt) return { fromAt, toAt, count, isLeast: false };
      if (count >= max) return { fromAt, toAt, count, isLeast: true };
      toAt = next;
    }
  }

  /**
   * An instant after which there are, up to `untilAt`, `max` times at the most, and most of them; `undefined`: after `afterAt` there
   * are no more. Asked again and again while times pass it counts each once.
   */
  latest(afterAt: number, untilAt: number, max: number): number | undefined {
    const countAfter = (at: number): number => this.within(at, untilAt, max + 1)?.count ?? 0;
    const known = this.#counted;
    if (known !== undefined && known.afterAt <= afterAt && known.untilAt <= untilAt) {
      const count = known.count + countAfter(known.untilAt);
      if (count <= max) {
        this.#counted = { ...known, untilAt, count };
        return undefined;
      }
    }
    const count = countAfter(afterAt);
    if (count <= max) {
      this.#counted = { afterAt, untilAt, count };
      return undefined;
    }
    let [many, few] = [afterAt, untilAt];
    while (few - many > 1) {
      const middle = Math.floor((many + few) / 2);
      const found = countAfter(middle);
      if (found > max) many = middle;
      else few = middle;
      // To the last of them it would be as many looks again.
      if (found <= max && found > 0.9 * max) break;
    }
    return few;
  }

  /** By how much a time of the schedule starts late: always the same, spread evenly, and before the next time. */
  jitter(scheduleId: string, nominalAt: number): number {
    const { jitterMs = 0 } = this.#spec;
    if (jitterMs === 0) return 0;
    const gapMs = (this.next(nominalAt) ?? Number.POSITIVE_INFINITY) - nominalAt;
    return hash(`${scheduleId} ${nominalAt}`) % Math.max(1, Math.min(jitterMs, gapMs));
  }
}

const known = new WeakMap<ScheduleSpec, Times>();

function nextOfInterval({ everyMs, offsetMs = 0 }: IntervalRule, afterAt: number): number {
  return (Math.floor((afterAt - offsetMs) / everyMs) + 1) * everyMs + offsetMs;
}

/** FNV-1a, 32 bits, and a finish that spreads neighbouring texts. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++)
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  return (value ^ (value >>> 13)) >>> 0;
}

/**
 * A rule with fixed hours and minutes comes once a day, whatever clocks do: a time that is left out comes when they have been put
 * forward, one that comes twice is the first of the two. A rule with `*` or steps comes as often as its times come.
 */
function toCron({ expression, timeZone = "UTC" }: CronRule): Cron {
  return new Cron(expression, {
    timezone: timeZone,
    paused: true,
    mode: expression.startsWith("@") ? "auto" : "5-or-6-parts",
    fixedTimeRule: "no-wildcard",
  });
}

/** Checks a specification that came from outside. `fromAt`: it has to have a time after this. Throws `invalid_argument`. */
export function parseSpec(spec: ScheduleSpec, fromAt: number): ScheduleSpec {
  const { crons = [], intervals = [], startAt, endAt, jitterMs } = spec;
  if (!Array.isArray(crons) || !Array.isArray(intervals))
    throw refusal("the `crons` and `intervals` of a schedule must be lists");
  const count = crons.length + intervals.length;
  if (count === 0)
    throw refusal(
      "a schedule needs at least one cron expression or interval",
      'For example a cron expression "0 9 * * 1-5", or an interval of "15m".',
    );
  if (count > rulesMax) throw refusal(`a schedule has at most ${rulesMax} rules, got ${count}`);
  const parsed: ScheduleSpec = {
    ...(crons.length === 0 ? {} : { crons: crons.map(parseCron) }),
    ...(intervals.length === 0 ? {} : { intervals: intervals.map(parseInterval) }),
    ...(startAt === undefined ? {} : { startAt: parseInstant(startAt, "startAt") }),
    ...(endAt === undefined ? {} : { endAt: parseInstant(endAt, "endAt") }),
    ...(jitterMs === undefined || jitterMs === 0 ? {} : { jitterMs: parseLength(jitterMs, "jitter", 0) }),
  };
  if (startAt !== undefined && endAt !== undefined && endAt < startAt)
    throw refusal("the end of a schedule is before its start");
  if (Times.of(parsed).next(fromAt) === undefined)
    throw refusal(
      "the schedule has no time that is to come",
      "Look at the day and the month of its expressions (February has no 30th), and at its end.",
    );
  return parsed;
}

function parseCron(rule: CronRule): CronRule {
  const { expression, timeZone } = rule;
  if (typeof expression !== "string" || expression.length > expressionLengthMax)
    throw refusal(`a cron expression must be a text of at most ${expressionLengthMax} characters`);
  if (timeZone !== undefined) demandTimeZone(timeZone);
  const text = expression.trim().replaceAll(/\s+/g, " ");
  const isNickname = text.startsWith("@");
  if (!isNickname && !/^\S+( \S+){4,5}$/.test(text))
    throw badCron(expression, "it has not five or six fields");
  const parsed: CronRule = { expression: text, ...(timeZone === undefined ? {} : { timeZone }) };
  try {
    toCron(parsed);
  } catch (error) {
    throw badCron(expression, messageOf(error).replace(/^CronPattern: /, ""), error);
  }
  return parsed;
}

/** A mere offset is none: clocks are put forward and back in a zone. */
function demandTimeZone(timeZone: string): void {
  let cause: unknown;
  if (typeof timeZone === "string" && !/^[+-]/.test(timeZone)) {
    try {
      Intl.DateTimeFormat("en", { timeZone });
      return;
    } catch (error) {
      cause = error;
    }
  }
  throw refusal(
    `there is no time zone ${JSON.stringify(timeZone)}`,
    'Name it as the IANA does: "Europe/Berlin", "America/New_York", "UTC"; of a fixed offset, "Etc/GMT-1" is UTC+01:00.',
    cause,
  );
}

function badCron(expression: string, why: string, cause?: unknown): AionError {
  return refusal(
    `the cron expression ${JSON.stringify(expression)} cannot be read: ${why}`,
    "Write minute, hour, day of month, month, day of week (with six fields, seconds come first): 0 9 * * 1-5 is nine o'clock on workdays.",
    cause,
  );
}

function parseInterval({ everyMs, offsetMs = 0 }: IntervalRule): IntervalRule {
  const every = parseLength(everyMs, "the length of an interval", 1_000);
  const offset = parseLength(offsetMs, "the offset of an interval", 0);
  if (offset >= every)
    throw refusal(`the offset of an interval (${offset} ms) must be less than its length (${every} ms)`);
  return { everyMs: every, ...(offset === 0 ? {} : { offsetMs: offset }) };
}

function parseLength(ms: number, what: string, min: number): number {
  if (Number.isSafeInteger(ms) && ms >= min && ms <= instantMax) return ms;
  throw refusal(`${what} must be a whole number of ${min} milliseconds or more, got ${String(ms)}`);
}

export function parseInstant(at: number, what: string): number {
  if (Number.isSafeInteger(at) && at >= 0 && at <= instantMax) return at;
  throw refusal(`${what} must be an instant in milliseconds since 1970, got ${String(at)}`);
}

function refusal(message: string, hint?: string, cause?: unknown): AionError {
  return new AionError("invalid_argument", message, {
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The workflow id of the run that starts at a time: `report-2026-11-27T09:00:00Z`. */
export function toStartedId(prefix: string, nominalAt: number): string {
  return `${prefix}-${new Date(nominalAt).toISOString().replace(".000Z", "Z")}`;
}
