import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Clock } from "../../core/ports.ts";
import { describeStoreConformance } from "../conformance/suite.ts";
import { startOf } from "../conformance/world.ts";
import type { OpenedStore, StoreBackend } from "../conformance/world.ts";
import { openSqliteStore } from "./store.ts";

interface OpenedFile extends OpenedStore {
  readonly path: string;
  readonly clock: Clock;
}

function onFile(writer: "auto" | "thread" | "inline"): StoreBackend<OpenedFile> {
  return {
    async open({ clock }) {
      const directory = mkdtempSync(join(tmpdir(), "aion-store-"));
      const path = join(directory, "store.db");
      const store = openSqliteStore({ path, clock, writer });
      return {
        store,
        path,
        clock,
        async dispose() {
          await store.close();
          rmSync(directory, { recursive: true });
        },
      };
    },
    async reopen({ path, clock }) {
      return openSqliteStore({ path, clock, writer });
    },
    async damage({ path }, { run, seq }) {
      const database = new DatabaseSync(path, { timeout: 5_000 });
      database
        .prepare(
          "UPDATE events SET row = replace(row, 'second', 'sEcond') WHERE run_key = ? AND first_seq = ?",
        )
        .run(run.runKey, seq);
      database.close();
    },
    async damagePackage({ path }, version) {
      const database = new DatabaseSync(path, { timeout: 5_000 });
      const row = database.prepare("SELECT archive FROM packages WHERE version = ?").get(version);
      const archive = row?.["archive"] as Uint8Array;
      const middle = archive.byteLength >> 1;
      archive[middle] = (archive[middle] ?? 0) ^ 4;
      database.prepare("UPDATE packages SET archive = ? WHERE version = ?").run(archive, version);
      database.close();
    },
  };
}

describeStoreConformance("sqlite", onFile("auto"), { describe, it });
describeStoreConformance("sqlite, writer thread", onFile("thread"), { describe, it });
describeStoreConformance("sqlite, inline", onFile("inline"), { describe, it });
describeStoreConformance(
  "sqlite, in memory",
  {
    async open({ clock }) {
      const store = openSqliteStore({ path: ":memory:", clock });
      return { store, dispose: () => store.close() };
    },
  },
  { describe, it },
);

describe("a store on a file", () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "aion-store-"));
  });

  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it("is named by its whole path, and takes the machine's clock when it is given none", async () => {
    const store = openSqliteStore({ path: relative(process.cwd(), join(directory, "store.db")) });
    expect(store.name).toBe(`sqlite:${join(directory, "store.db")}`);
    const before = Date.now();
    await store.claim({ leaseMs: 1_000 });
    const owner = await store.readOwner();
    expect(owner?.claimedAt).toBeGreaterThanOrEqual(before);
    expect(owner?.claimedAt).toBeLessThanOrEqual(Date.now());
    await store.close();
  });

  it("in memory has no file, and nothing of it is left", async () => {
    const store = openSqliteStore({ path: ":memory:" });
    expect(store.name).toBe("sqlite::memory:");
    await store.claim({ leaseMs: 1_000 });
    await store.close();
    expect(existsSync(":memory:")).toBe(false);
    const again = openSqliteStore({ path: ":memory:" });
    expect(await again.readOwner()).toBeUndefined();
    await again.close();
  });

  it("for reading only says so when it is to write", async () => {
    const path = join(directory, "store.db");
    await openSqliteStore({ path }).close();
    const store = openSqliteStore({ path, readOnly: true });
    await expect(store.claim({ leaseMs: 1 })).rejects.toMatchObject({
      code: "store_read_only",
      message: expect.stringContaining("opened for reading only") as string,
      hint: expect.stringContaining("readOnly") as string,
    });
    await store.close();
  });

  it("writes what one turn gives together, and not within the call", async () => {
    const path = join(directory, "store.db");
    const store = openSqliteStore({ path, writer: "inline" });
    const token = await store.claim({ leaseMs: 60_000 });
    const other = new DatabaseSync(path);
    const countRuns = (): unknown => other.prepare("SELECT count(*) AS count FROM runs").get()?.["count"];
    const answers = ["a", "b"].map((id) => store.append(token, [{ start: startOf(id) }]));
    expect(countRuns()).toBe(0);
    await Promise.all(answers);
    expect(countRuns()).toBe(2);
    other.close();
    await store.close();
  });

  it("names its path when it cannot be read", async () => {
    const path = join(directory, "store.db");
    const store = openSqliteStore({ path });
    const other = new DatabaseSync(path);
    other.exec("DROP TABLE messages; DROP INDEX runs_open");
    other.close();
    for (const read of [store.listMessages(0, 1), store.listActive(0, 1)])
      await expect(read).rejects.toThrow(path);
    await store.close();
  });

  it("that is closed amid a search says so", async () => {
    const path = join(directory, "store.db");
    await openSqliteStore({ path }).close();
    const database = new DatabaseSync(path);
    database.exec(
      `INSERT INTO runs (run_key, head_seq, first_seq, status, started_at, workflow_id, run_id, workflow_type, version)
       WITH RECURSIVE keys (key) AS (SELECT 1 UNION ALL SELECT key + 1 FROM keys WHERE key < 30000)
       SELECT key, 1, 1, 0, 0, 'w-' || key, 'run', 'order', 'v1' FROM keys`,
    );
    database.close();
    const store = openSqliteStore({ path });
    const searches = [
      store.list({ workflowType: "none" }, { limit: 10 }),
      store.count({ workflowType: "order" }),
      store.listActive(0, 29_000),
    ];
    const ends = Promise.allSettled(searches);
    await store.close();
    for (const end of await ends) {
      expect(end).toMatchObject({
        status: "rejected",
        reason: { code: "store_unavailable", message: expect.stringContaining("is closed") as string },
      });
    }
  });
});
