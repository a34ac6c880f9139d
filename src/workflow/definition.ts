import type { Duration } from "../core/duration.ts";
import { parseDuration } from "../core/duration.ts";
import { AionError } from "../core/errors.ts";
import type { ActivityOptionsRecord } from "../core/event.ts";
import { parseName } from "../core/ids.ts";
import type { OptionNames } from "../core/options.ts";
import { demandKnownOptions } from "../core/options.ts";
import type { RetryPolicy } from "../core/retry.ts";
import { parseRetryPolicy } from "../core/retry.ts";
import type { Schema, SchemaInput, SchemaOutput } from "../core/schema.ts";
import { isSchema } from "../core/schema.ts";
import { currentContext } from "./context.ts";
import { runDirectly } from "./direct.ts";

/** What the implementation of an activity is told about the attempt it is. */
export interface ActivityTask {
  /** The same for all attempts, before and after a crash: hand it to whatever must not happen twice. */
  readonly idempotencyKey: string;
  /** Aborted when the attempt times out, is cancelled, or the engine shuts down; stop working then. */
  readonly signal: AbortSignal;
  /** 1 for the first. */
  readonly attempt: number;
  readonly activityType: string;
  readonly workflowId: string;
  readonly runId: string;
  /** Says "still alive" and keeps `details` (JSON, small) for the next attempt should this one be lost. */
  heartbeat(details?: unknown): void;
  /** The details that an earlier attempt left, `undefined` if none did. */
  readonly lastHeartbeat: unknown;
}

export type ActivityImplementation<Input, Output> = (
  input: Input,
  task: ActivityTask,
) => Output | Promise<Output>;

/** Every time-out is optional; none exists unless it is declared. */
export interface ActivityOptions {
  /** Without it an activity is tried once. */
  readonly retry?: RetryPolicy;
  /** How long the first attempt may wait for a free slot. */
  readonly scheduleToStart?: Duration;
  /** How long one attempt may take. */
  readonly startToClose?: Duration;
  /** How long all attempts and the waits between them may take. */
  readonly scheduleToClose?: Duration;
  /** An attempt that is silent for longer has failed. */
  readonly heartbeat?: Duration;
  /**
   * Where its attempts wait for a worker, if the process of the engine does not run it itself. 1 to 255 characters without
   * control characters. Default `"default"`.
   */
  readonly taskQueue?: string;
}

/**
 * An activity. Called inside a workflow it is a durable command; called anywhere else it simply runs.
 * The second argument overrides options for this one call.
 */
export interface Activity<Input, Output> {
  (input: Input, options?: ActivityOptions): Promise<Output>;
  readonly kind: "activity";
  readonly activityType: string;
  readonly options: ActivityOptions;
  readonly inputSchema?: Schema;
  readonly outputSchema?: Schema;
  readonly implementation: ActivityImplementation<Input, Output>;
}

// oxlint-disable-next-line typescript/no-explicit-any -- function parameters are contravariant: only `any` accepts every activity
export type AnyActivity = Activity<any, any>;

/**
 * Defines an activity: a side effect, tried until it succeeds or its policy ends.
 *
 * Its input is checked by `options.input` (any synchronous Standard Schema) before the implementation sees it, and what that gives by
 * `options.output`, where it runs, before it is recorded.
 *
 * @example
 * const charge = activity("charge", { input: Order, retry: { maxAttempts: 5 }, startToClose: "30s" },
 *   (order, task) => payments.charge(order.card, order.amount, { idempotencyKey: task.idempotencyKey }));
 *
 * Without an implementation it is one that a worker has whose code is elsewhere, in whatever language:
 *
 * @example
 * const render = activity<string, Picture>("render", { taskQueue: "gpu" });
 */
