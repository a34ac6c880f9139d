import type { Attributes } from "./attributes.ts";
import type { EventType } from "./event.ts";
import type { RunId, WorkflowId } from "./ids.ts";
import type { Payload } from "./payload.ts";

/**
 * What happens at a time of a schedule while a run that the schedule started is still open. Runs that were started under `allow-all`
 * stand in nobody's way.
 * - `skip` (default): the time is skipped. - `buffer-one`: the first such time waits for the end; those after it are skipped.
 * - `cancel-other`, `terminate-other`: the open run is told to end, and the latest time starts when it has ended.
 * - `allow-all`: it starts beside it.
 */
export type OverlapPolicy = "skip" | "buffer-one" | "cancel-other" | "terminate-other" | "allow-all";

export const overlapPolicies: readonly OverlapPolicy[] = [
  "skip",
  "buffer-one",
  "cancel-other",
  "terminate-other",
  "allow-all",
];

export interface CronRule {
  /** Five fields (minute, hour, day of month, month, day of week), six with seconds first, or a nickname such as `@daily`. */
  readonly expression: string;
  /** An IANA name, such as `Europe/Berlin`. Default: UTC. */
  readonly timeZone?: string;
}

export interface IntervalRule {
  /** Counted from 1970-01-01T00:00:00Z, so that the times do not depend on when the schedule was made. */
  readonly everyMs: number;
  /** Less than `everyMs`. */
  readonly offsetMs?: number;
}

/** When: the times of all rules together, each once. With a time to start by and its successor, a function of nothing else. */
export interface ScheduleSpec {
  readonly crons?: readonly CronRule[];
  readonly intervals?: readonly IntervalRule[];
  /** Bounds, inclusive; milliseconds since 1970. */
  readonly startAt?: number;
  readonly endAt?: number;
  /** A time starts late by up to so much, always by the same for the same time, and before the next time comes. */
  readonly jitterMs?: number;
}

/** What is started: its workflow id is the prefix and the time. */
export interface ScheduleAction {
  readonly workflowType: string;
  /** Default: the id of the schedule. */
  readonly workflowIdPrefix?: string;
  readonly runTimeoutMs?: number;
  readonly executionTimeoutMs?: number;
  /** What its runs can be found by from the beginning. */
  readonly attributes?: Attributes;
}

export interface ScheduleConfig {
  readonly spec: ScheduleSpec;
  readonly action: ScheduleAction;
  readonly overlap: OverlapPolicy;
  /** A time that could not start for longer than this (no engine ran) is skipped. */
  readonly catchUpWindowMs: number;
  /** So many times start, and then none any more; those that are asked for by hand are not counted. */
  readonly actionsMax?: number;
}

export const catchUpWindowMsDefault = 24 * 3_600_000;

/** Why a time was not started. */
export type SkipReason =
  /** A run that the schedule had started was open. */
  | "overlap"
  /** It could not start within the catch-up window: no engine ran. */
  | "missed"
  /** Many more were due with it, and may run beside each other: the latest were started. */
  | "too-many"
  | "paused"
  /** Times that waited when the schedule was changed, or deleted. */
  | "updated"
  | "deleted"
  /** There is a workflow of that id. */
  | "workflow-id-taken"
  /** The type is not there any more, or does not take the input. */
  | "start-refused";

/** How many times were skipped, by the reason. */
export type SkipCounts = Readonly<Partial<Record<SkipReason, number>>>;

export type StartCause = "time" | "trigger" | "backfill";
export type BackfillOverlap = "allow-all" | "one-by-one";

/** How the run of a schedule is known: its type, and its workflow id. Nobody else may have them. */
export const coordinatorType = "aion.schedule";
export const coordinatorPrefix = `${coordinatorType}:`;

export function coordinatorIdOf(scheduleId: string): WorkflowId {
  return `${coordinatorPrefix}${scheduleId}` as WorkflowId;
}

export function isCoordinatorId(workflowId: string): boolean {
  return workflowId.startsWith(coordinatorPrefix);
}

/** Short enough that the ids of the coordinator and of what it starts are ids. */
export const scheduleIdLengthMax = 200;

/** A start that its coordinator waits for. */
export interface WatchedRun {
  readonly ordinal: number;
  readonly workflowId: WorkflowId;
  readonly nominalAt: number;
  readonly triggeredAt: number;
  isEndAsked: boolean;
}

/** What became of a time, for people who look. */
export interface ScheduleActionRecord {
  readonly at: number;
  readonly nominalAt: number;
  readonly outcome: "started" | SkipReason;
  /** Of a range that was skipped: its last time, and how many. */
  readonly untilAt?: number;
  readonly count?: number;
  readonly workflowId?: string;
  readonly cause?: StartCause;
}

export interface BackfillRange {
  /** Times after this one, up to `toAt`. */
  cursorAt: number;
  readonly toAt: number;
  readonly overlap: BackfillOverlap;
}

/** All that is known of a schedule. Carried from one run of the coordinator to the next as its input. */
export interface ScheduleSnapshot {
  readonly scheduleId: string;
  /** The first run of the coordinator: a schedule of the same id that was made after it was deleted is another one. */
  readonly incarnation: RunId;
  readonly config: ScheduleConfig;
  /** Of what is started. */
  readonly input: Payload;
  readonly createdAt: number;
  readonly updatedAt?: number;
  readonly paused?: { readonly at: number; readonly note?: string };
  /** Times up to this one are decided. */
  readonly cursorAt: number;
  /** Times up to this one came due while another one waited: they are skipped. */
  readonly skipUntilAt?: number;
  /** When the last run that was watched ended. */
  readonly freedAt?: number;
  readonly actionsLeft?: number;
  readonly nextOrdinal: number;
  readonly running: readonly WatchedRun[];
  readonly backfills: readonly BackfillRange[];
  readonly startedCount: number;
  readonly skippedCount: number;
  /** Absent: not counted yet. */
  readonly skippedFor?: SkipCounts;
  readonly recent: readonly ScheduleActionRecord[];
  /** Ids of requests that were carried out, with what a repeated one is answered, and the event that it became. */
  readonly requests: readonly (readonly [id: string, answer: string, type?: EventType])[];
}
