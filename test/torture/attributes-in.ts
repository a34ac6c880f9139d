import type { AttributeData, Attributes } from "../../src/core/attributes.ts";
import type { Event } from "../../src/core/event.ts";

/** What a run is found by, from its history. */
export function attributesIn(segment: readonly Event[]): Attributes {
  const found = new Map<string, AttributeData>();
  for (const event of segment) {
    if (event.type !== "WorkflowStarted" && event.type !== "SearchAttributesUpdated") continue;
    for (const [name, value] of Object.entries(event.attributes ?? {})) {
      if (value === null) found.delete(name);
      else found.set(name, value);
    }
  }
  return Object.fromEntries([...found].toSorted(([left], [right]) => (left < right ? -1 : 1)));
}
