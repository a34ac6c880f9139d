import { noMeter } from "../core/metrics.ts";
import type { Meter } from "../core/ports.ts";
import { toAionError } from "./errors.ts";

export type Transport = "http" | "rpc" | "websocket";
export type StreamKind = "run" | "feed";

/** How far the reader of one stream has come. */
interface ReaderMeter {
  /** A page is there for it. */
  offered(): void;
  /** It has taken the page. `latestAt`: when the last event in it was recorded. */
  taken(page: {
    readonly count: number;
    readonly latestAt: number | undefined;
    readonly isAtHead: boolean;
  }): void;
  gone(): void;
}

interface Reader {
  readonly kind: StreamKind;
  latestAt: number;
  isAtHead: boolean;
}

/** What the server counts. Owner: whoever answers. */
export class HttpMeter {
  readonly #meter: Meter;
  readonly #requests;
  readonly #seconds;
  readonly #streamEvents;
  readonly #readers = new Set<Reader>();

  constructor(meter: Meter = noMeter) {
    this.#meter = meter;
    this.#requests = meter.counter("aion_requests_total");
    this.#seconds = meter.histogram("aion_request_seconds");
    this.#streamEvents = meter.counter("aion_stream_events_total");
  }

  /** For durations alone. */
  now(): number {
    return this.#meter.now();
  }

  /** A request was answered, or refused; a stream has begun. */
  answered(transport: Transport, operation: string, since: number, error?: unknown): void {
    this.#requests.add(1, transport, operation, error === undefined ? "ok" : codeOf(error));
    this.#seconds.observe((this.#meter.now() - since) / 1_000, transport, operation);
  }

  reader(kind: StreamKind): ReaderMeter {
    const reader: Reader = { kind, latestAt: Date.now(), isAtHead: true };
    this.#readers.add(reader);
    return {
      offered: () => {
        reader.isAtHead = false;
      },
      taken: ({ count, latestAt, isAtHead }) => {
        if (count > 0) this.#streamEvents.add(count, kind);
        reader.latestAt = latestAt ?? reader.latestAt;
        reader.isAtHead = isAtHead;
      },
      gone: () => this.#readers.delete(reader),
    };
  }

  /** Sets its gauges whenever somebody reads. Returns how to end that. */
  watch(connectionCount: () => number): () => void {
    const connections = this.#meter.gauge("aion_connections");
    const streams = this.#meter.gauge("aion_streams");
    const lag = this.#meter.gauge("aion_stream_lag_seconds");
    return this.#meter.collect(() => {
      connections.set(connectionCount());
      for (const kind of ["run", "feed"] as const) {
        const readers = [...this.#readers].filter((reader) => reader.kind === kind);
        streams.set(readers.length, kind);
        const oldestAt = Math.min(
          ...readers.filter(({ isAtHead }) => !isAtHead).map(({ latestAt }) => latestAt),
        );
        lag.set(Number.isFinite(oldestAt) ? Math.max(0, Date.now() - oldestAt) / 1_000 : 0, kind);
      }
    });
  }
}

function codeOf(error: unknown): string {
  return toAionError(error).code;
}
