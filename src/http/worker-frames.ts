import { fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import type { JsonObject } from "@bufbuild/protobuf";
import { failureFromJson, failureToJson } from "../client/json-form.ts";
import type { JsonObject as Fields } from "../client/json-form.ts";
import type { Failure } from "../core/failure.ts";
import type { EngineFrame, TaskToken, WorkerFrame } from "../protocol/frames.ts";
import { WorkRequestSchema, WorkResponseSchema } from "./gen/aion/v1/workers_pb.ts";
import type { WorkRequest, WorkResponse } from "./gen/aion/v1/workers_pb.ts";
import { plain } from "./plain-json.ts";

// A frame and its message have the same fields; what the one has in `type`, the other has as the name of its only field. Only
// failures differ: their details are JSON in messages, and text in frames.

export function toWorkRequest(frame: WorkerFrame, namespace?: string): WorkRequest {
  const { type, ...fields } = frame;
  if (type === "report" && frame.outcome.kind === "failed") {
    return toFailedReport(frame.token, frame.outcome.failure);
  }
  const json = { ...fields, ...(type === "register" && namespace !== undefined ? { namespace } : {}) };
  return fromJson(WorkRequestSchema, { [type]: plain(json) });
}

/**
 * A report is sent until it is acknowledged, so it must be one that arrives. Failures hold what the code of activities made up; one
 * that no message can hold (its details are nested too deeply) goes without what is not needed to decide what follows.
 */
function toFailedReport(token: TaskToken, failure: Failure): WorkRequest {
  const toReport = (json: Fields): WorkRequest =>
    fromJson(WorkRequestSchema, { report: plain({ token, outcome: { kind: "failed", failure: json } }) });
  try {
    const report = toReport(failureToJson(failure));
    fromBinary(WorkRequestSchema, toBinary(WorkRequestSchema, report));
    return report;
  } catch {
    const { kind, message, type, nonRetryable, stack } = failure;
    return toReport({ kind, message, type, nonRetryable, stack });
  }
}

/** The frame as it came, and not looked at: that is the engine's. */
export function fromWorkRequest(message: WorkRequest): Fields {
  const frame = fromMessage(toJson(WorkRequestSchema, message, { alwaysEmitImplicit: true }) as JsonObject);
  const outcome = frame["outcome"] as { readonly failure?: Fields } | undefined;
  if (outcome?.failure === undefined) return frame;
  return { ...frame, outcome: { ...outcome, failure: failureFromJson(outcome.failure) satisfies Failure } };
}

export function toWorkResponse({ type, ...fields }: EngineFrame): WorkResponse {
  return fromJson(WorkResponseSchema, { [type]: plain(fields) });
}

/** Undefined: a frame that a newer engine made up. */
export function fromWorkResponse(message: WorkResponse): EngineFrame | undefined {
  if (message.frame.case === undefined) return undefined;
  const json = toJson(WorkResponseSchema, message, { alwaysEmitImplicit: true }) as JsonObject;
  return fromMessage(json) as unknown as EngineFrame;
}

function fromMessage(json: JsonObject): Fields {
  const [entry] = Object.entries(json);
  return entry === undefined ? {} : { type: entry[0], ...(entry[1] as JsonObject) };
}
