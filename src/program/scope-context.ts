import type { AttributeValues, Attributes } from "../core/attributes.ts";
import { parseAttributes } from "../core/attributes.ts";
import { AionError } from "../core/errors.ts";
import { ApplicationFailure, CancelledFailure, isCancelled } from "../core/failure.ts";
import { parseName, parseWorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload, messageOf, nullPayload, toPayload } from "../core/payload.ts";
import type { LogLevel } from "../core/ports.ts";
import type { Schema } from "../core/schema.ts";
import { parseWithSchema } from "../core/schema.ts";
import { allowUnheard } from "../workflow/context.ts";
import type {
  ActivityRequest,
  ChildRequest,
  ScopeHandle,
  UpdateHandling,
  Waited,
  WorkflowContext,
  WorkflowInfo,
} from "../workflow/context.ts";
import type { AnyQuery, AnySignal, AnyUpdate, AnyWorkflow } from "../workflow/definition.ts";
import { continueAsNewMarker } from "./marker.ts";
import type { Runtime, Wait } from "./runtime.ts";
import type { Cancellable } from "./scope.ts";
import { CancellationScope } from "./scope.ts";

/** What looks at a run and must leave it as it is. */
export type Looker = "query handler" | "validator of an update" | "predicate of waitUntil";

/**
 * What `aion/workflow` talks to inside one cancellation scope of one run; or, as the context of a looker, inside a handler that
 * answers a query or a validator. Such code asks for nothing, also when it goes on after the answer: what it does there hurts only
 * itself.
 */
export class ScopeContext implements WorkflowContext {
  readonly cancellation: CancellationScope;
  readonly looker: Looker | undefined;
  /** Of a looker: what it asked for. */
  misuse: AionError | undefined;
  readonly #runtime: Runtime;

  constructor(runtime: Runtime, cancellation: CancellationScope, looker?: Looker) {
    this.#runtime = runtime;
    this.cancellation = cancellation;
    this.looker = looker;
  }

  runActivity(request: ActivityRequest): Promise<unknown> {
    const runtime = this.#runtime;
    const { activityType, options, step } = request;
    const refusal = this.#refusal("activity", activityType);
    if (refusal !== undefined) return refusal;
    const kind = "run-activity";
    if (step !== undefined) {
      const ordinal = runtime.nextActivity(step);
      runtime.issue({ kind, ordinal, activityType, input: nullPayload, options, isStep: true });
      return this.#await("activity", ordinal);
    }
    const input = toPayload(
      request.input,
      `the input of activity ${JSON.stringify(activityType)}`,
      runtime.init.payloadLimitBytes,
    );
    const ordinal = runtime.nextActivity(undefined);
    runtime.issue({ kind, ordinal, activityType, input, options });
    return this.#await("activity", ordinal, request.outputSchema);
  }

  startChild(request: ChildRequest): Promise<unknown> {
    const runtime = this.#runtime;
    const { workflow } = request;
    const workflowType =
      typeof workflow === "string" ? parseName(workflow, "workflow type") : workflow.workflowType;
    const refusal = this.#refusal("child", workflowType);
    if (refusal !== undefined) return refusal;
    const what = `the input of child workflow ${JSON.stringify(workflowType)}`;
    const schema = typeof workflow === "string" ? undefined : workflow.inputSchema;
    // Refused here already if it does not fit. It goes as it is: the child's own schema is applied to it, once, when it starts.
    if (schema !== undefined) parseWithSchema(schema, request.input, what);
    const input = toPayload(request.input, what, runtime.init.payloadLimitBytes);
    const attributes = parseAttributes(
      request.attributes,
      `the attributes of child workflow ${JSON.stringify(workflowType)}`,
    );
    const ordinal = runtime.nextChild();
    runtime.issue({
      kind: "start-child",
      ordinal,
      childWorkflowId: parseWorkflowId(request.workflowId ?? `${runtime.identity.runId}.${ordinal}`),
      workflowType,
      input,
      parentClosePolicy: request.parentClosePolicy,
      ...(request.runTimeoutMs === undefined ? {} : { runTimeoutMs: request.runTimeoutMs }),
      ...(attributes === undefined ? {} : { attributes }),
    });
    return this.#await("child", ordinal);
  }

