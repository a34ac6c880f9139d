/** Updates of runs on a server: over HTTP and gRPC, across restarts, packaged and inline alike. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Client } from "../../src/client/index.ts";
import { WorkflowService } from "../../src/http/gen/aion/v1/workflows_pb.ts";
import { buildPackage } from "../../src/package/build.ts";
import { Server } from "../../src/server/server.ts";
import type { AnyWorkflow } from "../../src/workflow/definition.ts";

let data: string;
let server: Server;
let client: Client;

/** The same code either way. */
const source = `
import { ApplicationFailure, allHandlersFinished, expose, query, receive, signal, sleep, update, waitUntil, workflow } from "aion/workflow";

export const stop = signal("stop");
export const held = query("held");
export const hold = update("hold");
export const tank = workflow("tank", async () => {
  const all = [];
  expose(held, () => [...all]);
  expose(
    hold,
    async ({ what, ms }) => {
      if (ms > 0) await sleep(ms);
      if (what === "poison") throw new ApplicationFailure("it leaks", { type: "Leak", details: { what } });
      if (what === "loop") for (;;);
      all.push(what);
      return { count: all.length, at: new Date(Date.now()).toISOString().length };
    },
    {
      validate: ({ what }) => {
        if (what === "stone") throw new ApplicationFailure("too heavy", { type: "Heavy" });
        if (what === "late") return sleep(1);
      },
    },
  );
  await receive(stop);
  await waitUntil(allHandlersFinished, "1 minute");
  return all;
});
`;

const ways = ["inline", "package"] as const;

async function open(way: (typeof ways)[number]): Promise<void> {
  const workflows = await workflowsOf(way);
  server = await Server.open({ data: path.join(data, "data"), port: 0, workflows, log: () => undefined });
  client = new Client({ url: server.url });
}

beforeEach(() => {
  // In this repository, so that the file finds Aion by its name.
  mkdirSync(".tmp", { recursive: true });
  data = mkdtempSync(path.resolve(".tmp/updates-"));
  writeFileSync(path.join(data, "package.json"), '{"type":"module"}');
  writeFileSync(path.join(data, "tank.mjs"), source);
});

afterEach(async () => {
  await server.close({ drain: 0 });
  rmSync(data, { recursive: true });
});

async function deploy(): Promise<void> {
  const { bytes } = await buildPackage(path.join(data, "tank.mjs"));
  const answer = await fetch(`${server.url}/v1/namespaces/default/packages`, {
    method: "POST",
    headers: { "content-type": "application/zip" },
    body: Uint8Array.from(bytes),
  });
  expect(answer.status).toBe(201);
}

async function workflowsOf(way: (typeof ways)[number]): Promise<readonly AnyWorkflow[]> {
  if (way === "package") return [];
  const { tank } = (await import(/* @vite-ignore */ path.join(data, "tank.mjs"))) as {
    readonly tank: AnyWorkflow;
  };
  return [tank];
}

