/** The API over HTTP, as our client and as others meet it. */
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { fetchSend } from "../../src/client/fetch-send.ts";
import { HttpService } from "../../src/client/http-service.ts";
import type { ResultReply } from "../../src/client/service.ts";
import { AionError, errorTable } from "../../src/core/errors.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import { nullPayload, toPayload } from "../../src/core/payload.ts";
import { closers, errorOf, events, failure, input, listen, serve, under } from "./serve.ts";

/** Something else that listens there. */
async function listenRaw(onConnection: (socket: Socket) => void): Promise<HttpService> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    onConnection(socket);
  });
  const url = await listen(server);
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return new HttpService({ send: fetchSend({ url }) });
}

const run = {
  workflowId: "order 1/é?#%",
  runId: "r1",
  workflowType: "fulfil",
  version: "inline",
  status: "running",
  startedAt: 1,
  historyLength: 2,
} as const;
const version = "ab".repeat(32);

describe("a call over HTTP", () => {
  it.each([
    [
      "start",
      {
        workflowType: "fulfil",
        input,
        workflowId: "order 1/é?#%",
        requestId: "q",
        reuse: "after-close",
        startDelayMs: 1,
        runTimeoutMs: 2,
        executionTimeoutMs: 3,
        signal: { name: "approval", payload: nullPayload, signalId: "s" },
      },
      { workflowId: "order 1/é?#%", runId: "r1", isNew: true },
    ],
    ["start", { workflowType: "fulfil", input }, { workflowId: "x", runId: "r1", isNew: false }],
    ["signal", { workflowId: "a", runId: "r1", name: "approval", payload: input, signalId: "s" }, undefined],
    ["query", { workflowId: "order 1/é?#%", name: "stage", input: nullPayload }, input],
    ["cancel", { workflowId: "a", reason: "no need", requestId: "c" }, undefined],
    ["terminate", { workflowId: "a", runId: "r1", requestId: "t" }, undefined],
    ["pause", { workflowId: "a", reason: "wait", requestId: "p" }, undefined],
    ["resume", { workflowId: "a", runId: "r1" }, undefined],
    ["reopen", { workflowId: "a", runId: "r1", reason: "it is back", requestId: "o" }, undefined],
    ["resumeActivity", { workflowId: "a", requestId: "q" }, { runId: "r1", ordinals: [0, 2] }],
    [
      "resumeActivity",
      {
        workflowId: "a",
        runId: "r1",
        ordinal: 0,
        outcome: "complete",
        result: input,
        reason: "by hand",
        requestId: "q",
      },
      { runId: "r1", ordinals: [0] },
    ],
    [
      "resumeActivity",
      { workflowId: "a", ordinal: 0, outcome: "complete", result: nullPayload, requestId: "q" },
      { runId: "r1", ordinals: [0] },
    ],
    [
      "resumeActivity",
      {
        workflowId: "a",
        ordinal: 3,
        activityType: "x",
        outcome: "fail",
        failure: { message: "no", type: "Gone", details: input },
        requestId: "q",
      },
      { runId: "r1", ordinals: [3] },
    ],
    [
      "feed",
      {
        after: "5.1",
        limit: 10,
        waitMs: 10,
        filter: { workflowType: "t", types: ["TimerFired", "WorkflowStarted"] },
      },
      {
        events: [
          { cursor: "6.0", workflowId: "a", runId: "r1", workflowType: "t", event: events[1] },
          {
            cursor: "6.1",
            workflowId: "a",
            runId: "r1",
            workflowType: "t",
            unreadable: { firstSeq: 2, lastSeq: 3, code: "history_corrupt", message: "damaged" },
          },
        ],
        nextCursor: "7.0",
        isAtHead: false,
      },
    ],
    ["feed", { limit: 500 }, { events: [], nextCursor: "7.0", isAtHead: true }],
    ["result", { workflowId: "a", waitMs: 0 }, { status: "completed", runId: "r1", result: input }],
    ["result", { workflowId: "a", runId: "r 1", waitMs: 5 }, { status: "failed", runId: "r1", failure }],
    ["result", { workflowId: "a", waitMs: 0 }, { status: "running", runId: "r1", blocked: "why" }],
    [
      "describe",
      { workflowId: "order 1/é?#%" },
      {
        ...run,
        input,
        failure,
        pendingActivities: [
          {
            ordinal: 0,
            activityType: "x",
            attempt: 1,
            failedCount: 0,
            state: "running",
            worker: "w",
            progress: input,
          },
        ],
        pendingTimers: [],
        pendingChildren: [],
        isCancelRequested: false,
        runs: [run],
      },
    ],
    [
      "list",
      {
        filter: { status: "failed", startedAfter: 5, isBlocked: false, workflowId: "7" },
        limit: 10,
        cursor: "7",
      },
      { runs: [run], nextCursor: "3" },
    ],
    ["count", { isBlocked: true, parentWorkflowId: "p" }, 12],
    ["history", { workflowId: "a", fromSeq: 3, limit: 20, waitMs: 10 }, { events, nextSeq: 8, isEnd: true }],
    [
      "deploy",
      { archive: Uint8Array.from([80, 75, 0, 255]), isRouted: false, requestId: "d" },
      { version, workflowTypes: ["fulfil"], isNew: true },
    ],
    [
      "listPackages",
      { workflowType: "fulfil" },
      {
        packages: [{ version, sizeBytes: 4, deployedAt: 1, workflowTypes: ["fulfil"], routedTypes: [] }],
        routes: [{ workflowType: "fulfil", version, routedAt: 2 }],
      },
    ],
    [
      "listWorkers",
      { taskQueue: "default" },
      {
        workers: [
          {
            identity: "w1",
            build: "7",
            state: "ready",
            taskQueues: ["default"],
            activityTypes: ["charge"],
            capacity: 10,
            tasksInFlight: 2,
          },
        ],
        taskQueues: [{ taskQueue: "default", waitingCount: 1, waitingSince: 5, inFlightCount: 2 }],
      },
    ],
    ["route", { workflowTypes: ["fulfil", "a/b"], version, requestId: "r" }, undefined],
    ["unload", { version, requestId: "u" }, undefined],
  ] as const)("carries %s there and its answer back", async (method, request, reply) => {
    let received: unknown;
    const { service } = await serve({
      [method]: async (asked: unknown) => {
        received = asked;
        return reply;
      },
    });
    const answer = await (service[method] as (asked: unknown) => Promise<unknown>).call(service, request);
    const plain = (value: unknown): unknown =>
      typeof value === "object" && value !== null && "archive" in value
        ? { ...value, archive: [...(value.archive as Uint8Array)] }
        : value;
    expect(plain(received)).toEqual(plain(request));
    expect(answer).toEqual(reply);
  });

  it.each(Object.keys(errorTable) as ErrorCode[])("brings back the error %s as it was", async (code) => {
    const thrown = new AionError(code, `it is ${code}`, {
      hint: "do this",
      details: { expected: 1, found: [2] },
    });
    const { url, service } = await serve({
      describe: async () => {
        throw thrown;
      },
    });
    const error: unknown = await service.describe({ workflowId: "a" }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(AionError);
    expect(error).toMatchObject({ code, message: `it is ${code}`, hint: "do this", details: thrown.details });
    const { status } = await fetch(under(url, "/workflows/a"));
    const statuses = {
      usage: 400,
      denied: 403,
      not_found: 404,
      conflict: 409,
      failed: 422,
      bug: 500,
      unavailable: 503,
    };
    const own = {
      unauthenticated: 401,
      too_many_attempts: 429,
      payload_too_large: 413,
      package_too_large: 413,
      too_many_streams: 429,
    } as Record<string, number>;
    expect(status).toBe(own[code] ?? statuses[errorTable[code].kind]);
  });

  it("brings back an error whose details are no JSON", async () => {
    const { service } = await serve({
      count: async () => {
        throw new AionError("store_full", "the disk is full", { details: { bytes: 1n } });
      },
    });
    await expect(service.count({})).rejects.toMatchObject({ code: "store_full", details: {} });
  });

  it("tells a failure that has no code as a bug, and the log of it", async () => {
    const logged: unknown[] = [];
    const { service } = await serve(
      {
        count: async () => {
          throw new TypeError("undefined is not a function");
        },
      },
      { log: (level, message, fields) => logged.push([level, message, fields?.["error"]]) },
    );
    await expect(service.count({})).rejects.toMatchObject({
      code: "internal",
      message: "undefined is not a function",
    });
    expect(logged).toEqual([["error", "a call met a bug", "undefined is not a function"]]);
  });

  it("waits longer than one request may, by asking again", async () => {
    const waits: number[] = [];
    const { service } = await serve({
      result: async ({ waitMs }): Promise<ResultReply> => {
        waits.push(waitMs);
        await delay(60);
        return { status: "running", runId: "r1" };
      },
    });
    expect(await service.result({ workflowId: "a", waitMs: 25_050 })).toEqual({
      status: "running",
      runId: "r1",
    });
    expect(waits.length).toBeGreaterThan(1);
    expect(Math.max(...waits)).toBeLessThanOrEqual(25_000);
  });

  it("waits for events by asking again, and returns with the first", async () => {
    const replies = [
      { events: [], nextSeq: 1, isEnd: false },
      { events: events.slice(0, 1), nextSeq: 2, isEnd: false },
    ];
    const { service } = await serve({ history: async () => replies.shift() as never });
    const reply = await service.history({ workflowId: "a", fromSeq: 1, limit: 5, waitMs: 3_600_000 });
    expect(reply.events).toEqual(events.slice(0, 1));
    expect(replies).toEqual([]);
  });

  it("does not wait for a blocked run", async () => {
    const { service } = await serve({
      result: async () => ({ status: "running", runId: "r1", blocked: "why" }),
    });
    expect(await service.result({ workflowId: "a", waitMs: 3_600_000 })).toMatchObject({ blocked: "why" });
  });

  it("may be called off by who made it", async () => {
    const { service } = await serve({ result: () => new Promise(() => undefined) });
    const abort = new AbortController();
    const waiting = service.result({ workflowId: "a", waitMs: 20_000 }, { abortSignal: abort.signal });
    setTimeout(() => abort.abort(new Error("enough")), 20);
    await expect(waiting).rejects.toThrow("enough");
  });

  it("reaches no namespace but the one it names", async () => {
    const { url, service } = await serve({ count: async () => 3 });
    expect(await service.count({})).toBe(3);
    const other = new HttpService({ send: fetchSend({ url }), namespace: "other/é" });
    await expect(other.count({})).rejects.toMatchObject({
      code: "namespace_not_found",
      message: 'there is no namespace "other/é"',
    });
  });

  it.each([".", ".."])(
    "with the id %s is refused, since URLs have a meaning of their own for it",
    async (id) => {
      const { service } = await serve({});
      await expect(service.describe({ workflowId: id })).rejects.toMatchObject({ code: "invalid_argument" });
    },
  );
});

describe("a caller that is not our client", () => {
  it("writes payloads as JSON, and may leave out what has a default", async () => {
    const received: unknown[] = [];
    const note = (request: unknown): void => void received.push(request);
    const { url } = await serve({
      start: async (request) => {
        note(request);
        return { workflowId: "a", runId: "r1", isNew: received.length === 1 };
      },
      query: async (request) => {
        note(request);
        return toPayload({ stage: "paid" }, "answer");
      },
      list: async (request) => {
        note(request);
        return { runs: [] };
      },
    });
    const post = async (
      path: string,
      body: object,
      headers: Record<string, string> = {},
    ): Promise<Response> =>
      await fetch(under(url, path), { method: "POST", body: JSON.stringify(body), headers });
    const made = await post("/workflows", { workflowType: "fulfil", input: { amount: 5 } });
    expect([made.status, await made.json()]).toEqual([201, { workflowId: "a", runId: "r1", isNew: true }]);
    const key = { "idempotency-key": "k1" };
    expect((await post("/workflows", { workflowType: "fulfil" }, key)).status).toBe(200);
    const answer = await post("/workflows/a/query", { name: "stage" });
    expect(await answer.json()).toEqual({ result: { stage: "paid" } });
    await fetch(under(url, "/workflows?status=running&workflowId=7&startedAfter=5"));
    expect(received).toEqual([
      { workflowType: "fulfil", input: '{"amount":5}' },
      { workflowType: "fulfil", input: "null", requestId: "k1" },
      { workflowId: "a", name: "stage", input: "null" },
      { filter: { status: "running", workflowId: "7", startedAfter: 5 }, limit: 100 },
    ]);
  });

  it("a browser that knows nothing but the address is shown where to look", async () => {
    const { url } = await serve({});
    const index = await fetch(url);
    expect(index.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const text = await index.text();
    expect(text).toContain(`aion list --url ${url}`);
    // But for its icon, which stands in it.
    const links = [...text.matchAll(/href="(?!data:)([^"]+)"/g)].map(([, link]) => link ?? "");
    expect(links).toContain("docs");
    // This one serves a single engine.
    for (const link of links.filter((to) => to !== "v1/namespaces"))
      expect([link, (await fetch(`${url}/${link}`)).status]).toEqual([link, 200]);
  });

  it("is shown the API in a browser", async () => {
    const { url } = await serve({});
    const page = await fetch(`${url}/docs`);
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(page.headers.get("content-security-policy")).toContain("default-src 'self'");
    const text = await page.text();
    const parts = [...text.matchAll(/(?:href|src)="(?!data:)([^"]+)"/g)].map(([, part = ""]) => part);
    expect(parts).toHaveLength(3);
    for (const part of parts) {
      const answer = await fetch(`${url}/${part}`);
      expect([part, answer.status, (await answer.text()).length > 50]).toEqual([part, 200, true]);
    }
    for (const nothing of ["/docs/package.json", "/docs/..%2fpackage.json", "/docs/constructor"])
      expect((await fetch(`${url}${nothing}`)).status).toBe(404);
  });

  it("names its calls by a header", async () => {
    const received: unknown[] = [];
    const note = async (request: object): Promise<void> => {
      received.push("archive" in request ? { ...request, archive: 0 } : request);
    };
    const { url } = await serve({
      cancel: note,
      terminate: note,
      signal: note,
      route: note,
      unload: note,
      deploy: async (request) => {
        await note(request);
        return { version: "v", workflowTypes: [], isNew: false };
      },
    });
    const headers = { "idempotency-key": "k" };
    const send = (verb: string, path: string, body?: string): Promise<Response> =>
      fetch(under(url, path), { method: verb, headers, ...(body === undefined ? {} : { body }) });
    const statuses = [
      await send("POST", "/workflows/a/cancel"),
      await send("POST", "/workflows/a/terminate", '{"reason":"r"}'),
      await send("POST", "/workflows/a/signal", '{"name":"n"}'),
      await send("POST", "/routes", JSON.stringify({ workflowTypes: ["t"], version })),
      await send("DELETE", `/packages/${version}`),
      await send("POST", "/packages", "zip"),
    ].map(({ status }) => status);
    expect(statuses).toEqual([204, 204, 204, 204, 204, 200]);
    expect(received).toEqual([
      { workflowId: "a", requestId: "k" },
      { workflowId: "a", reason: "r", requestId: "k" },
      { workflowId: "a", name: "n", payload: "null", signalId: "k" },
      { workflowTypes: ["t"], version, requestId: "k" },
      { version, requestId: "k" },
      { archive: 0, requestId: "k" },
    ]);
  });

  it("asks whether the server lives and takes calls, and what it offers", async () => {
    const { url } = await serve({});
    expect(await (await fetch(`${url}/health/live`)).json()).toMatchObject({
      isLive: true,
      version: "1.2.3",
    });
    expect(await (await fetch(`${url}/health/ready`)).json()).toEqual({ isReady: true });
    expect(await (await fetch(`${url}/openapi.json`)).json()).toMatchObject({ openapi: "3.1.0" });
  });
});

describe("hostile input", () => {
  const signalBody = (rest: object): string => JSON.stringify({ name: "n", ...rest });

  it.each([
    ["malformed JSON", "POST", "/workflows/a/signal", '{"name":', "is no JSON"],
    [
      "text that is no UTF-8",
      "POST",
      "/workflows/a/signal",
      Buffer.from([123, 34, 255, 34, 125]),
      "is no JSON",
    ],
    ["no body", "POST", "/workflows/a/signal", "", "name"],
    ["no object", "POST", "/workflows/a/signal", "7", "is no JSON object"],
    ["a list", "POST", "/workflows/a/signal", "[]", "is no JSON object"],
    ["a field that is not known", "POST", "/workflows/a/signal", signalBody({ force: true }), "force"],
    ["a field of another type", "POST", "/workflows/a/signal", signalBody({ signalId: {} }), "signalId"],
    ["an empty name", "POST", "/workflows/a/signal", signalBody({ name: "" }), "signal name must be"],
    ["an id with a control character", "GET", "/workflows/a%00", undefined, "workflow id must be"],
    ["an id that is too long", "GET", `/workflows/${"a".repeat(256)}`, undefined, "workflow id must be"],
    ["an id that is no text", "GET", "/workflows/%ff", undefined, "no valid URL"],
    ["a page that is too large", "GET", "/workflows?limit=1000000", undefined, "limit"],
    ["a page that is no number", "GET", "/workflows?limit=0x10", undefined, "limit"],
    ["a status that is none", "GET", "/workflow-count?status=asleep", undefined, "status"],
    ["a flag that is none", "GET", "/workflow-count?isBlocked=1", undefined, "isBlocked"],
    ["a field of the query that is not known", "GET", "/workflow-count?force=true", undefined, "force"],
    ["a wait that is none", "GET", "/workflows/a/result?waitMs=-1", undefined, "waitMs"],
    ["a seq that is none", "GET", "/workflows/a/history?fromSeq=0", undefined, "fromSeq"],
    ["a type of events that is none", "GET", "/feed?types=TimerFired,Nothing", undefined, "Nothing"],
    ["a seq that is no whole number", "GET", "/workflows/a/events?fromSeq=1.5", undefined, "fromSeq"],
    ["a version that is none", "DELETE", "/packages/abc", undefined, "version"],
  ])("with %s is refused, and reaches no service", async (_what, verb, path, body, message) => {
    const { url } = await serve({});
    const response = await fetch(under(url, path), { method: verb, ...(body === undefined ? {} : { body }) });
    const error = await errorOf(response);
    expect(error).toMatchObject({ status: 400, code: "invalid_argument" });
    expect(error.message).toContain(message);
  });

  it.each([
    ["another path", "GET", "/v1/constructor"],
    ["another version", "GET", "/v2/namespaces/default/workflows"],
    ["a path that leads out", "GET", "/v1/namespaces/default/workflows/%2e%2e/%2e%2e/health"],
  ])("to %s is told that nothing is there", async (_what, verb, path) => {
    const { url } = await serve({});
    expect(await errorOf(await fetch(`${url}${path}`, { method: verb }))).toMatchObject({
      status: 404,
      code: "endpoint_unknown",
    });
  });

  it.each([
    ["GET", "/workflows/a/pause", "POST"],
    ["PATCH", "/schedules/s", "GET, DELETE"],
    ["PUT", "/workflows", "GET, POST"],
    ["POST", "/workflows/a/updates/u", "GET"],
  ])("with the method %s to %s is told which methods there are", async (verb, path, takes) => {
    const { url } = await serve({});
    const response = await fetch(under(url, path), { method: verb });
    expect(response.headers.get("allow")).toBe(takes);
    const full = new URL(under(url, path)).pathname;
    expect(await errorOf(response)).toMatchObject({
      status: 405,
      code: "endpoint_unknown",
      message: `${full} takes ${takes}, and not ${verb}`,
    });
  });

  it.each([
    ["/workflows?workflowId=a&workflowId=b", "workflowId"],
    ["/workflows?limit=5&limit=5", "limit"],
    ["/workflows?isParked=true&isParked=false", "isParked"],
    ["/feed?after=oldest&after=1.0.0", "after"],
    ["/workflows/a/events?fromSeq=1&fromSeq=9", "fromSeq"],
  ])("that says one thing twice is refused, since either may be meant: %s", async (at, field) => {
    const { url } = await serve({});
    const answer = await fetch(under(url, at));
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      error: { code: "invalid_argument", message: expect.stringContaining(field) as string },
    });
  });

  it("with a payload over the engine's limit is refused", async () => {
    const { service } = await serve({});
    const payload = toPayload("x".repeat(2_000), "payload");
    await expect(service.signal({ workflowId: "a", name: "n", payload })).rejects.toMatchObject({
      code: "payload_too_large",
      message: "the payload of the signal has 2002 bytes, more than the limit of 2000",
    });
  });

  it("nested deeper than can be written is refused", async () => {
    const { url } = await serve({}, { payloadLimitBytes: 2_000_000 });
    const deep = "[".repeat(100_000) + "]".repeat(100_000);
    const response = await fetch(under(url, "/workflows/a/signal"), {
      method: "POST",
      body: `{"name":"n","payload":${deep}}`,
    });
    expect((await errorOf(response)).code).toMatch(/^(payload_not_serializable|invalid_argument)$/);
  });

  it("over the limit of a request is refused with an answer", async () => {
    const { url } = await serve({});
    const body = Buffer.alloc(20 * 1024 * 1024, "x");
    const response = await fetch(under(url, "/workflows/a/signal"), { method: "POST", body });
    expect(await errorOf(response)).toMatchObject({
      status: 413,
      code: "payload_too_large",
      message: "the body of the request has 20971520 bytes or more, and the limit is 73536",
    });
  });

  it("leaves the server answering", async () => {
    const { url, service } = await serve({ count: async () => 3 });
    const { port, hostname } = new URL(url);
    const rpc = "POST /aion.v1.WorkflowService/Count HTTP/1.1\r\ncontent-length: 0\r\n";
    for (const text of [
      "POST /v1/namespaces/default/workflows HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{",
      `${rpc}host: [\r\n\r\n`,
      `${rpc}host:\r\n\r\n`,
      rpc.replace("1.1", "1.0").concat("\r\n"),
      "\u0000\u0001",
      "GET / HTTP/9\r\n\r\n",
    ]) {
      const socket = connect(Number(port), hostname);
      socket.on("error", () => undefined);
      await once(socket, "connect");
      socket.write(text);
      await delay(20);
      socket.destroy();
    }
    expect(await service.count({})).toBe(3);
  });

  it("to a host that cannot be is refused, over whatever protocol", async () => {
    const { url } = await serve({});
    const headers = "content-type: application/json\r\ncontent-length: 2\r\nconnection: close";
    const { text } = await say(
      url,
      `POST /aion.v1.WorkflowService/Count HTTP/1.1\r\nhost: a b\r\n${headers}\r\n\r\n{}`,
    );
    expect(text).toContain("400 Bad Request");
    expect(text).toContain("invalid_argument");
  });

  it("that would rather have another protocol is answered over this one", async () => {
    const { url } = await serve({ count: async () => 3 });
    const upgrade =
      "connection: Upgrade, HTTP2-Settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA";
    const { text } = await say(
      url,
      `GET /v1/namespaces/default/workflow-count HTTP/1.1\r\nhost: a\r\n${upgrade}\r\n\r\n`,
    );
    expect(text).toContain("200 OK");
    expect(text).toContain('{"count":3}');
  });

  it("that is cut off is no bug of the server", async () => {
    const logged: string[] = [];
    const { url, close } = await serve({}, { log: (_level, message) => logged.push(message) });
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.write("POST /v1/namespaces/default/workflows HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{");
    await delay(50);
    socket.destroy();
    await delay(50);
    await close();
    expect(logged).toEqual([]);
  });
});

