import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import process from "node:process";

/** The order of the enums of disk-fault.c. */
const calls = ["write", "sync", "truncate", "open", "unlink", "read", "map"] as const;
const files = ["none", "database", "wal", "journal", "index", "directory"] as const;
const faults = ["none", "kill-before", "kill-after", "error", "kill-torn", "lie"] as const;

export type DiskCall = (typeof calls)[number];
export type DiskFile = Exclude<(typeof files)[number], "none">;
export const diskFiles: readonly DiskFile[] = ["database", "wal", "journal", "index", "directory"];

export const errorNumbers = { EIO: 5, ENOMEM: 12, ENOSPC: 28 } as const;

export interface DiskFault {
  readonly fault: Exclude<(typeof faults)[number], "none">;
  readonly calls: readonly DiskCall[];
  /** Default: all. */
  readonly files?: readonly DiskFile[];
  /** The number of the call at which it begins, from 1. */
  readonly at: number;
  /** How many calls fail. Default: all from there on. */
  readonly times?: number;
  readonly error?: keyof typeof errorNumbers;
}

const controlBytes = 4_096;
const slots = {
  calls: 0,
  fault: 8,
  faultCalls: 9,
  faultFiles: 10,
  faultAt: 11,
  faultTimes: 12,
  faultError: 13,
  seen: 14,
  hits: 15,
  clockOffset: 16,
  syncsDone: 17,
  syncsFailed: 18,
  writesAfterFailedSync: 19,
  clockReads: 20,
} as const;

/** The other side of the mapping that disk-fault.c reads and counts in; it outlives the process that has it. */
export class DiskControl {
  readonly file: string;
  readonly #fd: number;

  constructor(file: string) {
    this.file = file;
    writeFileSync(file, Buffer.alloc(controlBytes));
    this.#fd = openSync(file, "r+");
  }

  plan(fault: DiskFault | undefined): void {
    this.#write(slots.fault, 0n);
    this.#write(slots.seen, 0n);
    this.#write(slots.hits, 0n);
    if (fault === undefined) return;
    this.#write(slots.faultCalls, maskOf(fault.calls.map((call) => calls.indexOf(call))));
    this.#write(slots.faultFiles, maskOf((fault.files ?? diskFiles).map((file) => files.indexOf(file))));
    this.#write(slots.faultAt, BigInt(fault.at));
    this.#write(slots.faultTimes, BigInt(fault.times ?? 0));
    this.#write(slots.faultError, BigInt(errorNumbers[fault.error ?? "EIO"]));
    this.#write(slots.fault, BigInt(faults.indexOf(fault.fault)));
  }

  /** Ends a fault, and keeps its counts. */
  mend(): void {
    this.#write(slots.fault, 0n);
  }

  setClockOffset(offsetMs: number): void {
    this.#write(slots.clockOffset, BigInt(Math.round(offsetMs)) * 1_000_000n);
  }

  countOf(call: DiskCall): number {
    return this.#read(slots.calls + calls.indexOf(call));
  }

  /** Calls that failed, or in which the process died. */
  get hits(): number {
    return this.#read(slots.hits);
  }

  /** Calls that the plan's masks name. */
  get seen(): number {
    return this.#read(slots.seen);
  }

  get syncsDone(): number {
    return this.#read(slots.syncsDone);
  }

  get syncsFailed(): number {
    return this.#read(slots.syncsFailed);
  }

  get writesAfterFailedSync(): number {
    return this.#read(slots.writesAfterFailedSync);
  }

  get clockReads(): number {
    return this.#read(slots.clockReads);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #read(slot: number): number {
    const bytes = Buffer.alloc(8);
    readSync(this.#fd, bytes, 0, 8, slot * 8);
    return Number(bytes.readBigInt64LE());
  }

  #write(slot: number, value: bigint): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    writeSync(this.#fd, bytes, 0, 8, slot * 8);
  }
}

function maskOf(bits: readonly number[]): bigint {
  return bits.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);
}

