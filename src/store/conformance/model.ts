import { isDeepStrictEqual } from "node:util";
import { matchesAttributes } from "../../core/attribute-filter.ts";
import type { Attributes } from "../../core/attributes.ts";
import { noAttributes } from "../../core/attributes.ts";
import type { Event } from "../../core/event.ts";
import { isClosed } from "../../core/status.ts";
import { explainChange, noPackages } from "./catalog-model.ts";
import type { ModelCatalog, Refusal } from "./catalog-model.ts";
import { claimed, explainFeed, noFeed, withCommit } from "./feed-model.ts";
import type { ModelFeed } from "./feed-model.ts";
import type {
  Commit,
  CommitResult,
  DueRun,
  Heartbeat,
  OwnerRecord,
  OwnerToken,
  RunCommit,
  RunFilter,
  RunKey,
  RunPage,
  RunRecord,
  StartCommit,
  StoredMessage,
} from "../contract.ts";
import type { LogEntry, LogPage } from "../run-log.ts";
import { runLogCharsMax, runLogLinesMax } from "../run-log.ts";
import type { Call, Outcome, Read } from "./call.ts";

/**
 * The contract once more, as plainly as it can be said: lists that are searched.
 *
 * Law: `explain` changes nothing that it is given. It tells in which states a store may be after a call that
 * had this outcome; in none, if the contract does not allow the outcome. There can be more than one, because
 * the contract leaves open which closed runs a limited deletion takes.
 */
export interface State {
  /** In ascending order of their key, and so of acceptance. */
  readonly runs: readonly ModelRun[];
  readonly messages: readonly StoredMessage[];
  readonly lastRunKey: RunKey;
  readonly lastMessageId: number;
  /** The highest that a claim has returned. */
  readonly epoch: number;
  readonly owner: ModelOwner | undefined;
  readonly catalog: ModelCatalog;
  readonly feed: ModelFeed;
}

export interface ModelRun {
  readonly record: RunRecord;
  /** One list per commit. */
  readonly rows: readonly (readonly Event[])[];
  readonly heartbeats: readonly Heartbeat[];
  /** All that it said, what was dropped included. */
  readonly log: readonly LogEntry[];
  readonly attributes: Attributes;
}

interface ModelOwner {
  readonly endpoint: string | undefined;
  readonly claimedAt: number;
  readonly leaseMs: number;
  /** Appends extend the lease, at the latest when half of it is over: its end lies between these two. */
  readonly leaseUntil: { readonly min: number; readonly max: number };
}

export interface Explanation {
  readonly next: readonly State[];
  /** What the model would have answered, for a message. */
  readonly expected: unknown;
}

export const emptyState: State = {
  runs: [],
  messages: [],
  lastRunKey: 0,
  lastMessageId: 0,
  epoch: 0,
  owner: undefined,
  catalog: noPackages,
  feed: noFeed,
};

/** `now` is the store's time, which stands still during a call. */
export function explain(state: State, call: Call, outcome: Outcome, now: number): Explanation {
  // "Nothing was written": true of any state. A write whose fate is unknown has happened or has not.
  if (!outcome.ok && outcome.code === "store_unavailable") return { next: [state], expected: "an answer" };
  switch (call.kind) {
    case "claim":
      return explainClaim(state, call, outcome, now);
    case "renew":
      if (!isOwner(state, call.token)) return refused(state, outcome, "not_owner");
      return done(outcome, (owner) => leased(state, owner, now + owner.leaseMs), state);
    case "release":
      if (!isOwner(state, call.token)) return outcome.ok ? only(state) : none("nothing to give up");
      return done(outcome, () => ({ ...state, owner: undefined }), state);
    case "append":
      if (!isOwner(state, call.token)) return refused(state, outcome, "not_owner");
      return explainAppend(renewedByUse(state, now), call.commits, outcome);
    case "deleteClosed":
      if (!isOwner(state, call.token)) return refused(state, outcome, "not_owner");
      return explainDeletion(state, call, outcome, now);
    case "changeCatalog": {
      if (!isOwner(state, call.token)) return refused(state, outcome, "not_owner");
      const open = state.runs.map(({ record }) => record).filter(({ status }) => !isClosed(status));
      const { next, expected } = explainChange(state.catalog, call.change, outcome, open);
      return { next: next.map((catalog) => ({ ...perhapsRenewed(state, now), catalog })), expected };
    }
    case "readOwner":
      return explainOwner(state, outcome, now);
    case "readHistoryFrom":
    case "readSegment":
      return explainRange(state, call, outcome);
    case "list":
      return explainPage(state, call, outcome);
    case "readFeed": {
      const find = withAttributes(state.runs);
      const { isForetold, expected } = explainFeed(state.feed, call, outcome, find);
      return isForetold ? { next: [state], expected } : none(expected);
    }
    default: {
      const expected = answerOf(state, call);
      return outcome.ok && isDeepStrictEqual(outcome.value, expected)
        ? { next: [state], expected }
        : none(expected);
    }
  }
}

