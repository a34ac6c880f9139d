import type { AttributeChanges, Attributes } from "./attributes.ts";
import type { Failure, TimeoutKind } from "./failure.ts";
import type { HistorySize } from "./history-size.ts";
import type { RunId, WorkflowId } from "./ids.ts";
import type { Payload } from "./payload.ts";
import type { RetryRecord } from "./retry.ts";
import type { BackfillOverlap, ScheduleConfig, SkipReason, StartCause } from "./schedule.ts";
import type { TraceContext } from "./tracing.ts";

/**
 * The record of a workflow id. `seq` is 1-based and gapless over the whole chain of runs.
 *
 * Layout law, on which replay rests: a run's segment is a sequence of *inputs* (what the code learns),
 * each followed by the *commands* that the code issued when it learned it. An input and its commands are
 * one commit, so between two inputs stand all the commands of the first and nothing else but *notes*
 * (attempts and other entries that no code sees), which may stand anywhere. What is recorded while a run is
 * paused is no input at that place: it is told after the pause, in its order, by an `InputDelivered` each.
 */
export type Event = EventBody & Envelope;

export interface Envelope {
  readonly seq: number;
  /** Milliseconds since 1970, read from the engine's clock. */
  readonly recordedAt: number;
  readonly workflowId: WorkflowId;
}

export type EventType = EventBody["type"];
export type EventOf<Type extends EventType> = Extract<EventBody, { readonly type: Type }> & Envelope;

export interface ParentLink {
  readonly workflowId: WorkflowId;
  readonly runId: RunId;
  readonly ordinal: number;
}

/** A signal that a run begins with. */
export interface StartSignal {
  readonly name: string;
  readonly payload: Payload;
  readonly signalId?: string;
}

/** As whom the code of a run acts: what `info()` says, and what its random numbers and default ids follow from. */
export interface CodeIdentity {
  readonly workflowId: WorkflowId;
  readonly runId: RunId;
  readonly parent?: ParentLink;
  readonly continuedFrom?: RunId;
  /** The schedule that started it, and for which time of its. */
  readonly schedule?: { readonly id: string; readonly nominalAt: number };
}

/** Which run a run goes on from. */
export interface ResetOrigin {
  /** Present: of another workflow, and this is a fork of it. */
  readonly workflowId?: WorkflowId;
  readonly runId: RunId;
  /** The last event that was copied, by its seq there. */
  readonly toSeq: number;
  /** So many events are copies, this one among them. They have the instants at which it happened. */
  readonly eventCount: number;
  readonly at: number;
  /** The run that was the latest then, if it was another one. */
  readonly latestRunId?: RunId;
  readonly requestId?: string;
  /** As whom the code acts up to the first `WorkflowReset`. */
  readonly begunAs: CodeIdentity;
}

export type ParentClosePolicy = "terminate" | "cancel" | "abandon";

/** What an activity was scheduled with. Recorded, so that a later deploy does not change it under way. */
export interface ActivityOptionsRecord {
  readonly retry?: RetryRecord;
  readonly scheduleToStartMs?: number;
  readonly startToCloseMs?: number;
  readonly scheduleToCloseMs?: number;
  readonly heartbeatMs?: number;
  /** Absent: `defaultTaskQueue`. */
  readonly taskQueue?: string;
}

/** Where the attempts of an activity wait for a worker unless it names another queue. */
export const defaultTaskQueue = "default";

