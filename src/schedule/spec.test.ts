import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ScheduleSpec } from "../core/schedule.ts";
import { Times, parseSpec, toStartedId } from "./spec.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);
const minute = 60_000;
const hour = 60 * minute;

interface ClockMinute {
  readonly at: number;
  /** What the clock shows, as if it were UTC. */
  readonly wall: number;
  readonly hours: number;
  readonly minutes: number;
}

/** What a clock shows at every minute, from a day before on. */
function clockOf(timeZone: string, fromAt: number, untilAt: number): readonly ClockMinute[] {
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  const minutesOf: ClockMinute[] = [];
  for (let at = fromAt - 26 * hour; at <= untilAt; at += minute) {
    const parts = Object.fromEntries(
      format.formatToParts(at).map(({ type, value }) => [type, Number(value)]),
    );
    const { year = 0, month = 0, day = 0, hour: hours = 0, minute: minutes = 0 } = parts;
    minutesOf.push({ at, wall: Date.UTC(year, month - 1, day, hours, minutes), hours, minutes });
  }
  return minutesOf;
}

/** The times of a rule, found by looking at every minute's clock: shares nothing with the library. */
function timesByClock(
  rule: { readonly minutes: readonly number[] | "*"; readonly hours: readonly number[] | "*" },
  clock: readonly ClockMinute[],
  fromAt: number,
): readonly number[] {
  const isOf = (list: readonly number[] | "*", value: number): boolean =>
    list === "*" || list.includes(value);
  const isFixed = rule.minutes !== "*" && rule.hours !== "*";
  const seen = new Set<number>();
  const times: number[] = [];
  let before = clock[0]?.wall ?? 0;
  for (const { at, wall, hours, minutes } of clock) {
    let isTime = isOf(rule.hours, hours) && isOf(rule.minutes, minutes);
    // A fixed time of day comes once a day: the first of two, and one that is left out at the end of the gap.
    if (isFixed && isTime && seen.has(wall)) isTime = false;
    if (isFixed && wall - before > minute) {
      for (let gone = before + minute; gone < wall; gone += minute) {
        const left = new Date(gone);
        if (isOf(rule.hours, left.getUTCHours()) && isOf(rule.minutes, left.getUTCMinutes())) isTime = true;
      }
    }
    if (isTime) {
      seen.add(wall);
      if (at > fromAt) times.push(at);
    }
    before = wall;
  }
  return times;
}

/** Without what one asked before remembers. */
function fresh(spec: ScheduleSpec): Times {
  return Times.of({ ...spec });
}

function timesOf(spec: ScheduleSpec, fromAt: number, untilAt: number): readonly number[] {
  const times: number[] = [];
  const of = Times.of(spec);
  for (let at = of.next(fromAt); at !== undefined && at <= untilAt; at = of.next(at)) times.push(at);
  return times;
}

const fields = fc.record({
  minutes: fc.oneof(fc.constant("*" as const), fc.constantFrom([0], [30], [15, 45], [59], [0, 20, 40])),
  hours: fc.oneof(fc.constant("*" as const), fc.constantFrom([0], [1], [2], [3], [2, 14], [1, 2, 3], [23])),
});
const toExpression = ({
  minutes,
  hours,
}: {
  minutes: readonly number[] | "*";
  hours: readonly number[] | "*";
}): string => `${minutes === "*" ? "*" : minutes.join(",")} ${hours === "*" ? "*" : hours.join(",")} * * *`;

/** A day on which clocks are put forward or back, in each of several zones, one of them by half an hour. */
const changes: readonly (readonly [zone: string, at: number])[] = [
  ["Europe/Berlin", Date.UTC(2026, 2, 29, 1)],
  ["Europe/Berlin", Date.UTC(2026, 9, 25, 1)],
  ["America/New_York", Date.UTC(2026, 2, 8, 7)],
  ["America/New_York", Date.UTC(2026, 10, 1, 6)],
  ["Australia/Lord_Howe", Date.UTC(2026, 3, 4, 15)],
  ["Australia/Lord_Howe", Date.UTC(2026, 9, 3, 15, 30)],
  ["America/Santiago", Date.UTC(2026, 8, 6, 4)],
  ["Asia/Kolkata", Date.UTC(2026, 5, 1)],
  ["UTC", Date.UTC(2027, 0, 1)],
];

