import type { Attributes } from "../core/attributes.ts";
import type { Event, EventType } from "../core/event.ts";
import type { Failure } from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
import type { LogLevel } from "../core/ports.ts";
import type { RunStatus } from "../core/status.ts";
import type { TraceContext } from "../core/tracing.ts";
import type { CallOptions, ScheduleService } from "./schedule-service.ts";

export type * from "./schedule-service.ts";

/** A call that may be part of a trace. */
export interface Traced {
  /** The span in which it is made. One that is malformed is none. */
  readonly trace?: TraceContext;
}

/**
 * What an engine does for its clients, as plain data: the embedded engine implements it, HTTP carries
 * it, and the typed `Client` stands on it. Every mutating call resolves after its commit is on disk.
 */
export interface Service extends ScheduleService {
  start(request: StartRequest, options?: CallOptions): Promise<StartReply>;
  signal(request: SignalRequest, options?: CallOptions): Promise<void>;
  query(request: QueryRequest, options?: CallOptions): Promise<Payload>;
  /**
   * Asks a run to do something and to answer. Accepted when that is on disk; waits up to `waitMs` for the outcome. Breaking off ends the
   * waiting, and not the update.
   */
  update(request: UpdateRequest, options?: CallOptions): Promise<UpdateReply>;
  /** What became of an update that was accepted; waits up to `waitMs` for its outcome. */
  updateResult(request: UpdateResultRequest, options?: CallOptions): Promise<UpdateReply>;
  cancel(request: EndRequest, options?: CallOptions): Promise<void>;
  terminate(request: EndRequest, options?: CallOptions): Promise<void>;
  /** From then on no code of the run moves and no attempt begins; what happens to it is recorded. Doing so again changes nothing. */
  pause(request: EndRequest, options?: CallOptions): Promise<void>;
  /** The code of a paused run learns what happened meanwhile, and goes on. */
  resume(request: EndRequest, options?: CallOptions): Promise<void>;
  /**
   * Decides on parked activities of a run: they are tried again, or one of them is given its outcome. Errors: `activity_not_parked`,
   * `payload_invalid`, `run_not_found`, `run_closed`, `run_blocked`.
   */
  resumeActivity(request: ResumeActivityRequest, options?: CallOptions): Promise<ResumeActivityReply>;
  /**
   * A run that failed, was cancelled or timed out goes on from before its end: a new lease of the same run. Refused with
   * `run_not_reopenable` if it could not do so exactly.
   */
  reopen(request: EndRequest, options?: CallOptions): Promise<void>;
  /**
   * The workflow goes on as a new run from an earlier point of one of its runs; the one that is open, if any, is terminated in the same
   * commit. Refused with `run_not_resettable` if the code of today could not go on exactly from there.
   */
  reset(request: ResetRequest, options?: CallOptions): Promise<ResetReply>;
  /** The same under another workflow id; nothing happens to the workflow that it is a copy of. Also `workflow_already_exists`. */
  fork(request: ForkRequest, options?: CallOptions): Promise<ResetReply>;
  /** Waits up to `waitMs` for the run to end; `{ status: "running" }` when it has not. */
  result(request: ResultRequest, options?: CallOptions): Promise<ResultReply>;
  describe(address: RunAddress, options?: CallOptions): Promise<RunDescription>;
  list(request: ListRequest, options?: CallOptions): Promise<ListReply>;
  count(filter: ListFilter, options?: CallOptions): Promise<number>;
  /** Events from `fromSeq`; with `waitMs`, waits that long for the first one. */
  history(request: HistoryRequest, options?: CallOptions): Promise<HistoryReply>;
  /**
   * What the code of a workflow id's runs said (`log`): lines after a cursor; with `waitMs`, waits up to that long for something to
   * happen to the workflow. There may be none in a page though there are more.
   */
  logs(request: LogsRequest, options?: CallOptions): Promise<LogsReply>;
  /**
   * Events of all runs, in the order of their commits: those after a cursor; with `waitMs`, waits that long for the first one.
   * Only what is on disk. Errors: `feed_off`, `cursor_expired` (something after the cursor may be missing).
   */
  feed(request: FeedRequest, options?: CallOptions): Promise<FeedReply>;
  /** Puts a package into the store, and routes its types to it. Doing so again changes nothing. */
  deploy(request: DeployRequest, options?: CallOptions): Promise<DeployReply>;
  /** The packages of the store, oldest first, and which of them new runs get. */
  listPackages(filter: PackageFilter, options?: CallOptions): Promise<PackagesReply>;
  /** Who works for the engine, and what waits for workers, as it is in this moment. */
  listWorkers(request: WorkersRequest, options?: CallOptions): Promise<WorkersReply>;
  /** All of the types or none: new runs of them get that version. */
  route(request: RouteRequest, options?: CallOptions): Promise<void>;
  /** Takes a package out of the store. Refused with `package_in_use` while anything needs it. */
  unload(request: UnloadRequest, options?: CallOptions): Promise<void>;
}

