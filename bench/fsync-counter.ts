/**
 * Counting fsyncs. Two ways, both honest about what they cost:
 *
 * - `shim`: a preloaded library counts in shared memory, at no measurable cost, in the timed run
 *   itself. Needs a C compiler and dynamically linked programs (Node, PostgreSQL).
 * - `strace`: for a statically linked program (the Restate server), or without a compiler. A tracer
 *   slows the traced process, so a second, smaller run is traced and never timed.
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  chmodSync,
} from "node:fs";
import { join } from "node:path";

const source = join(import.meta.dirname, "fsync-count.c");

/** Builds the shim; undefined where no C compiler is. */
export function buildFsyncShim(directory: string): string | undefined {
  const library = join(directory, "fsync-count.so");
  if (existsSync(library) && statSync(library).mtimeMs > statSync(source).mtimeMs) return library;
  const built = spawnSync("cc", ["-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"]);
  return built.status === 0 ? library : undefined;
}

export function hasStrace(): boolean {
  return spawnSync("strace", ["--seccomp-bpf", "-f", "-o", "/dev/null", "true"]).status === 0;
}

/** The environment under which a process and all its children count into `counterFile`. */
export function shimEnvironment(library: string, counterFile: string): Readonly<Record<string, string>> {
  writeFileSync(counterFile, Buffer.alloc(8));
  // A database server that drops privileges must be able to count too.
  chmodSync(counterFile, 0o666);
  return { LD_PRELOAD: library, BENCH_FSYNC_FILE: counterFile };
}

/** Fsyncs of this process tree so far, or undefined when the shim is not loaded. */
export function readFsyncCount(): number | undefined {
  const path = process.env["BENCH_FSYNC_FILE"];
  if (path === undefined) return undefined;
  const bytes = Buffer.alloc(8);
  const fd = openSync(path, "r");
  try {
    readSync(fd, bytes, 0, 8, 0);
  } finally {
    closeSync(fd);
  }
  return Number(bytes.readBigUInt64LE());
}

export function straceCommand(traceFile: string): readonly string[] {
  return [
    "strace",
    "-f",
    "-ttt",
    "--seccomp-bpf",
    "-e",
    "trace=fsync,fdatasync",
    "-e",
    "signal=none",
    "-o",
    traceFile,
  ];
}

/** Fsyncs in a trace that began within the given interval of seconds since the epoch. */
export function countTracedFsyncs(trace: string, fromSeconds: number, toSeconds: number): number {
  let count = 0;
  for (const line of trace.split("\n")) {
    // A call that was interrupted by another thread's appears again as "<... fsync resumed>".
    const match = /^\d+\s+(\d+\.\d+) (?:fsync|fdatasync)\(/.exec(line);
    if (match === null) continue;
    const atSeconds = Number(match[1]);
    if (atSeconds >= fromSeconds && atSeconds <= toSeconds) count += 1;
  }
  return count;
}

export function readTrace(traceFile: string): string {
  return readFileSync(traceFile, "utf8");
}
