import type { WorkflowId } from "../core/ids.ts";
import type { ResidentRun } from "./resident-run.ts";

const lookMax = 16;

/**
 * Makes room among the resident runs. The map is in order of use: the run that rests goes to its end, and those unused for longest
 * leave. `isAtWork`: a run with work under way stays, since its outcome comes here.
 */
export function evict(
  runs: Map<WorkflowId, ResidentRun>,
  resting: ResidentRun,
  residentMax: number,
  isAtWork: (run: ResidentRun) => boolean,
): void {
  runs.delete(resting.workflowId);
  runs.set(resting.workflowId, resting);
  let looked = 0;
  for (const candidate of runs.values()) {
    if (runs.size <= residentMax || ++looked > lookMax) return;
    if (!candidate.isIdle || candidate === resting || candidate.runKey === undefined) continue;
    runs.delete(candidate.workflowId);
    if (isAtWork(candidate)) runs.set(candidate.workflowId, candidate);
    else candidate.discard();
  }
}
