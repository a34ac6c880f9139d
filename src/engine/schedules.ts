import type {
  BackfillScheduleReply,
  BackfillScheduleRequest,
  CreateScheduleReply,
  CreateScheduleRequest,
  DescribeScheduleRequest,
  ListSchedulesReply,
  ListSchedulesRequest,
  PauseScheduleRequest,
  ScheduleActionRequest,
  ScheduleDescription,
  ScheduleRequest,
  ScheduleService,
  ScheduleSummary,
  TriggerScheduleReply,
  TriggerScheduleRequest,
  UpdateScheduleRequest,
} from "../client/schedule-service.ts";
import { parseAttributes } from "../core/attributes.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { EventBody } from "../core/event.ts";
import type { WorkflowId } from "../core/ids.ts";
import { parseName } from "../core/ids.ts";
import { nullPayload, parsePayload } from "../core/payload.ts";
import type { Payload } from "../core/payload.ts";
import { isSameInput } from "../core/payload-codec.ts";
import type { OverlapPolicy, ScheduleAction, ScheduleConfig, SkipReason } from "../core/schedule.ts";
import {
  catchUpWindowMsDefault,
  coordinatorIdOf,
  coordinatorType,
  isCoordinatorId,
  overlapPolicies,
  scheduleIdLengthMax,
} from "../core/schedule.ts";
import type { ScheduleState } from "../core/schedule-state.ts";
import { isClosed } from "../core/status.ts";
import type { RunState } from "../replay/run-state.ts";
import { isHeld, skip, whenNext } from "../schedule/decide.ts";
import { Times, parseInstant, parseSpec } from "../schedule/spec.ts";
import type { OutgoingMessage, RunRecord } from "../store/contract.ts";
import { coordinatorInputs, coordinatorProgram, toSkipEvent, toStart } from "./coordinator.ts";
import type { Input } from "./input.ts";
import type { Kernel } from "./kernel.ts";
import { loadState } from "./load.ts";
import { demandProgram } from "./start-input.ts";

const createAttemptsMax = 100;
const listLimitMax = 200;
const nextCountDefault = 5;
const nextCountMax = 100;
const noteLengthMax = 1_000;
/** Times of one backfill. */
export const backfillMax = 1_000;
/** Ranges that wait. */
const backfillsMax = 10;
/** A coordinator's row says so when its schedule is deleted while it is being read: the next read tells. */
const readsMax = 10;

type Recorded = EventBody | undefined;

/**
 * What clients ask about schedules. Each call comes to the schedule's coordinator as an input, in its turn: so what it decides on is
 * what the coordinator decides on, and times that are due by then have been dealt with before.
 */
