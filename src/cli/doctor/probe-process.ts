/** The process of one probe: what may hang or take long, where it can be ended. Reads the store, and writes nothing to it. */
import process from "node:process";
import { AionError, isAionError } from "../../core/errors.ts";
import { messageOf } from "../../core/payload.ts";
import { listSchedules, storedSchedules } from "../../engine/schedule-views.ts";
import { openSqliteStore } from "../../store/sqlite/store.ts";
import { checkTable, inspectSqliteStore, listTables } from "../../store/sqlite/inspection.ts";
import { compareAttributes } from "./compare-attributes.ts";
import { lookAtPlace, measureSync } from "./disk.ts";
import type { ProbeAnswer, ProbeRequest, ScheduleFacts } from "./probe.ts";

process.once("message", (request) => {
  void answer(request as ProbeRequest).then((answered) => {
    tell(answered);
    process.disconnect();
  });
});
tell({ kind: "ready" });

async function answer(request: ProbeRequest): Promise<ProbeAnswer> {
  try {
    return { kind: "done", result: await run(request) };
  } catch (error) {
    const known = isAionError(error)
      ? error
      : new AionError("internal", messageOf(error), { cause: error, hint: "Look after the disk." });
    const { code, message, hint, details } = known;
    return { kind: "failed", code, message, hint, details };
  }
}

function run(request: ProbeRequest): unknown {
  switch (request.probe) {
    case "place":
      return lookAtPlace(request.path);
    case "sync":
      return measureSync(request.file);
    case "store":
      return inspectSqliteStore(request.path, request);
    case "integrity":
      return checkTables(request.path);
    case "attributes":
      return compareAttributes(request.path);
    case "schedules":
      return lookAtSchedules(request.path, request.now);
  }
}

const pageSchedules = 200;

async function lookAtSchedules(file: string, now: number): Promise<ScheduleFacts> {
  const store = openSqliteStore({ path: file, readOnly: true });
  try {
    const source = storedSchedules(store, () => now);
    let count = 0;
    const silent: { readonly scheduleId: string; readonly untilAt: number }[] = [];
    for (let cursor: string | undefined; ;) {
      const page = await listSchedules(source, {
        limit: pageSchedules,
        ...(cursor === undefined ? {} : { cursor }),
      });
      count += page.schedules.length;
      for (const { scheduleId, silentUntilAt } of page.schedules)
        if (silentUntilAt !== undefined) silent.push({ scheduleId, untilAt: silentUntilAt });
      cursor = page.nextCursor;
      if (cursor === undefined) return { count, silent };
    }
  } finally {
    await store.close();
  }
}

/** All tables, or up to the first that is damaged. */
function checkTables(file: string): { readonly damage?: string } {
  for (const table of listTables(file)) {
    const damage = checkTable(file, table);
    if (damage !== undefined) return { damage: `table ${table}: ${damage}` };
    tell({ kind: "on the way", done: table });
  }
  return {};
}

function tell(message: ProbeAnswer): void {
  process.send?.(message);
}
