import { closeSync, fdatasyncSync, fsyncSync, openSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Microseconds of a 4 KiB write and its `fdatasync`, on the disk of the directory. */
export interface FsyncRate {
  readonly appendMicros: number;
  readonly appendP99Micros: number;
  readonly overwriteMicros: number;
}

const blockSize = 4096;
const overwrittenBlocks = 64;

/** What the disk gives at this moment: the yardstick of the targets, measured beside each run. */
export function measureFsyncRate(directory: string, samples = 200): FsyncRate {
  const append = timesOf(directory, samples, (index) => index);
  const overwrite = timesOf(directory, samples, (index) => index % overwrittenBlocks, overwrittenBlocks);
  return {
    appendMicros: quantile(append, 0.5),
    appendP99Micros: quantile(append, 0.99),
    overwriteMicros: quantile(overwrite, 0.5),
  };
}

export function combineFsyncRates(before: FsyncRate, after: FsyncRate): FsyncRate {
  return {
    appendMicros: (before.appendMicros + after.appendMicros) / 2,
    appendP99Micros: (before.appendP99Micros + after.appendP99Micros) / 2,
    overwriteMicros: (before.overwriteMicros + after.overwriteMicros) / 2,
  };
}

function timesOf(
  directory: string,
  samples: number,
  blockOf: (index: number) => number,
  preparedBlocks = 0,
): readonly number[] {
  const path = join(directory, `fsync-rate-${process.pid}`);
  const block = Buffer.alloc(blockSize, 0x61);
  const fd = openSync(path, "w");
  try {
    if (preparedBlocks > 0) {
      writeSync(fd, Buffer.alloc(blockSize * preparedBlocks, 0x62));
      fsyncSync(fd);
    }
    const micros: number[] = [];
    for (let index = 0; index < samples; index += 1) {
      const startedAt = performance.now();
      writeSync(fd, block, 0, blockSize, blockOf(index) * blockSize);
      fdatasyncSync(fd);
      micros.push((performance.now() - startedAt) * 1000);
    }
    return micros;
  } finally {
    closeSync(fd);
    unlinkSync(path);
  }
}

/** Nearest-rank quantile; `samples` need not be sorted and must not be empty. */
export function quantile(samples: readonly number[], fraction: number): number {
  const sorted = samples.toSorted((left, right) => left - right);
  const rank = Math.min(sorted.length - 1, Math.max(0, Math.ceil(fraction * sorted.length) - 1));
  return sorted[rank] ?? Number.NaN;
}
