import { parentPort, workerData } from "node:worker_threads";
import { busySlot } from "./protocol.ts";
import type { HostRequest } from "./protocol.ts";
import { RealmHost } from "./realm-host.ts";

/** The thread of a code host: see package-host.ts. */
export interface HostThreadData {
  readonly guest: string;
  readonly busy: Int32Array;
}

const { guest, busy } = workerData as HostThreadData;
const host = new RealmHost({
  guest,
  turn: (callback) => void setImmediate(callback),
  reply: (replies) => parentPort?.postMessage(replies),
  busy: (who) => {
    Atomics.add(busy, busySlot.count, 1);
    Atomics.store(busy, busySlot.who, who);
  },
});
process.on("unhandledRejection", (reason) => {
  if (!host.reject(reason)) throw reason;
});
parentPort?.on("message", (requests: readonly HostRequest[]) => host.take(requests));
