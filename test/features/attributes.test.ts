import { TestEngine } from "aion/testing";
import type { AttributeValues } from "aion/workflow";
import {
  activity,
  attributes,
  child,
  continueAsNew,
  expose,
  query,
  receive,
  signal,
  sleep,
  workflow,
} from "aion/workflow";
import type { Client, RunListFilter } from "aion/client";
import { fromAttributes } from "aion/client";
import { describe, expect, it } from "vitest";
import { errorOf, eventsOf, eventsOfType, typesOf } from "./run-history.ts";

const change = signal<AttributeValues>("change");
const all = query<void, unknown>("all");

/** Sets what it is sent. */
const order = workflow("order", async (given: AttributeValues | null) => {
  expose(all, () => attributes.get());
  if (given !== null) attributes.set(given);
  for (;;) {
    const values = await receive(change);
    if (Object.keys(values).length === 0) return attributes.get();
    attributes.set(values);
  }
});

async function found(client: Client, where: NonNullable<RunListFilter["where"]>): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const run of client.list({ where })) ids.push(run.workflowId);
  expect(await client.count({ where })).toBe(ids.length);
  return ids;
}

// I-63
describe("search attributes", () => {
  it("that a workflow sets are recorded with what it asks for then, and the run is found by them at once", async () => {
    const work = activity("work", async () => "done");
    const job = workflow("job", async () => {
      attributes.set({ customerId: "c-1", amount: 99, due: new Date(5), tags: ["b", "a"], isNew: true });
      const before = attributes.get("customerId");
      const done = await work(undefined);
      attributes.set({ amount: 100, tags: null, due: undefined });
      return [before, done, attributes.get(), attributes.get("toString")];
    });
    await using t = await TestEngine.open({ workflows: [job], activities: [work] });
    const run = await t.client.start(job, undefined, { id: "j" });
    const kept = { amount: 100, customerId: "c-1", isNew: true };
    expect(await t.result(run)).toEqual(["c-1", "done", kept, null]);
    expect(await typesOf(run)).toEqual([
      "WorkflowStarted",
      "SearchAttributesUpdated",
      "ActivityScheduled",
      "ActivityStarted",
      "ActivityCompleted",
      "SearchAttributesUpdated",
      "WorkflowCompleted",
    ]);
    const [first, second] = await eventsOfType(run, "SearchAttributesUpdated");
    expect(first?.attributes).toEqual({
      amount: 99,
      customerId: "c-1",
      due: { at: 5 },
      isNew: true,
      tags: ["b", "a"],
    });
    expect(second?.attributes).toEqual({ amount: 100, due: null, tags: null });
    expect((await run.describe()).attributes).toEqual(kept);
    // It has ended, and is found all the same.
    expect(await found(t.client, { customerId: "c-1", amount: { from: 100 } })).toEqual(["j"]);
    expect(await found(t.client, { tags: "a" })).toEqual([]);
  });

  it("are the same after a crash, and a replay that sets others is a violation", async () => {
    const setting = (amount: number) =>
      workflow("job", async () => {
        attributes.set({ amount, due: new Date(7) });
        await sleep("1 minute");
        return attributes.get();
      });
    const job = setting(1);
    const t = await TestEngine.open({ workflows: [job] });
    const run = await t.client.start(job, undefined, { id: "j" });
    await t.crash();
    expect(await found(t.client, ["amount=1", "due<=1970-01-02"])).toEqual(["j"]);
    await t.crash({ workflows: [setting(2)] });
    await t.skip("2 minutes");
    const error = await errorOf(t.result(run));
    expect(error).toMatchObject({
      message: expect.stringContaining(
        'history has set-attributes {"amount":1,"due":{"at":7}}, and the code asked for set-attributes {"amount":2,"due":{"at":7}}',
      ) as string,
    });
    await t.close({ checkReplay: false });
  });

  it("are given with a start, read by the code, and kept when it continues as new", async () => {
    const job = workflow("job", async (left: number): Promise<unknown> => {
      attributes.set({ left });
      await sleep("1 minute");
      return left === 0 ? attributes.get() : continueAsNew(left - 1);
    });
    await using t = await TestEngine.open({ workflows: [job, order] });
    const given = { customerId: "c-1", due: new Date(5), none: undefined };
    const run = await t.client.start(job, 2, { id: "j", attributes: given });
    expect(await found(t.client, { customerId: "c-1" })).toEqual(["j"]);
    expect(await t.result(run)).toEqual({ customerId: "c-1", due: "1970-01-01T00:00:00.005Z", left: 0 });
    // Every run of the chain has its own.
    expect(await found(t.client, { customerId: "c-1" })).toEqual(["j", "j", "j"]);
    expect(await found(t.client, { left: { from: 1 } })).toEqual(["j", "j"]);
    const starts = await eventsOfType(t.client.get("j"), "WorkflowStarted");
    expect(starts.map((event) => event.attributes?.["left"])).toEqual([undefined, 2, 1]);
    const listed: unknown[] = [];
    for await (const { attributes: of = {} } of t.client.list({}, { withAttributes: true }))
      listed.push(fromAttributes(of));
    expect(listed).toEqual([0, 1, 2].map((left) => ({ customerId: "c-1", due: new Date(5), left })));
    for await (const one of t.client.list()) expect(Object.hasOwn(one, "attributes")).toBe(false);
    // With a start delay no code has set any, and it is found.
    await t.client.start(order, null, {
      id: "later",
      startDelay: "1 hour",
      attributes: { customerId: "c-2" },
    });
    expect(await found(t.client, { customerId: "c-2" })).toEqual(["later"]);
    await t.client.get("later").cancel();
    expect(await found(t.client, { customerId: "c-2" })).toEqual(["later"]);
  });

  it("of a child are those that it was started with, and not its parent's", async () => {
    const leaf = workflow("leaf", async () => attributes.get());
    const parent = workflow("parent", async () => {
      attributes.set({ region: "eu" });
      return await Promise.all([
        child(leaf, undefined, { id: "one", attributes: { amount: 5 } }),
        child(leaf, undefined, { id: "two" }),
      ]);
    });
    await using t = await TestEngine.open({ workflows: [parent, leaf] });
    const run = await t.client.start(parent, undefined, { id: "p" });
    expect(await t.result(run)).toEqual([{ amount: 5 }, {}]);
    expect(await found(t.client, { region: "eu" })).toEqual(["p"]);
    expect(await found(t.client, { amount: 5 })).toEqual(["one"]);
  });

  it("of what a schedule starts are those that the schedule was made with", async () => {
    await using t = await TestEngine.open({ workflows: [order] });
    const schedule = await t.client.schedules.create("s", order, null, {
      every: "1 hour",
      overlap: "allow-all",
      attributes: { source: "nightly" },
    });
    expect((await schedule.describe()).action.attributes).toEqual({ source: "nightly" });
    await t.skip("2 hours");
    expect(await found(t.client, { source: "nightly" })).toHaveLength(2);
    await schedule.update({ workflow: order, input: null, attributes: { source: "hourly" } });
    await t.skip("1 hour");
    expect(await found(t.client, { source: ["nightly", "hourly"] })).toHaveLength(3);
    await schedule.delete();
    for await (const { workflowId } of t.client.list({ status: "running", workflowType: "order" }))
      await t.client.get(workflowId).terminate();
  });

  it("that none may have are refused with a code: to the caller, and to the code", async () => {
    const job = workflow("job", async () => {
      try {
        attributes.set({ amount: 1, list: [5] as never });
      } catch (error) {
        return [(error as { code: string }).code, (error as Error).message, attributes.get()];
      }
      return [];
    });
    await using t = await TestEngine.open({ workflows: [job, order] });
    const run = await t.client.start(job, undefined, { id: "j" });
    expect(await t.result(run)).toEqual([
      "attribute_invalid",
      "attributes.set in workflow j: list is a list with a number; it may hold strings",
      {},
    ]);
    expect(await typesOf(run)).toEqual(["WorkflowStarted", "WorkflowCompleted"]);
    const refused = { code: "attribute_invalid" };
    const start = (values: unknown): Promise<unknown> =>
      errorOf(t.client.start(order, null, { id: "x", attributes: values as AttributeValues }));
    expect(await start({ amount: Number.NaN })).toMatchObject(refused);
    expect(await start({ "a b": 1 })).toMatchObject(refused);
    expect(await start(5)).toMatchObject(refused);
    expect(await start(new Map([["a", 1]]))).toMatchObject(refused);
    expect(await start({ tags: Object.assign([], { 1: "x" }) })).toMatchObject(refused);
    // One after the other they are as many as all at once.
    const many = await t.client.start(order, null, { id: "many" });
    for (let part = 0; part < 6; part += 1)
      await many.signal(
        change,
        Object.fromEntries(Array.from({ length: 10 }, (_, at) => [`a${part}.${at}`, 1])),
      );
    expect(await errorOf(t.result(many))).toMatchObject({
      message: expect.stringContaining("50 at the most, and not 60") as string,
    });
    expect(await found(t.client, { "a4.9": 1 })).toEqual(["many"]);
    expect(await found(t.client, { "a5.9": 1 })).toEqual([]);
    expect(() => attributes.set({})).toThrow("attributes.set() was called outside a workflow");
    expect(() => attributes.get()).toThrow("attributes.get() was called outside a workflow");
  });

  it("are set by handlers and read by queries, which may not set them", async () => {
    const set = query("set");
    const job = workflow("job", async () => {
      expose(all, () => attributes.get());
      expose(set, () => attributes.set({ a: 2 }));
      expose(change, (values) => attributes.set(values));
      await sleep("1 hour");
    });
    await using t = await TestEngine.open({ workflows: [job] });
    const run = await t.client.start(job, undefined, { id: "j" });
    await run.signal(change, { a: 1 });
    expect(await run.query(all)).toEqual({ a: 1 });
    expect(await errorOf(run.query(set))).toMatchObject({ code: "query_failed" });
    expect(await found(t.client, { a: 1 })).toEqual(["j"]);
    await run.terminate();
  });

  it("that were set on the way to a failure are taken back when the run is reopened", async () => {
    let isUp = false;
    const work = activity("work", { retry: { maxAttempts: 1 } }, async () => {
      if (!isUp) throw new Error("down");
      return "done";
    });
    const job = workflow("job", async () => {
      attributes.set({ state: "working" });
      try {
        const done = await work(undefined);
        attributes.set({ state: "done" });
        return done;
      } catch (error) {
        attributes.set({ state: "broken" });
        throw error;
      }
    });
    await using t = await TestEngine.open({ workflows: [job], activities: [work] });
    const run = await t.client.start(job, undefined, { id: "j" });
    await errorOf(t.result(run));
    expect(await found(t.client, { state: "broken" })).toEqual(["j"]);
    isUp = true;
    await run.reopen();
    expect(await t.result(run)).toBe("done");
    expect(await found(t.client, { state: ["working", "broken"] })).toEqual([]);
    expect(await found(t.client, { state: "done" })).toEqual(["j"]);
    expect((await run.describe()).attributes).toEqual({ state: "done" });
  });

  it("are in a run that is reset those of the point that it goes on from", async () => {
    await using t = await TestEngine.open({ workflows: [order] });
    const run = await t.client.start(order, { region: "eu" }, { id: "o", attributes: { customer: "c" } });
    await run.signal(change, { region: "us" });
    await t.settle();
    const toSeq = (await eventsOf(run)).find(({ type }) => type === "WorkflowStarted")?.seq ?? 0;
    await run.reset({ toSeq, signals: "drop" });
    await t.settle();
    expect((await t.client.get("o").describe()).attributes).toEqual({ customer: "c", region: "eu" });
    const where = { region: "eu", customer: "c" };
    expect(await t.client.count({ where, status: "running" })).toBe(1);
    expect(await t.client.count({ where: { region: "us" }, status: "running" })).toBe(0);
    await t.client.get("o").terminate();
  });

  // I-41, I-61
  it("are to the code what a run is found by, in a run that was reset, a fork, and what follows them, also after a crash", async () => {
    const again = signal("again");
    const word = signal<readonly string[]>("word");
    const job = workflow("job", async (round: number): Promise<unknown> => {
      expose(all, () => attributes.get());
      attributes.set({ round });
      attributes.set({ seen: await receive(word), round: null });
      attributes.set({ last: attributes.get("seen") });
      await receive(again);
      return continueAsNew(round + 1);
    });
    await using t = await TestEngine.open({ workflows: [job] });
    const run = await t.client.start(job, 0, { id: "j", attributes: { region: "eu" } });
    await run.signal(word, ["first"]);
    await t.settle();
    const same = async (id: string, expected: object): Promise<void> => {
      expect(await t.client.get(id).query(all)).toEqual(expected);
      expect((await t.client.get(id).describe()).attributes).toEqual(expected);
    };
    const first = { region: "eu", seen: ["first"], last: ["first"] };
    await same("j", first);
    const fork = await run.fork("f", { toSeq: 2 });
    await same("f", { region: "eu", round: 0 });
    await fork.signal(word, ["other"]);
    await run.reset({ toSeq: 2, signals: "drop" });
    await same("j", { region: "eu", round: 0 });
    await run.signal(word, ["second"]);
    await t.settle();
    await t.crash();
    await same("j", { region: "eu", seen: ["second"], last: ["second"] });
    await same("f", { region: "eu", seen: ["other"], last: ["other"] });
    await run.signal(again);
    await t.settle();
    await same("j", { region: "eu", seen: ["second"], last: ["second"], round: 1 });
    expect(await found(t.client, { seen: "first" })).toEqual(["j"]);
    expect(await t.client.count({ where: { seen: "second" } })).toBe(2);
    for (const id of ["j", "f"]) await t.client.get(id).terminate();
  });

  it("choose what of the feed is read, also for readers who wait at one time", async () => {
    await using t = await TestEngine.open({ workflows: [order] });
    const one = await t.client.start(order, { region: "eu" }, { id: "one" });
    await t.client.start(order, { region: "us" }, { id: "two" });
    const first = async (where: NonNullable<RunListFilter["where"]>): Promise<string> => {
      for await (const item of t.client.feed({ after: "oldest", filter: { where } })) return item.workflowId;
      return "";
    };
    expect(await Promise.all([first({ region: "us" }), first({ region: "eu" }), first([])])).toEqual([
      "two",
      "one",
      "one",
    ]);
    await one.signal(change, { region: "us" });
    const seen: string[] = [];
    for await (const { workflowId, event } of t.client.feed({
      after: "oldest",
      filter: { where: { region: "us" }, types: ["SearchAttributesUpdated"] },
    })) {
      seen.push(`${workflowId} ${event?.seq}`);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual(["one 2", "two 2", "one 4"]);
    expect(await errorOf(first(["region"]))).toMatchObject({ code: "invalid_argument" });
    expect(await errorOf(found(t.client, ["region!=eu"]))).toMatchObject({ code: "invalid_argument" });
    expect((await eventsOf(one)).at(-1)?.type).toBe("SearchAttributesUpdated");
    await one.terminate();
    await t.client.get("two").terminate();
  });
});
