import { setTimeout as delay } from "node:timers/promises";
import type { Client, RunHandleOf } from "aion/client";
import type { Order } from "./order.ts";
import { type Outcome, type OutcomeKind, outcomeOfFailure } from "./outcome.ts";
import { type Counts, type ShownStage, type Snapshot, stages } from "./progress.ts";
import { RateMeter } from "./rate-meter.ts";
import { fulfil, stage } from "./workflow.ts";

type OrderRun = RunHandleOf<typeof fulfil>;

const SNAPSHOT_INTERVAL_MS = 200;

/**
 * Which orders have ended how, and which are under way.
 *
 * Owner: the process that starts the orders. It holds no truth of its own: all of it is with the server, and `takeStock` asks
 * for it again after a crash.
 */
export class OrderBook {
  readonly #client: Client;
  readonly #orders: readonly Order[];
  readonly #outcomes = new Map<string, Outcome>();
  readonly #inFlight = new Map<string, OrderRun>();
  readonly #rate = new RateMeter(Date.now());
  #onEnded: (() => void)[] = [];
  #stagesSeen: Counts<ShownStage> = {};

  constructor(client: Client, orders: readonly Order[]) {
    this.#client = client;
    this.#orders = orders;
  }

  get outcomes(): ReadonlyMap<string, Outcome> {
    return this.#outcomes;
  }

  /** Looks up what earlier processes began and ended. */
  async takeStock(): Promise<{ readonly endedCount: number; readonly recoveredCount: number }> {
    const wanted = new Set(this.#orders.map(({ id }) => id));
    for await (const { workflowId, status } of this.#client.list({ workflowType: fulfil.workflowType })) {
      if (!wanted.has(workflowId)) continue;
      const run = this.#client.get(workflowId, { workflow: fulfil });
      if (status === "running") this.#inFlight.set(workflowId, run);
      else this.#outcomes.set(workflowId, await outcomeOf(run));
    }
    return { endedCount: this.#outcomes.size, recoveredCount: this.#inFlight.size };
  }

  /** Starts what has not ended, a few at a time; for those that are under way already it waits. */
  async runAll(inFlightMax: number, signal: AbortSignal): Promise<void> {
    const waiting = this.#orders.filter(({ id }) => !this.#outcomes.has(id)).values();
    const work = async (): Promise<void> => {
      for (const order of waiting) {
        if (signal.aborted) return;
        await this.#run(order, signal);
      }
    };
    // Who still waits for a result then waits no more; that is no error.
    const stopIsFine = (error: unknown): void => {
      if (!signal.aborted) throw error;
    };
    await Promise.all(Array.from({ length: inFlightMax }, () => work().catch(stopIsFine)));
  }

  /** When so many orders have ended, or the signal is aborted. */
  async untilEnded(count: number, signal: AbortSignal): Promise<void> {
    while (this.#outcomes.size < count && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#onEnded.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  /** How far it has come. */
  describe(): string {
    const counts = stages.flatMap((at) =>
      this.#stagesSeen[at] === undefined ? [] : `${at} ${this.#stagesSeen[at]}`,
    );
    const details = counts.length === 0 ? "" : ` (${counts.join(", ")})`;
    return `${this.#outcomes.size}/${this.#orders.length} done, ${this.#inFlight.size} in flight${details}`;
  }

  /** Tells `onSnapshot` how things stand, again and again until the signal is aborted, and then once more. */
  async report(
    signal: AbortSignal,
    retryCount: () => number,
    onSnapshot: (snapshot: Snapshot) => void,
  ): Promise<void> {
    for (;;) {
      const isLast = signal.aborted;
      // The last time nobody may answer any more; what is still under way then stays where it was.
      if (!isLast || this.#inFlight.size === 0) this.#stagesSeen = await this.#countStages();
      onSnapshot({
        orderCount: this.#orders.length,
        ended: this.outcomeCounts(),
        inFlight: this.#stagesSeen,
        retryCount: retryCount(),
        ratePerSecond: this.#rate.perSecond(Date.now()),
      });
      if (isLast) return;
      await delay(SNAPSHOT_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  outcomeCounts(): Counts<OutcomeKind> {
    return countBy([...this.#outcomes.values()].map(({ kind }) => kind));
  }

  failures(): readonly { readonly orderId: string; readonly message: string }[] {
    return [...this.#outcomes].flatMap(([orderId, outcome]) =>
      outcome.kind === "failed" ? [{ orderId, message: outcome.message }] : [],
    );
  }

  async #run(order: Order, signal: AbortSignal): Promise<void> {
    // The order's id is the workflow's: should a crash hide that it was started, starting it again finds it.
    const run = this.#inFlight.get(order.id) ?? (await this.#client.start(fulfil, order, { id: order.id }));
    this.#inFlight.set(order.id, run);
    this.#outcomes.set(order.id, await outcomeOf(run, signal));
    this.#inFlight.delete(order.id);
    this.#rate.count(Date.now());
    const waiting = this.#onEnded;
    this.#onEnded = [];
    for (const resolve of waiting) resolve();
  }

  async #countStages(): Promise<Counts<ShownStage>> {
    const runs = [...this.#inFlight.values()];
    // A run that has only just been started, or has just ended, has no answer.
    return countBy(
      await Promise.all(runs.map((run) => run.query(stage).catch((): ShownStage => "starting"))),
    );
  }
}

async function outcomeOf(run: OrderRun, abortSignal?: AbortSignal): Promise<Outcome> {
  try {
    return { kind: "fulfilled", ...(await run.result(abortSignal === undefined ? {} : { abortSignal })) };
  } catch (error) {
    return outcomeOfFailure(error);
  }
}

function countBy<Key extends string>(keys: readonly Key[]): Counts<Key> {
  const counts: Partial<Record<Key, number>> = {};
  for (const key of keys) counts[key] = (counts[key] ?? 0) + 1;
  return counts;
}
