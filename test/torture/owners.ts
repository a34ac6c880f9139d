import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { Audit } from "./audit.ts";
import type { LifeOptions } from "./life.ts";
import { Life } from "./life.ts";
import type { ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { Seeded, Tally, inFolder, tellOf } from "./scenario.ts";
import type { Said } from "./workload.ts";
import { tallyId } from "./workload.ts";

const leaseMs = 500;

/** The owner is frozen for longer than its lease, another takes over, and the first one wakes up. */
export async function freezeOwner(options: ScenarioOptions): Promise<ScenarioResult> {
  const tally = new Tally("SIGSTOP beyond the lease");
  const most = options.cycles ?? 8;
  const movedMs: number[] = [];
  for (let number = 0; number < most; number += 1) {
    const random = new Seeded("freeze", options.seed, number);
    await inFolder(tally, async (folder) => {
      const store = path.join(folder, "store.db");
      const script = { total: 40, window: 8, sleepMs: 10 };
      const audit = new Audit();
      const common = { path: store, script, folder, lease: `${leaseMs}ms` as const };
      const first = new Life({ ...common, name: "first" });
      const wanted = random.integer(5, 150);
      await first.until((said) => said.length >= wanted);
      tally.cycles += 1;
      if (!(await freezeOutsideTransaction(first, store))) return ["it ended before it could be frozen"];
      const frozenAt = performance.now();
      const frozenSaid = first.said().length;
      // While it was looked for a moment outside a transaction, all may have come to its end: it only closes then.
      const isOver = first.said().some((what) => what.said === "ended" && what.id === tallyId);
      const second = new Life({ ...common, name: "second", isPatient: true });
      const hasOpened = await second.until((said) => said.some((what) => what.said === "opened"));
      movedMs.push(performance.now() - frozenAt);
      await second.until((said) => said.length > random.integer(1, 60));
      if (first.said().length !== frozenSaid) audit.violations.push("the frozen one spoke");
      first.kill("SIGCONT");
      const [death, other] = await Promise.all([first.ended, second.ended]);
      const isFenced = first.said().some((what) => what.said === "lost" && what.code === "not_owner");
      if (hasOpened && isFenced) tally.hits += 1;
      else if (!(isOver && hasOpened && death.code === 0))
        audit.violations.push(
          `the first ended with ${tellOf(death, first.complaints())}, opened ${hasOpened}`,
        );
      if (other.code !== 0)
        audit.violations.push(`the second ended with ${tellOf(other, second.complaints())}`);
      // I-16: nothing of the first one's is missing, and nothing of it came between the second one's.
      audit.hear(first.said());
      audit.hear(second.said());
      await audit.checkEnd(store, script.total);
      tally.audited += audit.auditedCount;
      return audit.violations.map((what) => `frozen after ${wanted}: ${what}`);
    });
  }
  tally.notes.push(`taken over within ${Math.round(Math.max(...movedMs))} ms, with a lease of ${leaseMs} ms`);
  return tally.result();
}

/** The kernel keeps the file's lock for a process that is frozen inside a transaction, and then nobody takes over. */
async function freezeOutsideTransaction(life: Life, store: string): Promise<boolean> {
  const probe = new DatabaseSync(store);
  try {
    while (life.process.exitCode === null && life.process.signalCode === null) {
      life.kill("SIGSTOP");
      await delay(10);
      try {
        probe.exec("BEGIN IMMEDIATE");
        probe.exec("ROLLBACK");
        return true;
      } catch {
        life.kill("SIGCONT");
        await delay(3);
      }
    }
    return false;
  } finally {
    probe.close();
  }
}

const contenderCount = 3;

/** Several processes open one file at one time, a new one and then an old one; the one that got it is killed. */
export async function contendForFile(options: ScenarioOptions): Promise<ScenarioResult> {
  const tally = new Tally("several processes on one file");
  const most = options.cycles ?? 10;
  const lanes = [0, 1].map(async () => {
    while (tally.cycles < most) {
      await inFolder(tally, async (folder) => {
        const store = path.join(folder, "store.db");
        // Long enough that the owner does not end, and give the file up, before all have asked for it.
        const common: Omit<LifeOptions, "name"> = {
          path: store,
          script: { total: 10, window: 10, sleepMs: 60_000 },
          folder,
        };
        const audit = new Audit();
        for (const round of ["new", "old"]) {
          tally.cycles += 1;
          const { owners, told } = await contend(common, round, audit);
          if (owners === 1) tally.hits += 1;
          else audit.violations.push(`${owners} processes own the ${round} file: ${told}`);
          await audit.check(store);
        }
        tally.audited += audit.auditedCount;
        return audit.violations;
      });
    }
  });
  await Promise.all(lanes);
  return tally.result();
}

/** How many opened the file, if the others were all told that it is owned. */
async function contend(
  common: Omit<LifeOptions, "name">,
  round: string,
  audit: Audit,
): Promise<{ readonly owners: number; readonly told: string }> {
  const lives = Array.from(
    { length: contenderCount },
    (_, index) => new Life({ ...common, name: `${round}-${index}` }),
  );
  const isAnswer = ({ said }: Said): boolean => said === "opened" || said === "unopened";
  const answers = await Promise.all(
    lives.map(async (life) => {
      await life.until((said) => said.some(isAnswer));
      return life.said().find(isAnswer);
    }),
  );
  for (const life of lives) life.kill();
  await Promise.all(lives.map((life) => life.ended));
  for (const life of lives) audit.hear(life.said());
  const refused = answers.filter((what) => what?.said === "unopened" && what.code === "store_owned").length;
  const owners = answers.filter((what) => what?.said === "opened").length;
  const told = answers.map((what) => JSON.stringify(what)).join();
  return { owners: owners + refused === contenderCount ? owners : Number.NaN, told };
}
