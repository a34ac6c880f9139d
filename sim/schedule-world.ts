import type { ErrorCode } from "../src/core/errors.ts";
import { isAionError } from "../src/core/errors.ts";
import type { OverlapPolicy } from "../src/core/schedule.ts";
import { overlapPolicies } from "../src/core/schedule.ts";
import type { ScheduleHandle, ScheduleTimes } from "../src/client/schedules.ts";
import type { OwnerToken, Store } from "../src/store/contract.ts";
import { openMemoryStore } from "../src/store/memory.ts";
import { TestEngine } from "../src/testing/test-engine.ts";
import { shield, sleep, workflow } from "../src/workflow/index.ts";
import { overStore } from "../test/recovery/over-store.ts";
import { Dice } from "./dice.ts";
import { SimulationFailure } from "./failure.ts";
import { faultyStore } from "./faulty-store.ts";
import type { Asked } from "./schedule-oracle.ts";
import { ScheduleOracle } from "./schedule-oracle.ts";
import type { Rule } from "./schedule-times.ts";

const minuteMs = 60_000;
const jitterMsMax = 5 * minuteMs;
/** Of so many calls copies may come late. */
const lateMax = 20;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const startAtMs = Date.UTC(2026, 0, 1);
/** Of runs that retention spares. */
const ageMs = 7 * dayMs;

export interface ScheduleVerdict {
  readonly seed: number;
  readonly failure: SimulationFailure | undefined;
  readonly counts: Readonly<Record<string, number>>;
  readonly elapsedMs: number;
}

const brief = workflow("brief", async (_hours: number) => "done");
const long = workflow("long", async (hours: number) => sleep(hours * hourMs));
/** Takes its time to end when it is told to. */
const tidy = workflow("tidy", async (hours: number) => {
  try {
    await sleep(hours * hourMs);
  } finally {
    await shield(() => sleep("20 minutes"));
  }
});
const workflows = [brief, long, tidy];

/** Nobody knows what became of the call: the same is asked again. */
const passing: ReadonlySet<ErrorCode> = new Set(["store_unavailable", "commit_unknown"]);

const zones = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Australia/Lord_Howe",
  "America/Santiago",
  "Asia/Kolkata",
];

/**
 * A world of schedules: days or years of virtual time, in which the engine crashes, is away for hours or weeks, commits are refused or of
 * unknown outcome, and the clock is set. Clients create, change, pause, trigger, fill in and delete. All of it follows from the seed.
 */
export async function runScheduleWorld(of: {
  readonly seed: number;
  readonly days: number;
}): Promise<ScheduleVerdict> {
  const world = new ScheduleWorld(of.seed, of.days * dayMs);
  return world.run();
}

class ScheduleWorld {
  readonly #seed: number;
  readonly #lengthMs: number;
  readonly #dice: Dice;
  readonly #faultDice: Dice;
  readonly #oracle = new ScheduleOracle();
  readonly #counts = new Map<string, number>();
  readonly #inner: Store;
  readonly #schedules = new Map<string, ScheduleHandle>();
  /** Calls that were answered, by the schedule. */
  readonly #answered = new Map<string, readonly (() => Promise<boolean>)[]>();
  readonly #asked = new Map<string, Asked>();
  #engine: TestEngine | undefined;
  #token: OwnerToken | undefined;
  #failure: SimulationFailure | undefined;
  #isCalm = false;
  #requestCount = 0;

  constructor(seed: number, lengthMs: number) {
    this.#seed = seed;
    this.#lengthMs = lengthMs;
    this.#dice = new Dice(`schedules of ${seed}`);
    this.#faultDice = new Dice(`faults of schedules of ${seed}`);
    this.#inner = openMemoryStore({ clock: { now: () => this.#engine?.now() ?? startAtMs } });
  }

