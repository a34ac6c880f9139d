import { AionError } from "../core/errors.ts";
import type { EventBody } from "../core/event.ts";
import type { TimeoutKind } from "../core/failure.ts";
import { toFailure } from "../core/failure.ts";
import type { RunId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload, parsePayload, toPayload } from "../core/payload.ts";
import type { PayloadContext, SyncPayloadCodec } from "../core/payload-codec.ts";
import type { Ports } from "../core/ports.ts";
import type { TraceContext, Tracing } from "../core/tracing.ts";
import type { Execution } from "../attempt/execute.ts";
import type { AttemptAtWork } from "../attempt/task.ts";
import { abort, Task } from "../attempt/task.ts";
import { byType, callActivity, encodeResult, execute } from "../attempt/execute.ts";
import { callTraced } from "../attempt/traced.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import type { ActivityTask, AnyActivity } from "../workflow/definition.ts";
import type { OpenAttempt, TaskAddress, ToEvent } from "./attempt.ts";
import {
  armHeartbeat,
  armTimers,
  disarm,
  hasTimers,
  ifCurrent,
  keyOf,
  toFailedEvent,
  toTimedOutEvent,
} from "./attempt.ts";
import { sealFailure } from "./worker-seal.ts";

export interface DispatchLimits {
  /** Attempts under way at once, of all types. */
  readonly total: number;
  readonly perType: Readonly<Record<string, number>>;
}

export interface DispatcherHost {
  /** An attempt has ended; `toEvent` decides against the state of the moment. */
  settled(address: TaskAddress, toEvent: ToEvent): void;
  /** A slot is free for an activity that waited: it may begin its next attempt. */
  slotFree(address: TaskAddress): void;
  heartbeat(address: TaskAddress, attempt: number, details: Payload): void;
  /** Leaves the context of the workflow that happens to be current. */
  outside<Result>(run: () => Result): Result;
}

interface Waiting {
  readonly address: TaskAddress;
  readonly arrival: number;
  readonly since: number;
}

/** What operators see of the slots. */
interface Slots {
  readonly total: number;
  readonly taken: number;
  /** Activities that stand in line. */
  readonly waitingCount: number;
  /** Since when the first of them does; `undefined`: nobody waits. */
  readonly waitingSince: number | undefined;
}

/** Who is told how an attempt of this process ended. */
interface AttemptOwner {
  decode(running: Attempt, payload: Payload, kind: PayloadContext["kind"]): Payload;
  beat(running: Attempt, details: unknown, heartbeatMs: number | undefined): void;
  readonly tracing: Tracing | undefined;
  readonly hidesErrors: boolean;
  complete(running: Attempt, value: unknown): void;
  fail(running: Attempt, error: unknown): void;
}

/** One attempt under way in this process. Its fields are plain, since private ones are slow to make. */
class Attempt implements OpenAttempt, Execution, AttemptAtWork {
  /** The idempotency key: of the run that asked for the activity first. */
  readonly key: string;
  readonly place: string;
  readonly address: TaskAddress;
  readonly activityType: string;
  readonly attempt: number;
  controller: AbortController | undefined;
  abortReason: AionError | undefined;
  cancelTimers: (() => void)[] = [];
  heartbeat: Payload | undefined;
  heartbeatTimer: (() => void) | undefined;
  readonly lastHeartbeat: Payload | undefined;
  readonly beat: (details: unknown) => void;
  readonly owner: AttemptOwner;
  readonly input: Payload;
  readonly definition: AnyActivity | undefined;
  readonly step: ((task: ActivityTask) => unknown) | undefined;
  readonly trace: TraceContext | undefined;

  constructor(
    owner: AttemptOwner,
    address: TaskAddress,
    { activityType, attempt, input, heartbeat, options, keyRunId }: OpenActivity,
    definition: AnyActivity | undefined,
    step: ((task: ActivityTask) => unknown) | undefined,
    trace: TraceContext | undefined,
  ) {
    this.owner = owner;
    this.lastHeartbeat = heartbeat;
    this.beat = (details) => owner.beat(this, details, options.heartbeatMs);
    this.place = keyOf(address.runId, address.ordinal);
    this.key = keyRunId === address.runId ? this.place : keyOf(keyRunId, address.ordinal);
    this.address = address;
    this.activityType = activityType;
    this.attempt = attempt;
    this.input = input;
    this.definition = definition;
    this.step = step;
    this.trace = trace;
  }

