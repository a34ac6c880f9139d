import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Audit } from "./audit.ts";
import { DiskControl, buildDiskFault } from "./disk-fault.ts";
import { Life } from "./life.ts";
import type { ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { Seeded, Tally, inFolder, live, skip, tellOf } from "./scenario.ts";
import type { Said } from "./workload.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

interface Jump {
  readonly what: string;
  readonly offsetMs: (now: number) => number;
  /** What was set back is set right after a while, as by a time server; what was set forward stays. */
  readonly isCorrected: boolean;
}

const jumps: readonly Jump[] = [
  { what: "an hour forward", offsetMs: () => hourMs, isCorrected: false },
  { what: "an hour back, and right again", offsetMs: () => -hourMs, isCorrected: true },
  { what: "30 days forward", offsetMs: () => 30 * dayMs, isCorrected: false },
  { what: "30 days back, and right again", offsetMs: () => -30 * dayMs, isCorrected: true },
  { what: "to 1970, and right again", offsetMs: (now) => 60_000 - now, isCorrected: true },
  {
    what: "to the last second of 2038's 32 bits",
    offsetMs: (now) => 2_147_483_647_000 - now,
    isCorrected: false,
  },
  { what: "ten seconds back, and right again", offsetMs: () => -10_000, isCorrected: true },
];

const sleepMs = 1_000;
/** Beyond the instants at which the timers are due by the steady clock. */
const heldMs = 2_000;

/** The wall clock of a process is set while its timers run; the steady clock goes on. */
export async function jumpClock(options: ScenarioOptions): Promise<ScenarioResult> {
  const tally = new Tally("wall clock jumps");
  const built = buildDiskFault();
  if (built.library === undefined) return skip(tally.name, built.missing);
  const { library } = built;
  const most = options.cycles ?? jumps.length * 2;
  let next = 0;
  let cpuMsMax = 0;
  // They wait most of the time.
  const lanes = Array.from({ length: jumps.length }, async () => {
    while (next < most) {
      const number = next;
      next += 1;
      const jump = jumps[number % jumps.length];
      if (jump === undefined) break;
      await inFolder(tally, async (folder) => {
        const { found, cpuMs } = await jumpOnce(tally, {
          jump,
          folder,
          library,
          seed: options.seed + number,
        });
        cpuMsMax = Math.max(cpuMsMax, cpuMs);
        return found.map((what) => `${jump.what}: ${what}`);
      });
    }
  });
  await Promise.all(lanes);
  tally.notes.push(
    `after a jump a process with ${script.total} orders used ${Math.round(cpuMsMax)} ms of processor time at most`,
  );
  return tally.result();
}

const script = { total: 8, window: 8, sleepMs };

async function jumpOnce(
  tally: Tally,
  of: { readonly jump: Jump; readonly folder: string; readonly library: string; readonly seed: number },
): Promise<{ readonly found: readonly string[]; readonly cpuMs: number }> {
  const { jump, folder, library } = of;
  const random = new Seeded("clock", of.seed);
  const store = path.join(folder, "store.db");
  const control = new DiskControl(path.join(folder, "control"));
  const audit = new Audit();
  const life = new Life({
    path: store,
    script,
    folder,
    name: "life",
    disk: { library, control },
    limitMs: 120_000,
  });
  const hasTimers = await life.until((said) => said.filter((what) => what.said === "signalled").length >= 12);
  await delay(random.integer(0, 200));
  tally.cycles += 1;
  // With the acknowledgement of its first signal an order's timer is on disk.
  const asleep = new Set(life.said().flatMap((what) => (what.said === "signalled" ? [what.id] : [])));
  control.setClockOffset(jump.offsetMs(Date.now()));
  const cpuBefore = cpuMsOf(life.process.pid ?? 0);
  // The forward ones end by themselves when their timers have fired.
  await Promise.race([delay(jump.isCorrected ? heldMs : sleepMs / 2), life.ended]);
  const cpuMs = cpuMsOf(life.process.pid ?? 0) - cpuBefore;
  if (jump.isCorrected) control.setClockOffset(0);
  const death = await life.ended;
  if (control.clockReads > 0 && hasTimers) tally.hits += 1;
  const said = life.said();
  control.close();
  audit.hear(said);
  if (death.code !== 0) audit.violations.push(`it ended with ${tellOf(death, life.complaints())}`);
  // I-30: a storm would have kept the process busy.
  if (cpuMs > heldMs / 2) audit.violations.push(`it used ${cpuMs} ms of processor time after the jump`);
  // The audit holds each timer against the wall clock; this is the clock that nobody sets.
  if (jump.isCorrected) audit.violations.push(...earlyBySteadyClock(said, asleep));
  await audit.checkEnd(store, script.total);
  tally.audited += audit.auditedCount;
  return { found: audit.violations, cpuMs };
}

/** An order sleeps between its two steps; if the clock was only ever set back, no less than it asked for has passed. */
function earlyBySteadyClock(said: readonly Said[], asleep: ReadonlySet<string>): readonly string[] {
  const reserved = new Map<string, number>();
  const early: string[] = [];
  for (const what of said) {
    if (what.said !== "ran" || what.attempt !== 1 || !asleep.has(what.id)) continue;
    if (what.name === "reserve") reserved.set(what.id, what.steadyAt);
    const since = what.steadyAt - (reserved.get(what.id) ?? Number.NEGATIVE_INFINITY);
    // The two clocks are read a moment apart, and the wall clock in whole milliseconds.
    if (what.name === "left" && since < sleepMs - 2) early.push(`${what.id} slept ${since} ms of ${sleepMs}`);
  }
  return early;
}

/** Lives in other times: a file made in 1970, carried on with in 2038, and then in the present. */
export async function liveInOtherTimes(): Promise<ScenarioResult> {
  const tally = new Tally("lives in 1970, 2038 and 2100");
  const built = buildDiskFault();
  if (built.library === undefined) return skip(tally.name, built.missing);
  const { library } = built;
  await inFolder(tally, async (folder) => {
    const store = path.join(folder, "store.db");
    const audit = new Audit();
    const instants = [
      Date.UTC(1970, 0, 1, 0, 1),
      Date.UTC(2038, 0, 19, 3, 14, 7),
      Date.UTC(2100, 1, 28, 23, 59, 59),
    ];
    for (const [index, instant] of instants.entries()) {
      const control = new DiskControl(path.join(folder, `control-${index}`));
      control.setClockOffset(instant - Date.now());
      const life = await live({
        path: store,
        folder,
        name: `life-${index}`,
        // A part of the script each.
        script: { total: 15, until: 5 * (index + 1), window: 5 },
        disk: { library, control },
      });
      tally.cycles += 1;
      if (control.clockReads > 0) tally.hits += 1;
      control.close();
      audit.hear(life.said);
      if (life.death.code !== 0)
        audit.violations.push(`${new Date(instant).toISOString()}: ${tellOf(life.death, life.complaints)}`);
      await audit.check(store);
    }
    await audit.checkEnd(store, 15);
    tally.audited += audit.auditedCount;
    return audit.violations;
  });
  return tally.result();
}

function cpuMsOf(pid: number): number {
  if (!existsSync(`/proc/${pid}/stat`)) return 0;
  // proc_pid_stat(5): fields 14 and 15, in hundredths of a second on every Linux.
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
