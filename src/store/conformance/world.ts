import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { NewEvent } from "../../core/codec.ts";
import { isAionError } from "../../core/errors.ts";
import type { ErrorCode } from "../../core/errors.ts";
import type { RunId, WorkflowId } from "../../core/ids.ts";
import { parseWorkflowId, toRunId } from "../../core/ids.ts";
import { toPayload } from "../../core/payload.ts";
import type { Clock } from "../../core/ports.ts";
import type { RunStatus } from "../../core/status.ts";
import type { PropertyOptions } from "./property.ts";
import type {
  CatalogChange,
  CatalogReply,
  Commit,
  CommitResult,
  OwnerToken,
  RunCommit,
  RunRef,
  StartCommit,
  Store,
} from "../contract.ts";

/** What a backend's test file hands in. */
export interface StoreBackend<Opened extends OpenedStore = OpenedStore> {
  /** A fresh, empty store that reads the time from `clock`, unless it says how its time is told and moved. */
  open(options: { readonly clock: Clock }): Promise<Opened>;
  /**
   * Another object on the data of an opened store, as another process would open it: one that may write too.
   * Absent: there is no such thing, and the scenarios that need it are left out.
   */
  reopen?(opened: Opened): Promise<Store>;
  /**
   * Changes the stored row that holds this event, as a disk would: behind the store's back, by a bit or a
   * letter. Absent: the backend keeps no checksums, and the scenario that needs it is left out.
   */
  damage?(opened: Opened, event: { readonly run: RunRef; readonly seq: number }): Promise<void>;
  /** Flips a bit of the stored archive of a package, behind the store's back. Absent: the scenario that needs it is left out. */
  damagePackage?(opened: Opened, version: string): Promise<void>;
}

export interface OpenedStore {
  readonly store: Store;
  /** Where the store takes its time from, if not from the clock that `open` was handed. */
  readonly time?: StoreTime;
  /** Closes what is open, and removes the data. */
  dispose(): Promise<void>;
}

/** A store's time in the hands of the suite: it stands still until it is moved. */
export interface StoreTime {
  /** Milliseconds since 1970. */
  now(): number | Promise<number>;
  advance(millis: number): void | Promise<void>;
}

/** One law of the contract, shown on a fresh store. */
export interface Scenario {
  readonly name: string;
  /** Left out for a backend without it. */
  readonly needs?: "reopen" | "damage" | "damagePackage";
  run(world: World, backend: StoreBackend, options: PropertyOptions): Promise<void>;
}

export class VirtualClock implements Clock, StoreTime {
  #now = 1_700_000_000_000;

  now(): number {
    return this.#now;
  }

  advance(millis: number): void {
    this.#now += millis;
  }
}

/** A fresh store, and the hand on its time. */
export async function openFresh(
  backend: StoreBackend,
): Promise<{ readonly opened: OpenedStore; readonly time: StoreTime }> {
  const clock = new VirtualClock();
  const opened = await backend.open({ clock });
  return { opened, time: opened.time ?? clock };
}

export const leaseMs = 10_000;
/** The feed is on from the beginning of every scenario; no scenario but those of its trimming lasts as long. */
export const feedKeepMs = 3_600_000;

/** A run as a writer knows it. */
export interface KnownRun extends RunRef {
  readonly runId: RunId;
  headSeq: number;
  wakeAt: number | null;
}

/** A store, its owner's token, and the shortest ways to write to it. */
export class World {
  readonly store: Store;
  readonly opened: OpenedStore;
  readonly token: OwnerToken;
  readonly #time: StoreTime;
  #runCount = 0;

  constructor(opened: OpenedStore, time: StoreTime, token: OwnerToken) {
    this.opened = opened;
    this.store = opened.store;
    this.#time = time;
    this.token = token;
  }

  async now(): Promise<number> {
    return await this.#time.now();
  }

  async advance(millis: number): Promise<void> {
    await this.#time.advance(millis);
  }

  newRunId(): RunId {
    this.#runCount += 1;
    return toRunId(`run-${this.#runCount}`);
  }

  async append(...commits: readonly Commit[]): Promise<readonly CommitResult[]> {
    return await this.store.append(this.token, commits);
  }

  /** Starts a run and expects it to be accepted. */
  async start(id: string, fields: Partial<StartCommit> = {}): Promise<KnownRun> {
    const start = startOf(id, { runId: this.newRunId(), startedAt: await this.now(), ...fields });
    const [result] = await this.append({ start });
    assert.ok(result?.ok === true && result.startedKey !== undefined, `the start of ${id} is accepted`);
    return {
      runKey: result.startedKey,
      workflowId: start.workflowId,
      runId: start.runId,
      headSeq: start.firstSeq - 1 + start.events.length,
      wakeAt: start.wakeAt,
    };
  }

  /** Extends a run and expects that to be accepted. */
  async extend(
    run: KnownRun,
    fields: Partial<RunCommit> = {},
    rest: Omit<Commit, "run" | "start"> = {},
  ): Promise<CommitResult> {
    const commit = runOf(run, fields);
    const [result] = await this.append({ run: commit, ...rest });
    assert.ok(result?.ok === true, `the commit on ${run.workflowId} is accepted`);
    run.headSeq += commit.events.length;
    run.wakeAt = commit.wakeAt;
    return result;
  }

