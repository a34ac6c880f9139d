import type { Event } from "../src/core/event.ts";
import type { Store } from "../src/store/contract.ts";
import { SimulationFailure } from "./failure.ts";

const pageItems = 50;

/**
 * What the feed shows is what was committed: of every workflow id its history, whatever became of the commits' answers. All
 * engines of a world keep it. I-4, I-40
 */
export async function checkFeed(store: Store): Promise<void> {
  const byId = new Map<string, Event[]>();
  for (let after = "oldest"; ;) {
    const { items, nextCursor, isAtHead } = await store.readFeed({ after, limit: pageItems });
    for (const { workflowId, event } of items) {
      if (event === undefined) throw new SimulationFailure("feed", `the feed has damage of ${workflowId}`);
      const known = byId.get(workflowId);
      if (known === undefined) byId.set(workflowId, [event]);
      else known.push(event);
    }
    if (isAtHead) break;
    after = nextCursor;
  }
  const { runs } = await store.list({}, { limit: 10_000 });
  for (const workflowId of new Set([...runs.map((run) => run.workflowId), ...byId.keys()])) {
    const history = await store.readHistory(workflowId as (typeof runs)[number]["workflowId"]);
    const shown = byId.get(workflowId) ?? [];
    if (JSON.stringify(shown) !== JSON.stringify(history)) {
      throw new SimulationFailure(
        "feed",
        `the feed has ${shown.length} events of ${workflowId}, and not the ${history.length} of its history`,
      );
    }
  }
}
