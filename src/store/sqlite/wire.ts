import { AionError, isAionError } from "../../core/errors.ts";
import type { ErrorCode } from "../../core/errors.ts";
import type { RunId, WorkflowId } from "../../core/ids.ts";
import { messageOf } from "../../core/payload.ts";
import type { RunStatus } from "../../core/status.ts";
import type { EncodedCommit, EncodedMessage, EncodedPart } from "../commit.ts";
import type { CommitResult, RunCommit, StartCommit } from "../contract.ts";
import type { EncodedLogEntry } from "../run-log.ts";
import { archiveOf } from "./job.ts";
import type { Job, JobResult } from "./job.ts";

/**
 * How jobs and their results cross between threads: flat arrays of primitives, which clone several times
 * quicker than objects, and are paid for on the engine's thread. Written and read in the same order; only
 * the rare parts go as they are.
 */
export type Wire = unknown[];

const hasRun = 1;
const hasStart = 2;
const hasRest = 4;
const hasNeed = 8;
const hasLog = 16;
const hasAttributes = 32;

export function encodeJobs(jobs: readonly Job[]): Wire {
  const wire: Wire = [];
  for (const job of jobs) {
    if (job.kind !== "append") {
      wire.push(job);
      continue;
    }
    wire.push(job.commits.length, job.epoch, job.now);
    for (const commit of job.commits) encodeCommit(commit, wire);
  }
  return wire;
}

/** What is moved to the other thread, not copied: the giver has it no more. */
export function transferOf(jobs: readonly Job[]): ArrayBuffer[] {
  // Each is a copy that was made for the job, in a buffer of its own.
  return jobs.flatMap((job) => (archiveOf(job)?.buffer as ArrayBuffer | undefined) ?? []);
}

function encodeCommit({ run, start, send, consume, needsPackage }: EncodedCommit, wire: Wire): void {
  const isPlain = send.length === 0 && consume.length === 0;
  const isSilent = (run?.log.length ?? 0) + (start?.log.length ?? 0) === 0;
  const isBare = run?.attributes === undefined && start?.attributes === undefined;
  wire.push(
    (run === undefined ? 0 : hasRun) |
      (start === undefined ? 0 : hasStart) |
      (isPlain ? 0 : hasRest) |
      (needsPackage === undefined ? 0 : hasNeed) |
      (isSilent ? 0 : hasLog) |
      (isBare ? 0 : hasAttributes),
  );
  if (!isSilent) wire.push(run?.log ?? nothing, start?.log ?? nothing);
  if (!isBare) wire.push(run?.attributes, start?.attributes);
  if (run !== undefined) {
    const { runKey, workflowId, expectedSeq, status, closedAt, wakeAt, wakeAtBefore, blocked, parked } =
      run.of;
    wire.push(
      run.row,
      run.eventCount,
      runKey,
      workflowId,
      expectedSeq,
      status,
      closedAt,
      wakeAt,
      wakeAtBefore,
      blocked,
      parked,
      run.of.heartbeats,
    );
  }
  if (start !== undefined) {
    const {
      workflowId,
      runId,
      workflowType,
      version,
      firstSeq,
      follows,
      status,
      startedAt,
      closedAt,
      wakeAt,
      parent,
    } = start.of;
    wire.push(
      start.row,
      start.eventCount,
      workflowId,
      runId,
      workflowType,
      version,
      firstSeq,
      follows,
      status,
      startedAt,
      closedAt,
      wakeAt,
      parent,
    );
  }
  if (!isPlain) wire.push(send, consume);
  if (needsPackage !== undefined) wire.push(needsPackage);
}

export function decodeJobs(wire: Wire): Job[] {
  const jobs: Job[] = [];
  const input = new Input(wire);
  while (!input.isAtEnd()) {
    const head = input.next();
    if (typeof head !== "number") {
      jobs.push(head as Job);
      continue;
    }
    const epoch = input.next() as number;
    const now = input.next() as number;
    const commits: EncodedCommit[] = [];
    for (let count = 0; count < head; count++) commits.push(decodeCommit(input));
    jobs.push({ kind: "append", epoch, now, commits });
  }
  return jobs;
}

const nothing: readonly never[] = [];

function decodeCommit(input: Input): EncodedCommit {
  const parts = input.next() as number;
  const isSilent = (parts & hasLog) === 0;
  const runLog = isSilent ? nothing : (input.next() as readonly EncodedLogEntry[]);
  const startLog = isSilent ? nothing : (input.next() as readonly EncodedLogEntry[]);
  const isBare = (parts & hasAttributes) === 0;
  const runAttributes = isBare ? undefined : (input.next() as string | undefined);
  const startAttributes = isBare ? undefined : (input.next() as string | undefined);
  const run = (parts & hasRun) === 0 ? undefined : decodeRun(input, runLog, runAttributes);
  const start = (parts & hasStart) === 0 ? undefined : decodeStart(input, startLog, startAttributes);
  const isPlain = (parts & hasRest) === 0;
  return {
    run,
    start,
    send: isPlain ? nothing : (input.next() as readonly EncodedMessage[]),
    consume: isPlain ? nothing : (input.next() as readonly number[]),
    needsPackage: (parts & hasNeed) === 0 ? undefined : (input.next() as string),
  };
}

