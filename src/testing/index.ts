/** What tests of workflows import. */
export { TestEngine } from "./test-engine.ts";
export type {
  LogEntry,
  ReopenOptions,
  TestCloseOptions,
  TestEngineOptions,
  TestResultOptions,
} from "./test-engine.ts";
export { InProcessTransport } from "./in-process-transport.ts";
export type { FrameFate, InProcessTransportOptions } from "./in-process-transport.ts";
export type { ActivityMock, ChildMock, MockCall } from "./mocks.ts";
