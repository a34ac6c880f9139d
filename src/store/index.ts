/** `aion/store`: the contract of a store, what a backend is built with, the suite that it must pass, and the backends. */
export * from "./contract.ts";
export {
  checkArchive,
  contentOf,
  encodeCatalogChange,
  packageInUse,
  packageNotFound,
  requestTaken,
  typesNotInPackage,
} from "./catalog.ts";
export {
  chainOpen,
  chainOther,
  encodeCommit,
  messageGone,
  notOwner,
  parseCursor,
  sequenceConflict,
} from "./commit.ts";
export type { EncodedCommit, EncodedMessage, EncodedPart } from "./commit.ts";
export { claimFeed, feedTrimStep, readFeedPage } from "./feed.ts";
export type { FeedEntry, FeedRun, FeedSource, FeedState, FeedTransaction } from "./feed.ts";
export { decodeLog, encodeLog, isWithinLog, runLogCharsMax, runLogLinesMax } from "./run-log.ts";
export type { EncodedLogEntry, LogEntry, LogLine, LogPage, LogTotals } from "./run-log.ts";
export { storeOwned } from "./owned.ts";
export { matchesAttributes } from "../core/attribute-filter.ts";
export type { AttributeBound, AttributeCondition, AttributeScalar } from "../core/attribute-filter.ts";
export type { AttributeData, Attributes } from "../core/attributes.ts";
export { decodeRow, encodeRow } from "../core/codec.ts";
export type { NewEvent, RowKey } from "../core/codec.ts";
export { AionError, isAionError } from "../core/errors.ts";
export type { ErrorCode } from "../core/errors.ts";
export type { Event, ParentLink } from "../core/event.ts";
export type { RunId, WorkflowId } from "../core/ids.ts";
export type { Message } from "../core/message.ts";
export type { Payload } from "../core/payload.ts";
export type { Clock } from "../core/ports.ts";
export { isClosed } from "../core/status.ts";
export type { RunStatus } from "../core/status.ts";
export { describeStoreConformance } from "./conformance/suite.ts";
export type { ConformanceTestApi } from "./conformance/suite.ts";
export type { PropertyOptions } from "./conformance/property.ts";
export type { OpenedStore, StoreBackend, StoreTime } from "./conformance/world.ts";
export { openMemoryStore } from "./memory.ts";
export type { MemoryStoreOptions } from "./memory.ts";
export { backUpSqliteStore } from "./sqlite/backup.ts";
export type { BackupOptions, BackupReport } from "./sqlite/backup.ts";
export { openSqliteStore } from "./sqlite/store.ts";
export type { SqliteStoreOptions } from "./sqlite/store.ts";
