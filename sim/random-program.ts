import type { ActivityOptions } from "../src/workflow/definition.ts";
import type { AttributeData } from "../src/core/attributes.ts";
import type { Program, Statement } from "../test/replay/program.ts";
import { listsOf, withLists } from "../test/replay/program.ts";
import { attributeValues } from "./attribute-oracle.ts";
import { apartMark, safeMark, undoMark } from "./cancel-oracle.ts";
import type { Dice } from "./dice.ts";

/** A workflow made up by the dice, that comes to its end whatever it meets: every wait has a time-out, every failure an end. */
export function randomProgram(
  dice: Dice,
  of: { readonly targets: readonly string[]; readonly isMetronome: boolean },
): Program {
  return {
    body: list(dice, { ...of, depth: 2, lengthMax: 5, reach: "cancelled" }),
    result: dice.pick(["a", "b", "c", "d"]),
    rounds: dice.pick([0, 0, 1, 2]),
  };
}

/** One that is looked for, and what it is to be. */
export function drawAttribute(dice: Dice): { readonly name: string; readonly value: AttributeData | null } {
  const name = dice.pick(Object.keys(attributeValues));
  return { name, value: dice.pick(attributeValues[name] ?? [null]) };
}

/** The same program, which says here and there what it is to be found by: it waits for nothing else by that. */
export function withAttributes(program: Program, dice: Dice): Program {
  if (dice.chance(0.3)) return program;
  const within = (statements: readonly Statement[]): readonly Statement[] =>
    statements.flatMap((one) => {
      const inner = withLists(one, listsOf(one).map(within));
      return dice.chance(0.3) ? [{ op: "attribute", ...drawAttribute(dice) } as const, inner] : [inner];
    });
  return { ...program, body: within(program.body) };
}

interface Limits {
  /** All durations are a few round ones: everything comes due at the same instants. */
  readonly isMetronome: boolean;
  readonly depth: number;
  readonly lengthMax: number;
  readonly reach: Reach;
  readonly targets: readonly string[];
}

const beats = [100, 100, 200, 500];

const label = (dice: Dice): string => dice.pick(["a", "b", "c", "d"]);

/**
 * What the cancellation of the run does there. `safe`: it is in a shield, and nothing cancels it. `apart`: it is in a shield, and in a
 * scope within that has a time-out of its own.
 */
type Reach = "cancelled" | "safe" | "apart";

/** For the oracle of cancellations. */
const mark = (text: string, { reach }: Limits): string =>
  reach === "cancelled" ? text : `${text}${reach === "safe" ? safeMark : apartMark}`;

/** Short mostly; some outlast a lease, and few a horizon of wake-ups. */
function ms(dice: Dice, { isMetronome }: Limits): number {
  if (isMetronome) return dice.pick(beats);
  return dice.weighted([
    // Several things come due at one instant.
    [6, dice.pick([10, 50, 100, 1_000])],
    [6, dice.int(1, 90)],
    [6, dice.int(100, 3_000)],
    [2, dice.int(5_000, 40_000)],
    [0.3, dice.int(300_000, 900_000)],
  ]);
}

function shortMs(dice: Dice, { isMetronome }: Limits): number {
  if (isMetronome) return dice.pick(beats);
  return dice.weighted([
    [4, dice.pick([10, 50, 100])],
    [7, dice.int(1, 90)],
    [4, dice.int(100, 3_000)],
    [1, dice.int(5_000, 20_000)],
  ]);
}

function list(dice: Dice, limits: Limits): readonly Statement[] {
  return Array.from({ length: dice.int(1, limits.lengthMax) }, () => statement(dice, limits));
}

