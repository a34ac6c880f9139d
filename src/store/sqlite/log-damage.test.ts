import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { VirtualClock, World, leaseMs, mark } from "../conformance/world.ts";
import { isAionError } from "../../core/errors.ts";
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
  for (let round = 0; round < 24; round += 1) {
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

/** What the log is by the time it is looked at once more: by default what it was. */
let laterLooks: Buffer[];
let pauses: number[];

beforeEach(() => {
  laterLooks = [];
  pauses = [];
  const wait = Atomics.wait.bind(Atomics);
  vi.spyOn(Atomics, "wait").mockImplementation((...args: readonly unknown[]) => {
    // One that would be over at once is none.
    const outcome: unknown = Reflect.apply(wait, undefined, [...args.slice(0, 3), 0]);
    pauses.push(outcome === "timed-out" ? Number(args[3]) : 0);
    const later = laterLooks.shift();
    if (later !== undefined) writeFileSync(`${path}-wal`, later);
    return "timed-out";
  });
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

/** The sums over the log as its format describes them, plainly: https://www.sqlite.org/fileformat2.html#checksum_algorithm */
function sumsOf(
  bytes: Buffer,
  [first, second]: readonly [number, number],
  isBigEndian: boolean,
): readonly [number, number] {
  let [one, two] = [BigInt(first), BigInt(second)];
  const word = (at: number): bigint => BigInt(isBigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at));
  for (let at = 0; at < bytes.length; at += 8) {
    one = (one + word(at) + two) % 2n ** 32n;
    two = (two + word(at + 4) + one) % 2n ** 32n;
  }
  return [Number(one), Number(two)];
}

/** The same log, as a machine of that byte order writes it. */
function asWrittenBy(isBigEndian: boolean): Buffer {
  const other = Buffer.from(log);
  other.writeUInt32BE(isBigEndian ? 0x37_7f_06_83 : 0x37_7f_06_82, 0);
  let sums = sumsOf(other.subarray(0, 24), [0, 0], isBigEndian);
  other.writeUInt32BE(sums[0], 24);
  other.writeUInt32BE(sums[1], 28);
  for (let at = headerBytes; at + frameBytes <= other.length; at += frameBytes) {
    sums = sumsOf(other.subarray(at, at + 8), sums, isBigEndian);
    sums = sumsOf(other.subarray(at + 24, at + frameBytes), sums, isBigEndian);
    other.writeUInt32BE(sums[0], at + 16);
    other.writeUInt32BE(sums[1], at + 20);
  }
  return other;
}

/** What is said of a log that is damaged. */
function detailsOn(bytes: Buffer): unknown {
  writeFileSync(`${path}-wal`, bytes);
  try {
    checkLog(path);
    return undefined;
  } catch (error) {
    return isAionError(error) ? { ...error.details, message: error.message } : error;
  }
}

/** The frames that end a transaction, from 0. */
function endingFrames(): readonly number[] {
  const frames = Array.from(
    { length: Math.floor((log.length - headerBytes) / frameBytes) },
    (_, frame) => frame,
  );
  return frames.filter((frame) => log.readUInt32BE(headerBytes + frame * frameBytes + 4) !== 0);
}

describe("a log", () => {
  it.each([true, false])(
    "that a machine wrote whose byte order is the other one is read (%s)",
    (isBigEndian) => {
      const other = asWrittenBy(isBigEndian);
      expect(other.equals(log)).toBe(!isBigEndian);
      expect(verdictOn(other)).toBe("in order");
      // SQLite takes it for a log, too: what is read stands in it alone.
      const store = openSqliteStore({ path, readOnly: true });
      expect(store.name).toContain(path);
      void store.close();
      other.writeUInt8(other.readUInt8(headerBytes + 500) ^ 1, headerBytes + 500);
      expect(verdictOn(other)).toBe("damaged");
    },
  );

  it("that is damaged is said to be so where it is, with how much is behind", () => {
    const ends = endingFrames();
    const frameCount = Math.floor((log.length - headerBytes) / frameBytes);
    // What follows the end of a transaction was begun after that was on disk.
    const lostBehind = (damaged: number): number =>
      ends.filter((end) => end >= damaged && end + 1 < frameCount).length;
    for (const frame of [0, 1, ends[2] ?? 0, (ends[3] ?? 0) + 1, 63, 64, 65]) {
      expect(detailsOn(flip(headerBytes + frame * frameBytes + 24 + 100, 3))).toMatchObject({
        frame,
        lostCount: lostBehind(frame),
        message: expect.stringContaining(`at frame ${frame}:`) as string,
      });
    }
    const ofHeader = detailsOn(flip(9, 0));
    expect(ofHeader).toMatchObject({
      frame: -1,
      message: expect.stringContaining("at its header") as string,
    });
    expect(ofHeader).toMatchObject({ lostCount: ends.length - 1 });
  });

  it("that somebody is writing to is looked at again, and is damaged if it stays so", () => {
    const [here, there] = [3, 7].map((frame) => flip(headerBytes + frame * frameBytes + 500, 0));
    const verdictAfter = (...looks: readonly (Buffer | undefined)[]): string => {
      const [first = log, ...later] = looks;
      laterLooks = later.map((look) => look ?? log);
      pauses = [];
      return `${verdictOn(first)} after ${pauses.length} pauses`;
    };
    expect(verdictAfter(log)).toBe("in order after 0 pauses");
    expect(verdictAfter(here, log)).toBe("in order after 1 pauses");
    expect(verdictAfter(here, here, log)).toBe("in order after 2 pauses");
    // It goes on: what looked like damage was the end of the moment.
    expect(verdictAfter(here, there)).toBe("in order after 1 pauses");
    expect(verdictAfter(here, here, there)).toBe("in order after 2 pauses");
    expect(verdictAfter(here, here, here, log)).toBe("damaged after 2 pauses");
    expect(pauses.every((millis) => millis >= 10)).toBe(true);
  });

  it("that is too short for a frame is in order", () => {
    const shorts = [Buffer.alloc(0), log.subarray(0, 31), log.subarray(0, 32), log.subarray(0, 55)];
    for (const short of shorts) expect(verdictOn(short)).toBe("in order");
  });

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

describe("a log that is written over", () => {
  /** Opened as a store's writer does; the log is moved when the test says so. */
  function openLive(at: string): DatabaseSync {
    const database = new DatabaseSync(at);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0");
    return database;
  }

  /** A file whose log has begun anew once, so that it keeps its salts when it is opened after a crash. */
  function begunAnew(at: string): DatabaseSync {
    const database = openLive(at);
    database.exec("CREATE TABLE small (text); CREATE TABLE large (text); INSERT INTO small VALUES ('0')");
    database.exec("PRAGMA wal_checkpoint(PASSIVE)");
    return database;
  }

  const insert = (table: string, pages: number): string =>
    `INSERT INTO ${table} VALUES ('${"x".repeat(pages * 4_000)}')`;

  const countOf = (at: string, table: string): unknown => {
    const database = new DatabaseSync(at);
    try {
      return database.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.["count"];
    } finally {
      database.close();
    }
  };

  const framesOf = (bytes: Buffer): number => Math.floor((bytes.length - headerBytes) / frameBytes);

  // I-49
  it("from where a transaction was cut off, with the same salts, is in order wherever the next crash cuts it", () => {
    const live = join(directory, "over.db");
    const first = begunAnew(live);
    first.exec(insert("large", 12));
    const file = readFileSync(live);
    const whole = readFileSync(`${live}-wal`);
    first.close();
    // All but the frame that ends it.
    const cutOff = Buffer.from(whole.subarray(0, whole.length - frameBytes));
    writeFileSync(live, file);
    writeFileSync(`${live}-wal`, cutOff);
    const second = openLive(live);
    second.exec("INSERT INTO small VALUES ('1')");
    const endOfFirst = headerBytes + frameBytes;
    second.exec(insert("small", 2));
    const next = readFileSync(`${live}-wal`);
    second.close();
    // What this is about: the same salts, an end mark that was written over, and frames of the old transaction behind it.
    expect(next.subarray(0, headerBytes).equals(cutOff.subarray(0, headerBytes))).toBe(true);
    expect(next.readUInt32BE(headerBytes + 4)).not.toBe(0);
    const ends = Array.from(
      { length: framesOf(next) },
      (_, frame) => headerBytes + frame * frameBytes,
    ).filter((at) => next.readUInt32BE(at + 4) !== 0);
    expect(ends.length).toBe(2);
    const end = ends[1] ?? 0;
    expect(end).toBeGreaterThan(endOfFirst);
    expect(framesOf(cutOff) - framesOf(next.subarray(0, end + frameBytes))).toBeGreaterThan(4);

    writeFileSync(path, file);
    const cuts = Array.from({ length: 25 }, (_, byte) => end + byte);
    for (let at = headerBytes; at < end + frameBytes; at += 509) cuts.push(at);
    for (const cut of cuts) {
      const torn = Buffer.concat([next.subarray(0, cut), cutOff.subarray(cut)]);
      expect([cut, verdictOn(torn)]).toEqual([cut, "in order"]);
    }
    const torn = Buffer.concat([next.subarray(0, end + 12), cutOff.subarray(end + 12)]);
    expect(verdictOn(torn)).toBe("in order");
    // What was acknowledged is there.
    expect(countOf(path, "small")).toBe(2);
    expect(countOf(path, "large")).toBe(0);
  });

  // I-49
  it("from its beginning, the file having all of it, is in order wherever its header is cut off", () => {
    const live = join(directory, "anew.db");
    const database = begunAnew(live);
    for (let round = 0; round < 5; round += 1) database.exec(insert("small", 2));
    const fileBefore = readFileSync(live);
    database.exec("PRAGMA wal_checkpoint(PASSIVE)");
    const file = readFileSync(live);
    const before = readFileSync(`${live}-wal`);
    database.exec("INSERT INTO small VALUES ('2')");
    const after = readFileSync(`${live}-wal`);
    database.close();
    expect(after.readUInt32BE(12)).toBe(before.readUInt32BE(12) + 1);
    const headers = Array.from({ length: headerBytes + 1 }, (_, cut) =>
      Buffer.concat([after.subarray(0, cut), before.subarray(cut)]),
    );
    writeFileSync(path, file);
    for (const [cut, torn] of headers.entries()) expect([cut, verdictOn(torn)]).toEqual([cut, "in order"]);
    for (const torn of headers.slice(16, 20)) {
      writeFileSync(path, file);
      writeFileSync(`${path}-wal`, torn);
      expect(countOf(path, "small")).toBe(6);
    }
    // The same header over a file that lacks a page of the log is damage.
    writeFileSync(path, fileBefore);
    expect(verdictOn(headers[16] ?? after)).toBe("damaged");
    const other = Buffer.from(file);
    other.writeUInt8(other.readUInt8(other.length - 1) ^ 1, other.length - 1);
    writeFileSync(path, other);
    expect(verdictOn(headers[16] ?? after)).toBe("damaged");
  });
});
