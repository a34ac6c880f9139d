import type { Execution } from "../attempt/execute.ts";
import { callActivity, encodeResult } from "../attempt/execute.ts";
import { callTraced } from "../attempt/traced.ts";
import type { AttemptAtWork } from "../attempt/task.ts";
import { Task } from "../attempt/task.ts";
import { AionError } from "../core/errors.ts";
import type { Failure } from "../core/failure.ts";
import { toFailure } from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload, parsePayload, toPayload } from "../core/payload.ts";
import type { PayloadCodec, PayloadContext } from "../core/payload-codec.ts";
import { encodeFailure, mapPayloads, toCodecError } from "../core/payload-codec.ts";
import type { Log, Scheduler } from "../core/ports.ts";
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
  readonly codec: PayloadCodec | undefined;
  readonly log: Log;
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
  /** It has sent a heartbeat at some time. */
  #beats = false;
  #hasBeaten = false;
  /** As the activity gave them. */
  #details: Payload | undefined;
  /** With a codec: heartbeats that are being encoded, in order. */
  #sending: Promise<void> = Promise.resolve();

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

  get hidesErrors(): boolean {
    const { codec } = this.#owner;
    return codec !== undefined && codec.failureText !== "plain";
  }

  call(): unknown {
    const { tracing } = this.#owner;
    return tracing === undefined ? this.#call() : callTraced(this, tracing, () => this.#call());
  }

  #call(): unknown {
    const definition = this.#definition;
    if (definition === undefined)
      throw new AionError("internal", `this worker has no implementation of activity ${this.activityType}`);
    const { codec } = this.#owner;
    const { input, lastHeartbeat } = this.frame;
    if (codec === undefined) return this.#execute(definition, input, lastHeartbeat);
    return this.#executeDecoded(definition, codec);
  }

  async #executeDecoded(definition: AnyActivity, codec: PayloadCodec): Promise<unknown> {
    const { input, lastHeartbeat, workflowId } = this.frame;
    const decode = async (payload: Payload, kind: PayloadContext["kind"]): Promise<Payload> => {
      try {
        return (await codec.decode(payload, { kind, workflowId })) as Payload;
      } catch (error) {
        throw toCodecError(error, "payload_undecodable");
      }
    };
    const decoded = await decode(input, "input");
    const last = lastHeartbeat === undefined ? undefined : await decode(lastHeartbeat, "heartbeat");
    return await this.#execute(definition, decoded, last);
  }

  #execute(definition: AnyActivity, payload: Payload, lastHeartbeat: Payload | undefined): unknown {
    const task = new Task(this, lastHeartbeat, (details) => this.#beat(details));
    const input = fromPayload(payload);
    const { interceptors } = this.#owner;
    if (interceptors.length === 0) return callActivity(definition, input, task);
    const inner = async (value: unknown): Promise<unknown> => callActivity(definition, value, task);
    const chain = interceptors.reduceRight<(value: unknown) => Promise<unknown>>(
      (next, intercept) => async (value) => intercept({ task, input: value }, next),
      inner,
    );
    return chain(input);
  }

  /** What a payload of the activity may have. */
  get #limitBytes(): number {
    const { codec, payloadLimitBytes } = this.#owner;
    return codec?.plainLimitBytes?.(payloadLimitBytes) ?? payloadLimitBytes;
  }

  completed(value: unknown): void {
    const { codec } = this.#owner;
    try {
      const result = encodeResult(value, this.#definition ?? this, this.#limitBytes);
      if (codec === undefined) this.#end({ kind: "completed", result });
      else void this.#endEncoded(this.#completion(codec, result));
    } catch (error) {
      this.failed(error);
    }
  }

  failed(error: unknown): void {
    const failure = toFailure(error);
    const { codec } = this.#owner;
    if (codec === undefined) this.#end({ kind: "failed", failure });
    else void this.#endEncoded(this.#failing(codec, failure));
  }

  async #completion(codec: PayloadCodec, result: Payload): Promise<TaskOutcome> {
    try {
      const what = `the result of activity ${JSON.stringify(this.activityType)}`;
      return { kind: "completed", result: await this.#encode(codec, result, "result", what) };
    } catch (error) {
      return await this.#failing(codec, toFailure(error));
    }
  }

  /** Never rejects, and never tells what it could not encode. */
  async #failing(codec: PayloadCodec, failure: Failure): Promise<TaskOutcome> {
    const { workflowId } = this.frame;
    const { failureText = "encoded" } = codec;
    try {
      const encoded = await mapPayloads(
        (encode) => encodeFailure(failure, encode, { failureText, workflowId }),
        (payload) => this.#encode(codec, payload, "failure", "what a failure says"),
      );
      return { kind: "failed", failure: encoded };
    } catch {
      const message = `the codec of the worker could not encode how activity ${JSON.stringify(this.activityType)} failed`;
      return { kind: "failed", failure: { kind: "engine", type: "codec_failed", message } };
    }
  }

  async #encode(
    codec: PayloadCodec,
    payload: Payload,
    kind: PayloadContext["kind"],
    what: string,
  ): Promise<Payload> {
    const { workflowId } = this.frame;
    let encoded: string;
    try {
      encoded = await codec.encode(payload, { kind, workflowId });
    } catch (error) {
      throw toCodecError(error, "codec_failed");
    }
    return parsePayload(encoded, what, this.#owner.payloadLimitBytes);
  }

  async #endEncoded(encoding: Promise<TaskOutcome>): Promise<void> {
    const outcome = await encoding;
    if (outcome.kind === "failed") this.flushHeartbeat();
    await this.#sending;
    this.#end(outcome);
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
      this.#details = toPayload(details, what, this.#limitBytes);
    }
    this.#beats = true;
    this.#hasBeaten = true;
    if (this.#cancelPause === undefined) this.flushHeartbeat();
  }

  /** Sends what has been held back. */
  flushHeartbeat(): void {
    if (!this.#hasBeaten) return;
    this.#hasBeaten = false;
    this.#sendHeartbeat(this.#details);
    this.#cancelPause?.();
    const everyMs = Math.min(heartbeatEveryMs, (this.frame.heartbeatMs ?? Number.POSITIVE_INFINITY) / 4);
    this.#cancelPause = this.#owner.scheduler.delay(everyMs, () => {
      this.#cancelPause = undefined;
      this.flushHeartbeat();
    });
  }

  #sendHeartbeat(details: Payload | undefined): void {
    const { codec, log } = this.#owner;
    if (codec === undefined || details === undefined) {
      this.#owner.sendHeartbeat(this, details);
      return;
    }
    const what = `the heartbeat of activity ${JSON.stringify(this.activityType)}`;
    this.#sending = this.#sending
      .then(() => this.#encode(codec, details, "heartbeat", what))
      .then(
        (encoded) => {
          if (!this.isOver) this.#owner.sendHeartbeat(this, encoded);
        },
        ({ code }: AionError) => {
          log("warn", "the details of a heartbeat could not be encoded", { activity: this.key, code });
          if (!this.isOver) this.#owner.sendHeartbeat(this, undefined);
        },
      );
  }

  /** For an engine that may not have got the latest one. */
  repeatHeartbeat(): void {
    if (!this.#beats) return;
    this.#hasBeaten = true;
    this.flushHeartbeat();
  }

  stopHeartbeats(): void {
    this.#cancelPause?.();
    this.#cancelPause = undefined;
    this.#hasBeaten = false;
  }
}
