import type {
  FeedEvent,
  FeedFilter,
  FeedRequest,
  HistoryReply,
  LogsLine,
  LogsReply,
  ListFilter,
  PackagesReply,
  PendingActivity,
  ResultReply,
  RunDescription,
  RunSummary,
} from "../client/service.ts";
import { parseWhere } from "../core/attribute-filter.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { Event, EventOf, ResetOrigin } from "../core/event.ts";
import { defaultTaskQueue, isEventType } from "../core/event.ts";
import type { Failure } from "../core/failure.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { parseName, parseRunId, parseWorkflowId } from "../core/ids.ts";
import { coordinatorPrefix } from "../core/schedule.ts";
import { isClosed, isTerminal } from "../core/status.ts";
import type { Catalog, FeedPage, FeedRange, RunFilter, RunRecord, Store } from "../store/contract.ts";
import type { Payload } from "../core/payload.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import type { RunState } from "../replay/run-state.ts";
import type { TaskAddress } from "./attempt.ts";
import { loadState, pageEvents } from "./load.ts";
import { toParkedInfo } from "./parked.ts";
import type { RunLimits } from "./run-limits.ts";

/**
 * What is shown of runs, as the disk has it. True when it was read, and perhaps no longer when it is told: enough to answer
 * with, and nothing to act on. Who acts on a run comes to it through the residency.
 */

/** Errors: `run_not_found`. */
export async function demandRun(
  store: Store,
  workflowId: WorkflowId,
  runId: string | undefined,
): Promise<RunRecord> {
  const record = await store.findRun(workflowId, runId === undefined ? undefined : parseRunId(runId));
  if (record !== undefined) return record;
  const which = runId === undefined ? "" : ` with run ${runId}`;
  throw new AionError("run_not_found", `there is no workflow ${workflowId}${which}`);
}

export async function readStart(
  store: Store,
  run: RunRecord,
): Promise<EventOf<"WorkflowStarted"> | undefined> {
  const first = (await store.readSegment(run, run.firstSeq, 1))[0];
  return first?.type === "WorkflowStarted" ? first : undefined;
}

/** The last event of a run that has ended; `undefined`: it was deleted since its row was read. */
export async function readEnd(store: Store, run: RunRecord): Promise<Event | undefined> {
  return (await store.readSegment(run, run.headSeq, 1)).at(-1);
}

/** The run of the chain that was started by this request, the latest first. */
export async function findRequested(
  store: Store,
  workflowId: WorkflowId,
  requestId: string,
): Promise<EventOf<"WorkflowStarted"> | undefined> {
  let found: EventOf<"WorkflowStarted"> | undefined;
  for (const run of (await store.readRunChain(workflowId)).toReversed()) {
    const started = await readStart(store, run);
    if (started?.requestId !== requestId) continue;
    found = started;
    // A run that goes on from a point of it has a copy.
    if (started.resetOf === undefined) break;
  }
  return found;
}

/** Whether the run, or the latest, has recorded a signal of that id. */
export async function hasReceived(
  store: Store,
  workflowId: WorkflowId,
  runId: RunId | undefined,
  signalId: string,
): Promise<boolean> {
  const run = await store.findRun(workflowId, runId);
  if (run === undefined) return false;
  try {
    return (await loadState(run, store)).requests.hasSignal(signalId);
  } catch (error) {
    // Deleted since its row was read.
    if (isAionError(error) && error.code === "run_not_found") return false;
    throw error;
  }
}

/** What an attempt has come to by its history. */
export type AttemptStanding =
  /** It is under way, with that worker if it is with one. */
  | { readonly kind: "open"; readonly worker: string | undefined }
  /** Its own outcome: not that it ran into a time-out, or that its worker was lost. */
  | { readonly kind: "recorded"; readonly as: "ActivityCompleted" | "ActivityFailed" | "ActivityCancelled" }
  | { readonly kind: "over" };

