import type { FeedEvent, ResultReply, RunDescription } from "../client/service.ts";
import type { Event } from "../core/event.ts";
import type { Failure } from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload } from "../core/payload.ts";

/**
 * What `--json` prints: the service's own data with payloads as the JSON that they are, instead of text in text.
 * Stable: fields are added, never renamed or removed.
 */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Fields of events that hold payloads, in whatever event they occur. */
const payloadFields = ["input", "result", "payload", "value", "heartbeat"] as const;

export function toEventView(event: Event): JsonObject {
  const { seq, recordedAt, workflowId, type, ...body } = event;
  const view: Record<string, unknown> = { seq, recordedAt, workflowId, type, ...body };
  for (const field of payloadFields) {
    const payload = view[field];
    if (typeof payload === "string") view[field] = fromPayload(payload as Payload);
  }
  if (event.type === "WorkflowStarted" && event.signals !== undefined) {
    view["signals"] = event.signals.map((signal) => ({ ...signal, payload: fromPayload(signal.payload) }));
  }
  if ("failure" in event && event.failure !== undefined) view["failure"] = toFailureView(event.failure);
  return view;
}

export function toFeedView({ event, ...rest }: FeedEvent): JsonObject {
  return { ...rest, ...(event === undefined ? {} : { event: toEventView(event) }) };
}

export function toFailureView(failure: Failure): JsonObject {
  const { details, cause, ...rest } = failure;
  return {
    ...rest,
    ...(details === undefined ? {} : { details: fromPayload(details) }),
    ...(cause === undefined ? {} : { cause: toFailureView(cause) }),
  };
}

export function toDescriptionView(description: RunDescription): JsonObject {
  const { input, result, failure, ...rest } = description;
  return {
    ...rest,
    ...(input === undefined ? {} : { input: fromPayload(input) }),
    ...(result === undefined ? {} : { result: fromPayload(result) }),
    ...(failure === undefined ? {} : { failure: toFailureView(failure) }),
  };
}

export function toResultView(workflowId: string, reply: ResultReply): JsonObject {
  if (reply.status === "running") return { workflowId, ...reply };
  if (reply.status === "completed") return { workflowId, ...reply, result: fromPayload(reply.result) };
  return { workflowId, ...reply, failure: toFailureView(reply.failure) };
}
