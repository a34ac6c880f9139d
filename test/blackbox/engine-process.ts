/**
 * An engine in a process of its own, over a SQLite file: it is killed, and started again, until all is done. What its
 * activities do goes to a file beside the store, which nothing undoes.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Engine } from "aion";
import { ApplicationFailure } from "aion/workflow";
import { defineProgram } from "./interpreter.ts";

const [directory = "."] = process.argv.slice(2);
const ledger = path.join(directory, "outside.jsonl");

/** How often each piece of work has failed, before this process too. */
const failures = new Map<string, number>();
const noteFailure = (key: string): void => void failures.set(key, (failures.get(key) ?? 0) + 1);

const write = (line: object): void =>
  appendFileSync(ledger, `${JSON.stringify({ ...line, pid: process.pid, atMs: Date.now() })}\n`);

if (existsSync(ledger)) {
  for (const line of readFileSync(ledger, "utf8").split("\n").slice(0, -1)) {
    const { kind, key } = JSON.parse(line) as { readonly kind: string; readonly key: string };
    if (kind === "failed") noteFailure(key);
  }
}

const { interpreter, activities } = defineProgram({
  perform: async ({ label, site, work }, task) => {
    const { idempotencyKey: key, attempt } = task;
    write({ kind: "call", label, key, attempt });
    const options = work.whenTold === "stop" ? { signal: task.signal } : {};
    await delay(work.ms, undefined, options);
    if ((failures.get(key) ?? 0) >= work.failures) return site;
    write({ kind: "failed", key });
    noteFailure(key);
    throw new ApplicationFailure(site, { nonRetryable: work.isFinal });
  },
  produced: (label) => write({ kind: "produced", label }),
});

await Engine.open({
  store: `sqlite:${path.join(directory, "aion.db")}`,
  workflows: [interpreter],
  activities,
});
console.log("open");
