import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { encodeLogEntry } from "../core/log-entry.ts";
import type { Log, Random, Scheduler } from "../core/ports.ts";

/** What a worker takes from the machine. */
export interface WorkerPorts {
  readonly random: Random;
  /** Delays of minutes at most. */
  readonly scheduler: Pick<Scheduler, "delay">;
  readonly log: Log;
}

export function nodeWorkerPorts(log: Log): WorkerPorts {
  return {
    random: { number: () => Math.random(), uuid: () => randomUUID() },
    scheduler: {
      delay: (delayMs, callback) => {
        const timer = setTimeout(callback, delayMs);
        return () => clearTimeout(timer);
      },
    },
    log,
  };
}

/** No two processes have the same, nor has one that was begun anew. */
export function defaultIdentity(random: Random): string {
  return `${hostname().slice(0, 200)}:${process.pid}:${random.uuid().slice(0, 8)}`;
}

/** Warnings and errors, a line of JSON each. */
export const logToStderr: Log = (level, message, fields) => {
  if (level === "warn" || level === "error")
    process.stderr.write(`${encodeLogEntry(new Date().toISOString(), level, message, fields)}\n`);
};
