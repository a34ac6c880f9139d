/** The write-ahead log: what a copy of it holds, cut or damaged anywhere, and what a reader does to its length. */
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { afterEach, beforeEach, expect, it } from "vitest";
import { isAionError } from "../../core/errors.ts";
import { World, VirtualClock, endOf, idOf, leaseMs, mark, runOf, startOf } from "../conformance/world.ts";
import type { Store } from "../contract.ts";
import { openSqliteStore } from "./store.ts";

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-log-"));
  path = join(directory, "store.db");
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

async function openWorld(): Promise<World> {
  const store = openSqliteStore({ path, writer: "inline" });
  const token = await store.claim({ leaseMs });
  return new World({ store, dispose: () => store.close() }, new VirtualClock(), token);
}

/** All that can be read, as text that can be compared. */
async function readAll(store: Store): Promise<string> {
  const { runs } = await store.list({}, { limit: 1_000 });
  const ids = [...new Set(runs.map((run) => run.workflowId))];
  return JSON.stringify({
    runs,
    histories: await Promise.all(ids.map((id) => store.readHistory(id))),
    heartbeats: await Promise.all(runs.map((run) => store.readHeartbeats(run.runKey))),
    messages: await store.listMessages(0, 1_000),
    due: await store.listDue(Number.MAX_SAFE_INTEGER, undefined, 1_000),
    epoch: (await store.readOwner())?.epoch,
  });
}