export type Recorded =
  | { readonly kind: "write"; readonly file: DiskFile; readonly offset: number; readonly data: Buffer }
  | { readonly kind: "sync-begin" | "sync-end" | "create" | "unlink"; readonly file: DiskFile }
  | { readonly kind: "truncate"; readonly file: DiskFile; readonly length: number }
  | { readonly kind: "said"; readonly line: string };

const recordKinds = ["write", "sync-begin", "sync-end", "truncate", "create", "unlink", "said"] as const;
const headBytes = 24;

/** What a process did to the file, in the order in which it took effect. */
export function readRecord(file: string): readonly Recorded[] {
  const bytes = readFileSync(file);
  const records: Recorded[] = [];
  for (let at = 0; at + headBytes <= bytes.length;) {
    const kind = recordKinds[bytes.readUInt32LE(at)];
    const name = files[bytes.readUInt32LE(at + 4)];
    const offset = Number(bytes.readBigUInt64LE(at + 8));
    const length = Number(bytes.readBigUInt64LE(at + 16));
    const data = bytes.subarray(at + headBytes, at + headBytes + length);
    at += headBytes + length;
    if (kind === "said") {
      for (const line of data.toString().split("\n")) if (line !== "") records.push({ kind, line });
      continue;
    }
    if (kind === undefined || name === undefined || name === "none") throw new Error(`no record at ${at}`);
    if (kind === "write") records.push({ kind, file: name, offset, data });
    else if (kind === "truncate") records.push({ kind, file: name, length: offset });
    else records.push({ kind, file: name });
  }
  return records;
}

export interface Preload {
  readonly library: string;
}

export interface NoPreload {
  readonly library?: never;
  /** Why the process cannot be given a disk with faults. */
  readonly missing: string;
}

const root = path.dirname(path.dirname(import.meta.dirname));
const source = path.join(import.meta.dirname, "disk-fault.c");

/** Builds the library once, installing a compiler where there is none and the system lets us. */
export function buildDiskFault(): Preload | NoPreload {
  if (process.platform !== "linux")
    return { missing: `faults of the disk need Linux, this is ${process.platform}` };
  const code = readFileSync(source);
  const folder = path.join(root, "node_modules", ".cache", "torture");
  const name = createHash("sha256").update(code).update(process.arch).digest("hex").slice(0, 16);
  const library = path.join(folder, `disk-fault-${name}.so`);
  if (existsSync(library)) return { library };
  const compiler = findCompiler();
  if (compiler === undefined) {
    return {
      missing: "no C compiler (cc, gcc, clang), and none could be installed with apt-get (needs root)",
    };
  }
  mkdirSync(folder, { recursive: true });
  // Under a name of its own first: two processes may build at one time.
  const draft = `${library}.${process.pid}`;
  const built = spawnSync(compiler, ["-O2", "-shared", "-fPIC", "-o", draft, source, "-ldl", "-lpthread"], {
    encoding: "utf8",
  });
  if (built.status !== 0) return { missing: `${compiler} failed: ${built.stderr.trim()}` };
  renameSync(draft, library);
  return { library };
}

function findCompiler(): string | undefined {
  const candidates = ["cc", "gcc", "clang"];
  const isThere = (name: string): boolean => {
    // A compiler without the headers of the C library is of no use.
    const options = { input: "#include <unistd.h>\nint main(void) { return 0; }\n" };
    return spawnSync(name, ["-xc", "-fsyntax-only", "-"], options).status === 0;
  };
  const found = candidates.find(isThere);
  if (found !== undefined || process.getuid?.() !== 0) return found;
  const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (args: readonly string[]): boolean =>
    spawnSync("apt-get", args, { env: environment, stdio: ["ignore", "ignore", "inherit"] }).status === 0;
  const install = ["install", "-y", "--no-install-recommends", "gcc", "libc6-dev"];
  if (!apt(install) && !(apt(["update"]) && apt(install))) return undefined;
  return candidates.find(isThere);
}
