import type { Activation, Offered, Outcome, RecordedValue, Turn } from "../core/activation.ts";
import type { AttributeValues, Attributes } from "../core/attributes.ts";
import {
  changeAttributes,
  demandAttributeBounds,
  noAttributes,
  toAttributeChanges,
} from "../core/attributes.ts";
import type { Command } from "../core/command.ts";
import type { ErrorCode } from "../core/errors.ts";
import { AionError, unreachable } from "../core/errors.ts";
import type { CodeIdentity, StartSignal } from "../core/event.ts";
import type { Failure } from "../core/failure.ts";
import {
  ApplicationFailure,
  CancelledFailure,
  fromFailure,
  isCancelled,
  toFailure,
} from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload, messageOf, toPayload } from "../core/payload.ts";
import { parseEncoded } from "../core/payload-codec.ts";
import type { Schema } from "../core/schema.ts";
import { parseWithSchema } from "../core/schema.ts";
import type { WorkflowContext } from "../workflow/context.ts";
import type { ActivityTask, AnyWorkflow } from "../workflow/definition.ts";
import { continueAsNewMarker, unhandledRejection } from "./marker.ts";
import type { InstanceInit, ProgramInstance } from "./program.ts";
import { QueryHandlers } from "./query-handlers.ts";
import { SeededRandom } from "./random.ts";
import type { Looker } from "./scope-context.ts";
import { ScopeContext } from "./scope-context.ts";
import { CancellationScope } from "./scope.ts";
import { SignalQueues } from "./signal-queues.ts";
import { UpdateHandlers } from "./update-handlers.ts";

/** How a loader makes the running code find its context again after every await. */
export interface ContextCarrier {
  enter<Result>(context: WorkflowContext, run: () => Result): Result;
  /** Where in the author's code the caller's caller is, if that can be told. */
  sourceLine(): string | undefined;
}

/** A promise that history will settle. */
export interface Wait {
  /** Of what is waited for. */
  readonly outputSchema?: Schema | undefined;
  resolve(value: Payload): void;
  reject(error: unknown): void;
}

export interface PredicateWait {
  readonly predicate: () => boolean;
  settle(): void;
  fail(error: unknown): void;
}

/**
 * The state of one run's code: what it waits for, and what it asked for in this activation.
 *
 * Owner: one resident run. Law: a pure function of (code, activations). Invariants:
 *  1. Commands are numbered per kind in the order in which the code issues them.
 *  2. Code moves only between `begin` and `end`. A command issued at another time means that the code awaited something
 *     that is not durable; it is reported as stray and the instance is finished.
 *  3. Predicates are asked at rest only, in the order of their registration, and wake one at a time.
 *  4. After the function has settled, nothing the code does has an effect.
 */
export class Runtime implements ProgramInstance {
  readonly init: InstanceInit;
  readonly carrier: ContextCarrier;
  readonly definition: AnyWorkflow;
  readonly activities = new Map<number, Wait>();
  // Most runs have none of most of these, and thousands of runs are in memory.
  #timers: Map<number, () => void> | undefined;
  #children: Map<number, Wait> | undefined;
  #sends: Map<number, Wait> | undefined;
  #predicates: Set<PredicateWait> | undefined;
  #predicateContext: ScopeContext | undefined;
  readonly compensations: (() => unknown)[] = [];
  attributes: Attributes = noAttributes;
  readonly root: ScopeContext;
  #signals: SignalQueues | undefined;
  #queries: QueryHandlers | undefined;
  #updates: UpdateHandlers | undefined;
  #offered: Offered | undefined;
  #steps: Map<number, (task: ActivityTask) => unknown> | undefined;
  #marked: Set<string> | undefined;
  #random: SeededRandom | undefined;
  #identity: CodeIdentity;
  #commands: Command[] = [];
  #sources: string[] = [];
  #recorded: readonly RecordedValue[] = [];
  #recordedAt = 0;
  #activation: Activation | undefined;
  #isActive = false;
  #isSettled = false;
  #isFinished = false;
  #isStarted = false;
  #isClosing = false;
  #isCancelRequested = false;
  #cancelReason: string | undefined;
  #continueAs: { readonly workflowType: string; readonly input: Payload } | undefined;
  #activityCount = 0;
  #timerCount = 0;
  #childCount = 0;
  #sendCount = 0;
  #sideEffectCount = 0;
  #runningHandlerCount = 0;

