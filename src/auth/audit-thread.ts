/** The thread that writes the audit log: an fsync is not to be waited for by everybody. */
import { parentPort, workerData } from "node:worker_threads";
import { messageOf } from "../core/payload.ts";
import { toAionError } from "../http/errors.ts";
import { AuditFile } from "./audit-file.ts";
import type { AuditAnswer, AuditJob } from "./audit-log.ts";

const { directory } = workerData as { readonly directory: string };
const file = new AuditFile(directory);

function answerTo(job: AuditJob): AuditAnswer {
  try {
    switch (job.kind) {
      case "write":
        file.write(job.rows, job.ends);
        return { kind: "done", number: job.number };
      case "read":
        return {
          kind: "page",
          number: job.number,
          page: file.read(job.query, job.above),
          firstId: file.firstId,
        };
      case "prune":
        return { kind: "pruned", number: job.number, isAll: !file.prune(job.before) };
      case "close":
        file.close();
        parentPort?.close();
        return { kind: "done", number: job.number };
    }
  } catch (error) {
    const { code } = toAionError(error);
    return { kind: "failed", number: job.number, code, message: messageOf(error) };
  }
}

parentPort?.on("message", (job: AuditJob) => parentPort?.postMessage(answerTo(job)));
parentPort?.postMessage({ kind: "ready", lastId: file.lastId } satisfies AuditAnswer);
