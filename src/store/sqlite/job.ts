import type { EncodedCommit } from "../commit.ts";
import type { CatalogChange, CatalogReply, CommitResult, OwnerClaim } from "../contract.ts";

/** The commits of one `append`. */
export interface Batch {
  readonly epoch: number;
  /** The instant by the caller's clock, for the lease. */
  readonly now: number;
  readonly commits: readonly EncodedCommit[];
}

/** One thing to write. Jobs are done in the order in which they were given. */
export type Job =
  | ({ readonly kind: "append" } & Batch)
  | { readonly kind: "claim"; readonly claim: OwnerClaim; readonly now: number; readonly version: string }
  | { readonly kind: "renew"; readonly epoch: number; readonly now: number }
  | { readonly kind: "release"; readonly epoch: number }
  | {
      readonly kind: "delete-closed";
      readonly epoch: number;
      readonly now: number;
      readonly closedBefore: number;
      readonly limit: number;
    }
  | {
      readonly kind: "change-catalog";
      readonly epoch: number;
      readonly now: number;
      readonly change: CatalogChange;
    }
  | { readonly kind: "checkpoint" };

/** The bytes of a job that are many times those of any other; no other part of it has as many. */
export function archiveOf(job: Job): Uint8Array | undefined {
  return job.kind === "change-catalog" && job.change.kind === "deploy" ? job.change.archive : undefined;
}

/** What became of a job: each has its own answer, though appends share a transaction. */
export type JobResult =
  | { readonly kind: "appended"; readonly results: readonly CommitResult[] }
  /**
   * The epoch of a claim, the count of a deletion, the pages that a checkpoint found in the log, the reply to a change of the
   * catalog; else without meaning.
   */
  | { readonly kind: "done"; readonly value: number }
  | { readonly kind: "failed"; readonly error: unknown };

export function encodeReply({ isRepeated, isNew }: CatalogReply): number {
  return (isRepeated ? 1 : 0) + (isNew ? 2 : 0);
}

export function decodeReply(value: number): CatalogReply {
  return { isRepeated: (value & 1) !== 0, isNew: (value & 2) !== 0 };
}

/** A job whose giver waits. */
export interface Pending {
  readonly job: Job;
  readonly settle: (result: JobResult) => void;
}
