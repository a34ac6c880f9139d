/** Frames of workers and engines as messages and back. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { toPayload } from "../core/payload.ts";
import type { EngineFrame, WorkerFrame } from "../protocol/frames.ts";
import { WorkRequestSchema, WorkResponseSchema } from "./gen/aion/v1/workers_pb.ts";
import { fromWorkRequest, fromWorkResponse, toWorkRequest, toWorkResponse } from "./worker-frames.ts";

const text = toPayload({ é: ["\u0000", null, 1e300] }, "a text");

const ofWorkers: readonly WorkerFrame[] = [
  {
    type: "register",
    protocol: 1,
    identity: "w",
    build: "b",
    taskQueues: ["q"],
    activityTypes: ["a", "b"],
    capacity: 10_000,
    session: "s",
    held: ["t1"],
    unacknowledged: ["t2"],
  },
  {
    type: "register",
    protocol: 1,
    identity: "w",
    taskQueues: [],
    activityTypes: [],
    capacity: 1,
    held: [],
    unacknowledged: [],
  },
  { type: "ready" },
  { type: "report", token: "t", outcome: { kind: "completed", result: text } },
  {
    type: "report",
    token: "t",
    outcome: {
      kind: "failed",
      failure: {
        kind: "application",
        message: "",
        type: "T",
        nonRetryable: true,
        details: text,
        stack: "s",
        cause: { kind: "timeout", message: "m", timeout: "heartbeat", attempt: 2 },
      },
    },
  },
  { type: "heartbeat", token: "t", details: text },
  { type: "heartbeat", token: "t" },
  { type: "alive" },
  { type: "drain" },
  { type: "leave" },
];

const ofEngines: readonly EngineFrame[] = [
  { type: "registered", session: "s", sessionTimeoutMs: 30_000, payloadLimitBytes: 2 ** 31, stop: ["t"] },
  { type: "registered", session: "s", sessionTimeoutMs: 0.5, payloadLimitBytes: 1, stop: [] },
  { type: "refused", message: "", isFinal: false },
  {
    type: "task",
    token: "t",
    activityType: "a",
    workflowId: "w/é",
    runId: "r",
    attempt: 1,
    idempotencyKey: "k",
    input: text,
    lastHeartbeat: text,
    heartbeatMs: 1.5,
  },
  {
    type: "task",
    token: "",
    activityType: "a",
    workflowId: "w",
    runId: "r",
    attempt: 1,
    idempotencyKey: "k",
    input: text,
  },
  { type: "cancel", token: "t", reason: "timed-out" },
  { type: "acknowledged", token: "t", became: "already-recorded" },
  { type: "alive" },
  { type: "closing" },
];

describe("a frame as a message", () => {
  it.each(ofWorkers.map((frame) => [frame.type, frame] as const))(
    "of a worker is the same again: %s",
    (_type, frame) => {
      const bytes = toBinary(WorkRequestSchema, toWorkRequest(frame));
      expect(fromWorkRequest(fromBinary(WorkRequestSchema, bytes))).toEqual(frame);
    },
  );

  it.each(ofEngines.map((frame) => [frame.type, frame] as const))(
    "of an engine is the same again: %s",
    (_type, frame) => {
      const bytes = toBinary(WorkResponseSchema, toWorkResponse(frame));
      expect(fromWorkResponse(fromBinary(WorkResponseSchema, bytes))).toEqual(frame);
    },
  );

  it("says for which namespace it is, in a registration alone", () => {
    const messages = ofWorkers.map((frame) => fromWorkRequest(toWorkRequest(frame, "team")));
    for (const message of messages)
      expect(message["namespace"]).toBe(message["type"] === "register" ? "team" : undefined);
  });

  it("that is none is handed on as it is, for the engine to refuse", () => {
    const empty = fromBinary(WorkRequestSchema, new Uint8Array());
    expect(fromWorkRequest(empty)).toEqual({});
    expect(fromWorkResponse(fromBinary(WorkResponseSchema, new Uint8Array()))).toBeUndefined();
  });
});
