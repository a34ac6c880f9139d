import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Engine } from "aion";
import type { EngineOptions } from "aion";
import type { Client, FeedEvent, FeedOptions } from "aion/client";
import { openSqliteStore } from "aion/store";
import { TestEngine } from "aion/testing";
import { activity, child, continueAsNew, receive, signal, sleep, workflow } from "aion/workflow";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errorOf, eventsOf } from "./run-history.ts";

const go = signal<number>("go");
const work = activity("work", async (n: number) => n + 1);
const leaf = workflow("leaf", async (n: number) => {
  await sleep("1 minute");
  return n;
});
const job = workflow("job", async (n: number): Promise<number> => {
  const done = await work(n);
  const leaves = await Promise.all([child(leaf, done), work(done)]);
  const more = await receive(go);
  if (more > 0) return continueAsNew(n + more);
  return leaves.length;
});
const workflows = [job, leaf];

/** What is in the feed now. */
async function readAll(client: Client, options: FeedOptions = {}): Promise<readonly FeedEvent[]> {
  const stop = new AbortController();
  const seen: FeedEvent[] = [];
  const reading = (async () => {
    for await (const item of client.feed({ after: "oldest", ...options, abortSignal: stop.signal }))
      seen.push(item);
  })();
  // At the head it waits; nothing is written meanwhile.
  for (let count = -1; count < seen.length;) {
    count = seen.length;
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }
  stop.abort();
  await errorOf(reading);
  return seen;
}

const short = ({ workflowId, event }: FeedEvent): string => `${workflowId} ${event?.seq} ${event?.type}`;

/** Of each workflow id the events of the feed are those of its history, in their order. */
async function expectHistories(client: Client, items: readonly FeedEvent[]): Promise<void> {
  const ids = new Set<string>();
  for await (const { workflowId } of client.list()) ids.add(workflowId);
  for (const id of ids) {
    const ofId = items.filter(({ workflowId }) => workflowId === id);
    expect(ofId.map(({ event }) => event)).toEqual(await eventsOf(client.get(id)));
  }
  expect(new Set(items.map(({ workflowId }) => workflowId))).toEqual(ids);
}

