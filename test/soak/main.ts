/**
 * `npm run soak -- --minutes 120 --rate 200`: a steady load for hours, with evictions, retention, kills and restarts;
 * memory, handles and files must not grow. Exit code 1 if something did.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Life, Sample, Verdict } from "./sample.ts";
import { judge } from "./sample.ts";

export interface SoakOptions {
  readonly minutes: number;
  readonly perSecond: number;
  readonly directory: string;
  readonly sampleMs: number;
  readonly retentionMs: number;
  readonly onSample?: (sample: Sample, life: number) => void;
}

/** Half of the time one process lives; in the other half four do, killed and stopped in turn. */
export async function soak(
  options: SoakOptions,
): Promise<{ readonly lives: readonly Life[]; readonly verdicts: readonly Verdict[] }> {
  const half = (options.minutes * 60_000) / 2;
  const plan = [
    { ms: half, end: "kill" },
    { ms: half / 4, end: "stop" },
    { ms: half / 4, end: "kill" },
    { ms: half / 4, end: "kill" },
    { ms: half / 4, end: "last" },
  ] as const;
  const lives: Life[] = [];
  for (const [index, { ms, end }] of plan.entries()) lives.push(await live(options, { ms, end, index }));
  return { lives, verdicts: judge(lives, options.perSecond) };
}

async function live(
  options: SoakOptions,
  of: { readonly ms: number; readonly end: Life["end"]; readonly index: number },
): Promise<Life> {
  const samples: Sample[] = [];
  const child = spawn(
    process.execPath,
    [
      "--conditions=aion-source",
      "--expose-gc",
      fileURLToPath(new URL("program.ts", import.meta.url)),
      `--store=${join(options.directory, "soak.db")}`,
      `--rate=${options.perSecond}`,
      `--sample-ms=${options.sampleMs}`,
      `--retention-ms=${options.retentionMs}`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const exited = once(child, "exit");
  // Until it tells something nothing can be told of it: a busy machine takes seconds to start it.
  let timer: NodeJS.Timeout | undefined;
  createInterface({ input: child.stdout }).on("line", (line) => {
    timer ??= setTimeout(() => child.kill(of.end === "kill" ? "SIGKILL" : "SIGTERM"), of.ms);
    const sample = JSON.parse(line) as Sample;
    samples.push(sample);
    options.onSample?.(sample, of.index);
  });
  const [code, signal] = (await exited) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  const isExpected = of.end === "kill" ? signal === "SIGKILL" : code === 0;
  if (!isExpected) throw new Error(`the program ended by itself: code ${code}, signal ${signal}`);
  return { end: of.end, samples };
}

export function table(verdicts: readonly Verdict[]): string {
  const width = Math.max(...verdicts.map(({ what }) => what.length));
  return verdicts
    .map(({ what, figure, isFine }) => `${isFine ? "fine " : "GROWS"}  ${what.padEnd(width)}  ${figure}`)
    .join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "120" },
      rate: { type: "string", default: "200" },
      "sample-seconds": { type: "string", default: "10" },
      directory: { type: "string" },
    },
  });
  const directory = values.directory ?? mkdtempSync(join(tmpdir(), "aion-soak-"));
  mkdirSync(directory, { recursive: true });
  const startedAt = new Date();
  const { lives, verdicts } = await soak({
    minutes: Number(values.minutes),
    perSecond: Number(values.rate),
    directory,
    sampleMs: 1_000 * Number(values["sample-seconds"]),
    retentionMs: 60_000,
    onSample: (sample, life) => process.stdout.write(`${life} ${JSON.stringify(sample)}\n`),
  });
  const recovered = lives.map((life) => life.samples[0]?.recovered ?? 0).join(", ");
  process.stdout.write(
    `\nsoaked from ${startedAt.toISOString()} for ${values.minutes} minutes; taken up at each start: ${recovered}\n`,
  );
  process.stdout.write(`${table(verdicts)}\n`);
  rmSync(directory, { recursive: true, force: true });
  process.exitCode = verdicts.every(({ isFine }) => isFine) ? 0 : 1;
}
