import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Audit, copyStore } from "./audit.ts";
import type { DiskCall, DiskFault } from "./disk-fault.ts";
import { DiskControl, buildDiskFault } from "./disk-fault.ts";
import { Life } from "./life.ts";
import type { ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { Seeded, Tally, inFolder, live, skip, tellOf } from "./scenario.ts";
import type { Said } from "./workload.ts";

const script = { total: 5, window: 2 };
const audibleCalls: readonly DiskCall[] = ["sync", "truncate", "open", "unlink", "map"];
/** Of these there are hundreds: each so-many-th is enough for every day. */
const manyCalls: readonly DiskCall[] = ["write", "read"];
const silentMs = 15_000;

interface Case {
  readonly call: DiskCall;
  readonly error: "EIO" | "ENOSPC";
  readonly at: number;
  readonly isForEver: boolean;
  /** The process that meets it is the second: the first was killed amid its work. */
  readonly isInRecovery: boolean;
}

/** EIO at every Nth call that concerns the file, once and for ever, in a life and in the recovery from another's death. */
export async function failWithEio(options: ScenarioOptions): Promise<ScenarioResult> {
  return await failEach("EIO at the Nth call", "EIO", options);
}

/** ENOSPC in the same way: the disk is full for a moment, or until somebody makes room. */
export async function failWithEnospc(options: ScenarioOptions): Promise<ScenarioResult> {
  return await failEach("ENOSPC at the Nth call", "ENOSPC", options);
}

async function failEach(
  name: string,
  error: "EIO" | "ENOSPC",
  options: ScenarioOptions,
): Promise<ScenarioResult> {
  const tally = new Tally(name);
  const built = buildDiskFault();
  if (built.library === undefined) return skip(tally.name, built.missing);
  const { library } = built;
  const random = new Seeded("errors", error, options.seed);
  const most = options.cycles ?? 120;
  const endings = new Map<string, number>();
  const cases: Case[] = [];
  for (const isInRecovery of [false, true]) {
    const counts = await countCalls({ library, isInRecovery });
    for (const [call, count] of counts) {
      for (let at = 1; at <= count; at += 1)
        for (const isForEver of [false, true]) cases.push({ call, error, at, isForEver, isInRecovery });
    }
  }
  const chosen = choose(cases, most, random);
  let next = 0;
  const lanes = [0, 1].map(async () => {
    while (next < chosen.length) {
      const each = chosen[next];
      next += 1;
      if (each === undefined) break;
      const ending = await failOnce(tally, each, library);
      endings.set(ending, (endings.get(ending) ?? 0) + 1);
    }
  });
  await Promise.all(lanes);
  tally.notes.push(
    `of ${cases.length} cases; ${[...endings].map(([how, count]) => `${how} ${count}`).join(", ")}`,
  );
  return tally.result();
}

/** The second connection to the file, the writer thread's, can be had only for reading. Returns how the life ended. */
export async function refuseSecondConnection(): Promise<string | undefined> {
  const { library } = buildDiskFault();
  if (library === undefined) return undefined;
  let ending = "";
  await inFolder(new Tally("the folder goes"), async (folder) => {
    const control = new DiskControl(path.join(folder, "control"));
    // SQLite tries again for reading at once, and that succeeds.
    control.plan({ fault: "error", error: "ENOSPC", calls: ["open"], files: ["database"], at: 2, times: 1 });
    const store = path.join(folder, "store.db");
    // Much at once: that is what the thread is for.
    const much = { total: 60, window: 30 };
    const { said } = await live({
      path: store,
      script: much,
      folder,
      name: "life",
      disk: { library, control },
    });
    ending = control.hits === 1 ? endingOf(said) : "nothing hit";
    control.close();
    return [];
  });
  return ending;
}

/** As many of each kind of call as there is room for; of those that are few, all. */
function choose(cases: readonly Case[], most: number, random: Seeded): readonly Case[] {
  const drawn = cases.map((each) => ({
    each,
    draw: random.next() * (manyCalls.includes(each.call) ? 3 : 1),
  }));
  const sorted = drawn.toSorted((left, right) => left.draw - right.draw);
  return sorted.slice(0, most).map(({ each }) => each);
}

async function countCalls(of: {
  readonly library: string;
  readonly isInRecovery: boolean;
}): Promise<ReadonlyMap<DiskCall, number>> {
  const counts = new Map<DiskCall, number>();
  await inFolder(new Tally("a life without faults"), async (folder) => {
    const store = path.join(folder, "store.db");
    if (of.isInRecovery) await dieFirst(store, folder, of.library);
    const control = new DiskControl(path.join(folder, "control"));
    await live({ path: store, script, folder, name: "control", disk: { library: of.library, control } });
    for (const call of [...audibleCalls, ...manyCalls]) counts.set(call, control.countOf(call));
    control.close();
    return [];
  });
  return counts;
}

async function dieFirst(store: string, folder: string, library: string): Promise<readonly Said[]> {
  const control = new DiskControl(path.join(folder, "first-control"));
  control.plan({ fault: "kill-before", calls: ["sync"], at: 30, times: 1 });
  const { said } = await live({ path: store, script, folder, name: "first", disk: { library, control } });
  control.close();
  return said;
}

/** Returns how the life ended that met the error. */
async function failOnce(tally: Tally, of: Case, library: string): Promise<string> {
  const { call, error, at, isForEver, isInRecovery } = of;
  let ending = "";
  await inFolder(tally, async (folder) => {
    const store = path.join(folder, "store.db");
    const audit = new Audit();
    const firstSaid = isInRecovery ? await dieFirst(store, folder, library) : [];
    if (isInRecovery) {
      audit.hear(firstSaid);
      await audit.check(store);
    }
    const control = new DiskControl(path.join(folder, "control"));
    const fault: DiskFault = { fault: "error", error, calls: [call], at, ...(isForEver ? {} : { times: 1 }) };
    control.plan(fault);
    const life = new Life({ path: store, script, folder, name: "faulty", disk: { library, control } });
    const stop = new AbortController();
    const mending = isForEver && (error === "ENOSPC" || call === "read");
    const frozen = path.join(folder, "frozen.db");
    const mended = mending ? mend({ control, signal: stop.signal, life, store, frozen }) : undefined;
    const held = endHeld(life, stop.signal);
    const death = await life.ended;
    stop.abort();
    const [meanwhile, isHeld] = await Promise.all([mended, held]);
    if (call === "write" && meanwhile !== undefined) {
      // Nothing could be written: what was acknowledged by then was on the file.
      const then = new Audit();
      then.hear([...firstSaid, ...meanwhile]);
      if (then.auditedCount > 0) await then.check(frozen);
      audit.violations.push(...then.violations.map((what) => `while nothing could be written: ${what}`));
    }
    const said = life.said();
    const complaints = life.complaints();
    tally.cycles += 1;
    const hasHit = control.hits > 0;
    if (hasHit) tally.hits += 1;
    audit.hear(said);
    ending = isHeld ? "held" : endingOf(said);
    const isAllowed = isHeld || allowedEndings(of, said).includes(ending);
    if (hasHit && !isAllowed) audit.violations.push(`it ended: ${ending}, ${tellOf(death, complaints)}`);
    if (death.isHung) audit.violations.push("it hung");
    if (
      control.syncsFailed > 0 &&
      said.some((what) => what.said === "opened") &&
      control.writesAfterFailedSync > 0
    )
      audit.violations.push(`${control.writesAfterFailedSync} writes came after an fsync that had failed`);
    control.close();
    // What is left behind holds what was acknowledged, and a machine that is well goes on from there.
    if (audit.auditedCount > 0) await audit.check(store);
    const after = await live({ path: store, script, folder, name: "after" });
    audit.hear(after.said);
    if (after.death.code !== 0)
      audit.violations.push(
        `the life after it ended with ${tellOf(after.death, after.complaints)}${endingOf(after.said)}`,
      );
    await audit.checkEnd(store, script.total);
    tally.audited += audit.auditedCount;
    const where = `${error} ${isForEver ? "from" : "at"} ${call} ${at}${isInRecovery ? " of a recovery" : ""}`;
    return audit.violations.map((what) => `${where}: ${what}`);
  });
  return ending;
}

/** The fault stays for a while after its first hit. Returns what was said by then, when `frozen` holds the file. */
async function mend(of: {
  readonly control: DiskControl;
  readonly signal: AbortSignal;
  readonly life: Life;
  readonly store: string;
  readonly frozen: string;
}): Promise<readonly Said[] | undefined> {
  const { control, signal, life, store, frozen } = of;
  while (control.hits === 0 && !signal.aborted) await delay(5);
  if (signal.aborted) return undefined;
  await delay(200);
  const said = life.said();
  copyStore(store, frozen);
  control.mend();
  return said;
}

/**
 * Ends a life in which a run is held because its history cannot be read, and which has come to nothing else for a while: what others send
 * to that run waits with it, and so do they. Returns whether it was.
 */
async function endHeld(life: Life, signal: AbortSignal): Promise<boolean> {
  let saidCount = 0;
  let silentSince = performance.now();
  while (!signal.aborted) {
    await delay(100);
    const { length } = life.said();
    if (length !== saidCount) silentSince = performance.now();
    saidCount = length;
    if (performance.now() - silentSince < silentMs) continue;
    if (!/"a run is blocked".*"code":"store_(?:corrupt|failed)"/u.test(life.complaints())) continue;
    life.kill();
    return true;
  }
  return false;
}

function endingOf(said: readonly Said[]): string {
  const last = said.findLast(
    ({ said: kind }) => kind === "done" || kind === "unopened" || kind === "gave-up",
  );
  if (last?.said === "unopened" || last?.said === "gave-up") return `${last.said}: ${last.code}`;
  if (last?.said === "done")
    return said.some((what) => what.said === "refused") ? "done after refusals" : "done";
  return "silent";
}

function allowedEndings({ call, error }: Case, said: readonly Said[]): readonly string[] {
  // SQLite gives a sector that cannot be read the same code as one that holds nonsense.
  const unread = call === "read" ? ["store_corrupt"] : [];
  // What it cannot open for writing, SQLite opens for reading.
  const unwritten = call === "open" ? ["store_read_only"] : [];
  const unopened = ["store_failed", "store_full", "store_unavailable", ...unread, ...unwritten].map(
    (code) => `unopened: ${code}`,
  );
  if (!said.some((what) => what.said === "opened")) return unopened;
  const done = ["done", "done after refusals"];
  // A full disk is no reason to stop, but for an fsync that may have dropped what it was to write.
  if (error === "ENOSPC" && call === "write") return done;
  const gaveUp = [
    "store_failed",
    "store_unavailable",
    ...unread,
    ...(call === "read" ? ["run_blocked"] : []),
  ];
  return [...done, ...gaveUp.map((code) => `gave-up: ${code}`)];
}