export interface DeployRequest {
  /** The bytes of the `.aion` file. */
  readonly archive: Uint8Array;
  /** False: its types keep the routes that they have. Default true. */
  readonly isRouted?: boolean;
  /** Names this call: repeated with the same one, it changes nothing more, though routes were changed in between. */
  readonly requestId?: string;
}

export interface DeployReply {
  /** SHA-256 of the archive, in hexadecimal. */
  readonly version: string;
  readonly workflowTypes: readonly string[];
  /** False: it was there already. */
  readonly isNew: boolean;
}

export interface PackageFilter {
  readonly workflowType?: string;
}

export interface PackagesReply {
  readonly packages: readonly PackageSummary[];
  /** As they were made; of a type the last one counts. */
  readonly routes: readonly {
    readonly workflowType: string;
    readonly version: string;
    readonly routedAt: number;
  }[];
}

export interface PackageSummary {
  readonly version: string;
  readonly sizeBytes: number;
  readonly deployedAt: number;
  readonly workflowTypes: readonly string[];
  /** Those of its types whose new runs get it. */
  readonly routedTypes: readonly string[];
}

export interface WorkersRequest {
  /** Only this task queue, and who takes tasks from it. */
  readonly taskQueue?: string;
}

export interface WorkersReply {
  /** Workers that are here, or may come back. */
  readonly workers: readonly WorkerInfo[];
  /** Task queues in which an activity waits for a worker, or has one. */
  readonly taskQueues: readonly TaskQueueInfo[];
}

/** What operators see of a worker. */
export interface WorkerInfo {
  readonly identity: string;
  readonly build?: string;
  /** `cut off`: it has no connection, and may come back. */
  readonly state: "ready" | "draining" | "cut off";
  readonly taskQueues: readonly string[];
  readonly activityTypes: readonly string[];
  readonly capacity: number;
  /** Tasks that it has, or is about to get. */
  readonly tasksInFlight: number;
}

/** What operators see of a task queue. */
export interface TaskQueueInfo {
  readonly taskQueue: string;
  /** Activities that stand in line. */
  readonly waitingCount: number;
  /** Since when the first of them does, in milliseconds since 1970; absent: nobody waits. */
  readonly waitingSince?: number;
  /** Attempts that workers have, or are about to get. */
  readonly inFlightCount: number;
}

export interface RouteRequest {
  readonly workflowTypes: readonly string[];
  readonly version: string;
  /** Names this call: repeated with the same one, it changes nothing more. */
  readonly requestId?: string;
}

export interface UnloadRequest {
  readonly version: string;
  /** Names this call: repeated with the same one, it changes nothing more. */
  readonly requestId?: string;
}

export interface RunAddress {
  readonly workflowId: string;
  /** Default: the latest run of the id. */
  readonly runId?: string;
}

/**
 * What to do when the workflow id is taken. In every case the same request id gives the run it gave before.
 * - `"return"` (default): the run that exists, if type and input are the same; else `workflow_already_exists`.
 * - `"reject"`: `workflow_already_exists`.
 * - `"after-close"`: a new run if the latest has ended, else as `"return"`.
 * - `"after-failure"`: a new run if the latest ended without completing, else as `"return"`.
 * - `"terminate"`: a new run; one that still runs is terminated first.
 */
export type ReusePolicy = "return" | "reject" | "after-close" | "after-failure" | "terminate";

