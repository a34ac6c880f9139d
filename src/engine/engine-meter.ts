import { isAionError } from "../core/errors.ts";
import { defaultTaskQueue } from "../core/event.ts";
import type { EventBody } from "../core/event.ts";
import { engineQueue, noMeter } from "../core/metrics.ts";
import type { Meter } from "../core/ports.ts";
import type { RunStatus } from "../core/status.ts";
import { statusAfter } from "../core/status.ts";
import type { RunState } from "../replay/run-state.ts";
import type { Commit, CommitResult, StartCommit, Store } from "../store/contract.ts";
import type { BlockedRuns } from "./blocked-runs.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Feed } from "./feed.ts";
import type { KernelOptions } from "./kernel-options.ts";
import type { Mailbox } from "./mailbox.ts";
import { ParkedTally } from "./parked.ts";
import type { Residency } from "./residency.ts";
import type { Batch } from "./batch.ts";
import type { WakeQueue } from "./wake-queue.ts";
import type { Workers } from "./workers.ts";

/** What an event closes, as it was before: afterwards nobody knows it any more. */
export interface Measure {
  /** The activity's; of a timer, empty. */
  readonly activityType: string;
  readonly taskQueue: string;
  /** `undefined`: it cannot be told. */
  readonly seconds: number | undefined;
}

interface Metered {
  readonly store: Pick<Store, "count" | "list">;
  readonly residency: Residency;
  readonly blocked: BlockedRuns;
  readonly dispatcher: Dispatcher;
  readonly workers: Workers;
  readonly mailbox: Mailbox;
  readonly feed: Feed;
  readonly wakes: WakeQueue;
  readonly options: Pick<KernelOptions, "catalog">;
  now(): number;
}

/**
 * What the engine counts. Owner: the kernel.
 *
 * Law: what histories tell is counted when the commit that tells it is known to be on disk, and never otherwise; so neither a replay
 * nor a commit that is tried again counts anything twice.
 */
export class EngineMeter {
  readonly #meter: Meter;
  readonly #runsStarted;
  readonly #runsEnded;
  readonly #runsReopened;
  readonly #runDuration;
  readonly #events;
  readonly #activitiesScheduled;
  readonly #activitiesEnded;
  readonly #attemptsStarted;
  readonly #attemptsEnded;
  readonly #retries;
  readonly #execution;
  readonly #scheduleToStart;
  readonly #activation;
  readonly #commit;
  readonly #commitFailures;
  readonly #timersStarted;
  readonly #timersFired;
  readonly #timerLateness;
  readonly #signals;
  readonly #scheduleStarts;
  readonly #scheduleSkips;
  readonly #updatesAccepted;
  readonly #updatesEnded;
  readonly #updatesRefused;
  readonly #updateSeconds;
  readonly #messagesSent;
  readonly #messagesDelivered;
  readonly #replays;
  readonly #replaySeconds;
  readonly #replayEvents;
  readonly #evicted;
  readonly #crashes;
  readonly #violations;
  readonly #recovered;
  readonly #stops;
  readonly #workersGone;
  readonly #repeats;
  readonly #historiesLong;
  readonly #signalsRefused;
  readonly #parkedCounter;
  readonly #parked = new ParkedTally();
  #recoverySeconds = 0;
  #stopCollecting: () => void = () => undefined;

