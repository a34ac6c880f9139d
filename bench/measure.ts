/**
 * One measurement in a process of its own, so that its memory, its CPU time and its compiled code
 * are its own. Its argument is a `MeasureSpec`; the result goes into a file, since engines print.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readFsyncCount } from "./fsync-counter.ts";
import { combineFsyncRates, measureFsyncRate } from "./fsync-rate.ts";
import type { MeasureSpec } from "./measure-spec.ts";
import { treeCpuSeconds } from "./process-meter.ts";
import type { MeasureContext, MeasureResult } from "./workload.ts";
import { workloadOf } from "./workloads/all.ts";

const spec = JSON.parse(process.argv[2] ?? "{}") as MeasureSpec;

let timedFrom = 0;
let timedTo = 0;

function epochSeconds(): number {
  return (performance.timeOrigin + performance.now()) / 1000;
}

function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const context: MeasureContext = {
  engine: spec.engine,
  measuredCase: spec.measuredCase,
  isTraced: spec.isTraced,
  isQuick: spec.isQuick,
  directory(name) {
    const path = join(spec.directory, name);
    mkdirSync(path, { recursive: true });
    return path;
  },
  async timed(section) {
    const fsyncsBefore = readFsyncCount();
    const treeBefore = treeCpuSeconds(process.pid);
    const ownBefore = ownCpuSeconds();
    timedFrom = epochSeconds();
    const startedAt = performance.now();
    await section();
    const seconds = (performance.now() - startedAt) / 1000;
    timedTo = epochSeconds();
    const callerCpuSeconds = ownCpuSeconds() - ownBefore;
    const cpuSeconds = treeCpuSeconds(process.pid) - treeBefore;
    const fsyncsAfter = readFsyncCount();
    return {
      seconds,
      fsyncs:
        fsyncsBefore === undefined || fsyncsAfter === undefined ? undefined : fsyncsAfter - fsyncsBefore,
      cpuSeconds,
      callerCpuSeconds,
    };
  },
};

const rateBefore = measureFsyncRate(spec.directory);
const measured = await workloadOf(spec.workload).measure(context);
const rateAfter = measureFsyncRate(spec.directory);
const result: MeasureResult = {
  ...measured,
  fsyncRate: combineFsyncRates(rateBefore, rateAfter),
  timedFrom,
  timedTo,
};
writeFileSync(spec.outputFile, JSON.stringify(result));
// Engines may keep handles open after they are closed; nothing is waited for any more.
process.exit(0);
