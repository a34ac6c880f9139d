/** `npm run sim -- …`: runs worlds and says what they broke. `--help` tells how. */
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

const usage = `Runs worlds and says what they broke. The exit code is 0 only if no law was broken.

  --seed S [--until STEP] [--shrink]      one world, step by step; or the smallest that breaks the same law
      [--plan]                            only what it is made of
      [--without FAULT,…] [--drop N,…] [--engines N]
  --seeds N [--from K]                    many worlds, on all cores
  --labour workers|engines                worlds that all have workers, or none; by itself half of them do
  --day S                                 24 hours of traffic with workers
  --schedules N [--from K]                many worlds of schedules, of 40 days each
  --years N [--from S]                    one of them that lives for N years
  --resets N [--from K]                   many worlds of resets and forks
  --planted [--only NAME,…] [--max N]     worlds with a bug in the engine, for each of the planted ones, as many as are
                                          stated for it or N
  --workers W                             so many processes at once
  --help                                  this
`;

/** The command line is wrong. */
class UsageError extends Error {}

let values: ReturnType<typeof readOptions>;

function readOptions() {
  return parseArgs({
    options: {
      help: { type: "boolean", short: "h" },
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
  }).values;
}

function toNumber(text: string, name: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new UsageError(`--${name} must be a whole number, got ${text}`);
}

/** How many there are to be: none of anything shows nothing. */
function toCount(text: string, name: string): number {
  const count = toNumber(text, name);
  if (count > 0) return count;
  throw new UsageError(`--${name} must be 1 or more`);
}

function toWorkerCount(): number {
  return values.workers === undefined ? availableParallelism() : toCount(values.workers, "workers");
}

function toReduction(): Reduction {
  const faults = (values.without?.split(",") ?? []) as FaultKind[];
  const unknown = faults.find((fault) => !faultKinds.includes(fault));
  if (unknown !== undefined)
    throw new UsageError(`no fault is named ${unknown}; there are ${faultKinds.join(", ")}`);
  return {
    faults,
    operations: (values.drop?.split(",") ?? []).map((text) => toNumber(text, "drop")),
    ...(values.engines === undefined ? {} : { engineCount: toCount(values.engines, "engines") }),
    ...toLabour(),
  };
}

function toLabour(): { readonly hasWorkers?: boolean } {
  const { labour } = values;
  if (labour === undefined) return {};
  if (labour !== "workers" && labour !== "engines")
    throw new UsageError(`--labour is workers or engines, got ${labour}`);
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
  const workerCount = toWorkerCount();
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
  const unknown = only?.find((name) => !plantedBugs.some((bug) => bug.name === name));
  if (unknown !== undefined) throw new UsageError(`no planted bug is named ${unknown}`);
  let missedCount = 0;
  write("| bug | where | invariants | worlds until caught | stated | law that was broken |");
  write("| --- | --- | --- | --- | --- | --- |");
  for (const bug of plantedBugs) {
    if (only?.includes(bug.name) === false) continue;
    const seedsMax = values.max === undefined ? bug.within : toCount(values.max, "max");
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

async function run(): Promise<number> {
  values = readOptions();
  const { help, planted, years, schedules, resets, day, seeds, seed: one } = values;
  if (help === true) {
    write(usage.trimEnd());
    return 0;
  }
  if (planted === true) return await tryPlanted();
  if (years !== undefined) return await runYears(toCount(years, "years"), toNumber(values.from, "from"));
  if (schedules !== undefined) return await runScheduleWorlds(toCount(schedules, "schedules"));
  if (resets !== undefined) return await runResetWorlds(toCount(resets, "resets"));
  if (day !== undefined) return await runDay(toNumber(day, "day"));
  if (seeds !== undefined) return await runMany(toCount(seeds, "seeds"));
  if (one === undefined) throw new UsageError("Nothing is asked for.");
  const seed = toNumber(one, "seed");
  return values.shrink === true ? await shrinkOne(seed) : await showOne(seed);
}

try {
  process.exitCode = await run();
} catch (error) {
  const isUsage =
    error instanceof UsageError ||
    (error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS"));
  if (!isUsage) throw error;
  process.stderr.write(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}
