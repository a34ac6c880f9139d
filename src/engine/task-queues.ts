import type { TaskQueueInfo } from "../client/service.ts";
import type { Ports } from "../core/ports.ts";
import type { TaskAddress } from "./attempt.ts";
import { keyOf } from "./attempt.ts";

export interface TaskQueueLimits {
  /** Attempts under way at once, on all workers. */
  readonly concurrency?: number;
  /** Attempts begun in a second, on average; after a pause, so many at once. */
  readonly perSecond?: number;
}

/** An activity that stands in line for a worker. */
export interface WaitingTask {
  readonly address: TaskAddress;
  readonly taskQueue: string;
  readonly activityType: string;
  /** The worker that had the latest activity of its run. */
  readonly preferred: string | undefined;
}

interface Arrival extends WaitingTask {
  readonly arrival: number;
  readonly since: number;
}

interface Queue {
  readonly name: string;
  readonly concurrency: number;
  readonly perSecond: number;
  /** By activity type, each in order of arrival. */
  readonly lines: Map<string, Map<string, Arrival>>;
  underWay: number;
  /** What is left to give out, of `perSecond` (at least 1) at most. */
  rights: number;
  filledAt: number;
  /** Somebody whom a worker could serve waits for the limits: newcomers do not pass him. */
  isHeldUp: boolean;
  cancelTimer: (() => void) | undefined;
}

/** A rate below this may round a wait down to nothing. */
const waitMsMin = 1;

/**
 * Who waits for a worker, and what each task queue still allows. Owner: `Workers`.
 *
 * Laws: who waits is served in order of arrival per queue and type; between the types of a queue that its limits hold up, too. What
 * was taken is given back once. A queue of which nothing is known costs nothing.
 */
export class TaskQueues {
  readonly #limits: Readonly<Record<string, TaskQueueLimits>>;
  readonly #ports: Ports;
  readonly #onRight: () => void;
  readonly #queues = new Map<string, Queue>();
  #arrivals = 0;

  /** `onRight`: a queue that was held up by its rate may give out again. */
  constructor(limits: Readonly<Record<string, TaskQueueLimits>>, ports: Ports, onRight: () => void) {
    this.#limits = limits;
    this.#ports = ports;
    this.#onRight = onRight;
  }

  /** Whether a newcomer has to stand in line before anything else is asked. */
  hasLine(taskQueue: string, activityType: string): boolean {
    const queue = this.#queues.get(taskQueue);
    return queue !== undefined && (queue.isHeldUp || queue.lines.has(activityType));
  }

