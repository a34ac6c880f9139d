import type { Failure } from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
import type { TraceContext } from "../core/tracing.ts";

/**
 * What a worker and an engine say to each other: frames of plain data over one stream in each direction, each stream in order. A
 * transport carries them (as JSON, for one) and may be cut at any point. `docs/architecture.md`, "Workers", says in words what
 * each side owes the other.
 */
export const protocolVersion = 1;

/**
 * Names one attempt of one activity, as given out by one engine. Opaque to workers; the engine holds it against the history, and
 * trusts nothing that it says.
 */
export type TaskToken = string;

export type WorkerFrame =
  | RegisterFrame
  | ReadyFrame
  | ReportFrame
  | HeartbeatFrame
  | AliveFrame
  | DrainFrame
  | LeaveFrame;

/** The first frame of a connection. */
export interface RegisterFrame {
  readonly type: "register";
  readonly protocol: typeof protocolVersion;
  /** Names the process: no other may have it at the same time. 1 to 255 characters without control characters. */
  readonly identity: string;
  /** Of the code, for people. */
  readonly build?: string;
  readonly taskQueues: readonly string[];
  readonly activityTypes: readonly string[];
  /** Tasks that it runs at once. */
  readonly capacity: number;
  /** Of a worker that was connected before: the session that it was given. */
  readonly session?: string;
  /** Tasks that it is at work on. */
  readonly held: readonly TaskToken[];
  /** Tasks that it has reported, or will now, and whose reports were not acknowledged. */
  readonly unacknowledged: readonly TaskToken[];
}

/** All that was not acknowledged has been reported (again): new tasks may come. */
export interface ReadyFrame {
  readonly type: "ready";
}

/** How an attempt ended. Sent again on each connection until it is acknowledged. */
export interface ReportFrame {
  readonly type: "report";
  readonly token: TaskToken;
  readonly outcome: TaskOutcome;
}

export type TaskOutcome =
  /** `result`: JSON text. */
  | { readonly kind: "completed"; readonly result: Payload }
  | { readonly kind: "failed"; readonly failure: Failure };

/** A task is alive; `details` (JSON text) are for its next attempt. */
export interface HeartbeatFrame {
  readonly type: "heartbeat";
  readonly token: TaskToken;
  readonly details?: Payload;
}

/** The worker is alive. Every frame says so; this one says nothing else. It is answered by the same. */
export interface AliveFrame {
  readonly type: "alive";
}

/** Gives no more tasks: it ends those that it has. */
export interface DrainFrame {
  readonly type: "drain";
}

/** It goes. What it still has is to be begun anew by others. */
export interface LeaveFrame {
  readonly type: "leave";
}

export type EngineFrame =
  | RegisteredFrame
  | RefusedFrame
  | TaskFrame
  | CancelFrame
  | AcknowledgedFrame
  | AliveFrame
  | ClosingFrame;

/** The first answer to `register`. */
export interface RegisteredFrame {
  readonly type: "registered";
  /** A secret: shown at the next connection, it makes the worker the same one. */
  readonly session: string;
  /** A worker that is silent for longer is lost. */
  readonly sessionTimeoutMs: number;
  /** The largest payload, in bytes of UTF-8. */
  readonly payloadLimitBytes: number;
  /** Of the tasks that the worker holds: their outcomes are not wanted any more, and not to be reported. */
  readonly stop: readonly TaskToken[];
}

/** The connection ends. `isFinal`: the same worker would be refused again. */
export interface RefusedFrame {
  readonly type: "refused";
  readonly message: string;
  readonly isFinal: boolean;
}

/** An attempt to run. A token that the worker knows already names a task that it has. */
export interface TaskFrame {
  readonly type: "task";
  readonly token: TaskToken;
  readonly activityType: string;
  readonly workflowId: string;
  readonly runId: string;
  /** 1 for the first. */
  readonly attempt: number;
  /** The same for all attempts of the activity. */
  readonly idempotencyKey: string;
  /** JSON text. */
  readonly input: Payload;
  /** Details that an earlier attempt left, as JSON text. */
  readonly lastHeartbeat?: Payload;
  /** A task that sends no heartbeat for longer has timed out. */
  readonly heartbeatMs?: number;
  /** The span that the attempt is inside, if its run is part of a trace. */
  readonly trace?: TraceContext;
}

export interface CancelFrame {
  readonly type: "cancel";
  readonly token: TaskToken;
  /**
   * `requested`: the workflow wants it to stop, and waits for its outcome. Otherwise the outcome counts for nothing and is not to
   * be reported: the attempt ran into a time-out, or its run has ended.
   */
  readonly reason: "requested" | "timed-out" | "closed";
}

/** The report need not be sent again. */
export interface AcknowledgedFrame {
  readonly type: "acknowledged";
  readonly token: TaskToken;
  /**
   * `recorded`: it is on disk since this report. `already-recorded`: it was before. `not-wanted`: the attempt was over, or its run
   * had ended, or nobody knows it.
   */
  readonly became: "recorded" | "already-recorded" | "not-wanted";
}

/** The engine goes. Tasks stay with the worker, until it has found the next one. */
export interface ClosingFrame {
  readonly type: "closing";
}
