import { isPackageVersion } from "../core/package-version.ts";
import type { RunState } from "../replay/run-state.ts";
import type { Commit, Heartbeat, RunCommit, RunKey, StartCommit } from "../store/contract.ts";
import type { Batch } from "./batch.ts";
import { toParkedText } from "./parked.ts";

/*
 * What a batch of a run is for the store. Law: a commit says what it follows (the run before, or the last event that is on disk),
 * so that the store refuses it if somebody else has written meanwhile.
 */

type Mutable<Part> = { -readonly [Name in keyof Part]: Part[Name] };

/** Messages alone: nothing of the run itself is written. */
export function toMessages({ send, consume }: Batch): Mutable<Commit> {
  const commit: Mutable<Commit> = {};
  if (send.length > 0) commit.send = send;
  if (consume.length > 0) commit.consume = consume;
  return commit;
}

/** A run begins. */
export function toFirstCommit(
  batch: Batch,
  state: RunState,
  place: { readonly firstSeq: number; readonly follows: RunKey | undefined },
): Commit {
  const { terminal } = batch;
  const { started } = state;
  const commit = toMessages(batch);
  const start: Mutable<StartCommit> = {
    workflowId: state.workflowId,
    runId: started.runId,
    workflowType: started.workflowType,
    version: started.version,
    firstSeq: place.firstSeq,
    events: batch.events,
    status: state.status,
    startedAt: started.recordedAt,
    wakeAt: batch.wakeAt,
  };
  if (place.follows !== undefined) start.follows = place.follows;
  if (terminal !== undefined) start.closedAt = terminal.recordedAt;
  if (started.parent !== undefined) start.parent = started.parent;
  if (batch.log.length > 0) start.log = batch.log;
  if (state.attributes !== undefined) start.attributes = state.attributes;
  commit.start = start;
  if (isPackageVersion(start.version)) commit.needsPackage = start.version;
  return commit;
}

/** A run goes on, or ends; if it continues as new, the next one begins. */
export function toNextCommit(
  batch: Batch,
  state: RunState,
  row: {
    readonly runKey: RunKey;
    readonly wakeAtWritten: number | null;
    /** Its row may say that it is blocked: what was to take that back may have been refused. */
    readonly isHeld: boolean;
    readonly heartbeats: readonly Heartbeat[];
  },
): Commit {
  const { terminal, next } = batch;
  const commit = toMessages(batch);
  const run: Mutable<RunCommit> = {
    runKey: row.runKey,
    workflowId: state.workflowId,
    expectedSeq: state.headSeq - batch.events.length,
    events: batch.events,
    status: state.status,
    wakeAt: batch.wakeAt,
    wakeAtBefore: row.wakeAtWritten,
  };
  if (terminal !== undefined) run.closedAt = terminal.recordedAt;
  if (row.isHeld) run.blocked = null;
  const heartbeats = row.heartbeats.filter((beat) => state.activities.has(beat.ordinal));
  if (heartbeats.length > 0) run.heartbeats = heartbeats;
  if (batch.log.length > 0) run.log = batch.log;
  if (batch.hasAttributes && state.attributes !== undefined) run.attributes = state.attributes;
  if (state.parkedSeq > run.expectedSeq) run.parked = toParkedText(state);
  commit.run = run;
  if (next !== undefined) {
    commit.start = next;
    if (isPackageVersion(next.version)) commit.needsPackage = next.version;
  }
  return commit;
}
