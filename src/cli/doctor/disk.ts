import {
  accessSync,
  closeSync,
  constants,
  fdatasyncSync,
  openSync,
  realpathSync,
  rmSync,
  statSync,
  statfsSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import process from "node:process";

/** What a place says about itself. Runs in a process of its own, since each of these may hang on a dead network disk. */
export interface PlaceFacts {
  /** Where the file really lies, symbolic links followed. */
  readonly path: string;
  readonly directory: string;
  readonly isDirectoryThere: boolean;
  readonly isDirectoryWritable: boolean;
  readonly isDirectoryOpenToAll: boolean;
  readonly file?: {
    readonly isFile: boolean;
    readonly isReadable: boolean;
    readonly isWritable: boolean;
    readonly sizeBytes: number;
    readonly logBytes: number;
    readonly nameCount: number;
    readonly isOurs: boolean;
  };
  readonly disk?: {
    /** As the kernel numbers file systems (`statfs`). */
    readonly type: number;
    readonly freeBytes: number;
    readonly sizeBytes: number;
    readonly freeFileCount: number;
    readonly fileCount: number;
  };
}

export function lookAtPlace(file: string): PlaceFacts {
  const real = follow(path.resolve(file));
  const directory = path.dirname(real);
  const directoryStats = statSync(directory, { throwIfNoEntry: false });
  const stats = statSync(real, { throwIfNoEntry: false });
  const isDirectoryThere = directoryStats?.isDirectory() === true;
  const mode = directoryStats?.mode ?? 0;
  return {
    path: real,
    directory,
    isDirectoryThere,
    isDirectoryWritable: isDirectoryThere && may(directory, constants.W_OK | constants.X_OK),
    // Without the sticky bit anybody could put another file in its place.
    isDirectoryOpenToAll: (mode & 0o002) !== 0 && (mode & 0o1000) === 0,
    ...(stats === undefined
      ? {}
      : {
          file: {
            isFile: stats.isFile(),
            isReadable: may(real, constants.R_OK),
            isWritable: may(real, constants.W_OK),
            sizeBytes: stats.size,
            logBytes: statSync(`${real}-wal`, { throwIfNoEntry: false })?.size ?? 0,
            nameCount: stats.nlink,
            isOurs: process.getuid === undefined || process.getuid() === stats.uid,
          },
        }),
    ...(isDirectoryThere ? { disk: lookAtDisk(directory) } : {}),
  };
}

function follow(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}

function may(place: string, mode: number): boolean {
  try {
    accessSync(place, mode);
    return true;
  } catch {
    return false;
  }
}

function lookAtDisk(directory: string): NonNullable<PlaceFacts["disk"]> {
  const { type, bsize, bavail, blocks, ffree, files } = statfsSync(directory);
  return {
    type,
    freeBytes: bavail * bsize,
    sizeBytes: blocks * bsize,
    freeFileCount: ffree,
    fileCount: files,
  };
}

export interface SyncFacts {
  readonly count: number;
  readonly medianMicros: number;
  readonly maxMicros: number;
}

const syncCount = 25;
const syncTimeMaxMs = 3_000;
const pageBytes = 4_096;

/**
 * How long a page takes to the disk, in a file of its own beside the store. By `fdatasync`, as SQLite does it where there is one. The
 * file keeps its name meanwhile: there are file systems that write nothing for one that has none.
 */
export function measureSync(file: string): SyncFacts {
  const descriptor = openSync(file, "wx", 0o600);
  try {
    const page = Buffer.alloc(pageBytes, 1);
    const micros: number[] = [];
    const endAt = performance.now() + syncTimeMaxMs;
    while (micros.length < syncCount && performance.now() < endAt) {
      writeSync(descriptor, page, 0, pageBytes, micros.length * pageBytes);
      const startedAt = process.hrtime.bigint();
      fdatasyncSync(descriptor);
      micros.push(Number(process.hrtime.bigint() - startedAt) / 1_000);
    }
    const sorted = micros.toSorted((one, two) => one - two);
    return {
      count: micros.length,
      medianMicros: sorted[Math.floor(sorted.length / 2)] ?? 0,
      maxMicros: sorted.at(-1) ?? 0,
    };
  } finally {
    closeSync(descriptor);
    rmSync(file, { force: true });
  }
}
