export * from "./contract.ts";
export { openMemoryStore } from "./memory.ts";
export type { MemoryStoreOptions } from "./memory.ts";
export { openSqliteStore } from "./sqlite/store.ts";
export type { SqliteStoreOptions } from "./sqlite/store.ts";
