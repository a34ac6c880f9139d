import type { Event } from "../core/event.ts";
import type { Payload } from "../core/payload.ts";
import type { PayloadContext, PayloadMap } from "../core/payload-codec.ts";
import { decodeFailure } from "../core/payload-codec.ts";
import type { FeedEvent, LogsLine, PendingActivity, RunDescription } from "./service.ts";

/** What services tell, with each payload in it decoded. `decode` is asked in one order for one value, whatever it answers. */

type Writable = Record<string, unknown>;

/** Fields of events that hold payloads, and what those are. */
const payloadFields: readonly (readonly [field: string, kind: PayloadContext["kind"]])[] = [
  ["input", "input"],
  ["sent", "update"],
  ["result", "result"],
  ["payload", "signal"],
  ["value", "value"],
  ["heartbeat", "heartbeat"],
];

/** Events whose input is that of a workflow. */
const startTypes: ReadonlySet<Event["type"]> = new Set([
  "WorkflowStarted",
  "WorkflowContinuedAsNew",
  "ChildWorkflowStarted",
  "ScheduleCreated",
  "ScheduleUpdated",
]);

export function decodeEvent(event: Event, decode: PayloadMap): Event {
  const { workflowId } = event;
  const decoded: Writable = { ...event };
  for (const [field, kind] of payloadFields) {
    const payload = decoded[field];
    // The input of a step is nothing, and not encoded.
    const isStep = event.type === "ActivityScheduled" && event.isStep === true;
    if (typeof payload !== "string" || isStep) continue;
    const isStart = (field === "input" || field === "sent") && startTypes.has(event.type);
    const isUpdate = field === "input" && event.type === "UpdateAccepted";
    const of = event.type === "ChildWorkflowStarted" ? event.childWorkflowId : workflowId;
    decoded[field] = decode(payload as Payload, {
      kind: isStart ? "start" : isUpdate ? "update" : kind,
      workflowId: of,
    });
  }
  if (event.type === "WorkflowStarted" && event.signals !== undefined) {
    decoded["signals"] = event.signals.map((signal) => ({
      ...signal,
      payload: decode(signal.payload, { kind: "signal", workflowId }),
    }));
  }
  if ("failure" in event && event.failure !== undefined)
    decoded["failure"] = decodeFailure(event.failure, decode, { workflowId });
  return decoded as unknown as Event;
}

export function decodeLine(
  line: LogsLine,
  decode: PayloadMap,
  of: { readonly workflowId: string },
): LogsLine {
  const { message, fields, ...rest } = line;
  if (fields === undefined) return line;
  // Hidden as a failure is.
  const said = decodeFailure({ kind: "application", message, details: fields }, decode, of);
  return {
    ...rest,
    message: said.message,
    ...(said.details === undefined ? {} : { fields: said.details }),
  };
}

export function decodeFeedEvent(item: FeedEvent, decode: PayloadMap): FeedEvent {
  return item.event === undefined ? item : { ...item, event: decodeEvent(item.event, decode) };
}

export function decodeDescription(description: RunDescription, decode: PayloadMap): RunDescription {
  const { workflowId, input, result, failure, pendingActivities } = description;
  return {
    ...description,
    ...(input === undefined ? {} : { input: decode(input, { kind: "start", workflowId }) }),
    ...(result === undefined ? {} : { result: decode(result, { kind: "result", workflowId }) }),
    ...(failure === undefined ? {} : { failure: decodeFailure(failure, decode, { workflowId }) }),
    pendingActivities: pendingActivities.map((activity): PendingActivity =>
      activity.progress === undefined
        ? activity
        : { ...activity, progress: decode(activity.progress, { kind: "heartbeat", workflowId }) },
    ),
  };
}
