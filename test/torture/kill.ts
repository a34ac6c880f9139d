import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Audit } from "./audit.ts";
import type { DiskFault } from "./disk-fault.ts";
import { DiskControl, buildDiskFault } from "./disk-fault.ts";
import type { LifeOptions } from "./life.ts";
import { Life } from "./life.ts";
import type { ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { Seeded, Tally, inFolder, live, skip, tellOf } from "./scenario.ts";

/**
 * `kill -9` at every fsync of a script, just before it and just after, and in the middle of writes; then the process
 * is started again and carries on. A script of its own each time, so that each moment is met on a new file.
 */
export async function killAtEverySync(options: ScenarioOptions): Promise<ScenarioResult> {
  const tally = new Tally("kill at every fsync");
  const built = buildDiskFault();
  if (built.library === undefined) return skip(tally.name, built.missing);
  const { library } = built;
  const script = { total: 5, window: 2 };
  const most = options.cycles ?? Number.POSITIVE_INFINITY;

  async function sweep(fault: Pick<DiskFault, "fault" | "calls" | "files">, step: number): Promise<void> {
    for (let at = 1; tally.hits < most; at += step) {
      let isOver = false;
      await inFolder(tally, async (folder) => {
        const store = path.join(folder, "store.db");
        const control = new DiskControl(path.join(folder, "control"));
        control.plan({ ...fault, at, times: 1 });
        const audit = new Audit();
        const common = { path: store, script, folder };
        const first = await live({ ...common, name: "first", disk: { library, control } });
        audit.hear(first.said);
        const found: string[] = [];
        if (control.hits === 0) {
          // The script has no such call any more.
          isOver = true;
        } else {
          tally.cycles += 1;
          tally.hits += 1;
          if (first.death.signal !== "SIGKILL") found.push(`not killed: ${tellOf(first.death, "")}`);
        }
        // Before the tables were there no file of ours is.
        const hasOpened = first.said.length > 0;
        if (hasOpened) await audit.check(store);
        const second = await live({ ...common, name: "second" });
        audit.hear(second.said);
        if (second.death.code !== 0)
          audit.violations.push(
            `the life after the kill ended with ${tellOf(second.death, second.complaints)}`,
          );
        await audit.checkEnd(store, script.total);
        tally.audited += audit.auditedCount;
        control.close();
        found.push(...audit.violations);
        return found.map((what) => `${fault.fault} ${fault.calls.join()} ${at}: ${what}`);
      });
      if (isOver) break;
    }
  }

  await sweep({ fault: "kill-before", calls: ["sync"] }, 1);
  const before = tally.hits;
  await sweep({ fault: "kill-after", calls: ["sync"] }, 1);
  const after = tally.hits - before;
  await sweep({ fault: "kill-torn", calls: ["write"], files: ["database", "wal", "journal"] }, 31);
  tally.notes.push(
    `${before} fsyncs before, ${after} after, ${tally.hits - before - after} in the middle of a write (each 31st)`,
  );
  return tally.result();
}

/** The same with a victim that says things before they are done. Returns how much of it was found at the first moment at
 * which anything was. */
export async function killLiar(): Promise<number | undefined> {
  const { library } = buildDiskFault();
  if (library === undefined) return undefined;
  let found = 0;
  // Before the writes: what was written and not synced survives the death of a process.
  for (let at = 100; at < 400; at += 7) {
    if (found > 0) break;
    await inFolder(new Tally("the folder goes"), async (folder) => {
      const store = path.join(folder, "store.db");
      const audit = new Audit();
      const common = { path: store, script: { total: 5, window: 2 }, folder, name: "liar", isLiar: true };
      const { said } = await liveUnder(common, {
        library,
        fault: { fault: "kill-before", calls: ["write"], at, times: 1 },
      });
      audit.hear(said);
      await audit.check(store);
      found += audit.violations.length;
      return [];
    });
  }
  return found;
}

/** One file over many lives, each killed at a moment drawn at random while much is under way. */
export async function killAtRandom(options: ScenarioOptions): Promise<ScenarioResult> {
  const tally = new Tally("kill at random under load");
  const most = options.cycles ?? 300;
  const series = [0, 1].map(async (lane) => {
    for (let number = 0; tally.hits < most; number += 1) {
      await inFolder(tally, (folder) =>
        runSeries(tally, { folder, most, seed: `${options.seed}/${lane}/${number}` }),
      );
    }
  });
  await Promise.all(series);
  return tally.result();
}

interface Series {
  readonly folder: string;
  readonly most: number;
  readonly seed: string;
}

async function runSeries(tally: Tally, { folder, most, seed }: Series): Promise<readonly string[]> {
  const random = new Seeded("kill", seed);
  const { library } = buildDiskFault();
  const total = 60;
  const store = path.join(folder, "store.db");
  const audit = new Audit();
  let from = 0;
  for (let number = 0; ; number += 1) {
    const isLast = tally.hits >= most;
    const script = { total, from, window: 12 };
    const common: LifeOptions = { path: store, script, folder, name: `life-${number}` };
    const plan = isLast ? undefined : planKill(random, library !== undefined);
    const outcome =
      plan === undefined || library === undefined || "afterMs" in plan
        ? await liveUntil(common, plan !== undefined && "afterMs" in plan ? plan.afterMs : undefined)
        : await liveUnder(common, { library, fault: plan });
    audit.hear(outcome.said);
    const { signal, code } = outcome.death;
    if (plan !== undefined) tally.cycles += 1;
    if (signal === "SIGKILL" && plan !== undefined && !outcome.death.isHung) {
      tally.hits += 1;
      // A life that ended before its store was there has left nothing to look at.
      if (audit.auditedCount > 0) await audit.check(store);
      from = audit.endedFrom(from, total);
      continue;
    }
    if (code !== 0) audit.violations.push(`a life ended with ${tellOf(outcome.death, outcome.complaints)}`);
    break;
  }
  await audit.checkEnd(store, total);
  tally.audited += audit.auditedCount;
  return audit.violations.map((what) => `series ${seed}: ${what}`);
}

function planKill(random: Seeded, hasLibrary: boolean): DiskFault | { readonly afterMs: number } {
  // From outside, whatever it is doing: half of the time it takes to open, and the work.
  if (!hasLibrary || random.chance(0.3)) return { afterMs: random.integer(40, 260) };
  if (random.chance(0.2))
    return {
      fault: "kill-torn",
      calls: ["write"],
      files: ["database", "wal", "journal"],
      at: random.integer(1, 900),
      times: 1,
    };
  if (random.chance(0.2))
    return {
      fault: "kill-after",
      calls: ["write", "truncate", "unlink", "open"],
      at: random.integer(1, 900),
      times: 1,
    };
  return {
    fault: random.pick(["kill-before", "kill-after"]),
    calls: ["sync"],
    at: random.integer(1, 45),
    times: 1,
  };
}

async function liveUnder(
  options: LifeOptions,
  { library, fault }: { readonly library: string; readonly fault: DiskFault },
): ReturnType<typeof live> {
  const control = new DiskControl(path.join(options.folder, `${options.name}.control`));
  control.plan(fault);
  try {
    return await live({ ...options, disk: { library, control } });
  } finally {
    control.close();
  }
}

async function liveUntil(options: LifeOptions, afterMs: number | undefined): ReturnType<typeof live> {
  const life = new Life(options);
  const stop = new AbortController();
  if (afterMs !== undefined) {
    void delay(afterMs, undefined, { signal: stop.signal }).then(
      () => life.kill(),
      () => undefined,
    );
  }
  const death = await life.ended;
  stop.abort();
  return { death, said: life.said(), complaints: life.complaints() };
}