function decodeRun(
  input: Input,
  log: readonly EncodedLogEntry[],
  attributes: string | undefined,
): EncodedPart<RunCommit> {
  const row = input.next() as string;
  const eventCount = input.next() as number;
  const of = {
    runKey: input.next() as number,
    workflowId: input.next() as WorkflowId,
    expectedSeq: input.next() as number,
    status: input.next() as RunStatus,
    closedAt: input.next() as number,
    wakeAt: input.next() as number | null,
    wakeAtBefore: input.next() as number | null,
    blocked: input.next() as string | null,
    parked: input.next() as string | null,
    heartbeats: input.next() as NonNullable<RunCommit["heartbeats"]>,
  };
  return { row, eventCount, of, log, attributes };
}

function decodeStart(
  input: Input,
  log: readonly EncodedLogEntry[],
  attributes: string | undefined,
): EncodedPart<StartCommit> {
  const row = input.next() as string;
  const eventCount = input.next() as number;
  const of = {
    workflowId: input.next() as WorkflowId,
    runId: input.next() as RunId,
    workflowType: input.next() as string,
    version: input.next() as string,
    firstSeq: input.next() as number,
    follows: input.next() as number,
    status: input.next() as RunStatus,
    startedAt: input.next() as number,
    closedAt: input.next() as number,
    wakeAt: input.next() as number | null,
    parent: input.next() as NonNullable<StartCommit["parent"]>,
  };
  return { row, eventCount, of, log, attributes };
}

class Input {
  readonly #wire: Wire;
  #at = 0;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  isAtEnd(): boolean {
    return this.#at >= this.#wire.length;
  }

  next(): unknown {
    const value = this.#wire[this.#at];
    this.#at += 1;
    return value;
  }
}

/** An error that keeps what it is on the other side. */
interface WireError {
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly cause: unknown;
}

export function encodeResults(results: readonly JobResult[]): Wire {
  const wire: Wire = [];
  for (const result of results) {
    if (result.kind === "done") wire.push(-1, result.value);
    else if (result.kind === "failed") wire.push(-2, encodeError(result.error));
    else {
      wire.push(result.results.length);
      for (const one of result.results) wire.push(encodeResult(one));
    }
  }
  return wire;
}

// 0: nothing but success. A number: the key of the run begun. An array: the key or 0, then the ids of messages.
function encodeResult(result: CommitResult): number | readonly number[] | WireError {
  if (!result.ok) return encodeError(result.error);
  const key = result.startedKey ?? 0;
  return result.messageIds.length === 0 ? key : [key, ...result.messageIds];
}

export function decodeResults(wire: Wire): JobResult[] {
  const input = new Input(wire);
  const results: JobResult[] = [];
  while (!input.isAtEnd()) {
    const head = input.next() as number;
    if (head === -1) results.push({ kind: "done", value: input.next() as number });
    else if (head === -2) results.push({ kind: "failed", error: decodeError(input.next() as WireError) });
    else {
      const of: CommitResult[] = [];
      for (let count = 0; count < head; count++)
        of.push(decodeResult(input.next() as ReturnType<typeof encodeResult>));
      results.push({ kind: "appended", results: of });
    }
  }
  return results;
}

/** Of most commits there is nothing to say. */
export const plainSuccess: CommitResult = Object.freeze({ ok: true, messageIds: Object.freeze([]) });

function decodeResult(value: number | readonly number[] | WireError): CommitResult {
  if (value === 0) return plainSuccess;
  if (typeof value === "number") return { ok: true, startedKey: value, messageIds: nothing };
  if ("message" in value) return { ok: false, error: decodeError(value) };
  const [startedKey, ...messageIds] = value;
  return startedKey === undefined || startedKey === 0
    ? { ok: true, messageIds }
    : { ok: true, startedKey, messageIds };
}

function encodeError(error: unknown): WireError {
  if (!isAionError(error)) {
    const cause = error instanceof Error ? error : messageOf(error);
    return { code: undefined, message: messageOf(error), hint: "", details: {}, cause };
  }
  return {
    code: error.code,
    message: error.message,
    hint: error.hint,
    details: error.details,
    cause: error.cause,
  };
}

function decodeError({ code, message, hint, details, cause }: WireError): AionError {
  // What is no AionError is a bug of the writer: the transaction was rolled back.
  if (code === undefined)
    return new AionError("internal", `the store's writer failed: ${message}`, { cause });
  return new AionError(code, message, { hint, details, cause });
}