  constructor(meter: Meter = noMeter) {
    this.#meter = meter;
    this.#runsStarted = meter.counter("aion_runs_started_total");
    this.#runsEnded = meter.counter("aion_runs_ended_total");
    this.#runsReopened = meter.counter("aion_runs_reopened_total");
    this.#runDuration = meter.histogram("aion_run_duration_seconds");
    this.#events = meter.counter("aion_events_appended_total");
    this.#activitiesScheduled = meter.counter("aion_activities_scheduled_total");
    this.#activitiesEnded = meter.counter("aion_activities_ended_total");
    this.#attemptsStarted = meter.counter("aion_activity_attempts_started_total");
    this.#attemptsEnded = meter.counter("aion_activity_attempts_ended_total");
    this.#retries = meter.counter("aion_activity_retries_total");
    this.#execution = meter.histogram("aion_activity_execution_seconds");
    this.#scheduleToStart = meter.histogram("aion_activity_schedule_to_start_seconds");
    this.#activation = meter.histogram("aion_activation_seconds");
    this.#commit = meter.histogram("aion_commit_seconds");
    this.#commitFailures = meter.counter("aion_commit_failures_total");
    this.#timersStarted = meter.counter("aion_timers_started_total");
    this.#timersFired = meter.counter("aion_timers_fired_total");
    this.#timerLateness = meter.histogram("aion_timer_lateness_seconds");
    this.#signals = meter.counter("aion_signals_received_total");
    this.#scheduleStarts = meter.counter("aion_schedule_starts_total");
    this.#scheduleSkips = meter.counter("aion_schedule_skips_total");
    this.#updatesAccepted = meter.counter("aion_updates_accepted_total");
    this.#updatesEnded = meter.counter("aion_updates_ended_total");
    this.#updatesRefused = meter.counter("aion_updates_refused_total");
    this.#updateSeconds = meter.histogram("aion_update_seconds");
    this.#messagesSent = meter.counter("aion_messages_sent_total");
    this.#messagesDelivered = meter.counter("aion_messages_delivered_total");
    this.#replays = meter.counter("aion_replays_total");
    this.#replaySeconds = meter.histogram("aion_replay_seconds");
    this.#replayEvents = meter.histogram("aion_replay_events");
    this.#evicted = meter.counter("aion_runs_evicted_total");
    this.#crashes = meter.counter("aion_run_crashes_total");
    this.#violations = meter.counter("aion_nondeterminism_total");
    this.#recovered = meter.counter("aion_recovered_runs_total");
    this.#stops = meter.counter("aion_engine_stops_total");
    this.#workersGone = meter.counter("aion_workers_gone_total");
    this.#repeats = meter.counter("aion_repeats_answered_total");
    this.#historiesLong = meter.counter("aion_runs_long_history_total");
    this.#signalsRefused = meter.counter("aion_signals_refused_total");
    this.#parkedCounter = meter.counter("aion_activities_parked_total");
  }

  /** For durations alone. */
  now(): number {
    return this.#meter.now();
  }

  // What histories tell.

