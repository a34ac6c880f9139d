/** Our worker as the conformance kit starts one of another make. */
import process from "node:process";
import { Worker } from "aion/worker";
import { conformingActivities } from "./conforming-activities.ts";

const { AION_URL: url = "", AION_TASK_QUEUES: queues = "", AION_CONCURRENCY: concurrency } = process.env;

const worker = new Worker({
  url,
  activities: conformingActivities(),
  taskQueues: queues.split(","),
  concurrency: Number(concurrency),
  log: () => undefined,
});
process.once("SIGTERM", () => void worker.stop());
await worker.run();
