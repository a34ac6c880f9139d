import type { NewEvent } from "../src/core/codec.ts";
import type { EventBody } from "../src/core/event.ts";
import type { OverlapPolicy } from "../src/core/schedule.ts";
import type { Message } from "../src/core/message.ts";
import type { Commit, CommitResult } from "../src/store/contract.ts";
import { SimulationFailure } from "./failure.ts";
import type { Rule } from "./schedule-times.ts";
import { timesOf } from "./schedule-times.ts";

/** What the client asked a schedule to be. */
export interface Asked {
  readonly rule: Rule;
  readonly overlap: OverlapPolicy;
  readonly windowMs: number;
  /** Its times start late by so much at most. */
  readonly jitterMs: number;
}

interface Known {
  readonly incarnation: string;
  asked: Asked;
  /** Times up to here are decided. */
  decidedTo: number;
  isPaused: boolean;
  readonly open: Map<number, { readonly startedId: string; isEndAsked: boolean }>;
  /** When the last run ended that was waited for. */
  freedAt: number;
  /** The latest time by the clock at which something of it was recorded. */
  reachedAt: number;
  /** When it was resumed last, or changed. */
  resumedAt: number;
  readonly starts: Map<number, { readonly scheduleId: string; readonly startedId: string }>;
  /** Starts of which its coordinator was told that they could not be made. */
  readonly refused: Set<number>;
  /** What became of calls, by the id of the request: for triggers, what was started. */
  readonly answers: Map<string, string>;
  isDeleted: boolean;
  /** Its coordinator has ended. */
  isOver: boolean;
  segmentLength: number;
}

/** A segment, with what came before it was noticed that it is long. */
const segmentMax = 600;
/** How often an engine looks at the clock, in case it was set. I-29 */
const lateMsMax = 31_000;

/**
 * Schedules, from the commits that the store accepted. Each decision is held against the times of its rule and what the schedule was
 * asked to do at the moment when it is made. Written apart from the engine. Throws `SimulationFailure`.
 */
export class ScheduleOracle {
  /** What is asked for, by the id of the request, as soon as it is. */
  readonly asked = new Map<string, Asked>();
  /** By the workflow id of their coordinators, the latest of each. */
  readonly #schedules = new Map<string, Known>();
  /** All that there ever were, by the first runs of their coordinators. */
  readonly #incarnations = new Map<string, Known>();
  readonly #isSteadyFor: (ms: number) => boolean;
  readonly #note: (what: ScheduleRemark) => void;
  /** Workflow ids that schedules started. */
  readonly #begun = new Map<string, number>();
  readonly counts = {
    started: 0,
    skipped: 0,
    skips: 0,
    triggered: 0,
    backfilled: 0,
    refused: 0,
    segments: 0,
  };

  constructor(
    of: {
      /** For so long the engine that is at work now has been, and nothing went wrong. */
      readonly isSteadyFor?: (ms: number) => boolean;
      readonly note?: (what: ScheduleRemark) => void;
    } = {},
  ) {
    this.#isSteadyFor = of.isSteadyFor ?? (() => false);
    this.#note = of.note ?? (() => undefined);
  }

  committed({ run, start, send = [] }: Commit, result: CommitResult): void {
    if (!result.ok) return;
    for (const { message } of send) if (message.kind === "scheduled-refused") this.#refused(message);
    let startCount = send.filter(({ message }) => message.kind === "start-scheduled").length;
    for (const part of [run, start]) {
      if (part === undefined) continue;
      const { workflowId, events, wakeAt } = part;
      for (const event of events) {
        if (event.type === "ScheduleTriggered") startCount -= 1;
        this.#event(workflowId, event, start?.runId);
      }
      // Of one that goes on as a new segment, the row of that tells.
      if (!events.some(({ type }) => type === "WorkflowContinuedAsNew")) this.#checkRow(workflowId, wakeAt);
    }
    // I-3, I-32
    if (startCount !== 0)
      throw new SimulationFailure("schedule-start", `${startCount} more starts are sent than are recorded`);
  }

