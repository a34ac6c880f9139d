import { AionError } from "../core/errors.ts";
import type { EventBody } from "../core/event.ts";
import type { TimeoutKind } from "../core/failure.ts";
import { toFailure } from "../core/failure.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload, toPayload } from "../core/payload.ts";
import type { Ports } from "../core/ports.ts";
import { backoffMs, isFinal } from "../core/retry.ts";
import { parseWithSchema } from "../core/schema.ts";
import type { OpenActivity } from "../replay/run-state.ts";
import type { RunState } from "../replay/run-state.ts";
import type { ActivityTask, AnyActivity } from "../workflow/definition.ts";

export interface DispatchLimits {
  /** Attempts under way at once, of all types. */
  readonly total: number;
  readonly perType: Readonly<Record<string, number>>;
}

/** Which attempt of which activity of which run: results are accepted by this and nothing less. */
export interface TaskAddress {
  readonly workflowId: WorkflowId;
  readonly runId: RunId;
  readonly ordinal: number;
}

export interface DispatcherHost {
  /** An attempt has ended; `toEvent` decides against the state of the moment. */
  settled(
    address: TaskAddress,
    attempt: number,
    toEvent: (state: RunState, nowMs: number) => EventBody | undefined,
  ): void;
  /** A slot is free for an activity that waited: it may begin its next attempt. */
  slotFree(address: TaskAddress): void;
  heartbeat(address: TaskAddress, attempt: number, details: Payload): void;
  /** Leaves the context of the workflow that happens to be current. */
  outside<Result>(run: () => Result): Result;
}

interface Waiting {
  readonly address: TaskAddress;
  readonly isStep: boolean;
  readonly arrival: number;
}

/** One attempt under way. Its AbortController is made when somebody asks for the signal: few implementations do. */
interface Attempt {
  readonly key: string;
  readonly address: TaskAddress;
  readonly activityType: string;
  readonly attempt: number;
  controller: AbortController | undefined;
  /** Why it was aborted, if it was. */
  abortReason: AionError | undefined;
  cancelTimers: (() => void)[];
  heartbeat: Payload | undefined;
  heartbeatTimer: (() => void) | undefined;
}

/**
 * Runs attempts of activities. Owner: the kernel. In memory only: what is open, and which attempt is the current one, is
 * in the histories.
 *
 * Laws: an attempt begins only after its ActivityStarted is on disk. A slot is taken before that event is written and
 * given back when the attempt ends, the commit fails, or the engine stops. Who waits for a slot is served in order of
 * arrival per type. What an attempt does after it timed out counts for nothing.
 */