  call(): unknown {
    const { tracing } = this.owner;
    return tracing === undefined ? this.callCode() : callTraced(this, tracing, () => this.callCode());
  }

  get hidesErrors(): boolean {
    return this.owner.hidesErrors;
  }

  callCode(): unknown {
    const { lastHeartbeat } = this;
    const last =
      lastHeartbeat === undefined ? undefined : this.owner.decode(this, lastHeartbeat, "heartbeat");
    const task = new Task(this, last, this.beat);
    if (this.step !== undefined) return this.step(task);
    if (this.definition === undefined)
      throw new AionError("internal", `no implementation of activity ${this.activityType}`);
    return callActivity(this.definition, fromPayload(this.owner.decode(this, this.input, "input")), task);
  }

  completed(value: unknown): void {
    this.owner.complete(this, value);
  }

  failed(error: unknown): void {
    this.owner.fail(this, error);
  }
}

/**
 * Runs attempts of activities in this process. Owner: the kernel. In memory only: what is open, and which attempt is the
 * current one, is in the histories.
 *
 * Laws: an attempt begins only after its ActivityStarted is on disk. A slot is taken before that event is written and
 * given back when the attempt ends, the commit fails, or the engine stops. Who waits for a slot is served in order of
 * arrival per type. What an attempt does after it timed out counts for nothing.
 */
export class Dispatcher implements AttemptOwner {
  readonly #ports: Ports;
  readonly #host: DispatcherHost;
  readonly #implementations: ReadonlyMap<string, AnyActivity>;
  readonly #limits: DispatchLimits;
  readonly #payloadLimitBytes: number;
  /** What of that is left for the text of a payload. */
  readonly #textLimitBytes: number;
  readonly #codec: SyncPayloadCodec | undefined;
  readonly tracing: Tracing | undefined;
  readonly hidesErrors: boolean;
  readonly #attempts = new Map<string, Attempt>();
  readonly #waiting = new Map<string, Map<string, Waiting>>();
  /** Slots taken for activities that were told so and have not begun yet, by key. */
  readonly #offered = new Map<string, string>();
  #arrivals = 0;
  readonly #taken = new Map<string, number>();
  #takenTotal = 0;
  #isStopped = false;
  readonly #idle: (() => void)[] = [];

  constructor(options: {
    readonly ports: Ports;
    readonly host: DispatcherHost;
    readonly activities: readonly AnyActivity[];
    readonly limits: DispatchLimits;
    readonly payloadLimitBytes: number;
    readonly codec?: SyncPayloadCodec | undefined;
    readonly tracing?: Tracing | undefined;
  }) {
    this.#ports = options.ports;
    this.#host = options.host;
    this.#limits = options.limits;
    const { payloadLimitBytes, codec } = options;
    this.#payloadLimitBytes = payloadLimitBytes;
    this.#codec = codec;
    this.#textLimitBytes = codec?.plainLimitBytes?.(payloadLimitBytes) ?? payloadLimitBytes;
    this.#implementations = byType(options.activities);
    this.tracing = options.tracing;
    this.hidesErrors = codec !== undefined && codec.failureText !== "plain";
  }

  get inFlightCount(): number {
    return this.#attempts.size;
  }

