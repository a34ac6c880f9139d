import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { KnownRun } from "../conformance/world.ts";
import { VirtualClock, World, leaseMs, mark, runOf, startOf } from "../conformance/world.ts";
import type { OwnerClaim, Store } from "../contract.ts";
import { feedTrimStep } from "../feed.ts";
import { backUpSqliteStore } from "./backup.ts";
import { openSqliteStore } from "./store.ts";

const keepMs = 60_000;

let directory: string;
let path: string;
let clock: VirtualClock;
let store: Store;
let world: World;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "aion-feed-"));
  path = join(directory, "store.db");
  clock = new VirtualClock();
  store = openSqliteStore({ path, clock, writer: "inline" });
  await claim({ keepMs });
});

afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

async function claim(feed?: OwnerClaim["feed"]): Promise<void> {
  clock.advance(2 * leaseMs);
  const token = await store.claim({ leaseMs, ...(feed === undefined ? {} : { feed }) });
  world = new World({ store, dispose: () => store.close() }, clock, token);
}

/** On a connection of its own, as somebody else would. */
function sql(text: string): readonly Record<string, unknown>[] {
  const database = new DatabaseSync(path);
  try {
    return database.prepare(text).all();
  } finally {
    database.close();
  }
}

async function eventsAfter(after: string, from: Store = store): Promise<readonly string[]> {
  const { items, isAtHead } = await from.readFeed({ after, limit: 10_000 });
  expect(isAtHead).toBe(true);
  return items.map(({ workflowId, event, damage }) => `${workflowId} ${event?.seq ?? damage?.error.code}`);
}

/** That many transactions of one commit. */
async function extendOften(run: KnownRun, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) await world.extend(run);
}

it("appends that are written together have one position, in the order in which they were given", async () => {
  const runs = [await world.start("a"), await world.start("b"), await world.start("c")];
  const together = runs
    .toReversed()
    .map((run) =>
      world.append(
        { run: runOf(run, { events: [mark("x"), mark("y")] }) },
        { start: startOf(`after-${run.runKey}`) },
      ),
    );
  await Promise.all(together);
  const rows = sql("SELECT position, entries FROM feed ORDER BY position");
  expect(rows.map(({ position }) => position)).toEqual([1, 2, 3, 4]);
  expect(rows[3]?.["entries"]).toBe("3.2.2 4.1.1 2.2.2 5.1.1 1.2.2 6.1.1");
  expect(await eventsAfter("oldest")).toEqual([
    "a 1",
    "b 1",
    "c 1",
    "c 2",
    "c 3",
    "after-3 1",
    "b 2",
    "b 3",
    "after-2 1",
    "a 2",
    "a 3",
    "after-1 1",
  ]);
});

it("a commit that fails in the database is not in the feed, and its neighbours are", async () => {
  const run = await world.start("w");
  const database = new DatabaseSync(path);
  database.exec(
    "CREATE TRIGGER poison BEFORE INSERT ON events WHEN NEW.row LIKE '%poison%' BEGIN SELECT RAISE(ABORT, 'poison'); END",
  );
  database.close();
  const [before, failed, after] = await world.append(
    { start: startOf("before") },
    { run: runOf(run, { events: [mark("poison")] }) },
    { start: startOf("after") },
  );
  expect([before?.ok, failed?.ok, after?.ok]).toEqual([true, false, true]);
  expect(await eventsAfter("oldest")).toEqual(["w 1", "before 1", "after 1"]);
});

it("what was trimmed is deleted in steps, and a feed that was turned off goes as more is written", async () => {
  const run = await world.start("w");
  await extendOften(run, 5 * feedTrimStep);
  const count = (): number => Number(sql("SELECT count(*) AS count FROM feed")[0]?.["count"]);
  const all = count();
  clock.advance(keepMs);
  await claim();
  await world.extend(run);
  expect(count()).toBe(all + 1 - feedTrimStep);
  await claim("off");
  // Neither the claim nor one transaction has all of them to delete.
  expect(count()).toBe(all + 1 - feedTrimStep);
  await world.extend(run);
  expect(count()).toBe(all + 1 - 3 * feedTrimStep);
  await extendOften(run, 3);
  expect(count()).toBe(0);
  await claim({ keepMs });
  expect(await eventsAfter("oldest")).toEqual([]);
  await world.extend(run);
  expect(await eventsAfter("oldest")).toEqual([`w ${run.headSeq}`]);
  const [row] = sql("SELECT position FROM feed");
  expect(row?.["position"]).toBe(all + 2);
});

