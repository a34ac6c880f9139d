import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AionError, isAionError } from "../../core/errors.ts";
import { encodeCatalogChange } from "../catalog.ts";
import { encodeCommit } from "../commit.ts";
import {
  World,
  VirtualClock,
  archiveOf,
  deployOf,
  idOf,
  leaseMs,
  mark,
  runOf,
  startOf,
} from "../conformance/world.ts";
import type { Job, JobResult } from "./job.ts";
import { pagesPerCheckpoint } from "./log-meter.ts";
import { openDatabase } from "./migrate.ts";
import { openSqliteStore } from "./store.ts";
import { ThreadHandle } from "./thread-handle.ts";
import { WritePath } from "./write-path.ts";
import type { WriteMode } from "./write-path.ts";
import { Writer } from "./writer.ts";

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-write-path-"));
  path = join(directory, "store.db");
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

async function openWorld(writer: "auto" | "thread" | "inline"): Promise<World> {
  const store = openSqliteStore({ path, writer });
  const token = await store.claim({ leaseMs });
  return new World({ store, dispose: () => store.close() }, new VirtualClock(), token);
}

describe.each(["auto", "thread", "inline"] as const)("writer %s", (writer) => {
  it("appends of one caller are done in the order of its calls, however many are under way", async () => {
    const world = await openWorld(writer);
    const run = await world.start("w");
    // Small ones, which are written here, amid large ones, which go to the thread.
    const sizes = Array.from({ length: 60 }, (_, index) => (index % 7 === 0 ? 40 : 1));
    let expectedSeq = 1;
    const pending = sizes.map((size, index) => {
      const commits = Array.from({ length: size }, () => {
        expectedSeq += 1;
        return { run: runOf(run, { expectedSeq: expectedSeq - 1, events: [mark(String(index))] }) };
      });
      return world.append(...commits);
    });
    await sleep(0);
    const last = world.append({ run: runOf(run, { expectedSeq, events: [mark("last")] }) });
    for (const results of [...(await Promise.all(pending)), await last]) {
      for (const result of results) expect(result.ok).toBe(true);
    }
    expect((await world.store.readHistory(idOf("w"))).length).toBe(expectedSeq + 1);
    await world.store.close();
  });

  it("closing finishes the appends that are under way", async () => {
    const world = await openWorld(writer);
    const pending = Array.from({ length: 200 }, (_, index) => world.append({ start: startOf(`w-${index}`) }));
    await world.store.close();
    for (const [result] of await Promise.all(pending)) expect(result?.ok).toBe(true);
    const again = openSqliteStore({ path, readOnly: true });
    expect(await again.count({})).toBe(200);
    await again.close();
  });

  it("the log is moved into the file while appends flow, so that it stays bounded", async () => {
    const world = await openWorld(writer);
    const run = await world.start("w");
    const text = "x".repeat(9_000);
    let writtenBytes = 0;
    // It is moved beside the appends, by a thread that needs some time for it; the file keeps the length that it had.
    const isMoved = (): boolean =>
      writtenBytes >= 54_000_000 && statSync(`${path}-wal`).size < 0.75 * writtenBytes;
    for (let round = 0; round < 600 && !isMoved(); round += 1) {
      const commits = Array.from({ length: 100 }, (_, index) => ({
        run: runOf(run, { expectedSeq: run.headSeq + index, events: [mark(text)] }),
      }));
      await world.append(...commits);
      run.headSeq += 100;
      writtenBytes += 100 * text.length;
    }
    expect(isMoved()).toBe(true);
    await world.store.close();
  });

  it("a store that has nothing to do keeps no process alive", () => {
    const program = `
      import { openSqliteStore } from ${JSON.stringify(new URL("./store.ts", import.meta.url).href)};
      import { startOf } from ${JSON.stringify(new URL("../conformance/world.ts", import.meta.url).href)};
      const store = openSqliteStore({ path: ${JSON.stringify(path)}, writer: ${JSON.stringify(writer)} });
      const token = await store.claim({ leaseMs: 1000 });
      const starts = Array.from({ length: 50 }, (_, index) => ({ start: startOf("w-" + index) }));
      for (const start of starts) await store.append(token, [start]);
      // Not awaited: an append under way does keep it alive, until its answer is there.
      void store.append(token, starts.map(({ start }, index) => ({ start: { ...start, workflowId: "v-" + index } })))
        .then((results) => console.log(results.filter((result) => result.ok).length));
    `;
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", program], {
      encoding: "utf8",
      timeout: 240_000,
    });
    expect(output.trim()).toBe("50");
  });
});

