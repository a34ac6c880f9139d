import assert from "node:assert/strict";
import type { RunStatus } from "../../core/status.ts";
import { isClosed, runStatuses } from "../../core/status.ts";
import type { DueCursor, RunFilter, Store } from "../contract.ts";
import type { Scenario, World } from "./world.ts";
import { assertRefused, assertRejects, endOf, idOf, mark, runOf, startOf } from "./world.ts";

async function listIds(store: Store, filter: RunFilter): Promise<readonly string[]> {
  const { runs } = await store.list(filter, { limit: 1_000 });
  return runs.map((run) => run.workflowId);
}

const closedStatuses = runStatuses.filter((status): status is Exclude<RunStatus, "running" | "paused"> =>
  isClosed(status),
);

/** Six runs: started at 10, 20, …; types a and b in turn; the last three closed at 100, 110, 120. */
async function sixRuns(world: World): Promise<void> {
  for (const index of [1, 2, 3, 4, 5, 6]) {
    const run = await world.start(`w${index}`, {
      startedAt: index * 10,
      workflowType: index % 2 === 0 ? "a" : "b",
      ...(index === 2 ? { parent: { workflowId: idOf("p"), runId: world.newRunId(), ordinal: 0 } } : {}),
    });
    if (index === 3) await world.extend(run, { events: [], blocked: "no code" });
    if (index < 3) await world.extend(run, { parked: `of ${index}` });
    if (index === 2) await world.extend(run, { parked: null });
    if (index > 3) {
      const status = index === 5 ? "failed" : "completed";
      await world.extend(run, { status, closedAt: 60 + index * 10, events: [endOf(status)] });
    }
  }
}