describe.each(ways)("updates of %s code", (way) => {
  const begin = async () => {
    await open(way);
    if (way === "package") {
      await deploy();
    }
    return await client.start("tank", undefined, { id: "t" });
  };

  // I-26
  it("are answered, refused and failed as they are without a network", async () => {
    const run = await begin();
    expect(await run.update("hold", { what: "water", ms: 1 })).toEqual({ count: 1, at: 24 });
    await expect(run.update("hold", { what: "poison", ms: 1 })).rejects.toMatchObject({
      type: "Leak",
      details: { what: "poison" },
    });
    await expect(run.update("hold", { what: "stone", ms: 1 })).rejects.toMatchObject({
      code: "update_rejected",
      cause: { type: "Heavy", message: "too heavy" },
    });
    await expect(run.update("hold", { what: "late", ms: 1 })).rejects.toMatchObject({
      code: "update_rejected",
      message: expect.stringContaining("a validator of an update called sleep") as string,
    });
    await expect(run.update("spill")).rejects.toMatchObject({
      code: "update_unknown",
      message: expect.stringContaining('exposed are "hold"') as string,
    });
    expect(await run.query("held")).toEqual(["water"]);
    const many = await Promise.all(
      Array.from({ length: 50 }, (_, index) => run.update("hold", { what: `w${index}`, ms: 0 })),
    );
    expect(new Set(many.map((answer) => (answer as { readonly count: number }).count)).size).toBe(50);
    await run.terminate();
  });

  it("go on over a restart of the server, while they are waited for", async () => {
    const run = await begin();
    const waiting = run.update("hold", { what: "water", ms: 1_500 }, { updateId: "u" });
    const other = await client.start("tank", undefined, { id: "other" });
    const tomorrow = other.update("hold", { what: "wine", ms: 172_800_000 });
    for (const each of [waiting, tomorrow]) each.catch(() => undefined);
    for (const each of [run, other])
      await expect.poll(async () => (await each.describe()).pendingUpdates.length).toBe(1);
    const port = Number(new URL(server.url).port);
    // A wait is no reason to keep a server: it ends, and its caller asks the next one.
    await server.close({ drain: "1 day" });
    const workflows = await workflowsOf(way);
    server = await Server.open({ data: path.join(data, "data"), port, workflows, log: () => undefined });
    expect(await waiting).toMatchObject({ count: 1 });
    expect(await run.update("hold", { what: "water", ms: 1_500 }, { updateId: "u" })).toMatchObject({
      count: 1,
    });
    const types: string[] = [];
    for await (const { type } of run.history()) types.push(type);
    expect(types).toEqual([
      "WorkflowStarted",
      "UpdateAccepted",
      "TimerStarted",
      "TimerFired",
      "UpdateCompleted",
    ]);
    await run.terminate();
  });

  it("are made and waited for over gRPC", async () => {
    const run = await begin();
    const rpc = createClient(WorkflowService, createGrpcTransport({ baseUrl: server.url }));
    const input = fromJson(ValueSchema, { what: "water", ms: 1_000 });
    const made = { workflowId: "t", name: "hold", input, updateId: "u" };
    expect(await rpc.update({ ...made, waitFor: "accepted" })).toMatchObject({
      status: "accepted",
      updateId: "u",
      runId: run.runId,
    });
    expect((await rpc.describe({ workflowId: "t" })).pendingUpdates).toMatchObject([
      { updateId: "u", name: "hold" },
    ]);
    expect(await rpc.updateResult({ workflowId: "t", updateId: "u" })).toMatchObject({ status: "accepted" });
    const told = await rpc.updateResult({ workflowId: "t", updateId: "u", waitMs: 10_000 });
    expect(told).toMatchObject({ status: "completed" });
    expect(await rpc.update({ ...made, waitMs: 1 })).toMatchObject({ result: told.result });
    await expect(rpc.updateResult({ workflowId: "t", updateId: "x" })).rejects.toMatchObject({ code: 5 });
    await run.terminate();
  });
});

describe("an update of packaged code that never comes back", () => {
  it("is refused, recorded nowhere, and hurts nobody else", async () => {
    await open("package");
    await server.close({ drain: 0 });
    server = await Server.open({
      data: path.join(data, "data"),
      port: 0,
      activationBudget: "1s",
      log: () => undefined,
    });
    client = new Client({ url: server.url });
    await deploy();
    const [run, other] = [await client.start("tank"), await client.start("tank")];
    await expect(run.update("hold", { what: "loop", ms: 0 })).rejects.toMatchObject({
      code: "package_stopped",
    });
    expect(await run.update("hold", { what: "water", ms: 0 })).toMatchObject({ count: 1 });
    expect(await other.update("hold", { what: "water", ms: 0 })).toMatchObject({ count: 1 });
    const types: string[] = [];
    for await (const { type } of run.history()) types.push(type);
    expect(types).toEqual(["WorkflowStarted", "UpdateAccepted", "UpdateCompleted"]);
  });
});
