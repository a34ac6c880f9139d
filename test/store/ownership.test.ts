import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { idOf } from "../../src/store/conformance/world.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { OwnerProcess } from "./owner-process.ts";
import type { OwnerAnswer, OwnerProcessOptions } from "./owner-process.ts";

let directory: string;
let path: string;
let processes: OwnerProcess[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-owner-"));
  path = join(directory, "store.db");
  processes = [];
});

afterEach(async () => {
  for (const owner of processes) {
    owner.process.kill("SIGCONT");
    await owner.kill();
  }
  rmSync(directory, { recursive: true });
});

function startProcess(
  options: Omit<OwnerProcessOptions, "path"> = {},
  command: readonly string[] = [],
): OwnerProcess {
  const owner = new OwnerProcess({ path, ...options }, command);
  processes.push(owner);
  return owner;
}

async function readHeads(): Promise<Readonly<Record<string, number>>> {
  const store = openSqliteStore({ path, readOnly: true });
  const { runs } = await store.list({}, { limit: 100 });
  for (const run of runs) {
    // I-40
    const history = await store.readHistory(run.workflowId);
    expect(history.map((event) => event.seq)).toEqual(
      Array.from({ length: run.headSeq }, (_, index) => index + 1),
    );
  }
  await store.close();
  return Object.fromEntries(runs.map((run) => [run.workflowId, run.headSeq]));
}

// I-51, I-18
it("a second process is refused, told who owns the store, and writes nothing", async () => {
  const first = startProcess({ endpoint: "/run/the-first.sock" });
  const second = startProcess();
  expect(await first.ask({ do: "claim" })).toEqual({ epoch: 1 });
  await first.ask({ do: "start", id: "w" });
  const { error } = await second.ask({ do: "claim" });
  expect(error?.code).toBe("store_owned");
  expect(error?.details).toMatchObject({
    pid: first.process.pid,
    host: hostname(),
    endpoint: "/run/the-first.sock",
    epoch: 1,
  });
  for (const fact of [String(first.process.pid), hostname(), "/run/the-first.sock", path])
    expect(error?.message).toContain(fact);
  expect(await first.ask({ do: "start", id: "v" })).toMatchObject({ headSeq: 1 });
});

// I-18
it("of processes that claim at one time one succeeds", async () => {
  const contenders = [1, 2, 3].map(() => startProcess());
  const answers = await Promise.all(contenders.map((contender) => contender.ask({ do: "claim" })));
  expect(answers.filter((answer) => answer.epoch !== undefined)).toHaveLength(1);
  expect(answers.filter((answer) => answer.error?.code === "store_owned")).toHaveLength(2);
});

// I-16, I-51
it("a process that was killed is replaced at once, long before its lease is over", async () => {
  const first = startProcess({ leaseMs: 3_600_000 });
  const second = startProcess();
  await first.ask({ do: "claim" });
  await first.ask({ do: "start", id: "w" });
  await first.kill("SIGKILL");
  expect(await second.ask({ do: "claim" })).toEqual({ epoch: 2 });
  expect(await second.ask({ do: "extend", id: "w", runKey: 1, expectedSeq: 1 })).toEqual({ headSeq: 4 });
});

it("a killed process that nobody has reaped yet is replaced too", async () => {
  // The shell becomes `sleep`, which never waits for the child that it has inherited.
  const script = '"$0" "$@" <&3 & exec sleep 60 </dev/null';
  const first = startProcess({ leaseMs: 3_600_000 }, ["sh", "-c", `exec 3<&0; ${script}`]);
  await first.ask({ do: "claim" });
  const reader = openSqliteStore({ path, readOnly: true });
  const pid = (await reader.readOwner())?.pid ?? 0;
  expect(pid).not.toBe(first.process.pid);
  process.kill(pid, "SIGKILL");
  const stateOf = (): string | undefined => /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];
  for (let tries = 0; stateOf() !== "Z" && tries < 500; tries += 1) await sleep(10);
  expect(stateOf()).toBe("Z");
  expect((await reader.readOwner())?.isAlive).toBe(false);
  await reader.close();
  expect(await startProcess().ask({ do: "claim" })).toEqual({ epoch: 2 });
});

// I-16
it("a frozen process is replaced after its lease, and when it wakes it writes nothing", async () => {
  const leaseMs = 400;
  const first = startProcess({ leaseMs });
  const second = startProcess();
  await first.ask({ do: "claim" });
  await first.ask({ do: "start", id: "w" });
  first.process.kill("SIGSTOP");
  expect((await second.ask({ do: "claim" })).error?.code).toBe("store_owned");
  await sleep(leaseMs + 100);
  expect(await second.ask({ do: "claim" })).toEqual({ epoch: 2 });
  const before = await readHeads();
  first.process.kill("SIGCONT");
  const { error } = await first.ask({ do: "extend", id: "w", runKey: 1, expectedSeq: 1 });
  expect(error?.code).toBe("not_owner");
  expect(error?.details).toEqual({ epoch: 1, currentEpoch: 2 });
  expect(await readHeads()).toEqual(before);
  expect(await second.ask({ do: "extend", id: "w", runKey: 1, expectedSeq: 1 })).toEqual({ headSeq: 4 });
});

