import assert from "node:assert/strict";
import { toPayload } from "../../core/payload.ts";
import type { RunRef, Store } from "../contract.ts";
import type { LogEntry } from "../run-log.ts";
import { runLogCharsMax, runLogLinesMax } from "../run-log.ts";
import type { Scenario } from "./world.ts";
import { endOf, idOf, mark, runOf, startOf } from "./world.ts";

function entry(seq: number, ...messages: readonly string[]): LogEntry {
  return { seq, saidAt: 1_000 + seq, lines: messages.map((message) => ({ level: "info", message })) };
}

/** So many lines, of so many characters in all as text. */
function longEntry(seq: number, lineCount: number, chars = 0): LogEntry {
  const lines = Array.from({ length: lineCount }, () => ({ level: "debug" as const, message: "" }));
  const [first] = lines;
  assert.ok(first !== undefined, "an entry has a line");
  first.message = "x".repeat(Math.max(0, chars - JSON.stringify(lines).length));
  return { seq, saidAt: 1, lines };
}

async function seqsOf(store: Store, run: RunRef): Promise<readonly number[]> {
  return (await store.readLog(run, 0, 10_000)).entries.map(({ seq }) => seq);
}

export const logScenarios: readonly Scenario[] = [
  {
    name: "what a run said is there with the commit that it came with, and with no other",
    async run(world) {
      const { store } = world;
      const first = entry(1, "begun");
      const run = await world.start("a", { log: [first] });
      const fields = toPayload({ text: 'quote " \\ \n \u0000 ünï 🚀', count: 1 }, "fields");
      const rich: LogEntry = {
        seq: 2,
        saidAt: 7,
        lines: [
          { level: "error", message: "line\nfeed \u0000 🚀", fields },
          { level: "debug", message: "" },
        ],
      };
      await world.append(
        { run: runOf(run, { expectedSeq: 9, log: [entry(3, "never")] }) },
        { run: runOf(run, { events: [mark("x")], log: [rich] }) },
      );
      run.headSeq += 1;
      assert.deepEqual(await store.readLog(run, 0, 100), { entries: [first, rich], droppedCount: 0 });
      // Without an event as well.
      await world.extend(run, { events: [], log: [entry(3, "late"), entry(5, "later")] });
      assert.deepEqual(await seqsOf(store, run), [1, 2, 3, 5]);
      const unknown = { runKey: 999_999, workflowId: idOf("a") };
      assert.deepEqual(await store.readLog(unknown, 0, 100), { entries: [], droppedCount: 0 });
      const another = { runKey: run.runKey, workflowId: idOf("b") };
      assert.deepEqual(await store.readLog(another, 0, 100), { entries: [], droppedCount: 0 });
    },
  },
  {
    name: "an entry that is said again is there once, as it was said first",
    async run(world) {
      const { store } = world;
      const run = await world.start("a", { log: [entry(1, "first"), entry(4, "fourth")] });
      await world.extend(run, {
        events: [mark("x")],
        log: [entry(1, "again"), entry(3, "too late"), entry(4, "again"), entry(6, "sixth")],
      });
      const expected = [entry(1, "first"), entry(4, "fourth"), entry(6, "sixth")];
      assert.deepEqual((await store.readLog(run, 0, 100)).entries, expected);
    },
  },
  {
    name: "pages of a log follow one another, each with as many lines as were asked for",
    async run(world) {
      const { store } = world;
      const log = [entry(1, "a", "b"), entry(2, "c"), entry(5, "d", "e", "f"), entry(6, "g")];
      const run = await world.start("a", { log });
      const page = async (afterSeq: number, limit: number): Promise<readonly number[]> =>
        (await store.readLog(run, afterSeq, limit)).entries.map(({ seq }) => seq);
      assert.deepEqual(await page(0, 1), [1]);
      assert.deepEqual(await page(0, 2), [1]);
      assert.deepEqual(await page(0, 3), [1, 2]);
      assert.deepEqual(await page(2, 1), [5]);
      assert.deepEqual(await page(3, 4), [5, 6]);
      assert.deepEqual(await page(6, 1), []);
    },
  },
  {
    name: "of a log that is too long the oldest entries are dropped and counted, and the newest stays",
    async run(world) {
      const { store } = world;
      const run = await world.start("a", { log: [longEntry(1, runLogLinesMax - 1)] });
      await world.extend(run, { log: [entry(2, "the last that fits")] });
      assert.deepEqual(await seqsOf(store, run), [1, 2]);
      await world.extend(run, { log: [entry(3, "one too many")] });
      assert.deepEqual(await seqsOf(store, run), [2, 3]);
      assert.equal((await store.readLog(run, 3, 1)).droppedCount, runLogLinesMax - 1);
      // By their length as well, and more than one at once.
      const half = longEntry(4, 2, runLogCharsMax / 2);
      await world.extend(run, { log: [half] });
      await world.extend(run, { log: [{ ...half, seq: 5 }] });
      assert.deepEqual(await seqsOf(store, run), [4, 5]);
      await world.extend(run, { log: [longEntry(6, 3, runLogCharsMax + 1)] });
      assert.deepEqual(await seqsOf(store, run), [6]);
      assert.equal((await store.readLog(run, 0, 1)).droppedCount, runLogLinesMax - 1 + 1 + 1 + 2 + 2);
      // What was dropped is not brought back by being said again.
      await world.extend(run, { log: [entry(2, "again"), entry(7, "new")] });
      assert.deepEqual(await seqsOf(store, run), [7]);
    },
  },
  {
    name: "the log of a run is its own, and goes with it",
    async run(world) {
      const { store } = world;
      const first = await world.start("a", { log: [entry(1, "of the first")] });
      const [result] = await world.append({
        run: runOf(first, {
          status: "continued-as-new",
          closedAt: 10,
          events: [endOf("continued-as-new")],
          wakeAt: null,
          log: [entry(2, "the end of the first")],
        }),
        start: startOf("a", { firstSeq: 3, runId: world.newRunId(), log: [entry(3, "of the second")] }),
      });
      assert.ok(result?.ok === true && result.startedKey !== undefined);
      const second = { runKey: result.startedKey, workflowId: idOf("a") };
      const other = await world.start("b", { log: [entry(1, "of another")] });
      assert.deepEqual(await seqsOf(store, first), [1, 2]);
      assert.deepEqual((await store.readLog(second, 0, 9)).entries, [entry(3, "of the second")]);
      await store.deleteClosed(world.token, 11, 10);
      assert.deepEqual(await store.readLog(first, 0, 9), { entries: [], droppedCount: 0 });
      assert.deepEqual(await seqsOf(store, second), [3]);
      assert.deepEqual(await seqsOf(store, other), [1]);
    },
  },
];
