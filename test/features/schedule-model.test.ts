/** Schedules against a model of what they promise, which shares nothing with the engine. */
import type { Event, OverlapPolicy } from "aion/client";
import { TestEngine } from "aion/testing";
import { receive, signal, workflow } from "aion/workflow";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);
const done = signal("done");
const job = workflow("job", async () => {
  await receive(done);
});

const minute = 60_000;
const every = 10 * minute;
const windowMs = 35 * minute;
// So that nothing that is done falls on a time.
const startAt = Date.UTC(2026, 2, 1) + 3_000;

type Outcome = "started" | "overlap" | "missed" | "paused" | "workflow-id-taken";
type Do =
  | { readonly kind: "pass" | "jump"; readonly minutes: number }
  | { readonly kind: "finish" | "pause" | "resume" | "trigger" | "crash" }
  | {
      readonly kind: "backfill";
      readonly back: number;
      readonly count: number;
      readonly isOneByOne: boolean;
    };

/** One start at most is waited for at a time; a time is decided on once. */
class Model {
  readonly outcomes = new Map<number, Outcome>();
  readonly open: string[] = [];
  readonly #policy: OverlapPolicy;
  readonly #taken = new Set<string>();
  #decidedTo: number;
  #watched: string | undefined;
  #waiting: number | undefined;
  #isPaused = false;
  readonly #queue: { readonly at: number; readonly isOneByOne: boolean }[] = [];

  constructor(policy: OverlapPolicy, now: number) {
    this.#policy = policy;
    this.#decidedTo = now;
  }

  get isBusy(): boolean {
    return this.#policy !== "allow-all" && this.#watched !== undefined;
  }