describe("the feed", () => {
  it("has the histories of all runs, over a crash and a continue-as-new, and says of which run an event is", async () => {
    // I-3, I-4
    await using t = await TestEngine.open({ workflows, activities: [work] });
    const [a, b] = [await t.client.start(job, 1, { id: "a" }), await t.client.start(job, 2, { id: "b" })];
    await t.skip("2 minutes");
    await t.crash();
    await a.signal(go, 5);
    await t.skip("2 minutes");
    await a.signal(go, 0);
    await b.cancel("enough");
    await t.settle();
    const items = await readAll(t.client);
    await expectHistories(t.client, items);
    for (const { runId, event, workflowType, workflowId } of items) {
      if (event?.type === "WorkflowStarted")
        expect([runId, workflowType]).toEqual([event.runId, event.workflowType]);
      expect(workflowType).toBe(["a", "b"].includes(workflowId) ? "job" : "leaf");
    }
    expect(new Set(items.filter(({ workflowId }) => workflowId === "a").map(({ runId }) => runId)).size).toBe(
      2,
    );
  });

  it("wakes who waits for the first event that matches, and leaves out the others", async () => {
    await using t = await TestEngine.open({ workflows, activities: [work] });
    const filter = { workflowType: "job", types: ["SignalReceived", "WorkflowCompleted"] } as const;
    const following = t.client.feed({ filter });
    const first = following.next();
    await t.settle();
    const run = await t.client.start(job, 1, { id: "a" });
    await t.skip("2 minutes");
    await run.signal(go, 0);
    expect(short((await first).value as FeedEvent)).toMatch(/^a \d+ SignalReceived$/);
    expect(short((await following.next()).value as FeedEvent)).toMatch(/^a \d+ WorkflowCompleted$/);
    const byId = await readAll(t.client, { filter: { workflowId: "a" } });
    expect(byId.map(({ event }) => event)).toEqual(await eventsOf(run));
  });

  it("goes on from any cursor that it gave, in pages of any size, whatever was lived through in between", async () => {
    // I-3
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("start" as const), id: fc.nat({ max: 4 }) }) },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constantFrom("signal" as const, "cancel" as const, "terminate" as const),
          id: fc.nat({ max: 4 }),
        }),
      },
      { weight: 2, arbitrary: fc.constant({ kind: "skip" as const, id: 0 }) },
      { weight: 1, arbitrary: fc.constant({ kind: "crash" as const, id: 0 }) },
    );
    const cases = fc.record({
      isOnFile: fc.boolean(),
      steps: fc.array(step, { minLength: 3, maxLength: 14, size: "max" }),
      cuts: fc.array(fc.record({ at: fc.nat({ max: 500 }), limit: fc.integer({ min: 1, max: 9 }) }), {
        minLength: 3,
        maxLength: 5,
      }),
    });
    let eventCount = 0;
    await fc.assert(
      fc.asyncProperty(cases, async ({ isOnFile, steps, cuts }) => {
        const directory = mkdtempSync(path.join(tmpdir(), "aion-feed-"));
        const store = isOnFile
          ? openSqliteStore({ path: path.join(directory, "a.db"), writer: "inline" })
          : undefined;
        const t = await TestEngine.open({ workflows, activities: [work], ...(store && { store }) });
        try {
          for (const { kind, id } of steps) {
            const run = t.client.get(`w-${id}`);
            // What is refused (no such run, it has ended) leaves nothing in the feed, which is held against the histories.
            const done =
              kind === "start"
                ? t.client.start(job, id, { id: `w-${id}`, reuse: "after-close" })
                : kind === "signal"
                  ? run.signal(go, id % 2)
                  : kind === "cancel"
                    ? run.cancel()
                    : kind === "terminate"
                      ? run.terminate()
                      : kind === "skip"
                        ? t.skip("1 minute")
                        : t.crash();
            await done.then(undefined, () => undefined);
          }
          await t.settle();
          const all = await readAll(t.client);
          eventCount += all.length;
          await expectHistories(t.client, all);
          for (const { at, limit } of cuts) {
            const place = all.length === 0 ? 0 : at % all.length;
            const cursor = all[place]?.cursor ?? "oldest";
            const rest = await readInPages(t, cursor, limit);
            expect(rest.map(short)).toEqual(all.slice(all.length === 0 ? 0 : place + 1).map(short));
          }
        } finally {
          await t.close({ checkReplay: false });
          await store?.close();
          rmSync(directory, { recursive: true });
        }
      }),
      { numRuns: 25 },
    );
    expect(eventCount).toBeGreaterThan(300);
  });
});

/** Page after page, with a crash of the engine between the first two. */
async function readInPages(t: TestEngine, cursor: string, limit: number): Promise<readonly FeedEvent[]> {
  const items: FeedEvent[] = [];
  for (let after = cursor, pageCount = 0; ; pageCount += 1) {
    const reply = await serviceOf(t).feed({ after, limit });
    expect(reply.events.length).toBeLessThanOrEqual(limit);
    items.push(...reply.events);
    after = reply.nextCursor;
    if (reply.isAtHead) return items;
    if (pageCount === 0) await t.crash();
  }
}

/** The client's own pages are larger than a test needs them. */
function serviceOf(t: TestEngine) {
  return {
    feed: async ({ after, limit }: { readonly after: string; readonly limit: number }) => {
      const events: FeedEvent[] = [];
      const stop = new AbortController();
      const feed = t.client.feed({ after, abortSignal: stop.signal });
      let isAtHead = false;
      while (events.length < limit) {
        const next = feed.next();
        const settled = await Promise.race([next, turns(12)]);
        if (settled === undefined) {
          isAtHead = true;
          stop.abort();
          await errorOf(next);
          break;
        }
        if (settled.value !== undefined) events.push(settled.value);
      }
      if (!isAtHead) await feed.return();
      return { events, nextCursor: events.at(-1)?.cursor ?? after, isAtHead };
    },
  };
}

async function turns(count: number): Promise<undefined> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  return undefined;
}

