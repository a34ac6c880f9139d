/** Backups: of one instant, whole, on disk and checked, or none. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock, World, idOf, leaseMs, mark } from "../../src/store/conformance/world.ts";
import { backUpSqliteStore } from "../../src/store/sqlite/backup.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { OwnerProcess } from "./owner-process.ts";

const command = path.join(import.meta.dirname, "..", "..", "src", "cli", "main.ts");

let directory: string;
let live: string;
let owner: OwnerProcess | undefined;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-backups-"));
  live = path.join(directory, "live.db");
});

afterEach(async () => {
  await owner?.kill();
  owner = undefined;
  rmSync(directory, { recursive: true });
});

/** A store that nobody owns, with so many events of about so many bytes. */
async function makeStore(eventCount: number, bytes = 10): Promise<void> {
  const store = openSqliteStore({ path: live, writer: "inline" });
  const world = new World(
    { store, dispose: () => store.close() },
    new VirtualClock(),
    await store.claim({ leaseMs }),
  );
  const run = await world.start("w");
  for (let count = 1; count < eventCount; count += 1)
    await world.extend(run, { events: [mark("x".repeat(bytes))] });
  await world.extend(run, { events: [] }, { send: [{ target: idOf("w"), message: { kind: "cancel" } }] });
  await world.start("other", { events: [mark("other event")] });
  await store.release(world.token);
  await store.close();
}

const leftovers = (): readonly string[] =>
  readdirSync(directory).filter((name) => !name.startsWith("live.db"));

// I-51
it.each(["auto", "thread", "inline"] as const)(
  "under load holds what was acknowledged before it, each commit whole, and opens at once (%s)",
  async (writer) => {
    owner = new OwnerProcess({ path: live, writer });
    await owner.ask({ do: "claim" });
    const { runKey = 0 } = await owner.ask({ do: "start", id: "w" });
    let { headSeq = 0 } = await owner.ask({ do: "pour", id: "w", runKey, expectedSeq: 1 });
    const heads: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      const to = path.join(directory, `copy-${round}.db`);
      const progress = { isDone: false };
      const copying = backUpSqliteStore({ from: live, to }).finally(() => {
        progress.isDone = true;
      });
      const acknowledgedBefore = headSeq;
      // The owner goes on meanwhile.
      while (!progress.isDone) headSeq = (await owner.next()).headSeq ?? headSeq;
      const { runCount, eventCount, byteCount } = await copying;
      expect({ runCount, byteCount }).toEqual({ runCount: 1, byteCount: statSync(to).size });
      expect(eventCount).toBeGreaterThanOrEqual(acknowledgedBefore);
      // Three events a commit, after the one of the start.
      expect((eventCount - 1) % 3).toBe(0);
      const copy = openSqliteStore({ path: to });
      expect(await copy.readOwner()).toBeUndefined();
      const history = await copy.readHistory(idOf("w"));
      expect(history.map((event) => event.seq)).toEqual(
        Array.from({ length: eventCount }, (_, index) => index + 1),
      );
      // Whoever owned the original cannot write here: the epoch goes on.
      expect((await copy.claim({ leaseMs: 1 })).epoch).toBe(2);
      await copy.close();
      heads.push(eventCount);
    }
    expect(heads).toEqual(heads.toSorted((left, right) => left - right));
  },
);

it("is one file, equal in all that can be read, and leaves the original as it was", async () => {
  await makeStore(50);
  const before = readFileSync(live);
  const to = path.join(directory, "copy.db");
  const report = await backUpSqliteStore({ from: live, to });
  expect(report).toMatchObject({ runCount: 2, eventCount: 51, messageCount: 1 });
  expect(leftovers()).toEqual(["copy.db"]);
  expect(readFileSync(live).equals(before)).toBe(true);
  const [original, copy] = [live, to].map((file) => openSqliteStore({ path: file, readOnly: true }));
  for (const id of ["w", "other"].map(idOf)) {
    expect(await copy?.readHistory(id)).toEqual(await original?.readHistory(id));
    expect(await copy?.readRunChain(id)).toEqual(await original?.readRunChain(id));
  }
  expect(await copy?.listMessages(0, 10)).toEqual(await original?.listMessages(0, 10));
  await original?.close();
  await copy?.close();
});

