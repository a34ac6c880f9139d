import type { ReusePolicy } from "../src/client/service.ts";
import type { Attributes } from "../src/core/attributes.ts";
import type { Program } from "../test/replay/program.ts";
import { Dice } from "./dice.ts";
import type { LimitsPlan } from "./limit-oracle.ts";
import { planLimits } from "./limit-oracle.ts";
import type { Search } from "./attribute-oracle.ts";
import { isSearch, searches } from "./attribute-oracle.ts";
import { drawAttribute, randomProgram, withAttributes } from "./random-program.ts";
import { withParking } from "./parking-plan.ts";
import type { ScheduleOperation } from "./schedule-plan.ts";
import { withSchedules } from "./schedule-plan.ts";
import type { WorkerFaultKind, WorkersPlan } from "./worker-plan.ts";
import { planWorkers, withQueues, workerFaultKinds } from "./worker-plan.ts";

/** Ways in which a world without workers can go wrong. Each seed has some of them. */
const engineFaultKinds = [
  "crash",
  "freeze",
  "graceful-stop",
  "write-refused",
  "disk-full",
  "commit-unknown",
  "disk-failed",
  "read-failed",
  "slow-store",
  "outage",
  "clock-forwards",
  "clock-backwards",
  "request-lost",
  "reply-lost",
  "request-twice",
  "stall",
  "retention",
  "skew",
  // PostgreSQL's own, in worlds that have it.
  "serialization-failure",
  "deadlock",
  "admin-shutdown",
  "connection-cut",
  "too-many-connections",
  "missing-code",
] as const;

/** Drawn by dice of their own: the worlds without them are as they were before there were such. */
const laterFaultKinds = ["limits"] as const;

export type FaultKind =
  | (typeof engineFaultKinds)[number]
  | (typeof laterFaultKinds)[number]
  | WorkerFaultKind;

export const faultKinds: readonly FaultKind[] = [
  ...engineFaultKinds,
  ...laterFaultKinds,
  ...workerFaultKinds,
];

/** What a client does, one thing after the other; each is repeated until there is an answer. */
export type Operation =
  | {
      readonly verb: "start";
      readonly workflowId: string;
      readonly workflowType: string;
      readonly requestId?: string;
      readonly startDelayMs?: number;
      readonly runTimeoutMs?: number;
      readonly executionTimeoutMs?: number;
      readonly reuse?: ReusePolicy;
      readonly signal?: SignalPlan;
      readonly attributes?: Attributes;
    }
  | ({ readonly verb: "signal"; readonly workflowId: string } & SignalPlan)
  | ({ readonly verb: "update"; readonly workflowId: string } & UpdatePlan)
  | { readonly verb: "query" | "cancel" | "terminate" | "result" | "describe"; readonly workflowId: string }
  | { readonly verb: "pause" | "resume"; readonly workflowId: string; readonly requestId: string }
  | ReopenPlan
  | { readonly verb: "list"; readonly search?: Search }
  | { readonly verb: "wait"; readonly ms: number }
  | ScheduleOperation
  /** Deletes the schedules that others have left, when they have done all that they do. */
  | { readonly verb: "tidy" }
  /** Looks for what waits for an operator, and decides on it, until all has ended. */
  | { readonly verb: "operate" };

/** Of a run that has ended, or has not; repeated when it is said so, with the same id. */
export interface ReopenPlan {
  readonly verb: "reopen";
  readonly workflowId: string;
  readonly requestId: string;
  /** `child`: one of it that failed, if there is one; `first`: the first run of the id, whichever is the latest. */
  readonly of: "latest" | "named" | "first" | "child";
}

/** Of `bump` (test/replay/interpreter.ts). */
export interface UpdatePlan {
  readonly amount: number;
  readonly updateId: string;
  /** Goes on when it is accepted, and asks for its outcome after the next thing. */
  readonly isStarted: boolean;
}

export interface SignalPlan {
  readonly name: "alpha" | "beta" | "tick" | "word";
  /** Unlike every other value sent in this world. */
  readonly value: number;
  readonly signalId: string;
}