  /** A commit of the run is on disk. */
  committed(
    {
      events,
      measures,
      next,
      terminal,
      abandoned,
    }: Pick<Batch, "events" | "measures" | "next" | "terminal" | "abandoned">,
    state: RunState,
  ): void {
    const { workflowType } = state.started;
    let measured = 0;
    for (const event of events) {
      this.#events.add(1, event.type);
      this.#happened(event, workflowType, isMeasured(event) ? measures[measured++] : undefined);
    }
    if (next !== undefined) {
      this.#events.add(1, "WorkflowStarted");
      this.#runsStarted.add(1, next.workflowType);
    }
    if (terminal === undefined) return;
    for (const { activityType, startedAt } of abandoned) {
      const seconds = startedAt === undefined ? undefined : (terminal.recordedAt - startedAt) / 1_000;
      this.#attemptEnded(activityType, "abandoned", seconds, true);
    }
    for (const { acceptedAt } of state.updates.leftBy(state.terminal))
      this.#updateEnded(workflowType, "unfinished", (terminal.recordedAt - acceptedAt) / 1_000);
    this.#ended(
      workflowType,
      state.status,
      terminal.recordedAt - (state.started.resetOf?.at ?? state.started.recordedAt),
    );
  }

  /** A run began as a copy of another one. What happened to that was counted there. */
  copied({ workflowType }: StartCommit): void {
    this.#events.add(1, "WorkflowStarted");
    this.#runsStarted.add(1, workflowType);
  }

  /** A run has ended of which nothing was in memory. */
  endedUnread(workflowType: string, terminal: EventBody, ms: number): void {
    this.#events.add(1, terminal.type);
    const status = statusAfter(terminal);
    if (status !== undefined) this.#ended(workflowType, status, ms);
  }

  /** A run that has ended goes on. */
  reopened(workflowType: string): void {
    this.#events.add(1, "WorkflowReopened");
    this.#runsReopened.add(1, workflowType);
  }

  #ended(workflowType: string, status: RunStatus, ms: number): void {
    this.#runsEnded.add(1, workflowType, status);
    this.#runDuration.observe(ms / 1_000, workflowType);
  }

  #happened(event: EventBody, workflowType: string, measure: Measure | undefined): void {
    const { activityType = "", seconds } = measure ?? {};
    switch (event.type) {
      case "WorkflowStarted":
        this.#runsStarted.add(1, workflowType);
        // What it was handed on by the run before was counted there.
        if (event.signals !== undefined && event.continuedFrom === undefined)
          this.#signals.add(event.signals.length, workflowType);
        return;
      case "ActivityScheduled":
        this.#activitiesScheduled.add(1, event.activityType);
        return;
      case "ActivityStarted":
        this.#attemptsStarted.add(1, activityType);
        if (seconds !== undefined) this.#scheduleToStart.observe(seconds, measure?.taskQueue ?? "");
        return;
      case "ActivityCompleted":
        this.#attemptEnded(activityType, "completed", seconds, true);
        return;
      case "ActivityFailed": {
        const isLost = event.failure.kind === "engine" && event.failure.type === "worker_lost";
        this.#attemptEnded(activityType, isLost ? "lost" : "failed", seconds, event.retryAt === undefined);
        return;
      }
      case "ActivityTimedOut":
        this.#attemptEnded(activityType, "timed-out", seconds, event.retryAt === undefined);
        return;
      case "ActivityParked": {
        const isLost = event.failure.kind === "engine" && event.failure.type === "worker_lost";
        const how = event.timeout === undefined ? (isLost ? "lost" : "failed") : "timed-out";
        this.#attemptOver(activityType, how, seconds);
        this.#parkedCounter.add(1, activityType);
        return;
      }
      case "ActivityCancelled":
        this.#attemptEnded(activityType, "cancelled", seconds, true);
        return;
      case "TimerStarted":
        this.#timersStarted.add(1);
        return;
      case "TimerFired":
        this.#timersFired.add(1);
        if (seconds !== undefined) this.#timerLateness.observe(seconds);
        return;
      case "SignalReceived":
        this.#signals.add(1, workflowType);
        return;
      case "ScheduleTriggered":
        this.#scheduleStarts.add(1, event.cause);
        return;
      case "ScheduleSkipped":
        this.#scheduleSkips.add(event.count, event.reason);
        return;
      case "UpdateAccepted":
        this.#updatesAccepted.add(1, workflowType);
        return;
      case "UpdateCompleted":
        // One whose outcome was an end that was undone has been counted with it.
        if (seconds === undefined) return;
        this.#updateEnded(workflowType, event.failure === undefined ? "completed" : "failed", seconds);
        return;
      default:
        return;
    }
  }

  #updateEnded(workflowType: string, how: string, seconds: number): void {
    this.#updatesEnded.add(1, workflowType, how);
    this.#updateSeconds.observe(Math.max(0, seconds), workflowType);
  }

  /** `seconds`: since it began; one that never did is no attempt. */
  #attemptEnded(activityType: string, outcome: string, seconds: number | undefined, isLast: boolean): void {
    this.#attemptOver(activityType, outcome, seconds);
    if (isLast) this.#activitiesEnded.add(1, activityType, outcome);
    else this.#retries.add(1, activityType);
  }

  #attemptOver(activityType: string, outcome: string, seconds: number | undefined): void {
    if (seconds === undefined) return;
    this.#attemptsEnded.add(1, activityType, outcome);
    this.#execution.observe(seconds, activityType);
  }

  // What the engine does.

  activated(workflowType: string, since: number): void {
    this.#activation.observe((this.#meter.now() - since) / 1_000, workflowType);
  }

  /** An append has ended. */
  appended(since: number): void {
    this.#commit.observe((this.#meter.now() - since) / 1_000);
  }

  /** What became of one of its commits. */
  recorded({ run, send, consume }: Commit, result: CommitResult): void {
    if (result.ok && run?.parked !== undefined) this.#parked.note(run.workflowId, run.parked);
    if (!result.ok) this.#commitFailures.add(1, result.error.code);
    else if (send !== undefined || consume !== undefined) {
      this.#messagesSent.add(send?.length ?? 0);
      this.#messagesDelivered.add(consume?.length ?? 0);
    }
  }

  /** Its run did not accept it. */
  updateRefused(workflowType: string, code: string): void {
    this.#updatesRefused.add(1, workflowType, code);
  }

  replayed(since: number, eventCount: number): void {
    this.#replays.add(1, "ok");
    this.#replaySeconds.observe((this.#meter.now() - since) / 1_000);
    this.#replayEvents.observe(eventCount);
  }

  replayFailed(since: number, error: unknown): void {
    this.#replays.add(1, isAionError(error) ? error.code : "internal");
    this.#replaySeconds.observe((this.#meter.now() - since) / 1_000);
  }

  evicted(count: number): void {
    this.#evicted.add(count);
  }

  crashed(): void {
    this.#crashes.add(1);
  }

  violated(code: string): void {
    this.#violations.add(1, code);
  }

  recovered(isFailed: boolean): void {
    this.#recovered.add(1, isFailed ? "failed" : "resumed");
  }

  recoveryEnded(since: number): void {
    this.#recoverySeconds = (this.#meter.now() - since) / 1_000;
  }

  stopped(code: string): void {
    this.#stops.add(1, code);
  }

  historyLong(workflowType: string): void {
    this.#historiesLong.add(1, workflowType);
  }

  signalRefused(): void {
    this.#signalsRefused.add(1);
  }

  workerGone(how: "silent" | "left"): void {
    this.#workersGone.add(1, how);
  }

  /** A call that had been made before was answered as it was then. */
  repeated(operation: string): void {
    this.#repeats.add(1, operation);
  }

  // What is so at a moment, asked for when somebody reads.

  watch(of: Metered): void {
    const meter = this.#meter;
    const runs = meter.gauge("aion_runs");
    const blocked = meter.gauge("aion_runs_blocked");
    const parked = meter.gauge("aion_activities_parked");
    const depth = meter.gauge("aion_task_queue_depth");
    const oldest = meter.gauge("aion_task_queue_oldest_seconds");
    const slots = meter.gauge("aion_task_queue_slots");
    const slotsUsed = meter.gauge("aion_task_queue_slots_used");
    const workers = meter.gauge("aion_workers");
    const overdue = meter.gauge("aion_timers_overdue");
    const overdueSeconds = meter.gauge("aion_timers_overdue_seconds");
    const pending = meter.gauge("aion_messages_pending");
    const readers = meter.gauge("aion_feed_readers");
    const recovery = meter.gauge("aion_recovery_seconds");
    const packages = meter.gauge("aion_packages");
    this.#stopCollecting();
    this.#stopCollecting = meter.collect(async () => {
      const now = of.now();
      const secondsSince = (at: number | undefined): number =>
        at === undefined ? 0 : Math.max(0, now - at) / 1_000;
      for (const [code, count] of of.blocked.countByCode()) blocked.set(count, code);
      for (const { taskQueue, waitingCount, waitingSince, inFlightCount } of of.workers.listQueues()) {
        depth.set(waitingCount, taskQueue);
        oldest.set(secondsSince(waitingSince), taskQueue);
        slotsUsed.set(inFlightCount, taskQueue);
      }
      const here = of.dispatcher.slots;
      depth.set(here.waitingCount, engineQueue);
      oldest.set(secondsSince(here.waitingSince), engineQueue);
      slots.set(here.total, engineQueue);
      slotsUsed.set(here.taken, engineQueue);
      const byState = { ready: 0, draining: 0, "cut off": 0 };
      const capacities = new Map<string, number>();
      for (const { state, taskQueues, capacity } of of.workers.list()) {
        byState[state] += 1;
        for (const name of taskQueues)
          capacities.set(name, (capacities.get(name) ?? 0) + (state === "ready" ? capacity : 0));
      }
      for (const [name, capacity] of capacities) slots.set(capacity, name);
      workers.set(byState.ready, "ready");
      workers.set(byState.draining, "draining");
      workers.set(byState["cut off"], "cut-off");
      const wakes = of.wakes.overdue(now);
      overdue.set(wakes.count);
      overdueSeconds.set(secondsSince(wakes.since));
      pending.set(of.mailbox.pendingCount);
      readers.set(of.feed.readerCount);
      recovery.set(this.#recoverySeconds);
      packages.set(of.options.catalog?.size ?? 0);
      const residentCount = of.residency.size - of.residency.pausedCount;
      const blockedCount = of.blocked.size;
      runs.set(residentCount, "resident");
      runs.set(blockedCount, "blocked");
      const running = await of.store.count({ status: "running" });
      runs.set(Math.max(0, running - residentCount - blockedCount), "dormant");
      runs.set(await of.store.count({ status: "paused" }), "paused");
      for (const { queue, activityType, count } of await this.#parked.count(of.store))
        parked.set(count, queue, activityType);
    });
  }

  close(): void {
    this.#stopCollecting();
  }
}

