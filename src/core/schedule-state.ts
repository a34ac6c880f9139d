import { AionError } from "./errors.ts";
import type { Event, EventOf, EventType } from "./event.ts";
import type { RunId } from "./ids.ts";
import type { Payload } from "./payload.ts";
import { fromPayload } from "./payload.ts";
import type {
  BackfillRange,
  ScheduleActionRecord,
  ScheduleConfig,
  ScheduleSnapshot,
  SkipCounts,
  WatchedRun,
} from "./schedule.ts";

/** A request that was carried out: what it was answered, and the event that it became (unknown of those that earlier versions carried on). */
export interface AnsweredRequest {
  readonly answer: string;
  readonly type: EventType | undefined;
}

const recentMax = 20;
const requestsMax = 200;

/**
 * What a schedule's coordinator knows: a projection of its events, with no other source. The engine decides from it and the time alone
 * what comes next.
 *
 * Law: what is up to `cursorAt` is decided, and nothing after it is.
 */
export class ScheduleState {
  readonly #incarnation: RunId;
  #snapshot: ScheduleSnapshot | undefined;
  #isDeleted = false;
  readonly #running = new Map<number, WatchedRun>();
  #backfills: BackfillRange[] = [];
  readonly #recent: ScheduleActionRecord[] = [];
  readonly #requests = new Map<string, AnsweredRequest>();

  private constructor(incarnation: RunId) {
    this.#incarnation = incarnation;
  }

  /** Of the first event of a coordinator's run. */
  static of({ runId, input }: EventOf<"WorkflowStarted">): ScheduleState {
    const carried = readSnapshot(input);
    const state = new ScheduleState(carried?.incarnation ?? runId);
    if (carried === undefined) return state;
    state.#snapshot = carried;
    for (const run of carried.running) state.#running.set(run.ordinal, { ...run });
    state.#backfills = carried.backfills.map((range) => ({ ...range }));
    state.#recent.push(...carried.recent);
    for (const [id, answer, type] of carried.requests) state.#requests.set(id, { answer, type });
    return state;
  }

