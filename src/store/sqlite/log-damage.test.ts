import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VirtualClock, World, leaseMs, mark } from "../conformance/world.ts";
import { checkLog } from "./log-damage.ts";
import { openSqliteStore } from "./store.ts";

const frameBytes = 24 + 4_096;
const headerBytes = 32;

let directory: string;
let path: string;
/** As a process leaves it that is killed: no checkpoint has been made. */
let log: Buffer;
/** Where the last transaction begins. */
let lastBegin: number;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "aion-log-"));
  const live = join(directory, "live.db");
  path = join(directory, "store.db");
  const store = openSqliteStore({ path: live, writer: "inline" });
  const token = await store.claim({ leaseMs });
  const world = new World({ store, dispose: () => store.close() }, new VirtualClock(), token);
  const run = await world.start("w");
  for (let round = 0; round < 12; round += 1) {
    await world.extend(run, { events: [mark(`round ${round} ${"x".repeat(900 * (round % 4))}`)] });
  }
  copyFileSync(live, path);
  log = readFileSync(`${live}-wal`);
  await store.release(token);
  await store.close();
  const ends: number[] = [];
  for (let at = headerBytes; at + frameBytes <= log.length; at += frameBytes)
    if (log.readUInt32BE(at + 4) !== 0) ends.push(at + frameBytes);
  lastBegin = ends.at(-2) ?? 0;
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

function verdictOn(bytes: Buffer): string {
  writeFileSync(`${path}-wal`, bytes);
  try {
    checkLog(path);
    return "in order";
  } catch (error) {
    expect(error).toMatchObject({ code: "store_corrupt", hint: expect.stringContaining(path) as string });
    return "damaged";
  }
}

function flip(at: number, bit: number): Buffer {
  const flipped = Buffer.from(log);
  flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << bit), at);
  return flipped;
}

describe("a log", () => {
  it("as it was written is in order", () => {
    expect(lastBegin).toBeGreaterThan(12 * frameBytes);
    expect(verdictOn(log)).toBe("in order");
  });

  it("that is not there is in order", () => {
    rmSync(`${path}-wal`, { force: true });
    expect(() => checkLog(path)).not.toThrow();
  });

  // I-50
  it("with a flipped bit in front of its last transaction is refused, and so is a store with such a log", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat({ max: 7 }), (position, bit) => {
        // The frame that ends the last transaction but one is known as an end only as long as its header is whole.
        expect(verdictOn(flip(position % (lastBegin - frameBytes), bit))).toBe("damaged");
      }),
      { numRuns: 300 },
    );
    expect(() => openSqliteStore({ path })).toThrow(expect.objectContaining({ code: "store_corrupt" }));
  });

  // I-49
  it("that a crash has cut off anywhere is in order", () => {
    fc.assert(
      fc.property(fc.nat(), (length) => {
        expect(verdictOn(log.subarray(0, length % log.length))).toBe("in order");
      }),
      { numRuns: 200 },
    );
  });

  // I-49
  it("whose last transaction lost any of its sectors in a power cut is in order", () => {
    const sectors = Math.ceil((log.length - lastBegin) / 512);
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat({ max: sectors - 1 })), (lost) => {
        const torn = Buffer.from(log);
        for (const sector of lost) {
          const at = lastBegin + sector * 512;
          torn.fill(0, at, Math.min(at + 512, torn.length));
        }
        expect(verdictOn(torn)).toBe("in order");
      }),
      { numRuns: 200 },
    );
  });

  it("with what an earlier log has left behind its end is in order", () => {
    const older = Buffer.from(log.subarray(lastBegin - 4 * frameBytes));
    for (let at = 0; at + frameBytes <= older.length; at += frameBytes) older.writeUInt32BE(7, at + 8);
    expect(verdictOn(Buffer.concat([log, older]))).toBe("in order");
  });
});
