import { describe, expect, it } from "vitest";
import type { Command } from "../core/command.ts";
import { describeCommand } from "../core/command.ts";
import type { EventBody } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { describeDifference, describeRecord, isRecordOf } from "./match.ts";

const input = "1" as Payload;
const other = "2" as Payload;

interface Pair {
  readonly command: Command;
  readonly record: EventBody;
  /** What the code must not have asked for otherwise, each with another value. */
  readonly given?: object;
  /** What may be otherwise: it is not asked of the code again, or a later deploy may change it. */
  readonly free?: object;
}

const pairs: readonly Pair[] = [
  {
    command: { kind: "run-activity", ordinal: 3, activityType: "charge", input, options: {} },
    record: { type: "ActivityScheduled", ordinal: 3, activityType: "charge", input, options: {} },
    given: { ordinal: 4, activityType: "refund", input: other, isStep: true },
    free: { options: { startToCloseMs: 5 } },
  },
  {
    command: { kind: "run-activity", ordinal: 3, activityType: "pick", input, options: {}, isStep: true },
    record: { type: "ActivityScheduled", ordinal: 3, activityType: "pick", input, options: {}, isStep: true },
    given: { ordinal: 2, activityType: "pack", isStep: undefined },
  },
  {
    command: { kind: "cancel-activity", ordinal: 3 },
    record: { type: "ActivityCancelRequested", ordinal: 3 },
    given: { ordinal: 4 },
  },
  {
    command: { kind: "start-timer", ordinal: 3, durationMs: 50 },
    record: { type: "TimerStarted", ordinal: 3, durationMs: 50, fireAt: 1_050 },
    given: { ordinal: 4, durationMs: 51 },
    free: { fireAt: 2_050 },
  },
  {
    command: { kind: "cancel-timer", ordinal: 3 },
    record: { type: "TimerCancelled", ordinal: 3 },
    given: { ordinal: 4 },
  },
  {
    command: {
      kind: "send-signal",
      ordinal: 3,
      target: "a" as WorkflowId,
      name: "go",
      payload: input,
    },
    record: { type: "SignalSent", ordinal: 3, target: "a" as WorkflowId, name: "go", payload: input },
    given: { ordinal: 4, target: "b", name: "stop", payload: other },
  },
  {
    command: {
      kind: "start-child",
      ordinal: 3,
      workflowType: "ship",
      childWorkflowId: "c" as WorkflowId,
      parentClosePolicy: "cancel",
      input,
    },
    record: {
      type: "ChildWorkflowStarted",
      ordinal: 3,
      workflowType: "ship",
      childWorkflowId: "c" as WorkflowId,
      parentClosePolicy: "cancel",
      input,
    },
    given: {
      ordinal: 4,
      workflowType: "send",
      childWorkflowId: "d",
      parentClosePolicy: "abandon",
      input: other,
    },
  },
  {
    command: { kind: "cancel-child", ordinal: 3 },
    record: { type: "ChildWorkflowCancelRequested", ordinal: 3 },
    given: { ordinal: 4 },
  },
  {
    command: { kind: "side-effect", ordinal: 3, value: input },
    record: { type: "SideEffectRecorded", ordinal: 3, value: input },
    given: { ordinal: 4 },
    free: { value: other },
  },
  {
    command: { kind: "mark-version", changeId: "fee" },
    record: { type: "VersionMarked", changeId: "fee" },
    given: { changeId: "tax" },
  },
  {
    command: { kind: "complete", result: input },
    record: { type: "WorkflowCompleted", result: input },
    given: { result: other },
  },
  {
    command: { kind: "fail", failure: { kind: "application", message: "no" } },
    record: { type: "WorkflowFailed", failure: { kind: "application", message: "no" } },
    given: { failure: { kind: "application", message: "never" } },
    free: { failure: { kind: "application", message: "no", stack: "at order.ts:7:1" } },
  },
  {
    command: { kind: "fail", failure: { kind: "timeout", message: "late" } },
    record: { type: "WorkflowFailed", failure: { kind: "timeout", message: "late" } },
    given: { failure: { kind: "application", message: "late" } },
  },
  {
    command: { kind: "cancelled", reason: "enough" },
    record: { type: "WorkflowCancelled", reason: "enough" },
    free: { reason: "other words" },
  },
  {
    command: { kind: "continue-as-new", workflowType: "order", input },
    record: { type: "WorkflowContinuedAsNew", newRunId: "r" as RunId, workflowType: "order", input },
    given: { workflowType: "refund", input: other },
    free: { newRunId: "s" },
  },
];

