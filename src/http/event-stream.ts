import { z } from "zod";
import { eventToJson } from "../client/json-form.ts";
import { waitMsMax } from "../client/routes.ts";
import type { HistoryReply, Service } from "../client/service.ts";
import { AionError } from "../core/errors.ts";
import { parseRunId, parseWorkflowId } from "../core/ids.ts";
import { errorToJson, toAionError } from "./errors.ts";
import { readQuery } from "./operations.ts";
import type { JsonSchema } from "./operations.ts";
import { parseRequest } from "./requests.ts";

/** How many events are read at a time, and so are in memory for a reader who takes none. */
const eventsPerPage = 100;
/** After which a reader whose connection broke comes back. */
const reconnectMs = 1_000;

const streamSchema = z.strictObject({
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
export const streamForm = z.toJSONSchema(streamSchema, { io: "input" }) as JsonSchema;

/** Who wants which events of which run. */
export type StreamRequest = z.output<typeof streamSchema>;

/** Errors: `invalid_argument`. */
export function parseStream(request: object): StreamRequest {
  return parseRequest(streamSchema, request, "events");
}

/** Errors: `invalid_argument`. */
export function parseStreamRequest(of: {
  readonly workflowId: string;
  readonly query: URLSearchParams;
  readonly lastEventId: string | undefined;
}): StreamRequest {
  const parsed = parseStream({ ...readQuery(of.query, streamForm), workflowId: of.workflowId });
  if (of.lastEventId === undefined || of.lastEventId === "") return parsed;
  const last = Number(of.lastEventId);
  if (!Number.isSafeInteger(last) || last < 0) {
    throw new AionError("invalid_argument", "`Last-Event-ID` must be the `id` of an event of this stream");
  }
  return { ...parsed, fromSeq: last + 1 };
}

/**
 * Pages of events from `fromSeq`, without a gap and without a double, until the run has ended; an empty one when nothing has
 * happened for a while. The next page is read when it is asked for: who reads slowly costs one page.
 */
export async function* pagesOf(
  service: Service,
  { fromSeq, ...address }: StreamRequest,
  abortSignal: AbortSignal,
): AsyncGenerator<HistoryReply, void, undefined> {
  let next = fromSeq;
  let waitMs = 0;
  while (!abortSignal.aborted) {
    const page = await orAborted(
      service.history({ ...address, fromSeq: next, limit: eventsPerPage, waitMs }, { abortSignal }),
      abortSignal,
    );
    if (page === undefined) return;
    yield page;
    if (page.isEnd) return;
    next = page.nextSeq;
    waitMs = page.events.length > 0 ? 0 : waitMsMax;
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
 * The events as server-sent events: `id` is the seq, `event` the type, `data` the event. A reader comes back with
 * `Last-Event-ID` and goes on behind it. Ends with `event: end` when the run has ended, or with `event: failed` and the error.
 * Errors of the first page are answers: `run_not_found`, `invalid_argument`.
 */
export async function streamEvents(
  service: Service,
  of: {
    readonly workflowId: string;
    readonly query: URLSearchParams;
    readonly lastEventId: string | undefined;
    readonly abortSignal: AbortSignal;
  },
): Promise<Response> {
  const gone = new AbortController();
  const abortSignal = AbortSignal.any([of.abortSignal, gone.signal]);
  const pages = pagesOf(service, parseStreamRequest(of), abortSignal);
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
            controller.enqueue(encoder.encode(text));
            controller.close();
            return;
          }
          for (const event of page.value.events) {
            text += `id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(eventToJson(event))}\n\n`;
          }
          if (page.value.events.length === 0) text += ": nothing new\n\n";
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
