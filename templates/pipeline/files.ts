/** What the activities do. Nothing of this is workflow code: files, time and chance are allowed here. */
import { createReadStream } from "node:fs";
import { readdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline/promises";
import { ApplicationFailure } from "aion/workflow";
import type { ActivityTask } from "aion/workflow";
import type { Report, Totals } from "./pipeline.ts";

export async function listFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names
    .filter((name) => name.endsWith(".csv"))
    .toSorted()
    .map((name) => path.join(folder, name));
}

const header = "id,amount";
const linesPerHeartbeat = 1_000;

interface Progress extends Totals {
  /** Lines that are done. */
  readonly lineCount: number;
}

/** Adds up the amounts of a file, from where the last attempt's heartbeat says. */
export async function addUp(
  file: string,
  task: Pick<ActivityTask, "heartbeat" | "lastHeartbeat" | "signal">,
): Promise<Totals> {
  const before = task.lastHeartbeat as Progress | undefined;
  let { rowCount, rejectedCount, amount } = before ?? { rowCount: 0, rejectedCount: 0, amount: 0 };
  let lineCount = 0;
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Infinity });
  for await (const line of lines) {
    task.signal.throwIfAborted();
    lineCount += 1;
    if (lineCount === 1) {
      // Trying again would not help.
      if (line !== header)
        throw new ApplicationFailure(`it does not begin with "${header}"`, { type: "BadFile" });
      continue;
    }
    if (lineCount <= (before?.lineCount ?? 0)) continue;
    const value = Number(line.split(",")[1] || Number.NaN);
    if (Number.isFinite(value)) {
      rowCount += 1;
      amount += value;
    } else {
      rejectedCount += 1;
    }
    if (lineCount % linesPerHeartbeat === 0) task.heartbeat({ lineCount, rowCount, rejectedCount, amount });
  }
  return { rowCount, rejectedCount, amount };
}

/** Whole or not at all, so that it may be done twice. */
export async function writeReport(file: string, report: Report): Promise<void> {
  await writeFile(`${file}.partial`, `${JSON.stringify(report, undefined, 2)}\n`);
  await rename(`${file}.partial`, file);
}
