import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AttributeData } from "./attributes.ts";
import { decodeRow, encodeRow, rowFormat } from "./codec.ts";
import type { NewEvent } from "./codec.ts";
import type { EventBody, EventType } from "./event.ts";
import { isEventType } from "./event.ts";
import type { Failure } from "./failure.ts";
import type { RunId, WorkflowId } from "./ids.ts";
import type { Payload } from "./payload.ts";
import type { RetryRecord } from "./retry.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);
const workflowId = "order-42" as WorkflowId;

const text = fc.string({ unit: "binary", maxLength: 12 });
const runId = text as fc.Arbitrary<RunId>;
const anyWorkflowId = text as fc.Arbitrary<WorkflowId>;
const payload = fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.stringify(value) as Payload);
const instant = fc.integer({ min: 0, max: 4_000_000_000_000 });
const ordinal = fc.nat({ max: 1_000 });
const ms = fc.nat();

/** A record of which some fields may be absent (and are never `undefined`). */
function record<Shape extends object>(required: {
  readonly [Name in keyof Shape]: fc.Arbitrary<Shape[Name]>;
}): fc.Arbitrary<Shape> {
  const made: unknown = fc.record(required);
  return made as fc.Arbitrary<Shape>;
}
function withOptional<Shape extends object, Extra extends object>(
  base: fc.Arbitrary<Shape>,
  extra: { readonly [Name in keyof Required<Extra>]: fc.Arbitrary<Required<Extra>[Name]> },
): fc.Arbitrary<Shape & Extra> {
  const optional = fc.record(extra, { requiredKeys: [] }) as unknown as fc.Arbitrary<Extra>;
  return fc.tuple(base, optional).map(([left, right]) => ({ ...left, ...right }));
}

const timeout = fc.constantFrom(
  "schedule-to-start",
  "start-to-close",
  "schedule-to-close",
  "heartbeat",
  "run",
  "execution",
  "scope",
);
const { failure } = fc.letrec<{ failure: Failure }>((tie) => ({
  failure: withOptional(
    record<Pick<Failure, "kind" | "message">>({
      kind: fc.constantFrom(
        "application",
        "activity",
        "child",
        "timeout",
        "cancelled",
        "terminated",
        "engine",
      ),
      message: text,
    }),
    {
      type: text,
      nonRetryable: fc.constant(true as const),
      details: payload,
      stack: text,
      cause: tie("failure"),
      of: text,
      attempt: ordinal,
      childWorkflowId: text,
      timeout,
    },
  ) as fc.Arbitrary<Failure>,
}));
const retry = withOptional(
  record<Omit<RetryRecord, "maxAttempts" | "park" | "onExhausted">>({
    backoff: fc.constantFrom("exponential", "linear", "fixed"),
    initialMs: ms,
    maxMs: ms,
    multiplier: fc.double({ min: 1, max: 10, noNaN: true }),
    incrementMs: ms,
    jitter: fc.double({ min: 0, max: 1, noNaN: true }).map((draw) => draw + 0),
    nonRetryable: fc.array(text, { maxLength: 2 }),
  }),
  {
    maxAttempts: ordinal,
    park: fc.array(text, { minLength: 1, maxLength: 2 }),
    onExhausted: fc.constant("park" as const),
  },
);
const parent = record({ workflowId: anyWorkflowId, runId, ordinal });
const policy = fc.constantFrom("terminate" as const, "cancel" as const, "abandon" as const);

const cause = fc.constantFrom("time" as const, "trigger" as const, "backfill" as const);
const skipReason = fc.constantFrom("overlap" as const, "missed" as const, "start-refused" as const);
const config = withOptional(
  record({
    spec: withOptional(fc.constant({}), {
      crons: fc.array(withOptional(record({ expression: text }), { timeZone: text }), { maxLength: 2 }),
      intervals: fc.array(withOptional(record({ everyMs: ms }), { offsetMs: ms }), { maxLength: 2 }),
      startAt: instant,
      endAt: instant,
      jitterMs: ms,
    }),
    action: withOptional(record({ workflowType: text }), { workflowIdPrefix: text, runTimeoutMs: ms }),
    overlap: fc.constantFrom("skip" as const, "allow-all" as const),
    catchUpWindowMs: ms,
  }),
  { actionsMax: ordinal },
);

