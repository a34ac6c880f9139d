/** Streams of events: gap-free and duplicate-free wherever they break, and bounded for whoever reads slowly. */
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { HistoryRequest, Service } from "../../src/client/service.ts";
import { WebSocket as PageSocket } from "ws";
import { AionError } from "../../src/core/errors.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import type { Event } from "../../src/core/event.ts";
import { toPayload } from "../../src/core/payload.ts";
import { errorOf, events, readEvents, serve, under } from "./serve.ts";
import type { SentEvent } from "./serve.ts";

/** A history that grows while it is read. */
function growing(all: readonly Event[]): {
  readonly history: Service["history"];
  readonly asked: HistoryRequest[];
  push(event: Event): void;
  end(): void;
} {
  const known = [...all];
  const asked: HistoryRequest[] = [];
  let isEnded = false;
  let wake = Promise.withResolvers<void>();
  const change = (): void => {
    wake.resolve();
    wake = Promise.withResolvers();
  };
  return {
    asked,
    history: async (request) => {
      asked.push(request);
      const page = (): Event[] => known.filter(({ seq }) => seq >= request.fromSeq).slice(0, request.limit);
      if (page().length === 0 && !isEnded && (request.waitMs ?? 0) > 0) await wake.promise;
      const found = page();
      const nextSeq = (found.at(-1)?.seq ?? request.fromSeq - 1) + 1;
      return { events: found, nextSeq, isEnd: isEnded && nextSeq > known.length };
    },
    push: (event) => {
      known.push(event);
      change();
    },
    end: () => {
      isEnded = true;
      change();
    },
  };
}

const fired = (seq: number, text = ""): Event =>
  ({
    type: "SignalReceived",
    name: "s",
    payload: toPayload(text, "p"),
    seq,
    recordedAt: seq,
    workflowId: "a",
  }) as unknown as Event;

