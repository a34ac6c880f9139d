import { execFileSync, spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { judgeBatch } from "./batch-verdict.ts";
import type { BatchReport } from "./batch.ts";
import { runBatch } from "./batch.ts";
import { keptSeeds, keptSeedsWithWorkers } from "./kept-seeds.ts";
import { tryPlantedBug } from "./plant-trial.ts";
import { plantedBugs } from "./planted-bugs.ts";
import { noReduction, planOf } from "./plan.ts";
import { runResetWorld } from "./reset-world.ts";
import { runScheduleWorld } from "./schedule-world.ts";
import { sometimes, sometimesWithWorkers, Statistics } from "./statistics.ts";
import { runWorld } from "./world.ts";

const root = path.dirname(import.meta.dirname);

/** Other worlds for every commit, and the same for everybody who has it. */
function seedOfCommit(): number {
  try {
    const commit = execFileSync("git", ["rev-parse", "HEAD"], { cwd: root, encoding: "utf8" });
    return Number.parseInt(commit.slice(0, 7), 16);
  } catch {
    return 1_000_000;
  }
}

describe("the command line of the simulation", () => {
  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, ["--conditions=aion-source", "sim/main.ts", ...args], {
      cwd: root,
      encoding: "utf8",
    });

  it("tells what it can do", () => {
    expect(run("--help")).toMatchObject({
      status: 0,
      stderr: "",
      stdout: expect.stringContaining("--seed S"),
    });
  });

  it.each([
    ["an option that there is not", ["--sed", "3"], "Unknown option '--sed'"],
    ["nothing", [], "Nothing is asked for."],
    ["no worlds at all", ["--seeds", "0"], "--seeds must be 1 or more"],
    ["a bug that nobody planted", ["--planted", "--only", "none"], "no planted bug is named none"],
    ["what is no number", ["--seed", "x"], "--seed must be a whole number, got x"],
  ])("says what is wrong with %s, and how it is to be", (_what, args, message) => {
    const { status, stdout, stderr } = run(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr.startsWith(message)).toBe(true);
    expect(stderr).toContain("--planted [--only NAME,…]");
  });
});

describe("worlds in which everything goes wrong", () => {
  // I-1, I-3, I-4, I-5, I-6, I-8, I-9, I-10, I-12, I-14, I-16, I-17, I-19, I-20, I-21, I-22, I-23, I-24, I-25, I-26, I-27, I-28, I-29, I-34, I-35,
  // I-36, I-37, I-38, I-39, I-40, I-41, I-42, I-57, I-59, I-60
  it("break no law", async () => {
    const from = seedOfCommit();
    const { failures, statistics } = await runBatch({
      from,
      count: 300,
      workerCount: 2,
      hasWorkers: false,
    });
    expect(failures).toEqual([]);
    // They were no idle ones.
    expect(statistics.eventCount).toBeGreaterThan(10_000);
    expect(statistics.counts.get("engine crashed")).toBeGreaterThan(20);
    expect(statistics.counts.get("live run like its replay")).toBeGreaterThan(300);
  });

  // I-3, I-28, I-32, I-33, I-34
  it("break no law of schedules, over years", async () => {
    const { failures } = await runBatch({
      from: seedOfCommit(),
      count: 30,
      workerCount: 2,
      scheduleDays: 40,
    });
    expect(failures).toEqual([]);
    const { counts, failure, elapsedMs } = await runScheduleWorld({ seed: seedOfCommit(), days: 2 * 365 });
    expect(failure).toBeUndefined();
    expect(elapsedMs).toBeGreaterThan(2 * 365 * 86_400_000);
    // It was no idle one.
    expect(counts["started"]).toBeGreaterThan(100);
    expect(counts["skipped"]).toBeGreaterThan(10);
    expect(counts["outage"]).toBeGreaterThan(5);
  });

  // I-22, I-34, I-41, I-61, I-62
  it("break no law of resets and forks", async () => {
    const from = seedOfCommit();
    const { failures } = await runBatch({ from, count: 100, workerCount: 2, hasResets: true });
    expect(failures).toEqual([]);
    const happened = new Map<string, number>();
    for (let seed = from; seed < from + 20; seed++) {
      const { counts } = await runResetWorld({ seed });
      for (const [what, times] of Object.entries(counts))
        happened.set(what, (happened.get(what) ?? 0) + times);
    }
    // They were no idle ones.
    for (const what of ["resets", "forks", "redone", "carried", "taken over", "open ended"])
      expect([what, (happened.get(what) ?? 0) > 5]).toEqual([what, true]);
  });

  // I-7, I-8, I-9, I-10, I-11, I-12, I-13, I-14, I-38
  it("break no law, with workers", async () => {
    const from = seedOfCommit();
    const { failures, statistics } = await runBatch({ from, count: 150, workerCount: 2, hasWorkers: true });
    expect(failures).toEqual([]);
    expect(statistics.counts.get("attempt begun on a worker")).toBeGreaterThan(300);
    expect(statistics.counts.get("lost worker detected")).toBeGreaterThan(5);
    expect(statistics.counts.get("report recorded that was told again")).toBeGreaterThan(0);
    expect(statistics.counts.get("all workers left, and nothing was owed")).toBeGreaterThan(100);
  });

  it.each(keptSeeds)("that broke one once do so no more: seed %i", async (seed) => {
    const { failure } = await runWorld(planOf(seed, { ...noReduction, hasWorkers: false }));
    expect(failure).toBeUndefined();
  });

  it.each(keptSeedsWithWorkers)("with workers that broke one once do so no more: seed %i", async (seed) => {
    const { failure } = await runWorld(planOf(seed, { ...noReduction, hasWorkers: true }));
    expect(failure).toBeUndefined();
  });
});