  /** I-34: each start is refused once, whether or not somebody is there to hear it. */
  #refused({ runId, ordinal, startedId }: Message & { readonly kind: "scheduled-refused" }): void {
    const known = this.#incarnations.get(runId);
    if (known?.starts.get(ordinal)?.startedId !== startedId || known.refused.has(ordinal))
      throw new SimulationFailure(
        "schedule-refusal",
        `${startedId} was not to be started, or refused before`,
      );
    known.refused.add(ordinal);
    this.#note("start of a schedule refused");
  }

  /** I-29: the row tells when its next time is due. */
  #checkRow(workflowId: string, wakeAt: number | null): void {
    const known = this.#schedules.get(workflowId);
    if (known === undefined || known.isOver || known.isPaused) return;
    if (known.asked.overlap !== "allow-all" && known.open.size > 0) return;
    const { rule, jitterMs } = known.asked;
    const [next] = timesOf(rule, known.decidedTo, known.decidedTo + gapMsOf(rule));
    if (next !== undefined && (wakeAt === null || wakeAt > next + jitterMs))
      throw new SimulationFailure(
        "lost-wake-up",
        `${workflowId}: ${next} is its next time, and its row says ${wakeAt}`,
      );
  }

  #event(workflowId: string, event: NewEvent, begunRunId: string | undefined): void {
    if (!workflowId.startsWith("aion.schedule:")) {
      if (
        event.type === "WorkflowStarted" &&
        event.scheduled !== undefined &&
        event.continuedFrom === undefined &&
        event.resetOf === undefined
      )
        this.#begun.set(workflowId, (this.#begun.get(workflowId) ?? 0) + 1);
      return;
    }
    const known = this.#schedules.get(workflowId);
    if (event.type === "WorkflowStarted") {
      if (event.continuedFrom === undefined) return;
      this.counts.segments += 1;
      if (known !== undefined) known.segmentLength = 1;
      return;
    }
    if (event.type === "ScheduleCreated") {
      this.#created(workflowId, event, begunRunId ?? "none");
      return;
    }
    if (known === undefined) throw new SimulationFailure("schedule-unknown", `${workflowId}: ${event.type}`);
    known.segmentLength += 1;
    // I-32: however long it lives, its history does not.
    if (known.segmentLength > segmentMax)
      throw new SimulationFailure("schedule-segment", `${workflowId} has ${known.segmentLength} events`);
    const { requestId } = event as { readonly requestId?: string };
    if (requestId !== undefined) {
      // I-3
      if (known.answers.has(requestId))
        throw new SimulationFailure("schedule-request", `${workflowId}: ${requestId} was carried out before`);
      known.answers.set(requestId, event.type === "ScheduleTriggered" ? event.startedId : "");
    }
    known.reachedAt = Math.max(known.reachedAt, event.recordedAt);
    this.#decided(workflowId, known, event);
  }

  #created(
    workflowId: string,
    event: NewEvent & { readonly type: "ScheduleCreated" },
    incarnation: string,
  ): void {
    const { requestId = "" } = event;
    const asked = this.asked.get(requestId);
    const before = this.#schedules.get(workflowId);
    if (asked === undefined || (before !== undefined && !before.isDeleted))
      throw new SimulationFailure("schedule-made-twice", workflowId);
    const known: Known = {
      incarnation,
      asked,
      decidedTo: event.recordedAt,
      isPaused: event.isPaused === true,
      open: new Map(),
      freedAt: Number.NEGATIVE_INFINITY,
      reachedAt: event.recordedAt,
      resumedAt: Number.NEGATIVE_INFINITY,
      starts: new Map(),
      refused: new Set(),
      answers: new Map([[requestId, ""]]),
      isDeleted: false,
      isOver: false,
      segmentLength: 2,
    };
    this.#schedules.set(workflowId, known);
    this.#incarnations.set(incarnation, known);
  }

  #decided(workflowId: string, known: Known, event: NewEvent): void {
    const fail = (kind: string, why: string): never => {
      throw new SimulationFailure(kind, `${workflowId}: ${why} (${JSON.stringify(event)})`);
    };
    const { overlap } = known.asked;
    switch (event.type) {
      case "ScheduleTriggered": {
        const { nominalAt, ordinal, startedId, cause, isWatched, recordedAt } = event;
        if (cause === "time") {
          this.#demandNext(workflowId, known, nominalAt, event);
          // I-28
          if (recordedAt < nominalAt) fail("schedule-early", "it starts before its time");
          // I-33
          if (known.isPaused) fail("schedule-paused", "it starts, and is paused");
          const lateMs =
            recordedAt - Math.max(nominalAt, nominalAt < known.freedAt ? known.freedAt : nominalAt);
          if (lateMs > known.asked.windowMs + known.asked.jitterMs)
            fail("schedule-late", "it is beyond its window");
          this.#demandPunctual(workflowId, lateMs - known.asked.jitterMs, event);
          if (isWatched !== (overlap !== "allow-all")) fail("schedule-watch", "its end is not waited for");
          known.decidedTo = nominalAt;
          this.counts.started += 1;
        } else if (cause === "trigger") this.counts.triggered += 1;
        else this.counts.backfilled += 1;
        if (isWatched && overlap !== "allow-all" && known.open.size > 0)
          fail("schedule-overlap", "another run of it is open");
        if (known.starts.has(ordinal)) fail("schedule-ordinal", "its ordinal was used before");
        this.#note("schedule started a run");
        known.starts.set(ordinal, { scheduleId: workflowId.slice(coordinatorOf("").length), startedId });
        if (isWatched) known.open.set(ordinal, { startedId, isEndAsked: false });
        return;
      }
      case "ScheduleSkipped":
        if (event.ordinal === undefined) this.#skipped(workflowId, known, event);
        else {
          if (!known.refused.has(event.ordinal)) fail("schedule-refusal", "nobody has refused it");
          this.#free(known, event.ordinal, event.recordedAt);
          this.counts.refused += 1;
        }
        return;
      case "ScheduleUpdated": {
        this.#demandNone(workflowId, known, event.fromAt, event);
        known.decidedTo = Math.max(known.decidedTo, event.fromAt);
        known.asked =
          this.asked.get(event.requestId ?? "") ?? fail("schedule-update", "nobody asked for that");
        known.resumedAt = event.recordedAt;
        known.freedAt = Number.NEGATIVE_INFINITY;
        return;
      }
      case "SchedulePaused":
        known.isPaused = true;
        return;
      case "ScheduleResumed": {
        const decidedBefore = known.decidedTo;
        this.#demandNone(workflowId, known, event.fromAt, event);
        known.decidedTo = Math.max(known.decidedTo, event.fromAt);
        if (known.isPaused) known.resumedAt = event.recordedAt;
        else if (event.fromAt > decidedBefore)
          fail("schedule-resumed", "it decides on times, and was not paused");
        known.isPaused = false;
        return;
      }
      case "ScheduleDeleted":
        if (known.isDeleted) fail("schedule-deleted", "it was before");
        if (known.open.size > 0) this.#note("schedule deleted with a run of it open");
        known.isDeleted = true;
        return;
      case "WorkflowCompleted":
        if (!known.isDeleted) fail("schedule-over", "it is not deleted");
        known.isOver = true;
        return;
      case "WorkflowFailed":
      case "WorkflowCancelled":
      case "WorkflowTerminated":
      case "WorkflowTimedOut":
        return fail("schedule-over", "it ends though nobody deleted it");
      case "ChildWorkflowCancelRequested": {
        const open = known.open.get(event.ordinal);
        if (open === undefined || open.isEndAsked)
          return fail("schedule-cancel", "it is not open, or was told");
        if (overlap !== "cancel-other" && overlap !== "terminate-other")
          fail("schedule-cancel", `it is not to be ended, the overlap being ${overlap}`);
        open.isEndAsked = true;
        this.#note("run of a schedule told to end for the next one");
        return;
      }
      case "ChildWorkflowCompleted":
      case "ChildWorkflowFailed":
      case "ChildWorkflowCancelled":
      case "ChildWorkflowTimedOut":
      case "ChildWorkflowTerminated":
        if (!known.open.has(event.ordinal)) fail("schedule-second-end", "it is not open");
        this.#free(known, event.ordinal, event.recordedAt);
        return;
      default:
        return;
    }
  }

  #skipped(workflowId: string, known: Known, event: NewEvent & { readonly type: "ScheduleSkipped" }): void {
    const { fromAt, toAt, count, isCountLeast, untilAt = toAt, reason, cause, recordedAt } = event;
    if (cause !== "time") return;
    const fail = (why: string): never => {
      throw new SimulationFailure("schedule-skip", `${workflowId}: ${why} (${JSON.stringify(event)})`);
    };
    const times = timesOf(known.asked.rule, known.decidedTo, untilAt);
    const isCounted = isCountLeast === true ? count <= times.length : count === times.length;
    if (times[0] !== fromAt || times[count - 1] !== toAt || !isCounted)
      fail(`its times are ${times.length} from ${times[0]} to ${times.at(-1)}`);
    // By the clock of the moment, or by what it was: it may have been set back since.
    if (known.reachedAt < toAt) fail("it is skipped before its time");
    // Where all may overlap none waits, though a run of before the rule was changed is watched still.
    const hasWaited = known.asked.overlap !== "allow-all" && (known.open.size > 0 || fromAt < known.freedAt);
    const isEnding = ["cancel-other", "terminate-other", "buffer-one"].includes(known.asked.overlap);
    if (reason === "paused" && !known.isPaused) fail("it is not paused");
    if (reason === "overlap" && !hasWaited && !isEnding) fail("nothing is open");
    if (
      reason === "missed" &&
      recordedAt - Math.max(toAt, hasWaited ? known.freedAt : toAt) <= known.asked.windowMs
    )
      fail("it is within its window");
    if (!hasWaited && ["missed", "deleted", "updated"].includes(reason))
      this.#demandPunctual(
        workflowId,
        recordedAt - Math.max(fromAt, known.resumedAt) - known.asked.jitterMs,
        event,
      );
    known.decidedTo = Math.max(known.decidedTo, untilAt);
    this.counts.skipped += count;
    this.counts.skips += 1;
    this.#note("times of a schedule skipped");
  }

  /** I-28, I-29: by the clock of an engine that has owned the store for so long, and while nothing goes wrong. */
  #demandPunctual(workflowId: string, lateMs: number, event: NewEvent): void {
    if (lateMs > lateMsMax && this.#isSteadyFor(lateMs))
      throw new SimulationFailure(
        "schedule-unpunctual",
        `${workflowId}: it is ${lateMs} ms late (${JSON.stringify(event)})`,
      );
  }

  #free(known: Known, ordinal: number, at: number): void {
    known.open.delete(ordinal);
    if (known.open.size === 0) known.freedAt = at;
  }

  /** I-32: nothing lies between what is decided and what is decided on now. */
  #demandNext(workflowId: string, known: Known, nominalAt: number, event: EventBody): void {
    const times = timesOf(known.asked.rule, known.decidedTo, nominalAt);
    if (times.length === 1 && times[0] === nominalAt) return;
    throw new SimulationFailure(
      "schedule-time",
      `${workflowId}: ${nominalAt} is started, and after ${known.decidedTo} come ${times.join()} (${JSON.stringify(event)})`,
    );
  }

  #demandNone(workflowId: string, known: Known, untilAt: number, event: EventBody): void {
    const [lost] = timesOf(known.asked.rule, known.decidedTo, untilAt);
    if (lost !== undefined)
      throw new SimulationFailure("schedule-lost", `${workflowId}: ${lost} (${JSON.stringify(event)})`);
  }

  /** I-3, I-32: when all is over, what was decided has been done, once. */
  judge(): void {
    // An id is free again when retention has deleted its run: then a backfill may start its time once more.
    const made = new Map<string, number>();
    for (const { isOver, incarnation, starts, refused } of this.#incarnations.values()) {
      if (!isOver) throw new SimulationFailure("schedule-not-deleted", incarnation);
      for (const [ordinal, { startedId }] of starts)
        if (!refused.has(ordinal)) made.set(startedId, (made.get(startedId) ?? 0) + 1);
    }
    for (const startedId of new Set([...made.keys(), ...this.#begun.keys()])) {
      const [count, begun] = [made.get(startedId) ?? 0, this.#begun.get(startedId) ?? 0];
      if (begun !== count)
        throw new SimulationFailure("schedule-start", `${count} starts of ${startedId} made ${begun} runs`);
    }
  }

  /** Whether a workflow of that id was begun, or is to be. */
  isStarted(scheduleId: string, startedId: string): boolean {
    return [...this.#incarnations.values()].some(({ starts }) =>
      [...starts.values()].some((start) => start.startedId === startedId && start.scheduleId === scheduleId),
    );
  }

  /** The schedule, as its latest coordinator knows it. */
  latest(scheduleId: string): KnownSchedule | undefined {
    return this.#schedules.get(coordinatorOf(scheduleId));
  }

  /** What was recorded for a request; `undefined`: nothing was. */
  answerTo(requestId: string): string | undefined {
    for (const { answers } of this.#incarnations.values()) {
      const answer = answers.get(requestId);
      if (answer !== undefined) return answer;
    }
    return undefined;
  }

  /** Ids of schedules that are there. */
  get live(): readonly string[] {
    return [...this.#schedules].flatMap(([workflowId, { isDeleted }]) =>
      isDeleted ? [] : [workflowId.slice(coordinatorOf("").length)],
    );
  }
}

export type KnownSchedule = Pick<Readonly<Known>, "isDeleted" | "starts" | "refused">;

/** What happens sometimes. */
export type ScheduleRemark =
  | "schedule started a run"
  | "times of a schedule skipped"
  | "start of a schedule refused"
  | "schedule deleted with a run of it open"
  | "run of a schedule told to end for the next one";

export function coordinatorOf(scheduleId: string): string {
  return `aion.schedule:${scheduleId}`;
}

/** No two times in a row are further apart. */
function gapMsOf(rule: Rule): number {
  return rule.kind === "interval" ? rule.everyMs : 2 * 86_400_000;
}
