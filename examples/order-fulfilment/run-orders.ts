import { join } from "node:path";
import { Engine } from "aion";
import { type Audit, auditOrders } from "./audit.ts";
import { OrderBook } from "./order-book.ts";
import { ensureOrders } from "./order-file.ts";
import type { OutcomeKind } from "./outcome.ts";
import type { Counts, Snapshot } from "./progress.ts";
import { connectServices } from "./services.ts";
import { activities, workflows } from "./workflow.ts";
import { storeUrl, World, type WorldOptions } from "./world.ts";

export interface RunOptions extends WorldOptions {
  readonly orderCount: number;
  /** Orders that are under way at a time. */
  readonly inFlightMax: number;
}

export interface RunHooks {
  /** The engine is open: so many orders had ended before, so many were under way and go on now. */
  readonly onOpened: (opened: { readonly endedCount: number; readonly recoveredCount: number }) => void;
  readonly onSnapshot: (snapshot: Snapshot) => void;
  readonly onNote: (text: string) => void;
  /** Aborted: begin no order any more, leave the others where they are, close. */
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
  const all = ensureOrders(join(options.dataDir, "orders.jsonl"), options.orderCount);
  const orders = all.slice(0, options.orderCount);
  const world = new World(options);
  let retryCount = 0;
  connectServices({
    payments: world.payments,
    approvals: world.approvals,
    carrier: world.carrier,
    outbox: world.outbox,
    onRetry: () => {
      retryCount += 1;
    },
  });
  await world.connect();
  const engine = await Engine.open({
    store: storeUrl(options.dataDir),
    workflows,
    activities,
    log: (level, message, fields) => {
      // The display has the terminal: what the engine has to say goes through it, or it would tear the block.
      if (level === "warn" || level === "error")
        hooks.onNote(`${level}: ${message} ${JSON.stringify(fields)}`);
    },
  });
  const closing = new AbortController();
  try {
    const book = new OrderBook(engine.client, orders);
    hooks.onOpened(await book.takeStock());
    world.watch(closing.signal, hooks.onNote);
    const reporting = book.report(closing.signal, () => retryCount, hooks.onSnapshot);
    await book.runAll(options.inFlightMax, hooks.signal);
    closing.abort();
    await reporting;
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
    await engine.close();
  }
}
