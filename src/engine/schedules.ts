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
  TriggerScheduleReply,
  TriggerScheduleRequest,
  UpdateScheduleRequest,
} from "../client/schedule-service.ts";
import { parseAttributes } from "../core/attributes.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { EventBody, EventType } from "../core/event.ts";
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
  overlapPolicies,
} from "../core/schedule.ts";
import type { ScheduleState } from "../core/schedule-state.ts";
import { isClosed } from "../core/status.ts";
import type { RunState } from "../replay/run-state.ts";
import { isHeld, skip } from "../schedule/decide.ts";
import { Times, parseInstant, parseSpec } from "../schedule/spec.ts";
import { requestTaken } from "../store/catalog.ts";
import type { OutgoingMessage, RunRecord } from "../store/contract.ts";
import { coordinatorInputs, coordinatorProgram, toSkipEvent, toStart } from "./coordinator.ts";
import type { Input } from "./input.ts";
import type { Kernel } from "./kernel.ts";
import { loadState } from "./load.ts";
import {
  describeSchedule,
  listSchedules,
  parseScheduleId,
  parseShortName,
  scheduleNotFound,
} from "./schedule-views.ts";
import type { ScheduleSource } from "./schedule-views.ts";
import { demandProgram } from "./start-input.ts";

const createAttemptsMax = 100;
const noteLengthMax = 1_000;
/** Times of one backfill. */
export const backfillMax = 1_000;
/** Ranges that wait. */
const backfillsMax = 10;

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
        const found = await this.#look(latest, ({ schedule, isClosed: isOver }) => {
          if (schedule !== undefined && answerOf(schedule, requestId, "ScheduleCreated") !== undefined) {
            // One that was changed since does not tell what was asked for.
            const isAsCreated = schedule.isCreated && !schedule.isDeleted && schedule.updatedAt === undefined;
            // What its schema made of an input it may make another time of the same one.
            const comparable = input === request.action.input ? input : schedule.input;
            if (isAsCreated && requestId !== undefined && !this.#isSame(schedule, config, comparable))
              throw requestTaken(requestId);
            return "there";
          }
          if (isOver) return "gone";
          if (schedule?.isDeleted === true) return "going";
          if (schedule?.isCreated === true && this.#isSame(schedule, config, input)) return "there";
          throw taken(scheduleId, "there is one that is not the same");
        });
        if (found === "there") return { scheduleId, isNew: false };
        if (found === "going") {
          await this.#end(coordinatorId);
          if (attempt < createAttemptsMax) continue;
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

  /** Of a schedule that is deleted: its coordinator ends as soon as its turn comes. */
  async #end(coordinatorId: WorkflowId): Promise<void> {
    const { residency } = this.#kernel;
    const [last] = coordinatorInputs(() => this.#kernel.newRunId());
    try {
      await residency.resident(coordinatorId);
      await new Promise<void>((resolve, reject) => {
        if (last !== undefined)
          residency.offer(coordinatorId, { ...last, onDurable: resolve, onRefused: reject });
      });
    } catch (error) {
      if (!isAionError(error) || error.code !== "run_closed") throw error;
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
    await this.#settled(request, "ScheduleUpdated", "updated", (schedule, fromAt, requestId) => {
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
      "SchedulePaused",
      "paused",
      (schedule, _at, requestId) =>
        schedule.paused !== undefined && schedule.paused.note === note.note && isUnnamed(requestId)
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
      "ScheduleResumed",
      "paused",
      ({ cursorAt }, at, requestId) =>
        !wasPaused && isUnnamed(requestId)
          ? undefined
          : { type: "ScheduleResumed", fromAt: wasPaused ? at : cursorAt, ...requestId },
      (schedule) => {
        wasPaused = schedule.paused !== undefined;
        return wasPaused;
      },
    );
  }

  async deleteSchedule(request: ScheduleRequest): Promise<void> {
    await this.#settled(request, "ScheduleDeleted", "deleted", (_schedule, _at, requestId) => ({
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
      "ScheduleTriggered",
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
      "ScheduleBackfillRequested",
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
    return await describeSchedule(this.#source, request);
  }

  async listSchedules(request: ListSchedulesRequest): Promise<ListSchedulesReply> {
    this.#kernel.demandOpen();
    return await listSchedules(this.#source, request);
  }

  get #source(): ScheduleSource {
    const { store } = this.#kernel;
    return { store, now: () => this.#kernel.now(), look: (row, look) => this.#look(row, look) };
  }

  /** Tells `look` what the coordinator knows, all of it on disk in that moment: a moment later it may know more. */
  async #look<Seen>(row: RunRecord, look: (state: RunState) => Seen): Promise<Seen> {
    const resident = this.#kernel.residency.get(row.workflowId);
    if (resident !== undefined && !resident.isGone && resident.runKey === row.runKey) {
      const { state } = resident;
      const seen = await new Promise<{ readonly is: Seen } | undefined>((resolve) => {
        resident.ask(() => resolve(Promise.try(() => (resident.isGone ? undefined : { is: look(state) }))));
      });
      if (seen !== undefined) return seen.is;
    }
    return look(await loadState(row, this.#kernel.store));
  }

  /** As `#change`; before it, times that are due or wait are dealt with: what is left of them is skipped. */
  async #settled(
    request: ScheduleRequest,
    type: EventType,
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
    await this.#change(request, type, (schedule, named) => toEvent(schedule, at, named), {
      before: [settle],
    });
  }

  /** Carries out a call once for each request id. Errors: `schedule_not_found`, and what `toEvent` throws. */
  async #change(
    request: ScheduleRequest,
    type: EventType,
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
            const answer = answerOf(schedule, requestId, type);
            if (answer !== undefined) {
              of.onRepeated?.(answer);
              return undefined;
            }
            if (schedule === undefined || !schedule.isCreated || schedule.isDeleted || isOver)
              throw scheduleNotFound(scheduleId);
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
        const answer = await this.#look(latest, ({ schedule }) => answerOf(schedule, requestId, type));
        if (answer !== undefined) {
          of.onRepeated?.(answer);
          return;
        }
      }
      throw scheduleNotFound(scheduleId);
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

/** One that changes nothing is recorded for its name alone: a late copy of it has to be known when it would change something. */
function isUnnamed({ requestId }: { readonly requestId?: string }): boolean {
  return requestId === undefined;
}

/** What a request that was carried out is answered again. Error: `request_conflict` (its id was used for another operation). */
function answerOf(
  schedule: ScheduleState | undefined,
  requestId: string | undefined,
  type: EventType,
): string | undefined {
  const known = schedule?.answerTo(requestId);
  if (known === undefined || requestId === undefined) return undefined;
  if (known.type !== undefined && known.type !== type) throw requestTaken(requestId);
  return known.answer;
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

function taken(scheduleId: string, why: string): AionError {
  return new AionError(
    "schedule_already_exists",
    `schedule id ${JSON.stringify(scheduleId)} is taken: ${why}`,
  );
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
