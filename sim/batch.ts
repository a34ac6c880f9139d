import { fork } from "node:child_process";
import path from "node:path";
import { Statistics } from "./statistics.ts";
import type { StatisticsRecord } from "./statistics.ts";

/** Seeds that a worker runs at a time, unless told. */
const seedsPerChunkDefault = 40;

export interface FailedSeed {
  readonly seed: number;
  readonly kind: string;
  readonly message: string;
}

/** A world takes a fraction of a second. */
const seedMsMax = 60_000;

/** What a worker is asked, and what it answers. */
export interface Chunk {
  readonly from: number;
  readonly count: number;
  /** Whether the worlds have workers; absent: half of them do. */
  readonly hasWorkers?: boolean;
  /** Worlds of schedules, and of so many days. */
  readonly scheduleDays?: number;
  /** Worlds of resets. */
  readonly hasResets?: true;
}

export interface ChunkReport extends Chunk {
  readonly failures: readonly FailedSeed[];
  /** Of every world, in order. */
  readonly hashes: readonly string[];
  readonly statistics: StatisticsRecord;
}

export interface BatchOptions extends Chunk {
  readonly workerCount: number;
  readonly seedsPerChunk?: number;
  /** Stops handing out seeds once one has failed. */
  readonly stopsAtFailure?: boolean;
  /** The name of a planted bug: the engine has it in these worlds. */
  readonly planted?: string;
  readonly onProgress?: (doneCount: number) => void;
}

export interface BatchReport {
  readonly failures: readonly FailedSeed[];
  /** By seed, in order, as far as they were run. */
  readonly hashes: readonly string[];
  readonly statistics: Statistics;
  readonly elapsedMs: number;
}

/** Runs seeds in several processes: a world shares its process's unhandled rejections with no other. */
export async function runBatch(options: BatchOptions): Promise<BatchReport> {
  const { from, count, workerCount, planted, seedsPerChunk = seedsPerChunkDefault, hasWorkers } = options;
  const { scheduleDays, hasResets } = options;
  const startedAtMs = performance.now();
  const statistics = new Statistics();
  const failures: FailedSeed[] = [];
  const hashes = new Map<number, readonly string[]>();
  let next = from;
  let doneCount = 0;
  const take = (): Chunk | undefined => {
    if (next >= from + count || (options.stopsAtFailure === true && failures.length > 0)) return undefined;
    const chunk = {
      from: next,
      count: Math.min(seedsPerChunk, from + count - next),
      ...(hasWorkers === undefined ? {} : { hasWorkers }),
      ...(scheduleDays === undefined ? {} : { scheduleDays }),
      ...(hasResets === undefined ? {} : { hasResets }),
    };
    next += chunk.count;
    return chunk;
  };
  /** One process, until no seeds are left or it dies. False: it died. */
  const work = (): Promise<boolean> =>
    new Promise((resolve, reject) => {
      const worker = fork(path.join(import.meta.dirname, "worker.ts"), [], {
        env: { ...process.env, ...(planted === undefined ? {} : { AION_PLANTED: planted }) },
        execArgv: [
          "--conditions=aion-source",
          "--max-old-space-size=1500",
          ...(planted === undefined ? [] : ["--import", path.join(import.meta.dirname, "plant.ts")]),
        ],
        // What a process that dies has to say is known already.
        stdio: ["ignore", "inherit", planted === undefined ? "inherit" : "ignore", "ipc"],
      });
      let seed: number | undefined;
      let watchdog: NodeJS.Timeout | undefined;
      const ask = (): void => {
        const chunk = take();
        seed = undefined;
        if (chunk === undefined) worker.disconnect();
        else worker.send(chunk);
      };
      worker.on("message", (message) => {
        clearTimeout(watchdog);
        if (typeof message === "number") {
          seed = message;
          watchdog = setTimeout(() => worker.kill("SIGKILL"), seedMsMax);
          return;
        }
        const report = message as ChunkReport;
        failures.push(...report.failures);
        hashes.set(report.from, report.hashes);
        statistics.merge(report.statistics);
        doneCount += report.count;
        options.onProgress?.(doneCount);
        ask();
      });
      worker.on("error", reject);
      worker.on("exit", (code, signal) => {
        clearTimeout(watchdog);
        if (seed === undefined && code === 0) return resolve(true);
        if (seed === undefined) return reject(new Error(`a worker of the simulation ended with ${code}`));
        const message = `its process ended with ${code ?? signal}: the world does not end, or took all memory`;
        failures.push({ seed, kind: "endless", message });
        resolve(false);
      });
      ask();
    });
  const keepWorking = async (): Promise<void> => {
    while (!(await work()));
  };
  await Promise.all(Array.from({ length: workerCount }, keepWorking));
  return {
    failures: failures.toSorted((a, b) => a.seed - b.seed),
    hashes: [...hashes].toSorted(([a], [b]) => a - b).flatMap(([, of]) => of),
    statistics,
    elapsedMs: performance.now() - startedAtMs,
  };
}
