import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ResultReply, Service } from "../client/service.ts";
import { AionError, errorTable } from "../core/errors.ts";
import type { ErrorCode } from "../core/errors.ts";
import { nullPayload, toPayload } from "../core/payload.ts";
import { connectLocal, pingLocal } from "./client.ts";
import type { LocalService } from "./client.ts";
import { serveLocal } from "./server.ts";
import type { LocalServer, LocalServerOptions } from "./server.ts";
import { socketPathFor } from "./socket-path.ts";

let directory: string;
let socketPath: string;
const closers: (() => unknown)[] = [];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-local-"));
  socketPath = path.join(directory, "a.db.sock");
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  rmSync(directory, { recursive: true, force: true });
});

type Overrides = Partial<Service>;

function fakeService(overrides: Overrides): Service {
  const unexpected = async (): Promise<never> => {
    throw new TypeError("not expected to be called");
  };
  return {
    start: unexpected,
    signal: unexpected,
    query: unexpected,
    cancel: unexpected,
    terminate: unexpected,
    result: unexpected,
    describe: unexpected,
    list: unexpected,
    count: unexpected,
    history: unexpected,
    feed: unexpected,
    deploy: unexpected,
    listPackages: unexpected,
    route: unexpected,
    unload: unexpected,
    ...overrides,
  };
}

async function serve(overrides: Overrides, options: Partial<LocalServerOptions> = {}): Promise<LocalServer> {
  const server = await serveLocal(fakeService(overrides), { path: socketPath, ...options });
  closers.push(() => server.close());
  return server;
}

function connect(): LocalService {
  const service = connectLocal(socketPath);
  closers.push(() => service.close());
  return service;
}

/** What another program than ours might send. */
function send(of: {
  readonly body: string | Buffer;
  readonly url?: string;
  readonly verb?: string;
}): Promise<{
  readonly status: number;
  readonly error: { readonly code?: string; readonly message?: string };
}> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { socketPath, path: of.url ?? "/v1/describe", method: of.verb ?? "POST", agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (text += chunk));
        response.on("end", () => {
          const { error = {} } = JSON.parse(text) as { error?: { code?: string; message?: string } };
          resolve({ status: response.statusCode ?? 0, error });
        });
      },
    );
    sent.on("error", reject);
    sent.end(of.body);
  });
}

async function listenRaw(onConnection: (socket: Socket) => void): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return server;
}

const input = toPayload({ amount: 5, note: '"é\n' }, "input");