describe("a caller who does not hang up", () => {
  it.each([
    [
      "after a refusal",
      "GET /nothing HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ],
    ["before it has begun", "PRI * HTTP/2.0\r\n"],
  ])("%s does not hold up the server's end", async (_when, text) => {
    const { url, server, close } = await serve({});
    const { socket } = await say(url, text, 100);
    closers.pop();
    const over = once(server, "close").then(() => "over");
    await close();
    expect(await over).toBe("over");
    socket.destroy();
  });
});

/** Says something and keeps its side open; what comes until the other side has ended, or for so long. */
async function say(
  url: string,
  text: string,
  forMs = 2_000,
): Promise<{ readonly text: string; readonly socket: Socket }> {
  const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1", allowHalfOpen: true });
  let heard = "";
  socket.on("error", () => undefined);
  socket.on("data", (data) => (heard += String(data)));
  socket.write(text);
  await Promise.race([once(socket, "end"), delay(forMs)]);
  return { text: heard, socket };
}

describe("a broken connection", () => {
  it("is told when nobody listens", async () => {
    const { url, service, close } = await serve({});
    await close();
    await expect(service.count({})).rejects.toMatchObject({
      code: "transport_failed",
      message: `no answer from the server at ${url}: ECONNREFUSED`,
    });
  });

  it.each([
    ["before it answers", (socket: Socket) => socket.destroy()],
    [
      "in the middle of the answer",
      (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"count"'),
    ],
    ["with no JSON", (socket: Socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")],
    ["with another form", (socket: Socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n[1]")],
    [
      "with somebody else's error",
      (socket: Socket) => socket.end('HTTP/1.1 502 Bad\r\ncontent-length: 15\r\n\r\n{"error":"oops"}'),
    ],
    [
      "with a way to somebody else",
      (socket: Socket) =>
        socket.end("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"),
    ],
  ])("is told when the server ends %s", async (_what, answer) => {
    const service = await listenRaw((socket) => socket.once("data", () => answer(socket)));
    await expect(service.count({})).rejects.toMatchObject({ code: "transport_failed" });
  });

  it("keeps the words of an error whose code a newer engine made up", async () => {
    const text = '{"error":{"code":"made_up","message":"so it is","hint":"h","details":{}}}';
    const service = await listenRaw((socket) =>
      socket.once("data", () =>
        socket.end(`HTTP/1.1 400 Bad\r\ncontent-length: ${text.length}\r\n\r\n${text}`),
      ),
    );
    await expect(service.count({})).rejects.toMatchObject({
      code: "internal",
      message: "so it is (code made_up, which this version does not know)",
    });
  });
});

describe("closing", () => {
  it("answers who waits, and lets the others finish", async () => {
    const begun = Promise.withResolvers<void>();
    const finished = Promise.withResolvers<void>();
    const { service, close } = await serve({
      result: () => new Promise(() => undefined),
      history: () => new Promise(() => undefined),
      signal: async () => {
        begun.resolve();
        await finished.promise;
      },
    });
    const outcome = (call: Promise<unknown>): Promise<unknown> =>
      call.then(
        () => "done",
        (error: unknown) => error,
      );
    const waiting = [
      outcome(service.result({ workflowId: "a", waitMs: 20_000 })),
      outcome(service.history({ workflowId: "a", fromSeq: 1, limit: 1, waitMs: 20_000 })),
    ];
    const sending = outcome(service.signal({ workflowId: "a", name: "n", payload: nullPayload }));
    await begun.promise;
    await delay(50);
    const closing = close();
    for (const answer of await Promise.all(waiting)) expect(answer).toMatchObject({ code: "engine_closed" });
    finished.resolve();
    expect(await sending).toBe("done");
    await closing;
  });
});

describe("many calls in one request", () => {
  const post = (url: string, body: unknown): Promise<Response> =>
    fetch(under(url, "/calls"), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const linesOf = (text: string): unknown[] =>
    text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);

  it("are answered one by one, each when it is", async () => {
    const ended = Promise.withResolvers<ResultReply>();
    const received: unknown[] = [];
    const { url } = await serve({
      start: async (request) => {
        received.push(request);
        return { workflowId: "a", runId: "r1", isNew: true };
      },
      signal: async () => undefined,
      result: () => ended.promise,
      describe: async () => {
        throw new AionError("run_not_found", "no such run");
      },
    });
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const response = await post(url, {
      calls: [
        { operation: "result", request: { workflowId: "a", waitMs: 10_000 } },
        {
          operation: "start",
          request: { workflowType: "t", input: [1, "é"], workflowId: "a", requestId: "q" },
          trace: { traceparent },
        },
        { operation: "signal", request: { workflowId: "a", name: "s" } },
        { operation: "describe", request: { workflowId: "a" } },
        { operation: "start", request: { workflowType: 7 } },
      ],
    });
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/jsonl"]);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (text.split("\n").length < 5) text += (await reader?.read())?.value ?? "";
    expect(linesOf(text)).toEqual(
      expect.arrayContaining([
        { call: 1, status: 201, body: { workflowId: "a", runId: "r1", isNew: true } },
        { call: 2, status: 204 },
        { call: 3, status: 404, body: { error: expect.objectContaining({ code: "run_not_found" }) } },
        { call: 4, status: 400, body: { error: expect.objectContaining({ code: "invalid_argument" }) } },
      ]),
    );
    expect(received).toEqual([
      {
        workflowType: "t",
        input: '[1,"é"]',
        workflowId: "a",
        requestId: "q",
        trace: { traceparent },
      },
    ]);
    ended.resolve({ status: "completed", runId: "r1", result: input });
    const rest = await reader?.read();
    expect(linesOf(rest?.value ?? "")).toEqual([
      {
        call: 0,
        status: 200,
        body: { status: "completed", runId: "r1", result: JSON.parse(input) as unknown },
      },
    ]);
    expect((await reader?.read())?.done).toBe(true);
  });

  it.each([
    ["none at all", { calls: [] }],
    [
      "more than may be",
      { calls: Array.from({ length: 501 }, () => ({ operation: "describe", request: {} })) },
    ],
    ["one that may not be", { calls: [{ operation: "history", request: { workflowId: "a" } }] }],
    ["one without a request", { calls: [{ operation: "describe" }] }],
    ["no list", { calls: "describe" }],
  ])("are refused as a whole if there is %s", async (_what, body) => {
    const { url } = await serve({});
    expect(await errorOf(await post(url, body))).toMatchObject({ status: 400, code: "invalid_argument" });
  });

  it("are refused as a whole if they are larger than one call may be", async () => {
    const { url } = await serve({});
    const request = { workflowType: "t", input: "x".repeat(50_000) };
    const calls = [
      { operation: "start", request },
      { operation: "start", request },
    ];
    expect(await errorOf(await post(url, { calls }))).toMatchObject({
      status: 413,
      code: "payload_too_large",
    });
  });

  it("end their waits when the engine closes", async () => {
    const isAsked = Promise.withResolvers<void>();
    const { url, close } = await serve({
      result: () => {
        isAsked.resolve();
        return new Promise<never>(() => undefined);
      },
    });
    const response = await post(url, {
      calls: [{ operation: "result", request: { workflowId: "a", waitMs: 20_000 } }],
    });
    await isAsked.promise;
    const text = response.text();
    await close();
    expect(linesOf(await text)).toMatchObject([
      { call: 0, status: 503, body: { error: { code: "engine_closed" } } },
    ]);
  });

  it("come from a client that makes them at once, as if each were alone", async () => {
    const { url } = await serve({
      query: async ({ workflowId }) => {
        if (workflowId === "b")
          throw new AionError("run_not_found", "no such run", { details: { workflowId } });
        return input;
      },
    });
    const requests: string[] = [];
    const service = new HttpService({
      send: fetchSend({
        url,
        fetch: (to, init) => {
          requests.push((to as string).slice(url.length));
          return fetch(to, init);
        },
      }),
      isTogether: true,
    });
    const answers = await Promise.allSettled(
      ["a", "b"].map((id) => service.query({ workflowId: id, name: "stage", input: nullPayload })),
    );
    expect(requests).toEqual(["/v1/namespaces/default/calls"]);
    expect(answers).toMatchObject([
      { value: input },
      { reason: { code: "run_not_found", details: { workflowId: "b" } } },
    ]);
  });
});
