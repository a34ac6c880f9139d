import { AionError } from "../core/errors.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { RunState } from "../replay/run-state.ts";

/** Whoever named a run, or waited for its turn, came too late. */
export function runEnded(workflowId: WorkflowId, runId: RunId): AionError {
  return new AionError("run_closed", `run ${runId} of workflow ${workflowId} has ended`);
}

export function runBlocked(workflowId: WorkflowId, why: string): AionError {
  return new AionError("run_blocked", `workflow ${workflowId} is blocked: ${why}`);
}

/** Its code awaits what no history can settle. */
export function waitsForNothing(state: RunState): AionError {
  return new AionError(
    "nondurable_await",
    `workflow ${state.workflowId} (${state.started.workflowType}) waits for nothing durable after event ${state.headSeq}, ` +
      "and has not ended: it awaits a promise that no history can settle",
  );
}
