import { abortable, callOptionNames } from "./abortable.ts";
import { RunHandle, toCheckedPayload } from "./run-handle.ts";
import type {
  BackfillScheduleReply,
  CreateScheduleRequest,
  ListSchedulesReply,
  ScheduleActionRequest,
  ScheduleAddress,
  ScheduleDescription,
  ScheduleService,
  ScheduleSummary,
  UpdateScheduleRequest,
} from "./schedule-service.ts";
import type { CallOptions, Service } from "./service.ts";
import type { AttributeValues } from "../core/attributes.ts";
import { parseAttributes } from "../core/attributes.ts";
import type { Duration } from "../core/duration.ts";
import { parseDuration } from "../core/duration.ts";
import { AionError } from "../core/errors.ts";
import { parseName } from "../core/ids.ts";
import type { OptionNames } from "../core/options.ts";
import { demandKnownOptions } from "../core/options.ts";
import type {
  BackfillOverlap,
  CronRule,
  IntervalRule,
  OverlapPolicy,
  ScheduleSpec,
} from "../core/schedule.ts";
import type { AnyWorkflow, Workflow } from "../workflow/definition.ts";

/** `"0 9 * * 1-5"`, or with a time zone of its own. */
export type CronOption = string | { readonly expression: string; readonly timeZone?: string };
/** `"15m"`, or with an offset from the full quarter of an hour. */
export type IntervalOption = Duration | { readonly every: Duration; readonly offset?: Duration };

/** When a schedule starts its action: the times of all that is given together. At least one of `cron` and `every`. */
export interface ScheduleTimes {
  /**
   * Minute, hour, day of month, month, day of week; with six fields seconds come first. A fixed time of day that clocks leave out comes
   * when they have been put forward; one that comes twice is the first of the two.
   */
  readonly cron?: CronOption | readonly CronOption[];
  /** Of the cron expressions that have none of their own: an IANA name. Default UTC. */
  readonly timeZone?: string;
  /** Counted from 1970-01-01T00:00:00Z: `"15m"` is at every full quarter of an hour. */
  readonly every?: IntervalOption | readonly IntervalOption[];
  /** Bounds, inclusive. */
  readonly startAt?: Date | number;
  readonly endAt?: Date | number;
  /** A time starts late by up to so much, always by the same, so that not everything starts at one instant. */
  readonly jitter?: Duration;
}

export interface ScheduleOptions extends ScheduleTimes, CallOptions {
  /** What happens at a time while a run of the schedule is open. Default `"skip"`. */
  readonly overlap?: OverlapPolicy;
  /** A time that could not start for longer than this, since no engine ran, is skipped. Default `"24h"`. */
  readonly catchUpWindow?: Duration;
  /** So many times start, and then none any more. Default: without end. */
  readonly actionsMax?: number;
  /** Of the workflow ids, before the time: `report-2026-11-27T09:00:00Z`. Default: the id of the schedule. */
  readonly workflowIdPrefix?: string;
  /** How long a run may take. */
  readonly runTimeout?: Duration;
  /** How long a run may take with all that it continues as. */
  readonly executionTimeout?: Duration;
  /** What the runs can be found by from the beginning. */
  readonly attributes?: AttributeValues;
  /** Default false. */
  readonly isPaused?: boolean;
  /** Why it is paused. */
  readonly note?: string;
  /** Names this call: repeated with the same one, it makes nothing more. */
  readonly requestId?: string;
}

/** What is not given stays as it is. Of times all or none are given. */
export interface ScheduleChange<Input = unknown>
  extends ScheduleTimes, Pick<ScheduleOptions, "overlap" | "catchUpWindow" | "requestId" | "abortSignal"> {
  /** What is started from now on: with it, the other fields of the action are those given here. */
  readonly workflow?: Workflow<Input, never> | AnyWorkflow | string;
  readonly input?: Input;
  readonly workflowIdPrefix?: string;
  readonly runTimeout?: Duration;
  readonly executionTimeout?: Duration;
  readonly attributes?: AttributeValues;
  /** From now on. `null`: without end. */
  readonly actionsMax?: number | null;
}

export interface ScheduleCallOptions extends CallOptions {
  /** Names this call: repeated with the same one, it changes nothing more. */
  readonly requestId?: string;
}

