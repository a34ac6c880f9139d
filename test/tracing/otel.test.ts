/** The adapter to OpenTelemetry by itself. */
import { context, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { toTraceContext, traceIdOf } from "../../src/core/tracing.ts";
import { spanIdOf } from "../../src/otel/id-generator.ts";
import { AionIdGenerator, otelTracing } from "../../src/otel/index.ts";
import { startSdk } from "./span-tree.ts";
import type { Sdk, SpanLine } from "./span-tree.ts";

const caller = { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", tracestate: "a=1" };
let sdk: Sdk | undefined;
const spans: SpanLine[] = [];

afterEach(async () => {
  await sdk?.stop();
  sdk = undefined;
  spans.length = 0;
});

function start(hasOurIds = true): void {
  sdk = startSdk((line) => spans.push(line), { hasOurIds });
}

describe("a span that is over", () => {
  const year = 365 * 24 * 3_600_000;
  const finished = {
    name: "run fulfil",
    kind: "internal",
    parent: caller,
    seed: "run 1",
    startAt: Math.floor(performance.timeOrigin) - year,
    endAt: Math.floor(performance.timeOrigin) + 10,
    attributes: { "aion.workflow.id": "w", "aion.worker": undefined },
  } as const;

  it("may have begun long before the process", () => {
    start();
    otelTracing().emit({ ...finished, error: { type: "Broken", message: "it broke" } });
    expect(spans).toEqual([
      {
        name: "run fulfil",
        kind: 0,
        traceId: traceIdOf(caller),
        spanId: spanIdOf("run 1"),
        parentSpanId: "00f067aa0ba902b7",
        startMs: finished.startAt,
        endMs: finished.endAt,
        isError: true,
        attributes: { "aion.workflow.id": "w", "error.type": "Broken" },
        links: [],
      },
    ]);
  });

  it("has the id that others were told before, and leaves none behind for the next one", () => {
    start();
    const tracing = otelTracing();
    expect(tracing.contextOf("run 1", caller)).toEqual({
      traceparent: `00-${traceIdOf(caller)}-${spanIdOf("run 1")}-01`,
      tracestate: "a=1",
    });
    tracing.emit(finished);
    trace.getTracer("user").startSpan("other").end();
    expect(spans[0]?.spanId).toBe(spanIdOf("run 1"));
    expect(spans[1]?.spanId).not.toBe(spanIdOf("run 1"));
    // The one by which it was found out was written nowhere.
    expect(spans.map((span) => span.name)).toEqual(["run fulfil", "other"]);
  });

  it("stands beside what it should hold when the SDK makes the ids", () => {
    start(false);
    expect(otelTracing().contextOf("run 1", caller)).toBe(caller);
  });
});

describe("without an SDK", () => {
  it("hands contexts on as they came, and asks again when one is there", async () => {
    const tracing = otelTracing();
    expect(tracing.contextOf("run 1", caller)).toBe(caller);
    const span = {
      name: "start",
      kind: "server",
      inside: "current",
      parent: caller,
      attributes: {},
    } as const;
    expect(await tracing.within(span, (inner) => inner)).toEqual(caller);
    expect(await tracing.within({ ...span, parent: undefined }, (inner) => inner)).toBeUndefined();
    start();
    expect(tracing.contextOf("run 1", caller)).not.toBe(caller);
  });
});

describe("a span around work", () => {
  it("is current meanwhile, also after an await, and fails with it", async () => {
    start();
    const span = {
      name: "attempt",
      kind: "consumer",
      inside: "given",
      parent: caller,
      attributes: {},
    } as const;
    const failing = otelTracing().within(span, async () => {
      await Promise.resolve();
      trace.getTracer("user").startSpan("inner").end();
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(trace.getSpan(context.active())).toBeUndefined();
    expect(spans.map(({ name, isError }) => ({ name, isError }))).toEqual([
      { name: "inner", isError: false },
      { name: "attempt", isError: true },
    ]);
    expect(spans[0]?.parentSpanId).toBe(spans[1]?.spanId);
  });

  it("of an attempt is never inside a span that happens to be current", async () => {
    start();
    const span = { name: "attempt", kind: "consumer", inside: "given", attributes: {} } as const;
    await trace.getTracer("user").startActiveSpan("another's", async (outer) => {
      await otelTracing().within(span, () => undefined);
      outer.end();
    });
    expect(spans.find(({ name }) => name === "attempt")?.parentSpanId).toBeUndefined();
  });
});

describe("an SDK that throws", () => {
  it("costs spans and nothing else", async () => {
    const broken = (): never => {
      throw new Error("no sampling today");
    };
    const provider = new BasicTracerProvider({ sampler: { shouldSample: broken, toString: () => "broken" } });
    const tracing = otelTracing({ tracerProvider: provider });
    const span = {
      name: "attempt",
      kind: "internal",
      inside: "given",
      parent: caller,
      attributes: {},
    } as const;
    expect(await tracing.within(span, () => 7)).toBe(7);
    expect(tracing.contextOf("run 1", caller)).toBe(caller);
    const times = { startAt: 1, endAt: 2 };
    tracing.emit({ name: "run", kind: "internal", parent: caller, seed: "s", ...times, attributes: {} });
  });
});

describe("ids", () => {
  it("of spans are 16 hexadecimal digits, and differ where their seeds do", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: "binary" }), { maxLength: 100 }), (seeds) => {
        const wellFormed = seeds.map((seed) => seed.toWellFormed());
        const ids = new Set(wellFormed.map(spanIdOf));
        for (const id of ids) expect(id).toMatch(/^(?!0{16})[0-9a-f]{16}$/);
        expect(ids.size).toBe(new Set(wellFormed).size);
      }),
    );
    // Fixed for ever: spans written by one version are parents of those of the next.
    expect(spanIdOf("run 0a1b2c3d-0000-4000-8000-000000000000")).toBe("6a2a4bf00a1e2282");
  });

  it("of others are made by the generator that is handed in", () => {
    const ids = new AionIdGenerator({ generateTraceId: () => "t", generateSpanId: () => "s" });
    expect([ids.generateTraceId(), ids.generateSpanId()]).toEqual(["t", "s"]);
  });
});

describe("a context from outside", () => {
  const traceparent = caller.traceparent;

  it("is taken as the standard says", () => {
    expect(toTraceContext(traceparent)).toEqual({ traceparent });
    expect(toTraceContext(traceparent, "a=1,b=2")).toEqual({ traceparent, tracestate: "a=1,b=2" });
    expect(toTraceContext(traceparent, "")).toEqual({ traceparent });
    // A later version may say more.
    expect(toTraceContext(`01${traceparent.slice(2)}-more`)).toEqual({ traceparent });
  });

  it.each([
    undefined,
    7,
    "",
    traceparent.toUpperCase(),
    `${traceparent}-more`,
    `${traceparent}0`,
    `ff${traceparent.slice(2)}`,
    `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
    `00-4bf92f3577b34da6a3ce929d0e0e4736-${"0".repeat(16)}-01`,
    ` ${traceparent}`,
    `${traceparent}\n`,
    `01${traceparent.slice(2)}-${"x".repeat(1_000)}`,
  ])("is none when it is malformed: %j", (malformed) => {
    expect(toTraceContext(malformed)).toBeUndefined();
  });

  it("goes on without a state that is too long, or no header", () => {
    expect(toTraceContext(traceparent, `a=${"1".repeat(600)}`)).toEqual({ traceparent });
    expect(toTraceContext(traceparent, "a=1\r\nx: y")).toEqual({ traceparent });
  });
});
