import type { ControlKind, EventOf } from "../core/event.ts";
import { controlRequestKey } from "../core/event.ts";

/** A bound: the dedupe ids that a chain of runs carries along, of signals, of updates and of cancellations each. */
export const dedupeIdsMax = 1_000;

/**
 * By what a run knows a request that is repeated: the ids of signals, of cancellations, of pauses and what else controls it. Law: an id
 * is known from the commit that holds what it asked for, in this run and in those that it continues as, up to a bound.
 */
export class RequestIds {
  // Most runs have none, and thousands of runs are in memory.
  #signals: Set<string> | undefined;
  #cancels: Set<string> | undefined;
  #controls: Set<string> | undefined;

  hasSignal(signalId: string): boolean {
    return this.#signals?.has(signalId) === true;
  }

  hasCancel(requestId: string): boolean {
    return this.#cancels?.has(requestId) === true;
  }

  hasControl(kind: ControlKind, requestId: string): boolean {
    return this.#controls?.has(controlRequestKey(kind, requestId)) === true;
  }

  /** The latest ones, for the next run of the chain. */
  recent(): {
    readonly signalIds: readonly string[];
    readonly cancelRequestIds: readonly string[];
    readonly controlRequestIds: readonly string[];
  } {
    return {
      signalIds: latest(this.#signals),
      cancelRequestIds: latest(this.#cancels),
      controlRequestIds: latest(this.#controls),
    };
  }

  begin({ signalIds, signals, cancelRequestIds, controlRequestIds }: EventOf<"WorkflowStarted">): void {
    for (const id of signalIds ?? []) this.noteSignal(id);
    for (const { signalId } of signals ?? []) this.noteSignal(signalId);
    for (const id of cancelRequestIds ?? []) this.noteCancel(id);
    if (controlRequestIds !== undefined) this.#controls = new Set(controlRequestIds);
  }

  noteSignal(signalId: string | undefined): void {
    if (signalId === undefined) return;
    this.#signals ??= new Set();
    this.#signals.add(signalId);
  }

  noteCancel(requestId: string | undefined): void {
    if (requestId === undefined) return;
    this.#cancels ??= new Set();
    this.#cancels.add(requestId);
  }

  noteControl(kind: ControlKind, requestId: string | undefined): void {
    if (requestId === undefined) return;
    this.#controls ??= new Set();
    this.#controls.add(controlRequestKey(kind, requestId));
  }
}

function latest(ids: ReadonlySet<string> | undefined): readonly string[] {
  return [...(ids ?? [])].slice(-dedupeIdsMax);
}
