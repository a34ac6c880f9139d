import type { UpdateReply } from "../client/service.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { Event, EventOf } from "../core/event.ts";
import type { Failure } from "../core/failure.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { statusAfter } from "../core/status.ts";
import type { AcceptedUpdate } from "../replay/update-states.ts";
import type { RunRecord, Store } from "../store/contract.ts";
import { loadState } from "./load.ts";

/**
 * What histories tell of updates. An update that was accepted has one outcome: its own `UpdateCompleted` or, if its run ended first, that
 * end. Nothing but the first of the two counts, so an outcome that was told once is told for ever.
 */

export interface UpdatePlace {
  readonly run: RunRecord;
  readonly update: AcceptedUpdate;
}

/** In that run, or in one that it continues. `undefined`: none of them accepted it. */
export async function findUpdate(
  store: Store,
  run: RunRecord,
  updateId: string,
): Promise<UpdatePlace | undefined> {
  for (let at: RunRecord | undefined = run; at !== undefined;) {
    const state = await loadState(at, store);
    const update = state.updates.of(updateId);
    if (update !== undefined) return { run: at, update };
    const { continuedFrom } = state.started;
    if (continuedFrom === undefined || !state.updates.hasEarlier(updateId)) return undefined;
    at = await store.findRun(at.workflowId, continuedFrom);
  }
  return undefined;
}

/** The same by ids; a run that is not there has accepted nothing. */
export async function lookUpUpdate(
  store: Store,
  workflowId: WorkflowId,
  runId: RunId | undefined,
  updateId: string,
): Promise<UpdatePlace | undefined> {
  const run = await store.findRun(workflowId, runId);
  if (run === undefined) return undefined;
  try {
    return await findUpdate(store, run, updateId);
  } catch (error) {
    // Deleted since its row was read.
    if (isAionError(error) && error.code === "run_not_found") return undefined;
    throw error;
  }
}

/** What became of it, as it is on disk. Errors: `run_not_found` (deleted meanwhile), and those of reading. */
export async function readOutcome(store: Store, { run, update }: UpdatePlace): Promise<UpdateReply> {
  const { runId } = run;
  const { updateId, settledSeq } = update;
  if (settledSeq === undefined) return { status: "accepted", runId, updateId };
  const event = await readOne(store, run, settledSeq);
  if (event.type !== "UpdateCompleted")
    return { status: "failed", runId, updateId, failure: unfinished(run, update, event) };
  const { result, failure } = event;
  if (result !== undefined) return { status: "completed", runId, updateId, result };
  if (failure !== undefined) return { status: "failed", runId, updateId, failure };
  throw new AionError(
    "history_shape",
    `workflow ${run.workflowId}, event ${event.seq} (${event.type}): it has no outcome`,
  );
}

export async function readAccepted(
  store: Store,
  { run, update }: UpdatePlace,
): Promise<EventOf<"UpdateAccepted"> | undefined> {
  const event = await readOne(store, run, update.acceptedSeq);
  return event.type === "UpdateAccepted" ? event : undefined;
}

async function readOne(store: Store, run: RunRecord, seq: number): Promise<Event> {
  const [event] = await store.readSegment(run, seq, 1);
  if (event !== undefined) return event;
  throw new AionError("run_not_found", `the run of workflow ${run.workflowId} was deleted`);
}

/** The run ended before the handler did: that is the outcome. */
function unfinished({ runId }: RunRecord, { updateId, name }: AcceptedUpdate, end: Event): Failure {
  const status = statusAfter(end) ?? end.type;
  return {
    kind: "engine",
    type: "update_unfinished" satisfies AionError["code"],
    message: `update ${JSON.stringify(name)} (${updateId}) of workflow ${end.workflowId} was accepted, and run ${runId} ended before its handler did: ${status}`,
    ...(end.type === "WorkflowFailed" ? { cause: end.failure } : {}),
  };
}
