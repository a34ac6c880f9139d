import type { NewEvent } from "../core/codec.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { EventBody, ParentLink } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { LogLevel } from "../core/ports.ts";
import { isClosed } from "../core/status.ts";
import type { FinishedSpan } from "../core/tracing.ts";
import type { RunState } from "../replay/run-state.ts";
import type { RunRecord } from "../store/contract.ts";
import type { BlockedRuns } from "./blocked-runs.ts";
import { isChildOf, toEndCommit } from "./closing.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { EngineMeter } from "./engine-meter.ts";
import type { Workers } from "./workers.ts";
import type { Input } from "./input.ts";
import type { HistoryStore } from "./load.ts";
import { loadReadable, loadState } from "./load.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Recorder } from "./recorder.ts";
import type { Residency } from "./residency.ts";
import type { RunSpans } from "./run-spans.ts";
import type { ResidentRun } from "./resident-run.ts";
import { runEnded } from "./run-errors.ts";
import type { Watchers } from "./watchers.ts";

export interface EndingHost {
  readonly meter: EngineMeter;
  readonly store: HistoryStore;
  readonly recorder: Recorder;
  readonly mailbox: Mailbox;
  readonly watchers: Watchers;
  readonly dispatcher: Dispatcher;
  readonly workers: Workers;
  readonly blocked: BlockedRuns;
  readonly residency: Residency;
  readonly spans: RunSpans;
  now(): number;
  log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void;
  demandOpen(): void;
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

  /**
   * Terminates: appended at once, resident or not, blocked or not. Without a run id whichever run is the latest by then. `of`: a
   * message that asks for it, and whose child it has to be. Errors: `run_not_found`, `run_closed`, and those of the store.
   */
  async end(
    workflowId: WorkflowId,
    runId: RunId | undefined,
    event: EventBody,
    of?: { readonly messageId: number; readonly parent: ParentLink | undefined },
  ): Promise<void> {
    this.#host.demandOpen();
    const isMeant = (link: ParentLink | undefined): boolean =>
      of?.parent === undefined || isChildOf(link, of.parent);
    await this.#host.residency.visit(
      workflowId,
      { runId },
      {
        here: (run) => {
          const { started } = run.state;
          if (runId !== undefined && started.runId !== runId) throw runEnded(workflowId, runId);
          const toEvent = (state: RunState) =>
            state.isClosed || !isMeant(state.started.parent) ? undefined : { ...event };
          return offerEnd(
            run,
            { toEvent, ...(runId === undefined ? { followsChain: true } : {}) },
            of?.messageId,
          );
        },
        onDisk: async (row) => {
          if (row === undefined) {
            throw new AionError("run_not_found", `there is no workflow ${workflowId}`);
          }
          if (isClosed(row.status)) {
            throw new AionError(
              "run_closed",
              `run ${row.runId} of workflow ${workflowId} has ended: it is ${row.status}`,
            );
          }
          if (!isMeant(row.parent)) {
            throw new AionError("run_closed", `the child of workflow id ${workflowId} has ended`);
          }
          let state: RunState;
          try {
            state = await loadState(row, this.#host.store);
          } catch (error) {
            if (!isUnreadable(error)) throw error;
            return this.#unread(row, event, of?.messageId);
          }
          return this.#adopt(row, state, event, of?.messageId);
        },
      },
    );
  }

  /** Ends a run that is on disk alone, within a visit. Errors: those of reading its history. */
  async withoutCode(row: RunRecord, event: EventBody): Promise<void> {
    await this.#adopt(row, await loadState(row, this.#host.store), event, undefined);
  }

  async #adopt(
    row: RunRecord,
    state: RunState,
    event: EventBody,
    messageId: number | undefined,
  ): Promise<void> {
    // It began and ended while its row was read.
    if (state.isClosed) throw runEnded(row.workflowId, row.runId);
    await offerEnd(this.#host.residency.adopt(row, state), { toEvent: () => ({ ...event }) }, messageId);
  }

  /**
   * Ends a run whose history cannot be read. Where the end belongs, and whom it has to tell, is in the run's row; of its
   * children that is known which the readable part of the history tells of.
   */
  async #unread(record: RunRecord, body: EventBody, messageId: number | undefined): Promise<void> {
    const host = this.#host;
    const { workflowId, runId } = record;
    const state = await loadReadable(record, host.store);
    const { children } = state;
    const event: NewEvent = { ...body, recordedAt: host.now() };
    const { commit, terminal } = toEndCommit(record, children, event);
    const result = await host.recorder.commit({
      ...commit,
      ...(messageId === undefined ? {} : { consume: [messageId] }),
    });
    if (!result.ok) throw result.error;
    host.meter.endedUnread(record.workflowType, event, terminal.recordedAt - record.startedAt);
    host.log("warn", "a run was ended whose history cannot be read", { workflowId, runId });
    if (state.headSeq > 0) {
      const spans: FinishedSpan[] = [];
      host.spans.note(state, terminal, spans);
      host.spans.emit(spans);
    }
    host.mailbox.sent(commit.send, result.messageIds);
    host.dispatcher.dropRun(runId);
    host.workers.dropRun(runId);
    host.watchers.closed(workflowId, runId, terminal);
    host.watchers.appended(workflowId, terminal.seq);
    if (host.blocked.ended(workflowId)) host.mailbox.listAgain();
  }
}

function offerEnd(
  run: ResidentRun,
  input: Pick<Input, "toEvent" | "followsChain">,
  messageId: number | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    run.offer({
      ...input,
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
