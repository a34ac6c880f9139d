import type { ForkRequest, ResetReply, ResetRequest } from "../client/service.ts";
import type { NewEvent } from "../core/codec.ts";
import { AionError, assert, isAionError } from "../core/errors.ts";
import type { Event, EventOf, ParentLink } from "../core/event.ts";
import { parseName, parseRunId, parseWorkflowId } from "../core/ids.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { isPackageVersion } from "../core/package-version.ts";
import { isCoordinatorId } from "../core/schedule.ts";
import { isClosed } from "../core/status.ts";
import type { FinishedSpan } from "../core/tracing.ts";
import type { ResetPoint } from "../replay/reset-points.ts";
import type { RunState } from "../replay/run-state.ts";
import { requestTaken } from "../store/catalog.ts";
import type { Commit, OutgoingMessage, RunRecord, StartCommit } from "../store/contract.ts";
import { alone, whenSettled } from "./alone.ts";
import { closingMessages, isChildOf } from "./closing.ts";
import { notAWorkflow } from "./coordinator.ts";
import { copyRun, stateAfter } from "./copying.ts";
import type { CopyOptions } from "./copying.ts";
import { isUnreadable } from "./endings.ts";
import type { Kernel } from "./kernel.ts";
import { loadState } from "./load.ts";
import { choosePoint, demandPoint } from "./reset-point.ts";
import type { Source } from "./reset-source.ts";
import { carriedSignals, goneOnFrom, laterSignals, readSource } from "./reset-source.ts";
import { isAwaited, newsForCopy } from "./taking-over.ts";
import { timeAnew } from "./time-anew.ts";
import { tryHistory } from "./trial.ts";
import { readStart } from "./views.ts";

/**
 * Runs that go on from an earlier point, as a new run: of the same workflow (reset), or of another one (fork).
 *
 * Laws: the new run begins with the events up to that point, one for one, and the code that there is now has replayed them before
 * anything is written. One commit begins it and ends the run that was open. What was asked for before the point is not asked for
 * again; what the code learned after it, it learns anew or not at all. Nobody else comes near the workflow meanwhile.
 */

interface Asked {
  readonly workflowId: WorkflowId;
  readonly runId: RunId | undefined;
  readonly toSeq: number | undefined;
  readonly reason: string | undefined;
  readonly requestId: string | undefined;
  readonly signals: "carry" | "drop";
  readonly version: string | undefined;
}

/** Errors: `run_not_resettable`, `run_not_found`, `workflow_type_unknown`, and those of the store. */
export async function resetRun(kernel: Kernel, request: ResetRequest): Promise<ResetReply> {
  kernel.demandOpen();
  const asked = parseReset(request, "carry");
  const { workflowId } = asked;
  // What is on its way to it was sent before.
  await kernel.mailbox.settled(workflowId);
  try {
    return await whenSettled(kernel, () =>
      alone(kernel, workflowId, async (latest) => {
        const made = await findMade(kernel, workflowId, (origin) => isRequest(origin, asked));
        if (made !== undefined) return made;
        if (latest === undefined) throw new AionError("run_not_found", `there is no workflow ${workflowId}`);
        return await reset(kernel, latest, asked);
      }),
    );
  } finally {
    kernel.insist("bringing a run back", () => kernel.residency.resident(workflowId));
  }
}

/** Errors: those of `resetRun`, and `workflow_already_exists`. */
export async function forkRun(kernel: Kernel, request: ForkRequest): Promise<ResetReply> {
  kernel.demandOpen();
  const asked = parseReset(request, "drop");
  const newId = parseWorkflowId(request.newWorkflowId);
  if (isCoordinatorId(newId)) throw notAWorkflow(newId);
  await kernel.mailbox.settled(newId);
  await kernel.mailbox.settled(asked.workflowId);
  const reply = await alone(kernel, newId, async (taken) => {
    const made = await findMade(kernel, newId, (origin) => isForkOf(origin, asked));
    if (made !== undefined) return made;
    if (taken !== undefined) {
      const { runId, status } = taken;
      throw new AionError(
        "workflow_already_exists",
        `workflow id ${newId} is taken: its latest run ${runId} is ${status}`,
        { details: { workflowId: newId, runId, status } },
      );
    }
    return await fork(kernel, newId, asked);
  });
  kernel.insist("bringing a run back", () => kernel.residency.resident(newId));
  return reply;
}

