import type { AttributeCondition } from "../core/attribute-filter.ts";
import type { Attributes } from "../core/attributes.ts";
import type { Event, ParentLink } from "../core/event.ts";
import type { NewEvent } from "../core/codec.ts";
import type { AionError } from "../core/errors.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { Message } from "../core/message.ts";
import type { Payload } from "../core/payload.ts";
import type { RunStatus } from "../core/status.ts";
import type { LogEntry, LogPage } from "./run-log.ts";

/**
 * The store contract. A backend that passes `describeStoreConformance` carries the engine.
 *
 * Laws:
 *  1. `append` resolves after its transaction is on disk (fsync). What it rejects as a whole was rolled
 *     back, unless the error is `commit_unknown` or `store_failed`: then only reading can tell, and what it tells
 *     is final. (A backend whose transaction may still be under way ends it before it rejects.)
 *  2. A commit is all-or-nothing. Commits of one call share a transaction and an fsync, and yet each
 *     succeeds or is refused by itself.
 *  3. A commit is accepted only if its run is at `expectedSeq` and the last of its chain, and its token holds
 *     the current epoch, all checked inside the transaction. So are the packages that it needs.
 *  4. Reads see every write that was acknowledged before they began, and one state: that of some instant
 *     between their beginning and their end. An unknown workflow has an empty history; that is no error.
 *  5. Histories are gapless and never change; retention removes whole closed runs.
 *  6. A change of the catalog is one transaction, to which law 1 and the epoch of law 3 apply. No package goes
 *     while a run that needs it is running, or while new runs would get it. With a request id it is made once.
 *  7. What the code of a run said comes with its commits. An entry whose seq is not above that of the newest one of its run is there
 *     already, and is ignored: so each is there once, however often it is said. How much is kept, `run-log.ts` decides.
 *  8. The search attributes of a run are those that its latest commit which had some said, all of them: what a commit says replaces
 *     them, and they stay when the run closes.
 *  9. The feed has the events of all runs in one order, that of their commits. A transaction gets its place in it inside
 *     itself, behind all that have one, so nothing ever appears before a place that a reader has passed.
 *
 * What callers see to: limits are whole numbers of 1 or more, instants and counts whole numbers below 2^53, ids
 * are what `parseWorkflowId` lets pass, and texts are well-formed Unicode.
 */
export interface Store {
  /** Shown in errors and by `doctor`: the URL without secrets. */
  readonly name: string;

  /**
   * Becomes the owner: the one writer. Every claim raises the epoch, which fences all earlier owners.
   * Refused with `store_owned` (naming the owner) while another owner is alive; an owner is dead when its
   * process is gone, and frozen when it has not renewed within the lease.
   */
  claim(owner: OwnerClaim): Promise<OwnerToken>;
  /**
   * Extends the lease; appends do so too, at the latest when half of it is over. Throws `not_owner` when
   * another owner has taken over.
   */
  renew(token: OwnerToken): Promise<void>;
  /** Gives ownership up, if the token still holds it. */
  release(token: OwnerToken): Promise<void>;
  /** Who owns the store now, and whether that owner is alive; `undefined` if nobody does. */
  readOwner(): Promise<OwnerRecord | undefined>;

  /**
   * Results are in the order of the commits. Rejects as a whole with `not_owner`, `store_full`,
   * `store_unavailable` (another holds the lock; nothing was written), `store_failed` or `commit_unknown`.
   */
  append(token: OwnerToken, commits: readonly Commit[]): Promise<readonly CommitResult[]>;

  /** The whole chain, ascending. */
  readHistory(workflowId: WorkflowId): Promise<readonly Event[]>;
  /** A true range read over the chain: events with `seq >= fromSeq`, at least one commit's and about `limit`. */
  readHistoryFrom(workflowId: WorkflowId, fromSeq: number, limit?: number): Promise<readonly Event[]>;
  /** The same within one run. Beyond its head: empty. */
  readSegment(run: RunRef, fromSeq: number, limit?: number): Promise<readonly Event[]>;
  /** The runs of a workflow id, oldest first. */
  readRunChain(workflowId: WorkflowId): Promise<readonly RunRecord[]>;
  /** The run, by default the latest of the chain. */
  findRun(workflowId: WorkflowId, runId?: RunId): Promise<RunRecord | undefined>;
  findRunByKey(runKey: RunKey): Promise<RunRecord | undefined>;

