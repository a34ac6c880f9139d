import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isAionError } from "../../core/errors.ts";
import { encodeCatalogChange } from "../catalog.ts";
import {
  VirtualClock,
  World,
  archiveOf,
  deployOf,
  idOf,
  leaseMs,
  mark,
  startOf,
} from "../conformance/world.ts";
import type { Archive } from "../conformance/world.ts";
import type { CatalogChange, Store } from "../contract.ts";
import { packageBytesMax } from "../../core/package-version.ts";
import { backUpSqliteStore } from "./backup.ts";
import type { Job, JobResult } from "./job.ts";
import { CatalogWriter } from "./catalog.ts";
import { pagesPerCheckpoint } from "./log-meter.ts";
import { openDatabase } from "./migrate.ts";
import { Reader } from "./reader.ts";
import { openSqliteStore } from "./store.ts";
import { Writer } from "./writer.ts";

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-catalog-"));
  path = join(directory, "store.db");
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

const types = ["order", "bill"];
const small = archiveOf("a small package", types);
const large = archiveOf(Buffer.alloc(3_000_000, "a large package; "), types);

async function openWorld(writer: "auto" | "thread" | "inline" = "inline"): Promise<World> {
  const store = openSqliteStore({ path, writer });
  const token = await store.claim({ leaseMs });
  return new World({ store, dispose: () => store.close() }, new VirtualClock(), token);
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    if (!isAionError(error)) throw error;
    return error.code;
  }
}

async function holds(store: Store, { version, bytes }: Archive): Promise<boolean> {
  const archive = await store.readPackage(version);
  return archive !== undefined && Buffer.compare(archive, bytes) === 0;
}

describe("a writer", () => {
  let database: DatabaseSync;
  let writer: Writer;
  let reader: Reader;

  beforeEach(() => {
    database = openDatabase({ path, readOnly: false });
    writer = new Writer(database, { path, storeName: `sqlite:${path}` });
    reader = new Reader(database);
    writer.run([{ kind: "claim", claim: { leaseMs: 1_000 }, now: 0, version: "0" }]);
  });

  afterEach(() => {
    database.close();
  });

  const changing = (change: CatalogChange): Job => ({
    kind: "change-catalog",
    epoch: 1,
    now: 0,
    change: encodeCatalogChange(change),
  });

  function codeOfResult(result: JobResult | undefined): string {
    if (result?.kind !== "failed") return result?.kind ?? "none";
    return isAionError(result.error) ? result.error.code : String(result.error);
  }

  // I-47
  it("whose disk is full rolls a deployment back, whatever of it was written, and goes on when there is space", () => {
    expect(codeOfResult(writer.run([changing(deployOf(small, { route: types }))])[0])).toBe("done");
    const before = reader.readCatalog();
    database.exec("PRAGMA max_page_count = 300");
    expect(codeOfResult(writer.run([changing(deployOf(large, { route: types }))])[0])).toBe("store_full");
    expect(reader.readCatalog()).toEqual(before);
    expect(reader.readPackage(large.version)).toBeUndefined();
    expect(codeOfResult(writer.run([changing(deployOf(small, { route: [] }))])[0])).toBe("done");
    database.exec("PRAGMA max_page_count = 4294967294");
    expect(codeOfResult(writer.run([changing(deployOf(large, { route: types }))])[0])).toBe("done");
    expect(reader.readCatalog().routes).toHaveLength(4);
    expect(reader.readPackage(large.version)?.byteLength).toBe(large.bytes.byteLength);
  });

  // I-48
  it("whose disk has failed amid a deployment writes nothing any more", () => {
    const prototype = Object.getPrototypeOf(database.prepare("COMMIT")) as {
      run: (this: { readonly sourceSQL: string }, ...values: never[]) => unknown;
    };
    const { run } = prototype;
    prototype.run = function (...values) {
      if (this.sourceSQL === "COMMIT") throw Object.assign(new Error("disk I/O error"), { errcode: 1034 });
      return run.apply(this, values);
    };
    try {
      expect(codeOfResult(writer.run([changing(deployOf(large))])[0])).toBe("store_failed");
    } finally {
      prototype.run = run;
    }
    expect(reader.readCatalog()).toEqual({ packages: [], routes: [] });
    expect(codeOfResult(writer.run([changing(deployOf(small))])[0])).toBe("store_failed");
  });

  it("leaves no row and no page of a package behind that was unloaded", () => {
    writer.run([changing(deployOf(small)), { kind: "checkpoint" }]);
    const used = (): number =>
      Number(database.prepare("PRAGMA page_count").get()?.["page_count"]) -
      Number(database.prepare("PRAGMA freelist_count").get()?.["freelist_count"]);
    const before = used();
    writer.run([changing(deployOf(large, { route: types }))]);
    expect(used()).toBeGreaterThan(before + 700);
    writer.run([
      changing({ kind: "route", version: small.version, workflowTypes: types, routedAt: 1 }),
      changing({ kind: "unload", version: large.version }),
    ]);
    expect(used()).toBe(before);
    for (const table of ["packages", "package_types", "routes"]) {
      const rows = database.prepare(`SELECT version FROM ${table}`).all();
      expect(new Set(rows.map((row) => row["version"]))).toEqual(new Set([small.version]));
    }
  });

  it("does not look at the runs of other versions to tell whether a package is in use", () => {
    writer.run([changing(deployOf(small))]);
    const texts: string[] = [];
    const prepare = database.prepare.bind(database);
    database.prepare = (sql) => {
      texts.push(sql);
      return prepare(sql);
    };
    void new CatalogWriter(database);
    const onRuns = texts.filter((sql) => sql.includes("FROM runs"));
    expect(onRuns).toHaveLength(2);
    for (const sql of onRuns) {
      const plan = prepare(`EXPLAIN QUERY PLAN ${sql}`).all(small.version, 10);
      expect(plan.map((row) => String(row["detail"])).filter((step) => step.includes("runs"))).toEqual([
        "SEARCH runs USING INDEX runs_pinned (<expr>=?)",
      ]);
      // The oldest ten are the first ten.
      expect(plan.map((row) => String(row["detail"])).filter((step) => step.includes("B-TREE"))).toEqual([]);
    }
    // Versions with the same beginning are told apart.
    const insert = database.prepare(
      `INSERT INTO runs (run_key, head_seq, first_seq, status, started_at, workflow_id, run_id, workflow_type, version)
       VALUES (?, 1, 1, 0, 0, ?, 'r', 'order', ?)`,
    );
    insert.run(1, "similar", `${small.version.slice(0, 8)}${"0".repeat(56)}`);
    expect(codeOfResult(writer.run([changing({ kind: "unload", version: small.version })])[0])).toBe("done");
  });

  it("counts the runs of a package up to a bound, so that nobody waits for it", () => {
    writer.run([changing(deployOf(small))]);
    database
      .prepare(
        `INSERT INTO runs (run_key, head_seq, first_seq, status, started_at, workflow_id, run_id, workflow_type, version)
         WITH RECURSIVE keys (key) AS (SELECT 1 UNION ALL SELECT key + 1 FROM keys WHERE key < 10100)
         SELECT key, 1, 1, 0, 0, 'w-' || key, 'r', 'order', ? FROM keys`,
      )
      .run(small.version);
    const [result] = writer.run([changing({ kind: "unload", version: small.version })]);
    expect(result).toMatchObject({
      error: {
        code: "package_in_use",
        message: expect.stringContaining("10000 or more runs") as string,
        details: {
          runCount: 10_000,
          workflowIds: Array.from({ length: 10 }, (_, index) => `w-${index + 1}`),
        },
      },
    });
  });
});

