import assert from "node:assert/strict";
import type { Scenario } from "./world.ts";
import { assertRefused, endOf, idOf, mark, runOf, snapshot, startOf, startedEvent } from "./world.ts";

export const chainScenarios: readonly Scenario[] = [
  {
    name: "a workflow with one run has a chain of one",
    async run(world) {
      const run = await world.start("w");
      const chain = await world.store.readRunChain(idOf("w"));
      assert.deepEqual(
        chain.map((record) => [record.runKey, record.runId, record.firstSeq, record.headSeq]),
        [[run.runKey, run.runId, 1, 1]],
      );
    },
  },
  {
    // I-36
    name: "continue-as-new ends one run and begins the next in one commit",
    async run(world) {
      const first = await world.start("w");
      const nextId = world.newRunId();
      const [result] = await world.append({
        run: runOf(first, {
          events: [mark("a"), endOf("continued-as-new")],
          status: "continued-as-new",
          closedAt: 60,
        }),
        start: startOf("w", {
          runId: nextId,
          firstSeq: 4,
          events: [startedEvent(nextId), mark("b")],
          wakeAt: 8,
        }),
      });
      assert.ok(result?.ok === true && result.startedKey !== undefined && result.startedKey > first.runKey);
      const chain = await world.store.readRunChain(idOf("w"));
      assert.deepEqual(
        chain.map((run) => [
          run.runKey,
          run.runId,
          run.status,
          run.firstSeq,
          run.headSeq,
          run.closedAt,
          run.wakeAt,
        ]),
        [
          [first.runKey, first.runId, "continued-as-new", 1, 3, 60, null],
          [result.startedKey, nextId, "running", 4, 5, undefined, 8],
        ],
      );
      assert.equal((await world.store.findRun(idOf("w")))?.runId, nextId, "the latest by default");
      assert.equal((await world.store.findRun(idOf("w"), first.runId))?.runKey, first.runKey);
      const history = await world.store.readHistory(idOf("w"));
      assert.deepEqual(
        history.map((event) => [event.seq, event.type]),
        [
          [1, "WorkflowStarted"],
          [2, "VersionMarked"],
          [3, "WorkflowContinuedAsNew"],
          [4, "WorkflowStarted"],
          [5, "VersionMarked"],
        ],
      );
    },
  },
  {
    // I-36, I-4
    name: "a continue-as-new of which one half is refused writes neither",
    async run(world) {
      const run = await world.start("w");
      const before = await snapshot(world.store, "w");
      const ending = {
        events: [endOf("continued-as-new")],
        status: "continued-as-new" as const,
        closedAt: 6,
      };
      const start = startOf("w", { runId: world.newRunId(), firstSeq: 3 });
      const [stale] = await world.append({ run: runOf(run, { ...ending, expectedSeq: 0 }), start });
      assertRefused(stale, { expected: 0, found: 1 });
      const [gap] = await world.append({ run: runOf(run, ending), start: { ...start, firstSeq: 4 } });
      assertRefused(gap, { expected: 3, found: 2 });
      const [open] = await world.append({ run: runOf(run), start });
      assertRefused(open, { expected: 2, found: 2 });
      const [absent] = await world.append({ run: runOf(run, ending), start, consume: [4711] });
      assertRefused(absent, { missingMessageId: 4711 });
      assert.deepEqual(await snapshot(world.store, "w"), before);
    },
  },
  {
    name: "a run is started after a closed one at the seq that follows it, and nowhere else",
    async run(world) {
      const first = await world.start("w");
      await world.extend(first);
      for (const firstSeq of [1, 2, 3, 4]) {
        const [whileOpen] = await world.append({
          start: startOf("w", { runId: world.newRunId(), firstSeq }),
        });
        assertRefused(whileOpen, { expected: firstSeq - 1, found: 2 });
      }
      await world.end(first);
      const before = await snapshot(world.store, "w");
      for (const firstSeq of [1, 2, 3, 5]) {
        const [elsewhere] = await world.append({
          start: startOf("w", { runId: world.newRunId(), firstSeq }),
        });
        assertRefused(elsewhere, { expected: firstSeq - 1, found: 3 });
      }
      const [unused] = await world.append({ start: startOf("v", { runId: world.newRunId(), firstSeq: 2 }) });
      assertRefused(unused, { expected: 1, found: 0 });
      assert.deepEqual(await snapshot(world.store, "w"), before);
      const second = await world.start("w", { firstSeq: 4 });
      assert.ok(second.runKey > first.runKey);
      const chain = await world.store.readRunChain(idOf("w"));
      assert.deepEqual(
        chain.map((run) => run.firstSeq),
        [1, 4],
      );
    },
  },
  {
    name: "a run that is to follow one that was deleted meanwhile is not started, though the seqs are the same again",
    async run(world) {
      const deleted = await world.start("w");
      await world.end(deleted);
      const next = { runId: world.newRunId(), firstSeq: deleted.headSeq + 1, follows: deleted.runKey };
      assert.equal(await world.store.deleteClosed(world.token, Number.MAX_SAFE_INTEGER, 10), 1);
      const [afterNone] = await world.append({ start: startOf("w", next) });
      assertRefused(afterNone, { expected: next.firstSeq - 1, found: 0 });
      const [alone] = await world.append({ start: startOf("w", { ...next, firstSeq: 1 }) });
      assertRefused(alone, { expected: 0, found: 0 });
      const again = await world.start("w", { runId: world.newRunId() });
      await world.end(again);
      const before = await snapshot(world.store, "w");
      const [refused] = await world.append({ start: startOf("w", next) });
      assertRefused(refused, { expected: next.firstSeq - 1, found: next.firstSeq - 1 });
      assert.deepEqual(await snapshot(world.store, "w"), before);
      const last = await world.start("w", { ...next, follows: again.runKey });
      assert.equal(last.headSeq, next.firstSeq);
      const ended = runOf(last, { events: [endOf("completed")], status: "completed", closedAt: 9 });
      const [beside] = await world.append({
        run: ended,
        start: startOf("w", { runId: world.newRunId(), firstSeq: last.headSeq + 2, follows: again.runKey }),
      });
      assertRefused(beside, { expected: last.headSeq + 1, found: last.headSeq + 1 });
      const [continued] = await world.append({
        run: ended,
        start: startOf("w", { runId: world.newRunId(), firstSeq: last.headSeq + 2, follows: last.runKey }),
      });
      assert.equal(continued?.ok, true);
    },
  },
  {
    name: "retention deletes closed runs that closed before the instant, and everything of them",
    async run(world) {
      const old = await world.start("old", { wakeAt: 5 });
      await world.extend(old, { events: [], heartbeats: [] });
      await world.extend(old, { status: "failed", closedAt: 1_000, events: [endOf("failed")] });
      const edge = await world.start("edge");
      await world.extend(edge, { status: "completed", closedAt: 2_000, events: [endOf("completed")] });
      const open = await world.start("open", { startedAt: 1 });
      assert.equal(await world.store.deleteClosed(world.token, 2_000, 100), 1);
      assert.deepEqual(await world.store.readHistory(idOf("old")), []);
      assert.deepEqual(await world.store.readRunChain(idOf("old")), []);
      assert.equal(await world.store.findRunByKey(old.runKey), undefined);
      assert.equal(await world.store.count({}), 2);
      assert.equal((await world.store.readHistory(idOf("edge"))).length, 2);
      assert.equal((await world.store.readHistory(idOf("open"))).length, 1);
      assert.equal(await world.store.deleteClosed(world.token, 2_000, 100), 0);
      await world.extend(open);
    },
  },
  {
    name: "retention deletes up to the limit, and the rest when asked again",
    async run(world) {
      for (let index = 0; index < 7; index += 1) await world.end(await world.start(`w-${index}`));
      const later = (await world.now()) + 1;
      assert.equal(await world.store.deleteClosed(world.token, later, 3), 3);
      assert.equal(await world.store.deleteClosed(world.token, later, 3), 3);
      assert.equal(await world.store.deleteClosed(world.token, later, 3), 1);
      assert.equal(await world.store.count({}), 0);
    },
  },
  {
    // I-40
    name: "retention leaves no gap in a chain whose runs closed out of order",
    async run(world) {
      const first = await world.start("w");
      await world.extend(first, { status: "completed", closedAt: 5_000, events: [endOf("completed")] });
      const second = await world.start("w", { firstSeq: 3 });
      await world.extend(second, { status: "completed", closedAt: 1_000, events: [endOf("completed")] });
      await world.start("w", { firstSeq: 5 });
      assert.equal(await world.store.deleteClosed(world.token, 2_000, 100), 0);
      assert.equal((await world.store.readHistory(idOf("w"))).length, 5);
      assert.equal(await world.store.deleteClosed(world.token, 6_000, 100), 2);
      const left = await world.store.readHistory(idOf("w"));
      assert.deepEqual(
        left.map((event) => event.seq),
        [5],
      );
      const [taken] = await world.append({ start: startOf("w", { runId: world.newRunId() }) });
      assertRefused(taken, { expected: 0, found: 5 });
    },
  },
  {
    name: "retention deletes as many as asked for, though others that closed earlier must stay",
    async run(world) {
      // Of each chain the first run closed too late; of the last chain in the order in which they began.
      for (const [id, closings] of [
        ["a", [5_000, 1_000]],
        ["b", [5_000, 1_001]],
        ["c", [1_500, 1_400, 1_300]],
      ] as const) {
        let firstSeq = 1;
        for (const closedAt of closings) {
          const run = await world.start(id, { firstSeq, runId: world.newRunId() });
          await world.extend(run, { status: "completed", closedAt, events: [endOf("completed")] });
          firstSeq += 2;
        }
      }
      const firstOf = async (): Promise<number | undefined> =>
        (await world.store.readHistory(idOf("c")))[0]?.seq;
      assert.equal(await world.store.deleteClosed(world.token, 2_000, 1), 1);
      assert.equal(await firstOf(), 3);
      assert.equal(await world.store.deleteClosed(world.token, 2_000, 1), 1);
      assert.equal(await firstOf(), 5);
      assert.equal(await world.store.deleteClosed(world.token, 2_000, 2), 1);
      assert.equal(await firstOf(), undefined);
      assert.equal(await world.store.count({}), 4);
    },
  },
  {
    name: "a run that another one follows takes no more commits",
    async run(world) {
      const first = await world.start("w");
      await world.end(first);
      const second = await world.start("w", { firstSeq: 3 });
      const before = await snapshot(world.store, "w");
      for (const fields of [
        {},
        { events: [] },
        { events: [], blocked: "x" },
        { wakeAt: 5 },
        { status: "completed", closedAt: 9, events: [endOf("completed")] },
      ] as const) {
        const [result] = await world.append({ run: runOf(first, fields), send: [] });
        assertRefused(result, { expected: 2, found: 3 });
      }
      const [amongOthers] = await world.append({ run: runOf(first), consume: [] });
      assertRefused(amongOthers, { expected: 2, found: 3 });
      assert.deepEqual(await snapshot(world.store, "w"), before);
      await world.extend(second);
    },
  },
  {
    name: "a closed run that is extended as running is active again, and can be closed again",
    async run(world) {
      const run = await world.start("w", { wakeAt: 3 });
      await world.extend(run, { status: "failed", closedAt: 7, events: [endOf("failed")] });
      assert.deepEqual(await world.store.listActive(0, 10), []);
      await world.extend(run, { events: [mark("again")], wakeAt: 8 });
      const [active] = await world.store.listActive(0, 10);
      assert.deepEqual(
        [active?.runKey, active?.status, active?.headSeq, active?.wakeAt],
        [run.runKey, "running", 3, 8],
      );
      assert.equal(active !== undefined && "closedAt" in active, false);
      assert.equal(await world.store.deleteClosed(world.token, 1_000, 10), 0);
      assert.deepEqual(await world.store.listDue(8, undefined, 10), [
        { runKey: run.runKey, workflowId: "w", wakeAt: 8 },
      ]);
      const [whileOpen] = await world.append({
        start: startOf("w", { runId: world.newRunId(), firstSeq: 4 }),
      });
      assertRefused(whileOpen, { expected: 3, found: 3 });
      await world.end(run);
      assert.deepEqual(await world.store.listActive(0, 10), []);
    },
  },
  {
    name: "an id whose runs were all deleted begins anew, under a key that was never given before",
    async run(world) {
      await world.start("other");
      const run = await world.start("w");
      await world.end(run);
      assert.equal(await world.store.deleteClosed(world.token, (await world.now()) + 1, 100), 1);
      const again = await world.start("w");
      assert.ok(again.runKey > run.runKey, `${again.runKey} is later than ${run.runKey}`);
      const [stale] = await world.append({ run: runOf(run) });
      assertRefused(stale, { expected: 2, found: 0 });
    },
  },
];
