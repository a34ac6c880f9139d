import assert from "node:assert/strict";
import type * as FastCheck from "fast-check";
import type { AttributeCondition } from "../../core/attribute-filter.ts";
import type { Attributes } from "../../core/attributes.ts";
import type { RunId, WorkflowId } from "../../core/ids.ts";
import { toRunId } from "../../core/ids.ts";
import { toPayload } from "../../core/payload.ts";
import { isClosed } from "../../core/status.ts";
import type {
  CatalogChange,
  CatalogReply,
  Commit,
  CommitResult,
  FeedPage,
  OwnerToken,
  RunFilter,
  RunPage,
  RunRecord,
} from "../contract.ts";
import { toOwnerToken } from "../contract.ts";
import type { Call, FeedMark, Outcome, Read } from "./call.ts";
import type { LogEntry } from "../run-log.ts";
import type { Archive } from "./world.ts";
import { archiveOf, deployOf, endOf, feedKeepMs, idOf, leaseMs, mark, startedEvent } from "./world.ts";

/** One commit, described without reference to what the store holds, so that it can be shrunk. */
export interface Step {
  readonly kind: "start" | "extend" | "close" | "continue" | "reopen" | "flash" | "past" | "messages";
  readonly workflow: number;
  /** 0, or how far off the expected seq is. */
  readonly drift: number;
  readonly eventCount: number;
  readonly wakeAt: number | null;
  readonly sendCount: number;
  /** Which of the messages that were ever sent the commit answers. */
  readonly consume: number | undefined;
  readonly beatCount: number;
  /** Of what the run said: how many lines; 0: nothing. */
  readonly lineCount: number;
  /** Which attributes it has from then on; absent: as before. */
  readonly attributes: number | undefined;
  readonly blocked: string | null | undefined;
  readonly parked: string | null | undefined;
  /** Of a run that begins: which package it is of, if of any. */
  readonly package: number | undefined;
  readonly isPackageNeeded: boolean;
}

const reads = [
  "readOwner",
  "readHistory",
  "readRunChain",
  "readHistoryFrom",
  "readSegment",
  "findRun",
  "findRunByKey",
  "readHeartbeats",
  "readLog",
  "listActive",
  "listDue",
  "nextWakeAt",
  "listMessages",
  "count",
  "readCatalog",
  "readPackage",
] as const;

export type Operation =
  | { readonly kind: "append"; readonly isStale: boolean; readonly steps: readonly Step[] }
  | {
      readonly kind: "claim" | "renew" | "release";
      readonly isStale: boolean;
      /** Of a claim: what becomes of the feed. */
      readonly feed: "on" | "off" | undefined;
    }
  | {
      readonly kind: "deploy" | "route" | "unload";
      readonly isStale: boolean;
      readonly package: number;
      /** Each bit is one of the types of the package. */
      readonly types: number;
      /** Which request id it has, if it has one; or it is the last one with a request id once more. */
      readonly request: number | undefined;
      readonly isRepeated: boolean;
    }
  | { readonly kind: "wait"; readonly millis: number }
  | { readonly kind: "retain"; readonly isStale: boolean; readonly ageMs: number; readonly limit: number }
  | {
      readonly kind: "read";
      readonly what: (typeof reads)[number];
      /** Which run, id or filter is meant, and from where on. */
      readonly which: number;
      readonly from: number;
      readonly limit: number | undefined;
    }
  /** The next page of a listing, or the first of another. */
  | { readonly kind: "page"; readonly which: number; readonly limit: number }
  /** A page of the feed: from a cursor that was given, or from one of its ends. */
  | { readonly kind: "feed"; readonly which: number; readonly limit: number };

const workflowIds: readonly WorkflowId[] = ["a", "A", "a-b", "é"].map(idOf);

const attributeSets: readonly Attributes[] = [
  {},
  { amount: 5, region: "eu" },
  { amount: "5", region: ["eu", "é"] },
  { amount: { at: 5 }, paid: true },
  { amount: 7.5, paid: 1, region: "" },
  { amount: -1, paid: false, region: ["us"] },
];

