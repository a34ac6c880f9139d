import { isAionError } from "../core/errors.ts";
import type { AionError } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import type { RunRecord } from "../store/contract.ts";
import type { Kernel } from "./kernel.ts";
import type { HistoryStore, LoadedRun } from "./load.ts";
import { despiteOthers, loadRun, pageEvents } from "./load.ts";

/** What came of a history that is not written yet, when the code that there is now was given it. */
export type TrialOutcome =
  /** `isBeyond`: it asks at once for what the history does not hold. */
  | { readonly kind: "goes-on"; readonly isBeyond: boolean }
  /** Its code would do something else than the history says, or the history is none. */
  | { readonly kind: "diverges"; readonly error: AionError }
  /** It would be held or failed at once for a limit of this engine. */
  | { readonly kind: "limited"; readonly error: AionError }
  /** It would fail or be cancelled at once, or wait for ever. */
  | { readonly kind: "ends" };

/**
 * Has the code replay what would be a run's history, before any of it is written. `row`: of the run as it would be. Errors: those of
 * loading a run, but for its divergence.
 */
export async function tryHistory(
  kernel: Kernel,
  row: RunRecord,
  events: readonly Event[],
  /** Whether it is none to go on if this engine would hold it at once for a limit. */
  { isHeldToLimits = kernel.options.onRunLimit === "fail" }: { readonly isHeldToLimits?: boolean } = {},
): Promise<TrialOutcome> {
  const { programs, ports, payloadLimitBytes } = kernel.options;
  const { closedAt: _closedAt, ...open } = row;
  const record: RunRecord = { ...open, status: "running", headSeq: row.firstSeq + events.length - 1 };
  const store: HistoryStore = {
    readSegment: async (_run, fromSeq, limit = pageEvents) =>
      events.slice(fromSeq - row.firstSeq, fromSeq - row.firstSeq + limit).map((event) => ({ ...event })),
    findRunByKey: async () => record,
  };
  let loaded: LoadedRun;
  try {
    loaded = await despiteOthers(() =>
      loadRun(record, {
        store,
        programs,
        scheduler: ports.scheduler,
        payloadLimitBytes,
        log: () => undefined,
        onStray: () => undefined,
      }),
    );
  } catch (error) {
    if (!isAionError(error) || (error.code !== "nondeterminism" && error.code !== "history_shape"))
      throw error;
    return { kind: "diverges", error };
  }
  loaded.instance.dispose();
  if (isHeldToLimits) {
    const error = limitOf(kernel, loaded);
    if (error !== undefined) return { kind: "limited", error };
  }
  const end = loaded.live.find(({ kind }) => kind === "fail" || kind === "cancelled");
  if (end !== undefined || loaded.isStuck) return { kind: "ends" };
  return { kind: "goes-on", isBeyond: loaded.live.length > 0 };
}

function limitOf({ limits }: Kernel, { state, live }: LoadedRun): AionError | undefined {
  const { workflowId, historyLength, historyBytes, pausing } = state;
  // Of each that it is told of later, an event tells that it was.
  const events = historyLength + pausing.untoldCount;
  try {
    limits.demandLoaded(state, live);
    return limits.ofHistory(workflowId, { events, bytes: historyBytes });
  } catch (error) {
    if (isAionError(error) && error.code === "run_limit") return error;
    throw error;
  }
}
