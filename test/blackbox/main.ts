/**
 * Plays many random cases, against the model and under kills, and prints what came of it.
 *
 *     npm run blackbox -- --programs 2000 --seed 1 [--first 0] [--kills 3] [--control] [--real] [--server] [--json]
 *
 * `--control`: each is played a second time without kills, and the histories are compared.
 * `--server`: by a server and two workers in processes of their own, whose connections break at any byte, and which die of kill -9.
 * `--real`: in a process of its own, over a file, which dies of kill -9 so many times in all (default 40).
 * Exit code 1: something was not as it had to be. What is printed then repeats it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { generate } from "./generator.ts";
import { playReal } from "./real-play.ts";
import { shrink } from "./shrink.ts";
import { steadyCases } from "./steady.ts";
import { attempt } from "./trial.ts";

const { values } = parseArgs({
  options: {
    programs: { type: "string", default: "2000" },
    seed: { type: "string", default: "1" },
    first: { type: "string", default: "0" },
    kills: { type: "string" },
    control: { type: "boolean", default: false },
    real: { type: "boolean", default: false },
    server: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const programCount = Number(values.programs);
const first = Number(values.first);
const killsMax = Number(values.kills ?? 3);
const reportsMax = 10;
const noteEachMs = 10_000;

if (values.real || values.server) await playForReal();
else await playMany();

async function playForReal(): Promise<void> {
  const directory = mkdtempSync(path.join(tmpdir(), "aion-blackbox-"));
  try {
    const { seed } = values;
    const killCount = Number(values.kills ?? 40);
    const cases = steadyCases(seed, programCount);
    const began = performance.now();
    const end = await playReal({ cases, directory, killCount, seed, isServed: values.server });
    const seconds = (performance.now() - began) / 1_000;
    for (const violation of end.violations) console.error(`violation: ${violation}`);
    console.log(
      `${programCount} programs in ${seconds.toFixed(1)} s, seed ${seed}: ${end.violations.length} violations, ` +
        `${end.killCount} times kill -9, ${end.cutCount} connections cut, ${end.callCount} executions, ${end.repeatedCount} of them repeated`,
    );
    process.exitCode = end.violations.length > 0 ? 1 : 0;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function playMany(): Promise<void> {
  const counts = { right: 0, wrong: 0, ambiguous: 0, kills: 0, runs: 0, calls: 0, events: 0 };
  const ends: Record<string, number> = {};
  const began = performance.now();
  let notedAt = began;
  for (let index = first; index < first + programCount; index++) {
    const trial = generate(`${values.seed}:${index}`, killsMax);
    const end = await attempt(trial, { hasControl: values.control });
    counts[end.kind] += 1;
    if (end.kind === "right") {
      const { observed } = end;
      counts.kills += observed.killedAtMs.length;
      counts.calls += observed.calls.length;
      for (const history of Object.values(observed.histories)) counts.events += history.length;
      for (const { status } of Object.values(observed.outcome.runs).flat()) {
        counts.runs += 1;
        ends[status] = (ends[status] ?? 0) + 1;
      }
    }
    if (end.kind === "wrong") {
      console.error(`violation in program ${index}: ${end.violations.join("\n  ")}`);
      console.error(
        `  repeat: npm run blackbox -- --seed ${values.seed} --first ${index} --programs 1 --kills ${killsMax}` +
          (values.control ? " --control" : ""),
      );
      if (counts.wrong <= reportsMax)
        console.error(`  smaller: ${JSON.stringify(await shrink(trial, { hasControl: values.control }))}`);
    }
    if (!values.json && performance.now() > notedAt + noteEachMs) {
      notedAt = performance.now();
      console.error(`${index + 1 - first} of ${programCount}, ${counts.wrong} wrong`);
    }
  }
  const seconds = (performance.now() - began) / 1_000;
  const summary = {
    seed: values.seed,
    programs: programCount,
    ...counts,
    ends,
    perSecond: Math.round(programCount / seconds),
  };
  if (values.json) console.log(JSON.stringify(summary));
  else {
    console.log(
      `${programCount} programs in ${seconds.toFixed(1)} s (${summary.perSecond}/s), seed ${values.seed}: ${counts.right} right, ` +
        `${counts.wrong} wrong, ${counts.ambiguous} whose outcome hangs on an order that nothing prescribes`,
    );
    const told = Object.entries(ends).map(([status, count]) => `${count} ${status}`);
    console.log(
      `${counts.kills} kills, ${counts.runs} runs (${told.join(", ")}), ${counts.calls} executions, ${counts.events} events`,
    );
  }
  process.exitCode = counts.wrong > 0 ? 1 : 0;
}
