import type { AttributeValue, AttributeValues } from "../core/attributes.ts";
import { fromAttributeData, fromAttributes } from "../core/attributes.ts";
import type { Duration } from "../core/duration.ts";
import { parseDuration } from "../core/duration.ts";
import type { ParentClosePolicy } from "../core/event.ts";
import { parseName } from "../core/ids.ts";
import type { OptionNames } from "../core/options.ts";
import { demandKnownOptions } from "../core/options.ts";
import type { LogLevel } from "../core/ports.ts";
import { allowUnheard, currentContext, requireContext } from "./context.ts";
import type { ScopeHandle, Waited, WorkflowInfo } from "./context.ts";
import { toActivityOptionsRecord } from "./definition.ts";
import type {
  ActivityOptions,
  ActivityTask,
  AnyQuery,
  AnySignal,
  AnyUpdate,
  AnyWorkflow,
  Query,
  Signal,
  Update,
  Workflow,
} from "./definition.ts";

/** Waits, durably: minutes or months, across restarts. Any length. Rejects with `CancelledFailure` if cancelled. */
export function sleep(duration: Duration): Promise<void> {
  return requireContext("sleep").sleep(parseDuration(duration, "sleep"));
}

/**
 * The next signal of that name, in order of arrival; one that came earlier is waiting already. With a time-out
 * the answer is `{ ok: true, value }` or `{ ok: false, reason: "timeout" }`.
 */
export function receive<Payload>(signal: Signal<Payload>): Promise<Payload>;
export function receive<Payload>(
  signal: Signal<Payload>,
  options: { readonly timeout: Duration },
): Promise<Waited<Payload>>;
export function receive(signal: AnySignal, options?: { readonly timeout: Duration }): Promise<unknown> {
  const received = receiveOne(signal, options);
  return currentContext() === undefined ? received : allowUnheard(received);
}

async function receiveOne(signal: AnySignal, options?: { readonly timeout: Duration }): Promise<unknown> {
  const timeoutMs = options === undefined ? undefined : parseTimeout(options, "receive");
  const waited = await requireContext("receive").receive(signal, timeoutMs);
  if (timeoutMs !== undefined) return waited;
  return waited.ok ? waited.value : undefined;
}

function parseTimeout(options: { readonly timeout: Duration }, of: string): number {
  demandKnownOptions(options, { timeout: true }, of);
  return parseDuration(options.timeout, `${of} timeout`);
}

/**
 * Waits until `predicate` (a pure look at the workflow's own variables) holds. It is asked after everything
 * that happens to the run. True when it held, false when the time-out passed first.
 */
export function waitUntil(predicate: () => boolean, timeout?: Duration): Promise<boolean> {
  const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout, "waitUntil timeout");
  return allowUnheard(requireContext("waitUntil").waitUntil(predicate, timeoutMs));
}

export interface UpdateOptions<Input> {
  /**
   * Refuses an update by throwing, before it is accepted: nothing is recorded then. It looks at the state of the workflow at once, asks
   * for nothing and changes nothing; it is not called on replay.
   */
  readonly validate?: (input: Input) => void;
}

const updateOptionNames: OptionNames<UpdateOptions<unknown>> = { validate: true };

/**
 * Answers a query, handles each signal of a name as it comes (instead of `receive`), or handles updates. A query handler answers at
 * once and changes nothing; a signal handler may be async, and its failure fails the run. An update handler may be async and ask for
 * everything that a workflow may; what it returns is recorded as the answer, and its failure fails the update alone. Handlers take
 * turns with the rest of the workflow where they await. That of an update stands in the scope of the run.
 */
export function expose<Input, Output>(query: Query<Input, Output>, handler: (input: Input) => Output): void;
export function expose<Payload>(
  signal: Signal<Payload>,
  handler: (payload: Payload) => void | Promise<void>,
): void;
export function expose<Input, Output>(
  update: Update<Input, Output>,
  handler: (input: Input) => Output | Promise<Output>,
  options?: UpdateOptions<Input>,
): void;
export function expose(
  definition: AnyQuery | AnySignal | AnyUpdate,
  handler: (argument: never) => unknown,
  options: UpdateOptions<never> = {},
): void {
  const context = requireContext("expose");
  const handle = handler as (argument: unknown) => unknown;
  if (definition.kind === "query") context.exposeQuery(definition, handle);
  else if (definition.kind === "signal") context.exposeSignal(definition, handle);
  else {
    demandKnownOptions(options, updateOptionNames, `expose of update ${JSON.stringify(definition.name)}`);
    const validate = options.validate as ((input: unknown) => void) | undefined;
    context.exposeUpdate(definition, { handler: handle, validate });
  }
}

