import fs, {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { idOf, mark, startOf } from "../conformance/world.ts";
import { backUpSqliteStore } from "./backup.ts";
import { openSqliteStore } from "./store.ts";

let directory: string;
let from: string;
let to: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-backup-"));
  from = join(directory, "live.db");
  to = join(directory, "copy.db");
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** So many runs of one event, but the first of so many, each with a message. */
async function makeStore(runCount: number, eventCount = 1): Promise<void> {
  const store = openSqliteStore({ path: from, writer: "inline" });
  const token = await store.claim({ leaseMs: 60_000 });
  const commits = Array.from({ length: runCount }, (_, index) => {
    const { events, ...start } = startOf(`w-${index}`);
    const more = Array.from({ length: index === 0 ? eventCount - 1 : 0 }, (__, at) => mark(String(at)));
    return {
      start: { ...start, events: [...events, ...more] },
      send: [{ target: idOf("x"), message: { kind: "cancel" as const } }],
    };
  });
  for (const result of await store.append(token, commits)) expect(result.ok).toBe(true);
  await store.release(token);
  await store.close();
}

const leftovers = (): readonly string[] =>
  readdirSync(directory).filter((name) => !name.startsWith("live.db"));

it.each([
  [200, 1],
  [201, 5_000],
  [450, 12_001],
])("of %i runs, one of %i events, all are read and counted", async (runCount, eventCount) => {
  await makeStore(runCount, eventCount);
  expect(await backUpSqliteStore({ from, to })).toMatchObject({
    runCount,
    eventCount: runCount - 1 + eventCount,
    messageCount: runCount,
  });
});

it.runIf(existsSync("/proc/self/fd"))("nothing is left open, nor beside it", async () => {
  await makeStore(2);
  await backUpSqliteStore({ from, to });
  const open = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  expect(open.filter((name) => name.startsWith(directory))).toEqual([]);
  expect(leftovers()).toEqual(["copy.db"]);
});

describe("where the file system knows no links", () => {
  const { linkSync } = fs;

  function failLinking(code: string, before: () => void = () => {}): void {
    fs.linkSync = () => {
      before();
      throw Object.assign(new Error(`${code}: no link`), { code });
    };
    syncBuiltinESMExports();
  }

  beforeEach(async () => {
    await makeStore(3);
  });

  afterEach(() => {
    fs.linkSync = linkSync;
    syncBuiltinESMExports();
  });

  it.each(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"])(
    "the copy gets its name all the same (%s)",
    async (code) => {
      failLinking(code);
      expect(await backUpSqliteStore({ from, to })).toMatchObject({ runCount: 3 });
      expect(leftovers()).toEqual(["copy.db"]);
      const copy = openSqliteStore({ path: to, readOnly: true });
      expect(await copy.count({})).toBe(3);
      await copy.close();
    },
  );

  it("a file that has taken the name meanwhile is not replaced", async () => {
    failLinking("EPERM", () => writeFileSync(to, "precious"));
    await expect(backUpSqliteStore({ from, to })).rejects.toMatchObject({ code: "invalid_argument" });
    expect(readFileSync(to, "utf8")).toBe("precious");
    expect(leftovers()).toEqual(["copy.db"]);
  });

  it("any other failure is told, and there is no copy", async () => {
    failLinking("EIO");
    await expect(backUpSqliteStore({ from, to })).rejects.toMatchObject({ code: "EIO" });
    expect(leftovers()).toEqual([]);
  });
});

it("the runs of a copy are found by their attributes, as those of the store are", async () => {
  const store = openSqliteStore({ path: from, writer: "inline" });
  const token = await store.claim({ leaseMs: 60_000 });
  await store.append(token, [
    { start: startOf("w", { attributes: { amount: 5, tags: ["a", "b"] } }) },
    { start: startOf("v", { attributes: { amount: 6 } }) },
  ]);
  await store.close();
  await backUpSqliteStore({ from, to });
  const copy = openSqliteStore({ path: to, readOnly: true });
  const attributes = [{ name: "tags", kind: "in", values: ["b"] }] as const;
  const { runs } = await copy.list({ attributes }, { limit: 5, withAttributes: true });
  expect(runs).toMatchObject([{ workflowId: "w", attributes: { amount: 5, tags: ["a", "b"] } }]);
  await copy.close();
});
