import type { ScheduleDescription, ScheduleSummary } from "../client/schedule-service.ts";
import type { ScheduleActionRecord, ScheduleSpec } from "../core/schedule.ts";
import { formatInstant, formatRelative, formatSpan, formatWhen } from "./instant.ts";
import { style } from "./output.ts";
import { printable } from "./printable.ts";
import { shownAttributes } from "./run-view.ts";
import { table } from "./table.ts";

/** The rules of a schedule, in one line. */
export function describeSpec({ crons = [], intervals = [], startAt, endAt, jitterMs }: ScheduleSpec): string {
  const rules = [
    ...crons.map(({ expression, timeZone }) =>
      printable(`${expression}${timeZone === undefined ? "" : ` ${timeZone}`}`),
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

export function describeSchedules(schedules: readonly ScheduleSummary[], nowMs: number): string {
  if (schedules.length === 0) return "no schedules";
  return table(
    [
      { title: "SCHEDULE", cut: "middle" },
      { title: "STATE" },
      { title: "STARTS", cut: "middle" },
      { title: "TIMES", cut: "end" },
      { title: "NEXT" },
      { title: "STARTED", leaveOut: 2 },
      { title: "SKIPPED", leaveOut: 1 },
    ],
    schedules.map((one) => [
      printable(one.scheduleId),
      one.silentUntilAt === undefined ? one.state : "silent",
      printable(one.workflowType),
      describeSpec(one.spec),
      one.nextAt === undefined ? "" : formatRelative(one.nextAt, nowMs),
      String(one.startedCount),
      String(one.skippedCount),
    ]),
  );
}

const indent = 12;

export function describeSchedule(of: ScheduleDescription, nowMs: number): string {
  const { action, note } = of;
  const facts: readonly (readonly [string, string | undefined])[] = [
    ["state", note === undefined ? of.state : `${of.state}: ${printable(note)}`],
    [
      "silent",
      of.silentUntilAt === undefined
        ? undefined
        : `until ${formatWhen(of.silentUntilAt, nowMs)}: the clock was set back since those times were decided on`,
    ],
    ["times", describeSpec(of.spec)],
    ["starts", `${printable(of.workflowType)}  ${printable(action.input)}`],
    [
      "ids",
      action.workflowIdPrefix === undefined ? undefined : `${printable(action.workflowIdPrefix)}-<time>`,
    ],
    ["found by", action.attributes === undefined ? undefined : shownAttributes(action.attributes)],
    ["overlap", of.overlap],
    ["catch up", formatSpan(of.catchUpWindowMs)],
    ["left", of.actionsLeft === undefined ? undefined : String(of.actionsLeft)],
    ["created", formatWhen(of.createdAt, nowMs)],
    ["changed", of.updatedAt === undefined ? undefined : formatWhen(of.updatedAt, nowMs)],
    ["started", String(of.startedCount)],
    ["skipped", describeSkips(of)],
  ];
  const lines = [style("bold", printable(of.scheduleId))];
  for (const [name, value] of facts)
    if (value !== undefined) lines.push(`  ${style("dim", name.padEnd(indent - 2))}${value}`);
  const part = (title: string, rows: readonly (readonly string[])[]): void => {
    if (rows.length > 0) lines.push("", style("dim", title), table([{ title: "" }, { title: "" }], rows));
  };
  part(
    of.state === "paused" ? "NEXT, IF IT IS RESUMED" : "NEXT",
    of.nextTimes.map((at) => [`  ${formatWhen(at, nowMs)}`]),
  );
  part(
    "RUNNING",
    of.running.map(({ workflowId, startedAt }) => [
      `  ${printable(workflowId)}`,
      `since ${formatWhen(startedAt, nowMs)}`,
    ]),
  );
  part(
    "TO BE FILLED IN",
    of.backfills.map(({ toAt, overlap }) => [`  up to ${formatInstant(toAt)}`, overlap]),
  );
  part(
    "LATEST",
    of.recent.map((record) => [`  ${formatInstant(record.nominalAt)}`, describeRecord(record)]),
  );
  return lines.join("\n");
}

function describeSkips({ skippedCount, skippedFor }: ScheduleDescription): string {
  const reasons = Object.entries(skippedFor).map(([reason, count]) => `${reason} ${count}`);
  return reasons.length === 0 ? String(skippedCount) : `${skippedCount}: ${reasons.join(", ")}`;
}

function describeRecord({ outcome, workflowId, untilAt, count, cause }: ScheduleActionRecord): string {
  if (outcome === "started")
    return `started ${printable(workflowId ?? "")}${cause === undefined || cause === "time" ? "" : ` (${cause})`}`;
  const range = count === undefined || count === 1 ? "" : ` ${count}, to ${formatInstant(untilAt ?? 0)}`;
  return `skipped${range}: ${outcome}${workflowId === undefined ? "" : ` (${printable(workflowId)})`}`;
}
