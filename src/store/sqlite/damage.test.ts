import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { AionError, isAionError } from "../../core/errors.ts";
import type { Event } from "../../core/event.ts";
import type { Message } from "../../core/message.ts";
import { VirtualClock, World, endOf, idOf, mark, startOf } from "../conformance/world.ts";
import type { Store } from "../contract.ts";
import { openSqliteStore } from "./store.ts";

const ids = ["first", "second", "third"];

let directory: string;
let path: string;
let bytes: Buffer;
let histories: ReadonlyMap<string, readonly Event[]>;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "aion-damage-"));
  path = join(directory, "store.db");
  const store = openSqliteStore({ path });
  const token = await store.claim({ leaseMs: 60_000 });
  const world = new World({ store, dispose: () => store.close() }, new VirtualClock(), token);
  const runs = await Promise.all(ids.map((id) => world.start(id)));
  for (let round = 0; round < 4; round += 1) {
    for (const run of runs)
      await world.extend(run, { events: [mark(`${run.workflowId}-${round}`), mark("and")] });
  }
  const [first] = runs;
  if (first !== undefined) await world.end(first);
  await world.start("first", { firstSeq: 11, events: [mark("chained"), endOf("completed")] });
  histories = await readAll(store);
  await store.release(token);
  await store.close();
  bytes = readFileSync(path);
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

async function readAll(store: Store): Promise<Map<string, readonly Event[]>> {
  const read = new Map<string, readonly Event[]>();
  for (const id of ids) read.set(id, await store.readHistory(idOf(id)));
  return read;
}

async function errorOf(promise: Promise<unknown>): Promise<AionError> {
  try {
    await promise;
  } catch (error) {
    if (isAionError(error)) return error;
    throw error;
  }
  return new AionError("internal", "nothing was thrown");
}

function flipBit(at: number, bit: number): Buffer {
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << bit), at);
  return flipped;
}

async function onFile<Result>(content: Buffer, work: (store: Store) => Promise<Result>): Promise<Result> {
  writeFileSync(path, content);
  const store = openSqliteStore({ path, readOnly: true });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

// I-50
it("a flipped bit in an event row is found before the row is handed out, and concerns its run alone", async () => {
  const at = bytes.indexOf("second-2");
  expect(at).toBeGreaterThan(0);
  await onFile(flipBit(at + 7, 0), async (store) => {
    const error = await errorOf(store.readHistory(idOf("second")));
    expect(error.code).toBe("history_corrupt");
    expect(error.message).toContain("workflow second");
    expect(error.details).toEqual({ workflowId: "second", seq: 6 });
    expect(await store.readHistory(idOf("first"))).toEqual(histories.get("first"));
    expect(await store.readHistory(idOf("third"))).toEqual(histories.get("third"));
    const run = await store.findRun(idOf("second"));
    expect(run?.headSeq).toBe(9);
    // What lies after the damage is readable, and so is what lies before it.
    expect(await store.readHistoryFrom(idOf("second"), 8)).toEqual(histories.get("second")?.slice(7));
    expect(await store.readHistoryFrom(idOf("second"), 1, 5)).toEqual(histories.get("second")?.slice(0, 5));
  });
});

/** The events, run by run. In this file the second run of a chain begins at event 11. */
function runsOf(events: readonly Event[]): (readonly Event[])[] {
  return [events.filter((event) => event.seq < 11), events.filter((event) => event.seq >= 11)].filter(
    (run) => run.length > 0,
  );
}

// I-50
it("whichever bit of the file is flipped, no history is read that was not written", async () => {
  let foundCount = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 7 }), async (at, bit) => {
      try {
        await onFile(flipBit(at, bit), async (store) => {
          for (const id of ids) {
            try {
              const read = await store.readHistory(idOf(id));
              // A run that the index leads no more to is missing as a whole; what is read is what was written.
              expect(runsOf(histories.get(id) ?? [])).toEqual(expect.arrayContaining(runsOf(read)));
            } catch (error) {
              if (!isAionError(error)) throw error;
              expect(["history_corrupt", "store_corrupt", "event_unknown", "internal"]).toContain(error.code);
              foundCount += 1;
            }
          }
        });
      } catch (error) {
        if (!isAionError(error)) throw error;
        expect(["store_corrupt", "store_newer_format", "store_unavailable"]).toContain(error.code);
        foundCount += 1;
      }
    }),
    { numRuns: 400 },
  );
  expect(foundCount).toBeGreaterThan(0);
});

