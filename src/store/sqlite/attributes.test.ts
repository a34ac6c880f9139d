import type { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AttributeCondition, AttributeScalar } from "../../core/attribute-filter.ts";
import { parseWhere } from "../../core/attribute-filter.ts";
import type { AttributeData, Attributes } from "../../core/attributes.ts";
import { encodeCommit } from "../commit.ts";
import { VirtualClock, World, endOf, idOf, leaseMs, runOf, startOf } from "../conformance/world.ts";
import type { Commit, RunFilter, Store } from "../contract.ts";
import { openMemoryStore } from "../memory.ts";
import { openDatabase } from "./migrate.ts";
import { Reader } from "./reader.ts";
import { openSqliteStore } from "./store.ts";
import { Writer } from "./writer.ts";

describe("of many runs", () => {
  const runCount = 30_000;
  let database: DatabaseSync;
  let reader: Reader;
  let texts: { readonly sql: string; readonly values: readonly unknown[] }[];

  beforeEach(() => {
    database = openDatabase({ path: ":memory:", readOnly: false });
    const keys = `WITH RECURSIVE keys (key) AS (SELECT 1 UNION ALL SELECT key + 1 FROM keys WHERE key < ${runCount})`;
    database.exec(`INSERT INTO runs (run_key, head_seq, first_seq, status, started_at, workflow_id, run_id, workflow_type, version)
      ${keys} SELECT key, 1, 1, key % 2, key, 'w-' || key, 'r', 'order', 'v' FROM keys`);
    database.exec(`INSERT INTO attributes (run_key, name, place, kind, value)
      ${keys} SELECT key, 'customer', 0, 0, 'c-' || (key % 1000) FROM keys
      UNION ALL SELECT key, 'amount', 0, 1, CAST(key AS REAL) FROM keys
      UNION ALL SELECT key, 'region', 1, 0, CASE key % 3 WHEN 0 THEN 'eu' ELSE 'us' END FROM keys
      UNION ALL SELECT key, 'region', 2, 0, 'world' FROM keys`);
    reader = new Reader(database);
    texts = [];
    const prepare = database.prepare.bind(database);
    database.prepare = (sql) => {
      const statement = prepare(sql);
      const note = { sql, values: [] as unknown[] };
      texts.push(note);
      for (const method of ["all", "get"] as const) {
        const original = statement[method].bind(statement);
        statement[method] = ((...values: never[]) => {
          note.values = values;
          return original(...values);
        }) as never;
      }
      return statement;
    };
  });

  afterEach(() => {
    database.close();
  });

  /** Every step of every statement that was made since. */
  function plans(): readonly string[] {
    const made = texts.splice(0);
    return made.flatMap(({ sql, values }) =>
      database
        .prepare(`EXPLAIN QUERY PLAN ${sql}`)
        .all(...(values as never[]))
        .map((row) => String(row["detail"])),
    );
  }

  const keysOf = async (filter: RunFilter, limit = 5, before?: number): Promise<readonly number[]> =>
    (await reader.list(filter, before, limit)).map(({ runKey }) => runKey);

  it.each([
    ["one value of few runs", ["customer=c-7"], [29_007, 28_007, 27_007, 26_007, 25_007], 30],
    ["one value of many runs", ["region=us"], [29_999, 29_998, 29_996, 29_995, 29_993], 20_000],
    ["one of several values", ["customer in (c-7, c-9)"], [29_009, 29_007, 28_009, 28_007, 27_009], 60],
    ["several values of many runs", ["region in (eu, us)"], [30_000, 29_999, 29_998, 29_997, 29_996], 30_000],
    ["a narrow range", ["amount>=10", "amount<13"], [12, 11, 10], 3],
    ["a wide range", ["amount>5"], [30_000, 29_999, 29_998, 29_997, 29_996], 29_995],
    ["a range of old runs", ["amount<=15000"], [15_000, 14_999, 14_998, 14_997, 14_996], 15_000],
    ["that there is one", ["customer exists"], [30_000, 29_999, 29_998, 29_997, 29_996], 30_000],
    [
      "several of them",
      ["region=eu", "amount>=100", "customer=c-9"],
      [27_009, 24_009, 21_009, 18_009, 15_009],
      9,
    ],
    ["nothing", ["customer=nobody"], [], 0],
  ] as const)("%s is found by an index, in the order of a listing", async (_what, where, keys, count) => {
    const filter = { attributes: parseWhere(where) };
    expect(await keysOf(filter)).toEqual(keys);
    expect(await reader.count(filter)).toBe(count);
    const [first, second] = keys;
    if (first !== undefined) expect((await keysOf(filter, 5, first))[0]).toBe(second);
    const steps = plans();
    expect(steps.length).toBeGreaterThan(0);
    // `found` is what the index gave; of many of one value not even that is gone through.
    expect(steps.filter((step) => /^SCAN (?:runs|attributes)/.test(step))).toEqual([]);
    expect(steps.some((step) => step.includes("attributes"))).toBe(true);
  });

  it("goes together with the other conditions", async () => {
    const attributes = parseWhere(["customer=c-7"]);
    expect(await keysOf({ attributes, status: "completed" })).toEqual([
      29_007, 28_007, 27_007, 26_007, 25_007,
    ]);
    expect(await keysOf({ attributes, startedBefore: 3_000 })).toEqual([2_007, 1_007, 7]);
    expect(await keysOf({ attributes, status: "running" })).toEqual([]);
    expect(await keysOf({ attributes: parseWhere(["region=us"]), startedBefore: 5 })).toEqual([5, 4, 2, 1]);
    expect(await keysOf({ attributes: parseWhere(["amount>1"]), startedBefore: 3 })).toEqual([3, 2]);
  });

  it("reads few rows for a page of one value that many have", async () => {
    expect((await keysOf({ attributes: parseWhere(["region=us"]) })).length).toBe(5);
    expect(texts.every(({ sql }) => /\bLIMIT\b/.test(sql))).toBe(true);
    const steps = plans();
    // Nothing is put in order: each row comes as it is asked for, and no more are asked for than are wanted.
    expect(steps.filter((step) => step.includes("TEMP B-TREE"))).toEqual([]);
    expect(steps.filter((step) => step.startsWith("SEARCH attributes")).length).toBe(2);
  });
});

