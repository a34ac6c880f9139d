import { inspect } from "node:util";
import { isAionError } from "../../core/errors.ts";
import type { AttributeCondition } from "../../core/attribute-filter.ts";
import type { ErrorCode } from "../../core/errors.ts";
import type { RunId, WorkflowId } from "../../core/ids.ts";
import type {
  CatalogChange,
  Commit,
  DueCursor,
  OwnerClaim,
  OwnerToken,
  RunFilter,
  RunKey,
  RunRef,
  Store,
} from "../contract.ts";

/** One call of the contract as data: it can be made, shown, and asked of the model. */
export type Call =
  | {
      readonly kind: "claim";
      readonly leaseMs: number;
      readonly endpoint?: string;
      readonly feed?: NonNullable<OwnerClaim["feed"]>;
    }
  | { readonly kind: "renew" | "release"; readonly token: OwnerToken }
  | { readonly kind: "append"; readonly token: OwnerToken; readonly commits: readonly Commit[] }
  | {
      readonly kind: "deleteClosed";
      readonly token: OwnerToken;
      readonly closedBefore: number;
      readonly limit: number;
    }
  | { readonly kind: "changeCatalog"; readonly token: OwnerToken; readonly change: CatalogChange }
  | Read;

export type Read =
  | { readonly kind: "readOwner" }
  | { readonly kind: "readCatalog" }
  | {
      readonly kind: "readFeed";
      readonly after: "oldest" | "latest" | FeedMark;
      readonly limit: number;
      readonly workflowId?: WorkflowId;
      readonly workflowType?: string;
      readonly attributes?: readonly AttributeCondition[];
    }
  | { readonly kind: "readPackage"; readonly version: string }
  | { readonly kind: "readHistory" | "readRunChain"; readonly workflowId: WorkflowId }
  | {
      readonly kind: "readHistoryFrom";
      readonly workflowId: WorkflowId;
      readonly fromSeq: number;
      readonly limit?: number;
    }
  | { readonly kind: "readSegment"; readonly run: RunRef; readonly fromSeq: number; readonly limit?: number }
  | { readonly kind: "findRun"; readonly workflowId: WorkflowId; readonly runId?: RunId }
  | { readonly kind: "findRunByKey" | "readHeartbeats"; readonly runKey: RunKey }
  | { readonly kind: "readLog"; readonly run: RunRef; readonly afterSeq: number; readonly limit: number }
  | { readonly kind: "listActive"; readonly afterKey: RunKey; readonly limit: number }
  | {
      readonly kind: "listDue";
      readonly untilAt: number;
      readonly after: DueCursor | undefined;
      readonly limit: number;
    }
  | { readonly kind: "nextWakeAt"; readonly afterAt: number }
  | { readonly kind: "listMessages"; readonly afterId: number; readonly limit: number }
  | {
      readonly kind: "list";
      readonly filter: RunFilter;
      readonly limit: number;
      /** Of an earlier page, with the key of its last run: what the cursor means. */
      readonly after?: { readonly cursor: string; readonly runKey: RunKey };
      readonly withAttributes?: boolean;
    }
  | { readonly kind: "count"; readonly filter: RunFilter };

/** A cursor of the feed, with the event that it stands behind: what it means. */
export interface FeedMark {
  readonly cursor: string;
  readonly runId: RunId;
  readonly seq: number;
}

export type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | {
      readonly ok: false;
      readonly code: ErrorCode;
      readonly details: Readonly<Record<string, unknown>>;
    };

/** Makes the call. What is no error of Aion's is a fault of the backend, and thrown. */
export async function perform(store: Store, call: Call): Promise<Outcome> {
  try {
    return { ok: true, value: await make(store, call) };
  } catch (error) {
    if (!isAionError(error)) throw error;
    return { ok: false, code: error.code, details: error.details };
  }
}

async function make(store: Store, call: Call): Promise<unknown> {
  switch (call.kind) {
    case "claim": {
      const { kind: _kind, ...claim } = call;
      return await store.claim(claim);
    }
    case "renew":
      return await store.renew(call.token);
    case "release":
      return await store.release(call.token);
    case "append":
      return await store.append(call.token, call.commits);
    case "deleteClosed":
      return await store.deleteClosed(call.token, call.closedBefore, call.limit);
    case "changeCatalog":
      return await store.changeCatalog(call.token, call.change);
    case "readCatalog":
      return await store.readCatalog();
    case "readPackage": {
      const archive = await store.readPackage(call.version);
      return archive === undefined ? undefined : Buffer.from(archive).toString("hex");
    }
    case "readFeed": {
      const { kind: _kind, after, ...rest } = call;
      return await store.readFeed({ ...rest, after: typeof after === "string" ? after : after.cursor });
    }
    case "readOwner":
      return await store.readOwner();
    case "readHistory":
      return await store.readHistory(call.workflowId);
    case "readHistoryFrom":
      return await store.readHistoryFrom(call.workflowId, call.fromSeq, call.limit);
    case "readSegment":
      return await store.readSegment(call.run, call.fromSeq, call.limit);
    case "readRunChain":
      return await store.readRunChain(call.workflowId);
    case "findRun":
      return await store.findRun(call.workflowId, call.runId);
    case "findRunByKey":
      return await store.findRunByKey(call.runKey);
    case "readHeartbeats":
      return await store.readHeartbeats(call.runKey);
    case "readLog":
      return await store.readLog(call.run, call.afterSeq, call.limit);
    case "listActive":
      return await store.listActive(call.afterKey, call.limit);
    case "listDue":
      return await store.listDue(call.untilAt, call.after, call.limit);
    case "nextWakeAt":
      return await store.nextWakeAt(call.afterAt);
    case "listMessages":
      return await store.listMessages(call.afterId, call.limit);
    case "list": {
      const { filter, limit, after, withAttributes = false } = call;
      const cursor = after === undefined ? {} : { cursor: after.cursor };
      return await store.list(filter, { limit, ...cursor, withAttributes });
    }
    case "count":
      return await store.count(call.filter);
  }
}

