import type { Event } from "../core/event.ts";
import type { Failure } from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload } from "../core/payload.ts";
import type {
  FeedEvent,
  FeedReply,
  HistoryReply,
  LogsLine,
  LogsReply,
  PendingActivity,
  ResultReply,
  RunDescription,
  UpdateReply,
  ScheduleActionRequest,
  ScheduleDescription,
} from "./service.ts";

/**
 * The service's own data with payloads as the JSON that they are, instead of text in text: what goes over HTTP, and what
 * `--json` prints. Stable: fields are added, never renamed or removed.
 */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Fields of events that hold payloads, in whatever event they occur. */
const payloadFields = ["input", "sent", "result", "payload", "value", "heartbeat"] as const;

export function eventToJson(event: Event): JsonObject {
  const { seq, recordedAt, workflowId, type, ...body } = event;
  const json: Record<string, unknown> = { seq, recordedAt, workflowId, type, ...body };
  for (const field of payloadFields) {
    const payload = json[field];
    if (typeof payload === "string") json[field] = fromPayload(payload as Payload);
  }
  if (event.type === "WorkflowStarted" && event.signals !== undefined) {
    json["signals"] = event.signals.map((signal) => ({ ...signal, payload: fromPayload(signal.payload) }));
  }
  if ("failure" in event && event.failure !== undefined) json["failure"] = failureToJson(event.failure);
  return json;
}

export function eventFromJson(json: JsonObject): Event {
  const event: Record<string, unknown> = { ...json };
  for (const field of payloadFields) if (field in event) event[field] = textOf(event[field]);
  if (Array.isArray(event["signals"])) {
    event["signals"] = event["signals"].map((signal: JsonObject) => ({
      ...signal,
      payload: textOf(signal["payload"]),
    }));
  }
  if (event["failure"] !== undefined) event["failure"] = failureFromJson(event["failure"] as JsonObject);
  return event as unknown as Event;
}

export function failureToJson(failure: Failure): JsonObject {
  const { details, cause, ...rest } = failure;
  return {
    ...rest,
    ...(details === undefined ? {} : { details: fromPayload(details) }),
    ...(cause === undefined ? {} : { cause: failureToJson(cause) }),
  };
}

export function failureFromJson(json: JsonObject): Failure {
  const { details, cause, ...rest } = json;
  return {
    ...(rest as unknown as Failure),
    ...(details === undefined ? {} : { details: textOf(details) }),
    ...(cause === undefined ? {} : { cause: failureFromJson(cause as JsonObject) }),
  };
}

export function descriptionToJson(description: RunDescription): JsonObject {
  const { input, result, failure, pendingActivities, ...rest } = description;
  return {
    ...rest,
    pendingActivities: pendingActivities.map(({ progress, ...activity }) => ({
      ...activity,
      ...(progress === undefined ? {} : { progress: fromPayload(progress) }),
    })),
    ...(input === undefined ? {} : { input: fromPayload(input) }),
    ...(result === undefined ? {} : { result: fromPayload(result) }),
    ...(failure === undefined ? {} : { failure: failureToJson(failure) }),
  };
}

export function descriptionFromJson(json: JsonObject): RunDescription {
  const { input, result, failure, pendingActivities, ...rest } = json;
  return {
    ...(rest as unknown as RunDescription),
    pendingActivities: (pendingActivities as readonly JsonObject[]).map(
      ({ progress, ...activity }) =>
        ({
          ...activity,
          ...(progress === undefined ? {} : { progress: textOf(progress) }),
        }) as unknown as PendingActivity,
    ),
    ...(input === undefined ? {} : { input: textOf(input) }),
    ...(result === undefined ? {} : { result: textOf(result) }),
    ...(failure === undefined ? {} : { failure: failureFromJson(failure as JsonObject) }),
  };
}

/** What is told of a schedule, and what is asked for: an action has one payload. */
export function scheduleToJson(of: { readonly action?: ScheduleActionRequest }): JsonObject {
  const { action } = of;
  return action === undefined
    ? { ...of }
    : { ...of, action: { ...action, input: fromPayload(action.input) } };
}

export function scheduleFromJson(json: JsonObject): ScheduleDescription {
  const action = json["action"] as JsonObject;
  return { ...json, action: { ...action, input: textOf(action["input"]) } } as unknown as ScheduleDescription;
}

export function resultToJson(reply: ResultReply): JsonObject {
  if (reply.status === "running") return { ...reply };
  if (reply.status === "completed") return { ...reply, result: fromPayload(reply.result) };
  return { ...reply, failure: failureToJson(reply.failure) };
}

export function resultFromJson(json: JsonObject): ResultReply {
  const { status, result, failure } = json;
  if (status === "running") return json as unknown as ResultReply;
  if (status === "completed") return { ...(json as { runId: string }), status, result: textOf(result) };
  return {
    ...(json as unknown as Extract<ResultReply, { readonly failure: Failure }>),
    failure: failureFromJson(failure as JsonObject),
  };
}

export function updateToJson(reply: UpdateReply): JsonObject {
  if (reply.status === "completed") return { ...reply, result: fromPayload(reply.result) };
  return reply.status === "failed" ? { ...reply, failure: failureToJson(reply.failure) } : { ...reply };
}

export function updateFromJson(json: JsonObject): UpdateReply {
  const { status, result, failure } = json;
  const reply = json as unknown as UpdateReply;
  if (status === "completed") return { ...reply, status, result: textOf(result) };
  return status === "failed" ? { ...reply, status, failure: failureFromJson(failure as JsonObject) } : reply;
}

export function historyToJson({ events, ...rest }: HistoryReply): JsonObject {
  return { events: events.map(eventToJson), ...rest };
}

export function historyFromJson(json: JsonObject): HistoryReply {
  return {
    ...(json as unknown as HistoryReply),
    events: (json["events"] as readonly JsonObject[]).map(eventFromJson),
  };
}

export function logsLineToJson({ fields, ...rest }: LogsLine): JsonObject {
  return { ...rest, ...(fields === undefined ? {} : { fields: fromPayload(fields) }) };
}

export function logsToJson({ lines, ...rest }: LogsReply): JsonObject {
  return { lines: lines.map(logsLineToJson), ...rest };
}

export function logsFromJson(json: JsonObject): LogsReply {
  const lines = (json["lines"] as readonly JsonObject[]).map(({ fields, ...rest }) => ({
    ...rest,
    ...(fields === undefined ? {} : { fields: textOf(fields) }),
  }));
  return { ...json, lines } as unknown as LogsReply;
}

export function feedEventToJson({ event, ...rest }: FeedEvent): JsonObject {
  return { ...rest, ...(event === undefined ? {} : { event: eventToJson(event) }) };
}

export function feedToJson({ events, ...rest }: FeedReply): JsonObject {
  return { events: events.map(feedEventToJson), ...rest };
}

export function feedFromJson(json: JsonObject): FeedReply {
  const events = (json["events"] as readonly JsonObject[]).map(({ event, ...rest }) => ({
    ...rest,
    ...(event === undefined ? {} : { event: eventFromJson(event as JsonObject) }),
  }));
  return { ...json, events } as unknown as FeedReply;
}

/** A payload, and the JSON value that it is. Both ways give what was there: payloads are written by `JSON.stringify`. */
export function textOf(value: unknown): Payload {
  return JSON.stringify(value) as Payload;
}
