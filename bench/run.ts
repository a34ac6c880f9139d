/**
 * `npm run bench`: runs the workloads, all engines in turn, and reports. What is measured and how
 * is in `bench/README.md`.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { buildBench } from "./build.ts";
import { BenchError, engineNames } from "./engine-under-test.ts";
import type { EngineName } from "./engine-under-test.ts";
import {
  buildFsyncShim,
  countTracedFsyncs,
  hasStrace,
  readTrace,
  shimEnvironment,
  straceCommand,
} from "./fsync-counter.ts";
import { installPeer } from "./install-peer.ts";
import { durability, readMachine, readVersions } from "./machine.ts";
import type { MeasureSpec } from "./measure-spec.ts";
import { benchRoot, dataRoot } from "./paths.ts";
import { lockBench } from "./run-lock.ts";
import { renderReport } from "./report.ts";
import { toJsonLine, toRows } from "./run-record.ts";
import type { RunRecord } from "./run-record.ts";
import type { MeasureResult, Workload, WorkloadCase, WorkloadId } from "./workload.ts";
import { workloadIds } from "./workload.ts";
import { workloads } from "./workloads/all.ts";

const usage = `npm run bench -- [options]

  --only W1,W2       these workloads alone (default: all)
  --peer NAME        also dbos or restate; several times for both
  --engines A,B      exactly these of floor, aion, dbos, restate, instead of floor, aion and the peers
  --repeat N         N runs of each, in turn; the table shows medians (default 1)
  --quick            small sizes, to see that everything works; its figures mean nothing
  --source           run Aion from src/ with type stripping, not from a fresh build
  --json             one JSON line per run on stdout instead of the table
  --out FILE         where the table goes; default bench/RESULTS.md, for complete runs only
  --help
`;

const measureTimeoutMs = 10 * 60_000;
const condition = "aion-source";

interface BenchOptions {
  readonly workloads: readonly Workload[];
  readonly engines: readonly EngineName[];
  readonly repeats: number;
  readonly isQuick: boolean;
  readonly isSource: boolean;
  readonly isJson: boolean;
  readonly outputFile: string | undefined;
}

function parseOptions(args: readonly string[]): BenchOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string" },
      peer: { type: "string", multiple: true, default: [] },
      engines: { type: "string" },
      repeat: { type: "string", default: "1" },
      quick: { type: "boolean", default: false },
      source: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      out: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const only = values.only === undefined ? workloadIds : values.only.split(",").map(parseWorkloadId);
  const peers = values.peer.map(parseEngineName);
  const engines =
    values.engines === undefined
      ? (["floor", "aion", ...peers] as const)
      : values.engines.split(",").map(parseEngineName);
  const repeats = Number(values.repeat);
  if (!Number.isSafeInteger(repeats) || repeats < 1)
    throw new BenchError(`--repeat ${values.repeat} is no count`);
  const isComplete = values.only === undefined && values.engines === undefined && !values.quick;
  return {
    workloads: workloads.filter((workload) => only.includes(workload.id)),
    // In the order of the table, whatever the order of the options.
    engines: engineNames.filter((name) => engines.includes(name)),
    repeats,
    isQuick: values.quick,
    isSource: values.source,
    isJson: values.json,
    outputFile: values.out ?? (isComplete ? join(benchRoot, "RESULTS.md") : undefined),
  };
}

function parseWorkloadId(text: string): WorkloadId {
  const id = workloadIds.find((candidate) => candidate === text.trim().toUpperCase());
  if (id === undefined) throw new BenchError(`no workload "${text}"; there are ${workloadIds.join(", ")}`);
  return id;
}

function parseEngineName(text: string): EngineName {
  const name = engineNames.find((candidate) => candidate === text.trim().toLowerCase());
  if (name === undefined) throw new BenchError(`no engine "${text}"; there are ${engineNames.join(", ")}`);
  return name;
}

interface Bench {
  readonly options: BenchOptions;
  readonly buildFolder: string;
  readonly shim: string | undefined;
  readonly canTrace: boolean;
  readonly logFile: string;
}

/** Runs a case, and once more under a tracer where its fsyncs cannot be counted otherwise. */
async function runCase(
  bench: Bench,
  workload: Workload,
  engine: EngineName,
  measuredCase: WorkloadCase,
): Promise<RunRecord> {
  const result = await runMeasurement(bench, {
    workload: workload.id,
    engine,
    measuredCase,
    isTraced: false,
  });
  const { tracedCount } = measuredCase;
  let { fsyncs, metrics } = result;
  if (fsyncs === undefined && tracedCount !== undefined && bench.canTrace && !isOutOfSight(engine)) {
    const inFlight = metrics["inFlight"];
    const tracedCase: WorkloadCase =
      typeof inFlight === "number" ? { count: tracedCount, inFlight } : { count: tracedCount };
    const traced = await runMeasurement(bench, {
      workload: workload.id,
      engine,
      measuredCase: tracedCase,
      isTraced: true,
    });
    if (traced.fsyncs !== undefined) {
      fsyncs = Math.round((traced.fsyncs / tracedCount) * measuredCase.count);
      metrics = { ...metrics, fsyncsFrom: `a traced run of ${tracedCount}` };
    }
  }
  const { workflows, seconds, fsyncRate } = result;
  return {
    workload: workload.id,
    engine,
    count: measuredCase.count,
    workflows,
    seconds,
    fsyncs,
    metrics,
    fsyncRate,
  };
}

