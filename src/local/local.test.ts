import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Service } from "../client/service.ts";
import { AionError } from "../core/errors.ts";
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
    update: unexpected,
    updateResult: unexpected,
    cancel: unexpected,
    terminate: unexpected,
    pause: unexpected,
    resume: unexpected,
    resumeActivity: unexpected,
    reopen: unexpected,
    reset: unexpected,
    fork: unexpected,
    result: unexpected,
    describe: unexpected,
    list: unexpected,
    count: unexpected,
    history: unexpected,
    logs: unexpected,
    feed: unexpected,
    deploy: unexpected,
    listPackages: unexpected,
    listWorkers: unexpected,
    route: unexpected,
    unload: unexpected,
    createSchedule: unexpected,
    updateSchedule: unexpected,
    describeSchedule: unexpected,
    listSchedules: unexpected,
    pauseSchedule: unexpected,
    resumeSchedule: unexpected,
    triggerSchedule: unexpected,
    backfillSchedule: unexpected,
    deleteSchedule: unexpected,
    ...overrides,
  };
}

async function serve(overrides: Overrides, options: Partial<LocalServerOptions> = {}): Promise<LocalServer> {
  const server = await serveLocal(fakeService(overrides), { path: socketPath, version: "1.2.3", ...options });
  closers.push(() => server.close());
  return server;
}

function connect(): LocalService {
  const service = connectLocal(socketPath);
  closers.push(() => service.close());
  return service;
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
  it.each([
    ["signal", { workflowId: "order 1/é", name: "approval", payload: input }, undefined],
    ["query", { workflowId: "a", name: "stage", input: nullPayload }, input],
    ["count", { isBlocked: true }, 12],
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
    const service = connect();
    const answer = await (service[method] as (asked: unknown) => Promise<unknown>).call(service, request);
    expect(received).toEqual(request);
    expect(answer).toEqual(reply);
  });

  it("carries a package of any bytes", async () => {
    const archive = Uint8Array.from({ length: 300_000 }, (_, index) => index * 7);
    let received: Uint8Array | undefined;
    await serve({
      deploy: async (request) => {
        received = request.archive;
        return { version: "v", workflowTypes: [], isNew: true };
      },
    });
    await connect().deploy({ archive });
    expect(Buffer.from(received ?? []).equals(archive)).toBe(true);
  });

  it("brings back an error as it was", async () => {
    const thrown = new AionError("run_closed", "it has ended", { hint: "do this", details: { a: 1 } });
    await serve({
      describe: async () => {
        throw thrown;
      },
    });
    await expect(connect().describe({ workflowId: "a" })).rejects.toMatchObject({
      code: "run_closed",
      message: "it has ended",
      hint: "do this",
      details: { a: 1 },
    });
  });

  it("may be called off", async () => {
    await serve({ result: () => new Promise(() => undefined) });
    const abort = new AbortController();
    const waiting = connect().result({ workflowId: "a", waitMs: 20_000 }, { abortSignal: abort.signal });
    setTimeout(() => abort.abort(new Error("enough")), 20);
    await expect(waiting).rejects.toThrow("enough");
    await expect(
      connect().result(
        { workflowId: "a", waitMs: 0 },
        { abortSignal: AbortSignal.abort(new Error("before")) },
      ),
    ).rejects.toThrow("before");
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
    await expect(serveLocal(fakeService({}), { path: socketPath, version: "1.2.3" })).rejects.toMatchObject({
      code: "store_owned",
    });
    expect(await connect().count({})).toBe(1);
  });

  it("does not replace a file", async () => {
    writeFileSync(socketPath, "precious");
    await expect(serveLocal(fakeService({}), { path: socketPath, version: "1.2.3" })).rejects.toThrow(
      /which is no socket/,
    );
    expect(statSync(socketPath).isFile()).toBe(true);
  });

  it("cannot be made in a directory that is not there", async () => {
    const missing = path.join(directory, "missing", "a.sock");
    await expect(serveLocal(fakeService({}), { path: missing, version: "1.2.3" })).rejects.toMatchObject({
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
