import { matchesAttributes } from "../core/attribute-filter.ts";
import type { Attributes } from "../core/attributes.ts";
import { noAttributes } from "../core/attributes.ts";
import { AionError } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { FeedDamage, FeedItem, FeedPage, FeedRange, RunKey } from "./contract.ts";

/**
 * The feed as both backends keep it: one transaction after another, each with the rows of events that it wrote.
 *
 * Laws: positions of transactions have no gap within an era; an era begins when the feed is turned on. A cursor names the
 * next event to be read: era, position, and how many events of that transaction were read.
 */
export interface FeedState {
  /** Undefined: it is off. */
  readonly keepMs: number | undefined;
  /** Tells the cursors of this feed from those of one that ended, or of which the file is a copy. 0: there was none yet. */
  readonly era: number;
  /** Transactions up to this one are not readable any more. */
  readonly floor: number;
  /** The last one that has a position. */
  readonly head: number;
}

export interface FeedTransaction {
  readonly position: number;
  readonly entries: readonly FeedEntry[];
}

/** One row of events. It may have been deleted since, with its run. */
export interface FeedEntry {
  readonly runKey: RunKey;
  readonly firstSeq: number;
  readonly count: number;
}

/** The run of an entry, as far as an item tells of it. */
export interface FeedRun {
  readonly workflowId: WorkflowId;
  readonly runId: RunId;
  readonly workflowType: string;
  /** As they are now. Needed when the feed is filtered by them. */
  readonly attributes?: Attributes;
}

export interface FeedSource<Run extends FeedRun> {
  readonly state: FeedState;
  /** In their order, from this position on. */
  transactions(fromPosition: number): Iterable<FeedTransaction>;
  findRun(runKey: RunKey): Run | undefined;
  readRow(
    run: Run,
    entry: FeedEntry,
  ): { readonly events: readonly Event[]; readonly chars: number } | FeedDamage;
}

/** Transactions are trimmed by so many. The feed keeps as many more than it must, at the most. */
export const feedTrimStep = 64;

/** What one page looks at: a few milliseconds of the thread that reads. */
const pageRowsMax = 256;
const pageCharsMax = 1024 * 1024;

interface Place {
  readonly position: number;
  readonly index: number;
}

/** Errors: `feed_off`, `cursor_expired`, `invalid_argument`, `store_corrupt`. */
export function readFeedPage<Run extends FeedRun>(request: FeedRange, source: FeedSource<Run>): FeedPage {
  const { state } = source;
  if (state.keepMs === undefined) throw new AionError("feed_off", "the store keeps no feed");
  const { limit } = request;
  const start = toPlace(request.after, state);
  const toCursor = ({ position, index }: Place): string => `${state.era}.${position}.${index}`;
  const items: FeedItem[] = [];
  let rowCount = 0;
  let chars = 0;
  let expected = start.position;
  for (const { position, entries } of source.transactions(start.position)) {
    if (position !== expected) throw missingPosition(expected);
    expected = position + 1;
    const total = entries.reduce((sum, { count }) => sum + count, 0);
    const placeAt = (index: number): Place =>
      index === total ? { position: position + 1, index: 0 } : { position, index };
    const skipped = position === start.position ? start.index : 0;
    if (skipped >= total && skipped > 0) throw unknownCursor(request.after);
    let first = 0;
    for (const entry of entries) {
      const from = Math.max(first, skipped);
      const end = first + entry.count;
      if (end > from) {
        if (items.length >= limit || rowCount >= pageRowsMax || chars >= pageCharsMax)
          return { items, nextCursor: toCursor(placeAt(from)), isAtHead: false };
        rowCount += 1;
        const run = source.findRun(entry.runKey);
        if (run !== undefined && matches(run, request)) {
          const { workflowId, runId, workflowType } = run;
          const read = source.readRow(run, entry);
          if ("error" in read) {
            items.push({ cursor: toCursor(placeAt(end)), workflowId, runId, workflowType, damage: read });
          } else {
            chars += read.chars;
            for (let index = from; index < end; index += 1) {
              const event = read.events[index - first];
              if (event === undefined) break;
              if (items.length >= limit)
                return { items, nextCursor: toCursor({ position, index }), isAtHead: false };
              items.push({ cursor: toCursor(placeAt(index + 1)), workflowId, runId, workflowType, event });
            }
          }
        }
      }
      first = end;
    }
  }
  if (expected <= state.head) throw missingPosition(expected);
  return { items, nextCursor: toCursor({ position: state.head + 1, index: 0 }), isAtHead: true };
}

function matches(run: FeedRun, { workflowId, workflowType, attributes }: FeedRange): boolean {
  return (
    (workflowId === undefined || run.workflowId === workflowId) &&
    (workflowType === undefined || run.workflowType === workflowType) &&
    (attributes === undefined || matchesAttributes(run.attributes ?? noAttributes, attributes))
  );
}

function toPlace(cursor: string, { era, floor, head }: FeedState): Place {
  if (cursor === "oldest") return { position: floor + 1, index: 0 };
  if (cursor === "latest") return { position: head + 1, index: 0 };
  const [, ofEra, position, index] = (/^(\d{1,15})\.(\d{1,15})\.(\d{1,9})$/.exec(cursor) ?? []).map(Number);
  if (ofEra === undefined || position === undefined || index === undefined) throw unknownCursor(cursor);
  if (ofEra === era && position > floor && position <= head + 1) {
    if (position === head + 1 && index > 0) throw unknownCursor(cursor);
    return { position, index };
  }
  const why =
    ofEra !== era
      ? "is of a feed that has ended since"
      : position > floor
        ? "is later than anything in this feed"
        : "is older than what the feed keeps";
  throw new AionError("cursor_expired", `cursor ${cursor} ${why}`);
}

function unknownCursor(cursor: string): AionError {
  return new AionError(
    "invalid_argument",
    `cursor must be one that the feed gave, got ${JSON.stringify(cursor.slice(0, 60))}`,
  );
}

/** Somebody's hands, or the disk: no transaction leaves one out. */
function missingPosition(position: number): AionError {
  return damagedFeed(position, "is not there");
}

export function damagedFeed(position: number, what: string): AionError {
  return new AionError("store_corrupt", `the feed is damaged: transaction ${position} ${what}`, {
    hint: "Histories are not touched by it. Read the list of runs, and go on from the head of the feed (no cursor).",
    details: { position },
  });
}

export function encodeEntries(entries: readonly FeedEntry[]): string {
  return entries.map(({ runKey, firstSeq, count }) => `${runKey}.${firstSeq}.${count}`).join(" ");
}

/** Of a text whose checksum was right. */
export function decodeEntries(text: string): FeedEntry[] {
  return text.split(" ").map((entry) => {
    const [runKey = 0, firstSeq = 0, count = 0] = entry.split(".").map(Number);
    return { runKey, firstSeq, count };
  });
}

/** What a claim asks for. A feed that is turned on again is another one: nobody knows what was appended meanwhile. */
export function claimFeed(
  state: FeedState,
  feed: "off" | { readonly keepMs: number } | undefined,
  now: number,
): Omit<FeedState, "head"> {
  const { keepMs, era, floor, head } = state;
  if (feed === undefined) return { keepMs, era, floor };
  if (feed === "off") return { keepMs: undefined, era, floor: keepMs === undefined ? floor : head };
  if (keepMs !== undefined) return { keepMs: feed.keepMs, era, floor };
  return { keepMs: feed.keepMs, era: nextEra(era, now), floor: head };
}

export function nextEra(era: number, now: number): number {
  return Math.max(era + 1, now);
}
