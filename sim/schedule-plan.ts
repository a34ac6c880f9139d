import type { OverlapPolicy } from "../src/core/schedule.ts";
import { overlapPolicies } from "../src/core/schedule.ts";
import type { Dice } from "./dice.ts";
import type { NumberedOperation, Operation } from "./plan.ts";
import type { Asked } from "./schedule-oracle.ts";

/** What a client does with a schedule, which is its own. Requests of one client have ids that no other uses. */
export type ScheduleOperation = {
  readonly verb: "schedule";
  readonly scheduleId: string;
  readonly requestId: string;
} & (
  | {
      readonly ask: "create";
      readonly asked: Asked & { readonly rule: { readonly kind: "interval" } };
      readonly workflowType: string;
      readonly isPaused: boolean;
    }
  | { readonly ask: "update"; readonly asked: Asked & { readonly rule: { readonly kind: "interval" } } }
  | { readonly ask: "trigger"; readonly overlap?: "skip" | "allow-all" }
  /** Of times that have passed, by the clock of the client. */
  | { readonly ask: "backfill"; readonly ms: number; readonly overlap: "one-by-one" | "allow-all" }
  | { readonly ask: "pause" | "resume" | "delete" | "describe" }
);

/**
 * In a part of the worlds clients have schedules, which start what they start themselves, too, every few seconds; somebody deletes in
 * the end what they have left. By dice of their own: the other worlds are as they were.
 */
export function withSchedules(
  clients: readonly (readonly NumberedOperation[])[],
  types: readonly string[],
  dice: Dice,
): readonly (readonly NumberedOperation[])[] {
  if (!dice.chance(0.2)) return clients;
  const all = clients.map((operations, client) => {
    if (!dice.chance(0.7)) return operations;
    const result = [...operations];
    const scheduleId = `s${client}`;
    let count = 0;
    let at = dice.int(
      0,
      result.findIndex(({ of }) => of.verb === "result"),
    );
    const add = (of: Operation): void => {
      count += 1;
      result.splice(at, 0, { number: 200_000 + client * 1_000 + count, of });
      at += 1;
    };
    const ask = (): {
      readonly verb: "schedule";
      readonly scheduleId: string;
      readonly requestId: string;
    } => ({
      verb: "schedule",
      scheduleId,
      requestId: `schedule-${client}-${count}`,
    });
    for (let incarnation = dice.pick([1, 1, 2]); incarnation > 0; incarnation--) {
      const workflowType = dice.pick(["leaf", "leaf", "rotten", ...types]);
      add({ ...ask(), ask: "create", asked: drawAsked(dice), workflowType, isPaused: dice.chance(0.1) });
      for (let left = dice.int(1, 7); left > 0; left--) {
        add({ verb: "wait", ms: dice.pick([20, 1_000, 3_000, 10_000, 25_000]) });
        add(
          dice.weighted<Operation>([
            [2, { ...ask(), ask: "pause" }],
            [3, { ...ask(), ask: "resume" }],
            [
              2,
              {
                ...ask(),
                ask: "trigger",
                ...(dice.chance(0.5) ? { overlap: dice.pick(["skip", "allow-all"]) } : {}),
              },
            ],
            [
              1,
              {
                ...ask(),
                ask: "backfill",
                ms: dice.int(1_000, 60_000),
                overlap: dice.pick(["one-by-one", "allow-all"]),
              },
            ],
            [2, { ...ask(), ask: "update", asked: drawAsked(dice) }],
            [1, { ...ask(), ask: "describe" }],
          ]),
        );
      }
      if (dice.chance(0.9)) add({ ...ask(), ask: "delete" });
    }
    return result;
  });
  return [...all, [{ number: -1, of: { verb: "tidy" } }]];
}

function drawAsked(dice: Dice): Asked & { readonly rule: { readonly kind: "interval" } } {
  return {
    rule: {
      kind: "interval",
      everyMs: dice.pick([2_000, 5_000, 20_000, 60_000]),
      offsetMs: dice.pick([0, 1_000]),
    },
    overlap: dice.pick<OverlapPolicy>(overlapPolicies),
    windowMs: dice.pick([1_000, 10_000, 60_000]),
    jitterMs: dice.pick([0, 0, 1_500]),
  };
}