function statement(dice: Dice, limits: Limits): Statement {
  if (limits.depth === 0 || dice.chance(0.55)) return simple(dice, limits);
  const inner = { ...limits, depth: limits.depth - 1, lengthMax: 3 };
  const body = (): readonly Statement[] => list(dice, inner);
  const bodyWithin = (reach: Reach): readonly Statement[] => list(dice, { ...inner, reach });
  const op = dice.weighted<"branches" | "scope" | "shield" | "try" | "patched" | "fail">([
    [4, "branches"],
    [2, "scope"],
    [1, "shield"],
    [1.5, "try"],
    [0.7, "patched"],
    [0.4, "fail"],
  ]);
  switch (op) {
    case "branches":
      return {
        op: dice.pick(["all", "settled", "race", "any"]),
        branches: Array.from({ length: dice.int(2, 3) }, body),
      };
    case "scope": {
      const timeoutMs = dice.chance(0.4) ? 0 : ms(dice, limits);
      return {
        op,
        timeoutMs,
        body: bodyWithin(limits.reach === "safe" && timeoutMs > 0 ? "apart" : limits.reach),
      };
    }
    case "shield":
      return { op, body: bodyWithin("safe") };
    case "try":
      return { op, body: body(), otherwise: body() };
    case "patched":
      return { op, id: label(dice), taken: body(), otherwise: body() };
    case "fail":
      return { op, message: label(dice) };
  }
}

function simple(dice: Dice, limits: Limits): Statement {
  const op = dice.weighted<Statement["op"]>([
    [6, "activity"],
    [1.5, "step"],
    [3, "sleep"],
    [3, "receive"],
    [1, "send"],
    [2, "child"],
    [0.7, "side-effect"],
    [0.7, "wait-until"],
    [0.7, "compensate"],
    [0.7, "look"],
  ]);
  switch (op) {
    case "activity":
      return toActivity(dice, limits);
    case "step":
      return { op, name: mark(label(dice), limits), value: label(dice), ms: shortMs(dice, limits) };
    case "sleep":
      return { op, ms: ms(dice, limits) };
    case "receive":
      return { op, signal: dice.pick(["alpha", "beta"]), timeoutMs: ms(dice, limits) };
    case "send":
      return { op, target: dice.pick(limits.targets), signal: "word", payload: label(dice) };
    case "child":
      return {
        op,
        type: dice.pick(["leaf", "leaf", "twig", "rotten"]),
        id: dice.chance(0.2) ? label(dice) : "",
        input: mark(label(dice), limits),
        policy: dice.pick(["terminate", "cancel", "abandon"]),
        isDetached: dice.chance(0.4),
      };
    case "side-effect":
      return { op, value: label(dice) };
    case "wait-until":
      return { op, count: dice.int(1, 4), timeoutMs: ms(dice, limits) };
    case "compensate":
      return { op, label: `${undoMark}${label(dice)} ${dice.int(0, 9_999)}${safeMark}` };
    default:
      return { op: "look" };
  }
}

/** What an activity is to do lies in its label: `hang`, `beat` and `stubborn` are read by the implementation. */
function toActivity(dice: Dice, limits: Limits): Statement {
  const type = dice.pick(["work", "work", "toil"] as const);
  const failures = dice.pick([0, 0, 0, 1, 2, 3, -1]);
  const maxAttempts = dice.pick([1, 2, 3, 5, 8]);
  const retry: NonNullable<ActivityOptions["retry"]> = {
    maxAttempts,
    initialDelay: limits.isMetronome ? dice.pick(beats) : dice.pick([0, 40, 500, 5_000]),
    backoff: dice.pick(["fixed", "linear", "exponential"]),
    jitter: limits.isMetronome ? 0 : dice.pick([0, 0.2, 1]),
    maxDelay: dice.pick([1_000, 20_000]),
  };
  const manner = dice.weighted<"plain" | "hang" | "beat" | "stubborn">([
    [8, "plain"],
    [1, "hang"],
    [1.5, "beat"],
    [1, "stubborn"],
  ]);
  const startToClose = dice.pick([50, 500, 3_000]);
  const options: ActivityOptions = {
    ...(failures === 0 && manner === "plain" && dice.chance(0.5) ? {} : { retry }),
    // What hangs has a time-out.
    ...(manner === "hang" || dice.chance(0.15) ? { startToClose } : {}),
    ...(manner === "beat" ? { heartbeat: dice.pick([100, 1_000, 5_000]) } : {}),
    ...(dice.chance(0.08) ? { scheduleToClose: dice.pick([200, 5_000, 60_000]) } : {}),
    ...(dice.chance(0.05) ? { scheduleToStart: dice.pick([100, 5_000]) } : {}),
  };
  return {
    op: "activity",
    type,
    label: mark(manner === "plain" ? label(dice) : `${manner} ${label(dice)}`, limits),
    ms: shortMs(dice, limits),
    failures,
    options,
  };
}