function parseReset(request: ResetRequest, signalsDefault: "carry" | "drop"): Asked {
  const { reason, signals = signalsDefault, toSeq, version } = request;
  const workflowId = parseWorkflowId(request.workflowId);
  if (isCoordinatorId(workflowId)) throw notAWorkflow(workflowId);
  if (toSeq !== undefined && (!Number.isSafeInteger(toSeq) || toSeq < 1))
    throw new AionError("invalid_argument", `toSeq must be a whole number of 1 or more, got ${toSeq}`);
  if (signals !== "carry" && signals !== "drop")
    throw new AionError(
      "invalid_argument",
      `signals must be "carry" or "drop", got ${JSON.stringify(signals)}`,
    );
  return {
    workflowId,
    runId: request.runId === undefined ? undefined : parseRunId(request.runId),
    toSeq,
    reason,
    requestId: request.requestId === undefined ? undefined : parseName(request.requestId, "request id"),
    signals,
    version: version === undefined ? undefined : parseName(version, "version"),
  };
}

type Origin = NonNullable<EventOf<"WorkflowStarted">["resetOf"]>;

/** Error: `request_conflict`. */
function isRequest(origin: Origin, asked: Asked): boolean {
  const { workflowId, requestId } = origin;
  if (workflowId !== undefined || requestId === undefined || requestId !== asked.requestId) return false;
  if (!isPointOf(origin, asked)) throw requestTaken(requestId);
  return true;
}

/** As far as the request says which point it wants. */
function isPointOf({ runId, toSeq }: Origin, asked: Asked): boolean {
  return (asked.toSeq ?? toSeq) === toSeq && (asked.runId ?? runId) === runId;
}

/** As a start with the same id and the same input is the same start. Error: `request_conflict`. */
function isForkOf(origin: Origin, asked: Asked): boolean {
  const { requestId } = asked;
  if (origin.workflowId !== asked.workflowId || origin.requestId !== requestId) return false;
  // Who names neither the call nor the point may mean another one.
  if (requestId === undefined) return asked.toSeq !== undefined && isPointOf(origin, asked);
  if (!isPointOf(origin, asked)) throw requestTaken(requestId);
  return true;
}

/** The run of the chain that this call made before, if it was made, whatever became of it since. */
async function findMade(
  { store, meter }: Kernel,
  workflowId: WorkflowId,
  isSame: (origin: Origin) => boolean,
): Promise<ResetReply | undefined> {
  for (const run of (await store.readRunChain(workflowId)).toReversed()) {
    let origin: Origin | undefined;
    try {
      origin = (await readStart(store, run))?.resetOf;
    } catch (error) {
      // What cannot be read cannot be asked.
      if (!isAionError(error) || !isUnreadable(error)) throw error;
    }
    if (origin === undefined || !isSame(origin)) continue;
    meter.repeated(origin.workflowId === undefined ? "reset" : "fork");
    return { workflowId, runId: run.runId, toSeq: origin.toSeq, resetFrom: origin.runId, isNew: false };
  }
  return undefined;
}

async function reset(kernel: Kernel, latest: RunRecord, asked: Asked): Promise<ResetReply> {
  const { workflowId } = asked;
  const isOpen = !isClosed(latest.status);
  const source = await readSource(kernel, latest, asked);
  const latestState = await loadState(latest, kernel.store);
  const last = (await goneOnFrom(kernel.store, source.run)).at(-1) ?? source.run;
  const draft = await draftRun(kernel, source, asked, {
    workflowId,
    firstSeq: latest.headSeq + (isOpen ? 2 : 1),
    latestRunId: source.run.runKey === latest.runKey ? undefined : latest.runId,
    known: latestState,
    lastOf: last.runKey === latest.runKey ? latestState : await loadState(last, kernel.store),
    open: isOpen ? latestState : undefined,
  });
  const { start, point } = draft;
  const { send } = draft;
  let terminal: Event | undefined;
  let run: Commit["run"];
  if (isOpen) {
    terminal = toTerminal(latest, source, point, start, asked);
    const { seq: _seq, workflowId: _id, ...event } = terminal;
    run = {
      runKey: latest.runKey,
      workflowId,
      expectedSeq: latest.headSeq,
      events: [event],
      status: "terminated",
      closedAt: terminal.recordedAt,
      wakeAt: null,
      wakeAtBefore: latest.wakeAt,
      ...(latest.blocked === undefined ? {} : { blocked: null }),
      ...(latest.parked === undefined ? {} : { parked: null }),
    };
    send.push(...endMessages(latestState, draft, terminal));
  }
  await commit(
    kernel,
    { ...(run === undefined ? {} : { run }), start: { ...start, follows: latest.runKey } },
    send,
  );
  if (terminal === undefined) kernel.meter.copied(start);
  else ended(kernel, latestState, terminal, start);
  kernel.watchers.appended(workflowId, start.firstSeq + start.events.length - 1);
  return { workflowId, runId: start.runId, toSeq: point.seq, resetFrom: source.run.runId, isNew: true };
}

