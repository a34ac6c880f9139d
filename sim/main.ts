/**
 * `npm run sim -- …`: runs worlds and says what they broke.
 *
 *   --seed S [--until STEP] [--shrink]      one world, step by step; or the smallest that breaks the same law
 *       [--without FAULT,…] [--drop N,…] [--engines N]
 *   --day S                                 24 hours of traffic with workers
 *   --years N [--from S]                    a world of schedules that lives for N years
 *   --schedules N [--from K] [--workers W]  many worlds of schedules, of 40 days each
 *   --resets N [--from K] [--workers W]     many worlds of resets and forks
 *   --labour workers|engines                worlds that all have workers, or none; by itself half of them do
 *   --seeds N [--from K] [--workers W]      many worlds, on all cores
 *   --planted [--only NAME,…] [--max N]     worlds with a bug in the engine, for each of the planted ones, as many as are
 *                                           stated for it or N
 */
import { availableParallelism } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { runBatch } from "./batch.ts";
import { planOfDay } from "./day.ts";
import { judgeBatch } from "./batch-verdict.ts";
import type { FaultKind, Reduction } from "./plan.ts";
import { faultKinds, planOf } from "./plan.ts";
import { tryPlantedBug } from "./plant-trial.ts";
import { plantedBugs } from "./planted-bugs.ts";
import { runScheduleWorld } from "./schedule-world.ts";
import { shrink, toArguments } from "./shrink.ts";
import { runWorld } from "./world.ts";

const write = (line: string): void => void process.stdout.write(`${line}\n`);

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    until: { type: "string" },
    shrink: { type: "boolean" },
    without: { type: "string" },
    drop: { type: "string" },
    engines: { type: "string" },
    labour: { type: "string" },
    day: { type: "string" },
    years: { type: "string" },
    schedules: { type: "string" },
    resets: { type: "string" },
    seeds: { type: "string" },
    from: { type: "string", default: "1" },
    workers: { type: "string" },
    plan: { type: "boolean" },
    planted: { type: "boolean" },
    only: { type: "string" },
    max: { type: "string" },
  },
});

function toNumber(text: string, name: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`--${name} must be a whole number, got ${text}`);
}

function toWorkerCount(): number {
  return values.workers === undefined ? availableParallelism() : toNumber(values.workers, "workers");
}

function toReduction(): Reduction {
  const faults = (values.without?.split(",") ?? []) as FaultKind[];
  const unknown = faults.find((fault) => !faultKinds.includes(fault));
  if (unknown !== undefined)
    throw new Error(`no fault is named ${unknown}; there are ${faultKinds.join(", ")}`);
  return {
    faults,
    operations: (values.drop?.split(",") ?? []).map((text) => toNumber(text, "drop")),
    ...(values.engines === undefined ? {} : { engineCount: toNumber(values.engines, "engines") }),
    ...toLabour(),
  };
}

function toLabour(): { readonly hasWorkers?: boolean } {
  const { labour } = values;
  if (labour === undefined) return {};
  if (labour !== "workers" && labour !== "engines")
    throw new Error(`--labour is workers or engines, got ${labour}`);
  return { hasWorkers: labour === "workers" };
}

async function showOne(seed: number): Promise<number> {
  const reduction = toReduction();
  const plan = planOf(seed, reduction);
  if (values.plan === true) {
    write(JSON.stringify(plan, (_key, value: unknown) => (value instanceof Set ? [...value] : value), 2));
    return 0;
  }
  const untilStep = values.until === undefined ? {} : { untilStep: toNumber(values.until, "until") };
  const { trace, hash, stepCount, failure } = await runWorld(plan, { keepsTrace: true, ...untilStep });
  for (const line of trace) write(line);
  const { store, engineCount, leaseMs, residentMax, faults } = plan;
  write("");
  write(
    `seed ${seed}: ${store}, ${engineCount} engine(s), lease ${leaseMs} ms, ${residentMax} runs in memory`,
  );
  write(`faults: ${faults.size === 0 ? "none" : [...faults].join(", ")}`);
  write(`${stepCount} steps, trace ${hash}`);
  write(failure === undefined ? "no law was broken" : `BROKEN ${failure.kind}: ${failure.message}`);
  return failure === undefined ? 0 : 1;
}

async function shrinkOne(seed: number): Promise<number> {
  const smallest = await shrink(seed, toReduction());
  if (smallest === undefined) {
    write(`seed ${seed}: no law was broken`);
    return 0;
  }
  const { reduction, failure, stepCount, triedCount } = smallest;
  write(`${triedCount} worlds tried; the smallest takes ${stepCount} steps:`);
  write(`BROKEN ${failure.kind}: ${failure.message}`);
  write(`npm run sim -- ${toArguments(seed, reduction)}`);
  return 1;
}

