import { setTimeout as delay } from "node:timers/promises";
import type { Engine, EngineOptions } from "aion";
import { isAionError } from "aion";
import {
  ApplicationFailure,
  CancelledFailure,
  activity,
  attributes,
  child,
  continueAsNew,
  expose,
  query,
  receive,
  shield,
  sideEffect,
  signal,
  signalWorkflow,
  sleep,
  workflow,
} from "aion/workflow";

/** What a victim says to the outside world, in the order in which it said it. */
export type Said =
  | { readonly said: "opened"; readonly recovered: number; readonly at: number }
  | { readonly said: "unopened"; readonly code: string; readonly message: string }
  /** Acknowledgements: said after the engine's promise was kept. */
  | { readonly said: "started"; readonly id: string }
  | { readonly said: "signalled"; readonly id: string; readonly signalId: string }
  | { readonly said: "cancelled"; readonly id: string }
  | { readonly said: "resumed"; readonly id: string; readonly requestId: string }
  | { readonly said: "reset"; readonly id: string; readonly requestId: string; readonly runId: string }
  | { readonly said: "forked"; readonly id: string; readonly runId: string }
  | { readonly said: "ended"; readonly id: string; readonly result: unknown }
  /** A query was answered. */
  | { readonly said: "answered"; readonly id: string; readonly answer: string }
  /** A side effect: the beginning of an attempt, with the key and the number that the engine gave it. */
  | {
      readonly said: "ran";
      readonly id: string;
      readonly key: string;
      readonly attempt: number;
      readonly name: string;
      /** Milliseconds on the clock that never jumps, and on the one that may. */
      readonly steadyAt: number;
      readonly at: number;
    }
  /** A call was refused for a reason that passes; it will be repeated. */
  | { readonly said: "refused"; readonly code: string; readonly by: string }
  /** The engine stopped by itself. */
  | { readonly said: "lost"; readonly code: string }
  /** The script ended: because of that error, or because all was done. */
  | { readonly said: "gave-up"; readonly code: string; readonly message: string }
  | { readonly said: "done" };

export interface Script {
  /** Orders and doomed runs that the file is to hold in the end, numbered from 0. */
  readonly total: number;
  /** Those before this one are known to have ended. */
  readonly from?: number;
  /** Those from this one on are left to a later life. Default: none. */
  readonly until?: number;
  /** How many are under way at once. */
  readonly window: number;
  /** How long an order sleeps. */
  readonly sleepMs?: number;
  /** Makes each payload longer by so many characters. */
  readonly padding?: number;
}

/** The run that hears of all orders, and ends last. */
export const tallyId = "tally";
const tallyPerRun = 10;
const doomedEvery = 5;

export function isDoomed(index: number): boolean {
  return index % doomedEvery === doomedEvery - 1;
}

/** One of whose activities waits for an operator. */
function isAsking(index: number): boolean {
  return index % doomedEvery === 0;
}

export function idOfIndex(index: number): string {
  return isDoomed(index) ? `doomed-${index}` : `order-${index}`;
}

/** The ids whose orders the tally hears of. */
export function orderIds(total: number): readonly string[] {
  return Array.from({ length: total }, (_, index) => index)
    .filter((index) => !isDoomed(index))
    .map(idOfIndex);
}

/** Every workflow id that is there when the script is done. */
export function allIds(total: number): readonly string[] {
  const indexes = Array.from({ length: total }, (_, index) => index);
  return [
    tallyId,
    ...indexes.map(idOfIndex),
    ...indexes.filter(isDoomed).map((index) => forkOf(idOfIndex(index))),
    ...orderIds(total).map((id) => `${id}-leaf`),
  ];
}

const forkOf = (id: string): string => `${id}-fork`;

export interface OrderInput {
  readonly id: string;
  readonly isAsking: boolean;
  readonly sleepMs: number;
  readonly padding: string;
}

/** What an order gives, but for the value that it picks at random. */
export function resultOfOrder(id: string): Readonly<Record<string, unknown>> {
  return {
    reserved: `${id}:reserve`,
    one: `${id}:one`,
    two: `${id}:two`,
    both: [`${id}:left`, `${id}:right`],
    leaf: `${id}-leaf:leaf`,
  };
}

