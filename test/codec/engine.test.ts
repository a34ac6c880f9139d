/** The engine, its clients and a codec: what is compared, refused, held and passed on. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { Engine } from "../../src/index.ts";
import type { EngineOptions } from "../../src/index.ts";
import { Client, webAes256gcm } from "../../src/client/index.ts";
import { aes256gcm } from "../../src/codec/index.ts";
import type { PayloadCodec } from "../../src/codec/index.ts";
import { isAionError } from "../../src/core/errors.ts";
import type { Event } from "../../src/core/event.ts";
import type { Payload } from "../../src/core/payload.ts";
import type { Tracing } from "../../src/core/tracing.ts";
import { parseEncoded } from "../../src/core/payload-codec.ts";
import { FileWrites } from "../../src/cli/file-writes.ts";
import { InProcessTransport } from "../../src/testing/index.ts";
import { Worker } from "../../src/worker/index.ts";
import type { WorkerOptions } from "../../src/worker/index.ts";
import {
  ApplicationFailure,
  activity,
  attributes,
  child,
  expose,
  query,
  receive,
  sideEffect,
  signal,
  workflow,
} from "../../src/workflow/index.ts";
import type { Workflow } from "../../src/workflow/index.ts";

const keyOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const old = aes256gcm({ keys: { old: keyOf(1) }, current: "old" });
const rotated = aes256gcm({ keys: { old: keyOf(1), new: keyOf(2) }, current: "new" });
const without = aes256gcm({ keys: { new: keyOf(2) }, current: "new" });
const strict = aes256gcm({ keys: { old: keyOf(1) }, current: "old", requireEncoded: true });

let directory: string;
let store: string;
const closers: (() => unknown)[] = [];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-codec-"));
  store = `sqlite:${path.join(directory, "aion.db")}`;
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  rmSync(directory, { recursive: true });
});

async function open(options: Omit<EngineOptions, "store">): Promise<Engine> {
  const engine = await Engine.open({ store, localSocket: false, log: () => undefined, ...options });
  closers.push(() => engine.close({ drain: 0 }));
  return engine;
}

function startWorker(engine: Engine, options: Omit<WorkerOptions, "transport">): Worker {
  const transport = new InProcessTransport(() => engine);
  const worker = new Worker({ transport, log: () => undefined, ...options });
  const working = worker.run();
  closers.push(async () => {
    await worker.stop({ drain: 0 });
    await working;
  });
  return worker;
}

async function codeOf(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (isAionError(error)) return error.code;
    throw error;
  }
}

async function historyOf(client: Client, id: string): Promise<readonly Event[]> {
  const events: Event[] = [];
  for await (const event of client.get(id).history()) events.push(event);
  return events;
}

const wait = workflow("wait", async (input: unknown) => {
  const heard = await receive(signal("go"));
  return { input, heard };
});

describe("a start that is made again", () => {
  it.each([
    ["and the engine reads it", old],
    ["and the engine cannot read it", undefined],
  ])("gives the run that exists, though its input is encrypted anew, %s", async (_what, codec) => {
    const engine = await open({ workflows: [wait], ...(codec === undefined ? {} : { codec }) });
    const client = new Client(engine.service, { codec: old });
    const first = await client.start(wait, { amount: 5 }, { id: "w" });
    const again = await client.start(wait, { amount: 5 }, { id: "w" });
    expect([first.isNew, again.isNew]).toEqual([true, false]);
    expect(again.runId).toBe(first.runId);
    expect(await codeOf(() => client.start(wait, { amount: 6 }, { id: "w" }))).toBe(
      "workflow_already_exists",
    );
    // By a name of its own, and over a rotation of keys.
    const byRequest = await client.start(wait, 1, { requestId: "r" });
    expect((await client.start(wait, 1, { requestId: "r" })).runId).toBe(byRequest.runId);
    const later = new Client(engine.service, { codec: rotated });
    if (codec === undefined)
      expect((await later.start(wait, { amount: 5 }, { id: "w" })).runId).toBe(first.runId);
  });

  it("is told from another one over a rotation of keys and from before there was a codec", async () => {
    const before = await open({ workflows: [wait] });
    await before.client.start(wait, { amount: 5 }, { id: "plain" });
    await before.close();
    const middle = await open({ workflows: [wait], codec: old });
    await middle.client.start(wait, { amount: 5 }, { id: "old" });
    await middle.close();
    const after = await open({ workflows: [wait], codec: rotated });
    for (const id of ["plain", "old"]) {
      expect((await after.client.start(wait, { amount: 5 }, { id })).isNew).toBe(false);
      expect(await codeOf(() => after.client.start(wait, { amount: 6 }, { id }))).toBe(
        "workflow_already_exists",
      );
    }
  });
});

describe("histories from before", () => {
  it("go on when a codec is turned on, and when its key is rotated", async () => {
    const before = await open({ workflows: [wait] });
    await before.client.start(wait, "plain", { id: "a" });
    await before.client.start(wait, "plain", { id: "b" });
    await before.close();
    const middle = await open({ workflows: [wait], codec: old });
    await middle.client.start(wait, "coded", { id: "c" });
    await middle.client.get("a").signal("go", "first");
    expect(await middle.client.get("a").result()).toEqual({ input: "plain", heard: "first" });
    await middle.close();
    const after = await open({ workflows: [wait], codec: rotated });
    for (const [id, input] of [
      ["b", "plain"],
      ["c", "coded"],
    ] as const) {
      await after.client.get(id).signal("go", "second");
      expect(await after.client.get(id).result()).toEqual({ input, heard: "second" });
    }
    const keys = (await historyOf(new Client(after.service), "c"))
      .map((event) => ("payload" in event ? event.payload : "input" in event ? event.input : undefined))
      .filter((payload) => payload !== undefined)
      .map((payload) => parseEncoded(payload)?.["key"]);
    expect(keys).toEqual(["old", "new"]);
  });

  it("are refused by a codec that takes nothing else: the run waits for one that does", async () => {
    const before = await open({ workflows: [wait] });
    await before.client.start(wait, "plain", { id: "a" });
    await before.close();
    const after = await open({ workflows: [wait], codec: strict });
    expect(await codeOf(() => after.client.get("a").query("x"))).toBe("run_blocked");
    await after.close();
    const again = await open({ workflows: [wait], codec: old });
    await again.client.get("a").signal("go", 1);
    expect(await again.client.get("a").result()).toEqual({ input: "plain", heard: 1 });
  });

  it("with a key that is missing, or another one, hold their runs and lose nothing; the others go on", async () => {
    const first = await open({ workflows: [wait], codec: old });
    await first.client.start(wait, "needs the old key", { id: "a" });
    await first.close();
    const wrong = aes256gcm({ keys: { old: keyOf(9), new: keyOf(2) }, current: "new" });
    for (const codec of [without, wrong]) {
      const engine = await open({ workflows: [wait], codec });
      await engine.client.start(wait, "fine", { id: `b ${codec === wrong}` });
      await engine.client.get(`b ${codec === wrong}`).signal("go", 1);
      expect(await engine.client.get(`b ${codec === wrong}`).result()).toEqual({ input: "fine", heard: 1 });
      expect(await codeOf(() => engine.client.get("a").query("x"))).toBe("run_blocked");
      const { blocked, status, input } = await engine.client.get("a").describe();
      expect({ blocked, status }).toMatchObject({
        blocked: expect.stringContaining('"old"'),
        status: "running",
      });
      // What is shown says that it could not be read.
      expect(JSON.parse(input ?? "")).toMatchObject({ $aion: "undecodable", code: "codec_key_unknown" });
      await engine.close();
    }
    const last = await open({ workflows: [wait], codec: rotated });
    await last.client.get("a").signal("go", 2);
    expect(await last.client.get("a").result()).toEqual({ input: "needs the old key", heard: 2 });
  });

  it("that were changed on the disk are not replayed", async () => {
    const engine = await open({ workflows: [wait], codec: old });
    await expect(engine.client.start(wait, "x", { id: "a" })).resolves.toBeDefined();
    const [started] = await historyOf(new Client(engine.service), "a");
    if (started?.type !== "WorkflowStarted") throw new Error("no start");
    const { data, ...rest } = JSON.parse(started.input) as { readonly data: string };
    const changed = JSON.stringify({ ...rest, data: `${data.slice(0, 40)}AAAA${data.slice(44)}` }) as Payload;
    const blind = new Client(engine.service);
    expect(await codeOf(() => blind.start("wait", JSON.parse(changed), { id: "b" }))).toBe(
      "payload_undecodable",
    );
    expect(await codeOf(() => blind.get("a").signal("go", JSON.parse(changed)))).toBe("payload_undecodable");
    expect(await codeOf(() => blind.get("a").query("x", JSON.parse(changed)))).toBe("payload_undecodable");
    await engine.client.get("a").signal("go", "fine");
    expect(await engine.client.get("a").result()).toEqual({ input: "x", heard: "fine" });
  });
});

it("a signal that was left in the file and cannot be decoded holds its run at once, and no other", async () => {
  const first = await open({ workflows: [wait], codec: old });
  for (const id of ["a", "b"]) await first.client.start(wait, "x", { id });
  await first.close();
  const payload = rotated.encode('"from another"', { kind: "signal" }) as Payload;
  await new FileWrites(store.slice("sqlite:".length)).signal({ workflowId: "a", name: "go", payload });
  const logged: string[] = [];
  const log: EngineOptions["log"] = (_level, message) => void logged.push(message);
  const engine = await open({ workflows: [wait], codec: old, log });
  await engine.client.get("b").signal("go", 1);
  expect(await engine.client.get("b").result()).toEqual({ input: "x", heard: 1 });
  await expect
    .poll(async () => (await engine.client.get("a").describe()).blocked)
    .toContain("codec_key_unknown");
  expect(logged.filter((message) => message.includes("crashed"))).toHaveLength(1);
  await engine.close();
  const again = await open({ workflows: [wait], codec: rotated });
  expect(await again.client.get("a").result()).toEqual({ input: "x", heard: "from another" });
});

describe("a client without a codec, of an engine with one", () => {
  it("is served, what it sends is encrypted on its way to the disk, and what it reads is ciphertext", async () => {
    const engine = await open({ workflows: [wait], codec: old });
    const blind = new Client(engine.service);
    const run = await blind.start(wait, "PLAIN-INPUT", { id: "a", signal: ["go", "PLAIN-SIGNAL"] });
    expect(await run.result()).toMatchObject({ $aion: "xaes-256-gcm" });
    expect(JSON.stringify(await historyOf(blind, "a"))).not.toContain("PLAIN");
    expect(await engine.client.get("a").result()).toEqual({ input: "PLAIN-INPUT", heard: "PLAIN-SIGNAL" });
  });

  it("does not harm it with what is nested without an end", async () => {
    const engine = await open({ workflows: [wait], codec: old });
    const deep = `{"$aion": 1, "x": ${"[".repeat(200_000)}1${"]".repeat(200_000)}}` as Payload;
    const started = engine.service.start({ workflowType: "wait", input: deep, workflowId: "deep" });
    expect(await codeOf(() => started)).toBe("payload_undecodable");
    expect((await engine.client.start(wait, 1, { id: "a" })).isNew).toBe(true);
  });

  it("is refused if the codec takes nothing else", async () => {
    const engine = await open({ workflows: [wait], codec: strict });
    const blind = new Client(engine.service);
    expect(await codeOf(() => blind.start(wait, 1, { id: "a" }))).toBe("payload_undecodable");
    await engine.client.start(wait, 1, { id: "a" });
    expect(await codeOf(() => blind.get("a").signal("go", 1))).toBe("payload_undecodable");
    expect(await codeOf(() => blind.get("a").query("x", 1))).toBe("payload_undecodable");
  });

  it("and a worker without one: its results are encrypted before they are recorded", async () => {
    const far = activity("far", { taskQueue: "far" }, async (input: unknown) => ({ FAR: input }));
    const one = workflow("one", async (input: string) => await far(input));
    const engine = await open({ workflows: [one], codec: old });
    startWorker(engine, { activities: [far], taskQueues: ["far"] });
    const run = await engine.client.start(one, "x", { id: "a" });
    // It was handed ciphertext, and said so in plaintext, which comes back decoded: also what it holds.
    expect(await run.result()).toEqual({ FAR: "x" });
    expect(JSON.stringify(await historyOf(new Client(engine.service), "a"))).not.toContain("FAR");
  });
});

describe("an engine without a codec", () => {
  const secretly = activity("secretly", { taskQueue: "far" }, async (input: { readonly n: number }, task) => {
    if (task.attempt === 1) {
      task.heartbeat("half");
      throw new ApplicationFailure("once more", { type: "Once", details: 1 });
    }
    return { twice: input.n * 2, last: task.lastHeartbeat };
  });
  const both = activity("both", { taskQueue: "far" }, async (of: unknown) => of);
  const failing = activity("failing", { taskQueue: "far" }, async (input: unknown) => {
    throw new ApplicationFailure(`refused ${String(input)}`, { type: "Refused", details: { input } });
  });
  const seen = query("seen");
  const leaf = workflow("leaf", async (input: unknown) => input);
  const blind = workflow("blind", async (input: unknown) => {
    const result = await secretly(input as { readonly n: number }, {
      retry: { maxAttempts: 2, initialDelay: 1 },
    });
    expose(seen, () => ({ input, result }));
    const passed = await child(leaf, result);
    const sent = await receive(signal("go"));
    return await both({ input, passed, sent });
  });
  const fails = workflow("fails", async (input: unknown) => await failing(input));

  it("passes on what it cannot read: whole, and within values of its own", async () => {
    const engine = await open({ workflows: [blind, leaf] });
    startWorker(engine, { activities: [secretly, both], taskQueues: ["far"], codec: old });
    const client = new Client(engine.service, { codec: old });
    const run = await client.start(blind, { n: 21 }, { id: "a" });
    await expect.poll(async () => (await run.describe()).pendingActivities.length).toBe(0);
    await run.signal("go", "SIGNAL");
    const result = { twice: 42, last: "half" };
    expect(await run.result()).toEqual({ input: { n: 21 }, passed: result, sent: "SIGNAL" });
    expect(await run.query("seen")).toEqual({ input: { n: 21 }, result });
    expect(JSON.stringify(await historyOf(new Client(engine.service), "a"))).not.toMatch(
      /SIGNAL|half|once more/,
    );
    expect(JSON.stringify(await historyOf(client, "a"))).toMatch(/once more/);
  });

  it("hands on how an activity failed, and its client reads why", async () => {
    const engine = await open({ workflows: [fails] });
    startWorker(engine, { activities: [failing], taskQueues: ["far"], codec: old });
    const client = new Client(engine.service, { codec: old });
    const run = await client.start(fails, "card", { id: "a" });
    await expect(run.result()).rejects.toMatchObject({
      kind: "activity",
      message: expect.stringMatching(/failed at attempt \d+: refused card$/),
      cause: { type: "Refused", message: "refused card", details: { input: "card" } },
    });
    const shown = await new Client(engine.service).get("a").describe();
    expect(JSON.stringify(shown)).not.toContain("card");
    expect(shown.failure).toMatchObject({ cause: { type: "Refused", message: "(encoded)" } });
  });

  it("says so where a schema would have to read what is encoded", async () => {
    const typed = workflow("typed", { input: z.object({}) }, async () => 1);
    const listening = workflow("listening", async () => await receive(signal("go", z.object({}))));
    const engine = await open({ workflows: [typed, listening] });
    const client = new Client(engine.service, { codec: old });
    expect(await codeOf(() => client.start(typed, {}, { id: "a" }))).toBe("payload_undecodable");
    await client.start(listening, undefined, { id: "b" });
    expect(await codeOf(() => client.get("b").signal("go", {}))).toBe("payload_undecodable");
  });
});

describe("a worker", () => {
  const far = activity("far", { taskQueue: "far" }, async (input: string) => `${input}!`);
  const one: Workflow<string, string> = workflow("one", async (input: string) =>
    far(input, { retry: { maxAttempts: 3, initialDelay: 1 } }),
  );

  it("with a codec that answers later works as well", async () => {
    const engine = await open({ workflows: [one], codec: old });
    const web = webAes256gcm({ keys: { old: keyOf(1) }, current: "old", requireEncoded: true });
    startWorker(engine, { activities: [far], taskQueues: ["far"], codec: web });
    const run = await new Client(engine.service, { codec: web }).start(one, "x");
    expect(await run.result()).toBe("x!");
  });

  it("without the key fails its attempt, which is tried again until one has it", async () => {
    const engine = await open({ workflows: [one], codec: old });
    startWorker(engine, { activities: [far], taskQueues: ["far"], codec: without });
    const run = await engine.client.start(one, "x", { id: "a" });
    await expect(run.result()).rejects.toMatchObject({
      cause: { kind: "engine", code: "codec_key_unknown" },
    });
    const failed = (await historyOf(engine.client, "a")).filter(({ type }) => type === "ActivityFailed");
    expect(failed).toHaveLength(3);
  });

  it("that encodes with a key that the engine has not fails its attempts, and holds no run", async () => {
    const engine = await open({ workflows: [one], codec: old });
    startWorker(engine, { activities: [far], taskQueues: ["far"], codec: rotated });
    const run = await engine.client.start(one, "x", { id: "a" });
    await expect(run.result()).rejects.toMatchObject({ cause: { code: "codec_key_unknown" } });
  });

  it("whose heartbeats cannot be decoded is not cut off: its result counts", async () => {
    const beats = activity("beats", { taskQueue: "far" }, async (input: string, task) => {
      task.heartbeat({ at: input });
      return "done";
    });
    const asks = workflow("asks", async (input: string) => await beats(input));
    const engine = await open({ workflows: [asks], codec: old });
    const codec: PayloadCodec = {
      encode: (text, context) => (context.kind === "heartbeat" ? rotated : old).encode(text, context),
      decode: (text, context) => old.decode(text, context),
    };
    startWorker(engine, { activities: [beats], taskQueues: ["far"], codec });
    expect(await engine.client.start(asks, "x").then((run) => run.result())).toBe("done");
    expect(engine.workers).toHaveLength(1);
  });

  it("whose codec cannot encode sends nothing as it is", async () => {
    const broken: PayloadCodec = {
      encode: () => Promise.reject(new Error("the vault is closed")),
      decode: (text, context) => old.decode(text, context),
    };
    const engine = await open({ workflows: [one], codec: old });
    startWorker(engine, { activities: [far], taskQueues: ["far"], codec: broken });
    const run = await engine.client.start(one, "SECRET", { id: "a" });
    await expect(run.result()).rejects.toMatchObject({ cause: { code: "codec_failed" } });
    expect(JSON.stringify(await historyOf(new Client(engine.service), "a"))).not.toContain("SECRET");
  });
});

describe("opening an engine", () => {
  it.each([
    ["answers later", webAes256gcm({ keys: { a: keyOf(1) }, current: "a" })],
    ["does not give back what it was given", { encode: () => "1", decode: () => "2" }],
    ["makes no JSON", { encode: (text: string) => `!${text}`, decode: (text: string) => text.slice(1) }],
  ])("refuses a codec that %s", async (_what, codec) => {
    expect(await codeOf(() => open({ workflows: [wait], codec }))).toBe("invalid_argument");
  });
});

describe("a replay", () => {
  const told = activity("told", async (word: string) => `${word}!`);
  /** The same workflow, as it was and as it is changed. */
  const says = (
    word: string,
    end: (value: string) => unknown,
    fact: () => string = () => "fact",
  ): Workflow<void, unknown> =>
    workflow("says", async (): Promise<unknown> => {
      const said = await told(word);
      await child("other", said).catch(() => undefined);
      sideEffect(fact);
      await receive(signal("go"));
      return end(said);
    });
  const other = workflow("other", async (input: string) => input);
  const same = says("SECRET", (value) => value);

  async function startWith(definition: Workflow<void, unknown>): Promise<Engine> {
    const engine = await open({ workflows: [definition, other], activities: [told], codec: old });
    const run = await engine.client.start(definition, undefined, { id: "a" });
    await expect.poll(async () => (await run.describe()).historyLength).toBe(7);
    return engine;
  }

  it("goes on over a rotation of keys, with side effects as they were recorded", async () => {
    await (await startWith(same)).close();
    const facts: string[] = [];
    const again = says(
      "SECRET",
      (value) => value,
      () => facts.push("again").toString(),
    );
    const engine = await open({ workflows: [again, other], activities: [told], codec: rotated });
    await engine.client.get("a").signal("go");
    expect(await engine.client.get("a").result()).toBe("SECRET!");
    expect(facts).toEqual([]);
  });

  it("finds code that gives an activity something else, and says so without saying what", async () => {
    await (await startWith(same)).close();
    const changed = says("OTHER-SECRET", (value) => value);
    const engine = await open({ workflows: [changed, other], activities: [told], codec: old });
    // It is at rest: who asks it has it read.
    await codeOf(() => engine.client.get("a").query("seen"));
    await expect(engine.client.get("a").result()).rejects.toMatchObject({
      code: "nondeterminism",
      message: expect.stringMatching(/run-activity "told" #0.*what it was given is another, encoded/),
    });
    expect(JSON.stringify(await historyOf(new Client(engine.service), "a"))).not.toContain("SECRET");
  });

  it.each(["completed", "failed"] as const)("of a run that has %s answers queries", async (status) => {
    const seen = query<string>("seen");
    const ends = workflow("ends", async (word: string) => {
      expose(seen, () => word);
      if (status === "failed") throw new ApplicationFailure(`no ${word}`, { details: word });
      return word;
    });
    const first = await open({ workflows: [ends], codec: old });
    await first.client.start(ends, "SECRET", { id: "a" });
    await first.close();
    const engine = await open({ workflows: [ends], codec: rotated });
    expect((await engine.client.get("a").describe()).status).toBe(status);
    expect(await engine.client.get("a").query(seen)).toBe("SECRET");
  });

  it("finds code that fails with something else, though both messages are encoded", async () => {
    const fails = (message: string) =>
      workflow("ends", async () => {
        expose(query("seen"), () => 1);
        throw new ApplicationFailure(message);
      });
    const first = await open({ workflows: [fails("SECRET")], codec: old });
    await first.client.start("ends", undefined, { id: "a" });
    await first.close();
    for (const [message, code] of [
      ["SECRET", undefined],
      ["OTHER", "nondeterminism"],
    ] as const) {
      const engine = await open({ workflows: [fails(message)], codec: old });
      expect(await codeOf(() => engine.client.get("a").query("seen"))).toBe(code);
      await engine.close();
    }
  });

  it("tells of a rejection that nobody handled without what it said, but to who can read it", async () => {
    const strays = workflow("strays", async () => {
      await told("x");
      void new Promise((_resolve, reject) => setTimeout(() => reject(new Error("SECRET")), 20));
      await receive(signal("never"));
    });
    const logged: string[] = [];
    const log: EngineOptions["log"] = (_level, message, fields) => {
      logged.push(`${message} ${JSON.stringify(fields)}`);
    };
    const engine = await open({ workflows: [strays], activities: [told], codec: old, log });
    const run = await engine.client.start(strays, undefined, { id: "a" });
    await expect(run.result()).rejects.toMatchObject({
      code: "nondurable_await",
      message: expect.stringContaining("SECRET"),
    });
    expect(JSON.stringify(await historyOf(new Client(engine.service), "a"))).not.toContain("SECRET");
    expect(logged.join()).not.toContain("SECRET");
  });
});