/** A call in one line, for a counterexample: what matters of it, in the order of its parameters. */
export function showCall(call: Call): string {
  switch (call.kind) {
    case "append":
      return `append(epoch ${call.token.epoch}, [${call.commits.map(showCommit).join("; ")}])`;
    case "renew":
    case "release":
      return `${call.kind}(epoch ${call.token.epoch})`;
    case "deleteClosed":
      return `deleteClosed(epoch ${call.token.epoch}, before ${call.closedBefore}, limit ${call.limit})`;
    case "changeCatalog":
      return `changeCatalog(epoch ${call.token.epoch}, ${showChange(call.change)})`;
    case "readPackage":
      return `readPackage(${shortOf(call.version)})`;
    case "readSegment": {
      const { run, fromSeq, limit } = call;
      return `readSegment(${run.workflowId}#${run.runKey}, from ${fromSeq}, limit ${limit})`;
    }
    default: {
      const { kind, ...of } = call;
      return `${kind}(${show(of)})`;
    }
  }
}

function showChange(change: CatalogChange): string {
  const { requestId, ...rest } = change;
  if (requestId !== undefined) return `${showChange(rest)}, as ${requestId}`;
  const version = shortOf(change.version);
  switch (change.kind) {
    case "deploy":
      return `deploy ${version} of ${show(change.workflowTypes)}, route ${show(change.route)}`;
    case "route":
      return `route ${show(change.workflowTypes)} to ${version}`;
    case "unload":
      return `unload ${version}`;
  }
}

const shortOf = (version: string): string => version.slice(0, 8);

function showCommit({ run, start, send, consume, needsPackage }: Commit): string {
  const parts: string[] = [];
  if (run !== undefined) {
    const {
      workflowId,
      runKey,
      expectedSeq,
      events,
      status,
      wakeAt,
      blocked,
      parked,
      heartbeats,
      attributes,
    } = run;
    parts.push(`run ${workflowId}#${runKey} at ${expectedSeq} +${events.length} ${status} wake ${wakeAt}`);
    if (blocked !== undefined) parts.push(`blocked ${show(blocked)}`);
    if (parked !== undefined) parts.push(`parked ${show(parked)}`);
    if (attributes !== undefined) parts.push(`attributes ${show(attributes)}`);
    if (heartbeats !== undefined && heartbeats.length > 0)
      parts.push(`beats ${show(heartbeats.map(({ ordinal, attempt }) => [ordinal, attempt]))}`);
  }
  if (start !== undefined) {
    const { workflowId, firstSeq, follows, events, status, wakeAt, version, attributes } = start;
    const after = follows === undefined ? "" : ` after #${follows}`;
    const of = version === "v1" ? "" : ` of ${shortOf(version)}`;
    parts.push(`start ${workflowId} at ${firstSeq}${after} +${events.length} ${status} wake ${wakeAt}${of}`);
    if (attributes !== undefined) parts.push(`attributes ${show(attributes)}`);
  }
  if (send !== undefined) parts.push(`send ${send.length}`);
  if (consume !== undefined) parts.push(`consume ${show(consume)}`);
  if (needsPackage !== undefined) parts.push(`needs ${shortOf(needsPackage)}`);
  return parts.join(", ");
}

export function showOutcome(outcome: Outcome): string {
  if (!outcome.ok) return `rejected with ${outcome.code} ${show(outcome.details)}`;
  return show(toPlain(outcome.value));
}

// Events and errors in short: a counterexample is to be read.
function toPlain(value: unknown): unknown {
  if (isAionError(value)) return `${value.code} ${show(value.details)}`;
  if (Array.isArray(value)) return value.map(toPlain);
  if (typeof value !== "object" || value === null) return value;
  if ("recordedAt" in value && "seq" in value && "type" in value) {
    return `${String(value.seq)} ${"changeId" in value ? String(value.changeId) : String(value.type)}`;
  }
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, toPlain(field)]));
}

export function show(value: unknown): string {
  return inspect(value, { depth: 6, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: 40 });
}

export function showPlain(value: unknown): string {
  return show(toPlain(value));
}
