/** The examples of the guide do what the guide says of them. */
import path from "node:path";
import { Engine } from "aion";
import type { AnyActivity, AnyWorkflow } from "../../src/workflow/definition.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readDocument } from "./documents.ts";
import type { Workspace } from "./snippets.ts";
import { writeSnippets } from "./snippets.ts";

const order = { id: "42", amount: 99 };
let workspace: Workspace;
let engine: Engine;

beforeAll(async () => {
  workspace = writeSnippets([readDocument("docs/guide.md")]);
  const workflows: AnyWorkflow[] = [];
  for (const name of [
    "receipt",
    "fetch-rate",
    "slowest",
    "basket",
    "notify",
    "parts",
    "values",
    "careful",
    "counter",
    "changed",
  ]) {
    workflows.push(...(await exportsOf(name)).filter(isWorkflow));
  }
  const activities = [...(await exportsOf("order")), ...(await exportsOf("import-rows"))].filter(isActivity);
  engine = await Engine.open({ store: "memory:", workflows, activities });
});

afterAll(async () => {
  await engine.close();
  workspace.remove();
});

async function exportsOf(name: string): Promise<unknown[]> {
  const file = path.join(workspace.folderOf("guide.md"), `${name}.ts`);
  const module = (await import(/* @vite-ignore */ file)) as Readonly<Record<string, unknown>>;
  return Object.values(module);
}

function kindOf(value: unknown): unknown {
  return (typeof value === "object" || typeof value === "function") && value !== null && "kind" in value
    ? value.kind
    : undefined;
}

function isWorkflow(value: unknown): value is AnyWorkflow {
  return kindOf(value) === "workflow";
}

function isActivity(value: unknown): value is AnyActivity {
  return kindOf(value) === "activity";
}

async function outcomeOf(workflowType: string, input?: unknown): Promise<unknown> {
  const run = await engine.client.start(workflowType, input);
  return run.result({ timeout: "10s" });
}

describe("the examples of the guide", () => {
  it("give a result that fits the schema", async () => {
    expect(await outcomeOf("sell", order)).toEqual({ paymentId: "payment-42" });
  });

  it("run a step, activities side by side, and a race", async () => {
    expect(await outcomeOf("convert", 10)).toBe(11);
    expect(await outcomeOf("hurry", order)).toEqual({
      paymentId: "payment-42",
      parcel: "parcel-42",
      first: "time",
    });
  });

  it("handle signals as they come, answer queries of live and ended runs, and receive from a workflow", async () => {
    const run = await engine.client.start("basket", undefined, { id: "basket-1" });
    await run.signal("add", "a book", { signalId: "1" });
    await run.signal("add", "a book", { signalId: "1" });
    await engine.client.start("gift", "basket-1").then((gift) => gift.result());
    expect(await run.query("lines", { from: 0 })).toEqual(["a book", "a free pen"]);
    await run.signal("checkout");
    expect(await run.result()).toEqual({ isDone: true, items: ["a book", "a free pen"] });
    expect(await run.query("lines", { from: 1 })).toEqual(["a free pen"]);
    await expect(run.query("lines", {})).rejects.toMatchObject({ code: "payload_invalid" });
    await expect(outcomeOf("gift", "basket-1")).rejects.toMatchObject({
      kind: "application",
      type: "SignalFailed",
    });
  });

  it("run a child under the id that they choose", async () => {
    expect(await outcomeOf("deliver", order)).toBe("parcel-42");
    expect((await engine.client.get("42/shipment").describe()).status).toBe("completed");
  });

  it("know which run they are", async () => {
    const run = await engine.client.start("values", undefined, { id: "values-1" });
    expect(await run.result()).toMatchObject({ workflowId: "values-1", runId: run.runId, historyLength: 1 });
  });

  it("clean up when they are cancelled: what is shielded first, then the compensations", async () => {
    const run = await engine.client.start("careful", order);
    for await (const event of run.follow()) if (event.type === "TimerStarted") break;
    await run.cancel("changed my mind");
    await expect(run.result()).rejects.toMatchObject({ kind: "cancelled" });
    const activities: string[] = [];
    for await (const event of run.history()) {
      if (event.type === "ActivityScheduled") activities.push(event.activityType);
    }
    expect(activities).toEqual(["charge", "ship", "refund"]);
  });

  it("count what they receive", async () => {
    const run = await engine.client.start("counter", 5);
    await run.signal("tick");
    await run.signal("tick");
    const { pendingTimers, status } = await run.describe();
    expect({ status, timerCount: pendingTimers.length }).toEqual({ status: "running", timerCount: 1 });
  });

  it("take the patched branch in a run that begins after the change", async () => {
    const run = await engine.client.start("fulfil", order);
    await run.signal("approval", { by: "ann", ok: true });
    expect(await run.result()).toBe("parcel-42");
    const marks: string[] = [];
    for await (const event of run.history()) if (event.type === "VersionMarked") marks.push(event.changeId);
    expect(marks).toEqual(["approval-before-shipping"]);
  });

  it("use the client, and go on with the rows that an attempt before left", async () => {
    const { useClient } = (await import(
      /* @vite-ignore */ path.join(workspace.folderOf("guide.md"), "use-client.ts")
    )) as { readonly useClient: () => Promise<string> };
    expect(await useClient()).toBe("parcel-42");
    const { importRows } = (await import(
      /* @vite-ignore */ path.join(workspace.folderOf("guide.md"), "import-rows.ts")
    )) as { readonly importRows: (rows: readonly string[]) => Promise<number> };
    expect(await importRows(["a", "b"])).toBe(2);
  });
});
