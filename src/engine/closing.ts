import type { NewEvent } from "../core/codec.ts";
import { assert } from "../core/errors.ts";
import type { Event, EventBody, EventOf, ParentLink } from "../core/event.ts";
import type { WorkflowId } from "../core/ids.ts";
import type { ChildOutcome } from "../core/message.ts";
import { isClosed, statusAfter } from "../core/status.ts";
import type { RunState } from "../replay/run-state.ts";
import type { Commit, OutgoingMessage, RunRecord } from "../store/contract.ts";

/** What must be known of a run to end it. */
interface Ending {
  readonly workflowId: WorkflowId;
  readonly started: Pick<EventOf<"WorkflowStarted">, "runId" | "parent">;
  readonly children: RunState["children"];
}

/** The end of a run that is not in memory, and what that tells its parent and its children, as one commit. */
export function toEndCommit(
  run: RunRecord,
  children: RunState["children"],
  event: NewEvent,
): { readonly commit: Commit & { readonly send: readonly OutgoingMessage[] }; readonly terminal: Event } {
  const { runKey, workflowId, headSeq, wakeAt } = run;
  const status = statusAfter(event);
  assert(status !== undefined && isClosed(status), "a run is ended by an event that ends runs");
  const terminal: Event = { ...event, seq: headSeq + 1, workflowId };
  return {
    commit: {
      run: {
        runKey,
        workflowId,
        expectedSeq: headSeq,
        events: [event],
        status,
        closedAt: event.recordedAt,
        wakeAt: null,
        wakeAtBefore: wakeAt,
        ...(run.blocked === undefined ? {} : { blocked: null }),
        ...(run.parked === undefined ? {} : { parked: null }),
      },
      // The row has the parent of the WorkflowStarted.
      send: closingMessages({ workflowId, started: run, children }, terminal),
    },
    terminal,
  };
}

/** What the end of a run has to tell others, in the same commit: its parent, and its children by their policies. */
export function closingMessages(state: Ending, terminal: Event): OutgoingMessage[] {
  const messages: OutgoingMessage[] = [];
  const { parent } = state.started;
  const outcome = outcomeOf(terminal);
  if (parent !== undefined && outcome !== undefined) {
    messages.push({
      target: parent.workflowId,
      message: { kind: "child-closed", runId: parent.runId, ordinal: parent.ordinal, outcome },
    });
  }
  const reason = "its parent ended";
  const { workflowId } = state;
  for (const { ordinal, parentRunId, childWorkflowId, parentClosePolicy } of state.children.values()) {
    if (parentClosePolicy === "abandon") continue;
    messages.push({
      target: childWorkflowId,
      message: {
        kind: parentClosePolicy === "cancel" ? "cancel" : "terminate",
        reason,
        parent: { workflowId, runId: parentRunId, ordinal },
      },
    });
  }
  return messages;
}

/** `undefined`: the run goes on as another, which will tell. */
export function outcomeOf(terminal: Event): ChildOutcome | undefined {
  switch (terminal.type) {
    case "WorkflowCompleted":
      return { type: "ChildWorkflowCompleted", result: terminal.result };
    case "WorkflowFailed":
      return { type: "ChildWorkflowFailed", failure: terminal.failure };
    case "WorkflowCancelled":
      return { type: "ChildWorkflowCancelled" };
    case "WorkflowTimedOut":
      return { type: "ChildWorkflowTimedOut" };
    case "WorkflowTerminated":
      return terminal.resetTo === undefined ? { type: "ChildWorkflowTerminated" } : undefined;
    default:
      return undefined;
  }
}

/**
 * What a request to cancel comes to; `undefined`: it was made before. One with a request id is recorded though the run was asked
 * by another: it is to be recognised when it is repeated.
 */
export function toCancelEvent(
  state: RunState,
  { reason, requestId }: { readonly reason?: string | undefined; readonly requestId?: string | undefined },
): EventBody | undefined {
  const fields = {
    ...(reason === undefined ? {} : { reason }),
    ...(requestId === undefined ? {} : { requestId }),
  };
  if (requestId !== undefined && state.requests.hasCancel(requestId)) return undefined;
  // No code runs before the start delay is over: there is nothing to clean up.
  if (!state.isCodeStarted) return { type: "WorkflowCancelled", ...fields };
  if (!state.isCancelRequested) return { type: "WorkflowCancelRequested", ...fields };
  return requestId === undefined
    ? undefined
    : { type: "WorkflowCancelRequested", ...fields, isFurther: true };
}

/** A message to a child goes by its workflow id, which another run may have by then. */
export function isChildOf(link: ParentLink | undefined, parent: ParentLink): boolean {
  return link?.runId === parent.runId && link.ordinal === parent.ordinal;
}
