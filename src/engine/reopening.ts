import type { EndRequest } from "../client/service.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { Event, EventBody, EventOf } from "../core/event.ts";
import { roleOf } from "../core/event.ts";
import { isPackageVersion } from "../core/package-version.ts";
import { isCoordinatorId } from "../core/schedule.ts";
import { isClosed, isTerminal } from "../core/status.ts";
import { RunState } from "../replay/run-state.ts";
import type { OpenChild } from "../replay/run-state.ts";
import type { OutgoingMessage, RunRecord, Store } from "../store/contract.ts";
import { isChildOf, outcomeOf } from "./closing.ts";
import { notAWorkflow } from "./coordinator.ts";
import { parseEnd, wasRequested } from "./end-requests.ts";
import type { Kernel } from "./kernel.ts";
import type { HistoryStore, LoadedRun } from "./load.ts";
import { loadRun } from "./load.ts";
import { toParkedText } from "./parked.ts";
import { readEnd } from "./views.ts";

/**
 * Runs that have ended and go on: a new lease of the same run.
 *
 * Laws: only what led to the end by itself is voided (the end, the last failures of activities and of children that were reopened, a
 * cancellation), and only if nothing was done about it since. What remains is replayed by the code that there is now before
 * anything is written: a run that could not go on exactly is refused, and stays as it is. Nobody else comes near the workflow meanwhile.
 */

const pageEvents = 2_000;
const attemptsMax = 100;
const reopenable: readonly string[] = ["failed", "cancelled", "timed-out"];

/** What the end of a run, or a cancellation, calls off: nothing outside has happened by it. */
const teardown: readonly string[] = ["TimerCancelled", "ActivityCancelRequested"];

/** Errors: `run_not_reopenable`, `run_not_found`, `workflow_type_unknown`, and those of the store. */
export async function reopenRun(kernel: Kernel, request: EndRequest): Promise<void> {
  kernel.demandOpen();
  const { workflowId, runId, fields } = parseEnd(request);
  const { requestId } = fields;
  if (isCoordinatorId(workflowId)) throw notAWorkflow(workflowId);
  for (let attempt = 1; ; attempt++) {
    try {
      await visit();
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
  const events = await readAll(store, row);
  const { voids, stays } = await findVoids(store, events);
  const now = kernel.now();
  const body: EventBody = {
    type: "WorkflowReopened",
    voids: [...voids].toSorted((left, right) => left - right),
    ...fields,
    ...newDeadlines(events, now),
  };
  const reopened: Event = { ...body, seq: headSeq + 1, recordedAt: now, workflowId };
  await tryReplay(kernel, row, [...events, reopened], stays);
  const state = new RunState(workflowId, allVoids([...events, reopened]));
  for (const event of [...events, reopened]) state.apply(event);
  if (state.sends.size > 0)
    throw refusal(
      `run ${runId} of workflow ${workflowId} waits to hear what became of a signal that it sent`,
    );
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
      ...(state.parkedSeq > headSeq ? { parked: toParkedText(state) } : {}),
    },
    ...(send.length === 0 ? {} : { send }),
    ...(isPackageVersion(row.version) ? { needsPackage: row.version } : {}),
  });
  if (!result.ok) {
    if (result.error.code === "sequence_conflict") await demandThere(store, row);
    throw result.error;
  }
  kernel.mailbox.sent(send, result.messageIds);
  kernel.watchers.appended(workflowId, headSeq + 1);
}

async function readAll(store: HistoryStore, row: RunRecord): Promise<readonly Event[]> {
  const events: Event[] = [];
  for (let from = row.firstSeq; from <= row.headSeq;) {
    const page = await store.readSegment(row, from, pageEvents);
    if (page.length === 0) {
      await demandThere(store, row);
      break;
    }
    events.push(...page);
    from += page.length;
  }
  return events;
}

/** Retention takes a closed run away at any moment. Throws `run_not_found`. */
async function demandThere(store: HistoryStore, { workflowId, runId, runKey }: RunRecord): Promise<void> {
  if ((await store.findRunByKey(runKey)) === undefined)
    throw new AionError("run_not_found", `run ${runId} of workflow ${workflowId} is no longer there`);
}

function allVoids(events: readonly Event[]): ReadonlySet<number> {
  return new Set(events.flatMap((event) => (event.type === "WorkflowReopened" ? event.voids : [])));
}

/**
 * What led to the end: from the last input backwards, as long as the code asked for nothing but the end, and for what an end calls
 * off. Outcomes that are good stay among it: the code is told of them.
 */
async function findVoids(
  store: Store,
  events: readonly Event[],
): Promise<{
  readonly voids: ReadonlySet<number>;
  /** What the code asked for last before its end that is more than that. */
  readonly stays: Event | undefined;
}> {
  const before = allVoids(events);
  const bySeq = new Map(events.map((event) => [event.seq, event]));
  const voids = new Set<number>();
  let commands: Event[] = [];
  for (const event of events.toReversed()) {
    if (before.has(event.seq)) continue;
    if (isTerminal(event)) {
      voids.add(event.seq);
      continue;
    }
    if (event.type === "WorkflowReopened") break;
    const role = roleOf(event);
    if (role === "command") commands.push(event);
    if (role !== "input") continue;
    const stays = commands.find(({ type }) => !teardown.includes(type));
    if (stays !== undefined) return { voids, stays };
    // What was recorded in a pause is told by another event.
    const told = event.type === "InputDelivered" ? bySeq.get(event.of) : event;
    if (told !== undefined && (await isVoidable(store, told, events))) {
      for (const { seq } of [event, told, ...commands]) voids.add(seq);
    } else if (commands.length > 0) break;
    commands = [];
  }
  return { voids, stays: undefined };
}

