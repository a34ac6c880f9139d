import { execFile } from "node:child_process";
import path from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import type { AbuseReport } from "./abuse-program.ts";
import type { ScenarioOptions, ScenarioResult } from "./scenario.ts";
import { Tally, inFolder } from "./scenario.ts";

const program = path.join(import.meta.dirname, "abuse-program.ts");

/** What each attempt has to come to: a clear refusal, or the work done. */
const expected: AbuseReport["outcomes"] = {
  "an input of 100 MB": "payload_too_large",
  "a signal of 100 MB": "payload_too_large",
  "an answer of 100 MB": "payload_too_large",
  "a recorded value of 100 MB": "payload_too_large",
  "a workflow's result of 100 MB": "payload_too_large",
  "a result of 100 MB": "payload_too_large",
  "a result in a circle": "payload_not_serializable",
  "a result with a BigInt": "payload_not_serializable",
  "a result whose toJSON throws": "payload_not_serializable",
  "a result 100,000 levels deep": "payload_not_serializable",
  "an error whose message has 100 MB": "application",
  "an error that is null": "application",
  "an error that cannot be looked at": "application",
  "an id of 1 MB": "invalid_argument",
  "an empty id": "invalid_argument",
  "10,000 signals": "done",
  "a run that heard them all": "done",
  "a rejection that nobody listens to": "application",
};

/** What the process may hold in all, most of it the abuser's own 100 MB and their text. */
const heapMb = 640;
/** What may stay of it, above what was held before. */
const keptMbMax = 16;
/**
 * While text of 100 MB is made, nothing else happens on that thread: an order of somebody else may take as long as the abuse, and then so
 * many times as long as the slowest did when there was none.
 */
const slowdownMax = 50;

/** Payloads that nobody should send, values that cannot be written, floods: the others go on, and nothing of it stays. */
export async function abuse(options: ScenarioOptions): Promise<ScenarioResult> {
  const tally = new Tally("abuse");
  for (let number = 0; number < (options.cycles ?? 1); number += 1) {
    await inFolder(tally, async (folder) => {
      const flags = ["--conditions=aion-source", "--expose-gc", `--max-old-space-size=${heapMb}`];
      const args = [...flags, program, path.join(folder, "store.db")];
      const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 300_000 });
      const { phases, outcomes, wrong } = JSON.parse(stdout) as AbuseReport;
      const found = [...wrong.map((what) => `an order of somebody else: ${what}`)];
      for (const [what, outcome] of Object.entries(expected)) {
        tally.cycles += 1;
        if (outcomes[what] === outcome) tally.hits += 1;
        else found.push(`${what}: ${String(outcomes[what])} instead of ${outcome}`);
      }
      const nothing = phases.find(({ name }) => name === "nothing");
      const { heapMb: before, worst: usual } = nothing ?? { heapMb: 0, worst: 0 };
      for (const { name, orderCount, abuseMs, p50, p99, worst, heapMb: after } of phases) {
        tally.audited += orderCount;
        if (after > before + keptMbMax) found.push(`${name}: ${after.toFixed(1)} MB are held after it`);
        if (worst > abuseMs + slowdownMax * usual)
          found.push(`${name}: an order took ${worst.toFixed(0)} ms`);
        const times = [p50, p99, worst].map((ms) => ms.toFixed(0).padStart(6)).join("");
        tally.notes.push(
          `${name.padEnd(32)}${times} ms (p50, p99, worst)${after.toFixed(1).padStart(7)} MB held`,
        );
      }
      return found;
    });
  }
  return tally.result();
}