  join(task: WaitingTask): void {
    const { lines } = this.#queueOf(task.taskQueue);
    let line = lines.get(task.activityType);
    if (line === undefined) {
      line = new Map();
      lines.set(task.activityType, line);
    }
    const key = keyOf(task.address.runId, task.address.ordinal);
    if (!line.has(key)) line.set(key, { ...task, arrival: this.#arrivals++, since: this.#ports.clock.now() });
  }

  /** Somebody who had left the line for a worker that is gone: to where he stood, which is before all that came since. */
  rejoin(task: WaitingTask): void {
    const queue = this.#queueOf(task.taskQueue);
    const others = queue.lines.get(task.activityType) ?? new Map<string, Arrival>();
    const head = others.values().next().value;
    const arrival = head?.arrival ?? this.#arrivals++;
    const key = keyOf(task.address.runId, task.address.ordinal);
    const line = new Map([[key, { ...task, arrival, since: head?.since ?? this.#ports.clock.now() }]]);
    for (const [other, waiting] of others) line.set(other, waiting);
    queue.lines.set(task.activityType, line);
  }

  /** Queues in which somebody waits or has something under way. */
  list(): readonly TaskQueueInfo[] {
    return [...this.#queues.values()].map(({ name, lines, underWay }) => {
      let waitingCount = 0;
      let waitingSince = Number.POSITIVE_INFINITY;
      for (const line of lines.values()) {
        waitingCount += line.size;
        waitingSince = Math.min(waitingSince, line.values().next().value?.since ?? waitingSince);
      }
      return {
        taskQueue: name,
        waitingCount,
        ...(waitingCount === 0 ? {} : { waitingSince }),
        inFlightCount: underWay,
      };
    });
  }

  leave(taskQueue: string, activityType: string, key: string): void {
    const queue = this.#queues.get(taskQueue);
    const line = queue?.lines.get(activityType);
    if (queue === undefined || line?.delete(key) !== true) return;
    if (line.size === 0) queue.lines.delete(activityType);
    this.#forget(queue);
  }

  leaveRun(runId: string): void {
    for (const queue of this.#queues.values()) {
      for (const [activityType, line] of queue.lines) {
        for (const [key, { address }] of line) if (address.runId === runId) line.delete(key);
        if (line.size === 0) queue.lines.delete(activityType);
      }
      this.#forget(queue);
    }
  }

  /**
   * The one who has waited longest of those whom `find` has somebody for and whose queue allows it: out of the line, with what
   * his queue has to give taken.
   */
  next<Found>(
    find: (task: WaitingTask) => Found | undefined,
  ): { readonly task: WaitingTask; readonly found: Found } | undefined {
    let first: { readonly task: Arrival; readonly found: Found; readonly queue: Queue } | undefined;
    for (const queue of this.#queues.values()) {
      queue.isHeldUp = false;
      for (const line of queue.lines.values()) {
        const task = line.values().next().value;
        if (task === undefined || (first !== undefined && task.arrival > first.task.arrival)) {
          // He comes later; that he could be served is enough to know.
          if (task !== undefined && !this.#allows(queue) && find(task) !== undefined) this.#holdUp(queue);
          continue;
        }
        const found = find(task);
        if (found === undefined) continue;
        if (this.#allows(queue)) first = { task, found, queue };
        else this.#holdUp(queue);
      }
    }
    if (first === undefined) return undefined;
    const { task, found, queue } = first;
    const key = keyOf(task.address.runId, task.address.ordinal);
    queue.lines.get(task.activityType)?.delete(key);
    if (queue.lines.get(task.activityType)?.size === 0) queue.lines.delete(task.activityType);
    this.#take(queue);
    return { task, found };
  }

  /** Takes the right to one more attempt under way. */
  take(taskQueue: string): boolean {
    const queue = this.#queueOf(taskQueue);
    if (!this.#allows(queue)) {
      this.#holdUp(queue);
      return false;
    }
    this.#take(queue);
    return true;
  }

  /** Attempts that were under way before are so whatever the limits say. */
  force(taskQueue: string): void {
    this.#queueOf(taskQueue).underWay += 1;
  }

  /** `isUnused`: the attempt has not begun after all. */
  giveBack(taskQueue: string, isUnused: boolean): void {
    const queue = this.#queueOf(taskQueue);
    queue.underWay -= 1;
    if (isUnused) queue.rights = Math.min(queue.rights + 1, burstOf(queue));
    this.#forget(queue);
  }

  stop(): void {
    for (const queue of this.#queues.values()) queue.cancelTimer?.();
    this.#queues.clear();
  }

  #take(queue: Queue): void {
    queue.underWay += 1;
    queue.rights -= 1;
  }

  #allows(queue: Queue): boolean {
    if (queue.underWay >= queue.concurrency) return false;
    if (queue.perSecond === Number.POSITIVE_INFINITY) return true;
    const now = this.#ports.clock.now();
    // A clock that was set back gives nothing for the time between.
    const passedMs = Math.max(0, now - queue.filledAt);
    queue.filledAt = now;
    queue.rights = Math.min(burstOf(queue), queue.rights + (passedMs * queue.perSecond) / 1_000);
    return queue.rights >= 1 - 1e-9;
  }

  #holdUp(queue: Queue): void {
    queue.isHeldUp = true;
    // Whoever ends an attempt looks again; only time gives new rights by itself.
    if (queue.underWay >= queue.concurrency || queue.cancelTimer !== undefined) return;
    const waitMs = Math.ceil(((1 - queue.rights) * 1_000) / queue.perSecond);
    queue.cancelTimer = this.#ports.scheduler.delay(Math.max(waitMsMin, waitMs), () => {
      queue.cancelTimer = undefined;
      this.#onRight();
    });
  }

  #queueOf(name: string): Queue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      const limits = Object.hasOwn(this.#limits, name) ? this.#limits[name] : undefined;
      const perSecond = limits?.perSecond ?? Number.POSITIVE_INFINITY;
      queue = {
        name,
        concurrency: limits?.concurrency ?? Number.POSITIVE_INFINITY,
        perSecond,
        lines: new Map(),
        underWay: 0,
        rights: Math.max(1, perSecond),
        filledAt: this.#ports.clock.now(),
        isHeldUp: false,
        cancelTimer: undefined,
      };
      this.#queues.set(name, queue);
    }
    return queue;
  }

  #forget(queue: Queue): void {
    // One that is limited by rate has something to remember.
    if (queue.underWay > 0 || queue.lines.size > 0 || queue.perSecond !== Number.POSITIVE_INFINITY) return;
    this.#queues.delete(queue.name);
  }
}

function burstOf({ perSecond }: Queue): number {
  return Math.max(1, perSecond);
}
