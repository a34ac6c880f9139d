import { isAionError } from "../src/core/errors.ts";
import { Dice } from "./dice.ts";
import { SimulationFailure } from "./failure.ts";
import type { FaultKind, Plan } from "./plan.ts";
import type { Actor, Schedule } from "./schedule.ts";
import { Lane } from "./schedule.ts";
import type { Statistics } from "./statistics.ts";
import type { Trace } from "./trace.ts";
import { WorkerLife } from "./worker-life.ts";
import type { WorkerNetwork } from "./worker-network.ts";
import type { WorkerOracle } from "./worker-oracle.ts";
import type { WorkerSeatPlan, WorkersPlan } from "./worker-plan.ts";

interface Seat {
  readonly number: number;
  readonly plan: WorkerSeatPlan;
  life: WorkerLife | undefined;
  lifeCount: number;
}

export interface WorkerShopOptions {
  readonly plan: Plan;
  readonly workers: WorkersPlan;
  readonly schedule: Schedule;
  readonly statistics: Statistics;
  readonly trace: Trace;
  readonly oracle: WorkerOracle;
  readonly network: WorkerNetwork;
  readonly actor: Actor;
  readonly isFaulty: (kind: FaultKind) => boolean;
  readonly meets: (kind: FaultKind, share: number, dice: Dice) => boolean;
  readonly fail: (error: unknown) => void;
}

const troublePerStep = 0.02;
/** Long enough for whatever they have. */
const lastDrainMs = 3_600_000;

/** The processes with workers: who comes, and what becomes of them. Owner: one world. */
export class WorkerShop {
  readonly #of: WorkerShopOptions;
  readonly #dice: Dice;
  readonly #seats: readonly Seat[];
  /** All that live, those that lost their seats included. */
  readonly #lives = new Set<WorkerLife>();
  #isClosing = false;