const attribute: fc.Arbitrary<AttributeData> = fc.oneof(
  text,
  fc.boolean(),
  fc.integer(),
  record({ at: instant }),
  fc.array(text, { maxLength: 3 }),
);

/** Every event type: one that is added to the union does not compile until it is here. */
const bodies: {
  readonly [Type in EventType]: fc.Arbitrary<Omit<Extract<EventBody, { readonly type: Type }>, "type">>;
} = {
  WorkflowStarted: withOptional(record({ runId, workflowType: text, version: text, input: payload }), {
    parent,
    continuedFrom: runId,
    requestId: text,
    startAt: instant,
    runDeadlineAt: instant,
    runTimeoutMs: ms,
    executionDeadlineAt: instant,
    unchecked: fc.constant(true as const),
    signalIds: fc.array(text, { maxLength: 3 }),
    updateIds: fc.array(text, { maxLength: 3 }),
    signals: fc.array(withOptional(record({ name: text, payload }), { signalId: text }), { maxLength: 3 }),
    attributes: fc.dictionary(text, attribute, { maxKeys: 3 }),
  }),
  WorkflowCompleted: record({ result: payload }),
  WorkflowFailed: record({ failure }),
  WorkflowCancelled: withOptional(fc.constant({}), { reason: text }),
  WorkflowTerminated: withOptional(fc.constant({}), { reason: text }),
  WorkflowTimedOut: record({ timeout: fc.constantFrom("run" as const, "execution" as const) }),
  WorkflowContinuedAsNew: record({ newRunId: runId, workflowType: text, input: payload }),
  WorkflowCancelRequested: withOptional(fc.constant({}), { reason: text }),
  WorkflowPaused: withOptional(fc.constant({}), {
    reason: text,
    requestId: text,
    isFurther: fc.constant(true as const),
  }),
  WorkflowResumed: withOptional(fc.constant({}), {
    reason: text,
    requestId: text,
    isFurther: fc.constant(true as const),
  }),
  InputDelivered: record({ of: ordinal }),
  WorkflowReopened: withOptional(record({ voids: fc.array(ordinal, { maxLength: 3 }) }), {
    reason: text,
    requestId: text,
    runDeadlineAt: instant,
    executionDeadlineAt: instant,
  }),
  WorkflowReset: withOptional(
    record({ as: withOptional(record({ workflowId: anyWorkflowId, runId }), { parent }) }),
    {
      keysRunId: runId,
      isRedone: fc.constant(true as const),
      carriedSignals: ordinal,
      reason: text,
      runDeadlineAt: instant,
      executionDeadlineAt: instant,
    },
  ),
  ActivityScheduled: withOptional(
    record({
      ordinal,
      activityType: text,
      input: payload,
      options: withOptional(fc.constant({}), {
        retry,
        scheduleToStartMs: ms,
        startToCloseMs: ms,
        scheduleToCloseMs: ms,
        heartbeatMs: ms,
      }),
    }),
    { isStep: fc.constant(true as const) },
  ),
  ActivityStarted: record({ ordinal, attempt: ordinal }),
  ActivityCompleted: record({ ordinal, attempt: ordinal, result: payload }),
  ActivityFailed: withOptional(record({ ordinal, attempt: ordinal, failure }), {
    retryAt: instant,
    heartbeat: payload,
  }),
  ActivityTimedOut: withOptional(record({ ordinal, attempt: ordinal, timeout }), {
    retryAt: instant,
    heartbeat: payload,
  }),
  ActivityParked: withOptional(record({ ordinal, attempt: ordinal, failure }), {
    timeout,
    heartbeat: payload,
  }),
  ActivityResumed: withOptional(record({ ordinals: fc.array(ordinal, { maxLength: 3 }) }), {
    reason: text,
    requestId: text,
  }),
  ActivityCancelRequested: record({ ordinal }),
  ActivityCancelled: record({ ordinal, attempt: ordinal }),
  TimerStarted: record({ ordinal, durationMs: ms, fireAt: instant }),
  TimerFired: record({ ordinal: fc.oneof(ordinal, fc.constant(-1)) }),
  TimerCancelled: record({ ordinal }),
  SignalReceived: withOptional(record({ name: text, payload }), { signalId: text }),
  SignalSent: record({ ordinal, target: anyWorkflowId, name: text, payload }),
  SignalSettled: withOptional(record({ ordinal }), { failure }),
  UpdateAccepted: withOptional(record({ updateId: text, name: text, input: payload }), { sent: payload }),
  UpdateCompleted: withOptional(record({ updateId: text }), { result: payload, failure }),
  ChildWorkflowStarted: withOptional(
    record({
      ordinal,
      childWorkflowId: anyWorkflowId,
      workflowType: text,
      input: payload,
      parentClosePolicy: policy,
    }),
    { runTimeoutMs: ms },
  ),
  ChildWorkflowCompleted: record({ ordinal, result: payload }),
  ChildWorkflowFailed: record({ ordinal, failure }),
  ChildWorkflowCancelled: record({ ordinal }),
  ChildWorkflowTimedOut: record({ ordinal }),
  ChildWorkflowTerminated: record({ ordinal }),
  ChildWorkflowCancelRequested: record({ ordinal }),
  SideEffectRecorded: withOptional(record({ ordinal }), { value: payload, failure }),
  VersionMarked: record({ changeId: text }),
  SearchAttributesUpdated: record({
    attributes: fc.dictionary(text, fc.option(attribute), { maxKeys: 3 }),
  }),
  ScheduleCreated: withOptional(record({ scheduleId: text, config, input: payload }), {
    isPaused: fc.constant(true as const),
    note: text,
    requestId: text,
  }),
  ScheduleUpdated: withOptional(record({ config, input: payload, fromAt: instant }), { requestId: text }),
  SchedulePaused: withOptional(fc.constant({}), { note: text, requestId: text }),
  ScheduleResumed: withOptional(record({ fromAt: instant }), { requestId: text }),
  ScheduleDeleted: withOptional(fc.constant({}), { requestId: text }),
  ScheduleTriggered: withOptional(
    record({ ordinal, nominalAt: instant, startedId: anyWorkflowId, cause, isWatched: fc.boolean() }),
    { hasWaited: fc.constant(true as const), requestId: text },
  ),
  ScheduleSkipped: withOptional(
    record({ fromAt: instant, toAt: instant, count: ordinal, reason: skipReason, cause }),
    {
      isCountLeast: fc.constant(true as const),
      untilAt: instant,
      ordinal,
      startedId: anyWorkflowId,
      message: text,
    },
  ),
  ScheduleBackfillRequested: withOptional(
    record({
      fromAt: instant,
      toAt: instant,
      count: ordinal,
      overlap: fc.constantFrom("allow-all" as const, "one-by-one" as const),
    }),
    { requestId: text },
  ),
};

