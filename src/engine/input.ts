import type { AionError } from "../core/errors.ts";
import type { EventBody } from "../core/event.ts";
import type { RunId } from "../core/ids.ts";
import type { RunState } from "../replay/run-state.ts";
import type { OutgoingMessage } from "../store/contract.ts";

/**
 * Something that happens to a run, waiting for its turn. `toEvent` is asked when the turn comes, against the state
 * of that moment: what is late by then says so by giving no event.
 */
export interface Input {
  /** A new object each time. Throws an AionError to refuse; `undefined`: there is nothing to record. */
  toEvent(state: RunState, nowMs: number): EventBody | undefined;
  /** The commit that holds it is on disk (or there was nothing to record). */
  onDurable?(): void;
  /** It is not recorded, and will not be. Absent: it is offered again until it is. */
  onRefused?(error: AionError): void;
  /** Of an input that nobody waits for: it is not offered again after all, since its run has ended, or cannot go on. */
  onDropped?(): void;
  /** The run that it is meant for; another one refuses it. Absent: the workflow's latest. */
  readonly runId?: RunId | undefined;
  /** If the run continues as new before its turn comes, it goes to the next run of the chain. */
  readonly followsChain?: true;
  /** The outcome of an attempt at this activity: known, and so kept while its run is read anew. */
  readonly settles?: number;
  /** The message it answers, deleted by the same commit. */
  readonly messageId?: number;
  /** What else that commit tells others, if an event was recorded or not. */
  readonly replies?: (recorded: boolean) => readonly OutgoingMessage[];
}
