import type { ResultReply, ResultRequest } from "../client/service.ts";
import type { Event } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { parseRunId, parseWorkflowId } from "../core/ids.ts";
import { successorOf } from "../core/run-chain.ts";
import { isClosed } from "../core/status.ts";
import type { Kernel } from "./kernel.ts";
import { demandRun, readEnd, toResult } from "./views.ts";

/*
 * Waiting for the end of a run. Laws: what is told is on disk; a run that continues as new is followed to the last of its chain; of
 * one that is blocked the end is waited for a moment only, since somebody has to act.
 */

/** How long the end of a run that is blocked is waited for. */
const blockedPatienceMs = 2_000;

/** Waits for `waitMs` at most. Errors: `run_not_found`. */
export async function awaitResult(kernel: Kernel, request: ResultRequest): Promise<ResultReply> {
  kernel.demandOpen();
  const workflowId = parseWorkflowId(request.workflowId);
  let runId: RunId | undefined = request.runId === undefined ? undefined : parseRunId(request.runId);
  const deadlineAt = kernel.now() + request.waitMs;
  for (;;) {
    const leftMs = Math.max(0, deadlineAt - kernel.now());
    // What held it may just have been mended; if not, there is nothing to wait for, and somebody has to know.
    const isBlocked = kernel.blocked.get(workflowId) !== undefined;
    const ended = watchEnd(
      kernel,
      workflowId,
      runId,
      isBlocked ? Math.min(leftMs, blockedPatienceMs) : leftMs,
    );
    // The watch is in place before the look, so that an end between the two is seen by one of them.
    let terminal: Event | undefined;
    let current: RunId | undefined;
    try {
      const resident = kernel.residency.get(workflowId);
      if (resident?.isHere === true && (runId === undefined || resident.state.started.runId === runId)) {
        current = resident.state.started.runId;
      } else {
        const record = await demandRun(kernel.store, workflowId, runId);
        current = record.runId;
        if (isClosed(record.status)) {
          terminal = await readEnd(kernel.store, record);
          // Deleted between the two reads.
          if (terminal === undefined) await demandRun(kernel.store, workflowId, record.runId);
        }
      }
      if (terminal === undefined) {
        const end = request.waitMs > 0 ? await ended.promise : undefined;
        if (end === undefined) {
          const blocked = kernel.blocked.get(workflowId);
          if (blocked !== undefined) return { status: "running", runId: current, blocked };
          if (isBlocked && kernel.now() < deadlineAt) continue;
          return { status: "running", runId: current };
        }
        terminal = end.terminal;
        current = end.runId;
      }
    } finally {
      ended.stop();
    }
    const next = successorOf(terminal);
    if (next === undefined) return toResult(terminal, current);
    runId = next;
  }
}

function watchEnd(kernel: Kernel, workflowId: WorkflowId, runId: RunId | undefined, waitMs: number) {
  let stop: () => void = () => undefined;
  const promise = new Promise<{ readonly runId: RunId; readonly terminal: Event } | undefined>(
    (resolve, reject) => {
      const cancelTimer =
        waitMs > 0 && waitMs < Number.MAX_SAFE_INTEGER
          ? kernel.options.ports.scheduler.delay(waitMs, () => resolve(undefined))
          : () => undefined;
      const unwatch = kernel.watchers.watch(workflowId, {
        onClosed: (closedId, terminal) => {
          if (runId === undefined || closedId === runId) resolve({ runId: closedId, terminal });
        },
        onBlocked: () => resolve(undefined),
        onLost: reject,
      });
      stop = () => {
        cancelTimer();
        unwatch();
      };
    },
  );
  promise.catch(() => undefined);
  return { promise, stop: () => stop() };
}
