/** What workflow code says: visible for each run, once, and bounded; the same inline and packaged, over restarts. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { aes256gcm } from "../../src/codec/index.ts";
import type { LogsLine } from "../../src/client/service.ts";
import { Engine } from "../../src/embedded/engine.ts";
import type { EngineOptions } from "../../src/embedded/engine.ts";
import { buildPackage } from "../../src/package/build.ts";
import type { NewEvent } from "../../src/core/codec.ts";
import { loadInline } from "../../src/program/inline.ts";
import { startOf, startedEvent } from "../../src/store/conformance/world.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import {
  activity,
  continueAsNew,
  expose,
  log,
  query,
  receive,
  signal,
  workflow,
} from "../../src/workflow/index.ts";

let directory: string;
const engines: Engine[] = [];
let told: { readonly message: string; readonly fields: unknown }[];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-logs-"));
  told = [];
});

afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close({ drain: 0 });
  rmSync(directory, { recursive: true, force: true });
});

async function open(options: Partial<EngineOptions> = {}): Promise<Engine> {
  const engine = await Engine.open({
    store: `sqlite:${path.join(directory, "aion.db")}`,
    localSocket: false,
    log: (_level, message, fields) => void told.push({ message, fields }),
    ...options,
  });
  engines.push(engine);
  return engine;
}

async function close(engine: Engine): Promise<void> {
  engines.splice(engines.indexOf(engine), 1);
  await engine.close({ drain: 0 });
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<readonly Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function linesOf(engine: Engine, id: string): Promise<readonly LogsLine[]> {
  return await collect(engine.client.get(id).logs());
}

async function messagesOf(engine: Engine, id: string): Promise<readonly string[]> {
  return (await linesOf(engine, id)).map(({ message }) => message);
}

const go = signal<number>("go");
const stage = query("stage");
const charge = activity("charge", (amount: number) => amount);

const chatty = workflow("chatty", async (name: string) => {
  log.info(`begun ${name}`, { name });
  expose(stage, () => {
    log.info("asked");
    return name;
  });
  log.debug("charging");
  await charge(1);
  log.warn("charged", { nested: { text: 'é "', list: [1, null] } });
  for (let round = 1; round <= 2; round += 1) {
    const value = await receive(go);
    log.info(`round ${round}: ${value}`);
  }
  log.error("done");
});

const inline = { workflows: [chatty], activities: [charge] };

describe("what workflow code says", () => {
  it("is there with where and when it was said, in order", async () => {
    const engine = await open(inline);
    const run = await engine.client.start(chatty, "a", { id: "c1" });
    await run.signal(go, 7);
    const lines = await linesOf(engine, "c1");
    const history = await collect(run.history());
    expect(lines.map(({ level, message, fields }) => ({ level, message, fields }))).toEqual([
      { level: "info", message: "begun a", fields: '{"name":"a"}' },
      { level: "debug", message: "charging", fields: undefined },
      { level: "warn", message: "charged", fields: '{"nested":{"text":"é \\"","list":[1,null]}}' },
      { level: "info", message: "round 1: 7", fields: undefined },
    ]);
    const of = new Map(history.map((event) => [event.seq, event]));
    expect(lines.map(({ seq }) => of.get(seq)?.type)).toEqual([
      "WorkflowStarted",
      "WorkflowStarted",
      "ActivityCompleted",
      "SignalReceived",
    ]);
    for (const line of lines) {
      expect(line.runId).toBe(run.runId);
      expect(line.recordedAt).toBe(of.get(line.seq)?.recordedAt);
    }
    expect(told.map(({ message }) => message)).toEqual(lines.map(({ message }) => message));
    expect(told[0]?.fields).toEqual({
      name: "a",
      workflowId: "c1",
      runId: run.runId,
      workflowType: "chatty",
    });
  });

  // I-42
  it("is said once, however often the code is replayed, and by nobody who only asks", async () => {
    const first = await open({ ...inline, residentMax: 1 });
    const run = await first.client.start(chatty, "a", { id: "c1" });
    // The activation that is the last one at each load has no commands: nothing in history says that it was said.
    await run.signal(go, 1);
    const before = await messagesOf(first, "c1");
    for (let round = 0; round < 3; round += 1) {
      await close(engines[0] ?? first);
      const engine = await open(inline);
      expect(await engine.client.get("c1").query("stage")).toBe("a");
      for await (const report of engine.recover()) expect(report.outcome.kind).toBe("resumed");
      expect(await messagesOf(engine, "c1")).toEqual(before);
    }
    const [engine] = engines;
    await engine?.client.get("c1").signal(go, 2);
    await engine?.client.get("c1").result();
    expect(await messagesOf(engine ?? first, "c1")).toEqual([...before, "round 2: 2", "done"]);
    expect(told.filter(({ message }) => message !== "asked").map(({ message }) => message)).toEqual([
      ...before,
      "round 2: 2",
      "done",
    ]);
  });

  it("is said by whoever runs the code first, when its start was recorded without it", async () => {
    const store = openMemoryStore();
    const token = await store.claim({ leaseMs: 1_000 });
    const version = loadInline([chatty]).route("chatty")?.version ?? "";
    const start = startOf("c1", { workflowType: "chatty", version, wakeAt: 0 });
    const event = { ...startedEvent(start.runId), workflowType: "chatty", version } as NewEvent;
    await store.append(token, [{ start: { ...start, events: [event] } }]);
    await store.release(token);
    const activities = [activity("charge", () => new Promise(() => undefined))];
    const engine = await open({ ...inline, store, activities });
    await expect.poll(() => messagesOf(engine, "c1")).toHaveLength(2);
    expect((await linesOf(engine, "c1")).map(({ seq }) => seq)).toEqual([1, 1]);
    expect(told.map(({ message }) => message)).toEqual(await messagesOf(engine, "c1"));
    for await (const report of engine.recover()) void report;
    expect(told).toHaveLength(2);
  });

  it("is that of all runs of a chain, or of one", async () => {
    const loop = workflow("loop", async (round: number) => {
      log.info(`round ${round}`);
      await charge(round);
      if (round < 3) continueAsNew(round + 1);
      log.info("the end");
    });
    const engine = await open({ workflows: [loop], activities: [charge] });
    const run = await engine.client.start(loop, 1, { id: "l1" });
    await run.result();
    expect(await messagesOf(engine, "l1")).toEqual(["round 1", "round 2", "round 3", "the end"]);
    const of = engine.client.get("l1", run.runId === undefined ? {} : { runId: run.runId });
    expect((await collect(of.logs())).map(({ message }) => message)).toEqual(["round 1"]);
  });

  it("can be followed while it is said, over pages, to the end of the run", async () => {
    const engine = await open(inline);
    const run = await engine.client.start(chatty, "a", { id: "c1" });
    const followed: string[] = [];
    const following = (async () => {
      for await (const { message } of run.followLogs()) followed.push(message);
    })();
    await run.signal(go, 1);
    await run.signal(go, 2);
    await following;
    expect(followed).toEqual(["begun a", "charging", "charged", "round 1: 1", "round 2: 2", "done"]);
    const page = await engine.service.logs({ workflowId: "c1", limit: 1 });
    expect(page).toMatchObject({ isEnd: false, droppedCount: 0 });
    expect(page.lines.map(({ message }) => message)).toEqual(["begun a", "charging"]);
    const rest = await engine.service.logs({ workflowId: "c1", limit: 100, after: page.nextCursor });
    expect(rest.isEnd).toBe(true);
    expect(rest.lines.map(({ message }) => message)).toEqual(followed.slice(2));
  });

  it("is bounded: of one activation, of one line, and of a run", async () => {
    const loud = workflow("loud", async () => {
      for (let line = 0; line < 250; line += 1) log.info(`line ${line}`);
      await receive(go);
      log.info("x".repeat(20_000), { text: "y".repeat(20_000) });
      const cyclic: Record<string, unknown> = {};
      cyclic["self"] = cyclic;
      log.info("cyclic", cyclic);
      for (let round = 0; round < 8; round += 1) {
        await receive(go);
        for (let line = 0; line < 200; line += 1) log.info(`${round} ${line}`);
      }
    });
    const engine = await open({ workflows: [loud] });
    const run = await engine.client.start(loud, undefined, { id: "loud" });
    const first = await linesOf(engine, "loud");
    expect(first).toHaveLength(201);
    expect(first.at(-1)).toMatchObject({
      level: "warn",
      message: "50 more lines of this activation were left out",
    });
    await run.signal(go, 0);
    const [long, cyclic] = (await linesOf(engine, "loud")).slice(-2);
    expect(long?.message).toMatch(/^x{8192}… \(20000 characters\)$/);
    expect(long?.fields).toMatch(/^\{"unreadable":"/);
    expect(cyclic?.fields).toMatch(/^\{"unreadable":"/);
    for (let round = 0; round < 8; round += 1) await run.signal(go, round);
    await run.result();
    const { lines, droppedCount } = await engine.service.logs({ workflowId: "loud", limit: 5_000 });
    expect(lines).toHaveLength(1_000);
    expect(lines.at(0)?.message).toBe("3 0");
    expect(droppedCount).toBe(201 + 2 + 600);
  });

  it("goes with the run", async () => {
    const engine = await open(inline);
    const run = await engine.client.start(chatty, "a", { id: "c1" });
    await run.terminate();
    const record = await engine.client.get("c1").describe();
    expect(record.status).toBe("terminated");
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await engine.deleteClosed(1)).toBe(1);
    await expect(linesOf(engine, "c1")).rejects.toMatchObject({ code: "run_not_found" });
  });

  it("is on disk as it was said only for those who have the key, when there is a codec", async () => {
    const codec = aes256gcm({ keys: { one: new Uint8Array(32).fill(7) }, current: "one" });
    const engine = await open({ ...inline, codec });
    const run = await engine.client.start(chatty, "a secret name", { id: "c1" });
    await run.signal(go, 7);
    const [begun] = await linesOf(engine, "c1");
    expect(begun).toMatchObject({ message: "begun a secret name", fields: '{"name":"a secret name"}' });
    const { lines } = await engine.service.logs({ workflowId: "c1", limit: 100 });
    expect(lines.map(({ level }) => level)).toEqual(["info", "debug", "warn", "info"]);
    expect(JSON.stringify(lines)).not.toMatch(/secret|charging|round/);
    const files = ["aion.db", "aion.db-wal"].map((name) => readFileSync(path.join(directory, name)));
    for (const file of files) expect(file.includes("secret name")).toBe(false);
  });

  it("is the same from a package", async () => {
    writeFileSync(path.join(directory, "package.json"), "{}");
    const file = path.join(directory, "chatty.ts");
    writeFileSync(
      file,
      `
      import { log, receive, signal, workflow } from "aion/workflow";
      const go = signal<number>("go");
      export const packaged = workflow("packaged", async (name: string) => {
        log.info("begun " + name, { name });
        log.warn("waiting");
        const value = await receive(go);
        log.info("went " + value);
        console.error("to the console");
        await receive(go);
      });
      `,
    );
    const { bytes } = await buildPackage(file);
    const first = await open();
    await first.deploy(bytes);
    await first.client.start("packaged", "a", { id: "p1" });
    await first.client.get("p1").signal("go", 7);
    const expected = ["begun a", "waiting", "went 7", "to the console"];
    expect(await messagesOf(first, "p1")).toEqual(expected);
    await close(first);
    const second = await open();
    await second.client.get("p1").signal("go", 8);
    await second.client.get("p1").result();
    const lines = await linesOf(second, "p1");
    expect(lines.map(({ message }) => message)).toEqual(expected);
    expect(lines[0]?.fields).toBe('{"name":"a"}');
    expect(told.map(({ message }) => message)).toEqual(expected);
  });
});
