/**
 * Records many random histories, every other one through faults, and replays each from every prefix.
 *
 *     npm run replays -- --histories 10000 --seed 1
 *
 * Exit code 1: a replay was otherwise than the run was live. What is printed then repeats it.
 */
import { parseArgs } from "node:util";
import fc from "fast-check";
import { takeRejections } from "../../src/testing/rejections.ts";
import type { Fault } from "../recovery/world.ts";
import { anyScenario } from "./arbitrary-program.ts";
import { prefixFaults } from "./prefix-trial.ts";
import { record } from "./recording.ts";

takeRejections();

const { values } = parseArgs({
  options: {
    histories: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    first: { type: "string", default: "0" },
  },
});
const historyCount = Number(values.histories);
const first = Number(values.first);
const noteEachMs = 10_000;

const faultPlan = fc
  .array(
    fc.tuple(
      fc.integer({ min: 1, max: 30 }),
      fc.constantFrom<Fault>(
        "crash-before",
        "crash-after",
        "unknown-made",
        "unknown-lost",
        "full",
        "failed-made",
        "failed-lost",
      ),
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((entries) => new Map(entries));

const counts = { prefixes: 0, events: 0, crashes: 0, wrong: 0 };
const began = performance.now();
let notedAt = began;
for (let index = first; index < first + historyCount; index++) {
  const seed = Number(values.seed) * 1_000_003 + index;
  const [scenario] = fc.sample(anyScenario, { seed, numRuns: 1 });
  const [plan] = fc.sample(faultPlan, { seed, numRuns: 1 });
  if (scenario === undefined || plan === undefined) throw new Error("nothing was generated");
  let faults: readonly string[];
  try {
    const recording = await record(scenario, index % 2 === 0 ? new Map() : plan);
    const { world, snapshots } = recording;
    counts.prefixes += snapshots.length;
    counts.crashes += world.crashCount;
    counts.events += (await world.history("subject")).length;
    faults = await prefixFaults(recording, scenario);
  } catch (error) {
    faults = [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  }
  if (faults.length > 0) {
    counts.wrong += 1;
    console.error(`history ${index}: ${faults.slice(0, 5).join("\n  ")}`);
    console.error(`  repeat: npm run replays -- --seed ${values.seed} --first ${index} --histories 1`);
  }
  if (performance.now() > notedAt + noteEachMs) {
    notedAt = performance.now();
    console.error(`${index + 1 - first} of ${historyCount}, ${counts.wrong} wrong`);
  }
}
const seconds = (performance.now() - began) / 1_000;
console.log(
  `${historyCount} histories in ${seconds.toFixed(1)} s (${Math.round(historyCount / seconds)}/s), seed ${values.seed}: ` +
    `${counts.wrong} wrong; ${counts.prefixes} prefixes replayed, ${counts.events} events, ${counts.crashes} crashes`,
);
process.exitCode = counts.wrong > 0 ? 1 : 0;