describe("spans", () => {
  it("of attempts and of calls tell of an error by its type alone", async () => {
    const told: string[] = [];
    const tracing: Tracing = {
      within: async (span, work) => {
        try {
          return await work({ traceparent: `00-${"1".repeat(32)}-${"2".repeat(16)}-01` });
        } catch (error) {
          told.push(`${span.name}: ${Error.isError(error) ? `${error.name} ${error.stack}` : String(error)}`);
          throw error;
        }
      },
      emit: (span) => void told.push(JSON.stringify(span)),
      contextOf: (_seed, parent) => parent,
    };
    const fails = async (input: unknown): Promise<unknown> => {
      throw new ApplicationFailure(`SECRET ${String(input)}`, { type: "Refused" });
    };
    const [near, far] = [activity("near", fails), activity("far", { taskQueue: "far" }, fails)];
    const both = workflow("both", { input: z.string().min(3, { error: "SECRET" }) }, async (input) => {
      const outcomes = await Promise.allSettled([near(input), far(input)]);
      return outcomes.map((one) => (one.status === "rejected" ? String(one.reason) : ""));
    });
    const engine = await open({ workflows: [both], activities: [near], codec: old, tracing });
    startWorker(engine, { activities: [far], taskQueues: ["far"], codec: old, tracing });
    const run = await engine.client.start(both, "input");
    expect(await run.result()).toEqual([
      expect.stringContaining("SECRET input"),
      expect.stringContaining("SECRET input"),
    ]);
    await expect(engine.client.start("both", "x")).rejects.toThrow("SECRET");
    expect(told.filter((line) => /^attempt (near|far): Refused/.test(line))).toHaveLength(2);
    expect(told.some((line) => line.startsWith("start both"))).toBe(true);
    expect(told.filter((line) => line.includes("SECRET"))).toEqual([]);
  });
});

