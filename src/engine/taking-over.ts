import { assert } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import type { WorkflowId } from "../core/ids.ts";
import type { ChildOutcome } from "../core/message.ts";
import { isClosed } from "../core/status.ts";
import type { ResetPoint } from "../replay/reset-points.ts";
import type { OpenChild, RunState } from "../replay/run-state.ts";
import type { OutgoingMessage } from "../store/contract.ts";
import { demandTold } from "./alone.ts";
import { isChildOf, outcomeOf } from "./closing.ts";
import { voidsOf } from "./copying.ts";
import type { Kernel } from "./kernel.ts";
import { notResettable } from "./reset-point.ts";
import type { Source } from "./reset-source.ts";
import { readEnd } from "./views.ts";

/**
 * What a copy of a run is to hear of children and signals that were under way at the point. Children and the targets of signals know
 * the run that asked; what they have told it since is told to the copy, and what they will tell comes to the copy of a run that was open.
 */
export async function newsForCopy(
  kernel: Kernel,
  source: Source,
  copy: RunState,
  into: {
    readonly workflowId: WorkflowId;
    /** `undefined`: a fork. */
    readonly known: RunState | undefined;
    /** The run that is open, and ends with the same commit. */
    readonly open: RunState | undefined;
    readonly point: ResetPoint;
  },
): Promise<OutgoingMessage[]> {
  const { run, points } = source;
  const refuse = (message: string): never => {
    throw notResettable(message, { run, points, toSeq: into.point.seq });
  };
  const voids = voidsOf(source.events);
  const later = source.events.filter(({ seq }) => seq > into.point.seq && !voids.has(seq));
  const send: OutgoingMessage[] = [];
  for (const [ordinal, runId] of copy.sends) {
    const settled = later.find((event) => event.type === "SignalSettled" && event.ordinal === ordinal);
    if (settled?.type === "SignalSettled") {
      const { failure } = settled;
      const message = {
        kind: "signal-settled",
        runId,
        ordinal,
        ...(failure === undefined ? {} : { failure }),
      } as const;
      send.push({ target: into.workflowId, message });
    } else if (into.open?.sends.get(ordinal) !== runId)
      refuse(
        `run ${run.runId} of workflow ${run.workflowId} waits there to hear what became of a signal that it sent`,
      );
  }
  for (const child of copy.children.values()) {
    const told = later.findLast((event) => isOutcomeOf(event, child.ordinal));
    const outcome =
      into.known === undefined
        ? forkedNews(child, told, refuse)
        : await newsOf(kernel, child, {
            told,
            isAwaited: isAwaited(child, into.open),
            isFork: copy.started.resetOf?.begunAs.workflowId !== run.workflowId,
            workflowId: run.workflowId,
            refuse,
          });
    const { ordinal, parentRunId: runId } = child;
    if (outcome !== undefined)
      send.push({ target: into.workflowId, message: { kind: "child-closed", runId, ordinal, outcome } });
  }
  return send;
}

/** It has not ended, or its end is on its way, to whoever has it open. */
export function isAwaited({ ordinal, parentRunId }: OpenChild, open: RunState | undefined): boolean {
  return open?.children.get(ordinal)?.parentRunId === parentRunId;
}

/** A child tells its parent alone, and the fork is not that. */
function forkedNews(
  { childWorkflowId, parentClosePolicy }: OpenChild,
  told: Event | undefined,
  refuse: (message: string) => never,
): ChildOutcome | undefined {
  if (told !== undefined) return toOutcome(told);
  return parentClosePolicy === "abandon" ? undefined : refuse(`child ${childWorkflowId} is open there`);
}

/** What became of a child that the new run is to wait for; `undefined`: it goes on, and will tell. */
async function newsOf(
  kernel: Kernel,
  { ordinal, parentRunId: runId, childWorkflowId, parentClosePolicy }: OpenChild,
  {
    told,
    isAwaited: isStillAwaited,
    isFork,
    workflowId,
    refuse,
  }: {
    /** What the old run heard of it after the point. */
    readonly told: Event | undefined;
    /** The run that is open waits for it. */
    readonly isAwaited: boolean;
    /** The workflow is one: children of the workflow that it is of do not know it. */
    readonly isFork: boolean;
    readonly workflowId: WorkflowId;
    readonly refuse: (message: string) => never;
  },
): Promise<ChildOutcome | undefined> {
  if (told === undefined && isStillAwaited) return undefined;
  const { store } = kernel;
  const link = { workflowId, runId, ordinal };
  // Nobody comes near the workflow itself meanwhile: what is sent to it waits for this.
  if (childWorkflowId !== workflowId) demandTold(kernel, childWorkflowId, link);
  const child = await store.findRun(childWorkflowId);
  const isThere = child !== undefined && isChildOf(child.parent, link);
  const what = `child ${childWorkflowId}, which is open there,`;
  if (!isThere) {
    if (told !== undefined) return toOutcome(told);
    return isFork && parentClosePolicy === "abandon" ? undefined : refuse(`${what} is no longer there`);
  }
  if (!isClosed(child.status)) {
    // It was told to end only by a parent that had not heard of its end.
    if (told !== undefined || parentClosePolicy === "abandon") return undefined;
    return refuse(`${what} was told to end with its parent, and has not ended yet`);
  }
  const end = await readEnd(store, child);
  const outcome = end === undefined ? undefined : outcomeOf(end);
  if (told !== undefined) return outcome ?? toOutcome(told);
  const isOwn = outcome?.type === "ChildWorkflowCompleted" || outcome?.type === "ChildWorkflowFailed";
  if (outcome === undefined || (parentClosePolicy !== "abandon" && !isOwn))
    return refuse(`${what} was ended with its parent`);
  return outcome;
}

function isOutcomeOf(event: Event, ordinal: number): boolean {
  switch (event.type) {
    case "ChildWorkflowCompleted":
    case "ChildWorkflowFailed":
    case "ChildWorkflowCancelled":
    case "ChildWorkflowTimedOut":
    case "ChildWorkflowTerminated":
      return event.ordinal === ordinal;
    default:
      return false;
  }
}

function toOutcome(event: Event): ChildOutcome {
  switch (event.type) {
    case "ChildWorkflowCompleted":
      return { type: event.type, result: event.result };
    case "ChildWorkflowFailed":
      return { type: event.type, failure: event.failure };
    case "ChildWorkflowCancelled":
    case "ChildWorkflowTimedOut":
    case "ChildWorkflowTerminated":
      return { type: event.type };
    default:
      assert(false, "the event is the outcome of a child");
  }
}