describe("the feed of an engine on a file", () => {
  let directory: string;
  const engines: Engine[] = [];

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), "aion-feed-"));
  });
  afterEach(async () => {
    for (const engine of engines.splice(0)) await engine.close({ drain: 0 });
    rmSync(directory, { recursive: true });
  });

  async function open(options: Partial<EngineOptions> = {}): Promise<Engine> {
    const store = `sqlite:${path.join(directory, "a.db")}`;
    const engine = await Engine.open({
      store,
      workflows,
      activities: [work],
      localSocket: false,
      log: () => undefined,
      ...options,
    });
    engines.push(engine);
    return engine;
  }

  it("is off unless it is asked for, and another one when it is turned on again", async () => {
    const first = await open();
    expect(await errorOf(first.client.feed().next())).toMatchObject({ code: "feed_off" });
    await first.client.start(leaf, 1, { id: "before" });
    await first.close();
    const second = await open({ feed: true });
    await second.client.start(leaf, 1, { id: "a" });
    const [{ cursor } = { cursor: "" }] = await readAll(second.client);
    await second.close();
    // A restart with it on is the same feed.
    const third = await open({ feed: true, feedRetention: "1 hour" });
    await third.client.start(leaf, 1, { id: "b" });
    expect((await readAll(third.client)).map(short)).toEqual([
      "a 1 WorkflowStarted",
      "a 2 TimerStarted",
      "b 1 WorkflowStarted",
      "b 2 TimerStarted",
    ]);
    expect((await readAll(third.client, { after: cursor })).map(short)[0]).toBe("a 2 TimerStarted");
    await third.close();
    await (await open()).close();
    const fourth = await open({ feed: true });
    expect(await errorOf(fourth.client.feed({ after: cursor }).next())).toMatchObject({
      code: "cursor_expired",
    });
    await fourth.client.start(leaf, 1, { id: "c" });
    expect((await readAll(fourth.client)).map(short)[0]).toBe("c 1 WorkflowStarted");
  });

  it("has what was committed together, and a reader of single events between gets all of it", async () => {
    // I-2
    const { client } = await open({ feed: true });
    const slowly = client.feed({ after: "oldest" });
    const seen: string[] = [];
    const starts = Array.from({ length: 300 }, (_, index) => client.start(leaf, index, { id: `w-${index}` }));
    while (seen.length < 600) {
      const { value } = await slowly.next();
      if (value === undefined) break;
      seen.push(short(value));
      if (seen.length % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(starts);
    await slowly.return();
    expect(new Set(seen).size).toBe(600);
    const all = await readAll(client);
    expect(seen).toEqual(all.map(short));
    // Many of a transaction: the cursors have fewer positions than there are events.
    const positions = new Set(all.map(({ cursor }) => cursor.split(".")[1]));
    expect(positions.size).toBeLessThan(150);
  });

  it("forgets what retention deletes, and its readers go on", async () => {
    const engine = await open({ feed: true });
    const { client } = engine;
    await client.start(leaf, 1, { id: "gone" });
    await client.get("gone").terminate();
    const items = await readAll(client);
    const following = client.feed({ after: items[0]?.cursor ?? "" });
    // What closed in this very millisecond is not older than it.
    await new Promise((resolve) => setTimeout(resolve, 2));
    await engine.deleteClosed(0);
    await client.start(leaf, 2, { id: "stays" });
    expect((await readAll(client)).map(short)).toEqual(["stays 1 WorkflowStarted", "stays 2 TimerStarted"]);
    expect(short((await following.next()).value as FeedEvent)).toBe("stays 1 WorkflowStarted");
    await following.return();
  });

  it("ends for who waits when the engine is closed", async () => {
    const engine = await open({ feed: true });
    const next = errorOf(engine.client.feed().next());
    await engine.close();
    expect(await next).toMatchObject({ code: "engine_closed" });
    expect(await errorOf(engine.client.feed().next())).toMatchObject({ code: "engine_closed" });
  });

  it.each([{ feedRetention: "soon" }, { feedRetention: -1 }] as const)(
    "is refused with %j",
    async (options) => {
      const error = await errorOf(open({ feed: true, ...(options as Partial<EngineOptions>) }));
      expect(error).toMatchObject({ code: "invalid_argument" });
    },
  );
});
