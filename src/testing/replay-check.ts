import type { Command } from "../core/command.ts";
import { describeCommand } from "../core/command.ts";
import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import { runChain } from "../core/run-chain.ts";
import { isClosed } from "../core/status.ts";
import { loadRun } from "../engine/load.ts";
import type { ProgramSource } from "../program/program.ts";
import type { RunRecord, Store } from "../store/contract.ts";

export interface ReplayCheckOptions {
  readonly store: Store;
  readonly programs: ProgramSource;
  readonly payloadLimitBytes: number;
}

/** Captured, so that a test may replace the platform's timers. */
const { setImmediate: immediate } = globalThis;

const pageRuns = 200;
const shownMax = 5;

/**
 * Replays every run of a store against the code, and looks at the shape of every history: gapless, one end for each run,
 * the runs of a chain one after the other. Nothing is written.
 *
 * Throws `nondeterminism`, naming each run that diverges: because of its code now, or because the engine failed it for that
 * reason already. Returns how many runs it replayed.
 */
export async function checkReplays(options: ReplayCheckOptions): Promise<number> {
  const { store } = options;
  const faults: string[] = [];
  let count = 0;
  const seen = new Set<string>();
  for (let cursor: string | undefined; ;) {
    const page = await store.list({}, { limit: pageRuns, ...(cursor === undefined ? {} : { cursor }) });
    for (const record of page.runs) {
      count += 1;
      if (!seen.has(record.workflowId)) {
        seen.add(record.workflowId);
        const fault = await faultOf(async () => void runChain(await store.readHistory(record.workflowId)));
        if (fault !== undefined) faults.push(`history of ${record.workflowId}: ${fault}`);
      }
      const fault = await faultOf(() => replay(record, options));
      if (fault !== undefined) faults.push(`run ${record.runId} of workflow ${record.workflowId}: ${fault}`);
    }
    cursor = page.nextCursor;
    if (cursor === undefined) break;
  }
  if (faults.length === 0) return count;
  const more = faults.length > shownMax ? `\nand ${faults.length - shownMax} more` : "";
  throw new AionError(
    "nondeterminism",
    `the replay check found ${faults.length} fault(s) in ${count} run(s):\n${faults.slice(0, shownMax).join("\n")}${more}`,
    { details: { faults } },
  );
}

async function faultOf(check: () => Promise<void>): Promise<string | undefined> {
  try {
    await check();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

async function replay(record: RunRecord, options: ReplayCheckOptions): Promise<void> {
  if (record.blocked !== undefined) throw new Error(`it is blocked: ${record.blocked}`);
  let stray: AionError | undefined;
  const { instance, live, state, isStuck } = await loadRun(record, {
    ...options,
    scheduler: {
      turn: (callback) => void immediate(callback),
      delay: () => () => undefined,
    },
    log: () => undefined,
    onStray: (error) => {
      stray ??= error;
    },
  });
  instance.dispose();
  if (stray !== undefined) throw stray;
  const { terminal } = state;
  if (terminal?.type === "WorkflowFailed" && terminal.failure.kind === "engine") {
    const { type, message } = terminal.failure;
    if (type === "nondeterminism" || type === "nondurable_await") throw new Error(message);
  }
  if (isClosed(state.status)) return;
  if (isStuck) throw new Error("its code waits for nothing durable, and has not ended");
  const [beyond]: readonly (Command | undefined)[] = live;
  if (beyond !== undefined) {
    throw new Error(`its code asks for ${describeCommand(beyond)} beyond the end of its history`);
  }
}
