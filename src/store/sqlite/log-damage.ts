import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { AionError } from "../../core/errors.ts";

// https://www.sqlite.org/fileformat2.html#the_write_ahead_log
const headerBytes = 32;
const frameHeaderBytes = 24;
const framesPerRead = 64;
/** Every file of ours has pages of this size. */
const ownPageBytes = 4_096;
/** Looked at so often before it counts: somebody may be writing to the log. */
const looks = 3;
const pauseMs = 20;

/**
 * Refuses a log that is damaged in front of commits that were on disk.
 *
 * A log is read up to its first frame that does not fit its checksum, since that is where a crash has cut it off.
 * A frame that was damaged later looks the same, and all commits behind it would be dropped without a word. They can
 * be told apart: a transaction is begun only after the fsync of the one before it. So a frame that ends a transaction,
 * and one behind it that was chained to it, prove that everything in front of them was on disk once.
 *
 * If the frame that ends it is the damaged one, a whole transaction behind it is asked for. For what a crash left
 * of a transaction is written over with the same salts, and a write that is cut off amid a frame's header leaves
 * the new frame's end mark with the old frame's checksum, to which the rest of that transaction is chained.
 *
 * A damaged header makes SQLite pass over the whole log. Nothing is lost by it if the file has all that is in the log:
 * it had, if the header was being written because the log begins anew.
 *
 * Not seen: damage in the last transaction of the log. Errors: `store_corrupt`.
 */
export function checkLog(path: string): void {
  let found = findDamage(path);
  for (let look = 1; look < looks && found !== undefined; look += 1) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
    const again = findDamage(path);
    found = again?.frame === found.frame ? again : undefined;
  }
  if (found === undefined) return;
  const { frame, lostCount } = found;
  const where = frame < 0 ? "its header" : `frame ${frame}`;
  throw new AionError(
    "store_corrupt",
    `the log ${path}-wal is damaged at ${where}: ${lostCount} or more commits behind it were on disk and cannot be read`,
    {
      hint: `Restore the store from a backup. To go on without those commits: sqlite3 ${path} "PRAGMA wal_checkpoint(TRUNCATE)". Nothing was changed.`,
      details: { frame, lostCount },
    },
  );
}

interface LogDamage {
  /** The first frame that is damaged, from 0; -1: the header. */
  readonly frame: number;
  /** Commits behind it that are known to have been on disk. */
  readonly lostCount: number;
}

interface LogHeader {
  readonly isValid: boolean;
  readonly isBigEndian: boolean;
  readonly pageBytes: number;
}

function findDamage(path: string): LogDamage | undefined {
  let fd: number;
  try {
    fd = openSync(`${path}-wal`, "r");
  } catch {
    return undefined;
  }
  try {
    const size = fstatSync(fd).size;
    const head = Buffer.alloc(headerBytes);
    if (size < headerBytes + frameHeaderBytes || readSync(fd, head, 0, headerBytes, 0) < headerBytes)
      return undefined;
    const { newest, ...damage } = scan(fd, head, size);
    if (damage.lostCount === 0) return undefined;
    return damage.frame < 0 && isInFile(path, fd, newest) ? undefined : damage;
  } catch {
    // What cannot be read SQLite will meet as well, and say.
    return undefined;
  } finally {
    closeSync(fd);
  }
}

interface Scanned extends LogDamage {
  /** Where in the log the newest form of each page is that a transaction has left; kept if the header is damaged. */
  readonly newest: ReadonlyMap<number, number>;
}