export type EventBody =
  // Lifecycle.
  | {
      readonly type: "WorkflowStarted";
      readonly runId: RunId;
      readonly workflowType: string;
      readonly version: string;
      readonly input: Payload;
      readonly parent?: ParentLink;
      readonly continuedFrom?: RunId;
      readonly requestId?: string;
      /** Of a start with a request id: what its sender gave, if the schema made something else of it. */
      readonly sent?: Payload;
      /** Nothing runs before this instant (start delay). */
      readonly startAt?: number;
      readonly runDeadlineAt?: number;
      readonly runTimeoutMs?: number;
      readonly executionDeadlineAt?: number;
      /** The input did not pass the schema before it was recorded; the run checks it first. */
      readonly unchecked?: true;
      /** Dedupe ids of signals that earlier runs of the chain received, the latest of them. */
      readonly signalIds?: readonly string[];
      /** Request ids of cancellations that earlier runs of the chain recorded, the latest of them. */
      readonly cancelRequestIds?: readonly string[];
      /** Ids of updates that earlier runs of the chain accepted, the latest of them. */
      readonly updateIds?: readonly string[];
      /** The same of pauses and the like, each as `controlRequestKey` says. */
      readonly controlRequestIds?: readonly string[];
      /** There before the code begins: sent with the start, or not asked for by the run that this one continues. */
      readonly signals?: readonly StartSignal[];
      /** The span of a trace that the run belongs to: of whoever started it. The same for all runs of a chain. */
      readonly trace?: TraceContext;
      /** A schedule started it, for this time of its. The same for all runs of a chain. */
      readonly scheduled?: { readonly scheduleId: string; readonly nominalAt: number };
      /** It begins with a copy of the events of another run, up to its `WorkflowReset`. */
      readonly resetOf?: ResetOrigin;
      /** From which size on its code is told to continue as new. Absent: `longHistoryDefault`. */
      readonly longHistory?: HistorySize;
      /** What it can be found by from the beginning. */
      readonly attributes?: Attributes;
    }
  | { readonly type: "WorkflowCompleted"; readonly result: Payload }
  | { readonly type: "WorkflowFailed"; readonly failure: Failure }
  /** With a request id: asked for before the code had begun. */
  | { readonly type: "WorkflowCancelled"; readonly reason?: string; readonly requestId?: string }
  | {
      readonly type: "WorkflowTerminated";
      readonly reason?: string;
      readonly requestId?: string;
      /** It was reset: the workflow goes on as that run, from an earlier point. */
      readonly resetTo?: RunId;
    }
  | { readonly type: "WorkflowTimedOut"; readonly timeout: "run" | "execution" }
  | {
      readonly type: "WorkflowContinuedAsNew";
      readonly newRunId: RunId;
      readonly workflowType: string;
      readonly input: Payload;
    }
  | {
      readonly type: "WorkflowCancelRequested";
      readonly reason?: string;
      readonly requestId?: string;
      /** The run was asked before: recorded for its request id, and no code sees it. */
      readonly isFurther?: true;
    }
  /** From here on no code runs and no attempt begins; what happens meanwhile is recorded, and told later. */
  | {
      readonly type: "WorkflowPaused";
      readonly reason?: string;
      readonly requestId?: string;
      /** The run was paused before: recorded for its request id alone. */
      readonly isFurther?: true;
    }
  | {
      readonly type: "WorkflowResumed";
      readonly reason?: string;
      readonly requestId?: string;
      /** The run was not paused: recorded for its request id alone. */
      readonly isFurther?: true;
    }
  /** The run had ended, and goes on: a new lease of it. */
  | {
      readonly type: "WorkflowReopened";
      /** The seqs of what does not count any more: its end, and what led to it. Nobody is told of them again. */
      readonly voids: readonly number[];
      readonly reason?: string;
      readonly requestId?: string;
      /** Time-outs that had run out are given anew, as long as they were. */
      readonly runDeadlineAt?: number;
      readonly executionDeadlineAt?: number;
    }
  /** Up to here the events of the run are a copy; from here on it goes on by itself. */
  | {
      readonly type: "WorkflowReset";
      readonly as: CodeIdentity;
      /**
       * Another workflow asked for what is open here: activities have the idempotency keys of that run from here on, and to children, and
       * whom it sent signals, it is that run, which they do not know.
       */
      readonly keysRunId?: RunId;
      /** Of what the code did about what it learned last nothing was copied: it acts on that anew. */
      readonly isRedone?: true;
      /** So many signals follow that had come after that point. The code is told of each by an `InputDelivered`. */
      readonly carriedSignals?: number;
      readonly reason?: string;
      /** Time-outs that had run out are given anew, as long as they were. */
      readonly runDeadlineAt?: number;
      readonly executionDeadlineAt?: number;
    }
  /** After a pause or a reset: the code learns now of what was recorded during it. */
  | {
      readonly type: "InputDelivered";
      /** The seq of what it learns of. */
      readonly of: number;
    }
  // Activities.
  | {
      readonly type: "ActivityScheduled";
      readonly ordinal: number;
      readonly activityType: string;
      readonly input: Payload;
      readonly options: ActivityOptionsRecord;
      /** A `step`: its function is a closure of the workflow code. */
      readonly isStep?: true;
    }
  | {
      readonly type: "ActivityStarted";
      readonly ordinal: number;
      readonly attempt: number;
      /** The identity of the worker that was given it. Absent: the process of the engine runs it. */
      readonly worker?: string;
    }
  | {
      readonly type: "ActivityCompleted";
      readonly ordinal: number;
      readonly attempt: number;
      readonly result: Payload;
      /** It was parked, and an operator gave it this result. */
      readonly byOperator?: true;
      readonly reason?: string;
      readonly requestId?: string;
    }
  | {
      readonly type: "ActivityFailed";
      readonly ordinal: number;
      readonly attempt: number;
      readonly failure: Failure;
      /** Present: not final, the next attempt starts no earlier. */
      readonly retryAt?: number;
      readonly heartbeat?: Payload;
      /**
       * Its worker is gone: it was silent for too long, or it left. The policy of the activity does not count it. (A silence that does
       * count has no such mark.)
       */
      readonly lost?: "silent" | "left";
      /** It was parked, and an operator let it fail. */
      readonly byOperator?: true;
      readonly reason?: string;
      readonly requestId?: string;
    }
  | {
      readonly type: "ActivityTimedOut";
      readonly ordinal: number;
      readonly attempt: number;
      readonly timeout: TimeoutKind;
      readonly retryAt?: number;
      readonly heartbeat?: Payload;
    }
  /** An attempt failed, and no other begins until an operator says so. */
  | {
      readonly type: "ActivityParked";
      readonly ordinal: number;
      readonly attempt: number;
      readonly failure: Failure;
      /** The attempt was not heard of any more: it ran into this time-out. */
      readonly timeout?: TimeoutKind;
      readonly heartbeat?: Payload;
    }
  /** An operator let parked activities go on: each is tried again, with a fresh count of attempts. */
  | {
      readonly type: "ActivityResumed";
      readonly ordinals: readonly number[];
      readonly reason?: string;
      readonly requestId?: string;
    }
  | { readonly type: "ActivityCancelRequested"; readonly ordinal: number }
  | { readonly type: "ActivityCancelled"; readonly ordinal: number; readonly attempt: number }
  // Timers.
  | {
      readonly type: "TimerStarted";
      readonly ordinal: number;
      readonly durationMs: number;
      readonly fireAt: number;
    }
  /** Ordinal `startDelayOrdinal`: the start delay of the run is over. */
  | { readonly type: "TimerFired"; readonly ordinal: number }
  | { readonly type: "TimerCancelled"; readonly ordinal: number }
  // Messages.
  | {
      readonly type: "SignalReceived";
      readonly name: string;
      readonly payload: Payload;
      /** Given by the sender: a second signal with this id is the first one. */
      readonly signalId?: string;
      /** The span of a trace in which it was sent. */
      readonly trace?: TraceContext;
    }
  | {
      readonly type: "SignalSent";
      readonly ordinal: number;
      readonly target: WorkflowId;
      readonly name: string;
      readonly payload: Payload;
    }
  /** What became of a signal sent: delivered, or (with a failure) refused by its target. */
  | { readonly type: "SignalSettled"; readonly ordinal: number; readonly failure?: Failure }
  | {
      readonly type: "UpdateAccepted";
      /** A second update with this id is the first one. */
      readonly updateId: string;
      readonly name: string;
      /** As the schema of its definition made it. */
      readonly input: Payload;
      /** What its sender gave, if the schema made something else of it. */
      readonly sent?: Payload;
      /** The span of a trace in which it was sent. */
      readonly trace?: TraceContext;
    }
  /** The outcome of an update: one of the two. An update that has none when its run ends has failed by that end. */
  | {
      readonly type: "UpdateCompleted";
      readonly updateId: string;
      readonly result?: Payload;
      readonly failure?: Failure;
    }
  // Children.
  | {
      readonly type: "ChildWorkflowStarted";
      readonly ordinal: number;
      readonly childWorkflowId: WorkflowId;
      readonly workflowType: string;
      readonly input: Payload;
      readonly parentClosePolicy: ParentClosePolicy;
      readonly runTimeoutMs?: number;
      readonly attributes?: Attributes;
    }
  | { readonly type: "ChildWorkflowCompleted"; readonly ordinal: number; readonly result: Payload }
  | { readonly type: "ChildWorkflowFailed"; readonly ordinal: number; readonly failure: Failure }
  | { readonly type: "ChildWorkflowCancelled"; readonly ordinal: number }
  | { readonly type: "ChildWorkflowTimedOut"; readonly ordinal: number }
  | { readonly type: "ChildWorkflowTerminated"; readonly ordinal: number }
  | { readonly type: "ChildWorkflowCancelRequested"; readonly ordinal: number }
  // Recorded values.
  | {
      readonly type: "SideEffectRecorded";
      readonly ordinal: number;
      readonly value?: Payload;
      readonly failure?: Failure;
    }
  | { readonly type: "VersionMarked"; readonly changeId: string }
  /** The run can be found by these too; by those that are `null`, no longer. */
  | { readonly type: "SearchAttributesUpdated"; readonly attributes: AttributeChanges }
  // Schedules: in the histories of their coordinators alone.
  | {
      readonly type: "ScheduleCreated";
      readonly scheduleId: string;
      readonly config: ScheduleConfig;
      /** Of what is started. */
      readonly input: Payload;
      readonly isPaused?: true;
      readonly note?: string;
      readonly requestId?: string;
    }
  /** Times after `fromAt` are those of the new specification. */
  | {
      readonly type: "ScheduleUpdated";
      readonly config: ScheduleConfig;
      readonly input: Payload;
      readonly fromAt: number;
      readonly requestId?: string;
    }
  | { readonly type: "SchedulePaused"; readonly note?: string; readonly requestId?: string }
  /** Times up to `fromAt` are decided: those that there were are in the ScheduleSkipped before it. */
  | { readonly type: "ScheduleResumed"; readonly fromAt: number; readonly requestId?: string }
  | { readonly type: "ScheduleDeleted"; readonly requestId?: string }
  /** A start is decided. It is made by the message that goes with this commit. */
  | {
      readonly type: "ScheduleTriggered";
      /** Among the starts of the schedule. */
      readonly ordinal: number;
      readonly nominalAt: number;
      readonly startedId: WorkflowId;
      readonly cause: StartCause;
      /** Its end is waited for. */
      readonly isWatched: boolean;
      /** It came due while another run was open. */
      readonly hasWaited?: true;
      readonly requestId?: string;
    }
  /** Times that are not started, from the first to the last of them; or, with an ordinal, a start that could not be made. */
  | {
      readonly type: "ScheduleSkipped";
      readonly fromAt: number;
      readonly toAt: number;
      readonly count: number;
      /** There are more than could be counted in reasonable time. */
      readonly isCountLeast?: true;
      /** Up to here everything is decided. Absent: up to `toAt`. */
      readonly untilAt?: number;
      readonly reason: SkipReason;
      readonly cause: StartCause;
      readonly ordinal?: number;
      readonly startedId?: WorkflowId;
      readonly message?: string;
    }
  /** The times of a range that has passed are to be started. */
  | {
      readonly type: "ScheduleBackfillRequested";
      readonly fromAt: number;
      readonly toAt: number;
      readonly count: number;
      readonly overlap: BackfillOverlap;
      readonly requestId?: string;
    };

