/** A process of a batch: runs the seeds that it is sent, and answers with what came of them. */
import process from "node:process";
import type { Chunk, ChunkReport, FailedSeed } from "./batch.ts";
import { noReduction, planOf } from "./plan.ts";
import { Statistics } from "./statistics.ts";
import { runWorld } from "./world.ts";

// Whoever wants to see where an error came from runs its seed alone.
Error.stackTraceLimit = 0;

async function runChunk({ from, count, hasWorkers }: Chunk): Promise<ChunkReport> {
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
