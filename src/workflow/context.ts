import type { AttributeValues, Attributes } from "../core/attributes.ts";
import { AionError } from "../core/errors.ts";
import type { ActivityOptionsRecord, ParentClosePolicy } from "../core/event.ts";
import type { LogLevel } from "../core/ports.ts";
import type { Schema } from "../core/schema.ts";
import type { ActivityTask, AnyQuery, AnySignal, AnyUpdate, AnyWorkflow } from "./definition.ts";

/** What the functions of this module ask of whoever runs the workflow code. One context per cancellation scope. */
export interface WorkflowContext {
  runActivity(request: ActivityRequest): Promise<unknown>;
  sleep(durationMs: number): Promise<void>;
  receive(signal: AnySignal, timeoutMs: number | undefined): Promise<Waited<unknown>>;
  waitUntil(predicate: () => boolean, timeoutMs: number | undefined): Promise<boolean>;
  startChild(request: ChildRequest): Promise<unknown>;
  sendSignal(target: string, signal: AnySignal, payload: unknown): Promise<void>;
  exposeQuery(query: AnyQuery, handler: (input: unknown) => unknown): void;
  exposeSignal(signal: AnySignal, handler: (payload: unknown) => unknown): void;
  exposeUpdate(update: AnyUpdate, handling: UpdateHandling): void;
  allHandlersFinished(): boolean;
  sideEffect(produce: () => unknown): unknown;
  setAttributes(values: AttributeValues): void;
  readonly attributes: Attributes;
  patched(changeId: string): boolean;
  continueAsNew(workflow: AnyWorkflow | undefined, input: unknown): never;
  scope<Result>(
    run: (scope: ScopeHandle) => Result | Promise<Result>,
    timeoutMs: number | undefined,
  ): Promise<Waited<Result>>;
  shield<Result>(run: () => Result | Promise<Result>): Promise<Result>;
  compensate(undo: () => unknown): void;
  now(): number;
  random(): number;
  uuid(): string;
  info(): WorkflowInfo;
  log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>> | undefined): void;
}

export interface UpdateHandling {
  readonly handler: (input: unknown) => unknown;
  readonly validate: ((input: unknown) => void) | undefined;
}

export interface ActivityRequest {
  readonly activityType: string;
  readonly input: unknown;
  readonly options: ActivityOptionsRecord;
  /** Of its result, if an operator gives it one. */
  readonly outputSchema?: Schema;
  /** A `step`'s closure. */
  readonly step?: (task: ActivityTask) => unknown;
}

export interface ChildRequest {
  readonly workflow: AnyWorkflow | string;
  readonly input: unknown;
  readonly workflowId: string | undefined;
  readonly parentClosePolicy: ParentClosePolicy;
  readonly runTimeoutMs: number | undefined;
  readonly attributes: AttributeValues | undefined;
}

/** The outcome of waiting with a time-out: a value, never an exception. */
export type Waited<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly reason: "timeout" };

export interface ScopeHandle {
  /** Aborted when the scope is cancelled. */
  readonly signal: AbortSignal;
  /** Cancels everything that waits inside the scope. */
  cancel(reason?: string): void;
}

export interface WorkflowInfo {
  readonly workflowId: string;
  readonly runId: string;
  readonly workflowType: string;
  readonly version: string;
  readonly parent?: { readonly workflowId: string; readonly runId: string };
  readonly continuedFrom?: string;
  /** The schedule that started it, and for which of its times; also of the runs that it continues as. */
  readonly schedule?: { readonly id: string; readonly nominalAt: number };
  readonly startedAt: number;
  /** Events in this run's segment so far: a reason to continue as new when it gets long. */
  readonly historyLength: number;
  /**
   * The history has got so long (by default 10,000 events, or about 10 MiB) that it is time to continue as new. The same on replay,
   * whatever the engine that replays it is set to.
   */
  readonly continueAsNewSuggested: boolean;
}

// On globalThis, so that two copies of this module (source and build, two bundles) share one answer.
const accessorKey = Symbol.for("aion.workflow.context");
type Accessor = () => WorkflowContext | undefined;
const host = globalThis as { [accessorKey]?: Accessor };

/** For program loaders: how the running workflow is found. */
export function setContextAccessor(accessor: Accessor): void {
  host[accessorKey] = accessor;
}

export function currentContext(): WorkflowContext | undefined {
  return host[accessorKey]?.();
}

/** The context, or the one clear error. */
export function requireContext(what: string): WorkflowContext {
  const context = currentContext();
  if (context === undefined) {
    throw new AionError("outside_workflow", `${what}() was called outside a workflow`);
  }
  return context;
}

/**
 * For promises that the runtime hands out: one may reject while nobody listens. What it stands for is in the history, and
 * whoever awaits it later learns of it. A promise that the code makes itself, also of such a one, is not among them.
 */
export function allowUnheard<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(ignore);
  return promise;
}

function ignore(): void {}
