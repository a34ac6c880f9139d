/**
 * Mutates workflow code in every way it knows, replays recorded histories and all their prefixes with each mutant, and prints
 * for each operator what became of it.
 *
 *     npm run mutants -- [--places 1000] [--histories 20] [--program-places 4] [--seed 1]
 *
 * Exit code 1: a mutant asks for something else and replay accepts it, or a change that must not matter is taken for one.
 */
import { parseArgs } from "node:util";
import fc from "fast-check";
import { takeRejections } from "../../src/testing/rejections.ts";
import type { Scenario } from "./arbitrary-program.ts";
import { anyScenario } from "./arbitrary-program.ts";
import { baseScenarios } from "./base-programs.ts";
import { operators } from "./mutation.ts";
import { mutantsOfScenario } from "./program-trial.ts";
import { newTally } from "./divergence.ts";
import type { Tally } from "./divergence.ts";
import { sourceOperators } from "./source-mutation.ts";
import { SourceTrial } from "./source-trial.ts";

// A mutant may let go of a promise that rejects: that is its run's failure, as in an engine.
takeRejections();

const { values } = parseArgs({
  options: {
    places: { type: "string", default: "1000" },
    histories: { type: "string", default: "20" },
    "program-places": { type: "string", default: "4" },
    seed: { type: "string", default: "1" },
  },
});
const placesMax = Number(values.places);
const faults: string[] = [];

function line(name: string, tally: Tally, more: string): string {
  const cells = [tally.detected, tally.equal, tally.answered, tally.silent];
  return `${name.padEnd(48)}${cells.map((count) => String(count).padStart(10)).join("")}  ${more}`;
}

const head = `${"".padEnd(48)}${["detected", "equal", "answered", "silent"].map((word) => word.padStart(10)).join("")}`;

const trial = new SourceTrial();
await trial.open();
console.log(`mutants of workflow files, on ${trial.prefixCount} prefixes of golden histories\n${head}`);
for (const operator of sourceOperators) {
  const tally = await trial.tryOperator(operator, placesMax);
  const { mutants, killed, broken } = tally;
  console.log(line(operator.name, tally, `${mutants} mutants, ${killed} found out, ${broken} broken`));
  faults.push(...tally.silentOnes);
  if (operator.isTolerated === true && tally.detected > 0) faults.push(`${operator.name} is found out`);
}

const scenarios: readonly Scenario[] = [
  ...Object.values(baseScenarios),
  ...fc.sample(anyScenario, { seed: Number(values.seed), numRuns: Number(values.histories) }),
];
const tallies = new Map(operators.map(({ name }) => [name, { ...newTally(), mutants: 0 }]));
let prefixCount = 0;
for (const scenario of scenarios) {
  const told = await mutantsOfScenario(scenario, operators, Number(values["program-places"]));
  prefixCount += told.prefixCount;
  if (told.effectCount > 0)
    faults.push(`${told.effectCount} effects of replays of ${JSON.stringify(scenario)}`);
  for (const { operator, verdict, where } of told.verdicts) {
    const tally = tallies.get(operator.name);
    if (tally === undefined) continue;
    tally[verdict] += 1;
    if (verdict === "silent") faults.push(where);
    if (operator.isTolerated === true && verdict === "detected") faults.push(`${where} is found out`);
  }
  for (const [name, count] of told.mutantCounts) {
    const tally = tallies.get(name);
    if (tally !== undefined) tally.mutants += count;
  }
}
console.log(
  `\nmutants of ${scenarios.length} programs, on ${prefixCount} prefixes of their histories\n${head}`,
);
for (const [name, tally] of tallies) console.log(line(name, tally, `${tally.mutants} mutants`));

const all = sourceOperators.length + operators.length;
console.log(
  `\n${all} operators, ${faults.length} changes that matter and are accepted, or the other way round`,
);
for (const fault of faults.slice(0, 20)) console.error(fault);
process.exitCode = faults.length > 0 ? 1 : 0;