describe("failures", () => {
  const breaks = workflow("breaks", async (input: string) => {
    throw new ApplicationFailure(`no ${input}`, { type: "No", details: { input } });
  });

  it("are hidden but for their types; messages are not, if the codec says so", async () => {
    for (const failureText of ["encoded", "plain"] as const) {
      const codec = aes256gcm({ keys: { old: keyOf(1) }, current: "old", failureText });
      const engine = await open({ workflows: [breaks], codec });
      const id = `of ${failureText}`;
      const run = await engine.client.start(breaks, "SECRET", { id });
      const failure = { kind: "application", type: "No", message: "no SECRET", details: { input: "SECRET" } };
      await expect(run.result()).rejects.toMatchObject(failure);
      const { failure: shown } = await new Client(engine.service).get(id).describe();
      expect(shown).toMatchObject({
        type: "No",
        message: failureText === "plain" ? "no SECRET" : "(encoded)",
      });
      expect(parseEncoded(shown?.details ?? "")).toBeDefined();
      expect(shown?.stack === undefined).toBe(failureText === "encoded");
      await engine.close();
    }
  });
});

describe("the limit of payloads", () => {
  it("is one of what is encoded: what does not fit is the activity's failure, and no run is held", async () => {
    const large = activity("large", async (bytes: number) => randomBytes(bytes / 2).toString("hex"));
    const asks = workflow("asks", async (bytes: number) => {
      const text = await large(bytes);
      return await large(text.length);
    });
    const engine = await open({
      workflows: [asks],
      activities: [large],
      codec: old,
      payloadLimitBytes: 20_000,
    });
    await expect(engine.client.start(asks, 14_000).then((run) => run.result())).resolves.toHaveLength(14_000);
    await expect(engine.client.start(asks, 16_000).then((run) => run.result())).rejects.toMatchObject({
      cause: { code: "payload_too_large" },
    });
    const returns = workflow("returns", async () => "x".repeat(16_000));
    await engine.close();
    const next = await open({ workflows: [returns], codec: old, payloadLimitBytes: 20_000 });
    // The run has begun, and fails.
    const run = await next.client.start(returns);
    await expect(run.result()).rejects.toMatchObject({ code: "payload_too_large" });
  });
});