export class Dispatcher {
  readonly #ports: Ports;
  readonly #host: DispatcherHost;
  readonly #implementations: ReadonlyMap<string, AnyActivity>;
  readonly #limits: DispatchLimits;
  readonly #payloadLimitBytes: number;
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
  }) {
    this.#ports = options.ports;
    this.#host = options.host;
    this.#limits = options.limits;
    this.#payloadLimitBytes = options.payloadLimitBytes;
    const implementations = new Map<string, AnyActivity>();
    for (const activity of options.activities) {
      if (activity?.kind !== "activity") {
        throw new AionError("invalid_argument", "`activities` holds something that activity() did not make");
      }
      if (implementations.has(activity.activityType)) {
        throw new AionError(
          "definition_duplicate",
          `two activities are named ${JSON.stringify(activity.activityType)}`,
        );
      }
      implementations.set(activity.activityType, activity);
    }
    this.#implementations = implementations;
  }

  get inFlightCount(): number {
    return this.#attempts.size;
  }

  hasImplementation(activityType: string): boolean {
    return this.#implementations.has(activityType);
  }

  isUnderWay(runId: RunId, ordinal: number): boolean {
    return this.#attempts.has(keyOf(runId, ordinal));
  }

  /** Takes a slot for an attempt that is about to be recorded as started. False: it must wait. */
  reserve(address: TaskAddress, activityType: string, isStep: boolean): boolean {
    if (this.#offered.size > 0 && this.#offered.delete(keyOf(address.runId, address.ordinal))) return true;
    const hasLine = (this.#waiting.get(activityType)?.size ?? 0) > 0;
    if (!hasLine && (isStep || this.#implementations.has(activityType)) && this.#take(activityType))
      return true;
    this.#wait(address, activityType, isStep);
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

  #wait(address: TaskAddress, activityType: string, isStep: boolean): void {
    let line = this.#waiting.get(activityType);
    if (line === undefined) {
      line = new Map();
      this.#waiting.set(activityType, line);
    }
    const key = keyOf(address.runId, address.ordinal);
    if (!line.has(key)) line.set(key, { address, isStep, arrival: this.#arrivals++ });
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
        if (!head.isStep && !this.#implementations.has(activityType)) continue;
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
  ): void {
    const { activityType, attempt, options } = activity;
    const key = keyOf(address.runId, address.ordinal);
    const running: Attempt = {
      key,
      address,
      activityType,
      attempt,
      controller: undefined,
      abortReason: undefined,
      cancelTimers: [],
      heartbeat: undefined,
      heartbeatTimer: undefined,
    };
    this.#attempts.set(key, running);
    const { scheduler, clock } = this.#ports;
    if (options.startToCloseMs !== undefined) {
      running.cancelTimers.push(
        scheduler.delay(options.startToCloseMs, () => this.#timeOut(running, "start-to-close")),
      );
    }
    if (options.scheduleToCloseMs !== undefined) {
      const left = Math.max(0, activity.scheduledAt + options.scheduleToCloseMs - clock.now());
      running.cancelTimers.push(scheduler.delay(left, () => this.#timeOut(running, "schedule-to-close")));
    }
    this.#armHeartbeat(running, options.heartbeatMs);
    if (activity.isCancelRequested) abort(running, cancelReason());
    const task = new Task(running, activity, (details) => this.#beat(running, details, options.heartbeatMs));
    const { input } = activity;
    const definition = this.#implementations.get(activityType);
    this.#host.outside(() => {
      let result: unknown;
      let pending: Promise<unknown> | undefined;
      try {
        if (step !== undefined) result = step(task);
        else if (definition === undefined)
          throw new AionError("internal", `no implementation of activity ${activityType}`);
        else {
          const value = fromPayload(input);
          const { inputSchema, implementation } = definition;
          const what = `the input of activity ${JSON.stringify(activityType)}`;
          result = implementation(
            inputSchema === undefined ? value : parseWithSchema(inputSchema, value, what),
            task,
          );
        }
        // A promise of the platform's stays the same one; of whatever else has a `then`, which may throw or call back twice,
        // this makes one that settles once.
        if (isThenable(result)) pending = Promise.resolve(result);
      } catch (error) {
        this.#fail(running, error);
        return;
      }
      if (pending === undefined) {
        this.#complete(running, result);
        return;
      }
      pending.then(
        (value) => this.#complete(running, value),
        (error: unknown) => this.#fail(running, error),
      );
    });
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

  #armHeartbeat(running: Attempt, heartbeatMs: number | undefined): void {
    if (heartbeatMs === undefined) return;
    running.heartbeatTimer?.();
    running.heartbeatTimer = this.#ports.scheduler.delay(heartbeatMs, () =>
      this.#timeOut(running, "heartbeat"),
    );
  }

  #beat(running: Attempt, details: unknown, heartbeatMs: number | undefined): void {
    if (!this.#isCurrent(running)) return;
    this.#armHeartbeat(running, heartbeatMs);
    if (details === undefined) return;
    const what = `the heartbeat of activity ${JSON.stringify(running.activityType)}`;
    running.heartbeat = toPayload(details, what, this.#payloadLimitBytes);
    this.#host.heartbeat(running.address, running.attempt, running.heartbeat);
  }

  #complete(running: Attempt, value: unknown): void {
    let result: Payload;
    try {
      result = toPayload(
        value,
        `the result of activity ${JSON.stringify(running.activityType)}`,
        this.#payloadLimitBytes,
      );
    } catch (error) {
      this.#fail(running, error);
      return;
    }
    if (!this.#end(running)) return;
    const { ordinal } = running.address;
    const { attempt } = running;
    this.#settle(running, () => ({ type: "ActivityCompleted", ordinal, attempt, result }));
  }

  #fail(running: Attempt, error: unknown): void {
    if (!this.#end(running)) return;
    const { ordinal } = running.address;
    const { attempt, heartbeat } = running;
    const failure = toFailure(error);
    this.#settle(running, (state, nowMs) => {
      const activity = state.activities.get(ordinal);
      if (activity === undefined) return undefined;
      if (activity.isCancelRequested) return { type: "ActivityCancelled", ordinal, attempt };
      // Data that fits no schema or limit does not fit the next time either; other errors of ours pass.
      const invalid = failure.kind === "engine" && failure.type?.startsWith("payload_") === true;
      const retryAt =
        invalid || isFinal(failure, activity.options.retry) ? undefined : this.#retryAt(activity, nowMs);
      return {
        type: "ActivityFailed",
        ordinal,
        attempt,
        failure,
        ...(retryAt === undefined ? {} : { retryAt, ...(heartbeat === undefined ? {} : { heartbeat }) }),
      };
    });
  }

  #timeOut(running: Attempt, timeout: TimeoutKind): void {
    if (!this.#end(running)) return;
    abort(running, new AionError("result_timeout", `the attempt ran into its ${timeout} time-out`));
    const { ordinal } = running.address;
    const { attempt, heartbeat } = running;
    this.#settle(running, (state, nowMs) => {
      const activity = state.activities.get(ordinal);
      if (activity === undefined) return undefined;
      if (activity.isCancelRequested) return { type: "ActivityCancelled", ordinal, attempt };
      const retryAt = timeout === "schedule-to-close" ? undefined : this.#retryAt(activity, nowMs);
      return {
        type: "ActivityTimedOut",
        ordinal,
        attempt,
        timeout,
        ...(retryAt === undefined ? {} : { retryAt, ...(heartbeat === undefined ? {} : { heartbeat }) }),
      };
    });
  }

  /** When the next attempt may begin; `undefined`: there is none. */
  #retryAt(activity: OpenActivity, nowMs: number): number | undefined {
    const { retry, scheduleToCloseMs } = activity.options;
    if (retry === undefined) return undefined;
    const failedCount = activity.failedCount + 1;
    if (retry.maxAttempts !== undefined && failedCount >= retry.maxAttempts) return undefined;
    const retryAt = nowMs + backoffMs(retry, failedCount, this.#ports.random.number());
    const isTooLate = scheduleToCloseMs !== undefined && retryAt >= activity.scheduledAt + scheduleToCloseMs;
    return isTooLate ? undefined : retryAt;
  }

  #settle(running: Attempt, toEvent: (state: RunState, nowMs: number) => EventBody | undefined): void {
    const { address, attempt } = running;
    this.#host.settled(address, attempt, (state, nowMs) => {
      // The run may have been read anew, and another one of its chain be there.
      if (state.started.runId !== address.runId) return undefined;
      const activity = state.activities.get(address.ordinal);
      // Late: another attempt is the current one, or the activity has its outcome.
      if (activity === undefined || activity.attempt !== attempt || activity.startedAt === undefined)
        return undefined;
      return toEvent(state, nowMs);
    });
  }

  #isCurrent(running: Attempt): boolean {
    return this.#attempts.get(running.key) === running;
  }

  #end(running: Attempt): boolean {
    if (!this.#isCurrent(running)) return false;
    this.#attempts.delete(running.key);
    for (const cancel of running.cancelTimers) cancel();
    running.heartbeatTimer?.();
    this.release(running.activityType);
    if (this.#attempts.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
    return true;
  }
}

/** What an implementation is handed. A class, since an object with an accessor is slow to make. */
class Task implements ActivityTask {
  readonly idempotencyKey: string;
  readonly attempt: number;
  readonly activityType: string;
  readonly workflowId: WorkflowId;
  readonly runId: RunId;
  readonly lastHeartbeat: unknown;
  readonly heartbeat: (details?: unknown) => void;
  readonly #running: Attempt;

  constructor(running: Attempt, activity: OpenActivity, heartbeat: (details?: unknown) => void) {
    this.idempotencyKey = running.key;
    this.attempt = running.attempt;
    this.activityType = running.activityType;
    this.workflowId = running.address.workflowId;
    this.runId = running.address.runId;
    this.lastHeartbeat = activity.heartbeat === undefined ? undefined : fromPayload(activity.heartbeat);
    this.heartbeat = heartbeat;
    this.#running = running;
  }

  get signal(): AbortSignal {
    return signalOf(this.#running);
  }
}

function abort(running: Attempt, reason: AionError): void {
  running.abortReason ??= reason;
  running.controller?.abort(reason);
}

function signalOf(running: Attempt): AbortSignal {
  if (running.controller === undefined) {
    running.controller = new AbortController();
    if (running.abortReason !== undefined) running.controller.abort(running.abortReason);
  }
  return running.controller.signal;
}

/** Stable over attempts and restarts. */
function keyOf(runId: RunId, ordinal: number): string {
  return `${runId}:${ordinal}`;
}

function cancelReason(): AionError {
  return new AionError("run_closed", "the activity was cancelled");
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  const mayHaveThen = (typeof value === "object" && value !== null) || typeof value === "function";
  return mayHaveThen && "then" in value && typeof value.then === "function";
}
