/**
 * What a process meets that may not write, or whose disk is full; the answers go to standard output as JSON.
 * `node limited-process.ts read-only DIRECTORY` / `node limited-process.ts full DIRECTORY`
 */
import { chmodSync, copyFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isAionError } from "../../src/core/errors.ts";
import { World, VirtualClock, idOf, leaseMs, mark } from "../../src/store/conformance/world.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";

export interface ReadOnlyReport {
  /** Codes of what was tried on: a new store, an old one in the directory, an old one that is itself read-only. */
  readonly create: string;
  readonly open: string;
  readonly openFile: string;
  /** Events of a history read in that directory. */
  readonly readCount: number;
  /** Of an attempt to read a store there whose log has not been moved into it, and cannot be read without an index. */
  readonly readLogged: string;
}

export interface FullDiskReport {
  readonly code: string;
  readonly headWhenFull: number;
  readonly historyWhenFull: number;
  readonly lengthBefore: number;
  readonly refusedWhileFull: string;
  readonly headAfterwards: number;
  readonly historyAfterwards: number;
}

async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return "done";
  } catch (error) {
    return isAionError(error) ? error.code : String(error);
  }
}

async function reportReadOnly(directory: string): Promise<ReadOnlyReport> {
  const path = join(directory, "locked", "store.db");
  const file = join(directory, "file.db");
  for (const made of [path, file]) {
    const store = openSqliteStore({ path: made });
    const world = new World(
      { store, dispose: () => store.close() },
      new VirtualClock(),
      await store.claim({ leaseMs }),
    );
    await world.start("w");
    // As a process leaves it that is killed.
    const logged = join(directory, "locked", "logged.db");
    for (const suffix of ["", "-wal"]) copyFileSync(`${made}${suffix}`, `${logged}${suffix}`);
    await store.release(world.token);
    await store.close();
  }
  chmodSync(path, 0o444);
  chmodSync(join(directory, "locked"), 0o555);
  chmodSync(file, 0o444);
  const { getuid, setgid, setuid } = process;
  if (getuid?.() === 0) {
    // Permissions do not bind root: go on as nobody.
    setgid?.(65_534);
    setuid?.(65_534);
  }
  const reader = openSqliteStore({ path, readOnly: true });
  const readCount = (await reader.readHistory(idOf("w"))).length;
  await reader.close();
  return {
    create: await codeOf(() => openSqliteStore({ path: join(directory, "locked", "new.db") })),
    open: await codeOf(() => openSqliteStore({ path })),
    openFile: await codeOf(() => openSqliteStore({ path: file })),
    readCount,
    readLogged: await codeOf(() =>
      openSqliteStore({ path: join(directory, "locked", "logged.db"), readOnly: true }),
    ),
  };
}

async function reportFull(directory: string): Promise<FullDiskReport> {
  const store = openSqliteStore({ path: join(directory, "store.db") });
  const world = new World(
    { store, dispose: () => store.close() },
    new VirtualClock(),
    await store.claim({ leaseMs }),
  );
  const run = await world.start("w");
  await world.extend(run);
  // Everything that is left but a little.
  const filler = join(directory, "filler");
  const chunk = Buffer.alloc(64 * 1024, 1);
  for (
    let index = 0;
    (await codeOf(() => writeFileSync(`${filler}-${index}`, chunk))) === "done";
    index += 1
  );
  const text = "x".repeat(20_000);
  let code = "done";
  let lengthBefore = run.headSeq;
  while (code === "done") {
    lengthBefore = run.headSeq;
    code = await codeOf(() => world.extend(run, { events: [mark(text), mark(text)] }));
  }
  const refusedWhileFull = await codeOf(() => world.extend(run, { events: [mark(text), mark(text)] }));
  const headWhenFull = (await store.findRun(idOf("w")))?.headSeq ?? 0;
  const historyWhenFull = (await store.readHistory(idOf("w"))).length;
  for (const name of readdirSync(directory)) if (name.startsWith("filler")) rmSync(join(directory, name));
  await world.extend(run, { events: [mark(text), mark(text)] });
  await store.close();
  const again = openSqliteStore({ path: join(directory, "store.db") });
  const headAfterwards = (await again.findRun(idOf("w")))?.headSeq ?? 0;
  const historyAfterwards = (await again.readHistory(idOf("w"))).length;
  await again.close();
  return {
    code,
    headWhenFull,
    historyWhenFull,
    lengthBefore,
    refusedWhileFull,
    headAfterwards,
    historyAfterwards,
  };
}

if (import.meta.main) {
  const [what, directory = ""] = process.argv.slice(2);
  const report = what === "full" ? await reportFull(directory) : await reportReadOnly(directory);
  process.stdout.write(`${JSON.stringify(report)}\n`);
}
