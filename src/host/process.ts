/** The process of a code host: see process-line.ts. */
import { writeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { busyFd } from "./protocol.ts";
import type { HostGreeting, HostRequest } from "./protocol.ts";
import { RealmHost } from "./realm-host.ts";

let host: RealmHost | undefined;
const words = new Int32Array(2);
const isBusy = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

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
      Atomics.store(isBusy, 0, who === 0 ? 0 : 1);
      if (who !== 0) Atomics.notify(isBusy, 0);
    },
  });
}

process.on("message", (message: HostGreeting | readonly HostRequest[]) => {
  if ("guest" in message) host = open(message.guest);
  else host?.take(message);
});
process.on("unhandledRejection", (reason) => {
  if (host?.reject(reason) !== true) throw reason;
});
process.on("disconnect", () => process.exit());

// A loop without an end hears of no disconnection: while there is code at work, a thread beside it looks whether the engine's
// process is still there.
const orphanage = `
  const { workerData: isBusy } = require("node:worker_threads");
  const parent = process.ppid;
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    Atomics.wait(isBusy, 0, 0);
    Atomics.wait(never, 0, 0, 2_000);
    if (process.ppid !== parent) process.kill(process.pid, "SIGKILL");
  }
`;
new Worker(orphanage, { eval: true, workerData: isBusy, name: "orphanage" }).unref();