/**
 * `sqlite`: the real store, in memory. `memory`: the reference store. `postgres`: the reference store, answering as a server
 * behind a network would: it goes on with what a dead client asked for, answers in any order, and has PostgreSQL's errors.
 */
export type StoreKind = "sqlite" | "memory" | "postgres";

/** All that a world is made of, before anything happens. */
export interface Plan {
  readonly seed: number;
  readonly store: StoreKind;
  readonly engineCount: number;
  /** By how much the clock of each engine's machine is ahead of the right time. */
  readonly skewsMs: readonly number[];
  readonly leaseMs: number;
  readonly residentMax: number;
  readonly activityConcurrency: number;
  readonly activityConcurrencyPerType: Readonly<Record<string, number>>;
  readonly faults: ReadonlySet<FaultKind>;
  /** How often each of them comes, by a factor. */
  readonly intensities: Readonly<Record<FaultKind, number>>;
  /** The same for what is done to the world as a whole. */
  readonly troubleIntensity: number;
  readonly programs: Readonly<Record<string, Program>>;
  readonly clients: readonly (readonly NumberedOperation[])[];
  /** So long things may go wrong; then all is well until everything has ended. */
  readonly troubleMs: number;
  /** So long after that engines that lack code go on lacking it. */
  readonly unmendedMs: number;
  /** What engines let one run have, those that come when all is well excepted; `undefined`: what is usual. */
  readonly limits: LimitsPlan | undefined;
  /** `undefined`: none; engines run all activities themselves. */
  readonly workers: WorkersPlan | undefined;
  /** A world that takes longer than that has no end. */
  readonly stepsMax: number;
}

export interface NumberedOperation {
  readonly number: number;
  readonly of: Operation;
}

/** What a smaller world leaves out. */
export interface Reduction {
  readonly faults: readonly FaultKind[];
  /** Numbers of operations. */
  readonly operations: readonly number[];
  readonly engineCount?: number;
  /** Whether there are workers; by itself half of the worlds have some. Without them a world is otherwise the same. */
  readonly hasWorkers?: boolean;
}

export const noReduction: Reduction = { faults: [], operations: [] };

