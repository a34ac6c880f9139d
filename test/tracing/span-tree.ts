import { context } from "@opentelemetry/api";
import type { HrTime } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base";
import { SpanStatusCode, trace } from "@opentelemetry/api";
import { AionIdGenerator } from "../../src/otel/index.ts";

/** What is kept of a span. */
export interface SpanLine {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly startMs: number;
  readonly endMs: number;
  readonly isError: boolean;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly links: readonly string[];
}

export class LineExporter implements SpanExporter {
  readonly #write: (line: SpanLine) => void;

  constructor(write: (line: SpanLine) => void) {
    this.#write = write;
  }

  export(spans: ReadableSpan[], done: (result: { code: number }) => void): void {
    for (const span of spans) this.#write(toLine(span));
    done({ code: 0 });
  }

  async shutdown(): Promise<void> {}
}

function toLine(span: ReadableSpan): SpanLine {
  const { traceId, spanId } = span.spanContext();
  return {
    name: span.name,
    kind: span.kind,
    traceId,
    spanId,
    parentSpanId: span.parentSpanContext?.spanId,
    startMs: toMs(span.startTime),
    endMs: toMs(span.endTime),
    isError: span.status.code === SpanStatusCode.ERROR,
    attributes: span.attributes,
    links: span.links.map((link) => link.context.spanId),
  };
}

function toMs([seconds, nanoseconds]: HrTime): number {
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

export interface Sdk {
  readonly provider: BasicTracerProvider;
  stop(): Promise<void>;
}

/** An SDK as a program sets one up, registered for all of this process. */
export function startSdk(
  write: (line: SpanLine) => void,
  { hasOurIds = true }: { readonly hasOurIds?: boolean } = {},
): Sdk {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const provider = new BasicTracerProvider({
    ...(hasOurIds ? { idGenerator: new AionIdGenerator() } : {}),
    spanProcessors: [new SimpleSpanProcessor(new LineExporter(write))],
  });
  trace.setGlobalTracerProvider(provider);
  return {
    provider,
    stop: async () => {
      await provider.shutdown();
      trace.disable();
      context.disable();
    },
  };
}

/** The tree that the spans make, one line each, siblings by their names. Throws for one that is there twice. */
export function drawTree(spans: readonly SpanLine[]): readonly string[] {
  const ids = new Set(spans.map((span) => span.spanId));
  if (ids.size !== spans.length) throw new Error("a span was written twice");
  const lines: string[] = [];
  const draw = (parent: string | undefined, depth: number): void => {
    const children = spans.filter((span) =>
      parent === undefined
        ? span.parentSpanId === undefined || !ids.has(span.parentSpanId)
        : span.parentSpanId === parent,
    );
    const inOrder = children.toSorted((left, right) =>
      left.name < right.name ? -1 : left.name > right.name ? 1 : left.startMs - right.startMs,
    );
    for (const span of inOrder) {
      const isOrphan = span.parentSpanId !== undefined && !ids.has(span.parentSpanId);
      lines.push(
        `${"  ".repeat(depth)}${span.name}${span.isError ? " !" : ""}${isOrphan ? " (orphan)" : ""}`,
      );
      draw(span.spanId, depth + 1);
    }
  };
  draw(undefined, 0);
  return lines;
}
