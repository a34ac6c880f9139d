/**
 * What the conformance suites of the first Aion asked of clients, over a server. Where each of their scenarios is:
 *
 * | scenario                                  | here                                                                              |
 * | ----------------------------------------- | --------------------------------------------------------------------------------- |
 * | happy path                                | below                                                                             |
 * | idempotency conflict                      | below; the same of every call: test/http/calls.test.ts                            |
 * | query time-out                            | below; of code that never comes back: test/packages                               |
 * | not found                                 | below                                                                             |
 * | namespace denied, not found without leaks | test/server/access.test.ts, "a namespace that the caller has no part in"          |
 * | disconnect and resume                     | below, at any byte; of streams: test/http/streams.test.ts                         |
 * | all eight of workers                      | `workerScenarios` (src/worker/conformance), played by test/workers/conformance.test.ts |
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Client } from "../../src/client/index.ts";
import type { Event } from "../../src/core/event.ts";
import { Server } from "../../src/server/server.ts";
import { expose, query, receive, signal, sleep, workflow } from "../../src/workflow/index.ts";
import { openCuttingProxy } from "../blackbox/cutting-proxy.ts";
import { Draws } from "../blackbox/generator.ts";

const go = signal<number>("go");
const stage = query<string>("stage");
const waits = workflow("waits", async (name: string) => {
  let at = "waiting";
  expose(stage, () => at);
  const first = await receive(go);
  at = `heard ${first}`;
  await receive(go);
  return `${name} ${first}`;
});
const counts = workflow("counts", async (to: number) => {
  for (let count = 0; count < to; count++) await sleep(1);
  return to;
});

let data: string;
let server: Server;
let client: Client;

beforeEach(async () => {
  data = mkdtempSync(path.join(tmpdir(), "aion-scenarios-"));
  server = await Server.open({ data, port: 0, workflows: [waits, counts], log: () => undefined });
  client = new Client({ url: server.url });
});

afterEach(async () => {
  await server.close({ drain: 0 });
  rmSync(data, { recursive: true });
});

it("starts, signals, asks, lists, describes, follows and cancels a run", async () => {
  const run = await client.start(waits, "a", { id: "a" });
  expect(await run.query(stage)).toBe("waiting");
  await run.signal(go, 7);
  expect(await run.query(stage)).toBe("heard 7");
  const listed: string[] = [];
  for await (const { workflowId, status } of client.list({ workflowType: "waits" }))
    listed.push(`${workflowId} ${status}`);
  expect(listed).toEqual(["a running"]);
  expect(await run.describe()).toMatchObject({ status: "running", workflowType: "waits", input: '"a"' });
  const followed: string[] = [];
  const following = (async () => {
    for await (const event of run.follow()) followed.push(event.type);
  })();
  await run.cancel("enough");
  await following;
  expect(followed).toEqual([
    "WorkflowStarted",
    "SignalReceived",
    "WorkflowCancelRequested",
    "WorkflowCancelled",
  ]);
  await expect(run.result()).rejects.toMatchObject({ kind: "cancelled" });
});

// I-5
it("refuses a request id that has begun another run than the one that is asked for", async () => {
  const first = await client.start(waits, "a", { id: "a", requestId: "r1" });
  const again = await client.start(waits, "a", { id: "a", requestId: "r1" });
  expect((await again.describe()).runId).toBe((await first.describe()).runId);
  await expect(client.start(counts, 3, { id: "a", requestId: "r2" })).rejects.toMatchObject({
    code: expect.stringMatching(/^(request|workflow|run)_/) as string,
  });
  await expect(client.start(waits, "b", { id: "a", reuse: "reject" })).rejects.toMatchObject({
    code: expect.stringMatching(/^(workflow|run)_/) as string,
  });
});

it("waits no longer than it is told to, and the run goes on", async () => {
  const run = await client.start(waits, "a", { id: "a" });
  await expect(run.result({ timeout: 20 })).rejects.toMatchObject({ code: "result_timeout" });
  expect(await run.query(stage)).toBe("waiting");
});

it("says of every call that names a run which is not there that it is not found, in the same words", async () => {
  const missing = client.get("missing");
  const calls: readonly (() => Promise<unknown>)[] = [
    () => missing.signal(go, 1),
    () => missing.query(stage),
    () => missing.cancel(),
    () => missing.terminate(),
    () => missing.result({ timeout: 10 }),
    () => missing.describe(),
    async () => {
      for await (const event of missing.history()) throw new Error(event.type);
    },
  ];
  const messages = new Set<string>();
  for (const call of calls) {
    const error = (await call().catch((reason: unknown) => reason)) as { code: string; message: string };
    expect(error.code).toBe("run_not_found");
    messages.add(error.message);
  }
  expect(messages.size).toBe(1);
});

// C-13
it("follows a run over connections that break at any byte, without a gap and without a double", async () => {
  const proxy = await openCuttingProxy(Number(new URL(server.url).port), new Draws("resume"), {
    share: 0.7,
    bytesMax: 20_000,
  });
  try {
    const far = new Client({ url: proxy.url });
    const started = await client.start(counts, 150, { id: "counting" });
    const seqs: number[] = [];
    const run = far.get<number>("counting");
    for (let isOver = false; !isOver;) {
      try {
        for await (const event of run.follow({ fromSeq: seqs.length + 1 }) as AsyncIterable<Event>)
          seqs.push(event.seq);
        isOver = true;
      } catch (error) {
        expect(error).toMatchObject({ code: "transport_failed" });
      }
    }
    const whole: number[] = [];
    for await (const event of started.history()) whole.push(event.seq);
    expect(seqs).toEqual(whole);
    expect(proxy.cutCount).toBeGreaterThan(0);
  } finally {
    proxy.close();
  }
});
