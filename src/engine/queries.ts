import type { QueryRequest } from "../client/service.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { WorkflowId } from "../core/ids.ts";
import { parseName, parseWorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { parsePayload } from "../core/payload.ts";
import { isClosed } from "../core/status.ts";
import type { Kernel } from "./kernel.ts";
import { despiteOthers, isOthersFault, loadRun } from "./load.ts";
import { toAionError } from "./to-aion-error.ts";
import { demandRun } from "./views.ts";

/*
 * Queries. Laws: the answer is of a moment at which all that the code did is on disk, and of an owner who still is one; asking
 * changes nothing.
 */

/** Errors: `run_not_found`, `run_blocked`, `query_unknown`, `query_failed`. */
export async function queryRun(kernel: Kernel, request: QueryRequest): Promise<Payload> {
  kernel.demandOpen();
  const answer = await answerOf(kernel, request);
  // Memory is as good as the ownership: another engine may have gone on with the run while this one was frozen.
  await kernel.lease.confirm();
  return answer;
}

async function answerOf(kernel: Kernel, request: QueryRequest): Promise<Payload> {
  const workflowId = parseWorkflowId(request.workflowId);
  const name = parseName(request.name, "query name");
  const input = parsePayload(
    request.input,
    `the input of query ${JSON.stringify(name)}`,
    kernel.options.payloadLimitBytes,
  );
  await kernel.mailbox.settled(workflowId);
  const run = request.runId === undefined ? await kernel.residency.resident(workflowId) : undefined;
  if (run !== undefined) {
    return new Promise((resolve, reject) => {
      run.ask(() => {
        if (run.isGone || run.instance === undefined) {
          reject(
            new AionError("run_closed", `workflow ${workflowId} moved away while it was asked; ask again`),
          );
          return;
        }
        try {
          resolve(run.instance.query(name, input));
        } catch (error) {
          reject(toAionError(error));
        }
      });
    }).catch((error: unknown) => {
      // It ended, or was thrown away, between the question and its turn: its history answers.
      // The same if the process of its code was ended by another run.
      const isGone = isAionError(error) && (error.code === "run_closed" || isOthersFault(error));
      if (isGone) return despiteOthers(() => queryHistory(kernel, workflowId, undefined, name, input));
      throw error;
    }) as Promise<Payload>;
  }
  return despiteOthers(() => queryHistory(kernel, workflowId, request.runId, name, input));
}

/** Replays a run that is not resident (ended, or named by its run id) just to answer. */
async function queryHistory(
  kernel: Kernel,
  workflowId: WorkflowId,
  runId: string | undefined,
  name: string,
  input: Payload,
): Promise<Payload> {
  const record = await demandRun(kernel.store, workflowId, runId);
  const blocked = kernel.blocked.get(workflowId);
  if (blocked !== undefined && !isClosed(record.status)) {
    throw new AionError("run_blocked", `workflow ${workflowId} is blocked: ${blocked}`);
  }
  const { programs, ports, payloadLimitBytes } = kernel.options;
  const { instance } = await loadRun(record, {
    store: kernel.store,
    programs,
    scheduler: ports.scheduler,
    payloadLimitBytes,
    log: () => undefined,
    onStray: () => undefined,
    meter: kernel.meter,
  });
  try {
    return await instance.query(name, input);
  } finally {
    instance.dispose();
  }
}
