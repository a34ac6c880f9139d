/**
 * Mutation testing of the engine's own code: one small fault at a time, and whether anything shows.
 *
 *     npm run mutation -- src/replay/match.ts src/replay/replay.ts [--every 1] [--unit]
 *
 * Each mutant runs in a process of its own on what `observation.ts` looks at. `--unit`: survivors face the unit tests and the
 * tests of recovery too, in a copy of the tree. Prints the survivors and the score; it judges nothing.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import type { CodeMutant } from "./code-mutants.ts";
import { codeMutants } from "./code-mutants.ts";

const { values, positionals: files } = parseArgs({
  allowPositionals: true,
  options: { every: { type: "string", default: "1" }, unit: { type: "boolean", default: false } },
});
const root = path.dirname(path.dirname(import.meta.dirname));
const timeoutMs = 120_000;
const unitTests = [
  "src/replay",
  "src/program",
  "test/replay/mutants",
  "test/recovery/recover",
  "test/recovery/determinism",
  "test/features",
];

const folder = mkdtempSync(path.join(tmpdir(), "aion-mutation-"));

function observation(file?: string, mutant?: CodeMutant): string {
  const place = path.join(folder, "mutant.ts");
  if (mutant !== undefined) writeFileSync(place, mutant.text);
  const script = path.join(import.meta.dirname, "trial-process.ts");
  const env = file === undefined ? {} : { AION_MUTATED_FILE: path.join(root, file), AION_MUTANT: place };
  const { stdout, status } = spawnSync(process.execPath, ["--conditions=aion-source", script], {
    env: { ...process.env, ...env },
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    maxBuffer: 1e9,
    encoding: "utf8",
  });
  return status === 0 ? stdout : "died";
}

/** Whether the tests of the tree fail on it. */
function failsUnitTests(file: string, mutant: CodeMutant): boolean {
  const tree = path.join(folder, "tree");
  const place = path.join(tree, file);
  const original = readFileSync(place, "utf8");
  writeFileSync(place, mutant.text);
  try {
    const vitest = path.join(tree, "node_modules/vitest/vitest.mjs");
    const { status } = spawnSync(process.execPath, [vitest, "run", "--bail=1", ...unitTests], {
      cwd: tree,
      timeout: timeoutMs * 3,
      killSignal: "SIGKILL",
      encoding: "utf8",
    });
    return status !== 0;
  } finally {
    writeFileSync(place, original);
  }
}

try {
  if (values.unit) {
    const tree = path.join(folder, "tree");
    for (const name of [
      "src",
      "test",
      "examples",
      "docs",
      "package.json",
      "package-lock.json",
      "tsconfig.json",
      "vitest.config.ts",
    ]) {
      cpSync(path.join(root, name), path.join(tree, name), { recursive: true });
    }
    symlinkSync(path.join(root, "node_modules"), path.join(tree, "node_modules"));
  }
  const healthy = observation();
  if (healthy === "died" || observation() !== healthy)
    throw new Error("the observation is not the same twice");
  for (const file of files) {
    const all = codeMutants(file, readFileSync(path.join(root, file), "utf8"));
    const mutants = all.filter((_each, index) => index % Number(values.every) === 0);
    let killedCount = 0;
    for (const mutant of mutants) {
      const isKilled = observation(file, mutant) !== healthy || (values.unit && failsUnitTests(file, mutant));
      if (isKilled) killedCount += 1;
      else console.log(`survives: ${file}:${mutant.line}: ${mutant.what}`);
    }
    const part = mutants.length === 0 ? 100 : (100 * killedCount) / mutants.length;
    console.log(`${file}: ${killedCount} of ${mutants.length} found (${part.toFixed(1)} %)`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
