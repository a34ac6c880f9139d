import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { afterEach, beforeEach, expect, it } from "vitest";
import { encodeCommit } from "../commit.ts";
import { endOf, idOf, mark, runOf, startOf } from "../conformance/world.ts";
import type { Commit } from "../contract.ts";
import { openDatabase } from "./migrate.ts";
import { Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

let directory: string;
let reading: DatabaseSync;
let writing: DatabaseSync;
let reader: Reader;
let writer: Writer;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-reader-"));
  const path = join(directory, "store.db");
  writing = openDatabase({ path, readOnly: false });
  reading = openDatabase({ path, readOnly: false });
  writer = new Writer(writing, { path, storeName: "written" });
  reader = new Reader(reading);
  writer.run([{ kind: "claim", claim: { leaseMs: 1_000 }, now: 0, version: "0" }]);
});

afterEach(() => {
  reading.close();
  writing.close();
  rmSync(directory, { recursive: true });
});

function append(...commits: readonly Commit[]): void {
  const [result] = writer.run([{ kind: "append", epoch: 1, now: 0, commits: commits.map(encodeCommit) }]);
  expect(result).toMatchObject({ kind: "appended", results: commits.map(() => ({ ok: true })) });
}

/** Ends the run and begins the next: the one time that is the right time for it to go unseen. */
function continueAsNew(): void {
  const run = { runKey: 1, workflowId: idOf("w"), runId: startOf("w").runId, headSeq: 1, wakeAt: null };
  const ending = {
    events: [endOf("continued-as-new")],
    status: "continued-as-new" as const,
    closedAt: 5,
  };
  append({ run: runOf(run, ending), start: startOf("w", { firstSeq: 3, events: [mark("next")] }) });
}

/** Does something, as another process might, right after the reader's `nth` statement of this read. */
async function amid<Result>(
  nth: number,
  work: () => void,
  read: () => Promise<Result> | Result,
): Promise<Result> {
  const prototype = Object.getPrototypeOf(reading.prepare("SELECT 1")) as Pick<StatementSync, "all" | "get">;
  const { all, get } = prototype;
  let count = 0;
  const after = <Value>(value: Value): Value => {
    count += 1;
    if (count === nth) work();
    return value;
  };
  prototype.all = function (...values: never[]) {
    return after(Reflect.apply(all, this, values) as ReturnType<typeof all>);
  };
  prototype.get = function (...values: never[]) {
    return after(Reflect.apply(get, this, values) as ReturnType<typeof get>);
  };
  try {
    return await read();
  } finally {
    Object.assign(prototype, { all, get });
  }
}

// I-36
it.each([1, 2, 3])(
  "of a run that continues as new amid a read exactly one half is seen, though it be after statement %i",
  async (nth) => {
    append({ start: startOf("w") });
    let count = 0;
    const once = (): void => {
      count += 1;
      if (count === 1) continueAsNew();
    };
    const keys = (runs: readonly { readonly runKey: number; readonly status: string }[]) =>
      runs.map((run) => [run.runKey, run.status]);
    const eitherHalf = [[[1, "running"]], [[2, "running"]]];
    expect(eitherHalf).toContainEqual(keys(await amid(nth, once, () => reader.listActive(0, 10))));
  },
);

it.each([1, 2, 3])("a search sees one of the two as well, though it be after statement %i", async (nth) => {
  append({ start: startOf("w") });
  const found = await amid(nth, continueAsNew, () => reader.list({ status: "running" }, undefined, 10));
  expect(found.map((run) => run.status)).toEqual(["running"]);
});

it.each([1, 2, 3])("a count too, after statement %i", async (nth) => {
  append({ start: startOf("w") });
  const filter = { status: "running", workflowType: "order" } as const;
  expect(await amid(nth, continueAsNew, () => reader.count(filter))).toBe(1);
});

it.each([1, 2, 3, 4])("a history is of one instant, after statement %i", async (nth) => {
  append({ start: startOf("w") });
  const history = await amid(nth, continueAsNew, () => reader.readHistory(idOf("w"), 1, 100));
  expect([1, 3]).toContain(history.length);
});