describe("server-sent events", () => {
  it("are the events as they come, and end with the run", async () => {
    const source = growing(events);
    const { url } = await serve({ history: source.history });
    const response = await fetch(under(url, "/workflows/a/events"));
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    const read: SentEvent[] = [];
    for await (const sent of readEvents(response)) {
      read.push(sent);
      if (sent.id === "7") source.push(fired(8));
      if (sent.id === "8") source.end();
    }
    expect(read.map(({ id, event }) => [id, event])).toEqual([
      ...events.map(({ seq, type }) => [String(seq), type]),
      ["8", "SignalReceived"],
      [undefined, "end"],
    ]);
    // As whoever reads JSON has it.
    expect(read[1]?.data).toMatchObject({ type: "ActivityScheduled", input: { amount: 5 } });
  });

  // C-13
  it("go on behind the last one that was seen, wherever the connection broke", async () => {
    const source = growing(Array.from({ length: 350 }, (_, index) => fired(index + 1)));
    source.end();
    const { url } = await serve({ history: source.history });
    const seen: string[] = [];
    let resumed = 0;
    for (let last = ""; last !== "350"; resumed += 1) {
      const response = await fetch(under(url, "/workflows/a/events"), {
        headers: last === "" ? {} : { "last-event-id": last },
      });
      for await (const { id } of readEvents(response)) {
        if (id === undefined) continue;
        seen.push(id);
        last = id;
        // Leaving the loop breaks the connection.
        if (seen.length % 37 === 0) break;
      }
    }
    expect(seen).toEqual(Array.from({ length: 350 }, (_, index) => String(index + 1)));
    expect(resumed).toBeGreaterThan(5);
  });

  it.each(["0x10", "1e1", "-1", "1.0", "next", "9007199254740993"])(
    "do not go on behind %j, which is no id of theirs",
    async (last) => {
      const { url } = await serve({});
      const response = await fetch(under(url, "/workflows/a/events"), { headers: { "last-event-id": last } });
      expect(await errorOf(response)).toMatchObject({ status: 400, code: "invalid_argument" });
    },
  );

  it("of a run that is not there are an error, not a stream", async () => {
    const { url } = await serve({
      history: async () => {
        throw new AionError("run_not_found", "there is no workflow a");
      },
    });
    expect(await errorOf(await fetch(under(url, "/workflows/a/events")))).toMatchObject({
      status: 404,
      code: "run_not_found",
    });
  });

  it("of a reader who has seen more than there is are refused: he was following another history", async () => {
    const source = growing([1, 2, 3].map((seq) => fired(seq)));
    const { url } = await serve({ history: source.history });
    for (const headers of [{ "Last-Event-ID": "4" }, { "Last-Event-ID": "900" }]) {
      const response = await fetch(under(url, "/workflows/a/events"), { headers });
      expect(response.status).toBe(409);
      expect(await errorOf(response)).toMatchObject({ code: "cursor_expired" });
    }
    source.end();
    // Behind the last event there is nothing to miss, whether the run goes on or has ended.
    const response = await fetch(under(url, "/workflows/a/events"), { headers: { "Last-Event-ID": "3" } });
    expect(await response.text()).toContain("event: end");
  });

  it("end with the error that ends them", async () => {
    let calls = 0;
    const { url } = await serve({
      history: async () => {
        calls += 1;
        if (calls > 1) throw new AionError("not_owner", "another engine took over");
        return { events: [fired(1)], nextSeq: 2, isEnd: false };
      },
    });
    const read: SentEvent[] = [];
    for await (const sent of readEvents(await fetch(under(url, "/workflows/a/events")))) read.push(sent);
    expect(read.at(-1)).toMatchObject({ event: "failed", data: { error: { code: "not_owner" } } });
  });

  // I-55
  it("are read no faster than they are taken", async () => {
    const source = growing(Array.from({ length: 20_000 }, (_, index) => fired(index + 1, "x".repeat(1_500))));
    source.end();
    const { url } = await serve({ history: source.history });
    const response = await fetch(under(url, "/workflows/a/events"));
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    await delay(300);
    // Buffers of sockets are some megabytes; all of it would be thirty.
    const asked = source.asked.length;
    expect(asked).toBeLessThan(120);
    expect(Math.max(...source.asked.map(({ limit }) => limit))).toBe(100);
    await delay(200);
    expect(source.asked.length).toBe(asked);
    await reader.cancel();
  });

  it("that are large are read few at a time", async () => {
    const source = growing(Array.from({ length: 60 }, (_, index) => fired(index + 1, "x".repeat(500_000))));
    source.end();
    const { url } = await serve({ history: source.history });
    let count = 0;
    for await (const { id } of readEvents(await fetch(under(url, "/workflows/a/events"))))
      if (id !== undefined) count += 1;
    expect(count).toBe(60);
    const [first, ...later] = source.asked.map(({ limit }) => limit);
    expect(first).toBe(10);
    expect(Math.max(...later)).toBeLessThanOrEqual(2);
  });

  it("end when the server closes, with nothing that looks like the end of the run", async () => {
    const source = growing([fired(1)]);
    const { url, close } = await serve({ history: source.history });
    const read: SentEvent[] = [];
    let closed: Promise<void> | undefined;
    for await (const sent of readEvents(await fetch(under(url, "/workflows/a/events")))) {
      read.push(sent);
      closed = close();
    }
    await closed;
    expect(read.map(({ event }) => event)).toEqual(["SignalReceived"]);
  });
});

