import type { WorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import type { Scheduler } from "../core/ports.ts";
import type { RunState } from "../replay/run-state.ts";
import type { RunKey, Store } from "../store/contract.ts";
import type { TaskAddress } from "./dispatcher.ts";
import type { ResidentRun } from "./resident-run.ts";

/** Details may be newer in memory than on disk by this much. */
const saveMs = 1_000;

/**
 * Keeps heartbeat details on disk, so that they reach the next attempt even after a crash. Owner: the kernel. Beats are many: they
 * are written with the run's next commit, or by themselves once a second.
 */
export class HeartbeatKeeper {
  readonly #store: Store;
  readonly #scheduler: Scheduler;
  readonly #residentRun: (workflowId: WorkflowId) => ResidentRun | undefined;
  readonly #due = new Set<WorkflowId>();

  constructor(
    store: Store,
    scheduler: Scheduler,
    residentRun: (workflowId: WorkflowId) => ResidentRun | undefined,
  ) {
    this.#store = store;
    this.#scheduler = scheduler;
    this.#residentRun = residentRun;
  }

  note({ workflowId, ordinal }: TaskAddress, attempt: number, details: Payload): void {
    const run = this.#residentRun(workflowId);
    if (run === undefined || run.isGone) return;
    run.noteHeartbeat({ ordinal, attempt, details });
    if (this.#due.has(workflowId)) return;
    this.#due.add(workflowId);
    this.#scheduler.delay(saveMs, () => {
      this.#due.delete(workflowId);
      this.#residentRun(workflowId)?.saveHeartbeats();
    });
  }

  /** Gives the open activities of a run that was read the details that their attempts left. */
  async restore(runKey: RunKey, state: RunState): Promise<void> {
    if (state.activities.size === 0) return;
    for (const beat of await this.#store.readHeartbeats(runKey)) {
      const activity = state.activities.get(beat.ordinal);
      // An attempt that failed left its last details in its event; attempts since then may have been cut off in silence.
      if (activity === undefined || beat.attempt <= activity.heartbeatAttempt) continue;
      activity.heartbeat = beat.details;
      activity.heartbeatAttempt = beat.attempt;
    }
  }
}
