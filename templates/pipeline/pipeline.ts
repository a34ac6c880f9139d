/** A pipeline: add up the files of a folder, some at a time, and write a report, whatever becomes of single files. */
import { activity, isCancelled, isFailure, workflow } from "aion/workflow";
import { z } from "zod";
import { addUp, listFiles, writeReport } from "./files.ts";

export const Totals = z.object({ rowCount: z.number(), rejectedCount: z.number(), amount: z.number() });
export type Totals = z.infer<typeof Totals>;

export const Report = z.object({
  totals: Totals,
  /** Files that were given up, and why. */
  failed: z.array(z.object({ file: z.string(), reason: z.string() })),
});
export type Report = z.infer<typeof Report>;

// Activities touch the world; their implementations are in files.ts.

export const list = activity(
  "list",
  { input: z.string(), startToClose: "30s", retry: { maxAttempts: 5 } },
  (folder) => listFiles(folder),
);

/**
 * May take hours. An attempt that is silent for 30 seconds is taken for dead, and the next one goes on from its last heartbeat.
 */
export const read = activity(
  "read",
  { input: z.string(), heartbeat: "30s", retry: { maxAttempts: 10, nonRetryable: ["BadFile"] } },
  (file, task) => addUp(file, task),
);

export const write = activity(
  "write",
  { input: z.object({ file: z.string(), report: Report }), startToClose: "30s", retry: { maxAttempts: 5 } },
  ({ file, report }) => writeReport(file, report),
);

const Input = z.object({ folder: z.string(), reportFile: z.string() });

export const summarize = workflow("summarize", { input: Input, output: Report }, async (input) => {
  const files = await list(input.folder);
  const report: Report = { totals: { rowCount: 0, rejectedCount: 0, amount: 0 }, failed: [] };
  // All at once: the engine's activityConcurrencyPerType says how many really run.
  const results = await Promise.allSettled(files.map((file) => read(file)));
  for (const [index, result] of results.entries()) {
    if (result.status === "fulfilled") {
      report.totals.rowCount += result.value.rowCount;
      report.totals.rejectedCount += result.value.rejectedCount;
      report.totals.amount += result.value.amount;
      continue;
    }
    const error: unknown = result.reason;
    if (isCancelled(error)) throw error;
    report.failed.push({ file: files[index] ?? "", reason: reasonOf(error) });
  }
  await write({ file: input.reportFile, report });
  return report;
});

/** What the last attempt threw, without what the engine has wrapped around it. */
function reasonOf(error: unknown): string {
  const cause = isFailure(error) && error.kind === "activity" ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}

export const workflows = [summarize];
export const activities = [list, read, write];
