import type { Event, EventBody, EventOf } from "../core/event.ts";
import type { NewEvent } from "../core/codec.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { CodeIdentity, ResetOrigin } from "../core/event.ts";
import type { ResetPoint } from "../replay/reset-points.ts";
import { RunState } from "../replay/run-state.ts";

/** The dedupe ids that the new run has beyond those in the events that it begins with. */
export interface KnownIds {
  readonly signalIds: readonly string[];
  readonly updateIds: readonly string[];
  readonly cancelRequestIds: readonly string[];
  readonly controlRequestIds: readonly string[];
}

export interface CopyOptions {
  readonly workflowId: WorkflowId;
  readonly runId: RunId;
  readonly version: string;
  readonly firstSeq: number;
  readonly at: number;
  readonly point: ResetPoint;
  /** `undefined`: a fork, which is nobody's child and knows nobody's requests. */
  readonly known: KnownIds | undefined;
  readonly latestRunId: RunId | undefined;
  readonly carried: readonly EventOf<"SignalReceived">[];
  readonly deadlines: { readonly runDeadlineAt?: number; readonly executionDeadlineAt?: number };
  readonly reason: string | undefined;
  readonly requestId: string | undefined;
}

/**
 * What a run begins with that goes on from a point of another one: the same events, up to there, one for one, so that its code is told
 * the same at the same times, of a history of the same length. Then its `WorkflowReset`, and the signals that it is told of yet.
 */
export function copyRun(events: readonly Event[], options: CopyOptions): readonly Event[] {
  const { workflowId, runId, firstSeq, at, point, known, carried, deadlines, reason, requestId } = options;
  const [first] = events;
  if (first?.type !== "WorkflowStarted") return [];
  const isFork = known === undefined;
  const offset = firstSeq - first.seq;
  const copied = events
    .slice(1, point.seq - first.seq + 1)
    .map((event): NewEvent => copyEvent(event, offset, isFork));
  const begunAs: CodeIdentity = first.resetOf?.begunAs ?? {
    workflowId: first.workflowId,
    runId: first.runId,
    ...(first.parent === undefined ? {} : { parent: first.parent }),
    ...(first.continuedFrom === undefined ? {} : { continuedFrom: first.continuedFrom }),
    ...(first.scheduled === undefined
      ? {}
      : { schedule: { id: first.scheduled.scheduleId, nominalAt: first.scheduled.nominalAt } }),
  };
  // A fork that is reset stays one: it has none of what its code began as.
  const { parent } = first;
  const { continuedFrom, schedule } = begunAs.workflowId === workflowId ? begunAs : {};
  const as: CodeIdentity = {
    workflowId,
    runId,
    ...(isFork || parent === undefined ? {} : { parent }),
    ...(isFork || continuedFrom === undefined ? {} : { continuedFrom }),
    ...(isFork || schedule === undefined ? {} : { schedule }),
  };
  const keysRunId = keysFor(as, begunAs, events, copied);
  const reset: NewEvent = {
    type: "WorkflowReset",
    as,
    ...(keysRunId === undefined ? {} : { keysRunId }),
    ...(point.isRedone ? { isRedone: true } : {}),
    ...(carried.length === 0 ? {} : { carriedSignals: carried.length }),
    ...(reason === undefined ? {} : { reason }),
    ...deadlines,
    recordedAt: at,
  };
  const origin: ResetOrigin = {
    ...(isFork ? { workflowId: first.workflowId } : {}),
    runId: first.runId,
    toSeq: point.seq,
    eventCount: copied.length + 1,
    at,
    ...(options.latestRunId === undefined ? {} : { latestRunId: options.latestRunId }),
    ...(requestId === undefined ? {} : { requestId }),
    begunAs,
  };
  const bodies = [
    copyStart(first, options, origin),
    ...copied,
    reset,
    ...carried.map((signal) => ({ ...bodyOf(signal), recordedAt: at })),
  ];
  return bodies.map((body, index): Event => ({ ...body, seq: firstSeq + index, workflowId }));
}

/**
 * Whose keys the activities have that are open at the point, if another workflow asked for them: those of the fork, whichever of its runs
 * goes on with them. `undefined`: the keys that they have are its own.
 */
function keysFor(
  { workflowId, runId }: CodeIdentity,
  begunAs: CodeIdentity,
  events: readonly Event[],
  copied: readonly NewEvent[],
): RunId | undefined {
  const isOwn = (event: EventBody): event is EventOf<"WorkflowReset"> =>
    event.type === "WorkflowReset" && event.as.workflowId === workflowId;
  if (begunAs.workflowId === workflowId || copied.some(isOwn)) return undefined;
  return events.find(isOwn)?.keysRunId ?? runId;
}

function copyStart(
  first: EventOf<"WorkflowStarted">,
  { runId, version, known }: CopyOptions,
  resetOf: ResetOrigin,
): NewEvent {
  const { continuedFrom: _continuedFrom, ...body } = bodyOf(first) as NewEvent & EventOf<"WorkflowStarted">;
  const own: NewEvent = { ...body, runId, version, resetOf };
  if (known !== undefined) return { ...own, ...filled(known) };
  const {
    parent: _parent,
    scheduled: _scheduled,
    requestId: _requestId,
    sent: _sent,
    signalIds: _signalIds,
    updateIds: _updateIds,
    cancelRequestIds: _cancelRequestIds,
    controlRequestIds: _controlRequestIds,
    ...rest
  } = own;
  return rest;
}

function filled({ signalIds, updateIds, cancelRequestIds, controlRequestIds }: KnownIds): Partial<KnownIds> {
  return {
    ...(signalIds.length === 0 ? {} : { signalIds }),
    ...(updateIds.length === 0 ? {} : { updateIds }),
    ...(cancelRequestIds.length === 0 ? {} : { cancelRequestIds }),
    ...(controlRequestIds.length === 0 ? {} : { controlRequestIds }),
  };
}

function copyEvent(event: Event, offset: number, isFork: boolean): NewEvent {
  const body = bodyOf(event);
  switch (body.type) {
    case "WorkflowReopened":
      return withoutRequest({ ...body, voids: body.voids.map((seq) => seq + offset) }, isFork);
    case "InputDelivered":
      return { ...body, of: body.of + offset };
    default:
      return withoutRequest(body, isFork);
  }
}

/** Whoever made the request made it of another workflow. */
function withoutRequest(body: NewEvent, isFork: boolean): NewEvent {
  if (!isFork || !("requestId" in body)) return body;
  const { requestId: _requestId, ...rest } = body;
  return rest;
}

function bodyOf(event: Event): NewEvent {
  const { seq: _seq, workflowId: _workflowId, ...body } = event;
  return body;
}

/** What is open after so many events of a run. */
export function stateAfter(workflowId: WorkflowId, events: readonly Event[]): RunState {
  const state = new RunState(workflowId, voidsOf(events));
  for (const event of events) state.apply(event);
  return state;
}

export function voidsOf(events: readonly EventBody[]): ReadonlySet<number> {
  return new Set(events.flatMap((event) => (event.type === "WorkflowReopened" ? event.voids : [])));
}
