import { join } from "node:path";
import { type Audit, auditOrders } from "./audit.ts";
import { Backend, type Victim } from "./backend.ts";
import { killByPlan } from "./chaos.ts";
import { makeKillPlan } from "./kill-plan.ts";
import { OrderBook } from "./order-book.ts";
import { ensureOrders } from "./order-file.ts";
import type { OutcomeKind } from "./outcome.ts";
import type { Counts, Snapshot } from "./progress.ts";
import { World } from "./world.ts";

export interface RunOptions {
  readonly dataDir: string;
  readonly faultRate: number;
  readonly seed: number;
  readonly port: number;
  readonly orderCount: number;
  /** Orders that are under way at a time. */
  readonly inFlightMax: number;
  /** How often the server or the worker is killed on the way. */
  readonly killCount: number;
}

export interface Opened {
  readonly url: string;
  /** So many orders had ended before … */
  readonly endedCount: number;
  /** … and so many were under way and go on now. */
  readonly recoveredCount: number;
}

export interface RunHooks {
  readonly onOpened: (opened: Opened) => void;
  readonly onSnapshot: (snapshot: Snapshot) => void;
  readonly onKill: (victim: Victim) => void;
  readonly onNote: (text: string) => void;
  /** Aborted: begin no order any more, leave the others where they are, stop. */
  readonly signal: AbortSignal;
}

export interface Report {
  readonly outcomes: Counts<OutcomeKind>;
  readonly failures: readonly { readonly orderId: string; readonly message: string }[];
  readonly faults: Readonly<Record<string, number>>;
  readonly audit: Audit;
}

/** Runs every order to its end and audits what was done; undefined when it was told to stop before. */
export async function runOrders(options: RunOptions, hooks: RunHooks): Promise<Report | undefined> {
  const { dataDir, faultRate, seed, port, orderCount, inFlightMax, killCount } = options;
  const all = ensureOrders(join(dataDir, "orders.jsonl"), orderCount);
  const orders = all.slice(0, orderCount);
  let retryCount = 0;
  const backend = new Backend(
    { data: join(dataDir, "server"), port, dataDir, faultRate, seed },
    {
      onNote: hooks.onNote,
      onRetry: () => {
        retryCount += 1;
      },
    },
  );
  const closing = new AbortController();
  try {
    const { url, client } = await backend.serve();
    const world = new World({ dataDir, faultRate, seed, serverUrl: url });
    await world.connect();
    backend.work();
    const book = new OrderBook(client, orders);
    hooks.onOpened({ url, ...(await book.takeStock()) });
    world.watch(closing.signal, hooks.onNote);
    const reporting = book.report(closing.signal, () => retryCount, hooks.onSnapshot);
    const killing = killByPlan({
      backend,
      book,
      plan: makeKillPlan({ killCount, orderCount, seed }),
      onKill: hooks.onKill,
      onNote: hooks.onNote,
      signal: AbortSignal.any([closing.signal, hooks.signal]),
    });
    await Promise.race([book.runAll(inFlightMax, hooks.signal), backend.failed]);
    closing.abort();
    await Promise.all([reporting, killing]);
    if (hooks.signal.aborted) return undefined;
    const [ledger, parcels, { faults }] = await Promise.all([
      world.payments.ledger(),
      world.carrier.parcels(),
      world.payments.stats(),
    ]);
    return {
      outcomes: book.outcomeCounts(),
      failures: book.failures(),
      faults,
      audit: auditOrders({
        orders,
        knownOrderIds: new Set(all.map(({ id }) => id)),
        outcomes: book.outcomes,
        ledger,
        parcels,
      }),
    };
  } finally {
    closing.abort();
    await backend.stop();
  }
}
