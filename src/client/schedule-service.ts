import type { Attributes } from "../core/attributes.ts";
import type { Payload } from "../core/payload.ts";
import type {
  BackfillOverlap,
  OverlapPolicy,
  ScheduleActionRecord,
  ScheduleSpec,
  SkipCounts,
} from "../core/schedule.ts";

/** Of every call. */
export interface CallOptions {
  /**
   * When it fires, nobody waits for the answer any more. What was asked for may happen all the same: a call that changes something and has
   * an id of its own (`requestId`, `signalId`, `updateId`) can be made again, and has no second effect.
   */
  readonly abortSignal?: AbortSignal;
}

/** What an engine does about schedules. Every mutating call resolves after its commit is on disk. */
export interface ScheduleService {
  createSchedule(request: CreateScheduleRequest, options?: CallOptions): Promise<CreateScheduleReply>;
  /** What is not given stays as it is. */
  updateSchedule(request: UpdateScheduleRequest, options?: CallOptions): Promise<void>;
  describeSchedule(request: DescribeScheduleRequest, options?: CallOptions): Promise<ScheduleDescription>;
  /** The one that was made last comes first. */
  listSchedules(request: ListSchedulesRequest, options?: CallOptions): Promise<ListSchedulesReply>;
  pauseSchedule(request: PauseScheduleRequest, options?: CallOptions): Promise<void>;
  resumeSchedule(request: ScheduleRequest, options?: CallOptions): Promise<void>;
  /** Starts the action now. */
  triggerSchedule(request: TriggerScheduleRequest, options?: CallOptions): Promise<TriggerScheduleReply>;
  /** Starts the times of a range that has passed. */
  backfillSchedule(request: BackfillScheduleRequest, options?: CallOptions): Promise<BackfillScheduleReply>;
  /** Runs that it has started go on. */
  deleteSchedule(request: ScheduleRequest, options?: CallOptions): Promise<void>;
}

export interface ScheduleAddress {
  readonly scheduleId: string;
}

export interface ScheduleRequest extends ScheduleAddress {
  /** Names this call: repeated with the same one, it changes nothing more. */
  readonly requestId?: string;
}

/** What is started: a workflow id is the prefix and the time, `report-2026-11-27T09:00:00Z`. */
export interface ScheduleActionRequest {
  readonly workflowType: string;
  readonly input: Payload;
  /** Default: the id of the schedule. */
  readonly workflowIdPrefix?: string;
  readonly runTimeoutMs?: number;
  readonly executionTimeoutMs?: number;
  /** What the runs can be found by from the beginning. */
  readonly attributes?: Attributes;
}

export interface CreateScheduleRequest extends ScheduleRequest {
  readonly spec: ScheduleSpec;
  readonly action: ScheduleActionRequest;
  /** Default `"skip"`. */
  readonly overlap?: OverlapPolicy;
  /** Default 24 hours. Of times within it that are due together, no more than a thousand start. */
  readonly catchUpWindowMs?: number;
  /** Default: without end. */
  readonly actionsMax?: number;
  readonly isPaused?: boolean;
  /** Why it is paused. */
  readonly note?: string;
}

export interface CreateScheduleReply {
  readonly scheduleId: string;
  /** False: it was there already, and is the same. */
  readonly isNew: boolean;
}

export interface UpdateScheduleRequest extends ScheduleRequest {
  readonly spec?: ScheduleSpec;
  readonly action?: ScheduleActionRequest;
  readonly overlap?: OverlapPolicy;
  readonly catchUpWindowMs?: number;
  /** From now on. `null`: without end. */
  readonly actionsMax?: number | null;
}

export interface DescribeScheduleRequest extends ScheduleAddress {
  /** How many of the times to come are told. Default 5, at most 100. */
  readonly nextCount?: number;
}

export interface PauseScheduleRequest extends ScheduleRequest {
  readonly note?: string;
}

export interface TriggerScheduleRequest extends ScheduleRequest {
  /**
   * `"skip"`: refused (`schedule_busy`) while a run is open that the schedule waits for. Default: `"allow-all"` if that is the policy
   * of the schedule, else `"skip"`.
   */
  readonly overlap?: "skip" | "allow-all";
}

export interface TriggerScheduleReply {
  readonly workflowId: string;
}

export interface BackfillScheduleRequest extends ScheduleRequest {
  /** Bounds, inclusive; milliseconds since 1970. Both have passed. */
  readonly fromAt: number;
  readonly toAt: number;
  /** `"one-by-one"` (default): each waits for the end of the one before it. `"allow-all"`: all at once. */
  readonly overlap?: BackfillOverlap;
}

export interface BackfillScheduleReply {
  /** Times in the range. */
  readonly count: number;
}

export interface ListSchedulesRequest {
  readonly limit: number;
  readonly cursor?: string;
}

export interface ListSchedulesReply {
  readonly schedules: readonly ScheduleSummary[];
  readonly nextCursor?: string;
}

export interface ScheduleSummary {
  readonly scheduleId: string;
  readonly spec: ScheduleSpec;
  readonly workflowType: string;
  readonly overlap: OverlapPolicy;
  /** `ended`: no time is to come. */
  readonly state: "active" | "paused" | "ended";
  readonly note?: string;
  /** Absent: paused, or there is none. */
  readonly nextAt?: number;
  /**
   * The clock was set back since times up to here were decided on: none of them starts a second time, and so nothing does before. To
   * have it start now, delete it and create it again.
   */
  readonly silentUntilAt?: number;
  /** Runs that it waits for. */
  readonly runningCount: number;
  readonly startedCount: number;
  readonly skippedCount: number;
  readonly createdAt: number;
}

export interface ScheduleDescription extends ScheduleSummary {
  readonly action: ScheduleActionRequest;
  readonly catchUpWindowMs: number;
  readonly skippedFor: SkipCounts;
  readonly actionsLeft?: number;
  readonly updatedAt?: number;
  readonly nextTimes: readonly number[];
  readonly running: readonly {
    readonly workflowId: string;
    readonly nominalAt: number;
    readonly startedAt: number;
  }[];
  /** Ranges that are not done. */
  readonly backfills: readonly { readonly toAt: number; readonly overlap: BackfillOverlap }[];
  /** The latest first. */
  readonly recent: readonly ScheduleActionRecord[];
  /** Its coordinator: whose history has everything. */
  readonly coordinatorId: string;
}