export async function standingOf(
  store: Store,
  { workflowId, runId, ordinal }: TaskAddress,
  attempt: number,
): Promise<AttemptStanding> {
  const run = await store.findRun(parseWorkflowId(workflowId), parseRunId(runId));
  if (run === undefined) return { kind: "over" };
  let standing: AttemptStanding = { kind: "over" };
  for (let from = run.firstSeq; from <= run.headSeq;) {
    const events = await store.readSegment(run, from, pageEvents);
    const last = events.at(-1);
    // Deleted since its row was read.
    if (last === undefined) return { kind: "over" };
    for (const event of events) {
      switch (event.type) {
        case "ActivityStarted":
        case "ActivityCompleted":
        case "ActivityFailed":
        case "ActivityTimedOut":
        case "ActivityParked":
        case "ActivityCancelled":
          if (event.ordinal !== ordinal || event.attempt !== attempt) break;
          // What an operator gave the activity is no outcome of its latest attempt.
          if ("byOperator" in event) break;
          standing = standingAfter(event);
          // Its activity may run out of time before the next attempt, which history says of this one too.
          if (standing.kind === "recorded") return standing;
          break;
        default:
      }
    }
    from = last.seq + 1;
  }
  return standing.kind === "open" && isClosed(run.status) ? { kind: "over" } : standing;
}

function standingAfter(
  event: Event & {
    readonly type:
      | "ActivityStarted"
      | "ActivityCompleted"
      | "ActivityFailed"
      | "ActivityTimedOut"
      | "ActivityParked"
      | "ActivityCancelled";
  },
): AttemptStanding {
  switch (event.type) {
    case "ActivityStarted":
      return { kind: "open", worker: event.worker };
    case "ActivityCompleted":
    case "ActivityCancelled":
      return { kind: "recorded", as: event.type };
    case "ActivityFailed":
      // The last of too many silences is no outcome of its own either.
      return event.lost === undefined && event.failure.type !== "worker_lost"
        ? { kind: "recorded", as: event.type }
        : { kind: "over" };
    case "ActivityParked":
      return event.timeout === undefined && event.failure.type !== "worker_lost"
        ? { kind: "recorded", as: "ActivityFailed" }
        : { kind: "over" };
    case "ActivityTimedOut":
      return { kind: "over" };
  }
}

/** A page ends with the event that makes it larger, in characters: a thousand of the largest payloads are more than a process holds. */
const historyPageLength = 8 * 1024 * 1024;
/** So few are read at first: they may be large ones. */
const historySliceFirst = 16;

/** One page of a history, of the whole chain or of one run. */
export async function readHistoryPage(
  store: Store,
  workflowId: WorkflowId,
  runId: string | undefined,
  fromSeq: number,
  limit: number,
): Promise<HistoryReply> {
  const record = await demandRun(store, workflowId, runId);
  const from = runId === undefined ? fromSeq : Math.max(fromSeq, record.firstSeq);
  const read = (seq: number, count: number): Promise<readonly Event[]> =>
    runId === undefined
      ? store.readHistoryFrom(workflowId, seq, count)
      : store.readSegment(record, seq, count);
  const page: Event[] = [];
  let length = 0;
  for (let slice = historySliceFirst; page.length < limit && length < historyPageLength; slice *= 2) {
    const count = Math.min(slice, limit - page.length);
    const events = await read((page.at(-1)?.seq ?? from - 1) + 1, count);
    for (const event of events.slice(0, limit - page.length)) {
      if (length >= historyPageLength) break;
      page.push(event);
      length += lengthOf(event);
    }
    if (events.length < count) break;
  }
  const last = page.at(-1);
  const nextSeq = last === undefined ? from : last.seq + 1;
  const isEnd =
    isClosed(record.status) && nextSeq > record.headSeq && (last === undefined || isTerminal(last));
  return { events: page, nextSeq, isEnd };
}

/** Runs that one page looks at, at the most: of a long chain few may have said anything. */
const logRunsMax = 200;