export class ScheduleOperations implements ScheduleService {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  async createSchedule(request: CreateScheduleRequest): Promise<CreateScheduleReply> {
    this.#kernel.demandOpen();
    const scheduleId = parseScheduleId(request.scheduleId);
    const requestId = parseRequestId(request.requestId);
    const config = this.#parseConfig(request);
    const input = await this.#parseInput(request.action);
    const note = parseNote(request.note);
    const coordinatorId = coordinatorIdOf(scheduleId);
    const { residency } = this.#kernel;
    for (let attempt = 1; ; attempt++) {
      const latest = await residency.latest(coordinatorId);
      if (latest !== undefined && latest.workflowType !== coordinatorType)
        throw taken(scheduleId, `workflow id ${coordinatorId} has been used for something else`);
      if (latest !== undefined && (requestId !== undefined || !isClosed(latest.status))) {
        const known = await this.#stateOf(latest);
        if (known.schedule?.answerTo(requestId) !== undefined) return { scheduleId, isNew: false };
        if (!known.isClosed) {
          if (known.schedule?.isCreated === true && this.#isSame(known.schedule, config, input))
            return { scheduleId, isNew: false };
          throw taken(scheduleId, "there is one that is not the same");
        }
      }
      const isPaused = request.isPaused === true ? { isPaused: true as const } : {};
      try {
        await this.#begin(coordinatorId, latest, {
          type: "ScheduleCreated",
          scheduleId,
          config,
          input,
          ...isPaused,
          ...note,
          ...(requestId === undefined ? {} : { requestId }),
        });
        return { scheduleId, isNew: true };
      } catch (error) {
        const isRace = isAionError(error) && error.code === "sequence_conflict";
        if (!isRace || attempt >= createAttemptsMax) throw error;
      }
    }
  }

  #begin(coordinatorId: WorkflowId, before: RunRecord | undefined, created: EventBody): Promise<void> {
    const runId = this.#kernel.newRunId();
    return new Promise((resolve, reject) => {
      this.#kernel.residency.begin(coordinatorId, coordinatorProgram, before, [
        {
          toEvent: () => ({
            type: "WorkflowStarted",
            runId,
            workflowType: coordinatorType,
            version: coordinatorProgram.version,
            input: nullPayload,
            ...this.#kernel.limits.longHistory,
          }),
          onRefused: reject,
        },
        { toEvent: () => ({ ...created }), onDurable: resolve, onRefused: reject },
      ]);
    });
  }

  async updateSchedule(request: UpdateScheduleRequest): Promise<void> {
    const { spec, action, overlap, catchUpWindowMs, actionsMax } = request;
    const change: Partial<ScheduleConfig> = {
      ...(spec === undefined ? {} : { spec: parseSpec(spec, this.#kernel.now()) }),
      ...(action === undefined ? {} : { action: parseAction(action) }),
      ...(overlap === undefined ? {} : { overlap: parseOverlap(overlap) }),
      ...(catchUpWindowMs === undefined ? {} : { catchUpWindowMs: parseWindow(catchUpWindowMs) }),
      ...(actionsMax === undefined || actionsMax === null ? {} : { actionsMax: parseActionsMax(actionsMax) }),
    };
    const input = action === undefined ? undefined : await this.#parseInput(action);
    if (Object.keys(change).length === 0 && actionsMax !== null)
      throw new AionError("invalid_argument", "nothing is given that the schedule is to be changed to");
    await this.#settled(request, "updated", (schedule, fromAt, requestId) => {
      const { actionsMax: max, ...before } = schedule.config;
      const kept =
        max === undefined || actionsMax === null ? {} : { actionsMax: schedule.actionsLeft ?? max };
      const config = { ...before, ...kept, ...change };
      return { type: "ScheduleUpdated", config, input: input ?? schedule.input, fromAt, ...requestId };
    });
  }

  async pauseSchedule(request: PauseScheduleRequest): Promise<void> {
    const note = parseNote(request.note);
    await this.#settled(
      request,
      "paused",
      (schedule, _at, requestId) =>
        schedule.paused !== undefined && schedule.paused.note === note.note
          ? undefined
          : { type: "SchedulePaused", ...note, ...requestId },
      // Times that wait for the end of a run do so no longer.
      (schedule) => schedule.paused === undefined && isHeld(schedule),
    );
  }

  async resumeSchedule(request: ScheduleRequest): Promise<void> {
    let wasPaused = false;
    await this.#settled(
      request,
      "paused",
      (_schedule, fromAt, requestId) =>
        wasPaused ? { type: "ScheduleResumed", fromAt, ...requestId } : undefined,
      (schedule) => {
        wasPaused = schedule.paused !== undefined;
        return wasPaused;
      },
    );
  }

  async deleteSchedule(request: ScheduleRequest): Promise<void> {
    await this.#settled(request, "deleted", (_schedule, _at, requestId) => ({
      type: "ScheduleDeleted",
      ...requestId,
    }));
  }

  async triggerSchedule(request: TriggerScheduleRequest): Promise<TriggerScheduleReply> {
    const { overlap } = request;
    if (overlap !== undefined && overlap !== "skip" && overlap !== "allow-all")
      throw new AionError("invalid_argument", `a trigger takes the overlap "skip" or "allow-all"`);
    let workflowId: string | undefined;
    let send: readonly OutgoingMessage[] = [];
    const coordinatorId = coordinatorIdOf(parseScheduleId(request.scheduleId));
    await this.#change(
      request,
      (schedule, requestId, nowMs) => {
        const isWatched = (overlap ?? schedule.config.overlap) !== "allow-all";
        const [open] = schedule.running.values();
        if (isWatched && open !== undefined) {
          throw new AionError(
            "schedule_busy",
            `schedule ${schedule.scheduleId} has started workflow ${open.workflowId}, which has not ended`,
          );
        }
        const step = toStart(coordinatorId, schedule, {
          cause: "trigger",
          nominalAt: nowMs,
          isWatched,
          ...requestId,
        });
        ({ send } = step);
        workflowId = step.event.type === "ScheduleTriggered" ? step.event.startedId : undefined;
        return step.event;
      },
      {
        replies: () => send,
        onRepeated: (answer) => {
          workflowId = answer;
        },
      },
    );
    if (workflowId === undefined) throw new AionError("internal", "a trigger was recorded without an id");
    return { workflowId };
  }

  async backfillSchedule(request: BackfillScheduleRequest): Promise<BackfillScheduleReply> {
    const fromAt = parseInstant(request.fromAt, "the beginning of a backfill");
    const toAt = parseInstant(request.toAt, "the end of a backfill");
    const { overlap = "one-by-one" } = request;
    if (overlap !== "one-by-one" && overlap !== "allow-all")
      throw new AionError("invalid_argument", `a backfill takes the overlap "one-by-one" or "allow-all"`);
    let count = 0;
    await this.#change(
      request,
      (schedule, requestId, nowMs) => {
        if (toAt < fromAt) throw new AionError("invalid_argument", "a backfill ends before it begins");
        if (toAt > nowMs)
          throw new AionError(
            "invalid_argument",
            "a backfill is of times that have passed, and this one ends later",
          );
        const times = Times.of(schedule.config.spec).within(fromAt - 1, toAt, backfillMax + 1);
        if (times === undefined)
          throw new AionError("invalid_argument", "the schedule has no time in the range of the backfill");
        if (times.count > backfillMax)
          throw new AionError(
            "invalid_argument",
            `the range has more than ${backfillMax} times of the schedule`,
            {
              hint: "Ask for a part of it, and for the next one when that is done.",
            },
          );
        if (schedule.backfills.length >= backfillsMax)
          throw new AionError(
            "invalid_argument",
            `${backfillsMax} backfills of the schedule are not done yet`,
            {
              hint: "Wait until one of them is: `aion schedule describe` shows them.",
            },
          );
        ({ count } = times);
        const range = { fromAt: times.fromAt, toAt: times.toAt, count, overlap };
        return { type: "ScheduleBackfillRequested", ...range, ...requestId };
      },
      {
        onRepeated: (answer) => {
          count = Number(answer);
        },
      },
    );
    return { count };
  }

  async describeSchedule(request: DescribeScheduleRequest): Promise<ScheduleDescription> {
    this.#kernel.demandOpen();
    const scheduleId = parseScheduleId(request.scheduleId);
    const nextCount = request.nextCount ?? nextCountDefault;
    if (!Number.isSafeInteger(nextCount) || nextCount < 0 || nextCount > nextCountMax)
      throw new AionError("invalid_argument", `nextCount must be a whole number of 0 to ${nextCountMax}`);
    for (let read = 1; ; read++) {
      const row = await this.#kernel.store.findRun(coordinatorIdOf(scheduleId));
      if (row === undefined || row.workflowType !== coordinatorType || isClosed(row.status)) {
        // Between two runs of its chain.
        if (row?.status === "continued-as-new" && read < readsMax) continue;
        throw notFound(scheduleId);
      }
      const { schedule, isClosed: isOver } = await this.#stateOf(row);
      if (isOver && read < readsMax) continue;
      if (schedule === undefined || schedule.isDeleted || !schedule.isCreated) throw notFound(scheduleId);
      return toScheduleDescription(schedule, this.#kernel.now(), nextCount);
    }
  }

  async listSchedules({ limit, cursor }: ListSchedulesRequest): Promise<ListSchedulesReply> {
    this.#kernel.demandOpen();
    if (!Number.isSafeInteger(limit) || limit < 1)
      throw new AionError("invalid_argument", `limit must be a whole number of 1 or more, got ${limit}`);
    const page = await this.#kernel.store.list(
      { workflowType: coordinatorType, status: "running" },
      { limit: Math.min(limit, listLimitMax), ...(cursor === undefined ? {} : { cursor }) },
    );
    const schedules: ScheduleSummary[] = [];
    for (const row of page.runs) {
      const { schedule } = await this.#stateOf(row);
      if (schedule?.isCreated === true && !schedule.isDeleted)
        schedules.push(toScheduleSummary(schedule, this.#kernel.now()));
    }
    const { nextCursor } = page;
    return { schedules, ...(nextCursor === undefined ? {} : { nextCursor }) };
  }

  /** What the coordinator knows, all of it on disk. To be read at once: it goes on. */
  async #stateOf(row: RunRecord): Promise<RunState> {
    const resident = this.#kernel.residency.get(row.workflowId);
    if (resident !== undefined && !resident.isGone) {
      await new Promise<void>((resolve) => resident.ask(resolve));
      if (!resident.isGone && resident.runKey === row.runKey) return resident.state;
    }
    return await loadState(row, this.#kernel.store);
  }

  /** As `#change`; before it, times that are due or wait are dealt with: what is left of them is skipped. */
  async #settled(
    request: ScheduleRequest,
    reason: SkipReason,
    toEvent: (schedule: ScheduleState, at: number, requestId: { readonly requestId?: string }) => Recorded,
    isWanted: (schedule: ScheduleState) => boolean = () => true,
  ): Promise<void> {
    let at = 0;
    const requestId = parseRequestId(request.requestId);
    const settle: Input = {
      toEvent: ({ schedule }, nowMs) => {
        at = nowMs;
        if (schedule === undefined || schedule.isDeleted || schedule.answerTo(requestId) !== undefined)
          return undefined;
        if (!isWanted(schedule)) return undefined;
        const why = schedule.paused === undefined ? (isHeld(schedule) ? "overlap" : reason) : "paused";
        const decision = skip(schedule, nowMs, why);
        return decision?.kind === "skip" ? toSkipEvent(decision) : undefined;
      },
      followsChain: true,
    };
    await this.#change(request, (schedule, named) => toEvent(schedule, at, named), { before: [settle] });
  }

  /** Carries out a call once for each request id. Errors: `schedule_not_found`, and what `toEvent` throws. */
  async #change(
    request: ScheduleRequest,
    toEvent: (schedule: ScheduleState, requestId: { readonly requestId?: string }, nowMs: number) => Recorded,
    of: {
      readonly before?: readonly Input[];
      readonly replies?: () => readonly OutgoingMessage[];
      readonly onRepeated?: (answer: string) => void;
    } = {},
  ): Promise<void> {
    this.#kernel.demandOpen();
    const scheduleId = parseScheduleId(request.scheduleId);
    const coordinatorId = coordinatorIdOf(scheduleId);
    const requestId = parseRequestId(request.requestId);
    const named = requestId === undefined ? {} : { requestId };
    const { residency } = this.#kernel;
    try {
      // Brought in first: times that came due while it was not here go before what is asked of it now.
      await residency.resident(coordinatorId);
      await new Promise<void>((resolve, reject) => {
        for (const input of coordinatorInputs(() => this.#kernel.newRunId()))
          residency.offer(coordinatorId, { ...input, followsChain: true });
        for (const input of of.before ?? []) residency.offer(coordinatorId, input);
        residency.offer(coordinatorId, {
          toEvent: ({ schedule, isClosed: isOver }, nowMs) => {
            const answer = schedule?.answerTo(requestId);
            if (answer !== undefined) {
              of.onRepeated?.(answer);
              return undefined;
            }
            if (schedule === undefined || !schedule.isCreated || schedule.isDeleted || isOver)
              throw notFound(scheduleId);
            return toEvent(schedule, named, nowMs);
          },
          ...(of.replies === undefined ? {} : { replies: of.replies }),
          followsChain: true,
          onDurable: resolve,
          onRefused: reject,
        });
      });
    } catch (error) {
      if (!isAionError(error) || (error.code !== "run_not_found" && error.code !== "run_closed")) throw error;
      const latest = await residency.latest(coordinatorId);
      if (requestId !== undefined && latest?.workflowType === coordinatorType) {
        // Repeated because the first answer was lost: it has been deleted since, perhaps by this very call.
        const answer = (await this.#stateOf(latest)).schedule?.answerTo(requestId);
        if (answer !== undefined) {
          of.onRepeated?.(answer);
          return;
        }
      }
      throw notFound(scheduleId);
    }
  }

  #parseConfig(request: CreateScheduleRequest): ScheduleConfig {
    const { spec, action, overlap = "skip", catchUpWindowMs = catchUpWindowMsDefault, actionsMax } = request;
    return {
      spec: parseSpec(spec, this.#kernel.now()),
      action: parseAction(action),
      overlap: parseOverlap(overlap),
      catchUpWindowMs: parseWindow(catchUpWindowMs),
      ...(actionsMax === undefined ? {} : { actionsMax: parseActionsMax(actionsMax) }),
    };
  }

  /** Held against the schema of the type that new runs get now. Errors: `workflow_type_unknown`, `payload_invalid`. */
  async #parseInput({ workflowType, input }: ScheduleActionRequest): Promise<Payload> {
    const what = `the input of workflow ${JSON.stringify(workflowType)}`;
    const { programs, payloadLimitBytes } = this.#kernel.options;
    const program = demandProgram(programs, parseName(workflowType, "workflow type"));
    return await program.parseInput(parsePayload(input, what, payloadLimitBytes));
  }

  #isSame(known: ScheduleState, config: ScheduleConfig, input: Payload): boolean {
    if (sorted(known.config) !== sorted(config)) return false;
    if (isSameInput(known.input, input)) return true;
    const { codec } = this.#kernel.options;
    const context = { kind: "start" } as const;
    return codec !== undefined && codec.decode(known.input, context) === codec.decode(input, context);
  }
}

