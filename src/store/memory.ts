import { matchesAttributes } from "../core/attribute-filter.ts";
import type { Attributes } from "../core/attributes.ts";
import { noAttributes } from "../core/attributes.ts";
import { decodeRow } from "../core/codec.ts";
import { AionError, assert } from "../core/errors.ts";
import type { Event, ParentLink } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { Message } from "../core/message.ts";
import type { Clock } from "../core/ports.ts";
import { isClosed } from "../core/status.ts";
import type { RunStatus } from "../core/status.ts";
import { encodeCatalogChange, packageNotFound } from "./catalog.ts";
import {
  chainOpen,
  chainOther,
  encodeCommit,
  messageGone,
  notOwner,
  parseCursor,
  sequenceConflict,
} from "./commit.ts";
import type { EncodedCommit, EncodedPart } from "./commit.ts";
import type {
  Catalog,
  CatalogChange,
  CatalogReply,
  Commit,
  CommitResult,
  DueCursor,
  DueRun,
  FeedPage,
  FeedRange,
  Heartbeat,
  OwnerClaim,
  OwnerRecord,
  OwnerToken,
  PageRequest,
  RunCommit,
  RunFilter,
  RunKey,
  RunPage,
  RunRecord,
  RunRef,
  StartCommit,
  Store,
  StoredMessage,
} from "./contract.ts";
import { toOwnerToken } from "./contract.ts";
import { MemoryCatalog } from "./memory-catalog.ts";
import { MemoryFeed } from "./memory-feed.ts";
import { storeOwned } from "./owned.ts";
import type { EncodedLogEntry, LogEntry, LogPage } from "./run-log.ts";
import { decodeLog, isWithinLog } from "./run-log.ts";

export interface MemoryStoreOptions {
  /** For leases. Default: the machine's clock. */
  readonly clock?: Clock;
  /** When an append that has been applied is acknowledged. Default: in a microtask. */
  readonly defer?: (acknowledge: () => void) => void;
}

/**
 * The reference store: all laws of the contract, nothing on disk. It lasts as long as the object.
 *
 * Owner: whoever holds the object; several engines may share it, one of them being the owner.
 * Law: what goes in is encoded and what comes out is decoded anew, so no caller holds stored state.
 *  1. An append is applied within the call, in one go; only its acknowledgement is deferred.
 *  2. Runs lie in `runs` in ascending order of their key, and in `chains` in ascending order of `firstSeq`.
 *  3. A closed run has no wakeAt and no heartbeats.
 */
export function openMemoryStore(options: MemoryStoreOptions = {}): Store {
  return new MemoryStore(options);
}

interface Row {
  readonly firstSeq: number;
  readonly text: string;
}

interface Run {
  readonly runKey: RunKey;
  readonly workflowId: WorkflowId;
  readonly runId: RunId;
  readonly workflowType: string;
  readonly version: string;
  readonly firstSeq: number;
  readonly startedAt: number;
  readonly parent: ParentLink | undefined;
  status: RunStatus;
  headSeq: number;
  closedAt: number | undefined;
  wakeAt: number | null;
  blocked: string | undefined;
  parked: string | undefined;
  readonly rows: Row[];
  readonly heartbeats: Map<number, Heartbeat>;
  readonly log: EncodedLogEntry[];
  /** What was dropped of it. */
  dropped: { readonly lines: number; readonly chars: number };
  attributes: Attributes;
}

interface Owner {
  readonly endpoint: string | undefined;
  readonly claimedAt: number;
  readonly leaseMs: number;
  leaseUntil: number;
}

class MemoryStore implements Store {
  readonly name = "memory:";
  readonly #clock: Clock;
  readonly #defer: (acknowledge: () => void) => void;
  readonly #runs = new Map<RunKey, Run>();
  readonly #chains = new Map<WorkflowId, Run[]>();
  readonly #messages = new Map<number, { readonly target: WorkflowId; readonly text: string }>();
  readonly #catalog = new MemoryCatalog();
  readonly #feed = new MemoryFeed();
  #lastRunKey = 0;
  #lastMessageId = 0;
  #epoch = 0;
  #owner: Owner | undefined;
  #isClosed = false;

  constructor(options: MemoryStoreOptions) {
    this.#clock = options.clock ?? { now: () => Date.now() };
    this.#defer = options.defer ?? queueMicrotask;
  }