const names = ["a", "b", "c"];
const scalar: fc.Arbitrary<AttributeScalar> = fc.oneof(
  fc.constantFrom("", "x", "y", "X", "1", "é", "🚀"),
  fc.constantFrom(-1, 0, 1, 1.5, 2, 1e300),
  fc.boolean(),
  fc.constantFrom(-1, 0, 1, 2).map((at) => ({ at })),
);
const value: fc.Arbitrary<AttributeData> = fc.oneof(
  { weight: 3, arbitrary: scalar },
  { weight: 1, arbitrary: fc.uniqueArray(fc.constantFrom("", "x", "y", "1"), { minLength: 1 }) },
);
const attributesOf: fc.Arbitrary<Attributes> = fc.dictionary(fc.constantFrom(...names), value, {
  maxKeys: 3,
});
const bound = fc.record({ value: fc.constantFrom(-1, 0, 1, 1.5, 2), isOpen: fc.boolean() });
const condition: fc.Arbitrary<AttributeCondition> = fc
  .tuple(
    fc.constantFrom(...names, "d"),
    fc.oneof(
      fc.constant({ kind: "exists" as const }),
      fc.record({
        kind: fc.constant("in" as const),
        values: fc.array(scalar, { minLength: 1, maxLength: 4 }),
      }),
      fc
        .tuple(fc.constantFrom("number" as const, "datetime" as const), bound, fc.option(bound), fc.boolean())
        .map(([of, one, other, isFrom]) => ({
          kind: "range" as const,
          of,
          ...(isFrom ? { from: one } : { to: one }),
          ...(other === null ? {} : isFrom ? { to: other } : { from: other }),
        })),
    ),
  )
  .map(([name, rest]) => ({ name, ...rest }));