it.each([
  ["changed", "UPDATE feed SET entries = replace(entries, '1.3.1', '1.2.1') WHERE position = 3"],
  ["moved", "UPDATE feed SET position = 9 WHERE position = 5; "],
  ["lost", "DELETE FROM feed WHERE position = 3"],
])("a row of the feed that was %s is told, and what is behind it can be read", async (_what, damage) => {
  const run = await world.start("w");
  await extendOften(run, 4);
  const { items } = await store.readFeed({ after: "oldest", limit: 10 });
  sql(damage);
  await expect(store.readFeed({ after: "oldest", limit: 10 })).rejects.toMatchObject({
    code: "store_corrupt",
    details: { position: expect.any(Number) as number },
  });
  expect(await eventsAfter("latest")).toEqual([]);
  if (damage.startsWith("UPDATE feed SET entries") || damage.startsWith("DELETE"))
    expect(await eventsAfter(items[2]?.cursor ?? "")).toEqual(["w 4", "w 5"]);
});

it("a row of events that is gone, or has more events than the feed names, is damage of its run alone", async () => {
  const [a, b] = [await world.start("a"), await world.start("b")];
  await world.extend(a);
  await world.extend(b);
  sql("DELETE FROM events WHERE run_key = 1 AND first_seq = 2");
  expect(await eventsAfter("oldest")).toEqual(["a 1", "b 1", "a history_corrupt", "b 2"]);
});

it("a page looks at so many rows and no more, and moves on all the same", async () => {
  const run = await world.start("w");
  await extendOften(run, 300);
  const page = await store.readFeed({ after: "oldest", limit: 1_000, workflowType: "none" });
  expect(page).toMatchObject({ items: [], isAtHead: false });
  const next = await store.readFeed({ after: page.nextCursor, limit: 1_000, workflowType: "none" });
  expect(next).toMatchObject({ items: [], isAtHead: true });
});

it("a page ends when it has so much text, with one item at the least", async () => {
  const run = await world.start("w");
  for (let index = 0; index < 4; index += 1) await world.extend(run, { events: [mark("x".repeat(900_000))] });
  const sizes: number[] = [];
  for (let after = "oldest", isAtHead = false; !isAtHead;) {
    const page = await store.readFeed({ after, limit: 1_000 });
    sizes.push(page.items.length);
    ({ nextCursor: after, isAtHead } = page);
  }
  expect(sizes).toEqual([3, 2]);
});

it("a cursor behind the head is refused: by this feed it was not given", async () => {
  await world.start("w");
  const { nextCursor } = await store.readFeed({ after: "oldest", limit: 10 });
  const [era, position] = nextCursor.split(".");
  const read = (after: string) => store.readFeed({ after, limit: 10 });
  await expect(read(`${era}.${Number(position) + 1}.0`)).rejects.toMatchObject({ code: "cursor_expired" });
  await expect(read(`${era}.${position}.1`)).rejects.toMatchObject({ code: "invalid_argument" });
  await expect(read(`${era}.1.9`)).rejects.toMatchObject({ code: "invalid_argument" });
});

it("a cursor of the original is not one of a copy, whose feed goes another way", async () => {
  const run = await world.start("w");
  const { nextCursor } = await store.readFeed({ after: "oldest", limit: 10 });
  const to = join(directory, "copy.db");
  await backUpSqliteStore({ from: path, to });
  await world.extend(run);
  const copy = openSqliteStore({ path: to, clock });
  await copy.claim({ leaseMs });
  await expect(copy.readFeed({ after: nextCursor, limit: 10 })).rejects.toMatchObject({
    code: "cursor_expired",
  });
  expect(await eventsAfter("oldest", copy)).toEqual(["w 1"]);
  await copy.close();
  expect(await eventsAfter(nextCursor)).toEqual(["w 2"]);
});
