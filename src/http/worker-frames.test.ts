/** Frames of workers and engines as messages and back. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import type { Failure } from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
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

describe("a failure that no message can hold", () => {
  const failed = (failure: Failure): unknown => {
    const frame: WorkerFrame = { type: "report", token: "t", outcome: { kind: "failed", failure } };
    const bytes = toBinary(WorkRequestSchema, toWorkRequest(frame));
    return fromWorkRequest(fromBinary(WorkRequestSchema, bytes));
  };
  const nested = (depth: number): Payload => `${"[".repeat(depth)}${"]".repeat(depth)}` as Payload;

  it("for half a character arrives without that", () => {
    const failure = { kind: "application", message: "a\uD83D", stack: "\uDE00b", type: "T" } as const;
    expect(failed(failure)).toMatchObject({
      outcome: { failure: { message: "a\uFFFD", stack: "\uFFFDb", type: "T" } },
    });
  });

  it("arrives without its details if they are nested too deeply", () => {
    for (const depth of [20, 40, 60, 99, 3_000]) {
      const details = nested(depth);
      const failure = { kind: "application", message: "m", type: "T", nonRetryable: true, details } as const;
      const { details: _, ...rest } = failure;
      const expected = depth <= 40 ? failure : rest;
      expect(failed(failure)).toEqual({
        type: "report",
        token: "t",
        outcome: { kind: "failed", failure: expected },
      });
    }
  });

  it("arrives without a number that is none", () => {
    expect(failed({ kind: "activity", message: "m", of: "a", attempt: 1.5 })).toEqual({
      type: "report",
      token: "t",
      outcome: { kind: "failed", failure: { kind: "activity", message: "m" } },
    });
  });
});
