/** What only the file has of the logs of runs: damage, and what is left of them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, it } from "vitest";
import { VirtualClock, World, endOf, leaseMs } from "../conformance/world.ts";
import type { Store } from "../contract.ts";
import type { LogEntry } from "../run-log.ts";
import { openSqliteStore } from "./store.ts";

let directory: string;
let file: string;
let store: Store;
let world: World;

beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-run-log-"));
  file = path.join(directory, "aion.db");
  const clock = new VirtualClock();
  store = openSqliteStore({ path: file, clock, writer: "inline" });
  world = new World({ store, dispose: () => store.close() }, clock, await store.claim({ leaseMs }));
});

afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

const entry = (seq: number, message: string): LogEntry => ({
  seq,
  saidAt: 1,
  lines: [{ level: "info", message }],
});

function change(sql: string): void {
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
}

it("an entry that is damaged says so in its place, and hides no other", async () => {
  const run = await world.start("a", { log: [entry(1, "one"), entry(2, "two"), entry(3, "three")] });
  change("UPDATE run_log SET lines = replace(lines, 'two', 'TWO') WHERE seq = 2");
  // One that is whole, and stands where another one belongs, is none either.
  change(
    "UPDATE run_log SET (lines, checksum) = (SELECT lines, checksum FROM run_log WHERE seq = 1) WHERE seq = 3",
  );
  const { entries } = await store.readLog(run, 0, 100);
  expect(entries.map(({ lines: [line] }) => line)).toEqual([
    { level: "info", message: "one" },
    { level: "error", message: "what was said here is damaged on the disk" },
    { level: "error", message: "what was said here is damaged on the disk" },
  ]);
});

it("nothing is left of the log of a run that was deleted", async () => {
  const run = await world.start("a", { log: [entry(1, "one")] });
  await world.extend(run, { status: "completed", closedAt: 1, events: [endOf("completed")], wakeAt: null });
  expect(await store.deleteClosed(world.token, 2, 10)).toBe(1);
  const database = new DatabaseSync(file, { readOnly: true });
  expect(database.prepare("SELECT count(*) AS count FROM run_log").get()).toEqual({ count: 0 });
  database.close();
});
