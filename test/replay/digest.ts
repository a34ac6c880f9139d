/**
 * Records the base scenarios, and as many random ones as it is told, and replays every run of them; prints all commands, live
 * and replayed, as one line of JSON.
 * A process of its own: its time zone, locale and heap are what `environment.test.ts` varies.
 */
import { createHash } from "node:crypto";
import process from "node:process";
import fc from "fast-check";
import { anyScenario } from "./arbitrary-program.ts";
import { baseScenarios } from "./base-programs.ts";
import { programWorkflows } from "./interpreter.ts";
import { record, replay } from "./recording.ts";

const [count = "0", seed = "1"] = process.argv.slice(2);
const random = fc.sample(anyScenario, { seed: Number(seed), numRuns: Number(count) });
const scenarios = [
  ...Object.entries(baseScenarios),
  ...random.map((scenario, index) => [`random ${index}`, scenario] as const),
];

// With `--expose-gc`: a storm of collections, in the middle of everything.
let isStorming = globalThis.gc !== undefined;
let collectionCount = 0;
const storm = (): void => {
  if (!isStorming) return;
  collectionCount += 1;
  globalThis.gc?.({ type: collectionCount % 20 === 0 ? "major" : "minor" });
  setImmediate(storm);
};
storm();

const digests: Record<string, readonly string[]> = {};
for (const [name, scenario] of scenarios) {
  const { world, outside, snapshots } = await record(scenario);
  const lines: string[] = [];
  for (const run of await world.runs()) {
    const last = snapshots.findLast((snapshot) => snapshot.runId === run.runId);
    const replayed = await replay({
      store: world.store,
      run,
      workflows: programWorkflows(outside, { subject: scenario.program }),
    });
    for (const [how, commands] of [
      ["live", last?.commands],
      ["replayed", replayed.commands],
    ]) {
      lines.push(`${run.workflowType} ${how} ${createHash("sha256").update(String(commands)).digest("hex")}`);
    }
    if (last?.account !== replayed.account) lines.push(`${run.workflowType}: another account`);
  }
  digests[name] = lines;
}
isStorming = false;
// What the environment is, as far as code can see: so that the test knows that it did vary.
const environment = [
  new Date(0).getTimezoneOffset(),
  Intl.DateTimeFormat().resolvedOptions().locale,
  (1_234.5).toLocaleString(),
  process.execArgv.length,
  collectionCount > 1_000 ? "storm" : "calm",
].join(" ");
console.log(JSON.stringify({ environment, digests }));
