import type { Execution } from "../attempt/execute.ts";
import { callActivity, encodeResult } from "../attempt/execute.ts";
import { callTraced } from "../attempt/traced.ts";
import type { AttemptAtWork } from "../attempt/task.ts";
import { Task } from "../attempt/task.ts";
import { AionError } from "../core/errors.ts";
import { toFailure } from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload, toPayload } from "../core/payload.ts";
import type { Scheduler } from "../core/ports.ts";
import type { TraceContext, Tracing } from "../core/tracing.ts";
import { toTraceContext } from "../core/tracing.ts";
import type { TaskFrame, TaskOutcome } from "../protocol/frames.ts";
import type { ActivityTask, AnyActivity } from "../workflow/definition.ts";

/** One call of an implementation, as an interceptor sees it. */
export interface ActivityCall {
  readonly task: ActivityTask;
  /** Decoded, and not yet held against the activity's schema. */
  readonly input: unknown;
}

/**
 * Stands around each execution: calls `next` with the input (or another one), once or not at all, and gives what it gives or
 * something else. What it throws fails the attempt.
 */
export type ActivityInterceptor = (
  call: ActivityCall,
  next: (input: unknown) => Promise<unknown>,
) => Promise<unknown>;

export interface TaskOwner {
  readonly payloadLimitBytes: number;
  readonly scheduler: Pick<Scheduler, "delay">;
  readonly interceptors: readonly ActivityInterceptor[];
  readonly tracing: Tracing | undefined;
  readonly identity: string;
  sendHeartbeat(task: WorkerTask, details: Payload | undefined): void;
  ended(task: WorkerTask, outcome: TaskOutcome): void;
}

/** Heartbeats go to the engine at most so often: it writes them once a second. */
const heartbeatEveryMs = 1_000;

/** One attempt that this worker has, waiting for its turn or under way. */
export class WorkerTask implements Execution, AttemptAtWork {
  readonly frame: TaskFrame;
  readonly key: string;
  readonly activityType: string;
  readonly attempt: number;
  readonly address: { readonly workflowId: string; readonly runId: string };
  controller: AbortController | undefined;
  abortReason: AionError | undefined;
  readonly trace: TraceContext | undefined;
  isUnderWay = false;
  /** It has ended, or its outcome is not wanted any more. */
  isOver = false;
  readonly #owner: TaskOwner;
  readonly #definition: AnyActivity | undefined;
  /** Set while a heartbeat was sent so shortly before that the next one waits. */
  #cancelPause: (() => void) | undefined;
  #hasBeaten = false;
  #details: Payload | undefined;

  constructor(owner: TaskOwner, frame: TaskFrame, definition: AnyActivity | undefined) {
    this.#owner = owner;
    this.frame = frame;
    this.#definition = definition;
    this.key = frame.idempotencyKey;
    this.activityType = frame.activityType;
    this.attempt = frame.attempt;
    this.address = frame;
    this.trace =
      frame.trace === undefined ? undefined : toTraceContext(frame.trace.traceparent, frame.trace.tracestate);
  }

  /** Of the worker, for spans. */
  get worker(): string {
    return this.#owner.identity;
  }

  call(): unknown {
    const { tracing } = this.#owner;
    return tracing === undefined ? this.#call() : callTraced(this, tracing, () => this.#call());
  }

  #call(): unknown {
    const definition = this.#definition;
    if (definition === undefined)
      throw new AionError("internal", `this worker has no implementation of activity ${this.activityType}`);
    const task = new Task(this, this.frame.lastHeartbeat, (details) => this.#beat(details));
    const input = fromPayload(this.frame.input);
    const { interceptors } = this.#owner;
    if (interceptors.length === 0) return callActivity(definition, input, task);
    const inner = async (value: unknown): Promise<unknown> => callActivity(definition, value, task);
    const chain = interceptors.reduceRight<(value: unknown) => Promise<unknown>>(
      (next, intercept) => async (value) => intercept({ task, input: value }, next),
      inner,
    );
    return chain(input);
  }

  completed(value: unknown): void {
    try {
      const result = encodeResult(value, this.activityType, this.#owner.payloadLimitBytes);
      this.#end({ kind: "completed", result });
    } catch (error) {
      this.failed(error);
    }
  }

  failed(error: unknown): void {
    this.#end({ kind: "failed", failure: toFailure(error) });
  }

  #end(outcome: TaskOutcome): void {
    if (this.isOver) return;
    // The next attempt is to have the latest of them.
    if (outcome.kind === "failed") this.flushHeartbeat();
    this.isOver = true;
    this.stopHeartbeats();
    this.#owner.ended(this, outcome);
  }

  #beat(details: unknown): void {
    if (this.isOver) return;
    if (details !== undefined) {
      const what = `the heartbeat of activity ${JSON.stringify(this.activityType)}`;
      this.#details = toPayload(details, what, this.#owner.payloadLimitBytes);
    }
    this.#hasBeaten = true;
    if (this.#cancelPause === undefined) this.flushHeartbeat();
  }

  /** Sends what has been held back. */
  flushHeartbeat(): void {
    if (!this.#hasBeaten) return;
    this.#hasBeaten = false;
    this.#owner.sendHeartbeat(this, this.#details);
    this.#cancelPause?.();
    const everyMs = Math.min(heartbeatEveryMs, (this.frame.heartbeatMs ?? Number.POSITIVE_INFINITY) / 4);
    this.#cancelPause = this.#owner.scheduler.delay(everyMs, () => {
      this.#cancelPause = undefined;
      this.flushHeartbeat();
    });
  }

  /** The latest details, for an engine that may not have got them. */
  repeatHeartbeat(): void {
    if (this.#details === undefined) return;
    this.#hasBeaten = true;
    this.flushHeartbeat();
  }

  stopHeartbeats(): void {
    this.#cancelPause?.();
    this.#cancelPause = undefined;
    this.#hasBeaten = false;
  }
}
