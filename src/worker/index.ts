/** `aion/worker`: runs activities for an engine elsewhere. */
export { Worker } from "./worker.ts";
export type { WorkerOptions, WorkerStopOptions } from "./worker.ts";
export type { ActivityCall, ActivityInterceptor } from "./worker-task.ts";
export type { WorkerPorts } from "./node-ports.ts";
export * from "../protocol/frames.ts";
export type {
  EngineLink,
  EngineReceiver,
  WorkerAcceptor,
  WorkerLink,
  WorkerTransport,
} from "../protocol/transport.ts";
export { conformanceActivities, conformanceQueue, workerScenarios } from "./conformance/scenarios.ts";
export type { Pattern, ScenarioStep, WorkerScenario } from "./conformance/scenarios.ts";
export { runWorkerScenario } from "./conformance/run-scenario.ts";
export { workerProcess } from "./conformance/worker-process.ts";
export type { WorkerProcessOptions } from "./conformance/worker-process.ts";
export type { RunningWorker, WorkerUnderTest } from "./conformance/run-scenario.ts";
