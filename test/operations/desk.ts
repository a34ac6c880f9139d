/**
 * The workflows of the operations: those that operators and callers do something to while processes die. One file for an engine in its own
 * process, for the package of a server, and for workers.
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  ApplicationFailure,
  activity,
  allHandlersFinished,
  attributes,
  continueAsNew,
  expose,
  info,
  isFailure,
  query,
  receive,
  shield,
  signal,
  sleep,
  update,
  waitUntil,
  workflow,
} from "aion/workflow";
import { isFixed, noteEffect } from "./effects.ts";

export interface Work {
  readonly id: string;
  readonly name: string;
  /** How long it takes. */
  readonly ms?: number;
  readonly failsFirst?: boolean;
  /** It fails for good until that is fixed. */
  readonly needs?: string;
  /** It waits for an operator until that is fixed. */
  readonly parksFor?: string;
}

export const act = activity(
  "act",
  { retry: { maxAttempts: 6, initialDelay: 20, jitter: 0 } },
  async ({ id, name, ms = 0, failsFirst, needs, parksFor }: Work, task) => {
    const of = { id, name, key: task.idempotencyKey, attempt: task.attempt };
    noteEffect({ kind: "began", ...of });
    if (ms > 0) await delay(ms, undefined, { signal: task.signal });
    if (failsFirst === true && task.attempt === 1) throw new Error("the first time it fails");
    if (needs !== undefined && !isFixed(needs))
      throw new ApplicationFailure(`${needs} is missing`, { nonRetryable: true });
    if (parksFor !== undefined && !isFixed(parksFor))
      throw new ApplicationFailure(`${parksFor} has to be decided`, { park: true });
    noteEffect({ kind: "done", ...of });
    // Another attempt gives something else: so it can be seen if somebody was told of one that was lost.
    return `${id}:${name}#${task.attempt}`;
  },
);

export type Entry = {
  readonly entry: string;
  readonly how: "plain" | "work" | "wait" | "fail" | "invalid";
};
export type Place = { readonly entry: string; readonly place: number; readonly by?: string };

export const deposit = update<Place, Entry>("deposit");
export const turn = signal<"roll" | "over" | "leave">("turn");

/** Takes updates, over runs that continue each other. */
export const account = workflow(
  "account",
  async ({ id, book: before }: { readonly id: string; readonly book: readonly string[] }) => {
    const book = [...before];
    expose(
      deposit,
      async ({ entry, how }) => {
        book.push(entry);
        const place = book.length;
        if (how === "work") return { entry, place, by: await act({ id, name: entry, ms: 5 }) };
        if (how === "wait") await sleep(60);
        if (how === "fail") throw new ApplicationFailure(`${entry} is not taken`, { type: "NotTaken" });
        return { entry, place };
      },
      {
        validate: ({ how }) => {
          if (how === "invalid") throw new ApplicationFailure("it is no entry", { type: "Invalid" });
        },
      },
    );
    const what = await receive(turn);
    if (what !== "leave") await waitUntil(allHandlersFinished);
    if (what === "roll") continueAsNew({ id, book });
    return book;
  },
);

export const word = signal<string>("word");
export const where = query<string>("where");

/** Works step by step and listens meanwhile; it is paused and resumed. */
export const line = workflow(
  "line",
  async ({
    id,
    stepCount,
    wordCount,
  }: {
    readonly id: string;
    readonly stepCount: number;
    readonly wordCount: number;
  }) => {
    const heard: string[] = [];
    let at = 0;
    expose(where, () => `${at} ${heard.join()}`);
    const listen = async (): Promise<void> => {
      while (heard.length < wordCount) heard.push(await receive(word));
    };
    const work = async (): Promise<void> => {
      while (at < stepCount) {
        await act({ id, name: `step-${at}`, ms: 10, failsFirst: at % 3 === 1 });
        if (at % 2 === 0) await sleep(15);
        at += 1;
      }
    };
    try {
      await Promise.all([listen(), work()]);
    } finally {
      await shield(() => act({ id, name: "cleanup" }));
    }
    return { at, heard };
  },
);

export type JobWay = "fail" | "fail-twice" | "cancel" | "time-out";
export const go = signal("go");

/** Comes to a bad end, and is reopened when that has been put right. */
export const job = workflow("job", async ({ id, way }: { readonly id: string; readonly way: JobWay }) => {
  const first = await act({ id, name: "first" });
  await sleep(5);
  const both = await Promise.all([
    act({ id, name: "left", ms: 15 }),
    act({ id, name: "right", ms: 5, ...(way.startsWith("fail") ? { needs: `${id}/right` } : {}) }),
  ]);
  if (way === "cancel" || way === "time-out") await receive(go);
  const last = await act({ id, name: "last", ...(way === "fail-twice" ? { needs: `${id}/last` } : {}) });
  return [first, ...both, last];
});

/** What schedules start. */
export const shift = workflow("shift", async ({ ms }: { readonly ms: number }) =>
  act({ id: info().workflowId, name: "shift", ms }),
);

/** Works step by step, listens meanwhile and says by its attributes how far it is; it is reset and forked. */
export const tale = workflow(
  "tale",
  async ({
    id,
    stepCount,
    wordCount,
  }: {
    readonly id: string;
    readonly stepCount: number;
    readonly wordCount: number;
  }) => {
    const heard: string[] = [];
    const done: string[] = [];
    expose(where, () => `${done.length} ${heard.join()}`);
    const listen = async (): Promise<void> => {
      while (heard.length < wordCount) heard.push(await receive(word));
    };
    const work = async (): Promise<void> => {
      for (let step = 0; step < stepCount; step++) {
        attributes.set({ step, isOdd: step % 2 === 1 ? true : null });
        if (step % 2 === 0) await sleep(10);
        done.push(await act({ id, name: `step-${step}`, ms: 10, failsFirst: step % 3 === 1 }));
      }
    };
    await Promise.all([listen(), work()]);
    return { heard, done };
  },
);

/** Asks for what waits for an operator, all at once, and tells what came of it. */
export const kiosk = workflow(
  "kiosk",
  async ({ id, count }: { readonly id: string; readonly count: number }) =>
    Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const name = `ask-${index}`;
        try {
          return await act({ id, name, ms: 5, parksFor: `${id}/${name}` });
        } catch (error) {
          if (!isFailure(error) || !(error.cause instanceof Error)) throw error;
          return `failed: ${error.cause.message}`;
        }
      }),
    ),
);

export const mark = update<number, number>("mark");
export const close = signal("close");

/** Is found by what it was marked with last, before whoever marked it is answered. */
export const parcel = workflow("parcel", async () => {
  expose(mark, (value) => {
    attributes.set({ mark: value, seen: [`mark-${value}`], isEven: value % 2 === 0 ? true : null });
    return value;
  });
  await receive(close);
  await waitUntil(allHandlersFinished);
  return attributes.get();
});
