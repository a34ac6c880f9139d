import { AionError, isAionError } from "../core/errors.ts";
import type { ParentLink } from "../core/event.ts";
import type { WorkflowId } from "../core/ids.ts";
import type { RunRecord } from "../store/contract.ts";
import type { Kernel } from "./kernel.ts";

/** A run that is begun meanwhile is met by the commit alone; each time another one has got its run. */
const attemptsMax = 1_000;

/**
 * Acts on what the disk has of a workflow while nothing of it is in memory: a run that is there is put away at a moment at which all
 * that it did is on disk. Whoever wants it meanwhile waits; attempts under way go on. `work` begins again if its commit finds that a run
 * of the workflow was begun meanwhile.
 */
export async function alone<Result>(
  kernel: Pick<Kernel, "residency">,
  workflowId: WorkflowId,
  work: (latest: RunRecord | undefined) => Promise<Result>,
): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await aloneOnce(kernel, workflowId, work);
    } catch (error) {
      if (!isAionError(error) || error.code !== "sequence_conflict" || attempt >= attemptsMax) throw error;
    }
  }
}

async function aloneOnce<Result>(
  { residency }: Pick<Kernel, "residency">,
  workflowId: WorkflowId,
  work: (latest: RunRecord | undefined) => Promise<Result>,
): Promise<Result> {
  for (;;) {
    const done = await residency.visit<{ readonly result: Result } | undefined>(
      workflowId,
      {},
      {
        here: (run) => {
          run.saveHeartbeats();
          return new Promise((resolve) => {
            run.ask(() => {
              if (run.isHere) residency.reload(run, putAway(workflowId));
              resolve(undefined);
            });
          });
        },
        onDisk: async (row) => ({ result: await work(row) }),
      },
    );
    if (done !== undefined) return done.result;
  }
}

/** Nothing that was asked of it is lost by that: it is asked again. */
function putAway(workflowId: WorkflowId): AionError {
  return new AionError("sequence_conflict", `workflow ${workflowId} was put away`);
}

/** Thrown by who holds a workflow and has to know what another one makes of a message that is on its way to it. */
class Unsettled extends Error {
  readonly target: WorkflowId;

  constructor(target: WorkflowId) {
    super(`a message to workflow ${target} is on its way`);
    this.target = target;
  }
}

/**
 * Does what holds a workflow. Law: who holds one waits for no message to another, which may be held by somebody who waits for a message to
 * this one. So what needs one delivered is left off, and begun again when it is.
 */
export async function whenSettled<Result>(
  { mailbox }: Pick<Kernel, "mailbox">,
  work: () => Promise<Result>,
): Promise<Result> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Unsettled)) throw error;
      await mailbox.settled(error.target);
    }
  }
}

/** Within `whenSettled`: goes on only if the child has been told all that its parent had to tell it. */
export function demandTold(
  { mailbox }: Pick<Kernel, "mailbox">,
  child: WorkflowId,
  parent: ParentLink,
): void {
  if (mailbox.isStillTold(child, parent)) throw new Unsettled(child);
}