  constructor(definition: AnyWorkflow, init: InstanceInit, carrier: ContextCarrier) {
    this.definition = definition;
    this.init = init;
    this.#identity = init;
    this.carrier = carrier;
    this.root = new ScopeContext(this, new CancellationScope(undefined));
  }

  get children(): Map<number, Wait> {
    this.#children ??= new Map();
    return this.#children;
  }

  get sends(): Map<number, Wait> {
    this.#sends ??= new Map();
    return this.#sends;
  }

  get predicates(): Set<PredicateWait> {
    this.#predicates ??= new Set();
    return this.#predicates;
  }

  get signals(): SignalQueues {
    this.#signals ??= new SignalQueues(this);
    return this.#signals;
  }

  get queries(): QueryHandlers {
    this.#queries ??= new QueryHandlers(this);
    return this.#queries;
  }

  get updates(): UpdateHandlers {
    this.#updates ??= new UpdateHandlers(this);
    return this.#updates;
  }

  // What the engine calls.

  begin(activation: Activation): void {
    const { delivery } = activation;
    if (activation.identity !== undefined) this.#become(activation.identity);
    this.#offered =
      delivery.kind === "update" && delivery.isOffered
        ? this.updates.consider(delivery, activation)
        : undefined;
    if (this.#offered?.ok === false) return;
    this.#activation = activation;
    this.#recorded = activation.recorded;
    this.#recordedAt = 0;
    this.#isActive = true;
    if (this.#isSettled) return;
    // A value only wakes code, and that finds its context by itself.
    if ("outcome" in delivery && delivery.outcome.ok) this.#deliver(delivery);
    // In the run's context, so that a rejection which nobody handles is known to be this run's.
    else this.carrier.enter(this.root, () => this.#deliver(delivery));
  }

  /** Its random numbers are those of another run from here on: none of them is met twice. */
  #become(identity: CodeIdentity): void {
    if (identity.runId !== this.#identity.runId) this.#random = undefined;
    this.#identity = identity;
  }

  #deliver(delivery: Activation["delivery"]): void {
    switch (delivery.kind) {
      case "start":
        this.#isStarted = true;
        if (delivery.attributes !== undefined) this.attributes = delivery.attributes;
        // Before those that arrived during a start delay.
        if (delivery.signals !== undefined) this.signals.putFirst(delivery.signals);
        void this.#main(delivery.input);
        return;
      case "activity":
        this.#steps?.delete(delivery.ordinal);
        settle(this.activities, delivery.ordinal, delivery.outcome);
        return;
      case "child":
        settle(this.children, delivery.ordinal, delivery.outcome);
        return;
      case "signal-settled":
        settle(this.sends, delivery.ordinal, delivery.outcome);
        return;
      case "timer": {
        const fire = this.#timers?.get(delivery.ordinal);
        this.#timers?.delete(delivery.ordinal);
        fire?.();
        return;
      }
      case "signal":
        this.signals.deliver(delivery.name, delivery.payload);
        return;
      case "update":
        void this.updates.run(delivery, this.#offered?.ok === true ? this.#offered.input : delivery.input);
        return;
      case "cancel":
        this.#isCancelRequested = true;
        this.#cancelReason = delivery.reason;
        this.root.cancellation.cancel(new CancelledFailure(delivery.reason ?? "the run was cancelled"));
        return;
      default:
        unreachable(delivery, "delivery");
    }
  }

  end(): Turn | "again" {
    const offered = this.#offered;
    if (offered?.ok === false)
      return {
        commands: [],
        sources: [],
        isSettled: this.#isSettled,
        isStuck: false,
        waitingSignals: this.#signals?.waitingCount ?? 0,
        offered,
      };
    if (!this.#isSettled && this.#predicates !== undefined) {
      for (const wait of this.#predicates) {
        if (this.#ask(wait)) return "again";
      }
    }
    this.#isActive = false;
    const turn: Turn = {
      commands: this.#commands,
      sources: this.#sources,
      isSettled: this.#isSettled,
      isStuck: this.#isStarted && !this.#isSettled && this.#isStuck(),
      ...(offered === undefined ? {} : { offered }),
      waitingSignals: this.#signals?.waitingCount ?? 0,
    };
    this.#offered = undefined;
    this.#commands = [];
    if (this.init.isTracing) this.#sources = [];
    return turn;
  }

  query(name: string, input: Payload): Payload {
    return this.queries.answer(name, input);
  }

  parseSignal(name: string, payload: Payload): Payload {
    return this.#signals?.parse(name, payload) ?? payload;
  }

  parseResult(ordinal: number, payload: Payload): Payload {
    const schema = this.activities.get(ordinal)?.outputSchema;
    // Without the key nobody here can say whether it fits, and who has it said so.
    if (schema === undefined || parseEncoded(payload) !== undefined) return payload;
    const what = `the result of activity #${ordinal} of workflow ${this.init.workflowId}`;
    return toPayload(parseWithSchema(schema, fromPayload(payload), what), what, this.init.payloadLimitBytes);
  }

  unconsumedSignals(): readonly StartSignal[] {
    return this.#signals?.unconsumed() ?? [];
  }

  stepFunction(ordinal: number): ((task: ActivityTask) => unknown) | undefined {
    return this.#steps?.get(ordinal);
  }

  dispose(): void {
    this.#isFinished = true;
    this.#isSettled = true;
  }

  // What contexts call.

  /** True when the call may go on; a stray call finishes the instance. */
  guard(what: string, context: ScopeContext, name?: string): boolean {
    const { looker } = context;
    if (this.#isActive && looker === undefined) return true;
    const call = name === undefined ? what : `${what} ${JSON.stringify(name)}`;
    if (looker !== undefined) {
      const code = misuseCodes[looker];
      // Also for who does not hear of it: it may be told by a promise that nobody awaits.
      const misuse = new AionError(code, `a ${looker} called ${call}`);
      context.misuse ??= misuse;
      throw misuse;
    }
    this.stray(call);
    return false;
  }

  stray(what: string): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#isSettled = true;
    this.init.onStray(
      new AionError(
        "nondurable_await",
        `workflow ${this.init.workflowId} (${this.definition.workflowType}) went on with ${what} at ${this.carrier.sourceLine() ?? "an unknown place"} ` +
          "after awaiting something that is not durable",
      ),
    );
  }

  issue(command: Command): void {
    if (this.#isSettled) return;
    this.#commands.push(command);
    if (this.init.isTracing) this.#sources.push(this.carrier.sourceLine() ?? "");
  }

  nextActivity(step: ((task: ActivityTask) => unknown) | undefined): number {
    const ordinal = this.#activityCount++;
    if (step !== undefined) {
      this.#steps ??= new Map();
      this.#steps.set(ordinal, step);
    }
    return ordinal;
  }

  nextChild(): number {
    return this.#childCount++;
  }

  nextSend(): number {
    return this.#sendCount++;
  }

  /** A durable timer. Returns how to call it off. */
  startTimer(durationMs: number, fire: () => void): () => void {
    const ordinal = this.#timerCount++;
    this.#timers ??= new Map();
    this.#timers.set(ordinal, fire);
    this.issue({ kind: "start-timer", ordinal, durationMs });
    return () => {
      if (this.#timers?.delete(ordinal) === true) this.issue({ kind: "cancel-timer", ordinal });
    };
  }

  /** The ordinal that the next timer will have. */
  get nextTimer(): number {
    return this.#timerCount;
  }

  handlerBegins(): void {
    this.#runningHandlerCount += 1;
  }

  handlerEnds(): void {
    this.#runningHandlerCount -= 1;
  }

  get allHandlersFinished(): boolean {
    return this.#runningHandlerCount === 0;
  }

  sideEffect(produce: () => unknown): unknown {
    const ordinal = this.#sideEffectCount++;
    const what = `the value of a sideEffect in workflow ${this.init.workflowId}`;
    const recorded = this.#nextRecorded("side-effect");
    let value: Payload | undefined;
    let failure: Failure | undefined;
    if (recorded?.kind === "side-effect") {
      ({ value, failure } = recorded);
    } else if (this.#activation?.isLast === true && !this.#isSettled) {
      try {
        value = toPayload(produce(), what, this.init.payloadLimitBytes);
      } catch (error) {
        failure = toFailure(error);
      }
    }
    this.issue({
      kind: "side-effect",
      ordinal,
      ...(value === undefined ? {} : { value }),
      ...(failure === undefined ? {} : { failure }),
    });
    if (failure !== undefined) throw fromFailure(failure);
    // Without a value, history has none where the code wants one: the violation is found at the end of the turn.
    return value === undefined ? undefined : fromPayload(value);
  }

  setAttributes(values: AttributeValues): void {
    const what = `attributes.set in workflow ${this.init.workflowId}`;
    const changes = toAttributeChanges(values, what);
    if (Object.keys(changes).length === 0) return;
    const changed = changeAttributes(this.attributes, changes);
    demandAttributeBounds(changed, what);
    this.attributes = changed;
    this.issue({ kind: "set-attributes", attributes: changes });
  }

  patched(changeId: string): boolean {
    if (this.#marked?.has(changeId) === true) return true;
    // Not recorded any more, so a replay would not know of it.
    if (this.#isSettled) return false;
    const recorded = this.#recorded[this.#recordedAt];
    const isRecorded = recorded?.kind === "version" && recorded.changeId === changeId;
    if (isRecorded) this.#recordedAt += 1;
    const activation = this.#activation;
    if (!isRecorded && (activation === undefined || activation.isReplaying || !activation.isLast))
      return false;
    this.#marked ??= new Set();
    this.#marked.add(changeId);
    this.issue({ kind: "mark-version", changeId });
    return true;
  }

  continueAsNew(workflowType: string, input: Payload): never {
    this.#continueAs ??= { workflowType, input };
    // oxlint-disable-next-line typescript/only-throw-error -- control flow, not an error
    throw continueAsNewMarker;
  }

  get isContinuing(): boolean {
    return this.#continueAs !== undefined;
  }

  get nowMs(): number {
    return this.#updates?.validatingAt ?? this.#activation?.nowMs ?? this.init.startedAt;
  }

  get historyLength(): number {
    return this.#activation?.historyLength ?? 0;
  }

  get isHistoryLong(): boolean {
    return this.#activation?.isHistoryLong ?? false;
  }

  /** The code is where no history is: what it says now has not been said before. */
  get isLive(): boolean {
    return this.#activation === undefined || (this.#activation.isLast && !this.#activation.isReplaying);
  }

  get identity(): CodeIdentity {
    return this.#identity;
  }

  get random(): SeededRandom {
    this.#random ??= new SeededRandom(this.#identity.runId);
    return this.#random;
  }

  /** An error that nothing in the code caught ends the run as if its function had thrown it. */
  reject(error: unknown): void {
    if (this.#isActive) this.fail(error);
    else this.stray(`${unhandledRejection} (${messageOf(error)})`);
  }

  // How the function ends.

  async #main(input: Payload): Promise<void> {
    await this.#close(async () => {
      const { inputSchema } = this.definition;
      const value = fromPayload(input);
      const parsed =
        this.init.isUnchecked && inputSchema !== undefined
          ? parseWithSchema(inputSchema, value, `the input of workflow ${this.init.workflowId}`)
          : value;
      return (this.definition.run as (input: unknown) => unknown)(parsed);
    });
  }

  async #close(run: () => Promise<unknown>): Promise<void> {
    let end: Command;
    try {
      const result = await run();
      if (this.#isSettled || this.#isClosing) return;
      end = this.#continuation() ?? { kind: "complete", result: this.#encodeResult(result) };
    } catch (error) {
      if (this.#isSettled || this.#isClosing) return;
      this.#isClosing = true;
      const continuation = this.#continuation();
      const failed: unknown[] = [];
      if (continuation === undefined) while (this.compensations.length > 0) await this.#undo(failed);
      end = continuation ?? this.#failureOf(error, failed);
    }
    if (this.#isSettled) return;
    if (!this.#isActive) {
      this.stray(`its end (${end.kind})`);
      return;
    }
    this.issue(end);
    this.#isSettled = true;
  }

  #continuation(): Command | undefined {
    return this.#continueAs === undefined ? undefined : { kind: "continue-as-new", ...this.#continueAs };
  }

  /** Fails the run for a reason outside its main function, which is told to stop. */
  fail(error: unknown): void {
    if (this.#isClosing || this.#isSettled) return;
    void this.#close(() => Promise.reject(error));
    this.root.cancellation.cancel(new CancelledFailure("the run is failing"));
  }

  /** Runs what undoes, the last first: also what a branch that was left behind registers meanwhile, for what it did may stand. */
  async #undo(failed: unknown[]): Promise<void> {
    await this.root.shield(async () => {
      for (let undo = this.compensations.pop(); undo !== undefined; undo = this.compensations.pop()) {
        try {
          await undo();
        } catch (reason) {
          failed.push(reason);
        }
      }
    });
  }

  #failureOf(error: unknown, failed: readonly unknown[]): Command {
    const isCancel = this.#isCancelRequested && isCancelled(error);
    if (isCancel && failed.length === 0) {
      return {
        kind: "cancelled",
        ...(this.#cancelReason === undefined ? {} : { reason: this.#cancelReason }),
      };
    }
    if (failed.length === 0) return { kind: "fail", failure: toFailure(error) };
    const what = failed.map((reason) => messageOf(reason)).join("; ");
    return {
      kind: "fail",
      failure: toFailure(
        new ApplicationFailure(
          `${messageOf(error)}; and ${failed.length} of its compensations failed: ${what}`,
          {
            type: "CompensationFailed",
            cause: error,
          },
        ),
      ),
    };
  }

  #encodeResult(result: unknown): Payload {
    const what = `the result of workflow ${this.init.workflowId}`;
    const { outputSchema } = this.definition;
    const checked = outputSchema === undefined ? result : parseWithSchema(outputSchema, result, what);
    return toPayload(checked, what, this.init.payloadLimitBytes);
  }

  /** Whether a handler may still say something; one that moved outside an activation is stray. */
  mayGoOn(what: string): boolean {
    if (this.#isActive || this.#isSettled) return true;
    this.stray(what);
    return false;
  }

  #nextRecorded(kind: RecordedValue["kind"]): RecordedValue | undefined {
    const next = this.#recorded[this.#recordedAt];
    if (next?.kind !== kind) return undefined;
    this.#recordedAt += 1;
    return next;
  }

  #ask(wait: PredicateWait): boolean {
    try {
      // Within the run, so that it may look at the time, and at whether handlers have ended.
      this.#predicateContext ??= new ScopeContext(
        this,
        new CancellationScope(undefined),
        "predicate of waitUntil",
      );
      if (!this.carrier.enter(this.#predicateContext, wait.predicate)) return false;
      this.predicates.delete(wait);
      wait.settle();
    } catch (error) {
      this.predicates.delete(wait);
      wait.fail(error);
    }
    return true;
  }

  #isStuck(): boolean {
    if (this.activities.size > 0 || this.#signals?.isAwaited === true || this.#updates?.isExposed === true)
      return false;
    for (const waits of [this.#timers, this.#children, this.#sends, this.#predicates]) {
      if (waits !== undefined && waits.size > 0) return false;
    }
    return true;
  }
}

const misuseCodes: Readonly<Record<Looker, ErrorCode>> = {
  "query handler": "query_failed",
  "validator of an update": "update_rejected",
  "predicate of waitUntil": "outside_workflow",
};

function settle(waits: Map<number, Wait>, ordinal: number, outcome: Outcome): void {
  const wait = waits.get(ordinal);
  if (wait === undefined) return;
  waits.delete(ordinal);
  if (outcome.ok) wait.resolve(outcome.value);
  else wait.reject(fromFailure(outcome.failure));
}