/** One page of what the runs of a workflow id, or one of them, said. */
export async function readLogPage(
  store: Store,
  { workflowId, runId, afterSeq, limit }: LogPageRequest,
): Promise<LogsReply> {
  const latest = await demandRun(store, workflowId, runId);
  const chain = runId === undefined ? await store.readRunChain(workflowId) : [latest];
  const lines: LogsLine[] = [];
  let droppedCount = 0;
  let cursor = afterSeq;
  const ahead = chain.filter((run) => run.headSeq > afterSeq);
  const looked = ahead.slice(0, logRunsMax);
  for (const run of looked) {
    const page = await store.readLog(run, afterSeq, limit - lines.length);
    if (afterSeq < run.firstSeq) droppedCount += page.droppedCount;
    for (const { seq, saidAt, lines: said } of page.entries) {
      for (const line of said) lines.push({ runId: run.runId, seq, recordedAt: saidAt, ...line });
      cursor = seq;
    }
    if (lines.length >= limit) return { lines, nextCursor: String(cursor), isEnd: false, droppedCount };
    // It says nothing any more. An open one may yet say what belongs to an event that is there.
    if (isClosed(run.status)) cursor = run.headSeq;
  }
  const isEnd = looked.length === ahead.length && isClosed((chain.at(-1) ?? latest).status);
  return { lines, nextCursor: String(cursor), isEnd, droppedCount };
}

export interface LogPageRequest {
  readonly workflowId: WorkflowId;
  readonly runId: string | undefined;
  readonly afterSeq: number;
  readonly limit: number;
}

/** About what it takes as JSON. */
function lengthOf(event: Event): number {
  let length = 200;
  for (const value of Object.values(event)) {
    if (typeof value === "string") length += value.length;
    else if (typeof value === "object") length += JSON.stringify(value).length;
  }
  return length;
}

/** The packages of a store, or those that have a workflow type. */
export function toPackagesReply({ packages, routes }: Catalog, workflowType?: string): PackagesReply {
  const current = new Map(routes.map((route) => [route.workflowType, route.version]));
  return {
    packages: packages
      .filter(({ workflowTypes }) => workflowType === undefined || workflowTypes.includes(workflowType))
      .map((record) => ({
        ...record,
        routedTypes: record.workflowTypes.filter((type) => current.get(type) === record.version),
      })),
    routes: routes.filter((route) => workflowType === undefined || route.workflowType === workflowType),
  };
}

/** Errors: `invalid_argument`. */
export function toFeedRange({ after = "", filter = {} }: FeedRequest, limit: number): FeedRange {
  const { workflowId, workflowType, types = [], where } = filter;
  for (const type of types) {
    if (!isEventType(type))
      throw new AionError("invalid_argument", `there is no event type ${JSON.stringify(type)}`);
  }
  return {
    after: after === "" ? "latest" : after === "0" ? "oldest" : after,
    limit,
    ...(workflowId === undefined ? {} : { workflowId: parseWorkflowId(workflowId) }),
    ...(workflowType === undefined ? {} : { workflowType: parseName(workflowType, "workflow type") }),
    ...(where === undefined ? {} : { attributes: parseWhere(where) }),
  };
}

/** Of what the store has read: those of the types that are wanted. */
export function toFeedEvents({ items }: FeedPage, { types }: FeedFilter): readonly FeedEvent[] {
  return items
    .filter(({ event }) => event === undefined || types === undefined || types.includes(event.type))
    .map((item): FeedEvent => {
      if (item.event !== undefined) return item;
      const { damage, ...rest } = item;
      const { firstSeq, lastSeq, error } = damage;
      return { ...rest, unreadable: { firstSeq, lastSeq, code: error.code, message: error.message } };
    });
}

/** Coordinators of schedules are among the runs that are asked for if they are asked for. */
export function toRunFilter(filter: ListFilter): RunFilter {
  const { workflowId, parentWorkflowId, where, ...rest } = filter;
  return {
    ...(where === undefined ? {} : { attributes: parseWhere(where) }),
    ...rest,
    ...(workflowId === undefined && rest.workflowType === undefined
      ? { exceptIdPrefix: coordinatorPrefix }
      : {}),
    ...(workflowId === undefined ? {} : { workflowId: parseWorkflowId(workflowId) }),
    ...(parentWorkflowId === undefined ? {} : { parentWorkflowId: parseWorkflowId(parentWorkflowId) }),
  };
}

