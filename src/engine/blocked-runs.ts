import { isAionError } from "../core/errors.ts";
import type { AionError } from "../core/errors.ts";
import type { WorkflowId } from "../core/ids.ts";
import { messageOf } from "../core/payload.ts";
import type { LogLevel } from "../core/ports.ts";
import type { Commit, RunRecord } from "../store/contract.ts";
import { runDeadline } from "./due.ts";
import type { Endings } from "./endings.ts";
import type { HistoryStore } from "./load.ts";
import { loadState } from "./load.ts";
import type { Recorder } from "./recorder.ts";
import type { Watchers } from "./watchers.ts";

const retryMs = 1_000;

export interface BlockingHost {
  readonly store: HistoryStore;
  readonly recorder: Recorder;
  readonly endings: Endings;
  readonly watchers: Watchers;
  /** Why nothing happens any more; `undefined`: the engine is open. */
  readonly stopped: AionError | undefined;
  now(): number;
  log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void;
  /** The run's time-out is to be seen to then. */
  wakeAt(workflowId: WorkflowId, at: number): void;
}

/**
 * The runs that are blocked, and why. Owner: the kernel.
 *
 * Laws: a blocked run is visible on its row, and its history stays as it is. It is tried again when the engine is opened the
 * next time. Its time-outs hold all the same.
 */
export class BlockedRuns {
  readonly #host: BlockingHost;
  readonly #reasons = new Map<WorkflowId, string>();

  constructor(host: BlockingHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#reasons.size;
  }

  /** How many there are for each code. */
  countByCode(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const reason of this.#reasons.values()) {
      const code = reason.slice(0, reason.indexOf(":"));
      counts.set(code, (counts.get(code) ?? 0) + 1);
    }
    return counts;
  }

  /** Those that wait for code. */
  *waitingForCode(): Generator<WorkflowId> {
    for (const [workflowId, reason] of this.#reasons)
      if (reason.startsWith("workflow_type_unknown:")) yield workflowId;
  }

  /** Why the workflow's run is blocked; `undefined`: it is not. */
  get(workflowId: WorkflowId): string | undefined {
    return this.#reasons.get(workflowId);
  }

  /** Within a visit. */
  async block(record: RunRecord, error: AionError): Promise<void> {
    const host = this.#host;
    const { workflowId } = record;
    const reason = `${error.code}: ${error.message}`;
    this.#reasons.set(workflowId, reason);
    const { runId, workflowType } = record;
    host.log("error", "a run is blocked", {
      workflowId,
      runId,
      workflowType,
      code: error.code,
      error: error.message,
    });
    if (host.stopped !== undefined) return;
    if (record.blocked !== reason) await host.recorder.commit(toBlockedCommit(record, reason));
    host.watchers.blocked(workflowId);
    let deadline: ReturnType<typeof runDeadline>;
    try {
      deadline = runDeadline(await loadState(record, host.store));
    } catch (failure) {
      // A store that is out of order is asked again; a history that cannot be read tells of no time-out.
      if (isAionError(failure) && failure.code === "store_unavailable") this.#lookAgain(workflowId);
      return;
    }
    if (deadline === undefined) return;
    if (deadline.at > host.now()) host.wakeAt(workflowId, deadline.at);
    else await this.#timeOut({ ...record, blocked: reason, wakeAt: 0 }, deadline.timeout);
  }

  async #timeOut(record: RunRecord, timeout: "run" | "execution"): Promise<void> {
    const { workflowId } = record;
    try {
      await this.#host.endings.withoutCode(record, { type: "WorkflowTimedOut", timeout });
    } catch (error) {
      this.#lookAgain(workflowId);
      this.#host.log("warn", "a blocked run could not be timed out; trying again", {
        workflowId,
        error: messageOf(error),
      });
    }
  }

  /** Its row is read anew then, and leads to `block` again while it is blocked. */
  #lookAgain(workflowId: WorkflowId): void {
    if (this.#host.stopped === undefined) this.#host.wakeAt(workflowId, this.#host.now() + retryMs);
  }

  /** It goes on: its row says so. */
  unblock(record: RunRecord): void {
    this.#reasons.delete(record.workflowId);
    void this.#host.recorder.commit(toBlockedCommit(record, null));
  }

  /** It has ended. True: it was blocked. */
  ended(workflowId: WorkflowId): boolean {
    return this.#reasons.delete(workflowId);
  }
}

/** Says on a run's row that it is blocked, and why; or, with `null`, that it is no longer. Its history stays as it is. */
function toBlockedCommit(record: RunRecord, blocked: string | null): Commit {
  const { runKey, workflowId, headSeq, wakeAt, status } = record;
  return {
    run: {
      runKey,
      workflowId,
      expectedSeq: headSeq,
      events: [],
      status,
      // Looked at again when the engine is opened: the cause may be gone by then. Of one that is paused nobody wants to know.
      wakeAt: blocked === null || status === "paused" ? wakeAt : 0,
      wakeAtBefore: wakeAt,
      blocked,
    },
  };
}
