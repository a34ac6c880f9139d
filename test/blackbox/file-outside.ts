/** What lies outside of the processes of one play: a file beside the store, which nothing undoes. Several may write to it at once. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { ApplicationFailure } from "aion/workflow";
import type { Outside } from "./interpreter.ts";

export function fileOutside(directory: string): Outside {
  const ledger = path.join(directory, "outside.jsonl");
  const write = (line: object): void =>
    appendFileSync(ledger, `${JSON.stringify({ ...line, pid: process.pid, atMs: Date.now() })}\n`);
  /** How often a piece of work has failed, in this process and in others. */
  const failuresOf = (key: string): number => {
    if (!existsSync(ledger)) return 0;
    const line = `{"kind":"failed","key":${JSON.stringify(key)},`;
    return readFileSync(ledger, "utf8").split(line).length - 1;
  };
  return {
    perform: async ({ label, site, work }, task) => {
      const { idempotencyKey: key, attempt } = task;
      write({ kind: "call", label, key, attempt });
      const options = work.whenTold === "stop" ? { signal: task.signal } : {};
      await delay(work.ms, undefined, options);
      if (failuresOf(key) >= work.failures) return site;
      write({ kind: "failed", key });
      throw new ApplicationFailure(site, { nonRetryable: work.isFinal });
    },
    produced: (label) => write({ kind: "produced", label }),
  };
}