  async change(change: CatalogChange): Promise<CatalogReply> {
    return await this.store.changeCatalog(this.token, change);
  }

  /** Ends a run. */
  async end(run: KnownRun, status: RunStatus = "completed"): Promise<void> {
    await this.extend(run, { status, closedAt: await this.now(), events: [endOf(status)], wakeAt: null });
  }
}

export function idOf(text: string): WorkflowId {
  return parseWorkflowId(text);
}

/** An event that any backend must give back as it is; `mark` tells it from others. */
export function mark(text: string, recordedAt = 1_700_000_000_001): NewEvent {
  return { type: "VersionMarked", changeId: text, recordedAt };
}

export function startedEvent(runId: RunId, recordedAt = 1_700_000_000_000): NewEvent {
  return {
    type: "WorkflowStarted",
    runId,
    workflowType: "order",
    version: "v1",
    input: toPayload({ text: 'quote " backslash \\ line\nfeed \u0000 ünï 🚀' }, "input"),
    recordedAt,
  };
}

export function endOf(status: RunStatus, recordedAt = 1_700_000_000_002): NewEvent {
  switch (status) {
    case "failed":
      return { type: "WorkflowFailed", failure: { kind: "application", message: "no" }, recordedAt };
    case "cancelled":
      return { type: "WorkflowCancelled", recordedAt };
    case "terminated":
      return { type: "WorkflowTerminated", recordedAt };
    case "timed-out":
      return { type: "WorkflowTimedOut", timeout: "run", recordedAt };
    case "continued-as-new":
      return {
        type: "WorkflowContinuedAsNew",
        newRunId: toRunId("next"),
        workflowType: "order",
        input: toPayload(1, "input"),
        recordedAt,
      };
    case "running":
    case "paused":
    case "completed":
      return { type: "WorkflowCompleted", result: toPayload(null, "result"), recordedAt };
  }
}

export function startOf(id: string, fields: Partial<StartCommit> = {}): StartCommit {
  const runId = fields.runId ?? toRunId(`run-of-${id}`);
  return {
    workflowId: idOf(id),
    runId,
    workflowType: "order",
    version: "v1",
    firstSeq: 1,
    events: [startedEvent(runId)],
    status: "running",
    startedAt: 1_700_000_000_000,
    wakeAt: null,
    ...fields,
  };
}

export function runOf(run: KnownRun, fields: Partial<RunCommit> = {}): RunCommit {
  return {
    runKey: run.runKey,
    workflowId: run.workflowId,
    expectedSeq: run.headSeq,
    events: [mark(`after ${run.headSeq}`)],
    status: "running",
    wakeAt: run.wakeAt,
    wakeAtBefore: run.wakeAt,
    ...fields,
  };
}

/** What stands for a package: bytes, and the version that they have. */
export interface Archive {
  readonly version: string;
  readonly bytes: Uint8Array;
  readonly workflowTypes: readonly string[];
}

export function archiveOf(content: string | Uint8Array, workflowTypes: readonly string[]): Archive {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return { version: createHash("sha256").update(bytes).digest("hex"), bytes, workflowTypes };
}

export function deployOf(
  { version, bytes, workflowTypes }: Archive,
  fields: Partial<Extract<CatalogChange, { readonly kind: "deploy" }>> = {},
): CatalogChange {
  const deployedAt = 1_700_000_000_003;
  return { kind: "deploy", version, archive: bytes, workflowTypes, deployedAt, route: [], ...fields };
}

/** The refusal of one commit, with exactly these details. */
export function assertRefused(
  result: CommitResult | undefined,
  details: Readonly<Record<string, number>>,
): void {
  assert.ok(result?.ok === false, "the commit is refused");
  assert.equal(result.error.code, "sequence_conflict");
  assert.deepEqual({ ...result.error.details }, details);
}

export async function assertRejects(
  promise: Promise<unknown>,
  code: ErrorCode,
): Promise<Readonly<Record<string, unknown>>> {
  try {
    await promise;
  } catch (error) {
    assert.ok(isAionError(error), `expected an AionError, got ${String(error)}`);
    assert.equal(error.code, code, error.message);
    return error.details;
  }
  throw new assert.AssertionError({ message: `expected to be rejected with ${code}` });
}

/** Everything that can be read of a workflow id: equal before and after means that nothing was written. */
export async function snapshot(store: Store, id: string): Promise<unknown> {
  const workflowId = idOf(id);
  const chain = await store.readRunChain(workflowId);
  const heartbeats = await Promise.all(chain.map((run) => store.readHeartbeats(run.runKey)));
  return {
    chain,
    heartbeats,
    history: await store.readHistory(workflowId),
    messages: await store.listMessages(0, 10_000),
    due: await store.listDue(Number.MAX_SAFE_INTEGER, undefined, 10_000),
    count: await store.count({}),
  };
}
