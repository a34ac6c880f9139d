import path from "node:path";
import { Engine } from "aion";
import { auditDeployments } from "../store/deploy-process.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { Audit, copyStore } from "./audit.ts";
import type { DiskFault, Recorded } from "./disk-fault.ts";
import { DiskControl, buildDiskFault, readRecord } from "./disk-fault.ts";
import { DiskModel } from "./disk-model.ts";
import type { ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { Seeded, Tally, inFolder, live, skip, tellOf } from "./scenario.ts";
import type { Said, Script } from "./workload.ts";
import { defineWorkload } from "./workload.ts";

interface Recording {
  readonly script: Script;
  /** Dies at that fsync; the life after it is the one whose power is cut. */
  readonly killedAt?: number;
  /** Power is cut at each acknowledgement, and at so many other moments. */
  readonly otherMoments: number;
  /** Of the acknowledgements, each so-many-th. */
  readonly step: number;
  /** With how many random choices of what was not synced, at each moment. */
  readonly choices: number;
  /** Each so-many-th cut is carried on from, to the end of the script. */
  readonly carryOnStep: number;
}

/**
 * The power goes: the files are rebuilt from what a process has written and synced, at every acknowledgement and in
 * between, without what was not synced and with random parts of it; and everything acknowledged has to be there.
 */
export async function cutPower(options: ScenarioOptions): Promise<ScenarioResult> {
  const tally = new Tally("power cut");
  const built = buildDiskFault();
  if (built.library === undefined) return skip(tally.name, built.missing);
  const { library } = built;
  const scale = (options.cycles ?? 1_000) / 1_000;
  const recordings: readonly Recording[] = [
    // A new file: the creation, and every acknowledgement.
    {
      script: { total: 10, window: 4 },
      otherMoments: 60 * scale,
      step: 1,
      choices: 2 * scale,
      carryOnStep: 25,
    },
    // Pages enough that the log is moved into the file, and begins anew.
    {
      script: { total: 60, window: 12, padding: 1_500 },
      otherMoments: 150 * scale,
      step: Math.max(1, Math.round(4 / scale)),
      choices: 2,
      carryOnStep: 60,
    },
    // A recovery, of a process that was killed amid its work.
    {
      script: { total: 10, window: 4 },
      killedAt: 25,
      otherMoments: 40 * scale,
      step: 2,
      choices: 1 * scale,
      carryOnStep: 25,
    },
  ];
  for (const [index, recording] of recordings.entries()) {
    const random = new Seeded("power", options.seed, index);
    await inFolder(tally, (folder) => cutAlong(tally, recording, { folder, library, random }));
  }
  await inFolder(tally, (folder) =>
    cutDeploys(tally, scale, { folder, library, random: new Seeded("power of deploys", options.seed) }),
  );
  return tally.result();
}

const deployedCount = 8;
/** Of the archives: some pages, so that a deployment is many writes. */
const stepBytes = 60_000;

/** Packages are deployed, routed and unloaded. */
async function cutDeploys(
  tally: Tally,
  scale: number,
  around: { readonly folder: string; readonly library: string; readonly random: Seeded },
): Promise<readonly string[]> {
  const { folder, library, random } = around;
  const found: string[] = [];
  const store = path.join(folder, "store.db");
  const rebuilt = path.join(folder, "rebuilt.db");
  // As the disk is before: empty.
  const model = new DiskModel(store);
  const control = new DiskControl(path.join(folder, "control"));
  const record = path.join(folder, "record");
  const program = [
    path.join(import.meta.dirname, "../store/deploy-process.ts"),
    store,
    "auto",
    String(deployedCount),
    String(stepBytes),
  ];
  const script = { total: 0, window: 0 };
  const life = await live({
    path: store,
    script,
    folder,
    name: "deploys",
    program,
    disk: { library, control, record },
  });
  if (life.death.code !== 0) found.push(`the deployments ended with ${tellOf(life.death, life.complaints)}`);
  const records = readRecord(record);
  const others = new Set(Array.from({ length: 60 * scale }, () => random.integer(0, records.length - 1)));
  let last = -1;
  let cuts = 0;
  for (const [index, each] of records.entries()) {
    model.apply(each);
    if (each.kind === "said") last = Number(each.line);
    if (each.kind !== "said" && !others.has(index)) continue;
    for (let choice = 0; choice <= 2; choice += 1) {
      cuts += 1;
      tally.cycles += 1;
      if (model.pendingCount > 0) tally.hits += 1;
      model.cutPower(rebuilt, choice === 0 ? undefined : random);
      const wrong = await auditDeployments(rebuilt, last, stepBytes).catch((error: unknown) => [
        String(error),
      ]);
      if (wrong.length > 0) copyStore(rebuilt, path.join(folder, `cut-${index}-${choice}.db`));
      found.push(
        ...wrong.map((what) => `cut at record ${index} of ${records.length}, choice ${choice}: ${what}`),
      );
    }
  }
  if (last !== deployedCount - 1) found.push(`the last deployment that was acknowledged is ${last}`);
  tally.audited += last + 1;
  tally.notes.push(
    `${deployedCount} packages deployed and routed, ${deployedCount - 3} unloaded: ${control.syncsDone} fsyncs, cut ${cuts} times`,
  );
  control.close();
  return found;
}

/** The same while fsync does nothing: what the audit finds then shows that it looks. Returns how much it found. */
export async function cutPowerOfLyingDisk(options: ScenarioOptions): Promise<number | undefined> {
  const built = buildDiskFault();
  if (built.library === undefined) return undefined;
  const { library } = built;
  const found = new Tally("power cut of a disk that lies");
  const recording: Recording = {
    script: { total: 5, window: 2 },
    otherMoments: 0,
    step: 5,
    choices: 0,
    carryOnStep: Number.POSITIVE_INFINITY,
  };
  const random = new Seeded("lie", options.seed);
  let count = 0;
  await inFolder(found, async (folder) => {
    const fault: DiskFault = { fault: "lie", calls: ["sync"], files: ["wal"], at: 8 };
    count = (await cutAlong(found, recording, { folder, library, random, fault })).length;
    return [];
  });
  return count;
}

async function cutAlong(
  tally: Tally,
  recording: Recording,
  around: {
    readonly folder: string;
    readonly library: string;
    readonly random: Seeded;
    readonly fault?: DiskFault;
  },
): Promise<readonly string[]> {
  const found: string[] = [];
  const { folder, library, random, fault } = around;
  const { script, killedAt, choices, carryOnStep } = recording;
  const store = path.join(folder, "store.db");
  const rebuilt = path.join(folder, "rebuilt.db");
  const common = { path: store, script, folder };
  let before: readonly Said[] = [];
  if (killedAt !== undefined) {
    const control = new DiskControl(path.join(folder, "control-before"));
    control.plan({ fault: "kill-before", calls: ["sync"], at: killedAt, times: 1 });
    const life = await live({ ...common, name: "before", disk: { library, control } });
    if (life.death.signal !== "SIGKILL") found.push(`not killed: ${tellOf(life.death, "")}`);
    before = life.said;
    control.close();
  }
  const model = new DiskModel(store);
  const control = new DiskControl(path.join(folder, "control"));
  control.plan(fault);
  const record = path.join(folder, "record");
  const life = await live({ ...common, name: "recorded", disk: { library, control, record } });
  if (life.death.code !== 0)
    found.push(`the recorded life ended with ${tellOf(life.death, life.complaints)}`);
  const records = readRecord(record);
  const others = new Set(
    Array.from({ length: recording.otherMoments }, () => random.integer(0, records.length - 1)),
  );
  const said: Said[] = [...before];
  let saidCount = 0;
  let cuts = 0;
  for (const [index, each] of records.entries()) {
    model.apply(each);
    if (each.kind === "said") {
      said.push(JSON.parse(each.line) as Said);
      saidCount += 1;
    }
    const isMoment = (each.kind === "said" && saidCount % recording.step === 0) || others.has(index);
    if (!isMoment) continue;
    for (let choice = 0; choice <= choices; choice += 1) {
      cuts += 1;
      tally.cycles += 1;
      if (model.pendingCount > 0) tally.hits += 1;
      model.cutPower(rebuilt, choice === 0 ? undefined : random);
      const audit = new Audit();
      audit.hear(said);
      await recover(rebuilt, audit);
      if (cuts % carryOnStep === 0) await carryOn(rebuilt, audit, script);
      tally.audited += audit.auditedCount;
      if (audit.violations.length > 0) copyStore(rebuilt, path.join(folder, `cut-${index}-${choice}.db`));
      found.push(
        ...audit.violations.map(
          (what) => `cut at record ${index} of ${records.length}, choice ${choice}: ${what}`,
        ),
      );
    }
  }
  const syncs = control.syncsDone;
  const words = saidCount - 2;
  tally.notes.push(
    `script of ${script.total}${killedAt === undefined ? "" : ", recovered"}: ${words} acknowledgements and effects, ${syncs} fsyncs, ` +
      `${countWrites(records, "database")} writes to the file, ${countWrites(records, "wal")} to the log, cut ${cuts} times`,
  );
  control.close();
  return found;
}

function countWrites(records: readonly Recorded[], file: string): number {
  return records.filter((each) => each.kind === "write" && each.file === file).length;
}

async function recover(store: string, audit: Audit): Promise<void> {
  try {
    await openSqliteStore({ path: store }).close();
    await audit.check(store);
  } catch (error) {
    audit.violations.push(`after the cut: ${String(error)}`);
  }
}

/** In this process, from the rebuilt file: everything comes to the right end. */
async function carryOn(store: string, audit: Audit, script: Script): Promise<void> {
  const said: Said[] = [];
  const { workflows, activities, drive } = defineWorkload((what) => said.push(what));
  try {
    const engine = await Engine.open({
      store: `sqlite:${store}`,
      workflows,
      activities,
      localSocket: false,
      feed: true,
    });
    await drive(engine, script);
    await engine.close();
    audit.hear(said);
    await audit.checkEnd(store, script.total);
  } catch (error) {
    audit.violations.push(`carried on: ${String(error)}`);
  }
}
