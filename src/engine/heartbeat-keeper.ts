import type { WorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload, messageOf } from "../core/payload.ts";
import type { Ports, Scheduler } from "../core/ports.ts";
import type { RunState } from "../replay/run-state.ts";
import type { Heartbeat, RunKey, Store } from "../store/contract.ts";
import type { TaskAddress } from "./attempt.ts";
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
  readonly #log: Ports["log"];
  readonly #due = new Set<WorkflowId>();

  constructor(
    store: Store,
    scheduler: Scheduler,
    residentRun: (workflowId: WorkflowId) => ResidentRun | undefined,
    log: Ports["log"],
  ) {
    this.#store = store;
    this.#scheduler = scheduler;
    this.#log = log;
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
      if (!this.#isReadable(beat, state)) continue;
      activity.heartbeat = beat.details;
      activity.heartbeatAttempt = beat.attempt;
    }
  }

  /** Rows of details have no checksum. Details that are no JSON any more are as those that a crash lost. */
  #isReadable(beat: Heartbeat, { workflowId }: RunState): boolean {
    try {
      fromPayload(beat.details);
      return true;
    } catch (error) {
      const { ordinal, attempt } = beat;
      this.#log("warn", "heartbeat details are damaged and left out", {
        workflowId,
        ordinal,
        attempt,
        error: messageOf(error),
      });
      return false;
    }
  }
}
