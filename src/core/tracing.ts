/**
 * Where the spans of a trace go. The engine, clients and workers know this port alone; an adapter to OpenTelemetry is in `aion/otel`.
 * Without one nothing is made and nothing is asked, and a context that came from elsewhere is still handed on.
 */
export interface Tracing {
  /**
   * Does work within a span that is current meanwhile, and ends with it: as an error if it rejects. `work` is told the context to hand
   * on; `undefined` when nothing is traced.
   */
  within<Result>(
    span: SpanStart,
    work: (context: TraceContext | undefined) => Result | Promise<Result>,
  ): Promise<Result>;
  /** Writes a span that is over. */
  emit(span: FinishedSpan): void;
  /**
   * The context of the span that will be emitted with that seed, so that what happens inside it can be told of first. `parent`, if ids
   * cannot be chosen: then the span stands beside what it should hold, and nothing points at a span that is never written.
   */
  contextOf(seed: string, parent: TraceContext): TraceContext;
}

/** As W3C Trace Context has it: the two headers. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string;
}

export type SpanKind = "internal" | "client" | "server" | "producer" | "consumer";
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

export interface SpanStart {
  readonly name: string;
  readonly kind: SpanKind;
  /** `current`: the span that is current here comes before `parent`. `given`: `parent` or none, whatever is current. */
  readonly inside: "current" | "given";
  readonly parent?: TraceContext | undefined;
  readonly attributes: SpanAttributes;
}

export interface FinishedSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly parent: TraceContext;
  /** Decides the id, where ids can be chosen: the same span has the same id in whichever process. */
  readonly seed: string;
  /** Milliseconds since 1970. */
  readonly startAt: number;
  readonly endAt: number;
  readonly attributes: SpanAttributes;
  /** Present: it failed, and how. */
  readonly error?: { readonly type: string; readonly message: string };
  readonly links?: readonly TraceContext[];
}

/** Version 00, and what a later one has in the same places. */
const traceparentForm = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?=$|-)/;
const traceparentLength = 55;
/** What the standard asks everybody to carry at the least. */
const tracestateMax = 512;
const tracestateForm = /^[\x20-\x7e\t]*$/;

/**
 * Takes a context that comes from outside. One that is malformed is none, as the standard has it: a caller's tracing must not keep
 * its calls from being made.
 */
export function toTraceContext(traceparent: unknown, tracestate?: unknown): TraceContext | undefined {
  if (typeof traceparent !== "string" || traceparent.length > 512) return undefined;
  if (!traceparentForm.test(traceparent)) return undefined;
  if (traceparent.startsWith("00") && traceparent.length !== traceparentLength) return undefined;
  // Whoever hands it on writes the version that it knows.
  const parent = { traceparent: `00${traceparent.slice(2, traceparentLength)}` };
  const isCarried =
    typeof tracestate === "string" &&
    tracestate !== "" &&
    tracestate.length <= tracestateMax &&
    tracestateForm.test(tracestate);
  return isCarried ? { ...parent, tracestate } : parent;
}

/** The 32 hexadecimal digits that all spans of the trace share. */
export function traceIdOf({ traceparent }: TraceContext): string {
  return traceparent.slice(3, 35);
}

/** What the spans of the engine, its clients and its workers say of themselves. */
export const spanAttribute = {
  namespace: "aion.namespace",
  workflowId: "aion.workflow.id",
  workflowType: "aion.workflow.type",
  runId: "aion.run.id",
  /** As in the list of runs: `completed`, `failed`, … */
  runStatus: "aion.run.status",
  activityType: "aion.activity.type",
  activityOrdinal: "aion.activity.ordinal",
  attempt: "aion.activity.attempt",
  /** `completed`, `failed`, `timed-out`, `cancelled`, or `abandoned`: its run ended first. */
  outcome: "aion.activity.outcome",
  taskQueue: "aion.task_queue",
  worker: "aion.worker",
  signal: "aion.signal.name",
  query: "aion.query.name",
  update: "aion.update.name",
  errorCode: "aion.error.code",
} as const;

/** The same, with attributes that all its spans have. */
export function withAttributes(tracing: Tracing, attributes: SpanAttributes): Tracing {
  return {
    within: (span, work) =>
      tracing.within({ ...span, attributes: { ...attributes, ...span.attributes } }, work),
    emit: (span) => tracing.emit({ ...span, attributes: { ...attributes, ...span.attributes } }),
    contextOf: (seed, parent) => tracing.contextOf(seed, parent),
  };
}
