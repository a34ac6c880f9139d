/** `npm run fuzz -- --minutes N`: the tests of this folder for so long, from other seeds. */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" } } });
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error(`--minutes must be a number above 0, got ${values.minutes}`);
const { status } = spawnSync(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", "test/fuzz", "--no-file-parallelism"],
  { stdio: "inherit", env: { ...process.env, AION_FUZZ_MINUTES: String(minutes) } },
);
process.exitCode = status ?? 1;
