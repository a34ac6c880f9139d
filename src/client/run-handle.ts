import { abortable, callOptionNames } from "./abortable.ts";
import type { Duration } from "../core/duration.ts";
import { parseDuration } from "../core/duration.ts";
import { AionError } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import { fromFailure } from "../core/failure.ts";
import { parseName, parseWorkflowId } from "../core/ids.ts";
import type { OptionNames } from "../core/options.ts";
import { demandKnownOptions } from "../core/options.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload, toPayload } from "../core/payload.ts";
import type { Schema } from "../core/schema.ts";
import { parseWithSchema } from "../core/schema.ts";
import type {
  AnyActivity,
  AnyQuery,
  AnySignal,
  AnyUpdate,
  AnyWorkflow,
  Query,
  Signal,
  Update,
  Workflow,
} from "../workflow/definition.ts";
import type {
  CallOptions,
  LogsLine,
  ResetReply,
  ResetRequest,
  OperatorFailure,
  RunAddress,
  RunDescription,
  Service,
} from "./service.ts";
import { startUpdate, UpdateHandle } from "./update-handle.ts";
import type { UpdateOptions } from "./update-handle.ts";

/** One call waits no longer than this for what it asks for; longer waits are several calls. */
const waitPerCallMs = 60_000;
const historyPageEvents = 500;
const logPageLines = 500;

/** Input that may be left out when the definition takes none. */
export type InputArguments<Input, Options> = void extends Input
  ? readonly [input?: Input, options?: Options]
  : readonly [input: Input, options?: Options];

/** The handle that `start` gives for a workflow definition: `RunHandleOf<typeof fulfil>`. */
export type RunHandleOf<Definition extends AnyWorkflow> =
  Definition extends Workflow<infer _Input, infer Output> ? RunHandle<Output> : never;

/** Of a signal that goes with a start. */
export interface StartSignalOptions {
  /** A second signal with this id is the first one: give one wherever a call may be repeated. */
  readonly signalId?: string;
}

export interface SignalOptions extends StartSignalOptions, CallOptions {}

export interface EndOptions extends CallOptions {
  /** A second request with this id is the first one, though the run has ended by then: give one wherever a call may be repeated. */
  readonly requestId?: string;
}

export const startSignalOptionNames: OptionNames<StartSignalOptions> = { signalId: true };
const signalOptionNames: OptionNames<SignalOptions> = { ...startSignalOptionNames, ...callOptionNames };
const endOptionNames: OptionNames<EndOptions> = { requestId: true, ...callOptionNames };

export interface ResetOptions extends EndOptions {
  /**
   * The last event that is kept, by its `seq`: all of what the code did when it learned of something, or nothing of it, which it then does
   * anew. `aion history ID --points` marks them.
   */
  readonly toSeq?: number;
  readonly reason?: string;
  /** Signals that came after that point are told to the new run, in their order, or not. Default: `carry`, of a fork `drop`. */
  readonly signals?: "carry" | "drop";
  /** Of the code; `same`: that of the old run. Default: the one that new runs get. */
  readonly version?: string;
}

const resetOptionNames: OptionNames<ResetOptions> = {
  toSeq: true,
  reason: true,
  signals: true,
  version: true,
  ...endOptionNames,
};

export interface ResumeActivityOptions extends EndOptions {
  /** Which of the run's activities, as `describe` numbers them. Default: all that are parked. */
  readonly ordinal?: number;
  /** Only those of this type: a definition, or a name. */
  readonly activity?: AnyActivity | string;
  /** Present: the activity of that ordinal is completed with it. */
  readonly result?: unknown;
  /** Present: the activity of that ordinal fails with it, as if it had thrown an `ApplicationFailure`. */
  readonly failure?: { readonly message: string; readonly type?: string; readonly details?: unknown };
  /** Recorded with it. */
  readonly reason?: string;
}

const resumeActivityOptionNames: OptionNames<ResumeActivityOptions> = {
  ordinal: true,
  activity: true,
  result: true,
  failure: true,
  reason: true,
  ...endOptionNames,
};

const operatorFailureNames: OptionNames<NonNullable<ResumeActivityOptions["failure"]>> = {
  message: true,
  type: true,
  details: true,
};

