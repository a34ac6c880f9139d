import type { EndRequest } from "../client/service.ts";
import { noAttributes } from "../core/attributes.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { Event, EventBody, EventOf } from "../core/event.ts";
import { roleOf } from "../core/event.ts";
import { isPackageVersion } from "../core/package-version.ts";
import { isCoordinatorId } from "../core/schedule.ts";
import { isClosed, isTerminal } from "../core/status.ts";
import type { OpenChild, RunState } from "../replay/run-state.ts";
import type { OutgoingMessage, RunRecord, Store } from "../store/contract.ts";
import { demandTold, whenSettled } from "./alone.ts";
import { isChildOf, outcomeOf } from "./closing.ts";
import { notAWorkflow } from "./coordinator.ts";
import { stateAfter, voidsOf } from "./copying.ts";
import { parseEnd, wasRequested } from "./end-requests.ts";
import type { Kernel } from "./kernel.ts";
import { toParkedText } from "./parked.ts";
import { readSegment } from "./reset-source.ts";
import { timeAnew } from "./time-anew.ts";
import { tryHistory } from "./trial.ts";
import { readEnd } from "./views.ts";

/**
 * Runs that have ended and go on: a new lease of the same run.
 *
 * Laws: only what led to the end by itself is voided (the end, the last failures of activities and of children that were reopened, a
 * cancellation), and only if nothing was done about it since. What remains is replayed by the code that there is now before
 * anything is written: a run that could not go on exactly is refused, and stays as it is. Nobody else comes near the workflow meanwhile.
 */

const attemptsMax = 100;
const reopenable: readonly string[] = ["failed", "cancelled", "timed-out"];

/**
 * What the end of a run, or a cancellation, calls off, or says of itself: nothing outside has happened by it, and the run is found again by
 * what it was found by before.
 */
const teardown: readonly string[] = ["TimerCancelled", "ActivityCancelRequested", "SearchAttributesUpdated"];

/** Errors: `run_not_reopenable`, `run_not_found`, `workflow_type_unknown`, and those of the store. */
export async function reopenRun(kernel: Kernel, request: EndRequest): Promise<void> {
  kernel.demandOpen();
  const { workflowId, runId, fields } = parseEnd(request);
  const { requestId } = fields;
  if (isCoordinatorId(workflowId)) throw notAWorkflow(workflowId);
  for (let attempt = 1; ; attempt++) {
    try {
      await whenSettled(kernel, visit);
      break;
    } catch (error) {
      // Another run of the id was begun meanwhile: what is asked is asked of that one.
      const isRace = isAionError(error) && error.code === "sequence_conflict";
      if (!isRace || attempt >= attemptsMax) throw error;
    }
  }
  kernel.insist("bringing a run back", () => kernel.residency.resident(workflowId));

  async function visit(): Promise<void> {
    await kernel.residency.visit<void>(
      workflowId,
      {},
      {
        here: async (run) => {
          if (await isRepeated()) return;
          throw refusal(`run ${run.state.started.runId} of workflow ${workflowId} has not ended`);
        },
        onDisk: async (row) => {
          if (await isRepeated()) return;
          if (row === undefined) throw new AionError("run_not_found", `there is no workflow ${workflowId}`);
          if (runId !== undefined && runId !== row.runId) {
            const meant = await kernel.store.findRun(workflowId, runId);
            if (meant === undefined)
              throw new AionError("run_not_found", `there is no workflow ${workflowId} with run ${runId}`);
            throw refusal(`run ${runId} of workflow ${workflowId} is not the latest: run ${row.runId} is`);
          }
          await reopen(kernel, row, fields);
        },
      },
    );
  }

  async function isRepeated(): Promise<boolean> {
    if (requestId === undefined) return false;
    const isKnown = await wasRequested(kernel.store, { kind: "reopen", workflowId, runId, requestId });
    if (isKnown) kernel.meter.repeated("reopen");
    return isKnown;
  }
}

