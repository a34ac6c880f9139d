/** The suite itself is tested: of each store that breaks a law, a scenario or a property says so. */
import { describe, expect, it } from "vitest";
import { describeStoreConformance } from "../../src/store/conformance/suite.ts";
import type { StoreBackend } from "../../src/store/conformance/world.ts";
import { readDocument, readTable } from "../docs/documents.ts";
import { faults, toBackend } from "./faulty-stores.ts";

interface Test {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** The tests that the suite would register, in their order. */
function testsOf(backend: StoreBackend): readonly Test[] {
  const tests: Test[] = [];
  describeStoreConformance(
    "one",
    backend,
    { describe: (_name, body) => body(), it: (name, run) => tests.push({ name, run }) },
    // A fixed seed: whether a property comes upon a fault is no matter of luck here.
    { seed: 1, minimizeMs: 0 },
  );
  return tests;
}

async function fails({ run }: Test): Promise<boolean> {
  try {
    await run();
    return false;
  } catch {
    return true;
  }
}

async function findFirstFailure(tests: readonly Test[]): Promise<string | undefined> {
  for (const test of tests) if (await fails(test)) return test.name;
  return undefined;
}

const page = readDocument("docs/store-backends.md");
const table = new Map(readTable(page, "What the suite catches").map(([fault, test]) => [fault, test]));

describe("the conformance suite", () => {
  it("passes a store without a fault", async () => {
    expect(await findFirstFailure(testsOf(toBackend({ name: "none", bend: () => ({}) })))).toBeUndefined();
  });

  it.each(faults.map((fault) => [fault.name, fault] as const))("catches: %s", async (name, fault) => {
    const caughtBy = await findFirstFailure(testsOf(toBackend(fault)));
    expect(caughtBy).toBeDefined();
    expect(table.get(name), `docs/store-backends.md: | ${name} | ${caughtBy} |`).toBe(caughtBy);
  });

  it("has no fault in its table that is not tried", () => {
    expect([...table.keys()]).toEqual(faults.map(({ name }) => name));
  });

  it("has every scenario that the page for backend authors speaks of", () => {
    const names = new Set(testsOf(toBackend({ name: "none", bend: () => ({}) })).map(({ name }) => name));
    const spoken = readTable(page, "Where other suites have gaps").map(([, scenario = ""]) => scenario);
    expect(spoken.length).toBeGreaterThan(20);
    expect(spoken.filter((name) => !names.has(name))).toEqual([]);
  });

  it("catches most faults by its properties alone", { timeout: 600_000 }, async () => {
    const caught = { sequence: 0, interleaving: 0, either: 0 };
    for (const fault of faults) {
      const [sequence, interleaving] = testsOf(toBackend(fault)).slice(-2);
      if (sequence === undefined || interleaving === undefined) throw new Error("the properties come last");
      const [bySequence, byInterleaving] = [await fails(sequence), await fails(interleaving)];
      if (bySequence) caught.sequence += 1;
      if (byInterleaving) caught.interleaving += 1;
      if (bySequence || byInterleaving) caught.either += 1;
    }
    // No property tries damage, large sizes, or what a caller does with its objects: a fifth of the faults.
    expect(caught.either).toBeGreaterThan(faults.length * 0.65);
    expect(caught.sequence).toBeGreaterThan(faults.length * 0.55);
    expect(caught.interleaving).toBeGreaterThan(faults.length * 0.55);
  });
});

it("a failure of a property names few calls, what the contract asks for, and the seed that repeats it", async () => {
  const fault = faults.find(({ name }) => name === "the commits of a call are no one transaction");
  if (fault === undefined) throw new Error("no such fault");
  const messages: string[] = [];
  for (let round = 0; round < 2; round += 1) {
    const [again] = /Again with (\{.*\})/.exec(messages[0] ?? "")?.slice(1) ?? [];
    const { seed, path } = /seed: (?<seed>-?\d+), path: "(?<path>[\d:]+)"/.exec(again ?? "")?.groups ?? {};
    const options = seed === undefined || path === undefined ? {} : { seed: Number(seed), path };
    const tests: Test[] = [];
    const register = {
      describe: (_: string, body: () => void) => body(),
      it: (name: string, run: Test["run"]) => tests.push({ name, run }),
    };
    // It is made small to the end, however long that takes here.
    describeStoreConformance("one", toBackend(fault), register, { seed: 1, minimizeMs: 100_000, ...options });
    try {
      await tests.at(-1)?.run();
    } catch (error) {
      messages.push((error as Error).message);
    }
  }
  const [first = "", second] = messages;
  expect(first).toMatch(/no order of these calls explains their answers/);
  expect(first).toMatch(/but the contract asks for/);
  // Two calls are enough to tell: the appends, and a read amid them.
  expect(first.match(/^ {2}lane \d/gm)?.length).toBeLessThanOrEqual(4);
  expect(second).toBe(first);
});