/**
 * Whether no handler of an update or a signal is under way. A run that ends leaves those that are: their updates fail with
 * `update_unfinished`. To let them end first: `await waitUntil(allHandlersFinished)`.
 */
export function allHandlersFinished(): boolean {
  return requireContext("allHandlersFinished").allHandlersFinished();
}

export interface ChildOptions {
  /** Default: the parent's run id and the number of the call, the same on replay. */
  readonly id?: string;
  /** What happens to the child when the parent ends first. Default `"terminate"`. */
  readonly parentClosePolicy?: ParentClosePolicy;
  readonly runTimeout?: Duration;
  /** What the child can be found by from the beginning. Default: nothing; it has not its parent's. */
  readonly attributes?: AttributeValues;
}

const childOptionNames: OptionNames<ChildOptions> = {
  id: true,
  parentClosePolicy: true,
  runTimeout: true,
  attributes: true,
};

/** Runs a workflow as a child and waits for its result. Rejects with `ChildFailure`, whose `cause` tells why. */
export function child<Input, Output>(
  workflow: Workflow<Input, Output>,
  input: Input,
  options?: ChildOptions,
): Promise<Output>;
export function child(workflow: string, input: unknown, options?: ChildOptions): Promise<unknown>;
export function child(
  workflow: AnyWorkflow | string,
  input: unknown,
  options: ChildOptions = {},
): Promise<unknown> {
  demandKnownOptions(options, childOptionNames, "child");
  return requireContext("child").startChild({
    workflow,
    input,
    workflowId: options.id,
    parentClosePolicy: options.parentClosePolicy ?? "terminate",
    runTimeoutMs:
      options.runTimeout === undefined ? undefined : parseDuration(options.runTimeout, "child runTimeout"),
    attributes: options.attributes,
  });
}

/**
 * Sends a signal to another workflow, exactly once. Resolves when the target has it recorded; rejects with
 * `ApplicationFailure` of type `SignalFailed` when there is no such run or it has ended.
 */
export function signalWorkflow<Payload>(
  workflowId: string,
  signal: Signal<Payload>,
  payload: Payload,
): Promise<void> {
  return allowUnheard(requireContext("signalWorkflow").sendSignal(workflowId, signal, payload));
}

/**
 * An activity written in place: the closure runs once, in the process that runs the workflow, and its result is
 * recorded. It takes the options of an activity, but for the task queue. It must not change variables of the workflow.
 */
export function step<Output>(
  name: string,
  run: (task: ActivityTask) => Output | Promise<Output>,
  options?: Omit<ActivityOptions, "taskQueue">,
): Promise<Output> {
  const activityType = parseName(name, "step name");
  if (options !== undefined) demandKnownOptions(options, stepOptionNames, `step ${JSON.stringify(name)}`);
  return requireContext("step").runActivity({
    activityType,
    input: null,
    options: options === undefined ? noOptions : toActivityOptionsRecord(options, activityType),
    step: run,
  }) as Promise<Output>;
}

const noOptions = Object.freeze({});

const stepOptionNames: OptionNames<Omit<ActivityOptions, "taskQueue">> = {
  retry: true,
  scheduleToStart: true,
  startToClose: true,
  scheduleToClose: true,
  heartbeat: true,
};

/** A value that code may not compute again (a config read, a native random). Recorded at once, never re-run on replay. */
export function sideEffect<Value>(produce: () => Value): Value {
  return requireContext("sideEffect").sideEffect(produce) as Value;
}

/**
 * Guards a change of code that runs may be in the middle of: false in runs that passed this point before the change,
 * true (and recorded) in all others.
 */
export function patched(changeId: string): boolean {
  return requireContext("patched").patched(parseName(changeId, "change id"));
}

interface AttributesOfRun {
  /**
   * From now on the run can be found by these, too. The last value of a name counts; `null`, `undefined` and an empty list take it away.
   * Recorded with what else the code asks for at this point. Errors: `attribute_invalid` (a name or value that none may have, too many,
   * too large).
   */
  readonly set: (values: AttributeValues) => void;
  /** What it can be found by now: as it was started, and as it was set since. */
  readonly get: {
    (): Readonly<Record<string, AttributeValue>>;
    (name: string): AttributeValue | undefined;
  };
}

