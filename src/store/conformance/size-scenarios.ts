import assert from "node:assert/strict";
import { idLengthMax, toRunId } from "../../core/ids.ts";
import { payloadLimitBytesDefault, toPayload } from "../../core/payload.ts";
import type { DueCursor, RunFilter, RunRecord, Store } from "../contract.ts";
import type { Scenario } from "./world.ts";
import { endOf, idOf, mark, startOf, startedEvent } from "./world.ts";

/** Ids that a collation, a normal form, a case rule, a delimiter or a width of characters would take for each other. */
const awkwardIds: readonly string[] = [
  "order",
  "Order",
  "ORDER",
  "order ",
  " order",
  "order/1",
  "order%2F1",
  "order_1",
  "order\\1",
  'order"1',
  "order'1; DROP TABLE runs",
  // One letter, and the same one as two characters.
  "\u00e9",
  "e\u0301",
  "ﬁ",
  "fi",
  "ß",
  "ss",
  "🚀",
  "👨‍👩‍👧",
  "\u202eredro",
  "\u00a0",
  "\u2028",
  "0",
  "00",
  "1e3",
  "null",
  "x".repeat(idLengthMax),
  `${"x".repeat(idLengthMax - 1)}y`,
  "🚀".repeat(Math.floor(idLengthMax / 2)),
];

const manyRuns = 10_000;
const most = Number.MAX_SAFE_INTEGER;