export function planOf(seed: number, reduction: Reduction = noReduction): Plan {
  const dice = new Dice(`world ${seed}`);
  const leaseMs = dice.pick([2_000, 10_000, 10_000, 30_000]);
  const engineCount = dice.pick([1, 2, 2, 3]);
  const store = dice.weighted<StoreKind>([
    [3, "sqlite"],
    [0.7, "memory"],
    [1.3, "postgres"],
  ]);
  const share = dice.pick([0, 0.15, 0.3, 0.5, 0.5, 0.8]);
  const faults = new Set<FaultKind>(engineFaultKinds.filter(() => dice.chance(share)));
  const intensityOf = (of: Dice) => (kind: FaultKind) => [kind, of.pick([0.4, 1, 1, 4])] as const;
  const intensities = Object.fromEntries(engineFaultKinds.map(intensityOf(dice)));
  for (const kind of laterFaultKinds) intensities[kind] = 1;
  const isMetronome = dice.chance(0.25);
  const programs: Record<string, Program> = {};
  const programCount = dice.int(1, 3);
  const targets = ["listener", "nobody", "w0", "w0", "w1"];
  for (let index = 0; index < programCount; index++) {
    programs[`p${index}`] = withAttributes(
      randomProgram(new Dice(`program ${index} of ${seed}`), { targets, isMetronome }),
      new Dice(`attributes ${index} of ${seed}`),
    );
  }
  const workerDice = new Dice(`workers of ${seed}`);
  const isDrawn = workerDice.chance(0.5);
  const workers = (reduction.hasWorkers ?? isDrawn) ? planWorkers(workerDice) : undefined;
  const workerShare = workerDice.pick([0, 0.15, 0.3, 0.5, 0.8]);
  if (workers !== undefined) {
    for (const kind of workerFaultKinds) if (workerDice.chance(workerShare)) faults.add(kind);
    for (const [name, program] of Object.entries(programs)) programs[name] = withQueues(program, workerDice);
  }
  Object.assign(intensities, Object.fromEntries(workerFaultKinds.map(intensityOf(workerDice))));
  const parkingDice = new Dice(`parking of ${seed}`);
  const isParking = parkingDice.chance(0.3);
  for (const [name, program] of isParking ? Object.entries(programs) : [])
    programs[name] = withParking(program, parkingDice);
  const clients = withSchedules(
    withReopenings(
      withUpdates(
        withPauses(
          planClients(new Dice(`clients of ${seed}`), Object.keys(programs)),
          new Dice(`pauses of ${seed}`),
        ),
        new Dice(`updates of ${seed}`),
      ),
      new Dice(`reopenings of ${seed}`),
    ),
    Object.keys(programs),
    new Dice(`schedules of ${seed}`),
  ).map((operations, index) => withSearches(operations, new Dice(`searches of client ${index} of ${seed}`)));
  const limits = planLimits(new Dice(`limits of ${seed}`));
  if (limits !== undefined) faults.add("limits");
  const left = new Set(reduction.operations);
  const clockDice = new Dice(`clocks of ${seed}`);
  const skewsMs = [1, 2, 3].map(() => skewOf(clockDice, leaseMs));
  const isSkewed = faults.has("skew") && !reduction.faults.includes("skew");
  // Hardly any room: runs come and go, and activities stand in line.
  const isTight = dice.chance(0.2);
  return {
    seed,
    store,
    leaseMs,
    skewsMs: isSkewed ? skewsMs : [0, 0, 0],
    engineCount: reduction.engineCount ?? engineCount,
    residentMax: isTight ? 1 : dice.pick([1, 3, 1_000, 1_000]),
    activityConcurrency: isTight ? 1 : dice.pick([1, 3, 100, 100]),
    activityConcurrencyPerType: dice.chance(0.2) ? { toil: 1 } : {},
    faults: new Set([...faults].filter((kind) => !reduction.faults.includes(kind))),
    intensities: intensities as Record<FaultKind, number>,
    troubleIntensity: dice.pick([0.5, 1, 1, 3]),
    programs,
    clients: [...clients, ...(isParking ? operators(parkingDice) : [])].map((operations) =>
      operations.filter(({ number }) => !left.has(number)),
    ),
    troubleMs: dice.pick([2_000, 20_000, 60_000, 180_000]),
    unmendedMs: new Dice(`mending of ${seed}`).pick([0, 60_000, 150_000]),
    limits: faults.has("limits") && !reduction.faults.includes("limits") ? limits : undefined,
    workers,
    // Workers say that they are alive, however long nothing else happens.
    stepsMax: workers === undefined ? 60_000 : 600_000,
  };
}

/** They come first when something is to be left out: without them what is parked waits for ever. */
export function operators(dice: Dice): readonly (readonly NumberedOperation[])[] {
  return Array.from({ length: dice.pick([1, 1, 2]) }, () => [{ number: -1, of: { verb: "operate" } }]);
}

/** A little, within the lease, or beyond it. */
function skewOf(dice: Dice, leaseMs: number): number {
  const size = dice.weighted<number>([
    [2, 0],
    [3, dice.int(1, 200)],
    [3, dice.int(200, leaseMs)],
    [2, dice.int(leaseMs, 4 * leaseMs)],
  ]);
  return dice.chance(0.5) ? size : -size;
}

/** By how much two of its machines disagree about the time at most. */
export function spreadOf({ skewsMs, engineCount }: Plan): number {
  const used = skewsMs.slice(0, engineCount);
  return Math.max(...used) - Math.min(...used);
}

