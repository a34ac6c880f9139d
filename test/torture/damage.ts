import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { Engine, isAionError } from "aion";
import { parseWorkflowId } from "../../src/core/ids.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { Audit } from "./audit.ts";
import { DiskControl, buildDiskFault } from "./disk-fault.ts";
import type { ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { Seeded, Tally, inFolder, live, skip } from "./scenario.ts";
import type { Said } from "./workload.ts";
import { allIds, defineWorkload, idOfIndex, isDoomed, resultOfOrder } from "./workload.ts";

const script = { total: 10, window: 4, sleepMs: 40 };

/** What may be said of a damaged file, or of a run in it. */
const clear: ReadonlySet<string> = new Set([
  "store_corrupt",
  "store_newer_format",
  "store_unavailable",
  "store_read_only",
  "store_failed",
  "history_corrupt",
  "history_shape",
  "message_corrupt",
  "event_unknown",
  "run_blocked",
  "run_not_found",
  "workflow_type_unknown",
  "workflow_already_exists",
  "nondeterminism",
  "sequence_conflict",
]);

/** One bit of a file that a killed engine left is flipped, in the tables or in the log, and the engine opened on it. */
export async function flipBits(options: ScenarioOptions): Promise<ScenarioResult> {
  const tally = new Tally("a flipped bit");
  const built = buildDiskFault();
  if (built.library === undefined) return skip(tally.name, built.missing);
  const { library } = built;
  const most = options.cycles ?? 300;
  const classes = new Map<string, number>();
  await inFolder(tally, async (folder) => {
    const found: string[] = [];
    const random = new Seeded("damage", options.seed);
    for (const kind of ["file", "log"] as const) {
      const original = path.join(folder, `${kind}.db`);
      const said = await makeOriginal({ original, folder, library, kind });
      const audit = new Audit();
      audit.hear(said);
      await audit.check(original);
      found.push(...audit.violations);
      const written: Written = { lines: await readLines(original), rows: readRows(original) };
      for (let count = 0; count < most / 2; count += 1) {
        const target = `${original}${kind === "log" ? "-wal" : ""}`;
        const bytes = readFileSync(target);
        const at = random.integer(0, bytes.length - 1);
        const bit = random.integer(0, 7);
        const copy = path.join(folder, "copy.db");
        for (const suffix of ["", "-wal", "-shm"]) {
          rmSync(`${copy}${suffix}`, { force: true });
          if (suffix !== "-shm" && existsSync(`${original}${suffix}`))
            copyFileSync(`${original}${suffix}`, `${copy}${suffix}`);
        }
        bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << bit), at);
        writeFileSync(`${copy}${kind === "log" ? "-wal" : ""}`, bytes);
        tally.cycles += 1;
        const verdict = await judge(copy, written);
        tally.audited += audit.auditedCount;
        classes.set(`${kind}: ${verdict.what}`, (classes.get(`${kind}: ${verdict.what}`) ?? 0) + 1);
        if (verdict.what !== "no difference") tally.hits += 1;
        found.push(...verdict.violations.map((what) => `${kind}, bit ${bit} of byte ${at}: ${what}`));
      }
    }
    return found;
  });
  for (const [what, count] of [...classes].toSorted(([left], [right]) => left.localeCompare(right)))
    tally.notes.push(`${String(count).padStart(5)} ${what}`);
  return tally.result();
}

/** A file amid its work: killed, with a log; or killed, and the log moved into the file. */
async function makeOriginal(of: {
  readonly original: string;
  readonly folder: string;
  readonly library: string;
  readonly kind: "file" | "log";
}): Promise<readonly Said[]> {
  const { original, folder, library, kind } = of;
  const control = new DiskControl(path.join(folder, `${kind}-control`));
  control.plan({ fault: "kill-before", calls: ["sync"], at: 34, times: 1 });
  const { said } = await live({ path: original, script, folder, name: kind, disk: { library, control } });
  control.close();
  if (kind === "file") await openSqliteStore({ path: original }).close();
  return said;
}

interface Verdict {
  readonly what: string;
  readonly violations: readonly string[];
}

type Lines = readonly string[] | { readonly code: string };

/** What the original holds. */
interface Written {
  readonly lines: ReadonlyMap<string, Lines>;
  /** The rows of its runs, which have no checksums. */
  readonly rows: string | undefined;
}

