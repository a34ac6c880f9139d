/** What programs that talk to an engine import. Runs in browsers too. */
export { Client } from "./client.ts";
export type { RemoteOptions } from "./remote.ts";
export type {
  ClientOptions,
  FeedOptions,
  GetOptions,
  ListOptions,
  PageOptions,
  RunListFilter,
  StartOptions,
} from "./client.ts";
export { fromAttributes } from "../core/attributes.ts";
export type { AttributeData, AttributeValue, AttributeValues, Attributes } from "../core/attributes.ts";
export type { AttributeWhere, WhereRange, WhereValue } from "../core/attribute-filter.ts";
export { RunHandle } from "./run-handle.ts";
export type {
  EndOptions,
  HistoryOptions,
  LogsOptions,
  ResultOptions,
  RunHandleOf,
  SignalOptions,
  StartSignalOptions,
} from "./run-handle.ts";
export { ScheduleHandle, Schedules } from "./schedules.ts";
export type {
  BackfillOptions,
  CronOption,
  IntervalOption,
  ScheduleCallOptions,
  ScheduleChange,
  ScheduleListOptions,
  ScheduleOptions,
  SchedulePageOptions,
  ScheduleTimes,
  TriggerOptions,
} from "./schedules.ts";
export type {
  BackfillOverlap,
  CronRule,
  IntervalRule,
  OverlapPolicy,
  ScheduleActionRecord,
  ScheduleSpec,
  SkipCounts,
  SkipReason,
} from "../core/schedule.ts";
export { UpdateHandle } from "./update-handle.ts";
export type { UpdateOptions, UpdateResultOptions } from "./update-handle.ts";
export type * from "./service.ts";
export { webAes256gcm } from "./web-aes256gcm.ts";
export type { KeyRingOptions } from "../core/key-ring.ts";
export type { PayloadCodec, PayloadContext } from "../core/payload-codec.ts";
export { AionError, isAionError } from "../core/errors.ts";
export type { ErrorCode } from "../core/errors.ts";
export type { Event, EventOf, EventType } from "../core/event.ts";
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
export type { TraceContext, Tracing } from "../core/tracing.ts";
export type { Failure, WorkflowFailure } from "../core/failure.ts";
export { fromPayload } from "../core/payload.ts";
export type { Payload } from "../core/payload.ts";
export type { RunStatus } from "../core/status.ts";
