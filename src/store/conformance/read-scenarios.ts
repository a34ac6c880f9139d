import assert from "node:assert/strict";
import type { Scenario, World } from "./world.ts";
import { endOf, idOf, mark, runOf, startOf, startedEvent } from "./world.ts";

const seqs = (events: readonly { readonly seq: number }[]): number[] => events.map((event) => event.seq);
const upTo = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** Ten events in commits of 1, 2, 3 and 4. */
async function tenEvents(world: World): ReturnType<World["start"]> {
  const run = await world.start("w");
  for (const size of [2, 3, 4]) {
    await world.extend(run, { events: upTo(1, size).map((index) => mark(`${size}.${index}`)) });
  }
  return run;
}

export const readScenarios: readonly Scenario[] = [
  {
    name: "a history is read from any seq on, inside a commit too",
    async run(world) {
      await tenEvents(world);
      const whole = await world.store.readHistory(idOf("w"));
      for (const from of upTo(0, 10)) {
        const part = await world.store.readHistoryFrom(idOf("w"), from);
        assert.deepEqual(part, whole.slice(Math.max(0, from - 1)), `from ${from}`);
      }
    },
  },
  {
    name: "beyond the head there is nothing, and that is no error",
    async run(world) {
      const run = await tenEvents(world);
      for (const from of [11, 12, 5_000]) {
        assert.deepEqual(await world.store.readHistoryFrom(idOf("w"), from), []);
        assert.deepEqual(await world.store.readSegment(run, from), []);
      }
    },
  },
  {
    name: "an unknown workflow has an empty history, and that is no error",
    async run(world) {
      await tenEvents(world);
      const unknown = idOf("unknown");
      assert.deepEqual(await world.store.readHistory(unknown), []);
      assert.deepEqual(await world.store.readHistoryFrom(unknown, 1), []);
      assert.deepEqual(await world.store.readSegment({ runKey: 999, workflowId: unknown }, 1), []);
      assert.deepEqual(await world.store.readRunChain(unknown), []);
      assert.equal(await world.store.findRun(unknown), undefined);
      assert.equal(await world.store.findRun(idOf("w"), world.newRunId()), undefined);
      assert.equal(await world.store.findRunByKey(999), undefined);
      assert.deepEqual(await world.store.readHeartbeats(999), []);
    },
  },
  {
    name: "a limited read gives at least one commit's events, and reading on from its end misses none",
    async run(world) {
      await tenEvents(world);
      for (const limit of [1, 2, 3, 7, 100]) {
        const read: number[] = [];
        let from = 1;
        for (;;) {
          const part = seqs(await world.store.readHistoryFrom(idOf("w"), from, limit));
          if (part.length === 0) break;
          assert.ok(part.length < limit + 4, `about ${limit}, got ${part.length}`);
          read.push(...part);
          from = (part.at(-1) ?? 0) + 1;
        }
        assert.deepEqual(read, upTo(1, 10), `limit ${limit}`);
      }
    },
  },
  {
    name: "a segment is the part of one run",
    async run(world) {
      const first = await tenEvents(world);
      await world.end(first);
      const second = await world.start("w", { firstSeq: 12, runId: world.newRunId() });
      await world.extend(second, { events: [mark("a"), mark("b")] });
      assert.deepEqual(seqs(await world.store.readSegment(first, 1)), upTo(1, 11));
      assert.deepEqual(seqs(await world.store.readSegment(first, 10)), [10, 11]);
      assert.deepEqual(seqs(await world.store.readSegment(first, 12)), []);
      assert.deepEqual(seqs(await world.store.readSegment(second, 1)), [12, 13, 14]);
      assert.deepEqual(seqs(await world.store.readSegment(second, 13)), [13, 14]);
      assert.deepEqual(seqs(await world.store.readSegment(second, 1, 1)), [12]);
      assert.deepEqual(seqs(await world.store.readHistoryFrom(idOf("w"), 10)), [10, 11, 12, 13, 14]);
      assert.deepEqual(seqs(await world.store.readHistory(idOf("w"))), upTo(1, 14));
    },
  },
  {
    // I-40
    name: "a long history is gapless and in order, whole and in pages",
    async run(world) {
      const run = await world.start("w");
      for (let commit = 0; commit < 125; commit += 1) {
        const size = (commit % 5) + 1;
        await world.extend(run, { events: upTo(1, size).map((index) => mark(`${commit}.${index}`)) });
      }
      const history = await world.store.readHistory(idOf("w"));
      assert.deepEqual(seqs(history), upTo(1, 376));
      assert.deepEqual(
        history.slice(1, 4).map((event) => (event.type === "VersionMarked" ? event.changeId : "")),
        ["0.1", "1.1", "1.2"],
      );
      const paged: number[] = [];
      for (let from = 1; from <= 376; from = (paged.at(-1) ?? 0) + 1) {
        paged.push(...seqs(await world.store.readHistoryFrom(idOf("w"), from, 50)));
      }
      assert.deepEqual(paged, upTo(1, 376));
    },
  },
  {
    name: "histories of workflows whose commits alternate do not mix",
    async run(world) {
      const ids = ["a", "b", "a-b", "A", "ä"];
      const runs = await Promise.all(ids.map((id) => world.start(id)));
      for (let round = 0; round < 5; round += 1) {
        await Promise.all(
          runs.map((run) => world.extend(run, { events: [mark(`${run.workflowId} ${round}`)] })),
        );
      }
      for (const id of ids) {
        const history = await world.store.readHistory(idOf(id));
        assert.deepEqual(seqs(history), upTo(1, 6));
        const marks = history.flatMap((event) => (event.type === "VersionMarked" ? [event.changeId] : []));
        assert.deepEqual(
          marks,
          upTo(0, 4).map((round) => `${id} ${round}`),
        );
      }
    },
  },
  {
    name: "a read begun after an acknowledgement sees what was acknowledged",
    async run(world) {
      const run = await world.start("w");
      for (let round = 0; round < 30; round += 1) {
        await world.extend(run);
        assert.equal((await world.store.readHistory(idOf("w"))).length, run.headSeq);
        assert.equal((await world.store.findRun(idOf("w")))?.headSeq, run.headSeq);
      }
    },
  },
  {
    name: "a history of any number of commits is read whole",
    async run(world) {
      const run = await world.start("w");
      // Backends read in pages: the lengths at which one ends exactly are among these.
      const isLooked = (count: number): boolean =>
        count <= 66 || [100, 128, 168, 200, 250, 256, 500, 512, 680, 1_000, 1_024].includes(count);
      for (let count = 2; count <= 1_024; count += 1) {
        await world.extend(run);
        if (!isLooked(count)) continue;
        assert.equal((await world.store.readHistory(idOf("w"))).length, count);
        assert.equal((await world.store.readSegment(run, 2)).length, count - 1);
      }
    },
  },
  {
    // I-36
    name: "a history that is read while the run continues as new has both halves, or neither",
    async run(world) {
      for (let round = 0; round < 20; round += 1) {
        const id = `w-${round}`;
        const run = await world.start(id);
        const runId = world.newRunId();
        const read = (): Promise<number[]> => world.store.readHistory(idOf(id)).then(seqs);
        const before = [read(), read()];
        const continued = world.append({
          run: runOf(run, {
            events: [endOf("continued-as-new")],
            status: "continued-as-new",
            closedAt: 5,
          }),
          start: startOf(id, { runId, firstSeq: 3 }),
        });
        const [amid, [result]] = await Promise.all([Promise.all([...before, read(), read()]), continued]);
        assert.equal(result?.ok, true);
        for (const history of amid) assert.deepEqual(history, upTo(1, history.length === 1 ? 1 : 3));
        assert.deepEqual(await read(), [1, 2, 3]);
      }
    },
  },
  {
    // I-4
    name: "the commits of one call are seen all at once",
    async run(world) {
      for (let round = 1; round <= 10; round += 1) {
        const starts = upTo(1, 8).map((index) => ({
          start: startOf(`w-${round}-${index}`, { runId: world.newRunId() }),
        }));
        const counts: number[] = [];
        const appended = world.append(...starts);
        const progress = { isDone: false };
        const reading = (async () => {
          while (!progress.isDone) {
            counts.push(await world.store.count({}));
            await new Promise((resolve) => setImmediate(resolve));
          }
        })();
        for (const { ok } of await appended) assert.ok(ok);
        progress.isDone = true;
        await reading;
        assert.equal(await world.store.count({}), 8 * round);
        assert.ok(counts.length > 0);
        for (const count of counts) assert.equal(count % 8, 0, `${count} runs`);
      }
    },
  },
  {
    name: "what a caller does with what it read changes nothing stored",
    async run(world) {
      const run = await world.start("w", {
        parent: { workflowId: idOf("p"), runId: world.newRunId(), ordinal: 1 },
      });
      const first = await world.store.readHistory(idOf("w"));
      const record = await world.store.findRun(idOf("w"));
      const before = structuredClone({ first, record });
      Object.assign(first[0] ?? {}, { type: "VersionMarked", seq: 9 });
      Object.assign(record ?? {}, { headSeq: 50, parent: undefined });
      assert.deepEqual(await world.store.readHistory(idOf("w")), before.first);
      assert.deepEqual(await world.store.findRunByKey(run.runKey), before.record);
    },
  },
  {
    name: "large events and many events of one commit come back whole",
    async run(world) {
      const large = "é".repeat(300_000);
      const run = await world.start("w");
      await world.extend(run, { events: [mark(large)] });
      await world.extend(run, { events: upTo(1, 2_000).map((index) => mark(String(index))) });
      const history = await world.store.readHistory(idOf("w"));
      assert.equal(history.length, 2_002);
      assert.ok(history[1]?.type === "VersionMarked" && history[1].changeId === large);
    },
  },
  {
    name: "events keep every field, and the fields they lack stay absent",
    async run(world) {
      const run = await world.start("w");
      const events = [
        {
          ...startedEvent(run.runId),
          type: "ActivityStarted" as const,
          ordinal: 1,
          attempt: 2,
          recordedAt: 3,
        },
        { type: "WorkflowCancelRequested" as const, recordedAt: 3 },
        {
          type: "TimerStarted" as const,
          ordinal: -1,
          durationMs: 0,
          fireAt: 9_007_199_254_740_991,
          recordedAt: 3,
        },
      ];
      await world.extend(run, { events });
      const read = await world.store.readHistoryFrom(idOf("w"), 2);
      assert.deepEqual(
        read,
        events.map((event, index) => ({ ...event, seq: index + 2, workflowId: "w" })),
      );
      assert.equal("reason" in (read[1] ?? {}), false);
    },
  },
];
