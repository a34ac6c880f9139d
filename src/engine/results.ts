import type { ResultReply, ResultRequest } from "../client/service.ts";
import type { Event } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { parseRunId, parseWorkflowId } from "../core/ids.ts";
import { successorOf } from "../core/run-chain.ts";
import { isClosed } from "../core/status.ts";
import type { Kernel } from "./kernel.ts";
import { demandRun, readEnd, toResult } from "./views.ts";

/*
 * Waiting for the end of a run. Laws: what is told is on disk; a run that continues as new is followed to the last of its chain; the
 * end of one that is blocked is not waited for, since somebody has to act.
 */

/** Waits for `waitMs` at most. Errors: `run_not_found`. */
export async function awaitResult(kernel: Kernel, request: ResultRequest): Promise<ResultReply> {
  kernel.demandOpen();
  const workflowId = parseWorkflowId(request.workflowId);
  let runId: RunId | undefined = request.runId === undefined ? undefined : parseRunId(request.runId);
  const deadlineAt = kernel.now() + request.waitMs;
  for (;;) {
    const leftMs = Math.max(0, deadlineAt - kernel.now());
    const ended = watchEnd(kernel, workflowId, runId, leftMs);
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
        const patience = request.waitMs > 0 ? ended.promise : undefined;
        const held = await kernel.whyBlocked(workflowId, patience);
        const end = held === undefined ? await patience : undefined;
        if (end === undefined) {
          const blocked = held ?? kernel.blocked.get(workflowId);
          return { status: "running", runId: current, ...(blocked === undefined ? {} : { blocked }) };
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