async function reopen(
  kernel: Kernel,
  row: RunRecord,
  fields: { readonly reason?: string; readonly requestId?: string },
): Promise<void> {
  const { store } = kernel;
  const { workflowId, runId, runKey, headSeq, status } = row;
  if (!reopenable.includes(status)) {
    const why = isClosed(status) ? `is ${status}` : "has not ended";
    throw refusal(`run ${runId} of workflow ${workflowId} ${why}`);
  }
  const events = await readSegment(store, row);
  if ((events.at(-1)?.seq ?? 0) < headSeq) await demandThere(store, row);
  const ended = stateAfter(workflowId, events);
  const { voids, stays } = await findVoids(store, events, ended);
  const now = kernel.now();
  const body: EventBody = {
    type: "WorkflowReopened",
    voids: [...voids].toSorted((left, right) => left - right),
    ...fields,
    ...timeAnew(ended.started, ended.deadlines, now),
  };
  const reopened: Event = { ...body, seq: headSeq + 1, recordedAt: now, workflowId };
  await tryReplay(kernel, row, [...events, reopened], stays);
  const state = stateAfter(workflowId, [...events, reopened]);
  if (state.sends.size > 0)
    throw refusal(
      `run ${runId} of workflow ${workflowId} waits to hear what became of a signal that it sent`,
    );
  const isFoundAgain = events.some(({ seq, type }) => type === "SearchAttributesUpdated" && voids.has(seq));
  const send: OutgoingMessage[] = [];
  for (const child of state.children.values()) {
    const wasHeard = events.some(
      ({ seq, type, ...event }) =>
        voids.has(seq) &&
        type.startsWith("ChildWorkflow") &&
        "ordinal" in event &&
        event.ordinal === child.ordinal,
    );
    const message = await outcomeFor(kernel, row, child, wasHeard);
    if (message !== undefined) send.push({ target: workflowId, message });
  }
  const result = await kernel.recorder.commit({
    run: {
      runKey,
      workflowId,
      expectedSeq: headSeq,
      events: [{ ...body, recordedAt: now }],
      status: state.status,
      // Somebody has to bring it back.
      wakeAt: 0,
      wakeAtBefore: row.wakeAt,
      ...(isFoundAgain ? { attributes: state.attributes ?? noAttributes } : {}),
      ...(state.parkedSeq > headSeq ? { parked: toParkedText(state) } : {}),
    },
    ...(send.length === 0 ? {} : { send }),
    ...(isPackageVersion(row.version) ? { needsPackage: row.version } : {}),
  });
  if (!result.ok) {
    if (result.error.code === "sequence_conflict") await demandThere(store, row);
    throw result.error;
  }
  kernel.meter.reopened(row.workflowType);
  kernel.mailbox.sent(send, result.messageIds);
  kernel.watchers.appended(workflowId, headSeq + 1);
}

/** Retention takes a closed run away at any moment. Throws `run_not_found`. */
async function demandThere(store: Store, { workflowId, runId, runKey }: RunRecord): Promise<void> {
  if ((await store.findRunByKey(runKey)) === undefined)
    throw new AionError("run_not_found", `run ${runId} of workflow ${workflowId} is no longer there`);
}

/**
 * What led to the end: from the last input backwards, as long as the code asked for nothing but the end, and for what an end calls
 * off. Outcomes that are good stay among it: the code is told of them.
 */
async function findVoids(
  store: Store,
  events: readonly Event[],
  { started }: RunState,
): Promise<{
  readonly voids: ReadonlySet<number>;
  /** What the code asked for last before its end that is more than that. */
  readonly stays: Event | undefined;
}> {
  const before = voidsOf(events);
  const bySeq = new Map(events.map((event) => [event.seq, event]));
  const voids = new Set<number>();
  let commands: Event[] = [];
  for (const event of events.toReversed()) {
    if (before.has(event.seq)) continue;
    if (isTerminal(event)) {
      voids.add(event.seq);
      continue;
    }
    // What is copied is what the run was asked to go on from.
    if (event.type === "WorkflowReopened" || event.type === "WorkflowReset") break;
    const role = roleOf(event);
    if (role === "command") commands.push(event);
    if (role !== "input") continue;
    const stays = commands.find(({ type }) => !teardown.includes(type));
    if (stays !== undefined) return { voids, stays };
    // What was recorded in a pause is told by another event.
    const told = event.type === "InputDelivered" ? bySeq.get(event.of) : event;
    if (told !== undefined && (await isVoidable(store, told, events, started))) {
      for (const { seq } of [event, told, ...commands]) voids.add(seq);
    } else if (commands.length > 0) break;
    commands = [];
  }
  return { voids, stays: undefined };
}

