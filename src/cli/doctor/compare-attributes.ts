import { isSameAttributes, noAttributes } from "../../core/attributes.ts";
import { loadState } from "../../engine/load.ts";
import type { RunRecord, Store } from "../../store/contract.ts";
import { openSqliteStore } from "../../store/sqlite/store.ts";

export interface AttributeFacts {
  /** Runs that were compared: the newest. */
  readonly runCount: number;
  /** Of those that are found by something else than their history says. */
  readonly differing: readonly string[];
}

const runsMax = 500;
/** An engine that runs may write between two looks. */
const looksMax = 3;

/** Whether runs are found by what their histories say. A history that cannot be read says nothing here, and is found elsewhere. */
export async function compareAttributes(path: string): Promise<AttributeFacts> {
  const store = openSqliteStore({ path, readOnly: true });
  try {
    const { runs } = await store.list({}, { limit: runsMax, withAttributes: true });
    const differing: string[] = [];
    for (const run of runs) if (await differs(store, run)) differing.push(run.workflowId);
    return { runCount: runs.length, differing };
  } finally {
    await store.close();
  }
}

async function differs(store: Store, first: RunRecord): Promise<boolean> {
  let run: RunRecord | undefined = first;
  for (let look = 1; look <= looksMax && run !== undefined; look += 1) {
    try {
      const { attributes = noAttributes } = await loadState(run, store);
      if (isSameAttributes(attributes, run.attributes ?? noAttributes)) return false;
    } catch {
      return false;
    }
    const { workflowId } = first;
    const page = await store.list({ workflowId }, { limit: runsMax, withAttributes: true });
    run = page.runs.find(({ runKey }) => runKey === first.runKey);
  }
  return run !== undefined;
}