const none = (expected: unknown): Explanation => ({ next: [], expected });
const only = (state: State): Explanation => ({ next: [state], expected: "done" });

function refused(state: State, outcome: Outcome, code: string): Explanation {
  return !outcome.ok && outcome.code === code ? only(state) : none(`rejected with ${code}`);
}

function done(outcome: Outcome, change: (owner: ModelOwner) => State, { owner }: State): Explanation {
  return outcome.ok && owner !== undefined ? only(change(owner)) : none("done");
}

function isOwner(state: State, token: OwnerToken): boolean {
  return state.owner !== undefined && token.epoch === state.epoch;
}

function leased(state: State, owner: ModelOwner, leaseUntil: number): State {
  return { ...state, owner: { ...owner, leaseUntil: { min: leaseUntil, max: leaseUntil } } };
}

// The law: at the latest when half of it is over. So either it was extended, or half of it is left.
function renewedByUse(state: State, now: number): State {
  const { owner } = state;
  if (owner === undefined) return state;
  const { leaseMs, leaseUntil } = owner;
  const renewed = now + leaseMs;
  const isHalfOver = now > leaseUntil.max - leaseMs / 2;
  const min = Math.max(leaseUntil.min, isHalfOver ? renewed : now + leaseMs / 2);
  return {
    ...state,
    owner: { ...owner, leaseUntil: { min, max: Math.max(leaseUntil.max, renewed) } },
  };
}

/** A write that is no append may renew the lease, and need not. */
function perhapsRenewed(state: State, now: number): State {
  const { owner } = state;
  if (owner === undefined) return state;
  const max = Math.max(owner.leaseUntil.max, now + owner.leaseMs);
  return { ...state, owner: { ...owner, leaseUntil: { ...owner.leaseUntil, max } } };
}

function explainClaim(
  state: State,
  call: Extract<Call, { readonly kind: "claim" }>,
  outcome: Outcome,
  now: number,
): Explanation {
  const { owner } = state;
  if (!outcome.ok) {
    if (outcome.code !== "store_owned" || owner === undefined || now > owner.leaseUntil.max)
      return none("a token");
    const { min, max } = owner.leaseUntil;
    return only({ ...state, owner: { ...owner, leaseUntil: { min: Math.max(min, now), max } } });
  }
  if (owner !== undefined && now <= owner.leaseUntil.min) return none("rejected with store_owned");
  const { epoch } = outcome.value as OwnerToken;
  if (epoch <= state.epoch) return none(`an epoch later than ${state.epoch}`);
  const owned = { endpoint: call.endpoint, claimedAt: now, leaseMs: call.leaseMs };
  const until = now + call.leaseMs;
  return only({
    ...state,
    epoch,
    owner: { ...owned, leaseUntil: { min: until, max: until } },
    feed: claimed(state.feed, call.feed),
  });
}

function explainOwner(state: State, outcome: Outcome, now: number): Explanation {
  const { owner, epoch } = state;
  const found = outcome.ok ? (outcome.value as OwnerRecord | undefined) : undefined;
  if (owner === undefined || found === undefined || !outcome.ok) {
    return outcome.ok && found === owner ? only(state) : none(owner);
  }
  const { leaseUntil } = found;
  const { endpoint, claimedAt, leaseUntil: bounds } = owner;
  const expected = {
    epoch,
    pid: found.pid,
    host: found.host,
    ...(endpoint === undefined ? {} : { endpoint }),
    claimedAt,
    leaseUntil: Math.min(bounds.max, Math.max(bounds.min, leaseUntil)),
    isAlive: now <= leaseUntil,
  };
  return isDeepStrictEqual(found, expected) ? only(leased(state, owner, leaseUntil)) : none(expected);
}

