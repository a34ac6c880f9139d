import { isAionError } from "../src/core/errors.ts";
import type { AionError } from "../src/core/errors.ts";
import { messageOf } from "../src/core/payload.ts";
import { rejectCurrentRun } from "../src/program/inline.ts";
import type { Store } from "../src/store/contract.ts";
import { openMemoryStore } from "../src/store/memory.ts";
import { openSqliteStore } from "../src/store/sqlite/store.ts";
import { Auditor } from "./auditor.ts";
import { checkCleanup } from "./cancel-oracle.ts";
import { checkLiveRuns, checkReplayedRuns } from "./replay-oracle.ts";
import { Dice } from "./dice.ts";
import { dawdling, EngineLife } from "./engine-life.ts";
import { checkFound } from "./attribute-oracle.ts";
import { checkFeed } from "./feed-oracle.ts";
import { SimulationFailure } from "./failure.ts";
import { Ledger } from "./ledger.ts";
import type { LimitsPlan } from "./limit-oracle.ts";
import { Network } from "./network.ts";
import type { FaultKind, Plan } from "./plan.ts";
import { spreadOf } from "./plan.ts";
import type { Actor } from "./schedule.ts";
import { Lane, Schedule } from "./schedule.ts";
import { checkSignals } from "./signal-oracle.ts";
import { checkUpdates } from "./update-oracle.ts";
import { SimClient } from "./sim-client.ts";
import { Statistics } from "./statistics.ts";
import type { StoreSide } from "./store-link.ts";
import { Trace } from "./trace.ts";
import { WorkerNetwork } from "./worker-network.ts";
import { WorkerOracle } from "./worker-oracle.ts";
import { WorkerShop } from "./worker-shop.ts";

export interface Verdict {
  readonly seed: number;
  readonly hash: string;
  readonly stepCount: number;
  readonly statistics: Statistics;
  readonly failure: SimulationFailure | undefined;
  readonly elapsedMs: number;
  /** What the owner of the store had in memory, and the store on disk, at the most and at the end. */
  readonly size: WorldSize;
  readonly trace: readonly string[];
}

export interface WorldSize {
  residentMax: number;
  /** Runs on disk. */
  runsMax: number;
  attemptsOnWorkersMax: number;
  runsAtEnd: number;
}

export interface RunOptions {
  /** How often sizes are taken, in steps. */
  readonly measuresEvery?: number;
  readonly keepsTrace?: boolean;
  /** Stops there, and judges nothing that comes after. */
  readonly untilStep?: number;
}

const startAtMs = Date.UTC(2030, 0, 1);
const setBackMaxMs = 30 * 60_000;
/** In calm everything has ended after this and what the clock was set back. */
const calmMs = 2 * 3_600_000;
/** After everything has ended, to see whether anything else comes. */
const aftermathMs = 45_000;
/** In which workers that have nothing to do leave. */
const dismissalMs = 60_000;
const troublePerStep = 0.02;
/** How often what is in memory is held against what is on disk. */
const looksPerStep = 0.006;
const reportsPerStep = 0.001;
const retentionPerStep = 0.008;
const retentionPerDoubt = 0.3;
/** Of the runs that retention spares. */
const agesMs = [0, 0, 100, 1_000, 5_000, 30_000];

/** Runs one world from its plan to its verdict. */
export async function runWorld(plan: Plan, options: RunOptions = {}): Promise<Verdict> {
  const world = new World(plan, options);
  return world.run();
}

/** What is done to the world as a whole, at any moment. */
const drastic = ["crash", "freeze", "graceful-stop", "outage", "clock-forwards", "clock-backwards"] as const;

interface Seat {
  readonly number: number;
  life: EngineLife | undefined;
  lifeCount: number;
}

function isLacking(life: EngineLife | undefined): boolean {
  return life !== undefined && (life.lacks.size > 0 || life.limits !== undefined);
}