async function runMany(count: number): Promise<number> {
  const from = toNumber(values.from, "from");
  const workerCount =
    values.workers === undefined ? availableParallelism() : toNumber(values.workers, "workers");
  let shownAtMs = performance.now();
  const report = await runBatch({
    from,
    count,
    workerCount,
    ...toLabour(),
    onProgress: (doneCount) => {
      if (performance.now() < shownAtMs + 10_000) return;
      shownAtMs = performance.now();
      process.stderr.write(`${doneCount} of ${count} seeds\n`);
    },
  });
  const { lines, isGood } = judgeBatch(report, { from, count, workerCount, ...toLabour() });
  for (const line of lines) write(line);
  return isGood ? 0 : 1;
}

async function tryPlanted(): Promise<number> {
  const only = values.only?.split(",");
  let missedCount = 0;
  write("| bug | where | invariants | worlds until caught | stated | law that was broken |");
  write("| --- | --- | --- | --- | --- | --- |");
  for (const bug of plantedBugs) {
    if (only?.includes(bug.name) === false) continue;
    const seedsMax = values.max === undefined ? bug.within : toNumber(values.max, "max");
    const { seedsNeeded, kind } = await tryPlantedBug(bug, { seedsMax, workerCount: toWorkerCount() });
    if (seedsNeeded === undefined) missedCount += 1;
    const invariants = bug.invariants.map((number) => `I-${number}`).join(", ");
    const where = (bug.edits[0]?.file ?? "").replace("src/", "");
    write(
      `| ${bug.name} | \`${where}\` | ${invariants} | ${seedsNeeded ?? `not in ${seedsMax}`} | ${bug.within} | ${kind ?? "none"} |`,
    );
  }
  write("");
  write(missedCount === 0 ? "every planted bug was caught" : `${missedCount} planted bugs were not caught`);
  return missedCount === 0 ? 0 : 1;
}

async function runDay(seed: number): Promise<number> {
  const { statistics, stepCount, failure, elapsedMs, size, hash } = await runWorld(planOfDay(seed), {
    measuresEvery: 1_000,
  });
  for (const [what, count] of statistics.counts) write(`  ${what}: ${count}`);
  write(
    `day ${seed}: ${(elapsedMs / 3_600_000).toFixed(1)} h, ${stepCount} steps, ${statistics.runCount} runs, ` +
      `${statistics.eventCount} events, trace ${hash}`,
  );
  write(`sizes: ${JSON.stringify(size)}`);
  write(failure === undefined ? "no law was broken" : `BROKEN ${failure.kind}: ${failure.message}`);
  return failure === undefined ? 0 : 1;
}

async function runYears(years: number, seed: number): Promise<number> {
  const { counts, failure, elapsedMs } = await runScheduleWorld({ seed, days: years * 365 });
  for (const [what, count] of Object.entries(counts)) write(`  ${what}: ${count}`);
  write(`schedules ${seed}: ${(elapsedMs / (365 * 86_400_000)).toFixed(1)} years`);
  write(failure === undefined ? "no law was broken" : `BROKEN ${failure.kind}: ${failure.message}`);
  return failure === undefined ? 0 : 1;
}

async function runScheduleWorlds(count: number): Promise<number> {
  const from = toNumber(values.from, "from");
  const scheduleDays = 40;
  const { failures, elapsedMs } = await runBatch({ from, count, workerCount: toWorkerCount(), scheduleDays });
  for (const { seed, kind, message } of failures) write(`BROKEN ${seed} ${kind}: ${message}`);
  write(
    `${count} worlds of schedules from ${from} on, of ${scheduleDays} days each, ${Math.round(elapsedMs / 1_000)} s`,
  );
  write(failures.length === 0 ? "no law was broken" : `${failures.length} worlds broke a law`);
  return failures.length === 0 ? 0 : 1;
}

async function runResetWorlds(count: number): Promise<number> {
  const from = toNumber(values.from, "from");
  const report = await runBatch({ from, count, workerCount: toWorkerCount(), hasResets: true });
  const { failures, elapsedMs } = report;
  for (const { seed, kind, message } of failures) write(`BROKEN ${seed} ${kind}: ${message}`);
  write(`${count} worlds of resets from ${from} on, ${Math.round(elapsedMs / 1_000)} s`);
  write(failures.length === 0 ? "no law was broken" : `${failures.length} worlds broke a law`);
  return failures.length === 0 ? 0 : 1;
}

if (values.planted === true) process.exitCode = await tryPlanted();
else if (values.years !== undefined)
  process.exitCode = await runYears(toNumber(values.years, "years"), toNumber(values.from, "from"));
else if (values.schedules !== undefined)
  process.exitCode = await runScheduleWorlds(toNumber(values.schedules, "schedules"));
else if (values.resets !== undefined)
  process.exitCode = await runResetWorlds(toNumber(values.resets, "resets"));
else if (values.day !== undefined) process.exitCode = await runDay(toNumber(values.day, "day"));
else if (values.seeds !== undefined) process.exitCode = await runMany(toNumber(values.seeds, "seeds"));
else if (values.seed === undefined) {
  process.stderr.write("Say --seed S, or --seeds N [--from K].\n");
  process.exitCode = 2;
} else {
  const seed = toNumber(values.seed, "seed");
  process.exitCode = values.shrink === true ? await shrinkOne(seed) : await showOne(seed);
}
