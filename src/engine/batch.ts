import type { NewEvent } from "../core/codec.ts";
import type { AionError } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import type { FinishedSpan } from "../core/tracing.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import type { OutgoingMessage, StartCommit } from "../store/contract.ts";
import type { LogEntry } from "../store/run-log.ts";
import type { Measure } from "./engine-meter.ts";
import type { Input } from "./input.ts";

/** An attempt that is being recorded as started. */
export interface NewAttempt {
  readonly ordinal: number;
  readonly activityType: string;
  readonly worker: string | undefined;
}

/**
 * What one commit of a run holds, while it is put together. Law: all of it goes to disk at once or not at all; until then nobody
 * outside the run hears of any of it.
 */
export interface Batch {
  readonly events: NewEvent[];
  /** Of those of them that close something. */
  readonly measures: Measure[];
  readonly inputs: Input[];
  /** Updates that the code refused: told when all that it looked at is on disk. */
  readonly refused: { readonly input: Input; readonly error: AionError }[];
  readonly send: OutgoingMessage[];
  readonly consume: number[];
  /** Attempts recorded as started, whose slots are taken. */
  readonly attempts: NewAttempt[];
  readonly cancelled: number[];
  /** Of what is over with this commit. */
  readonly spans: FinishedSpan[];
  /** What the code said. */
  readonly log: LogEntry[];
  /** The run begins with it. */
  readonly isFirst: boolean;
  next: StartCommit | undefined;
  terminal: Event | undefined;
  /** Activities that the end of the run leaves behind. */
  abandoned: readonly OpenActivity[];
  /** A pause begins, or is over, with this commit. */
  pausing: "begins" | "ends" | undefined;
  /** What the run can be found by has changed. */
  hasAttributes: boolean;
  wakeAt: number | null;
  armAt: number | null;
}

export function newBatch(isFirst: boolean): Batch {
  return {
    events: [],
    measures: [],
    inputs: [],
    refused: [],
    send: [],
    consume: [],
    attempts: [],
    cancelled: [],
    spans: [],
    log: [],
    isFirst,
    next: undefined,
    terminal: undefined,
    abandoned: [],
    pausing: undefined,
    hasAttributes: false,
    wakeAt: null,
    armAt: null,
  };
}
