import type { WorkerInfo } from "../client/service.ts";
import type { TaskToken } from "../protocol/frames.ts";
import type { EngineLink } from "../protocol/transport.ts";
import type { TaskLease } from "./task-lease.ts";
import type { WaitingTask } from "./task-queues.ts";

/** One worker, from its registration until it leaves or is lost. It may be cut off in between, and come back. */
export interface WorkerSession {
  readonly identity: string;
  /** What it has to show to be taken for the same one. */
  readonly secret: string;
  build: string | undefined;
  taskQueues: ReadonlySet<string>;
  activityTypes: ReadonlySet<string>;
  capacity: number;
  /** `undefined`: it is cut off. */
  link: EngineLink | undefined;
  /** It has reported again what was not acknowledged. */
  isReady: boolean;
  isDraining: boolean;
  /** Its tasks are for others now. */
  isOver: boolean;
  /** Credits taken: attempts that it has, or that are about to begin. */
  underWay: number;
  /** Attempts that it has and that are over, or of a run that cannot be turned to now, until it is told: they take its credits too. */
  readonly unsettled: Set<TaskToken>;
  readonly leases: Map<string, TaskLease>;
  /** When it was last given a task, as a number that grows. */
  givenAt: number;
  cancelSilence: (() => void) | undefined;
}

export function hasCredit(worker: WorkerSession): boolean {
  return (
    worker.link !== undefined &&
    worker.isReady &&
    !worker.isDraining &&
    !worker.isOver &&
    creditOf(worker) > 0
  );
}

function creditOf({ capacity, underWay, unsettled }: WorkerSession): number {
  return capacity - underWay - unsettled.size;
}

/**
 * The preferred one if it has credit; else the one with the most credit left, of equals the one that has waited longest. `undefined`:
 * nobody can take it now.
 */
export function pickWorker(
  workers: ReadonlyMap<string, WorkerSession>,
  task: WaitingTask,
): WorkerSession | undefined {
  const preferred = task.preferred === undefined ? undefined : workers.get(task.preferred);
  if (preferred !== undefined && serves(preferred, task) && hasCredit(preferred)) return preferred;
  let best: WorkerSession | undefined;
  for (const worker of workers.values()) {
    if (!hasCredit(worker) || !serves(worker, task)) continue;
    if (best === undefined) {
      best = worker;
      continue;
    }
    const more = creditOf(worker) - creditOf(best);
    if (more > 0 || (more === 0 && worker.givenAt < best.givenAt)) best = worker;
  }
  return best;
}

export function serves(
  worker: WorkerSession,
  { taskQueue, activityType }: Pick<WaitingTask, "taskQueue" | "activityType">,
): boolean {
  return worker.taskQueues.has(taskQueue) && worker.activityTypes.has(activityType);
}

export function toInfo(worker: WorkerSession): WorkerInfo {
  const { identity, build, isDraining, link, taskQueues, activityTypes, capacity } = worker;
  return {
    identity,
    ...(build === undefined ? {} : { build }),
    state: link === undefined ? "cut off" : isDraining ? "draining" : "ready",
    taskQueues: [...taskQueues],
    activityTypes: [...activityTypes],
    capacity,
    tasksInFlight: worker.underWay + worker.unsettled.size,
  };
}

export function newSession(identity: string, secret: string): WorkerSession {
  return {
    identity,
    secret,
    build: undefined,
    taskQueues: new Set(),
    activityTypes: new Set(),
    capacity: 0,
    link: undefined,
    isReady: false,
    isDraining: false,
    isOver: false,
    underWay: 0,
    unsettled: new Set(),
    leases: new Map(),
    givenAt: 0,
    cancelSilence: undefined,
  };
}