/** The rule once more, as plainly as it can be said. */
function isMet(attributes: Attributes, one: AttributeCondition): boolean {
  const found = attributes[one.name];
  if (found === undefined || one.kind === "exists") return found !== undefined;
  const has = (Array.isArray(found) ? found : [found]).map((each: unknown) => JSON.stringify(each));
  if (one.kind === "in") return one.values.some((wanted) => has.includes(JSON.stringify(wanted)));
  const text = has[0] ?? "";
  const isOfType = one.of === "number" ? /^[-\d]/.test(text) : text.startsWith('{"at"');
  const number = Number(/-?[\d.]+(?:e\+\d+)?/.exec(text)?.[0]);
  const { from, to } = one;
  if (!isOfType || has.length > 1) return false;
  if (from !== undefined && (number < from.value || (from.isOpen && number === from.value))) return false;
  return to === undefined || !(number > to.value || (to.isOpen && number === to.value));
}

it("any filter over any attributes finds the runs that it should, page by page, in both stores", async () => {
  const open = (): readonly Store[] => [openMemoryStore(), openSqliteStore({ path: ":memory:" })];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(attributesOf, fc.option(attributesOf, { nil: undefined })), { maxLength: 12 }),
      fc.array(fc.array(condition, { maxLength: 3 }), { minLength: 1, maxLength: 6 }),
      async (runs, filters) => {
        for (const store of open()) {
          const token = await store.claim({ leaseMs });
          const world = new World({ store, dispose: () => store.close() }, new VirtualClock(), token);
          for (const [index, [first, second]] of runs.entries()) {
            const run = await world.start(`w${index}`, { attributes: first });
            if (second !== undefined) await world.extend(run, { attributes: second });
          }
          const all = runs.map(([first, second], index) => ({
            id: `w${index}`,
            attributes: second ?? first,
          }));
          for (const attributes of filters) {
            const expected = all
              .filter((run) => attributes.every((one) => isMet(run.attributes, one)))
              .toReversed();
            const found: unknown[] = [];
            for (let cursor: string | undefined, isMore = true; isMore;) {
              const page = await store.list(
                { attributes },
                { limit: 2, withAttributes: true, ...(cursor === undefined ? {} : { cursor }) },
              );
              found.push(
                ...page.runs.map((run) => ({ id: run.workflowId, attributes: run.attributes ?? {} })),
              );
              cursor = page.nextCursor;
              isMore = cursor !== undefined;
            }
            expect(found).toEqual(expected);
            expect(await store.count({ attributes })).toBe(expected.length);
          }
          await store.close();
        }
      },
    ),
    { numRuns: 150 },
  );
});

it("cost a commit that has none nothing: no statement about them is executed", () => {
  const database = openDatabase({ path: ":memory:", readOnly: false });
  const executed: string[] = [];
  const prepare = database.prepare.bind(database);
  database.prepare = (sql) => {
    const statement = prepare(sql);
    const run = statement.run.bind(statement);
    statement.run = (...values: never[]) => {
      if (sql.includes("attributes")) executed.push(sql.slice(0, 6));
      return run(...values);
    };
    return statement;
  };
  const writer = new Writer(database, { path: ":memory:", storeName: "sqlite::memory:" });
  const run = { runKey: 1, workflowId: idOf("w"), runId: startOf("w").runId, headSeq: 1, wakeAt: null };
  const append = (commit: Commit): unknown =>
    writer.run([{ kind: "append", epoch: 1, now: 0, commits: [encodeCommit(commit)] }])[0];
  writer.run([{ kind: "claim", claim: { leaseMs: 1_000 }, now: 0, version: "0" }]);
  append({ start: startOf("w") });
  append({ run: runOf(run) });
  append({
    run: runOf({ ...run, headSeq: 2 }, { status: "completed", closedAt: 1, events: [endOf("completed")] }),
  });
  expect(executed).toEqual([]);
  append({ start: startOf("v", { attributes: { amount: 5, tags: ["a", "b"] } }) });
  append({ run: runOf({ ...run, runKey: 2, workflowId: idOf("v") }, { attributes: { amount: 6 } }) });
  expect(executed).toEqual(["INSERT", "INSERT", "INSERT", "DELETE", "INSERT"]);
  database.close();
});