export interface StartRequest extends Traced {
  readonly workflowType: string;
  readonly input: Payload;
  readonly workflowId?: string;
  readonly requestId?: string;
  readonly reuse?: ReusePolicy;
  readonly startDelayMs?: number;
  readonly runTimeoutMs?: number;
  readonly executionTimeoutMs?: number;
  /** Signal-with-start: recorded with the start, or sent to the run that exists. */
  readonly signal?: { readonly name: string; readonly payload: Payload; readonly signalId?: string };
  /** What the run can be found by from the beginning. Instants are `{ at: <milliseconds since 1970> }`. */
  readonly attributes?: Attributes;
}

export interface StartReply {
  readonly workflowId: string;
  readonly runId: string;
  /** False: the run was there already. */
  readonly isNew: boolean;
}

export interface SignalRequest extends RunAddress, Traced {
  readonly name: string;
  readonly payload: Payload;
  readonly signalId?: string;
}

export interface QueryRequest extends RunAddress, Traced {
  readonly name: string;
  readonly input: Payload;
}

export interface UpdateRequest extends RunAddress, Traced {
  readonly name: string;
  readonly input: Payload;
  /** Names the update: made again with the same id, it is the first one, and has its outcome. Default: one that the engine makes up. */
  readonly updateId?: string;
  /** How long to wait. Default 0. */
  readonly waitMs?: number;
  /** What for. Default `"completed"`: for the outcome. */
  readonly waitFor?: "accepted" | "completed";
}

export interface UpdateResultRequest extends RunAddress {
  readonly updateId: string;
  readonly waitMs: number;
}

/**
 * `waiting`: the code of the run may not move (its start delay is not over, or it is paused), so nothing is accepted; make the update
 * again, with its id.
 */
export type UpdateReply = { readonly runId: string; readonly updateId: string } & (
  | { readonly status: "waiting" }
  | { readonly status: "accepted"; readonly blocked?: string }
  | { readonly status: "completed"; readonly result: Payload }
  | { readonly status: "failed"; readonly failure: Failure }
);

export interface EndRequest extends RunAddress, Traced {
  readonly reason?: string;
  /** Names this call: repeated with the same one, it is answered as it was, though the run has ended, or another has begun. */
  readonly requestId?: string;
}

/** Without a run id: the latest run. */
export interface ResetRequest extends RunAddress, Traced {
  /**
   * The last event that is kept, by its `seq`: all of what the code did when it learned of something, or nothing of it, which it then does
   * anew. Absent, of a run that did not end well or is blocked: the last one from which the code goes on, before what went wrong.
   */
  readonly toSeq?: number;
  readonly reason?: string;
  /** Names this call: repeated with the same one, it is answered as it was, whatever happened since. */
  readonly requestId?: string;
  /** Signals that came after that point: told to the new run in their order, or not. Default: `carry`, of a fork `drop`. */
  readonly signals?: "carry" | "drop";
  /** The version of the code. `same`: that of the old run. Default: the one that new runs get. */
  readonly version?: string;
}

export interface ForkRequest extends ResetRequest {
  readonly newWorkflowId: string;
}

export interface ResetReply {
  readonly workflowId: string;
  readonly runId: string;
  /** From where it goes on, and from a point of which run. */
  readonly toSeq: number;
  readonly resetFrom: string;
  /** False: the call was made before. */
  readonly isNew: boolean;
}

export interface ResumeActivityRequest extends RunAddress, Traced {
  /** Which of its activities. Absent: all of them that are parked. */
  readonly ordinal?: number;
  /** Only those of this type. */
  readonly activityType?: string;
  /**
   * `"retry"` (default): each is tried again, at once and with a fresh count of attempts. `"complete"`, `"fail"`: the one of that ordinal
   * has the outcome that the request gives it, and no attempt follows.
   */
  readonly outcome?: "retry" | "complete" | "fail";
  /** Of `complete`. It is held against the output schema of the activity. */
  readonly result?: Payload;
  /** Of `fail`. */
  readonly failure?: OperatorFailure;
  readonly reason?: string;
  /** Names this call: repeated with the same one, it changes nothing more, and is answered as it was. */
  readonly requestId?: string;
}

