/**
 * Updates, pauses, reopenings, resets, forks, decisions about parked activities, search attributes and schedules of real processes that die,
 * and prints what came of it.
 *
 *     npm run operations -- [--minutes 10] [--server] [--seed 1] [--seconds 20]
 *
 * Play after play, each of so many seconds on data of its own, until the minutes are over (default: one play). `--server`: of a server with
 * its code host and two workers, over HTTP and gRPC on connections that break at any byte, instead of an engine in one process.
 * `--planted NAME`: with that bug of sim/planted-bugs.ts in the engine; then something is to be found.
 * Exit code 1: something was not as it had to be, or a planted bug was not found.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import type { PlayEnd } from "./play.ts";
import { playOperations } from "./play.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "0" },
    seconds: { type: "string", default: "12" },
    server: { type: "boolean", default: false },
    seed: { type: "string", default: "1" },
    planted: { type: "string" },
  },
});

const until = performance.now() + Number(values.minutes) * 60_000;
const totals = { plays: 0, violations: 0, cuts: 0, audited: 0 };
const kills: Record<string, number> = {};
const eventCounts: Record<string, number> = {};

for (let number = 0; number === 0 || performance.now() < until; number++) {
  const seed = `${values.seed}:${number}`;
  const directory = mkdtempSync(path.join(tmpdir(), "aion-operations-"));
  const end = await playOperations({
    directory,
    seed,
    isServed: values.server,
    planted: values.planted,
    lastsMs: Number(values.seconds) * 1_000,
  });
  tell(seed, end, directory);
  if (values.planted !== undefined && end.violations.length > 0) break;
}

const shown = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join(", ");
console.log(
  `${totals.plays} plays: ${totals.violations} violations, ${totals.audited} answers and effects audited, ` +
    `killed ${shown(kills)}, ${totals.cuts} connections cut`,
);
console.log(shown(eventCounts));
process.exitCode = totals.violations > 0 === (values.planted !== undefined) ? 0 : 1;

function tell(seed: string, end: PlayEnd, directory: string): void {
  totals.plays += 1;
  totals.violations += end.violations.length;
  totals.cuts += end.cutCount;
  totals.audited += end.auditedCount;
  for (const [name, count] of Object.entries(end.kills)) kills[name] = (kills[name] ?? 0) + count;
  for (const type of [
    "UpdateAccepted",
    "WorkflowPaused",
    "WorkflowReopened",
    "WorkflowReset",
    "ActivityParked",
    "SearchAttributesUpdated",
    "ScheduleTriggered",
    "ScheduleSkipped",
  ])
    eventCounts[type] = (eventCounts[type] ?? 0) + (end.eventCounts[type] ?? 0);
  for (const violation of end.violations.slice(0, 20))
    console.error(`violation in play ${seed}: ${violation}`);
  if (end.violations.length === 0) rmSync(directory, { recursive: true, force: true });
}
