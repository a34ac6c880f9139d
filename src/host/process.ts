/** The process of a code host: see process-line.ts. */
import { writeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { besideScript } from "./beside.ts";
import { busyFd, busyPlace } from "./protocol.ts";
import type { HostGreeting, HostRequest } from "./protocol.ts";
import { RealmHost } from "./realm-host.ts";

let host: RealmHost | undefined;
const words = new Int32Array(2);
/** Whether it is busy, and how often it has been. */
const state = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));

function open(guest: string): RealmHost {
  return new RealmHost({
    guest,
    turn: (callback) => void setImmediate(callback),
    reply: (replies) => process.send?.(replies),
    busy: (who) => {
      // Before the code moves, since it may be the last that is heard of this process.
      words[0] = ((words[0] ?? 0) + 1) | 0;
      words[1] = who;
      writeSync(busyFd, words, 0, words.byteLength, 0);
      Atomics.store(state, 1, words[0]);
      Atomics.store(state, 0, who === 0 ? 0 : 1);
      if (who !== 0) Atomics.notify(state, 0);
    },
  });
}

process.on("message", (message: HostGreeting | readonly HostRequest[]) => {
  if ("guest" in message) {
    watch(message.budgetMs);
    host = open(message.guest);
  } else host?.take(message);
});
process.on("unhandledRejection", (reason) => {
  if (host?.reject(reason) !== true) throw reason;
});
process.on("disconnect", () => process.exit());
// A terminal, or who stops a service, tells all processes at once: runs go on until the engine ends this one.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);

function watch(budgetMs: number): void {
  const { at: placeAt, bytes: placeBytes } = busyPlace;
  const workerData = { state, budgetMs, fd: busyFd, placeAt, placeBytes };
  new Worker(besideScript, { eval: true, workerData, name: "beside" }).unref();
}
