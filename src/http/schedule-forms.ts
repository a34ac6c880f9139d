import { z } from "zod";
import { overlapPolicies } from "../core/schedule.ts";
import { attributes, instant, json, list, maybe, milliseconds } from "./basic-forms.ts";

/** The forms of schedules: in events, in answers, and in what commands print. */

export const overlapPolicy = z.enum(
  overlapPolicies as readonly [(typeof overlapPolicies)[number], ...(typeof overlapPolicies)[number][]],
);
export const startCause = z.enum(["time", "trigger", "backfill"]);
export const backfillOverlap = z.enum(["allow-all", "one-by-one"]);
export const skipReason = z
  .enum([
    "overlap",
    "missed",
    "too-many",
    "paused",
    "updated",
    "deleted",
    "workflow-id-taken",
    "start-refused",
  ])
  .describe(
    "`missed`: it could not start within the catch-up window. `too-many`: more than a thousand were due at once, and the latest of them started.",
  );

const spec = z.object({
  crons: maybe(list(z.object({ expression: z.string(), timeZone: maybe(z.string()) }))),
  intervals: maybe(list(z.object({ everyMs: milliseconds, offsetMs: maybe(milliseconds) }))),
  startAt: maybe(instant),
  endAt: maybe(instant),
  jitterMs: maybe(milliseconds),
});

const action = z.object({
  workflowType: z.string(),
  workflowIdPrefix: maybe(z.string().describe("Default: the id of the schedule.")),
  runTimeoutMs: maybe(milliseconds),
  executionTimeoutMs: maybe(milliseconds),
  attributes: maybe(attributes),
});

export const scheduleConfig = z.object({
  spec,
  action,
  overlap: overlapPolicy,
  catchUpWindowMs: milliseconds,
  actionsMax: maybe(z.number()),
});

const scheduleSummary = z.object({
  scheduleId: z.string(),
  spec,
  workflowType: z.string(),
  overlap: overlapPolicy,
  state: z.enum(["active", "paused", "ended"]).describe("`ended`: no time is to come."),
  note: maybe(z.string().describe("Why it is paused.")),
  nextAt: maybe(instant),
  silentUntilAt: maybe(
    instant.describe(
      "The clock was set back since times up to here were decided on: nothing starts before. Delete it and create it again to have it start now.",
    ),
  ),
  runningCount: z.number().describe("Runs that it waits for."),
  startedCount: z.number(),
  skippedCount: z.number(),
  createdAt: instant,
});

export const schedulePage = z.object({
  schedules: list(scheduleSummary),
  nextCursor: maybe(z.string().describe("There are more: where the next page begins.")),
});

export const scheduleDescription = scheduleSummary.extend({
  action: action.extend({ input: json }),
  catchUpWindowMs: milliseconds,
  skippedFor: z.record(z.string(), z.number()).describe("How many times were skipped, by the reason."),
  actionsLeft: maybe(z.number()),
  updatedAt: maybe(instant),
  nextTimes: list(instant),
  running: list(z.object({ workflowId: z.string(), nominalAt: instant, startedAt: instant })),
  backfills: list(z.object({ toAt: instant, overlap: backfillOverlap })).describe("Those that are not done."),
  recent: list(
    z.object({
      at: instant.describe("When it was decided."),
      nominalAt: instant,
      outcome: z.union([z.literal("started"), skipReason]),
      untilAt: maybe(instant.describe("Of a range that was skipped: its last time.")),
      count: maybe(z.number()),
      workflowId: maybe(z.string()),
      cause: maybe(startCause),
    }),
  ).describe("The latest first."),
  coordinatorId: z.string().describe("The workflow id of its coordinator, whose history has everything."),
});
