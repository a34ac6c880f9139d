import { fromJson, toJson } from "@bufbuild/protobuf";
import type { JsonObject } from "@bufbuild/protobuf";
import { failureFromJson, failureToJson } from "../client/json-form.ts";
import type { JsonObject as Fields } from "../client/json-form.ts";
import type { Failure } from "../core/failure.ts";
import type { EngineFrame, WorkerFrame } from "../protocol/frames.ts";
import { WorkRequestSchema, WorkResponseSchema } from "./gen/aion/v1/workers_pb.ts";
import type { WorkRequest, WorkResponse } from "./gen/aion/v1/workers_pb.ts";

// A frame and its message have the same fields; what the one has in `type`, the other has as the name of its only field. Only
// failures differ: their details are JSON in messages, and text in frames.

export function toWorkRequest(frame: WorkerFrame, namespace?: string): WorkRequest {
  const { type, ...fields } = frame;
  const json = {
    ...fields,
    ...(type === "register" && namespace !== undefined ? { namespace } : {}),
    ...("outcome" in frame && frame.outcome.kind === "failed"
      ? { outcome: { kind: "failed", failure: failureToJson(frame.outcome.failure) } }
      : {}),
  };
  return fromJson(WorkRequestSchema, { [type]: plain(json) });
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

/** As JSON has it: a field that is not set is not there. */
function plain(fields: object): JsonObject {
  return JSON.parse(JSON.stringify(fields)) as JsonObject;
}