it("closing keeps the process until the thread is gone", () => {
  const program = `
    import { openSqliteStore } from ${JSON.stringify(new URL("./store.ts", import.meta.url).href)};
    const store = openSqliteStore({ path: ${JSON.stringify(path)}, writer: "thread" });
    await store.claim({ leaseMs: 1000 });
    await store.close();
    console.log("closed");
  `;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8",
    timeout: 240_000,
  });
  expect(output.trim()).toBe("closed");
});

describe("writer auto", () => {
  it("waits for another's lock without holding up the engine's thread", async () => {
    const world = await openWorld("auto");
    const run = await world.start("w");
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    const pending = world.extend(run);
    // If this thread waited, nobody could let go of the lock.
    await sleep(600);
    expect(other.isTransaction).toBe(true);
    other.exec("COMMIT");
    await pending;
    await world.extend(run);
    other.close();
    await world.store.close();
  });

  it("lone commits by the hundred are checkpointed beside, and the log begins anew", async () => {
    const world = await openWorld("auto");
    const run = await world.start("w");
    const text = "x".repeat(12_000);
    for (let count = 0; count < 1_500; count += 1) await world.extend(run, { events: [mark(text)] });
    expect(statSync(`${path}-wal`).size).toBeLessThan(28_000_000);
    expect((await world.store.readHistory(idOf("w"))).length).toBe(1_501);
    await world.store.close();
  });
});

/** The way of jobs to a file, and what of it went through the writer of this thread. */
interface Way {
  readonly path: WritePath;
  /** How many jobs each call of the writer was given. */
  readonly runs: number[];
  readonly database: DatabaseSync;
}

function openWay(of: {
  readonly mode: WriteMode;
  readonly threadPath?: string;
  readonly run?: (run: Writer["run"], jobs: readonly Job[]) => JobResult[];
}): Way {
  const database = openDatabase({ path, readOnly: false });
  const writer = new Writer(database, { path, storeName: path });
  const run = writer.run.bind(writer);
  const runs: number[] = [];
  writer.run = (jobs) => {
    runs.push(jobs.length);
    return of.run?.(run, jobs) ?? run(jobs);
  };
  return { path: new WritePath(writer, { path: of.threadPath ?? path, mode: of.mode }), runs, database };
}

const claim: Job = { kind: "claim", claim: { leaseMs }, now: 0, version: "0" };

let lastId = 0;

function starts(count: number): Job {
  const commits = Array.from({ length: count }, () => {
    lastId += 1;
    return encodeCommit({ start: startOf(`w-${lastId}`) });
  });
  return { kind: "append", epoch: 1, now: 0, commits };
}

function codeOf(result: JobResult): string {
  if (result.kind !== "failed") return result.kind;
  return isAionError(result.error) ? result.error.code : String(result.error);
}

/** Gives jobs to the thread until it takes them. */
async function awaitThread({ path: way, runs }: Way): Promise<void> {
  for (let before = -1; before !== runs.length;) {
    before = runs.length;
    expect(codeOf(await way.submit(starts(3)))).toBe("appended");
    await sleep(5);
  }
}

