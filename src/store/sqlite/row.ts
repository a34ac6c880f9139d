import { crc32 } from "node:zlib";
import type { RunStatus } from "../../core/status.ts";

/** How a status lies in the file. Never changed, only added to. */
export const statusCodes: Readonly<Record<RunStatus, number>> = {
  running: 0,
  completed: 1,
  failed: 2,
  cancelled: 3,
  terminated: 4,
  "timed-out": 5,
  "continued-as-new": 6,
  paused: 7,
};

const statuses = new Map(Object.entries(statusCodes).map(([status, code]) => [code, status as RunStatus]));

export function statusOfCode(code: number): RunStatus | undefined {
  return statuses.get(code);
}

/** Where the checksums of a workflow's rows begin. */
export function checksumSeed(workflowId: string): number {
  return crc32(workflowId);
}

export function checksumOf(row: string, of: { readonly seed: number; readonly firstSeq: number }): number {
  return crc32(row, (of.seed + of.firstSeq) >>> 0);
}

/** The newest version that ever owned the file; of a file from before that was kept, the last one. */
export const newestVersionText = `SELECT coalesce((SELECT value FROM meta WHERE name = 'newest_version'),
  (SELECT value FROM meta WHERE name = 'aion_version')) AS version`;