/** Whether the fsyncs happen in a server that the bench did not start. */
function isOutOfSight(engine: EngineName): boolean {
  const url = process.env["DATABASE_URL"];
  return engine === "dbos" && url !== undefined && url !== "";
}

type Measurement = Omit<MeasureSpec, "directory" | "outputFile" | "isQuick">;

async function runMeasurement(bench: Bench, measurement: Measurement): Promise<MeasureResult> {
  const directory = join(dataRoot, "run");
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(join(directory, "work"), { recursive: true });
  mkdirSync(join(directory, "queries"));
  // What the last measurement left to be written must not be written during this one.
  spawnSync("sync");

  const outputFile = join(directory, "result.json");
  const traceFile = join(directory, "trace");
  const spec: MeasureSpec = {
    ...measurement,
    directory: join(directory, "work"),
    outputFile,
    isQuick: bench.options.isQuick,
  };
  // The Restate server is linked statically: no library is preloaded into it, and a count would be wrong.
  const canPreload =
    bench.shim !== undefined &&
    measurement.engine !== "restate" &&
    !isOutOfSight(measurement.engine) &&
    !measurement.isTraced;
  const env = {
    ...process.env,
    BENCH_ROOT: benchRoot,
    ...(bench.shim !== undefined && canPreload ? shimEnvironment(bench.shim, join(directory, "fsyncs")) : {}),
    ...(measurement.workload === "W8" ? { BENCH_QUERY_DIRECTORY: join(directory, "queries") } : {}),
    // The scripts of this repository hand down the condition under which Aion is its source.
    NODE_OPTIONS: bench.options.isSource ? `--conditions=${condition}` : "",
  };
  const [file, ...args] = [
    ...(measurement.isTraced ? straceCommand(traceFile) : []),
    process.execPath,
    ...(measurement.workload === "W8" ? ["--import", join(bench.buildFolder, "query-counter.js")] : []),
    join(bench.buildFolder, "measure.js"),
    JSON.stringify(spec),
  ];
  const log = openSync(bench.logFile, "a");
  const logStart = fstatSync(log).size;
  // A group of its own, so that whatever it started can be ended with it.
  const child = spawn(file, args, { env, stdio: ["ignore", log, log], detached: true });
  const group = child.pid;
  const killGroup = (): void => {
    if (group === undefined) return;
    try {
      process.kill(-group, "SIGKILL");
    } catch {
      // Nobody is left.
    }
  };
  const onInterrupt = (): void => {
    killGroup();
    process.exit(130);
  };
  process.on("SIGINT", onInterrupt);
  process.on("SIGTERM", onInterrupt);
  const timeout = setTimeout(killGroup, measureTimeoutMs);
  try {
    await once(child, "exit");
  } finally {
    clearTimeout(timeout);
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
    killGroup();
    closeSync(log);
  }
  if (!existsSync(outputFile)) {
    throw new BenchError(
      `${measurement.workload} on ${measurement.engine} gave no result (${child.signalCode ?? child.exitCode}):\n` +
        readFileSync(bench.logFile).subarray(logStart).toString("utf8").slice(-2_000),
    );
  }
  const result = JSON.parse(readFileSync(outputFile, "utf8")) as MeasureResult;
  const fsyncs = measurement.isTraced
    ? countTracedFsyncs(readTrace(traceFile), result.timedFrom, result.timedTo)
    : result.fsyncs;
  rmSync(directory, { recursive: true, force: true });
  return { ...result, fsyncs };
}