describe("the way of a job", () => {
  it("in memory ends within the call", async () => {
    const way = openWay({ mode: "at-once" });
    const answers = [way.path.submit(claim), way.path.submit(starts(100))];
    expect(way.runs).toEqual([1, 1]);
    expect((await Promise.all(answers)).map(codeOf)).toEqual(["done", "appended"]);
    await way.path.close();
    way.database.close();
  });

  it("of what one turn gives is one: lone commits at its end, and the next turn's after it", async () => {
    const way = openWay({ mode: "inline" });
    const first = [way.path.submit(claim), way.path.submit(starts(1)), way.path.submit(starts(100))];
    expect(way.runs).toEqual([]);
    await Promise.all(first);
    expect(way.runs).toEqual([3]);
    const loop = { hasTurned: false };
    setImmediate(() => {
      loop.hasTurned = true;
    });
    // A chain of commits, each given when the last was answered, lets the loop go on.
    for (let count = 0; count < 3; count += 1) await way.path.submit(starts(1));
    expect([way.runs, loop.hasTurned]).toEqual([[3, 1, 1, 1], true]);
    await way.path.close();
    way.database.close();
  });

  it("begins before anything else does when it is the first of its turn", async () => {
    const way = openWay({ mode: "inline" });
    for (const job of [claim, starts(1), starts(1)]) {
      await sleep(1);
      const before = way.runs.length;
      const answer = way.path.submit(job);
      await Promise.resolve();
      expect(way.runs.length).toBe(before + 1);
      expect(codeOf(await answer)).not.toBe("failed");
    }
    await way.path.close();
    way.database.close();
  });

  it.each(["inline", "at-once"] as const)(
    "is never given to a thread when there is to be none (%s)",
    async (mode) => {
      const way = openWay({ mode });
      await way.path.submit(claim);
      for (let count = 1; count <= 30; count += 1) {
        expect(codeOf(await way.path.submit(starts(3)))).toBe("appended");
        await sleep(10);
        expect(way.runs.length).toBe(1 + count);
      }
      await way.path.close();
      way.database.close();
    },
  );

  it("leaves the log to be moved when it has grown long", async () => {
    const pagesAt: number[] = [];
    const way = openWay({
      mode: "inline",
      run(run, jobs) {
        if (jobs[0]?.kind === "checkpoint") {
          const row = way.database.prepare("PRAGMA wal_checkpoint(NOOP)").get();
          pagesAt.push(Number(row?.["log"]) - Number(row?.["checkpointed"]));
        }
        return run(jobs);
      },
    });
    await way.path.submit(claim);
    for (let round = 0; round < 400 && pagesAt.length < 2; round += 1) {
      await way.path.submit(starts(200));
      // It is looked after in a later turn.
      await sleep(0);
    }
    expect(pagesAt).toHaveLength(2);
    for (const pages of pagesAt) {
      expect(pages).toBeGreaterThan(pagesPerCheckpoint);
      // And what one transaction brings.
      expect(pages).toBeLessThan(1.25 * pagesPerCheckpoint);
    }
    await way.path.close();
    way.database.close();
  });

  it("written here leaves the log to the thread long before it would be moved here", async () => {
    const way = openWay({ mode: "auto" });
    await way.path.submit(claim);
    const sizeBefore = statSync(path).size;
    const large = (id: string): Job => {
      const { events } = startOf(id);
      const commit = encodeCommit({
        start: startOf(id, { events: [...events, mark("x".repeat(1_400_000))] }),
      });
      return { kind: "append", epoch: 1, now: 0, commits: [commit] };
    };
    // Some 400 pages each. On the slowest disk, too, four commits go by before another way is tried.
    for (const id of ["a", "b"]) await way.path.submit(large(id));
    await sleep(300);
    expect(statSync(path).size).toBe(sizeBefore);
    await way.path.submit(large("c"));
    await expect.poll(() => statSync(path).size).toBeGreaterThan(4_000_000);
    expect(way.runs).toEqual([1, 1, 1, 1]);
    await way.path.close();
    way.database.close();
  });

  it.each(["inline", "thread"] as const)("is over when the way is closed (%s)", async (mode) => {
    const checkpoints: number[] = [];
    const way = openWay({
      mode,
      run(run, jobs) {
        if (jobs.some(({ kind }) => kind === "checkpoint")) checkpoints.push(1);
        return run(jobs);
      },
    });
    const codes: string[] = [];
    // So many that the log is to be looked after, for which it is too late then.
    for (const job of [claim, starts(1_700)])
      void way.path.submit(job).then((result) => codes.push(codeOf(result)));
    await way.path.close();
    expect(codes).toEqual(["done", "appended"]);
    way.database.close();
    await sleep(10);
    expect(checkpoints).toEqual([]);
  });

  it("by itself is short, and with others leads to the thread, as soon as that is up", async () => {
    const way = openWay({ mode: "auto" });
    // Until then it is written here.
    expect(codeOf(await way.path.submit(claim))).toBe("done");
    expect(codeOf(await way.path.submit(starts(3)))).toBe("appended");
    expect(way.runs).toEqual([1, 1]);
    await awaitThread(way);
    const before = way.runs.length;
    for (const job of [
      starts(3),
      { kind: "delete-closed", epoch: 1, now: 0, closedBefore: 0, limit: 1 } as const,
    ])
      await way.path.submit(job);
    expect(way.runs.length).toBe(before);
    for (const job of [starts(1), starts(2), { kind: "renew", epoch: 1, now: 0 } as const])
      await way.path.submit(job);
    expect(way.runs.length).toBe(before + 3);
    // What comes while the thread is at work goes the same way, and so stays behind.
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    const large = way.path.submit(starts(50));
    await sleep(20);
    const small = way.path.submit(starts(1));
    await sleep(20);
    other.exec("COMMIT");
    other.close();
    expect((await Promise.all([large, small])).map(codeOf)).toEqual(["appended", "appended"]);
    expect(way.runs.length).toBe(before + 3);
    await way.path.close();
    way.database.close();
  });

  it("that deploys a package leads to the thread though that is not up yet, and all that follows stays behind", async () => {
    const way = openWay({ mode: "auto" });
    await way.path.submit(claim);
    const change = encodeCatalogChange(deployOf(archiveOf("package", [])));
    const deploying = way.path.submit({ kind: "change-catalog", epoch: 1, now: 0, change });
    await sleep(0);
    const following = way.path.submit(starts(1));
    expect((await Promise.all([deploying, following])).map(codeOf)).toEqual(["done", "appended"]);
    expect(way.runs).toEqual([1]);
    await way.path.close();
    way.database.close();
  });

  it("begins amid a long turn when there is enough for the thread", async () => {
    const way = openWay({ mode: "auto" });
    await way.path.submit(claim);
    await awaitThread(way);
    const count = way.database.prepare("SELECT count(*) AS count FROM runs");
    let before = Number(count.get()?.["count"]);
    /** Gives the jobs, and holds up this turn until something of them is in the file, or the time is over. */
    const countAmid = async (jobs: readonly Job[], limitMs: number): Promise<number> => {
      const answers = jobs.map((job) => way.path.submit(job));
      let amid = before;
      for (const endAt = performance.now() + limitMs; amid === before && performance.now() < endAt;)
        amid = Number(count.get()?.["count"]);
      await Promise.all(answers);
      return amid - before;
    };
    expect(await countAmid([starts(63)], 100)).toBe(0);
    before = Number(count.get()?.["count"]);
    expect(
      await countAmid(
        Array.from({ length: 64 }, () => starts(1)),
        10_000,
      ),
    ).toBeGreaterThan(0);
    await way.path.close();
    way.database.close();
  });

  it("leads to the thread for a while when the disk is slow, and is then tried again", async () => {
    const slow = { isSlow: false };
    const way = openWay({
      mode: "auto",
      run(run, jobs) {
        const endAt = performance.now() + (slow.isSlow ? 4 : 0);
        const results = run(jobs);
        while (performance.now() < endAt);
        return results;
      },
    });
    await way.path.submit(claim);
    await awaitThread(way);
    // Whatever the disk was like until now: after so many flushes on the thread what is known is the same.
    slow.isSlow = true;
    const isHere: boolean[] = [];
    for (let count = 0; count < 440; count += 1) {
      const before = way.runs.length;
      await way.path.submit(starts(1));
      isHere.push(way.runs.length > before);
    }
    const away = isHere.indexOf(false);
    expect(away).toBeGreaterThan(0);
    expect(away).toBeLessThan(6);
    const again = isHere.indexOf(true, away);
    expect(again - away).toBe(201);
    // From half of what is bearable up, a sixteenth of the way to thrice as much each time; fewer if the machine is busy besides.
    const tries = isHere.indexOf(false, again) - again;
    expect(tries).toBeGreaterThanOrEqual(1);
    expect(tries).toBeLessThanOrEqual(4);
    await way.path.close();
    way.database.close();
  });

  it("ends here for good when the thread has died three times", async () => {
    const way = openWay({ mode: "thread", threadPath: join(directory, "none", "store.db") });
    const codes: string[] = [];
    for (let count = 0; count < 5; count += 1)
      codes.push(codeOf(await way.path.submit(count < 4 ? claim : starts(1))));
    expect(codes).toEqual(["commit_unknown", "commit_unknown", "commit_unknown", "done", "appended"]);
    expect(way.runs).toEqual([1, 1]);
    await way.path.close();
    way.database.close();
  });

  // I-48
  it("ends nowhere after a failure of the disk", async () => {
    const failure = new AionError("store_failed", "the disk is gone");
    const way = openWay({
      mode: "inline",
      run: (_, jobs) => jobs.map(() => ({ kind: "failed", error: failure })),
    });
    const first = await way.path.submit(starts(1));
    const second = await way.path.submit(starts(1));
    expect([first, second]).toEqual([
      { kind: "failed", error: failure },
      { kind: "failed", error: failure },
    ]);
    expect(way.runs).toEqual([1]);
    await way.path.close();
    way.database.close();
  });

  it.each([
    { mode: "inline", code: "store_full" },
    // A full disk would start the thread, to move the log.
    { mode: "auto", code: "store_corrupt" },
  ] as const)(
    "goes on after any other failure, and is not tried again ($mode, $code)",
    async ({ mode, ...of }) => {
      const failures = [new AionError(of.code, "as it happens"), new Error("a bug")];
      const way = openWay({
        mode,
        run(run, jobs) {
          const isMove = jobs[0]?.kind === "checkpoint";
          const error = isMove ? undefined : failures.shift();
          return error === undefined ? run(jobs) : jobs.map(() => ({ kind: "failed", error }));
        },
      });
      const codes = [];
      for (let count = 0; count < 3; count += 1) codes.push(codeOf(await way.path.submit(claim)));
      expect(codes).toEqual([of.code, "Error: a bug", "done"]);
      await way.path.close();
      way.database.close();
    },
  );

  it("without an answer is a bug of the writer's, and the others have theirs", async () => {
    const way = openWay({ mode: "inline", run: (run, jobs) => run(jobs).slice(0, 1) });
    const codes = await Promise.all([way.path.submit(claim), way.path.submit(starts(1))]);
    expect(codes.map(codeOf)).toEqual(["done", "internal"]);
    await way.path.close();
    way.database.close();
  });
});