async function isVoidable(
  store: Store,
  event: Event,
  events: readonly Event[],
  { runId, resetOf }: RunState["started"],
): Promise<boolean> {
  switch (event.type) {
    case "ActivityFailed":
    case "ActivityTimedOut":
    case "ActivityCancelled":
    case "WorkflowCancelRequested":
      return true;
    case "ChildWorkflowFailed":
    case "ChildWorkflowCancelled":
    case "ChildWorkflowTimedOut": {
      const started = events.find(
        (other): other is Event & EventOf<"ChildWorkflowStarted"> =>
          other.type === "ChildWorkflowStarted" && other.ordinal === event.ordinal,
      );
      if (started === undefined) return false;
      const child = await store.findRun(started.childWorkflowId);
      const reset = events.findLast((other) => other.type === "WorkflowReset" && other.seq < started.seq) as
        | EventOf<"WorkflowReset">
        | undefined;
      const parent = {
        workflowId: event.workflowId,
        runId: reset?.as.runId ?? resetOf?.begunAs.runId ?? runId,
        ordinal: event.ordinal,
      };
      // It was reopened, and goes on or has come to its end since.
      return (
        child !== undefined &&
        isChildOf(child.parent, parent) &&
        (!isClosed(child.status) || child.status === "completed")
      );
    }
    default:
      return false;
  }
}

/** The code that there is now replays what would be its history. */
async function tryReplay(
  kernel: Kernel,
  row: RunRecord,
  events: readonly Event[],
  stays: Event | undefined,
): Promise<void> {
  const { runId, workflowId } = row;
  const what = `run ${runId} of workflow ${workflowId}`;
  const outcome = await tryHistory(kernel, row, events);
  switch (outcome.kind) {
    case "goes-on":
      return;
    case "diverges":
      throw refusal(
        `${what} cannot go on exactly from before its end: ${outcome.error.message}`,
        outcome.error,
      );
    // Beyond a limit of this engine it would be failed again as soon as it is brought back.
    case "limited":
      throw refusal(`${what} would fail at once again: ${outcome.error.message}`, outcome.error);
    case "ends":
      throw refusal(`${what} would end at once, in the same way again${whyStays(stays)}`);
  }
}

function whyStays(stays: Event | undefined): string {
  if (stays === undefined) return "";
  const { seq, type } = stays;
  const what =
    type === "UpdateCompleted"
      ? `an update was answered by then, and what its caller was told stays`
      : "its code did something about that, which stays";
  return `: ${what} (event ${seq}, ${type})`;
}

/**
 * What became of a child that its parent is to wait for; `undefined`: it goes on, and will tell. `wasHeard`: its parent knew of its end,
 * and so did not tell it to end.
 */
async function outcomeFor(
  kernel: Kernel,
  row: RunRecord,
  { ordinal, parentRunId, childWorkflowId, parentClosePolicy }: OpenChild,
  wasHeard: boolean,
): Promise<OutgoingMessage["message"] | undefined> {
  const { store } = kernel;
  const { workflowId, runId } = row;
  const link = { workflowId, runId: parentRunId, ordinal };
  // Nobody comes near the workflow itself meanwhile: what is sent to it waits for this.
  if (childWorkflowId !== workflowId) demandTold(kernel, childWorkflowId, link);
  const child = await store.findRun(childWorkflowId);
  const what = `child ${childWorkflowId} of run ${runId} of workflow ${workflowId}`;
  if (child === undefined || !isChildOf(child.parent, link)) throw refusal(`${what} is no longer there`);
  if (!isClosed(child.status)) {
    if (wasHeard || parentClosePolicy === "abandon") return undefined;
    throw refusal(`${what} was told to end with its parent, and has not ended yet`);
  }
  const end = await readEnd(store, child);
  const outcome = end === undefined ? undefined : outcomeOf(end);
  const isOwn = outcome?.type === "ChildWorkflowCompleted" || outcome?.type === "ChildWorkflowFailed";
  if (outcome === undefined || (parentClosePolicy !== "abandon" && !isOwn))
    throw refusal(`${what} was ended with its parent`);
  return { kind: "child-closed", runId: parentRunId, ordinal, outcome };
}

function refusal(message: string, cause?: unknown): AionError {
  return new AionError("run_not_reopenable", message, cause === undefined ? {} : { cause });
}