export interface ResultOptions extends CallOptions {
  /** How long to wait. Default: for as long as the run takes. */
  readonly timeout?: Duration;
}

export interface LogsOptions extends CallOptions {
  /** The `seq` of the last line that was dealt with, as text. Default: from the oldest line that is kept. */
  readonly after?: string;
}

export interface HistoryOptions extends CallOptions {
  /** The first event wanted. Default 1, the beginning. */
  readonly fromSeq?: number;
}

const resultOptionNames: OptionNames<ResultOptions> = { timeout: true, ...callOptionNames };
const logsOptionNames: OptionNames<LogsOptions> = { after: true, ...callOptionNames };
const historyOptionNames: OptionNames<HistoryOptions> = { fromSeq: true, ...callOptionNames };

/** For `Client`: what a handle addresses. */
export interface HandleTarget {
  readonly workflowId: string;
  /** The run that was started or asked for. */
  readonly runId?: string;
  /** Every call is meant for that run; otherwise for the latest, and only `result` begins at that run. */
  readonly isPinned: boolean;
  readonly isNew?: boolean;
}

/**
 * A run, as a client sees it. Made by `Client.start` and `Client.get`; holds no connection and no state.
 *
 * From `start`, signals, queries, cancel and terminate reach the latest run of the workflow id (after
 * continue-as-new: the current one), and `result` follows the chain from the run that was started. From `get` with a
 * run id, everything is about that run.
 *
 * @example
 * const run = await client.start(fulfil, order, { id: "order-42" });
 * await run.signal(approval, { by: "ann", ok: true });
 * const receipt = await run.result({ timeout: "1 minute" });
 */
export class RunHandle<Output = unknown> {
  readonly workflowId: string;
  /** The run that was started or asked for; `undefined`: whichever is the latest. */
  readonly runId: string | undefined;
  /** From `start`: false when the run was there already. */
  readonly isNew: boolean | undefined;
  readonly #service: Service;
  readonly #address: RunAddress;

