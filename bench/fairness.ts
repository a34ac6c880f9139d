/**
 * `npm run bench:fairness`: one server, two namespaces. How long does a workflow of the quiet one take, from the start to its
 * result, while nothing else happens, and while the other one is flooded?
 *
 * Server, workers, the caller that floods and the one that measures are processes of their own. Between two floods it is measured without
 * one, so that each ratio stands beside its own base.
 */
import { execFile, fork, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { Client } from "aion/client";
import { quantile } from "./fsync-rate.ts";
import { benchRoot, dataRoot } from "./paths.ts";

const usage = `npm run bench:fairness -- [options]

  --seconds N    how long each part is measured (default 10)
  --only A,B     these floods alone, of starts, signals, payloads (default: all)
  --pause MS     between two workflows of the quiet one (default 0)
  --apart        the flooded namespace on a server of its own: what the machine alone makes of it
  --profile DIR  write a CPU profile of the server there
  --help
`;

const floods = ["starts", "signals", "payloads"] as const;
type Flood = (typeof floods)[number];

/** How many calls of a flood are under way at once. */
const inFlight: Readonly<Record<Flood, number>> = { starts: 500, signals: 500, payloads: 32 };
const payloadBytes = 1024 * 1024;
const counters = 10;
const settleMs = 1_500;

interface FloodOrder {
  readonly flood: Flood | undefined;
}

/** The caller that floods: until it is told to end, and then it says how many calls were answered. */
async function floodCaller(url: string): Promise<void> {
  const client = new Client({ url, namespace: "noisy" });
  const prefix = randomUUID();
  const ids = Array.from({ length: counters }, (_, index) => `${prefix}-counter-${index}`);
  for (const id of ids) await client.start("counter", null, { id });
  const large = "x".repeat(payloadBytes);
  let order: { isOver: boolean } = { isOver: true };
  let lanes: Promise<unknown> = Promise.resolve();
  let answered = 0;
  const calls: Readonly<Record<Flood, (lane: number) => Promise<unknown>>> = {
    starts: async () => await (await client.start("step", { text: "cheap" })).result(),
    signals: async (lane) => await client.get(ids[lane % counters] ?? "").signal("poke", 1),
    payloads: async () => await (await client.start("step", { text: large })).result(),
  };
  process.on("message", ({ flood }: FloodOrder) => {
    order.isOver = true;
    if (flood === undefined) {
      void lanes.then(() => process.send?.({ answered }));
      return;
    }
    const mine = { isOver: false };
    order = mine;
    answered = 0;
    const run = async (lane: number): Promise<void> => {
      while (!mine.isOver) {
        await calls[flood](lane);
        if (!mine.isOver) answered += 1;
      }
    };
    lanes = Promise.all(Array.from({ length: inFlight[flood] }, (_, lane) => run(lane)));
  });
  process.on("disconnect", () => process.exit());
  process.send?.("ready");
}

interface Sample {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}

async function measureQuiet(client: Client, seconds: number, pauseMs: number): Promise<Sample> {
  const millis: number[] = [];
  const until = performance.now() + seconds * 1_000;
  while (performance.now() < until) {
    const since = performance.now();
    await (await client.start("step", { text: "quiet" })).result();
    millis.push(performance.now() - since);
    if (pauseMs > 0) await delay(pauseMs);
  }
  return { count: millis.length, p50: quantile(millis, 0.5), p99: quantile(millis, 0.99) };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "10" },
      only: { type: "string", default: floods.join(",") },
      pause: { type: "string", default: "0" },
      apart: { type: "boolean", default: false },
      profile: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const [seconds, pauseMs] = [Number(values.seconds), Number(values.pause)];
  const chosen = floods.filter((flood) => values.only.split(",").includes(flood));
  const index = fileURLToPath(import.meta.resolve("aion"));
  const command = join(dirname(index), "cli", `main${extname(index)}`);
  const file = join(benchRoot, "service", "fair.ts");
  mkdirSync(dataRoot, { recursive: true });
  const directory = mkdtempSync(join(dataRoot, "fairness-"));
  const processes: ChildProcess[] = [];
  const start = async (
    args: readonly string[],
    nodeArgs: readonly string[] = [],
  ): Promise<{ url: string }> => {
    const child = spawn(process.execPath, [...nodeArgs, command, ...args, "--json"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    processes.push(child);
    const [line] = (await once(createInterface(child.stdout), "line")) as [string];
    return JSON.parse(line) as { url: string };
  };
  const line = (cells: readonly (string | number)[]): void => {
    process.stdout.write(`${cells.map((cell) => String(cell).padStart(12)).join("")}\n`);
  };
  try {
    process.env["AION_NAMESPACES"] = "quiet,noisy";
    const profile = values.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${values.profile}`];
    const startServer = async (data: string): Promise<string> => {
      const config = ["--data", join(directory, data), "--port", "0", "--log-level", "warn"];
      return (await start(["server", ...config], profile)).url;
    };
    const quietUrl = await startServer("data");
    const noisyUrl = values.apart ? await startServer("data-apart") : quietUrl;
    const places = { quiet: quietUrl, noisy: noisyUrl };
    for (const [namespace, url] of Object.entries(places)) {
      await promisify(execFile)(process.execPath, [
        ...[command, "deploy", file, "--url", url, "--namespace", namespace],
      ]);
      await start(["worker", file, "--url", url, "--namespace", namespace, "--concurrency", "2000"]);
    }
    const flooder = fork(fileURLToPath(import.meta.url), ["--flood", noisyUrl]);
    processes.push(flooder);
    await once(flooder, "message");
    const quiet = new Client({ url: quietUrl, namespace: "quiet" });
    await measureQuiet(quiet, Math.min(seconds, 3), 0);
    line(["flood", "flood/s", "quiet p50", "quiet p99", "p50 ratio", "p99 ratio", "quiet n"]);
    const show = (name: string, rate: number, sample: Sample, base: Sample): void =>
      line([
        name,
        rate.toFixed(0),
        `${sample.p50.toFixed(1)} ms`,
        `${sample.p99.toFixed(1)} ms`,
        (sample.p50 / base.p50).toFixed(1),
        (sample.p99 / base.p99).toFixed(1),
        sample.count,
      ]);
    for (const flood of chosen) {
      const base = await measureQuiet(quiet, seconds, pauseMs);
      show("none", 0, base, base);
      const since = performance.now();
      flooder.send({ flood } satisfies FloodOrder);
      await delay(settleMs);
      const under = await measureQuiet(quiet, seconds, pauseMs);
      flooder.send({ flood: undefined } satisfies FloodOrder);
      const floodSeconds = (performance.now() - since) / 1_000;
      const [{ answered }] = (await once(flooder, "message")) as [{ readonly answered: number }];
      show(flood, answered / floodSeconds, under, base);
    }
  } finally {
    for (const child of processes.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    rmSync(directory, { recursive: true, force: true });
  }
}

const [role, url] = process.argv.slice(2);
if (role === "--flood" && url !== undefined) await floodCaller(url);
else await main();
