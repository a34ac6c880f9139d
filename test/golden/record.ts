/**
 * Records golden histories: `node test/golden/record.ts NAME…`, with names of `scenarios.ts` (`all`: those that have no
 * file of this version yet). Writes `<name>.<version>.json` and its line in `checksums.txt`.
 *
 * A history that is there is never written again: code that no longer replays it is what is wrong. What changed on
 * purpose gets a further history, of the next version or under the name of a further scenario.
 */
import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { encodeRow } from "../../src/core/codec.ts";
import { parseRunLimits } from "../../src/engine/run-limits.ts";
import { World } from "../recovery/world.ts";
import { checksumLine, checksumsPath, goldenFolder } from "./golden-file.ts";
import type { GoldenFile } from "./golden-file.ts";

const root = path.join(goldenFolder, "../..");
const condition = "--conditions=aion-source";

async function recordOne(name: string, version: string): Promise<string> {
  // Loaded here: the example imports Aion by its name, which means the source only under the condition.
  const { goldenScenarios } = await import("./scenarios.ts");
  const scenario = goldenScenarios[name];
  if (scenario === undefined) {
    throw new Error(`there is no scenario ${name}; there are ${Object.keys(goldenScenarios).join(", ")}`);
  }
  const file = `${name}.${version}.json`;
  if (existsSync(path.join(goldenFolder, file))) {
    throw new Error(`${file} is there already, and a golden history is never written again`);
  }
  const histories: Record<string, { firstSeq: number; row: string }[]> = {};
  const world = new World({
    workflows: () => scenario.workflows,
    activities: scenario.activities,
    ...(scenario.limits === undefined
      ? {}
      : { kernel: { limits: parseRunLimits(scenario.limits), onRunLimit: "fail" } }),
    onAppend: ({ commits }) => {
      for (const { run, start } of commits) {
        for (const [part, firstSeq] of [
          [run, (run?.expectedSeq ?? 0) + 1],
          [start, start?.firstSeq ?? 0],
        ] as const) {
          if (part === undefined || part.events.length === 0) continue;
          const rows = (histories[part.workflowId] ??= []);
          // Stacks name files; where this repository lies is nobody's business.
          const row = encodeRow(part.events)
            .replaceAll(pathToFileURL(root).href, "aion:")
            .replaceAll(root, "aion:");
          rows.push({ firstSeq, row });
        }
      }
    },
  });
  const { client } = await world.open();
  await world.during(scenario.play(client, world));
  await world.settle();
  const open = (await world.runs()).filter((run) => run.status === "running");
  if (open.length > 0) throw new Error(`${open.map((run) => run.workflowId).join()} did not end`);
  const content: GoldenFile = { scenario: name, recordedBy: version, histories };
  writeFileSync(path.join(goldenFolder, file), `${JSON.stringify(content, undefined, 2)}\n`, { flag: "wx" });
  appendFileSync(checksumsPath, `${checksumLine(file)}\n`);
  return file;
}

async function main(names: readonly string[]): Promise<void> {
  const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
    readonly version: string;
  };
  const { goldenScenarios } = await import("./scenarios.ts");
  const all = Object.keys(goldenScenarios);
  const isMissing = (name: string): boolean =>
    !existsSync(path.join(goldenFolder, `${name}.${manifest.version}.json`));
  const wanted = names.includes("all") ? all.filter(isMissing) : names;
  if (names.length === 0) throw new Error(`name a scenario: all, ${all.join(", ")}`);
  for (const name of wanted) console.log(`recorded ${await recordOne(name, manifest.version)}`);
}

const [, script = "", ...names] = process.argv;
if (process.execArgv.includes(condition)) await main(names);
else
  process.exitCode =
    spawnSync(process.execPath, [condition, script, ...names], { stdio: "inherit" }).status ?? 1;
