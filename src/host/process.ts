/** The process of a code host: see process-line.ts. */
import { writeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { busyFd } from "./protocol.ts";
import type { HostGreeting, HostRequest } from "./protocol.ts";
import { RealmHost } from "./realm-host.ts";

let host: RealmHost | undefined;
const word = new Int32Array(1);

function open(guest: string): RealmHost {
  return new RealmHost({
    guest,
    turn: (callback) => void setImmediate(callback),
    reply: (replies) => process.send?.(replies),
    // Before the code moves, since it may be the last that is heard of this process.
    busy: (who) => {
      word[0] = who;
      writeSync(busyFd, word);
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

// A loop without an end hears of no disconnection: a thread beside it looks whether the engine's process is still there.
const orphanage = `
  const parent = process.ppid;
  setInterval(() => process.ppid === parent || process.kill(process.pid, "SIGKILL"), 2_000);
`;
new Worker(orphanage, { eval: true, name: "orphanage", stdout: false }).unref();
