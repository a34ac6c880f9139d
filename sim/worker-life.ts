import type { ActivityTask } from "../src/workflow/definition.ts";
import type { WorkerTransport } from "../src/protocol/transport.ts";
import { Worker } from "../src/worker/worker.ts";
import { Dice } from "./dice.ts";
import { labourActivities } from "./labour.ts";
import type { Actor, Schedule } from "./schedule.ts";
import { Lane } from "./schedule.ts";
import type { Trace } from "./trace.ts";
import type { Wire } from "./worker-network.ts";
import type { RemoteExecution, WorkerOracle } from "./worker-oracle.ts";

export interface WorkerLifeOptions {
  readonly name: string;
  readonly identity: string;
  readonly seed: number;
  readonly concurrency: number;
  readonly taskQueues: readonly string[];
  readonly activityTypes: readonly string[];
  readonly schedule: Schedule;
  readonly trace: Trace;
  readonly oracle: WorkerOracle;
  readonly transportOf: (life: WorkerLife) => WorkerTransport;
}

/** One process with a worker, from its start to its death: the worker as it is, with the ports of the world. */
export class WorkerLife implements Actor {
  readonly name: string;
  readonly identity: string;
  readonly concurrency: number;
  readonly taskQueues: ReadonlySet<string>;
  readonly activityTypes: ReadonlySet<string>;
  isHalted = false;
  isGone = false;
  isStopping = false;
  readonly worker: Worker;
  /** The latest. */
  wire: Wire | undefined;
  readonly #of: WorkerLifeOptions;
  readonly #mourners: (() => void)[] = [];

  constructor(of: WorkerLifeOptions) {
    this.#of = of;
    this.name = of.name;
    this.identity = of.identity;
    this.concurrency = of.concurrency;
    this.taskQueues = new Set(of.taskQueues);
    this.activityTypes = new Set(of.activityTypes);
    const dice = new Dice(`${of.name} of ${of.seed}`);
    const workshop = {
      execute: (task: ActivityTask) => of.oracle.execute(task, this),
      end: (execution: RemoteExecution) => of.oracle.end(execution),
      endUntold: (execution: RemoteExecution) => of.oracle.endUntold(execution),
      pause: (ms: number) => this.#pause(ms),
    };
    this.worker = new Worker({
      transport: of.transportOf(this),
      activities: labourActivities(workshop).filter(({ activityType }) =>
        this.activityTypes.has(activityType),
      ),
      taskQueues: of.taskQueues,
      concurrency: of.concurrency,
      identity: of.identity,
      build: of.name,
      log: (level, message) => of.trace.add(`  ${of.name} ${level}: ${message}`),
      ports: {
        random: { number: () => dice.number(), uuid: () => dice.uuid() },
        scheduler: {
          delay: (delayMs, callback) =>
            of.schedule.after(delayMs, new Lane(this), `delay of ${Math.round(delayMs)}`, callback),
        },
      },
    });
  }

  /** `kill -9`. */
  kill(): void {
    if (this.isGone) return;
    this.isGone = true;
    this.#of.oracle.died(this);
    for (const tell of this.#mourners.splice(0)) tell();
  }

  onGone(tell: () => void): void {
    this.#mourners.push(tell);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#of.schedule.after(ms, new Lane(this), "labour goes on", resolve);
    });
  }
}
