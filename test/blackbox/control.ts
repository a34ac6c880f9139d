/** Whether a case that was killed left the histories that it leaves when nobody kills it. */
import type { Event } from "aion/client";
import type { Observed } from "./play.ts";

/**
 * What differs between any two plays, or says how often something was tried: ids that the engine makes up, what is drawn from
 * them, attempts. And ordinals: things of one instant may change places.
 */
const volatile: ReadonlySet<string> = new Set([
  "seq",
  "attempt",
  "stack",
  "ordinal",
  "runId",
  "newRunId",
  "continuedFrom",
  "parent",
  "message",
]);

/** The events that code issued or learned of, each with its instant. */
function essenceOf(events: readonly Event[]): readonly string[] {
  return events
    .filter((event) => {
      if (event.type === "ActivityStarted") return false;
      return event.type !== "ActivityFailed" || event.retryAt === undefined;
    })
    .map((event) => {
      const text = JSON.stringify(event, (key, value: unknown) => (volatile.has(key) ? undefined : value));
      return `${event.recordedAt} ${text.replaceAll(/\\"drawn\\":\\"[^"]*\\"/g, "")}`;
    })
    .toSorted();
}

// I-46: with the instants too, since a kill takes no time here.
export function differences(control: Observed, killed: Observed): readonly string[] {
  const found: string[] = [];
  const workflowIds = new Set([...Object.keys(control.histories), ...Object.keys(killed.histories)]);
  for (const id of workflowIds) {
    const [should, is] = [control, killed].map(({ histories }) => essenceOf(histories[id] ?? []));
    const missing = should?.find((line, index) => line !== is?.[index]);
    if (missing === undefined && should?.length === is?.length) continue;
    found.push(
      `history of ${id}: has ${is?.length} events, its control ${should?.length}; from ${missing ?? is?.at(-1)}`,
    );
  }
  return found;
}
