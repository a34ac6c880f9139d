/** Workers over the network: a server, workers, and what lies between them cut off. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Client } from "../../src/client/index.ts";
import { Server } from "../../src/server/server.ts";
import type { ServerOptions } from "../../src/server/server.ts";
import { Worker } from "../../src/worker/index.ts";
import type { WorkerOptions } from "../../src/worker/index.ts";
import { ApplicationFailure, activity, scope, workflow } from "../../src/workflow/index.ts";

/** How often each attempt was run, by its idempotency key. */
let ran: Map<string, number>;
/** What an activity waits for, by name. */
let gates: Map<string, PromiseWithResolvers<string>>;
let cancelled: string[];

const work = activity("work", { taskQueue: "far" }, async (name: string, task) => {
  ran.set(task.idempotencyKey, (ran.get(task.idempotencyKey) ?? 0) + 1);
  const held = gates.get(name);
  task.signal.addEventListener("abort", () => {
    cancelled.push(name);
    held?.reject(new Error("stopped"));
  });
  return held === undefined ? `done ${name}` : await held.promise;
});
const failing = activity(
  "failing",
  { taskQueue: "far", retry: { maxAttempts: 2, initialDelay: 1 } },
  async (_nothing: null) => {
    throw new ApplicationFailure("declined", { type: "Declined", details: { card: ["é", null] } });
  },
);
const one = workflow("one", async (name: string) => await work(name));
const failed = workflow("failed", async () => {
  try {
    await failing(null);
    return "no";
  } catch (error) {
    const { type, details } = (error as Error).cause as ApplicationFailure;
    return { type, details };
  }
});
const racing = workflow("racing", async (name: string) => {
  const outcome = await scope(() => work(name), { timeout: 500 });
  return outcome.ok ? "in time" : "too late";
});

let data: string;
const servers: Server[] = [];
const workers: Worker[] = [];
const closers: (() => unknown)[] = [];

beforeEach(() => {
  data = mkdtempSync(path.join(tmpdir(), "aion-workers-"));
  ran = new Map();
  gates = new Map();
  cancelled = [];
});

afterEach(async () => {
  for (const { resolve } of gates.values()) resolve("late");
  await Promise.all(workers.splice(0).map((worker) => worker.stop({ drain: 100 })));
  for (const server of servers.splice(0)) await server.close({ drain: 0 });
  for (const close of closers.splice(0)) await close();
  rmSync(data, { recursive: true });
});

async function open(options: Partial<ServerOptions> = {}): Promise<Server> {
  const server = await Server.open({
    data,
    port: 0,
    workflows: [one, failed, racing],
    log: () => undefined,
    ...options,
  });
  servers.push(server);
  return server;
}

function startWorker(
  url: string,
  options: Partial<WorkerOptions> = {},
): { readonly worker: Worker; readonly over: Promise<unknown> } {
  const worker = new Worker({
    url,
    activities: [work, failing],
    taskQueues: ["far"],
    concurrency: 20,
    log: () => undefined,
    ...options,
  });
  workers.push(worker);
  const over = worker.run().then(
    () => "stopped",
    (error: unknown) => error,
  );
  return { worker, over };
}

function gate(name: string): PromiseWithResolvers<string> {
  const made = Promise.withResolvers<string>();
  made.promise.catch(() => undefined);
  gates.set(name, made);
  return made;
}

