/** One recorded scenario, replayed from every prefix of its history. */
import type { RunId } from "../../src/core/ids.ts";
import type { Scenario } from "./arbitrary-program.ts";
import { programWorkflows } from "./interpreter.ts";
import { noCode, replay } from "./recording.ts";
import type { Recording } from "./recording.ts";

/** What is otherwise at a prefix than it was live; and what the replays did that replays must not do. Empty: nothing. */
export async function prefixFaults(recording: Recording, scenario: Scenario): Promise<readonly string[]> {
  const { world, outside, snapshots } = recording;
  const faults: string[] = [];
  const before = [world.effects.length, outside.produced.length, world.appendCount];
  let loggedCount = 0;
  for (const snapshot of snapshots) {
    const { workflowId, runId, headSeq, state, account, commands } = snapshot;
    const run = await world.store.findRun(workflowId, runId as RunId);
    // A start that was refused, since another had been made: nobody ever heard of it.
    if (run === undefined) continue;
    const replayed = await replay({
      store: world.store,
      run,
      headSeq,
      workflows: programWorkflows(outside, { subject: scenario.program }),
      onLog: () => {
        loggedCount += 1;
      },
    });
    const same = (what: string, live: unknown, is: unknown): void => {
      if (live === is) return;
      faults.push(`${what} of ${workflowId} at event ${headSeq}: was ${String(live)}, is ${String(is)}`);
    };
    same("state", state, replayed.state);
    // Ended from outside, without its code.
    if (account === noCode) continue;
    // A run that continues as new in its first turn is begun by one commit and ended by the next.
    const isContinuing = /"kind":"continue-as-new"[^\n]*$/.test(commands);
    same("account", account, replayed.account);
    same("commands", commands, replayed.commands);
    same("live commands", isContinuing && state.includes('"status":"running"') ? 1 : 0, replayed.liveCount);
  }
  // I-42: neither activities nor steps nor recorded values nor appends nor words to the log.
  const after = [world.effects.length, outside.produced.length, world.appendCount];
  if (before.join() !== after.join()) faults.push(`effects: were ${before.join()}, are ${after.join()}`);
  if (loggedCount > 0) faults.push(`${loggedCount} lines were logged`);
  return faults;
}
