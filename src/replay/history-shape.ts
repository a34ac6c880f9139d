import { AionError } from "../core/errors.ts";
import type { Event } from "../core/event.ts";

/** An event that no engine writes at this place of a history. */
export function historyShape({ workflowId, seq, type }: Event, what: string): AionError {
  return new AionError("history_shape", `workflow ${workflowId}, event ${seq} (${type}): ${what}`, {
    details: { workflowId, seq },
  });
}