/** The commits of one call in their order, each answered by itself. */
function explainAppend(state: State, commits: readonly Commit[], outcome: Outcome): Explanation {
  if (!outcome.ok) {
    // What was rejected as a whole was rolled back, unless nobody knows.
    const isUnknown = outcome.code === "commit_unknown" || outcome.code === "store_failed";
    const isRolledBack = outcome.code === "store_full";
    if (!isUnknown && !isRolledBack) return none("results");
    const applied = isUnknown ? applyUnanswered(state, commits) : undefined;
    return { next: applied === undefined ? [state] : [state, applied], expected: "results" };
  }
  const results = outcome.value as readonly CommitResult[];
  if (results.length !== commits.length) return none(`${commits.length} results`);
  let current = state;
  for (const [index, commit] of commits.entries()) {
    const result = results[index];
    const refusals = refusalsOf(current, commit);
    if (result === undefined) return none(`${commits.length} results`);
    if (!result.ok) {
      const { code, details } = result.error;
      const isForetold = refusals.some((refusal) => isDeepStrictEqual({ code, details }, refusal));
      if (!isForetold)
        return none(refusals.length === 0 ? `commit ${index} accepted` : { commit: index, refusals });
      continue;
    }
    if (refusals.length > 0) return none({ commit: index, refusals });
    const applied = apply(current, commit, result);
    if (typeof applied === "string") return none(`commit ${index}: ${applied}`);
    current = applied;
  }
  return { next: [current], expected: "results" };
}

/** As if the store had given the keys and ids that come next. */
function applyUnanswered(state: State, commits: readonly Commit[]): State {
  let current = state;
  for (const commit of commits) {
    if (refusalsOf(current, commit).length > 0) continue;
    const messageIds = (commit.send ?? []).map((_, index) => current.lastMessageId + index + 1);
    const startedKey = commit.start === undefined ? {} : { startedKey: current.lastRunKey + 1 };
    const applied = apply(current, commit, { ok: true, messageIds, ...startedKey });
    if (typeof applied !== "string") current = applied;
  }
  return current;
}

/** Every reason there is to refuse the commit; the store may name any of them. */
function refusalsOf(state: State, { run, start, consume, needsPackage }: Commit): readonly Refusal[] {
  const refusals: Refusal[] = [];
  const conflict = (details: Refusal["details"]): number =>
    refusals.push({ code: "sequence_conflict", details });
  if (needsPackage !== undefined && state.catalog.packages.every(({ version }) => version !== needsPackage))
    refusals.push({ code: "package_not_found", details: { version: needsPackage } });
  if (run !== undefined) {
    const { runKey, workflowId, expectedSeq } = run;
    const chain = chainOf(state, workflowId);
    const found = chain.find(({ record }) => record.runKey === runKey)?.record;
    // A run that another one follows is history: what would be written there has its place taken.
    const isLast = found === undefined || chain.at(-1)?.record === found;
    const foundSeq = isLast ? (found?.headSeq ?? 0) : (chain.at(-1)?.record.headSeq ?? 0);
    if (found === undefined || !isLast || foundSeq !== expectedSeq)
      conflict({ expected: expectedSeq, found: foundSeq });
  }
  if (start !== undefined) {
    const latest = chainOf(state, start.workflowId).at(-1)?.record;
    const extension = latest !== undefined && run?.runKey === latest.runKey ? run : undefined;
    const found = (latest?.headSeq ?? 0) + (extension?.events.length ?? 0);
    const isOpen = latest !== undefined && !isClosed(extension?.status ?? latest.status);
    const isOther = start.follows !== undefined && start.follows !== latest?.runKey;
    if (found !== start.firstSeq - 1 || isOpen || isOther) conflict({ expected: start.firstSeq - 1, found });
  }
  for (const messageId of consume ?? []) {
    if (state.messages.every((message) => message.messageId !== messageId))
      conflict({ missingMessageId: messageId });
  }
  return refusals;
}

