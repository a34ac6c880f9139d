import type { NewEvent } from "../core/codec.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { EventBody } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { LogLevel } from "../core/ports.ts";
import { isClosed } from "../core/status.ts";
import type { RunState } from "../replay/run-state.ts";
import type { RunRecord, Store } from "../store/contract.ts";
import type { BlockedRuns } from "./blocked-runs.ts";
import { toEndCommit } from "./closing.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { loadReadable, loadState } from "./load.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Recorder } from "./recorder.ts";
import type { ResidentRun } from "./resident-run.ts";
import type { Watchers } from "./watchers.ts";

export interface EndingHost {
  readonly store: Store;
  readonly recorder: Recorder;
  readonly mailbox: Mailbox;
  readonly watchers: Watchers;
  readonly dispatcher: Dispatcher;
  readonly blocked: BlockedRuns;
  /** Runs on their way into memory: whoever wants one waits for it. */
  readonly loads: Map<WorkflowId, Promise<ResidentRun | undefined>>;
  now(): number;
  log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void;
  demandOpen(): void;
  /** Why there is no run of that id to turn to. */
  absent(workflowId: WorkflowId): Promise<AionError>;
  residentRun(workflowId: WorkflowId): ResidentRun | undefined;
  unbornRun(workflowId: WorkflowId): ResidentRun | undefined;
  /** Takes a run into memory without its code, to end it. */
  adopt(record: RunRecord, state: RunState): ResidentRun;
}

/**
 * How runs end from outside: terminated, timed out, or failed by the engine. Owner: the kernel.
 *
 * Laws: neither the code nor, for its own end, the history of a run is needed. A run that is in memory takes its end among
 * its other inputs; of one that is not, at most one end is under way.
 */
export class Endings {
  readonly #host: EndingHost;

  constructor(host: EndingHost) {
    this.#host = host;
  }

  /** Terminates or times out: appended at once, resident or not, blocked or not. */
  async end(
    workflowId: WorkflowId,
    runId: RunId | undefined,
    event: EventBody,
    messageId?: number,
  ): Promise<void> {
    const host = this.#host;
    host.demandOpen();
    const loading = host.loads.get(workflowId);
    if (loading !== undefined) await loading;
    const run = host.residentRun(workflowId);
    if (run !== undefined && !run.isGone && !run.isHere) {
      await new Promise<void>((resolve) => run.ask(resolve));
      return this.end(workflowId, runId, event, messageId);
    }
    if (run !== undefined && run.isHere) {
      if (runId !== undefined && run.state.started.runId !== runId) {
        throw new AionError("run_closed", `run ${runId} of workflow ${workflowId} has ended`);
      }
      return offerEnd(run, (state) => (state.isClosed ? undefined : { ...event }), messageId);
    }
    const record = await host.store.findRun(workflowId, runId);
    if (record === undefined) throw new AionError("run_not_found", `there is no workflow ${workflowId}`);
    if (isClosed(record.status)) {
      throw new AionError(
        "run_closed",
        `run ${record.runId} of workflow ${workflowId} has ended: it is ${record.status}`,
      );
    }
    const unborn = host.unbornRun(workflowId);
    if (unborn?.state.started.runId === record.runId) {
      // Begun while it was looked for: it is on disk, and its engine has not heard of that yet.
      await new Promise<void>((resolve) => unborn.ask(resolve));
      return this.end(workflowId, runId, event, messageId);
    }
    // Somebody may have begun to load it meanwhile.
    if (host.loads.has(workflowId) || host.residentRun(workflowId) !== undefined) {
      return this.end(workflowId, runId, event, messageId);
    }
    const ending = this.withoutCode(record, event, messageId).catch(async (error: unknown) => {
      if (!isUnreadable(error)) throw error;
      await this.#unread(record, event, messageId);
      return { run: undefined, ended: Promise.resolve() };
    });
    const load = ending.then(({ run: found }) => found).finally(() => host.loads.delete(workflowId));
    // Whoever wants the run now waits for this, and then for the end.
    host.loads.set(workflowId, load);
    await load;
    await (
      await ending
    ).ended;
    // Who sent it something meanwhile is to hear what became of it.
    if (host.blocked.ended(workflowId)) host.mailbox.listAgain();
  }

  /** Ends a run whose code is not loaded, or cannot be. Errors: those of reading its history. */
  async withoutCode(
    record: RunRecord,
    event: EventBody,
    messageId?: number,
  ): Promise<{ readonly run: ResidentRun; readonly ended: Promise<void> }> {
    const host = this.#host;
    const state = await loadState(record, host.store);
    // Somebody else has ended it since the record was read.
    if (state.isClosed) throw await host.absent(record.workflowId);
    const raced = host.residentRun(record.workflowId);
    const run = raced !== undefined && !raced.isGone ? raced : host.adopt(record, state);
    return { run, ended: offerEnd(run, () => ({ ...event }), messageId) };
  }

  /**
   * Ends a run whose history cannot be read. Where the end belongs, and whom it has to tell, is in the run's row; of its
   * children that is known which the readable part of the history tells of.
   */
  async #unread(record: RunRecord, body: EventBody, messageId: number | undefined): Promise<void> {
    const host = this.#host;
    const { workflowId, runId } = record;
    const { children } = await loadReadable(record, host.store);
    const event: NewEvent = { ...body, recordedAt: host.now() };
    const { commit, terminal } = toEndCommit(record, children, event);
    const result = await host.recorder.commit({
      ...commit,
      ...(messageId === undefined ? {} : { consume: [messageId] }),
    });
    if (!result.ok) throw result.error;
    host.log("warn", "a run was ended whose history cannot be read", { workflowId, runId });
    host.mailbox.sent(commit.send, result.messageIds);
    host.dispatcher.dropRun(runId);
    host.watchers.closed(workflowId, runId, terminal);
    host.watchers.appended(workflowId, terminal.seq);
  }
}

function offerEnd(
  run: ResidentRun,
  toEvent: (state: RunState) => EventBody | undefined,
  messageId: number | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    run.offer({
      toEvent,
      onDurable: resolve,
      onRefused: reject,
      ...(messageId === undefined ? {} : { messageId }),
    });
  });
}

/** The history holds what this version can make nothing of. A store that cannot be read at all is another matter. */
export function isUnreadable(error: unknown): boolean {
  return (
    isAionError(error) &&
    (error.code === "history_corrupt" || error.code === "history_shape" || error.code === "event_unknown")
  );
}