function planClients(dice: Dice, types: readonly string[]): readonly (readonly NumberedOperation[])[] {
  let startCount = 0;
  let value = 100;
  const workflowCount = dice.pick([1, 2, 3, 4, 7]);
  const ids = Array.from({ length: workflowCount }, (_, index) => `w${index}`);
  // The same id has the same type whoever starts it: a start that meets it finds its own.
  const typeOf = new Map(ids.map((id) => [id, dice.pick(types)]));
  const signal = (client: number): SignalPlan => {
    value += 1;
    return { name: dice.pick(["alpha", "beta", "tick"]), value, signalId: `c${client}-${value}` };
  };
  const start = (workflowId: string, client: number): Operation => ({
    verb: "start",
    workflowId,
    workflowType: typeOf.get(workflowId) ?? "p0",
    ...toStartOptions(dice, `start-${client}-${(startCount += 1)}`, () => signal(client)),
  });
  const clientCount = dice.int(1, 3);
  return Array.from({ length: clientCount }, (_, client) => {
    const operations: Operation[] = [];
    const mine = ids.filter((_id, index) => index % clientCount === client);
    if (client === 0) operations.push({ verb: "start", workflowId: "listener", workflowType: "listener" });
    const known = mine.length === 0 ? ["w0"] : mine;
    for (const workflowId of known) {
      if (dice.chance(0.2)) operations.push({ verb: "wait", ms: dice.int(1, 5_000) });
      operations.push(start(workflowId, client));
    }
    for (let left = dice.int(2, 9); left > 0; left--) {
      const workflowId = dice.chance(0.8) ? dice.pick(known) : dice.pick(ids);
      operations.push(
        dice.weighted<Operation>([
          [8, { verb: "signal", workflowId, ...signal(client) }],
          [4, { verb: "query", workflowId }],
          [1, { verb: "describe", workflowId }],
          [1, { verb: "list" }],
          [1, { verb: "cancel", workflowId }],
          [0.6, { verb: "terminate", workflowId }],
          [1.5, start(workflowId, client)],
          [4, { verb: "wait", ms: dice.pick([1, 20, 100, 500, 2_000, 10_000]) }],
        ]),
      );
    }
    for (const workflowId of known) operations.push({ verb: "result", workflowId });
    return operations;
  }).map((operations, client) => operations.map((of, index) => ({ number: client * 100 + index, of })));
}

/** What clients do besides, and when, is as it was. */
function withSearches(operations: readonly NumberedOperation[], dice: Dice): readonly NumberedOperation[] {
  return operations.map(({ number, of }) => {
    if (of.verb === "list" && dice.chance(0.8))
      return { number, of: { ...of, search: dice.pick(Object.keys(searches).filter(isSearch)) } };
    if (of.verb !== "start" || !dice.chance(0.4)) return { number, of };
    const { name, value } = drawAttribute(dice);
    return { number, of: { ...of, attributes: value === null ? {} : { [name]: value } } };
  });
}

/** Some worlds have them; the others are what they would be without. What clients do besides keeps its numbers. */
function withUpdates(
  clients: readonly (readonly NumberedOperation[])[],
  dice: Dice,
): readonly (readonly NumberedOperation[])[] {
  if (!dice.chance(0.5)) return clients;
  let count = 0;
  return clients.map((operations, client) => {
    const ids = operations.flatMap(({ of }) => (of.verb === "start" ? [of.workflowId] : []));
    const result = [...operations];
    const firstResult = operations.findIndex(({ of }) => of.verb === "result");
    for (let left = dice.int(1, 5); left > 0 && ids.length > 0; left--) {
      const at = dice.int(1, firstResult < 0 ? operations.length : firstResult);
      count += 1;
      const of: Operation = {
        verb: "update",
        workflowId: dice.pick(ids),
        amount: dice.int(1, 3),
        updateId: `u${client}-${count}`,
        isStarted: dice.chance(0.3),
      };
      result.splice(at, 0, { number: client * 100 + 80 + count, of });
    }
    return result;
  });
}