/** Without a record: an arrival answers it, or it gives up its place in a line. */
const unrecorded: readonly Command[] = [
  { kind: "await-signal", name: "go", index: 0 },
  { kind: "withdraw-signal", name: "go", place: 0 },
];

/** The event with one of its values changed, for each of `changes`. */
function eachChange(record: EventBody, changes: object = {}): readonly (readonly [string, EventBody])[] {
  return Object.entries(changes).map(([field, value]): readonly [string, EventBody] => [
    field,
    { ...record, [field]: value as unknown },
  ]);
}

const named = pairs.map((pair): readonly [string, Pair] => [describeCommand(pair.command), pair]);

describe("the record of a command", () => {
  it.each(named)("is its own: %s", (_name, { command, record, free }) => {
    expect(isRecordOf(record, command)).toBe(true);
    for (const [field, changed] of eachChange(record, free))
      expect([field, isRecordOf(changed, command)]).toEqual([field, true]);
  });

  // I-43
  it.each(named)(
    "is not that of one that was given something else: %s",
    (_name, { command, record, given }) => {
      for (const [field, changed] of eachChange(record, given))
        expect([field, isRecordOf(changed, command)]).toEqual([field, false]);
    },
  );

  // I-43: with the same ordinal, and all that two kinds have in common alike.
  it.each(named)("is not that of another kind of command: %s", (_name, { record }) => {
    const commands = [...pairs.map(({ command }) => command), ...unrecorded];
    const mistaken = commands.filter((command) => {
      const alike = { ...command, ...record, kind: command.kind } as Command;
      return isRecordOf(record, command) || isRecordOf(record, alike);
    });
    const kinds = new Set(mistaken.map(({ kind }) => kind));
    expect([...kinds]).toEqual([pairs.find(({ record: one }) => one.type === record.type)?.command.kind]);
  });

  it("is told in the words of the command, and an end with what it ended with", () => {
    for (const { command, record } of pairs) {
      if (command.kind === "complete" || command.kind === "fail") continue;
      expect(describeRecord(record)).toBe(describeCommand(command));
    }
    expect(describeRecord({ type: "WorkflowCompleted", result: '{"sum":3}' as Payload })).toBe(
      'complete with {"sum":3}',
    );
    expect(
      describeRecord({ type: "WorkflowFailed", failure: { kind: "application", message: 'a "b"' } }),
    ).toBe('fail with "a \\"b\\""');
    expect(describeRecord({ type: "WorkflowTerminated" })).toBe("WorkflowTerminated");
  });
});

describe("what differs between a record and a command", () => {
  const long = (length: number): Payload => `"${"x".repeat(length - 2)}"` as Payload;

  it.each([
    ["the input", pairs[0], { input: other }],
    ["the payload", pairs.find(({ command }) => command.kind === "send-signal"), { payload: other }],
    ["the result", pairs.find(({ command }) => command.kind === "complete"), { result: other }],
  ])("is told: %s", (_what, pair, change) => {
    if (pair === undefined) throw new Error("no such pair");
    const { command, record } = pair;
    expect(describeDifference({ ...record, ...change }, command)).toBe(" (recorded with 2, found with 1)");
    expect(describeDifference(record, command)).toBe("");
  });

  it("is not told where one of them was given nothing", () => {
    const timer: Command = { kind: "start-timer", ordinal: 0, durationMs: 5 };
    const complete: Command = { kind: "complete", result: input };
    expect(describeDifference({ type: "WorkflowCompleted", result: input }, timer)).toBe("");
    expect(describeDifference({ type: "TimerCancelled", ordinal: 0 }, complete)).toBe("");
    expect(describeDifference({ type: "TimerCancelled", ordinal: 0 }, timer)).toBe("");
  });

  it("is told in no more than 120 characters of each", () => {
    const told = (recorded: Payload, found: Payload): string =>
      describeDifference(
        { type: "WorkflowCompleted", result: recorded },
        { kind: "complete", result: found },
      );
    expect(told(long(120), long(121))).toBe(
      ` (recorded with ${long(120)}, found with ${long(121).slice(0, 120)}…)`,
    );
    expect(describeRecord({ type: "WorkflowCompleted", result: long(500) })).toBe(
      `complete with ${long(500).slice(0, 120)}…`,
    );
  });
});
