import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AionError } from "../../core/errors.ts";
import { World, VirtualClock, idOf, leaseMs, mark, runOf, startOf } from "../conformance/world.ts";
import type { JobResult } from "./job.ts";
import { openSqliteStore } from "./store.ts";
import { ThreadHandle } from "./thread-handle.ts";

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
    for (let round = 0; round < 60; round += 1) {
      const commits = Array.from({ length: 100 }, (_, index) => ({
        run: runOf(run, { expectedSeq: run.headSeq + index, events: [mark(text)] }),
      }));
      await world.append(...commits);
      run.headSeq += 100;
    }
    // 54 MB have been written.
    expect(statSync(`${path}-wal`).size).toBeLessThan(40_000_000);
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
      timeout: 20_000,
    });
    expect(output.trim()).toBe("50");
  });
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