describe("a call over the local socket", () => {
  const run = {
    workflowId: "order 1/é",
    runId: "r1",
    workflowType: "fulfil",
    version: "inline",
    status: "running",
    startedAt: 1,
    historyLength: 2,
  } as const;

  it.each([
    [
      "start",
      {
        workflowType: "fulfil",
        input,
        workflowId: "order 1/é",
        requestId: "q",
        reuse: "after-close",
        startDelayMs: 1,
        runTimeoutMs: 2,
        executionTimeoutMs: 3,
        signal: { name: "approval", payload: nullPayload, signalId: "s" },
      },
      { workflowId: "order 1/é", runId: "r1", isNew: true },
    ],
    ["start", { workflowType: "fulfil", input }, { workflowId: "x", runId: "r1", isNew: false }],
    ["signal", { workflowId: "a", runId: "r1", name: "approval", payload: input, signalId: "s" }, null],
    ["query", { workflowId: "a", name: "stage", input: nullPayload }, input],
    ["cancel", { workflowId: "a", reason: "no need" }, null],
    ["terminate", { workflowId: "a", runId: "r1", requestId: "q" }, null],
    ["route", { workflowTypes: ["order"], version: "0".repeat(64), requestId: "q" }, null],
    ["unload", { version: "0".repeat(64), requestId: "q" }, null],
    ["result", { workflowId: "a", waitMs: 0 }, { status: "completed", runId: "r1", result: input }],
    ["describe", { workflowId: "a" }, { ...run, pendingActivities: [], pendingTimers: [], runs: [run] }],
    ["list", { filter: { status: "failed", startedAfter: 5 }, limit: 10, cursor: "7" }, { runs: [run] }],
    ["count", { isBlocked: true, parentWorkflowId: "p" }, 12],
    [
      "history",
      { workflowId: "a", fromSeq: 3, limit: 2, waitMs: 10 },
      { events: [], nextSeq: 3, isEnd: true },
    ],
  ] as const)("carries %s there and its answer back", async (method, request, reply) => {
    let received: unknown;
    await serve({
      [method]: async (asked: unknown) => {
        received = asked;
        return reply;
      },
    });
    const answer = await (connect()[method] as (asked: unknown) => Promise<unknown>)(request);
    expect(received).toEqual(request);
    expect(answer ?? null).toEqual(reply);
  });

  it.each(Object.keys(errorTable) as ErrorCode[])("brings back the error %s as it was", async (code) => {
    const thrown = new AionError(code, `it is ${code}`, {
      hint: "do this",
      details: { expected: 1, found: [2] },
    });
    await serve({
      describe: async () => {
        throw thrown;
      },
    });
    const error: unknown = await connect()
      .describe({ workflowId: "a" })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(AionError);
    expect(error).toMatchObject({ code, message: `it is ${code}`, hint: "do this", details: thrown.details });
    const { status } = await send({ body: '{"workflowId":"a"}' });
    const statuses = { usage: 400, not_found: 404, conflict: 409, failed: 422, bug: 500, unavailable: 503 };
    expect(status).toBe(statuses[errorTable[code].kind]);
  });

  it("brings back an error whose details are no JSON", async () => {
    await serve({
      count: async () => {
        throw new AionError("store_full", "the disk is full", { details: { bytes: 1n } });
      },
    });
    await expect(connect().count({})).rejects.toMatchObject({ code: "store_full", details: {} });
  });

  it("tells a failure that has no code as a bug", async () => {
    await serve({
      count: async () => {
        throw new TypeError("undefined is not a function");
      },
    });
    await expect(connect().count({})).rejects.toMatchObject({
      code: "internal",
      message: "undefined is not a function",
    });
  });

  it("waits longer than one request may, by asking again", async () => {
    const waits: number[] = [];
    await serve({
      result: async ({ waitMs }): Promise<ResultReply> => {
        waits.push(waitMs);
        await delay(60);
        return { status: "running", runId: "r1" };
      },
    });
    expect(await connect().result({ workflowId: "a", waitMs: 25_050 })).toEqual({
      status: "running",
      runId: "r1",
    });
    expect(waits.length).toBeGreaterThan(1);
    expect(Math.max(...waits)).toBeLessThanOrEqual(25_000);
  });

  it("waits for events by asking again, and returns with the first", async () => {
    const event = { type: "TimerFired", ordinal: 0, seq: 1, recordedAt: 0, workflowId: "a" };
    const replies = [
      { events: [], nextSeq: 1, isEnd: false },
      { events: [event], nextSeq: 2, isEnd: false },
    ];
    await serve({ history: async () => replies.shift() as never });
    const reply = await connect().history({ workflowId: "a", fromSeq: 1, limit: 5, waitMs: 3_600_000 });
    expect(reply.events).toEqual([event]);
    expect(replies).toEqual([]);
  });

  it("waits for events of the feed by asking again, behind what was passed over", async () => {
    const item = {
      cursor: "1.7.1",
      workflowId: "a",
      runId: "r1",
      workflowType: "order",
      event: { type: "TimerFired", ordinal: 0, seq: 1, recordedAt: 0, workflowId: "a" },
    };
    const replies = [
      { events: [], nextCursor: "1.7.0", isAtHead: true },
      { events: [item], nextCursor: "1.8.0", isAtHead: true },
    ];
    const asked: unknown[] = [];
    await serve({
      feed: async (request) => {
        asked.push(request);
        return replies.shift() as never;
      },
    });
    const filter = { workflowId: "a", workflowType: "order", types: ["TimerFired"] } as const;
    const reply = await connect().feed({ after: "1.5.0", limit: 5, waitMs: 3_600_000, filter });
    expect(reply).toEqual({ events: [item], nextCursor: "1.8.0", isAtHead: true });
    expect(asked).toEqual([
      { after: "1.5.0", limit: 5, waitMs: 25_000, filter },
      { after: "1.7.0", limit: 5, waitMs: 25_000, filter },
    ]);
    await expect(connect().feed({ limit: 5, filter: { types: ["Nothing"] as never } })).rejects.toMatchObject(
      {
        code: "invalid_argument",
      },
    );
  });

  it("does not wait for a blocked run", async () => {
    await serve({ result: async () => ({ status: "running", runId: "r1", blocked: "why" }) });
    expect(await connect().result({ workflowId: "a", waitMs: 3_600_000 })).toMatchObject({ blocked: "why" });
  });
});