// I-16
it("a process that is frozen between two of its commits makes no third", async () => {
  const leaseMs = 300;
  const first = startProcess({ leaseMs, writer: "thread" });
  await first.ask({ do: "claim" });
  await first.ask({ do: "start", id: "w" });
  await first.ask({ do: "pour", id: "w", runKey: 1, expectedSeq: 1, pauseMs: 5 });
  for (let count = 0; count < 5; count += 1) await first.next();
  await freezeOutsideTransaction(first);
  await sleep(leaseMs + 100);
  const store = openSqliteStore({ path });
  const token = await store.claim({ leaseMs: 60_000 });
  const headSeq = (await store.findRun(idOf("w")))?.headSeq ?? 0;
  first.process.kill("SIGCONT");
  let answer: OwnerAnswer = {};
  const acknowledged: number[] = [];
  while (answer.error === undefined) {
    answer = await first.next();
    if (answer.headSeq !== undefined) acknowledged.push(answer.headSeq);
  }
  expect(answer.error.code).toBe("not_owner");
  expect(Math.max(...acknowledged)).toBeLessThanOrEqual(headSeq);
  expect((await store.findRun(idOf("w")))?.headSeq).toBe(headSeq);
  await store.release(token);
  await store.close();
});

/** The kernel keeps the file's lock for a process that is frozen inside a transaction. */
async function freezeOutsideTransaction(owner: OwnerProcess): Promise<void> {
  const probe = new DatabaseSync(path);
  for (;;) {
    owner.process.kill("SIGSTOP");
    await sleep(20);
    try {
      probe.exec("BEGIN IMMEDIATE");
      probe.exec("ROLLBACK");
      break;
    } catch {
      owner.process.kill("SIGCONT");
      await sleep(10);
    }
  }
  probe.close();
}

it("a claim that meets a lock says who owns the store, and what to do if it is frozen", async () => {
  const first = startProcess({ leaseMs: 1 });
  await first.ask({ do: "claim" });
  const { pid } = first.process;
  // As a process does that is frozen amid a commit.
  const holder = new DatabaseSync(path);
  holder.exec("BEGIN IMMEDIATE");
  const store = openSqliteStore({ path });
  await expect(store.claim({ leaseMs: 1_000 })).rejects.toMatchObject({
    code: "store_unavailable",
    message: expect.stringContaining(`process ${pid}`) as string,
    hint: expect.stringContaining(`kill -9 ${pid}`) as string,
    details: { pid, host: hostname() },
  });
  holder.exec("ROLLBACK");
  expect((await store.claim({ leaseMs: 1_000 })).epoch).toBe(2);
  await store.close();
  holder.close();
});

// I-1, I-4
it.each(["auto", "thread", "inline"] as const)(
  "kill -9 amid appends loses nothing that was acknowledged (%s)",
  async (writer) => {
    for (const acknowledgements of [1, 7, 60]) {
      const owner = startProcess({ writer });
      await owner.ask({ do: "claim" });
      const id = `w-${acknowledgements}`;
      const { runKey = 0 } = await owner.ask({ do: "start", id });
      let { headSeq = 0 } = await owner.ask({ do: "pour", id, runKey, expectedSeq: 1 });
      for (let count = 1; count < acknowledgements; count += 1) headSeq = (await owner.next()).headSeq ?? 0;
      await owner.kill("SIGKILL");
      for (const answer of await owner.rest()) headSeq = Math.max(headSeq, answer.headSeq ?? 0);
      const { [id]: found = 0 } = await readHeads();
      expect(found).toBeGreaterThanOrEqual(headSeq);
      // Three events a commit: a commit is there as a whole or not at all.
      expect((found - 1) % 3).toBe(0);
    }
  },
);

it("a reader sees what the owner in another process has acknowledged, and need not be told of its end", async () => {
  const owner = startProcess();
  await owner.ask({ do: "claim" });
  await owner.ask({ do: "start", id: "w" });
  const reader = openSqliteStore({ path, readOnly: true });
  for (const headSeq of [4, 7, 10]) {
    await owner.ask({ do: "extend", id: "w", runKey: 1, expectedSeq: headSeq - 3 });
    expect((await reader.readHistory(idOf("w"))).length).toBe(headSeq);
  }
  expect(await reader.readOwner()).toMatchObject({ pid: owner.process.pid, isAlive: true });
  await owner.kill("SIGKILL");
  expect(await reader.readOwner()).toMatchObject({ pid: owner.process.pid, isAlive: false });
  expect((await reader.readHistory(idOf("w"))).length).toBe(10);
  await reader.close();
  expect(await readHeads()).toEqual({ w: 10 });
});

it("a reader writes nothing, and is told so", async () => {
  const owner = startProcess();
  await owner.ask({ do: "claim" });
  const reader = openSqliteStore({ path, readOnly: true });
  await expect(reader.claim({ leaseMs: 1 })).rejects.toMatchObject({ code: "store_read_only" });
  await reader.close();
});
