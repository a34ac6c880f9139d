import { spawnSync } from "node:child_process";
import type { SpawnSyncReturns } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Audit } from "./audit.ts";
import { Life } from "./life.ts";
import type { ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { Seeded, Tally, inFolder, skip, tellOf } from "./scenario.ts";
import type { Said } from "./workload.ts";

/** A file system of a few megabytes that really fills up while work is under way, and then has room again. */
export async function fillDisk(options: ScenarioOptions): Promise<ScenarioResult> {
  const tally = new Tally("full file system");
  const most = options.cycles ?? 5;
  const reason = whyNoMount();
  if (reason !== undefined) return skip(tally.name, reason);
  let answers = 0;
  for (let number = 0; number < most; number += 1) {
    const random = new Seeded("full", options.seed, number);
    await inFolder(tally, async (folder) => {
      const disk = path.join(folder, "disk");
      mkdirSync(disk);
      mount(disk);
      try {
        const store = path.join(disk, "store.db");
        // Mostly more than fits into the room that the log already has, and never more than the disk holds: 8 MB, and the log.
        const script = { total: 500, window: 10, padding: 2_000 };
        const audit = new Audit();
        const life = new Life({ path: store, script, folder, name: "life" });
        const wanted = random.integer(10, 150);
        await life.until((said) => said.length >= wanted);
        tally.cycles += 1;
        fill(path.join(disk, "filling"), disk);
        const isRefused = await life.until((said) => said.some((what) => what.said === "refused"));
        const before = life.said().length;
        await delay(100);
        const isAnswer = (what: Said): boolean => what.said === "answered";
        if (isRefused) await life.until((said) => said.slice(before).some(isAnswer));
        const meanwhile = life.said().slice(before);
        rmSync(path.join(disk, "filling"));
        const death = await life.ended;
        // It may have ended in the room that the log already had.
        if (isRefused) tally.hits += 1;
        answers += meanwhile.filter(isAnswer).length;
        audit.hear(life.said());
        if (death.code !== 0) audit.violations.push(`it ended with ${tellOf(death, life.complaints())}`);
        await audit.checkEnd(store, script.total);
        tally.audited += audit.auditedCount;
        return audit.violations.map((what) => `filled after ${wanted}: ${what}`);
      } finally {
        spawnSync("umount", [disk]);
      }
    });
  }
  tally.notes.push(`${answers} queries were answered while the disk was full`);
  if (answers === 0) tally.violations.push("no query was answered while the disk was full");
  return tally.result();
}

/**
 * Large enough for the script and a log that was not emptied while there was no room to empty it into.
 * For what a full disk does, memory is as good as any: nothing here asks what outlives the power.
 */
function mount(folder: string): SpawnSyncReturns<string> {
  return spawnSync("mount", ["-t", "tmpfs", "-o", "size=32m", "tmpfs", folder], { encoding: "utf8" });
}

function whyNoMount(): string | undefined {
  const folder = mkdtempSync(path.join(tmpdir(), "aion-torture-mount-"));
  const { status, error, stderr } = mount(folder);
  if (status === 0) spawnSync("umount", [folder]);
  rmSync(folder, { recursive: true });
  if (status === 0) return undefined;
  const told = error === undefined ? stderr.trim() : error.message;
  return `a small file system cannot be mounted (user ${process.getuid?.()}): ${told}`;
}

function fill(file: string, disk: string): void {
  const block = Buffer.alloc(4_096, 1);
  try {
    while (statfsSync(disk).bavail > 0) appendFileSync(file, block);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
}
