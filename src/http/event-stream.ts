import { z } from "zod";
import { eventToJson, feedEventToJson } from "../client/json-form.ts";
import { waitMsMax } from "../client/routes.ts";
import type { RunAddress, Service } from "../client/service.ts";
import { AionError, isAionError } from "../core/errors.ts";
import { parseRunId, parseWorkflowId } from "../core/ids.ts";
import { errorToJson, toAionError } from "./errors.ts";
import type { HttpMeter } from "./http-meter.ts";
import { readQuery } from "./operations.ts";
import type { JsonSchema } from "./operations.ts";
import { feedFields, parseRequest, toFeedFilter } from "./requests.ts";

/** How many events are read at a time, and so are in memory for a reader who takes none: few at first, since any may be large. */
const eventsPerPageFirst = 10;
const eventsPerPageMax = 100;
/** The text that a page should not be much longer than. */
const pageTextMax = 1024 * 1024;
/** After which a reader whose connection broke comes back. */
const reconnectMs = 1_000;

const runSchema = z.strictObject({
  workflowId: z.string().transform((text): string => parseWorkflowId(text)),
  runId: z
    .string()
    .transform((text): string => parseRunId(text))
    .exactOptional(),
  fromSeq: z
    .number()
    .int()
    .min(1)
    .default(1)
    .meta({ description: "The first event wanted. The header `Last-Event-ID` goes before it." }),
});
const feedSchema = z.strictObject(feedFields);

export const streamForms = {
  run: z.toJSONSchema(runSchema, { io: "input" }) as JsonSchema,
  feed: z.toJSONSchema(feedSchema, { io: "input" }) as JsonSchema,
};

export interface StreamEntry {
  /** Where to come back to: behind this one. */
  readonly cursor: string;
  readonly type: string;
  /** JSON. */
  readonly text: string;
  /** Of a run's event. */
  readonly seq?: number;
}

export interface StreamPage {
  readonly entries: readonly StreamEntry[];
  readonly isEnd: boolean;
  /** When it was read there was nothing behind it. */
  readonly isAtHead: boolean;
  /** When its last event was recorded. */
  readonly latestAt: number | undefined;
}

/** Whose events are wanted, and from where on: fields as they come, before they are checked. */
export interface StreamRequest {
  readonly kind: keyof typeof streamForms;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What an address asks for: the fields of its path and of its query string, and where the reader was. */
export function toStreamRequest(of: {
  readonly kind: StreamRequest["kind"];
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly lastEventId: string | undefined;
}): StreamRequest {
  const { kind, lastEventId: last } = of;
  const fields = { ...readQuery(of.query, streamForms[kind]), ...of.params };
  if (last === undefined || last === "") return { kind, fields };
  if (kind === "feed") return { kind, fields: { ...fields, after: last } };
  const seq = /^\d+$/.test(last) ? Number(last) : Number.NaN;
  if (!Number.isSafeInteger(seq)) {
    throw new AionError("invalid_argument", "`Last-Event-ID` must be the `id` of an event of this stream");
  }
  return { kind, fields: { ...fields, fromSeq: seq + 1 } };
}

/**
 * Pages of events, without a gap and without a double; of a run until it has ended, of the feed without end. An empty page when
 * nothing has happened for a while. The next page is read when it is asked for: who reads slowly costs one page.
 * Errors: `invalid_argument`, and those of `Service.history` or `Service.feed`.
 */
export function pagesOf(
  service: Service,
  { kind, fields }: StreamRequest,
  abortSignal: AbortSignal,
  meter?: HttpMeter,
): AsyncGenerator<StreamPage, void, undefined> {
  const pages =
    kind === "run" ? runPages(service, fields, abortSignal) : feedPages(service, fields, abortSignal);
  return meter === undefined ? pages : meteredPages(pages, { meter, kind });
}

/** A page is taken when the next one is asked for. Who is refused before he has asked for the first one is no reader. */
async function* meteredPages(
  pages: AsyncGenerator<StreamPage, void, undefined>,
  { meter, kind }: { readonly meter: HttpMeter; readonly kind: StreamRequest["kind"] },
): AsyncGenerator<StreamPage, void, undefined> {
  const reader = meter.reader(kind);
  try {
    for await (const page of pages) {
      reader.offered();
      yield page;
      reader.taken({ ...page, count: page.entries.length });
    }
  } finally {
    reader.gone();
  }
}

async function* runPages(
  service: Service,
  fields: StreamRequest["fields"],
  abortSignal: AbortSignal,
): AsyncGenerator<StreamPage, void, undefined> {
  const { fromSeq, ...address } = parseRequest(runSchema, fields, "events");
  let next = fromSeq;
  let waitMs = 0;
  let limit = eventsPerPageFirst;
  while (!abortSignal.aborted) {
    const request = { ...address, fromSeq: next, limit, waitMs };
    const page = await orAborted(service.history(request, { abortSignal }), abortSignal);
    if (page === undefined) return;
    if (next === fromSeq && page.events.length === 0) await demandSeen(service, address, fromSeq - 1);
    const entries = page.events.map((event) => ({
      cursor: String(event.seq),
      type: event.type,
      text: JSON.stringify(eventToJson(event)),
      seq: event.seq,
    }));
    const isAtHead = page.events.length < limit;
    limit = nextLimit(limit, entries);
    yield { entries, isEnd: page.isEnd, isAtHead, latestAt: page.events.at(-1)?.recordedAt };
    if (page.isEnd) return;
    next = page.nextSeq;
    waitMs = page.events.length > 0 ? 0 : waitMsMax;
  }
}

/**
 * Who has seen an event that is not there was following another history: of an id that was begun anew, or of a store that has been
 * put back since. What comes under the numbers that he has seen would pass him by.
 */
async function demandSeen(service: Service, address: RunAddress, seq: number): Promise<void> {
  if (seq === 0) return;
  const { events } = await service.history({ ...address, fromSeq: seq, limit: 1 });
  if (events.length > 0) return;
  throw new AionError("cursor_expired", `workflow ${address.workflowId} has no event ${seq}`, {
    hint: "It is not the history that was followed before: its store was put back, or its id was begun anew. Follow it from its beginning.",
  });
}

/** More at a time for as long as they are small; what follows large ones is likely to be large. */
function nextLimit(limit: number, entries: readonly StreamEntry[]): number {
  const length = entries.reduce((sum, { text }) => sum + text.length, 0);
  if (length > pageTextMax) return Math.max(1, Math.floor((limit * pageTextMax) / length));
  return length < pageTextMax / 4 ? Math.min(2 * limit, eventsPerPageMax) : limit;
}

// The service bounds a page of the feed by the text in it.
async function* feedPages(
  service: Service,
  fields: StreamRequest["fields"],
  abortSignal: AbortSignal,
): AsyncGenerator<StreamPage, void, undefined> {
  const { after, ...filter } = parseRequest(feedSchema, fields, "events");
  let next = after ?? "";
  let waitMs = 0;
  while (!abortSignal.aborted) {
    const request = { after: next, limit: eventsPerPageMax, waitMs, ...toFeedFilter(filter) };
    const page = await orAborted(service.feed(request, { abortSignal }), abortSignal);
    if (page === undefined) return;
    const entries = page.events.map((event) => ({
      cursor: event.cursor,
      type: event.event?.type ?? "unreadable",
      text: JSON.stringify(feedEventToJson(event)),
    }));
    const latestAt = page.events.at(-1)?.event?.recordedAt;
    yield { entries, isEnd: false, isAtHead: page.isAtHead, latestAt };
    next = page.nextCursor;
    waitMs = page.isAtHead ? waitMsMax : 0;
  }
}

function orAborted<Result>(call: Promise<Result>, abortSignal: AbortSignal): Promise<Result | undefined> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(undefined);
    if (abortSignal.aborted) onAbort();
    abortSignal.addEventListener("abort", onAbort, { once: true });
    call.then(resolve, reject).finally(() => abortSignal.removeEventListener("abort", onAbort));
  });
}