/** In a part of the worlds clients let runs go on that have ended, mostly when they have heard that they did, and wait for them again. */
function withReopenings(
  clients: readonly (readonly NumberedOperation[])[],
  dice: Dice,
): readonly (readonly NumberedOperation[])[] {
  if (!dice.chance(0.3)) return clients;
  return clients.map((operations, client) => {
    const result = [...operations];
    let count = 0;
    const add = (at: number, of: Operation): void => {
      count += 1;
      result.splice(at, 0, { number: 100_000 + client * 1_000 + count, of });
    };
    const ids = new Set(operations.flatMap(({ of }) => (of.verb === "result" ? [of.workflowId] : [])));
    for (const workflowId of ids) {
      const requestId = (): string => `reopen-${client}-${count}`;
      const placeOf = (verb: string): number =>
        result.findLastIndex(
          ({ of }) => of.verb === verb && "workflowId" in of && of.workflowId === workflowId,
        );
      for (let left = dice.int(0, 2); left > 0; left--) {
        const of = dice.pick(["latest", "named"] as const);
        add(dice.int(1, placeOf("result")), { verb: "reopen", workflowId, requestId: requestId(), of });
      }
      for (let left = dice.int(0, 3); left > 0; left--) {
        const end = placeOf("result") + 1;
        add(end, { verb: "result", workflowId });
        if (dice.chance(0.3)) add(end, { verb: "wait", ms: dice.pick([1, 100, 2_000, 20_000]) });
        if (dice.chance(0.2)) add(end, { verb: dice.pick(["cancel", "query"]), workflowId });
        const of = dice.pick(["latest", "latest", "latest", "named", "first"] as const);
        const reopen = { verb: "reopen", workflowId, requestId: requestId(), of } as const;
        // Of what was asked before nothing more comes.
        if (dice.chance(0.25)) add(end, reopen);
        add(end, reopen);
        if (dice.chance(0.4)) add(end, { verb: "reopen", workflowId, requestId: requestId(), of: "child" });
      }
    }
    return result;
  });
}

/** In a part of the worlds clients hold runs for a while. By dice of their own: the other worlds are as they were. */
function withPauses(
  clients: readonly (readonly NumberedOperation[])[],
  dice: Dice,
): readonly (readonly NumberedOperation[])[] {
  if (!dice.chance(0.25)) return clients;
  return clients.map((operations, client) => {
    const result = [...operations];
    let count = 0;
    const add = (at: number, verb: "pause" | "resume", workflowId: string): void => {
      count += 1;
      const requestId = `${verb}-${client}-${count}`;
      result.splice(at, 0, { number: client * 100 + 50 + count, of: { verb, workflowId, requestId } });
    };
    const ids = new Set(operations.flatMap(({ of }) => (of.verb === "start" ? [of.workflowId] : [])));
    for (const workflowId of ids) {
      for (let left = dice.int(1, 3); left > 0; left--) {
        const from = result.findIndex(({ of }) => of.verb === "start" && of.workflowId === workflowId) + 1;
        const end = result.findIndex(({ of }) => of.verb === "result");
        const at = dice.int(from, end);
        add(at, "pause", workflowId);
        if (dice.chance(0.7)) add(dice.int(at + 1, end + 1), "resume", workflowId);
      }
      add(
        result.findIndex(({ of }) => of.verb === "result"),
        "resume",
        workflowId,
      );
    }
    return result;
  });
}

function toStartOptions(
  dice: Dice,
  requestId: string,
  signal: () => SignalPlan,
): Omit<Operation & { readonly verb: "start" }, "verb" | "workflowId" | "workflowType"> {
  const isWithSignal = dice.chance(0.25);
  const reuse = dice.chance(0.15)
    ? dice.pick<ReusePolicy>(["reject", "after-close", "after-failure", "terminate"])
    : undefined;
  return {
    // Repeated without one, such a start may begin another run.
    ...(isWithSignal || reuse !== undefined || dice.chance(0.6) ? { requestId } : {}),
    ...(reuse === undefined ? {} : { reuse }),
    ...(dice.chance(0.15) ? { startDelayMs: dice.int(1, 3_000) } : {}),
    ...(dice.chance(0.1) ? { runTimeoutMs: dice.int(500, 20_000) } : {}),
    ...(dice.chance(0.05) ? { executionTimeoutMs: dice.int(500, 30_000) } : {}),
    ...(isWithSignal ? { signal: signal() } : {}),
  };
}