export const stage = query<string>("stage");
const note = signal<{ readonly text: string; readonly padding: string }>("note");
const mark = signal<string>("mark");
const never = signal("never");

interface Tally {
  readonly total: number;
  readonly seen: readonly string[];
}

/** The definitions, which say what they do through `say`. */
export function defineWorkload(say: (what: Said) => void, isLiar = false) {
  interface Work {
    readonly id: string;
    readonly name: string;
    readonly failsOnce?: boolean;
    readonly asksOnce?: boolean;
  }
  const work = activity(
    "work",
    { retry: { maxAttempts: 5, initialDelay: 4, jitter: 0 } },
    async ({ id, name, failsOnce, asksOnce }: Work, task) => {
      const key = task.idempotencyKey;
      say({
        said: "ran",
        id,
        key,
        attempt: task.attempt,
        name,
        steadyAt: steadyNow(),
        at: Date.now(),
      });
      if (failsOnce === true && task.attempt === 1) throw new Error("the first time it fails");
      if (asksOnce === true && task.attempt === 1)
        throw new ApplicationFailure("somebody has to look at it", { park: true });
      await delay(task.attempt % 2);
      return `${id}:${name}`;
    },
  );

  const leaf = workflow("leaf", (id: string) => work({ id, name: "leaf" }));

  const order = workflow("order", async ({ id, sleepMs, isAsking: asksOnce }: OrderInput) => {
    let at = "reserving";
    expose(stage, () => at);
    attributes.set({ order: id, at });
    const reserved = await work({ id, name: "reserve" });
    at = "waiting";
    const one = await receive(note);
    await sleep(sleepMs);
    at = "working";
    attributes.set({ at, isAsking: asksOnce ? true : null });
    const both = await Promise.all([
      work({ id, name: "left", asksOnce }),
      work({ id, name: "right", failsOnce: true }),
    ]);
    const picked = sideEffect(() => `${id}:${Math.random()}`);
    const two = await receive(note);
    at = "leaf";
    attributes.set({ at: null });
    const [leafResult] = await Promise.all([
      child(leaf, `${id}-leaf`, { id: `${id}-leaf` }),
      signalWorkflow(tallyId, mark, id),
    ]);
    at = "ended";
    return { reserved, one: one.text, two: two.text, both, leaf: leafResult, picked };
  });

  const doomed = workflow("doomed", async (id: string) => {
    try {
      await receive(never);
    } finally {
      await shield(() => work({ id, name: "cleanup" }));
    }
  });

  const tally = workflow("tally", async ({ total, seen }: Tally) => {
    const heard = [...seen];
    for (;;) {
      if (heard.length === total) return heard.toSorted();
      if (heard.length > seen.length && heard.length % tallyPerRun === 0)
        continueAsNew({ total, seen: heard });
      heard.push(await receive(mark));
    }
  });

  const workflows: EngineOptions["workflows"] = [order, doomed, leaf, tally];

  /** What the script asks of an engine; every call may have been made before. */
  function callsOn(engine: Engine, script: Script) {
    const { client } = engine;
    const padding = "x".repeat(script.padding ?? 0);
    const sleepMs = script.sleepMs ?? 3;

    async function runOrder(id: string, asks: boolean): Promise<unknown> {
      const run = await patiently("start", () =>
        client.start(order, { id, isAsking: asks, sleepMs, padding }, { id, requestId: `${id}-request` }),
      );
      say({ said: "started", id });
      for (const text of ["one", "two"]) {
        const signalId = `${id}:${text}`;
        if (isLiar) say({ said: "signalled", id, signalId });
        await patiently("signal", () => run.signal(note, { text: signalId, padding }, { signalId }));
        say({ said: "signalled", id, signalId });
      }
      const ended = patiently("result", () => run.result());
      ended.catch(() => undefined);
      if (asks) await Promise.race([resume(id), ended]);
      const result = await ended;
      say({ said: "ended", id, result });
      return result;
    }

    /** Of one that waits for an operator, or will; it need not, if its attempt was lost. */
    async function resume(id: string): Promise<void> {
      const requestId = `${id}-resume`;
      for (;;) {
        try {
          await patiently("resumeActivity", () => client.get(id).resumeActivity({ requestId }));
          return say({ said: "resumed", id, requestId });
        } catch (error) {
          if (isAionError(error) && error.code === "run_closed") return;
          if (!isAionError(error) || error.code !== "activity_not_parked") throw error;
          await delay(2);
        }
      }
    }

    async function runDoomed(id: string): Promise<unknown> {
      const run = await patiently("start", () => client.start(doomed, id, { id }));
      say({ said: "started", id });
      const fork = await patiently("fork", () => run.fork(forkOf(id), { toSeq: 1 }));
      say({ said: "forked", id: forkOf(id), runId: fork.runId ?? "" });
      await orClosed(() => patiently("terminate", () => fork.terminate()));
      const requestId = `${id}-reset`;
      const next = await patiently("reset", () => run.reset({ toSeq: 1, requestId }));
      say({ said: "reset", id, requestId, runId: next.runId ?? "" });
      await orClosed(() => patiently("cancel", () => client.get(id).cancel("as the script says")));
      say({ said: "cancelled", id });
      try {
        return await patiently("result", () => client.get(id).result());
      } catch (error) {
        if (!(error instanceof CancelledFailure)) throw error;
        say({ said: "ended", id, result: "cancelled" });
        return "cancelled";
      }
    }

    /** It was done, and the run has ended, in an earlier life. */
    async function orClosed(call: () => Promise<void>): Promise<void> {
      try {
        await call();
      } catch (error) {
        if (!isAionError(error) || error.code !== "run_closed") throw error;
      }
    }

    async function ask(id: string): Promise<void> {
      try {
        say({ said: "answered", id, answer: await client.get(id).query(stage) });
      } catch (error) {
        if (!isAionError(error)) throw error;
        const hasNothingToAsk = ["run_not_found", "query_unknown", "run_closed"].includes(error.code);
        if (!hasNothingToAsk) throw error;
      }
    }

    /** While the disk is full, and nothing else, a call is repeated; reads are to work all the while. */
    async function patiently<Result>(by: string, call: () => Promise<Result>): Promise<Result> {
      for (;;) {
        try {
          return await call();
        } catch (error) {
          if (!isAionError(error) || error.code !== "store_full") throw error;
          say({ said: "refused", code: error.code, by });
          await ask(idOfIndex(0));
          await delay(5);
        }
      }
    }

    async function startTally() {
      const total = orderIds(script.total).length;
      const run = await patiently("start", () =>
        client.start(tally, { total, seen: [] }, { id: tallyId, requestId: "tally-request" }),
      );
      say({ said: "started", id: tallyId });
      return { result: () => patiently("result", () => run.result()) };
    }

    const run = (index: number): Promise<unknown> =>
      isDoomed(index) ? runDoomed(idOfIndex(index)) : runOrder(idOfIndex(index), isAsking(index));
    return { startTally, run };
  }

  /** Carries the script out, from wherever it stood. */
  async function drive(engine: Engine, script: Script): Promise<void> {
    const { startTally, run } = callsOn(engine, script);
    const tallied = await startTally();
    let next = script.from ?? 0;
    const lanes = Array.from({ length: script.window }, async () => {
      while (next < (script.until ?? script.total)) {
        const index = next;
        next += 1;
        await run(index);
      }
    });
    await Promise.all(lanes);
    if ((script.until ?? script.total) < script.total) return;
    say({ said: "ended", id: tallyId, result: await tallied.result() });
  }

  /** Carries out each part of the script by itself, so that one that fails tells nothing of the others. */
  async function driveEach(
    engine: Engine,
    script: Script,
    within: <Result>(work: Promise<Result>) => Promise<Result>,
  ): Promise<readonly PromiseSettledResult<unknown>[]> {
    const { startTally, run } = callsOn(engine, script);
    const started = await Promise.allSettled([within(startTally())]);
    const parts = Array.from({ length: script.total }, (_, index) => within(run(index)));
    return [...(await Promise.allSettled(parts)), ...started];
  }

  return { workflows, activities: [work], drive, driveEach };
}

/** Milliseconds of the machine's steady clock, the same in all processes. */
export function steadyNow(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