describe("events over a WebSocket", () => {
  async function readAll(
    url: string,
    onMessage: (
      message: { cursor?: number; end?: true; error?: { code: string } },
      socket: WebSocket,
    ) => void,
  ): Promise<number> {
    const socket = new WebSocket(url.replace("http:", "ws:"));
    socket.addEventListener("message", ({ data }) => onMessage(JSON.parse(String(data)) as never, socket));
    return await new Promise((resolve) => {
      socket.addEventListener("close", ({ code }) => resolve(code));
      socket.addEventListener("error", () => resolve(-1));
    });
  }

  it("are the same, each with its cursor", async () => {
    const source = growing(events);
    const { url } = await serve({ history: source.history });
    const cursors: unknown[] = [];
    const code = await readAll(under(url, "/workflows/a/events?fromSeq=3"), (message) => {
      cursors.push(message.cursor ?? message);
      if (message.cursor === 7) source.end();
    });
    expect(cursors).toEqual([3, 4, 5, 6, 7, { end: true }]);
    expect(code).toBe(1000);
  });

  it("go on behind the last cursor", async () => {
    const source = growing(Array.from({ length: 300 }, (_, index) => fired(index + 1)));
    source.end();
    const { url } = await serve({ history: source.history });
    const seen: number[] = [];
    while (seen.length < 300) {
      const next = (seen.at(-1) ?? 0) + 1;
      await readAll(under(url, `/workflows/a/events?fromSeq=${next}`), ({ cursor }, socket) => {
        if (socket.readyState !== socket.OPEN) return;
        if (cursor !== undefined) seen.push(cursor);
        if (seen.length % 41 === 0) socket.close();
      });
    }
    expect(seen).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
  });

  it("of a run that is not there are refused", async () => {
    const { url } = await serve({
      history: async () => {
        throw new AionError("run_not_found", "there is no workflow a");
      },
    });
    expect(await readAll(under(url, "/workflows/a/events"), () => undefined)).not.toBe(1000);
  });

  describe("refused to a web page", () => {
    /** What a page would see: what is said, and how it is closed. A program sees the answer of HTTP. */
    async function visit(url: string, origin: string | undefined): Promise<readonly unknown[]> {
      const socket = new PageSocket(url.replace("http:", "ws:"), origin === undefined ? {} : { origin });
      const seen: unknown[] = [];
      socket.on("message", (data: Buffer) => seen.push(JSON.parse(data.toString())));
      return await new Promise((resolve) => {
        socket.on("close", (code, reason) => resolve([...seen, code, reason.toString()]));
        socket.on("unexpected-response", (_request, response) => {
          resolve([response.statusCode]);
          response.resume();
        });
        socket.on("error", () => undefined);
      });
    }
    const refusing = (code: ErrorCode) => ({
      admit: async (): Promise<never> => {
        throw new AionError(code, "no");
      },
    });

    it("tell it why, and are closed", async () => {
      const { url } = await serve({
        history: async () => {
          throw new AionError("run_not_found", "there is no workflow a");
        },
      });
      const path = under(url, "/workflows/a/events");
      expect(await visit(path, "http://elsewhere.example")).toEqual([
        {
          error: expect.objectContaining({
            code: "run_not_found",
            hint: expect.any(String) as string,
          }) as unknown,
        },
        4_404,
        "run_not_found",
      ]);
      expect(await visit(path, undefined)).toEqual([404]);
      expect(await visit(under(url, "/nothing"), url)).toMatchObject([
        { error: { code: "endpoint_unknown" } },
        4_404,
        "endpoint_unknown",
      ]);
    });

    it("tell it who it is not, if it may read answers; a page of somebody else learns nothing", async () => {
      const pages = "https://pages.example";
      const { url } = await serve({}, { ...refusing("unauthenticated"), origins: [pages] });
      const path = under(url, "/events");
      for (const origin of [pages, url]) {
        expect(await visit(path, origin)).toMatchObject([
          { error: { code: "unauthenticated" } },
          4_401,
          "unauthenticated",
        ]);
      }
      for (const origin of ["https://elsewhere.example", "null", undefined])
        expect(await visit(path, origin)).toEqual([401]);
    });

    it("hold nothing open, however many do not hang up", async () => {
      const { url, server } = await serve({}, refusing("unauthenticated"));
      const { host, port, hostname } = new URL(url);
      const handshake =
        `GET /v1/namespaces/default/events HTTP/1.1\r\nhost: ${host}\r\norigin: ${url}\r\nupgrade: websocket\r\n` +
        "connection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
      const statuses = await Promise.all(
        Array.from({ length: 150 }, async () => {
          const socket = connect(Number(port), hostname);
          socket.on("error", () => undefined);
          socket.write(handshake);
          const [first] = (await once(socket, "data")) as [Buffer];
          return first.toString().slice(9, 12);
        }),
      );
      // Beyond so many that are being told at once they are refused as programs are.
      expect(statuses.filter((status) => status === "101").length).toBe(100);
      expect(statuses.filter((status) => status === "401").length).toBe(50);
      const openCount = (): Promise<number> =>
        new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
      await expect.poll(openCount).toBe(0);
    });
  });

  it("end when the server closes", async () => {
    const source = growing([fired(1)]);
    const { url, close } = await serve({ history: source.history });
    let closed: Promise<void> | undefined;
    const code = await readAll(under(url, "/workflows/a/events"), () => {
      closed = close();
    });
    await closed;
    expect(code).toBe(1001);
  });

  it("from a reader that sends too much end", async () => {
    const source = growing([fired(1)]);
    const { url } = await serve({ history: source.history });
    const code = await readAll(under(url, "/workflows/a/events"), (_message, socket) =>
      socket.send("x".repeat(5_000)),
    );
    expect(code).toBe(1009);
  });
});
