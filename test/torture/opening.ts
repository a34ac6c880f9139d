import path from "node:path";
import { Audit } from "./audit.ts";
import { autopsyFlags, examine } from "./autopsy.ts";
import type { DiskFault } from "./disk-fault.ts";
import { DiskControl, buildDiskFault } from "./disk-fault.ts";
import type { LifeOptions } from "./life.ts";
import { Life } from "./life.ts";
import type { ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { Seeded, Tally, inFolder, live, skip, tellOf } from "./scenario.ts";
import type { Said } from "./workload.ts";

const livesPerFile = 20;
const total = 20;
/** In which one that is not killed has opened, or says why not: above everything that a loaded machine may need. */
const openingMs = 60_000;

const isAnswer = ({ said }: Said): boolean => said === "opened" || said === "unopened";

/**
 * Engines that die while they open, one after the other and two at a time, on a file with all that the dead have left beside it: sockets, logs,
 * journals. Each that is not killed opens within a bound, unless another one owns the file.
 */
export async function openAgain(options: ScenarioOptions): Promise<ScenarioResult> {
  const tally = new Tally("kill amid opening");
  const built = buildDiskFault();
  if (built.library === undefined) return skip(tally.name, built.missing);
  const { library } = built;
  const most = options.cycles ?? 300;
  const lanes = [0, 1].map(async (lane) => {
    for (let number = 0; tally.cycles < most; number += 1) {
      const seed = `${options.seed}/${lane}/${number}`;
      await inFolder(tally, (folder) => openSeries(tally, { folder, seed, library }));
    }
  });
  await Promise.all(lanes);
  return tally.result();
}

async function openSeries(
  tally: Tally,
  { folder, seed, library }: { readonly folder: string; readonly seed: string; readonly library: string },
): Promise<readonly string[]> {
  const random = new Seeded("opening", seed);
  const audit = new Audit();
  const store = path.join(folder, "store.db");
  const common: Omit<LifeOptions, "name"> = {
    path: store,
    script: { total, window: 6 },
    folder,
    hasSocket: true,
    nodeOptions: autopsyFlags(folder),
  };
  for (let number = 0; number < livesPerFile; number += 1) {
    const isContended = random.chance(0.3);
    const openings = (isContended ? ["a", "b"] : ["a"]).map((which) => {
      const name = `life-${number}${which}`;
      const control = new DiskControl(path.join(folder, `${name}.control`));
      control.plan(random.chance(0.75) ? planDeath(random) : undefined);
      const life = new Life({ ...common, name, disk: { library, control }, limitMs: 2 * openingMs });
      return openAndDie(life, { isContended, folder, afterMs: random.integer(0, 30) }).finally(() =>
        control.close(),
      );
    });
    tally.cycles += 1;
    for (const { said, isKilled, violation } of await Promise.all(openings)) {
      audit.hear(said);
      if (isKilled) tally.hits += 1;
      if (violation !== undefined) audit.violations.push(`life ${number}: ${violation}`);
    }
  }
  const last = await live({ ...common, name: "last" });
  audit.hear(last.said);
  if (last.death.code !== 0)
    audit.violations.push(`the last life ended with ${tellOf(last.death, last.complaints)}`);
  await audit.checkEnd(store, total);
  tally.audited += audit.auditedCount;
  return audit.violations.map((what) => `series ${seed}: ${what}`);
}

/** A handful of calls make up an opening: it dies in one of them, or soon after. */
function planDeath(random: Seeded): DiskFault {
  const at = random.chance(0.7) ? random.integer(1, 40) : random.integer(1, 250);
  if (random.chance(0.25))
    return { fault: "kill-torn", calls: ["write"], files: ["database", "wal", "journal"], at, times: 1 };
  return {
    fault: random.pick(["kill-before", "kill-after"]),
    calls: [random.pick(["write", "sync", "open", "unlink", "truncate", "read", "map"])],
    at,
    times: 1,
  };
}

/** Kills what has opened, and is not dead by then. */
async function openAndDie(
  life: Life,
  of: { readonly isContended: boolean; readonly folder: string; readonly afterMs: number },
): Promise<{ readonly said: readonly Said[]; readonly isKilled: boolean; readonly violation?: string }> {
  const isAnswered = await life.until((said) => said.some(isAnswer), openingMs);
  const isAlive = life.process.exitCode === null && life.process.signalCode === null;
  let violation: string | undefined;
  if (!isAnswered && isAlive) {
    const { process } = life;
    const found = await examine({ process, directory: of.folder, complaints: () => life.complaints() });
    violation = `it has not opened for ${openingMs} ms\n${found}`;
  }
  await life.until((said) => said.length > of.afterMs, 2_000);
  life.kill();
  const death = await life.ended;
  const said = life.said();
  const answer = said.find(isAnswer);
  const isRefused = answer?.said === "unopened";
  const isOwned = of.isContended && isRefused && answer.code === "store_owned";
  if (isRefused && !isOwned) violation ??= `it did not open: ${answer.code} ${answer.message}`;
  if (answer === undefined && death.signal === null) violation ??= tellOf(death, life.complaints());
  return {
    said,
    isKilled: death.signal === "SIGKILL",
    ...(violation === undefined ? {} : { violation }),
  };
}