/** What the end of the run that was open tells others: but not the children that the new run has taken over, and no parent of that one. */
function endMessages(state: RunState, { copy, start }: Draft, terminal: Event): OutgoingMessage[] {
  const { workflowId, started } = state;
  const taken = new Set(
    [...copy.children.values()].filter((child) => isAwaited(child, state)).map(({ ordinal }) => ordinal),
  );
  const children = new Map([...state.children].filter(([ordinal]) => !taken.has(ordinal)));
  const messages = closingMessages({ workflowId, started, children }, terminal);
  const { parent } = started;
  if (parent === undefined || isSameParent(parent, start.parent)) return messages;
  // It was another one's child, who waits for nothing that the new run could tell.
  const { runId, ordinal } = parent;
  const outcome = { type: "ChildWorkflowTerminated" } as const;
  return [
    ...messages,
    { target: parent.workflowId, message: { kind: "child-closed", runId, ordinal, outcome } },
  ];
}

function isSameParent(one: ParentLink, other: ParentLink | undefined): boolean {
  return one.workflowId === other?.workflowId && isChildOf(one, other);
}

function toTerminal(
  latest: RunRecord,
  source: Source,
  point: ResetPoint,
  { runId }: StartCommit,
  { reason }: Asked,
): Event {
  const of = source.run.runKey === latest.runKey ? "" : ` of run ${source.run.runId}`;
  return {
    type: "WorkflowTerminated",
    reason: `reset to event ${point.seq}${of}, from where run ${runId} goes on${reason === undefined ? "" : `: ${reason}`}`,
    resetTo: runId,
    seq: latest.headSeq + 1,
    recordedAt: source.at,
    workflowId: latest.workflowId,
  };
}

async function fork(kernel: Kernel, newId: WorkflowId, asked: Asked): Promise<ResetReply> {
  const { workflowId, runId } = asked;
  const latest = await kernel.store.findRun(workflowId);
  if (latest === undefined) throw new AionError("run_not_found", `there is no workflow ${workflowId}`);
  const source = await readSource(kernel, latest, { workflowId, runId });
  const { start, point, send } = await draftRun(kernel, source, asked, {
    workflowId: newId,
    firstSeq: 1,
    latestRunId: undefined,
    known: undefined,
    lastOf: undefined,
    open: undefined,
  });
  await commit(kernel, { start }, send);
  kernel.meter.copied(start);
  kernel.watchers.appended(newId, start.events.length);
  return {
    workflowId: newId,
    runId: start.runId,
    toSeq: point.seq,
    resetFrom: source.run.runId,
    isNew: true,
  };
}

interface Draft {
  readonly start: StartCommit;
  readonly point: ResetPoint;
  /** What is open in the new run. */
  readonly copy: RunState;
  readonly send: OutgoingMessage[];
}

async function draftRun(
  kernel: Kernel,
  source: Source,
  asked: Asked,
  into: {
    readonly workflowId: WorkflowId;
    readonly firstSeq: number;
    readonly latestRunId: RunId | undefined;
    /** Of the latest run; `undefined`: a fork. */
    readonly known: RunState | undefined;
    /** Of the last run that went on from the one that is copied, which may be the latest; `undefined`: a fork. */
    readonly lastOf: RunState | undefined;
    /** The run that is open, and ends with the same commit. */
    readonly open: RunState | undefined;
  },
): Promise<Draft> {
  const { run, events, at } = source;
  const runId = kernel.newRunId();
  const version = versionFor(kernel, run, asked.version);
  const heard = [into.lastOf, into.known].filter((state) => state !== undefined);
  const later = asked.signals === "carry" ? await laterSignals(kernel.store, source) : undefined;
  const carriedAfter = ({ seq }: ResetPoint): CopyOptions["carried"] =>
    later === undefined ? [] : carriedSignals(source, later, seq);
  const draft = (point: ResetPoint, firstSeq: number, carried: CopyOptions["carried"]) => {
    const prefix = stateAfter(run.workflowId, events.slice(0, point.seq - run.firstSeq + 1));
    return copyRun(events, {
      ...into,
      firstSeq,
      runId,
      version,
      at,
      point,
      carried,
      known: heard.length === 0 ? undefined : knownIds(prefix, heard, carried),
      deadlines: timeAnew(prefix.started, prefix.deadlines, at),
      reason: asked.reason,
      requestId: asked.requestId,
    });
  };
  // Under the seqs that the events have where they are copied from: what does not fit is told by those.
  const row: RunRecord = { ...run, workflowId: into.workflowId, runId, version };
  const attempt = (point: ResetPoint) =>
    tryHistory(
      kernel,
      row,
      draft(point, run.firstSeq, carriedAfter(point)),
      // Who names no point wants one from which it goes on.
      asked.toSeq === undefined ? { isHeldToLimits: true } : {},
    );
  const runOf = async (seq: number) =>
    (await kernel.store.readRunChain(run.workflowId)).find(
      ({ firstSeq, headSeq }) => firstSeq <= seq && seq <= headSeq,
    )?.runId;
  const point =
    asked.toSeq === undefined
      ? await choosePoint(source, attempt)
      : await demandPoint(source, asked.toSeq, attempt, runOf);
  const copied = draft(point, into.firstSeq, carriedAfter(point));
  const state = stateAfter(into.workflowId, copied);
  const send = await newsForCopy(kernel, source, state, { ...into, point });
  const { started } = state;
  const bodies = copied.map(({ seq: _seq, workflowId: _id, ...event }): NewEvent => event);
  const { parent } = started;
  const start: StartCommit = {
    workflowId: into.workflowId,
    runId,
    workflowType: run.workflowType,
    version,
    firstSeq: into.firstSeq,
    events: bodies,
    status: state.status,
    startedAt: at,
    // Somebody has to bring it in.
    wakeAt: 0,
    ...(parent === undefined ? {} : { parent }),
    ...(state.attributes === undefined ? {} : { attributes: state.attributes }),
  };
  return { start, point, copy: state, send };
}