/** What the workflow code is told that its activity failed with. */
export interface OperatorFailure {
  readonly message: string;
  /** As `ApplicationFailure.type`. Default `"Error"`. */
  readonly type?: string;
  readonly details?: Payload;
}

export interface ResumeActivityReply {
  readonly runId: string;
  /** Of the activities that were decided on. */
  readonly ordinals: readonly number[];
}

export interface ResultRequest extends RunAddress {
  readonly waitMs: number;
}

/** Of the run asked for or, if it continued as new, of the last one after it. */
export type ResultReply =
  | { readonly status: "running"; readonly runId: string; readonly blocked?: string }
  | { readonly status: "completed"; readonly runId: string; readonly result: Payload }
  | {
      readonly status: Exclude<RunStatus, "running" | "paused" | "completed" | "continued-as-new">;
      readonly runId: string;
      readonly failure: Failure;
    };

export interface RunSummary {
  readonly workflowId: string;
  readonly runId: string;
  readonly workflowType: string;
  readonly version: string;
  readonly status: RunStatus;
  readonly startedAt: number;
  readonly closedAt?: number;
  readonly historyLength: number;
  /** Why the run cannot go on until somebody acts. */
  readonly blocked?: string;
  /** Activities of it that wait for an operator; the rest of the run goes on. Absent: there are none. */
  readonly parked?: ParkedInfo;
  readonly parentWorkflowId?: string;
  /** Search attributes, of a run that has some. In lists only if they were asked for. */
  readonly attributes?: Attributes;
}

export interface ParkedInfo {
  readonly count: number;
  /** Those that wait for the longest time: 20 at most. */
  readonly activities: readonly ParkedActivity[];
}

export interface ParkedActivity {
  readonly ordinal: number;
  readonly activityType: string;
  /** Absent: the process of the engine runs it. */
  readonly taskQueue?: string;
  /** The latest. */
  readonly attempt: number;
  readonly parkedAt: number;
  /** What the latest attempt failed with: its beginning. */
  readonly message: string;
}

export interface RunDescription extends RunSummary {
  /** It goes on from a point of that run; with a workflow id, it is a fork of that workflow. */
  readonly resetOf?: {
    readonly workflowId?: string;
    readonly runId: string;
    readonly toSeq: number;
    readonly at: number;
    readonly reason?: string;
    readonly requestId?: string;
  };
  /** How often it was reopened; when last, why, and by which request. */
  readonly reopened?: {
    readonly count: number;
    readonly at: number;
    readonly reason?: string;
    readonly requestId?: string;
  };
  /** It was ended by a reset: the workflow goes on as that run. */
  readonly resetTo?: string;
  /** Since when it is paused, and why. */
  readonly paused?: { readonly since: number; readonly reason?: string };
  readonly input?: Payload;
  readonly result?: Payload;
  readonly failure?: Failure;
  readonly pendingActivities: readonly PendingActivity[];
  readonly pendingTimers: readonly { readonly ordinal: number; readonly fireAt: number }[];
  readonly pendingChildren: readonly { readonly workflowId: string; readonly workflowType: string }[];
  /** Accepted, and without an outcome. */
  readonly pendingUpdates: readonly {
    readonly updateId: string;
    readonly name: string;
    readonly acceptedAt: number;
  }[];
  readonly isCancelRequested: boolean;
  readonly historySize: HistorySizeInfo;
  /** Present while the run's code is in memory. */
  readonly pid?: string;
  readonly runs: readonly RunSummary[];
}

/** How long the history of a run is, beside what it may be. */
export interface HistorySizeInfo {
  readonly events: number;
  /** About. */
  readonly bytes: number;
  /** Absent: no engine runs, and only one knows. */
  readonly eventsMax?: number;
  readonly bytesMax?: number;
  /** The code is told to continue as new. */
  readonly isLong: boolean;
  /** Signals that have come, and that the code has not asked for. Absent: the run's code is not in memory. */
  readonly waitingSignals?: number;
}