const conditionSets: readonly (readonly AttributeCondition[])[] = [
  [{ name: "amount", kind: "exists" }],
  [{ name: "amount", kind: "in", values: [5] }],
  [{ name: "region", kind: "in", values: ["eu"] }],
  [{ name: "amount", kind: "in", values: ["5", 5, { at: 5 }] }],
  [{ name: "paid", kind: "in", values: [true, 1] }],
  [{ name: "region", kind: "in", values: ["eu", "é", ""] }],
  [{ name: "amount", kind: "range", of: "number", from: { value: 5, isOpen: false } }],
  [
    {
      name: "amount",
      kind: "range",
      of: "number",
      from: { value: -1, isOpen: true },
      to: { value: 7.5, isOpen: true },
    },
  ],
  [{ name: "amount", kind: "range", of: "datetime", to: { value: 5, isOpen: false } }],
  [
    { name: "region", kind: "exists" },
    { name: "amount", kind: "range", of: "number", to: { value: 6, isOpen: false } },
  ],
  [],
  [{ name: "none", kind: "exists" }],
];

const isLackingBit = 4;
const feedMarksMax = 60;

const packages: readonly Archive[] = [
  archiveOf("package of two", ["order", "bill"]),
  archiveOf("package of one", ["order"]),
  archiveOf("package of the others", ["🚀", "bill"]),
];

function packageAt(which: number): Archive {
  const found = packages[which % packages.length];
  assert.ok(found !== undefined);
  return found;
}

/** What those who call the store have been told: all that an operation can be made a call with. */
export class Ledger {
  readonly #runs = new Map<number, RunRecord>();
  readonly #sentIds: number[] = [];
  readonly #deployed = new Set<string>();
  readonly #retired: OwnerToken[] = [];
  #token: OwnerToken;
  #isOwned = true;
  #page: { readonly filter: RunFilter; readonly cursor: string; readonly runKey: number } | undefined;
  readonly #feedMarks: FeedMark[] = [];
  #requested: CatalogChange | undefined;
  #markCount = 0;
  #runCount = 0;

  constructor(token: OwnerToken) {
    this.#token = token;
  }

  /** False when the last token was given up: then another is claimed before anything is written. */
  get isOwned(): boolean {
    return this.#isOwned;
  }

