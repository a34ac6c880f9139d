/** A process of a batch: runs the seeds that it is sent, and answers with what came of them. */
import process from "node:process";
import type { Chunk, ChunkReport, FailedSeed } from "./batch.ts";
import { noReduction, planOf } from "./plan.ts";
import { runResetWorld } from "./reset-world.ts";
import { runScheduleWorld } from "./schedule-world.ts";
import { Statistics } from "./statistics.ts";
import { runWorld } from "./world.ts";

// Whoever wants to see where an error came from runs its seed alone.
Error.stackTraceLimit = 0;

/** The same of worlds of schedules. Nothing is counted of them. */
async function runSchedules({ from, count }: Chunk, days: number): Promise<ChunkReport> {
  const failures: FailedSeed[] = [];
  for (let seed = from; seed < from + count; seed++) {
    process.send?.(seed);
    const { failure } = await runScheduleWorld({ seed, days });
    if (failure !== undefined) failures.push({ seed, kind: failure.kind, message: failure.message });
  }
  return { from, count, failures, hashes: [], statistics: new Statistics().toRecord() };
}

/** The same of worlds of resets. */
async function runResets({ from, count }: Chunk): Promise<ChunkReport> {
  const failures: FailedSeed[] = [];
  for (let seed = from; seed < from + count; seed++) {
    process.send?.(seed);
    const { failure } = await runResetWorld({ seed });
    if (failure !== undefined) failures.push({ seed, kind: failure.kind, message: failure.message });
  }
  return { from, count, failures, hashes: [], statistics: new Statistics().toRecord() };
}

async function runChunk(chunk: Chunk): Promise<ChunkReport> {
  const { from, count, hasWorkers, scheduleDays, hasResets } = chunk;
  if (hasResets !== undefined) return await runResets(chunk);
  if (scheduleDays !== undefined) return await runSchedules(chunk, scheduleDays);
  const failures: FailedSeed[] = [];
  const hashes: string[] = [];
  const statistics = new Statistics();
  const reduction = hasWorkers === undefined ? noReduction : { ...noReduction, hasWorkers };
  for (let seed = from; seed < from + count; seed++) {
    process.send?.(seed);
    const verdict = await runWorld(planOf(seed, reduction));
    hashes.push(verdict.hash);
    statistics.merge(verdict.statistics.toRecord());
    if (verdict.failure !== undefined)
      failures.push({ seed, kind: verdict.failure.kind, message: verdict.failure.message });
  }
  return { from, count, failures, hashes, statistics: statistics.toRecord() };
}

process.on("message", (chunk) => {
  runChunk(chunk as Chunk).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});