describe.each(["auto", "thread", "inline"] as const)("writer %s", (writer) => {
  it("changes of the catalog and appends of one caller are done in the order of its calls", async () => {
    const world = await openWorld(writer);
    const run = await world.start("w");
    const asked: Promise<unknown>[] = [];
    for (let round = 0; round < 6; round += 1) {
      const { version } = large;
      const start = { start: startOf(`p-${round}`, { version }), needsPackage: version };
      asked.push(
        world.change(deployOf(large)),
        world.append(start).then(([result]) => expect(result?.ok).toBe(true)),
        codeOf(world.change({ kind: "unload", version })).then((code) => expect(code).toBe("package_in_use")),
        world
          .append({
            run: {
              runKey: run.runKey + round + 1,
              workflowId: idOf(`p-${round}`),
              expectedSeq: 1,
              events: [mark("end")],
              status: "terminated",
              closedAt: 1,
              wakeAt: null,
              wakeAtBefore: null,
            },
          })
          .then(([result]) => expect(result?.ok).toBe(true)),
        world.change({ kind: "unload", version }),
      );
    }
    await Promise.all(asked);
    expect(await world.store.readCatalog()).toEqual({ packages: [], routes: [] });
    await world.store.close();
  });

  it("the caller keeps the bytes that it gave, and a large archive does not stay in the log", async () => {
    const world = await openWorld(writer);
    const bytes = Buffer.alloc(packageBytesMax, "a very large package; ");
    const archive = archiveOf(bytes, types);
    await world.change(deployOf(archive));
    expect(bytes.byteLength).toBe(packageBytesMax);
    expect(await holds(world.store, archive)).toBe(true);
    for (let round = 0; round < 3; round += 1) await world.start(`w-${round}`);
    const other = new DatabaseSync(path);
    const leftPages = (): number => {
      const row = other.prepare("PRAGMA wal_checkpoint(NOOP)").get();
      return Number(row?.["log"]) - Number(row?.["checkpointed"]);
    };
    await expect.poll(leftPages).toBeLessThan(pagesPerCheckpoint / 4);
    other.close();
    await world.store.close();
    const file = openSqliteStore({ path, readOnly: true });
    expect(await holds(file, archive)).toBe(true);
    await file.close();
  });
});

