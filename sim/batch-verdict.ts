import { createHash } from "node:crypto";
import type { BatchReport } from "./batch.ts";
import { sometimes, sometimesWithWorkers } from "./statistics.ts";

/** Clients must mostly get what they ask for: a world in which they do not shows little. */
const doneShareMin = 0.3;
/** Fewer seeds than this need not have met everything that happens sometimes. */
const seedsForAll = 2_000;
const shownMax = 20;

/** Says what a batch showed, and whether it may count. */
export function judgeBatch(
  report: BatchReport,
  of: {
    readonly from: number;
    readonly count: number;
    readonly workerCount: number;
    readonly hasWorkers?: boolean;
  },
): { readonly lines: readonly string[]; readonly isGood: boolean } {
  const { failures, hashes, statistics, elapsedMs } = report;
  const { from, count, workerCount } = of;
  const lines: string[] = [];
  lines.push("asked of engines (done, refused, of all):");
  const poor: string[] = [];
  for (const [name, { asked, done, refused }] of [...statistics.verbs].toSorted(([a], [b]) =>
    a.localeCompare(b),
  )) {
    const share = done / asked;
    lines.push(`  ${name}: ${done} + ${refused} of ${asked} (${(share * 100).toFixed(0)} %)`);
    if (share < doneShareMin) poor.push(name);
  }
  lines.push("what happens sometimes:");
  const never: string[] = [];
  for (const what of of.hasWorkers === false ? sometimes : [...sometimes, ...sometimesWithWorkers]) {
    const times = statistics.counts.get(what) ?? 0;
    lines.push(`  ${what}: ${times}`);
    if (times === 0) never.push(what);
  }
  const seconds = elapsedMs / 1_000;
  const { stepCount, runCount, eventCount } = statistics;
  lines.push(
    `${count} seeds from ${from}, ${stepCount} steps, ${runCount} runs, ${eventCount} events, in ${seconds.toFixed(1)} s ` +
      `(${(count / seconds).toFixed(0)} seeds/s on ${workerCount} processes)`,
    `traces ${createHash("sha256").update(hashes.join()).digest("hex").slice(0, 16)}`,
  );
  for (const { seed, kind, message } of failures.slice(0, shownMax))
    lines.push(`BROKEN ${kind} by seed ${seed}: ${message}`);
  if (failures.length > shownMax) lines.push(`and ${failures.length - shownMax} more`);
  if (poor.length > 0) lines.push(`TOO FEW ANSWERS to ${poor.join(", ")}`);
  const misses = count >= seedsForAll ? never : [];
  if (misses.length > 0) lines.push(`NEVER SEEN: ${misses.join("; ")}`);
  const isGood = failures.length === 0 && poor.length === 0 && misses.length === 0;
  lines.push(isGood ? "no law was broken" : `${failures.length} seeds broke a law`);
  return { lines, isGood };
}