/**
 * The events as server-sent events: `id` is the cursor (of a run: the seq), `event` the type, `data` the event. A reader comes back
 * with `Last-Event-ID` and goes on behind it. Ends with `event: end` when the run has ended, or with `event: failed` and the error.
 * Errors of the first page are answers: `run_not_found`, `invalid_argument`, `cursor_expired`, …
 */
export async function streamEvents(
  service: Service,
  request: StreamRequest,
  of: {
    readonly abortSignal: AbortSignal;
    readonly meter?: HttpMeter | undefined;
    /** Counts it among those that are open. */
    readonly count?: (pages: AsyncGenerator<StreamPage, void, undefined>) => typeof pages;
  },
): Promise<Response> {
  const gone = new AbortController();
  const abortSignal = AbortSignal.any([of.abortSignal, gone.signal]);
  const read = pagesOf(service, request, abortSignal, of.meter);
  const pages = of.count?.(read) ?? read;
  let page = await pages.next();
  const encoder = new TextEncoder();
  let isFirst = true;
  const body = new ReadableStream<Uint8Array>(
    {
      // Asked for only when what was given before has been taken.
      async pull(controller) {
        let text = isFirst ? `retry: ${reconnectMs}\n\n` : "";
        try {
          if (!isFirst) page = await pages.next();
          isFirst = false;
          if (page.done === true) {
            // Whoever drains or goes away is not at the end of the run.
            if (!abortSignal.aborted) text += "event: end\ndata: {}\n\n";
            else if (isAionError(abortSignal.reason))
              text += `event: failed\ndata: ${errorToJson(abortSignal.reason)}\n\n`;
            controller.enqueue(encoder.encode(text));
            controller.close();
            return;
          }
          for (const { cursor, type, text: json } of page.value.entries) {
            text += `id: ${cursor}\nevent: ${type}\ndata: ${json}\n\n`;
          }
          if (page.value.entries.length === 0) text += ": nothing new\n\n";
        } catch (reason) {
          controller.enqueue(
            encoder.encode(`${text}event: failed\ndata: ${errorToJson(toAionError(reason))}\n\n`),
          );
          controller.close();
          return;
        }
        controller.enqueue(encoder.encode(text));
      },
      async cancel() {
        gone.abort();
        await pages.return();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      // For proxies that would hold answers back.
      "x-accel-buffering": "no",
    },
  });
}
