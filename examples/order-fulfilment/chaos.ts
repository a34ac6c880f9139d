/** Kills the server and the worker, again and again, with a signal that they cannot see coming. */
import { setTimeout as delay } from "node:timers/promises";
import type { Backend, Victim } from "./backend.ts";
import type { Kill } from "./kill-plan.ts";
import type { OrderBook } from "./order-book.ts";

export interface ChaosOptions {
  readonly backend: Backend;
  readonly plan: readonly Kill[];
  readonly book: OrderBook;
  readonly onKill: (victim: Victim) => void;
  readonly onNote: (text: string) => void;
  /** Aborted when the last order has ended, or when the run is told to stop. */
  readonly signal: AbortSignal;
}

/** Resolves when all kills are done, or the signal is aborted. */
export async function killByPlan(options: ChaosOptions): Promise<void> {
  const { backend, plan, book, onKill, onNote, signal } = options;
  for (const [index, kill] of plan.entries()) {
    if (kill.kind === "progress") await book.untilEnded(kill.endedCount, signal);
    await delay(kill.delayMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) {
      onNote(`it ended before kill ${index + 1} of ${plan.length}`);
      return;
    }
    // Of a process that has only just been killed, the next may not be there yet.
    while (!backend.kill(kill.victim)) await delay(10);
    onKill(kill.victim);
    const moment = kill.kind === "start-up" ? `, ${kill.delayMs} ms after the last kill` : "";
    onNote(`kill ${index + 1}/${plan.length}: the ${kill.victim}, at ${book.describe()}${moment}`);
  }
}
