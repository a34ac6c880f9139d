import type { TaskQueueInfo } from "../client/service.ts";
import { defaultTaskQueue } from "../core/event.ts";
import type { RunId } from "../core/ids.ts";
import type { Ports } from "../core/ports.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import type { TaskAddress } from "./attempt.ts";
import { keyOf } from "./attempt.ts";
import type { TaskQueueLimits, WaitingTask } from "./task-queues.ts";
import { TaskQueues } from "./task-queues.ts";
import type { WorkerSession } from "./worker-session.ts";
import { pickWorker, serves } from "./worker-session.ts";

/** A credit of a worker and a place in its queue, for one activity. */
export interface Grant {
  readonly worker: WorkerSession;
  readonly task: WaitingTask;
}

/**
 * Which worker an attempt is for, and who has to wait. Owner: the workers of an engine.
 *
 * Laws:
 *  1. A credit is taken before the start of an attempt is written, for one attempt, and given back once: when that attempt ends, or
 *     does not begin.
 *  2. Whoever stands in line is offered a worker as soon as there is one; it is kept for him until he begins, or declines.
 */
export class WorkerSlots {
  readonly #workers: ReadonlyMap<string, WorkerSession>;
  readonly #slotFree: (address: TaskAddress) => void;
  readonly #queues: TaskQueues;
  /** Given to activities that were told so and have not begun yet. */
  readonly #offered = new Map<string, Grant>();
  /** Of attempts whose start is on its way to the disk. */
  readonly #reserved = new Map<string, Grant>();
  #givenCount = 0;
  #isOffering = false;
  #isStopped = false;

  constructor(of: {
    readonly ports: Ports;
    readonly limits: Readonly<Record<string, TaskQueueLimits>>;
    readonly workers: ReadonlyMap<string, WorkerSession>;
    /** A worker is there for an activity that waited: it may begin its next attempt. */
    readonly slotFree: (address: TaskAddress) => void;
  }) {
    this.#workers = of.workers;
    this.#slotFree = of.slotFree;
    this.#queues = new TaskQueues(of.limits, of.ports, () => this.offer());
  }

  listQueues(): readonly TaskQueueInfo[] {
    return this.#queues.list();
  }

  isServed(activity: OpenActivity): boolean {
    const what = { taskQueue: queueOf(activity), activityType: activity.activityType };
    for (const worker of this.#workers.values()) {
      if (!worker.isDraining && serves(worker, what)) return true;
    }
    return false;
  }

  /** Takes a credit of a worker for an attempt that is about to be recorded as started, and names it. `undefined`: it must wait. */
  reserve(address: TaskAddress, activity: OpenActivity, preferred: string | undefined): string | undefined {
    const key = keyOf(address.runId, address.ordinal);
    const offered = this.#offered.get(key);
    if (offered !== undefined) {
      this.#offered.delete(key);
      this.#reserved.set(key, offered);
      return offered.worker.identity;
    }
    const { activityType } = activity;
    const task: WaitingTask = { address, taskQueue: queueOf(activity), activityType, preferred };
    if (!this.#isStopped && !this.#queues.hasLine(task.taskQueue, activityType)) {
      const worker = pickWorker(this.#workers, task);
      if (worker !== undefined && this.#queues.take(task.taskQueue)) {
        this.#reserved.set(key, this.#grant(worker, task));
        return worker.identity;
      }
    }
    this.#queues.join(task);
    return undefined;
  }

  #grant(worker: WorkerSession, task: WaitingTask): Grant {
    worker.underWay += 1;
    worker.givenAt = this.#givenCount += 1;
    return { worker, task };
  }

  /** The attempt does not begin: its start was not recorded. */
  release(runId: RunId, ordinal: number): void {
    const key = keyOf(runId, ordinal);
    const grant = this.#reserved.get(key);
    if (grant === undefined) return;
    this.#reserved.delete(key);
    this.#giveUp(grant);
    this.offer();
  }

  #giveUp({ worker, task }: Grant): void {
    worker.underWay -= 1;
    this.#queues.giveBack(task.taskQueue, true);
  }

  /** An activity that was offered a worker does not begin after all. */
  decline({ runId, ordinal }: TaskAddress): void {
    const key = keyOf(runId, ordinal);
    const grant = this.#offered.get(key);
    if (grant === undefined) return;
    this.#offered.delete(key);
    this.#giveUp(grant);
    this.offer();
  }

  leave(address: TaskAddress, activity: OpenActivity): void {
    this.#queues.leave(queueOf(activity), activity.activityType, keyOf(address.runId, address.ordinal));
    this.decline(address);
  }

  /** Nothing of the run stands in line any more. */
  leaveRun(runId: RunId): void {
    this.#queues.leaveRun(runId);
    for (const { task } of [...this.#offered.values()]) {
      if (task.address.runId === runId) this.decline(task.address);
    }
  }

  /** Tells those who stand in line that there is a worker for them. */
  offer(): void {
    // Whoever is told may begin at once, and end up here again.
    if (this.#isOffering || this.#isStopped) return;
    this.#isOffering = true;
    try {
      for (;;) {
        const next = this.#queues.next((task) => pickWorker(this.#workers, task));
        if (next === undefined) return;
        const { address } = next.task;
        this.#offered.set(keyOf(address.runId, address.ordinal), this.#grant(next.found, next.task));
        this.#slotFree(address);
      }
    } finally {
      this.#isOffering = false;
    }
  }

  /** The attempt begins, with what was reserved for it. */
  use(key: string): Grant | undefined {
    const grant = this.#reserved.get(key);
    this.#reserved.delete(key);
    return grant;
  }

  /** An attempt that was begun by an engine before this one takes its place, whether there is one or not. */
  force(taskQueue: string): void {
    this.#queues.force(taskQueue);
  }

  /** The attempt is over for its worker, if that has come. */
  giveBack(worker: WorkerSession | undefined, taskQueue: string): void {
    if (worker !== undefined) worker.underWay -= 1;
    this.#queues.giveBack(taskQueue, false);
  }

  /** What it was offered waits for another one. */
  gone(worker: WorkerSession): void {
    for (const [key, grant] of [...this.#offered]) {
      if (grant.worker !== worker) continue;
      this.#offered.delete(key);
      this.#giveUp(grant);
      this.#queues.rejoin(grant.task);
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#queues.stop();
    this.#offered.clear();
    this.#reserved.clear();
  }
}

export function queueOf({ options }: OpenActivity): string {
  return options.taskQueue ?? defaultTaskQueue;
}
