/** Namespaces of one server share its thread: which of them is next, in turns and not in time. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Client } from "../../src/client/index.ts";
import { Engine } from "../../src/embedded/engine.ts";
import { ResidentRun } from "../../src/engine/resident-run.ts";
import { loopTurns } from "../../src/server/fair-turns.ts";
import { Namespaces } from "../../src/server/namespaces.ts";
import { Server } from "../../src/server/server.ts";
import { Worker } from "../../src/worker/index.ts";
import { activity, info, workflow } from "../../src/workflow/index.ts";

let data: string;
const closers: (() => unknown)[] = [];
const begun: string[] = [];

const note = workflow("note", async (name: string) => {
  begun.push(name);
  return info().workflowId;
});

beforeEach(() => {
  data = mkdtempSync(path.join(tmpdir(), "aion-fairness-"));
  begun.length = 0;
});

afterEach(async () => {
  vi.restoreAllMocks();
  for (const close of closers.splice(0).toReversed()) await close();
  rmSync(data, { recursive: true });
});

async function open(options: Partial<Parameters<typeof Server.open>[0]> = {}): Promise<Server> {
  const server = await Server.open({
    data,
    port: 0,
    namespaces: ["quiet", "noisy"],
    workflows: [note],
    log: () => undefined,
    ...options,
  });
  closers.push(() => server.close({ drain: 0 }));
  return server;
}

/** The loop's turns stand still, until they are let go one by one. */
function holdTurns(): { readonly one: () => boolean; readonly all: () => void } {
  const held: (() => void)[] = [];
  const spy = vi.spyOn(loopTurns, "turn").mockImplementation((callback) => void held.push(callback));
  return {
    one: () => {
      const next = held.shift();
      next?.();
      return next !== undefined;
    },
    all: () => {
      spy.mockImplementation((callback) => void setImmediate(callback));
      for (const callback of held.splice(0)) setImmediate(callback);
    },
  };
}

describe("namespaces of one server", () => {
  it("one call meets thirty of another namespace, and is begun before two of them", async () => {
    const server = await open();
    // Each call in a request of its own, which one client would put together.
    const clientOf = (namespace: string): Client => new Client({ url: server.url, namespace });
    const enter = vi.spyOn(Namespaces.prototype, "enter");
    const turns = holdTurns();
    const waiting = (name: string): number => enter.mock.calls.filter(([of]) => of === name).length;
    const calls = Array.from({ length: 30 }, () => clientOf("noisy").start(note, "noisy"));
    await expect.poll(() => waiting("noisy")).toBe(30);
    calls.push(clientOf("quiet").start(note, "quiet"));
    await expect.poll(() => waiting("quiet")).toBe(1);
    expect(begun).toEqual([]);
    const takeTurn = (): readonly string[] => {
      turns.one();
      return begun;
    };
    await expect.poll(takeTurn, { interval: 1 }).toContain("quiet");
    expect(begun.indexOf("quiet")).toBeLessThan(2);
    turns.all();
    await Promise.all(calls);
    expect(begun).toHaveLength(31);
  });

  it("what a worker sends waits for its namespace's turn", async () => {
    const work = activity("work", { taskQueue: "far" }, async (name: string) => name);
    const far = workflow("far", async (name: string) => await work(name));
    const server = await open({ workflows: [far] });
    const enter = vi.spyOn(Namespaces.prototype, "enter");
    const worker = new Worker({
      url: server.url,
      namespace: "noisy",
      activities: [work],
      taskQueues: ["far"],
    });
    const over = worker.run();
    closers.push(async () => {
      await worker.stop({ drain: 0 });
      await over;
    });
    const client = new Client({ url: server.url, namespace: "noisy" });
    expect(await (await client.start(far, "a")).result()).toBe("a");
    // `ready`, and the report.
    expect(enter.mock.calls.filter(([, lane]) => lane === "workers").length).toBeGreaterThanOrEqual(2);
  });

  it("a namespace that is not there is not waited for", async () => {
    const server = await open();
    const turns = holdTurns();
    const stranger = new Client({ url: server.url, namespace: "absent" });
    await expect(stranger.count()).rejects.toMatchObject({ code: "namespace_not_found" });
    turns.all();
  });
});

describe("an engine that is handed its turns", () => {
  it("settles no more than sixteen runs in one of them", async () => {
    const settle = vi.spyOn(ResidentRun.prototype, "settle");
    const perTurn: number[] = [];
    const engine = await Engine.open({
      store: "memory:",
      workflows: [note],
      turn: (task) =>
        void setImmediate(() => {
          const before = settle.mock.calls.length;
          task();
          perTurn.push(settle.mock.calls.length - before);
        }),
    });
    closers.push(() => engine.close());
    const runs = await Promise.all(Array.from({ length: 100 }, () => engine.client.start(note, "one")));
    await Promise.all(runs.map((run) => run.result()));
    expect(Math.max(...perTurn)).toBe(16);
    expect(perTurn.reduce((sum, count) => sum + count, 0)).toBe(settle.mock.calls.length);
  });
});