describe("the times of a specification", () => {
  it.each(changes)("are those of the clocks of %s around %d, put forward or back", (timeZone, at) => {
    // I-33
    const [from, until] = [at - 26 * hour, at + 26 * hour];
    const clock = clockOf(timeZone, from, until);
    fc.assert(
      fc.property(fields, (rule) => {
        const spec = { crons: [{ expression: toExpression(rule), timeZone }] };
        expect(timesOf(spec, from, until)).toEqual(timesByClock(rule, clock, from));
      }),
      { seed, numRuns: 40 },
    );
  });

  it("come in order, each later than what was asked for, and do not depend on where one begins", () => {
    // I-33
    const spec: ScheduleSpec = {
      crons: [{ expression: "*/7 * * * *" }, { expression: "0 12 * * 1", timeZone: "Asia/Tokyo" }],
      intervals: [{ everyMs: 11 * minute, offsetMs: 90_000 }],
    };
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 3 * 24 * 60 }),
        fc.integer({ min: 0, max: 59_999 }),
        (minutes, ms) => {
          const after = Date.UTC(2026, 10, 20) + minutes * minute + ms;
          const next = Times.of(spec).next(after) ?? 0;
          expect(next).toBeGreaterThan(after);
          // Nothing lies between.
          expect(fresh(spec).next(next - 1)).toBe(next);
          const between = after + Math.floor((next - after) / 2);
          expect(fresh(spec).next(between)).toBe(next);
        },
      ),
      { seed },
    );
  });

  it("of an interval are counted from 1970", () => {
    const spec = { intervals: [{ everyMs: 6 * hour, offsetMs: hour }] };
    const day = Date.UTC(2026, 5, 1);
    expect(timesOf(spec, day, day + 24 * hour)).toEqual([1, 7, 13, 19].map((hours) => day + hours * hour));
    expect(Times.of(spec).within(day, day + 1_000 * 24 * hour)).toEqual({
      fromAt: day + hour,
      toAt: day + 1_000 * 24 * hour - 5 * hour,
      count: 4_000,
      isLeast: false,
    });
  });

  it("keep to their bounds, both of which are times themselves", () => {
    const day = Date.UTC(2026, 5, 1);
    const spec = { intervals: [{ everyMs: hour }], startAt: day, endAt: day + 2 * hour };
    expect(timesOf(spec, 0, day + 24 * hour)).toEqual([day, day + hour, day + 2 * hour]);
  });

  it("of two rules that fall together are one", () => {
    const day = Date.UTC(2026, 5, 1);
    const spec = { crons: [{ expression: "0 * * * *" }], intervals: [{ everyMs: 30 * minute }] };
    expect(timesOf(spec, day, day + 2 * hour)).toEqual([1, 2, 3, 4].map((half) => day + half * 30 * minute));
  });

  it("take seconds and nicknames", () => {
    const day = Date.UTC(2026, 5, 1);
    expect(timesOf({ crons: [{ expression: "*/20 * * * * *" }] }, day, day + minute)).toHaveLength(3);
    expect(Times.of({ crons: [{ expression: "@daily" }] }).next(day)).toBe(day + 24 * hour);
  });

  it("are late by the same each time one asks, and never as late as the next one", () => {
    const spec = { crons: [{ expression: "* * * * *" }], jitterMs: 10 * minute };
    const lates = timesOf(spec, 0, 200 * minute).map((at) => Times.of(spec).jitter("s", at));
    expect(Math.max(...lates)).toBeLessThan(minute);
    expect(new Set(lates).size).toBeGreaterThan(150);
    expect(timesOf(spec, 0, 200 * minute).map((at) => Times.of({ ...spec }).jitter("s", at))).toEqual(lates);
  });

  it("that are more than can be counted at once say so", () => {
    const spec = { crons: [{ expression: "* * * * * *" }] };
    expect(Times.of(spec).within(0, hour)).toMatchObject({ count: 2_000, isLeast: true });
  });

  it.each([
    [{ crons: [{ expression: "2026-01-01T00:00:00" }] }, /five or six fields/],
    [{ crons: [{ expression: "@often" }] }, /cannot be read/],
    [{ crons: [{ expression: "0 0 * * * * *" }] }, /five or six fields/],
    [{ intervals: [{ everyMs: 10 }] }, /length of an interval/],
    [{ intervals: [{ everyMs: 1_000, offsetMs: 1_000 }] }, /offset of an interval/],
    [{ intervals: [{ everyMs: 1_000 }], startAt: 5, endAt: 4 }, /before its start/],
    [{ intervals: [{ everyMs: 1_000 }], endAt: 4 }, /no time that is to come/],
    [{ intervals: [{ everyMs: 1_000 }], jitterMs: -1 }, /jitter/],
  ])("are refused when they make no sense: %j", (spec, why) => {
    expect(() => parseSpec(spec, 1_000_000)).toThrow(why);
  });

  it("give workflow ids that one can read", () => {
    expect(toStartedId("report", Date.UTC(2026, 10, 27, 9))).toBe("report-2026-11-27T09:00:00Z");
    expect(toStartedId("report", Date.UTC(2026, 10, 27, 9) + 7)).toBe("report-2026-11-27T09:00:00.007Z");
  });
});

describe("the latest times", () => {
  const fromAt = Date.UTC(2026, 2, 1);
  const specs: readonly ScheduleSpec[] = [
    { intervals: [{ everyMs: 1_000 }] },
    { intervals: [{ everyMs: 1_000 }, { everyMs: 1_500, offsetMs: 250 }] },
    { crons: [{ expression: "* * * * * *" }] },
    // Most of them lie long before the end.
    { crons: [{ expression: "* * 0 * * *" }] },
    { crons: [{ expression: "0 9 * * *" }], intervals: [{ everyMs: 7_000 }] },
  ];

  it.each(specs)("are as many as are asked for, or nearly, and none is left out behind them: %j", (spec) => {
    const times = Times.of(spec);
    const untilAt = fromAt + 12 * hour;
    for (const max of [1, 10, 100]) {
      const at = times.latest(fromAt, untilAt, max);
      expect(at).toBeDefined();
      const count = times.within(at ?? 0, untilAt)?.count ?? 0;
      expect(count).toBeLessThanOrEqual(max);
      expect(count).toBeGreaterThanOrEqual(0.9 * max);
    }
  });

  it("are not looked for while there are few: each is counted once, however often it is asked", () => {
    let asked = 0;
    const times = Times.of({ crons: [{ expression: "0 * * * * *" }] });
    const next = times.next.bind(times);
    times.next = (at) => {
      asked += 1;
      return next(at);
    };
    for (let at = fromAt; at < fromAt + 900 * minute; at += minute)
      expect(times.latest(at, fromAt + 900 * minute, 1_000)).toBeUndefined();
    expect(asked).toBeLessThan(5_000);
    // Times that pass meanwhile are counted, too.
    expect(times.latest(fromAt, fromAt + 1_000 * minute, 1_000)).toBeUndefined();
    expect(times.latest(fromAt, fromAt + 1_001 * minute, 1_000)).toBeGreaterThanOrEqual(fromAt);
  });
});
