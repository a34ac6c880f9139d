import type { PlaceFacts, SyncFacts } from "./disk.ts";
import type { Finding } from "./finding.ts";
import { failed, ok, skipped, warning } from "./finding.ts";

/** That it is there, may be used, and has one name. */
export function checkFile(place: PlaceFacts): Finding {
  const { path, directory, file } = place;
  const facts = {
    path,
    isThere: file !== undefined,
    isDirectoryWritable: place.isDirectoryWritable,
    ...(file === undefined ? {} : { sizeBytes: file.sizeBytes, isWritable: file.isWritable }),
  };
  if (!place.isDirectoryThere)
    return failed("file", `there is no directory ${directory}`, "Correct the path, or make it.", facts);
  if (file === undefined)
    return failed(
      "file",
      `there is no file ${path}`,
      "Correct the path. If nothing has run yet, all is well: the first engine makes the file.",
      facts,
    );
  if (!file.isFile) return failed("file", `${path} is no file`, "Name a file.", facts);
  if (file.nameCount > 1)
    return failed(
      "file",
      `${path} has ${file.nameCount} names (hard links), and no engine opens it so`,
      "Remove the other names: `find DIRECTORY -samefile FILE` finds them.",
      facts,
    );
  if (!file.isReadable)
    return failed("file", `you may not read ${path}`, "Run it as the user of the engine.", facts);
  if (!file.isWritable || !place.isDirectoryWritable)
    return warning(
      "file",
      `you may not write ${file.isWritable ? directory : path}`,
      "An engine needs both the file and its directory. Give its user the right to write there; if that is another user, all is well.",
      facts,
    );
  if (!file.isOurs)
    return warning(
      "file",
      `${path} belongs to another user`,
      "Commands reach an engine only as the same user: run them as that one.",
      facts,
    );
  if (place.isDirectoryOpenToAll)
    return warning(
      "file",
      `everybody may put another file in its place: ${directory} is open to all`,
      `Take that right away: chmod o-w '${directory}'.`,
      facts,
    );
  return ok("file", `${path}, ${formatBytes(file.sizeBytes)}`, facts);
}

/** Of Linux, by number: https://man7.org/linux/man-pages/man2/statfs.2.html */
const fileSystems: ReadonlyMap<
  number,
  { readonly name: string; readonly kind: "network" | "memory" | "perhaps" }
> = new Map([
  [0x69_69, { name: "NFS", kind: "network" }],
  [0xff_53_4d_42, { name: "CIFS", kind: "network" }],
  [0xfe_53_4d_42, { name: "SMB2", kind: "network" }],
  [0x51_7b, { name: "SMB", kind: "network" }],
  [0x01_02_19_97, { name: "9P", kind: "network" }],
  [0x00_c3_64_00, { name: "Ceph", kind: "network" }],
  [0x53_46_41_4f, { name: "AFS", kind: "network" }],
  [0x73_75_72_45, { name: "Coda", kind: "network" }],
  [0x0b_d0_0b_d0, { name: "Lustre", kind: "network" }],
  [0x47_50_46_53, { name: "GPFS", kind: "network" }],
  [0x74_61_63_6f, { name: "OCFS2", kind: "network" }],
  [0x01_16_19_70, { name: "GFS2", kind: "network" }],
  [0x78_6f_42_56, { name: "a folder of VirtualBox", kind: "network" }],
  [0x65_73_55_46, { name: "FUSE", kind: "perhaps" }],
  [0x01_02_19_94, { name: "tmpfs", kind: "memory" }],
  [0x85_84_58_f6, { name: "ramfs", kind: "memory" }],
]);

