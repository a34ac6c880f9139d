import type { NewEvent } from "../src/core/codec.ts";
import type { EventBody } from "../src/core/event.ts";
import type { OverlapPolicy } from "../src/core/schedule.ts";
import type { Commit, CommitResult } from "../src/store/contract.ts";
import { SimulationFailure } from "./failure.ts";
import type { Rule } from "./schedule-times.ts";
import { timesOf } from "./schedule-times.ts";

/** What the client asked a schedule to be. */
export interface Asked {
  readonly rule: Rule;
  readonly overlap: OverlapPolicy;
  readonly windowMs: number;
}

interface Known {
  asked: Asked;
  /** Times up to here are decided. */
  decidedTo: number;
  isPaused: boolean;
  readonly open: Map<number, { readonly startedId: string; isEndAsked: boolean }>;
  /** When the last run ended that was waited for. */
  freedAt: number;
  readonly starts: Map<number, { readonly startedId: string; readonly nominalAt: number }>;
  readonly refused: Set<number>;
  isDeleted: boolean;
  segmentLength: number;
}

/** A segment, with what came before it was noticed that it is long. */
const segmentMax = 600;

/**
 * Schedules, from the commits that the store accepted. Each decision is held against the times of its rule and what the schedule was
 * asked to do at the moment when it is made. Written apart from the engine. Throws `SimulationFailure`.
 */
export class ScheduleOracle {
  /** What is asked for under an id, as soon as it is. */
  readonly asked = new Map<string, Asked[]>();
  readonly #schedules = new Map<string, Known>();
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

  committed(commit: Commit, result: CommitResult): void {
    if (!result.ok) return;
    if (commit.run !== undefined)
      for (const event of commit.run.events) this.#event(commit.run.workflowId, event);
    if (commit.start !== undefined)
      for (const event of commit.start.events) this.#event(commit.start.workflowId, event);
  }

  #event(workflowId: string, event: NewEvent): void {
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
      this.#created(workflowId, event);
      return;
    }
    if (known === undefined) throw new SimulationFailure("schedule-unknown", `${workflowId}: ${event.type}`);
    known.segmentLength += 1;
    // I-32: however long it lives, its history does not.
    if (known.segmentLength > segmentMax)
      throw new SimulationFailure("schedule-segment", `${workflowId} has ${known.segmentLength} events`);
    this.#decided(workflowId, known, event);
  }

  #created(workflowId: string, event: NewEvent & { readonly type: "ScheduleCreated" }): void {
    const [asked] = this.asked.get(workflowId) ?? [];
    const before = this.#schedules.get(workflowId);
    if (asked === undefined || (before !== undefined && !before.isDeleted))
      throw new SimulationFailure("schedule-made-twice", workflowId);
    if (before !== undefined) this.#settled(workflowId, before);
    this.#schedules.set(workflowId, {
      asked,
      decidedTo: event.recordedAt,
      isPaused: event.isPaused === true,
      open: new Map(),
      freedAt: Number.NEGATIVE_INFINITY,
      starts: new Map(),
      refused: new Set(),
      isDeleted: false,
      segmentLength: 2,
    });
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
          if (lateMs > known.asked.windowMs + jitterMsMax) fail("schedule-late", "it is beyond its window");
          if (isWatched !== (overlap !== "allow-all")) fail("schedule-watch", "its end is not waited for");
          known.decidedTo = nominalAt;
          this.counts.started += 1;
        } else if (cause === "trigger") this.counts.triggered += 1;
        else this.counts.backfilled += 1;
        if (isWatched && overlap !== "allow-all" && known.open.size > 0)
          fail("schedule-overlap", "another run of it is open");
        if (known.starts.has(ordinal)) fail("schedule-ordinal", "its ordinal was used before");
        known.starts.set(ordinal, { startedId, nominalAt });
        if (isWatched) known.open.set(ordinal, { startedId, isEndAsked: false });
        return;
      }
      case "ScheduleSkipped":
        if (event.ordinal === undefined) this.#skipped(workflowId, known, event);
        else {
          known.refused.add(event.ordinal);
          this.#free(known, event.ordinal, event.recordedAt);
          this.counts.refused += 1;
        }
        return;
      case "ScheduleUpdated": {
        this.#demandNone(workflowId, known, event.fromAt, event);
        known.decidedTo = Math.max(known.decidedTo, event.fromAt);
        const all = this.asked.get(workflowId) ?? [];
        const index = all.indexOf(known.asked);
        known.asked = all[index + 1] ?? fail("schedule-update", "nobody asked for that");
        return;
      }
      case "SchedulePaused":
        known.isPaused = true;
        return;
      case "ScheduleResumed":
        this.#demandNone(workflowId, known, event.fromAt, event);
        known.decidedTo = Math.max(known.decidedTo, event.fromAt);
        known.isPaused = false;
        return;
      case "ScheduleDeleted":
        known.isDeleted = true;
        return;
      case "ChildWorkflowCancelRequested": {
        const open = known.open.get(event.ordinal);
        if (open === undefined || open.isEndAsked)
          return fail("schedule-cancel", "it is not open, or was told");
        open.isEndAsked = true;
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
    if (recordedAt < toAt) fail("it is skipped before its time");
    const hasWaited = known.open.size > 0 || fromAt < known.freedAt;
    const isEnding = ["cancel-other", "terminate-other", "buffer-one"].includes(known.asked.overlap);
    if (reason === "paused" && !known.isPaused) fail("it is not paused");
    if (reason === "overlap" && !hasWaited && !isEnding) fail("nothing is open");
    if (
      reason === "missed" &&
      recordedAt - Math.max(toAt, hasWaited ? known.freedAt : toAt) <= known.asked.windowMs
    )
      fail("it is within its window");
    known.decidedTo = Math.max(known.decidedTo, untilAt);
    this.counts.skipped += count;
    this.counts.skips += 1;
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
    for (const [workflowId, known] of this.#schedules) {
      if (!known.isDeleted) throw new SimulationFailure("schedule-not-deleted", workflowId);
      this.#settled(workflowId, known);
    }
  }

  /** An id is free again when retention has deleted its run: then a backfill may start its time once more. */
  #settled(workflowId: string, { starts, refused }: Known): void {
    const made = new Map<string, number>();
    for (const [ordinal, { startedId }] of starts)
      if (!refused.has(ordinal)) made.set(startedId, (made.get(startedId) ?? 0) + 1);
    for (const [startedId, count] of made) {
      const begun = this.#begun.get(startedId) ?? 0;
      if (begun !== count)
        throw new SimulationFailure(
          "schedule-start",
          `${workflowId}: ${count} starts of ${startedId} made ${begun} runs`,
        );
    }
  }

  /** Whether a workflow of that id was begun, or is to be. */
  isStarted(scheduleId: string, startedId: string): boolean {
    const known = this.#schedules.get(`aion.schedule:${scheduleId}`);
    return [...(known?.starts.values() ?? [])].some((start) => start.startedId === startedId);
  }
}

/** What the world gives its schedules at most. */
export const jitterMsMax = 5 * 60_000;