/** The state with the commit in it, or what is wrong with what the store answered. */
function apply(state: State, commit: Commit, result: Extract<CommitResult, { ok: true }>): State | string {
  const { run, start, send = [], consume = [] } = commit;
  let { runs, lastRunKey, lastMessageId } = state;
  if (run !== undefined) {
    runs = runs.map((one) => (one.record.runKey === run.runKey ? extended(one, run) : one));
  }
  const { startedKey } = result;
  if ((start === undefined) !== (startedKey === undefined)) return "a key exactly when a run was begun";
  if (start !== undefined && startedKey !== undefined) {
    if (startedKey <= lastRunKey) return `a key later than ${lastRunKey}`;
    lastRunKey = startedKey;
    runs = [...runs, begun(start, startedKey)];
  }
  if (result.messageIds.length !== send.length) return `${send.length} message ids`;
  const messages = state.messages.filter(({ messageId }) => !consume.includes(messageId));
  for (const [index, messageId] of result.messageIds.entries()) {
    if (messageId <= lastMessageId) return `a message id later than ${lastMessageId}`;
    lastMessageId = messageId;
    const sent = send[index];
    if (sent !== undefined) messages.push({ messageId, target: sent.target, message: sent.message });
  }
  const feed = withCommit(state.feed, commit, result, finder(runs));
  return { ...state, runs, messages, lastRunKey, lastMessageId, feed };
}

function finder(runs: State["runs"]): (runKey: RunKey) => RunRecord | undefined {
  return (runKey) => runs.find(({ record }) => record.runKey === runKey)?.record;
}

/** As the feed finds a run. */
function withAttributes(runs: State["runs"]): (runKey: RunKey) => RunRecord | undefined {
  return (runKey) => {
    const run = runs.find(({ record }) => record.runKey === runKey);
    return run && { ...run.record, attributes: run.attributes };
  };
}

function extended({ record, rows, heartbeats, log, attributes }: ModelRun, commit: RunCommit): ModelRun {
  const { closedAt: _closedAt, blocked: blockedBefore, parked: parkedBefore, ...kept } = record;
  const isEnd = isClosed(commit.status);
  const blocked = commit.blocked === undefined ? blockedBefore : (commit.blocked ?? undefined);
  const parked = commit.parked === undefined ? parkedBefore : (commit.parked ?? undefined);
  const beats = commit.heartbeats ?? [];
  return {
    record: {
      ...kept,
      status: commit.status,
      headSeq: record.headSeq + commit.events.length,
      wakeAt: isEnd ? null : commit.wakeAt,
      ...(commit.closedAt === undefined ? {} : { closedAt: commit.closedAt }),
      ...(blocked === undefined ? {} : { blocked }),
      ...(parked === undefined ? {} : { parked }),
    },
    rows: withRow(rows, commit.events, record.headSeq + 1, record),
    heartbeats: isEnd ? [] : beats.reduce(withBeat, heartbeats),
    log: withEntries(log, commit.log),
    attributes: commit.attributes ?? attributes,
  };
}

/** What is there already counts. */
function withEntries(log: readonly LogEntry[], added: readonly LogEntry[] = []): readonly LogEntry[] {
  return added.reduce((all, entry) => (entry.seq > (all.at(-1)?.seq ?? 0) ? [...all, entry] : all), log);
}

/** The newest entry, and before it as many as the bounds let stay. */
function keptOf(log: readonly LogEntry[]): readonly LogEntry[] {
  let [lines, chars] = [0, 0];
  const firstKept = log.findLastIndex((entry) => {
    lines += entry.lines.length;
    chars += JSON.stringify(entry.lines).length;
    return lines > runLogLinesMax || chars > runLogCharsMax;
  });
  return log.slice(Math.min(firstKept + 1, Math.max(0, log.length - 1)));
}

function pageOf(log: readonly LogEntry[], afterSeq: number, limit: number): LogPage {
  const kept = keptOf(log);
  const entries: LogEntry[] = [];
  for (const entry of kept) {
    const isEnough = countLines(entries) >= limit;
    if (entry.seq > afterSeq && !isEnough) entries.push(entry);
  }
  return { entries, droppedCount: countLines(log) - countLines(kept) };
}

function countLines(entries: readonly LogEntry[]): number {
  return entries.reduce((count, { lines }) => count + lines.length, 0);
}

/** The later one counts. */
function withBeat(heartbeats: readonly Heartbeat[], beat: Heartbeat): readonly Heartbeat[] {
  const others = heartbeats.filter(({ ordinal }) => ordinal !== beat.ordinal);
  return [...others, beat].toSorted((left, right) => left.ordinal - right.ordinal);
}