export function checkFileSystem({ disk, directory }: PlaceFacts, platform: string): Finding {
  if (disk === undefined) return skipped("filesystem", "there is no directory to look at");
  if (platform !== "linux") return skipped("filesystem", `what kind it is cannot be told on ${platform}`);
  const known = fileSystems.get(disk.type);
  const facts = { type: `0x${disk.type.toString(16)}`, ...(known === undefined ? {} : { name: known.name }) };
  switch (known?.kind) {
    case undefined:
      return ok("filesystem", "a local disk, as far as the kernel tells", facts);
    case "network":
      return warning(
        "filesystem",
        `${directory} is on ${known.name}: the locks and the shared memory of SQLite cannot be relied on there`,
        "Put the store on a local disk of the machine that runs the engine.",
        facts,
      );
    case "perhaps":
      return warning(
        "filesystem",
        `${directory} is on ${known.name}: whether a network is behind it, and whether locks hold, cannot be told`,
        "Put the store on a local disk, unless you know that what is behind it is one.",
        facts,
      );
    case "memory":
      return warning(
        "filesystem",
        `${directory} is in memory (${known.name}): all is gone when the machine stops`,
        "Put the store on a disk.",
        facts,
      );
  }
}

const mebibyte = 1024 * 1024;
const freeBytesMin = 64 * mebibyte;
const freeBytesLow = 1024 * mebibyte;

export function checkSpace({ disk }: PlaceFacts): Finding {
  if (disk === undefined) return skipped("space", "there is no directory to look at");
  const { freeBytes, sizeBytes, freeFileCount, fileCount } = disk;
  const facts = { freeBytes, sizeBytes };
  const left = `${formatBytes(freeBytes)} of ${formatBytes(sizeBytes)} are free`;
  // Some file systems count no files.
  const isOutOfFiles = fileCount > 0 && freeFileCount === 0;
  if (freeBytes < freeBytesMin || isOutOfFiles)
    return failed(
      "space",
      isOutOfFiles ? "the disk can take no more files" : `${left}: the disk is full, or soon will be`,
      "Free some space. An engine refuses what it cannot write, loses nothing, and goes on when there is room.",
      facts,
    );
  if (freeBytes < freeBytesLow)
    return warning(
      "space",
      left,
      "Free some space, or delete runs that have ended (`engine.deleteClosed`).",
      facts,
    );
  return ok("space", left, facts);
}

/** Less than this no disk needs, and no network either. */
const plausibleMicros = 20;
const slowMicros = 50_000;

export function checkSync({ count, medianMicros, maxMicros }: SyncFacts): Finding {
  const facts = { count, medianMicros: round(medianMicros), maxMicros: round(maxMicros) };
  const took = `a write takes ${formatMicros(medianMicros)} to the disk (${formatMicros(maxMicros)} at most, of ${count})`;
  if (medianMicros < plausibleMicros)
    return warning(
      "sync",
      `${took}: so fast that it cannot have got there`,
      "Look for a file system in memory, for eatmydata, or for a virtual disk that is set to ignore flushes: what was acknowledged may be lost when the power fails.",
      facts,
    );
  if (medianMicros > slowMicros)
    return warning("sync", `${took}: each commit waits for one`, "Put the store on a quicker disk.", facts);
  return ok("sync", took, facts);
}

const logBytesLarge = 256 * mebibyte;

/** The engine moves the log into the file when it has 16 MiB, unless somebody holds it. */
export function checkLogSize(place: PlaceFacts): Finding {
  const bytes = place.file?.logBytes ?? 0;
  const facts = { sizeBytes: bytes };
  if (bytes < logBytesLarge) return ok("log", `the write-ahead log has ${formatBytes(bytes)}`, facts);
  return warning(
    "log",
    `the write-ahead log has ${formatBytes(bytes)}: it is not being moved into the file`,
    "Look for a process that has read from the store for long (a backup, a sqlite3 shell); if no engine is running, the next one moves it.",
    facts,
  );
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function formatMicros(micros: number): string {
  if (micros < 1_000) return `${round(micros)} µs`;
  return `${round(micros / 1_000)} ms`;
}

export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = "";
  for (const next of units) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}
