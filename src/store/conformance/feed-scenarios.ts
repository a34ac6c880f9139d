import assert from "node:assert/strict";
import { isAionError } from "../../core/errors.ts";
import type { WorkflowId } from "../../core/ids.ts";
import type { FeedItem, FeedPage, FeedRange, OwnerToken, Store } from "../contract.ts";
import { feedTrimStep } from "../feed.ts";
import type { Scenario, World } from "./world.ts";
import { assertRejects, endOf, feedKeepMs, idOf, leaseMs, mark, runOf, startOf } from "./world.ts";

type Filter = Pick<FeedRange, "workflowId" | "workflowType">;

/** All there is behind the cursor, in pages. */
async function readOn(
  store: Store,
  after: string,
  limit = 1_000,
  filter: Filter = {},
): Promise<{ readonly items: readonly FeedItem[]; readonly cursor: string }> {
  const items: FeedItem[] = [];
  for (let cursor = after, pageCount = 0; ; pageCount += 1) {
    assert.ok(pageCount < 10_000, "a reader comes to the head");
    const page = await store.readFeed({ after: cursor, limit, ...filter });
    assert.ok(page.items.length <= limit, `${page.items.length} items, and ${limit} were asked for`);
    items.push(...page.items);
    if (page.isAtHead) return { items, cursor: page.nextCursor };
    assert.notEqual(page.nextCursor, cursor, "a page that is not the last moves on");
    cursor = page.nextCursor;
  }
}

const short = ({ workflowId, event }: FeedItem): string => `${workflowId} ${event?.seq ?? "damaged"}`;

async function shortOf(store: Store, after: string, filter: Filter = {}): Promise<readonly string[]> {
  return (await readOn(store, after, 1_000, filter)).items.map(short);
}

/** Ten transactions of one commit, and one of ten with several events each. */
async function writeSome(world: World): Promise<void> {
  const [a, b] = [await world.start("a"), await world.start("b", { workflowType: "bill" })];
  for (let round = 0; round < 4; round += 1)
    await world.extend(round % 2 === 0 ? a : b, { events: [mark(`${round} one`), mark(`${round} two`)] });
  const starts = Array.from({ length: 8 }, (_, index) => ({
    start: startOf(`together-${index}`, { events: [mark("first"), mark("second"), mark("third")] }),
  }));
  await world.append({ run: runOf(a) }, ...starts, { run: runOf(b, { expectedSeq: 99 }) });
  a.headSeq += 1;
  await world.end(a);
}