function begun(start: StartCommit, runKey: RunKey): ModelRun {
  const { events, firstSeq, follows: _follows, wakeAt, status, log, attributes, ...rest } = start;
  const record: RunRecord = {
    ...rest,
    runKey,
    firstSeq,
    status,
    headSeq: firstSeq - 1 + events.length,
    wakeAt: isClosed(status) ? null : wakeAt,
  };
  return {
    record,
    rows: withRow([], events, firstSeq, record),
    heartbeats: [],
    log: withEntries([], log),
    attributes: attributes ?? noAttributes,
  };
}

function withRow(
  rows: ModelRun["rows"],
  events: RunCommit["events"],
  firstSeq: number,
  { workflowId }: RunRecord,
): ModelRun["rows"] {
  if (events.length === 0) return rows;
  return [...rows, events.map((event, index): Event => ({ ...event, seq: firstSeq + index, workflowId }))];
}

function chainOf({ runs }: State, workflowId: string): readonly ModelRun[] {
  return runs.filter(({ record }) => record.workflowId === workflowId);
}

/** A run goes only with all that are before it in its chain. */
function deletable(state: State, closedBefore: number): readonly ModelRun[] {
  const goes = ({ record }: ModelRun): boolean =>
    record.closedAt !== undefined && record.closedAt < closedBefore;
  return state.runs.filter((run) => {
    const chain = chainOf(state, run.record.workflowId);
    return chain.slice(0, chain.indexOf(run) + 1).every(goes);
  });
}

function explainDeletion(
  state: State,
  call: Extract<Call, { readonly kind: "deleteClosed" }>,
  outcome: Outcome,
  now: number,
): Explanation {
  const { closedBefore, limit } = call;
  const candidates = deletable(state, closedBefore);
  const expected = Math.min(limit, candidates.length);
  if (!outcome.ok || outcome.value !== expected) return none(expected);
  const used = perhapsRenewed(state, now);
  const choices = choose(used, candidates, expected);
  const next = choices.map((gone) => ({ ...used, runs: used.runs.filter((run) => !gone.includes(run)) }));
  return { next, expected };
}

/** All choices of `count` runs that leave no gap in a chain. */
function choose(
  state: State,
  candidates: readonly ModelRun[],
  count: number,
): readonly (readonly ModelRun[])[] {
  if (count === candidates.length) return [candidates];
  const choices: ModelRun[][] = [];
  const extend = (from: number, chosen: readonly ModelRun[]): void => {
    if (chosen.length === count) {
      choices.push([...chosen]);
      return;
    }
    for (let index = from; index < candidates.length; index += 1) {
      const run = candidates[index];
      if (run === undefined) continue;
      const chain = chainOf(state, run.record.workflowId);
      const before = chain[chain.indexOf(run) - 1];
      if (before === undefined || chosen.includes(before)) extend(index + 1, [...chosen, run]);
    }
  };
  extend(0, []);
  return choices;
}

function explainRange(
  state: State,
  call: Extract<Call, { readonly kind: "readHistoryFrom" | "readSegment" }>,
  outcome: Outcome,
): Explanation {
  const runs =
    call.kind === "readHistoryFrom"
      ? chainOf(state, call.workflowId)
      : chainOf(state, call.run.workflowId).filter(({ record }) => record.runKey === call.run.runKey);
  const rows = runs.flatMap((run) => run.rows);
  const expected = rows.flat().filter((event) => event.seq >= call.fromSeq);
  if (!outcome.ok) return none(expected);
  if (call.limit === undefined) {
    return isDeepStrictEqual(outcome.value, expected) ? { next: [state], expected } : none(expected);
  }
  // At least one commit's events, and about as many as asked for: less than a commit's over the limit, and
  // no fewer unless there are no more.
  const read = outcome.value as readonly Event[];
  const largest = Math.max(0, ...rows.map((row) => row.length));
  const isEnough =
    read.length >= Math.min(1, expected.length) && read.length < call.limit + Math.max(1, largest);
  const isPrefix = isDeepStrictEqual(read, expected.slice(0, read.length));
  return isEnough && isPrefix ? { next: [state], expected } : none(expected);
}