export function activity<Input, Output>(
  name: string,
  implementation: ActivityImplementation<Input, Output>,
): Activity<Input, Output>;
export function activity<I extends Schema, O extends Schema>(
  name: string,
  options: ActivityOptions & { readonly input: I; readonly output: O },
  implementation: ActivityImplementation<SchemaOutput<I>, SchemaInput<O>>,
): Activity<SchemaInput<I>, SchemaOutput<O>>;
export function activity<S extends Schema, Output>(
  name: string,
  options: ActivityOptions & { readonly input: S },
  implementation: ActivityImplementation<SchemaOutput<S>, Output>,
): Activity<SchemaInput<S>, Output>;
export function activity<Input, O extends Schema>(
  name: string,
  options: ActivityOptions & { readonly output: O },
  implementation: ActivityImplementation<Input, SchemaInput<O>>,
): Activity<Input, SchemaOutput<O>>;
export function activity<Input, Output>(
  name: string,
  options: ActivityOptions,
  implementation: ActivityImplementation<Input, Output>,
): Activity<Input, Output>;
export function activity<I extends Schema, O extends Schema>(
  name: string,
  options: ActivityOptions & { readonly input: I; readonly output: O },
): Activity<SchemaInput<I>, SchemaOutput<O>>;
export function activity<S extends Schema, Output>(
  name: string,
  options: ActivityOptions & { readonly input: S },
): Activity<SchemaInput<S>, Output>;
export function activity<Input, Output>(name: string, options: ActivityOptions): Activity<Input, Output>;
export function activity(
  name: string,
  second:
    | (ActivityOptions & { readonly input?: Schema; readonly output?: Schema })
    | ActivityImplementation<unknown, unknown>,
  ...given: readonly [implementation?: ActivityImplementation<unknown, unknown>]
): Activity<unknown, unknown> {
  const activityType = parseName(name, "activity name");
  const { input: inputSchema, output: outputSchema, ...options } = typeof second === "object" ? second : {};
  // What is handed in and is none (an import that is not there, say) is a mistake; what is not handed in is elsewhere.
  const [third] = given.length === 0 && second !== undefined ? [runsElsewhere] : given;
  const implementation = typeof second === "function" ? second : third;
  if (typeof implementation !== "function") {
    throw new AionError("invalid_argument", `activity ${JSON.stringify(name)} has no implementation`);
  }
  const record = toActivityOptionsRecord(options, activityType);
  const call = (input: unknown, overrides?: ActivityOptions): Promise<unknown> => {
    const context = currentContext();
    if (context === undefined)
      return runDirectly({ activityType, implementation, inputSchema, outputSchema }, input);
    return context.runActivity({
      activityType,
      input,
      options:
        overrides === undefined
          ? record
          : toActivityOptionsRecord({ ...options, ...overrides }, activityType),
      ...(outputSchema === undefined ? {} : { outputSchema }),
    });
  };
  return Object.assign(call, {
    kind: "activity" as const,
    activityType,
    options,
    implementation,
    ...(inputSchema === undefined ? {} : { inputSchema }),
    ...(outputSchema === undefined ? {} : { outputSchema }),
  });
}

function runsElsewhere(_input: unknown, { activityType }: ActivityTask): never {
  throw new AionError(
    "outside_workflow",
    `activity ${JSON.stringify(activityType)} was called outside of a workflow, and is implemented elsewhere`,
  );
}

/** Whether there is something here that can be run. */
export function isImplemented({ implementation }: AnyActivity): boolean {
  return implementation !== runsElsewhere;
}

const activityOptionNames: OptionNames<ActivityOptions> = {
  retry: true,
  scheduleToStart: true,
  startToClose: true,
  scheduleToClose: true,
  heartbeat: true,
  taskQueue: true,
};