// I-3, I-49
it("what a killed process leaves of a large deployment in its log is opened, and whole", async () => {
  const world = await openWorld();
  await world.change(deployOf(small, { route: types }));
  await world.change(deployOf(large, { route: types }));
  const left = join(directory, "left.db");
  for (const suffix of ["", "-wal"]) copyFileSync(`${path}${suffix}`, `${left}${suffix}`);
  const logBytes = statSync(`${left}-wal`).size;
  expect(logBytes).toBeGreaterThan(large.bytes.byteLength);
  await world.store.close();
  const whole = openSqliteStore({ path: left });
  expect(await holds(whole, large)).toBe(true);
  expect((await whole.readCatalog()).routes).toHaveLength(4);
  await whole.close();
});

// I-4
it("of a large deployment that was cut off in the log nothing is there, and everything before it", async () => {
  const world = await openWorld();
  await world.change(deployOf(small, { route: types }));
  const logBytes = statSync(`${path}-wal`).size;
  await world.change(deployOf(large, { route: types }));
  const [file, log] = [readFileSync(path), readFileSync(`${path}-wal`)];
  await world.store.close();
  const left = join(directory, "left.db");
  for (const share of [0, 0.3, 0.99]) {
    writeFileSync(left, file);
    writeFileSync(`${left}-wal`, log.subarray(0, Math.floor(logBytes + share * (log.length - logBytes))));
    const store = openSqliteStore({ path: left });
    const { packages, routes } = await store.readCatalog();
    expect(packages.map(({ version }) => version)).toEqual([small.version]);
    expect(routes).toHaveLength(2);
    expect(await holds(store, small)).toBe(true);
    await store.close();
  }
});

// I-50
it("whichever bit of the file is flipped, no archive is read that was not deployed", async () => {
  const world = await openWorld();
  const archives = [small, archiveOf(large.bytes.subarray(0, 30_000), types)];
  for (const archive of archives) await world.change(deployOf(archive, { route: types }));
  await world.store.release(world.token);
  await world.store.close();
  const bytes = readFileSync(path);
  let foundCount = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 7 }), async (at, bit) => {
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << bit), at);
      writeFileSync(path, flipped);
      let store: Store | undefined;
      try {
        store = openSqliteStore({ path, readOnly: true });
        await store.readCatalog();
        for (const { version, bytes: deployed } of archives) {
          const read = await store.readPackage(version);
          if (read !== undefined) expect(Buffer.compare(read, deployed)).toBe(0);
        }
      } catch (error) {
        if (!isAionError(error)) throw error;
        expect(["store_corrupt", "store_newer_format", "store_unavailable"]).toContain(error.code);
        foundCount += 1;
      } finally {
        await store?.close();
      }
    }),
    { numRuns: 300 },
  );
  expect(foundCount).toBeGreaterThan(50);
});

it("a store that is only read shows its packages, and changes none", async () => {
  const world = await openWorld();
  await world.change(deployOf(small, { route: types }));
  const reading = openSqliteStore({ path, readOnly: true });
  expect(await reading.readCatalog()).toEqual(await world.store.readCatalog());
  expect(await holds(reading, small)).toBe(true);
  expect(await codeOf(reading.changeCatalog(world.token, { kind: "unload", version: small.version }))).toBe(
    "store_read_only",
  );
  await reading.close();
  await world.store.close();
});

describe("a backup", () => {
  it("has the packages and the routes, and counts them", async () => {
    const world = await openWorld();
    for (const archive of [small, large]) await world.change(deployOf(archive, { route: types }));
    const to = join(directory, "copy.db");
    expect(await backUpSqliteStore({ from: path, to })).toMatchObject({ packageCount: 2 });
    const copy = openSqliteStore({ path: to, readOnly: true });
    expect(await copy.readCatalog()).toEqual(await world.store.readCatalog());
    expect(await holds(copy, large)).toBe(true);
    await copy.close();
    await world.store.close();
  });

  // I-50
  it("is not made of a store with a damaged archive", async () => {
    const world = await openWorld();
    await world.change(deployOf(small));
    await world.store.close();
    const database = new DatabaseSync(path);
    database.exec("UPDATE packages SET archive = CAST(replace(archive, 'small', 'smell') AS BLOB)");
    database.close();
    const to = join(directory, "copy.db");
    expect(await codeOf(backUpSqliteStore({ from: path, to }))).toBe("store_corrupt");
    expect(statSync(to, { throwIfNoEntry: false })).toBeUndefined();
  });
});

it("a change whose form is wrong is a bug of its caller, and changes nothing", async () => {
  const world = await openWorld();
  for (const change of [
    deployOf({ ...small, version: "v1" }),
    deployOf({ ...small, version: small.version.toUpperCase() }),
    deployOf({ ...small, bytes: new Uint8Array(0) }),
    deployOf({ ...small, bytes: new Uint8Array(packageBytesMax + 1) }),
  ])
    expect(await codeOf(world.change(change))).toBe("internal");
  expect(await world.store.readCatalog()).toEqual({ packages: [], routes: [] });
  await world.store.close();
});