export const sizeScenarios: readonly Scenario[] = [
  {
    name: "ids are told apart by every character, and by nothing else",
    async run(world) {
      const ids = awkwardIds.map(idOf);
      for (const id of ids)
        await world.start(id, { events: [startedEvent(toRunId(id)), mark(id)], runId: toRunId(id) });
      for (const id of ids) {
        const run = await world.store.findRun(id);
        assert.deepEqual([run?.workflowId, run?.runId], [id, id]);
        assert.equal((await world.store.findRun(id, toRunId(id)))?.runKey, run?.runKey);
        const [, marked] = await world.store.readHistory(id);
        assert.ok(marked?.type === "VersionMarked" && marked.changeId === id, JSON.stringify(id));
        const { runs } = await world.store.list({ workflowId: id }, { limit: 10 });
        assert.deepEqual(
          runs.map((found) => found.workflowId),
          [id],
        );
      }
      assert.equal(await world.store.count({}), ids.length);
    },
  },
  {
    name: "texts that are no ids come back as they were, with every character there is",
    async run(world) {
      const texts = [
        "",
        "\u0000",
        "a\u0000b",
        "\u0001\u001f\u007f",
        "\ufeffx",
        "\uffff",
        "🚀",
        "line\r\nfeed\ttab",
      ];
      const run = await world.start("w", { workflowType: "🚀", version: "\u2028" });
      for (const text of texts) {
        const details = toPayload(text, "details");
        await world.extend(run, {
          blocked: text,
          events: [mark(text)],
          heartbeats: [{ ordinal: 0, attempt: 1, details }],
        });
        assert.equal((await world.store.findRunByKey(run.runKey))?.blocked, text, JSON.stringify(text));
        assert.deepEqual(await world.store.readHeartbeats(run.runKey), [{ ordinal: 0, attempt: 1, details }]);
        const [last] = await world.store.readSegment(run, run.headSeq);
        assert.ok(last?.type === "VersionMarked" && last.changeId === text, JSON.stringify(text));
        assert.equal(await world.store.count({ isBlocked: true }), 1);
      }
      const record = await world.store.findRun(idOf("w"));
      assert.deepEqual([record?.workflowType, record?.version], ["🚀", "\u2028"]);
    },
  },
  {
    name: "a lone half of a character in an event comes back as it was",
    async run(world) {
      const run = await world.start("w");
      await world.extend(run, { events: [mark("\ud800 and \udfff")] });
      const [last] = await world.store.readSegment(run, 2);
      assert.ok(last?.type === "VersionMarked" && last.changeId === "\ud800 and \udfff");
    },
  },
  {
    name: "whole numbers up to 2^53 - 1 come back exactly",
    async run(world) {
      const run = await world.start("w", {
        startedAt: most,
        wakeAt: most,
        parent: { workflowId: idOf("p"), runId: toRunId("r"), ordinal: most },
      });
      const beat = { ordinal: most, attempt: most, details: toPayload(most, "details") };
      await world.extend(run, { events: [mark("a", most), mark("b", 0), mark("c", -1)], heartbeats: [beat] });
      const record = await world.store.findRunByKey(run.runKey);
      assert.deepEqual([record?.startedAt, record?.wakeAt, record?.parent?.ordinal], [most, most, most]);
      assert.deepEqual(
        (await world.store.readSegment(run, 2)).map((event) => event.recordedAt),
        [most, 0, -1],
      );
      assert.deepEqual(await world.store.readHeartbeats(run.runKey), [beat]);
      assert.deepEqual(await world.store.listDue(most, undefined, 10), [
        { runKey: run.runKey, workflowId: "w", wakeAt: most },
      ]);
      assert.deepEqual(await world.store.listDue(most - 1, undefined, 10), []);
      assert.equal(await world.store.nextWakeAt(most - 1), most);
      assert.equal(await world.store.nextWakeAt(most), undefined);
      assert.equal(await world.store.count({ startedAfter: most }), 1);
      assert.equal(await world.store.count({ startedBefore: most - 1 }), 0);
      await world.extend(run, { status: "completed", closedAt: most, events: [endOf("completed")] });
      assert.equal(await world.store.count({ closedAfter: most, closedBefore: most }), 1);
      assert.equal(await world.store.deleteClosed(world.token, most, 10), 0);
    },
  },
  {
    name: "a payload at the limit comes back whole, in an event, in a heartbeat and in a message",
    async run(world) {
      // In one-, two- and four-byte characters.
      for (const [index, letter] of ["x", "é", "🚀"].entries()) {
        const bytes = Buffer.byteLength(letter);
        const payload = toPayload(
          letter.repeat(Math.floor((payloadLimitBytesDefault - 2) / bytes)),
          "payload",
        );
        const runId = world.newRunId();
        const run = await world.start(`w-${index}`, {
          runId,
          events: [
            {
              type: "WorkflowStarted",
              recordedAt: 1_700_000_000_000,
              runId,
              workflowType: "order",
              version: "v1",
              input: payload,
            },
          ],
        });
        const sent = await world.extend(
          run,
          { events: [], heartbeats: [{ ordinal: 0, attempt: 1, details: payload }] },
          { send: [{ target: run.workflowId, message: { kind: "signal", name: "n", payload } }] },
        );
        const [first] = await world.store.readHistory(run.workflowId);
        assert.ok(first?.type === "WorkflowStarted" && first.input === payload);
        const [beat] = await world.store.readHeartbeats(run.runKey);
        assert.ok(beat?.details === payload);
        const [message] = await world.store.listMessages((sent.ok ? (sent.messageIds[0] ?? 1) : 1) - 1, 1);
        assert.ok(message?.message.kind === "signal" && message.message.payload === payload);
      }
    },
  },
  {
    name: "empty lists in a commit mean what their absence means",
    async run(world) {
      const run = await world.start("w");
      const before = await world.store.findRunByKey(run.runKey);
      const result = await world.extend(run, { events: [], heartbeats: [] }, { send: [], consume: [] });
      assert.deepEqual(result, { ok: true, messageIds: [] });
      assert.deepEqual(await world.store.findRunByKey(run.runKey), before);
      const [alone] = await world.append({ send: [], consume: [] });
      assert.deepEqual(alone, { ok: true, messageIds: [] });
    },
  },
  {
    name: "runs with one instant are listed, woken and deleted each once, in the order of their keys",
    async run(world) {
      const count = 40;
      const commits = Array.from({ length: count }, (_, index) => ({
        start: startOf(`w-${index}`, { runId: world.newRunId(), startedAt: 7, wakeAt: 7 }),
      }));
      const keys = (await world.append(...commits)).map((result) =>
        result.ok ? (result.startedKey ?? 0) : 0,
      );
      const due: number[] = [];
      for (let after: DueCursor | undefined; ;) {
        const page = await world.store.listDue(7, after, 7);
        if (page.length === 0) break;
        due.push(...page.map((run) => run.runKey));
        after = page.at(-1);
      }
      assert.deepEqual(due, keys);
      const runs = await listAll(world.store, 7);
      assert.deepEqual(
        runs.map((run) => run.runKey),
        keys.toReversed(),
      );
      for (const run of runs.filter((_, index) => index % 2 === 0)) {
        await world.extend({ ...run }, { status: "completed", closedAt: 9, events: [endOf("completed")] });
      }
      const deleted = [];
      for (let round = 0; round < 4; round += 1)
        deleted.push(await world.store.deleteClosed(world.token, 10, 7));
      assert.deepEqual(deleted, [7, 7, 6, 0]);
      assert.equal(await world.store.count({}), count / 2);
    },
  },
  {
    name: "pages of every size hold every run once: one at a time, one less than all, all, one more",
    async run(world) {
      const count = 12;
      for (let index = 0; index < count; index += 1) await world.start(`w-${index}`, { wakeAt: index % 3 });
      const whole = await world.store.list({}, { limit: most - 1 });
      assert.deepEqual([whole.runs.length, whole.nextCursor], [count, undefined]);
      for (const limit of [1, 2, 5, count - 1, count, count + 1]) {
        assert.deepEqual(await listAll(world.store, limit), whole.runs, `limit ${limit}`);
        const active: RunRecord[] = [];
        for (let page = await world.store.listActive(0, limit); page.length > 0;) {
          active.push(...page);
          page = await world.store.listActive(page.at(-1)?.runKey ?? 0, limit);
        }
        assert.deepEqual(active, whole.runs.toReversed(), `limit ${limit}`);
        const messages = await world.store.listMessages(0, limit);
        assert.deepEqual(messages, []);
      }
      assert.equal((await world.store.listActive(0, most - 1)).length, count);
      assert.equal((await world.store.listDue(most, undefined, most - 1)).length, count);
    },
  },
  {
    name: `${manyRuns.toLocaleString("en")} runs are listed page by page, each once, and counted`,
    async run(world) {
      let first: number | undefined;
      for (let begun = 0; begun < manyRuns; begun += 1_000) {
        const results = await world.append(
          ...Array.from({ length: 1_000 }, (_, index) => ({
            start: startOf(`w-${begun + index}`, {
              runId: toRunId(`r-${begun + index}`),
              workflowType: index % 100 === 0 ? "rare" : "order",
              wakeAt: begun + index,
            }),
          })),
        );
        const [result] = results;
        if (result?.ok === true) first ??= result.startedKey;
        assert.ok(results.every(({ ok }) => ok));
      }
      const wanted = Array.from({ length: manyRuns }, (_, index) => `w-${manyRuns - 1 - index}`);
      const runs = await listAll(world.store, 777);
      assert.deepEqual(
        runs.map((run) => run.workflowId),
        wanted,
      );
      assert.equal(runs.at(-1)?.runKey, first);
      const rare = await listAll(world.store, 33, { workflowType: "rare" });
      assert.deepEqual(
        rare.map((run) => run.workflowId),
        wanted.filter((id) => id.endsWith("00") || id === "w-0"),
      );
      assert.equal(await world.store.count({ workflowType: "rare" }), manyRuns / 100);
      assert.equal(await world.store.count({ status: "running" }), manyRuns);
      const active: RunRecord[] = [];
      for (let page = await world.store.listActive(0, 1_234); page.length > 0;) {
        active.push(...page);
        page = await world.store.listActive(page.at(-1)?.runKey ?? 0, 1_234);
      }
      assert.deepEqual(active, runs.toReversed());
      let after: DueCursor | undefined;
      let dueCount = 0;
      for (let page = await world.store.listDue(most, after, 999); page.length > 0;) {
        assert.ok(page.every((run, index) => run.wakeAt === dueCount + index));
        dueCount += page.length;
        after = page.at(-1);
        page = await world.store.listDue(most, after, 999);
      }
      assert.equal(dueCount, manyRuns);
      // The newest and the oldest end: both ends of a search through many.
      for (const run of [runs[0], runs.at(-1)]) {
        assert.ok(run !== undefined);
        await world.extend({ ...run }, { status: "failed", closedAt: 9, events: [endOf("failed")] });
      }
      const stillActive = await world.store.listActive(0, manyRuns);
      assert.deepEqual([stillActive.length, stillActive[0]?.workflowId], [manyRuns - 2, "w-1"]);
      const failed = await listAll(world.store, 1, { status: "failed" });
      assert.deepEqual(
        failed.map((run) => run.workflowId),
        [wanted[0], "w-0"],
      );
    },
  },
  {
    // I-40
    name: "a history of 20,000 events is gapless, whole and in ranges",
    async run(world) {
      const count = 20_000;
      const run = await world.start("w");
      const perCommit = 50;
      const commits = Array.from({ length: (count - 1) / perCommit }, (_, commit) => ({
        run: {
          runKey: run.runKey,
          workflowId: run.workflowId,
          expectedSeq: 1 + commit * perCommit,
          events: Array.from({ length: perCommit }, (_event, index) =>
            mark(String(2 + commit * perCommit + index)),
          ),
          status: "running" as const,
          wakeAt: null,
          wakeAtBefore: null,
        },
      }));
      const results = await world.append(...commits);
      assert.ok(results.every(({ ok }) => ok));
      const head = 1 + commits.length * perCommit;
      const history = await world.store.readHistory(idOf("w"));
      assert.equal(history.length, head);
      for (const [index, event] of history.entries()) {
        assert.equal(event.seq, index + 1);
        if (index > 0) assert.ok(event.type === "VersionMarked" && event.changeId === String(event.seq));
      }
      for (const from of [1, 2, 51, 52, 9_999, head - 1, head]) {
        assert.deepEqual(await world.store.readHistoryFrom(idOf("w"), from), history.slice(from - 1));
        const part = await world.store.readSegment(run, from, 60);
        assert.deepEqual(part, history.slice(from - 1, from - 1 + part.length));
        assert.ok(part.length >= Math.min(1, head - from) && part.length < 60 + perCommit);
      }
    },
  },
];

async function listAll(store: Store, limit: number, filter: RunFilter = {}): Promise<readonly RunRecord[]> {
  const runs: RunRecord[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list(filter, cursor === undefined ? { limit } : { limit, cursor });
    assert.ok(page.runs.length <= limit, "no page is longer than its limit");
    runs.push(...page.runs);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return runs;
}
