import { isSameAttributes } from "../core/attributes.ts";
import type { Command } from "../core/command.ts";
import { describeCommand } from "../core/command.ts";
import type { EventBody } from "../core/event.ts";
import { mayHoldEncoded } from "../core/payload-codec.ts";

/** Whether an event is the record of a command: its kind, name, ordinal and what it was given. */
export function isRecordOf(event: EventBody, command: Command): boolean {
  switch (command.kind) {
    case "run-activity":
      return (
        event.type === "ActivityScheduled" &&
        event.ordinal === command.ordinal &&
        event.activityType === command.activityType &&
        event.isStep === command.isStep &&
        event.input === command.input
      );
    case "cancel-activity":
      return event.type === "ActivityCancelRequested" && event.ordinal === command.ordinal;
    case "start-timer":
      return (
        event.type === "TimerStarted" &&
        event.ordinal === command.ordinal &&
        event.durationMs === command.durationMs
      );
    case "cancel-timer":
      return event.type === "TimerCancelled" && event.ordinal === command.ordinal;
    case "send-signal":
      return (
        event.type === "SignalSent" &&
        event.ordinal === command.ordinal &&
        event.target === command.target &&
        event.name === command.name &&
        event.payload === command.payload
      );
    case "start-child":
      return (
        event.type === "ChildWorkflowStarted" &&
        event.ordinal === command.ordinal &&
        event.workflowType === command.workflowType &&
        event.childWorkflowId === command.childWorkflowId &&
        event.parentClosePolicy === command.parentClosePolicy &&
        event.input === command.input &&
        isSameAttributes(event.attributes, command.attributes)
      );
    case "cancel-child":
      return event.type === "ChildWorkflowCancelRequested" && event.ordinal === command.ordinal;
    case "side-effect":
      return event.type === "SideEffectRecorded" && event.ordinal === command.ordinal;
    case "mark-version":
      return event.type === "VersionMarked" && event.changeId === command.changeId;
    case "set-attributes":
      return (
        event.type === "SearchAttributesUpdated" && isSameAttributes(event.attributes, command.attributes)
      );
    case "complete-update":
      return (
        event.type === "UpdateCompleted" &&
        event.updateId === command.updateId &&
        event.result === command.result &&
        event.failure?.kind === command.failure?.kind &&
        event.failure?.message === command.failure?.message
      );
    case "complete":
      return event.type === "WorkflowCompleted" && event.result === command.result;
    case "fail":
      return (
        event.type === "WorkflowFailed" &&
        event.failure.kind === command.failure.kind &&
        event.failure.message === command.failure.message
      );
    case "cancelled":
      return event.type === "WorkflowCancelled";
    case "continue-as-new":
      return (
        event.type === "WorkflowContinuedAsNew" &&
        event.workflowType === command.workflowType &&
        event.input === command.input
      );
    case "await-signal":
    case "withdraw-signal":
      return false;
  }
}

/** A recorded command in the words of `describeCommand`, so that expected and found read alike. */
export function describeRecord(event: EventBody): string {
  switch (event.type) {
    case "ActivityScheduled":
      return describeCommand({ ...event, kind: "run-activity" });
    case "ActivityCancelRequested":
      return describeCommand({ kind: "cancel-activity", ordinal: event.ordinal });
    case "TimerStarted":
      return describeCommand({ ...event, kind: "start-timer" });
    case "TimerCancelled":
      return describeCommand({ kind: "cancel-timer", ordinal: event.ordinal });
    case "SignalSent":
      return describeCommand({ ...event, kind: "send-signal" });
    case "ChildWorkflowStarted":
      return describeCommand({ ...event, kind: "start-child" });
    case "ChildWorkflowCancelRequested":
      return describeCommand({ kind: "cancel-child", ordinal: event.ordinal });
    case "SideEffectRecorded":
      return describeCommand({ kind: "side-effect", ordinal: event.ordinal });
    case "VersionMarked":
      return describeCommand({ ...event, kind: "mark-version" });
    case "SearchAttributesUpdated":
      return describeCommand({ ...event, kind: "set-attributes" });
    case "UpdateCompleted": {
      const { type: _type, ...fields } = event;
      return describeCommand({ ...fields, kind: "complete-update" });
    }
    case "WorkflowCompleted":
      return `complete with ${shorten(event.result)}`;
    case "WorkflowFailed":
      return `fail with ${JSON.stringify(shorten(event.failure.message))}`;
    case "WorkflowCancelled":
      return "cancelled";
    case "WorkflowContinuedAsNew":
      return describeCommand({ ...event, kind: "continue-as-new" });
    default:
      return event.type;
  }
}

/** How an event differs from a command that is of its kind, ordinal and name: the input or the result. */
export function describeDifference(event: EventBody, command: Command): string {
  const recorded = inputOf(event);
  const found =
    "input" in command
      ? command.input
      : "payload" in command
        ? command.payload
        : "result" in command
          ? command.result
          : undefined;
  if (recorded === undefined || found === undefined || recorded === found) return "";
  if (mayHoldEncoded(recorded) || mayHoldEncoded(found)) return " (what it was given is another, encoded)";
  return ` (recorded with ${shorten(recorded)}, found with ${shorten(found)})`;
}

function inputOf(event: EventBody): string | undefined {
  if ("input" in event) return event.input;
  if ("payload" in event) return event.payload;
  return "result" in event ? event.result : undefined;
}

const shownMax = 120;

function shorten(text: string): string {
  return text.length > shownMax ? `${text.slice(0, shownMax)}…` : text;
}
