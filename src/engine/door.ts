import type { RunId, WorkflowId } from "../core/ids.ts";
import type { RunKey, RunRecord, Store } from "../store/contract.ts";
import type { ResidentRun } from "./resident-run.ts";

/** What somebody comes to a workflow for. */
export interface Visit<Result> {
  /** Its open run is in memory and begun on disk. Called at a moment when it can be turned to. */
  here(run: ResidentRun): Result | Promise<Result>;
  /** Nothing of it is in memory. The row is true, and nobody else comes near the workflow, until this is over. */
  onDisk(row: RunRecord | undefined): Promise<Result>;
}

/** Which row of the workflow is looked up: the latest, unless it is named. */
export interface Which {
  readonly runId?: RunId | undefined;
  readonly runKey?: RunKey;
}

interface Inside {
  readonly store: Pick<Store, "findRun" | "findRunByKey">;
  /** In memory, and on disk. */
  readonly runs: ReadonlyMap<WorkflowId, ResidentRun>;
  /** Begun in memory, and not on disk yet. */
  readonly unborn: ReadonlyMap<WorkflowId, ResidentRun>;
}

/**
 * The way to a workflow, wherever its run is. Owner: the residency, which alone takes runs in and puts them away.
 *
 * Law: of a run there is one copy at most that moves. So what the disk has of a workflow is acted on by a visit alone: when no run of
 * it is in memory, nor being begun, loaded, held or ended, and by one visit at a time. Who comes meanwhile waits.
 */
export class Door {
  readonly #inside: Inside;
  readonly #visits = new Map<WorkflowId, Promise<void>>();

  constructor(inside: Inside) {
    this.#inside = inside;
  }

  isVisited(workflowId: WorkflowId): boolean {
    return this.#visits.has(workflowId);
  }

  /** Comes to a workflow as soon as nothing of it is under way between memory and disk. */
  async visit<Result>(workflowId: WorkflowId, which: Which, to: Visit<Result>): Promise<Result> {
    const { runs, unborn } = this.#inside;
    for (;;) {
      for (let wait = this.#underWay(workflowId); wait !== undefined; wait = this.#underWay(workflowId)) {
        await wait;
      }
      const run = runs.get(workflowId);
      if (run !== undefined) return to.here(run);
      const over = Promise.withResolvers<void>();
      this.#visits.set(workflowId, over.promise);
      try {
        const row = await this.find(workflowId, which);
        // A run may have been begun while it was looked for, and be on disk before its engine hears of that.
        if (!runs.has(workflowId) && !unborn.has(workflowId)) return await to.onDisk(row);
      } finally {
        this.#visits.delete(workflowId);
        over.resolve();
      }
    }
  }

  /** What has to be over before it is known where the workflow's run is. */
  #underWay(workflowId: WorkflowId): Promise<void> | undefined {
    const unborn = this.#inside.unborn.get(workflowId);
    if (unborn !== undefined) return atRest(unborn);
    const visit = this.#visits.get(workflowId);
    if (visit !== undefined) return visit;
    const run = this.#inside.runs.get(workflowId);
    return run === undefined || run.isHere ? undefined : atRest(run);
  }

  /** A row as it is now. It is acted on within a visit alone. */
  find(workflowId: WorkflowId, { runId, runKey }: Which): Promise<RunRecord | undefined> {
    const { store } = this.#inside;
    return runKey === undefined ? store.findRun(workflowId, runId) : store.findRunByKey(runKey);
  }

  /** The row of the latest run, when no other is being begun: what a start has to meet, or to follow. It may move on meanwhile. */
  async latest(workflowId: WorkflowId): Promise<RunRecord | undefined> {
    const { unborn } = this.#inside;
    for (;;) {
      for (let run = unborn.get(workflowId); run !== undefined; run = unborn.get(workflowId))
        await atRest(run);
      const row = await this.find(workflowId, {});
      if (!unborn.has(workflowId)) return row;
    }
  }
}

/** Resolves when all that the run did is on disk, or refused. */
function atRest(run: ResidentRun): Promise<void> {
  return new Promise((resolve) => run.ask(resolve));
}