/** `heard`: of those that may have heard of more than the run before the point, the latest last. */
function knownIds(
  { started }: RunState,
  heard: readonly RunState[],
  carried: CopyOptions["carried"],
): CopyOptions["known"] {
  const isCarried = new Set(carried.map(({ signalId }) => signalId));
  const recent = heard.map(({ requests }) => requests.recent());
  const join = (
    own: readonly string[] | undefined,
    of: readonly (readonly string[])[],
  ): readonly string[] => [...new Set([...(own ?? []), ...of.flat()])];
  const signalIds = join(
    started.signalIds,
    recent.map((ids) => ids.signalIds),
  );
  return {
    signalIds: signalIds.filter((id) => !isCarried.has(id)),
    updateIds: join(
      started.updateIds,
      heard.map(({ updates }) => updates.recentIds()),
    ),
    cancelRequestIds: join(
      started.cancelRequestIds,
      recent.map((ids) => ids.cancelRequestIds),
    ),
    controlRequestIds: join(
      started.controlRequestIds,
      recent.map((ids) => ids.controlRequestIds),
    ),
  };
}

/** As a run that continues as new gets it, unless another one is named. */
function versionFor(kernel: Kernel, { workflowType, version }: RunRecord, asked: string | undefined): string {
  const { programs } = kernel.options;
  if (asked === undefined) return programs.route(workflowType)?.version ?? version;
  const wanted = asked === "same" ? version : asked;
  const found = programs.find(workflowType, wanted);
  // Of code that is no package there is one version, whatever it is called.
  if (found !== undefined && (asked === "same" || found.version === wanted)) return found.version;
  throw new AionError(
    "workflow_type_unknown",
    `there is no version ${JSON.stringify(wanted)} of workflow type ${JSON.stringify(workflowType)}`,
  );
}

async function commit(
  kernel: Kernel,
  { run, start }: Pick<Commit, "run"> & { readonly start: StartCommit },
  send: readonly OutgoingMessage[],
): Promise<void> {
  const result = await kernel.recorder.commit({
    ...(run === undefined ? {} : { run }),
    start,
    ...(send.length === 0 ? {} : { send }),
    ...(isPackageVersion(start.version) ? { needsPackage: start.version } : {}),
  });
  if (!result.ok) throw result.error;
  kernel.mailbox.sent(send, result.messageIds);
}

/** The run that was open has ended, by a commit that it did not make itself. */
function ended(kernel: Kernel, state: RunState, terminal: Event, start: StartCommit): void {
  const { workflowId, started } = state;
  const { runId } = started;
  const spans: FinishedSpan[] = [];
  kernel.spans.note(state, terminal, spans);
  state.apply(terminal);
  assert(state.isClosed, "a run that was reset has ended");
  kernel.spans.emit(spans);
  const { abandoned } = state;
  kernel.meter.committed({ events: [terminal], measures: [], next: start, terminal, abandoned }, state);
  kernel.dispatcher.dropRun(runId);
  kernel.workers.dropRun(runId);
  kernel.watchers.closed(workflowId, runId, terminal);
  // What was sent to it while it was blocked is for the new run.
  if (kernel.blocked.ended(workflowId)) kernel.mailbox.listAgain();
  kernel.workers.hear(workflowId);
}
