/** Schedules: each of their times is started once or skipped for a reason, whoever dies, and however the clock goes on. */
import { setTimeout as delay } from "node:timers/promises";
import { textOf } from "../../src/client/json-form.ts";
import type { RunSummary } from "../../src/client/service.ts";
import { isAionError } from "../../src/core/errors.ts";
import type { Event, EventOf } from "../../src/core/event.ts";
import type { OverlapPolicy } from "../../src/core/schedule.ts";
import type { Cast, Part, Read } from "./part.ts";

/** Of five rules together, since none may come more often than each second. */
const everyMs = 200;
const intervals = Array.from({ length: 5 }, (_, index) => ({ everyMs: 1_000, offsetMs: index * everyMs }));
const catchUpWindowMs = 1_000;
/** How long a commit may take on a loaded machine. */
const momentMs = 3_000;

interface Triggered {
  readonly requestId: string;
  /** Workflow ids, or codes. */
  readonly answers: readonly string[];
}

export class Shifts implements Part {
  readonly #cast: Cast;
  /** The id of the schedule. */
  readonly name: string;
  readonly #overlap: OverlapPolicy;
  readonly #triggers: Triggered[] = [];
  readonly #backfills: { requestId: string; fromAt: number; toAt: number; counts: readonly number[] }[] = [];
  #runs: readonly RunSummary[] = [];

  constructor(cast: Cast, name: string, overlap: OverlapPolicy) {
    this.#cast = cast;
    this.name = name;
    this.#overlap = overlap;
  }