describe("is refused, and leaves nothing behind,", () => {
  it.each(["a file", "a directory", "a link that leads nowhere"])("where there is %s", async (what) => {
    await makeStore(3);
    const to = path.join(directory, "taken");
    if (what === "a file") writeFileSync(to, "precious");
    else if (what === "a directory") mkdirSync(to);
    else symlinkSync(path.join(directory, "nowhere"), to);
    await expect(backUpSqliteStore({ from: live, to })).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining(to) as string,
    });
    expect(leftovers()).toEqual(["taken"]);
    if (what === "a file") expect(readFileSync(to, "utf8")).toBe("precious");
  });

  it("when somebody takes the name while it is copied", async () => {
    await makeStore(3);
    const to = path.join(directory, "copy.db");
    const copying = backUpSqliteStore({ from: live, to });
    writeFileSync(to, "precious");
    await expect(copying).rejects.toMatchObject({ code: "invalid_argument" });
    expect(readFileSync(to, "utf8")).toBe("precious");
    expect(leftovers()).toEqual(["copy.db"]);
  });

  // I-50
  it.each([
    ["an event row", "UPDATE events SET row = replace(row, 'other event', 'other evenT')", "history_corrupt"],
    ["a lost row", "DELETE FROM events WHERE run_key = 1 AND first_seq = 2", "history_corrupt"],
    ["a row of no run", "UPDATE events SET run_key = 99 WHERE run_key = 2", "store_corrupt"],
    ["a message", "UPDATE messages SET body = replace(body, 'cancel', 'cancer')", "store_corrupt"],
  ])("of a store with damage in %s", async (_, sql, code) => {
    await makeStore(4);
    const database = new DatabaseSync(live);
    database.exec(sql);
    database.close();
    await expect(
      backUpSqliteStore({ from: live, to: path.join(directory, "copy.db") }),
    ).rejects.toMatchObject({ code });
    expect(leftovers()).toEqual([]);
  });

  it("of a store with damage in an index alone", async () => {
    await makeStore(4);
    const bytes = readFileSync(live);
    // Once in the row of the run, and once in the index by workflow id.
    const places = [bytes.indexOf("other"), bytes.lastIndexOf("other")];
    expect(places[0]).not.toBe(places[1]);
    const codes = [];
    for (let at = bytes.indexOf("other"); at >= 0; at = bytes.indexOf("other", at + 1)) {
      const damagedBytes = Buffer.from(bytes);
      damagedBytes.write("otheR", at);
      writeFileSync(live, damagedBytes);
      const copying = backUpSqliteStore({ from: live, to: path.join(directory, "copy.db") });
      codes.push(
        await copying.then(
          () => "copied",
          (error: { readonly code: string }) => error.code,
        ),
      );
    }
    expect(codes.length).toBeGreaterThan(2);
    expect(codes).not.toContain("copied");
    expect(codes).toContain("store_corrupt");
    expect(leftovers()).toEqual([]);
  });

  it("of what is no store, and into a directory that is not there", async () => {
    await makeStore(3);
    const to = path.join(directory, "copy.db");
    await expect(backUpSqliteStore({ from: path.join(directory, "none.db"), to })).rejects.toMatchObject({
      code: "store_unavailable",
    });
    writeFileSync(path.join(directory, "live.db.txt"), "dear diary\n".repeat(100));
    await expect(backUpSqliteStore({ from: path.join(directory, "live.db.txt"), to })).rejects.toMatchObject({
      code: "store_corrupt",
    });
    const nowhere = path.join(directory, "none", "copy.db");
    await expect(backUpSqliteStore({ from: live, to: nowhere })).rejects.toMatchObject({
      code: "store_unavailable",
      message: expect.stringContaining("none") as string,
    });
    expect(leftovers()).toEqual([]);
  });

  it("by a kill amid it: there is no file of that name, and the next one succeeds", async () => {
    await makeStore(1_500, 20_000);
    const to = path.join(directory, "copy.db");
    const child = spawn(process.execPath, [command, "backup", to, "--store", `sqlite:${live}`], {
      stdio: "ignore",
    });
    while (!leftovers().some((name) => name.includes(".partial-"))) await sleep(1);
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
    expect(leftovers()).not.toContain("copy.db");
    expect(await backUpSqliteStore({ from: live, to })).toMatchObject({ eventCount: 1_501 });
    const copy = openSqliteStore({ path: to, readOnly: true });
    expect((await copy.readHistory(idOf("w"))).length).toBe(1_500);
    await copy.close();
  });
});

const canTrace = spawnSync("strace", ["-o", "/dev/null", "true"]).status === 0;

it.runIf(canTrace)(
  "the copy is on disk before it has its name, and the name before the command ends",
  async () => {
    await makeStore(20);
    const to = path.join(directory, "copy.db");
    const trace = path.join(directory, "trace");
    const args = [
      "-f",
      "-y",
      "-o",
      trace,
      "-e",
      "trace=fsync,fdatasync,pwrite64,link,linkat",
      process.execPath,
    ];
    execFileSync("strace", [...args, command, "backup", to, "--store", `sqlite:${live}`], {
      stdio: "ignore",
    });
    const calls = readFileSync(trace, "utf8").split("\n");
    const link = calls.findIndex((call) => /\blink(at)?\(/.test(call) && call.includes("copy.db"));
    const lastWrite = calls.findLastIndex((call) => call.includes("pwrite64") && call.includes(".partial-"));
    const isSync = (call: string, what: RegExp): boolean => /\bf(data)?sync\(/.test(call) && what.test(call);
    const sync = calls.findLastIndex((call) => isSync(call, /\.partial-[^/]*>\)/));
    const directorySync = calls.findLastIndex((call) => isSync(call, new RegExp(`<${directory}>\\)`)));
    expect(lastWrite).toBeGreaterThan(0);
    expect(sync).toBeGreaterThan(lastWrite);
    expect(link).toBeGreaterThan(sync);
    expect(directorySync).toBeGreaterThan(link);
  },
);

/** A file system of 1 MB in a mount namespace of the process's own, where the system lets us make one. */
const onSmallDisk = [
  "-r",
  "-m",
  "sh",
  "-c",
  'mount -t tmpfs -o size=1m tmpfs "$0" && "$@"; status=$?; ls "$0"; exit $status',
];
const canMount = spawnSync("unshare", [...onSmallDisk, tmpdir(), "true"]).status === 0;

it.runIf(canMount)("onto a disk that is full says so, and leaves nothing on it", async () => {
  await makeStore(200, 20_000);
  const small = path.join(directory, "small");
  mkdirSync(small);
  const backUp = [
    process.execPath,
    command,
    "backup",
    path.join(small, "copy.db"),
    "--store",
    `sqlite:${live}`,
  ];
  const { status, stdout, stderr } = spawnSync("unshare", [...onSmallDisk, small, ...backUp], {
    encoding: "utf8",
  });
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toContain("error[store_full]");
});
