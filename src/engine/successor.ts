import type { NewEvent } from "../core/codec.ts";
import type { EventBody, StartSignal } from "../core/event.ts";
import type { RunState } from "../replay/run-state.ts";
import type { OutgoingMessage, StartCommit } from "../store/contract.ts";
import type { RunLimitsKeeper } from "./run-limits.ts";

/**
 * The run that another one continues as. Law: what belongs to the chain goes along (its deadline, its parent, its trace, what it is
 * found by, the ids by which what was asked before is known again), and so does what the code of the run before was sent and did not take.
 */
export function toSuccessor(
  state: RunState,
  end: EventBody & { readonly type: "WorkflowContinuedAsNew" },
  of: {
    /** Signals that its code did not ask for. */
    readonly unconsumed: readonly StartSignal[];
    /** What a new run of the type gets; `undefined`: the type is unknown, and the version stays. */
    readonly version: string | undefined;
    readonly longHistory: RunLimitsKeeper["longHistory"];
    readonly nowMs: number;
  },
): { readonly next: StartCommit; readonly cancel: OutgoingMessage | undefined } {
  const { workflowId } = state;
  const { signals, cancel } = state.pausing.leftUntold();
  const next = toStart(state, end, { ...of, signals: [...of.unconsumed, ...signals] });
  if (cancel === undefined) return { next, cancel };
  // Its request id is among those that go along.
  const { reason } = cancel;
  const message = {
    kind: "cancel",
    runId: end.newRunId,
    ...(reason === undefined ? {} : { reason }),
  } as const;
  return { next, cancel: { target: workflowId, message } };
}

function toStart(
  state: RunState,
  end: EventBody & { readonly type: "WorkflowContinuedAsNew" },
  {
    signals,
    nowMs,
    longHistory,
    version: routed,
  }: {
    readonly signals: readonly StartSignal[];
    readonly version: string | undefined;
    readonly longHistory: RunLimitsKeeper["longHistory"];
    readonly nowMs: number;
  },
): StartCommit {
  const { workflowId, started } = state;
  const { executionDeadlineAt } = state.deadlines;
  const attributes =
    state.attributes === undefined || Object.keys(state.attributes).length === 0
      ? {}
      : { attributes: state.attributes };
  const { signalIds, cancelRequestIds, controlRequestIds } = state.requests.recent();
  const updateIds = state.updates.recentIds();
  const version = routed ?? started.version;
  const start: NewEvent = {
    type: "WorkflowStarted",
    runId: end.newRunId,
    workflowType: end.workflowType,
    version,
    input: end.input,
    continuedFrom: started.runId,
    recordedAt: nowMs,
    ...(started.parent === undefined ? {} : { parent: started.parent }),
    ...(started.runTimeoutMs === undefined
      ? {}
      : { runTimeoutMs: started.runTimeoutMs, runDeadlineAt: nowMs + started.runTimeoutMs }),
    ...(executionDeadlineAt === undefined ? {} : { executionDeadlineAt }),
    ...(signalIds.length === 0 ? {} : { signalIds }),
    ...(updateIds.length === 0 ? {} : { updateIds }),
    ...(cancelRequestIds.length === 0 ? {} : { cancelRequestIds }),
    ...(controlRequestIds.length === 0 ? {} : { controlRequestIds }),
    ...(signals.length === 0 ? {} : { signals }),
    ...(started.trace === undefined ? {} : { trace: started.trace }),
    ...(started.scheduled === undefined ? {} : { scheduled: started.scheduled }),
    ...longHistory,
    ...attributes,
  };
  return {
    workflowId,
    runId: end.newRunId,
    workflowType: end.workflowType,
    version,
    firstSeq: state.headSeq + 1,
    events: [start],
    status: "running",
    startedAt: nowMs,
    wakeAt: 0,
    ...(started.parent === undefined ? {} : { parent: started.parent }),
    ...attributes,
  };
}