  constructor(of: WorkerShopOptions) {
    this.#of = of;
    this.#dice = new Dice(`worker faults of ${of.plan.seed}`);
    this.#seats = of.workers.seats.map((plan, index) => ({
      number: index + 1,
      plan,
      life: undefined,
      lifeCount: 0,
    }));
  }

  open(): void {
    for (const seat of this.#seats) this.#boot(seat, this.#dice.int(0, 500));
  }

  #boot(seat: Seat, afterMs: number): void {
    const { schedule, actor, trace, oracle, network, plan, statistics } = this.#of;
    schedule.after(afterMs, new Lane(actor), `worker ${seat.number} starts`, () => {
      if (this.#isClosing || seat.life?.isGone === false) return;
      seat.lifeCount += 1;
      const name = `worker ${seat.number}.${seat.lifeCount}`;
      const identity = seat.plan.keepsIdentity ? `worker ${seat.number}` : name;
      const build = this.#buildOf(seat);
      if ([...this.#lives].some((other) => other.identity === identity))
        statistics.note("worker came under a name that another one has");
      const life = new WorkerLife({
        name,
        identity,
        seed: plan.seed,
        concurrency: seat.plan.concurrency,
        ...build,
        schedule,
        trace,
        oracle,
        transportOf: (of) => network.transportOf(of),
      });
      trace.add(`  ${name} is ${identity}: ${build.activityTypes.join()} of ${build.taskQueues.join()}`);
      seat.life = life;
      this.#lives.add(life);
      life.worker.run().then(
        () => this.#ended(seat, life),
        (error: unknown) => {
          this.#of.fail(
            isAionError(error)
              ? new SimulationFailure("refused-for-good", `${name}: ${error.message}`)
              : error,
          );
        },
      );
    });
  }

  /** What its code has: an older or newer build may lack something. */
  #buildOf({ plan }: Seat): {
    readonly taskQueues: readonly string[];
    readonly activityTypes: readonly string[];
  } {
    const { taskQueues, activityTypes } = plan;
    if (!this.#of.isFaulty("worker-build") || this.#dice.chance(0.4)) return { taskQueues, activityTypes };
    const some = <Item>(items: readonly Item[]): readonly Item[] => {
      const left = items.filter(() => this.#dice.chance(0.6));
      return left.length === 0 ? [this.#dice.pick(items)] : left;
    };
    return { taskQueues: some(taskQueues), activityTypes: some(activityTypes) };
  }

  #ended(seat: Seat, life: WorkerLife): void {
    this.#lives.delete(life);
    life.kill();
    if (seat.life !== life) return;
    seat.life = undefined;
    this.#boot(seat, this.#dice.pick([0, 50, 1_000, 5_000]));
  }

  /** Something may happen to one of them. */
  trouble(): void {
    const dice = this.#dice;
    if (!dice.chance(troublePerStep * this.#of.workers.intensity)) return;
    const kinds = (["worker-crash", "worker-freeze", "worker-stop", "link-cut"] as const).filter((kind) =>
      this.#of.isFaulty(kind),
    );
    if (kinds.length === 0) return;
    const kind = dice.pick(kinds);
    const seat = dice.pick(this.#seats);
    const draw = dice.number();
    const { life } = seat;
    switch (kind) {
      case "worker-crash":
        if (life !== undefined) this.#crash(seat, life);
        return;
      case "worker-freeze":
        if (life !== undefined && !life.isHalted) this.#freeze(seat, life, draw);
        return;
      case "worker-stop":
        if (life !== undefined && !life.isHalted) this.#stop(life, Math.round(30_000 * draw ** 3));
        return;
      case "link-cut":
        this.#of.network.cutOne();
    }
  }

  #crash(seat: Seat, life: WorkerLife): void {
    this.#of.trace.add(`  ${life.name} crashes`);
    this.#lives.delete(life);
    life.kill();
    seat.life = undefined;
    this.#boot(seat, this.#dice.pick([0, 10, 300, 2_000, 10_000]));
  }

  #freeze(seat: Seat, life: WorkerLife, draw: number): void {
    const { workers, statistics, schedule, trace, oracle, actor } = this.#of;
    const forMs = Math.round(workers.sessionTimeoutMs * (draw < 0.4 ? draw : draw * 3));
    life.isHalted = true;
    oracle.disturbed(life.identity);
    trace.add(`  ${life.name} freezes for ${forMs}`);
    if (this.#of.meets("worker-twin", 0.3, this.#dice)) {
      // Whoever watches over processes takes it for dead.
      seat.life = undefined;
      this.#boot(seat, this.#dice.int(0, forMs));
    }
    schedule.after(forMs, new Lane(actor), `${life.name} goes on`, () => {
      life.isHalted = false;
      oracle.disturbed(life.identity);
      if (forMs > workers.sessionTimeoutMs && !life.isGone)
        statistics.note("worker frozen beyond its session");
    });
  }

  #stop(life: WorkerLife, drainMs: number): void {
    if (life.isStopping) return;
    this.#of.trace.add(`  ${life.name} is stopped within ${drainMs}`);
    this.#of.statistics.note("worker stopped");
    this.#of.oracle.disturbed(life.identity);
    life.isStopping = true;
    life.worker.stop({ drain: drainMs }).catch(this.#of.fail);
  }

  /** From now on nothing goes wrong with them: those whose code lacks something make way, and so do twins. */
  heal(): void {
    const seated = new Set(this.#seats.map(({ life }) => life));
    for (const life of this.#lives) {
      life.isHalted = false;
      if (!seated.has(life)) {
        this.#lives.delete(life);
        life.kill();
      }
    }
    for (const { life, plan } of this.#seats) {
      if (life === undefined) continue;
      const isWhole =
        life.taskQueues.size === plan.taskQueues.length &&
        life.activityTypes.size === plan.activityTypes.length;
      if (!isWhole) this.#stop(life, 5_000);
    }
  }

  /** They drain and leave. Nothing is to be left over: neither a report nor, if an engine was there to tell them what is over, a task. */
  close(isTold: boolean): void {
    this.#isClosing = true;
    for (const life of this.#lives) {
      if (isTold && life.worker.tasksInFlight > 0)
        throw new SimulationFailure("leftover", `${life.name} has ${life.worker.tasksInFlight} tasks`);
      this.#stop(life, lastDrainMs);
    }
  }

  get isEmpty(): boolean {
    return this.#lives.size === 0;
  }

  forget(): void {
    for (const life of this.#lives) life.kill();
  }
}
