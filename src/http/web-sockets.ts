import type { IncomingMessage } from "node:http";
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { apiPrefix, streamPaths } from "../client/routes.ts";
import { AionError } from "../core/errors.ts";
import { underAdmission, whyEnded } from "./admission.ts";
import type { Admission, Asked } from "./admission.ts";
import type { AppOptions } from "./app.ts";
import { errorHeaders, errorToJson, statusOf, toAionError } from "./errors.ts";
import { pagesOf, toStreamRequest } from "./event-stream.ts";
import { peerOf } from "./peer.ts";

/** What a reader of events may send: nothing that is looked at. */
const messageBytesMax = 1_024;
const pingMs = 30_000;
/** Pages that are being told why they are refused, at once; more are refused as programs are. */
const refusedMax = 100;
/** How long one of them may take to hang up. */
const refusedMs = 2_000;
/** Added to the status that the refusal has over HTTP: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.2 */
const closeCodeBase = 4_000;

const patterns = Object.entries(streamPaths).map(([kind, path]) => ({
  kind: kind as keyof typeof streamPaths,
  pattern: new RegExp(`^${apiPrefix}(?<namespace>[^/]+)${path.replaceAll(/\{(\w+)\}/g, "(?<$1>[^/]+)")}$`),
}));

/**
 * Streams of events over WebSockets: one text message for each event, `{"cursor", "event", …}`; at the end
 * `{"end": true}`, or `{"error": …}`. A reader comes back with `fromSeq` = the last cursor + 1, or with `after` = the last cursor.
 *
 * A message is written when the one before has left the process: who reads slowly costs one page.
 */