  constructor(service: Service, target: HandleTarget) {
    this.#service = service;
    this.workflowId = target.workflowId;
    this.runId = target.runId;
    this.isNew = target.isNew;
    this.#address = {
      workflowId: target.workflowId,
      ...(target.isPinned && target.runId !== undefined ? { runId: target.runId } : {}),
    };
  }

  /**
   * Sends a signal. Resolves when it is recorded; the run receives it exactly once, in order of sending.
   * Errors: `payload_invalid`, `payload_not_serializable`, `payload_too_large`, `run_not_found`, `run_closed`.
   *
   * @example
   * await run.signal(approval, { by: "ann", ok: true }, { signalId: "decision-7" });
   */
  signal<Sent>(signal: Signal<Sent>, ...args: InputArguments<NoInfer<Sent>, SignalOptions>): Promise<void>;
  signal(signal: string, payload?: unknown, options?: SignalOptions): Promise<void>;
  async signal(signal: AnySignal | string, payload?: unknown, options: SignalOptions = {}): Promise<void> {
    const request = { ...this.#address, ...toSignal(signal, payload, options, signalOptionNames) };
    await abortable(options.abortSignal, (call) => this.#service.signal(request, call));
  }

  /**
   * Asks the run something. The answer reflects all that was acknowledged before; nothing is recorded.
   * Errors: `query_unknown`, `query_failed`, `payload_invalid`, `run_not_found`, `run_blocked`.
   *
   * @example
   * console.log(await run.query(stage));
   */
  query<Asked, Answer>(
    query: Query<Asked, Answer>,
    ...args: InputArguments<NoInfer<Asked>, CallOptions>
  ): Promise<Answer>;
  query(query: string, input?: unknown, options?: CallOptions): Promise<unknown>;
  async query(query: AnyQuery | string, input?: unknown, options: CallOptions = {}): Promise<unknown> {
    const { name, schema } =
      typeof query === "string"
        ? { name: parseName(query, "query name"), schema: undefined }
        : { name: query.name, schema: query.inputSchema };
    demandKnownOptions(options, callOptionNames, `query ${JSON.stringify(name)}`);
    const checked = toCheckedPayload(input, schema, `the input of query ${JSON.stringify(name)}`);
    const request = { ...this.#address, name, input: checked };
    return fromPayload(await abortable(options.abortSignal, (call) => this.#service.query(request, call)));
  }

  /**
   * Asks the run to do something, and gives its answer: the run checks the update, records it, deals with it, and what its handler
   * returns is recorded before it is given. Made again with the same id it is the same update, and has the same answer.
   *
   * Throws what the handler failed with (the run goes on), or an `EngineFailure` of type `update_unfinished` when the run ended first;
   * recognise them with `isFailure`. Errors: `update_unknown`, `update_rejected` (nothing was recorded; `cause`: what its validator
   * threw), `payload_invalid`, `payload_too_large`, `update_conflict`, `updates_pending`, `run_not_found`, `run_closed`, `run_blocked`,
   * `result_timeout` (the update goes on).
   *
   * @example
   * const { fee } = await run.update(changeAddress, { street: "Elm 1" }, { updateId: "move-7" });
   */
  update<Asked, Answer>(
    update: Update<Asked, Answer>,
    ...args: InputArguments<NoInfer<Asked>, UpdateOptions>
  ): Promise<Answer>;
  update(update: string, input?: unknown, options?: UpdateOptions): Promise<unknown>;
  async update(update: AnyUpdate | string, input?: unknown, options: UpdateOptions = {}): Promise<unknown> {
    const handle = await startUpdate(
      this.#service,
      this.#address,
      toUpdate(update, input),
      options,
      "completed",
    );
    const { updateId: _updateId, ...waiting } = options;
    return await handle.result(waiting);
  }

  /** The same as far as its acceptance: resolves when that is on disk, and the handle waits for the answer. */
  startUpdate<Asked, Answer>(
    update: Update<Asked, Answer>,
    ...args: InputArguments<NoInfer<Asked>, UpdateOptions>
  ): Promise<UpdateHandle<Answer>>;
  startUpdate(update: string, input?: unknown, options?: UpdateOptions): Promise<UpdateHandle>;
  async startUpdate(
    update: AnyUpdate | string,
    input?: unknown,
    options: UpdateOptions = {},
  ): Promise<UpdateHandle> {
    return await startUpdate(this.#service, this.#address, toUpdate(update, input), options, "accepted");
  }

  /** An update that was made before, by its id. Nothing is asked until its `result` is. */
  getUpdate<Answer = unknown>(updateId: string, _update?: Update<never, Answer>): UpdateHandle<Answer> {
    return new UpdateHandle<Answer>(this.#service, {
      ...this.#address,
      updateId: parseName(updateId, "update id"),
    });
  }

  /**
   * Asks the run to stop: its code sees a `CancelledFailure`, may clean up, and decides how it ends. Resolves when
   * the request is recorded. Errors: `run_not_found`, `run_closed`.
   *
   * @example
   * await run.cancel("the customer changed their mind", { requestId: "cancel-7" });
   */
  async cancel(reason?: string, options: EndOptions = {}): Promise<void> {
    await this.#end("cancel", reason, options);
  }

  /** Ends the run at once, without asking its code; nothing is compensated. Errors: `run_not_found`, `run_closed`. */
  async terminate(reason?: string, options: EndOptions = {}): Promise<void> {
    await this.#end("terminate", reason, options);
  }

  /**
   * Holds the run: its code does not move and no attempt begins until `resume`. Attempts under way end and are recorded, signals and
   * timers are recorded too, and its code learns of all that after the pause, in that order. Queries are answered; `cancel` ends the
   * pause, `terminate` and time-outs end the run. Of a run that is paused already nothing changes.
   * Errors: `run_not_found`, `run_closed`, `run_blocked`.
   *
   * @example
   * await run.pause("the payment provider is down");
   * await run.resume();
   */
  async pause(reason?: string, options: EndOptions = {}): Promise<void> {
    await this.#end("pause", reason, options);
  }

  /** Lets a paused run go on; one that is not paused does so anyway. Errors: `run_not_found`, `run_closed`, `run_blocked`. */
  async resume(reason?: string, options: EndOptions = {}): Promise<void> {
    await this.#end("resume", reason, options);
  }

  /**
   * Decides on activities that are parked (`retry.onExhausted: "park"`, or an `ApplicationFailure` with `park: true`): each is tried
   * again, at once and with a fresh count of attempts; or the one of an ordinal is given its result or its failure, and no attempt
   * follows. Without options: all of the run that are parked. Gives the ordinals of those that were decided on.
   *
   * Errors: `activity_not_parked` (nothing was changed), `payload_invalid` (the result does not fit the activity's output schema),
   * `run_not_found`, `run_closed`, `run_blocked`.
   *
   * @example
   * await run.resumeActivity({ activity: charge, reason: "the key is renewed" });
   */
  async resumeActivity(options: ResumeActivityOptions = {}): Promise<readonly number[]> {
    // Without the one that says which, all of them would be meant.
    demandKnownOptions(options, resumeActivityOptionNames, "resumeActivity");
    const { activity, ordinal, result, failure, reason, requestId, abortSignal } = options;
    const activityType = typeof activity === "string" ? activity : activity?.activityType;
    const schema = typeof activity === "string" ? undefined : activity?.outputSchema;
    const what = ordinal === undefined ? "the result of an activity" : `the result of activity #${ordinal}`;
    if ("result" in options && failure !== undefined)
      throw new AionError("invalid_argument", `${what} and a failure were given: it has one of them`);
    const decided =
      failure !== undefined
        ? { outcome: "fail" as const, failure: toOperatorFailure(failure) }
        : "result" in options
          ? { outcome: "complete" as const, result: toCheckedPayload(result, schema, what) }
          : {};
    const request = {
      ...this.#address,
      ...(ordinal === undefined ? {} : { ordinal }),
      ...(activityType === undefined ? {} : { activityType: parseName(activityType, "activity type") }),
      ...decided,
      ...toEnd(reason, requestId),
    };
    return (await abortable(abortSignal, (call) => this.#service.resumeActivity(request, call))).ordinals;
  }

  /**
   * Lets a run that failed, was cancelled or timed out go on from before its end, as the same run: what succeeded is kept, the activities
   * that failed last run again, timers keep their instants. Errors: `run_not_reopenable` (it could not go on exactly), `run_not_found`.
   *
   * @example
   * await run.reopen("the card service is back");
   */
  async reopen(reason?: string, options: EndOptions = {}): Promise<void> {
    await this.#end("reopen", reason, options);
  }

  /**
   * Lets the workflow go on from an earlier point, as a new run: what is recorded up to `toSeq` is its beginning, and its code acts on from
   * there. The run that is open, if any, is terminated in the same step, and whoever waits for the result waits on. Without `toSeq`,
   * of a run that did not end well or is blocked: from before what went wrong. Errors: `run_not_resettable`, `run_not_found`.
   *
   * @example
   * const next = await run.reset({ toSeq: 12, reason: "the order was charged twice" });
   */
  async reset(options: ResetOptions = {}): Promise<RunHandle<Output>> {
    const request = { ...this.#address, ...toReset(options, "a reset") };
    return this.#handleOf(await abortable(options.abortSignal, (call) => this.#service.reset(request, call)));
  }

  /**
   * The same under a workflow id of its own: this workflow goes on untouched. Signals that came after the point are left out unless
   * `signals` is `"carry"`. Errors: also `workflow_already_exists`.
   *
   * @example
   * const copy = await run.fork("order-42-again", { toSeq: 12 });
   */
  async fork(newWorkflowId: string, options: ResetOptions = {}): Promise<RunHandle<Output>> {
    const request = {
      ...this.#address,
      ...toReset(options, "a fork"),
      newWorkflowId: parseWorkflowId(newWorkflowId),
    };
    return this.#handleOf(await abortable(options.abortSignal, (call) => this.#service.fork(request, call)));
  }

  /**
   * Waits for the end of the run (of the chain, if it continues as new) and gives its result.
   *
   * Throws what the workflow failed with (`ApplicationFailure`, `ActivityFailure`, `ChildFailure`, …), or
   * `CancelledFailure`, `TerminatedFailure`, `TimeoutFailure`; recognise them with `isFailure`.
   * Errors: `result_timeout` (the run goes on), `run_blocked`, `run_not_found`.
   *
   * @example
   * try {
   *   console.log(await run.result({ timeout: "30s" }));
   * } catch (error) {
   *   if (isAionError(error) && error.code === "result_timeout") console.log("not yet");
   *   else throw error;
   * }
   */
  async result(options: ResultOptions = {}): Promise<Output> {
    demandKnownOptions(options, resultOptionNames, "result");
    const { workflowId, runId } = this;
    const timeoutMs =
      options.timeout === undefined
        ? Number.POSITIVE_INFINITY
        : parseDuration(options.timeout, "result timeout");
    const address = { workflowId, ...(runId === undefined ? {} : { runId }) };
    // The service waits as long as it is asked to, so the waits add up, whatever clock it goes by.
    for (let leftMs = timeoutMs; ;) {
      const waitMs = Math.min(leftMs, waitPerCallMs);
      const reply = await abortable(options.abortSignal, (call) =>
        this.#service.result({ ...address, waitMs }, call),
      );
      if (reply.status === "completed") return fromPayload(reply.result) as Output;
      if (reply.status !== "running") throw fromFailure(reply.failure);
      if (reply.blocked !== undefined) {
        throw new AionError(
          "run_blocked",
          `run ${reply.runId} of workflow ${workflowId} is blocked: ${reply.blocked}`,
          {
            details: { workflowId, runId: reply.runId },
          },
        );
      }
      leftMs -= waitMs;
      if (leftMs <= 0) {
        throw new AionError("result_timeout", `workflow ${workflowId} did not end within ${timeoutMs} ms`, {
          details: { workflowId, runId: reply.runId, timeoutMs },
        });
      }
    }
  }

  /** How the run stands: status, what it waits for, the runs of its chain. Payloads are JSON text. Error: `run_not_found`. */
  async describe(options: CallOptions = {}): Promise<RunDescription> {
    demandKnownOptions(options, callOptionNames, "describe");
    return await abortable(options.abortSignal, (call) => this.#service.describe(this.#address, call));
  }

  /**
   * The recorded events up to now, in order. Payloads are JSON text. Error: `run_not_found`.
   *
   * @example
   * for await (const event of run.history()) console.log(event.seq, event.type);
   */
  history(options: HistoryOptions = {}): AsyncIterableIterator<Event> {
    return this.#events(options, 0, "history");
  }

  /** The same, and then every further event as it is recorded, until the run has ended. */
  follow(options: HistoryOptions = {}): AsyncIterableIterator<Event> {
    return this.#events(options, waitPerCallMs, "follow");
  }

  /**
   * What the code of the run (from `start`: of all runs of the id) has said with `log`, up to now. The oldest lines of a run that says
   * a great deal are dropped. Error: `run_not_found`.
   *
   * @example
   * for await (const { level, message } of run.logs()) console.log(level, message);
   */
  logs(options: LogsOptions = {}): AsyncIterableIterator<LogsLine> {
    return this.#lines(options, 0, "logs");
  }

  /** The same, and then what it says further, until the run has ended. */
  followLogs(options: LogsOptions = {}): AsyncIterableIterator<LogsLine> {
    return this.#lines(options, waitPerCallMs, "followLogs");
  }

  async #end(
    operation: "cancel" | "terminate" | "pause" | "resume" | "reopen",
    reason: string | undefined,
    options: EndOptions,
  ): Promise<void> {
    demandKnownOptions(options, endOptionNames, operation);
    const { requestId, abortSignal } = options;
    const request = { ...this.#address, ...toEnd(reason, requestId) };
    await abortable(abortSignal, (call) => this.#service[operation](request, call));
  }

  #handleOf({ workflowId, runId, isNew }: ResetReply): RunHandle<Output> {
    return new RunHandle(this.#service, { workflowId, runId, isNew, isPinned: false });
  }

  async *#lines(options: LogsOptions, waitMs: number, of: string): AsyncGenerator<LogsLine, void, undefined> {
    demandKnownOptions(options, logsOptionNames, of);
    const { after, abortSignal } = options;
    const wait = waitMs === 0 ? {} : { waitMs };
    for (let cursor = after; ;) {
      const request = {
        ...this.#address,
        limit: logPageLines,
        ...(cursor === undefined ? {} : { after: cursor }),
        ...wait,
      };
      const reply = await abortable(abortSignal, (call) => this.#service.logs(request, call));
      yield* reply.lines;
      const isSame = reply.nextCursor === (cursor ?? "0");
      cursor = reply.nextCursor;
      if (reply.isEnd || (waitMs === 0 && isSame)) return;
    }
  }

  async *#events(
    options: HistoryOptions,
    waitMs: number,
    of: string,
  ): AsyncGenerator<Event, void, undefined> {
    demandKnownOptions(options, historyOptionNames, of);
    const { fromSeq = 1, abortSignal } = options;
    const wait = waitMs === 0 ? {} : { waitMs };
    for (let next = fromSeq; ;) {
      const request = { ...this.#address, fromSeq: next, limit: historyPageEvents, ...wait };
      const reply = await abortable(abortSignal, (call) => this.#service.history(request, call));
      yield* reply.events;
      next = reply.nextSeq;
      if (reply.isEnd || (waitMs === 0 && reply.events.length === 0)) return;
    }
  }
}

/** A signal as a service takes it, its payload checked. */
export function toSignal(
  signal: AnySignal | string,
  payload: unknown,
  options: StartSignalOptions,
  optionNames: OptionNames<StartSignalOptions>,
): { readonly name: string; readonly payload: Payload; readonly signalId?: string } {
  const { name, schema } =
    typeof signal === "string"
      ? { name: parseName(signal, "signal name"), schema: undefined }
      : { name: signal.name, schema: signal.schema };
  demandKnownOptions(options, optionNames, `signal ${JSON.stringify(name)}`);
  const { signalId } = options;
  return {
    name,
    payload: toCheckedPayload(payload, schema, `the payload of signal ${JSON.stringify(name)}`),
    ...(signalId === undefined ? {} : { signalId: parseName(signalId, "signal id") }),
  };
}

function toUpdate(
  update: AnyUpdate | string,
  input: unknown,
): { readonly name: string; readonly input: Payload } {
  const { name, schema } =
    typeof update === "string"
      ? { name: parseName(update, "update name"), schema: undefined }
      : { name: update.name, schema: update.inputSchema };
  return { name, input: toCheckedPayload(input, schema, `the input of update ${JSON.stringify(name)}`) };
}

/**
 * Refuses early what the engine would refuse. The value goes out as it came in: the engine applies the schema to it,
 * and applying one that transforms twice would not fit.
 */
export function toCheckedPayload(value: unknown, schema: Schema | undefined, what: string): Payload {
  if (schema !== undefined) parseWithSchema(schema, value, what);
  // How large a payload may be is the engine's to say.
  return toPayload(value, what, Number.POSITIVE_INFINITY);
}

function toReset(options: ResetOptions, of: string): Omit<ResetRequest, "workflowId" | "runId"> {
  demandKnownOptions(options, resetOptionNames, of);
  const { toSeq, signals, version, reason, requestId } = options;
  return {
    ...(toSeq === undefined ? {} : { toSeq }),
    ...(signals === undefined ? {} : { signals }),
    ...(version === undefined ? {} : { version }),
    ...toEnd(reason, requestId),
  };
}

function toOperatorFailure(failure: NonNullable<ResumeActivityOptions["failure"]>): OperatorFailure {
  // An `ApplicationFailure` has more, which is none of an operator's to say.
  if (!(failure instanceof Error))
    demandKnownOptions(failure, operatorFailureNames, "the failure of resumeActivity");
  const { message, type, details } = failure;
  const what = "the details of the failure";
  return {
    message,
    ...(type === undefined ? {} : { type }),
    ...(details === undefined ? {} : { details: toPayload(details, what, Number.POSITIVE_INFINITY) }),
  };
}

function toEnd(
  reason: string | undefined,
  requestId: string | undefined,
): { readonly reason?: string; readonly requestId?: string } {
  return {
    ...(reason === undefined ? {} : { reason }),
    ...(requestId === undefined ? {} : { requestId: parseName(requestId, "request id") }),
  };
}