  async run(): Promise<ScheduleVerdict> {
    try {
      await this.#live();
    } catch (error) {
      // After a law was broken the store answers no more, and everything fails.
      if (this.#failure === undefined) {
        if (!(error instanceof SimulationFailure)) throw error;
        this.#failure = error;
      }
    }
    const elapsedMs = (this.#engine?.now() ?? startAtMs) - startAtMs;
    await this.#engine?.close({ checkReplay: false }).catch(() => undefined);
    const counts = { ...this.#oracle.counts, ...Object.fromEntries(this.#counts) };
    return { seed: this.#seed, failure: this.#failure, counts, elapsedMs };
  }

  #store(): Store {
    const store = faultyStore(this.#inner, {
      dice: this.#faultDice,
      shares: { refused: 0.004, lost: 0, made: 0.004 },
      isCalm: () => this.#isCalm,
      committed: (commit, result) => this.#oracle.committed(commit, result),
      onBroken: (failure) => {
        this.#failure ??= failure;
      },
      isBroken: () => this.#failure !== undefined,
      note: (what) => this.#note(what),
    });
    return overStore(store, {
      claim: async (claim) => {
        this.#token = await store.claim(claim);
        return this.#token;
      },
    });
  }

  #note(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  get #t(): TestEngine {
    if (this.#engine === undefined) throw new Error("the engine is open");
    return this.#engine;
  }

  async #live(): Promise<void> {
    this.#engine = await TestEngine.open({
      workflows,
      store: this.#store(),
      startAt: startAtMs,
      seed: this.#seed,
      residentMax: this.#dice.pick([1, 100]),
    });
    const count = this.#dice.int(1, 4);
    for (let index = 0; index < count; index++) await this.#create(`s${index}`);
    // Longer steps in longer worlds: what happens in them is the same.
    const stepMsMax = Math.max(4 * hourMs, this.#lengthMs / 200);
    while (this.#t.now() < startAtMs + this.#lengthMs) {
      await this.#pass(this.#dice.int(1, stepMsMax));
      await this.#happen();
      this.#demandWhole();
    }
    this.#isCalm = true;
    for (const scheduleId of [...this.#schedules.keys()]) await this.#delete(scheduleId);
    await this.#pass(10 * dayMs);
    this.#demandWhole();
    this.#oracle.judge();
    if ((await this.#t.client.count({ status: "running" })) > 0)
      throw new SimulationFailure("schedule-liveness", "something of a deleted schedule goes on");
  }

  #demandWhole(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #pass(ms: number): Promise<void> {
    await this.#t.skip(ms);
  }

  async #happen(): Promise<void> {
    const dice = this.#dice;
    const known = [...this.#schedules.keys()];
    const one = known.length === 0 ? undefined : dice.pick(known);
    const what = dice.weighted<() => Promise<void>>([
      [2, async () => undefined],
      [2, () => this.#crash(0)],
      [2, () => this.#crash(dice.pick([hourMs, 10 * hourMs, 3 * dayMs, 20 * dayMs]))],
      [1, () => this.#setClock(dice.int(1, 30) * minuteMs)],
      [1, () => this.#setClock(-dice.int(1, 30) * minuteMs)],
      [1, () => this.#retire()],
      [1, () => this.#create(`s${dice.int(0, 5)}`)],
      [2, () => this.#on(one, "pause", (schedule, requestId) => schedule.pause({ requestId }))],
      [4, () => this.#on(one, "resume", (schedule, requestId) => schedule.resume({ requestId }))],
      [2, () => this.#trigger(one)],
      [2, () => this.#backfill(one)],
      [1, () => this.#update(one)],
      [0.5, async () => (one === undefined ? undefined : await this.#delete(one))],
    ]);
    await what();
  }

  /** The engine is gone for so long, which it learns from its clock. */
  async #crash(awayMs: number): Promise<void> {
    this.#note(awayMs === 0 ? "engine crashed" : "outage");
    this.#t.jumpClock(awayMs);
    await this.#t.crash();
  }

  async #setClock(byMs: number): Promise<void> {
    this.#note(byMs < 0 ? "clock set backwards" : "clock set forwards");
    this.#t.jumpClock(byMs);
    await this.#t.settle();
    if (byMs > 0) return;
    // What is decided stays so, whatever is asked while the clock shows an earlier time.
    for (const scheduleId of this.#schedules.keys()) {
      await this.#on(scheduleId, "pause", (schedule, requestId) => schedule.pause({ requestId }));
      await this.#on(scheduleId, "resume", (schedule, requestId) => schedule.resume({ requestId }));
    }
  }

  async #retire(): Promise<void> {
    if (this.#token === undefined) return;
    this.#note("closed runs deleted");
    // More than what is in the store.
    await this.#inner.deleteClosed(this.#token, this.#t.now() - ageMs, 1_000_000);
  }

  #requestId(): string {
    this.#requestCount += 1;
    return `r${this.#requestCount}`;
  }

  /** Asks until there is an answer; `undefined`: it was refused, as may be. */
  async #ask<Reply>(work: () => Promise<Reply>): Promise<Reply | undefined> {
    for (;;) {
      try {
        const reply = await work();
        await this.#t.settle();
        return reply;
      } catch (error) {
        if (!isAionError(error)) throw error;
        if (passing.has(error.code)) {
          this.#note("asked again");
          await this.#pass(1_000);
        } else if (error.code === "schedule_busy" || error.message.includes("no time in the range"))
          return undefined;
        else if (error.message.includes("more than") || error.message.includes("are not done yet"))
          return undefined;
        else throw new SimulationFailure(`answer-${error.code}`, error.message, { cause: error });
      }
    }
  }

  async #on(
    scheduleId: string | undefined,
    verb: string,
    work: (schedule: ScheduleHandle, requestId: string) => Promise<void>,
  ): Promise<void> {
    const schedule = scheduleId === undefined ? undefined : this.#schedules.get(scheduleId);
    if (schedule === undefined) return;
    const requestId = this.#requestId();
    const call = async (): Promise<boolean> => {
      const answer = await this.#ask(async () => {
        await work(schedule, requestId);
        return "answered" as const;
      });
      return answer !== undefined;
    };
    const isAnswered = await call();
    this.#note(verb);
    if (isAnswered && this.#oracle.answerTo(requestId) === undefined)
      throw new SimulationFailure(`acknowledged-${verb}`, `${requestId} is not on disk`);
    // Asked again by somebody who has not heard, or by a copy that was long under way: nothing more happens.
    if (this.#dice.chance(0.2)) await call();
    const { scheduleId: id } = schedule;
    const answered = this.#answered.get(id) ?? [];
    if (answered.length > 0 && this.#dice.chance(0.2)) {
      await this.#dice.pick(answered)();
      this.#note("late copy of a call");
    }
    if (isAnswered) this.#answered.set(id, [...answered, call].slice(-lateMax));
  }

  #rule(): { readonly rule: Rule; readonly times: ScheduleTimes } {
    const dice = this.#dice;
    const jitter = dice.chance(0.3) ? { jitter: jitterMsMax } : {};
    if (dice.chance(0.4)) {
      const everyMs = dice.pick([30 * minuteMs, 2 * hourMs, 12 * hourMs, 3 * dayMs]);
      const offsetMs = dice.pick([0, 7 * minuteMs]);
      const rule = { kind: "interval", everyMs, offsetMs } as const;
      return { rule, times: { every: { every: everyMs, offset: offsetMs }, ...jitter } };
    }
    const timeZone = dice.pick(zones);
    const hours = dice.pick([[2], [0], [3], [1, 2, 3], [0, 6, 12, 18], [23]]);
    const minute = dice.pick([0, 15, 30]);
    const rule = { kind: "daily", hours, minute, timeZone } as const;
    return { rule, times: { cron: `${minute} ${hours.join()} * * *`, timeZone, ...jitter } };
  }

  #overlap(): OverlapPolicy {
    return this.#dice.pick(overlapPolicies);
  }

  async #create(scheduleId: string): Promise<void> {
    if (this.#schedules.has(scheduleId)) return;
    const dice = this.#dice;
    const { rule, times } = this.#rule();
    const asked: Asked = {
      rule,
      overlap: this.#overlap(),
      windowMs: dice.pick([hourMs, dayMs, 10 * dayMs]),
      jitterMs: jitterMsMax,
    };
    const requestId = this.#requestId();
    this.#oracle.asked.set(requestId, asked);
    this.#asked.set(scheduleId, asked);
    const code = dice.pick(workflows);
    const hours = dice.pick([1, 5, 30]);
    const isPaused = dice.chance(0.1);
    const schedule = await this.#ask(() =>
      this.#t.client.schedules.create(scheduleId, code, hours, {
        ...times,
        overlap: asked.overlap,
        catchUpWindow: asked.windowMs,
        isPaused,
        requestId,
        // An id that was used before is another schedule, and what the first one started may still be there.
        workflowIdPrefix: `${scheduleId}-${requestId}`,
      }),
    );
    if (schedule !== undefined) this.#schedules.set(scheduleId, schedule);
    this.#note("create");
  }

  async #update(scheduleId: string | undefined): Promise<void> {
    if (scheduleId === undefined) return;
    const before = this.#asked.get(scheduleId);
    if (before === undefined) return;
    const { rule, times } = this.#rule();
    const overlap = this.#overlap();
    const asked = { ...before, rule, overlap };
    this.#asked.set(scheduleId, asked);
    await this.#on(scheduleId, "update", (schedule, requestId) => {
      this.#oracle.asked.set(requestId, asked);
      return schedule.update({ ...times, overlap, requestId });
    });
  }

  async #trigger(scheduleId: string | undefined): Promise<void> {
    let first: string | undefined;
    await this.#on(scheduleId, "trigger", async (schedule, requestId) => {
      const { workflowId } = await schedule.trigger({ requestId }).catch((error: unknown) => {
        if (first === undefined) throw error;
        if (isAionError(error) && passing.has(error.code)) throw error;
        throw new SimulationFailure("trigger-repeated", `${first} was started, and asked again it is not`);
      });
      // I-3
      if (!this.#oracle.isStarted(schedule.scheduleId, workflowId))
        throw new SimulationFailure("acknowledged-trigger", `${workflowId} is not on disk`);
      if (first !== undefined && first !== workflowId)
        throw new SimulationFailure(
          "trigger-repeated",
          `${first} was started, and asked again ${workflowId}`,
        );
      first = workflowId;
    });
  }

  async #backfill(scheduleId: string | undefined): Promise<void> {
    const to = this.#t.now() - this.#dice.int(0, 5) * dayMs;
    const from = to - this.#dice.int(1, 3) * dayMs;
    const overlap = this.#dice.pick(["one-by-one", "allow-all"] as const);
    await this.#on(scheduleId, "backfill", async (schedule, requestId) => {
      await schedule.backfill({ from, to, overlap, requestId });
    });
  }

  async #delete(scheduleId: string): Promise<void> {
    await this.#on(scheduleId, "delete", (schedule, requestId) => schedule.delete({ requestId }));
    this.#schedules.delete(scheduleId);
    // Another one of that id knows nothing of them.
    this.#answered.delete(scheduleId);
  }
}