describe("a seed", () => {
  it("gives the same world in every process, whatever was run before in it", async () => {
    const of = { from: 7_000, count: 60 };
    const one = await runBatch({ ...of, workerCount: 1, seedsPerChunk: 60 });
    const other = await runBatch({ ...of, workerCount: 2, seedsPerChunk: 1 });
    expect(one.hashes).toHaveLength(60);
    expect(other.hashes).toEqual(one.hashes);
    expect(new Set(one.hashes).size).toBe(60);
  });

  it("gives another world when something is left out of it, and the same up to any step", async () => {
    const whole = await runWorld(planOf(7_000), { keepsTrace: true });
    const part = await runWorld(planOf(7_000), { keepsTrace: true, untilStep: 50 });
    expect(part.stepCount).toBe(50);
    expect(whole.trace.slice(0, part.trace.length)).toEqual(part.trace);
    const [operation] = planOf(7_000).clients[0] ?? [];
    const smaller = await runWorld(planOf(7_000, { faults: [], operations: [operation?.number ?? -1] }));
    expect(smaller.hash).not.toBe(whole.hash);
  });
});

describe("a batch", () => {
  const report = (statistics: Statistics): BatchReport => ({
    failures: [],
    hashes: [],
    statistics,
    elapsedMs: 1,
  });
  const of = { from: 1, count: 2_000, workerCount: 1 };
  const full = (): Statistics => {
    const statistics = new Statistics();
    for (const what of [...sometimes, ...sometimesWithWorkers]) statistics.note(what);
    Object.assign(statistics.verb("start"), { asked: 10, done: 9, refused: 1 });
    return statistics;
  };

  it("counts when everything was seen in it and clients got their answers", () => {
    expect(judgeBatch(report(full()), of).isGood).toBe(true);
  });

  it("does not count when something never happened in it, or most of what was asked was refused", () => {
    const blind = full();
    blind.counts.delete("engine crashed");
    expect(judgeBatch(report(blind), of)).toMatchObject({ isGood: false });
    expect(judgeBatch(report(blind), of).lines).toContain("NEVER SEEN: engine crashed");
    const poor = full();
    Object.assign(poor.verb("signal"), { asked: 10, done: 2, refused: 8 });
    expect(judgeBatch(report(poor), of).lines).toContain("TOO FEW ANSWERS to signal");
    expect(judgeBatch(report(poor), of).isGood).toBe(false);
  });
});

describe("bugs planted into the engine", () => {
  it("are at least 25, and each of them still fits the source at one place", () => {
    expect(plantedBugs.length).toBeGreaterThanOrEqual(25);
    expect(new Set(plantedBugs.map(({ name }) => name)).size).toBe(plantedBugs.length);
    const misfits = plantedBugs.flatMap(({ name, edits }) =>
      edits
        .map(({ file, find }) => readFileSync(path.join(root, file), "utf8").split(find).length - 1)
        .filter((places) => places !== 1)
        .map((places) => `${name}: ${places} places`),
    );
    expect(misfits).toEqual([]);
  });

  it("are the ones of the page, which says of each within how many worlds it is caught", () => {
    const page = readFileSync(path.join(root, "docs/planted-bugs.md"), "utf8");
    const rows = [...page.matchAll(/^\| `([a-z-]+)` +\|(?:[^|]*\|){4} +(\d+) +\|/gm)].map(
      ([, name, within]) => [name, Number(within)],
    );
    expect(rows).toEqual(plantedBugs.map(({ name, within }) => [name, within]));
  });

  it("cannot be switched on in what is published: the source has no switch for them", () => {
    const sources = globSync("src/**/*.ts", { cwd: root });
    expect(sources.length).toBeGreaterThan(50);
    const switches = sources.filter((file) => /planted/i.test(readFileSync(path.join(root, file), "utf8")));
    expect(switches).toEqual([]);
  });

  const quick = plantedBugs.filter(({ within }) => within <= 30);

  it.each(quick.map((bug) => [bug.name, bug.within, bug] as const))(
    "are caught: %s, within %i worlds",
    async (_name, within, bug) => {
      const { seedsNeeded } = await tryPlantedBug(bug, { seedsMax: within, workerCount: 2 });
      expect(seedsNeeded).toBeLessThanOrEqual(within);
    },
  );

  it("are shrunk to a smaller world that breaks the same law, with the command that runs it", async () => {
    const name = "one-attempt-too-many";
    const law = "BROKEN attempts-exceeded";
    const bug = plantedBugs.find((of) => of.name === name);
    if (bug === undefined) throw new Error(`no bug is named ${name}`);
    const { seedsNeeded } = await tryPlantedBug(bug, { seedsMax: bug.within, workerCount: 2 });
    const run = (args: readonly string[]): { readonly stdout: string; readonly status: number | null } =>
      spawnSync(
        process.execPath,
        ["--conditions=aion-source", "--import", "./sim/plant.ts", "sim/main.ts", ...args],
        { cwd: root, encoding: "utf8", env: { ...process.env, AION_PLANTED: name } },
      );
    const whole = run(["--seed", String(seedsNeeded), "--labour", "engines"]);
    expect(whole).toMatchObject({ status: 1, stdout: expect.stringContaining(law) });
    const { stdout, status } = run(["--seed", String(seedsNeeded), "--labour", "engines", "--shrink"]);
    expect(status).toBe(1);
    const command = /npm run sim -- (.*)/.exec(stdout)?.[1] ?? "";
    expect(command).toMatch(/--(?:without|drop|engines) /);
    expect(run(command.split(" "))).toMatchObject({ status: 1, stdout: expect.stringContaining(law) });
  });
});