async function judge(copy: string, original: Written): Promise<Verdict> {
  const notes = new Set<string>();
  const problems: string[] = [];
  let before: ReadonlyMap<string, Lines>;
  try {
    before = await readLines(copy);
  } catch (error) {
    return toVerdict("the file is refused", error);
  }
  // Before an engine goes on with it.
  const isRowWrong = readRows(copy) !== original.rows;
  // I-50: what is handed out is what was written, or the end of it is missing.
  for (const [id, lines] of original.lines) {
    if (!Array.isArray(lines)) continue;
    const now = before.get(id);
    if (now === undefined) notes.add("a run is gone");
    else if ("code" in now) notes.add(now.code);
    else if (now.some((line, index) => line !== lines[index]))
      problems.push(`the history of ${id} reads otherwise`);
    else if (now.length < lines.length) notes.add("a history is shorter");
  }
  const said: Said[] = [];
  const { workflows, activities, driveEach } = defineWorkload((what) => said.push(what));
  const warnings: string[] = [];
  let engine: Engine;
  try {
    engine = await Engine.open({
      store: `sqlite:${copy}`,
      workflows,
      activities,
      localSocket: false,
      feed: true,
      log: (level, message, fields) => {
        if (level === "warn" || level === "error") warnings.push(`${message} ${JSON.stringify(fields)}`);
      },
    });
  } catch (error) {
    const refused = toVerdict("the file is refused", error);
    return { what: refused.what, violations: [...problems, ...refused.violations] };
  }
  const held = engine;
  // What waits for a run that is held waits with it; what cannot be written is tried again, and the log tells why.
  // The row of a run has no checksum, and a wrong instant in it is not found: docs/reliability.md says so.
  const isExplained = async (): Promise<boolean> =>
    isRowWrong ||
    warnings.some((text) => text.includes("malformed")) ||
    (await held.client.count({ isBlocked: true })) > 0;
  const outcomes = await driveEach(engine, script, (work) => Promise.race([work, late(isExplained)]));
  const isLateExplained = await isExplained();
  await engine.close({ drain: 0 });
  for (const [index, outcome] of outcomes.entries()) {
    const id = index < script.total ? idOfIndex(index) : "tally";
    if (outcome.status === "fulfilled") {
      if (index < script.total && !isRight(index, outcome.value))
        problems.push(`${id} gave ${JSON.stringify(outcome.value)}`);
      continue;
    }
    const code = codeOf(outcome.reason);
    notes.add(code);
    if (code === "late" && isLateExplained) continue;
    // An id whose run is hidden is free: what begins under it anew may be refused by those that remember it.
    if (notes.has("a run is gone") || notes.has("a history is shorter")) continue;
    if (!clear.has(code)) problems.push(`${id} failed with ${code}: ${String(outcome.reason)}`);
  }
  for (const [id, now] of await readLines(copy)) {
    const then = before.get(id);
    if (!Array.isArray(then) || "code" in now) continue;
    if (then.some((line, index) => now[index] !== line)) problems.push(`the history of ${id} was changed`);
  }
  const what = [...notes].toSorted().join(" + ");
  return { what: what === "" ? "no difference" : what, violations: problems };
}

/** Each history as text, or why it cannot be read. */
async function readLines(file: string): Promise<ReadonlyMap<string, Lines>> {
  const store = openSqliteStore({ path: file, readOnly: true });
  const found = new Map<string, Lines>();
  try {
    for (const id of allIds(script.total)) {
      try {
        const history = await store.readHistory(parseWorkflowId(id));
        if (history.length > 0)
          found.set(
            id,
            history.map((event) => JSON.stringify(event)),
          );
      } catch (error) {
        const code = codeOf(error);
        if (!clear.has(code)) throw error;
        found.set(id, { code });
      }
    }
  } finally {
    await store.close();
  }
  return found;
}

/** The rows of all runs as text; `undefined` if the file is not what SQLite takes for whole, its indexes included. */
function readRows(file: string): string | undefined {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const [found] = database.prepare("PRAGMA integrity_check(1)").all();
    if (Object.values(found ?? {})[0] !== "ok") return undefined;
    return JSON.stringify(database.prepare("SELECT * FROM runs ORDER BY run_key").all());
  } catch {
    return undefined;
  } finally {
    database.close();
  }
}

function codeOf(error: unknown): string {
  if (isAionError(error)) return error.code;
  return error instanceof Error ? error.message : String(error);
}

function toVerdict(what: string, error: unknown): Verdict {
  const code = codeOf(error);
  const violations = clear.has(code) ? [] : [`${what} with ${code}: ${String(error)}`];
  return { what: `${what}: ${code}`, violations };
}

/** What waits for something that is held need not be waited for; a machine that is merely slow is given time. */
async function late(isExplained: () => Promise<boolean>): Promise<never> {
  await delay(1_500);
  for (let tries = 0; tries < 20 && !(await isExplained()); tries += 1) await delay(1_000);
  throw new Error("late");
}

function isRight(index: number, result: unknown): boolean {
  if (isDoomed(index)) return result === "cancelled";
  if (typeof result !== "object" || result === null) return false;
  const expected = Object.entries(resultOfOrder(idOfIndex(index)));
  return expected.every(
    ([name, value]) =>
      JSON.stringify(Object.entries(result).find(([key]) => key === name)?.[1]) === JSON.stringify(value),
  );
}
