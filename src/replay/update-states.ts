import type { Event, EventOf } from "../core/event.ts";
import { historyShape } from "./history-shape.ts";
import { dedupeIdsMax } from "./request-ids.ts";

/** An update that was accepted. */
export interface AcceptedUpdate {
  readonly updateId: string;
  readonly name: string;
  readonly acceptedSeq: number;
  readonly acceptedAt: number;
  /** The event that gave it its outcome: its own, or the end of the run; `undefined`: it has none yet. */
  settledSeq: number | undefined;
}

const noUpdates: ReadonlySet<AcceptedUpdate> = new Set();

/**
 * The updates that a run accepted, and those that the runs before it in its chain did, by their ids.
 *
 * Laws: an update has one outcome, its own or the end of the run; what was told of it when the run ended stands, also if the run is
 * reopened and its handler ends after all.
 */
export class UpdateStates {
  // Most runs have none, and thousands of runs are in memory.
  #updates: Map<string, AcceptedUpdate> | undefined;
  #pending: Set<AcceptedUpdate> | undefined;
  /** An end of the run was their outcome. */
  #left: Set<AcceptedUpdate> | undefined;
  #earlierIds: readonly string[] = [];

  /** Accepted, and without an outcome, in the order in which they came. */
  get pending(): ReadonlySet<AcceptedUpdate> {
    return this.#pending ?? noUpdates;
  }

  /** One that this run accepted. */
  of(updateId: string): AcceptedUpdate | undefined {
    return this.#updates?.get(updateId);
  }

  /** An earlier run of the chain accepted one of that id. */
  hasEarlier(updateId: string): boolean {
    return this.#earlierIds.includes(updateId);
  }

  /** Those that had no outcome when the run ended: that end is it. */
  leftBy(terminal: Event | undefined): readonly AcceptedUpdate[] {
    return [...(this.#left ?? [])].filter(({ settledSeq }) => settledSeq === terminal?.seq);
  }

  /** The latest ids, for the next run of the chain. */
  recentIds(): readonly string[] {
    return [...this.#earlierIds, ...(this.#updates?.keys() ?? [])].slice(-dedupeIdsMax);
  }

  begin({ updateIds }: EventOf<"WorkflowStarted">): void {
    if (updateIds !== undefined) this.#earlierIds = updateIds;
  }

  accept(event: EventOf<"UpdateAccepted">): void {
    const { updateId, name, seq, recordedAt } = event;
    this.#updates ??= new Map();
    if (this.#updates.has(updateId)) throw historyShape(event, `update ${updateId} was accepted before it`);
    const update = { updateId, name, acceptedSeq: seq, acceptedAt: recordedAt, settledSeq: undefined };
    this.#updates.set(updateId, update);
    this.#pending ??= new Set();
    this.#pending.add(update);
  }

  settle(event: EventOf<"UpdateCompleted">): void {
    const update = this.#updates?.get(event.updateId);
    if (update !== undefined && this.#pending?.delete(update) === true) update.settledSeq = event.seq;
    // Its run had ended, and goes on after all: what was told of it then stands.
    else if (update === undefined || this.#left?.delete(update) !== true)
      throw historyShape(event, `update ${event.updateId} is not open`);
  }

  /** The run ends without them. */
  leave(terminal: Event): void {
    for (const update of this.pending) {
      update.settledSeq = terminal.seq;
      this.#left ??= new Set();
      this.#left.add(update);
    }
    this.#pending = undefined;
  }
}