  /** The clock shows that now: the times since then are due. */
  time(now: number): void {
    const due: number[] = [];
    for (let at = Math.floor(this.#decidedTo / every + 1) * every; at <= now; at += every) due.push(at);
    this.#decidedTo = Math.max(now, this.#decidedTo);
    for (const [index, at] of due.entries()) this.#due(at, now, index === due.length - 1);
    this.#goOn();
  }

  #due(at: number, now: number, isLast: boolean): void {
    const policy = this.#policy;
    if (this.#isPaused) this.outcomes.set(at, "paused");
    else if (this.isBusy && policy === "skip") this.outcomes.set(at, "overlap");
    else if (this.isBusy && policy === "buffer-one") {
      if (this.#waiting === undefined) this.#waiting = at;
      else this.outcomes.set(at, "overlap");
    } else if (this.isBusy) {
      // The other one ends at once; of those that are due together the last one follows.
      if (!isLast) this.outcomes.set(at, "overlap");
      else {
        this.#end();
        this.#start(at);
      }
    } else if (now - at > windowMs) this.outcomes.set(at, "missed");
    else if (!isLast && (policy === "cancel-other" || policy === "terminate-other"))
      this.outcomes.set(at, "overlap");
    else this.#start(at);
  }

  #start(at: number): void {
    const id = idOf(at);
    if (this.#taken.has(id)) {
      this.outcomes.set(at, "workflow-id-taken");
      return;
    }
    this.#open(id, this.#policy !== "allow-all");
    this.outcomes.set(at, "started");
  }

  #open(id: string, isWatched: boolean): void {
    this.#taken.add(id);
    this.open.push(id);
    if (isWatched) this.#watched = id;
  }

  #end(): void {
    if (this.#watched === undefined) return;
    this.open.splice(this.open.indexOf(this.#watched), 1);
    this.#watched = undefined;
  }

  /** Nothing is open that is waited for: what waits has its turn, then what is to be filled in. */
  #goOn(): void {
    if (this.#watched === undefined && this.#waiting !== undefined && !this.#isPaused) {
      const at = this.#waiting;
      this.#waiting = undefined;
      this.#start(at);
    }
    for (let [first] = this.#queue; first !== undefined; [first] = this.#queue) {
      if (first.isOneByOne && this.#watched !== undefined) return;
      this.#queue.shift();
      const id = idOf(first.at);
      if (!this.#taken.has(id)) this.#open(id, first.isOneByOne);
    }
  }

  finish(id: string): void {
    if (id === this.#watched) this.#end();
    else this.open.splice(this.open.indexOf(id), 1);
    this.#goOn();
  }

  pause(): void {
    if (this.#waiting !== undefined) this.outcomes.set(this.#waiting, "overlap");
    this.#waiting = undefined;
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#goOn();
  }

  /** `undefined`: it is refused. */
  trigger(now: number): string | undefined {
    if (this.isBusy) return undefined;
    const id = `${idOf(now)} by hand`;
    this.#open(id, this.#policy !== "allow-all");
    return id;
  }

  rename(from: string, to: string): void {
    this.open[this.open.indexOf(from)] = to;
    if (this.#watched === from) this.#watched = to;
  }

  backfill(fromAt: number, toAt: number, isOneByOne: boolean): void {
    for (let at = Math.ceil(fromAt / every) * every; at <= toAt; at += every)
      this.#queue.push({ at, isOneByOne });
    this.#goOn();
  }

  get hasBackfills(): boolean {
    return this.#queue.length > 0;
  }
}

function idOf(at: number): string {
  return `s-${new Date(at).toISOString().replace(".000Z", "Z")}`;
}

/** What the history of the coordinator says of each time. */
function outcomesOf(history: readonly Event[]): ReadonlyMap<number, readonly Outcome[]> {
  const outcomes = new Map<number, Outcome[]>();
  const starts = new Map<number, number>();
  const note = (at: number, outcome: Outcome): void => {
    outcomes.set(at, [...(outcomes.get(at) ?? []), outcome]);
  };
  for (const event of history) {
    if (event.type === "ScheduleTriggered" && event.cause === "time") {
      starts.set(event.ordinal, event.nominalAt);
      note(event.nominalAt, "started");
    }
    if (event.type !== "ScheduleSkipped" || event.cause !== "time") continue;
    if (event.ordinal !== undefined) outcomes.set(starts.get(event.ordinal) ?? 0, ["workflow-id-taken"]);
    else for (let at = event.fromAt; at <= event.toAt; at += every) note(at, event.reason as Outcome);
  }
  return outcomes;
}

const anyDo: fc.Arbitrary<Do> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), minutes: fc.integer({ min: 1, max: 35 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("jump" as const), minutes: fc.integer({ min: 1, max: 90 }) }),
  },
  { weight: 4, arbitrary: fc.constant({ kind: "finish" as const }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("pause" as const, "resume" as const, "trigger" as const, "crash" as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("backfill" as const),
      back: fc.integer({ min: 1, max: 8 }),
      count: fc.integer({ min: 1, max: 4 }),
      isOneByOne: fc.boolean(),
    }),
  },
);

async function historyOf(t: TestEngine): Promise<readonly Event[]> {
  const events: Event[] = [];
  for await (const event of t.client.get("aion.schedule:s").history()) events.push(event);
  return events;
}

async function openRuns(t: TestEngine): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const run of t.client.list({ workflowType: "job", status: "running" })) ids.push(run.workflowId);
  return ids.toSorted();
}

/** What became of each time, and what the model says of it. */
async function trial(
  policy: OverlapPolicy,
  dos: readonly Do[],
): Promise<{ readonly found: object; readonly expected: object }> {
  await using t = await TestEngine.open({ workflows: [job], startAt: new Date(startAt) });
  const schedule = await t.client.schedules.create("s", job, undefined, {
    every: "10m",
    overlap: policy,
    catchUpWindow: windowMs,
  });
  const model = new Model(policy, t.now());
  const finish = async (id: string): Promise<void> => {
    await t.client.get(id).signal(done, undefined);
    await t.settle();
    model.finish(id);
  };
  for (const one of dos) {
    switch (one.kind) {
      case "pass":
        // In parts, so that the model sees each time when the engine does.
        for (let left = one.minutes; left > 0; left--) {
          await t.skip("1m");
          model.time(t.now());
        }
        break;
      case "jump":
        t.jumpClock(one.minutes * minute);
        // The engine looks at its clock now and then.
        await t.skip("31s");
        t.jumpClock(-31_000);
        model.time(t.now());
        break;
      case "finish": {
        const [id] = model.open;
        if (id !== undefined) await finish(id);
        break;
      }
      case "pause":
        await schedule.pause();
        model.pause();
        break;
      case "resume":
        await schedule.resume();
        await t.settle();
        model.resume();
        break;
      case "crash":
        await t.crash();
        break;
      case "trigger": {
        const expected = model.trigger(t.now());
        const run = await schedule.trigger().catch(() => undefined);
        await t.settle();
        expect(run === undefined).toBe(expected === undefined);
        if (run !== undefined && expected !== undefined) model.rename(expected, run.workflowId);
        break;
      }
      case "backfill": {
        const toAt = Math.floor(t.now() / every) * every - one.back * every;
        const fromAt = toAt - (one.count - 1) * every;
        const overlap = one.isOneByOne ? "one-by-one" : "allow-all";
        await schedule.backfill({ from: fromAt, to: toAt, overlap });
        await t.settle();
        model.backfill(fromAt, toAt, one.isOneByOne);
        break;
      }
    }
    expect(await openRuns(t)).toEqual(model.open.toSorted());
  }
  // What waits is decided when nothing is open any more.
  await schedule.resume();
  await t.settle();
  model.resume();
  for (let [id] = model.open; id !== undefined; [id] = model.open) await finish(id);
  const inOrder = (all: Iterable<readonly [number, readonly Outcome[]]>): object =>
    Object.fromEntries([...all].toSorted(([a], [b]) => a - b));
  return {
    found: inOrder(outcomesOf(await historyOf(t))),
    expected: inOrder([...model.outcomes].map(([at, of]) => [at, [of]] as const)),
  };
}

describe("a schedule, whatever is done with it", () => {
  it.each(["skip", "buffer-one", "cancel-other", "terminate-other", "allow-all"] as const)(
    "obeys the model under %s: each of its times is started once, or skipped for a reason that is recorded once",
    async (policy) => {
      // I-3, I-32, I-33
      await fc.assert(
        fc.asyncProperty(fc.array(anyDo, { minLength: 1, maxLength: 25 }), async (dos) => {
          const { found, expected } = await trial(policy, dos);
          expect(found).toEqual(expected);
        }),
        { seed, numRuns: 60 },
      );
    },
  );

  it.each(["skip", "buffer-one", "cancel-other", "terminate-other", "allow-all"] as const)(
    "decides on each of its times once under %s, though the clock is set back and forth",
    async (policy) => {
      // I-28, I-32
      const anyJump = fc.record({
        kind: fc.constant("jump" as const),
        minutes: fc.integer({ min: -60, max: 90 }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(fc.oneof(anyDo, anyJump), { minLength: 1, maxLength: 25 }), async (dos) => {
          await using t = await TestEngine.open({ workflows: [job], startAt: new Date(startAt) });
          const options = { every: "10m", overlap: policy, catchUpWindow: windowMs } as const;
          const schedule = await t.client.schedules.create("s", job, undefined, options);
          const finishAll = async (): Promise<void> => {
            for (let open = await openRuns(t); open.length > 0; open = await openRuns(t)) {
              for (const id of open) await t.client.get(id).signal(done, undefined);
              await t.settle();
            }
          };
          for (const one of dos) {
            if (one.kind === "pass") await t.skip(one.minutes * minute);
            else if (one.kind === "jump") t.jumpClock(one.minutes * minute);
            else if (one.kind === "finish") await finishAll();
            else if (one.kind === "pause") await schedule.pause();
            else if (one.kind === "resume") await schedule.resume();
            else if (one.kind === "crash") await t.crash();
          }
          await schedule.resume();
          while (t.now() < startAt + 24 * 60 * minute) await t.skip("1h");
          await finishAll();
          // What came due while the last one was open is decided on with its end.
          await schedule.pause();
          await schedule.resume();
          const found = outcomesOf(await historyOf(t));
          const last = Math.floor(t.now() / every) * every;
          const first = Math.ceil(startAt / every) * every;
          for (let at = first; at <= last; at += every) expect([at, found.get(at)?.length]).toEqual([at, 1]);
          expect(found.size).toBe((last - first) / every + 1);
        }),
        { seed, numRuns: 15 },
      );
    },
  );
});
