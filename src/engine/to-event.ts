import type { Command } from "../core/command.ts";
import type { EventBody } from "../core/event.ts";
import type { RunId } from "../core/ids.ts";

/** The event that records a command; `undefined` for a wait that an arrival answers, and for its end. */
export function toEvent(
  command: Command,
  at: { readonly nowMs: number; readonly newRunId: () => RunId },
): EventBody | undefined {
  switch (command.kind) {
    case "run-activity": {
      // By name, which is much quicker than a rest and a spread: this is every step of every run.
      const { ordinal, activityType, input, options, isStep } = command;
      const type = "ActivityScheduled";
      return isStep === undefined
        ? { type, ordinal, activityType, input, options }
        : { type, ordinal, activityType, input, options, isStep };
    }
    case "cancel-activity":
      return { type: "ActivityCancelRequested", ordinal: command.ordinal };
    case "start-timer":
      return {
        type: "TimerStarted",
        ordinal: command.ordinal,
        durationMs: command.durationMs,
        fireAt: at.nowMs + command.durationMs,
      };
    case "cancel-timer":
      return { type: "TimerCancelled", ordinal: command.ordinal };
    case "await-signal":
    case "withdraw-signal":
      return undefined;
    case "send-signal": {
      const { kind: _kind, ...fields } = command;
      return { type: "SignalSent", ...fields };
    }
    case "start-child": {
      const { kind: _kind, ...fields } = command;
      return { type: "ChildWorkflowStarted", ...fields };
    }
    case "cancel-child":
      return { type: "ChildWorkflowCancelRequested", ordinal: command.ordinal };
    case "side-effect": {
      const { kind: _kind, ...fields } = command;
      return { type: "SideEffectRecorded", ...fields };
    }
    case "complete-update": {
      const { kind: _kind, ...fields } = command;
      return { type: "UpdateCompleted", ...fields };
    }
    case "set-attributes":
      return { type: "SearchAttributesUpdated", attributes: command.attributes };
    case "mark-version":
      return { type: "VersionMarked", changeId: command.changeId };
    case "complete":
      return { type: "WorkflowCompleted", result: command.result };
    case "fail":
      return { type: "WorkflowFailed", failure: command.failure };
    case "cancelled":
      return {
        type: "WorkflowCancelled",
        ...(command.reason === undefined ? {} : { reason: command.reason }),
      };
    case "continue-as-new":
      return {
        type: "WorkflowContinuedAsNew",
        newRunId: at.newRunId(),
        workflowType: command.workflowType,
        input: command.input,
      };
  }
}