  /** Running runs, and not those that are paused, in ascending order of their key, after `afterKey`. */
  listActive(afterKey: RunKey, limit: number): Promise<readonly RunRecord[]>;
  /** Runs that must be looked at by `untilAt`, in order of (wakeAt, runKey), after the cursor. */
  listDue(untilAt: number, after: DueCursor | undefined, limit: number): Promise<readonly DueRun[]>;
  /** The earliest `wakeAt` later than `afterAt`. */
  nextWakeAt(afterAt: number): Promise<number | undefined>;
  /** Undelivered messages, ascending. One that is damaged hides no other: it is among them, as damaged. */
  listMessages(afterId: number, limit: number): Promise<readonly StoredMessage[]>;
  /** The latest heartbeat details of a run's activities, by ordinal; those of ended activities may be among them. */
  readHeartbeats(runKey: RunKey): Promise<readonly Heartbeat[]>;
  /**
   * What the code of the run said, from the first entry behind `afterSeq` on: as many entries as it takes to have `limit` lines, or
   * fewer when there are no more. Entries that cannot be read say so in their place, and hide no others.
   */
  readLog(run: RunRef, afterSeq: number, limit: number): Promise<LogPage>;

  /**
   * The run that was accepted last comes first. Pages follow one another though runs begin and end meanwhile:
   * each run that was there all the time, and matched, is in one of them. A search through many runs may be
   * done in parts, and is then not of one instant; so may `count` be.
   */
  list(filter: RunFilter, page: PageRequest): Promise<RunPage>;
  count(filter: RunFilter): Promise<number>;

  /**
   * Retention: deletes whole runs that closed before the instant, a run only with all that are before it in its
   * chain. Returns how many: `limit`, or fewer when there are no more.
   */
  deleteClosed(token: OwnerToken, closedBefore: number, limit: number): Promise<number>;

  /** The deployed packages in the order of their first deployment, and the routes in the order in which they were made: of one instant. */
  readCatalog(): Promise<Catalog>;
  /**
   * The archive of a package; `undefined`: there is none of that version. Throws `store_corrupt` when its bytes do
   * not have the hash that names it; to deploy it once more mends that.
   */
  readPackage(version: string): Promise<Uint8Array | undefined>;
  /**
   * Rejects with `package_not_found`, `workflow_type_unknown` or `package_in_use`, and then has changed nothing; and as
   * `append` does. Like it, it may extend the lease. A change whose request id was that of one of the last `requestsKept`
   * changes is not made again; `request_conflict` if that was another change.
   */
  changeCatalog(token: OwnerToken, change: CatalogChange): Promise<CatalogReply>;

  /**
   * What was appended while the feed was on, of all runs, in the order of the commits; events of runs that were deleted are
   * passed over. Throws `feed_off`, and `cursor_expired` when something after the cursor may be missing: it is older than
   * what is kept, or the feed was off since.
   */
  readFeed(request: FeedRange): Promise<FeedPage>;

  /** Ends the use of the backend. Writes under way are finished. */
  close(): Promise<void>;
}

/** Internal and ascending, given by the store at start: rows of one run lie together and new ones at the end. */
export type RunKey = number;

export interface RunRef {
  readonly runKey: RunKey;
  readonly workflowId: WorkflowId;
}

export interface OwnerClaim {
  /** Where other processes reach the engine (a socket path), shown to those who are refused. */
  readonly endpoint?: string;
  /** An owner that has not renewed for this long counts as frozen. */
  readonly leaseMs: number;
  /**
   * Whether what this owner and those after it append gets into the feed, and how long it is kept there at the least. It is
   * trimmed when something is appended. Absent: as it was; at first it is off.
   */
  readonly feed?: "off" | { readonly keepMs: number };
}

declare const tokenBrand: unique symbol;
/** The right to write. Only `claim` makes one. */
export interface OwnerToken {
  readonly epoch: number;
  readonly [tokenBrand]: true;
}

export interface OwnerRecord {
  readonly epoch: number;
  readonly pid: number;
  readonly host: string;
  readonly endpoint?: string;
  readonly claimedAt: number;
  readonly leaseUntil: number;
  readonly isAlive: boolean;
}

/** One transaction's worth of one workflow. At least one of its parts is present. */
export interface Commit {
  /** Extends a run. */
  readonly run?: RunCommit;
  /** Begins a run; together with `run` (the predecessor's end) it is a continue-as-new. */
  readonly start?: StartCommit;
  readonly send?: readonly OutgoingMessage[];
  /** Messages that this commit answers. If one is no longer there, the commit is refused. */
  readonly consume?: readonly number[];
  /**
   * The version of a package that must be there, else the commit is refused: for one that begins a run of the
   * package, or opens one again. So of an unload and a start at one time only one succeeds, in whichever order.
   */
  readonly needsPackage?: string;
}

