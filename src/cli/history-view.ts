import type { Event, EventOf, ResetOrigin } from "../core/event.ts";
import { startDelayOrdinal } from "../core/event.ts";
import type { EventType } from "../core/event.ts";
import { formatClock, formatInstant, formatSpan } from "./instant.ts";
import { describeSpec } from "./schedule-view.ts";
import type { Style } from "./output.ts";
import { style } from "./output.ts";
import { oneLine, printable } from "./printable.ts";
import { failureTitle, shownAttributes } from "./run-view.ts";
import type { ViewOptions } from "./run-view.ts";

/**
 * Events as lines for people: `7  09:05:07.123  +1.2s  ActivityCompleted  charge #0  "pay_1"`.
 * Owner: one command. It remembers what it showed: names of what is open, the day, the start of the run.
 */
export class HistoryView {
  readonly #options: Pick<ViewOptions, "width" | "isFull">;
  readonly #names = new Map<string, string>();
  #day = "";
  #startedAt: number | undefined;

  constructor(options: Pick<ViewOptions, "width" | "isFull">) {
    this.#options = options;
  }

  /** One line, or two when a day begins. `mark`: stands before it. */
  show(event: Event, mark = ""): string {
    if (event.type === "WorkflowStarted") {
      this.#names.clear();
      this.#startedAt = event.recordedAt;
    }
    const { seq, recordedAt, type } = event;
    const day = formatInstant(recordedAt).slice(0, 10);
    const heading = day === this.#day ? "" : `${style("dim", day)}\n`;
    this.#day = day;
    const since = this.#startedAt === undefined ? "" : `+${formatSpan(recordedAt - this.#startedAt)}`;
    const fixed = `${mark}${String(seq).padStart(5)}  ${formatClock(recordedAt)}  ${since.padStart(8)}  ${type.padEnd(typeWidth)}  `;
    const room = this.#options.isFull
      ? Number.POSITIVE_INFINITY
      : Math.max(20, this.#options.width - fixed.length);
    const coloured = `${style("dim", fixed.slice(0, -(typeWidth + 2)))}${style(styleOf(type), type.padEnd(typeWidth))}  `;
    return `${heading}${coloured}${oneLine(this.#tell(event), room)}`.trimEnd();
  }

  #tell(event: Event): string {
    switch (event.type) {
      case "WorkflowStarted": {
        const facts = [`run ${event.runId}`];
        if (event.parent !== undefined) facts.push(`child of ${event.parent.workflowId}`);
        if (event.resetOf !== undefined) facts.push(describeOrigin(event.resetOf));
        if (event.startAt !== undefined) facts.push(`not before ${formatInstant(event.startAt)}`);
        if (event.attributes !== undefined) facts.push(`found by ${shownAttributes(event.attributes)}`);
        const signals = (event.signals ?? []).map(({ name, payload }) => `  with ${name} ${payload}`);
        return `${event.workflowType}  ${event.input}  ${facts.join(", ")}${signals.join("")}`;
      }
      case "WorkflowCompleted":
        return event.result;
      case "WorkflowFailed":
        return failureTitle(event.failure);
      case "WorkflowCancelled":
      case "WorkflowTerminated":
      case "WorkflowCancelRequested":
      case "WorkflowPaused":
      case "WorkflowResumed":
        return event.reason ?? "";
      case "WorkflowTimedOut":
        return `${event.timeout} time-out`;
      case "WorkflowContinuedAsNew":
        return `as run ${event.newRunId}  ${event.input}`;
      case "ActivityScheduled": {
        const name = `${event.isStep === true ? "step " : ""}${event.activityType}`;
        return `${this.#name("activity", event, name)}${event.isStep === true ? "" : `  ${event.input}`}`;
      }
      case "ActivityStarted": {
        const where = event.worker === undefined ? "" : ` on ${printable(event.worker)}`;
        return `${this.#name("activity", event)}, attempt ${event.attempt}${where}`;
      }
      case "ActivityCancelled":
        return `${this.#name("activity", event)}, attempt ${event.attempt}`;
      case "ActivityCompleted":
        return `${this.#name("activity", event)}${decided(event)}  ${event.result}`;
      case "ActivityFailed":
        return `${this.#attempt(event)}${decided(event)}: ${failureTitle(event.failure)}`;
      case "ActivityParked":
        return `${this.#name("activity", event)}, attempt ${event.attempt}, waits for an operator: ${failureTitle(event.failure)}`;
      case "ActivityResumed": {
        const names = event.ordinals.map((ordinal) => this.#name("activity", { ordinal })).join(", ");
        return `${names}${event.reason === undefined ? "" : `: ${event.reason}`}`;
      }
      case "ActivityTimedOut":
        return `${this.#attempt(event)}: ${event.timeout} time-out`;
      case "ActivityCancelRequested":
        return this.#name("activity", event);
      case "TimerStarted":
        return `#${event.ordinal}, ${formatSpan(event.durationMs)}, fires ${formatInstant(event.fireAt)}`;
      case "TimerFired":
        return event.ordinal === startDelayOrdinal ? "the start delay is over" : `#${event.ordinal}`;
      case "TimerCancelled":
        return `#${event.ordinal}`;
      case "SignalReceived":
        return `${event.name}${event.signalId === undefined ? "" : ` (${event.signalId})`}  ${event.payload}`;
      case "SignalSent":
        return `${this.#name("signal", event, event.name)} to ${event.target}  ${event.payload}`;
      case "SignalSettled":
        return `${this.#name("signal", event)}${event.failure === undefined ? "" : `: ${failureTitle(event.failure)}`}`;
      case "UpdateAccepted":
        return `${this.#updateName(event, event.name)}  ${event.input}`;
      case "UpdateCompleted":
        return event.failure === undefined
          ? `${this.#updateName(event)}  ${event.result ?? "null"}`
          : `${this.#updateName(event)}: ${failureTitle(event.failure)}`;
      case "ChildWorkflowStarted":
        return `${this.#name("child", event, event.workflowType)} as ${event.childWorkflowId}  ${event.input}`;
      case "ChildWorkflowCompleted":
        return `${this.#name("child", event)}  ${event.result}`;
      case "ChildWorkflowFailed":
        return `${this.#name("child", event)}: ${failureTitle(event.failure)}`;
      case "ChildWorkflowCancelled":
      case "ChildWorkflowTimedOut":
      case "ChildWorkflowTerminated":
      case "ChildWorkflowCancelRequested":
        return this.#name("child", event);
      case "SideEffectRecorded":
        return `#${event.ordinal}  ${event.failure === undefined ? (event.value ?? "null") : failureTitle(event.failure)}`;
      case "InputDelivered":
        return `event ${event.of}`;
      case "WorkflowReopened":
        return `without ${event.voids.join(", ")}${event.reason === undefined ? "" : `: ${event.reason}`}`;
      case "WorkflowReset": {
        const facts = [
          `run ${event.as.runId} from here on`,
          ...(event.isRedone === true ? ["acting anew on what it learned last"] : []),
        ];
        return `${facts.join(", ")}${event.reason === undefined ? "" : `: ${event.reason}`}`;
      }
      case "VersionMarked":
        return event.changeId;
      case "SearchAttributesUpdated":
        return shownAttributes(event.attributes);
      case "ScheduleCreated":
      case "ScheduleUpdated":
        return `${event.config.action.workflowType}  ${describeSpec(event.config.spec)}  ${event.input}`;
      case "SchedulePaused":
        return event.note ?? "";
      case "ScheduleResumed":
      case "ScheduleDeleted":
        return "";
      case "ScheduleTriggered":
        return `#${event.ordinal} as ${event.startedId}${event.cause === "time" ? "" : ` (${event.cause})`}`;
      case "ScheduleSkipped": {
        const least = event.isCountLeast === true ? "at least " : "";
        const span = event.fromAt === event.toAt ? "" : ` to ${formatInstant(event.toAt)}`;
        const start = event.ordinal === undefined ? "" : `#${event.ordinal}: `;
        return `${start}${event.reason}, ${least}${event.count} from ${formatInstant(event.fromAt)}${span}${event.message === undefined ? "" : `: ${event.message}`}`;
      }
      case "ScheduleBackfillRequested":
        return `${event.count} from ${formatInstant(event.fromAt)} to ${formatInstant(event.toAt)}, ${event.overlap}`;
    }
  }

  #attempt(event: EventOf<"ActivityFailed"> | EventOf<"ActivityTimedOut">): string {
    const next =
      event.retryAt === undefined ? "" : `, next in ${formatSpan(event.retryAt - event.recordedAt)}`;
    return `${this.#name("activity", event)}, attempt ${event.attempt}${next}`;
  }

