/**
 * The engine in a process of its own, for the supervisor of chaos.ts, which kills it.
 * Messages go over the channel that Node opens between parent and child; without a parent there is nothing to run for.
 */
import { z } from "zod";
import type { Snapshot } from "./progress.ts";
import { type Report, runOrders } from "./run-orders.ts";

export type EngineMessage =
  | { readonly type: "opened"; readonly endedCount: number; readonly recoveredCount: number }
  | { readonly type: "snapshot"; readonly snapshot: Snapshot }
  | { readonly type: "note"; readonly text: string }
  | { readonly type: "stopped" }
  | { readonly type: "finished"; readonly report: Report };

export const STOP_MESSAGE = "stop";

const Options = z.strictObject({
  dataDir: z.string(),
  faultRate: z.number(),
  seed: z.int(),
  orderCount: z.int(),
  inFlightMax: z.int(),
});

if (import.meta.main) {
  const tell = (message: EngineMessage): void => {
    process.send?.(message);
  };
  const stopping = new AbortController();
  process.on("message", (message) => {
    if (message === STOP_MESSAGE) stopping.abort();
  });
  process.once("disconnect", () => process.exit(1));
  const report = await runOrders(Options.parse(JSON.parse(process.argv[2] ?? "")), {
    onOpened: (opened) => tell({ type: "opened", ...opened }),
    onSnapshot: (snapshot) => tell({ type: "snapshot", snapshot }),
    onNote: (text) => tell({ type: "note", text }),
    signal: stopping.signal,
  });
  process.removeAllListeners("disconnect");
  process.send?.(
    report === undefined ? { type: "stopped" } : { type: "finished", report },
    undefined,
    {},
    () => {
      process.disconnect();
    },
  );
}
