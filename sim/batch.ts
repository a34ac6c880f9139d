import { fork } from "node:child_process";
import path from "node:path";
import { Statistics } from "./statistics.ts";
import type { StatisticsRecord } from "./statistics.ts";

/** Seeds that a worker runs at a time. */
const seedsPerChunk = 40;

export interface FailedSeed {
  readonly seed: number;
  readonly kind: string;
  readonly message: string;
}

/** What a worker is asked, and what it answers. */
export interface Chunk {
  readonly from: number;
  readonly count: number;
}

export interface ChunkReport extends Chunk {
  readonly failures: readonly FailedSeed[];
  /** Of every world, in order. */
  readonly hashes: readonly string[];
  readonly statistics: StatisticsRecord;
}

export interface BatchOptions {
  readonly from: number;
  readonly count: number;
  readonly workerCount: number;
  /** Stops handing out seeds once one has failed. */
  readonly stopsAtFailure?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly execArgv?: readonly string[];
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
  const { from, count, workerCount } = options;
  const startedAtMs = performance.now();
  const statistics = new Statistics();
  const failures: FailedSeed[] = [];
  const hashes = new Map<number, readonly string[]>();
  let next = from;
  let doneCount = 0;
  const take = (): Chunk | undefined => {
    if (next >= from + count || (options.stopsAtFailure === true && failures.length > 0)) return undefined;
    const chunk = { from: next, count: Math.min(seedsPerChunk, from + count - next) };
    next += chunk.count;
    return chunk;
  };
  const work = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = fork(path.join(import.meta.dirname, "worker.ts"), [], {
        env: { ...process.env, ...options.env },
        execArgv: [...(options.execArgv ?? ["--conditions=aion-source"])],
      });
      const ask = (): void => {
        const chunk = take();
        if (chunk === undefined) worker.disconnect();
        else worker.send(chunk);
      };
      let isWorking = true;
      worker.on("message", (message) => {
        const report = message as ChunkReport;
        failures.push(...report.failures);
        hashes.set(report.from, report.hashes);
        statistics.merge(report.statistics);
        doneCount += report.count;
        options.onProgress?.(doneCount);
        isWorking = next < from + count;
        ask();
      });
      worker.on("error", reject);
      worker.on("exit", (code) => {
        if (code === 0) resolve();
        else
          reject(
            new Error(`a worker of the simulation ended with ${code}${isWorking ? " amid its work" : ""}`),
          );
      });
      ask();
    });
  await Promise.all(Array.from({ length: workerCount }, work));
  return {
    failures: failures.toSorted((a, b) => a.seed - b.seed),
    hashes: [...hashes].toSorted(([a], [b]) => a - b).flatMap(([, of]) => of),
    statistics,
    elapsedMs: performance.now() - startedAtMs,
  };
}