  async sendSignal(target: string, signal: AnySignal, payload: unknown): Promise<void> {
    const runtime = this.#runtime;
    await this.#refusal("signal", signal.name);
    const what = `the payload of signal ${JSON.stringify(signal.name)}`;
    const value = signal.schema === undefined ? payload : parseWithSchema(signal.schema, payload, what);
    const ordinal = runtime.nextSend();
    runtime.issue({
      kind: "send-signal",
      ordinal,
      target: parseWorkflowId(target),
      name: signal.name,
      payload: toPayload(value, what, runtime.init.payloadLimitBytes),
    });
    // What is sent cannot be called back, so cancellation lets it settle.
    await new Promise<Payload>((resolve, reject) => runtime.sends.set(ordinal, { resolve, reject }));
  }

  sleep(durationMs: number): Promise<void> {
    const refusal = this.#refusal("sleep");
    if (refusal !== undefined) return refusal;
    const slept = new Promise<void>((resolve, reject) => {
      const leave = this.#enlist((failure) => {
        callOff();
        void allowUnheard(slept);
        reject(failure);
      });
      const callOff = this.#runtime.startTimer(durationMs, () => {
        leave();
        resolve();
      });
    });
    return slept;
  }

  async receive(signal: AnySignal, timeoutMs: number | undefined): Promise<Waited<unknown>> {
    const runtime = this.#runtime;
    await this.#refusal("receive of", signal.name);
    this.#demandOpen();
    const buffered = runtime.signals.take(signal, timeoutMs !== undefined);
    const payload = buffered ?? (await this.#awaitSignal(signal, timeoutMs));
    if (payload === undefined) return { ok: false, reason: "timeout" };
    const value = fromPayload(payload);
    if (signal.schema === undefined) return { ok: true, value };
    try {
      return {
        ok: true,
        value: parseWithSchema(signal.schema, value, `signal ${JSON.stringify(signal.name)}`),
      };
    } catch (error) {
      throw new ApplicationFailure(messageOf(error), {
        type: "InvalidSignal",
        nonRetryable: true,
        cause: error,
      });
    }
  }

  #awaitSignal(signal: AnySignal, timeoutMs: number | undefined): Promise<Payload | undefined> {
    const runtime = this.#runtime;
    return new Promise((resolve, reject) => {
      const settle = (payload: Payload | undefined): void => {
        leave();
        withdraw();
        callOff?.();
        resolve(payload);
      };
      const leave = this.#enlist((failure) => {
        const place = withdraw();
        // Of a wait with a time-out, the end of its timer tells.
        if (callOff !== undefined) callOff();
        else runtime.issue({ kind: "withdraw-signal", name: signal.name, place });
        reject(failure);
      });
      const withdraw = runtime.signals.join(signal.name, { deliver: settle });
      const callOff =
        timeoutMs === undefined ? undefined : runtime.startTimer(timeoutMs, () => settle(undefined));
    });
  }

  async waitUntil(predicate: () => boolean, timeoutMs: number | undefined): Promise<boolean> {
    const runtime = this.#runtime;
    await this.#refusal("waitUntil");
    this.#demandOpen();
    if (predicate()) return true;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        leave();
        runtime.predicates.delete(wait);
        callOff?.();
      };
      const wait = {
        predicate,
        settle: () => {
          end();
          resolve(true);
        },
        fail: (error: unknown) => {
          end();
          reject(error);
        },
      };
      runtime.predicates.add(wait);
      const leave = this.#enlist((failure) => wait.fail(failure));
      const callOff =
        timeoutMs === undefined
          ? undefined
          : runtime.startTimer(timeoutMs, () => {
              end();
              resolve(false);
            });
    });
  }

  exposeQuery(query: AnyQuery, handler: (input: unknown) => unknown): void {
    if (this.#runtime.guard("expose", this)) this.#runtime.queries.expose(query, handler);
  }

  exposeSignal(signal: AnySignal, handler: (payload: unknown) => unknown): void {
    if (this.#runtime.guard("expose", this)) this.#runtime.signals.expose(signal, handler, this);
  }

  exposeUpdate(update: AnyUpdate, handling: UpdateHandling): void {
    if (this.#runtime.guard("expose", this)) this.#runtime.updates.expose(update, handling);
  }

  allHandlersFinished(): boolean {
    return this.#runtime.allHandlersFinished;
  }

  sideEffect(produce: () => unknown): unknown {
    this.#demand("sideEffect");
    return this.#runtime.sideEffect(produce);
  }

  setAttributes(values: AttributeValues): void {
    this.#demand("attributes.set");
    this.#runtime.setAttributes(values);
  }

  get attributes(): Attributes {
    return this.#runtime.attributes;
  }

  patched(changeId: string): boolean {
    this.#demand("patched");
    return this.#runtime.patched(changeId);
  }

  continueAsNew(workflow: AnyWorkflow | undefined, input: unknown): never {
    this.#demand("continueAsNew");
    const runtime = this.#runtime;
    const next = workflow ?? runtime.definition;
    const what = `the input of continueAsNew of workflow ${runtime.init.workflowId}`;
    const value = next.inputSchema === undefined ? input : parseWithSchema(next.inputSchema, input, what);
    return runtime.continueAsNew(next.workflowType, toPayload(value, what, runtime.init.payloadLimitBytes));
  }

  async scope<Result>(
    run: (scope: ScopeHandle) => Result | Promise<Result>,
    timeoutMs: number | undefined,
  ): Promise<Waited<Result>> {
    await this.#refusal("scope");
    this.#demandOpen();
    const inner = new ScopeContext(this.#runtime, new CancellationScope(this.cancellation));
    let isTimedOut = false;
    const callOff =
      timeoutMs === undefined
        ? undefined
        : this.#runtime.startTimer(timeoutMs, () => {
            isTimedOut = true;
            inner.cancellation.cancel(new CancelledFailure(`the scope timed out after ${timeoutMs} ms`));
          });
    const handle: ScopeHandle = {
      get signal() {
        return inner.cancellation.signal;
      },
      cancel: (reason) =>
        inner.cancellation.cancel(new CancelledFailure(reason ?? "the scope was cancelled")),
    };
    try {
      return { ok: true, value: await this.#runtime.carrier.enter(inner, async () => run(handle)) };
    } catch (error) {
      if (isTimedOut && isCancelled(error) && this.cancellation.cancelled === undefined)
        return { ok: false, reason: "timeout" };
      throw error;
    } finally {
      callOff?.();
      inner.cancellation.leave();
    }
  }

  shield<Result>(run: () => Result | Promise<Result>): Promise<Result> {
    const shielded = new ScopeContext(this.#runtime, new CancellationScope(undefined), this.looker);
    return this.#runtime.carrier.enter(shielded, async () => run());
  }

  /** A durable timer as the platform has them: cancellation does not reach it, and what it calls is nobody's to await. */
  startTimer(durationMs: number, fire: () => void): () => void {
    const runtime = this.#runtime;
    if (!runtime.guard("setTimeout", this)) return () => undefined;
    return runtime.startTimer(durationMs, () => {
      try {
        runtime.carrier.enter(this, fire);
      } catch (error) {
        runtime.reject(error);
      }
    });
  }

  compensate(undo: () => unknown): void {
    if (this.#runtime.guard("compensate", this)) this.#runtime.compensations.push(undo);
  }

  now(): number {
    return this.#runtime.nowMs;
  }

  random(): number {
    this.#demand("random");
    return this.#runtime.random.number();
  }

  uuid(): string {
    this.#demand("uuid");
    return this.#runtime.random.uuid();
  }

  info(): WorkflowInfo {
    const { init, identity, definition, historyLength, isHistoryLong } = this.#runtime;
    return {
      workflowId: identity.workflowId,
      runId: identity.runId,
      workflowType: definition.workflowType,
      version: definition.version,
      startedAt: init.startedAt,
      historyLength,
      continueAsNewSuggested: isHistoryLong,
      ...(identity.parent === undefined
        ? {}
        : { parent: { workflowId: identity.parent.workflowId, runId: identity.parent.runId } }),
      ...(identity.continuedFrom === undefined ? {} : { continuedFrom: identity.continuedFrom }),
      ...(identity.schedule === undefined ? {} : { schedule: { ...identity.schedule } }),
    };
  }

  log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>> | undefined): void {
    if (this.#runtime.isLive) this.#runtime.init.log(level, message, fields);
  }

  get runtime(): Runtime {
    return this.#runtime;
  }

  reject(error: unknown): void {
    if (this.looker === undefined) this.#runtime.reject(error);
  }

  /** Why a wait cannot begin: the code is stray (never settles), ending, or cancelled. */
  #refusal(what: string, name?: string): Promise<never> | undefined {
    const runtime = this.#runtime;
    if (!runtime.guard(what, this, name)) return new Promise<never>(() => undefined);
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- control flow, not an error
    if (runtime.isContinuing) return allowUnheard(Promise.reject(continueAsNewMarker));
    const { cancelled } = this.cancellation;
    if (cancelled === undefined) return undefined;
    return allowUnheard(Promise.reject(new CancelledFailure(cancelled.message)));
  }

  /** Awaiting a refusal that is none takes a microtask, in which the scope may have been cancelled. */
  #demandOpen(): void {
    const { cancelled } = this.cancellation;
    if (cancelled !== undefined) throw new CancelledFailure(cancelled.message);
  }

  /** For calls that answer at once: they cannot wait for ever, so a stray one throws. */
  #demand(what: string): void {
    if (!this.#runtime.guard(what, this)) {
      throw new AionError(
        "nondurable_await",
        `${what}() was called after awaiting something that is not durable`,
      );
    }
  }

  #enlist(cancel: (failure: CancelledFailure) => void): () => void {
    const member: Cancellable = { cancel };
    this.cancellation.add(member);
    return () => this.cancellation.remove(member);
  }

  /** Waits for an outcome. Cancellation asks for it to stop, and the outcome that follows is what counts. */
  #await(kind: "activity" | "child", ordinal: number, outputSchema?: Schema): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const of = { kind, ordinal, promise, resolve, reject, outputSchema };
    const wait = new OutcomeWait(this.#runtime, this.cancellation, of);
    this.cancellation.add(wait);
    (kind === "activity" ? this.#runtime.activities : this.#runtime.children).set(ordinal, wait);
    return promise;
  }
}

interface AwaitedOutcome {
  readonly kind: "activity" | "child";
  readonly ordinal: number;
  readonly promise: Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly outputSchema: Schema | undefined;
}

/** One object for each outcome that is waited for, since there is one for every step of every run. */
class OutcomeWait implements Wait, Cancellable {
  readonly #runtime: Runtime;
  readonly #scope: CancellationScope;
  readonly #of: AwaitedOutcome;

  constructor(runtime: Runtime, scope: CancellationScope, of: AwaitedOutcome) {
    this.#runtime = runtime;
    this.#scope = scope;
    this.#of = of;
  }

  get outputSchema(): Schema | undefined {
    return this.#of.outputSchema;
  }

  resolve(value: Payload): void {
    this.#scope.remove(this);
    this.#of.resolve(fromPayload(value));
  }

  reject(error: unknown): void {
    this.#scope.remove(this);
    // Only now, so that those that succeed cost nothing more.
    void allowUnheard(this.#of.promise);
    this.#of.reject(error);
  }

  cancel(): void {
    const { kind, ordinal } = this.#of;
    this.#runtime.issue({ kind: kind === "activity" ? "cancel-activity" : "cancel-child", ordinal });
  }
}