/** Checks options and turns them into what is recorded. Throws `invalid_argument`. */
export function toActivityOptionsRecord(options: ActivityOptions, of: string): ActivityOptionsRecord {
  demandKnownOptions(options, activityOptionNames, `activity ${JSON.stringify(of)}`);
  const ms = (
    name: "scheduleToStart" | "startToClose" | "scheduleToClose" | "heartbeat",
  ): number | undefined =>
    options[name] === undefined
      ? undefined
      : parseDuration(options[name], `${name} of activity ${JSON.stringify(of)}`);
  const scheduleToStartMs = ms("scheduleToStart");
  const startToCloseMs = ms("startToClose");
  const scheduleToCloseMs = ms("scheduleToClose");
  const heartbeatMs = ms("heartbeat");
  const { taskQueue } = options;
  if (taskQueue !== undefined) parseName(taskQueue, `taskQueue of activity ${JSON.stringify(of)}`);
  return {
    ...(options.retry === undefined ? {} : { retry: parseRetryPolicy(options.retry) }),
    ...(scheduleToStartMs === undefined ? {} : { scheduleToStartMs }),
    ...(startToCloseMs === undefined ? {} : { startToCloseMs }),
    ...(scheduleToCloseMs === undefined ? {} : { scheduleToCloseMs }),
    ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
    ...(taskQueue === undefined ? {} : { taskQueue }),
  };
}

export interface WorkflowOptions {
  /** Names the build of the code that a run is pinned to; shown by `describe`. Default `"inline"`. */
  readonly version?: string;
  /** Signals whose payloads are checked before they are recorded, even if the code has not asked for them yet. */
  readonly signals?: readonly AnySignal[];
}

type DefinedWorkflowOptions = WorkflowOptions & { readonly input?: Schema; readonly output?: Schema };

const workflowOptionNames: OptionNames<DefinedWorkflowOptions> = {
  version: true,
  signals: true,
  input: true,
  output: true,
};

export type WorkflowFunction<Input, Output> = (input: Input) => Output | Promise<Output>;

export interface Workflow<Input, Output> {
  readonly kind: "workflow";
  readonly workflowType: string;
  readonly version: string;
  readonly inputSchema?: Schema;
  readonly outputSchema?: Schema;
  readonly signals: readonly AnySignal[];
  readonly run: WorkflowFunction<never, Output>;
  /** Carries the type of the input; never set. */
  readonly "~input"?: (input: Input) => void;
}

// oxlint-disable-next-line typescript/no-explicit-any -- see AnyActivity
export type AnyWorkflow = Workflow<any, any>;

/**
 * Defines a workflow: an async function that learns of the world only through the functions of this module.
 *
 * `options.input` and `options.output` are synchronous Standard Schemas, checked when a run is started and when it
 * returns. Errors: `payload_invalid` at start.
 *
 * @example
 * export const greet = workflow("greet", async (name: string) => {
 *   await sleep("1 day");
 *   return `hello ${name}`;
 * });
 */
export function workflow<Input, Output>(
  name: string,
  run: WorkflowFunction<Input, Output>,
): Workflow<Input, Output>;
export function workflow<I extends Schema, O extends Schema>(
  name: string,
  options: WorkflowOptions & { readonly input: I; readonly output: O },
  run: WorkflowFunction<SchemaOutput<I>, SchemaInput<O>>,
): Workflow<SchemaInput<I>, SchemaOutput<O>>;
export function workflow<I extends Schema, Output>(
  name: string,
  options: WorkflowOptions & { readonly input: I },
  run: WorkflowFunction<SchemaOutput<I>, Output>,
): Workflow<SchemaInput<I>, Output>;
export function workflow<Input, O extends Schema>(
  name: string,
  options: WorkflowOptions & { readonly output: O },
  run: WorkflowFunction<Input, SchemaInput<O>>,
): Workflow<Input, SchemaOutput<O>>;
export function workflow<Input, Output>(
  name: string,
  options: WorkflowOptions,
  run: WorkflowFunction<Input, Output>,
): Workflow<Input, Output>;
export function workflow(
  name: string,
  second: DefinedWorkflowOptions | WorkflowFunction<never, unknown>,
  third?: WorkflowFunction<never, unknown>,
): Workflow<unknown, unknown> {
  const workflowType = parseName(name, "workflow name");
  const options: DefinedWorkflowOptions = typeof second === "function" ? {} : second;
  const run = typeof second === "function" ? second : third;
  if (typeof run !== "function") {
    throw new AionError("invalid_argument", `workflow ${JSON.stringify(name)} has no function`);
  }
  demandKnownOptions(options, workflowOptionNames, `workflow ${JSON.stringify(name)}`);
  return Object.freeze({
    kind: "workflow" as const,
    workflowType,
    version: options.version === undefined ? "inline" : parseName(options.version, "workflow version"),
    signals: options.signals ?? [],
    run,
    ...(options.input === undefined ? {} : { inputSchema: options.input }),
    ...(options.output === undefined ? {} : { outputSchema: options.output }),
  });
}

