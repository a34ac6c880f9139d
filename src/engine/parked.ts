import type { ParkedActivity, ParkedInfo } from "../client/service.ts";
import { defaultTaskQueue } from "../core/event.ts";
import type { WorkflowId } from "../core/ids.ts";
import { engineQueue } from "../core/metrics.ts";
import type { LogLevel } from "../core/ports.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import type { RunState } from "../replay/run-state.ts";
import type { Store } from "../store/contract.ts";
import { fieldsOfRun } from "./run-lines.ts";
import type { Batch } from "./batch.ts";

/**
 * What stands on the row of a run of which activities wait for an operator, so that the runs that have some are found, and told about,
 * without their histories.
 */
interface ParkedRow {
  /** How many of each kind: all of them. */
  readonly kinds: readonly ParkedKind[];
  /** Those that wait for the longest time. */
  readonly first: readonly ParkedActivity[];
}

interface ParkedKind {
  /** As the metrics name it. */
  readonly queue: string;
  readonly activityType: string;
  readonly count: number;
}

const shownMax = 20;
const messageMax = 300;

/** `null`: nothing of the run is parked. */
export function toParkedText(state: RunState): string | null {
  const { parked } = state;
  if (parked.length === 0) return null;
  const kinds = new Map<string, ParkedKind>();
  for (const activity of parked) {
    const { activityType } = activity;
    const queue = queueOf(activity);
    const key = JSON.stringify([queue, activityType]);
    kinds.set(key, { queue, activityType, count: (kinds.get(key)?.count ?? 0) + 1 });
  }
  const first = parked
    .toSorted((left, right) => since(left) - since(right) || left.ordinal - right.ordinal)
    .slice(0, shownMax)
    .map((activity): ParkedActivity => {
      const { ordinal, activityType, attempt, lastFailure } = activity;
      const queue = queueOf(activity);
      const message = (lastFailure?.message ?? "").slice(0, messageMax).toWellFormed();
      const taskQueue = queue === engineQueue ? {} : { taskQueue: queue };
      return { ordinal, activityType, ...taskQueue, attempt, parkedAt: since(activity), message };
    });
  return JSON.stringify({ kinds: [...kinds.values()], first } satisfies ParkedRow);
}

function since({ parked, scheduledAt }: OpenActivity): number {
  return parked?.at ?? scheduledAt;
}

/** Where its attempts run, as the metrics name it. */
function queueOf({ parked, options }: OpenActivity): string {
  return parked?.onWorker === true ? (options.taskQueue ?? defaultTaskQueue) : engineQueue;
}

export function toParkedInfo(text: string): ParkedInfo {
  const { kinds, first } = JSON.parse(text) as ParkedRow;
  return { count: kinds.reduce((sum, { count }) => sum + count, 0), activities: first };
}

/** So that whoever reads the log in the night knows what to mend. */
export function tellParked(
  state: RunState,
  { events }: Batch,
  host: { log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void },
): void {
  for (const event of events) {
    if (event.type !== "ActivityParked") continue;
    const { ordinal, attempt, failure } = event;
    const activity = state.activities.get(ordinal) ?? state.abandoned.find((one) => one.ordinal === ordinal);
    host.log("warn", "an activity is parked: it waits for an operator", {
      ...fieldsOfRun(state.workflowId, state.started),
      activityType: activity?.activityType,
      ordinal,
      attempt,
      ...(activity === undefined ? {} : { taskQueue: queueOf(activity) }),
      error: failure.message,
    });
  }
}

const pageRuns = 1_000;

/**
 * How many activities are parked, in all runs, by queue and type. Owner: the meter.
 *
 * Law: the rows are read once, when somebody wants to know for the first time; from then on each commit tells what it changed, and what
 * it told meanwhile is newer than what was read.
 */
export class ParkedTally {
  readonly #kinds = new Map<WorkflowId, readonly ParkedKind[]>();
  /** While the rows are read: those that are known better. */
  readonly #noted = new Set<WorkflowId>();
  #read: Promise<void> | undefined;
  #isRead = false;

  /** A commit that changes what is parked of a run is on disk. */
  note(workflowId: WorkflowId, text: string | null): void {
    // Those who never ask need no figures.
    if (this.#read === undefined) return;
    if (!this.#isRead) this.#noted.add(workflowId);
    if (text === null) this.#kinds.delete(workflowId);
    else this.#kinds.set(workflowId, (JSON.parse(text) as ParkedRow).kinds);
  }

  async count(store: Pick<Store, "list">): Promise<readonly ParkedKind[]> {
    try {
      this.#read ??= this.#readAll(store);
      await this.#read;
    } catch (error) {
      this.#read = undefined;
      throw error;
    }
    const sums = new Map<string, ParkedKind>();
    for (const kinds of this.#kinds.values()) {
      for (const { queue, activityType, count } of kinds) {
        const key = JSON.stringify([queue, activityType]);
        sums.set(key, { queue, activityType, count: (sums.get(key)?.count ?? 0) + count });
      }
    }
    return [...sums.values()];
  }

  async #readAll(store: Pick<Store, "list">): Promise<void> {
    this.#kinds.clear();
    this.#noted.clear();
    for (let cursor: string | undefined; ;) {
      const page = await store.list(
        { isParked: true },
        { limit: pageRuns, ...(cursor === undefined ? {} : { cursor }) },
      );
      for (const { workflowId, parked } of page.runs) {
        if (parked !== undefined && !this.#noted.has(workflowId)) this.note(workflowId, parked);
      }
      cursor = page.nextCursor;
      if (cursor === undefined) break;
    }
    this.#isRead = true;
    this.#noted.clear();
  }
}
