import type { TaskQueueLimits } from "../src/engine/task-queues.ts";
import type { Program, Statement } from "../test/replay/program.ts";
import type { Dice } from "./dice.ts";

/** Ways in which workers, and what lies between them and engines, can go wrong. */
export const workerFaultKinds = [
  "worker-crash",
  "worker-freeze",
  /** Another process of the same name comes while one is frozen. */
  "worker-twin",
  "worker-stop",
  /** Workers whose code lacks types, or that serve fewer queues. */
  "worker-build",
  /** Engines that can run themselves what others leave to workers. */
  "engine-embeds",
  "link-cut",
  "frame-cut",
  "half-open",
  "frame-twice",
  "slow-link",
] as const;

export type WorkerFaultKind = (typeof workerFaultKinds)[number];

export interface WorkerSeatPlan {
  readonly concurrency: number;
  readonly taskQueues: readonly string[];
  readonly activityTypes: readonly string[];
  /** A process that follows another one has its name. */
  readonly keepsIdentity: boolean;
}

/** The workers of a world, and what engines know of them. */
export interface WorkersPlan {
  /** The first serves everything. */
  readonly seats: readonly WorkerSeatPlan[];
  /** What engines leave to workers. */
  readonly remoteTypes: ReadonlySet<string>;
  readonly sessionTimeoutMs: number;
  readonly taskQueues: Readonly<Record<string, TaskQueueLimits>>;
  readonly intensity: number;
}

export const queueNames = ["default", "fast", "slow"] as const;
export const labourTypes = ["work", "toil"] as const;

export function planWorkers(dice: Dice): WorkersPlan {
  const seatCount = dice.pick([1, 2, 2, 3, 4]);
  const seats = Array.from({ length: seatCount }, (_, index) => ({
    concurrency: dice.pick([1, 1, 2, 5, 100]),
    taskQueues: index === 0 ? queueNames : someOf(dice, queueNames),
    activityTypes: index === 0 ? labourTypes : someOf(dice, labourTypes),
    keepsIdentity: dice.chance(0.5),
  }));
  const taskQueues: Record<string, TaskQueueLimits> = {};
  for (const name of queueNames) {
    const limits = {
      ...(dice.chance(0.35) ? { concurrency: dice.pick([1, 1, 2, 4]) } : {}),
      ...(dice.chance(0.25) ? { perSecond: dice.pick([0.2, 1, 2, 10]) } : {}),
    };
    if (Object.keys(limits).length > 0) taskQueues[name] = limits;
  }
  return {
    seats,
    remoteTypes: new Set(dice.pick([["work", "toil"], ["work", "toil"], ["work"], ["toil"]])),
    sessionTimeoutMs: dice.pick([1_000, 5_000, 5_000, 30_000]),
    taskQueues,
    intensity: dice.pick([0.5, 1, 1, 3]),
  };
}

function someOf<Item>(dice: Dice, items: readonly Item[]): readonly Item[] {
  const some = items.filter(() => dice.chance(0.6));
  return some.length > 0 ? some : [dice.pick(items)];
}

/** The program, with its activities spread over the queues. */
export function withQueues(program: Program, dice: Dice): Program {
  return { ...program, body: spread(program.body, dice) };
}

function spread(statements: readonly Statement[], dice: Dice): readonly Statement[] {
  return statements.map((statement): Statement => {
    switch (statement.op) {
      case "activity": {
        const taskQueue = dice.pick(["default", "default", "fast", "slow"]);
        return taskQueue === "default"
          ? statement
          : { ...statement, options: { ...statement.options, taskQueue } };
      }
      case "patched":
      case "try": {
        const lists =
          statement.op === "patched"
            ? { taken: spread(statement.taken, dice) }
            : { body: spread(statement.body, dice) };
        return { ...statement, ...lists, otherwise: spread(statement.otherwise, dice) };
      }
      case "all":
      case "settled":
      case "race":
      case "any":
        return { ...statement, branches: statement.branches.map((branch) => spread(branch, dice)) };
      case "scope":
      case "shield":
        return { ...statement, body: spread(statement.body, dice) };
      default:
        return statement;
    }
  });
}