function getAttributes(): Readonly<Record<string, AttributeValue>>;
function getAttributes(name: string): AttributeValue | undefined;
function getAttributes(name?: string): unknown {
  const { attributes: all } = requireContext("attributes.get");
  if (name === undefined) return fromAttributes(all);
  const data = Object.hasOwn(all, name) ? all[name] : undefined;
  return data === undefined ? undefined : fromAttributeData(data);
}

/**
 * Search attributes: what this run is found by in lists (`aion list --where amount>=100`). A value is a string, a number, a boolean, a `Date`
 * or a list of strings. They are no secrets: no codec encodes them.
 *
 * @example
 * attributes.set({ customerId: "c-1", amount: 99, tags: ["new", "eu"] });
 */
export const attributes: AttributesOfRun = Object.freeze({
  set: (values: AttributeValues) => requireContext("attributes.set").setAttributes(values),
  get: getAttributes,
});

/** Ends this run and starts the next one of the same workflow id with a fresh history. Never returns. */
export function continueAsNew(input: unknown): never;
export function continueAsNew<Input>(workflow: Workflow<Input, unknown>, input: Input): never;
export function continueAsNew(first: unknown, second?: unknown): never {
  const context = requireContext("continueAsNew");
  if (isWorkflow(first)) return context.continueAsNew(first, second);
  return context.continueAsNew(undefined, first);
}

function isWorkflow(value: unknown): value is AnyWorkflow {
  return (
    typeof value === "object" &&
    value !== null &&
    "kind" in value &&
    value.kind === "workflow" &&
    "run" in value
  );
}

/**
 * Runs `run` in a cancellation scope of its own. `cancel` makes everything that waits inside reject with
 * `CancelledFailure`; activities are told through their `AbortSignal` and waited for. With a time-out the scope
 * cancels itself, and the answer is `{ ok: true, value }` or `{ ok: false, reason: "timeout" }`.
 */
export function scope<Result>(run: (scope: ScopeHandle) => Result | Promise<Result>): Promise<Result>;
export function scope<Result>(
  run: (scope: ScopeHandle) => Result | Promise<Result>,
  options: { readonly timeout: Duration },
): Promise<Waited<Result>>;
export async function scope(
  run: (scope: ScopeHandle) => unknown,
  options?: { readonly timeout: Duration },
): Promise<unknown> {
  const timeoutMs = options === undefined ? undefined : parseTimeout(options, "scope");
  const waited = await requireContext("scope").scope(run, timeoutMs);
  if (timeoutMs !== undefined) return waited;
  return waited.ok ? waited.value : undefined;
}

/** Runs `run` where cancellation from outside does not reach: for cleaning up. */
export function shield<Result>(run: () => Result | Promise<Result>): Promise<Result> {
  return requireContext("shield").shield(run);
}

/**
 * Registers how to undo what was just done. If the run fails or is cancelled, all of them run, the last first,
 * shielded; one that fails does not stop the others. Dropped when the run completes or continues as new; not
 * run when it is terminated. What a branch that was left behind registers while they run is undone too; when nothing
 * is left to undo the run ends, and with it such branches.
 */
export function compensate(undo: () => unknown): void {
  requireContext("compensate").compensate(undo);
}

/** Milliseconds since 1970 at this point of the program: the same live and on replay. It moves only between awaits. */
export function now(): number {
  return requireContext("now").now();
}

/** A number in [0, 1), the same on replay. Not for secrets. */
export function random(): number {
  return requireContext("random").random();
}

/** A UUID (v4 in form), the same on replay. Not for secrets. */
export function uuid(): string {
  return requireContext("uuid").uuid();
}

/** Which run this is. */
export function info(): WorkflowInfo {
  return requireContext("info").info();
}

type Logger = (message: string, fields?: Readonly<Record<string, unknown>>) => void;

function logger(level: LogLevel): Logger {
  return (message, fields) => requireContext("log").log(level, message, fields);
}

/** Says something: it is kept with the run, bounded (`aion logs`), and goes to the engine's log. Silent on replay. */
export const log: {
  readonly debug: Logger;
  readonly info: Logger;
  readonly warn: Logger;
  readonly error: Logger;
} = Object.freeze({
  debug: logger("debug"),
  info: logger("info"),
  warn: logger("warn"),
  error: logger("error"),
});
