/** What tests of workflows import. */
export { TestEngine } from "./test-engine.ts";
export type {
  LogEntry,
  ReopenOptions,
  TestCloseOptions,
  TestEngineOptions,
  TestResultOptions,
} from "./test-engine.ts";
export type { ActivityMock, ChildMock, MockCall } from "./mocks.ts";
