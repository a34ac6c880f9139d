import assert from "node:assert/strict";
import type { Heartbeat } from "../contract.ts";
import { toPayload } from "../../core/payload.ts";
import type { Scenario } from "./world.ts";
import { assertRefused, endOf, idOf, mark, runOf, snapshot, startOf, startedEvent } from "./world.ts";

export const appendScenarios: readonly Scenario[] = [
  {
    name: "what was appended is read back with seq, instant and workflow id",
    async run(world) {
      const run = await world.start("w", {
        events: [startedEvent(world.newRunId(), 5), mark("a", 5), mark("b", 7)],
      });
      await world.extend(run, { events: [mark("c", 6)] });
      await world.extend(run, { events: [mark("d", 9), endOf("failed", 9)] });
      const history = await world.store.readHistory(idOf("w"));
      assert.deepEqual(
        history.map((event) => [event.seq, event.recordedAt, event.workflowId, event.type]),
        [
          [1, 5, "w", "WorkflowStarted"],
          [2, 5, "w", "VersionMarked"],
          [3, 7, "w", "VersionMarked"],
          [4, 6, "w", "VersionMarked"],
          [5, 9, "w", "VersionMarked"],
          [6, 9, "w", "WorkflowFailed"],
        ],
      );
      const [first] = history;
      assert.ok(first?.type === "WorkflowStarted");
      assert.deepEqual({ ...startedEvent(first.runId, 5), seq: 1, workflowId: "w" }, { ...first });
    },
  },
  {
    name: "the row of a run follows its commits",
    async run(world) {
      const parent = { workflowId: idOf("above"), runId: world.newRunId(), ordinal: 3 };
      const run = await world.start("w", { wakeAt: 50, parent, startedAt: 41 });
      const expected = {
        runKey: run.runKey,
        workflowId: "w",
        runId: run.runId,
        workflowType: "order",
        version: "v1",
        status: "running",
        firstSeq: 1,
        headSeq: 1,
        startedAt: 41,
        wakeAt: 50,
        parent,
      };
      assert.deepEqual(await world.store.findRunByKey(run.runKey), expected);
      await world.extend(run, { wakeAt: 60, events: [mark("a"), mark("b")] });
      assert.deepEqual(await world.store.findRunByKey(run.runKey), { ...expected, headSeq: 3, wakeAt: 60 });
      await world.extend(run, { blocked: "no code", events: [] });
      assert.deepEqual(await world.store.findRunByKey(run.runKey), {
        ...expected,
        headSeq: 3,
        wakeAt: 60,
        blocked: "no code",
      });
      await world.extend(run);
      const untouched = await world.store.findRunByKey(run.runKey);
      assert.equal(untouched?.blocked, "no code", "absent means as it was");
      await world.extend(run, { parked: "one", events: [] });
      await world.extend(run, { blocked: "no code", events: [] });
      const parked = await world.store.findRunByKey(run.runKey);
      assert.deepEqual([parked?.parked, parked?.blocked], ["one", "no code"], "each by itself");
      await world.extend(run, { parked: null, events: [] });
      await world.extend(run, { blocked: null, wakeAt: null });
      assert.deepEqual(await world.store.findRunByKey(run.runKey), { ...expected, headSeq: 5, wakeAt: null });
      await world.extend(run, { status: "completed", closedAt: 99, events: [endOf("completed")] });
      const closed = { ...expected, headSeq: 6, wakeAt: null, status: "completed", closedAt: 99 };
      assert.deepEqual(await world.store.findRunByKey(run.runKey), closed);
    },
  },
  {
    name: "a run can be started and ended by one commit",
    async run(world) {
      const runId = world.newRunId();
      await world.start("w", {
        runId,
        events: [startedEvent(runId), endOf("completed")],
        status: "completed",
        closedAt: 7,
        wakeAt: 3,
      });
      const run = await world.store.findRun(idOf("w"));
      assert.deepEqual([run?.status, run?.closedAt, run?.headSeq, run?.wakeAt], ["completed", 7, 2, null]);
    },
  },
  {
    // I-16: the check and the write are one transaction.
    name: "a stale expectedSeq is refused with expected and found, and writes nothing",
    async run(world) {
      const run = await world.start("w");
      await world.extend(run, { events: [mark("a"), mark("b")] });
      const before = await snapshot(world.store, "w");
      for (const expectedSeq of [0, 1, 2, 4, 30]) {
        const heartbeats: readonly Heartbeat[] = [
          { ordinal: 0, attempt: 1, details: toPayload(1, "details") },
        ];
        const [result] = await world.append({
          run: runOf(run, { expectedSeq, wakeAt: 5, wakeAtBefore: null, blocked: "x", heartbeats }),
          send: [{ target: idOf("other"), message: { kind: "cancel" } }],
        });
        assertRefused(result, { expected: expectedSeq, found: 3 });
      }
      for (const expectedSeq of [2, 4]) {
        const [closing] = await world.append({
          run: runOf(run, { expectedSeq, status: "completed", closedAt: 5, events: [endOf("completed")] }),
        });
        assertRefused(closing, { expected: expectedSeq, found: 3 });
      }
      assert.deepEqual(await snapshot(world.store, "w"), before);
    },
  },
  {
    name: "a commit on a run that is not there is refused, and writes nothing",
    async run(world) {
      const run = await world.start("w");
      const before = await snapshot(world.store, "w");
      const [unknownKey] = await world.append({ run: { ...runOf(run), runKey: run.runKey + 1 } });
      assertRefused(unknownKey, { expected: 1, found: 0 });
      const [otherId] = await world.append({ run: { ...runOf(run), workflowId: idOf("v") } });
      assertRefused(otherId, { expected: 1, found: 0 });
      assert.deepEqual(await snapshot(world.store, "w"), before);
      assert.deepEqual(await world.store.readHistory(idOf("v")), []);
    },
  },
  {
    name: "of many appends at one seq, in one call or in many, one wins",
    async run(world) {
      const run = await world.start("w");
      const calls = await Promise.all(
        Array.from({ length: 20 }, (_, caller) => {
          const commits = [0, 1].map((index) => ({
            run: runOf(run, { events: [mark(`${caller}.${index}`)] }),
          }));
          return world.append(...commits);
        }),
      );
      const results = calls.flat();
      assert.equal(results.filter((result) => result.ok).length, 1);
      for (const result of results) if (!result.ok) assertRefused(result, { expected: 1, found: 2 });
      assert.equal((await world.store.readHistory(idOf("w"))).length, 2);
    },
  },
  {
    // I-5
    name: "of many starts of one workflow id, one wins",
    async run(world) {
      const calls = await Promise.all(
        Array.from({ length: 20 }, () => world.append({ start: startOf("w", { runId: world.newRunId() }) })),
      );
      const results = calls.flat();
      assert.equal(results.filter((result) => result.ok).length, 1);
      for (const result of results) if (!result.ok) assertRefused(result, { expected: 0, found: 1 });
      assert.equal((await world.store.readRunChain(idOf("w"))).length, 1);
    },
  },
  {
    // I-4
    name: "commits of one call succeed or are refused each by itself, in order",
    async run(world) {
      const a = await world.start("a");
      const b = await world.start("b");
      const results = await world.append(
        { run: runOf(a, { events: [mark("1")] }) },
        { run: runOf(b, { expectedSeq: 7 }) },
        { start: startOf("c", { runId: world.newRunId() }) },
        { start: startOf("a", { runId: world.newRunId() }) },
        { run: runOf(a, { expectedSeq: 2, events: [mark("2")] }) },
        { consume: [12345] },
        { run: runOf(b, { events: [mark("1")] }) },
      );
      assert.deepEqual(
        results.map((result) => result.ok),
        [true, false, true, false, true, false, true],
      );
      assertRefused(results[1], { expected: 7, found: 1 });
      assertRefused(results[3], { expected: 0, found: 2 });
      assertRefused(results[5], { missingMessageId: 12345 });
      const heads = await Promise.all(["a", "b", "c"].map((id) => world.store.findRun(idOf(id))));
      assert.deepEqual(
        heads.map((run) => run?.headSeq),
        [3, 2, 1],
      );
    },
  },
  {
    name: "an append of no commits has no results",
    async run(world) {
      assert.deepEqual(await world.append(), []);
    },
  },
  {
    name: "a commit without events changes the row and not the history",
    async run(world) {
      const run = await world.start("w");
      await world.extend(run, { events: [], wakeAt: 77 });
      assert.equal((await world.store.findRunByKey(run.runKey))?.wakeAt, 77);
      assert.equal((await world.store.readHistory(idOf("w"))).length, 1);
      await world.extend(run, { events: [mark("a")] });
      assert.equal((await world.store.readHistory(idOf("w"))).length, 2);
    },
  },
  {
    name: "a thousand commits of one call are all there, and their keys ascend",
    async run(world) {
      const starts = Array.from({ length: 1_000 }, (_, index) => ({
        start: startOf(`w-${index}`, { runId: world.newRunId() }),
      }));
      const results = await world.append(...starts);
      const keys = results.map((result) => (result.ok ? (result.startedKey ?? 0) : 0));
      assert.deepEqual(
        keys,
        keys.toSorted((left, right) => left - right),
      );
      assert.equal(new Set(keys).size, 1_000);
      assert.equal(await world.store.count({}), 1_000);
      const last = await world.store.findRunByKey(keys[999] ?? 0);
      assert.equal(last?.workflowId, "w-999");
    },
  },
  {
    name: "what a caller does with its objects after the call changes nothing stored",
    async run(world) {
      const events = [
        startedEvent(world.newRunId()),
        { type: "VersionMarked" as const, changeId: "before", recordedAt: 1 },
      ];
      const start = startOf("w", { events });
      const pending = world.append({ start });
      const second = events[1];
      assert.ok(second?.type === "VersionMarked");
      Object.assign(second, { changeId: "after", recordedAt: 2 });
      events.length = 1;
      await pending;
      const history = await world.store.readHistory(idOf("w"));
      assert.deepEqual(
        history.map((event) =>
          event.type === "VersionMarked" ? [event.changeId, event.recordedAt] : event.type,
        ),
        ["WorkflowStarted", ["before", 1]],
      );
    },
  },
  {
    name: "heartbeats are replaced by later ones, and gone when the run closes",
    async run(world) {
      const run = await world.start("w");
      const other = await world.start("v");
      const beat = (ordinal: number, attempt: number, details: unknown): Heartbeat => ({
        ordinal,
        attempt,
        details: toPayload(details, "details"),
      });
      await world.extend(run, { events: [], heartbeats: [beat(2, 1, "a"), beat(0, 1, { at: 1 })] });
      await world.extend(other, { events: [], heartbeats: [beat(0, 1, "other")] });
      await world.extend(run, { events: [mark("x")], heartbeats: [beat(0, 2, { at: 2 })] });
      assert.deepEqual(await world.store.readHeartbeats(run.runKey), [
        beat(0, 2, { at: 2 }),
        beat(2, 1, "a"),
      ]);
      await world.end(run);
      assert.deepEqual(await world.store.readHeartbeats(run.runKey), []);
      assert.deepEqual(await world.store.readHeartbeats(other.runKey), [beat(0, 1, "other")]);
    },
  },
];
