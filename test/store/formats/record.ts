/**
 * Writes a store of the current format, to be kept: `node --conditions=aion-source test/store/formats/record.ts`.
 * A file that is there is never written again: it was made by the version that had this format.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { gzipSync } from "node:zlib";
import { isAionError } from "../../../src/core/errors.ts";
import { toPayload } from "../../../src/core/payload.ts";
import {
  VirtualClock,
  World,
  archiveOf,
  deployOf,
  endOf,
  idOf,
  leaseMs,
  mark,
  startOf,
} from "../../../src/store/conformance/world.ts";
import type { RunRef, Store } from "../../../src/store/contract.ts";
import { storeFormat } from "../../../src/store/sqlite/migrate.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";

/** All that a version must give back of what another has written. */
export async function readStore(store: Store): Promise<unknown> {
  const { runs } = await store.list({}, { limit: 1_000, withAttributes: true });
  const catalog = await store.readCatalog();
  const ids = [...new Set(runs.map((run) => run.workflowId))];
  return {
    runs,
    histories: Object.fromEntries(
      await Promise.all(ids.map(async (id) => [id, await store.readHistory(id)] as const)),
    ),
    heartbeats: await Promise.all(runs.map((run) => store.readHeartbeats(run.runKey))),
    messages: await store.listMessages(0, 1_000),
    due: await store.listDue(Number.MAX_SAFE_INTEGER, undefined, 1_000),
    catalog,
    archives: await Promise.all(
      catalog.packages.map(async ({ version }) =>
        Buffer.from((await store.readPackage(version)) ?? []).toString("base64"),
      ),
    ),
    feed: await readFeed(store),
    ...(await readLogs(store, runs)),
  };
}

/** Absent where nothing was said: before format 4 nothing was kept. */
async function readLogs(store: Store, runs: readonly RunRef[]): Promise<{ readonly logs?: unknown }> {
  const logs = await Promise.all(runs.map((run) => store.readLog(run, 0, 10_000)));
  return logs.every(({ entries }) => entries.length === 0) ? {} : { logs };
}

async function readFeed(store: Store): Promise<unknown> {
  try {
    return (await store.readFeed({ after: "oldest", limit: 1_000 })).items;
  } catch (error) {
    if (isAionError(error) && error.code === "feed_off") return "off";
    throw error;
  }
}

export const nameOf = (format: number): string => path.join(import.meta.dirname, `format-${format}`);

async function write(file: string): Promise<unknown> {
  const clock = new VirtualClock();
  const store = openSqliteStore({ path: file, clock, writer: "inline" });
  const token = await store.claim({ leaseMs, feed: { keepMs: 1e12 } });
  const world = new World({ store, dispose: () => store.close() }, clock, token);
  const order = await world.start("order-1 🚀", { wakeAt: 5 });
  await world.extend(order, {
    events: [mark("a"), mark("b")],
    blocked: "no code",
    parked: "é 🚀",
    wakeAt: 9,
    heartbeats: [{ ordinal: 3, attempt: 2, details: toPayload({ done: 7 }, "details") }],
    log: [
      { seq: 1, saidAt: 5, lines: [{ level: "debug", message: "begun" }] },
      {
        seq: 2,
        saidAt: 6,
        lines: [
          { level: "error", message: "line\nfeed 🚀", fields: toPayload({ a: "é\u0000" }, "fields") },
          { level: "info", message: "" },
        ],
      },
    ],
  });
  const parent = { workflowId: order.workflowId, runId: order.runId, ordinal: 1 };
  const child = await world.start("child", { parent });
  await world.extend(
    child,
    { events: [mark("é\u0000")] },
    { send: [{ target: idOf("order-1 🚀"), message: { kind: "cancel", reason: "r" } }] },
  );
  await world.append({
    run: {
      runKey: child.runKey,
      workflowId: child.workflowId,
      expectedSeq: 2,
      events: [endOf("continued-as-new")],
      status: "continued-as-new",
      closedAt: 60,
      wakeAt: null,
      wakeAtBefore: null,
    },
    start: startOf("child", { firstSeq: 4, runId: world.newRunId() }),
  });
  for (const status of ["completed", "failed", "cancelled", "terminated", "timed-out"] as const) {
    await world.end(await world.start(status), status);
  }
  const types = ["order", "bill 🚀"];
  const archives = ["one", "two ".repeat(3_000), "gone"].map((text) => archiveOf(text, types));
  for (const archive of archives) await world.change(deployOf(archive, { route: types }));
  const [one, two, gone] = archives;
  if (one === undefined || two === undefined || gone === undefined) throw new Error("there are three");
  await world.change({
    kind: "route",
    version: two.version,
    workflowTypes: types,
    routedAt: 70,
    requestId: "route 🚀",
  });
  await world.change({ kind: "route", version: one.version, workflowTypes: ["order"], routedAt: 71 });
  await world.start("of a package", { version: two.version, wakeAt: 72 });
  await world.change({ kind: "unload", version: gone.version });
  const held = await world.start("held", { wakeAt: 73 });
  await world.extend(held, {
    status: "paused",
    events: [{ type: "WorkflowPaused", reason: "ünï 🚀", requestId: "pause 🚀", recordedAt: 74 }],
    wakeAt: 75,
  });
  const found = await world.start("found", {
    attributes: { "a.b": ["ünï 🚀", ""], amount: -1.5e300, due: { at: -1 }, isOpen: false, note: 'x "y"' },
  });
  await world.extend(found, { attributes: { amount: 7, due: { at: 76 }, isOpen: true, tags: ["x", "y"] } });
  await world.end(await world.start("found and ended", { attributes: { amount: 8 } }));
  // A key that was given and is gone.
  await world.extend(await world.start("gone"), {
    status: "completed",
    closedAt: 1,
    events: [endOf("completed")],
  });
  await store.deleteClosed(token, 2, 1);
  const content = await readStore(store);
  await store.release(token);
  await store.close();
  return content;
}

if (import.meta.main) {
  const name = nameOf(storeFormat);
  if (existsSync(`${name}.db.gz`)) throw new Error(`${name}.db.gz is there; it is never written again`);
  const directory = mkdtempSync(path.join(tmpdir(), "aion-format-"));
  const file = path.join(directory, "store.db");
  const content = await write(file);
  const database = new DatabaseSync(file);
  database.exec("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
  database.close();
  writeFileSync(`${name}.db.gz`, gzipSync(readFileSync(file), { level: 9 }));
  writeFileSync(`${name}.json`, `${JSON.stringify(content, undefined, 2)}\n`);
  rmSync(directory, { recursive: true });
}