describe("a schedule behind a codec", () => {
  it("keeps what it starts with encoded, and is the same again though that is another text each time", async () => {
    const secret = "the depth is 3";
    const report = workflow("report", async (depth: string) => depth.length);
    const engine = await open({ workflows: [report], codec: strict });
    const create = (input: string) =>
      engine.client.schedules.create("nightly", report, input, { cron: "0 2 * * *" });
    const schedule = await create(secret);
    await create(secret);
    expect(await codeOf(async () => create("another"))).toBe("schedule_already_exists");
    expect((await schedule.describe()).action.input).toBe(JSON.stringify(secret));
    const run = await schedule.trigger();
    await expect.poll(() => engine.client.count({ workflowType: "report" })).toBe(1);
    expect(await run.result()).toBe(secret.length);
    const historyBy = async (client: Client): Promise<readonly Event[]> => {
      const events: Event[] = [];
      for await (const event of client.get("aion.schedule:nightly").history()) events.push(event);
      return events;
    };
    const encoded = await historyBy(new Client(engine.service));
    expect(encoded.map(({ type }) => type)).toContain("ScheduleTriggered");
    expect(JSON.stringify(encoded)).not.toContain(secret);
    const shown = await historyBy(engine.client);
    expect(shown.find(({ type }) => type === "ScheduleCreated")).toMatchObject({
      input: JSON.stringify(secret),
    });
  });
});