  #updateName({ updateId }: { readonly updateId: string }, name?: string): string {
    const key = `update ${updateId}`;
    if (name !== undefined) this.#names.set(key, name);
    const known = this.#names.get(key);
    return known === undefined ? `(${updateId})` : `${known} (${updateId})`;
  }

  /** Later events have the number alone: the name was in the first. */
  #name(kind: string, { ordinal }: { readonly ordinal: number }, name?: string): string {
    const key = `${kind} ${ordinal}`;
    if (name !== undefined) this.#names.set(key, name);
    const known = this.#names.get(key);
    return known === undefined ? `#${ordinal}` : `${known} #${ordinal}`;
  }
}

function describeOrigin({ workflowId, runId, toSeq }: ResetOrigin): string {
  const run = workflowId === undefined ? `run ${runId}` : `${workflowId}, run ${runId},`;
  return `from event ${toSeq} of ${run} on`;
}

/** By whom, if not by an attempt. */
function decided({ byOperator, reason }: { readonly byOperator?: true; readonly reason?: string }): string {
  if (byOperator !== true) return "";
  return reason === undefined ? ", by an operator" : `, by an operator (${reason})`;
}

const typeWidth = "ActivityCancelRequested".length;

function styleOf(type: EventType): Style {
  if (type === "WorkflowCompleted") return ["bold", "green"];
  if (/Failed$|TimedOut$/.test(type)) return "red";
  if (/Cancel|Terminated$|Parked$/.test(type)) return "yellow";
  if (type.startsWith("Workflow")) return "bold";
  if (type.startsWith("Signal") || type === "UpdateAccepted") return "magenta";
  return type.endsWith("Completed") ? "green" : "reset";
}