describe("a broken connection", () => {
  it("is told when nobody listens", async () => {
    await expect(connect().count({})).rejects.toMatchObject({
      code: "transport_failed",
      message: `no engine answers at ${socketPath}`,
    });
  });

  it("is told when the engine dies before it answers", async () => {
    await listenRaw((socket) => socket.once("data", () => socket.destroy()));
    await expect(connect().count({})).rejects.toMatchObject({ code: "transport_failed" });
  });

  it("is told when the engine dies in the middle of the answer", async () => {
    await listenRaw((socket) =>
      socket.once("data", () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"result"')),
    );
    await expect(connect().count({})).rejects.toMatchObject({ code: "transport_failed" });
  });

  it.each([
    ["no JSON", "hello"],
    ["another form", "[1]"],
  ])("is told when the answer is %s", async (_what, text) => {
    await listenRaw((socket) =>
      socket.once("data", () =>
        socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${text}`),
      ),
    );
    await expect(connect().count({})).rejects.toMatchObject({ code: "transport_failed" });
  });

  it("keeps the words of an error whose code a newer engine made up", async () => {
    const text = '{"error":{"code":"made_up","message":"so it is","hint":"h","details":{}}}';
    await listenRaw((socket) =>
      socket.once("data", () =>
        socket.end(`HTTP/1.1 400 Bad\r\ncontent-length: ${text.length}\r\n\r\n${text}`),
      ),
    );
    await expect(connect().count({})).rejects.toMatchObject({
      code: "internal",
      message: "so it is (code made_up, which this version does not know)",
    });
  });

  it("ends what is under way when the client closes", async () => {
    await serve({ count: () => new Promise(() => undefined) }, {});
    const service = connect();
    const counting = service.count({});
    const settled = counting.catch((error: unknown) => error);
    await delay(20);
    service.close();
    expect(await settled).toMatchObject({ code: "transport_failed" });
  });
});

describe("hostile input", () => {
  it.each([
    ["malformed JSON", { body: '{"workflowId":' }, "is no JSON"],
    ["no body", { body: "" }, "is no JSON"],
    ["no object", { body: "7" }, "expected object"],
    ["a missing field", { body: "{}" }, "workflowId"],
    ["a field that is not known", { body: '{"workflowId":"a","force":true}' }, "force"],
    ["a field of another type", { body: '{"workflowId":{}}' }, "workflowId"],
    ["an empty id", { body: '{"workflowId":""}' }, "workflow id must be"],
    ["an id with a control character", { body: '{"workflowId":"a\\u0000"}' }, "workflow id must be"],
    [
      "an id that is too long",
      { body: JSON.stringify({ workflowId: "a".repeat(256) }) },
      "workflow id must be",
    ],
    [
      "a method that does not exist",
      { url: "/v1/constructor", body: "{}" },
      "there is no POST /v1/constructor",
    ],
    ["another version", { url: "/v2/describe", body: "{}" }, "there is no POST /v2/describe"],
    ["another verb", { verb: "PUT", body: '{"workflowId":"a"}' }, "there is no PUT"],
    ["a page that is too large", { url: "/v1/list", body: '{"filter":{},"limit":1000000}' }, "limit"],
    ["a status that is none", { url: "/v1/count", body: '{"status":"asleep"}' }, "status"],
    ["a wait that is none", { url: "/v1/result", body: '{"workflowId":"a","waitMs":-1}' }, "waitMs"],
    [
      "a seq that is none",
      { url: "/v1/history", body: '{"workflowId":"a","fromSeq":0,"limit":1}' },
      "fromSeq",
    ],
  ])("with %s is refused, and reaches no service", async (_what, request, message) => {
    await serve({});
    const { status, error } = await send(request);
    expect(error.code).toBe("invalid_argument");
    expect(error.message).toContain(message);
    expect(status).toBe(400);
  });

  it("with a payload that is no JSON is refused", async () => {
    await serve({});
    const body = '{"workflowId":"a","name":"n","payload":"{"}';
    expect((await send({ url: "/v1/signal", body })).error.code).toBe("payload_not_serializable");
  });

  it("with a payload over the engine's limit is refused", async () => {
    await serve({}, { payloadLimitBytes: 1_000 });
    const payload = toPayload("x".repeat(1_000), "payload");
    await expect(connect().signal({ workflowId: "a", name: "n", payload })).rejects.toMatchObject({
      code: "payload_too_large",
      message: "the payload of the signal has 1002 bytes, more than the limit of 1000",
    });
  });

  it("over the limit of a request is refused with an answer", async () => {
    await serve({}, { payloadLimitBytes: 1_000 });
    const { status, error } = await send({ body: Buffer.alloc(20 * 1024 * 1024, "x") });
    expect(error).toMatchObject({
      code: "payload_too_large",
      message: "the request has 20971520 bytes, more than the limit of 69536",
    });
    expect(status).toBe(400);
  });

  it("leaves the server answering", async () => {
    await serve({ count: async () => 3 });
    await new Promise<void>((resolve, reject) => {
      const sent = httpRequest({ socketPath, path: "/v1/count", method: "POST", agent: false });
      sent.on("error", () => resolve());
      sent.on("response", () => reject(new Error("an answer to half a request")));
      sent.setHeader("content-length", 100);
      sent.write("{");
      setTimeout(() => sent.destroy(), 20);
    });
    expect((await send({ body: "\u0000" })).status).toBe(400);
    expect(await connect().count({})).toBe(3);
  });
});

describe("the socket", () => {
  it("is open to its user alone, whatever the umask", async () => {
    const umask = process.umask(0);
    closers.push(() => process.umask(umask));
    await serve({});
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual([path.basename(socketPath)]);
  });

  it("replaces what a dead process left", async () => {
    const server = createServer();
    const elsewhere = path.join(directory, "b.sock");
    await new Promise<void>((resolve) => server.listen(elsewhere, resolve));
    renameSync(elsewhere, socketPath);
    await new Promise((resolve) => server.close(resolve));
    expect(existsSync(socketPath)).toBe(true);
    await serve({ count: async () => 1 });
    expect(await connect().count({})).toBe(1);
  });

  it("replaces one behind which somebody is frozen", async () => {
    await listenRaw(() => undefined);
    await serve({ count: async () => 1 });
    expect(await connect().count({})).toBe(1);
  });

  it("is not taken from an engine that answers", async () => {
    await serve({ count: async () => 1 });
    await expect(serveLocal(fakeService({}), { path: socketPath })).rejects.toMatchObject({
      code: "store_owned",
    });
    expect(await connect().count({})).toBe(1);
  });

  it("does not replace a file", async () => {
    writeFileSync(socketPath, "precious");
    await expect(serveLocal(fakeService({}), { path: socketPath })).rejects.toThrow(/which is no socket/);
    expect(statSync(socketPath).isFile()).toBe(true);
  });

  it("cannot be made in a directory that is not there", async () => {
    const missing = path.join(directory, "missing", "a.sock");
    await expect(serveLocal(fakeService({}), { path: missing })).rejects.toMatchObject({
      code: "store_unavailable",
    });
  });
});

describe("closing", () => {
  it("answers who waits, lets the others finish, and removes the socket", async () => {
    const begun = Promise.withResolvers<void>();
    const finished = Promise.withResolvers<void>();
    const server = await serve({
      result: () => new Promise(() => undefined),
      history: () => new Promise(() => undefined),
      signal: async () => {
        begun.resolve();
        await finished.promise;
      },
    });
    const service = connect();
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
    await delay(20);
    const closing = server.close();
    for (const answer of await Promise.all(waiting)) expect(answer).toMatchObject({ code: "engine_closed" });
    finished.resolve();
    expect(await sending).toBe("done");
    await closing;
    expect(existsSync(socketPath)).toBe(false);
    expect(await pingLocal(socketPath)).toMatchObject({ code: "transport_failed" });
  });

  // I-20
  it("leaves the socket that another owner has put in its place", async () => {
    const first = await serve({});
    renameSync(socketPath, `${socketPath}.old`);
    await serve({ count: async () => 2 });
    await first.close();
    expect(await connect().count({})).toBe(2);
  });
});

describe("socketPathFor", () => {
  it("is beside the file where that fits", () => {
    expect(socketPathFor("/data/aion.db")).toBe("/data/aion.db.sock");
    expect(socketPathFor("aion.db")).toBe(path.resolve("aion.db.sock"));
  });

  it.each([
    ["a long name", `/data/${"n".repeat(120)}.db`],
    ["a deep directory", `/${"deep/".repeat(20)}a`],
    ["a name that is long in bytes", `/data/${"é".repeat(55)}.db`],
  ])("is among the temporary files for %s, the same each time and each its own", (_what, file) => {
    const found = socketPathFor(file);
    expect(path.dirname(found)).toBe(tmpdir());
    expect(found).toBe(socketPathFor(file));
    expect(found).not.toBe(socketPathFor(`${file}x`));
    expect(Buffer.byteLength(found)).toBeLessThanOrEqual(103);
  });

  it("can be listened at up to its longest", async () => {
    const room = 103 - Buffer.byteLength(path.join(directory, "/.db.sock"));
    socketPath = socketPathFor(path.join(directory, `${"n".repeat(room)}.db`));
    expect(path.dirname(socketPath)).toBe(directory);
    await serve({ count: async () => 1 });
    expect(await connect().count({})).toBe(1);
  });
});
