import { callsMax } from "../client/routes.ts";
import { AionError } from "../core/errors.ts";
import { packageBytesMax } from "../core/package-version.ts";
import type { Asked, Admission } from "./admission.ts";

/** What one request, and one caller, may take. */
export interface HttpLimits {
  /** Bytes of the archive of a package. */
  readonly packageBytes: number;
  /** Bytes of the body of any other request. */
  readonly requestBytes: number;
  /** Calls in one request. */
  readonly callsPerRequest: number;
  /** Streams of events that one caller has open at once. */
  readonly streamsPerCaller: number;
  /** Calls under way at once over one connection of HTTP/2. */
  readonly callsPerConnection: number;
  /** Bytes of all answers together that their callers have not taken. */
  readonly unreadAnswersBytes: number;
}

const streamsPerCallerDefault = 1_000;
const callsPerConnectionDefault = 1_000;
const unreadAnswersBytesDefault = 256 * 1024 * 1024;

/** JSON may be written twice as long as it must be; a request has two payloads at most, and little else. */
export function httpLimits(payloadLimitBytes: number, given: Partial<HttpLimits> = {}): HttpLimits {
  return {
    packageBytes: given.packageBytes ?? packageBytesMax,
    requestBytes: given.requestBytes ?? 4 * payloadLimitBytes + 64 * 1024,
    callsPerRequest: given.callsPerRequest ?? callsMax,
    streamsPerCaller: given.streamsPerCaller ?? streamsPerCallerDefault,
    callsPerConnection: given.callsPerConnection ?? callsPerConnectionDefault,
    unreadAnswersBytes: given.unreadAnswersBytes ?? unreadAnswersBytesDefault,
  };
}

/**
 * Counts the streams that are open, by who reads them: whoever has shown who he is by that, others by their address. Owner: one server.
 */
export class OpenStreams {
  readonly #max: number;
  readonly #counts = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Begins when its first page is asked for, and counts until it is over. Error: `too_many_streams`. */
  async *counted<Page>(
    { peer }: Pick<Asked, "peer">,
    { subject }: Admission,
    pages: AsyncGenerator<Page, void, undefined>,
  ): AsyncGenerator<Page, void, undefined> {
    const caller = subject === undefined ? `address ${peer.address}` : `subject ${subject}`;
    const count = this.#counts.get(caller) ?? 0;
    if (count >= this.#max) {
      throw new AionError(
        "too_many_streams",
        `the caller has ${count} streams open, and may have ${this.#max}`,
        {
          details: { count, max: this.#max },
        },
      );
    }
    this.#counts.set(caller, count + 1);
    try {
      yield* pages;
    } finally {
      const left = (this.#counts.get(caller) ?? 1) - 1;
      if (left === 0) this.#counts.delete(caller);
      else this.#counts.set(caller, left);
    }
  }
}
