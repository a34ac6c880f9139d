/**
 * Counts the statements that reach `node:sqlite`, in every thread of a process: preloaded with
 * `--import`, which worker threads inherit. Each thread keeps its count in a file of its own, since
 * threads share no memory that a preloaded module could reach.
 */
import { closeSync, openSync, readFileSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, StatementSync } from "node:sqlite";
import { threadId } from "node:worker_threads";

const directory = process.env["BENCH_QUERY_DIRECTORY"];
const prefix = "queries-";

/** Statements so far in all threads. */
export function readQueryCount(): number {
  if (directory === undefined) return Number.NaN;
  let count = 0;
  for (const name of readdirSync(directory)) {
    if (name.startsWith(prefix)) count += Number(readFileSync(join(directory, name)).readBigUInt64LE());
  }
  return count;
}

function install(into: string): void {
  const fd = openSync(join(into, `${prefix}${process.pid}-${threadId}`), "w");
  const bytes = Buffer.alloc(8);
  let count = 0n;
  const countOne = (): void => {
    count += 1n;
    bytes.writeBigUInt64LE(count);
    writeSync(fd, bytes, 0, 8, 0);
  };
  countStatements(StatementSync.prototype, ["run", "get", "all", "iterate"], countOne);
  countStatements(DatabaseSync.prototype, ["exec"], countOne);
  process.once("exit", () => {
    closeSync(fd);
  });
}

function countStatements(prototype: object, methods: readonly string[], countOne: () => void): void {
  for (const name of methods) {
    const original: unknown = Reflect.get(prototype, name);
    if (typeof original !== "function") throw new TypeError(`node:sqlite has no ${name}`);
    const method = original as (...values: readonly unknown[]) => unknown;
    Reflect.set(prototype, name, function counted(this: unknown, ...values: readonly unknown[]): unknown {
      countOne();
      return method.apply(this, [...values]);
    });
  }
}

// The thread that reads loads this module too, and has already installed it as a preload.
const installed = Symbol.for("aion.bench.query-counter");
if (directory !== undefined && !Reflect.has(globalThis, installed)) {
  Reflect.set(globalThis, installed, true);
  install(directory);
}
