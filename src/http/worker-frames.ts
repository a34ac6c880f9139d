import { create, fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import type { JsonObject } from "@bufbuild/protobuf";
import { failureFromJson, failureToJson } from "../client/json-form.ts";
import type { JsonObject as Fields } from "../client/json-form.ts";
import type { Failure } from "../core/failure.ts";
import type {
  AcknowledgedFrame,
  EngineFrame,
  TaskFrame,
  TaskToken,
  WorkerFrame,
} from "../protocol/frames.ts";
import { WorkRequestSchema, WorkResponseSchema } from "./gen/aion/v1/workers_pb.ts";
import type { WorkRequest, WorkResponse } from "./gen/aion/v1/workers_pb.ts";
import { plain } from "./plain-json.ts";

// A frame and its message have the same fields; what the one has in `type`, the other has as the name of its only field. Only
// failures differ: their details are JSON in messages, and text in frames.

export function toWorkRequest(frame: WorkerFrame, namespace?: string): WorkRequest {
  // Those that there are many of go without the way over JSON.
  if (frame.type === "report" && frame.outcome.kind === "completed") {
    const { token, outcome } = frame;
    return create(WorkRequestSchema, { frame: { case: "report", value: { token, outcome } } });
  }
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
    const { kind, message, type, nonRetryable, park, stack } = failure;
    return toReport({ kind, message, type, nonRetryable, park, stack });
  }
}

/** The frame as it came, and not looked at: that is the engine's. */
export function fromWorkRequest(message: WorkRequest): Fields {
  if (message.frame.case === "report") {
    const { token, outcome } = message.frame.value;
    if (outcome?.failure === undefined && outcome?.result !== undefined) {
      const { kind, result } = outcome;
      return { type: "report", token, outcome: { kind, result } };
    }
  }
  const frame = fromMessage(toJson(WorkRequestSchema, message, { alwaysEmitImplicit: true }) as JsonObject);
  const outcome = frame["outcome"] as { readonly failure?: Fields } | undefined;
  if (outcome?.failure === undefined) return frame;
  return { ...frame, outcome: { ...outcome, failure: failureFromJson(outcome.failure) satisfies Failure } };
}

export function toWorkResponse(frame: EngineFrame): WorkResponse {
  if (frame.type === "task" || frame.type === "acknowledged") {
    const { type, ...value } = frame;
    return create(WorkResponseSchema, { frame: { case: type, value } as WorkResponse["frame"] });
  }
  const { type, ...fields } = frame;
  return fromJson(WorkResponseSchema, { [type]: plain(fields) });
}

/** Undefined: a frame that a newer engine made up. */
export function fromWorkResponse(message: WorkResponse): EngineFrame | undefined {
  const { frame } = message;
  if (frame.case === undefined) return undefined;
  if (frame.case === "acknowledged") {
    const { token, became } = frame.value;
    return { type: "acknowledged", token, became: became as AcknowledgedFrame["became"] };
  }
  if (frame.case === "task" && frame.value.trace === undefined) {
    const { $typeName: _name, $unknown: _unknown, ...task } = frame.value;
    return { type: "task", ...task } as unknown as TaskFrame;
  }
  const json = toJson(WorkResponseSchema, message, { alwaysEmitImplicit: true }) as JsonObject;
  return fromMessage(json) as unknown as EngineFrame;
}

function fromMessage(json: JsonObject): Fields {
  const [entry] = Object.entries(json);
  return entry === undefined ? {} : { type: entry[0], ...(entry[1] as JsonObject) };
}
