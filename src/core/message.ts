import type { Attributes } from "./attributes.ts";
import type { ParentLink } from "./event.ts";
import type { Failure } from "./failure.ts";
import type { RunId, WorkflowId } from "./ids.ts";
import type { Payload } from "./payload.ts";
import type { SkipReason, StartCause } from "./schedule.ts";
import type { TraceContext } from "./tracing.ts";

/**
 * What one workflow (or a client while no engine runs) has to tell another. A message is written in the
 * same transaction as the event it follows from, and deleted in the same transaction as the event it
 * leads to: delivered exactly once, whatever crashes in between.
 */
export type Message =
  | {
      readonly kind: "start-child";
      readonly workflowType: string;
      readonly input: Payload;
      readonly parent: ParentLink;
      readonly runTimeoutMs?: number;
      readonly attributes?: Attributes;
      readonly trace?: TraceContext;
    }
  /** A time of a schedule is to be started. `from`: its coordinator's first run, and the ordinal of the start. */
  | {
      readonly kind: "start-scheduled";
      readonly workflowType: string;
      readonly input: Payload;
      readonly scheduleId: string;
      readonly nominalAt: number;
      readonly from: ParentLink;
      readonly isWatched: boolean;
      readonly cause: StartCause;
      readonly runTimeoutMs?: number;
      readonly executionTimeoutMs?: number;
      readonly attributes?: Attributes;
    }
  /** It could not be. */
  | {
      readonly kind: "scheduled-refused";
      readonly runId: RunId;
      readonly ordinal: number;
      readonly nominalAt: number;
      readonly cause: StartCause;
      readonly startedId: WorkflowId;
      readonly reason: SkipReason;
      readonly message: string;
    }
  | {
      readonly kind: "child-closed";
      readonly runId: RunId;
      readonly ordinal: number;
      readonly outcome: ChildOutcome;
    }
  | {
      readonly kind: "signal";
      readonly name: string;
      readonly payload: Payload;
      readonly signalId?: string;
      /** Present: a workflow sent it and waits to hear what became of it. */
      readonly from?: ParentLink;
      readonly trace?: TraceContext;
    }
  | {
      readonly kind: "signal-settled";
      readonly runId: RunId;
      readonly ordinal: number;
      readonly failure?: Failure;
    }
  /** With a run id: meant for that run alone. With a parent: for its child, should the id be another's. */
  | {
      readonly kind: "cancel";
      readonly runId?: RunId;
      readonly reason?: string;
      /** Given by who asked: a second one with this id is the first one. */
      readonly requestId?: string;
      readonly parent?: ParentLink;
    }
  | {
      readonly kind: "terminate";
      readonly runId?: RunId;
      readonly reason?: string;
      readonly parent?: ParentLink;
    };

/** How a child ended, as its parent will record it. */
export type ChildOutcome =
  | { readonly type: "ChildWorkflowCompleted"; readonly result: Payload }
  | { readonly type: "ChildWorkflowFailed"; readonly failure: Failure }
  | { readonly type: "ChildWorkflowCancelled" }
  | { readonly type: "ChildWorkflowTimedOut" }
  | { readonly type: "ChildWorkflowTerminated" };

const kinds: Readonly<Record<Message["kind"], true>> = {
  "start-child": true,
  "start-scheduled": true,
  "scheduled-refused": true,
  "child-closed": true,
  signal: true,
  "signal-settled": true,
  cancel: true,
  terminate: true,
};

/** True for the kinds that this version knows; a newer one may have written another. */
export function isMessageKind(kind: unknown): kind is Message["kind"] {
  return typeof kind === "string" && Object.hasOwn(kinds, kind);
}
