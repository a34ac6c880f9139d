import type { EndRequest } from "../client/service.ts";
import type { Event, EventBody } from "../core/event.ts";
import type { ControlKind } from "../core/event.ts";
import { isCoordinatorId } from "../core/schedule.ts";
import type { RunState } from "../replay/run-state.ts";
import type { Commit, RunRecord } from "../store/contract.ts";
import { notAWorkflow } from "./coordinator.ts";
import { nextLookAt } from "./due.ts";
import { once, parseEnd } from "./end-requests.ts";
import type { Kernel } from "./kernel.ts";
import { offerTo } from "./offer.ts";

interface Fields {
  readonly reason?: string;
  readonly requestId?: string;
}

/** What the request comes to; `undefined`: it changes nothing, and has no id that would have to be known again. */
function toControlEvent(state: RunState, kind: ControlKind, fields: Fields): EventBody | undefined {
  const type = kind === "pause" ? "WorkflowPaused" : "WorkflowResumed";
  if ((state.pause === undefined) === (kind === "pause")) return { type, ...fields };
  return fields.requestId === undefined ? undefined : { type, ...fields, isFurther: true };
}

/**
 * Holds a run: from the commit on its code does not move and no attempt begins. One that is held already stays so. Errors:
 * `run_not_found`, `run_closed`, `run_blocked`.
 */
export async function pauseRun(kernel: Kernel, request: EndRequest): Promise<void> {
  await change(kernel, "pause", request);
}

/** Lets it go on. One that goes already does so. Errors: as of `pauseRun`. */
export async function resumeRun(kernel: Kernel, request: EndRequest): Promise<void> {
  await change(kernel, "resume", request);
}

async function change(kernel: Kernel, kind: ControlKind, request: EndRequest): Promise<void> {
  kernel.demandOpen();
  const of = parseEnd(request);
  const { workflowId, fields } = of;
  const { requestId } = fields;
  await once(kernel, kind, of, async (runId) => {
    let isRepeated = false;
    await offerTo(kernel, workflowId, runId, {
      toEvent: (state) => {
        isRepeated = requestId !== undefined && state.requests.hasControl(kind, requestId);
        return isRepeated ? undefined : toControlEvent(state, kind, fields);
      },
      ...(runId === undefined ? { followsChain: true as const } : {}),
    });
    if (isRepeated) kernel.meter.repeated(kind);
  });
}

/** The same for a run of a store without an engine. `state` is changed. `undefined`: there is nothing to write. */
export function toControlCommit(
  run: RunRecord,
  state: RunState,
  { kind, fields, nowMs }: { readonly kind: ControlKind; readonly fields: Fields; readonly nowMs: number },
): Commit | undefined {
  if (isCoordinatorId(run.workflowId)) throw notAWorkflow(run.workflowId);
  const body = toControlEvent(state, kind, fields);
  if (body === undefined) return undefined;
  const { runKey, workflowId, headSeq, wakeAt } = run;
  const event: Event = { ...body, seq: headSeq + 1, workflowId, recordedAt: nowMs };
  state.apply(event);
  // A worker may have an attempt under way, and come back to its engine.
  const isAway = [...state.activities.values()].some(({ worker }) => worker !== undefined);
  return {
    run: {
      runKey,
      workflowId,
      expectedSeq: headSeq,
      events: [event],
      status: state.status,
      wakeAt: state.pause === undefined || isAway ? 0 : nextLookAt(state),
      wakeAtBefore: wakeAt,
    },
  };
}