function scan(fd: number, head: Buffer, size: number): Scanned {
  const { isValid, isBigEndian, pageBytes } = parseHeader(head);
  const frameBytes = frameHeaderBytes + pageBytes;
  const frameCount = Math.floor((size - headerBytes) / frameBytes);
  const chunk = Buffer.from(new ArrayBuffer(frameBytes * framesPerRead));
  const newest = new Map<number, number>();
  let written = new Map<number, number>();
  let salts: Buffer = head.subarray(16, 24);
  let sums: readonly [number, number] = [head.readUInt32BE(24), head.readUInt32BE(28)];
  let damagedFrame = isValid ? undefined : -1;
  let lostCount = 0;
  let behind: "nothing" | "end" | "damaged end" = "nothing";
  for (let frame = 0; frame < frameCount; frame += 1) {
    const inChunk = frame % framesPerRead;
    if (inChunk === 0) readSync(fd, chunk, 0, chunk.length, headerBytes + frame * frameBytes);
    const bytes = chunk.subarray(inChunk * frameBytes, (inChunk + 1) * frameBytes);
    // Whatever the header says, its frames have the same salts as one another.
    if (frame === 0 && !isValid) salts = Buffer.from(bytes.subarray(8, 16));
    const stored = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)] as const;
    const isOfThisLog = bytes.subarray(8, 16).equals(salts);
    const fits = isOfThisLog && fitsChain(bytes, { sums, stored, isBigEndian });
    const isEnd = isOfThisLog && bytes.readUInt32BE(4) !== 0;
    if (!fits) {
      damagedFrame ??= frame;
      behind = isEnd ? "damaged end" : "nothing";
    } else {
      if (damagedFrame !== undefined && (behind === "end" || (behind === "damaged end" && isEnd)))
        lostCount += 1;
      if (isEnd) behind = "end";
      else if (behind === "end") behind = "nothing";
    }
    if (!isValid && isOfThisLog) {
      written.set(bytes.readUInt32BE(0), headerBytes + frame * frameBytes + frameHeaderBytes);
      if (isEnd) {
        for (const [page, at] of written) newest.set(page, at);
        written = new Map();
      }
    }
    sums = stored;
  }
  return { frame: damagedFrame ?? frameCount, lostCount, newest };
}

/** Whether the file has each of these pages of the log. */
function isInFile(path: string, log: number, pages: ReadonlyMap<number, number>): boolean {
  const file = openSync(path, "r");
  try {
    const [here, there] = [Buffer.alloc(ownPageBytes), Buffer.alloc(ownPageBytes)];
    for (const [page, at] of pages) {
      readSync(log, here, 0, ownPageBytes, at);
      const length = readSync(file, there, 0, ownPageBytes, (page - 1) * ownPageBytes);
      if (length < ownPageBytes || !here.equals(there)) return false;
    }
    return true;
  } finally {
    closeSync(file);
  }
}

function parseHeader(head: Buffer): LogHeader {
  const magic = head.readUInt32BE(0);
  const isBigEndian = (magic & 1) === 1;
  const size = head.readUInt32BE(8);
  const isPageSize = size >= 512 && size <= 65_536 && (size & (size - 1)) === 0;
  const sums = addUp(head.subarray(0, 24), [0, 0], isBigEndian);
  const isValid =
    (magic | 1) >>> 0 === 0x37_7f_06_83 &&
    isPageSize &&
    sums[0] === head.readUInt32BE(24) &&
    sums[1] === head.readUInt32BE(28);
  if (!isValid) return { isValid, isBigEndian: false, pageBytes: ownPageBytes };
  return { isValid, isBigEndian, pageBytes: size };
}

function fitsChain(
  frame: Buffer,
  of: {
    readonly sums: readonly [number, number];
    readonly stored: readonly [number, number];
    readonly isBigEndian: boolean;
  },
): boolean {
  const { sums, stored, isBigEndian } = of;
  const withHead = addUp(frame.subarray(0, 8), sums, isBigEndian);
  const [first, second] = addUp(frame.subarray(frameHeaderBytes), withHead, isBigEndian);
  return first === stored[0] && second === stored[1];
}

const isHostLittleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

function addUp(
  bytes: Buffer,
  from: readonly [number, number],
  isBigEndian: boolean,
): readonly [number, number] {
  const { buffer, byteOffset, length } = bytes;
  let [first, second] = from;
  if (isBigEndian === isHostLittleEndian || byteOffset % 4 !== 0) {
    const view = new DataView(buffer, byteOffset, length);
    for (let at = 0; at < length; at += 8) {
      first = (first + view.getUint32(at, !isBigEndian) + second) >>> 0;
      second = (second + view.getUint32(at + 4, !isBigEndian) + first) >>> 0;
    }
    return [first, second];
  }
  // As this machine has its numbers, and so several times quicker: a log has thousands of pages, read at every start.
  const words = new Int32Array(buffer, byteOffset, length / 4);
  first |= 0;
  second |= 0;
  for (let at = 0; at < words.length; at += 2) {
    first = (first + (words[at] ?? 0) + second) | 0;
    second = (second + (words[at + 1] ?? 0) + first) | 0;
  }
  return [first >>> 0, second >>> 0];
}