  /** Undefined: there is nothing yet that could be meant. */
  toCall(operation: Exclude<Operation, { readonly kind: "wait" }>, now: number): Call | undefined {
    switch (operation.kind) {
      case "claim":
        return {
          kind: "claim",
          leaseMs,
          ...(operation.isStale ? { endpoint: "/run/aion.sock" } : {}),
          ...(operation.feed === undefined
            ? {}
            : { feed: operation.feed === "off" ? "off" : { keepMs: feedKeepMs } }),
        };
      case "renew":
      case "release":
        return { kind: operation.kind, token: this.#tokenFor(operation.isStale) };
      case "retain": {
        const token = this.#tokenFor(operation.isStale);
        return {
          kind: "deleteClosed",
          token,
          closedBefore: now + 1 - operation.ageMs,
          limit: operation.limit,
        };
      }
      case "append": {
        const commits = this.#toCommits(operation.steps, now);
        if (commits.length === 0) return undefined;
        return { kind: "append", token: this.#tokenFor(operation.isStale), commits };
      }
      case "deploy":
      case "route":
      case "unload":
        return {
          kind: "changeCatalog",
          token: this.#tokenFor(operation.isStale),
          change: this.#toChange(operation, now),
        };
      case "page":
        return this.#toPage(operation);
      case "feed":
        return this.#toFeed(operation);
      case "read":
        return this.#toRead(operation, now);
    }
  }

  learn(call: Call, outcome: Outcome): void {
    if (!outcome.ok) return;
    switch (call.kind) {
      case "claim":
        this.#retired.push(this.#token);
        this.#token = outcome.value as OwnerToken;
        this.#isOwned = true;
        break;
      case "release":
        if (call.token.epoch !== this.#token.epoch) break;
        this.#retired.push(this.#token);
        this.#isOwned = false;
        break;
      case "append":
        for (const [index, result] of (outcome.value as readonly CommitResult[]).entries()) {
          const commit = call.commits[index];
          if (commit !== undefined && result.ok) this.#learnCommit(commit, result);
        }
        break;
      case "readFeed": {
        const { items, nextCursor } = outcome.value as FeedPage;
        this.#feedMarks.splice(0, Math.max(0, this.#feedMarks.length - feedMarksMax));
        for (const { cursor, runId, event } of items)
          if (event !== undefined) this.#feedMarks.push({ cursor, runId, seq: event.seq });
        const last = this.#feedMarks.at(-1);
        // Of a page with a filter the end may lie behind what others would read from there.
        const isFiltered =
          call.workflowId !== undefined || call.workflowType !== undefined || call.attributes !== undefined;
        if (isFiltered) break;
        if (items.length > 0 && last !== undefined) this.#feedMarks.push({ ...last, cursor: nextCursor });
        else if (typeof call.after !== "string") this.#feedMarks.push({ ...call.after, cursor: nextCursor });
        break;
      }
      case "changeCatalog":
        if (call.change.requestId !== undefined) this.#requested = call.change;
        if ((outcome.value as CatalogReply).isRepeated) break;
        if (call.change.kind === "deploy") this.#deployed.add(call.change.version);
        if (call.change.kind === "unload") this.#deployed.delete(call.change.version);
        break;
      case "deleteClosed":
        for (const run of this.#runs.values()) {
          if ((run.closedAt ?? call.closedBefore) < call.closedBefore) this.#runs.delete(run.runKey);
        }
        break;
      case "readRunChain":
        for (const run of this.#chain(call.workflowId)) this.#runs.delete(run.runKey);
        for (const run of outcome.value as readonly RunRecord[]) this.#runs.set(run.runKey, run);
        break;
      case "list": {
        const { runs, nextCursor: cursor } = outcome.value as RunPage;
        const runKey = runs.at(-1)?.runKey;
        this.#page =
          cursor === undefined || runKey === undefined ? undefined : { filter: call.filter, cursor, runKey };
        break;
      }
      default:
        break;
    }
  }

  /** Every read there is, of all that is known to be there. */
  readAll(): readonly Read[] {
    const all = 1_000;
    const runs = [...this.#runs.values()];
    return [
      { kind: "readOwner" },
      ...workflowIds.flatMap((workflowId): Read[] => [
        // First, since it says which runs there are.
        { kind: "readRunChain", workflowId },
        { kind: "readHistory", workflowId },
        { kind: "findRun", workflowId },
      ]),
      ...runs.flatMap((run): Read[] => [
        { kind: "findRunByKey", runKey: run.runKey },
        { kind: "findRun", workflowId: run.workflowId, runId: run.runId },
        { kind: "readSegment", run, fromSeq: run.firstSeq },
        { kind: "readHistoryFrom", workflowId: run.workflowId, fromSeq: run.headSeq },
        { kind: "readHeartbeats", runKey: run.runKey },
        { kind: "readLog", run, afterSeq: 0, limit: 10_000 },
        { kind: "readLog", run, afterSeq: 1, limit: 2 },
      ]),
      { kind: "listActive", afterKey: 0, limit: all },
      { kind: "listDue", untilAt: all, after: undefined, limit: all },
      { kind: "nextWakeAt", afterAt: 0 },
      { kind: "listMessages", afterId: 0, limit: all },
      { kind: "list", filter: {}, limit: all, withAttributes: true },
      ...conditionSets.flatMap((attributes): Read[] => [
        { kind: "list", filter: { attributes }, limit: all },
        { kind: "count", filter: { attributes } },
        { kind: "count", filter: { attributes, status: "running" } },
      ]),
      { kind: "count", filter: {} },
      { kind: "count", filter: { status: "running" } },
      { kind: "count", filter: { status: "paused" } },
      { kind: "list", filter: { status: "paused" }, limit: all },
      { kind: "count", filter: { isBlocked: true } },
      { kind: "list", filter: { isParked: true }, limit: all },
      { kind: "readCatalog" },
      { kind: "readFeed", after: "oldest", limit: all },
      ...packages.map(({ version }): Read => ({ kind: "readPackage", version })),
    ];
  }

  #tokenFor(isStale: boolean): OwnerToken {
    return isStale ? (this.#retired.at(-1) ?? toOwnerToken(this.#token.epoch - 1)) : this.#token;
  }

  #chain(workflowId: WorkflowId): readonly RunRecord[] {
    return [...this.#runs.values()]
      .filter((run) => run.workflowId === workflowId)
      .toSorted((left, right) => left.firstSeq - right.firstSeq);
  }

  // One commit on each workflow, and one answer to each message: what a second one means depends on what
  // becomes of the first.
  #toCommits(steps: readonly Step[], now: number): readonly Commit[] {
    const seen = new Set<number>();
    const consumed = new Set<number>();
    return steps.flatMap((step) => {
      if (seen.has(step.workflow)) return [];
      seen.add(step.workflow);
      const commit = this.#toCommit(step, now, consumed);
      return commit === undefined ? [] : [commit];
    });
  }

  #toCommit(step: Step, now: number, consumed: Set<number>): Commit | undefined {
    const workflowId = workflowIds[step.workflow % workflowIds.length] ?? idOf("a");
    const chain = this.#chain(workflowId);
    const latest = chain.at(-1);
    const kind = kindOn(step.kind, latest);
    const extended = kind === "past" ? chain.at(-2) : latest;
    const commit: { -readonly [Part in keyof Commit]: Commit[Part] } = {};
    let headSeq = latest?.headSeq ?? 0;
    if (extended !== undefined && kind !== "start" && kind !== "flash" && kind !== "messages") {
      const status =
        kind === "close"
          ? "completed"
          : kind === "continue"
            ? "continued-as-new"
            : this.#markCount % 4 === 0
              ? "paused"
              : "running";
      const events = [
        ...Array.from({ length: step.eventCount }, () => this.#newMark(now)),
        ...(isClosed(status) ? [endOf(status, now)] : []),
      ];
      commit.run = {
        runKey: extended.runKey,
        workflowId,
        expectedSeq: Math.max(0, extended.headSeq + step.drift),
        events,
        status,
        // Clocks go back: what begins later may end earlier.
        ...(isClosed(status) ? { closedAt: now - 6_000 * (this.#markCount % 3) } : {}),
        wakeAt: step.wakeAt,
        wakeAtBefore: extended.wakeAt,
        ...(step.blocked === undefined ? {} : { blocked: step.blocked }),
        ...(step.parked === undefined ? {} : { parked: step.parked }),
        heartbeats: Array.from({ length: step.beatCount }, (_, ordinal) => ({
          ordinal: ordinal * step.eventCount,
          attempt: 1 + (this.#markCount % 3),
          details: toPayload([this.#markCount, ordinal], "details"),
        })),
        ...this.#toLog(extended.headSeq + 1 + step.drift, step),
        ...toAttributes(step),
      };
      headSeq += events.length;
    }
    if (kind === "start" || kind === "flash" || kind === "continue") {
      const firstSeq = Math.max(1, headSeq + 1 + (commit.run === undefined ? step.drift : 0));
      const runId = this.#newRunId();
      const isFlash = kind === "flash";
      commit.start = {
        workflowId,
        runId,
        workflowType: step.workflow % 2 === 0 ? "order" : "bill",
        version: step.package === undefined ? "v1" : this.#knownPackage(step.package).version,
        firstSeq,
        ...this.#toFollows(latest),
        events: [startedEvent(runId, now), ...(isFlash ? [endOf("failed", now)] : [])],
        status: isFlash ? "failed" : "running",
        startedAt: now,
        ...(isFlash ? { closedAt: now } : {}),
        wakeAt: step.wakeAt,
        ...this.#toLog(firstSeq, step),
        ...toAttributes(step),
        ...(step.workflow === 1
          ? { parent: { workflowId: idOf("a"), runId: toRunId("r"), ordinal: 2 } }
          : {}),
      };
    }
    if (commit.start !== undefined && step.package !== undefined && step.isPackageNeeded)
      commit.needsPackage = commit.start.version;
    const messageId = this.#messageToConsume(step, consumed);
    if (messageId !== undefined) commit.consume = [messageId];
    if (step.sendCount > 0) {
      commit.send = Array.from({ length: step.sendCount }, () => ({
        target: workflowId,
        message: { kind: "cancel", reason: `m${this.#newNumber()}` },
      }));
    }
    return Object.keys(commit).length === 0 ? undefined : commit;
  }

  /** Mostly the run that is known to be the last, sometimes another one. */
  #toFollows(latest: RunRecord | undefined): { readonly follows?: number } {
    const [isNamed, isOther] = [this.#markCount % 4 > 0, this.#markCount % 8 === 7];
    return latest === undefined || !isNamed ? {} : { follows: latest.runKey + (isOther ? 1 : 0) };
  }

  #messageToConsume(step: Step, consumed: Set<number>): number | undefined {
    if (step.consume === undefined || this.#sentIds.length === 0) return undefined;
    const messageId = this.#sentIds[step.consume % this.#sentIds.length];
    if (messageId === undefined || consumed.has(messageId)) return undefined;
    consumed.add(messageId);
    return messageId;
  }

  #learnCommit({ run, start }: Commit, result: Extract<CommitResult, { readonly ok: true }>): void {
    this.#sentIds.push(...result.messageIds);
    const before = run === undefined ? undefined : this.#runs.get(run.runKey);
    if (run !== undefined && before !== undefined) {
      const { closedAt: _closedAt, ...kept } = before;
      this.#runs.set(run.runKey, {
        ...kept,
        status: run.status,
        headSeq: run.expectedSeq + run.events.length,
        wakeAt: isClosed(run.status) ? null : run.wakeAt,
        ...(run.closedAt === undefined ? {} : { closedAt: run.closedAt }),
      });
    }
    if (start !== undefined && result.startedKey !== undefined) {
      const { events, ...fields } = start;
      const headSeq = start.firstSeq - 1 + events.length;
      this.#runs.set(result.startedKey, {
        ...fields,
        runKey: result.startedKey,
        headSeq,
        wakeAt: isClosed(start.status) ? null : start.wakeAt,
      });
    }
  }

  #toChange(
    operation: Extract<Operation, { readonly kind: "deploy" | "route" | "unload" }>,
    now: number,
  ): CatalogChange {
    const { request, isRepeated } = operation;
    if (isRepeated && this.#requested !== undefined) return this.#requested;
    const change = this.#toFreshChange(operation, now);
    return request === undefined ? change : { ...change, requestId: `request-${request}` };
  }

  /** Mostly on a package that is there; where there is none one is deployed. */
  #toFreshChange(
    { kind, package: which, types }: Extract<Operation, { readonly kind: "deploy" | "route" | "unload" }>,
    now: number,
  ): CatalogChange {
    if (kind === "deploy" || this.#deployed.size === 0) {
      const archive = packageAt(which);
      return deployOf(archive, { deployedAt: now, route: typesOf(archive, types) });
    }
    const archive = this.#knownPackage(which);
    const { version } = archive;
    if (kind === "unload") return { kind, version };
    return { kind, version, workflowTypes: typesOf(archive, types), routedAt: now };
  }

  /** The last one is meant whether it is there or not. */
  #knownPackage(which: number): Archive {
    const there = packages.filter(({ version }) => this.#deployed.has(version));
    const found = which === packages.length - 1 ? undefined : there[which % Math.max(1, there.length)];
    return found ?? packageAt(which);
  }

  #toPage({ which, limit }: Extract<Operation, { readonly kind: "page" }>): Call {
    if (this.#page !== undefined && which % 3 > 0) {
      const { filter, cursor, runKey } = this.#page;
      return { kind: "list", filter, limit, after: { cursor, runKey }, withAttributes: which % 2 === 0 };
    }
    return { kind: "list", filter: this.#toFilter(which), limit, withAttributes: which % 2 === 0 };
  }

  #toFeed({ which, limit }: Extract<Operation, { readonly kind: "feed" }>): Call {
    const found = this.#feedMarks[which % Math.max(1, this.#feedMarks.length)];
    const end = which % 6 === 0 ? "latest" : "oldest";
    return {
      kind: "readFeed",
      after: found === undefined || which % 3 === 0 ? end : found,
      limit,
      ...(which % 5 === 1 ? { workflowId: workflowIds[which % workflowIds.length] ?? idOf("a") } : {}),
      ...(which % 5 === 2 ? { workflowType: "bill" } : {}),
      ...(which % 5 > 2 ? conditionsAt(which) : {}),
    };
  }

  #toFilter(which: number): RunFilter {
    const run = this.#pick(which);
    const filters: readonly RunFilter[] = [
      {},
      { status: "running" },
      { status: "paused" },
      { status: "completed" },
      { isBlocked: true },
      { isBlocked: false },
      { isParked: true },
      { isParked: false },
      { workflowId: workflowIds[which % workflowIds.length] ?? idOf("a") },
      { exceptIdPrefix: "a" },
      { exceptIdPrefix: "a", status: "running" },
      { workflowType: "bill" },
      { parentWorkflowId: idOf("a") },
      conditionsAt(which),
      { ...conditionsAt(which), status: "running" },
      { ...conditionsAt(which), workflowId: workflowIds[which % workflowIds.length] ?? idOf("a") },
      ...(run === undefined ? [] : [{ startedAfter: run.startedAt }, { startedBefore: run.startedAt }]),
      ...(run?.closedAt === undefined
        ? []
        : [{ closedBefore: run.closedAt }, { closedAfter: run.closedAt, status: run.status }]),
    ];
    return filters[which % filters.length] ?? {};
  }

  #pick(which: number): RunRecord | undefined {
    return [...this.#runs.values()][which % Math.max(1, this.#runs.size)];
  }

  #toRead(operation: Extract<Operation, { readonly kind: "read" }>, now: number): Call {
    const { what, which, from } = operation;
    const workflowId = workflowIds[which % workflowIds.length] ?? idOf("a");
    const limited = operation.limit === undefined ? {} : { limit: operation.limit };
    const limit = operation.limit ?? 1_000;
    const run = this.#pick(which) ?? { runKey: 999_999, workflowId, runId: "unknown" as RunId, wakeAt: null };
    switch (what) {
      case "readOwner":
        return { kind: what };
      case "readHistory":
      case "readRunChain":
        return { kind: what, workflowId };
      case "readHistoryFrom":
        return { kind: what, workflowId, fromSeq: from, ...limited };
      case "readSegment":
        return { kind: what, run, fromSeq: from, ...limited };
      case "findRun":
        return { kind: what, workflowId: run.workflowId, ...(from % 2 === 0 ? {} : { runId: run.runId }) };
      case "findRunByKey":
      case "readHeartbeats":
        return { kind: what, runKey: run.runKey };
      case "readLog":
        return { kind: what, run, afterSeq: from - 1, limit };
      case "listActive":
        return { kind: what, afterKey: from % 2 === 0 ? 0 : run.runKey, limit };
      case "listDue": {
        const { wakeAt, runKey } = run;
        const after = wakeAt === null || from % 2 === 0 ? undefined : { wakeAt, runKey };
        return { kind: what, untilAt: from % 4 === 3 ? now : from, after, limit };
      }
      case "nextWakeAt":
        return { kind: what, afterAt: from - 1 };
      case "listMessages":
        return { kind: what, afterId: this.#sentIds[from % Math.max(1, this.#sentIds.length)] ?? 0, limit };
      case "count":
        return { kind: what, filter: this.#toFilter(which) };
      case "readCatalog":
        return { kind: what };
      case "readPackage":
        return { kind: what, version: packageAt(which).version };
    }
  }

  /** Of the seq that is next, or of one that was before. */
  #toLog(seq: number, { lineCount }: Step): { readonly log?: readonly LogEntry[] } {
    if (lineCount === 0) return {};
    const message = `said ${this.#newNumber()}`;
    const lines = Array.from({ length: lineCount }, () => ({ level: "info" as const, message }));
    return { log: [{ seq: Math.max(1, seq - (lineCount === 3 ? 1 : 0)), saidAt: seq, lines }] };
  }

  #newNumber(): number {
    this.#markCount += 1;
    return this.#markCount;
  }

  // Instants that repeat and go back: nothing is ordered by them.
  #newMark(now: number): ReturnType<typeof mark> {
    const number = this.#newNumber();
    return mark(`m${number}`, now - (number % 3));
  }

