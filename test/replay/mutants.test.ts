import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { takeRejections } from "../../src/testing/rejections.ts";
import { baseScenarios } from "./base-programs.ts";
import { operators } from "./mutation.ts";
import { mutantsOfScenario } from "./program-trial.ts";
import { sourceOperators } from "./source-mutation.ts";
import { SourceTrial } from "./source-trial.ts";

/** Places tried for one operator in one file, or in one program. */
const placesMax = 4;
/** What these do is never recorded, or shows in no file that is mutated here. */
const harmless: ReadonlySet<string> = new Set(["insert draw", "insert identifier", "insert microtask"]);

describe("workflow files that were changed under their golden histories", () => {
  const trial = new SourceTrial();
  let giveBack: () => void;

  beforeAll(async () => {
    // A mutant may let go of a promise that rejects: that is its run's failure, as in an engine.
    giveBack = takeRejections();
    await trial.open();
  });
  afterAll(() => giveBack());

  it("are tried in more than thirty ways, on every prefix", () => {
    expect(sourceOperators.length).toBeGreaterThan(60);
    expect(new Set(sourceOperators.map(({ name }) => name)).size).toBe(sourceOperators.length);
    expect(trial.prefixCount).toBeGreaterThan(100);
  });

  // I-43: found out, or byte for byte the same as far as the history goes.
  it.each(sourceOperators.map((operator) => [operator.name, operator] as const))(
    "are found out wherever it matters: %s",
    async (_name, operator) => {
      const tally = await trial.tryOperator(operator, placesMax);
      expect(tally.silentOnes).toEqual([]);
      expect(tally.mutants - tally.broken).toBeGreaterThan(0);
      const isFoundOut = tally.detected > 0;
      expect(isFoundOut).toBe(operator.isTolerated !== true && !harmless.has(operator.name));
    },
  );
});

// I-42, I-43
it.each(Object.entries(baseScenarios))(
  "a program that was changed is found out on every prefix on which it asks for something else: %s",
  async (_name, scenario) => {
    const { verdicts, effectCount, prefixCount } = await mutantsOfScenario(scenario, operators, placesMax);
    expect(prefixCount).toBeGreaterThan(3);
    expect(verdicts.length).toBeGreaterThan(100);
    expect(verdicts.filter(({ verdict }) => verdict === "silent").map(({ where }) => where)).toEqual([]);
    const tolerated = verdicts.filter(({ operator }) => operator.isTolerated === true);
    expect(tolerated.filter(({ verdict }) => verdict === "detected").map(({ where }) => where)).toEqual([]);
    expect(effectCount).toBe(0);
  },
);
