import path from "node:path";
import { Audit } from "./audit.ts";
import type { ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { Seeded, Tally, inFolder, live, tellOf } from "./scenario.ts";

/**
 * Lives that have too little memory: V8 ends the process when its heap is full, wherever it is. A last one with enough
 * brings everything to its end.
 */
export async function runOutOfMemory(options: ScenarioOptions): Promise<ScenarioResult> {
  const tally = new Tally("heap out of memory");
  const most = options.cycles ?? 6;
  await inFolder(tally, async (folder) => {
    const random = new Seeded("memory", options.seed);
    const store = path.join(folder, "store.db");
    const audit = new Audit();
    const total = 40;
    let from = 0;
    for (let number = 0; number < most; number += 1) {
      const heapMb = random.integer(20, 34);
      const { death, said, complaints } = await live({
        path: store,
        script: { total, from, window: 40, padding: 200_000 },
        folder,
        name: `poor-${number}`,
        nodeOptions: [`--max-old-space-size=${heapMb}`],
      });
      tally.cycles += 1;
      audit.hear(said);
      if (death.signal === "SIGABRT" && complaints.includes("out of memory")) tally.hits += 1;
      else if (death.code !== 0) audit.violations.push(`with ${heapMb} MB: ${tellOf(death, complaints)}`);
      if (audit.auditedCount > 0) await audit.check(store);
      from = audit.endedFrom(from, total);
      if (death.code === 0) break;
    }
    const last = await live({
      path: store,
      script: { total, from, window: 10, padding: 200_000 },
      folder,
      name: "last",
    });
    audit.hear(last.said);
    if (last.death.code !== 0) audit.violations.push(`the last: ${tellOf(last.death, last.complaints)}`);
    await audit.checkEnd(store, total);
    tally.audited += audit.auditedCount;
    return audit.violations;
  });
  return tally.result();
}
