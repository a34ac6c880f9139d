import { AionError } from "../core/errors.ts";
import type { Event, EventOf } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { predecessorOf } from "../core/run-chain.ts";
import { resetPoints } from "../replay/reset-points.ts";
import type { ResetPoint } from "../replay/reset-points.ts";
import type { RunRecord, Store } from "../store/contract.ts";
import type { Kernel } from "./kernel.ts";
import type { HistoryStore } from "./load.ts";
import { pageEvents } from "./load.ts";
import { readStart } from "./views.ts";

/** What a run is copied from. */
export interface Source {
  readonly run: RunRecord;
  /** Its whole segment. */
  readonly events: readonly Event[];
  readonly points: readonly ResetPoint[];
  /** Why it is held; `undefined`: it is not. */
  readonly blocked: string | undefined;
  /** When this is done. */
  readonly at: number;
}

/** The run that is named, or the latest. Errors: `run_not_found`, and those of reading its history. */
export async function readSource(
  kernel: Kernel,
  latest: RunRecord,
  { workflowId, runId }: { readonly workflowId: WorkflowId; readonly runId: RunId | undefined },
): Promise<Source> {
  const run = runId === undefined ? latest : await kernel.store.findRun(workflowId, runId);
  if (run === undefined)
    throw new AionError("run_not_found", `there is no workflow ${workflowId} with run ${runId}`);
  const events = await readSegment(kernel.store, run);
  if (events[0]?.type !== "WorkflowStarted")
    throw new AionError("run_not_found", `run ${run.runId} of workflow ${workflowId} was deleted`);
  const blocked = run.runKey === latest.runKey ? (kernel.blocked.get(workflowId) ?? run.blocked) : undefined;
  return { run, events, points: resetPoints(events), blocked, at: kernel.now() };
}

export async function readSegment(store: HistoryStore, run: RunRecord): Promise<readonly Event[]> {
  const events: Event[] = [];
  for (let from = run.firstSeq; from <= run.headSeq;) {
    const page = await store.readSegment(run, from, pageEvents);
    if (page.length === 0) break;
    events.push(...page);
    from += page.length;
  }
  return events;
}

/** The runs that a run went on as, one after the other, in one piece of work. */
export async function goneOnFrom(
  store: Store,
  { workflowId, runKey, runId }: RunRecord,
): Promise<readonly RunRecord[]> {
  const chain = await store.readRunChain(workflowId);
  const runs: RunRecord[] = [];
  let before = runId;
  for (const next of chain.slice(chain.findIndex((run) => run.runKey === runKey) + 1)) {
    const started = await readStart(store, next);
    if (started === undefined || predecessorOf(started) !== before) break;
    before = next.runId;
    runs.push(next);
  }
  return runs;
}

type SignalReceived = Event & EventOf<"SignalReceived">;

/** The signals that came to the runs that a run went on as, in their order. */
export async function laterSignals(store: Store, { run }: Source): Promise<readonly SignalReceived[]> {
  const signals: SignalReceived[] = [];
  for (const next of await goneOnFrom(store, run)) {
    const events = await readSegment(store, next);
    const [started] = events;
    if (started?.type !== "WorkflowStarted") break;
    signals.push(...events.slice(copiedCount(started, events)).filter(isSignal));
  }
  return signals;
}

/**
 * The signals that came after a point of a run, and then those that came later, in their order. Each once: what was handed on from one
 * run to the next was received by the first of them.
 */
export function carriedSignals(
  { events }: Source,
  later: readonly SignalReceived[],
  afterSeq: number,
): readonly SignalReceived[] {
  const signals = [...events.filter(isSignal).filter(({ seq }) => seq > afterSeq), ...later];
  const known = new Set(
    events.filter(({ seq }) => seq <= afterSeq).flatMap((event) => (isSignal(event) ? [event.signalId] : [])),
  );
  return signals.filter(({ signalId }) => {
    if (signalId === undefined) return true;
    const isNew = !known.has(signalId);
    known.add(signalId);
    return isNew;
  });
}

/** Events that a run began with, and that did not happen to it. */
function copiedCount({ resetOf }: EventOf<"WorkflowStarted">, events: readonly Event[]): number {
  if (resetOf === undefined) return 0;
  const reset = events[resetOf.eventCount];
  return resetOf.eventCount + 1 + (reset?.type === "WorkflowReset" ? (reset.carriedSignals ?? 0) : 0);
}

function isSignal(event: Event): event is SignalReceived {
  return event.type === "SignalReceived";
}