const changeOptionNames: OptionNames<ScheduleCallOptions> = { requestId: true, ...callOptionNames };

export interface TriggerOptions extends ScheduleCallOptions {
  /** `"skip"`: refused while a run is open that the schedule waits for. Default: as the schedule's policy has it. */
  readonly overlap?: "skip" | "allow-all";
}

const triggerOptionNames: OptionNames<TriggerOptions> = { ...changeOptionNames, overlap: true };

export interface BackfillOptions extends ScheduleCallOptions {
  /** Bounds, inclusive. */
  readonly from: Date | number;
  readonly to: Date | number;
  /** Default `"one-by-one"`: each waits for the end of the one before it. */
  readonly overlap?: BackfillOverlap;
}

const backfillOptionNames: OptionNames<BackfillOptions> = {
  ...changeOptionNames,
  from: true,
  to: true,
  overlap: true,
};

export interface ScheduleListOptions extends CallOptions {
  /** Schedules asked for at a time. Default 100. */
  readonly pageSize?: number;
}

export interface SchedulePageOptions extends CallOptions {
  readonly limit?: number;
  /** `nextCursor` of the page before. */
  readonly cursor?: string | undefined;
}

const listOptionNames: OptionNames<ScheduleListOptions> = { ...callOptionNames, pageSize: true };
const pageOptionNames: OptionNames<SchedulePageOptions> = { ...callOptionNames, limit: true, cursor: true };
const cronNames: OptionNames<Exclude<CronOption, string>> = { expression: true, timeZone: true };
const intervalNames: OptionNames<Exclude<IntervalOption, Duration>> = { every: true, offset: true };
const listPageSchedules = 100;

const timesNames: OptionNames<ScheduleTimes> = {
  cron: true,
  timeZone: true,
  every: true,
  startAt: true,
  endAt: true,
  jitter: true,
};

const optionNames: OptionNames<ScheduleOptions> = {
  ...timesNames,
  overlap: true,
  catchUpWindow: true,
  actionsMax: true,
  workflowIdPrefix: true,
  runTimeout: true,
  executionTimeout: true,
  attributes: true,
  isPaused: true,
  note: true,
  ...changeOptionNames,
};

const changeNames: OptionNames<ScheduleChange> = {
  ...timesNames,
  overlap: true,
  catchUpWindow: true,
  ...changeOptionNames,
  workflow: true,
  input: true,
  workflowIdPrefix: true,
  runTimeout: true,
  executionTimeout: true,
  attributes: true,
  actionsMax: true,
};

/**
 * Workflows that start at given times: `engine.client.schedules`, and the same of a server elsewhere.
 *
 * @example
 * const nightly = await client.schedules.create("nightly", report, { depth: 3 }, { cron: "0 2 * * *", timeZone: "Europe/Berlin" });
 * console.log((await nightly.describe()).nextTimes);
 */
export class Schedules {
  readonly #service: Service;

  constructor(service: Service) {
    this.#service = service;
  }