  get #coordinatorId(): string {
    return `aion.schedule:${this.name}`;
  }

  readonly ids = async (): Promise<readonly string[]> => {
    const runs: RunSummary[] = [];
    for (let cursor: string | undefined; ;) {
      const page = await this.#cast.stage.ask((desk) =>
        desk.list({
          filter: { workflowType: "shift" },
          limit: 500,
          ...(cursor === undefined ? {} : { cursor }),
        }),
      );
      runs.push(...page.runs);
      cursor = page.nextCursor;
      if (cursor === undefined) break;
    }
    this.#runs = runs.filter(({ workflowId }) => workflowId.startsWith(`${this.name}-`));
    return [this.#coordinatorId, ...this.#runs.map(({ workflowId }) => workflowId)];
  };

  get toldCount(): number {
    return this.#triggers.length * 2 + this.#backfills.length * 2 + 3;
  }

  async drive(): Promise<void> {
    const { stage, draws, lastsMs } = this.#cast;
    const scheduleId = this.name;
    const ms = draws.of([20, 150, 500]);
    await stage.ask((desk) =>
      desk.createSchedule({
        scheduleId,
        requestId: "create",
        spec: { intervals },
        action: { workflowType: "shift", input: textOf({ ms }) },
        overlap: this.#overlap,
        catchUpWindowMs,
      }),
    );
    const began = Date.now();
    const at = async (share: number): Promise<void> => {
      await delay(Math.max(0, began + share * lastsMs - Date.now()));
    };
    const triggers = [0.2, 0.5, 0.7].map(async (share, index) => {
      await at(share);
      await this.#trigger(`trigger ${index}`);
    });
    const backfills = [0.4, 0.6].map(async (share, index) => {
      await at(share);
      await this.#backfill(`backfill ${index}`, began, index);
    });
    const pause = (async () => {
      await at(draws.number() * 0.7);
      await stage.ask((desk) => desk.pauseSchedule({ scheduleId, requestId: "pause" }));
      await delay(draws.between(100, 900));
      await stage.ask((desk) => desk.resumeSchedule({ scheduleId, requestId: "resume" }));
    })();
    await Promise.all([...triggers, ...backfills, pause, at(1)]);
    await stage.ask((desk) => desk.pauseSchedule({ scheduleId, requestId: "the end", note: "it is over" }));
    for (;;) {
      const of = await stage.ask((desk) => desk.describeSchedule({ scheduleId }));
      if (of.running.length === 0 && of.backfills.length === 0) break;
      await delay(50);
    }
    // What does not wait for its runs.
    for (;;) {
      await this.ids();
      if (this.#runs.every(({ status }) => status !== "running")) return;
      await delay(50);
    }
  }

  /** Two say the same. */
  async #trigger(requestId: string): Promise<void> {
    const { stage, draws } = this.#cast;
    const scheduleId = this.name;
    const answers = [0, 1].map(async () => {
      try {
        const { workflowId } = await stage.ask((desk) => desk.triggerSchedule({ scheduleId, requestId }));
        if (draws.chance(0.3)) stage.killNow();
        return workflowId;
      } catch (error) {
        if (isAionError(error)) return error.code;
        throw error;
      }
    });
    this.#triggers.push({ requestId, answers: await Promise.all(answers) });
  }

  async #backfill(requestId: string, before: number, index: number): Promise<void> {
    const { stage } = this.#cast;
    // Long before there was such a schedule, each range at another time.
    const toAt = before - 3_600_000 * (index + 1);
    const fromAt = toAt - everyMs * 4;
    const overlap = index === 0 ? "one-by-one" : "allow-all";
    const request = { scheduleId: this.name, requestId, fromAt, toAt, overlap } as const;
    const asked = [0, 1].map(() => stage.ask((desk) => desk.backfillSchedule(request)));
    const counts = (await Promise.all(asked)).map(({ count }) => count);
    this.#backfills.push({ requestId, fromAt, toAt, counts });
  }

  judge({ histories, effects }: Read): readonly string[] {
    const history = histories.get(this.#coordinatorId) ?? [];
    const found: string[] = [];
    const violate = (what: string): void => void found.push(`${this.name}: ${what}`);
    const started = this.#judgeTimes(history, violate);
    this.#judgeAsked(history, violate);

    // What was decided to be started is there once, and nothing else.
    const runs = Map.groupBy(this.#runs, ({ workflowId }) => workflowId);
    for (const [workflowId, { nominalAt, cause }] of started) {
      const of = runs.get(workflowId) ?? [];
      if (of.length !== 1) violate(`${workflowId} was started ${of.length} times`);
      const first = histories.get(workflowId)?.[0];
      const isFor = first?.type === "WorkflowStarted" && first.scheduled?.nominalAt === nominalAt;
      if (!isFor) violate(`${workflowId} begins with ${JSON.stringify(first)}`);
      const own = effects.filter(({ id, kind }) => id === workflowId && kind === "began");
      if (cause === "time" && own.some(({ at }) => at < nominalAt)) violate(`${workflowId} is early`);
    }
    for (const workflowId of runs.keys())
      if (!started.has(workflowId)) violate(`${workflowId} is there, and was never decided`);
    this.#judgeOverlap(started, violate);
    return found;
  }

  /** Each time that has come, in its order: started, or among those that were skipped. */
  #judgeTimes(
    history: readonly Event[],
    violate: (what: string) => void,
  ): ReadonlyMap<string, EventOf<"ScheduleTriggered">> {
    const started = new Map<string, EventOf<"ScheduleTriggered">>();
    const byOrdinal = new Map<number, string>();
    let decidedTo = Number.NaN;
    let isPaused = false;
    const open = new Set<number>();
    let freedAt = 0;
    const next = (): number => (Math.floor(decidedTo / everyMs) + 1) * everyMs;
    for (const event of history) {
      const { recordedAt } = event;
      switch (event.type) {
        case "ScheduleCreated":
          decidedTo = recordedAt;
          break;
        case "SchedulePaused":
          isPaused = true;
          break;
        case "ScheduleResumed":
          isPaused = false;
          if (next() <= event.fromAt) violate(`${next()} is passed over by event ${event.seq}`);
          decidedTo = Math.max(decidedTo, event.fromAt);
          break;
        case "ScheduleTriggered": {
          const { nominalAt, startedId, ordinal, cause } = event;
          if (started.has(startedId)) violate(`${startedId} is started twice`);
          started.set(startedId, event);
          byOrdinal.set(ordinal, startedId);
          if (event.isWatched) open.add(ordinal);
          if (cause !== "time") break;
          // It may have waited for the end of another, and no longer than its window for an engine.
          if (recordedAt - Math.max(nominalAt, freedAt) > catchUpWindowMs + momentMs)
            violate(`${nominalAt} is started late, at ${recordedAt}`);
          if (nominalAt !== next()) violate(`${nominalAt} is started, and ${next()} is next`);
          if (isPaused) violate(`${nominalAt} is started in a pause`);
          if (recordedAt < nominalAt) violate(`${nominalAt} is started early`);
          decidedTo = nominalAt;
          break;
        }
        case "ScheduleSkipped":
          decidedTo = this.#judgeSkip(event, { decidedTo, isPaused, violate });
          if (event.ordinal === undefined) break;
          started.delete(byOrdinal.get(event.ordinal) ?? "");
          if (open.delete(event.ordinal)) freedAt = recordedAt;
          break;
        case "ChildWorkflowCompleted":
        case "ChildWorkflowFailed":
        case "ChildWorkflowCancelled":
        case "ChildWorkflowTerminated":
          if (!open.delete(event.ordinal)) violate(`event ${event.seq} is the end of what is not open`);
          freedAt = recordedAt;
          break;
        default:
      }
    }
    // In the end it was paused: what was due by then is decided, but for what came due in that very moment.
    const end = history.findLast(({ type }) => type === "SchedulePaused");
    if (end === undefined || next() <= end.recordedAt - momentMs)
      violate(`${next()} was never decided, and it was paused at ${end?.recordedAt}`);
    return started;
  }

  #judgeSkip(
    event: EventOf<"ScheduleSkipped">,
    of: { readonly decidedTo: number; readonly isPaused: boolean; readonly violate: (what: string) => void },
  ): number {
    const { fromAt, toAt, count, untilAt = toAt, reason, cause, ordinal, recordedAt, seq } = event;
    const { isCountLeast = false } = event;
    if (ordinal !== undefined || cause !== "time") return of.decidedTo;
    const first = (Math.floor(of.decidedTo / everyMs) + 1) * everyMs;
    const last = Math.floor(untilAt / everyMs) * everyMs;
    const isWhole = toAt === last || (isCountLeast && toAt < last);
    if (fromAt !== first || !isWhole || count !== (toAt - first) / everyMs + 1)
      of.violate(
        `event ${seq} skips ${count} from ${fromAt} to ${toAt}, and after ${of.decidedTo} comes ${first}`,
      );
    if (recordedAt < toAt) of.violate(`${toAt} is skipped before it has come`);
    if (reason === "paused" && !of.isPaused) of.violate(`${fromAt} is skipped for a pause that is none`);
    if (reason === "missed" && recordedAt - toAt <= catchUpWindowMs)
      of.violate(`${toAt} is missed within its window`);
    if (reason === "start-refused" || reason === "workflow-id-taken") of.violate(`${fromAt}: ${reason}`);
    return untilAt;
  }

  #judgeAsked(history: readonly Event[], violate: (what: string) => void): void {
    for (const { requestId, answers } of this.#triggers) {
      const made = history.flatMap((event) =>
        event.type === "ScheduleTriggered" && event.requestId === requestId
          ? [event.startedId as string]
          : [],
      );
      const ids = new Set(answers.filter((answer) => answer !== "schedule_busy"));
      if (made.length > 1 || ids.size !== made.length || made.some((id) => !ids.has(id)))
        violate(`${requestId} was answered with ${answers.join()}, and made ${made.join()}`);
    }
    for (const { requestId, fromAt, toAt, counts } of this.#backfills) {
      const asked = history.filter(
        (event) => event.type === "ScheduleBackfillRequested" && event.requestId === requestId,
      );
      const first = Math.ceil(fromAt / everyMs) * everyMs;
      const times = Array.from(
        { length: Math.floor(toAt / everyMs) - first / everyMs + 1 },
        (_, index) => first + index * everyMs,
      );
      if (asked.length !== 1 || counts.some((count) => count !== times.length))
        violate(`${requestId} was told ${counts.join()}, and is there ${asked.length} times`);
      for (const time of times) {
        const starts = history.filter(
          (event) =>
            event.type === "ScheduleTriggered" && event.cause === "backfill" && event.nominalAt === time,
        );
        if (starts.length !== 1) violate(`${time} was filled in ${starts.length} times by ${requestId}`);
      }
    }
  }

  /** Of those that the schedule waits for, none is open beside another. */
  #judgeOverlap(
    started: ReadonlyMap<string, EventOf<"ScheduleTriggered">>,
    violate: (what: string) => void,
  ): void {
    if (this.#overlap === "allow-all") return;
    const watched = this.#runs
      .filter(({ workflowId }) => started.get(workflowId)?.isWatched === true)
      .toSorted((left, right) => left.startedAt - right.startedAt);
    for (const [index, run] of watched.entries()) {
      const next = watched[index + 1];
      if (next !== undefined && next.startedAt < (run.closedAt ?? Number.POSITIVE_INFINITY))
        violate(`${next.workflowId} was begun while ${run.workflowId} was open`);
    }
  }
}
