import { constants, Http2ServerResponse } from "node:http2";
import type { Log } from "../core/ports.ts";
import type { NodeResponse } from "./rpc.ts";

const lookMs = 250;

/**
 * Answers that their callers have not taken yet. Owner: whoever answers.
 *
 * Law: together they hold no more than so many bytes, but for what is written between two looks. Beyond that the largest are cut off, of those
 * that were there at the look before: so nobody is cut off who takes his at once.
 */
export class UnreadAnswers {
  readonly #maxBytes: number;
  readonly #log: Log | undefined;
  readonly #responses = new Set<NodeResponse>();
  #before = new Set<NodeResponse>();
  #timer: NodeJS.Timeout | undefined;

  constructor(maxBytes: number, log: Log | undefined) {
    this.#maxBytes = maxBytes;
    this.#log = log;
  }

  add(response: NodeResponse): void {
    this.#responses.add(response);
    response.once("close", () => {
      this.#responses.delete(response);
      if (this.#responses.size === 0) this.close();
    });
    this.#timer ??= setInterval(() => this.#look(), lookMs).unref();
  }

  #look(): void {
    let sum = 0;
    for (const response of this.#responses) sum += bytesIn(response);
    const before = this.#before;
    this.#before = new Set();
    // Of very many that are open it is mostly nothing that has to be told.
    if (sum <= this.#maxBytes / 2) return;
    const held = [...this.#responses]
      .map((response) => ({ response, bytes: bytesIn(response) }))
      .filter(({ bytes }) => bytes > 0);
    for (const { response } of held) this.#before.add(response);
    if (sum <= this.#maxBytes) return;
    const late = held.filter(({ response }) => before.has(response));
    let cutCount = 0;
    for (const { response, bytes } of late.toSorted((left, right) => right.bytes - left.bytes)) {
      if (sum <= this.#maxBytes) break;
      cut(response);
      sum -= bytes;
      cutCount += 1;
    }
    if (cutCount > 0)
      this.#log?.("warn", "answers that were not taken were cut off", { count: cutCount, bytesLeft: sum });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#before.clear();
  }
}

function bytesIn(response: NodeResponse): number {
  if (!(response instanceof Http2ServerResponse)) return response.writableLength;
  // Of one that is over there is no stream any more.
  const stream = response.stream as Http2ServerResponse["stream"] | undefined;
  return stream?.writableLength ?? 0;
}

function cut(response: NodeResponse): void {
  // By an end without an error Node would keep it until it has been taken.
  if (response instanceof Http2ServerResponse) response.stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  else response.destroy();
}
