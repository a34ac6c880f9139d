import type { UpdateReply } from "../src/client/service.ts";
import type { ErrorCode } from "../src/core/errors.ts";
import { isTerminal } from "../src/core/status.ts";
import type { AuditedRun } from "./audited-run.ts";
import type { Auditor } from "./auditor.ts";
import { SimulationFailure } from "./failure.ts";
import type { Sometimes } from "./statistics.ts";

/** An update that a client made, and what it was told. */
export interface MadeUpdate {
  readonly workflowId: string;
  readonly updateId: string;
  readonly clientName: string;
  /** Runs that it was told have accepted it. */
  readonly acceptedBy: Set<string>;
  refusal: ErrorCode | undefined;
  /** It was asked for once, and that was delivered once. */
  isAlone: boolean;
}

/** What a history says became of an update: recomputed from its events. */
export function outcomeIn(
  run: AuditedRun,
  updateId: string,
): "none" | "open" | "left" | { readonly text: string } {
  let found: ReturnType<typeof outcomeIn> = "none";
  for (const event of run.events) {
    if (event.type === "UpdateAccepted" && event.updateId === updateId) found = "open";
    // What was told at the end of the run stands when it is reopened.
    if (isTerminal(event) && found === "open") found = "left";
    if (event.type === "UpdateCompleted" && event.updateId === updateId && found === "open")
      found = { text: event.result ?? `failed: ${event.failure?.message}` };
  }
  return found;
}

/** Whether it had an outcome in that run, or by the end of it. */
export function isSettledIn(auditor: Auditor, runId: string | undefined, updateId: string): boolean {
  const run = runId === undefined ? undefined : auditor.runs.get(runId);
  return run !== undefined && !["none", "open"].includes(outcomeIn(run, updateId) as string);
}

/**
 * I-3, I-26: what is told of an update is on disk, and as it is there. Called when the answer arrives. `wasSettled`: it had its outcome
 * before anything was asked.
 */
export function checkUpdateReply(
  auditor: Auditor,
  made: MadeUpdate,
  reply: UpdateReply,
  wasSettled: boolean,
): void {
  const { workflowId, updateId } = made;
  const fail = (kind: string, what: string): never => {
    throw new SimulationFailure(
      kind,
      `${workflowId}, update ${updateId}, told ${JSON.stringify(reply)}: ${what}`,
    );
  };
  if (reply.status === "waiting") return;
  const run = auditor.runs.get(reply.runId);
  if (run === undefined || run.workflowId !== workflowId)
    return fail("acknowledged-update", "there is no such run");
  made.acceptedBy.add(reply.runId);
  const outcome = outcomeIn(run, updateId);
  if (outcome === "none") return fail("acknowledged-update", "its run has not accepted it");
  if (reply.status === "accepted")
    return wasSettled ? fail("update-outcome", "it had one before") : undefined;
  const text = reply.status === "completed" ? reply.result : `failed: ${reply.failure.message}`;
  if (outcome === "open") return fail("update-outcome", "it has none on disk");
  if (outcome === "left") {
    if (reply.status !== "failed" || reply.failure.type !== "update_unfinished")
      fail("update-outcome", "its run ended first");
  } else if (outcome.text !== text) fail("update-outcome", `on disk it is ${outcome.text}`);
}

/**
 * I-26, when all has ended: an update that was accepted is in one run of an execution (a run that was started, and those that continue
 * it), one that was refused, and asked for once, in none.
 */
export function checkUpdates(
  auditor: Auditor,
  made: readonly MadeUpdate[],
  note: (what: Sometimes) => void,
): void {
  const known = new Set(made.map(({ workflowId, updateId }) => `${workflowId} ${updateId}`));
  for (const [workflowId, chain] of auditor.chains) {
    const accepted = new Map<string, string[]>();
    for (const run of chain.runs) {
      if (run.started.continuedFrom === undefined) accepted.clear();
      for (const updateId of run.updates.keys()) {
        const before = accepted.get(updateId);
        if (before !== undefined)
          throw new SimulationFailure(
            "update-twice",
            `${workflowId}: ${updateId} in run ${run.runId} and ${before.join()}`,
          );
        accepted.set(updateId, [run.runId]);
        if (!known.has(`${workflowId} ${updateId}`))
          throw new SimulationFailure("update-odd", `${workflowId}: nobody made update ${updateId}`);
      }
    }
  }
  for (const update of made) {
    const { workflowId, updateId, refusal, isAlone, acceptedBy } = update;
    const runs = (auditor.chains.get(workflowId)?.runs ?? []).filter((run) => run.updates.has(updateId));
    const fail = (what: string): never => {
      throw new SimulationFailure("update-count", `${workflowId}, update ${updateId}: ${what}`);
    };
    // One whose run was deleted while it was waited for is answered so.
    const isGone = refusal === "run_not_found" && runs.every((run) => run.isDeleted);
    if (refusal !== undefined && !isGone && isAlone && acceptedBy.size === 0 && runs.length > 0)
      fail(`refused with ${refusal}, and accepted by ${runs.map(({ runId }) => runId).join()}`);
    if (isAlone && runs.length > 1) fail(`accepted by ${runs.length} runs`);
    for (const runId of acceptedBy) {
      const run = auditor.runs.get(runId);
      if (run !== undefined && outcomeIn(run, updateId) === "open")
        fail(`without an outcome, its run having ended`);
      if (run !== undefined && outcomeIn(run, updateId) === "left") note("update left by the end of its run");
    }
  }
}