/** What operators do to a run without ending it. */
export type ControlKind = "pause" | "resume" | "reopen" | "resume-activity";

/** The id of a request, told from those of other kinds. */
export function controlRequestKey(kind: ControlKind, requestId: string): string {
  return `${kind}:${requestId}`;
}

/** The pseudo timer of a start delay. */
export const startDelayOrdinal = -1;

/**
 * `input`: workflow code learns of it, in an activation of its own. `command`: issued by workflow code.
 * `note`: neither. `end`: closes the run from outside. An `ActivityFailed` or `ActivityTimedOut` that will be
 * tried again is a note, and so is a further `WorkflowCancelRequested`; see `roleOf`.
 */
export type EventRole = "input" | "command" | "note" | "end";

const roles: Readonly<Record<EventType, EventRole>> = {
  WorkflowStarted: "input",
  WorkflowCompleted: "command",
  WorkflowFailed: "command",
  WorkflowCancelled: "command",
  WorkflowTerminated: "end",
  WorkflowTimedOut: "end",
  WorkflowContinuedAsNew: "command",
  WorkflowCancelRequested: "input",
  WorkflowPaused: "note",
  WorkflowResumed: "note",
  WorkflowReopened: "note",
  WorkflowReset: "note",
  InputDelivered: "input",
  ActivityScheduled: "command",
  ActivityStarted: "note",
  ActivityCompleted: "input",
  ActivityFailed: "input",
  ActivityTimedOut: "input",
  ActivityParked: "note",
  ActivityResumed: "note",
  ActivityCancelRequested: "command",
  ActivityCancelled: "input",
  TimerStarted: "command",
  TimerFired: "input",
  TimerCancelled: "command",
  SignalReceived: "input",
  SignalSent: "command",
  SignalSettled: "input",
  UpdateAccepted: "input",
  UpdateCompleted: "command",
  ChildWorkflowStarted: "command",
  ChildWorkflowCompleted: "input",
  ChildWorkflowFailed: "input",
  ChildWorkflowCancelled: "input",
  ChildWorkflowTimedOut: "input",
  ChildWorkflowTerminated: "input",
  ChildWorkflowCancelRequested: "command",
  SideEffectRecorded: "command",
  VersionMarked: "command",
  SearchAttributesUpdated: "command",
  ScheduleCreated: "note",
  ScheduleUpdated: "note",
  SchedulePaused: "note",
  ScheduleResumed: "note",
  ScheduleDeleted: "note",
  ScheduleTriggered: "note",
  ScheduleSkipped: "note",
  ScheduleBackfillRequested: "note",
};

export function roleOf(event: EventBody): EventRole {
  if ((event.type === "ActivityFailed" || event.type === "ActivityTimedOut") && event.retryAt !== undefined)
    return "note";
  if (event.type === "WorkflowCancelRequested" && event.isFurther === true) return "note";
  return roles[event.type];
}

export function isEventType(text: string): text is EventType {
  return Object.hasOwn(roles, text);
}
