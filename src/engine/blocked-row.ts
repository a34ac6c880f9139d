import type { Commit, RunRecord } from "../store/contract.ts";

/** Says on a run's row that it is blocked, and why; or, with `null`, that it is no longer. Its history stays as it is. */
export function toBlockedCommit(record: RunRecord, blocked: string | null): Commit {
  const { runKey, workflowId, headSeq, wakeAt } = record;
  return {
    run: {
      runKey,
      workflowId,
      expectedSeq: headSeq,
      events: [],
      status: "running",
      // Looked at again when the engine is opened: the cause may be gone by then.
      wakeAt: blocked === null ? wakeAt : 0,
      wakeAtBefore: wakeAt,
      blocked,
    },
  };
}
