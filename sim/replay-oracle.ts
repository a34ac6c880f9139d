import { messageOf, nullPayload } from "../src/core/payload.ts";
import { isClosed } from "../src/core/status.ts";
import { loadRun } from "../src/engine/load.ts";
import { loadInline } from "../src/program/inline.ts";
import type { Store } from "../src/store/contract.ts";
import { account, programWorkflows } from "../test/replay/interpreter.ts";
import type { Program } from "../test/replay/program.ts";
import { SimulationFailure } from "./failure.ts";

/** What the code of each run says of itself, by run id. */
export type Accounts = ReadonlyMap<string, readonly string[]>;

/** Replays every run of the store against its code, which must neither diverge nor ask for more nor touch anything. I-41, I-42 */
export async function checkReplayedRuns(
  store: Store,
  programs: Readonly<Record<string, Program>>,
): Promise<Accounts> {
  const touch = (): never => {
    throw new SimulationFailure("replay-touches", "replay executed something");
  };
  const produced: string[] = [];
  const source = loadInline(programWorkflows({ world: { effect: touch, pause: touch }, produced }, programs));
  const accounts = new Map<string, readonly string[]>();
  const { runs } = await store.list({}, { limit: 10_000 });
  for (const run of runs) {
    const loaded = await loadRun(run, {
      store,
      programs: source,
      scheduler: { turn: (callback) => void setImmediate(callback), delay: () => () => undefined },
      payloadLimitBytes: 1_000_000,
      log: () => undefined,
      onStray: () => undefined,
    }).catch((error: unknown) => {
      throw new SimulationFailure("replay", `${run.workflowId}, run ${run.runId}: ${messageOf(error)}`);
    });
    if (loaded.live.length > 0 && !isClosed(run.status))
      throw new SimulationFailure("replay", `${run.workflowId}: its code asks for more than was recorded`);
    if (run.workflowType in programs && loaded.state.isCodeStarted) {
      try {
        accounts.set(
          run.runId,
          JSON.parse(loaded.instance.query(account.name, nullPayload)) as readonly string[],
        );
      } catch (error) {
        throw new SimulationFailure("replay", `${run.workflowId} cannot be asked: ${messageOf(error)}`);
      }
    }
    loaded.instance.dispose();
  }
  if (produced.length > 0) throw new SimulationFailure("replay-touches", "replay produced values anew");
  return accounts;
}
