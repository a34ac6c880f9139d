import type { ResultReply, RunDescription } from "../client/service.ts";
import type { Event } from "../core/event.ts";
import type { Failure } from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload } from "../core/payload.ts";
import type { DocumentOf, EventDocument, FailureDocument } from "./documents.ts";

// What `--json` prints: the service's own data with payloads as the JSON that they are, instead of text in text.

/** Fields of events that hold payloads, in whatever event they occur. */
const payloadFields = ["input", "result", "payload", "value", "heartbeat"] as const;

export function toEventView(event: Event): EventDocument {
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
  // Which fields hold payloads is decided above; that each event fits its schema is tested.
  return view as EventDocument;
}

export function toFailureView(failure: Failure): FailureDocument {
  const { details, cause, ...rest } = failure;
  return {
    ...rest,
    ...(details === undefined ? {} : { details: fromPayload(details) }),
    ...(cause === undefined ? {} : { cause: toFailureView(cause) }),
  };
}

export function toDescriptionView(description: RunDescription): DocumentOf<"describe"> {
  const { input, result, failure, ...rest } = description;
  return {
    ...rest,
    ...(input === undefined ? {} : { input: fromPayload(input) }),
    ...(result === undefined ? {} : { result: fromPayload(result) }),
    ...(failure === undefined ? {} : { failure: toFailureView(failure) }),
  };
}

export function toResultView(workflowId: string, reply: ResultReply): DocumentOf<"result"> {
  if (reply.status === "running") return { workflowId, ...reply };
  if (reply.status === "completed") return { workflowId, ...reply, result: fromPayload(reply.result) };
  return { workflowId, ...reply, failure: toFailureView(reply.failure) };
}