export interface PendingActivity {
  readonly ordinal: number;
  readonly activityType: string;
  readonly attempt: number;
  readonly failedCount: number;
  /** `no worker`: its implementation is not in the process of the engine, and no worker serves it. */
  readonly state: "running" | "waiting for a slot" | "backing off" | "no worker" | "parked";
  /** Of an activity whose implementation is not in the process of the engine: where it waits for a worker. */
  readonly taskQueue?: string;
  /** Who has the attempt that is under way, if that is a worker. */
  readonly worker?: string;
  /** The latest heartbeat details of the activity, as JSON text. */
  readonly progress?: Payload;
  readonly retryAt?: number;
  /** Since when it waits for an operator. */
  readonly parkedAt?: number;
  readonly lastFailure?: string;
}

/** Coordinators of schedules are left out, unless they are asked for by their type (`aion.schedule`) or by an id. */
export interface ListFilter {
  readonly workflowId?: string;
  readonly workflowType?: string;
  readonly status?: RunStatus;
  readonly isBlocked?: boolean;
  /** Whether activities of it wait for an operator. */
  readonly isParked?: boolean;
  readonly startedAfter?: number;
  readonly startedBefore?: number;
  readonly closedAfter?: number;
  readonly closedBefore?: number;
  readonly parentWorkflowId?: string;
  /** Conditions on search attributes: `customerId=c-1`, `amount>=100`, `region in (eu, us)`, `dueAt exists`. */
  readonly where?: readonly string[];
}

export interface ListRequest {
  readonly filter: ListFilter;
  readonly limit: number;
  readonly cursor?: string;
  /** The runs are given with their search attributes. */
  readonly withAttributes?: boolean;
}

export interface ListReply {
  readonly runs: readonly RunSummary[];
  readonly nextCursor?: string;
}

export interface HistoryRequest extends RunAddress {
  readonly fromSeq: number;
  readonly limit: number;
  readonly waitMs?: number;
}

export interface HistoryReply {
  readonly events: readonly Event[];
  /** Where the next page begins. */
  readonly nextSeq: number;
  /** The latest run has ended, and these events reach its end. */
  readonly isEnd: boolean;
}

/** Of all runs of the id, or with a run id of that one. */
export interface LogsRequest extends RunAddress {
  /** `nextCursor` of the page before. Absent: from the oldest line that is kept. */
  readonly after?: string;
  /** Lines; what one activation said is never parted, so there may be a few more. */
  readonly limit: number;
  readonly waitMs?: number;
}

export interface LogsReply {
  readonly lines: readonly LogsLine[];
  /** Where to read on. */
  readonly nextCursor: string;
  /** The latest run (or that run) has ended, and there is nothing more. */
  readonly isEnd: boolean;
  /** Lines that would stand before those of this page, and were dropped for newer ones. */
  readonly droppedCount: number;
}

export interface LogsLine {
  readonly runId: string;
  /** Of the event at which the code said it. */
  readonly seq: number;
  /** When that was recorded. */
  readonly recordedAt: number;
  readonly level: LogLevel;
  readonly message: string;
  /** An object, as JSON text. */
  readonly fields?: Payload;
}

export interface FeedRequest {
  /** `cursor` of an event, or `nextCursor` of a page. Absent or empty: from now on. `"oldest"` or `"0"`: from the oldest that is kept. */
  readonly after?: string;
  readonly limit: number;
  readonly waitMs?: number;
  readonly filter?: FeedFilter;
}

/** All given conditions hold. */
export interface FeedFilter {
  readonly workflowId?: string;
  readonly workflowType?: string;
  readonly types?: readonly EventType[];
  /** Conditions on the search attributes that the run has when its events are read. */
  readonly where?: readonly string[];
}

export interface FeedReply {
  readonly events: readonly FeedEvent[];
  /** Where to read on. It moves on behind what the filter leaves out, too: take it though there are no events. */
  readonly nextCursor: string;
  /** There was nothing more when it was read. */
  readonly isAtHead: boolean;
}

export type FeedEvent = {
  /** Where to read on after this event. */
  readonly cursor: string;
  readonly workflowId: string;
  readonly runId: string;
  readonly workflowType: string;
} & (
  | { readonly event: Event; readonly unreadable?: undefined }
  /** In the place of events that are damaged on the disk, or that a newer version wrote: whatever their types. */
  | { readonly event?: undefined; readonly unreadable: UnreadableEvents }
);

export interface UnreadableEvents {
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** `history_corrupt` or `event_unknown`. */
  readonly code: string;
  readonly message: string;
}