export interface Signal<Payload> {
  readonly kind: "signal";
  readonly name: string;
  readonly schema?: Schema;
  readonly "~payload"?: (payload: Payload) => void;
}

// oxlint-disable-next-line typescript/no-explicit-any -- see AnyActivity
export type AnySignal = Signal<any>;

/** Defines a signal: a message to a run, recorded and buffered until the run asks for it. */
export function signal<Payload = void>(name: string): Signal<Payload>;
export function signal<S extends Schema>(name: string, schema: S): Signal<SchemaOutput<S>>;
export function signal(name: string, schema?: Schema): Signal<unknown> {
  return Object.freeze({
    kind: "signal" as const,
    name: parseName(name, "signal name"),
    ...(schema === undefined ? {} : { schema }),
  });
}

export interface Update<Input, Output> {
  readonly kind: "update";
  readonly name: string;
  readonly inputSchema?: Schema;
  readonly outputSchema?: Schema;
  readonly "~types"?: (input: Input) => Output;
}

// oxlint-disable-next-line typescript/no-explicit-any -- see AnyActivity
export type AnyUpdate = Update<any, any>;

/**
 * Defines an update: a request to a run that is checked, recorded, dealt with by its code, and answered. The second and the third
 * argument are the schemas of its input and of its answer.
 *
 * @example
 * export const changeAddress = update("changeAddress", Address, z.object({ fee: z.number() }));
 */
export function update<Output = void, Input = void>(name: string): Update<Input, Output>;
export function update<I extends Schema, Output = void>(
  name: string,
  input: I,
): Update<SchemaInput<I>, Output>;
export function update<I extends Schema, O extends Schema>(
  name: string,
  input: I,
  output: O,
): Update<SchemaInput<I>, SchemaOutput<O>>;
export function update<O extends Schema>(
  name: string,
  input: undefined,
  output: O,
): Update<void, SchemaOutput<O>>;
export function update(name: string, input?: Schema, output?: Schema): Update<unknown, unknown> {
  return Object.freeze({
    kind: "update" as const,
    name: parseName(name, "update name"),
    ...(input === undefined ? {} : { inputSchema: input }),
    ...(output === undefined ? {} : { outputSchema: output }),
  });
}

export interface Query<Input, Output> {
  readonly kind: "query";
  readonly name: string;
  readonly inputSchema?: Schema;
  readonly outputSchema?: Schema;
  readonly "~types"?: (input: Input) => Output;
}

// oxlint-disable-next-line typescript/no-explicit-any -- see AnyActivity
export type AnyQuery = Query<any, any>;

/**
 * Defines a query: a question about the live state of a run. It is never recorded and changes nothing.
 * The second argument is the schema of the answer, or `{ input, output }`.
 */
export function query<Output, Input = void>(name: string): Query<Input, Output>;
export function query<O extends Schema>(name: string, output: O): Query<void, SchemaOutput<O>>;
export function query<I extends Schema, O extends Schema>(
  name: string,
  schemas: { readonly input: I; readonly output: O },
): Query<SchemaInput<I>, SchemaOutput<O>>;
export function query(
  name: string,
  second?: Schema | { readonly input?: Schema; readonly output?: Schema },
): Query<unknown, unknown> {
  const schemas: { readonly input?: Schema; readonly output?: Schema } =
    second === undefined ? {} : isSchema(second) ? { output: second } : second;
  return Object.freeze({
    kind: "query" as const,
    name: parseName(name, "query name"),
    ...(schemas.input === undefined ? {} : { inputSchema: schemas.input }),
    ...(schemas.output === undefined ? {} : { outputSchema: schemas.output }),
  });
}