async function isVoidable(store: Store, event: Event, events: readonly Event[]): Promise<boolean> {
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
      const first = events[0];
      if (started === undefined || first?.type !== "WorkflowStarted") return false;
      const child = await store.findRun(started.childWorkflowId);
      const parent = { workflowId: event.workflowId, runId: first.runId, ordinal: event.ordinal };
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

/** Those that have run out are given anew, as long as the run had them when it began. */
function newDeadlines(
  events: readonly Event[],
  now: number,
): { readonly runDeadlineAt?: number; readonly executionDeadlineAt?: number } {
  const [started] = events;
  if (started?.type !== "WorkflowStarted") return {};
  const began = started.startAt ?? started.recordedAt;
  const { runDeadlineAt, executionDeadlineAt } = Object.assign(
    { runDeadlineAt: started.runDeadlineAt, executionDeadlineAt: started.executionDeadlineAt },
    ...events.filter(({ type }) => type === "WorkflowReopened"),
  ) as { runDeadlineAt?: number; executionDeadlineAt?: number };
  return {
    ...(runDeadlineAt !== undefined && started.runDeadlineAt !== undefined && runDeadlineAt <= now
      ? { runDeadlineAt: now + started.runDeadlineAt - began }
      : {}),
    ...(executionDeadlineAt !== undefined &&
    started.executionDeadlineAt !== undefined &&
    executionDeadlineAt <= now
      ? { executionDeadlineAt: now + started.executionDeadlineAt - began }
      : {}),
  };
}

/** The code that there is now replays what would be its history. */
async function tryReplay(
  kernel: Kernel,
  row: RunRecord,
  events: readonly Event[],
  stays: Event | undefined,
): Promise<void> {
  const { programs, ports, payloadLimitBytes, onRunLimit } = kernel.options;
  const { closedAt: _closedAt, ...open } = row;
  const record: RunRecord = { ...open, status: "running", headSeq: row.headSeq + 1 };
  const store: HistoryStore = {
    readSegment: async (_run, fromSeq, limit = pageEvents) =>
      events.slice(fromSeq - row.firstSeq, fromSeq - row.firstSeq + limit).map((event) => ({ ...event })),
    findRunByKey: async () => record,
  };
  let loaded: Awaited<ReturnType<typeof loadRun>>;
  try {
    loaded = await loadRun(record, {
      store,
      programs,
      scheduler: ports.scheduler,
      payloadLimitBytes,
      log: () => undefined,
      onStray: () => undefined,
    });
  } catch (error) {
    if (!isAionError(error) || (error.code !== "nondeterminism" && error.code !== "history_shape"))
      throw error;
    throw refusal(
      `run ${row.runId} of workflow ${row.workflowId} cannot go on exactly from before its end: ${error.message}`,
      error,
    );
  }
  loaded.instance.dispose();
  if (onRunLimit === "fail") demandWithinLimits(kernel, row, loaded);
  const end = loaded.live.find(({ kind }) => kind === "fail" || kind === "cancelled");
  if (end !== undefined || loaded.isStuck)
    throw refusal(
      `run ${row.runId} of workflow ${row.workflowId} would end at once, in the same way again${whyStays(stays)}`,
    );
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

/** Beyond a limit of this engine it would be failed again as soon as it is brought back. */
function demandWithinLimits(
  { limits }: Kernel,
  { workflowId, runId }: RunRecord,
  { state, live }: LoadedRun,
): void {
  try {
    limits.demandLoaded(state, live);
  } catch (error) {
    if (!isAionError(error) || error.code !== "run_limit") throw error;
    throw refusal(`run ${runId} of workflow ${workflowId} would fail at once again: ${error.message}`, error);
  }
}

/**
 * What became of a child that its parent is to wait for; `undefined`: it goes on, and will tell. `wasHeard`: its parent knew of its end,
 * and so did not tell it to end.
 */
async function outcomeFor(
  { store, mailbox }: Kernel,
  row: RunRecord,
  { ordinal, childWorkflowId, parentClosePolicy }: OpenChild,
  wasHeard: boolean,
): Promise<OutgoingMessage["message"] | undefined> {
  await mailbox.settled(childWorkflowId);
  const { workflowId, runId } = row;
  const child = await store.findRun(childWorkflowId);
  const what = `child ${childWorkflowId} of run ${runId} of workflow ${workflowId}`;
  if (child === undefined || !isChildOf(child.parent, { workflowId, runId, ordinal }))
    throw refusal(`${what} is no longer there`);
  if (!isClosed(child.status)) {
    if (wasHeard || parentClosePolicy === "abandon") return undefined;
    throw refusal(`${what} was told to end with its parent, and has not ended yet`);
  }
  const end = await readEnd(store, child);
  const outcome = end === undefined ? undefined : outcomeOf(end);
  const isOwn = outcome?.type === "ChildWorkflowCompleted" || outcome?.type === "ChildWorkflowFailed";
  if (outcome === undefined || (parentClosePolicy !== "abandon" && !isOwn))
    throw refusal(`${what} was ended with its parent`);
  return { kind: "child-closed", runId, ordinal, outcome };
}

function refusal(message: string, cause?: unknown): AionError {
  return new AionError("run_not_reopenable", message, cause === undefined ? {} : { cause });
}