export const listScenarios: readonly Scenario[] = [
  {
    name: "active runs are those that have not ended, whatever the end",
    async run(world) {
      const stays = await world.start("stays");
      for (const status of closedStatuses) {
        const run = await world.start(status);
        await world.end(run, status);
        assert.equal((await world.store.findRun(idOf(status)))?.status, status);
      }
      const last = await world.start("last", { wakeAt: 3 });
      const active = await world.store.listActive(0, 100);
      assert.deepEqual(
        active.map((run) => [run.runKey, run.workflowId, run.status]),
        [
          [stays.runKey, "stays", "running"],
          [last.runKey, "last", "running"],
        ],
      );
    },
  },
  {
    name: "a paused run is open and not active: it is listed as paused, comes due, and goes on",
    async run(world) {
      const other = await world.start("other");
      const run = await world.start("w", { wakeAt: 3 });
      await world.extend(run, { status: "paused", events: [mark("paused")], wakeAt: 5 });
      assert.equal((await world.store.findRun(idOf("w")))?.status, "paused");
      assert.deepEqual(await listIds(world.store, { status: "paused" }), ["w"]);
      assert.deepEqual(await listIds(world.store, { status: "running" }), ["other"]);
      assert.deepEqual(await listIds(world.store, { status: "paused", workflowType: "none" }), []);
      assert.deepEqual(await listIds(world.store, { status: "paused", workflowId: idOf("w") }), ["w"]);
      assert.equal(await world.store.count({ status: "paused" }), 1);
      assert.equal(await world.store.count({ status: "running" }), 1);
      assert.deepEqual(
        (await world.store.listActive(0, 10)).map(({ runKey }) => runKey),
        [other.runKey],
      );
      assert.deepEqual(await world.store.listDue(5, undefined, 10), [
        { runKey: run.runKey, workflowId: "w", wakeAt: 5 },
      ]);
      const [whilePaused] = await world.append({
        start: startOf("w", { runId: world.newRunId(), firstSeq: 3 }),
      });
      assertRefused(whilePaused, { expected: 2, found: 2 });
      assert.equal(await world.store.deleteClosed(world.token, 1_000_000_000_000_000, 10), 0);
      await world.extend(run, { events: [mark("while paused")], status: "paused", wakeAt: 5 });
      await world.extend(run, { events: [mark("resumed")], wakeAt: 5 });
      assert.deepEqual(await listIds(world.store, { status: "running" }), ["w", "other"]);
      assert.equal(await world.store.count({ status: "paused" }), 0);
      await world.extend(run, { status: "paused", events: [mark("paused again")], wakeAt: 5 });
      await world.end(run);
      assert.equal(await world.store.count({ status: "paused" }), 0);
    },
  },
  {
    name: "active runs come in pages, in ascending order of their key",
    async run(world) {
      const keys: number[] = [];
      for (let index = 0; index < 25; index += 1) {
        const run = await world.start(`w-${index}`, { wakeAt: index % 3 === 0 ? null : 1_000 - index });
        if (index % 5 === 4) await world.end(run);
        else keys.push(run.runKey);
      }
      const paged: number[] = [];
      for (;;) {
        const page = await world.store.listActive(paged.at(-1) ?? 0, 6);
        if (page.length === 0) break;
        assert.ok(page.length <= 6);
        paged.push(...page.map((run) => run.runKey));
      }
      assert.deepEqual(paged, keys);
    },
  },
  {
    name: "each filter, and all together, with inclusive bounds",
    async run(world) {
      await sixRuns(world);
      const cases: readonly (readonly [RunFilter, readonly string[]])[] = [
        [{}, ["w6", "w5", "w4", "w3", "w2", "w1"]],
        [{ workflowId: idOf("w3") }, ["w3"]],
        [{ workflowId: idOf("none") }, []],
        [{ exceptIdPrefix: "w" }, []],
        [{ exceptIdPrefix: "w3" }, ["w6", "w5", "w4", "w2", "w1"]],
        [{ exceptIdPrefix: "w33" }, ["w6", "w5", "w4", "w3", "w2", "w1"]],
        [{ exceptIdPrefix: "w3", isBlocked: true }, []],
        [{ exceptIdPrefix: "w3", status: "running" }, ["w2", "w1"]],
        [{ exceptIdPrefix: "w3", status: "failed" }, ["w5"]],
        [{ exceptIdPrefix: "w4", workflowType: "a", closedAfter: 0 }, ["w6"]],
        [{ workflowType: "a" }, ["w6", "w4", "w2"]],
        [{ status: "running" }, ["w3", "w2", "w1"]],
        [{ status: "failed" }, ["w5"]],
        [{ status: "terminated" }, []],
        [{ isBlocked: true }, ["w3"]],
        [{ isBlocked: false }, ["w6", "w5", "w4", "w2", "w1"]],
        [{ isParked: true }, ["w1"]],
        [{ isParked: false }, ["w6", "w5", "w4", "w3", "w2"]],
        [{ isParked: true, workflowType: "a" }, []],
        [{ startedAfter: 40 }, ["w6", "w5", "w4"]],
        [{ startedAfter: 41 }, ["w6", "w5"]],
        [{ startedBefore: 20 }, ["w2", "w1"]],
        [{ startedBefore: 19 }, ["w1"]],
        [{ startedAfter: 20, startedBefore: 40 }, ["w4", "w3", "w2"]],
        [{ closedAfter: 110 }, ["w6", "w5"]],
        [{ closedBefore: 110 }, ["w5", "w4"]],
        [{ closedAfter: 111, closedBefore: 119 }, []],
        [{ parentWorkflowId: idOf("p") }, ["w2"]],
        [{ workflowType: "a", status: "completed", startedAfter: 50, closedBefore: 120 }, ["w6"]],
        [{ workflowType: "b", status: "completed" }, []],
      ];
      for (const [filter, ids] of cases) {
        assert.deepEqual(await listIds(world.store, filter), ids, JSON.stringify(filter));
        assert.equal(await world.store.count(filter), ids.length, JSON.stringify(filter));
      }
    },
  },
  {
    name: "every run of a chain is listed, each with its own end",
    async run(world) {
      const first = await world.start("w");
      await world.extend(first, {
        status: "continued-as-new",
        closedAt: 7,
        events: [endOf("continued-as-new")],
      });
      await world.start("w", { firstSeq: 3 });
      const { runs } = await world.store.list({ workflowId: idOf("w") }, { limit: 10 });
      assert.deepEqual(
        runs.map((run) => [run.status, run.closedAt]),
        [
          ["running", undefined],
          ["continued-as-new", 7],
        ],
      );
      assert.equal(await world.store.count({ status: "continued-as-new" }), 1);
    },
  },
  {
    name: "pages hold what was there when the listing began, though runs start and end meanwhile",
    async run(world) {
      const known = [];
      for (let index = 0; index < 23; index += 1) known.push(await world.start(`w-${index}`));
      const seen: string[] = [];
      let cursor: string | undefined;
      let pageCount = 0;
      do {
        const page = await world.store.list({}, cursor === undefined ? { limit: 5 } : { limit: 5, cursor });
        seen.push(...page.runs.map((run) => run.workflowId));
        cursor = page.nextCursor;
        pageCount += 1;
        await world.start(`later-${pageCount}`);
        const ended = known[22 - pageCount * 2];
        if (ended !== undefined) await world.end(ended);
      } while (cursor !== undefined);
      assert.equal(pageCount, 5);
      assert.deepEqual(seen, known.map((run) => run.workflowId).toReversed());
    },
  },
  {
    name: "a page that ends exactly with the last run has no successor",
    async run(world) {
      await sixRuns(world);
      const page = await world.store.list({}, { limit: 6 });
      assert.equal(page.runs.length, 6);
      assert.equal(page.nextCursor, undefined);
      const short = await world.store.list({ status: "running" }, { limit: 2 });
      assert.deepEqual([short.runs.length, typeof short.nextCursor], [2, "string"]);
    },
  },
  {
    name: "a cursor that no listing returned is refused",
    async run(world) {
      await assertRejects(
        world.store.list({}, { limit: 5, cursor: "x'; DROP TABLE runs" }),
        "invalid_argument",
      );
    },
  },
  {
    name: "due runs are those up to the instant, itself included, in order of instant and key",
    async run(world) {
      const wakes: readonly (number | null)[] = [300, 100, null, 200, 100, 0, 201];
      const runs = [];
      for (const [index, wakeAt] of wakes.entries()) runs.push(await world.start(`w-${index}`, { wakeAt }));
      const due = async (untilAt: number): Promise<readonly (readonly [string, number])[]> =>
        (await world.store.listDue(untilAt, undefined, 100)).map(
          (run) => [run.workflowId, run.wakeAt] as const,
        );
      assert.deepEqual(await due(-1), []);
      assert.deepEqual(await due(99), [["w-5", 0]]);
      assert.deepEqual(await due(200), [
        ["w-5", 0],
        ["w-1", 100],
        ["w-4", 100],
        ["w-3", 200],
      ]);
      const paged: string[] = [];
      let after: DueCursor | undefined;
      for (;;) {
        const page = await world.store.listDue(1_000, after, 2);
        if (page.length === 0) break;
        paged.push(...page.map((run) => run.workflowId));
        after = page.at(-1);
      }
      assert.deepEqual(paged, ["w-5", "w-1", "w-4", "w-3", "w-6", "w-0"]);
      assert.equal(await world.store.nextWakeAt(-1), 0);
      assert.equal(await world.store.nextWakeAt(0), 100);
      assert.equal(await world.store.nextWakeAt(100), 200);
      assert.equal(await world.store.nextWakeAt(300), undefined);
    },
  },
  {
    name: "another wakeAt replaces the one before, and a run that ended is due no more",
    async run(world) {
      const run = await world.start("w", { wakeAt: 100 });
      await world.extend(run, { wakeAt: 500 });
      assert.deepEqual(await world.store.listDue(499, undefined, 10), []);
      assert.deepEqual(await world.store.listDue(500, undefined, 10), [
        { runKey: run.runKey, workflowId: "w", wakeAt: 500 },
      ]);
      await world.extend(run, { wakeAt: 50, events: [] });
      assert.equal((await world.store.listDue(50, undefined, 10)).length, 1);
      await world.extend(run, { wakeAt: null });
      assert.deepEqual(await world.store.listDue(1_000, undefined, 10), []);
      await world.extend(run, { wakeAt: 70 });
      const closing = runOf(run, {
        status: "cancelled",
        closedAt: 1,
        events: [endOf("cancelled")],
        wakeAt: 70,
      });
      await world.append({ run: closing });
      assert.deepEqual(await world.store.listDue(1_000, undefined, 10), []);
      assert.equal(await world.store.nextWakeAt(0), undefined);
    },
  },
  {
    name: "a commit that leaves wakeAt as it was leaves it due",
    async run(world) {
      const run = await world.start("w", { wakeAt: 100 });
      await world.extend(run, { events: [mark("a")] });
      await world.extend(run, { events: [mark("b")] });
      assert.deepEqual(await world.store.listDue(100, undefined, 10), [
        { runKey: run.runKey, workflowId: "w", wakeAt: 100 },
      ]);
    },
  },
  {
    name: "a commit that takes wakeAt for unchanged sets it all the same",
    async run(world) {
      const run = await world.start("w", { wakeAt: 100 });
      // Another commit, without events, that this one's writer does not know of.
      await world.append({ run: runOf(run, { events: [], wakeAt: null }) });
      await world.extend(run, { events: [mark("a")], wakeAt: 100, wakeAtBefore: 100 });
      assert.deepEqual(await world.store.listDue(100, undefined, 10), [
        { runKey: run.runKey, workflowId: "w", wakeAt: 100 },
      ]);
      await world.append({ run: runOf(run, { events: [], wakeAt: 50 }) });
      await world.extend(run, { events: [], wakeAt: null, wakeAtBefore: null });
      assert.deepEqual(await world.store.listDue(100, undefined, 10), []);
    },
  },
];