function explainPage(
  state: State,
  call: Extract<Call, { readonly kind: "list" }>,
  outcome: Outcome,
): Explanation {
  const { filter, limit, after, withAttributes: isWith = false } = call;
  const matching = state.runs
    .filter((run) => matches(run, filter) && run.record.runKey < (after?.runKey ?? Number.POSITIVE_INFINITY))
    .map(({ record, attributes }) =>
      isWith && Object.keys(attributes).length > 0 ? { ...record, attributes } : record,
    )
    .toReversed();
  const expected = { runs: matching.slice(0, limit), hasMore: matching.length > limit };
  if (!outcome.ok) return none(expected);
  const { runs, nextCursor } = outcome.value as RunPage;
  const found = { runs, hasMore: nextCursor !== undefined };
  return isDeepStrictEqual(found, expected) ? { next: [state], expected } : none(expected);
}

function answerOf(
  state: State,
  call: Exclude<
    Read,
    { readonly kind: "readOwner" | "readHistoryFrom" | "readSegment" | "list" | "readFeed" }
  >,
): unknown {
  const records = state.runs.map(({ record }) => record);
  switch (call.kind) {
    case "readHistory":
      return chainOf(state, call.workflowId).flatMap((run) => run.rows.flat());
    case "readRunChain":
      return chainOf(state, call.workflowId).map((run) => run.record);
    case "findRun": {
      const chain = chainOf(state, call.workflowId);
      const { runId } = call;
      const run = runId === undefined ? chain.at(-1) : chain.find(({ record }) => record.runId === runId);
      return run?.record;
    }
    case "findRunByKey":
      return records.find((record) => record.runKey === call.runKey);
    case "readHeartbeats":
      return state.runs.find(({ record }) => record.runKey === call.runKey)?.heartbeats ?? [];
    case "readLog": {
      const { run, afterSeq, limit } = call;
      const found = state.runs.find(({ record }) => record.runKey === run.runKey);
      const isOf = found?.record.workflowId === run.workflowId;
      return pageOf(isOf ? found.log : [], afterSeq, limit);
    }
    case "listActive":
      return records
        .filter((record) => record.runKey > call.afterKey && record.status === "running")
        .slice(0, call.limit);
    case "listDue": {
      const { after, untilAt } = call;
      return dueRuns(records)
        .filter((run) => run.wakeAt <= untilAt && (after === undefined || compareDue(run, after) > 0))
        .slice(0, call.limit);
    }
    case "nextWakeAt":
      return dueRuns(records).find((run) => run.wakeAt > call.afterAt)?.wakeAt;
    case "listMessages":
      return state.messages.filter(({ messageId }) => messageId > call.afterId).slice(0, call.limit);
    case "count":
      return state.runs.filter((run) => matches(run, call.filter)).length;
    case "readCatalog": {
      const { packages, routes } = state.catalog;
      return { packages: packages.map(({ archive: _archive, ...record }) => record), routes };
    }
    case "readPackage":
      return state.catalog.packages.find(({ version }) => version === call.version)?.archive;
  }
}

function dueRuns(records: readonly RunRecord[]): readonly DueRun[] {
  return records
    .flatMap(({ runKey, workflowId, wakeAt }) => (wakeAt === null ? [] : [{ runKey, workflowId, wakeAt }]))
    .toSorted(compareDue);
}

function compareDue(left: Omit<DueRun, "workflowId">, right: Omit<DueRun, "workflowId">): number {
  return left.wakeAt - right.wakeAt || left.runKey - right.runKey;
}

function matches({ record, attributes }: ModelRun, filter: RunFilter): boolean {
  const within = (value: number | undefined, from: number | undefined, to: number | undefined): boolean =>
    (from === undefined || (value !== undefined && value >= from)) &&
    (to === undefined || (value !== undefined && value <= to));
  const is = <Value>(wanted: Value | undefined, value: Value | undefined): boolean =>
    wanted === undefined || wanted === value;
  return (
    is(filter.workflowId, record.workflowId) &&
    !(filter.exceptIdPrefix !== undefined && record.workflowId.startsWith(filter.exceptIdPrefix)) &&
    is(filter.workflowType, record.workflowType) &&
    is(filter.status, record.status) &&
    is(filter.isBlocked, record.blocked !== undefined) &&
    is(filter.isParked, record.parked !== undefined) &&
    is(filter.parentWorkflowId, record.parent?.workflowId) &&
    within(record.startedAt, filter.startedAfter, filter.startedBefore) &&
    within(record.closedAt, filter.closedAfter, filter.closedBefore) &&
    matchesAttributes(attributes, filter.attributes ?? [])
  );
}