/** Called before the event is applied. */
export function measureOf(event: EventBody, state: RunState, nowMs: number): Measure | undefined {
  switch (event.type) {
    case "ActivityStarted": {
      const activity = state.activities.get(event.ordinal);
      // One whose attempt died with its engine began to wait at some time that nobody knows.
      const since = activity?.retryAt ?? (event.attempt === 1 ? activity?.scheduledAt : undefined);
      const taskQueue = event.worker === undefined ? engineQueue : activity?.options.taskQueue;
      return toMeasure(activity?.activityType, since, nowMs, taskQueue);
    }
    case "ActivityCompleted":
    case "ActivityFailed":
    case "ActivityTimedOut":
    case "ActivityParked":
    case "ActivityCancelled": {
      const activity = state.activities.get(event.ordinal);
      return toMeasure(activity?.activityType, activity?.startedAt, nowMs);
    }
    case "UpdateCompleted": {
      const update = state.updates.of(event.updateId);
      return toMeasure(undefined, update?.settledSeq === undefined ? update?.acceptedAt : undefined, nowMs);
    }
    case "TimerFired":
      return toMeasure(undefined, state.timers.get(event.ordinal)?.fireAt, nowMs);
    default:
      return undefined;
  }
}

function toMeasure(
  activityType: string | undefined,
  since: number | undefined,
  nowMs: number,
  taskQueue: string = defaultTaskQueue,
): Measure {
  const seconds = since === undefined ? undefined : Math.max(0, nowMs - since) / 1_000;
  return { activityType: activityType ?? "", taskQueue, seconds };
}

/** Of which events there is a measure. */
function isMeasured({ type }: EventBody): boolean {
  return (
    type === "ActivityStarted" ||
    type === "ActivityCompleted" ||
    type === "ActivityFailed" ||
    type === "ActivityTimedOut" ||
    type === "ActivityParked" ||
    type === "ActivityCancelled" ||
    type === "UpdateCompleted" ||
    type === "TimerFired"
  );
}