export const feedScenarios: readonly Scenario[] = [
  {
    name: "the feed has what was appended, of all runs, in the order of the commits",
    async run(world) {
      assert.deepEqual(await readOn(world.store, "oldest").then(({ items }) => items), []);
      const a = await world.start("a");
      const b = await world.start("b", { workflowType: "bill" });
      // Of three commits in one transaction the second is refused.
      await world.append(
        { run: runOf(b, { events: [mark("b2"), mark("b3")] }) },
        { run: runOf(a, { expectedSeq: 7 }) },
        { run: runOf(a, { events: [mark("a2")] }) },
      );
      a.headSeq += 1;
      const [next] = await world.append({
        run: runOf(a, { status: "continued-as-new", closedAt: 9, events: [endOf("continued-as-new")] }),
        start: startOf("a", { firstSeq: 4, runId: world.newRunId() }),
      });
      assert.equal(next?.ok, true);
      // Neither a change of the row alone nor a message is an event.
      await world.extend(b, { expectedSeq: 3, events: [], wakeAt: 5 });
      await world.append({ send: [{ target: idOf("x"), message: { kind: "cancel" } }] });
      const { items } = await readOn(world.store, "oldest");
      assert.deepEqual(items.map(short), ["a 1", "b 1", "b 2", "b 3", "a 2", "a 3", "a 4"]);
      const histories = [
        ...(await world.store.readHistory(idOf("a"))),
        ...(await world.store.readHistory(idOf("b"))),
      ];
      const runs = [
        ...(await world.store.readRunChain(idOf("a"))),
        ...(await world.store.readRunChain(idOf("b"))),
      ];
      for (const { workflowId, event, runId, workflowType } of items) {
        assert.deepEqual(
          event,
          histories.find((one) => one.workflowId === workflowId && one.seq === event?.seq),
        );
        const run = runs.findLast(
          (one) => one.workflowId === workflowId && one.firstSeq <= (event?.seq ?? 0),
        );
        assert.deepEqual([runId, workflowType], [run?.runId, run?.workflowType]);
      }
    },
  },
  {
    name: "read on from any cursor, the feed goes on behind what was read, whatever the size of the pages",
    async run(world) {
      await writeSome(world);
      const { items, cursor } = await readOn(world.store, "oldest");
      const all = items.map(short);
      assert.equal(all.length, 36);
      for (const [index, item] of items.entries()) {
        for (const limit of [1, 2, 7, 1_000]) {
          const rest = await readOn(world.store, item.cursor, limit);
          assert.deepEqual(rest.items.map(short), all.slice(index + 1));
          assert.equal(rest.cursor, cursor);
        }
      }
      assert.deepEqual(await shortOf(world.store, cursor), []);
      assert.deepEqual(await shortOf(world.store, "latest"), []);
    },
  },
  {
    name: "a reader that waits at the head gets what comes, once",
    async run(world) {
      await world.start("before");
      let { nextCursor } = await world.store.readFeed({ after: "latest", limit: 10 });
      const run = await world.start("w");
      const seen: string[] = [];
      for (let round = 0; round < 30; round += 1) {
        await world.extend(run, { events: [mark(`${round}`), mark(`${round} again`)] });
        // Now and then, and never all of it.
        if (round % 3 > 0) continue;
        const page = await world.store.readFeed({ after: nextCursor, limit: 3 });
        seen.push(...page.items.map(short));
        nextCursor = page.nextCursor;
      }
      seen.push(...(await shortOf(world.store, nextCursor)));
      assert.deepEqual(
        seen,
        Array.from({ length: 61 }, (_, index) => `w ${index + 1}`),
      );
    },
  },
  {
    name: "the feed of one workflow, or of one type, leaves the others out, and moves on behind them",
    async run(world) {
      await writeSome(world);
      const all = (await readOn(world.store, "oldest")).items;
      const of = (is: (item: FeedItem) => boolean): readonly string[] => all.filter(is).map(short);
      const inPages = async (filter: Filter): Promise<readonly string[]> =>
        (await readOn(world.store, "oldest", 2, filter)).items.map(short);
      const a = idOf("a");
      const ofA = of(({ workflowId }) => workflowId === a);
      assert.deepEqual([ofA.length, await inPages({ workflowId: a })], [7, ofA]);
      const bills = of(({ workflowType }) => workflowType === "bill");
      assert.deepEqual([bills.length, await inPages({ workflowType: "bill" })], [5, bills]);
      assert.deepEqual(await inPages({ workflowId: a, workflowType: "bill" }), []);
      for (const after of ["oldest", all[3]?.cursor ?? ""]) {
        const { items, cursor } = await readOn(world.store, after, 5, { workflowId: idOf("none") });
        assert.deepEqual([items, await shortOf(world.store, cursor)], [[], []]);
      }
    },
  },
  {
    // I-2
    name: "what the feed shows is in the histories, and what is in the histories the feed shows",
    async run(world) {
      const progress = { isOver: false };
      const watch = async (): Promise<readonly FeedItem[]> => {
        const seen: FeedItem[] = [];
        for (let cursor = "oldest"; ;) {
          const { isOver } = progress;
          const page = await world.store.readFeed({ after: cursor, limit: 7 });
          for (const item of page.items) {
            const history = await world.store.readHistory(item.workflowId);
            assert.deepEqual(item.event, history[(item.event?.seq ?? 0) - 1]);
          }
          seen.push(...page.items);
          cursor = page.nextCursor;
          if (isOver && page.isAtHead) return seen;
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
      const watching = watch();
      const lane = async (name: string): Promise<void> => {
        for (let round = 0; round < 8; round += 1) {
          const run = await world.start(`${name}-${round}`);
          await world.extend(run, { events: [mark("one"), mark("two")] });
          await world.end(run);
        }
      };
      await Promise.all(["a", "b", "c"].map(lane));
      progress.isOver = true;
      const seen = (await watching).map(short);
      assert.equal(new Set(seen).size, seen.length);
      assert.equal(seen.length, 24 * 4);
      const perWorkflow = new Map<WorkflowId, number>();
      for (const { workflowId, event } of await watching) {
        assert.equal(event?.seq, (perWorkflow.get(workflowId) ?? 0) + 1);
        perWorkflow.set(workflowId, event.seq);
      }
    },
  },
  {
    name: "runs that were deleted are in the feed no more, and its readers go on",
    async run(world) {
      const [gone, stays] = [await world.start("gone"), await world.start("stays")];
      await world.extend(gone);
      await world.end(gone);
      const { items } = await readOn(world.store, "oldest");
      await world.extend(stays);
      await world.store.deleteClosed(world.token, (await world.now()) + 1, 10);
      assert.deepEqual(await shortOf(world.store, "oldest"), ["stays 1", "stays 2"]);
      for (const { cursor } of items) {
        const rest = await shortOf(world.store, cursor);
        assert.equal(rest.at(-1), "stays 2");
        assert.ok(!rest.includes("gone 1"));
      }
      const again = await world.start("gone");
      assert.ok(again.runKey > gone.runKey);
      assert.deepEqual(await shortOf(world.store, "oldest"), ["stays 1", "stays 2", "gone 1"]);
    },
  },
  {
    name: "the feed is kept for its time, then trimmed as more is appended, and an older cursor is told so",
    async run(world) {
      const run = await world.start("w");
      for (let round = 0; round < 2 * feedTrimStep; round += 1)
        await world.extend(run, { events: [mark("one"), mark("two")] });
      const oldSeq = run.headSeq;
      const { items } = await readOn(world.store, "oldest");
      const [first] = items;
      assert.ok(first !== undefined);
      await world.advance(feedKeepMs - 3 * leaseMs);
      const token = await claimAgain(world, {});
      const append = async (): Promise<void> => {
        const [result] = await world.store.append(token, [{ run: runOf(run) }]);
        assert.equal(result?.ok, true);
        run.headSeq += 1;
      };
      await append();
      assert.equal(
        (await shortOf(world.store, first.cursor)).length,
        run.headSeq - 1,
        "its time is not over",
      );
      await world.advance(2 * leaseMs);
      const next = await claimAgain(world, {});
      for (let round = 0; round < 6 * feedTrimStep; round += 1) {
        const [result] = await world.store.append(next, [{ run: runOf(run) }]);
        assert.equal(result?.ok, true);
        run.headSeq += 1;
      }
      await assertRejects(world.store.readFeed({ after: first.cursor, limit: 10 }), "cursor_expired");
      const left = await shortOf(world.store, "oldest");
      assert.equal(left.at(-1), `w ${run.headSeq}`);
      const [oldest = ""] = left;
      const from = Number(oldest.split(" ")[1]);
      assert.deepEqual(
        left,
        Array.from({ length: run.headSeq - from + 1 }, (_, index) => `w ${from + index}`),
      );
      assert.ok(from > oldSeq - 2 * feedTrimStep, "most of what is too old is gone");
      assert.ok(from <= oldSeq + 1, "what is not too old is there");
      // Each cursor goes on without a gap, or is refused.
      let expiredCount = 0;
      for (const { cursor, event } of items) {
        try {
          const { items: rest } = await world.store.readFeed({ after: cursor, limit: 2 });
          assert.equal(rest[0]?.event?.seq, (event?.seq ?? 0) + 1);
        } catch (error) {
          if (!isAionError(error) || error.code !== "cursor_expired") throw error;
          expiredCount += 1;
        }
      }
      assert.ok(expiredCount >= from - 2 && expiredCount < items.length);
    },
  },
  {
    name: "a feed that was off is another one when it is on again, and cursors from before are told so",
    async run(world) {
      const run = await world.start("w");
      const { items, cursor } = await readOn(world.store, "oldest");
      const off = await claimAgain(world, { feed: "off" });
      await assertRejects(world.store.readFeed({ after: "oldest", limit: 10 }), "feed_off");
      await assertRejects(world.store.readFeed({ after: cursor, limit: 10 }), "feed_off");
      await world.store.append(off, [{ run: runOf(run) }]);
      run.headSeq += 1;
      // As it was: off.
      await claimAgain(world, {});
      await assertRejects(world.store.readFeed({ after: "latest", limit: 10 }), "feed_off");
      const on = await claimAgain(world, { feed: { keepMs: feedKeepMs } });
      for (const after of [cursor, ...items.map((item) => item.cursor)])
        await assertRejects(world.store.readFeed({ after, limit: 10 }), "cursor_expired");
      assert.deepEqual(await shortOf(world.store, "oldest"), []);
      const { nextCursor } = await world.store.readFeed({ after: "latest", limit: 10 });
      await world.store.append(on, [{ run: runOf(run) }]);
      assert.deepEqual(await shortOf(world.store, "oldest"), ["w 3"]);
      assert.deepEqual(await shortOf(world.store, nextCursor), ["w 3"]);
      // On, and told so once more: the same feed.
      await claimAgain(world, { feed: { keepMs: 2 * feedKeepMs } });
      assert.deepEqual(await shortOf(world.store, nextCursor), ["w 3"]);
      await claimAgain(world, {});
      assert.deepEqual(await shortOf(world.store, nextCursor), ["w 3"]);
    },
  },
  {
    name: "a cursor that the feed did not give is refused",
    async run(world) {
      await world.start("w");
      const { items, cursor } = await readOn(world.store, "oldest");
      for (const after of ["", "1", "w", `${cursor}.1`, `-${cursor}`, ` ${cursor}`, "newest"])
        await assertRejects(world.store.readFeed({ after, limit: 10 }), "invalid_argument");
      assert.equal(items.length, 1);
    },
  },
  {
    // I-16
    name: "what a stale owner appends is not in the feed",
    async run(world) {
      const run = await world.start("w");
      await world.advance(leaseMs + 1);
      const token = await world.store.claim({ leaseMs });
      const [stale] = await Promise.allSettled([
        world.append({ run: runOf(run) }, { start: startOf("v") }),
        world.store.append(token, [{ run: runOf(run, { events: [mark("mine")] }) }]),
      ]);
      assert.equal(stale.status, "rejected");
      assert.deepEqual(await shortOf(world.store, "oldest"), ["w 1", "w 2"]);
    },
  },
  {
    name: "another opener reads the feed as it was acknowledged, and goes on in it",
    needs: "reopen",
    async run(world, backend) {
      const run = await world.start("w");
      const other = await backend.reopen?.(world.opened);
      assert.ok(other !== undefined, "the data is opened again");
      try {
        let cursor: string = "oldest";
        for (let round = 0; round < 10; round += 1) {
          const store: Store = round % 2 === 0 ? other : world.store;
          const [result] = await store.append(world.token, [{ run: runOf(run) }]);
          assert.equal(result?.ok, true);
          run.headSeq += 1;
          const reader: Store = round % 2 === 0 ? world.store : other;
          const { items, nextCursor }: FeedPage = await reader.readFeed({ after: cursor, limit: 10 });
          assert.equal(items.at(-1)?.event?.seq, run.headSeq);
          assert.equal(items.length, round === 0 ? 2 : 1);
          cursor = nextCursor;
        }
        assert.deepEqual(await readOn(other, "oldest"), await readOn(world.store, "oldest"));
      } finally {
        await other.close();
      }
    },
  },
  {
    // I-50
    name: "a row that is damaged is in the feed as damaged, and hides no other",
    needs: "damage",
    async run(world, backend) {
      const [damaged, sound] = [await world.start("damaged"), await world.start("sound")];
      await world.extend(damaged, { events: [mark("first"), mark("second")] });
      await world.extend(sound);
      await backend.damage?.(world.opened, { run: damaged, seq: 2 });
      const { items } = await readOn(world.store, "oldest");
      const broken = items.filter(({ damage }) => damage !== undefined);
      for (const seq of [2, 3])
        assert.ok(broken.some(({ damage }) => damage && damage.firstSeq <= seq && damage.lastSeq >= seq));
      for (const { workflowId, damage, cursor } of broken) {
        assert.deepEqual([workflowId, damage?.error.code], ["damaged", "history_corrupt"]);
        assert.ok((await shortOf(world.store, cursor)).includes("sound 2"), "a reader gets past it");
      }
      assert.deepEqual(
        items.map(short).filter((one) => one.startsWith("sound")),
        ["sound 1", "sound 2"],
      );
    },
  },
];

async function claimAgain(world: World, claim: Parameters<Store["claim"]>[0] | object): Promise<OwnerToken> {
  await world.advance(2 * leaseMs);
  return await world.store.claim({ leaseMs, ...claim });
}