const types = Object.keys(bodies).filter(isEventType);
const eventOf = (type: EventType): fc.Arbitrary<NewEvent> =>
  fc
    .tuple(bodies[type] as fc.Arbitrary<object>, instant)
    .map(([body, recordedAt]) => ({ type, ...body, recordedAt }) as NewEvent);
const anyEvent = fc.oneof(...types.map(eventOf));

describe("a row of events", () => {
  it.each(types)("gives back every %s as it was", (type) => {
    fc.assert(
      fc.property(eventOf(type), fc.integer({ min: 1, max: 1e9 }), (event, firstSeq) => {
        expect(decodeRow(encodeRow([event]), { workflowId, firstSeq })).toEqual([
          { ...event, seq: firstSeq, workflowId },
        ]);
      }),
      { seed, numRuns: 40 },
    );
  });

  it("gives back any sequence of events, with their own instants and gapless numbers", () => {
    fc.assert(
      fc.property(
        fc.array(anyEvent, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 1e9 }),
        (events, firstSeq) => {
          expect(decodeRow(encodeRow(events), { workflowId, firstSeq })).toEqual(
            events.map((event, index) => ({ ...event, seq: firstSeq + index, workflowId })),
          );
        },
      ),
      { seed, numRuns: 300 },
    );
  });

  it("is the same text for the same events, wherever they came from", () => {
    // A commit of unknown outcome is resolved by comparing this text with what is read back.
    fc.assert(
      fc.property(fc.array(anyEvent, { minLength: 1, maxLength: 4 }), (events) => {
        const row = encodeRow(events);
        expect(encodeRow(decodeRow(row, { workflowId, firstSeq: 7 }))).toBe(row);
      }),
      { seed },
    );
  });

  it("ignores fields that it does not know", () => {
    const row = '{"f":1,"t":5,"e":[{"type":"TimerFired","ordinal":2,"mood":"late"}],"z":1}';
    expect(decodeRow(row, { workflowId, firstSeq: 3 })).toEqual([
      expect.objectContaining({ type: "TimerFired", ordinal: 2, seq: 3, recordedAt: 5 }),
    ]);
  });

  it("of today is read by its fixed text for ever", () => {
    const row =
      '{"f":1,"t":1000,"e":[' +
      '{"type":"ActivityCompleted","ordinal":0,"attempt":2,"result":"{\\"a\\":1}"},' +
      '{"type":"TimerStarted","ordinal":1,"durationMs":500,"fireAt":1501,"t":1001}]}';
    expect(decodeRow(row, { workflowId, firstSeq: 9 })).toEqual([
      {
        type: "ActivityCompleted",
        ordinal: 0,
        attempt: 2,
        result: '{"a":1}',
        seq: 9,
        recordedAt: 1000,
        workflowId,
      },
      {
        type: "TimerStarted",
        ordinal: 1,
        durationMs: 500,
        fireAt: 1501,
        seq: 10,
        recordedAt: 1001,
        workflowId,
      },
    ]);
  });
});