// I-63
it("search attributes are what they are, and a run that sets them replays behind a codec", async () => {
  const leaf = workflow("leaf", async () => attributes.get("amount"));
  const job = workflow("job", async (secret: string) => {
    attributes.set({ amount: 5, due: new Date(7) });
    const found = await child(leaf, undefined, { attributes: { amount: 6 } });
    const more = await receive(signal<string>("more"));
    attributes.set({ amount: 7 });
    return [secret, found, more, attributes.get()];
  });
  const options = { codec: old, workflows: [job, leaf] };
  const first = await open(options);
  await first.client.start(job, "hidden", { id: "j", attributes: { customer: "c-1" } });
  await expect.poll(() => first.client.count({ where: { amount: 6 } })).toBe(1);
  await first.close({ drain: 0 });
  const engine = await open(options);
  const run = engine.client.get("j");
  await run.signal("more", "also hidden");
  const kept = { amount: 7, customer: "c-1", due: new Date(7).toISOString() };
  expect(await run.result()).toEqual(["hidden", 6, "also hidden", kept]);
  expect(await engine.client.count({ where: { amount: { from: 7 }, customer: "c-1" } })).toBe(1);
  const raw = await new Client(engine.service).listPage({ where: ["amount=7"] }, { withAttributes: true });
  expect(raw.runs[0]?.attributes).toEqual({ amount: 7, customer: "c-1", due: { at: 7 } });
  const { events } = await engine.service.history({ workflowId: "j", fromSeq: 1, limit: 1 });
  expect(events[0]).toMatchObject({ attributes: { customer: "c-1" } });
  expect(parseEncoded((events[0] as { input?: string }).input as Payload)).toBeDefined();
});

