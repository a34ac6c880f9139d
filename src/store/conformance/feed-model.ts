import { isDeepStrictEqual } from "node:util";
import { matchesAttributes } from "../../core/attribute-filter.ts";
import type { Attributes } from "../../core/attributes.ts";
import { noAttributes } from "../../core/attributes.ts";
import type { Event } from "../../core/event.ts";
import type { RunId, WorkflowId } from "../../core/ids.ts";
import type { Commit, CommitResult, FeedPage, OwnerClaim, RunKey } from "../contract.ts";
import type { Call, Outcome } from "./call.ts";

/** The part of the model that the feed is: a list, of which nothing goes as long as nobody waits for longer than it is kept. */
export interface ModelFeed {
  readonly isOn: boolean;
  /** Counts how often it was turned on. */
  readonly era: number;
  readonly entries: readonly ModelEntry[];
}

interface ModelEntry {
  readonly era: number;
  readonly runKey: RunKey;
  readonly runId: RunId;
  readonly workflowId: WorkflowId;
  readonly workflowType: string;
  readonly event: Event;
}

export const noFeed: ModelFeed = { isOn: false, era: 0, entries: [] };

export function claimed(feed: ModelFeed, asked: OwnerClaim["feed"]): ModelFeed {
  if (asked === undefined) return feed;
  if (asked === "off") return { ...feed, isOn: false };
  return feed.isOn ? feed : { ...feed, isOn: true, era: feed.era + 1 };
}

/** The run of a key, as far as it must be known. */
type FindRun = (runKey: RunKey) =>
  | {
      readonly runId: RunId;
      readonly workflowId: WorkflowId;
      readonly workflowType: string;
      readonly attributes?: Attributes;
    }
  | undefined;

/** What a commit that was accepted adds. `find` knows the run that it began, too. */
export function withCommit(
  feed: ModelFeed,
  { run, start }: Commit,
  { startedKey }: Extract<CommitResult, { readonly ok: true }>,
  find: FindRun,
): ModelFeed {
  if (!feed.isOn) return feed;
  const add = (
    runKey: RunKey | undefined,
    events: readonly object[] | undefined,
    firstSeq: number,
  ): ModelEntry[] => {
    const record = runKey === undefined ? undefined : find(runKey);
    if (runKey === undefined || record === undefined || events === undefined) return [];
    const { runId, workflowId, workflowType } = record;
    return events.map((event, index) => ({
      era: feed.era,
      runKey,
      runId,
      workflowId,
      workflowType,
      event: { ...event, seq: firstSeq + index, workflowId } as Event,
    }));
  };
  return {
    ...feed,
    entries: [
      ...feed.entries,
      ...add(run?.runKey, run?.events, (run?.expectedSeq ?? 0) + 1),
      ...add(startedKey, start?.events, start?.firstSeq ?? 1),
    ],
  };
}

/** Whether a page may be what was answered. How much of what there is it has is the store's affair. */
export function explainFeed(
  feed: ModelFeed,
  call: Extract<Call, { readonly kind: "readFeed" }>,
  outcome: Outcome,
  find: FindRun,
): { readonly isForetold: boolean; readonly expected: unknown } {
  const refused = (code: string) => ({
    isForetold: !outcome.ok && outcome.code === code,
    expected: `rejected with ${code}`,
  });
  if (!feed.isOn) return refused("feed_off");
  const { after, limit } = call;
  const { era, entries } = feed;
  let from = after === "oldest" ? entries.findIndex((entry) => entry.era === era) : entries.length;
  if (from < 0) from = entries.length;
  if (typeof after !== "string") {
    const place = entries.findIndex(({ runId, event }) => runId === after.runId && event.seq === after.seq);
    if (entries[place]?.era !== era) return refused("cursor_expired");
    from = place + 1;
  }
  const expected = entries
    .slice(from)
    .filter(({ runKey, workflowId, workflowType }) => {
      const run = find(runKey);
      return (
        run !== undefined &&
        (call.workflowId ?? workflowId) === workflowId &&
        (call.workflowType ?? workflowType) === workflowType &&
        matchesAttributes(run.attributes ?? noAttributes, call.attributes ?? [])
      );
    })
    .map(({ runId, workflowId, workflowType, event }) => ({ workflowId, runId, workflowType, event }));
  if (!outcome.ok) return { isForetold: false, expected };
  const { items, nextCursor, isAtHead } = outcome.value as FeedPage;
  const found = items.map(({ cursor: _cursor, ...item }) => item);
  const isPart = found.length <= limit && isDeepStrictEqual(found, expected.slice(0, found.length));
  const hasMoved = found.length > 0 || (typeof after !== "string" && nextCursor !== after.cursor);
  return { isForetold: isPart && (isAtHead ? found.length === expected.length : hasMoved), expected };
}
