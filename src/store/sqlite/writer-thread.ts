import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { assert } from "../../core/errors.ts";
import type { Job } from "./job.ts";
import { FileIdentity } from "./file-identity.ts";
import { LogMeter, pagesPerCheckpoint } from "./log-meter.ts";
import { connect } from "./migrate.ts";
import { decodeJobs, encodeResults } from "./wire.ts";
import type { Wire } from "./wire.ts";
import { Writer } from "./writer.ts";

/**
 * The writer's thread: takes everything that has been posted, writes it in one transaction, answers, and
 * takes what has been posted meanwhile. It sleeps on a shared counter, from which it wakes sooner than from
 * its event loop.
 */

const commitsPerTransactionMax = 4_000;

const { path, signal, identity } = workerData as {
  readonly path: string;
  readonly identity: string | undefined;
  readonly signal: Int32Array<SharedArrayBuffer>;
};
assert(parentPort, "the writer's thread has a parent");
const port = parentPort;
const database = connect(path);
const writer = new Writer(database, {
  path,
  storeName: `sqlite:${path}`,
  file: new FileIdentity(path, identity),
});
port.postMessage("ready");

const meter = new LogMeter();
let isOpen = true;
while (isOpen) {
  const seen = Atomics.load(signal, 0);
  const work = take();
  if (work === undefined) Atomics.wait(signal, 0, seen);
  else isOpen = carryOut(work);
}
database.close();

interface Work {
  readonly jobs: readonly Job[];
  /** How many messages brought them. */
  readonly messageCount: number;
  readonly request: "checkpoint" | "close" | undefined;
}

function take(): Work | undefined {
  const jobs: Job[] = [];
  let messageCount = 0;
  let commitCount = 0;
  while (commitCount < commitsPerTransactionMax) {
    const received = receiveMessageOnPort(port);
    if (received === undefined) break;
    const message = received.message as Wire | "checkpoint" | "close";
    if (typeof message === "string") return { jobs, messageCount, request: message };
    for (const job of decodeJobs(message)) {
      jobs.push(job);
      if (job.kind === "append") commitCount += job.commits.length;
    }
    messageCount += 1;
  }
  return messageCount === 0 ? undefined : { jobs, messageCount, request: undefined };
}

// Answers go out before the log is looked after: they are on disk already.
function carryOut({ jobs, messageCount, request }: Work): boolean {
  if (messageCount > 0) {
    const results = writer.run(jobs);
    port.postMessage([messageCount, writer.takeNumbers(), ...encodeResults(results)]);
    meter.add(jobs, results, writer.logPages());
  }
  if (request === "checkpoint") {
    checkpoint();
    port.postMessage("checkpointed");
  } else if (meter.isLongerThan(pagesPerCheckpoint)) {
    checkpoint();
  }
  return request !== "close";
}

// One that fails leaves the pages in the log, and is tried again when as many have come.
function checkpoint(): void {
  const [result] = writer.run([{ kind: "checkpoint" }]);
  meter.reset(result?.kind === "done" ? result.value : undefined);
}