export function toSummary(record: RunRecord): RunSummary {
  return {
    workflowId: record.workflowId,
    runId: record.runId,
    workflowType: record.workflowType,
    version: record.version,
    status: record.status,
    startedAt: record.startedAt,
    historyLength: record.headSeq - record.firstSeq + 1,
    ...(record.closedAt === undefined ? {} : { closedAt: record.closedAt }),
    ...(record.blocked === undefined ? {} : { blocked: record.blocked }),
    ...(record.parked === undefined ? {} : { parked: toParkedInfo(record.parked) }),
    ...(record.parent === undefined ? {} : { parentWorkflowId: record.parent.workflowId }),
    ...(record.attributes === undefined ? {} : { attributes: record.attributes }),
  };
}

/** What is known of attempts beyond the histories. */
export interface LabourView {
  isUnderWay(ordinal: number): boolean;
  /** Whether the attempts of the activity are run by the process of the engine itself. */
  isHere(activity: OpenActivity): boolean;
  /** Whether a worker serves it. */
  isServed(activity: OpenActivity): boolean;
  /** Heartbeat details of the attempt under way that are newer than what is on disk. */
  progressOf(ordinal: number): Payload | undefined;
}

function toPlace(
  activity: OpenActivity,
  labour: LabourView,
): Pick<PendingActivity, "state" | "taskQueue" | "worker" | "progress"> {
  const isUnderWay = labour.isUnderWay(activity.ordinal);
  const isHere = labour.isHere(activity);
  const progress = labour.progressOf(activity.ordinal) ?? activity.heartbeat;
  return {
    state: isUnderWay
      ? "running"
      : activity.parked !== undefined
        ? "parked"
        : !isHere && !labour.isServed(activity)
          ? "no worker"
          : activity.retryAt === undefined
            ? "waiting for a slot"
            : "backing off",
    ...(isHere ? {} : { taskQueue: activity.options.taskQueue ?? defaultTaskQueue }),
    ...(isUnderWay && activity.worker !== undefined ? { worker: activity.worker } : {}),
    ...(progress === undefined ? {} : { progress }),
  };
}

