import { isAionError } from "../src/core/errors.ts";
import type { AionError } from "../src/core/errors.ts";
import type { Ports } from "../src/core/ports.ts";
import { Kernel } from "../src/engine/kernel.ts";
import { Operations } from "../src/engine/operations.ts";
import { deleteClosedRuns } from "../src/engine/retention.ts";
import { parseRunLimits } from "../src/engine/run-limits.ts";
import { loadInline, outsideWorkflow } from "../src/program/inline.ts";
import type { ActivityTask, AnyWorkflow } from "../src/workflow/definition.ts";
import { programWorkflows } from "../test/replay/interpreter.ts";
import { Dice } from "./dice.ts";
import { SimulationFailure } from "./failure.ts";
import { labourActivities } from "./labour.ts";
import type { LimitsPlan } from "./limit-oracle.ts";
import type { Execution, Ledger } from "./ledger.ts";
import type { FaultKind, Plan } from "./plan.ts";
import type { Actor, Schedule } from "./schedule.ts";
import { Lane } from "./schedule.ts";
import type { StoreSide } from "./store-link.ts";
import { StoreLink } from "./store-link.ts";

/** Where these are, an engine may learn late of what is on disk. */
export const dawdling: readonly FaultKind[] = [
  "slow-store",
  "freeze",
  "stall",
  "commit-unknown",
  "read-failed",
  "outage",
  "admin-shutdown",
  "connection-cut",
  "too-many-connections",
];

export interface LifeOptions {
  readonly name: string;
  /** By how much its clock is ahead. */
  readonly skewMs: number;
  /** Names of activities and workflow types that its code does not have. */
  readonly lacks: ReadonlySet<string>;
  /** It runs itself what others leave to workers. */
  readonly embeds: boolean;
  /** What it lets a run have; `undefined`: what is usual. */
  readonly limits: LimitsPlan | undefined;
  readonly plan: Plan;
  readonly schedule: Schedule;
  readonly side: StoreSide;
  readonly ledger: Ledger;
  readonly onStopped: (life: EngineLife, error: AionError) => void;
}

/**
 * One engine's process, from its start to its end: the kernel with the ports of the world.
 *
 * Law: when it is gone nothing of it moves any more; while it is halted nothing of it moves, and time goes on.
 */
/** For longer than any world lasts. */
const feed = { keepMs: 1_000 * 365 * 86_400_000 };

export class EngineLife implements Actor {
  readonly name: string;
  isHalted = false;
  isGone = false;
  /** It serves clients. */
  isUp = false;
  /** Since when. */
  upAtMs = Number.POSITIVE_INFINITY;
  kernel: Kernel | undefined;
  service: Operations | undefined;
  /** Set when it can write no more. */
  stopped: AionError | undefined;
  recoveredCount = 0;
  readonly link: StoreLink;
  readonly #of: LifeOptions;
  readonly #turns: Lane;
  readonly #random: Dice;
  readonly #mourners = new Set<() => void>();

  constructor(of: LifeOptions) {
    this.#of = of;
    this.name = of.name;
    this.link = new StoreLink(of.side, this);
    this.#turns = new Lane(this);
    this.#random = new Dice(`${of.name} of ${of.plan.seed}`);
  }

  get lacks(): ReadonlySet<string> {
    return this.#of.lacks;
  }

  get limits(): LimitsPlan | undefined {
    return this.#of.limits;
  }

