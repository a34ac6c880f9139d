/**
 * `npm run torture -- [--only kill,power] [--cycles N] [--seed S]`: real processes and real faults, and a table of what
 * came of them. The exit code is 1 when anything that was acknowledged was lost, or a fault never hit.
 */
import { parseArgs } from "node:util";
import { scenarios } from "./scenarios.ts";
import type { ScenarioResult } from "./scenario.ts";
import { seedOfCommit } from "./scenario.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    cycles: { type: "string" },
    seed: { type: "string" },
  },
});

const known = Object.keys(scenarios);
const wanted = values.only?.split(",") ?? known;
const unknown = wanted.filter((name) => !known.includes(name));
const cycles = values.cycles === undefined ? undefined : Number(values.cycles);
const seed = values.seed === undefined ? seedOfCommit() : Number(values.seed);

if (unknown.length > 0 || Number.isNaN(cycles) || Number.isNaN(seed)) {
  process.stderr.write(`--only takes some of ${known.join(", ")}; --cycles and --seed take numbers.\n`);
  process.exit(2);
}

process.stdout.write(`seed ${seed}\n`);
const results: ScenarioResult[] = [];
for (const [name, members] of Object.entries(scenarios)) {
  if (!wanted.includes(name)) continue;
  for (const scenario of members) {
    const startedAt = performance.now();
    const result = await scenario({ seed, ...(cycles === undefined ? {} : { cycles }) });
    results.push(result);
    tell(result, (performance.now() - startedAt) / 1_000);
  }
}
const violationCount = results.reduce((sum, result) => sum + result.violations.length, 0);
const skipped = results.filter((result) => result.skipped !== undefined);
process.stdout.write(
  `\n${results.length} scenarios, ${skipped.length} skipped, ${violationCount} violations (seed ${seed})\n`,
);
process.exitCode = violationCount > 0 ? 1 : 0;

function tell(result: ScenarioResult, seconds: number): void {
  const { name, cycles: planned, hits, audited, violations, notes = [], skipped: reason } = result;
  if (reason !== undefined) {
    process.stdout.write(`${name.padEnd(44)} SKIPPED: ${reason}\n`);
    return;
  }
  const cells = [
    `${planned} cycles`.padStart(13),
    `${hits} hits`.padStart(12),
    `${audited} audited`.padStart(16),
    `${violations.length} violations`.padStart(15),
    `${seconds.toFixed(1)} s`.padStart(10),
  ];
  process.stdout.write(`${name.padEnd(36)}${cells.join("")}\n`);
  for (const note of notes) process.stdout.write(`    ${note}\n`);
  for (const violation of violations.slice(0, 20)) process.stdout.write(`    VIOLATION ${violation}\n`);
}