  async claim(claim: OwnerClaim): Promise<OwnerToken> {
    this.#checkOpen();
    const now = this.#clock.now();
    const current = this.#ownerRecord(now);
    if (current?.isAlive === true) throw storeOwned(this.name, current, now);
    this.#epoch += 1;
    this.#feed.claim(claim, now);
    this.#owner = {
      endpoint: claim.endpoint,
      claimedAt: now,
      leaseMs: claim.leaseMs,
      leaseUntil: now + claim.leaseMs,
    };
    return toOwnerToken(this.#epoch);
  }

  async renew(token: OwnerToken): Promise<void> {
    this.#checkOpen();
    const owner = this.#checkOwner(token);
    owner.leaseUntil = this.#clock.now() + owner.leaseMs;
  }

  async release(token: OwnerToken): Promise<void> {
    this.#checkOpen();
    if (token.epoch === this.#epoch) this.#owner = undefined;
  }

  async readOwner(): Promise<OwnerRecord | undefined> {
    this.#checkOpen();
    return this.#ownerRecord(this.#clock.now());
  }

  #ownerRecord(now: number): OwnerRecord | undefined {
    const owner = this.#owner;
    if (owner === undefined) return undefined;
    return {
      epoch: this.#epoch,
      pid: process.pid,
      host: "memory",
      ...(owner.endpoint === undefined ? {} : { endpoint: owner.endpoint }),
      claimedAt: owner.claimedAt,
      leaseUntil: owner.leaseUntil,
      isAlive: now <= owner.leaseUntil,
    };
  }

  #checkOwner(token: OwnerToken): Owner {
    if (this.#owner === undefined || token.epoch !== this.#epoch) {
      throw notOwner(this.name, { epoch: token.epoch, currentEpoch: this.#epoch });
    }
    return this.#owner;
  }

  append(token: OwnerToken, commits: readonly Commit[]): Promise<readonly CommitResult[]> {
    return new Promise((resolve) => {
      this.#checkOpen();
      const encoded = commits.map(encodeCommit);
      this.#renewWhenDue(this.#checkOwner(token));
      const results = encoded.map((commit) => this.#apply(commit));
      this.#feed.end(this.#clock.now());
      this.#defer(() => resolve(results));
    });
  }

  #renewWhenDue(owner: Owner): void {
    const now = this.#clock.now();
    if (now > owner.leaseUntil - (2 * owner.leaseMs) / 3) owner.leaseUntil = now + owner.leaseMs;
  }

  /** Checks every part, then writes every part: nothing to undo. */
  #apply(commit: EncodedCommit): CommitResult {
    const refusal = this.#refusal(commit);
    if (refusal !== undefined) return { ok: false, error: refusal };
    for (const messageId of commit.consume) this.#messages.delete(messageId);
    if (commit.run !== undefined) this.#extend(commit.run);
    const startedKey = commit.start === undefined ? undefined : this.#start(commit.start);
    const messageIds = commit.send.map(({ target, body }) => {
      this.#lastMessageId += 1;
      this.#messages.set(this.#lastMessageId, { target, text: body });
      return this.#lastMessageId;
    });
    return { ok: true, messageIds, ...(startedKey === undefined ? {} : { startedKey }) };
  }

  #refusal({ run, start, consume, needsPackage }: EncodedCommit): AionError | undefined {
    if (needsPackage !== undefined && !this.#catalog.has(needsPackage)) return packageNotFound(needsPackage);
    if (run !== undefined) {
      const { runKey, workflowId, expectedSeq } = run.of;
      const found = this.#runs.get(runKey);
      // A run that another one follows is history: the seqs after it are taken.
      const place = found?.workflowId === workflowId ? this.#chains.get(workflowId)?.at(-1) : undefined;
      const foundSeq = place?.headSeq ?? 0;
      if (place === undefined || place !== found || foundSeq !== expectedSeq) {
        return sequenceConflict({ workflowId, expected: expectedSeq, found: foundSeq });
      }
    }
    if (start !== undefined) {
      const { workflowId, firstSeq, follows } = start.of;
      const latest = this.#chains.get(workflowId)?.at(-1);
      const extension = latest !== undefined && run?.of.runKey === latest.runKey ? run : undefined;
      const expected = firstSeq - 1;
      const found = (latest?.headSeq ?? 0) + (extension?.eventCount ?? 0);
      if (found !== expected) return sequenceConflict({ workflowId, expected, found });
      if (follows !== undefined && follows !== latest?.runKey)
        return chainOther({ workflowId, expected, found });
      if (latest !== undefined && !isClosed(extension?.of.status ?? latest.status)) {
        return chainOpen({ workflowId, expected, found });
      }
    }
    const missing = consume.find((messageId) => !this.#messages.has(messageId));
    return missing === undefined ? undefined : messageGone(missing);
  }

  #extend({ of: commit, eventCount, row, log, attributes }: EncodedPart<RunCommit>): void {
    const run = this.#runs.get(commit.runKey);
    assert(run, "a run that was found at its head is there");
    this.#addRow(run, row, eventCount);
    addToLog(run, log);
    if (attributes !== undefined) run.attributes = JSON.parse(attributes) as Attributes;
    run.status = commit.status;
    run.closedAt = commit.closedAt;
    run.wakeAt = isClosed(commit.status) ? null : commit.wakeAt;
    if (commit.blocked !== undefined) run.blocked = commit.blocked ?? undefined;
    if (commit.parked !== undefined) run.parked = commit.parked ?? undefined;
    if (isClosed(commit.status)) run.heartbeats.clear();
    else
      for (const heartbeat of commit.heartbeats ?? [])
        run.heartbeats.set(heartbeat.ordinal, { ...heartbeat });
  }