describe("an activity that waits for an operator", () => {
  it.each([
    ["and the engine reads it", old],
    ["and the engine cannot read it", undefined],
  ])("is given an outcome that nobody on the way reads, %s", async (_what, codec) => {
    const pay = activity(
      "pay",
      { output: z.string().startsWith("pay_") },
      async (_card: string): Promise<string> => {
        throw new ApplicationFailure("SECRET key", { type: "NoKey", park: true, details: { is: "SECRET" } });
      },
    );
    const order = workflow("order", async (card: string) => {
      const ends = await Promise.allSettled([pay(card), pay(card)]);
      return ends.map((end) =>
        end.status === "fulfilled" ? end.value : end.reason instanceof Error && end.reason.message,
      );
    });
    const engine = await open({
      workflows: [order],
      activities: [pay],
      ...(codec === undefined ? {} : { codec }),
    });
    const client = new Client(engine.service, { codec: old });
    const run = await client.start(order, "4111", { id: "o" });
    await expect.poll(async () => (await run.describe()).parked?.count).toBe(2);
    const result = { ordinal: 0, activity: pay, result: "pay_SECRET" };
    // Its schema is asked by who can read it: the client, if the engine cannot.
    expect(await codeOf(() => run.resumeActivity({ ...result, result: "SECRET" }))).toBe("payload_invalid");
    if (codec !== undefined)
      expect(await codeOf(() => run.resumeActivity({ ordinal: 0, result: "SECRET" }))).toBe(
        "payload_invalid",
      );
    await run.resumeActivity(result);
    await run.resumeActivity({ ordinal: 1, failure: { message: "SECRET fraud", type: "Fraud" } });
    const end = await run.result();
    if (codec !== undefined) expect(end).toEqual(["pay_SECRET", expect.stringContaining("SECRET fraud")]);
    const blind = await historyOf(new Client(engine.service), "o");
    const ofOperator = JSON.stringify(blind.filter((event) => "byOperator" in event));
    expect(ofOperator).not.toContain("SECRET");
    expect(ofOperator).toContain("Fraud");
    const read = (await historyOf(client, "o")).filter((event) => "byOperator" in event);
    expect(read).toMatchObject([
      { type: "ActivityCompleted", result: '"pay_SECRET"' },
      { type: "ActivityFailed", failure: { message: "SECRET fraud", type: "Fraud" } },
    ]);
  });
});