it.each([
  ["lost at the end", "DELETE FROM events WHERE run_key = 2 AND first_seq = 8", 8],
  ["lost in the middle", "DELETE FROM events WHERE run_key = 2 AND first_seq = 4", 4],
  ["lost at the beginning", "DELETE FROM events WHERE run_key = 2 AND first_seq = 1", 1],
  ["moved", "UPDATE events SET first_seq = 20 WHERE run_key = 2 AND first_seq = 6", 6],
  [
    "another workflow's",
    "UPDATE events SET (row, checksum) = (SELECT row, checksum FROM events WHERE run_key = 3 AND first_seq = 4) WHERE run_key = 2 AND first_seq = 4",
    4,
  ],
  [
    "another one of the same workflow",
    "UPDATE events SET (row, checksum) = (SELECT row, checksum FROM events WHERE run_key = 2 AND first_seq = 6) WHERE run_key = 2 AND first_seq = 4",
    4,
  ],
])("a row that is %s is found", async (_, sql, seq) => {
  writeFileSync(path, bytes);
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
  const store = openSqliteStore({ path, readOnly: true });
  const error = await errorOf(store.readHistory(idOf("second")));
  expect([error.code, error.details]).toEqual(["history_corrupt", { workflowId: "second", seq }]);
  expect(await store.readHistory(idOf("third"))).toEqual(histories.get("third"));
  await store.close();
});

// I-11, I-50
it("a message that is not what was sent is found, and named, and hides no other", async () => {
  writeFileSync(path, bytes);
  const writing = openSqliteStore({ path });
  const token = await writing.claim({ leaseMs: 1 });
  const reasons = ["before", "as it was", "after", "redirected"];
  const send = reasons.map((reason) => ({
    target: idOf("first"),
    message: { kind: "cancel" as const, reason },
  }));
  const teleport = { kind: "teleport" } as unknown as Message;
  const [sent] = await writing.append(token, [
    { start: startOf("fourth"), send: [...send, { target: idOf("first"), message: teleport }] },
  ]);
  await writing.close();
  const sentIds = sent?.ok === true ? sent.messageIds : [];
  expect(sentIds).toHaveLength(5);
  const database = new DatabaseSync(path);
  database.exec("UPDATE messages SET body = replace(body, 'as it was', 'as it is')");
  database.exec("UPDATE messages SET target = 'nobody' WHERE body LIKE '%redirected%'");
  database.close();
  const store = openSqliteStore({ path, readOnly: true });
  const found = await store.listMessages(0, 10);
  expect(found.map(({ messageId, target }) => [messageId, target])).toEqual([
    [sentIds[0], "first"],
    [sentIds[1], "first"],
    [sentIds[2], "first"],
    [sentIds[3], "nobody"],
    [sentIds[4], "first"],
  ]);
  expect([found[0]?.message, found[2]?.message]).toEqual([send[0]?.message, send[2]?.message]);
  const damaged = (index: number, target: string, code: string) => ({
    kind: "damaged",
    error: expect.objectContaining({
      code,
      details: expect.objectContaining({ messageId: sentIds[index], target }) as unknown,
    }) as unknown,
  });
  expect([found[1]?.message, found[3]?.message, found[4]?.message]).toEqual([
    damaged(1, "first", "message_corrupt"),
    damaged(3, "nobody", "message_corrupt"),
    damaged(4, "first", "event_unknown"),
  ]);
  await store.close();
});
