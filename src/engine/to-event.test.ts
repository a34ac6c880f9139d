import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Command, CommandKind } from "../core/command.ts";
import { eventTypeOfCommand } from "../core/command.ts";
import type { EventBody } from "../core/event.ts";
import { toRunId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { idOf } from "../store/conformance/world.ts";
import { toEvent } from "./to-event.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);
const input = '{"total":7}' as Payload;
const failure = { kind: "application", message: "no" } as const;
const at = { nowMs: 1_000, newRunId: () => toRunId("next") };

/** Each command with all it may carry, and with as little as it may; with the event that records it. */
const recorded: readonly (readonly [command: Command, event: EventBody | undefined])[] = [
  [
    { kind: "run-activity", ordinal: 3, activityType: "charge", input, options: { startToCloseMs: 5 } },
    { type: "ActivityScheduled", ordinal: 3, activityType: "charge", input, options: { startToCloseMs: 5 } },
  ],
  [
    { kind: "run-activity", ordinal: 3, activityType: "charge", input, options: {}, isStep: true },
    { type: "ActivityScheduled", ordinal: 3, activityType: "charge", input, options: {}, isStep: true },
  ],
  [
    { kind: "cancel-activity", ordinal: 3 },
    { type: "ActivityCancelRequested", ordinal: 3 },
  ],
  [
    { kind: "cancel-timer", ordinal: 3 },
    { type: "TimerCancelled", ordinal: 3 },
  ],
  [{ kind: "await-signal", name: "go", index: 0, timer: 3 }, undefined],
  [{ kind: "withdraw-signal", name: "go", place: 0 }, undefined],
  [
    { kind: "send-signal", ordinal: 3, target: idOf("b"), name: "go", payload: input },
    { type: "SignalSent", ordinal: 3, target: idOf("b"), name: "go", payload: input },
  ],
  [
    {
      kind: "start-child",
      ordinal: 3,
      childWorkflowId: idOf("c"),
      workflowType: "ship",
      input,
      parentClosePolicy: "cancel",
      runTimeoutMs: 9,
    },
    {
      type: "ChildWorkflowStarted",
      ordinal: 3,
      childWorkflowId: idOf("c"),
      workflowType: "ship",
      input,
      parentClosePolicy: "cancel",
      runTimeoutMs: 9,
    },
  ],
  [
    { kind: "cancel-child", ordinal: 3 },
    { type: "ChildWorkflowCancelRequested", ordinal: 3 },
  ],
  [
    { kind: "side-effect", ordinal: 3, value: input },
    { type: "SideEffectRecorded", ordinal: 3, value: input },
  ],
  [
    { kind: "side-effect", ordinal: 3, failure },
    { type: "SideEffectRecorded", ordinal: 3, failure },
  ],
  [
    { kind: "complete-update", updateId: "u-1", failure },
    { type: "UpdateCompleted", updateId: "u-1", failure },
  ],
  [
    { kind: "mark-version", changeId: "fees" },
    { type: "VersionMarked", changeId: "fees" },
  ],
  [
    { kind: "set-attributes", attributes: { amount: 5, note: null } },
    { type: "SearchAttributesUpdated", attributes: { amount: 5, note: null } },
  ],
  [
    { kind: "complete", result: input },
    { type: "WorkflowCompleted", result: input },
  ],
  [
    { kind: "fail", failure },
    { type: "WorkflowFailed", failure },
  ],
  [{ kind: "cancelled" }, { type: "WorkflowCancelled" }],
  [
    { kind: "cancelled", reason: "too late" },
    { type: "WorkflowCancelled", reason: "too late" },
  ],
  [
    { kind: "continue-as-new", workflowType: "main", input },
    { type: "WorkflowContinuedAsNew", newRunId: toRunId("next"), workflowType: "main", input },
  ],
  [
    { kind: "start-timer", ordinal: 3, durationMs: 500 },
    { type: "TimerStarted", ordinal: 3, durationMs: 500, fireAt: 1_500 },
  ],
];

describe("the event of a command", () => {
  it.each(recorded)("%j has all that the command says, and nothing else", (command, event) => {
    // Not even a field that is undefined: it would change the bytes of the row.
    expect(toEvent(command, at)).toStrictEqual(event);
    expect(event?.type).toBe(eventTypeOfCommand[command.kind]);
  });

  it("is known for every kind of command", () => {
    const kinds = new Set(recorded.map(([{ kind }]) => kind));
    expect([...kinds].toSorted()).toEqual((Object.keys(eventTypeOfCommand) as CommandKind[]).toSorted());
  });

  // I-28, I-31
  it("that sets a timer says the instant: so long after now, whatever a restart does", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat({ max: 2 ** 45 }), (nowMs, durationMs) => {
        const event = toEvent({ kind: "start-timer", ordinal: 0, durationMs }, { ...at, nowMs });
        expect(event).toMatchObject({ fireAt: nowMs + durationMs, durationMs });
      }),
      { seed },
    );
  });

  // I-36
  it("takes a run id for a run that continues as new, and for no other", () => {
    let taken = 0;
    const newRunId = () => {
      taken += 1;
      return toRunId(`run-${taken}`);
    };
    for (const [command] of recorded) toEvent(command, { nowMs: 0, newRunId });
    expect(taken).toBe(1);
  });
});