  /** For the next run of the coordinator. */
  toSnapshot(): ScheduleSnapshot {
    return {
      ...this.#known,
      running: [...this.#running.values()].map((run) => ({ ...run })),
      backfills: this.#backfills.map((range) => ({ ...range })),
      recent: [...this.#recent],
      requests: [...this.#requests].map(([id, { answer, type }]) =>
        type === undefined ? [id, answer] : [id, answer, type],
      ),
    };
  }

  /** False: it has begun, and nothing says yet what it is to do. */
  get isCreated(): boolean {
    return this.#snapshot !== undefined;
  }

  get isDeleted(): boolean {
    return this.#isDeleted;
  }

  get scheduleId(): string {
    return this.#known.scheduleId;
  }

  get incarnation(): RunId {
    return this.#incarnation;
  }

  get config(): ScheduleConfig {
    return this.#known.config;
  }

  /** Of what is started. */
  get input(): Payload {
    return this.#known.input;
  }

  get createdAt(): number {
    return this.#known.createdAt;
  }

  get updatedAt(): number | undefined {
    return this.#known.updatedAt;
  }

  get paused(): ScheduleSnapshot["paused"] {
    return this.#known.paused;
  }

  get cursorAt(): number {
    return this.#known.cursorAt;
  }

  get skipUntilAt(): number {
    return this.#known.skipUntilAt ?? Number.NEGATIVE_INFINITY;
  }

  get freedAt(): number {
    return this.#known.freedAt ?? Number.NEGATIVE_INFINITY;
  }

  get actionsLeft(): number | undefined {
    return this.#known.actionsLeft;
  }

  get nextOrdinal(): number {
    return this.#known.nextOrdinal;
  }

  get startedCount(): number {
    return this.#known.startedCount;
  }

  get skippedCount(): number {
    return this.#known.skippedCount;
  }

  get skippedFor(): SkipCounts {
    return this.#known.skippedFor ?? {};
  }

  /** Starts whose end the coordinator waits for. */
  get running(): ReadonlyMap<number, WatchedRun> {
    return this.#running;
  }

  get backfills(): readonly BackfillRange[] {
    return this.#backfills;
  }

  /** The latest last. */
  get recent(): readonly ScheduleActionRecord[] {
    return this.#recent;
  }

  /** What became of the request; `undefined`: it was not carried out, or long ago. */
  answerTo(requestId: string | undefined): AnsweredRequest | undefined {
    return requestId === undefined ? undefined : this.#requests.get(requestId);
  }

  get #known(): ScheduleSnapshot {
    if (this.#snapshot === undefined)
      throw new AionError("history_shape", "a schedule has no ScheduleCreated in its history");
    return this.#snapshot;
  }

  #set(change: Partial<ScheduleSnapshot>): void {
    this.#snapshot = { ...this.#known, ...change };
  }

  /** Takes the next event. Throws `history_shape` for one that no coordinator writes at this place. */
  apply(event: Event): void {
    switch (event.type) {
      case "ScheduleCreated": {
        if (this.#snapshot !== undefined) throw shape(event, "the schedule has been created before it");
        const { scheduleId, config, input, note, isPaused, recordedAt } = event;
        this.#snapshot = {
          scheduleId,
          incarnation: this.#incarnation,
          config,
          input,
          createdAt: recordedAt,
          ...(isPaused === true
            ? { paused: { at: recordedAt, ...(note === undefined ? {} : { note }) } }
            : {}),
          cursorAt: recordedAt,
          ...(config.actionsMax === undefined ? {} : { actionsLeft: config.actionsMax }),
          nextOrdinal: 1,
          running: [],
          backfills: [],
          startedCount: 0,
          skippedCount: 0,
          recent: [],
          requests: [],
        };
        this.#answer(event, "");
        return;
      }
      case "ScheduleUpdated": {
        // What has waited has been decided by now; by a clock that was set back since, times of the new rule would seem to have, too.
        const { actionsLeft: _left, skipUntilAt: _skip, freedAt: _freed, ...rest } = this.#known;
        const { config, input, fromAt, recordedAt } = event;
        this.#snapshot = {
          ...rest,
          config,
          input,
          updatedAt: recordedAt,
          cursorAt: Math.max(rest.cursorAt, fromAt),
          ...(config.actionsMax === undefined ? {} : { actionsLeft: config.actionsMax }),
        };
        this.#answer(event, "");
        return;
      }
      case "SchedulePaused": {
        const { note, recordedAt } = event;
        const at = this.#known.paused?.at ?? recordedAt;
        this.#set({ paused: { at, ...(note === undefined ? {} : { note }) } });
        this.#answer(event, "");
        return;
      }
      case "ScheduleResumed": {
        const { paused: _paused, ...rest } = this.#known;
        // The clock may have been set back: what is decided stays so.
        this.#snapshot = { ...rest, cursorAt: Math.max(rest.cursorAt, event.fromAt) };
        this.#answer(event, "");
        return;
      }
      case "ScheduleTriggered":
        this.#trigger(event);
        return;
      case "ScheduleSkipped":
        this.#skip(event);
        return;
      case "ScheduleBackfillRequested": {
        const { fromAt, toAt, overlap, count } = event;
        this.#backfills.push({ cursorAt: fromAt - 1, toAt, overlap });
        this.#answer(event, String(count));
        return;
      }
      case "ScheduleDeleted":
        this.#isDeleted = true;
        this.#answer(event, "");
        return;
      case "ChildWorkflowCancelRequested":
        this.#runOf(event).isEndAsked = true;
        return;
      case "ChildWorkflowCompleted":
      case "ChildWorkflowFailed":
      case "ChildWorkflowCancelled":
      case "ChildWorkflowTimedOut":
      case "ChildWorkflowTerminated":
        this.#runOf(event);
        this.#free(event.ordinal, event.recordedAt);
        return;
      case "WorkflowCompleted":
      case "WorkflowFailed":
      case "WorkflowTerminated":
      case "WorkflowContinuedAsNew":
        return;
      default:
        throw shape(event, "a schedule has no such event");
    }
  }