  #start({ of: start, eventCount, row, log, attributes }: EncodedPart<StartCommit>): RunKey {
    this.#lastRunKey += 1;
    const run: Run = {
      runKey: this.#lastRunKey,
      workflowId: start.workflowId,
      runId: start.runId,
      workflowType: start.workflowType,
      version: start.version,
      firstSeq: start.firstSeq,
      startedAt: start.startedAt,
      parent: start.parent === undefined ? undefined : { ...start.parent },
      status: start.status,
      headSeq: start.firstSeq - 1,
      closedAt: start.closedAt,
      wakeAt: isClosed(start.status) ? null : start.wakeAt,
      blocked: undefined,
      parked: undefined,
      rows: [],
      heartbeats: new Map(),
      log: [],
      dropped: { lines: 0, chars: 0 },
      attributes: attributes === undefined ? noAttributes : (JSON.parse(attributes) as Attributes),
    };
    this.#addRow(run, row, eventCount);
    addToLog(run, log);
    this.#runs.set(run.runKey, run);
    const chain = this.#chains.get(start.workflowId);
    if (chain === undefined) this.#chains.set(start.workflowId, [run]);
    else chain.push(run);
    return run.runKey;
  }

  #addRow(run: Run, text: string, count: number): void {
    if (count === 0) return;
    const firstSeq = run.headSeq + 1;
    run.rows.push({ firstSeq, text });
    run.headSeq += count;
    this.#feed.note({ runKey: run.runKey, firstSeq, count });
  }

  async readHistory(workflowId: WorkflowId): Promise<readonly Event[]> {
    return await this.readHistoryFrom(workflowId, 1);
  }

  async readHistoryFrom(
    workflowId: WorkflowId,
    fromSeq: number,
    limit = Number.POSITIVE_INFINITY,
  ): Promise<readonly Event[]> {
    this.#checkOpen();
    const events: Event[] = [];
    for (const run of this.#chains.get(workflowId) ?? []) {
      if (run.headSeq < fromSeq) continue;
      if (events.length >= limit) break;
      readRows(run, { fromSeq, limit }, events);
    }
    return events;
  }

  async readSegment(
    ref: RunRef,
    fromSeq: number,
    limit = Number.POSITIVE_INFINITY,
  ): Promise<readonly Event[]> {
    this.#checkOpen();
    const run = this.#runs.get(ref.runKey);
    const events: Event[] = [];
    if (run?.workflowId === ref.workflowId) readRows(run, { fromSeq, limit }, events);
    return events;
  }

  async readRunChain(workflowId: WorkflowId): Promise<readonly RunRecord[]> {
    this.#checkOpen();
    return (this.#chains.get(workflowId) ?? []).map(toRecord);
  }

  async findRun(workflowId: WorkflowId, runId?: RunId): Promise<RunRecord | undefined> {
    this.#checkOpen();
    const chain = this.#chains.get(workflowId);
    const run = runId === undefined ? chain?.at(-1) : chain?.find((candidate) => candidate.runId === runId);
    return run === undefined ? undefined : toRecord(run);
  }

  async findRunByKey(runKey: RunKey): Promise<RunRecord | undefined> {
    this.#checkOpen();
    const run = this.#runs.get(runKey);
    return run === undefined ? undefined : toRecord(run);
  }

  async listActive(afterKey: RunKey, limit: number): Promise<readonly RunRecord[]> {
    this.#checkOpen();
    const found: RunRecord[] = [];
    for (const run of this.#runs.values()) {
      if (found.length >= limit) break;
      if (run.runKey > afterKey && run.status === "running") found.push(toRecord(run));
    }
    return found;
  }

  async listDue(untilAt: number, after: DueCursor | undefined, limit: number): Promise<readonly DueRun[]> {
    this.#checkOpen();
    const due: DueRun[] = [];
    for (const { runKey, workflowId, wakeAt } of this.#runs.values()) {
      if (wakeAt === null || wakeAt > untilAt) continue;
      if (after !== undefined && compareDue({ wakeAt, runKey }, after) <= 0) continue;
      due.push({ runKey, workflowId, wakeAt });
    }
    return due.toSorted(compareDue).slice(0, limit);
  }

  async nextWakeAt(afterAt: number): Promise<number | undefined> {
    this.#checkOpen();
    let next: number | undefined;
    for (const { wakeAt } of this.#runs.values()) {
      if (wakeAt !== null && wakeAt > afterAt && (next === undefined || wakeAt < next)) next = wakeAt;
    }
    return next;
  }

  async listMessages(afterId: number, limit: number): Promise<readonly StoredMessage[]> {
    this.#checkOpen();
    const found: StoredMessage[] = [];
    for (const [messageId, { target, text }] of this.#messages) {
      if (found.length >= limit) break;
      if (messageId > afterId) found.push({ messageId, target, message: JSON.parse(text) as Message });
    }
    return found;
  }

  async readHeartbeats(runKey: RunKey): Promise<readonly Heartbeat[]> {
    this.#checkOpen();
    const heartbeats = [...(this.#runs.get(runKey)?.heartbeats.values() ?? [])];
    return heartbeats
      .map((heartbeat) => ({ ...heartbeat }))
      .toSorted((left, right) => left.ordinal - right.ordinal);
  }

  async readLog({ runKey, workflowId }: RunRef, afterSeq: number, limit: number): Promise<LogPage> {
    this.#checkOpen();
    const run = this.#runs.get(runKey);
    if (run?.workflowId !== workflowId) return { entries: [], droppedCount: 0 };
    const entries: LogEntry[] = [];
    let lineCount = 0;
    for (const entry of run.log) {
      if (entry.seq <= afterSeq) continue;
      if (lineCount >= limit) break;
      entries.push(decodeLog(entry));
      lineCount += entry.lineCount;
    }
    return { entries, droppedCount: run.dropped.lines };
  }

  async list(filter: RunFilter, page: PageRequest): Promise<RunPage> {
    this.#checkOpen();
    const beforeKey = parseCursor(page.cursor) ?? Number.POSITIVE_INFINITY;
    const runs: RunRecord[] = [];
    for (const run of [...this.#runs.values()].toReversed()) {
      if (run.runKey >= beforeKey || !matches(run, filter)) continue;
      if (runs.length === page.limit) return { runs, nextCursor: String(runs.at(-1)?.runKey ?? 0) };
      runs.push(page.withAttributes === true ? withAttributes(run) : toRecord(run));
    }
    return { runs };
  }

  async count(filter: RunFilter): Promise<number> {
    this.#checkOpen();
    let count = 0;
    for (const run of this.#runs.values()) if (matches(run, filter)) count += 1;
    return count;
  }

  async deleteClosed(token: OwnerToken, closedBefore: number, limit: number): Promise<number> {
    this.#checkOpen();
    this.#checkOwner(token);
    let deleted = 0;
    for (const run of this.#runs.values()) {
      if (deleted === limit) break;
      if (run.closedAt === undefined || run.closedAt >= closedBefore) continue;
      const chain = this.#chains.get(run.workflowId);
      // A history keeps no gap: a run goes only when all before it in its chain are gone.
      if (chain?.[0] !== run) continue;
      chain.shift();
      if (chain.length === 0) this.#chains.delete(run.workflowId);
      this.#runs.delete(run.runKey);
      deleted += 1;
    }
    return deleted;
  }

  async readCatalog(): Promise<Catalog> {
    this.#checkOpen();
    return this.#catalog.read();
  }

  async readPackage(version: string): Promise<Uint8Array | undefined> {
    this.#checkOpen();
    return this.#catalog.readPackage(version);
  }

  changeCatalog(token: OwnerToken, change: CatalogChange): Promise<CatalogReply> {
    return new Promise((resolve) => {
      this.#checkOpen();
      const encoded = encodeCatalogChange(change);
      this.#renewWhenDue(this.#checkOwner(token));
      const reply = this.#catalog.change(encoded, this.#openRuns());
      this.#defer(() => resolve(reply));
    });
  }

  async readFeed(request: FeedRange): Promise<FeedPage> {
    this.#checkOpen();
    return this.#feed.read<Run>(request, {
      findRun: (runKey) => this.#runs.get(runKey),
      readRow: ({ rows, workflowId }, { firstSeq }) => {
        const text = rows[rowAt(rows, firstSeq)]?.text ?? "";
        return { events: decodeRow(text, { workflowId, firstSeq }), chars: text.length };
      },
    });
  }

  *#openRuns(): Generator<Run> {
    for (const run of this.#runs.values()) if (!isClosed(run.status)) yield run;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new AionError("store_unavailable", `store ${this.name} is closed`);
  }
}

function addToLog(run: Run, entries: readonly EncodedLogEntry[]): void {
  if (entries.length === 0) return;
  for (const entry of entries) if (entry.seq > (run.log.at(-1)?.seq ?? 0)) run.log.push(entry);
  let total = run.dropped;
  for (const { lineCount, text } of run.log)
    total = { lines: total.lines + lineCount, chars: total.chars + text.length };
  while (run.log.length > 1 && !isWithinLog(run.dropped, total)) {
    const entry = run.log.shift();
    assert(entry, "a log that is not empty has an oldest entry");
    const { lines, chars } = run.dropped;
    run.dropped = { lines: lines + entry.lineCount, chars: chars + entry.text.length };
  }
}

function readRows(
  run: Run,
  range: { readonly fromSeq: number; readonly limit: number },
  into: Event[],
): void {
  const { rows, workflowId } = run;
  for (let index = rowAt(rows, range.fromSeq); index < rows.length && into.length < range.limit; index++) {
    const row = rows[index];
    if (row === undefined) break;
    for (const event of decodeRow(row.text, { workflowId, firstSeq: row.firstSeq })) {
      if (event.seq >= range.fromSeq) into.push(event);
    }
  }
}

/** The last row that begins at or before `seq`, or the first of all. */
function rowAt(rows: readonly Row[], seq: number): number {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((rows[middle]?.firstSeq ?? 0) <= seq) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

function toRecord(run: Run): RunRecord {
  return {
    runKey: run.runKey,
    workflowId: run.workflowId,
    runId: run.runId,
    workflowType: run.workflowType,
    version: run.version,
    status: run.status,
    firstSeq: run.firstSeq,
    headSeq: run.headSeq,
    startedAt: run.startedAt,
    wakeAt: run.wakeAt,
    ...(run.closedAt === undefined ? {} : { closedAt: run.closedAt }),
    ...(run.blocked === undefined ? {} : { blocked: run.blocked }),
    ...(run.parked === undefined ? {} : { parked: run.parked }),
    ...(run.parent === undefined ? {} : { parent: { ...run.parent } }),
  };
}

function withAttributes(run: Run): RunRecord {
  const record = toRecord(run);
  const hasAny = Object.keys(run.attributes).length > 0;
  return hasAny ? { ...record, attributes: structuredClone(run.attributes) } : record;
}

function matches(run: Run, filter: RunFilter): boolean {
  const { startedAt, closedAt } = run;
  return (
    (filter.workflowId === undefined || run.workflowId === filter.workflowId) &&
    (filter.exceptIdPrefix === undefined || !run.workflowId.startsWith(filter.exceptIdPrefix)) &&
    (filter.workflowType === undefined || run.workflowType === filter.workflowType) &&
    (filter.status === undefined || run.status === filter.status) &&
    (filter.isBlocked === undefined || (run.blocked !== undefined) === filter.isBlocked) &&
    (filter.isParked === undefined || (run.parked !== undefined) === filter.isParked) &&
    (filter.startedAfter === undefined || startedAt >= filter.startedAfter) &&
    (filter.startedBefore === undefined || startedAt <= filter.startedBefore) &&
    (filter.closedAfter === undefined || (closedAt !== undefined && closedAt >= filter.closedAfter)) &&
    (filter.closedBefore === undefined || (closedAt !== undefined && closedAt <= filter.closedBefore)) &&
    (filter.parentWorkflowId === undefined || run.parent?.workflowId === filter.parentWorkflowId) &&
    (filter.attributes === undefined || matchesAttributes(run.attributes, filter.attributes))
  );
}

function compareDue(left: DueCursor, right: DueCursor): number {
  return left.wakeAt - right.wakeAt || left.runKey - right.runKey;
}