describe("a row from the future", () => {
  // I-44
  it("with an event type that is not known is refused, naming the workflow, the event and the type", () => {
    const row = '{"f":1,"t":5,"e":[{"type":"TimerFired","ordinal":2},{"type":"TeleportStarted"}]}';
    expect(() => decodeRow(row, { workflowId, firstSeq: 3 })).toThrow(
      expect.objectContaining({
        code: "event_unknown",
        message: expect.stringMatching(/order-42.*event 4.*"TeleportStarted"/),
        hint: expect.stringContaining("the version that wrote it"),
      }),
    );
  });

  // I-44
  it.each(["constructor", "toString", "__proto__", "hasOwnProperty"])(
    "with an event type that only looks known is refused: %s",
    (type) => {
      const row = JSON.stringify({ f: 1, t: 5, e: [{ type }] });
      expect(() => decodeRow(row, { workflowId, firstSeq: 1 })).toThrow(
        expect.objectContaining({ code: "event_unknown" }),
      );
    },
  );

  // I-44
  it("in a format that is not known is refused, naming both formats", () => {
    const row = `{"f":${rowFormat + 1},"t":5,"e":[{"type":"TimerFired","ordinal":2}]}`;
    expect(() => decodeRow(row, { workflowId, firstSeq: 3 })).toThrow(
      expect.objectContaining({
        code: "event_unknown",
        message: expect.stringContaining(`row format ${rowFormat + 1}`),
      }),
    );
  });
});

describe("a damaged row", () => {
  it.each([
    ["no text", ""],
    ["cut off", '{"f":1,"t":5,"e":[{"type":"TimerFi'],
    ["no object", "[1]"],
    ["null", "null"],
    ["a number", "5"],
    ["without a format", '{"t":5,"e":[{"type":"TimerFired"}]}'],
    ["with a format that is no number", '{"f":"1","t":5,"e":[{"type":"TimerFired"}]}'],
    ["without an instant", '{"f":1,"e":[{"type":"TimerFired"}]}'],
    ["without events", '{"f":1,"t":5}'],
    ["with no event in it", '{"f":1,"t":5,"e":[]}'],
    ["with an event that is no object", '{"f":1,"t":5,"e":[5]}'],
    ["with an event that has no type", '{"f":1,"t":5,"e":[{"ordinal":1}]}'],
  ])("is refused, naming where it lies: %s", (_what, row) => {
    expect(() => decodeRow(row, { workflowId, firstSeq: 17 })).toThrow(
      expect.objectContaining({
        code: "history_corrupt",
        message: expect.stringMatching(/order-42.*event 17/),
      }),
    );
  });

  it("never gets through as something else than what was written, or an error", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { minLength: 1, maxLength: 3 }), fc.nat(), (events, cut) => {
        const row = encodeRow(events);
        const damaged = row.slice(0, cut % row.length);
        expect(() => decodeRow(damaged, { workflowId, firstSeq: 1 })).toThrow(
          expect.objectContaining({ code: "history_corrupt" }),
        );
      }),
      { seed },
    );
  });
});
