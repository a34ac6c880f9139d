/** Aion embedded: the engine, its client, and the errors. Workflow files import `aion/workflow`. */
export { Engine } from "./embedded/engine.ts";
export type { CloseOptions, EngineOptions, TaskQueueInfo, WorkerInfo } from "./embedded/engine.ts";
export { AionError, isAionError } from "./core/errors.ts";
export type { ErrorCode } from "./core/errors.ts";
export { connect } from "./embedded/connect.ts";
export type { Connection } from "./embedded/connect.ts";
export type { RecoveryOutcome, RecoveryReport } from "./engine/recovery.ts";
export type { TaskQueueLimits } from "./engine/task-queues.ts";
export type { Log, LogLevel } from "./core/ports.ts";
export { Metrics, contentType as metricsContentType } from "./metrics/metrics.ts";
export type { TraceContext, Tracing } from "./core/tracing.ts";