class World {
  readonly #plan: Plan;
  readonly #options: RunOptions;
  readonly #trace: Trace;
  readonly #statistics = new Statistics();
  readonly #schedule: Schedule;
  readonly #auditor = new Auditor({
    statistics: this.#statistics,
    elapsedMs: () => this.#schedule.time.elapsedMs,
    nowMs: () => this.#schedule.time.clock.now(),
    spreadMs: () => this.#spreadMs,
    leaseSpreadMs: () => (this.#plan.store === "postgres" ? 0 : this.#spreadMs),
  });
  readonly #ledger = new Ledger(this.#auditor, this.#statistics);
  readonly #faultDice: Dice;
  readonly #lookDice: Dice;
  readonly #codeDice: Dice;
  readonly #doubtDice: Dice;
  readonly #limitDice: Dice;
  readonly #inner: Store;
  readonly #actor: Actor = { name: "world", isHalted: false, isGone: false };
  readonly #side: StoreSide;
  readonly #seats: readonly Seat[];
  readonly #frozen = new Set<EngineLife>();
  readonly #clients: readonly SimClient[];
  readonly #workerOracle: WorkerOracle | undefined;
  readonly #shop: WorkerShop | undefined;
  #failure: SimulationFailure | undefined;
  #isCalm = false;
  readonly #spreadMs: number;
  #isOut = false;
  readonly #size: WorldSize = { residentMax: 0, runsMax: 0, attemptsOnWorkersMax: 0, runsAtEnd: 0 };

  constructor(plan: Plan, options: RunOptions) {
    const { seed } = plan;
    this.#plan = plan;
    this.#options = options;
    this.#spreadMs = spreadOf(plan);
    this.#trace = new Trace(options.keepsTrace ?? false);
    this.#schedule = new Schedule({ dice: new Dice(`order of ${seed}`), trace: this.#trace, startAtMs });
    this.#faultDice = new Dice(`faults of ${seed}`);
    this.#lookDice = new Dice(`looks of ${seed}`);
    this.#codeDice = new Dice(`code of ${seed}`);
    this.#doubtDice = new Dice(`doubts of ${seed}`);
    this.#limitDice = new Dice(`raised limits of ${seed}`);
    const { time } = this.#schedule;
    const leaseClock = { skewMs: 0 };
    const clock = { now: () => time.clock.now() + leaseClock.skewMs };
    this.#inner =
      plan.store === "sqlite"
        ? openSqliteStore({ path: ":memory:", clock })
        : openMemoryStore({ clock, defer: (done) => queueMicrotask(done) });
    const storeDice = new Dice(`store of ${seed}`);
    const networkDice = new Dice(`network of ${seed}`);
    this.#side = {
      inner: this.#inner,
      kind: plan.store,
      auditor: this.#auditor,
      schedule: this.#schedule,
      statistics: this.#statistics,
      trace: this.#trace,
      dice: storeDice,
      leaseClock,
      actor: { name: "store", isHalted: false, isGone: false },
      isFaulty: (kind) => this.#isFaulty(kind),
      meets: (kind, share) => this.#meets(kind, share, storeDice),
      onDoubt: (engine) => this.#deleteInDoubt(engine),
      onLate: () => this.#workerOracle?.storeWasLate(),
      isOut: () => this.#isOut,
      fail: (error) => this.#fail(error),
    };
    this.#seats = Array.from({ length: plan.engineCount }, (_, number) => ({
      number: number + 1,
      life: undefined,
      lifeCount: 0,
    }));
    const network = new Network({
      schedule: this.#schedule,
      dice: networkDice,
      statistics: this.#statistics,
      meets: (kind, share) => this.#meets(kind, share, networkDice),
      engines: () => this.#seats.flatMap(({ life }) => (life?.isUp === true ? [life] : [])),
    });
    const { workers } = plan;
    if (workers !== undefined) {
      const oracle = new WorkerOracle({
        auditor: this.#auditor,
        ledger: this.#ledger,
        statistics: this.#statistics,
        plan: workers,
        elapsedMs: () => time.elapsedMs,
        isPunctual: () => !dawdling.some((kind) => this.#isFaulty(kind)),
        fail: (error) => this.#fail(error),
      });
      this.#workerOracle = oracle;
      this.#auditor.watch = oracle;
      const wireDice = new Dice(`wires of ${seed}`);
      this.#shop = new WorkerShop({
        plan,
        workers,
        schedule: this.#schedule,
        statistics: this.#statistics,
        trace: this.#trace,
        oracle,
        network: new WorkerNetwork({
          schedule: this.#schedule,
          dice: wireDice,
          statistics: this.#statistics,
          oracle,
          meets: (kind, share) => this.#meets(kind, share, wireDice),
          engines: () => this.#seats.flatMap(({ life }) => (life?.isUp === true ? [life] : [])),
          fail: (error) => this.#fail(error),
        }),
        actor: this.#actor,
        isFaulty: (kind) => this.#isFaulty(kind),
        meets: (kind, share, of) => this.#meets(kind, share, of),
        fail: (error) => this.#fail(error),
      });
    }
    this.#clients = plan.clients.map(
      (operations, index) =>
        new SimClient({
          name: `client ${index + 1}`,
          operations,
          schedule: this.#schedule,
          network,
          auditor: this.#auditor,
          statistics: this.#statistics,
          trace: this.#trace,
          dice: new Dice(`client ${index} of ${seed}`),
          leasesAgree: plan.store === "postgres" || this.#spreadMs === 0,
          isOver: () => this.#isAtRest(true),
          isLeftAlone: () => this.#clients.every((client) => client.isDone || client.isOperator),
        }),
    );
  }

  async run(): Promise<Verdict> {
    const onRejection = (reason: unknown): void => {
      if (!rejectCurrentRun(reason))
        this.#fail(new SimulationFailure("unhandled-rejection", messageOf(reason), { cause: reason }));
    };
    process.on("unhandledRejection", onRejection);
    try {
      await this.#live();
    } catch (error) {
      this.#fail(error);
    } finally {
      for (const { life } of this.#seats) life?.forget();
      this.#shop?.forget();
      await new Promise((resolve) => setImmediate(resolve));
      process.off("unhandledRejection", onRejection);
      await this.#inner.close();
    }
    this.#statistics.stepCount = this.#schedule.stepCount;
    this.#statistics.eventCount = this.#auditor.eventCount;
    return {
      seed: this.#plan.seed,
      hash: this.#trace.hash,
      stepCount: this.#schedule.stepCount,
      statistics: this.#statistics,
      failure: this.#failure,
      elapsedMs: this.#schedule.time.elapsedMs,
      size: this.#size,
      trace: this.#trace.lines,
    };
  }

  async #live(): Promise<void> {
    const { time } = this.#schedule;
    for (const seat of this.#seats) this.#boot(seat, this.#faultDice.int(0, 200));
    this.#shop?.open();
    for (const client of this.#clients) client.run().catch((error: unknown) => this.#fail(error));
    while (time.elapsedMs < this.#plan.troubleMs && !this.#isAtRest()) {
      if (!(await this.#step())) return;
    }
    this.#heal();
    if (this.#seats.some(({ life }) => isLacking(life)) && !(await this.#liveUnmended())) return;
    const calmFromMs = time.elapsedMs;
    this.#auditor.calmFromMs = calmFromMs;
    const ownedByMs =
      calmFromMs + 4 * this.#plan.leaseMs + this.#auditor.setBackMs + 2 * this.#spreadMs + 5_000;
    while (!this.#isAtRest()) {
      if (!(await this.#step())) return;
      // I-21
      if (time.elapsedMs > ownedByMs && !this.#seats.some(({ life }) => life?.isUp === true))
        throw new SimulationFailure(
          "no-owner",
          `nobody owns the store ${time.elapsedMs - calmFromMs} ms after the faults`,
        );
      if (time.elapsedMs > calmFromMs + calmMs + this.#auditor.setBackMs * 2 + this.#spreadMs * 4)
        throw this.#stuck("nothing moves it");
    }
    const restFromMs = time.elapsedMs;
    while (time.elapsedMs < restFromMs + aftermathMs) if (!(await this.#step())) return;
    if (!this.#isAtRest())
      throw new SimulationFailure("unrest", "after everything had ended something began");
    if (this.#shop !== undefined && !(await this.#dismiss(this.#shop))) return;
    await this.#judge();
  }

  /** I-13: when all has ended nothing is left with workers, nor in the memory of the engine. False: the world is over. */
  async #dismiss(shop: WorkerShop): Promise<boolean> {
    const { time } = this.#schedule;
    const owner = this.#seats.find(({ life }) => life?.isUp === true && life.epoch === this.#auditor.epoch)
      ?.life?.kernel;
    const left = [
      ...(owner?.workers.listQueues() ?? []).filter(
        ({ waitingCount, inFlightCount }) => waitingCount > 0 || inFlightCount !== 0,
      ),
      ...(owner?.workers.list() ?? []).filter(({ tasksInFlight }) => tasksInFlight !== 0),
    ];
    if (left.length > 0 || (owner?.workers.inFlightCount ?? 0) > 0)
      throw new SimulationFailure(
        "leftover",
        `all has ended, and the engine has ${owner?.workers.inFlightCount} attempts under way, ${JSON.stringify(left)}`,
      );
    shop.close(owner !== undefined && time.elapsedMs - this.#auditor.ownedFromMs >= aftermathMs);
    const begunMs = time.elapsedMs;
    let fromMs = begunMs;
    while (!shop.isEmpty) {
      if (!(await this.#step())) return false;
      // Whoever leaves says so to an engine; the lease of a dead one lasts longer when the clock was set back.
      if (!this.#seats.some(({ life }) => life?.isUp === true)) fromMs = time.elapsedMs;
      const bySetBackMs = begunMs + calmMs + this.#auditor.setBackMs * 2 + this.#spreadMs * 4;
      if (time.elapsedMs > Math.min(fromMs + dismissalMs, bySetBackMs))
        throw new SimulationFailure(
          "leftover",
          "a worker that is to leave waits for something that never comes",
        );
    }
    this.#statistics.note("all workers left, and nothing was owed");
    return true;
  }

  /**
   * All is well, but some engines lack code, and one of them may own the store. What waits for code waits, and time-outs hold all
   * the same. Then engines come that have all of it. False: the world is over.
   */
  async #liveUnmended(): Promise<boolean> {
    const { time } = this.#schedule;
    const fromMs = time.elapsedMs;
    while (time.elapsedMs < fromMs + this.#plan.unmendedMs && !this.#isAtRest())
      if (!(await this.#step())) return false;
    const owner = this.#seats.find(
      ({ life }) => life?.isUp === true && life.epoch === this.#auditor.epoch,
    )?.life;
    if (owner?.kernel !== undefined)
      this.#auditor.checkTimeOuts({
        nowMs: owner.kernel.now(),
        steadyMs: time.elapsedMs - Math.max(fromMs, owner.upAtMs),
        lacks: owner.lacks,
      });
    this.#trace.add("  the code is mended");
    for (const seat of this.#seats) {
      const { life } = seat;
      if (life === undefined || !isLacking(life)) continue;
      if (life.isUp && this.#faultDice.chance(0.5)) this.#stop(seat, life, this.#faultDice.number());
      else this.#crash(seat, life);
      // No time passes until what it leaves in the store is there.
      await this.#schedule.settle();
    }
    return true;
  }

  /** False: the world is over. */
  async #step(): Promise<boolean> {
    if (this.#failure !== undefined) return false;
    const schedule = this.#schedule;
    if (schedule.stepCount >= (this.#options.untilStep ?? Number.POSITIVE_INFINITY)) return false;
    if (schedule.stepCount > this.#plan.stepsMax) throw this.#stuck("no end in sight");
    if (!this.#isCalm && this.#trouble()) await schedule.settle();
    if (!this.#isCalm && this.#shop !== undefined) {
      this.#shop.trouble();
      await schedule.settle();
    }
    if (this.#lookDice.chance(looksPerStep)) await this.#look();
    if (this.#lookDice.chance(reportsPerStep)) this.#askForReport();
    if (schedule.stepCount % (this.#options.measuresEvery ?? Number.POSITIVE_INFINITY) === 0)
      await this.#measure();
    if (!(await schedule.step())) throw this.#stuck("nothing is left that could happen");
    return this.#failure === undefined;
  }

  /** I-41: what an engine holds in memory is what a replay of the disk gives. */
  async #look(): Promise<void> {
    for (const { life } of this.#seats) {
      if (life?.kernel === undefined || !life.isUp || life.epoch !== this.#auditor.epoch) continue;
      await checkLiveRuns({
        kernel: life.kernel,
        store: this.#inner,
        auditor: this.#auditor,
        programs: this.#plan.programs,
        onChecked: () => this.#statistics.note("live run like its replay"),
      });
    }
  }

  async #measure(): Promise<void> {
    const size = this.#size;
    const kernel = this.#seats.find(({ life }) => life?.isUp === true && life.epoch === this.#auditor.epoch)
      ?.life?.kernel;
    size.residentMax = Math.max(size.residentMax, kernel?.residency.size ?? 0);
    size.attemptsOnWorkersMax = Math.max(size.attemptsOnWorkersMax, kernel?.workers.inFlightCount ?? 0);
    size.runsAtEnd = await this.#inner.count({});
    size.runsMax = Math.max(size.runsMax, size.runsAtEnd);
  }

  #askForReport(): void {
    for (const { life } of this.#seats) {
      if (life?.isUp === true) life.report().catch((error: unknown) => this.#fail(error));
    }
  }

  /** Every client has its answers, every run its end, every message its answer. */
  #isAtRest(isButOperators = false): boolean {
    if (!this.#clients.every((client) => client.isDone || (isButOperators && client.isOperator)))
      return false;
    if (this.#auditor.messages.size > 0) return false;
    return this.#auditor.openRuns().every((run) => run.started.workflowType === "listener");
  }

  #stuck(why: string): SimulationFailure {
    const open = this.#auditor.openRuns().map((run) => {
      const waits = [
        ...[...run.work.open].map(([ordinal, { attempt }]) => `activity ${ordinal} at attempt ${attempt}`),
        ...(run.work.parked.length === 0 ? [] : [`operator for ${run.work.parked.join()}`]),
        ...[...run.timers].map(([ordinal, { fireAt }]) => `timer ${ordinal} at ${fireAt}`),
        ...[...run.children].map(([ordinal]) => `child ${ordinal}`),
        ...[...run.sends].map((ordinal) => `send ${ordinal}`),
      ];
      return `${run.workflowId} (${run.started.workflowType}: ${waits.join(", ")})`;
    });
    const clients = this.#clients.filter((client) => !client.isDone).map(({ name }) => name);
    const messages = [...this.#auditor.messages].map(
      ([id, { target, message }]) => `${id} ${message.kind}>${target}`,
    );
    return new SimulationFailure(
      "liveness",
      `${why}; open: ${open.join("; ")}; clients: ${clients.join()}; messages: ${messages.join()}; ` +
        `now ${this.#schedule.time.clock.now()}${this.#tellWorkers()}`,
    );
  }

  #tellWorkers(): string {
    if (this.#shop === undefined) return "";
    const kernel = this.#seats.find(({ life }) => life?.isUp === true)?.life?.kernel;
    const workers = kernel?.workers.list().map(({ identity, state, tasksInFlight, capacity }) => {
      return `${identity} ${state} ${tasksInFlight} of ${capacity}`;
    });
    return `; workers: ${workers?.join()}; queues: ${JSON.stringify(kernel?.workers.listQueues())}`;
  }

  async #judge(): Promise<void> {
    await this.#measure();
    await this.#auditor.compare(this.#inner);
    this.#auditor.schedules.judge();
    await checkFeed(this.#inner);
    await checkFound(this.#inner, this.#auditor, () =>
      this.#statistics.note("runs found by their attributes"),
    );
    const { runs } = await this.#inner.list({}, { limit: 10_000 });
    for (const run of runs) {
      // One that is paused is looked at when it is to go on.
      if (run.blocked !== undefined && run.status !== "paused")
        throw new SimulationFailure("blocked", `${run.workflowId} is blocked: ${run.blocked}`);
    }
    const sent = this.#clients.flatMap((client) => client.signals);
    const accounts = await checkReplayedRuns(this.#inner, this.#plan.programs, () =>
      this.#statistics.note("reopened run like one that never failed"),
    );
    checkSignals(this.#auditor, sent, accounts);
    const made = this.#clients.flatMap((client) => client.updates);
    checkUpdates(this.#auditor, made, (what) => this.#statistics.note(what));
    checkCleanup(this.#auditor, accounts, () => this.#statistics.note("run undid what it had done"));
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure =
      error instanceof SimulationFailure
        ? error
        : new SimulationFailure("odd", error instanceof Error ? String(error.stack) : String(error));
    this.#trace.add(`  FAILURE ${this.#failure.kind}: ${this.#failure.message}`);
  }

  // Engines.

  #boot(seat: Seat, afterMs: number): void {
    this.#schedule.after(afterMs, new Lane(this.#actor), `engine ${seat.number} starts`, () => {
      seat.lifeCount += 1;
      const life = new EngineLife({
        name: `engine ${seat.number}.${seat.lifeCount}`,
        skewMs: this.#plan.skewsMs[seat.number - 1] ?? 0,
        lacks: this.#lacks(),
        embeds: this.#embeds(),
        limits: this.#limits(),
        plan: this.#plan,
        schedule: this.#schedule,
        side: this.#side,
        ledger: this.#ledger,
        onStopped: (stopped, error) => this.#stopped(seat, stopped, error),
      });
      seat.life = life;
      life.open().catch((error: unknown) => {
        this.#trace.add(`  ${life.name} does not open: ${isAionError(error) ? error.code : String(error)}`);
        if (!isAionError(error)) this.#fail(error);
        this.#endLife(seat, life);
      });
    });
  }

  /** A deploy may bring code from which something is missing. */
  #lacks(): ReadonlySet<string> {
    const lacks = new Set<string>();
    if (!this.#isFaulty("missing-code") || this.#codeDice.chance(0.4)) return lacks;
    const names = ["toil", "work", "leaf", "twig", "rotten", ...Object.keys(this.#plan.programs)];
    for (let count = this.#codeDice.int(1, 3); count > 0; count--) lacks.add(this.#codeDice.pick(names));
    this.#trace.add(`  it lacks ${[...lacks].join()}`);
    return lacks;
  }

  /** A deploy may come with other limits. */
  #limits(): LimitsPlan | undefined {
    return this.#isFaulty("limits") && this.#limitDice.chance(0.7) ? this.#plan.limits : undefined;
  }

  /** A deploy may move activities from workers into the engine, and back. */
  #embeds(): boolean {
    return this.#isFaulty("engine-embeds") && this.#codeDice.chance(0.5);
  }

  /** A process whose engine did not open, or has stopped, goes; another comes. */
  #endLife(seat: Seat, life: EngineLife): void {
    if (seat.life !== life) return;
    seat.life = undefined;
    const { kernel } = life;
    const end = (): void => {
      void life.kill();
      const { leaseMs } = this.#plan;
      // Once all is well and the store is owned, those who come for it show nothing new.
      const isSettled = this.#isCalm && this.#seats.some((other) => other.life?.isUp === true);
      this.#boot(seat, this.#faultDice.int(leaseMs / 2, 2 * leaseMs) * (isSettled ? 10 : 1));
    };
    if (kernel === undefined) end();
    else kernel.close(0).then(end, (error: unknown) => this.#fail(error));
  }

  #stopped(seat: Seat, life: EngineLife, error: AionError): void {
    this.#statistics.note(
      error.code === "not_owner"
        ? "engine stopped, having lost its ownership"
        : "engine stopped, the disk having failed",
    );
    if (this.#isFaulty("retention")) this.#deleteClosed(life, this.#faultDice.pick(agesMs));
    // It lingers: what has stopped must not do anything.
    this.#schedule.after(this.#faultDice.int(0, 3_000), new Lane(this.#actor), `${life.name} is ended`, () =>
      this.#endLife(seat, life),
    );
  }

  #crash(seat: Seat, life: EngineLife): void {
    const { token } = life.link;
    this.#statistics.note("engine crashed");
    this.#trace.add(`  ${life.name} crashes`);
    const dead = life.kill();
    seat.life = undefined;
    // The next one may see that the process is gone, or has to wait for the lease. What is seen to be gone writes no more.
    if (token !== undefined && this.#faultDice.chance(0.6)) {
      void dead.then(() => {
        this.#auditor.released(token.epoch);
        return this.#inner.release(token);
      });
    }
    this.#boot(seat, this.#faultDice.pick([0, 10, 300, 2_000, this.#plan.leaseMs]));
  }

  // What goes wrong.

  #isFaulty(kind: FaultKind): boolean {
    return !this.#isCalm && this.#plan.faults.has(kind);
  }

  #meets(kind: FaultKind, share: number, dice: Dice): boolean {
    return this.#isFaulty(kind) && dice.chance(share * this.#plan.intensities[kind]);
  }

  /** True: something was done to the world. */
  #trouble(): boolean {
    const dice = this.#faultDice;
    if (this.#meets("stall", 0.01, dice)) {
      const { time } = this.#schedule;
      this.#statistics.note("time passed while much was to be done");
      time.passUntil(time.elapsedMs + dice.pick([5, 50, 500, 5_000]));
      this.#workerOracle?.allDisturbed();
    }
    if (this.#meets("retention", retentionPerStep, dice))
      this.#deleteClosed(dice.pick(this.#seats).life, dice.pick(agesMs));
    if (!dice.chance(troublePerStep * this.#plan.troubleIntensity)) return false;
    const kinds = drastic.filter((kind) => this.#plan.faults.has(kind));
    if (kinds.length === 0) return false;
    const kind = dice.pick(kinds);
    const seat = dice.pick(this.#seats);
    const draw = dice.number();
    const { life } = seat;
    switch (kind) {
      case "crash":
        if (life !== undefined && !life.isHalted) this.#crash(seat, life);
        return true;
      case "freeze":
        if (life !== undefined && !life.isHalted) this.#freeze(life, draw);
        return true;
      case "graceful-stop":
        if (life !== undefined && life.isUp && !life.isHalted) this.#stop(seat, life, draw);
        return true;
      case "outage":
        this.#breakStore(draw);
        return true;
      case "clock-forwards":
        this.#setClock(Math.round(1_000 * 400 ** draw), "clock set forwards");
        return true;
      case "clock-backwards":
        this.#setClock(-Math.round(1_000 * 400 ** draw), "clock set backwards");
        return true;
    }
  }

  /** What became of a commit is looked for while its run is deleted, if it has closed it. */
  #deleteInDoubt(engine: Actor): void {
    const life = this.#seats.find((seat) => seat.life === engine)?.life;
    if (this.#meets("retention", retentionPerDoubt, this.#doubtDice)) this.#deleteClosed(life, 0);
  }

  /** Whatever became of the engine meanwhile: frozen, replaced, stopped. */
  #deleteClosed(life: EngineLife | undefined, ageMs: number): void {
    if (life?.kernel === undefined) return;
    this.#trace.add(`  ${life.name} is to delete what closed ${ageMs} ms ago`);
    life.deleteClosed(ageMs).catch((error: unknown) => this.#fail(error));
  }

  #freeze(life: EngineLife, draw: number): void {
    const { leaseMs } = this.#plan;
    const forMs = Math.round(leaseMs * (draw < 0.3 ? draw : draw * 3));
    const epoch = life.epoch;
    life.isHalted = true;
    this.#workerOracle?.allDisturbed();
    this.#frozen.add(life);
    this.#trace.add(`  ${life.name} freezes for ${forMs}`);
    this.#schedule.after(forMs, new Lane(this.#actor), `${life.name} goes on`, () => {
      life.isHalted = false;
      this.#workerOracle?.allDisturbed();
      this.#frozen.delete(life);
      if (forMs > leaseMs) this.#statistics.note("engine frozen beyond its lease");
      if (epoch > 0 && this.#auditor.epoch > epoch) this.#statistics.note("engine replaced while it lived");
    });
  }

  #stop(seat: Seat, life: EngineLife, draw: number): void {
    const { kernel } = life;
    if (kernel === undefined) return;
    this.#trace.add(`  ${life.name} is stopped`);
    this.#statistics.note("engine stopped gracefully");
    life.isUp = false;
    seat.life = undefined;
    kernel.close(draw < 0.5 ? 0 : 1_000).then(
      () => {
        void life.kill();
        this.#boot(seat, Math.round(draw * 1_000));
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #breakStore(draw: number): void {
    if (this.#isOut) return;
    this.#isOut = true;
    this.#trace.add("  the store is out of order");
    this.#schedule.after(
      Math.round(100 * 300 ** draw),
      new Lane(this.#actor),
      "the store is in order",
      () => {
        this.#isOut = false;
      },
    );
  }

  #setClock(byMs: number, what: "clock set forwards" | "clock set backwards"): void {
    // A lease is waited for by this clock, and nobody waits in this world for longer.
    if (this.#auditor.setBackMs - byMs > setBackMaxMs) return;
    this.#statistics.note(what);
    this.#trace.add(`  the clock is set by ${byMs}`);
    this.#auditor.clockSet();
    this.#schedule.time.jump(byMs);
    if (byMs < 0) this.#auditor.setBackMs -= byMs;
    else this.#workerOracle?.clockSetForwards();
  }

  /** From now on nothing goes wrong. */
  #heal(): void {
    this.#trace.add("  all is well");
    this.#isCalm = true;
    this.#isOut = false;
    // Also one that is being closed, and has no seat any more.
    for (const life of this.#frozen) life.isHalted = false;
    this.#workerOracle?.allDisturbed();
    this.#shop?.heal();
  }
}
