/** One file and two processes, two names, or none: safe, or refused. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { idOf, mark, startOf } from "../../src/store/conformance/world.ts";
import type { OwnerToken, Store } from "../../src/store/contract.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { OwnerProcess } from "./owner-process.ts";

let directory: string;
let path: string;
let processes: OwnerProcess[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-files-"));
  path = join(directory, "store.db");
  processes = [];
});

afterEach(async () => {
  for (const owner of processes) await owner.kill();
  rmSync(directory, { recursive: true });
});

function startProcess(at: string): OwnerProcess {
  const owner = new OwnerProcess({ path: at });
  processes.push(owner);
  return owner;
}

async function extend(store: Store, token: OwnerToken, expectedSeq: number): Promise<boolean> {
  const run = {
    runKey: 1,
    workflowId: idOf("w"),
    expectedSeq,
    events: [mark("a")],
    status: "running" as const,
    wakeAt: null,
    wakeAtBefore: null,
  };
  const [result] = await store.append(token, [{ run }]);
  return result?.ok === true;
}

// I-51
describe("a file with two names", () => {
  it.each(["file", "directory"])("that is one by a symbolic link of the %s has one owner", async (what) => {
    const real = join(directory, "real");
    mkdirSync(real);
    const owner = startProcess(join(real, "store.db"));
    expect(await owner.ask({ do: "claim" })).toEqual({ epoch: 1 });
    await owner.ask({ do: "start", id: "w" });
    const link = join(directory, "link");
    symlinkSync(what === "file" ? join(real, "store.db") : real, link);
    const other = startProcess(what === "file" ? link : join(link, "store.db"));
    expect((await other.ask({ do: "claim" })).error?.code).toBe("store_owned");
    const reader = openSqliteStore({ path: what === "file" ? link : join(link, "store.db"), readOnly: true });
    expect(await reader.count({})).toBe(1);
    await reader.close();
  });

  it("by a hard link is refused, under either name, to read and to write", async () => {
    const owner = startProcess(path);
    await owner.ask({ do: "claim" });
    await owner.ask({ do: "start", id: "w" });
    const second = join(directory, "second.db");
    linkSync(path, second);
    for (const name of [path, second]) {
      for (const readOnly of [false, true]) {
        expect(() => openSqliteStore({ path: name, readOnly })).toThrow(
          expect.objectContaining({
            code: "store_unavailable",
            message: expect.stringContaining("2 names") as string,
            hint: expect.stringContaining("copy the file") as string,
          }),
        );
      }
    }
    // Whoever had it open goes on, and once the other name is gone everybody can.
    expect(await owner.ask({ do: "extend", id: "w", runKey: 1, expectedSeq: 1 })).toEqual({ headSeq: 4 });
    unlinkSync(second);
    const reader = openSqliteStore({ path, readOnly: true });
    expect((await reader.findRun(idOf("w")))?.headSeq).toBe(4);
    await reader.close();
  });
});

describe.each(["auto", "thread", "inline"] as const)("a file that goes while it is open (%s)", (writer) => {
  // What is written between the loss and the next renewal is lost: nobody is told of a file that lost its name.
  it.each(["removed", "replaced"])(
    "because it was %s is found at the next renewal, and nothing is written any more",
    async (how) => {
      const store = openSqliteStore({ path, writer });
      const token = await store.claim({ leaseMs: 60_000 });
      await store.append(token, [{ start: startOf("w") }]);
      if (how === "replaced") {
        copyFileSync(path, join(directory, "other.db"));
        renameSync(join(directory, "other.db"), path);
      } else {
        unlinkSync(path);
      }
      const refusal = { code: "store_failed", message: expect.stringContaining(how) as string };
      await expect(store.renew(token)).rejects.toMatchObject(refusal);
      await expect(extend(store, token, 1)).rejects.toMatchObject(refusal);
      await expect(store.claim({ leaseMs: 1 })).rejects.toMatchObject(refusal);
      await store.close();
    },
  );
});

it("a thread that opens the path when another file is there already writes nothing into it", async () => {
  const store = openSqliteStore({ path, writer: "thread" });
  const other = openSqliteStore({ path, writer: "inline" });
  const token = await other.claim({ leaseMs: 60_000 });
  await other.append(token, [{ start: startOf("w") }]);
  await other.close();
  // With the same owner and the same epoch: only the file itself tells the two apart.
  copyFileSync(path, join(directory, "copy.db"));
  renameSync(join(directory, "copy.db"), path);
  await expect(extend(store, token, 1)).rejects.toMatchObject({ code: "store_failed" });
  await store.close();
  const copy = openSqliteStore({ path, readOnly: true });
  expect((await copy.findRun(idOf("w")))?.headSeq).toBe(1);
  await copy.close();
});

/** A process of another make that holds the file's lock until it is told to let go. */
async function lockFromOutside(): Promise<() => Promise<void>> {
  const program = `
    import { DatabaseSync } from "node:sqlite";
    const database = new DatabaseSync(process.argv[1]);
    database.exec("BEGIN IMMEDIATE");
    console.log("locked");
    process.stdin.once("data", () => { database.exec("ROLLBACK"); database.close(); process.exit(0); });
  `;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", program, path], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(holder.stdout, "data");
  return async () => {
    const exited = once(holder, "exit");
    holder.stdin.write("go\n");
    await exited;
  };
}

describe.each(["auto", "thread", "inline"] as const)("another process's lock (%s)", (writer) => {
  it("is waited for, refused as unavailable when it lasts, and has written nothing", async () => {
    const store = openSqliteStore({ path, writer });
    const token = await store.claim({ leaseMs: 60_000 });
    await store.append(token, [{ start: startOf("w") }]);
    const release = await lockFromOutside();
    const startedAt = performance.now();
    await expect(extend(store, token, 1)).rejects.toMatchObject({ code: "store_unavailable" });
    expect(performance.now() - startedAt).toBeGreaterThan(4_000);
    expect((await store.findRun(idOf("w")))?.headSeq).toBe(1);
    await release();
    expect(await extend(store, token, 1)).toBe(true);
    expect((await store.readHistory(idOf("w"))).length).toBe(2);
    await store.close();
  });

  it("is no hindrance when it is short", async () => {
    const store = openSqliteStore({ path, writer });
    const token = await store.claim({ leaseMs: 60_000 });
    await store.append(token, [{ start: startOf("w") }]);
    const release = await lockFromOutside();
    // An inline store holds up this very thread: then it is another that must let go.
    const pending = writer === "inline" ? undefined : extend(store, token, 1);
    await sleep(300);
    await release();
    expect(await (pending ?? extend(store, token, 1))).toBe(true);
    await store.close();
  });
});
