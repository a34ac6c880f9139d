/** `aion/store`: the contract of a store, the suite that a backend must pass, and the backends. */
export * from "./contract.ts";
export { describeStoreConformance } from "./conformance/suite.ts";
export type { ConformanceTestApi } from "./conformance/suite.ts";
export type { PropertyOptions } from "./conformance/property.ts";
export type { OpenedStore, StoreBackend, StoreTime } from "./conformance/world.ts";
export { openMemoryStore } from "./memory.ts";
export type { MemoryStoreOptions } from "./memory.ts";
export { openSqliteStore } from "./sqlite/store.ts";
export type { SqliteStoreOptions } from "./sqlite/store.ts";
