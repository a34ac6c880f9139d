import type {
  DescribeScheduleRequest,
  ListSchedulesReply,
  ListSchedulesRequest,
  ScheduleDescription,
  ScheduleSummary,
} from "../client/schedule-service.ts";
import { AionError } from "../core/errors.ts";
import { parseName } from "../core/ids.ts";
import { coordinatorIdOf, coordinatorType, isCoordinatorId, scheduleIdLengthMax } from "../core/schedule.ts";
import type { ScheduleState } from "../core/schedule-state.ts";
import { isClosed } from "../core/status.ts";
import type { RunState } from "../replay/run-state.ts";
import { whenNext } from "../schedule/decide.ts";
import { Times } from "../schedule/spec.ts";
import type { RunRecord, Store } from "../store/contract.ts";
import { loadState } from "./load.ts";

/** What is shown of schedules: what their coordinators know, as the disk has it. */

const listLimitMax = 200;
const nextCountDefault = 5;
const nextCountMax = 100;
/** A coordinator's row says so when its schedule is deleted while it is being read: the next read tells. */
const readsMax = 10;

export interface ScheduleSource {
  readonly store: Store;
  readonly now: () => number;
  /** Tells `look` what the coordinator knows, all of it on disk in that moment: a moment later it may know more. */
  readonly look: <Seen>(row: RunRecord, look: (state: RunState) => Seen) => Promise<Seen>;
}

/** As they are on disk, whoever runs them. */
export function storedSchedules(store: Store, now: () => number): ScheduleSource {
  return { store, now, look: async (row, look) => look(await loadState(row, store)) };
}

/** Errors: `schedule_not_found`, `invalid_argument`. */
export async function describeSchedule(
  { store, now, look }: ScheduleSource,
  request: DescribeScheduleRequest,
): Promise<ScheduleDescription> {
  const scheduleId = parseScheduleId(request.scheduleId);
  const nextCount = request.nextCount ?? nextCountDefault;
  if (!Number.isSafeInteger(nextCount) || nextCount < 0 || nextCount > nextCountMax)
    throw new AionError("invalid_argument", `nextCount must be a whole number of 0 to ${nextCountMax}`);
  for (let read = 1; ; read++) {
    const row = await store.findRun(coordinatorIdOf(scheduleId));
    if (row === undefined || row.workflowType !== coordinatorType || isClosed(row.status)) {
      // Between two runs of its chain.
      if (row?.status === "continued-as-new" && read < readsMax) continue;
      throw scheduleNotFound(scheduleId);
    }
    const seen = await look(row, (state) =>
      state.isClosed
        ? "over"
        : isThere(state.schedule)
          ? toDescription(state.schedule, now(), nextCount)
          : undefined,
    );
    if (seen === "over" && read < readsMax) continue;
    if (seen === undefined || seen === "over") throw scheduleNotFound(scheduleId);
    return seen;
  }
}

/** Error: `invalid_argument`. */
export async function listSchedules(
  { store, now, look }: ScheduleSource,
  { limit, cursor }: ListSchedulesRequest,
): Promise<ListSchedulesReply> {
  if (!Number.isSafeInteger(limit) || limit < 1)
    throw new AionError("invalid_argument", `limit must be a whole number of 1 or more, got ${limit}`);
  const page = await store.list(
    { workflowType: coordinatorType, status: "running" },
    { limit: Math.min(limit, listLimitMax), ...(cursor === undefined ? {} : { cursor }) },
  );
  const schedules: ScheduleSummary[] = [];
  for (const row of page.runs) {
    const seen = await look(row, ({ schedule }) =>
      isThere(schedule) ? toSummary(schedule, now()) : undefined,
    );
    if (seen !== undefined) schedules.push(seen);
  }
  const { nextCursor } = page;
  return { schedules, ...(nextCursor === undefined ? {} : { nextCursor }) };
}

function isThere(schedule: ScheduleState | undefined): schedule is ScheduleState {
  return schedule?.isCreated === true && !schedule.isDeleted;
}

function toSummary(schedule: ScheduleState, nowMs: number): ScheduleSummary {
  const { scheduleId, config, paused, running, startedCount, skippedCount, createdAt } = schedule;
  const next =
    schedule.actionsLeft === 0 ? undefined : Times.of(config.spec).next(Math.max(schedule.cursorAt, nowMs));
  const isOver = next === undefined && whenNext(schedule) === null;
  return {
    scheduleId,
    spec: config.spec,
    workflowType: config.action.workflowType,
    overlap: config.overlap,
    state: paused === undefined ? (isOver ? "ended" : "active") : "paused",
    ...(paused?.note === undefined ? {} : { note: paused.note }),
    ...(next === undefined || paused !== undefined ? {} : { nextAt: next }),
    ...(isSilent(schedule, nowMs) ? { silentUntilAt: schedule.cursorAt } : {}),
    runningCount: running.size,
    startedCount,
    skippedCount,
    createdAt,
  };
}

/** The clock was ahead when its times were decided on: those that come before it is there again do nothing more. */
function isSilent({ cursorAt, config }: ScheduleState, nowMs: number): boolean {
  const next = nowMs < cursorAt ? Times.of(config.spec).next(nowMs) : undefined;
  return next !== undefined && next <= cursorAt;
}

function toDescription(schedule: ScheduleState, nowMs: number, nextCount: number): ScheduleDescription {
  const { config, actionsLeft, updatedAt, running, backfills, recent } = schedule;
  const nextTimes: number[] = [];
  const times = Times.of(config.spec);
  const count = Math.min(nextCount, actionsLeft ?? nextCount);
  for (let at = Math.max(schedule.cursorAt, nowMs); nextTimes.length < count;) {
    const next = times.next(at);
    if (next === undefined) break;
    nextTimes.push(next);
    at = next;
  }
  return {
    ...toSummary(schedule, nowMs),
    action: { ...config.action, input: schedule.input },
    catchUpWindowMs: config.catchUpWindowMs,
    skippedFor: schedule.skippedFor,
    ...(actionsLeft === undefined ? {} : { actionsLeft }),
    ...(updatedAt === undefined ? {} : { updatedAt }),
    nextTimes,
    running: [...running.values()].map(({ workflowId, nominalAt, triggeredAt }) => ({
      workflowId,
      nominalAt,
      startedAt: triggeredAt,
    })),
    backfills: backfills.map(({ toAt, overlap }) => ({ toAt, overlap })),
    recent: recent.toReversed(),
    coordinatorId: coordinatorIdOf(schedule.scheduleId),
  };
}

export function scheduleNotFound(scheduleId: string): AionError {
  return new AionError("schedule_not_found", `there is no schedule ${JSON.stringify(scheduleId)}`);
}

export function parseScheduleId(text: string): string {
  return parseShortName(text, "schedule id");
}

/** What is started has a workflow id that begins with it. */
export function parseShortName(text: string, what: string): string {
  const name = parseName(text, what);
  if (name.length > scheduleIdLengthMax)
    throw new AionError("invalid_argument", `${what} has at most ${scheduleIdLengthMax} characters`);
  if (isCoordinatorId(name))
    throw new AionError(
      "invalid_argument",
      `${what} ${JSON.stringify(name)} begins as the ids of coordinators do`,
    );
  return name;
}
