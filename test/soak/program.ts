/**
 * What is soaked: an engine with a steady stream of mixed workflows, few of which stay in memory, and retention. Started
 * and killed by `main.ts`; tells what it uses, a JSON line each time.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Engine } from "aion";
import { child, continueAsNew, receive, scope, signal, sleep, step, workflow } from "aion/workflow";
import type { Sample } from "./sample.ts";

const { values } = parseArgs({
  options: {
    store: { type: "string" },
    rate: { type: "string" },
    "sample-ms": { type: "string" },
    "retention-ms": { type: "string" },
  },
});
const path = values.store ?? "";
const perSecond = Number(values.rate);
const sampleMs = Number(values["sample-ms"]);
const retentionMs = Number(values["retention-ms"]);

const go = signal<number>("go");
const text = "x".repeat(80);

const steps = workflow("steps", async (n: number) => {
  const first = await step("first", () => ({ n, text }));
  const second = await step("second", async () => ({ n: first.n + 1, text }));
  return await step("third", () => second.n);
});
const sleeper = workflow("sleeper", async (ms: number) => {
  await sleep(ms);
  return await step("woken", () => ms);
});
const waiter = workflow("waiter", async (n: number) => {
  const waited = await receive(go, { timeout: "1 minute" });
  return waited.ok ? waited.value + n : -1;
});
const parent = workflow("parent", async (n: number) => {
  const results = await Promise.all([child(steps, n), child(steps, n + 1)]);
  return results.length;
});
const loop = workflow("loop", async (left: number): Promise<number> => {
  await step("turn", () => left);
  if (left > 0) continueAsNew(left - 1);
  return left;
});
const flaky = workflow("flaky", async (n: number) => {
  const policy = { retry: { maxAttempts: 5, initialDelay: 50 } } as const;
  const waited = await scope(
    () =>
      step(
        "sometimes",
        ({ attempt }) => {
          if (attempt < 3) throw new Error("not now");
          return n;
        },
        policy,
      ),
    { timeout: "1 minute" },
  );
  return waited.ok;
});

const counts = { started: 0, ended: 0, failed: 0 };
const engine = await Engine.open({
  store: `sqlite:${path}`,
  workflows: [steps, sleeper, waiter, parent, loop, flaky],
  // Far fewer than wait at any time, so that most are put away and brought back.
  residentMax: 200,
});

type Handle = { result(): Promise<unknown> };
async function begin(index: number): Promise<Handle> {
  const { client } = engine;
  switch (index % 20) {
    case 0:
      return await client.start(parent, index);
    case 1:
      return await client.start(loop, 3);
    case 2:
      return await client.start(flaky, index);
    case 3:
    case 4:
      return await client.start(sleeper, 2_000 + (index % 7) * 3_000);
    case 5: {
      const run = await client.start(waiter, index);
      setTimeout(() => void run.signal(go, 1).catch(() => undefined), 5_000 + (index % 5) * 1_000);
      return run;
    }
    default:
      return await client.start(steps, index);
  }
}

async function one(index: number): Promise<void> {
  try {
    const run = await begin(index);
    counts.started += 1;
    await run.result();
    counts.ended += 1;
  } catch {
    counts.failed += 1;
  }
}

const stopping = new AbortController();
async function feed(): Promise<void> {
  const startedAt = performance.now();
  for (let sent = 0; !stopping.signal.aborted;) {
    const due = ((performance.now() - startedAt) / 1000) * perSecond;
    // Not what cannot be kept up with: a soak is a steady load.
    if (counts.started - counts.ended > 60 * perSecond) await delay(100);
    for (; sent < due; sent += 1) void one(sent);
    await delay(20);
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/**
 * What of the resident memory are pages of files (the code of Node), what lies in the arenas of malloc, and what in pages of V8, of this
 * thread's heap and of others' (the writer has one); 0 where none tells.
 */
function readMaps(): Pick<Sample, "fileBytes" | "mallocBytes" | "heapPageBytes"> {
  const bytes = { file: 0, malloc: 0, heapPage: 0, other: 0 };
  let kind: keyof typeof bytes = "other";
  const lines = existsSync("/proc/self/smaps") ? readFileSync("/proc/self/smaps", "utf8").split("\n") : [];
  for (const line of lines) {
    const mapping = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$/.exec(line);
    if (mapping === null) {
      bytes[kind] += Number(/^Rss:\s+(\d+) kB$/.exec(line)?.[1] ?? 0) * 1_024;
      continue;
    }
    const [, from = "", to = "", rights = "", name = ""] = mapping;
    const start = BigInt(`0x${from}`);
    const isPlain = name === "" && rights.startsWith("rw-p");
    if (name.startsWith("/")) kind = "file";
    else if (name === "[heap]" || (isPlain && start % arenaBytes === 0n)) kind = "malloc";
    else kind = isPlain && BigInt(`0x${to}`) - start === heapPageBytes ? "heapPage" : "other";
  }
  return { fileBytes: bytes.file, mallocBytes: bytes.malloc, heapPageBytes: bytes.heapPage };
}

const heapPageBytes = 256n * 1_024n;
/** Where glibc puts the arenas of threads. */
const arenaBytes = 64n * 1_024n * 1_024n;

function sample(): Sample {
  // Only what is still held counts as a leak.
  globalThis.gc?.();
  const { rss, heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage();
  const resources: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  return {
    uptimeSeconds: process.uptime(),
    rss,
    ...readMaps(),
    heapTotal,
    heapUsed,
    external: external + arrayBuffers,
    resources,
    residents: engine.residents.length,
    inFlight: engine.activitiesInFlight,
    databaseBytes: sizeOf(path),
    logBytes: sizeOf(`${path}-wal`),
    recovered: engine.recoveredCount,
    ...counts,
  };
}

const feeding = feed();
const sampler = setInterval(() => process.stdout.write(`${JSON.stringify(sample())}\n`), sampleMs);
const cleaner = setInterval(() => void engine.deleteClosed(retentionMs).catch(() => undefined), 5_000);
process.once("SIGTERM", () => {
  stopping.abort();
  clearInterval(sampler);
  clearInterval(cleaner);
  void feeding.then(() => engine.close({ drain: "1s" })).then(() => process.exit(0));
});