  /**
   * Creates a schedule. Resolves when it is on disk: from then on every time of it starts once, or is skipped with a reason that is
   * recorded. Idempotent by its id: the same again gives what is there.
   *
   * Errors: `schedule_already_exists` (with another content), `invalid_argument`, `workflow_type_unknown`, `payload_invalid`.
   */
  async create<Input>(
    scheduleId: string,
    workflow: Workflow<Input, unknown> | string,
    input: NoInfer<Input>,
    options: ScheduleOptions,
  ): Promise<ScheduleHandle> {
    demandKnownOptions(options, optionNames, "a schedule");
    const { overlap, catchUpWindow, actionsMax, isPaused, note, requestId } = options;
    const request: CreateScheduleRequest = {
      scheduleId: parseName(scheduleId, "schedule id"),
      spec: toSpec(options),
      action: toAction(workflow, input, options),
      ...(overlap === undefined ? {} : { overlap }),
      ...(catchUpWindow === undefined
        ? {}
        : { catchUpWindowMs: parseDuration(catchUpWindow, "catchUpWindow") }),
      ...(actionsMax === undefined ? {} : { actionsMax }),
      ...(isPaused === undefined ? {} : { isPaused }),
      ...(note === undefined ? {} : { note }),
      ...(requestId === undefined ? {} : { requestId }),
    };
    await abortable(options.abortSignal, (call) => this.#service.createSchedule(request, call));
    return this.get(scheduleId);
  }

  /** A handle, without asking whether there is such a schedule. */
  get(scheduleId: string): ScheduleHandle {
    return new ScheduleHandle(this.#service, parseName(scheduleId, "schedule id"));
  }

  /** All schedules, the one that was made last first. */
  async *list(options: ScheduleListOptions = {}): AsyncGenerator<ScheduleSummary, void, undefined> {
    demandKnownOptions(options, listOptionNames, "the list of schedules");
    const { pageSize: limit = listPageSchedules, ...rest } = options;
    let cursor: string | undefined;
    do {
      const page = await this.listPage({ ...rest, limit, cursor });
      yield* page.schedules;
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }

  /** One page of them; `nextCursor` is there when there are more. */
  async listPage(options: SchedulePageOptions = {}): Promise<ListSchedulesReply> {
    demandKnownOptions(options, pageOptionNames, "a page of schedules");
    const { limit = listPageSchedules, cursor, abortSignal } = options;
    const request = { limit, ...(cursor === undefined ? {} : { cursor }) };
    return await abortable(abortSignal, (call) => this.#service.listSchedules(request, call));
  }
}

/** One schedule, by its id. Errors of all calls: `schedule_not_found`. */
export class ScheduleHandle {
  readonly scheduleId: string;
  readonly #service: ScheduleService & Service;

  constructor(service: Service, scheduleId: string) {
    this.#service = service;
    this.scheduleId = scheduleId;
  }

  /** Its state, the times to come, and what became of the latest ones. */
  async describe(options: CallOptions & { readonly nextCount?: number } = {}): Promise<ScheduleDescription> {
    demandKnownOptions(options, { nextCount: true, ...callOptionNames }, "describe of a schedule");
    return await this.#ask(options, (request, call) => this.#service.describeSchedule(request, call));
  }

  /** What is not given stays as it is. Times that are due by then are dealt with before. */
  async update<Input>(change: ScheduleChange<Input>): Promise<void> {
    demandKnownOptions(change, changeNames as OptionNames<ScheduleChange<Input>>, "a change of a schedule");
    const { overlap, catchUpWindow, actionsMax, requestId, workflow, input } = change;
    const hasTimes = Object.keys(timesNames).some((name) => Object.hasOwn(change, name));
    if (workflow === undefined && (input !== undefined || change.workflowIdPrefix !== undefined))
      throw new AionError(
        "invalid_argument",
        "what a schedule starts is changed as a whole: `workflow` is missing",
      );
    const request: UpdateScheduleRequest = {
      scheduleId: this.scheduleId,
      ...(hasTimes ? { spec: toSpec(change) } : {}),
      ...(workflow === undefined ? {} : { action: toAction(workflow, input, change) }),
      ...(overlap === undefined ? {} : { overlap }),
      ...(catchUpWindow === undefined
        ? {}
        : { catchUpWindowMs: parseDuration(catchUpWindow, "catchUpWindow") }),
      ...(actionsMax === undefined ? {} : { actionsMax }),
      ...(requestId === undefined ? {} : { requestId }),
    };
    await abortable(change.abortSignal, (call) => this.#service.updateSchedule(request, call));
  }

  /** Nothing starts until it is resumed, but what is triggered or filled in by hand. Doing so again changes the note alone. */
  async pause(options: ScheduleCallOptions & { readonly note?: string } = {}): Promise<void> {
    demandKnownOptions(options, { ...changeOptionNames, note: true }, "pause of a schedule");
    await this.#ask(options, (request, call) => this.#service.pauseSchedule(request, call));
  }

  /** Times that came while it was paused are skipped. */
  async resume(options: ScheduleCallOptions = {}): Promise<void> {
    demandKnownOptions(options, changeOptionNames, "resume of a schedule");
    await this.#ask(options, (request, call) => this.#service.resumeSchedule(request, call));
  }

  /** Starts the action now. Error: `schedule_busy`. */
  async trigger(options: TriggerOptions = {}): Promise<RunHandle> {
    demandKnownOptions(options, triggerOptionNames, "trigger of a schedule");
    const { workflowId } = await this.#ask(options, (request, call) =>
      this.#service.triggerSchedule(request, call),
    );
    return new RunHandle(this.#service, { workflowId, isPinned: false });
  }

  /** Starts the times of a range that has passed, at most 1,000. One that has been started (its workflow is there) is skipped. */
  async backfill(options: BackfillOptions): Promise<BackfillScheduleReply> {
    demandKnownOptions(options, backfillOptionNames, "backfill of a schedule");
    const { from, to, ...rest } = options;
    return await this.#ask({ ...rest, fromAt: Number(from), toAt: Number(to) }, (request, call) =>
      this.#service.backfillSchedule(request, call),
    );
  }

  /** Runs that it has started go on. */
  async delete(options: ScheduleCallOptions = {}): Promise<void> {
    demandKnownOptions(options, changeOptionNames, "delete of a schedule");
    await this.#ask(options, (request, call) => this.#service.deleteSchedule(request, call));
  }

  async #ask<Options extends CallOptions, Reply>(
    { abortSignal, ...fields }: Options,
    ask: (request: ScheduleAddress & Omit<Options, "abortSignal">, call: CallOptions) => Promise<Reply>,
  ): Promise<Reply> {
    return await abortable(abortSignal, (call) => ask({ ...fields, scheduleId: this.scheduleId }, call));
  }
}

function toAction(
  workflow: AnyWorkflow | string,
  input: unknown,
  of: Pick<ScheduleOptions, "workflowIdPrefix" | "runTimeout" | "executionTimeout" | "attributes">,
): ScheduleActionRequest {
  const { type, schema } =
    typeof workflow === "string"
      ? { type: parseName(workflow, "workflow type"), schema: undefined }
      : { type: workflow.workflowType, schema: workflow.inputSchema };
  const { workflowIdPrefix, runTimeout, executionTimeout } = of;
  const attributes = parseAttributes(of.attributes, "the attributes of what a schedule starts");
  return {
    workflowType: type,
    input: toCheckedPayload(input, schema, `the input of workflow ${JSON.stringify(type)}`),
    ...(workflowIdPrefix === undefined ? {} : { workflowIdPrefix }),
    ...(runTimeout === undefined ? {} : { runTimeoutMs: parseDuration(runTimeout, "runTimeout") }),
    ...(executionTimeout === undefined
      ? {}
      : { executionTimeoutMs: parseDuration(executionTimeout, "executionTimeout") }),
    ...(attributes === undefined ? {} : { attributes }),
  };
}

function toSpec({ cron, timeZone, every, startAt, endAt, jitter }: ScheduleTimes): ScheduleSpec {
  if (timeZone !== undefined && toList(cron).length === 0)
    throw new AionError("invalid_argument", "a time zone is one of cron expressions, and there are none");
  const crons = toList<CronOption>(cron).map((rule): CronRule => {
    const given = typeof rule === "string" ? { expression: rule } : rule;
    demandKnownOptions(given, cronNames, "a cron expression of a schedule");
    const zone = given.timeZone ?? timeZone;
    return { expression: given.expression, ...(zone === undefined ? {} : { timeZone: zone }) };
  });
  const intervals = toList<IntervalOption>(every).map((rule): IntervalRule => {
    const given = typeof rule === "object" ? rule : { every: rule };
    demandKnownOptions(given, intervalNames, "an interval of a schedule");
    return {
      everyMs: parseDuration(given.every, "every"),
      ...(given.offset === undefined ? {} : { offsetMs: parseDuration(given.offset, "offset") }),
    };
  });
  return {
    ...(crons.length === 0 ? {} : { crons }),
    ...(intervals.length === 0 ? {} : { intervals }),
    ...(startAt === undefined ? {} : { startAt: Number(startAt) }),
    ...(endAt === undefined ? {} : { endAt: Number(endAt) }),
    ...(jitter === undefined ? {} : { jitterMs: parseDuration(jitter, "jitter") }),
  };
}

function toList<Item>(of: Item | readonly Item[] | undefined): readonly Item[] {
  if (of === undefined) return [];
  return Array.isArray(of) ? (of as readonly Item[]) : [of as Item];
}
