import { encodeRow } from "../core/codec.ts";
import { AionError, assert } from "../core/errors.ts";
import type { WorkflowId } from "../core/ids.ts";
import { isClosed } from "../core/status.ts";
import type { Commit, RunCommit, StartCommit } from "./contract.ts";
import type { EncodedLogEntry } from "./run-log.ts";
import { encodeLog } from "./run-log.ts";

/** A commit whose events and messages are text already: nothing in it changes with what its caller does next. */
export interface EncodedCommit {
  readonly run: EncodedPart<RunCommit> | undefined;
  readonly start: EncodedPart<StartCommit> | undefined;
  readonly send: readonly EncodedMessage[];
  readonly consume: readonly number[];
  readonly needsPackage?: string | undefined;
}

export interface EncodedPart<Part> {
  readonly of: Loose<Omit<Part, "events" | "log" | "attributes">>;
  readonly eventCount: number;
  /** Empty when there are no events. */
  readonly row: string;
  readonly log: readonly EncodedLogEntry[];
  /** JSON of all attributes that the run has from now on. */
  readonly attributes?: string | undefined;
}

/** As it comes from another thread: an absent field may be there as `undefined`. */
type Loose<Part> = {
  readonly [Name in keyof Part]: Part[Name] | (undefined extends Part[Name] ? undefined : never);
};

export interface EncodedMessage {
  readonly target: WorkflowId;
  readonly body: string;
}

const nothing: readonly never[] = [];

/** Checks the form of a commit and encodes it. Throws before anything is written. */
export function encodeCommit(commit: Commit): EncodedCommit {
  checkCommit(commit);
  return {
    run: commit.run === undefined ? undefined : encodePart(commit.run),
    start: commit.start === undefined ? undefined : encodePart(commit.start),
    send: commit.send?.map(({ target, message }) => ({ target, body: JSON.stringify(message) })) ?? nothing,
    consume: commit.consume ?? nothing,
    needsPackage: commit.needsPackage,
  };
}

function encodePart<Part extends RunCommit | StartCommit>(part: Part): EncodedPart<Part> {
  const eventCount = part.events.length;
  const log = part.log === undefined ? nothing : encodeLog(part.log);
  const row = eventCount === 0 ? "" : encodeRow(part.events);
  if (part.attributes === undefined) return { of: part, eventCount, row, log };
  return { of: part, eventCount, row, log, attributes: JSON.stringify(part.attributes) };
}

// The same for every backend. A commit that breaks it is a bug of its writer.
function checkCommit(commit: Commit): void {
  const { run, start, send, consume } = commit;
  assert(run ?? start ?? send ?? consume, "a commit has a run, a start, or messages to send or consume");
  if (run !== undefined) {
    assert(
      isClosed(run.status) === (run.closedAt !== undefined),
      "a run commit has closedAt exactly when it closes the run",
    );
  }
  if (start !== undefined) {
    assert(start.events.length > 0 && start.firstSeq >= 1, "a start has events, and a seq for the first");
    assert(
      isClosed(start.status) === (start.closedAt !== undefined),
      "a start has closedAt exactly when the run is closed",
    );
  }
  if (run !== undefined && start !== undefined) {
    assert(run.workflowId === start.workflowId, "a run and the run that continues it have one workflow id");
  }
  if (consume !== undefined)
    assert(new Set(consume).size === consume.length, "a commit consumes a message once");
}

/** A run, or a chain, is not where the commit takes it to be. */
export function sequenceConflict(of: {
  readonly workflowId: string;
  readonly expected: number;
  readonly found: number;
}): AionError {
  const { workflowId, expected, found } = of;
  return new AionError(
    "sequence_conflict",
    `workflow ${workflowId}: expected its head at ${expected}, found ${found}`,
    {
      details: { expected, found },
    },
  );
}

/** A start after a run that has not ended. */
export function chainOpen(of: {
  readonly workflowId: string;
  readonly expected: number;
  readonly found: number;
}): AionError {
  const { workflowId, expected, found } = of;
  return new AionError(
    "sequence_conflict",
    `workflow ${workflowId}: a run is open (head ${found}), no other can start`,
    {
      details: { expected, found },
    },
  );
}

/** A start after another run than the one that it was to follow. */
export function chainOther(of: {
  readonly workflowId: string;
  readonly expected: number;
  readonly found: number;
}): AionError {
  const { workflowId, expected, found } = of;
  return new AionError("sequence_conflict", `workflow ${workflowId}: its latest run is another one by now`, {
    details: { expected, found },
  });
}

/** A message that the commit answers has been answered already. */
export function messageGone(messageId: number): AionError {
  return new AionError(
    "sequence_conflict",
    `message ${messageId} is no longer there: it was delivered already`,
    {
      details: { missingMessageId: messageId },
    },
  );
}

export function notOwner(
  storeName: string,
  of: { readonly epoch: number; readonly currentEpoch: number },
): AionError {
  return new AionError(
    "not_owner",
    `store ${storeName}: this engine holds epoch ${of.epoch}, and the store is at epoch ${of.currentEpoch}`,
    { details: { epoch: of.epoch, currentEpoch: of.currentEpoch } },
  );
}

export function parseCursor(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined;
  if (!/^[0-9]{1,16}$/.test(cursor)) {
    throw new AionError(
      "invalid_argument",
      `cursor must be one that a list call returned, got ${JSON.stringify(cursor.slice(0, 60))}`,
    );
  }
  return Number(cursor);
}
