import type { AttributeChanges, Attributes } from "./attributes.ts";
import type { ActivityOptionsRecord, EventBody, ParentClosePolicy } from "./event.ts";
import type { Failure } from "./failure.ts";
import type { WorkflowId } from "./ids.ts";
import type { Payload } from "./payload.ts";

/** What workflow code asks for. Plain data: it crosses the border of the realm that the code runs in. */
export type Command =
  | {
      readonly kind: "run-activity";
      readonly ordinal: number;
      readonly activityType: string;
      readonly input: Payload;
      readonly options: ActivityOptionsRecord;
      readonly isStep?: true;
    }
  | { readonly kind: "cancel-activity"; readonly ordinal: number }
  | { readonly kind: "start-timer"; readonly ordinal: number; readonly durationMs: number }
  | { readonly kind: "cancel-timer"; readonly ordinal: number }
  /** `timer`: the timer that ends the wait, if it has a time-out. */
  | { readonly kind: "await-signal"; readonly name: string; readonly index: number; readonly timer?: number }
  /** A wait without a time-out ends with its scope. `place`: where it stood in the line of those that wait for that name. */
  | { readonly kind: "withdraw-signal"; readonly name: string; readonly place: number }
  | {
      readonly kind: "send-signal";
      readonly ordinal: number;
      readonly target: WorkflowId;
      readonly name: string;
      readonly payload: Payload;
    }
  | {
      readonly kind: "start-child";
      readonly ordinal: number;
      readonly childWorkflowId: WorkflowId;
      readonly workflowType: string;
      readonly input: Payload;
      readonly parentClosePolicy: ParentClosePolicy;
      readonly runTimeoutMs?: number;
      readonly attributes?: Attributes;
    }
  | { readonly kind: "cancel-child"; readonly ordinal: number }
  | {
      readonly kind: "side-effect";
      readonly ordinal: number;
      readonly value?: Payload;
      readonly failure?: Failure;
    }
  | { readonly kind: "mark-version"; readonly changeId: string }
  | { readonly kind: "set-attributes"; readonly attributes: AttributeChanges }
  /** The handler of an update has ended: with a result, or with a failure. */
  | {
      readonly kind: "complete-update";
      readonly updateId: string;
      readonly result?: Payload;
      readonly failure?: Failure;
    }
  | { readonly kind: "complete"; readonly result: Payload }
  | { readonly kind: "fail"; readonly failure: Failure }
  | { readonly kind: "cancelled"; readonly reason?: string }
  | { readonly kind: "continue-as-new"; readonly workflowType: string; readonly input: Payload };

export type CommandKind = Command["kind"];

/** The event type that records a command; a wait for a signal is answered by an arrival, and records nothing. */
export const eventTypeOfCommand: Readonly<Record<CommandKind, EventBody["type"] | undefined>> = {
  "run-activity": "ActivityScheduled",
  "cancel-activity": "ActivityCancelRequested",
  "start-timer": "TimerStarted",
  "cancel-timer": "TimerCancelled",
  "await-signal": undefined,
  "withdraw-signal": undefined,
  "send-signal": "SignalSent",
  "start-child": "ChildWorkflowStarted",
  "cancel-child": "ChildWorkflowCancelRequested",
  "side-effect": "SideEffectRecorded",
  "mark-version": "VersionMarked",
  "set-attributes": "SearchAttributesUpdated",
  "complete-update": "UpdateCompleted",
  complete: "WorkflowCompleted",
  fail: "WorkflowFailed",
  cancelled: "WorkflowCancelled",
  "continue-as-new": "WorkflowContinuedAsNew",
};

/** A command in a few words, for errors and reports: `run-activity "charge" #3`. */
export function describeCommand(command: Command): string {
  switch (command.kind) {
    case "run-activity":
      return `${command.isStep ? "step" : "run-activity"} ${JSON.stringify(command.activityType)} #${command.ordinal}`;
    case "start-timer":
      return `start-timer ${command.durationMs} ms #${command.ordinal}`;
    case "await-signal":
      return `await-signal ${JSON.stringify(command.name)} [${command.index}]`;
    case "withdraw-signal":
      return `withdraw-signal ${JSON.stringify(command.name)} [${command.place}]`;
    case "send-signal":
      return `send-signal ${JSON.stringify(command.name)} to ${command.target} #${command.ordinal}`;
    case "start-child":
      return `start-child ${JSON.stringify(command.workflowType)} ${command.childWorkflowId} #${command.ordinal}`;
    case "cancel-activity":
    case "cancel-timer":
    case "cancel-child":
    case "side-effect":
      return `${command.kind} #${command.ordinal}`;
    case "complete-update":
      return `${command.failure === undefined ? "complete" : "fail"}-update ${JSON.stringify(command.updateId)}`;
    case "mark-version":
      return `mark-version ${JSON.stringify(command.changeId)}`;
    case "set-attributes":
      return `set-attributes ${shortened(JSON.stringify(command.attributes))}`;
    case "continue-as-new":
      return `continue-as-new ${JSON.stringify(command.workflowType)}`;
    case "complete":
    case "fail":
    case "cancelled":
      return command.kind;
  }
}

const shownMax = 120;

function shortened(text: string): string {
  return text.length > shownMax ? `${text.slice(0, shownMax).toWellFormed()}…` : text;
}
