/** Stores as earlier versions wrote them: they open, are brought to the current format, and go on. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  VirtualClock,
  World,
  archiveOf,
  deployOf,
  idOf,
  leaseMs,
  startOf,
} from "../../../src/store/conformance/world.ts";
import { storeFormat } from "../../../src/store/sqlite/migrate.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { nameOf, readStore } from "./record.ts";

/** What was recorded is never changed. */
const checksums: Readonly<Record<number, string>> = {
  1: "c5ce2b7adc835739",
  2: "9beb60f170d49693",
  3: "b225e0b210291a74",
  4: "60c8d390fcfb9f0c",
  5: "76f365113cb205c0",
  6: "53bcad954bd2ab6c",
  7: "d3ceccc524035280",
};

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-formats-"));
  file = path.join(directory, "store.db");
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

it("every format up to the current one has its recorded store", () => {
  expect(Object.keys(checksums).map(Number)).toEqual(
    Array.from({ length: storeFormat }, (_, index) => index + 1),
  );
});

it("brought from format 1, a package is held by a run that was running before there were packages", async () => {
  const archive = archiveOf("the code of an old run", ["order"]);
  writeFileSync(file, gunzipSync(readFileSync(`${nameOf(1)}.db.gz`)));
  const before = new DatabaseSync(file);
  before
    .prepare("UPDATE runs SET version = ? WHERE workflow_id IN ('order-1 🚀', 'failed')")
    .run(archive.version);
  before.close();
  expect(() => openSqliteStore({ path: file, readOnly: true })).toThrow(
    expect.objectContaining({
      code: "store_unavailable",
      message: expect.stringContaining(`format 1, and format ${storeFormat}`) as string,
    }),
  );
  const clock = new VirtualClock();
  const store = openSqliteStore({ path: file, clock });
  const token = await store.claim({ leaseMs });
  await store.changeCatalog(token, deployOf(archive));
  const unload = { kind: "unload", version: archive.version } as const;
  await expect(store.changeCatalog(token, unload)).rejects.toMatchObject({
    code: "package_in_use",
    details: { version: archive.version, workflowTypes: [], runCount: 1, workflowIds: ["order-1 🚀"] },
  });
  await store.close();
});

it("a request id that format 3 remembers is not taken for another one, nor forgotten", async () => {
  writeFileSync(file, gunzipSync(readFileSync(`${nameOf(3)}.db.gz`)));
  const clock = new VirtualClock();
  const store = openSqliteStore({ path: file, clock });
  const token = await store.claim({ leaseMs });
  const { routes } = await store.readCatalog();
  const { version = "" } = routes.find(({ routedAt }) => routedAt === 70) ?? {};
  const workflowTypes = ["order", "bill 🚀"];
  const route = { kind: "route", version, workflowTypes, routedAt: 99, requestId: "route 🚀" } as const;
  expect(await store.changeCatalog(token, route)).toEqual({ isRepeated: true, isNew: false });
  await expect(
    store.changeCatalog(token, { kind: "unload", version, requestId: "route 🚀" }),
  ).rejects.toMatchObject({ code: "request_conflict" });
  expect((await store.readCatalog()).routes).toEqual(routes);
  await store.close();
});

describe.each(Object.entries(checksums))("a store of format %s", (format, checksum) => {
  const name = nameOf(Number(format));
  const recorded = JSON.parse(readFileSync(`${name}.json`, "utf8")) as object;
  // What a format does not have yet is empty.
  const expected = { catalog: { packages: [], routes: [] }, archives: [], feed: "off", ...recorded };

  beforeEach(() => {
    writeFileSync(file, gunzipSync(readFileSync(`${name}.db.gz`)));
  });

  it("is the one that was recorded", () => {
    const hash = createHash("sha256").update(readFileSync(`${name}.db.gz`));
    expect(hash.digest("hex").slice(0, 16)).toBe(checksum);
  });

  it("has what was written, and takes more", async () => {
    const clock = new VirtualClock();
    const store = openSqliteStore({ path: file, clock });
    expect(await readStore(store)).toEqual(expected);
    const token = await store.claim({ leaseMs });
    expect(token.epoch).toBe(2);
    const world = new World({ store, dispose: () => store.close() }, clock, token);
    const order = await store.findRun(idOf("order-1 🚀"));
    if (order === undefined) throw new Error("the run is there");
    await world.extend({ ...order });
    const started = await world.start("later");
    const { runs } = await store.list({}, { limit: 100 });
    // The key of the run that is gone is not given again.
    expect(runs.map((run) => run.runKey)).toContain(started.runKey);
    expect(started.runKey).toBeGreaterThan(Math.max(...runs.slice(1).map((run) => run.runKey)) + 1);
    const [refused] = await world.append({ start: startOf("child", { runId: world.newRunId() }) });
    expect(refused?.ok).toBe(false);
    await store.close();
    const database = new DatabaseSync(file, { readOnly: true });
    expect(Object.values(database.prepare("PRAGMA user_version").get() ?? {})).toEqual([storeFormat]);
    database.close();
  });
});
