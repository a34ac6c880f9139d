import type { Event, EventBody } from "../core/event.ts";
import type { ChildOutcome } from "../core/message.ts";
import type { RunState } from "../replay/run-state.ts";
import type { OutgoingMessage } from "../store/contract.ts";

/** What the end of a run has to tell others, in the same commit: its parent, and its children by their policies. */
export function closingMessages(state: RunState, terminal: Event): OutgoingMessage[] {
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
  const { workflowId, started } = state;
  for (const { ordinal, childWorkflowId, parentClosePolicy } of state.children.values()) {
    if (parentClosePolicy === "abandon") continue;
    messages.push({
      target: childWorkflowId,
      message: {
        kind: parentClosePolicy === "cancel" ? "cancel" : "terminate",
        reason,
        parent: { workflowId, runId: started.runId, ordinal },
      },
    });
  }
  return messages;
}

/** `undefined`: the run goes on as another, which will tell. */
function outcomeOf(terminal: Event): ChildOutcome | undefined {
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
      return { type: "ChildWorkflowTerminated" };
    default:
      return undefined;
  }
}

/** What a request to cancel comes to; `undefined`: it was made before. */
export function toCancelEvent(state: RunState, reason: { readonly reason?: string }): EventBody | undefined {
  // No code runs before the start delay is over: there is nothing to clean up.
  if (!state.isCodeStarted) return { type: "WorkflowCancelled", ...reason };
  return state.isCancelRequested ? undefined : { type: "WorkflowCancelRequested", ...reason };
}
