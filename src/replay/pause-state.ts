import type { Delivery } from "../core/activation.ts";
import type { EventOf, StartSignal } from "../core/event.ts";
import { historyShape } from "./history-shape.ts";

/** Recorded during a pause, and not told to the code yet. */
interface Held {
  readonly seq: number;
  readonly delivery: Delivery;
}

/**
 * Whether a run is paused, and what its code has yet to be told of that time. Law: it is told after the pause, one by one and in the
 * order in which it was recorded; but not of a timer that it has called off since.
 */
export class PauseState {
  #since: { readonly at: number; readonly reason?: string } | undefined;
  #held: Held[] | undefined;
  /** Of what is recorded next, so much is to be told later. */
  #carried = 0;

  /** Since when the run is paused, and why; `undefined`: it is not. */
  get since(): { readonly at: number; readonly reason?: string } | undefined {
    return this.#since;
  }

  /** The pause is over, and the code has not been told of all that was recorded during it: what comes next, by its seq. */
  get nextSeq(): number | undefined {
    return this.#since === undefined ? this.#held?.[0]?.seq : undefined;
  }

  /** No attempt begins: the run is paused, or what the code is told after a pause may yet call off what it asked for. */
  get holdsAttempts(): boolean {
    return this.#since !== undefined || this.#held !== undefined;
  }

  /** How much was recorded in a pause and not told yet. */
  get untoldCount(): number {
    return this.#held?.length ?? 0;
  }

  /** What the code was never told, since it went on as a new run before: that one is to hear of it. */
  leftUntold(): {
    readonly signals: readonly StartSignal[];
    readonly cancel: { readonly reason?: string } | undefined;
  } {
    const signals: StartSignal[] = [];
    let cancel: { readonly reason?: string } | undefined;
    for (const { delivery } of this.#held ?? []) {
      if (delivery.kind === "signal") signals.push({ name: delivery.name, payload: delivery.payload });
      else if (delivery.kind === "cancel") cancel = delivery;
    }
    return { signals, cancel };
  }

  begin({ recordedAt, reason }: EventOf<"WorkflowPaused">): void {
    this.#since = { at: recordedAt, ...(reason === undefined ? {} : { reason }) };
  }

  end(): void {
    this.#since = undefined;
  }

  /** So many signals follow that the code is told of later, as if they had come in a pause. */
  carry(count: number): void {
    this.#carried = count;
  }

  /** False: the run is not paused, and its code is to be told at once. */
  hold(seq: number, delivery: Delivery): boolean {
    if (this.#since === undefined && this.#carried === 0) return false;
    if (this.#carried > 0) this.#carried -= 1;
    this.#held ??= [];
    this.#held.push({ seq, delivery });
    return true;
  }

  deliver(event: EventOf<"InputDelivered">): Delivery {
    if (this.#since !== undefined) throw historyShape(event, "the run is paused");
    const held = this.#held?.shift();
    if (held?.seq !== event.of)
      throw historyShape(event, `event ${event.of} is not what the code learns of next`);
    if (this.#held?.length === 0) this.#held = undefined;
    return held.delivery;
  }

  holds(kind: "activity" | "timer", ordinal: number): boolean {
    return this.#find(kind, ordinal) >= 0;
  }

  /** The code is not told of it any more. False: it was not held. */
  forget(kind: "activity" | "timer", ordinal: number): boolean {
    const place = this.#find(kind, ordinal);
    if (place < 0) return false;
    this.#held?.splice(place, 1);
    if (this.#held?.length === 0) this.#held = undefined;
    return true;
  }

  #find(kind: "activity" | "timer", ordinal: number): number {
    return (
      this.#held?.findIndex(({ delivery }) => delivery.kind === kind && delivery.ordinal === ordinal) ?? -1
    );
  }
}
