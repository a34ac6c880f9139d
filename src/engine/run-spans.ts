import type { Event, EventOf } from "../core/event.ts";
import type { Failure } from "../core/failure.ts";
import type { RunId } from "../core/ids.ts";
import { isTerminal, statusAfter } from "../core/status.ts";
import type { FinishedSpan, SpanAttributes, TraceContext, Tracing } from "../core/tracing.ts";
import { spanAttribute } from "../core/tracing.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import type { RunState } from "../replay/run-state.ts";

type Started = EventOf<"WorkflowStarted">;
/** A run, from its start or its latest reopening to the end that follows. */
type Lease = Pick<RunState, "started" | "reopened">;

/**
 * The spans of runs. Owner: the kernel. A run is part of a trace if its start was.
 *
 * Laws: the span of a run, of an activity or of a signal is made of what history says, when that which ends it is on disk, and by
 * the engine that wrote it there: once, or not at all if the process ends in between. No replay makes one. Its id follows from the
 * run's, so that what ended before it stands inside it. A run that is reopened has a span more, with an id of its own, for what follows.
 */
export class RunSpans {
  readonly #tracing: Tracing | undefined;

  constructor(tracing: Tracing | undefined) {
    this.#tracing = tracing;
  }

  /** What the run does (its children, its signals to others) is inside this. */
  contextOfRun(lease: Lease): TraceContext | undefined {
    const { trace } = lease.started;
    if (trace === undefined || this.#tracing === undefined) return trace;
    return this.#tracing.contextOf(leaseSeed(lease), trace);
  }

  /** The attempts of an activity are inside this. */
  contextOfActivity(lease: Lease, ordinal: number): TraceContext | undefined {
    const run = this.contextOfRun(lease);
    if (run === undefined || this.#tracing === undefined) return run;
    return this.#tracing.contextOf(activitySeed(lease, ordinal), run);
  }

  /** Adds the spans that end with `event`, which `state` is about to take. */
  note(state: RunState, event: Event, spans: FinishedSpan[]): void {
    if (this.#tracing === undefined || event.type === "WorkflowStarted") return;
    const { started, reopened } = state;
    const run = this.contextOfRun(state);
    if (event.type === "SignalReceived" || event.type === "UpdateAccepted") {
      if (event.trace !== undefined) spans.push(spanOfMessage(started, event, event.trace, run));
      return;
    }
    if (run === undefined || started.trace === undefined) return;
    if (!isTerminal(event)) {
      const ended = outcomeOf(event);
      const activity = ended === undefined ? undefined : state.activities.get(ended.ordinal);
      if (ended !== undefined && activity !== undefined)
        spans.push(spanOfActivity(state, activity, event, run, ended));
      return;
    }
    for (const activity of state.activities.values())
      spans.push(spanOfActivity(state, activity, event, run, { outcome: "abandoned" }));
    const { continuedFrom, resetOf } = started;
    const link = reopened === undefined ? (resetOf?.runId ?? continuedFrom) : started.runId;
    const before = link === undefined ? undefined : this.#tracing.contextOf(runSeed(link), started.trace);
    const error = errorOf(event);
    spans.push({
      name: `run ${started.workflowType}`,
      kind: "internal",
      parent: started.trace,
      seed: leaseSeed(state),
      // What it began with as a copy is in the span of that run.
      startAt: reopened?.recordedAt ?? resetOf?.at ?? started.recordedAt,
      endAt: event.recordedAt,
      attributes: { ...attributesOf(started), [spanAttribute.runStatus]: statusAfter(event) },
      ...(error === undefined ? {} : { error }),
      // Without ids of its own the run before it cannot be pointed at.
      ...(before === undefined || before === started.trace ? {} : { links: [before] }),
    });
  }

  emit(spans: readonly FinishedSpan[]): void {
    for (const span of spans) this.#tracing?.emit(span);
  }
}

function runSeed(runId: RunId): string {
  return `run ${runId}`;
}

function leaseSeed({ started: { runId }, reopened }: Lease): string {
  return reopened === undefined ? runSeed(runId) : `${runSeed(runId)} ${reopened.seq}`;
}

function activitySeed({ started: { runId }, reopened }: Lease, ordinal: number): string {
  return `activity ${runId}:${ordinal}${reopened === undefined ? "" : ` ${reopened.seq}`}`;
}

function attributesOf({ workflowId, workflowType, runId }: Started): SpanAttributes {
  return {
    [spanAttribute.workflowId]: workflowId,
    [spanAttribute.workflowType]: workflowType,
    [spanAttribute.runId]: runId,
  };
}

/** Stands where it was sent, and points at the run that has it. */
function spanOfMessage(
  started: Started,
  event: EventOf<"SignalReceived"> | EventOf<"UpdateAccepted">,
  sent: TraceContext,
  run: TraceContext | undefined,
): FinishedSpan {
  const kind = event.type === "UpdateAccepted" ? "update" : "signal";
  return {
    name: `receive ${event.name}`,
    kind: "consumer",
    parent: sent,
    seed: `${kind} ${started.runId}:${event.seq}`,
    startAt: event.recordedAt,
    endAt: event.recordedAt,
    attributes: { ...attributesOf(started), [spanAttribute[kind]]: event.name },
    ...(run === undefined ? {} : { links: [run] }),
  };
}

interface ActivityEnd {
  readonly outcome: "completed" | "failed" | "timed-out" | "cancelled" | "abandoned";
  readonly error?: { readonly type: string; readonly message: string };
}

/** From its schedule to its outcome, over all its attempts. */
function spanOfActivity(
  lease: Lease,
  activity: OpenActivity,
  { recordedAt }: Event,
  run: TraceContext,
  { outcome, error }: ActivityEnd,
): FinishedSpan {
  const { ordinal, activityType, attempt, options, scheduledAt } = activity;
  return {
    name: `activity ${activityType}`,
    kind: "internal",
    parent: run,
    seed: activitySeed(lease, ordinal),
    startAt: scheduledAt,
    endAt: recordedAt,
    attributes: {
      ...attributesOf(lease.started),
      [spanAttribute.activityType]: activityType,
      [spanAttribute.activityOrdinal]: ordinal,
      [spanAttribute.attempt]: attempt,
      [spanAttribute.outcome]: outcome,
      [spanAttribute.taskQueue]: options.taskQueue,
    },
    ...(error === undefined ? {} : { error }),
  };
}

/** `undefined`: the event ends no activity. */
function outcomeOf(event: Event): (ActivityEnd & { readonly ordinal: number }) | undefined {
  switch (event.type) {
    case "ActivityCompleted":
      return { ordinal: event.ordinal, outcome: "completed" };
    case "ActivityCancelled":
      return { ordinal: event.ordinal, outcome: "cancelled" };
    case "ActivityFailed":
      if (event.retryAt !== undefined) return undefined;
      return { ordinal: event.ordinal, outcome: "failed", error: toError(event.failure) };
    case "ActivityTimedOut":
      if (event.retryAt !== undefined) return undefined;
      return { ordinal: event.ordinal, outcome: "timed-out", error: timedOut(event.timeout) };
    default:
      return undefined;
  }
}

function errorOf(event: Event): FinishedSpan["error"] {
  if (event.type === "WorkflowFailed") return toError(event.failure);
  return event.type === "WorkflowTimedOut" ? timedOut(event.timeout) : undefined;
}

function toError({ type, kind, message }: Failure): { readonly type: string; readonly message: string } {
  return { type: type ?? kind, message };
}

function timedOut(timeout: string): { readonly type: string; readonly message: string } {
  return { type: "timeout", message: `${timeout} time-out` };
}