  #known(workflows: readonly AnyWorkflow[]): readonly AnyWorkflow[] {
    return workflows.filter(({ workflowType }) => !this.lacks.has(workflowType));
  }

  get skewMs(): number {
    return this.#of.skewMs;
  }

  get epoch(): number {
    return this.link.token?.epoch ?? 0;
  }

  /** Becomes the owner and goes live. Rejects with what an operator would see. */
  async open(): Promise<void> {
    const { plan, side, onStopped } = this.#of;
    const { leaseMs, residentMax, activityConcurrency, activityConcurrencyPerType } = plan;
    const token = await this.link.store.claim({ leaseMs, feed });
    const workshop = {
      execute: (task: ActivityTask) => this.#execute(task),
      end: (execution: Execution) => this.#of.ledger.end(execution),
      endUntold: (execution: Execution) => this.#endUntold(execution),
      pause: (ms: number) => this.#pause(ms),
    };
    const kernel = new Kernel({
      store: this.link.store,
      token,
      leaseMs,
      ports: this.#ports(),
      programs: loadInline(
        this.#known(
          programWorkflows(
            {
              world: {
                effect: async (task) => {
                  const { execution } = this.#execute(task);
                  queueMicrotask(() => this.#of.ledger.end(execution));
                },
                pause: (ms) => this.#pause(ms),
              },
              produced: [],
            },
            plan.programs,
          ),
        ),
      ),
      activities: labourActivities(workshop).filter(
        ({ activityType }) =>
          !this.lacks.has(activityType) &&
          (this.#of.embeds || plan.workers?.remoteTypes.has(activityType) !== true),
      ),
      ...(plan.workers === undefined
        ? {}
        : {
            workers: {
              sessionTimeoutMs: plan.workers.sessionTimeoutMs,
              taskQueues: plan.workers.taskQueues,
              workersMax: 1_000,
            },
          }),
      activityConcurrency,
      activityConcurrencyPerType,
      residentMax,
      payloadLimitBytes: 1_000_000,
      onNondeterminism: "fail",
      ...(this.limits === undefined
        ? {}
        : { limits: parseRunLimits(this.limits.limits), onRunLimit: this.limits.policy }),
      outsideWorkflow,
      onStopped: (error) => {
        this.stopped = error;
        this.isUp = false;
        // I-19
        if (kernel.residency.size > 0)
          side.fail(new SimulationFailure("stale-memory", `${this.name} stopped and holds runs`));
        onStopped(this, error);
      },
    });
    this.kernel = kernel;
    this.service = new Operations(kernel);
    const { recoveredCount } = await kernel.start();
    this.recoveredCount = recoveredCount;
    if (recoveredCount > 0) side.statistics.note("recovery took runs up");
    this.isUp = this.stopped === undefined;
    this.upAtMs = this.#of.schedule.time.elapsedMs;
  }

  /** An operator asks for a report on every run, live ones too. I-17: none of them is adopted a second time. */
  async report(): Promise<void> {
    const { kernel } = this;
    if (kernel === undefined) return;
    const { statistics } = this.#of.side;
    try {
      for await (const { workflowId, outcome } of kernel.recover("all")) {
        if (outcome.kind !== "resumed" || outcome.active.kind !== "resident") continue;
        const live = kernel.residency.get(workflowId);
        if (
          live !== undefined &&
          live.state.started.runId === outcome.active.runId &&
          live.pid === outcome.active.pid
        )
          statistics.note("report on a live run");
      }
    } catch (error) {
      // The store may fail under it.
      if (!isAionError(error)) throw error;
    }
  }

  /** An operator has closed runs deleted that are older than this. I-20: what has stopped, or was replaced, deletes nothing. */
  async deleteClosed(ageMs: number): Promise<void> {
    const { kernel } = this;
    if (kernel === undefined) return;
    try {
      this.link.deletesBefore = Math.max(this.link.deletesBefore, kernel.now() - ageMs);
      await deleteClosedRuns(kernel, ageMs);
    } catch (error) {
      if (!isAionError(error)) throw error;
    }
  }

  /** `kill -9`. Resolves when what it leaves in the store is there. */
  async kill(): Promise<void> {
    if (this.isGone) return;
    this.forget();
    const left = this.link.cut();
    for (const tell of this.#mourners) tell();
    this.#mourners.clear();
    await left;
  }

  /** The world is over. */
  forget(): void {
    this.isGone = true;
    this.isUp = false;
  }

  /** Calls back when it is gone, or at once. Returns how not to be called. */
  onGone(tell: () => void): () => void {
    if (this.isGone) tell();
    else this.#mourners.add(tell);
    return () => this.#mourners.delete(tell);
  }

  #ports(): Ports {
    const { schedule, side, skewMs } = this.#of;
    return {
      clock: { now: () => schedule.time.clock.now() + skewMs },
      random: { number: () => this.#random.number(), uuid: () => this.#random.uuid() },
      scheduler: {
        turn: (callback) => schedule.add(this.#turns, "turn", callback),
        delay: (delayMs, callback) =>
          schedule.after(delayMs, new Lane(this), `delay of ${Math.round(delayMs)}`, callback),
      },
      log: (level, message, fields) => {
        side.trace.add(`  ${this.name} ${level}: ${message} ${JSON.stringify(fields?.["workflowId"])}`);
      },
    };
  }

  #execute(task: ActivityTask): { readonly execution: Execution; readonly count: number } {
    const { ledger, side } = this.#of;
    side.trace.add(
      `  ${this.name} executes ${task.workflowId} ${task.idempotencyKey} attempt ${task.attempt}`,
    );
    try {
      if (this.isGone) throw new SimulationFailure("ghost", `${this.name} is gone and executes`);
      if (this.stopped !== undefined)
        throw new SimulationFailure(
          "stale-memory",
          `${this.name} has stopped and executes ${task.idempotencyKey}`,
        );
      const execution = ledger.execute(task, this.name, this.epoch);
      return { execution, count: ledger.counts.get(task.idempotencyKey) ?? 0 };
    } catch (failure) {
      side.fail(failure);
      throw failure;
    }
  }

  #endUntold(execution: Execution): void {
    const { ledger, plan, schedule, side } = this.#of;
    if (dawdling.some((kind) => plan.faults.has(kind))) return;
    try {
      ledger.endUntold(execution, this.epoch, schedule.time.elapsedMs);
    } catch (failure) {
      side.fail(failure);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#of.schedule.after(ms, new Lane(this), "labour goes on", resolve);
    });
  }
}
