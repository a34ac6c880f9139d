import { describe, expect, it } from "vitest";
import type { Command, CommandKind } from "./command.ts";
import { describeCommand, eventTypeOfCommand } from "./command.ts";
import { roleOf } from "./event.ts";
import type { EventBody } from "./event.ts";
import type { WorkflowId } from "./ids.ts";
import type { Payload } from "./payload.ts";

const input = "1" as Payload;
const samples: {
  readonly [Kind in CommandKind]: readonly [Extract<Command, { readonly kind: Kind }>, string];
} = {
  "run-activity": [
    { kind: "run-activity", ordinal: 3, activityType: "charge", input, options: {} },
    'run-activity "charge" #3',
  ],
  "cancel-activity": [{ kind: "cancel-activity", ordinal: 1 }, "cancel-activity #1"],
  "start-timer": [{ kind: "start-timer", ordinal: 0, durationMs: 500 }, "start-timer 500 ms #0"],
  "cancel-timer": [{ kind: "cancel-timer", ordinal: 2 }, "cancel-timer #2"],
  "await-signal": [{ kind: "await-signal", name: "go", index: 1 }, 'await-signal "go" [1]'],
  "withdraw-signal": [{ kind: "withdraw-signal", name: "go", place: 1 }, 'withdraw-signal "go" [1]'],
  "send-signal": [
    { kind: "send-signal", ordinal: 0, target: "other" as WorkflowId, name: "go", payload: input },
    'send-signal "go" to other #0',
  ],
  "start-child": [
    {
      kind: "start-child",
      ordinal: 0,
      childWorkflowId: "c" as WorkflowId,
      workflowType: "ship",
      input,
      parentClosePolicy: "cancel",
    },
    'start-child "ship" c #0',
  ],
  "cancel-child": [{ kind: "cancel-child", ordinal: 0 }, "cancel-child #0"],
  "side-effect": [{ kind: "side-effect", ordinal: 4 }, "side-effect #4"],
  "complete-update": [{ kind: "complete-update", updateId: "u-1", result: input }, 'complete-update "u-1"'],
  "mark-version": [{ kind: "mark-version", changeId: "fee" }, 'mark-version "fee"'],
  "set-attributes": [
    { kind: "set-attributes", attributes: { amount: 5, due: { at: 7 }, note: null } },
    'set-attributes {"amount":5,"due":{"at":7},"note":null}',
  ],
  complete: [{ kind: "complete", result: input }, "complete"],
  fail: [{ kind: "fail", failure: { kind: "application", message: "no" } }, "fail"],
  cancelled: [{ kind: "cancelled" }, "cancelled"],
  "continue-as-new": [{ kind: "continue-as-new", workflowType: "w", input }, 'continue-as-new "w"'],
};

describe("a command", () => {
  it.each(Object.values(samples))("of kind $kind is told in a few words", (command, words) => {
    expect(describeCommand(command)).toBe(words);
  });

  it("that is a step says so", () => {
    const [activity] = samples["run-activity"];
    expect(describeCommand({ ...activity, isStep: true })).toBe('step "charge" #3');
  });

  it("is recorded by an event that is a command, but for one that an arrival answers", () => {
    for (const [kind, type] of Object.entries(eventTypeOfCommand)) {
      if (type === undefined) expect(["await-signal", "withdraw-signal"]).toContain(kind);
      else expect(roleOf({ type } as EventBody)).toBe("command");
    }
  });
});
