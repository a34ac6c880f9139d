import type { Attributes } from "./attributes.ts";
import type { Command } from "./command.ts";
import type { CodeIdentity, StartSignal } from "./event.ts";
import type { Failure } from "./failure.ts";
import type { Payload } from "./payload.ts";

/** One turn of workflow code. */
export interface Activation {
  readonly delivery: Delivery;
  /** The instant recorded with the input: what `now()` says. */
  readonly nowMs: number;
  /** Events of the run's segment up to the input. */
  readonly historyLength: number;
  /** So many, or so large, that the code had better continue as new. */
  readonly isHistoryLong: boolean;
  /** Values that history holds for this activation's side effects and version marks, in order. */
  readonly recorded: readonly RecordedValue[];
  /** History has nothing after this activation's recorded commands: what goes beyond them is live. */
  readonly isLast: boolean;
  /** History holds commands of this activation. */
  readonly isReplaying: boolean;
  /** As whom the code acts in it. Absent: as the run that it was made for. */
  readonly identity?: CodeIdentity | undefined;
}

export type RecordedValue =
  | { readonly kind: "side-effect"; readonly value?: Payload; readonly failure?: Failure }
  | { readonly kind: "version"; readonly changeId: string };

/** What workflow code learns. */
export type Delivery =
  | {
      readonly kind: "start";
      readonly input: Payload;
      readonly signals?: readonly StartSignal[];
      readonly attributes?: Attributes;
    }
  | { readonly kind: "activity"; readonly ordinal: number; readonly outcome: Outcome }
  | { readonly kind: "timer"; readonly ordinal: number }
  | { readonly kind: "signal"; readonly name: string; readonly payload: Payload }
  | {
      readonly kind: "update";
      readonly updateId: string;
      readonly name: string;
      readonly input: Payload;
      /** Not recorded yet: the code is asked first whether it takes it, and `Turn.offered` says so. */
      readonly isOffered?: true;
    }
  | { readonly kind: "signal-settled"; readonly ordinal: number; readonly outcome: Outcome }
  | { readonly kind: "child"; readonly ordinal: number; readonly outcome: Outcome }
  | { readonly kind: "cancel"; readonly reason?: string };

export type Outcome =
  | { readonly ok: true; readonly value: Payload }
  | { readonly ok: false; readonly failure: Failure };

/** What the code said to an update that it was offered. One that it refuses was never there: nothing of the code has moved. */
export type Offered =
  /** `input`: what its schema made of it, to be recorded. */
  { readonly ok: true; readonly input: Payload } | { readonly ok: false; readonly refusal: Refusal };

/** An `AionError` as plain data. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface Turn {
  readonly commands: readonly Command[];
  /** When tracing: where each command was issued, in the same order; empty text where that cannot be told. */
  readonly sources: readonly string[];
  /** The function has returned or thrown, and the last command says how. */
  readonly isSettled: boolean;
  /** Nothing durable is awaited, and yet the function has not ended. */
  readonly isStuck: boolean;
  /** Present when the activation offered an update. */
  readonly offered?: Offered;
  /** Signals that have arrived, and that the code has not asked for. */
  readonly waitingSignals: number;
}