  #trigger(event: EventOf<"ScheduleTriggered">): void {
    const { ordinal, nominalAt, startedId, cause, isWatched, hasWaited, recordedAt } = event;
    const { actionsLeft, startedCount } = this.#known;
    const isTime = cause === "time";
    this.#set({
      nextOrdinal: ordinal + 1,
      startedCount: startedCount + 1,
      ...(isTime ? { cursorAt: nominalAt } : {}),
      ...(isTime && actionsLeft !== undefined ? { actionsLeft: actionsLeft - 1 } : {}),
      ...(hasWaited === true ? { skipUntilAt: recordedAt - 1 } : {}),
    });
    if (isWatched)
      this.#running.set(ordinal, {
        ordinal,
        workflowId: startedId,
        nominalAt,
        triggeredAt: recordedAt,
        isEndAsked: false,
      });
    if (cause === "backfill") this.#fill(nominalAt);
    this.#note({ at: recordedAt, nominalAt, outcome: "started", workflowId: startedId, cause });
    this.#answer(event, startedId);
  }

  /** The first range is the one that is filled. One that has no further time ends with its last. */
  #fill(nominalAt: number): void {
    const range = this.#backfills[0];
    if (range === undefined) return;
    range.cursorAt = nominalAt;
    if (nominalAt >= range.toAt) this.#backfills.shift();
  }

  #skip(event: EventOf<"ScheduleSkipped">): void {
    const { ordinal, fromAt, toAt, reason, count, untilAt, recordedAt } = event;
    const { skippedCount, skippedFor = {} } = this.#known;
    const more = ordinal === undefined ? count : 1;
    this.#set({
      skippedCount: skippedCount + more,
      skippedFor: { ...skippedFor, [reason]: (skippedFor[reason] ?? 0) + more },
    });
    if (ordinal === undefined) {
      if (event.cause === "backfill") this.#backfills.shift();
      else this.#set({ cursorAt: Math.max(this.#known.cursorAt, untilAt ?? toAt) });
      if (count > 0) this.#note({ at: recordedAt, nominalAt: fromAt, untilAt: toAt, count, outcome: reason });
      return;
    }
    // It had been decided to start it, and it could not be.
    this.#set({ startedCount: this.#known.startedCount - 1 });
    const run = this.#running.get(ordinal);
    if (run !== undefined) this.#free(ordinal, recordedAt);
    this.#note({
      at: recordedAt,
      nominalAt: fromAt,
      outcome: reason,
      ...(event.startedId === undefined ? {} : { workflowId: event.startedId }),
    });
  }

  #free(ordinal: number, at: number): void {
    this.#running.delete(ordinal);
    if (this.#running.size === 0) this.#set({ freedAt: at });
  }

  #runOf(event: Event & { readonly ordinal: number }): WatchedRun {
    const run = this.#running.get(event.ordinal);
    if (run === undefined) throw shape(event, `start #${event.ordinal} is not open`);
    return run;
  }

  #note(record: ScheduleActionRecord): void {
    this.#recent.push(record);
    if (this.#recent.length > recentMax) this.#recent.shift();
  }

  #answer({ requestId, type }: Event & { readonly requestId?: string }, answer: string): void {
    if (requestId === undefined) return;
    this.#requests.set(requestId, { answer, type });
    if (this.#requests.size <= requestsMax) return;
    const [first] = this.#requests.keys();
    if (first !== undefined) this.#requests.delete(first);
  }
}

/** `null` is the input of a coordinator that begins. */
function readSnapshot(input: Payload): ScheduleSnapshot | undefined {
  // What `toSnapshot` gave: an engine alone begins coordinators.
  return (fromPayload(input) as ScheduleSnapshot | null) ?? undefined;
}

function shape(event: Event, what: string): AionError {
  return new AionError(
    "history_shape",
    `workflow ${event.workflowId}, event ${event.seq} (${event.type}): ${what}`,
    { details: { workflowId: event.workflowId, seq: event.seq } },
  );
}
