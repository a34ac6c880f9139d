import type { Command } from "../core/command.ts";
import type { ParentLink } from "../core/event.ts";
import type { RunState } from "../replay/run-state.ts";
import type { OutgoingMessage } from "../store/contract.ts";
import type { RunSpans } from "./run-spans.ts";

type MessageCommand = Command & { readonly kind: "send-signal" | "start-child" | "cancel-child" };

/**
 * What a command tells another workflow. It goes to disk with the event of the command, and on its way after that. `undefined`: the
 * child has ended, and there is nobody to tell.
 */
export function toMessage(
  command: MessageCommand,
  state: RunState,
  spans: Pick<RunSpans, "contextOfRun">,
): OutgoingMessage | undefined {
  const { workflowId, started } = state;
  const link: ParentLink = { workflowId, runId: started.runId, ordinal: command.ordinal };
  if (command.kind === "cancel-child") {
    const child = state.children.get(command.ordinal);
    if (child === undefined) return undefined;
    const reason = "the parent cancelled it";
    const parent = { ...link, runId: child.parentRunId };
    return { target: child.childWorkflowId, message: { kind: "cancel", reason, parent } };
  }
  const trace = spans.contextOfRun(state);
  const traced = trace === undefined ? {} : { trace };
  if (command.kind === "send-signal") {
    const { target, name, payload } = command;
    return { target, message: { kind: "signal", name, payload, from: link, ...traced } };
  }
  const { childWorkflowId, workflowType, input, runTimeoutMs, attributes } = command;
  return {
    target: childWorkflowId,
    message: {
      kind: "start-child",
      workflowType,
      input,
      parent: link,
      ...(runTimeoutMs === undefined ? {} : { runTimeoutMs }),
      ...(attributes === undefined ? {} : { attributes }),
      ...traced,
    },
  };
}