async function runBench(options: BenchOptions, args: readonly string[]): Promise<boolean> {
  const startedAt = performance.now();
  const date = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  const machine = readMachine(dataRoot);
  for (const engine of options.engines) if (engine === "dbos" || engine === "restate") installPeer(engine);
  if (options.engines.includes("aion") && !options.isSource) {
    const { status } = spawnSync(process.execPath, [join(benchRoot, "..", "scripts", "build.ts")], {
      stdio: ["ignore", 2, 2],
    });
    if (status !== 0) throw new BenchError("the build of the package failed");
  }
  const stamp = date.replaceAll(":", "");
  const bench: Bench = {
    options,
    buildFolder: buildBench(),
    shim: buildFsyncShim(dataRoot),
    canTrace: hasStrace(),
    logFile: join(dataRoot, `${stamp}.log`),
  };
  const linesFile = join(dataRoot, `${stamp}.jsonl`);

  const records: RunRecord[] = [];
  const failures: string[] = [];
  for (const workload of options.workloads) {
    for (let repeat = 0; repeat < options.repeats; repeat += 1) {
      for (const engine of options.engines) {
        for (const measuredCase of workload.cases(engine, options.isQuick)) {
          process.stderr.write(`${workload.id} ${engine} ${measuredCase.count} `);
          try {
            const record = await runCase(bench, workload, engine, measuredCase);
            records.push(record);
            const line = toJsonLine(record);
            appendFileSync(linesFile, `${line}\n`);
            if (options.isJson) process.stdout.write(`${line}\n`);
            process.stderr.write(`${record.seconds.toFixed(3)} s\n`);
          } catch (error) {
            const message = error instanceof Error ? error.message : String(error);
            failures.push(message);
            process.stderr.write(`failed: ${message}\n`);
          }
        }
      }
    }
  }

  const report = renderReport(toRows(records), options.workloads, {
    machine,
    versions: await readVersions(options.engines),
    durability: Object.fromEntries(options.engines.map((engine) => [engine, durability[engine]])),
    date,
    command: ["npm run bench", ...(args.length === 0 ? [] : ["--", ...args])].join(" "),
    repeats: options.repeats,
    fsyncCounting: describeCounting(bench),
    totalSeconds: (performance.now() - startedAt) / 1000,
  });
  if (!options.isJson) process.stdout.write(report);
  if (options.outputFile !== undefined) {
    writeFileSync(options.outputFile, report);
    process.stderr.write(`written to ${relative(process.cwd(), options.outputFile)}\n`);
  }
  for (const failure of failures) process.stderr.write(`error: ${failure}\n`);
  return failures.length === 0;
}

function describeCounting({ shim, canTrace }: Bench): string {
  const traced = canTrace
    ? "≈ is scaled from a smaller run under a tracer, never timed"
    : "no tracer on this machine, so the others are unknown";
  if (shim === undefined) return `no C compiler for the counter; ${traced}`;
  return `counted in the timed run by a preloaded library; ${traced}`;
}

async function main(args: readonly string[]): Promise<number> {
  let options: BenchOptions | "help";
  try {
    options = parseOptions(args);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return 2;
  }
  if (options === "help") {
    process.stdout.write(usage);
    return 0;
  }
  let unlock: (() => void) | undefined;
  try {
    mkdirSync(dataRoot, { recursive: true });
    unlock = lockBench(dataRoot);
    return (await runBench(options, args)) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    process.stderr.write(`error: ${error.message}\n`);
    return 1;
  } finally {
    unlock?.();
  }
}

process.exitCode = await main(process.argv.slice(2));