export interface RunCommit extends RunRef {
  /** The head that the writer knows; the first event gets the next seq. */
  readonly expectedSeq: number;
  /** May be empty, for a commit that changes only the row or the heartbeats. */
  readonly events: readonly NewEvent[];
  readonly status: RunStatus;
  /** Present when the run is closed by this commit. */
  readonly closedAt?: number;
  /** When the run must be looked at: 0 = as soon as an engine runs, `null` = only when something arrives. */
  readonly wakeAt: number | null;
  /**
   * What the writer last wrote there; equal to `wakeAt` in most commits, which spares the index. A hint: what
   * is stored afterwards is `wakeAt`, though somebody else wrote meanwhile.
   */
  readonly wakeAtBefore: number | null;
  /** Text: blocked, and why. `null`: no longer. Absent: as it was. */
  readonly blocked?: string | null;
  /** Text: activities of it wait for an operator, and which, as the writer puts it. `null`: no longer. Absent: as it was. */
  readonly parked?: string | null;
  readonly heartbeats?: readonly Heartbeat[];
  readonly log?: readonly LogEntry[];
  /** All that the run has from now on. Absent: as it was. */
  readonly attributes?: Attributes;
}

export interface StartCommit {
  readonly workflowId: WorkflowId;
  readonly runId: RunId;
  readonly workflowType: string;
  readonly version: string;
  /** 1, or the head of the closed run before it plus 1. Taken: the commit is refused with `sequence_conflict`. */
  readonly firstSeq: number;
  /**
   * The run before it. When it is not the last of its chain any more, the commit is refused with `sequence_conflict`: a chain that was
   * deleted and begun anew since may have the same seqs. Absent: whichever run is there.
   */
  readonly follows?: RunKey;
  /** The first is WorkflowStarted. */
  readonly events: readonly NewEvent[];
  readonly status: RunStatus;
  readonly startedAt: number;
  readonly closedAt?: number;
  readonly wakeAt: number | null;
  readonly parent?: ParentLink;
  readonly log?: readonly LogEntry[];
  readonly attributes?: Attributes;
}

export interface OutgoingMessage {
  readonly target: WorkflowId;
  readonly message: Message;
}

export interface StoredMessage {
  readonly messageId: number;
  readonly target: WorkflowId;
  readonly message: Message | DamagedMessage;
}

/** In the place of a message of which the store can say only that it is there. Its target is what the row says. */
export interface DamagedMessage {
  readonly kind: "damaged";
  /** `message_corrupt`, or `event_unknown` for one that a newer version wrote. */
  readonly error: AionError;
}

export interface Heartbeat {
  readonly ordinal: number;
  readonly attempt: number;
  readonly details: Payload;
}

export type CommitResult =
  | {
      readonly ok: true;
      /** The key of the run that `start` began. */
      readonly startedKey?: RunKey;
      /** Ids of the messages in `send`, in their order. */
      readonly messageIds: readonly number[];
    }
  /**
   * `sequence_conflict` with details `{ expected, found }`, or `{ missingMessageId }` when a message to consume
   * is no longer there; `package_not_found` with `{ version }`. Nothing of the commit was written.
   */
  | { readonly ok: false; readonly error: AionError };

export interface RunRecord extends RunRef {
  readonly runId: RunId;
  readonly workflowType: string;
  readonly version: string;
  readonly status: RunStatus;
  readonly firstSeq: number;
  readonly headSeq: number;
  readonly startedAt: number;
  readonly closedAt?: number;
  readonly wakeAt: number | null;
  readonly blocked?: string;
  readonly parked?: string;
  readonly parent?: ParentLink;
  /** Only in a page that was asked for them, and only of a run that has some. */
  readonly attributes?: Attributes;
}

export interface DueRun extends RunRef {
  readonly wakeAt: number;
}

export interface DueCursor {
  readonly wakeAt: number;
  readonly runKey: RunKey;
}

/** All given conditions hold. Bounds are inclusive, milliseconds since 1970. */
export interface RunFilter {
  readonly workflowId?: WorkflowId;
  /** Not those whose workflow id begins so: few of all, as a rule. */
  readonly exceptIdPrefix?: string;
  readonly workflowType?: string;
  readonly status?: RunStatus;
  readonly isBlocked?: boolean;
  readonly isParked?: boolean;
  readonly startedAfter?: number;
  readonly startedBefore?: number;
  readonly closedAfter?: number;
  readonly closedBefore?: number;
  readonly parentWorkflowId?: WorkflowId;
  readonly attributes?: readonly AttributeCondition[];
}

