/** Traces through OpenTelemetry's own SDK: what is written, and what it hangs on. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { trace } from "@opentelemetry/api";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Client } from "../../src/client/index.ts";
import type { EventOf } from "../../src/core/event.ts";
import { toPayload } from "../../src/core/payload.ts";
import { Engine } from "../../src/embedded/engine.ts";
import { otelTracing } from "../../src/otel/index.ts";
import { Server } from "../../src/server/server.ts";
import { Worker } from "../../src/worker/index.ts";
import { activity, receive, workflow } from "../../src/workflow/index.ts";
import { charge, fulfil, go, hold, notify, render, survivor } from "./program.ts";
import { drawTree, startSdk } from "./span-tree.ts";
import type { Sdk, SpanLine } from "./span-tree.ts";

let directory: string;
let url: string;
let sdk: Sdk | undefined;
let spans: SpanLine[];
const open: AsyncDisposable[] = [];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-tracing-"));
  spans = [];
});

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
  await sdk?.stop();
  sdk = undefined;
  rmSync(directory, { recursive: true });
});

function start(options: { readonly hasOurIds?: boolean } = {}): void {
  sdk = startSdk((line) => spans.push(line), options);
}

function named(name: string): readonly SpanLine[] {
  return spans.filter((span) => span.name === name);
}

async function openServer(): Promise<Client> {
  const tracing = otelTracing();
  const server = await Server.open({
    data: directory,
    port: 0,
    workflows: [fulfil, notify],
    activities: [charge],
    tracing,
    log: () => undefined,
  });
  open.push({ [Symbol.asyncDispose]: () => server.close({ drain: 0 }) });
  ({ url } = server);
  const worker = new Worker({ url: server.url, activities: [render], taskQueues: ["gpu"], tracing });
  const working = worker.run();
  open.push({
    [Symbol.asyncDispose]: async () => {
      await worker.stop({ drain: 0 });
      await working;
    },
  });
  return new Client({ url: server.url }, { tracing });
}

async function runFulfil(client: Client): Promise<void> {
  await trace.getTracer("user").startActiveSpan("checkout", async (span) => {
    const run = await client.start(fulfil, { id: "o1", round: 1 }, { id: "order-1" });
    await run.signal(go);
    span.end();
    expect(await run.result({ timeout: "20s" })).toBe("o1.png");
  });
  // Spans are written when their commit is answered, and then results are: those of the server end a little later.
  await expect.poll(() => named("run fulfil")).toHaveLength(2);
}

describe("a run that is paused, fails and is reopened", () => {
  it("has a span for each time that it ends, and for nothing else; what follows stands inside the second", async () => {
    start();
    let isUp = false;
    const work = activity("work", { retry: { maxAttempts: 1 } }, async () => {
      if (!isUp) throw new Error("down");
    });
    const fragile = workflow("fragile", async () => {
      await receive(go);
      await work(undefined);
    });
    const engine = await Engine.open({
      store: `sqlite:${path.join(directory, "aion.db")}`,
      workflows: [fragile],
      activities: [work],
      localSocket: false,
      tracing: otelTracing(),
      log: () => undefined,
    });
    open.push({ [Symbol.asyncDispose]: () => engine.close({ drain: 0 }) });
    const run = await engine.client.start(fragile, undefined);
    await run.pause();
    await run.resume();
    expect(named("run fragile")).toEqual([]);
    await run.signal(go);
    await expect(run.result()).rejects.toThrow("work");
    isUp = true;
    await run.reopen();
    await run.result();
    const [first, second, ...others] = named("run fragile");
    expect(others).toEqual([]);
    expect([first, second].map((span) => span?.attributes["aion.run.status"])).toEqual([
      "failed",
      "completed",
    ]);
    expect(second?.spanId).not.toBe(first?.spanId);
    expect(second?.parentSpanId).toBe(first?.parentSpanId);
    expect(second?.links).toEqual([first?.spanId]);
    expect(second?.startMs).toBeGreaterThanOrEqual(first?.endMs ?? 0);
    expect(named("activity work").map(({ parentSpanId }) => parentSpanId)).toEqual([
      first?.spanId,
      second?.spanId,
    ]);
    expect(named("attempt work").map(({ parentSpanId }) => parentSpanId)).toEqual(
      named("activity work").map(({ spanId }) => spanId),
    );
  });
});

describe("a workflow on a server, with a worker, a child and a run that continues as new", () => {
  it("is one trace, whose tree is that of what happened", async () => {
    start();
    await runFulfil(await openServer());
    expect(drawTree(spans)).toEqual([
      "checkout",
      "  signal go",
      "    signal go",
      "      receive go",
      "  start fulfil",
      "    start fulfil",
      "      run fulfil",
      "        activity charge",
      "          attempt charge",
      "            ask the bank",
      "      run fulfil",
      "        activity render",
      "          attempt render !",
      "          attempt render",
      "            draw",
      "        run notify",
      "          activity charge",
      "            attempt charge",
      "              ask the bank",
    ]);
    expect(new Set(spans.map((span) => span.traceId)).size).toBe(1);
    const [first, second] = named("run fulfil").toSorted((left, right) => left.startMs - right.startMs);
    expect(second?.links).toEqual([first?.spanId]);
    expect(named("receive go")[0]?.links).toEqual([second?.spanId]);
    expect(second?.attributes).toMatchObject({
      "aion.namespace": "default",
      "aion.workflow.id": "order-1",
      "aion.workflow.type": "fulfil",
      "aion.run.status": "completed",
    });
    expect(named("activity render")[0]?.attributes).toMatchObject({
      "aion.activity.attempt": 2,
      "aion.activity.outcome": "completed",
      "aion.task_queue": "gpu",
    });
    for (const span of spans) expect(span.endMs).toBeGreaterThanOrEqual(span.startMs);
  });

  it("has no span that hangs on one that is never written, though the SDK makes ids of its own", async () => {
    start({ hasOurIds: false });
    await runFulfil(await openServer());
    expect(drawTree(spans)).toEqual([
      "checkout",
      "  signal go",
      "    signal go",
      "      receive go",
      "  start fulfil",
      "    start fulfil",
      "      activity charge",
      "      activity charge",
      "      activity render",
      "      attempt charge",
      "        ask the bank",
      "      attempt charge",
      "        ask the bank",
      "      attempt render !",
      "      attempt render",
      "        draw",
      "      run fulfil",
      "      run fulfil",
      "      run notify",
    ]);
  });

  it("takes the span of a caller from the headers of the standard, whoever wrote them", async () => {
    start();
    await openServer();
    const caller = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" };
    const answer = await fetch(`${url}/v1/namespaces/default/workflows`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        traceparent: `00-${caller.traceId}-${caller.spanId}-01`,
        tracestate: "vendor=1",
      },
      body: JSON.stringify({ workflowType: "notify", workflowId: "n1", input: "o1" }),
    });
    expect(answer.status).toBe(201);
    await expect.poll(() => named("run notify")).toHaveLength(1);
    expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([caller.traceId]));
    expect(named("start notify")[0]?.parentSpanId).toBe(caller.spanId);
    const { events } = (await (await fetch(`${url}/v1/namespaces/default/workflows/n1/history`)).json()) as {
      readonly events: readonly { readonly trace?: object }[];
    };
    expect(events[0]?.trace).toEqual({
      traceparent: `00-${caller.traceId}-${named("start notify")[0]?.spanId}-01`,
      tracestate: "vendor=1",
    });
  });

  it("takes it from the metadata of a remote call as well", async () => {
    start();
    await openServer();
    const answer = await fetch(`${url}/aion.v1.WorkflowService/Start`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
      },
      body: JSON.stringify({ workflowType: "notify", workflowId: "n1", input: "o1" }),
    });
    expect(answer.status).toBe(200);
    await expect.poll(() => named("run notify")).toHaveLength(1);
    expect(named("start notify")[0]?.parentSpanId).toBe("00f067aa0ba902b7");
  });
});

describe("a process that is killed", () => {
  it("leaves spans into which those of the next one fit: none twice, none that hangs on nothing", async () => {
    const spansFile = path.join(directory, "spans");
    const store = path.join(directory, "aion.db");
    const script = path.join(import.meta.dirname, "engine-process.ts");
    const child = spawn(process.execPath, [script, store, spansFile], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, AION_TEST_HOLD: "yes" },
    });
    try {
      await once(child.stdout, "data");
    } finally {
      child.kill("SIGKILL");
      await once(child, "close");
    }
    const before = readFileSync(spansFile, "utf8").trim().split("\n").map(toSpan);
    spans.push(...before);
    expect(drawTree(before)).toContain("    activity charge (orphan)".trim());
    start();
    const options = { store: `sqlite:${store}`, workflows: [survivor], activities: [charge, hold] };
    const engine = await Engine.open({ ...options, tracing: otelTracing(), localSocket: false });
    open.push(engine);
    expect(await engine.client.get("s1").result({ timeout: "20s" })).toBe("paid o1 again");
    expect(drawTree(spans)).toEqual([
      "signal go",
      "  receive go",
      "start survivor",
      "  run survivor",
      "    activity charge",
      "      attempt charge",
      "        ask the bank",
      "    activity charge",
      "      attempt charge",
      "        ask the bank",
      "    activity hold",
      "      attempt hold",
    ]);
    expect(named("attempt hold")[0]?.attributes).toMatchObject({ "aion.activity.attempt": 2 });
    // What the code said on either side of the kill is there once.
    const said: string[] = [];
    for await (const { message } of engine.client.get("s1").logs()) said.push(message);
    expect(said).toEqual(["begun", "charged", "going", "held"]);
    // What is over is replayed once more, and says nothing more.
    const count = spans.length;
    await engine.close();
    const again = await Engine.open({ ...options, tracing: otelTracing(), localSocket: false });
    open.push(again);
    await again.client.get("s1").describe();
    for await (const report of again.recover()) void report;
    expect(spans).toHaveLength(count);
  });
});

describe("an engine without tracing", () => {
  it("hands on the context that a caller gave, and records none of its own", async () => {
    start();
    const engine = await Engine.open({
      store: "memory:",
      workflows: [notify, fulfil],
      activities: [charge],
    });
    open.push(engine);
    const given = { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00" };
    const input = toPayload({ id: "o1", round: 1 }, "input", 1_000);
    await engine.service.start({ workflowType: "fulfil", workflowId: "f1", input, trace: given });
    await engine.client.start(notify, "o2", { id: "n2" });
    await engine.client.get("n2").result();
    await expect.poll(() => startsOf(engine, "f1")).toHaveLength(2);
    expect((await startsOf(engine, "f1")).map((event) => event.trace)).toEqual([given, given]);
    expect((await startsOf(engine, "n2"))[0]?.trace).toBeUndefined();
    expect(spans.map((span) => span.name)).not.toContain("run notify");
  });

  it("takes a malformed context for none", async () => {
    const engine = await Engine.open({ store: "memory:", workflows: [notify], activities: [charge] });
    open.push(engine);
    const request = { workflowType: "notify", workflowId: "n1", input: toPayload("o1", "input", 1_000) };
    await engine.service.start({ ...request, trace: { traceparent: `00-${"0".repeat(32)}-x` } });
    expect((await startsOf(engine, "n1"))[0]?.trace).toBeUndefined();
  });
});

describe("aion server", () => {
  it("makes spans when it is told to, by the SDK that a module sets up before it", async () => {
    const spansFile = path.join(directory, "spans");
    const root = path.join(import.meta.dirname, "..", "..");
    const telemetry = pathToFileURL(path.join(import.meta.dirname, "telemetry.ts")).href;
    const main = path.join(root, "src", "cli", "main.ts");
    const child = spawn(process.execPath, [main, "server", "--data", directory, "--port", "0", "--json"], {
      stdio: ["ignore", "pipe", "ignore"],
      env: {
        ...process.env,
        NODE_OPTIONS: `${process.env["NODE_OPTIONS"] ?? ""} --import=${telemetry}`,
        AION_TRACING: "true",
        AION_TEST_SPANS: spansFile,
      },
    });
    try {
      const [said] = (await once(child.stdout, "data")) as [Buffer];
      const { url: at } = JSON.parse(String(said)) as { readonly url: string };
      const client = new Client({ url: at, patience: 0 });
      await expect(client.start("unknown", 1)).rejects.toMatchObject({ code: "workflow_type_unknown" });
      const [span] = readFileSync(spansFile, "utf8").trim().split("\n").map(toSpan);
      expect(span).toMatchObject({
        name: "start unknown",
        isError: true,
        attributes: { "aion.namespace": "default", "aion.error.code": "workflow_type_unknown" },
      });
    } finally {
      child.kill("SIGKILL");
      await once(child, "close");
    }
  });
});

async function startsOf(engine: Engine, workflowId: string): Promise<readonly EventOf<"WorkflowStarted">[]> {
  const starts: EventOf<"WorkflowStarted">[] = [];
  for await (const event of engine.client.get(workflowId).history())
    if (event.type === "WorkflowStarted") starts.push(event);
  return starts;
}

function toSpan(line: string): SpanLine {
  return JSON.parse(line) as SpanLine;
}
