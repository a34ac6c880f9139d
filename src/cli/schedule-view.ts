import type { ScheduleSpec } from "../core/schedule.ts";
import { formatInstant, formatSpan } from "./instant.ts";

/** The rules of a schedule, in one line. */
export function describeSpec({ crons = [], intervals = [], startAt, endAt, jitterMs }: ScheduleSpec): string {
  const rules = [
    ...crons.map(
      ({ expression, timeZone }) => `${expression}${timeZone === undefined ? "" : ` ${timeZone}`}`,
    ),
    ...intervals.map(
      ({ everyMs, offsetMs }) =>
        `every ${formatSpan(everyMs)}${offsetMs === undefined ? "" : ` + ${formatSpan(offsetMs)}`}`,
    ),
  ];
  return [
    rules.join("; "),
    ...(startAt === undefined ? [] : [`from ${formatInstant(startAt)}`]),
    ...(endAt === undefined ? [] : [`to ${formatInstant(endAt)}`]),
    ...(jitterMs === undefined ? [] : [`up to ${formatSpan(jitterMs)} late`]),
  ].join(", ");
}
