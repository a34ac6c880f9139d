import type { EndRequest } from "../client/service.ts";
import { isAionError } from "../core/errors.ts";
import type { ControlKind, Event, EventOf, EventType } from "../core/event.ts";
import { controlRequestKey } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { parseName, parseRunId, parseWorkflowId } from "../core/ids.ts";
import { isClosed } from "../core/status.ts";
import type { RunRecord, Store } from "../store/contract.ts";
import { isUnreadable } from "./endings.ts";
import type { Kernel } from "./kernel.ts";
import { pageEvents } from "./load.ts";
import { readEnd, readStart } from "./views.ts";

/** A request to end a run, or to hold it, as it is recognised when it is repeated. */
export interface EndRequestId {
  readonly kind: "cancel" | "terminate" | ControlKind;
  readonly workflowId: WorkflowId;
  /** Absent: any run of the id, since the latest may be another one by now. */
  readonly runId?: RunId | undefined;
  readonly requestId: string;
}

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
      if (start !== undefined && isCarriedBy(start, of.kind, of.requestId)) return !isKnowing;
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

/** Which events hold the ids of such requests. */
const recordedIn: Readonly<Record<EndRequestId["kind"], readonly EventType[]>> = {
  cancel: ["WorkflowCancelRequested", "WorkflowCancelled"],
  terminate: ["WorkflowTerminated"],
  pause: ["WorkflowPaused"],
  resume: ["WorkflowResumed"],
  reopen: ["WorkflowReopened"],
  "resume-activity": ["ActivityResumed", "ActivityCompleted", "ActivityFailed"],
};

function isOf(event: Event, kind: EndRequestId["kind"], requestId: string): boolean {
  return recordedIn[kind].includes(event.type) && "requestId" in event && event.requestId === requestId;
}

function isCarriedBy(
  start: EventOf<"WorkflowStarted">,
  kind: EndRequestId["kind"],
  requestId: string,
): boolean {
  if (kind === "terminate") return false;
  if (kind === "cancel") return start.cancelRequestIds?.includes(requestId) === true;
  return start.controlRequestIds?.includes(controlRequestKey(kind, requestId)) === true;
}

export interface ParsedEnd {
  readonly workflowId: WorkflowId;
  readonly runId: RunId | undefined;
  readonly fields: { readonly reason?: string; readonly requestId?: string };
}

export function parseEnd({ workflowId, runId, reason, requestId }: EndRequest): ParsedEnd {
  return {
    workflowId: parseWorkflowId(workflowId),
    runId: runId === undefined ? undefined : parseRunId(runId),
    fields: {
      ...(reason === undefined ? {} : { reason }),
      ...(requestId === undefined ? {} : { requestId: parseName(requestId, "request id") }),
    },
  };
}

/**
 * Does it to a run at most once for each request id: a request that is in a history already is answered as it was then, whichever run
 * is the latest now. So it is meant for the run that was the latest when the others were looked at, and for no other.
 */
export async function once(
  { store, residency, meter }: Pick<Kernel, "store" | "residency" | "meter">,
  kind: EndRequestId["kind"],
  { workflowId, runId, fields: { requestId } }: ParsedEnd,
  work: (runId: RunId | undefined) => Promise<void>,
): Promise<void> {
  if (requestId === undefined) {
    await work(runId);
    return;
  }
  const of = { kind, workflowId, runId, requestId };
  for (;;) {
    const latest = await residency.latest(workflowId);
    if (await wasRequested(store, of, "butLatest")) {
      meter.repeated(kind);
      return;
    }
    try {
      await work(runId ?? latest?.runId);
      return;
    } catch (error) {
      if (!isAionError(error) || error.code !== "run_closed") throw error;
      if (await wasRequested(store, of)) {
        meter.repeated(kind);
        return;
      }
      const now = await residency.latest(workflowId);
      // Another run is the latest by now, by a start or as the next of its chain, and may have been meant.
      if (runId !== undefined || now?.runId === latest?.runId) throw error;
    }
  }
}
