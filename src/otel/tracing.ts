import {
  INVALID_SPAN_CONTEXT,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  context,
  createTraceState,
  diag,
  trace,
} from "@opentelemetry/api";
import type {
  Attributes,
  Context,
  HrTime,
  Link,
  Span,
  SpanContext,
  SpanOptions,
  Tracer,
  TracerProvider,
} from "@opentelemetry/api";
import { isAionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type {
  FinishedSpan,
  SpanAttributes,
  SpanKind as Kind,
  SpanStart,
  TraceContext,
  Tracing,
} from "../core/tracing.ts";
import { spanAttribute, toTraceContext } from "../core/tracing.ts";
import { spanIdOf, withSpanId } from "./id-generator.ts";

export interface OtelOptions {
  /** Default: the one that is registered when spans are made. */
  readonly tracerProvider?: TracerProvider;
}

/**
 * Hands spans to OpenTelemetry: to whatever SDK the program has set up, before or after this call. If there is none, nothing is made.
 * For spans of user code to stand inside those of attempts, the SDK needs a context manager, which `NodeSDK` and
 * `NodeTracerProvider.register()` set up.
 *
 * @example
 * const tracing = otelTracing();
 * const engine = await Engine.open({ store: "sqlite:aion.db", workflows: [fulfil], tracing });
 */
export function otelTracing(options: OtelOptions = {}): Tracing {
  return new OtelTracing(options.tracerProvider);
}

const kinds: Readonly<Record<Kind, SpanKind>> = {
  internal: SpanKind.INTERNAL,
  client: SpanKind.CLIENT,
  server: SpanKind.SERVER,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

class OtelTracing implements Tracing {
  readonly #tracer: Tracer;
  /** Whether ids can be chosen; `undefined`: no SDK has shown itself yet. */
  #choosesIds: boolean | undefined;

  constructor(provider: TracerProvider | undefined) {
    // The tracer of the API finds the SDK that is registered later.
    this.#tracer = provider === undefined ? trace.getTracer("aion") : provider.getTracer("aion");
  }

  async within<Result>(
    { name, kind, inside, parent, attributes }: SpanStart,
    work: (context: TraceContext | undefined) => Result | Promise<Result>,
  ): Promise<Result> {
    const active = inside === "current" ? context.active() : ROOT_CONTEXT;
    const isInside = trace.getSpanContext(active) !== undefined;
    const outer = isInside || parent === undefined ? active : toContext(active, parent);
    const span = this.#start(name, { kind: kinds[kind], attributes: toAttributes(attributes) }, outer);
    try {
      return await context.with(trace.setSpan(outer, span), () => work(fromSpanContext(span.spanContext())));
    } catch (error) {
      guarded(() => fail(span, error));
      throw error;
    } finally {
      guarded(() => span.end());
    }
  }

  emit({ name, kind, parent, seed, startAt, endAt, attributes, error, links }: FinishedSpan): void {
    const options = {
      kind: kinds[kind],
      attributes: toAttributes(attributes),
      startTime: toTime(startAt),
      links: (links ?? []).map(toLink),
    };
    const span = withSpanId(spanIdOf(seed), () =>
      this.#start(name, options, toContext(ROOT_CONTEXT, parent)),
    );
    guarded(() => {
      if (error !== undefined) {
        span.setAttribute("error.type", error.type);
        span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
      }
      span.end(toTime(endAt));
    });
  }

  contextOf(seed: string, parent: TraceContext): TraceContext {
    if (!this.#canChooseIds()) return parent;
    const { traceparent, ...state } = parent;
    return { traceparent: `${traceparent.slice(0, 36)}${spanIdOf(seed)}${traceparent.slice(52)}`, ...state };
  }

  /** A sampler or a processor that throws must not harm what is traced. */
  #start(name: string, options: SpanOptions, parent: Context): Span {
    return (
      guarded(() => this.#tracer.startSpan(name, options, parent)) ??
      trace.wrapSpanContext(INVALID_SPAN_CONTEXT)
    );
  }

  /** Tries it with a span that is never ended, and so written nowhere. */
  #canChooseIds(): boolean {
    if (this.#choosesIds !== undefined) return this.#choosesIds;
    const wanted = spanIdOf("probe");
    const parent = toContext(ROOT_CONTEXT, { traceparent: `00-${"1".repeat(32)}-${"1".repeat(16)}-00` });
    const span = withSpanId(wanted, () => this.#start("probe", {}, parent));
    const { spanId } = span.spanContext();
    // Without an SDK a span is its parent; one whose SDK failed tells nothing.
    if (spanId === "1".repeat(16) || spanId === INVALID_SPAN_CONTEXT.spanId) return false;
    this.#choosesIds = spanId === wanted;
    return this.#choosesIds;
  }
}

function guarded<Result>(work: () => Result): Result | undefined {
  try {
    return work();
  } catch (error) {
    diag.error("aion: a span was not made, or not written", error);
    return undefined;
  }
}

function toContext(base: Context, parent: TraceContext): Context {
  return trace.setSpanContext(base, toSpanContext(parent));
}

function toSpanContext({ traceparent, tracestate }: TraceContext): SpanContext {
  const [, traceId = "", spanId = "", flags = "00"] = traceparent.split("-");
  return {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(tracestate === undefined ? {} : { traceState: createTraceState(tracestate) }),
  };
}

/** `undefined`: there is no SDK. */
function fromSpanContext({ traceId, spanId, traceFlags, traceState }: SpanContext): TraceContext | undefined {
  const flags = traceFlags.toString(16).padStart(2, "0");
  return toTraceContext(`00-${traceId}-${spanId}-${flags}`, traceState?.serialize());
}

function toLink(of: TraceContext): Link {
  return { context: toSpanContext(of) };
}

/** Not a number of milliseconds: the SDK takes one from before the process began for a reading of `performance.now()`. */
function toTime(ms: number): HrTime {
  return [Math.floor(ms / 1_000), Math.round((ms % 1_000) * 1_000_000)];
}

function toAttributes(attributes: SpanAttributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}

function fail(span: Span, error: unknown): void {
  const message = messageOf(error);
  span.recordException(Error.isError(error) ? error : message);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
  if (!isAionError(error)) return;
  span.setAttribute("error.type", error.code);
  span.setAttribute(spanAttribute.errorCode, error.code);
}