  #newRunId(): RunId {
    this.#runCount += 1;
    return toRunId(`run-${this.#runCount}`);
  }
}

function toAttributes({ attributes }: Step): { readonly attributes?: Attributes } {
  const set = attributes === undefined ? undefined : attributeSets[attributes % attributeSets.length];
  return set === undefined ? {} : { attributes: set };
}

function conditionsAt(which: number): { readonly attributes: readonly AttributeCondition[] } {
  return { attributes: conditionSets[which % conditionSets.length] ?? [] };
}

/** Of those types of the package that the bits name; with the highest bit one that it lacks. */
function typesOf({ workflowTypes }: Pick<Archive, "workflowTypes">, bits: number): readonly string[] {
  const own = workflowTypes.filter((_, index) => (bits & (1 << index)) !== 0);
  return (bits & isLackingBit) === 0 ? own : [...own, "none"];
}

/** What is done is mostly what can be done: on a workflow that has no open run, that is to start one. */
function kindOn(kind: Step["kind"], latest: RunRecord | undefined): Step["kind"] {
  if (kind === "messages" || kind === "past") return kind;
  if (latest === undefined) return kind === "flash" ? kind : "start";
  const isOpen = !isClosed(latest.status);
  if (isOpen) return kind === "reopen" ? "extend" : kind;
  return kind === "reopen" || kind === "flash" ? kind : "start";
}

