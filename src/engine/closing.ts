import type { Event } from "../core/event.ts";
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
  for (const child of state.children.values()) {
    if (child.parentClosePolicy === "abandon") continue;
    messages.push({
      target: child.childWorkflowId,
      message: { kind: child.parentClosePolicy === "cancel" ? "cancel" : "terminate", reason },
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