/** Everything there is to say about a run, from its row and its state. */
export function toDescription(
  record: RunRecord,
  state: RunState,
  around: {
    readonly runs: readonly RunRecord[];
    readonly blocked: string | undefined;
    readonly pid: string | undefined;
    readonly labour: LabourView;
    readonly limits?: RunLimits;
    readonly waitingSignals?: number | undefined;
  },
): RunDescription {
  const { terminal } = state;
  // What a run left behind when it ended is pending no more.
  const open = <Item>(items: ReadonlyMap<number, Item>): readonly Item[] =>
    terminal === undefined ? [...items.values()] : [];
  const outcome =
    terminal === undefined || terminal.type === "WorkflowContinuedAsNew"
      ? undefined
      : toResult(terminal, record.runId);
  return {
    ...toSummary(record),
    ...(around.blocked === undefined ? {} : { blocked: around.blocked }),
    ...(around.pid === undefined ? {} : { pid: around.pid }),
    ...(state.pause === undefined ? {} : { paused: toPaused(state.pause) }),
    ...(state.started.resetOf === undefined ? {} : { resetOf: toOrigin(state.started.resetOf, state.reset) }),
    ...(state.reopened === undefined ? {} : { reopened: toReopening(state.reopened) }),
    ...(terminal?.type === "WorkflowTerminated" && terminal.resetTo !== undefined
      ? { resetTo: terminal.resetTo }
      : {}),
    input: state.started.input,
    ...(outcome !== undefined && "result" in outcome ? { result: outcome.result } : {}),
    ...(outcome !== undefined && "failure" in outcome ? { failure: outcome.failure } : {}),
    pendingActivities: open(state.activities).map((activity) => ({
      ordinal: activity.ordinal,
      activityType: activity.activityType,
      attempt: activity.attempt,
      failedCount: activity.failedCount,
      ...toPlace(activity, around.labour),
      ...(activity.retryAt === undefined ? {} : { retryAt: activity.retryAt }),
      ...(activity.parked === undefined ? {} : { parkedAt: activity.parked.at }),
      ...(activity.lastFailure === undefined ? {} : { lastFailure: activity.lastFailure.message }),
    })),
    pendingTimers: open(state.timers).map(({ ordinal, fireAt }) => ({ ordinal, fireAt })),
    pendingChildren: open(state.children).map((child) => ({
      workflowId: child.childWorkflowId,
      workflowType: child.workflowType,
    })),
    pendingUpdates: [...state.updates.pending].map(({ updateId, name, acceptedAt }) => ({
      updateId,
      name,
      acceptedAt,
    })),
    ...(Object.keys(state.attributes ?? {}).length === 0 ? {} : { attributes: state.attributes ?? {} }),
    isCancelRequested: state.isCancelRequested,
    historySize: {
      events: state.historyLength,
      bytes: state.historyBytes,
      ...(around.limits === undefined
        ? {}
        : { eventsMax: around.limits.historyEventsMax, bytesMax: around.limits.historyBytesMax }),
      isLong: state.isHistoryLong,
      ...(around.waitingSignals === undefined ? {} : { waitingSignals: around.waitingSignals }),
    },
    runs: around.runs.map(toSummary),
  };
}

function toPaused({ at, reason }: NonNullable<RunState["pause"]>): NonNullable<RunDescription["paused"]> {
  return { since: at, ...(reason === undefined ? {} : { reason }) };
}

function toOrigin(
  { workflowId, runId, toSeq, at, requestId }: ResetOrigin,
  reset: RunState["reset"],
): NonNullable<RunDescription["resetOf"]> {
  return {
    ...(workflowId === undefined ? {} : { workflowId }),
    runId,
    toSeq,
    at,
    ...(reset?.reason === undefined ? {} : { reason: reset.reason }),
    ...(requestId === undefined ? {} : { requestId }),
  };
}

function toReopening({
  count,
  recordedAt: at,
  reason,
  requestId,
}: NonNullable<RunState["reopened"]>): NonNullable<RunDescription["reopened"]> {
  return {
    count,
    at,
    ...(reason === undefined ? {} : { reason }),
    ...(requestId === undefined ? {} : { requestId }),
  };
}

/** How a run ended, as its last event tells it. */
export function toResult(terminal: Event, runId: string): ResultReply {
  const ended = (status: "cancelled" | "terminated" | "timed-out", failure: Failure): ResultReply => ({
    status,
    runId,
    failure,
  });
  switch (terminal.type) {
    case "WorkflowCompleted":
      return { status: "completed", runId, result: terminal.result };
    case "WorkflowFailed":
      return { status: "failed", runId, failure: terminal.failure };
    case "WorkflowCancelled":
      return ended("cancelled", {
        kind: "cancelled",
        message: `workflow ${terminal.workflowId} was cancelled${because(terminal.reason)}`,
      });
    case "WorkflowTerminated":
      return ended("terminated", {
        kind: "terminated",
        message: `workflow ${terminal.workflowId} was terminated${because(terminal.reason)}`,
      });
    case "WorkflowTimedOut":
      return ended("timed-out", {
        kind: "timeout",
        timeout: terminal.timeout,
        message: `workflow ${terminal.workflowId} ran into its ${terminal.timeout} time-out`,
      });
    default:
      throw new AionError(
        "history_shape",
        `workflow ${terminal.workflowId}: its last event is ${terminal.type}, which ends no run`,
      );
  }
}

function because(reason: string | undefined): string {
  return reason === undefined ? "" : `: ${reason}`;
}