export interface PageRequest {
  readonly cursor?: string;
  readonly limit: number;
  /** The runs are given with their attributes. */
  readonly withAttributes?: boolean;
}

export interface RunPage {
  readonly runs: readonly RunRecord[];
  /** Present: there is more. */
  readonly nextCursor?: string;
}

/** Few, and without the archives: it is read as a whole. */
export interface Catalog {
  readonly packages: readonly PackageRecord[];
  readonly routes: readonly RouteRecord[];
}

export interface PackageRecord {
  /** SHA-256 of the archive, 64 hexadecimal digits in lower case. */
  readonly version: string;
  readonly sizeBytes: number;
  /** Of the first deployment. */
  readonly deployedAt: number;
  /** In the order in which they were given then. */
  readonly workflowTypes: readonly string[];
}

/**
 * Which version new runs of a type get. Of the routes of a type the last one counts; the others are those that
 * counted before, kept so that one can go back.
 */
export interface RouteRecord {
  readonly workflowType: string;
  readonly version: string;
  readonly routedAt: number;
}

export type CatalogChange = {
  /** Names this change: made once, however often it is asked for. What was refused was not made, and may be asked for again. */
  readonly requestId?: string;
} &
  /** Of a version that is there only the routes are changed; an archive that was damaged is mended. */
  (
    | {
        readonly kind: "deploy";
        /** Whoever calls has seen to it that this is the hash of the archive. */
        readonly version: string;
        /** At most `packageBytesMax`. */
        readonly archive: Uint8Array;
        readonly workflowTypes: readonly string[];
        readonly deployedAt: number;
        /** Types of the package that are routed to it in the same transaction, at `deployedAt`. */
        readonly route: readonly string[];
      }
    /**
     * All of the types or none. A type that is routed there already stays as it is. Refused with `package_not_found` and
     * `{ version }`; with `workflow_type_unknown` and `{ version, workflowTypes }`, naming those that the package lacks.
     */
    | {
        readonly kind: "route";
        readonly workflowTypes: readonly string[];
        readonly version: string;
        readonly routedAt: number;
      }
    /** With it go the routes to it that count no more. Refused with `package_not_found`, or `package_in_use` and `PackageUse`. */
    | { readonly kind: "unload"; readonly version: string }
  );

export interface CatalogReply {
  /** It was made before, by the request of that id; nothing was changed now. */
  readonly isRepeated: boolean;
  /** Of a deployment: the package was not there before; for a repeated one, before the first. */
  readonly isNew: boolean;
}

/** How many request ids of changes of the catalog are remembered: the latest. */
export const requestsKept = 1_000;

export interface FeedRange {
  /** A cursor that an earlier page gave; `"oldest"`: all that is kept; `"latest"`: what comes after this. */
  readonly after: string;
  /** How many items at most. */
  readonly limit: number;
  readonly workflowId?: WorkflowId;
  readonly workflowType?: string;
  /** Of runs whose attributes are so when the page is read. */
  readonly attributes?: readonly AttributeCondition[];
}

/** Up to `limit` items; fewer, and even none, though there are more: a page looks at so much and no more. */
export interface FeedPage {
  readonly items: readonly FeedItem[];
  /** Where to read on: behind all items, and behind what was passed over. */
  readonly nextCursor: string;
  /** There was nothing behind `nextCursor`. */
  readonly isAtHead: boolean;
}

export type FeedItem = {
  /** Where to read on after this one. */
  readonly cursor: string;
  readonly workflowId: WorkflowId;
  readonly runId: RunId;
  readonly workflowType: string;
} & (
  | { readonly event: Event; readonly damage?: undefined }
  /** In the place of the events of a commit that cannot be read. They hide no others. */
  | { readonly event?: undefined; readonly damage: FeedDamage }
);

export interface FeedDamage {
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** `history_corrupt`, or `event_unknown` for what a newer version wrote. */
  readonly error: AionError;
}

/** Details of `package_in_use`. A type makes a run need a package by its route, a running run by its version. */
export interface PackageUse {
  readonly version: string;
  /** Those that are routed to it, the one that was routed first coming first. */
  readonly workflowTypes: readonly string[];
  /** Counted up to `pinnedCountMax`: that many, or more. */
  readonly runCount: number;
  /** Of its running runs, the oldest first, `pinnedIdsMax` at most. */
  readonly workflowIds: readonly WorkflowId[];
}

/** Counting them all would hold up the commits of others. */
export const pinnedCountMax = 10_000;
export const pinnedIdsMax = 10;

/** Makes a token. For store backends only: an engine gets its token from `claim`. */
export function toOwnerToken(epoch: number): OwnerToken {
  return { epoch } as OwnerToken;
}