describe("the thread", () => {
  interface Held {
    readonly handle: ThreadHandle;
    readonly settled: JobResult[];
    readonly ends: number[];
  }

  function start(): Held {
    openDatabase({ path, readOnly: false }).close();
    const settled: JobResult[] = [];
    const ends: number[] = [];
    const handle = new ThreadHandle(path, {
      settle: (_, results) => void settled.push(...results),
      ended: () => void ends.push(1),
    });
    return { handle, settled, ends };
  }

  function post(handle: ThreadHandle, ...jobs: readonly Job[]): void {
    handle.post(jobs.map((job) => ({ job, settle: () => {} })));
  }

  it("is busy from a post to its answer, and closing waits for that", async () => {
    const { handle, settled, ends } = start();
    expect([handle.isBusy, handle.isReady]).toEqual([false, false]);
    post(handle, claim);
    post(handle, starts(2), starts(1));
    expect(handle.isBusy).toBe(true);
    await handle.close();
    expect(settled.map(codeOf)).toEqual(["done", "appended", "appended"]);
    expect([handle.isBusy, handle.isReady]).toEqual([false, true]);
    // It was told to.
    expect(ends).toEqual([]);
  });

  it("moves the log when it is told to, once at a time, first beside what is written and then in turn with it", async () => {
    const { handle, settled } = start();
    post(handle, claim, starts(20));
    handle.checkpoint();
    handle.checkpoint();
    await expect.poll(() => settled.length).toBe(3);
    await sleep(50);
    expect(settled.map(codeOf)).toEqual(["done", "appended", "done"]);
    expect(statSync(path).size).toBeGreaterThan(4_096 * 3);
    handle.checkpoint();
    await expect.poll(() => settled.length).toBe(4);
    await handle.close();
    expect(settled).toHaveLength(4);
  });

  it("that is closed while it moves the log is not asked for more", async () => {
    const { handle, settled } = start();
    post(handle, claim);
    handle.checkpoint();
    await handle.close();
    expect(settled.map(codeOf)).toEqual(["done"]);
  });

  it("that dies is closed all the same, whether it dies before that, amid it, or unseen", async () => {
    for (const when of ["before", "amid", "unseen"]) {
      const ends: number[] = [];
      const settled: JobResult[] = [];
      const ended = Promise.withResolvers<void>();
      const handle = new ThreadHandle(join(directory, "none", "store.db"), {
        settle: (_, results) => void settled.push(...results),
        ended() {
          ends.push(1);
          ended.resolve();
        },
      });
      post(handle, claim, claim);
      post(handle, claim);
      if (when === "before") await ended.promise;
      const closing = handle.close();
      // Both its error and its end are there when this thread comes to look at it.
      if (when === "unseen") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
      await closing;
      expect(settled.map(codeOf)).toEqual(["commit_unknown", "commit_unknown", "commit_unknown"]);
      expect([ends, handle.isBusy]).toEqual([[1], false]);
    }
  });
});

it("when the thread ends with commits under way, their outcome is unknown", async () => {
  const { promise, resolve } = Promise.withResolvers<readonly JobResult[]>();
  const ended = Promise.withResolvers<void>();
  const handle = new ThreadHandle(join(directory, "none", "store.db"), {
    settle: (_, results) => resolve(results),
    ended: () => ended.resolve(),
  });
  handle.post([{ job: { kind: "release", epoch: 1 }, settle: () => {} }]);
  const [result] = await promise;
  await ended.promise;
  const error = (result?.kind === "failed" ? result.error : undefined) as AionError;
  expect(error.code).toBe("commit_unknown");
  expect(error.cause).toBeInstanceOf(Error);
  expect(handle.isBusy).toBe(false);
});