export interface OperationArbitraries {
  readonly write: FastCheck.Arbitrary<Operation>;
  readonly read: FastCheck.Arbitrary<Operation>;
  readonly own: FastCheck.Arbitrary<Operation>;
  readonly wait: FastCheck.Arbitrary<Operation>;
}

/** In each, what comes first is what a counterexample shrinks to. */
export function operationArbitraries(fc: typeof FastCheck): OperationArbitraries {
  const seldom = fc.oneof(
    { weight: 9, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  );
  const limit = fc.constantFrom(1_000, 1, 2, 3);
  const step: FastCheck.Arbitrary<Step> = fc.record({
    kind: fc.oneof(
      { weight: 6, arbitrary: fc.constant("extend" as const) },
      {
        weight: 5,
        arbitrary: fc.constantFrom<Step["kind"]>("start", "close", "close", "continue", "messages", "flash"),
      },
      { weight: 1, arbitrary: fc.constantFrom<Step["kind"]>("reopen", "past") },
    ),
    workflow: fc.nat({ max: workflowIds.length - 1 }),
    drift: fc.oneof(
      { weight: 9, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.integer({ min: -2, max: 2 }) },
    ),
    eventCount: fc.nat({ max: 3 }),
    wakeAt: fc.option(fc.nat({ max: 5 })),
    sendCount: fc.oneof(
      { weight: 3, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 2 }) },
    ),
    consume: fc.option(fc.nat({ max: 50 }), { nil: undefined, freq: 2 }),
    beatCount: fc.nat({ max: 2 }),
    // Two of the longest are more than is kept.
    lineCount: fc.oneof(
      { weight: 19, arbitrary: fc.nat({ max: 3 }) },
      { weight: 1, arbitrary: fc.constant(600) },
    ),
    attributes: fc.option(fc.nat({ max: attributeSets.length - 1 }), { nil: undefined, freq: 2 }),
    blocked: fc.oneof(
      { weight: 3, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constantFrom(null, "no code") },
    ),
    parked: fc.oneof(
      { weight: 3, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constantFrom(null, "the first", "the second") },
    ),
    package: fc.option(fc.nat({ max: packages.length - 1 }), { nil: undefined, freq: 2 }),
    isPackageNeeded: seldom,
  });
  const change = fc.record({
    kind: fc.oneof(
      { weight: 1, arbitrary: fc.constantFrom("deploy" as const, "route" as const) },
      // Where there is nothing to unload it deploys.
      { weight: 2, arbitrary: fc.constant("unload" as const) },
    ),
    isStale: seldom,
    package: fc.nat({ max: packages.length - 1 }),
    types: fc.oneof(
      { weight: 3, arbitrary: fc.constant(0) },
      { weight: 2, arbitrary: fc.nat({ max: 2 * isLackingBit - 1 }) },
    ),
    request: fc.option(fc.nat({ max: 2 }), { nil: undefined, freq: 2 }),
    isRepeated: fc.boolean(),
  });
  const retain = fc.record({
    kind: fc.constant("retain" as const),
    isStale: seldom,
    ageMs: fc.constantFrom(0, 1, 5_000),
    limit,
  });
  return {
    write: fc.oneof(
      {
        weight: 10,
        arbitrary: fc.record({
          kind: fc.constant("append" as const),
          isStale: seldom,
          steps: fc.array(step, { minLength: 1, maxLength: 4 }),
        }),
      },
      { weight: 2, arbitrary: retain },
      { weight: 7, arbitrary: change },
    ),
    read: fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant("read" as const),
          what: fc.constantFrom(...reads),
          which: fc.nat({ max: 200 }),
          from: fc.nat({ max: 12 }),
          limit: fc.option(limit, { nil: undefined }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant("page" as const), which: fc.nat({ max: 200 }), limit }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant("feed" as const), which: fc.nat({ max: 60 }), limit }),
      },
    ),
    own: fc.record({
      kind: fc.constantFrom("claim", "renew", "release"),
      isStale: fc.boolean(),
      feed: fc.oneof(
        { weight: 2, arbitrary: fc.constant(undefined) },
        { weight: 2, arbitrary: fc.constant("on" as const) },
        { weight: 1, arbitrary: fc.constant("off" as const) },
      ),
    }),
    wait: fc.record({
      kind: fc.constant("wait" as const),
      millis: fc.oneof(fc.nat({ max: 2 * leaseMs }), fc.constant(leaseMs + 1)),
    }),
  };
}