function parseAction(action: ScheduleActionRequest): ScheduleAction {
  const { workflowIdPrefix, runTimeoutMs, executionTimeoutMs } = action;
  const attributes = parseAttributes(action.attributes, "the attributes of what a schedule starts");
  return {
    workflowType: parseName(action.workflowType, "workflow type"),
    ...(workflowIdPrefix === undefined
      ? {}
      : { workflowIdPrefix: parseShortName(workflowIdPrefix, "workflow id prefix") }),
    ...(runTimeoutMs === undefined ? {} : { runTimeoutMs }),
    ...(executionTimeoutMs === undefined ? {} : { executionTimeoutMs }),
    ...(attributes === undefined ? {} : { attributes }),
  };
}

/** JSON text in which fields are in the order of their names. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_name, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([left], [right]) => (left < right ? -1 : 1)))
      : part,
  );
}

function toScheduleSummary(schedule: ScheduleState, nowMs: number): ScheduleSummary {
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
    runningCount: running.size,
    startedCount,
    skippedCount,
    createdAt,
  };
}

function toScheduleDescription(
  schedule: ScheduleState,
  nowMs: number,
  nextCount: number,
): ScheduleDescription {
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
    ...toScheduleSummary(schedule, nowMs),
    action: { ...config.action, input: schedule.input },
    catchUpWindowMs: config.catchUpWindowMs,
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

function notFound(scheduleId: string): AionError {
  return new AionError("schedule_not_found", `there is no schedule ${JSON.stringify(scheduleId)}`);
}

function taken(scheduleId: string, why: string): AionError {
  return new AionError(
    "schedule_already_exists",
    `schedule id ${JSON.stringify(scheduleId)} is taken: ${why}`,
  );
}

function parseScheduleId(text: string): string {
  return parseShortName(text, "schedule id");
}

function parseShortName(text: string, what: string): string {
  const name = parseName(text, what);
  if (name.length > scheduleIdLengthMax)
    throw new AionError("invalid_argument", `${what} has at most ${scheduleIdLengthMax} characters`);
  // What is started has a workflow id that begins with it.
  if (isCoordinatorId(name))
    throw new AionError(
      "invalid_argument",
      `${what} ${JSON.stringify(name)} begins as the ids of coordinators do`,
    );
  return name;
}

function parseRequestId(requestId: string | undefined): string | undefined {
  return requestId === undefined ? undefined : parseName(requestId, "request id");
}

function parseNote(note: string | undefined): { readonly note?: string } {
  if (note === undefined) return {};
  if (typeof note !== "string" || note.length > noteLengthMax || !note.isWellFormed())
    throw new AionError("invalid_argument", `a note must be a text of at most ${noteLengthMax} characters`);
  return { note };
}

function parseOverlap(overlap: OverlapPolicy): OverlapPolicy {
  if (overlapPolicies.includes(overlap)) return overlap;
  throw new AionError(
    "invalid_argument",
    `overlap policy ${JSON.stringify(overlap)} is unknown; there are ${overlapPolicies.join(", ")}`,
  );
}

function parseWindow(ms: number): number {
  if (Number.isSafeInteger(ms) && ms >= 1_000) return ms;
  throw new AionError("invalid_argument", `a catch-up window must be a second or more, got ${String(ms)} ms`);
}

function parseActionsMax(count: number): number {
  if (Number.isSafeInteger(count) && count >= 1) return count;
  throw new AionError(
    "invalid_argument",
    `actionsMax must be a whole number of 1 or more, got ${String(count)}`,
  );
}