  get slots(): Slots {
    let waitingCount = 0;
    let first: Waiting | undefined;
    for (const line of this.#waiting.values()) {
      waitingCount += line.size;
      const head = line.values().next().value;
      if (head !== undefined && (first === undefined || head.arrival < first.arrival)) first = head;
    }
    return { total: this.#limits.total, taken: this.#takenTotal, waitingCount, waitingSince: first?.since };
  }

  hasImplementation(activityType: string): boolean {
    return this.#implementations.has(activityType);
  }

  isUnderWay(runId: RunId, ordinal: number): boolean {
    return this.#attempts.has(keyOf(runId, ordinal));
  }

  /** The latest heartbeat details of an attempt under way. */
  progressOf(runId: RunId, ordinal: number): Payload | undefined {
    return this.#attempts.get(keyOf(runId, ordinal))?.heartbeat;
  }

  /** Takes a slot for an attempt that is about to be recorded as started. False: it must wait. */
  reserve(address: TaskAddress, activityType: string): boolean {
    if (this.#offered.size > 0 && this.#offered.delete(keyOf(address.runId, address.ordinal))) return true;
    const hasLine = (this.#waiting.get(activityType)?.size ?? 0) > 0;
    if (!hasLine && this.#take(activityType)) return true;
    this.#wait(address, activityType);
    return false;
  }

  #take(activityType: string): boolean {
    if (this.#isStopped || this.#takenTotal >= this.#limits.total) return false;
    const taken = this.#taken.get(activityType) ?? 0;
    if (taken >= (this.#limits.perType[activityType] ?? Number.POSITIVE_INFINITY)) return false;
    this.#taken.set(activityType, taken + 1);
    this.#takenTotal += 1;
    return true;
  }

  release(activityType: string): void {
    this.#taken.set(activityType, (this.#taken.get(activityType) ?? 1) - 1);
    this.#takenTotal -= 1;
    this.#offer();
  }

  #wait(address: TaskAddress, activityType: string): void {
    let line = this.#waiting.get(activityType);
    if (line === undefined) {
      line = new Map();
      this.#waiting.set(activityType, line);
    }
    const key = keyOf(address.runId, address.ordinal);
    if (line.has(key)) return;
    line.set(key, { address, arrival: this.#arrivals++, since: this.#ports.clock.now() });
  }

  /** An activity that was offered a slot does not begin after all. */
  decline(address: TaskAddress): void {
    const key = keyOf(address.runId, address.ordinal);
    const activityType = this.#offered.get(key);
    if (activityType === undefined) return;
    this.#offered.delete(key);
    this.release(activityType);
  }

  leave(activityType: string, address: TaskAddress): void {
    this.#waiting.get(activityType)?.delete(keyOf(address.runId, address.ordinal));
    this.decline(address);
  }

  /** Nothing of the run stands in line any more: it is read anew, and what it was to do may never have been recorded. */
  leaveRun(runId: RunId): void {
    for (const line of this.#waiting.values()) {
      for (const [key, { address }] of line) if (address.runId === runId) line.delete(key);
    }
    for (const [key, activityType] of [...this.#offered]) {
      if (!key.startsWith(`${runId}:`)) continue;
      this.#offered.delete(key);
      this.release(activityType);
    }
  }

  /** Gives free slots to those who have waited longest, whatever their type. */
  #offer(): void {
    while (!this.#isStopped && this.#takenTotal < this.#limits.total) {
      let first: Waiting | undefined;
      let firstType = "";
      for (const [activityType, line] of this.#waiting) {
        const head = line.values().next().value;
        if (head === undefined || (first !== undefined && head.arrival > first.arrival)) continue;
        const limit = this.#limits.perType[activityType] ?? Number.POSITIVE_INFINITY;
        if ((this.#taken.get(activityType) ?? 0) >= limit) continue;
        first = head;
        firstType = activityType;
      }
      if (first === undefined || !this.#take(firstType)) return;
      const key = keyOf(first.address.runId, first.address.ordinal);
      this.#waiting.get(firstType)?.delete(key);
      this.#offered.set(key, firstType);
      this.#host.slotFree(first.address);
    }
  }

  /** Begins an attempt whose slot is taken and whose start is on disk. */
  run(
    address: TaskAddress,
    activity: OpenActivity,
    step: ((task: ActivityTask) => unknown) | undefined,
    trace?: TraceContext,
  ): void {
    const running = new Attempt(
      this,
      address,
      activity,
      this.#implementations.get(activity.activityType),
      step,
      trace,
    );
    this.#attempts.set(running.place, running);
    if (hasTimers(activity))
      armTimers(running, activity, this.#ports, (timeout) => this.#timeOut(running, timeout));
    if (activity.isCancelRequested) abort(running, cancelReason());
    this.#host.outside(() => execute(running));
  }

  /** Tells a running attempt that its outcome is no longer wanted. */
  cancel(runId: RunId, ordinal: number): void {
    const running = this.#attempts.get(keyOf(runId, ordinal));
    if (running !== undefined) abort(running, cancelReason());
  }

  /** The run has ended: its attempts are told, and their outcomes dropped. */
  drop(runId: RunId, ordinals: Iterable<number>): void {
    for (const ordinal of ordinals) {
      const running = this.#attempts.get(keyOf(runId, ordinal));
      if (running === undefined) continue;
      this.#end(running);
      abort(running, cancelReason());
    }
  }

  /** The same for whatever is under way for the run. */
  dropRun(runId: RunId): void {
    for (const { address } of [...this.#attempts.values()]) {
      if (address.runId === runId) this.drop(runId, [address.ordinal]);
    }
  }

  /** No further attempt begins. Resolves when those under way have ended, or after `graceMs`, having told them to stop. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopped = true;
    this.#waiting.clear();
    if (this.#attempts.size > 0 && graceMs > 0) {
      await new Promise<void>((resolve) => {
        const cancel = this.#ports.scheduler.delay(graceMs, resolve);
        this.#idle.push(() => {
          cancel();
          resolve();
        });
      });
    }
    for (const running of [...this.#attempts.values()]) {
      this.#end(running);
      abort(running, new AionError("engine_closed", "the engine is closing"));
    }
  }

  decode({ address }: Attempt, payload: Payload, kind: PayloadContext["kind"]): Payload {
    const { workflowId } = address;
    return this.#codec === undefined
      ? payload
      : (this.#codec.decode(payload, { kind, workflowId }) as Payload);
  }

  #encode({ address }: Attempt, text: Payload, kind: PayloadContext["kind"], what: string): Payload {
    if (this.#codec === undefined) return text;
    const { workflowId } = address;
    return parsePayload(this.#codec.encode(text, { kind, workflowId }), what, this.#payloadLimitBytes);
  }

  beat(running: Attempt, details: unknown, heartbeatMs: number | undefined): void {
    if (!this.#isCurrent(running)) return;
    armHeartbeat(running, heartbeatMs, this.#ports.scheduler, () => this.#timeOut(running, "heartbeat"));
    if (details === undefined) return;
    const what = `the heartbeat of activity ${JSON.stringify(running.activityType)}`;
    const text = toPayload(details, what, this.#textLimitBytes);
    running.heartbeat = this.#encode(running, text, "heartbeat", what);
    this.#host.heartbeat(running.address, running.attempt, running.heartbeat);
  }

  complete(running: Attempt, value: unknown): void {
    let result: Payload;
    try {
      const { activityType } = running;
      const text = encodeResult(value, running.definition ?? { activityType }, this.#textLimitBytes);
      const what = `the result of activity ${JSON.stringify(activityType)}`;
      result = this.#encode(running, text, "result", what);
    } catch (error) {
      this.fail(running, error);
      return;
    }
    if (!this.#end(running)) return;
    const { ordinal } = running.address;
    const { attempt } = running;
    this.#settle(running, () => ({ type: "ActivityCompleted", ordinal, attempt, result }));
  }

  fail(running: Attempt, error: unknown): void {
    if (!this.#end(running)) return;
    const plain = toFailure(error);
    const of = { activityType: running.activityType, workflowId: running.address.workflowId };
    const failure = this.#codec === undefined ? plain : sealFailure(this.#codec, plain, of);
    this.#settle(running, (activity, nowMs) =>
      toFailedEvent(activity, running, failure, nowMs, this.#ports.random),
    );
  }

  #timeOut(running: Attempt, timeout: TimeoutKind): void {
    if (!this.#end(running)) return;
    abort(running, new AionError("result_timeout", `the attempt ran into its ${timeout} time-out`));
    this.#settle(running, (activity, nowMs) =>
      toTimedOutEvent(activity, running, timeout, nowMs, this.#ports.random),
    );
  }

  #settle(running: Attempt, toEvent: (activity: OpenActivity, nowMs: number) => EventBody): void {
    this.#host.settled(running.address, ifCurrent(running, toEvent));
  }

  #isCurrent(running: Attempt): boolean {
    return this.#attempts.get(running.place) === running;
  }

  #end(running: Attempt): boolean {
    if (!this.#isCurrent(running)) return false;
    this.#attempts.delete(running.place);
    disarm(running);
    this.release(running.activityType);
    if (this.#attempts.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
    return true;
  }
}

function cancelReason(): AionError {
  return new AionError("run_closed", "the activity was cancelled");
}
