import type { Payload } from "../core/payload.ts";
import type { TraceContext } from "../core/tracing.ts";
import type { TaskFrame, TaskToken } from "../protocol/frames.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import type { OpenAttempt, TaskAddress } from "./attempt.ts";
import { keyOf } from "./attempt.ts";
import type { WorkerSession } from "./worker-session.ts";
import { queueOf } from "./worker-slots.ts";

/** An attempt that a worker has, or is to have as soon as it comes back. In memory only: that it is open is in the history. */
export interface TaskLease extends OpenAttempt {
  readonly key: string;
  readonly address: TaskAddress;
  readonly identity: string;
  /** `undefined`: no worker with that identity has come to this engine yet. */
  worker: WorkerSession | undefined;
  /** `undefined`: an earlier engine gave it out, and only its worker knows it. */
  token: TaskToken | undefined;
  /** `undefined`: the worker has it. */
  unsent: TaskFrame | undefined;
  readonly frame: Omit<TaskFrame, "token">;
  readonly taskQueue: string;
  readonly heartbeatMs: number | undefined;
  /** Its outcome is on its way to the disk. */
  isReported: boolean;
  isCancelRequested: boolean;
  heartbeat: Payload | undefined;
}

export function toLease(
  address: TaskAddress,
  activity: OpenActivity,
  identity: string,
  trace: TraceContext | undefined,
): TaskLease {
  const { activityType, attempt, input, heartbeat, options } = activity;
  const { workflowId, runId } = address;
  const key = keyOf(runId, address.ordinal);
  const { heartbeatMs } = options;
  return {
    key,
    address,
    identity,
    attempt,
    taskQueue: queueOf(activity),
    heartbeatMs,
    frame: {
      type: "task",
      activityType,
      workflowId,
      runId,
      attempt,
      idempotencyKey: keyOf(activity.keyRunId, address.ordinal),
      input,
      ...(heartbeat === undefined ? {} : { lastHeartbeat: heartbeat }),
      ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
      ...(trace === undefined ? {} : { trace }),
    },
    worker: undefined,
    token: undefined,
    unsent: undefined,
    isReported: false,
    isCancelRequested: activity.isCancelRequested,
    heartbeat: undefined,
    cancelTimers: [],
    heartbeatTimer: undefined,
  };
}