describe("a worker of a server", () => {
  it("runs activities, and tells their outcomes as they are", async () => {
    const server = await open();
    const client = new Client({ url: server.url });
    const waiting = await client.start(one, "a", { id: "first" });
    // Nobody serves it: it waits where it can be seen, and nothing fails.
    await expect
      .poll(async () => (await waiting.describe()).pendingActivities)
      .toMatchObject([{ state: "no worker", taskQueue: "far" }]);
    const { worker, over } = startWorker(server.url, { identity: "w-1" });
    expect(await waiting.result()).toBe("done a");
    const run = await client.start(failed);
    expect(await run.result()).toEqual({ type: "Declined", details: { card: ["é", null] } });
    const events: unknown[] = [];
    for await (const event of client.get("first").history()) events.push(event);
    expect(events).toContainEqual(expect.objectContaining({ type: "ActivityStarted", worker: "w-1" }));
    await worker.stop();
    expect(await over).toBe("stopped");
  });

  it("that leaves is gone at once, and its tasks are for others", async () => {
    const server = await open();
    gate("held");
    const { worker, over } = startWorker(server.url);
    const run = await new Client({ url: server.url }).start(one, "held");
    await expect.poll(() => worker.tasksInFlight).toBe(1);
    await worker.stop({ drain: 0 });
    await over;
    gates.delete("held");
    startWorker(server.url);
    expect(await run.result({ timeout: "5s" })).toBe("done held");
  });

  it("is told when an outcome is not wanted any more", async () => {
    const server = await open();
    startWorker(server.url);
    const client = new Client({ url: server.url });
    // It is there, or the time is over before it has heard of the task.
    await (await client.start(one, "first")).result();
    gate("slow");
    const run = await client.start(racing, "slow");
    expect(await run.result()).toBe("too late");
    await expect.poll(() => cancelled).toEqual(["slow"]);
  });

  // I-11
  it("of a namespace that is not there comes again, until it is", async () => {
    const server = await open();
    startWorker(server.url, { namespace: "later" });
    await delay(150);
    const { createNamespace } = await import("../../src/client/server-client.ts");
    await createNamespace({ url: server.url }, "later");
    const run = await new Client({ url: server.url, namespace: "later" }).start(one, "x");
    expect(await run.result()).toBe("done x");
    // And for no other.
    const other = await new Client({ url: server.url }).start(one, "y");
    await delay(100);
    expect(await other.describe()).toMatchObject({ pendingActivities: [{ state: "no worker" }] });
  });

  it("is refused for good by a server that takes none, and says why", async () => {
    const plain = createServer((socket) =>
      socket.end("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"),
    );
    plain.listen(0, "127.0.0.1");
    await new Promise((resolve) => plain.once("listening", resolve));
    closers.push(() => plain.close());
    const logged: unknown[] = [];
    const { worker } = startWorker(`http://127.0.0.1:${(plain.address() as AddressInfo).port}`, {
      log: (_level, message, fields) => logged.push([message, fields]),
    });
    await delay(300);
    expect(worker.tasksInFlight).toBe(0);
    expect(() => startWorker("nowhere")).toThrow(/no address of a server/);
    expect(() => new Worker({ activities: [work] })).toThrow(/either the `url`/);
  });
});

describe("a server that is started anew", () => {
  // I-3
  it("gets the outcomes of tasks that were under way, and none is run again", async () => {
    const first = await open();
    const port = Number(new URL(first.url).port);
    startWorker(first.url);
    const names = ["a", "b", "c"];
    for (const name of names) gate(name);
    const client = new Client({ url: first.url });
    for (const name of names) await client.start(one, name, { id: name });
    await expect.poll(() => ran.size).toBe(3);
    const closing = first.close({ drain: 0 });
    gates.get("a")?.resolve("ended while nobody listened");
    await closing;
    gates.get("b")?.resolve("ended while nobody was there");
    await delay(100);
    await open({ port });
    gates.get("c")?.resolve("ended afterwards");
    expect(await client.get("a").result({ timeout: "30s" })).toBe("ended while nobody listened");
    expect(await client.get("b").result({ timeout: "30s" })).toBe("ended while nobody was there");
    expect(await client.get("c").result({ timeout: "30s" })).toBe("ended afterwards");
    expect([...ran.values()]).toEqual([1, 1, 1]);
  });
});

/** Lets bytes through in both directions, and cuts each connection after so many. */
async function cuttingProxy(
  target: string,
  bytesOf: () => number,
): Promise<{ readonly url: string; readonly cuts: () => number }> {
  const { hostname, port } = new URL(target);
  let cuts = 0;
  const sockets = new Set<Socket>();
  const proxy = createServer((near) => {
    const far = connect(Number(port), hostname);
    let left = bytesOf();
    const cut = (): void => {
      near.destroy();
      far.destroy();
    };
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("error", cut);
      from.on("close", cut);
      from.on("data", (bytes: Buffer) => {
        const part = bytes.subarray(0, Math.max(0, left));
        left -= bytes.length;
        if (part.length > 0) to.write(part);
        if (left > 0) return;
        cuts += 1;
        // What was let through arrives before the end does.
        setTimeout(cut, 2);
      });
    }
  });
  proxy.listen(0, "127.0.0.1");
  await new Promise((resolve) => proxy.once("listening", resolve));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, cuts: () => cuts };
}

describe("a connection that is cut after any byte", () => {
  // I-3, I-11
  it("loses no task and no outcome, and runs nothing twice", async () => {
    const server = await open();
    let seed = 20_261_126;
    const random = (): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed;
    };
    // The shortest do not get through a registration. The longest hold one of a worker that owes 20 reports, and these: what is owed is
    // said in one piece, and where that never fits nothing is ever acknowledged.
    const { url, cuts } = await cuttingProxy(server.url, () => 200 + (random() % 14_000));
    startWorker(url);
    const client = new Client({ url: server.url });
    const names = Array.from({ length: 60 }, (_, index) => `n${index}`);
    const runs = await Promise.all(names.map((name) => client.start(one, name, { id: name })));
    for (const run of runs) expect(await run.result({ timeout: "60s" })).toBe(`done ${run.workflowId}`);
    expect(cuts()).toBeGreaterThan(3);
    expect([...ran.values()].every((count) => count === 1)).toBe(true);
    expect(ran.size).toBe(names.length);
  });
});
