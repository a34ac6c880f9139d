/** What workflow files import. */
export * from "./api.ts";
export { activity, query, signal, update, workflow } from "./definition.ts";
export type {
  Activity,
  ActivityImplementation,
  ActivityOptions,
  ActivityTask,
  Query,
  Signal,
  Update,
  Workflow,
  WorkflowFunction,
  WorkflowOptions,
} from "./definition.ts";
export type { ScopeHandle, Waited, WorkflowInfo } from "./context.ts";
export type { AttributeValue, AttributeValues } from "../core/attributes.ts";
export type { Duration } from "../core/duration.ts";
export type { RetryPolicy } from "../core/retry.ts";
export {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  ChildFailure,
  EngineFailure,
  TerminatedFailure,
  TimeoutFailure,
  isCancelled,
  isFailure,
} from "../core/failure.ts";
export type { ApplicationFailureOptions, WorkflowFailure } from "../core/failure.ts";
