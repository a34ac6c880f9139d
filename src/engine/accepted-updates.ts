import type { UpdateReply } from "../client/service.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { Event, EventOf } from "../core/event.ts";
import type { Failure } from "../core/failure.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { predecessorOf } from "../core/run-chain.ts";
import { statusAfter } from "../core/status.ts";
import type { RunState } from "../replay/run-state.ts";
import type { AcceptedUpdate } from "../replay/update-states.ts";
import type { RunRecord, Store } from "../store/contract.ts";
import { loadState } from "./load.ts";
import { goneOnFrom } from "./reset-source.ts";

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
  const seen = new Set<RunRecord["runKey"]>();
  const left = [run];
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    if (seen.has(at.runKey)) continue;
    seen.add(at.runKey);
    const state = await loadState(at, store);
    const update = state.updates.of(updateId);
    if (update !== undefined) return (await findTold(store, at, state, update)) ?? { run: at, update };
    if (state.updates.hasEarlier(updateId)) left.push(...(await runsBefore(store, at, state)));
  }
  return undefined;
}

/** The run before it in its chain, last; and before that, of one that goes on from an earlier run, what that one had gone on as. */
async function runsBefore(
  store: Store,
  { workflowId, firstSeq }: RunRecord,
  { started }: RunState,
): Promise<readonly RunRecord[]> {
  const runs: (RunRecord | undefined)[] = [];
  const { resetOf } = started;
  if (resetOf !== undefined && resetOf.workflowId === undefined && resetOf.latestRunId !== undefined) {
    const from = await store.findRun(workflowId, resetOf.runId);
    const goneOn = from === undefined ? [] : await goneOnFrom(store, from);
    runs.push(goneOn.findLast((run) => run.firstSeq < firstSeq) ?? from);
  }
  const before = predecessorOf(started);
  if (before !== undefined) runs.push(await store.findRun(workflowId, before));
  return runs.filter((run) => run !== undefined);
}

/**
 * Of an update that was copied with the events of another run: where its outcome was told, if it was there. What its run went on to do
 * about it after a reset, nobody is told.
 */
async function findTold(
  store: Store,
  { workflowId, runId }: RunRecord,
  { started }: RunState,
  { updateId, acceptedSeq }: AcceptedUpdate,
): Promise<UpdatePlace | undefined> {
  const { resetOf } = started;
  if (resetOf === undefined || resetOf.workflowId !== undefined) return undefined;
  if (acceptedSeq - started.seq >= resetOf.eventCount) return undefined;
  const from = await store.findRun(workflowId, resetOf.runId);
  if (from === undefined) return undefined;
  let place = await findUpdate(store, from, updateId);
  while (place?.update.settledSeq !== undefined) {
    const end = await readOne(store, place.run, place.update.settledSeq);
    if (!isReset(end)) return place;
    if (end.resetTo === runId) return undefined;
    // The run that it is copied from went on as another before.
    const next = await findCarried(store, place.run, end, updateId);
    if (next === undefined) return place;
    place = next;
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
  const next = await findCarried(store, run, event, updateId);
  if (next !== undefined) return await readOutcome(store, next);
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

/** Of what was open at such an end, nobody is told that it failed by it. */
function isReset(end: Event): end is EventOf<"WorkflowTerminated"> & { readonly resetTo: RunId } {
  return end.type === "WorkflowTerminated" && end.resetTo !== undefined;
}

/** It was open when its run was reset to a point behind its acceptance: the run that goes on has it. */
async function findCarried(
  store: Store,
  { workflowId }: RunRecord,
  end: Event,
  updateId: string,
): Promise<UpdatePlace | undefined> {
  const run = isReset(end) ? await store.findRun(workflowId, end.resetTo) : undefined;
  if (run === undefined) return undefined;
  const update = (await loadState(run, store)).updates.of(updateId);
  return update === undefined ? undefined : { run, update };
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
