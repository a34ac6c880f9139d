import assert from "node:assert/strict";
import type { AttributeCondition } from "../../core/attribute-filter.ts";
import { parseWhere } from "../../core/attribute-filter.ts";
import type { Attributes } from "../../core/attributes.ts";
import type { RunFilter, Store } from "../contract.ts";
import type { Scenario, World } from "./world.ts";
import { assertRefused, endOf, idOf, mark, runOf, startOf } from "./world.ts";

async function listIds(store: Store, filter: RunFilter): Promise<readonly string[]> {
  return (await store.list(filter, { limit: 1_000 })).runs.map((run) => run.workflowId);
}

async function attributesOf(store: Store, id: string): Promise<Attributes | undefined> {
  const { runs } = await store.list({ workflowId: idOf(id) }, { limit: 1, withAttributes: true });
  return runs[0]?.attributes;
}

const where = (...texts: readonly string[]): { readonly attributes: readonly AttributeCondition[] } => ({
  attributes: parseWhere(texts),
});

const various: Readonly<Record<string, Attributes>> = {
  one: { amount: 100, customer: "c-1", region: "eu", vip: true },
  two: { amount: 99.5, customer: "c-2", region: ["eu", "us east"], due: { at: 1_767_225_600_000 } },
  three: { amount: "100", customer: "C-1", region: ["us east"], vip: false },
  four: { amount: -1e300, customer: "", due: { at: 1_767_225_600_001 } },
  five: { amount: { at: 100 }, vip: "true", note: 'ünï "🚀"' },
};

async function startVarious(world: World): Promise<void> {
  for (const [id, attributes] of Object.entries(various)) await world.start(id, { attributes });
  await world.start("none");
}

