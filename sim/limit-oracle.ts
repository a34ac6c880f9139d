import type { NewEvent } from "../src/core/codec.ts";
import { roleOf } from "../src/core/event.ts";
import { isTerminal } from "../src/core/status.ts";
import type { RunLimits } from "../src/engine/run-limits.ts";
import type { AuditedRun } from "./audited-run.ts";
import type { Dice } from "./dice.ts";
import { SimulationFailure } from "./failure.ts";

/** What engines let one run have, and what becomes of one that goes beyond it. */
export interface LimitsPlan {
  readonly limits: Partial<RunLimits>;
  readonly policy: "block" | "fail";
}

/** In a part of the worlds runs may have so little that some go beyond it. */
export function planLimits(dice: Dice): LimitsPlan | undefined {
  if (!dice.chance(0.15)) return undefined;
  const some = (limits: Partial<RunLimits>): Partial<RunLimits> => (dice.chance(0.35) ? limits : {});
  return {
    policy: dice.pick(["block", "block", "fail"]),
    limits: {
      ...some({ historyEventsMax: dice.pick([4, 8, 15, 30]) }),
      ...some({ historyBytesMax: dice.pick([1_500, 4_000]) }),
      ...some({ pendingActivitiesMax: dice.pick([1, 2]) }),
      ...some({ pendingTimersMax: dice.pick([1, 2]) }),
      ...some({ pendingChildrenMax: 1 }),
      ...some({ pendingSendsMax: 1 }),
      ...some({ waitingSignalsMax: dice.pick([1, 2, 4]) }),
      ...some({ pendingUpdatesMax: 1 }),
      ...some({ activationCommandsMax: dice.pick([1, 2, 3]) }),
    },
  };
}

/** How much a run had when a commit came. */
export interface Counts {
  readonly events: number;
  readonly activities: number;
  readonly timers: number;
  readonly children: number;
  readonly sends: number;
  readonly updates: number;
}

export const noCounts: Counts = { events: 0, activities: 0, timers: 0, children: 0, sends: 0, updates: 0 };

export function countsOf(run: AuditedRun): Counts {
  return {
    events: run.events.length,
    activities: run.work.open.size,
    timers: run.timers.size,
    children: run.children.size,
    sends: run.sends.size,
    updates: [...run.updates.values()].filter((state) => state === "open").length,
  };
}

const pending = [
  ["activities", "pendingActivitiesMax"],
  ["timers", "pendingTimersMax"],
  ["children", "pendingChildrenMax"],
  ["sends", "pendingSendsMax"],
  ["updates", "pendingUpdatesMax"],
] as const;

/**
 * I-57: nothing is recorded by which a run has more than the engine allows that writes it; to what is beyond it already nothing is
 * added but its end. Throws `SimulationFailure`.
 */
export function checkLimits(
  run: AuditedRun,
  events: readonly NewEvent[],
  before: Counts,
  { limits }: LimitsPlan,
): void {
  const fail = (what: string): never => {
    throw new SimulationFailure("beyond-limit", `${run.workflowId}, run ${run.runId}: ${what}`);
  };
  if (events.length === 0 || run.terminal !== undefined) return;
  const { historyEventsMax, activationCommandsMax } = limits;
  const isReopening = events[0]?.type === "WorkflowReopened";
  const isBeyond = historyEventsMax !== undefined && before.events > historyEventsMax && !isReopening;
  run.beyondCount = isBeyond ? run.beyondCount + 1 : 0;
  // What it learned while that was found out is kept.
  if (run.beyondCount > 1)
    fail(
      `it has ${before.events} events, may have ${historyEventsMax}, and gets ${events.map(({ type }) => type).join()}`,
    );
  const after = countsOf(run);
  for (const [kind, name] of pending) {
    const max = limits[name];
    if (max !== undefined && after[kind] > Math.max(max, isReopening ? after[kind] : before[kind]))
      fail(`it has ${after[kind]} ${kind}, had ${before[kind]}, and may have ${max}`);
  }
  let commands = 0;
  for (const event of events) {
    if (roleOf(event) === "input") commands = 0;
    else if (roleOf(event) === "command" && event.type !== "UpdateCompleted") commands += 1;
    if (activationCommandsMax !== undefined && commands > activationCommandsMax)
      fail(`its code asked for ${commands} things at once, and may ask for ${activationCommandsMax}`);
  }
}

/** I-57: a run is failed for what it has by an engine that fails such runs, and by no other, and held by one that holds them. */
export function checkLimitVerdict(run: AuditedRun, plan: LimitsPlan | undefined): void {
  const { terminal } = run;
  if (terminal?.type !== "WorkflowFailed" || terminal.failure.kind !== "engine") return;
  if (terminal.failure.type !== "run_limit" || plan?.policy !== "fail")
    throw new SimulationFailure(
      "engine-verdict",
      `${run.workflowId} was failed by the engine: ${terminal.failure.message}`,
    );
}

/** I-57: nothing of a held run moves but its end, until its row says that it is held no longer. */
export function checkHeld(
  run: AuditedRun,
  { events, blocked }: { readonly events: readonly NewEvent[]; readonly blocked?: string | null },
): void {
  const moved = events.find((event) => !isTerminal(event));
  if (run.isHeld && run.isOpen && moved !== undefined && blocked !== null)
    throw new SimulationFailure("held-moves", `${run.workflowId} is held, and gets ${moved.type}`);
}

/**
 * I-57: a run of whose attempts under way an engine wants nothing more, or what whose code asked for is not recorded, has too much: the
 * next that becomes of it is that it is held, or fails.
 */
export function checkHeldSoon(
  run: AuditedRun,
  { events, blocked }: { readonly events: readonly NewEvent[]; readonly blocked?: string | null },
  epoch: number,
): void {
  const isAbout = run.heldSoonBy === epoch && (events.length > 0 || blocked !== undefined);
  if (!isAbout) return;
  run.heldSoonBy = undefined;
  if (blocked?.startsWith("run_limit") !== true && !events.some(isTerminal))
    throw new SimulationFailure(
      "not-held",
      `${run.workflowId}: it was to be held for what it has, and gets ${events.map(({ type }) => type).join()}`,
    );
}