export class WebSockets {
  readonly #options: AppOptions;
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: messageBytesMax,
    clientTracking: true,
  });
  readonly #underWay = new Set<Promise<void>>();
  #refusedCount = 0;

  constructor(options: AppOptions) {
    this.#options = options;
  }

  /**
   * Errors (`endpoint_unknown`, `run_not_found`, and what stands against the caller) are answers of HTTP. A web page cannot read those:
   * one that may read answers of this server gets a WebSocket that tells the error and is closed with 4000 and the status.
   */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => socket.destroy());
    const { httpMeter } = this.#options;
    const since = httpMeter?.now() ?? 0;
    let isAdmitted = false;
    try {
      const url = URL.parse(request.url ?? "/", "http://localhost");
      if (url === null) throw new AionError("invalid_argument", "the address is no valid URL");
      const { kind, namespace, params } = addressOf(url.pathname);
      const headers = new Headers();
      for (const [name, value] of Object.entries(request.headers)) {
        if (typeof value === "string") headers.set(name, value);
      }
      const { host = "" } = request.headers;
      const asked: Asked = { operation: "events", namespace, host, headers, peer: peerOf(socket) };
      await underAdmission(this.#options.admit, asked, async ({ admission }) => {
        isAdmitted = true;
        const service = this.#options.serviceOf(namespace);
        const of = toStreamRequest({ kind, params, query: url.searchParams, lastEventId: undefined });
        const gone = new AbortController();
        const over = admission.ends === undefined ? [] : [admission.ends];
        const ends = AbortSignal.any([gone.signal, this.#options.closing, ...over]);
        const pages = this.#options.streams.counted(asked, admission, pagesOf(service, of, ends, httpMeter));
        let isTaken = false;
        const first = await pages.next();
        this.#server.handleUpgrade(request, socket, head, (webSocket) => {
          isTaken = true;
          const sent = this.#send(webSocket, { first, pages, gone, admission }).finally(() =>
            this.#underWay.delete(sent),
          );
          this.#underWay.add(sent);
        });
        if (isTaken) return;
        // Its caller has gone: nobody else would end it.
        gone.abort();
        await pages.return();
      });
      httpMeter?.answered("websocket", "events", since);
    } catch (reason) {
      httpMeter?.answered("websocket", "events", since, reason);
      const error = toAionError(reason);
      const isPage = request.headers.origin !== undefined;
      if (isPage && (isAdmitted || this.#mayRead(request))) this.#tell(request, socket, head, error);
      else refuse(socket, error);
    }
  }

  /** Whether the page comes from this server, or from where the settings say. */
  #mayRead({ headers: { origin = "", host } }: IncomingMessage): boolean {
    return this.#options.origins?.includes(origin) === true || URL.parse(origin)?.host === host;
  }

  #tell(request: IncomingMessage, socket: Duplex, head: Buffer, error: AionError): void {
    if (this.#refusedCount >= refusedMax) {
      refuse(socket, error);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      this.#refusedCount += 1;
      const timer = setTimeout(() => webSocket.terminate(), refusedMs).unref();
      webSocket.on("error", () => webSocket.terminate());
      webSocket.on("close", () => {
        clearTimeout(timer);
        this.#refusedCount -= 1;
      });
      webSocket.send(errorToJson(error));
      webSocket.close(closeCodeBase + statusOf(error.code), error.code);
    });
  }

  async #send(
    webSocket: WebSocket,
    of: {
      readonly first: Awaited<ReturnType<ReturnType<typeof pagesOf>["next"]>>;
      readonly pages: ReturnType<typeof pagesOf>;
      readonly gone: AbortController;
      readonly admission: Admission;
    },
  ): Promise<void> {
    const { first, pages, gone, admission } = of;
    webSocket.on("error", () => webSocket.terminate());
    webSocket.on("close", () => gone.abort());
    const watch = watchPulse(webSocket);
    try {
      for (let page = first; page.done !== true; page = await pages.next()) {
        for (const { text, seq } of page.value.entries) {
          await write(webSocket, seq === undefined ? text : `{"cursor":${seq},"event":${text}}`);
        }
        if (page.value.isEnd) await write(webSocket, JSON.stringify({ end: true }));
      }
      const why = whyEnded(admission);
      if (why !== undefined) throw why;
      webSocket.close(this.#options.closing.aborted ? 1001 : 1000);
    } catch (reason) {
      if (webSocket.readyState !== webSocket.OPEN) return;
      await write(webSocket, errorToJson(toAionError(reason))).catch(() => undefined);
      // Not as when something went wrong: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
      webSocket.close(whyEnded(admission) === undefined ? 1011 : 1008);
    } finally {
      clearInterval(watch);
      await pages.return();
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  cut(): void {
    for (const webSocket of this.#server.clients) webSocket.terminate();
  }
}

/** A reader that answers no ping is not there any more. */
function watchPulse(webSocket: WebSocket): NodeJS.Timeout {
  let isThere = true;
  webSocket.on("pong", () => (isThere = true));
  return setInterval(() => {
    if (!isThere) webSocket.terminate();
    isThere = false;
    if (webSocket.readyState === webSocket.OPEN) webSocket.ping();
  }, pingMs).unref();
}

/** Resolves when the system has taken it. */
function write(webSocket: WebSocket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    webSocket.send(text, (error) => {
      if (error === undefined || error === null) resolve();
      else reject(error);
    });
  });
}

function refuse(socket: Duplex, error: AionError): void {
  const status = statusOf(error.code);
  const body = errorToJson(error);
  const more = Object.entries(errorHeaders(error)).map(([name, value]) => `${name}: ${value}\r\n`);
  // Whoever does not hang up would stay, and nobody knows of it any more.
  socket.once("finish", () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${more.join("")}connection: close\r\n\r\n${body}`,
  );
}

function addressOf(pathname: string): {
  readonly kind: keyof typeof streamPaths;
  readonly namespace: string;
  readonly params: Readonly<Record<string, string>>;
} {
  for (const { kind, pattern } of patterns) {
    const groups = pattern.exec(pathname)?.groups;
    if (groups === undefined) continue;
    const [namespace, ...rest] = Object.entries(groups).map(([name, text]) => [name, decode(text)] as const);
    return { kind, namespace: namespace?.[1] ?? "", params: Object.fromEntries(rest) };
  }
  throw new AionError("endpoint_unknown", `there is no stream at ${pathname.slice(0, 200)}`);
}

function decode(text: string | undefined): string {
  try {
    return decodeURIComponent(text ?? "");
  } catch (error) {
    throw new AionError("invalid_argument", "the address is no valid URL", { cause: error });
  }
}