export const attributeScenarios: readonly Scenario[] = [
  {
    name: "attributes are there with the commit that they came with, as a whole, and with no other",
    async run(world) {
      const { store } = world;
      const given: Record<string, string[] | number> = { tags: ["b", "a"], amount: 5 };
      const run = await world.start("w", { attributes: given });
      given["amount"] = 6;
      assert.deepEqual(await attributesOf(store, "w"), { amount: 5, tags: ["b", "a"] });
      const [refused] = await world.append({
        run: runOf(run, { expectedSeq: 9, attributes: { amount: 7 } }),
      });
      assertRefused(refused, { expected: 9, found: 1 });
      await world.extend(run, { events: [mark("without")] });
      assert.deepEqual(await attributesOf(store, "w"), { amount: 5, tags: ["b", "a"] });
      await world.extend(run, { attributes: { tags: ["c"], since: { at: -5 }, isOpen: false } });
      assert.deepEqual(await attributesOf(store, "w"), { isOpen: false, since: { at: -5 }, tags: ["c"] });
      assert.deepEqual(await listIds(store, where("amount exists")), []);
      // Also with a commit that has no event, and with one that changes what short ways leave alone.
      await world.extend(run, { events: [], attributes: { amount: 1 }, blocked: "no code" });
      assert.deepEqual(await attributesOf(store, "w"), { amount: 1 });
      await world.extend(run, { attributes: { amount: 2 }, wakeAt: 77 });
      assert.deepEqual(await attributesOf(store, "w"), { amount: 2 });
      await world.extend(run, { attributes: {} });
      assert.equal(await attributesOf(store, "w"), undefined);
      assert.deepEqual(await listIds(store, where("amount exists")), []);
    },
  },
  {
    name: "a run has its attributes when it has ended, the next of its chain has its own, and both go with their runs",
    async run(world) {
      const { store } = world;
      const run = await world.start("w", { attributes: { step: 1 } });
      await world.append({
        run: runOf(run, {
          events: [endOf("continued-as-new")],
          status: "continued-as-new",
          closedAt: 5,
          wakeAt: null,
          attributes: { step: 2 },
        }),
        start: startOf("w", { firstSeq: 3, runId: world.newRunId(), attributes: { step: 3 } }),
      });
      const { runs } = await store.list({ workflowId: idOf("w") }, { limit: 5, withAttributes: true });
      assert.deepEqual(
        runs.map(({ attributes }) => attributes),
        [{ step: 3 }, { step: 2 }],
      );
      assert.equal(await store.count(where("step>=2")), 2);
      assert.equal(await store.count({ ...where("step>=2"), status: "running" }), 1);
      assert.equal(await store.deleteClosed(world.token, 6, 10), 1);
      assert.deepEqual(await listIds(store, where("step in (2, 3)")), ["w"]);
      const plain = await store.list({}, { limit: 5 });
      assert.equal(Object.hasOwn(plain.runs[0] ?? {}, "attributes"), false);
    },
  },
  {
    name: "each condition compares within its type, and all together must hold",
    async run(world) {
      await startVarious(world);
      const cases: readonly (readonly [RunFilter, readonly string[]])[] = [
        [where(), ["none", "five", "four", "three", "two", "one"]],
        [where("customer=c-1"), ["one"]],
        [where("customer=C-1"), ["three"]],
        [where('customer=""'), ["four"]],
        [where("customer=c"), []],
        [where("amount=100"), ["one"]],
        [where('amount="100"'), ["three"]],
        [where("amount=1970-01-01T00:00:00.100Z"), ["five"]],
        [where("vip=true"), ["one"]],
        [where('vip="true"'), ["five"]],
        [where("vip in (true, false)"), ["three", "one"]],
        [where("amount>=99.5"), ["two", "one"]],
        [where("amount>99.5"), ["one"]],
        [where("amount<=99.5"), ["four", "two"]],
        [where("amount<99.5"), ["four"]],
        [where("amount>99", "amount<100"), ["two"]],
        [where("amount>=100", "amount<100"), []],
        [where("due>=2026-01-01"), ["four", "two"]],
        [where("due>2026-01-01"), ["four"]],
        [where("due<2026-01-01"), []],
        [where("region=eu"), ["two", "one"]],
        [where('region="us east"'), ["three", "two"]],
        [where('region in (eu, "us east", nowhere)'), ["three", "two", "one"]],
        [where("region=eu", 'region="us east"'), ["two"]],
        [where("region=e"), []],
        [where("amount exists"), ["five", "four", "three", "two", "one"]],
        [where("none exists"), []],
        [where("amount in (100, 99.5, 1970-01-01T00:00:00.100Z)"), ["five", "two", "one"]],
        [where('note="ünï \\"🚀\\""'), ["five"]],
        [where("region=eu", "amount>=100", "vip=true"), ["one"]],
        [{ ...where("region=eu"), workflowId: idOf("two") }, ["two"]],
        [{ ...where("region=eu"), workflowId: idOf("three") }, []],
        [{ ...where("region=eu"), status: "completed" }, []],
        [{ ...where("region=eu"), isBlocked: false, workflowType: "order" }, ["two", "one"]],
        [{ ...where("region=eu"), isBlocked: true }, []],
        [{ ...where("region=eu"), status: "paused" }, []],
      ];
      for (const [filter, ids] of cases) {
        assert.deepEqual(await listIds(world.store, filter), ids, JSON.stringify(filter));
        assert.equal(await world.store.count(filter), ids.length, JSON.stringify(filter));
      }
    },
  },
  {
    name: "pages of a condition hold what was there when the listing began, though runs begin, end and change meanwhile",
    async run(world) {
      for (const texts of [["region in (eu, us)"], ["region=eu"], ["amount>=0"], ["amount exists"]]) {
        const id = texts.join();
        const attributes = { region: ["eu", "us"], amount: 5 };
        const known = [];
        for (let index = 0; index < 23; index += 1) {
          known.push(await world.start(`${id}-${index}`, { attributes, workflowType: id }));
          await world.start(`${id}-other-${index}`, { attributes: { region: "at" }, workflowType: id });
        }
        const filter = { ...where(...texts), workflowType: id, startedBefore: await world.now() };
        const seen: string[] = [];
        let cursor: string | undefined;
        let pageCount = 0;
        do {
          const page = await world.store.list(filter, {
            limit: 5,
            ...(cursor === undefined ? {} : { cursor }),
          });
          seen.push(...page.runs.map((run) => run.workflowId));
          cursor = page.nextCursor;
          pageCount += 1;
          await world.start(`${id}-later-${pageCount}`, { attributes, workflowType: id });
          const [first, second] = [known[22 - pageCount * 2], known[21 - pageCount * 2]];
          if (first !== undefined) await world.end(first);
          if (second !== undefined)
            await world.extend(second, { attributes: { ...attributes, amount: pageCount } });
        } while (cursor !== undefined);
        assert.deepEqual(seen, known.map((run) => run.workflowId).toReversed());
      }
    },
  },
  {
    name: "the feed is read of runs whose attributes are so",
    async run(world) {
      const { store } = world;
      const run = await world.start("w", { attributes: { region: "eu" } });
      await world.start("other", { attributes: { region: "us" } });
      await world.start("bare");
      await world.extend(run, { events: [mark("a")] });
      const idsOf = async (...texts: readonly string[]): Promise<readonly string[]> =>
        (await store.readFeed({ after: "oldest", limit: 100, ...where(...texts) })).items.map(
          ({ workflowId, event }) => `${workflowId} ${event?.seq}`,
        );
      assert.deepEqual(await idsOf("region=eu"), ["w 1", "w 2"]);
      assert.deepEqual(await idsOf("region exists"), ["w 1", "other 1", "w 2"]);
      assert.deepEqual(await idsOf(), ["w 1", "other 1", "bare 1", "w 2"]);
      await world.extend(run, { attributes: { region: "us" } });
      assert.deepEqual(await idsOf("region=eu"), []);
    },
  },
];