/** Opens what a crash would have left: the file, and this much of the log. The index of the log is made anew. */
async function readCopy(file: Buffer, log: Buffer): Promise<string> {
  const copy = join(directory, "copy.db");
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${copy}${suffix}`, { force: true });
  writeFileSync(copy, file);
  writeFileSync(`${copy}-wal`, log);
  const store = openSqliteStore({ path: copy, writer: "inline" });
  try {
    return await readAll(store);
  } finally {
    await store.close();
  }
}

const readLog = (): Buffer => (existsSync(`${path}-wal`) ? readFileSync(`${path}-wal`) : Buffer.alloc(0));

/** Commits of every form, each followed by `between`. */
async function write(world: World, between: () => Promise<void>): Promise<void> {
  const run = await world.start("w", { wakeAt: 5 });
  await between();
  const cancel = { target: idOf("w"), message: { kind: "cancel" as const, reason: "r" } };
  const sent = await world.extend(run, { events: [mark("a"), mark("b")] }, { send: [cancel, cancel] });
  await between();
  const details = "1" as never;
  await world.extend(run, { heartbeats: [{ ordinal: 0, attempt: 1, details }], blocked: "why", wakeAt: 9 });
  await between();
  await world.extend(run, { events: [mark("x".repeat(9_000))] }, { consume: sent.ok ? sent.messageIds : [] });
  await between();
  await world.append({
    run: runOf(run, { events: [endOf("continued-as-new")], status: "continued-as-new", closedAt: 7 }),
    start: startOf("w", { firstSeq: run.headSeq + 2, runId: world.newRunId() }),
  });
  await between();
  await world.append({ start: startOf("v", { runId: world.newRunId() }) }, { run: runOf(run) });
  await between();
  expect(await world.store.deleteClosed(world.token, 8, 10)).toBe(1);
  await between();
}

// I-1, I-4
it("a copy of the files between two transactions holds exactly what was acknowledged", async () => {
  const world = await openWorld();
  let count = 0;
  await write(world, async () => {
    expect(await readCopy(readFileSync(path), readLog())).toBe(await readAll(world.store));
    count += 1;
  });
  expect(count).toBe(7);
  await world.store.close();
});

interface Logged {
  readonly file: Buffer;
  readonly log: Buffer;
  /** How long the log was after each acknowledgement, and what there was to read then. */
  readonly states: readonly { readonly length: number; readonly text: string }[];
}

async function writeLog(): Promise<Logged> {
  const world = await openWorld();
  // All of it is in the log: the file holds what was there when the log began.
  const file = readFileSync(path);
  const states = [{ length: readLog().length, text: await readAll(world.store) }];
  await write(world, async () => {
    states.push({ length: readLog().length, text: await readAll(world.store) });
  });
  expect(readFileSync(path).equals(file)).toBe(true);
  const log = readLog();
  await world.store.close();
  return { file, log, states };
}

// I-4, I-49
it("a log that is cut anywhere holds the transactions before the cut, each of them whole", async () => {
  const { file, log, states } = await writeLog();
  const first = states[0]?.length ?? 0;
  const cuts = new Set(states.flatMap(({ length }) => [length - 1, length, length + 1]));
  // A frame is a page and its header of 24 bytes.
  for (let at = first; at < log.length; at += 1_031) cuts.add(at);
  for (const cut of [...cuts].filter((at) => at >= first && at <= log.length)) {
    const whole = states.findLast(({ length }) => length <= cut);
    expect({ cut, text: await readCopy(file, log.subarray(0, cut)) }).toEqual({ cut, text: whole?.text });
  }
  expect(new Set(states.map(({ length }) => length)).size).toBe(states.length);
});

/** Of a frame, the bytes that are not 0 where a transaction ends. */
function isEndMark(at: number): boolean {
  const inFrame = (at - 32) % (4_096 + 24);
  return inFrame >= 4 && inFrame < 8;
}

// I-4, I-49, I-50
it("a log of which a byte is wrong ends before it when it may have been cut off there, and is refused otherwise", async () => {
  const { file, log, states } = await writeLog();
  const first = states[0]?.length ?? 0;
  const lastTransactions = states.at(-3)?.length ?? 0;
  const counts = { ended: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: first, max: log.length - 1 }),
      fc.integer({ min: 1, max: 255 }),
      async (at, bits) => {
        const torn = Buffer.from(log);
        torn.writeUInt8(torn.readUInt8(at) ^ bits, at);
        const outcome = await readCopy(file, torn).catch((error: unknown) => error);
        if (isAionError(outcome)) {
          // Commits lie behind it whose fsync came after its own; or it makes a frame say that it ends a transaction.
          const mayBe = at < (states.at(-2)?.length ?? 0) || isEndMark(at);
          expect([outcome.code, mayBe]).toEqual(["store_corrupt", true]);
          counts.refused += 1;
        } else {
          expect(at).toBeGreaterThanOrEqual(lastTransactions);
          expect(outcome).toBe(states.findLast(({ length }) => length <= at)?.text);
          counts.ended += 1;
        }
      },
    ),
    { numRuns: 60 },
  );
  expect(counts.refused).toBeGreaterThan(0);
});

it("a long read keeps the log from being emptied, not from being written; and afterwards it is emptied", async () => {
  const world = await openWorld();
  const run = await world.start("w");
  const reader = new DatabaseSync(path, { readOnly: true });
  reader.exec("BEGIN");
  const seen = reader.prepare("SELECT head_seq FROM runs").get();
  const pour = async (count: number): Promise<void> => {
    for (let round = 0; round < count; round += 1) {
      const commits = Array.from({ length: 100 }, (_, index) => ({
        run: runOf(run, { expectedSeq: run.headSeq + index, events: [mark("x".repeat(9_000))] }),
      }));
      await world.append(...commits);
      run.headSeq += 100;
    }
    // The log is looked after in a turn of its own.
    await new Promise((resolve) => setImmediate(resolve));
  };
  await pour(40);
  const starved = statSync(`${path}-wal`).size;
  // 36 MB have been written, and none of them can leave the log.
  expect(starved).toBeGreaterThan(36_000_000);
  expect(reader.prepare("SELECT head_seq FROM runs").get()).toEqual(seen);
  expect((await world.store.readHistory(idOf("w"))).length).toBe(4_001);
  reader.exec("COMMIT");
  reader.close();
  await pour(40);
  // It was moved, and began anew: all that was poured since found room in it.
  expect(statSync(`${path}-wal`).size).toBeLessThan(starved * 1.6);
  expect((await world.store.readHistory(idOf("w"))).length).toBe(8_001);
  await world.store.close();
  copyFileSync(path, `${path}.copy`);
  const copy = openSqliteStore({ path: `${path}.copy`, readOnly: true });
  expect((await copy.readHistory(idOf("w"))).length).toBe(8_001);
  await copy.close();
});
