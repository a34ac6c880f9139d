import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { backUpSqliteStore } from "../../src/store/sqlite/backup.ts";
import { Audit } from "./audit.ts";
import { Life } from "./life.ts";
import type { ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { Seeded, Tally, inFolder, live, tellOf } from "./scenario.ts";

/**
 * Backups while an engine works on the file: each holds what was acknowledged before it was begun.
 * Then the engine is killed, the last backup takes the place of the file, and all goes on from there.
 */
export async function backUpUnderLoad(options: ScenarioOptions): Promise<ScenarioResult> {
  const tally = new Tally("backup under load");
  const most = options.cycles ?? 20;
  let behindMax = 0;
  for (let number = 0; tally.cycles < most; number += 1) {
    const random = new Seeded("backup", options.seed, number);
    await inFolder(tally, async (folder) => {
      const store = path.join(folder, "store.db");
      const script = { total: 80, window: 10, padding: 500 };
      const found: string[] = [];
      const life = new Life({ path: store, script, folder, name: "life" });
      let last: { readonly copy: string; readonly audit: Audit } | undefined;
      await life.until((said) => said.length > 5);
      for (let count = 0; count < 6; count += 1) {
        await delay(random.integer(0, 60));
        const said = life.said();
        if (said.some((what) => what.said === "done")) break;
        const copy = path.join(folder, `copy-${count}.db`);
        await backUpSqliteStore({ from: store, to: copy });
        const after = life.said();
        tally.cycles += 1;
        // Work went on meanwhile.
        if (after.length > said.length) tally.hits += 1;
        const audit = new Audit();
        audit.hear(said);
        audit.witness(after);
        await audit.check(copy);
        const verdict = checkPages(copy);
        if (verdict !== "ok") audit.violations.push(`its pages: ${verdict}`);
        tally.audited += audit.auditedCount;
        behindMax = Math.max(behindMax, said.length);
        last = { copy, audit };
        found.push(...audit.violations.map((what) => `backup ${count} of series ${number}: ${what}`));
      }
      life.kill();
      await life.ended;
      if (last === undefined) return found;
      const restored = await live({ path: last.copy, script, folder, name: "restored" });
      last.audit.hear(restored.said);
      if (restored.death.code !== 0)
        found.push(`the restored one ended with ${tellOf(restored.death, restored.complaints)}`);
      const before = last.audit.violations.length;
      await last.audit.checkEnd(last.copy, script.total);
      found.push(...last.audit.violations.slice(before).map((what) => `restored: ${what}`));
      return found;
    });
  }
  tally.notes.push(`up to ${behindMax} acknowledgements and effects lay behind a backup`);
  return tally.result();
}

function checkPages(file: string): string {
  const database = new DatabaseSync(file, { readOnly: true });
  const [row] = database.prepare("PRAGMA integrity_check").all();
  database.close();
  return String(Object.values(row ?? {})[0]);
}
