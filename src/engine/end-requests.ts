import { isAionError } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { isClosed } from "../core/status.ts";
import type { RunRecord, Store } from "../store/contract.ts";
import { isUnreadable } from "./endings.ts";
import { readEnd, readStart } from "./views.ts";

/** A request to end a run, as it is recognised when it is repeated. */
export interface EndRequestId {
  readonly kind: "cancel" | "terminate";
  readonly workflowId: WorkflowId;
  /** Absent: any run of the id, since the latest may be another one by now. */
  readonly runId?: RunId | undefined;
  readonly requestId: string;
}

const pageEvents = 1_000;

/**
 * Whether the request is in the history of a run already. `butLatest`: in that of another than the latest, which is not
 * looked at; it knows by itself.
 */
export async function wasRequested(
  store: Store,
  of: EndRequestId,
  which: "any" | "butLatest" = "any",
): Promise<boolean> {
  const { workflowId, runId } = of;
  const runs = (await store.readRunChain(workflowId)).toReversed();
  let continuedFrom: RunId | undefined;
  for (const [index, run] of runs.entries()) {
    if (runId !== undefined && run.runId !== runId) continue;
    const isKnowing = index === 0 && which === "butLatest";
    if (!isKnowing && (await isRequestOf(store, run, of, continuedFrom === run.runId))) return true;
    if (of.kind === "terminate") continue;
    try {
      const start = await readStart(store, run);
      if (start?.cancelRequestIds?.includes(of.requestId) === true) return !isKnowing;
      continuedFrom = start?.continuedFrom;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      continuedFrom = undefined;
    }
  }
  return false;
}

/** `isCarried`: what the run was asked is in the start of the run that continues it. */
async function isRequestOf(
  store: Store,
  run: RunRecord,
  { kind, requestId }: EndRequestId,
  isCarried: boolean,
): Promise<boolean> {
  try {
    const end = isClosed(run.status) ? await readEnd(store, run) : undefined;
    if (end !== undefined && isOf(end, kind, requestId)) return true;
    if (kind === "terminate" || isCarried) return false;
    for (let fromSeq = run.firstSeq; ;) {
      const page = await store.readSegment(run, fromSeq, pageEvents);
      if (page.some((event) => isOf(event, kind, requestId))) return true;
      const last = page.at(-1);
      if (last === undefined || last.seq >= run.headSeq) return false;
      fromSeq = last.seq + 1;
    }
  } catch (error) {
    // What cannot be read cannot be asked; the run can be ended all the same.
    if (isAionError(error) && isUnreadable(error)) return false;
    throw error;
  }
}

function isOf(event: Event, kind: EndRequestId["kind"], requestId: string): boolean {
  if (kind === "terminate") return event.type === "WorkflowTerminated" && event.requestId === requestId;
  const isCancel = event.type === "WorkflowCancelRequested" || event.type === "WorkflowCancelled";
  return isCancel && event.requestId === requestId;
}
