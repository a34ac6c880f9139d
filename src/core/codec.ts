import { AionError, assert } from "./errors.ts";
import type { Event, EventBody } from "./event.ts";
import { isEventType } from "./event.ts";
import type { WorkflowId } from "./ids.ts";
import { messageOf } from "./payload.ts";

/**
 * How events lie in a store: one row per commit, JSON text
 * `{"f":1,"t":<recordedAt of the first>,"e":[{"type":…,…},…]}`.
 * `f` is the format version; an event carries its own `t` only where it differs from the one before it;
 * `seq` and the workflow id come from the row's key. A reader refuses a format or an event type that it does
 * not know; it ignores fields that it does not know.
 */
export const rowFormat = 1;

/** An event that has its instant but not yet its place in a history. */
export type NewEvent = EventBody & { readonly recordedAt: number };

/** Where the row's key or its head says it already. */
const impliedFields: ReadonlySet<string> = new Set(["type", "seq", "workflowId", "recordedAt"]);

/** Written by hand, since it is half as long as taking each event apart for `JSON.stringify` (bench W1). */
export function encodeRow(events: readonly NewEvent[]): string {
  const first = events[0];
  assert(first !== undefined, "a row holds at least one event");
  let at = first.recordedAt;
  let text = `{"f":${rowFormat},"t":${at},"e":[`;
  for (const event of events) {
    text += event === first ? '{"type":"' : ',{"type":"';
    text += `${event.type}"`;
    const fields = event as Readonly<Record<string, unknown>>;
    for (const name in fields) {
      if (impliedFields.has(name)) continue;
      const value = fields[name];
      if (value !== undefined)
        text += `,"${name}":${typeof value === "number" ? value : JSON.stringify(value)}`;
    }
    if (event.recordedAt !== at) {
      at = event.recordedAt;
      text += `,"t":${at}`;
    }
    text += "}";
  }
  return `${text}]}`;
}

export interface RowKey {
  readonly workflowId: WorkflowId;
  readonly firstSeq: number;
}

/** Errors: `history_corrupt` (not what was written), `event_unknown` (a newer version wrote it). */
export function decodeRow(text: string, key: RowKey): Event[] {
  let row: unknown;
  try {
    row = JSON.parse(text);
  } catch (error) {
    throw corrupt(key, messageOf(error), error);
  }
  if (!isRecord(row)) throw corrupt(key, "it is no object");
  if (row["f"] !== rowFormat) {
    if (typeof row["f"] !== "number") throw corrupt(key, "it has no format version");
    throw new AionError(
      "event_unknown",
      `workflow ${key.workflowId}, event ${key.firstSeq}: row format ${row["f"]}, and this version knows only ${rowFormat}`,
    );
  }
  let at = row["t"];
  const bodies = row["e"];
  if (typeof at !== "number" || !Array.isArray(bodies) || bodies.length === 0)
    throw corrupt(key, "fields are missing");
  const events: Event[] = [];
  for (const body of bodies as unknown[]) {
    if (!isRecord(body) || typeof body["type"] !== "string") throw corrupt(key, "an event has no type");
    const seq = key.firstSeq + events.length;
    if (!isEventType(body["type"])) {
      throw new AionError(
        "event_unknown",
        `workflow ${key.workflowId}, event ${seq}: this version knows no event type ${JSON.stringify(body["type"])}`,
      );
    }
    const event = body;
    if (typeof event["t"] === "number") {
      at = event["t"];
      delete event["t"];
    }
    event["seq"] = seq;
    event["recordedAt"] = at;
    event["workflowId"] = key.workflowId;
    events.push(event as unknown as Event);
  }
  return events;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function corrupt(key: RowKey, what: string, cause?: unknown): AionError {
  return new AionError(
    "history_corrupt",
    `workflow ${key.workflowId}, the row at event ${key.firstSeq} is damaged: ${what}`,
    cause === undefined ? {} : { cause },
  );
}
