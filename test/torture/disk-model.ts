import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { DiskFile, Recorded } from "./disk-fault.ts";
import type { Seeded } from "./scenario.ts";

type Write = Extract<Recorded, { readonly kind: "write" | "truncate" }>;
type StoredFile = Exclude<DiskFile, "index" | "directory">;

const suffixes: Readonly<Record<StoredFile, string>> = { database: "", wal: "-wal", journal: "-journal" };
const storedFiles = Object.keys(suffixes) as readonly StoredFile[];
const sectorBytes = 512;

/** A file as the disk has it: what is safe, and what the machine still holds back. */
interface Inode {
  safe: Buffer;
  readonly pending: Write[];
  /** How many of the pending writes each fsync under way covers. */
  readonly syncs: number[];
}

interface NameChange {
  readonly file: StoredFile;
  readonly inode: Inode | undefined;
}

/**
 * A disk under a cache, fed with what a process did, which tells what may be on it if the power goes now.
 *
 * Law: an fsync makes safe what was written to that file before it began, and nothing else, once it has returned. Names
 * are safe when the directory was synced. All else is there or not, in any combination, sector by sector.
 * Nothing is assumed of a file system that is kinder than that.
 */
export class DiskModel {
  readonly #path: string;
  /** By what the process sees, and by what the disk has. */
  readonly #names = new Map<StoredFile, Inode>();
  readonly #safeNames = new Map<StoredFile, Inode>();
  readonly #pendingNames: NameChange[] = [];
  readonly #nameSyncs: number[] = [];

  /** Begins with what lies there, all of it safe. */
  constructor(path: string) {
    this.#path = path;
    for (const file of storedFiles) {
      const name = `${path}${suffixes[file]}`;
      if (!existsSync(name)) continue;
      const inode: Inode = { safe: readFileSync(name), pending: [], syncs: [] };
      this.#names.set(file, inode);
      this.#safeNames.set(file, inode);
    }
  }

  apply(record: Recorded): void {
    if (record.kind === "said") return;
    if (record.file === "index") return;
    if (record.file === "directory") {
      this.#applyToDirectory(record);
      return;
    }
    const { file } = record;
    if (record.kind === "create") {
      const inode: Inode = { safe: Buffer.alloc(0), pending: [], syncs: [] };
      this.#names.set(file, inode);
      this.#pendingNames.push({ file, inode });
      return;
    }
    if (record.kind === "unlink") {
      this.#names.delete(file);
      this.#pendingNames.push({ file, inode: undefined });
      return;
    }
    const inode = this.#names.get(file);
    if (inode === undefined) throw new Error(`${record.kind} on a ${file} that is not there`);
    if (record.kind === "write" || record.kind === "truncate") inode.pending.push(record);
    else if (record.kind === "sync-begin") inode.syncs.push(inode.pending.length);
    else this.#makeSafe(inode);
  }

  // Of several under way the one that covers least counts as the one that returned.
  #makeSafe(inode: Inode): void {
    const count = inode.syncs.shift() ?? 0;
    for (const write of inode.pending.splice(0, count)) inode.safe = applyWrite(inode.safe, write);
    for (const [index, other] of inode.syncs.entries()) inode.syncs[index] = Math.max(0, other - count);
  }

  #applyToDirectory(record: Recorded): void {
    if (record.kind === "sync-begin") this.#nameSyncs.push(this.#pendingNames.length);
    if (record.kind !== "sync-end") return;
    const count = this.#nameSyncs.shift() ?? 0;
    for (const change of this.#pendingNames.splice(0, count)) applyName(this.#safeNames, change);
    for (const [index, other] of this.#nameSyncs.entries())
      this.#nameSyncs[index] = Math.max(0, other - count);
  }

  /** Bytes that a power cut may take or leave. */
  get pendingCount(): number {
    return storedFiles.reduce((sum, file) => sum + (this.#names.get(file)?.pending.length ?? 0), 0);
  }

  /** Puts on `target` what the disk has after a power cut: what is safe, and of the rest what `random` picks. */
  cutPower(target: string, random?: Seeded): void {
    const names = new Map(this.#safeNames);
    if (random !== undefined) {
      // Changes of a directory are journalled in order.
      const kept = random.integer(0, this.#pendingNames.length);
      for (const change of this.#pendingNames.slice(0, kept)) applyName(names, change);
    }
    for (const file of storedFiles) {
      const name = `${target}${suffixes[file]}`;
      const inode = names.get(file);
      if (inode === undefined) {
        rmSync(name, { force: true });
        continue;
      }
      writeFileSync(name, random === undefined ? inode.safe : withSome(inode, random));
    }
    rmSync(`${target}-shm`, { force: true });
  }

  get path(): string {
    return this.#path;
  }
}

function applyName(names: Map<StoredFile, Inode>, { file, inode }: NameChange): void {
  if (inode === undefined) names.delete(file);
  else names.set(file, inode);
}

function applyWrite(bytes: Buffer, write: Write): Buffer {
  if (write.kind === "truncate") {
    const cut = Buffer.alloc(write.length);
    bytes.copy(cut, 0, 0, Math.min(bytes.length, write.length));
    return cut;
  }
  const { offset, data } = write;
  const end = offset + data.length;
  let grown = bytes;
  if (end > bytes.length) {
    grown = Buffer.alloc(end);
    bytes.copy(grown);
  }
  data.copy(grown, offset);
  return grown;
}

/** Each write is there, not there, or there in some of its sectors. */
function withSome(inode: Inode, random: Seeded): Buffer {
  let bytes: Buffer = Buffer.from(inode.safe);
  const share = random.next();
  for (const write of inode.pending) {
    if (write.kind === "truncate") {
      if (random.chance(share)) bytes = applyWrite(bytes, write);
      continue;
    }
    if (!random.chance(share)) continue;
    if (random.chance(0.8)) {
      bytes = applyWrite(bytes, write);
      continue;
    }
    const { offset, data, file } = write;
    for (let at = 0; at < data.length;) {
      const length = Math.min(data.length - at, sectorBytes - ((offset + at) % sectorBytes));
      if (random.chance(0.5)) {
        bytes = applyWrite(bytes, {
          kind: "write",
          file,
          offset: offset + at,
          data: data.subarray(at, at + length),
        });
      }
      at += length;
    }
  }
  return bytes;
}
