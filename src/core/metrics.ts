import { buckets } from "./metric-spec.ts";
import type { MetricSpec } from "./metric-spec.ts";
import type { Meter } from "./ports.ts";
import { serverMetrics } from "./server-metrics.ts";

/**
 * Every metric there is. Closed: what is counted under another name, or with other labels, does not compile; docs/metrics.md is
 * generated from these tables, and a test holds them against what is shown after real traffic.
 */
const metricSpecs = {
  // Runs.
  aion_runs_started_total: {
    type: "counter",
    of: "engine",
    labels: ["workflow_type"],
    help: "Runs begun, those that continue another one among them.",
    watch:
      "Its rate is the load. Compare with the runs ended: if more begin than end for long, something waits.",
  },
  aion_runs_ended_total: {
    type: "counter",
    of: "engine",
    labels: ["workflow_type", "status"],
    help: "Runs ended. One that is reopened ends again: those that are open are the started and the reopened without the ended.",
    watch: "Alert on the share of `failed` and `timed-out`.",
  },
  aion_runs_reopened_total: {
    type: "counter",
    of: "engine",
    labels: ["workflow_type"],
    help: "Runs that had ended, and go on.",
    watch:
      "Somebody repairs by hand. Without it `failed` says how many runs failed, and not how many of them stayed so.",
  },
  aion_run_duration_seconds: {
    type: "histogram",
    of: "engine",
    labels: ["workflow_type"],
    buckets: buckets.long,
    help: "From the start of a run to its end.",
    watch: "Against what the business promises for the type.",
  },
  aion_runs: {
    type: "gauge",
    of: "engine",
    labels: ["residence"],
    help: "Runs that have not ended, by where they are.",
    watch: "Capacity. Their sum is all running runs.",
  },
  aion_runs_blocked: {
    type: "gauge",
    of: "engine",
    labels: ["code"],
    help: "Runs that cannot go on until somebody acts, by the reason.",
    watch: "Alert above 0: nobody but an operator helps them. `aion list --blocked` names them.",
  },
  aion_run_crashes_total: {
    type: "counter",
    of: "engine",
    labels: [],
    help: "Runs thrown away and read anew because a bug, or the end of the process of their code, met them.",
    watch: "Alert on any increase, and report it: the log has the cause.",
  },
  aion_runs_evicted_total: {
    type: "counter",
    of: "engine",
    labels: [],
    help: "Runs put out of memory to make room for others (`residentMax`).",
    watch:
      "Each comes back by a replay. If its rate is near that of the replays, raise `residentMax` or give memory.",
  },
  aion_events_appended_total: {
    type: "counter",
    of: "engine",
    labels: ["event"],
    help: "Events that are on disk, by type. Replays append none.",
    watch: "How fast the file grows, and of what.",
  },
  aion_nondeterminism_total: {
    type: "counter",
    of: "engine",
    labels: ["code"],
    help: "Times that the code of a run was found to break a law of durable execution: it diverged from its history, or awaited what is not durable. A run that is held is tried again now and then.",
    watch: "Alert on any increase: a deploy broke runs under way. Go back to the version before.",
  },

  // Activities.
  aion_activities_scheduled_total: {
    type: "counter",
    of: "engine",
    labels: ["activity_type"],
    help: "Activities that runs asked for.",
    watch: "The load on activities.",
  },
  aion_activities_ended_total: {
    type: "counter",
    of: "engine",
    labels: ["activity_type", "outcome"],
    help: "Activities that have their outcome: no attempt follows.",
    watch: "Alert on the share of `failed` and `timed-out`: their runs have to cope with it.",
  },
  aion_activity_attempts_started_total: {
    type: "counter",
    of: "engine",
    labels: ["activity_type"],
    help: "Attempts begun.",
    watch: "Compare with the activities scheduled: the difference is work done again.",
  },
  aion_activity_attempts_ended_total: {
    type: "counter",
    of: "engine",
    labels: ["activity_type", "outcome"],
    help: "Attempts ended, whether another one follows or not. One that died with its engine is not among them.",
    watch: "A growing share of `failed` is trouble downstream; `lost` is workers that die.",
  },
  aion_activity_retries_total: {
    type: "counter",
    of: "engine",
    labels: ["activity_type"],
    help: "Attempts after which another one was planned.",
    watch:
      "Alert when its rate is many times what it is used to be: what the activity calls is out of order.",
  },
  aion_activity_execution_seconds: {
    type: "histogram",
    of: "engine",
    labels: ["activity_type"],
    buckets: buckets.long,
    help: "From the start of an attempt to its end, as recorded.",
    watch: "Latency of what the activity calls.",
  },
  aion_activity_schedule_to_start_seconds: {
    type: "histogram",
    of: "engine",
    labels: ["task_queue"],
    buckets: buckets.long,
    help: "How long an attempt waited for somebody to run it: the first since it was scheduled, others since they were due.",
    watch: "Alert on its 95th percentile: there are too few workers, or slots, for the queue.",
  },

  aion_activities_parked: {
    type: "gauge",
    of: "engine",
    labels: ["task_queue", "activity_type"],
    help: "Activities that wait for an operator, by where their latest attempt ran.",
    watch: "Alert above 0: nobody but an operator lets them go on. `aion list --parked` names them, and why.",
  },
  aion_activities_parked_total: {
    type: "counter",
    of: "engine",
    labels: ["activity_type"],
    help: "Times that an activity was parked.",
    watch: "Many at once: one cause, and one `aion resume --parked` when it is mended.",
  },

  // Task queues and workers.
  aion_task_queue_depth: {
    type: "gauge",
    of: "engine",
    labels: ["task_queue"],
    help: "Activities that stand in line.",
    watch:
      "With the age of the oldest: a queue that is deep and moves is load, one that does not move is an outage.",
  },
  aion_task_queue_oldest_seconds: {
    type: "gauge",
    of: "engine",
    labels: ["task_queue"],
    help: "How long the first of them has been standing there.",
    watch: "Alert: nobody serves the queue, or those who do are too slow.",
  },
  aion_task_queue_slots: {
    type: "gauge",
    of: "engine",
    labels: ["task_queue"],
    help: "Attempts that connected workers of the queue can run at once. One that serves two queues counts in both.",
    watch: "Alert at 0 while somebody stands in line: the queue has no worker.",
  },
  aion_task_queue_slots_used: {
    type: "gauge",
    of: "engine",
    labels: ["task_queue"],
    help: "Attempts of the queue that are under way, or about to begin.",
    watch: "Near the slots: add workers.",
  },
  aion_workers: {
    type: "gauge",
    of: "engine",
    labels: ["connection"],
    help: "Workers that are here, or may come back.",
    watch: "Alert when fewer are ready than you run.",
  },
  aion_workers_gone_total: {
    type: "counter",
    of: "engine",
    labels: ["how"],
    help: "Workers whose tasks were given to others.",
    watch: "Alert on `silent`: workers die, or the network cuts them off.",
  },

  // The store.
  aion_commit_seconds: {
    type: "histogram",
    of: "engine",
    labels: [],
    buckets: buckets.brief,
    help: "From handing commits to the store until they are on disk and the engine knows.",
    watch: "Alert on its 99th percentile: every step of every run waits for it.",
  },
  aion_commit_failures_total: {
    type: "counter",
    of: "engine",
    labels: ["code"],
    help: "Commits that were refused or failed, by code. `sequence_conflict` is two calls that met, and harmless.",
    watch: "Alert on `store_full`, `store_failed`, `store_unavailable`, `not_owner`.",
  },
  aion_store_transaction_seconds: {
    type: "histogram",
    of: "engine",
    labels: [],
    buckets: buckets.brief,
    help: "A transaction of the file with its flush, on the thread that writes. (SQLite.)",
    watch:
      "What of the commit latency is the store. The rest is waiting for the writer, or for the engine's thread.",
  },
  aion_store_flush_seconds: {
    type: "histogram",
    of: "engine",
    labels: [],
    buckets: buckets.brief,
    help: "The part of it that is the `COMMIT`: the log is written and flushed (`fsync`). (SQLite.)",
    watch: "The disk. If it rises, the disk is slow or shared.",
  },
  aion_store_transaction_commits: {
    type: "histogram",
    of: "engine",
    labels: [],
    buckets: buckets.count,
    help: "Commits of runs that one transaction wrote, and one flush paid for. (SQLite.)",
    watch: "Rises with load; that is what keeps the disk from being the limit.",
  },
  aion_store_transaction_events: {
    type: "histogram",
    of: "engine",
    labels: [],
    buckets: buckets.count,
    help: "Events in one transaction. (SQLite.)",
    watch: "As the commits.",
  },
  aion_store_database_bytes: {
    type: "gauge",
    of: "engine",
    labels: [],
    help: "Size of the file. (SQLite.)",
    watch: "Alert on the room that is left on the disk, and delete closed runs in time.",
  },
  aion_store_log_bytes: {
    type: "gauge",
    of: "engine",
    labels: [],
    help: "Size of its log beside it (`-wal`). (SQLite.)",
    watch: "Some 16 MiB at most. More: a reader holds it, or the disk is full.",
  },

  // Memory, replay, recovery.
  aion_activation_seconds: {
    type: "histogram",
    of: "engine",
    labels: ["workflow_type"],
    buckets: buckets.brief,
    help: "From giving an event to workflow code until it can move no further. Runs that move in the same turn share it.",
    watch: "Workflow code that computes holds up all others of its engine: move it to an activity.",
  },
  aion_code_host_ended_total: {
    type: "counter",
    of: "engine",
    labels: ["end"],
    help: "Processes that ran the code of packages and ended before they were told to. The next one takes up its runs.",
    watch:
      "Alert on any increase: a workflow loops or eats memory. The run that does so is held after five times.",
  },
  aion_replays_total: {
    type: "counter",
    of: "engine",
    labels: ["code"],
    help: "Runs brought into memory by replay, by what became of it.",
    watch: "A code other than `ok`: look at the blocked runs.",
  },
  aion_replay_seconds: {
    type: "histogram",
    of: "engine",
    labels: [],
    buckets: buckets.brief,
    help: "One replay, waiting for others included.",
    watch: "How long a run takes to wake. Long histories want continue-as-new.",
  },
  aion_replay_events: {
    type: "histogram",
    of: "engine",
    labels: [],
    buckets: buckets.count,
    help: "Events of the history that was replayed.",
    watch: "As above.",
  },
  aion_recovered_runs_total: {
    type: "counter",
    of: "engine",
    labels: ["recovery"],
    help: "Runs that had to move when the engine was opened.",
    watch: "`failed`: look at the blocked runs.",
  },
  aion_recovery_seconds: {
    type: "gauge",
    of: "engine",
    labels: [],
    help: "How long taking them up took, the last time.",
    watch: "How long a restart interrupts.",
  },
  aion_engine_stops_total: {
    type: "counter",
    of: "engine",
    labels: ["code"],
    help: "Engines that could write no more: another owner took over (`not_owner`), or the disk failed.",
    watch: "Alert on any increase. A server opens the namespace again by itself.",
  },

  // Time and messages.
  aion_timers_started_total: {
    type: "counter",
    of: "engine",
    labels: [],
    help: "Timers of workflow code that were armed.",
    watch: "Load.",
  },
  aion_timers_fired_total: {
    type: "counter",
    of: "engine",
    labels: [],
    help: "Timers that fired, start delays among them.",
    watch: "Load.",
  },
  aion_timer_lateness_seconds: {
    type: "histogram",
    of: "engine",
    labels: [],
    buckets: buckets.long,
    help: "From the instant of a timer until that it fired was recorded. After an outage it is as long as that was.",
    watch: "Alert on its 99th percentile: the engine does not keep up.",
  },
  aion_timers_overdue: {
    type: "gauge",
    of: "engine",
    labels: [],
    help: "Wake-ups of runs (for timers, retries, time-outs and times of schedules) whose instant has passed and that have not been looked at.",
    watch: "Alert when it stays above 0.",
  },
  aion_timers_overdue_seconds: {
    type: "gauge",
    of: "engine",
    labels: [],
    help: "How long the first of them has been overdue.",
    watch: "As above.",
  },
  aion_signals_received_total: {
    type: "counter",
    of: "engine",
    labels: ["workflow_type"],
    help: "Signals recorded in the history of their run.",
    watch: "Load.",
  },
  aion_schedule_starts_total: {
    type: "counter",
    of: "engine",
    labels: ["cause"],
    help: "Starts that schedules decided on: at their times, triggered, or filled in.",
    watch: "Load.",
  },
  aion_schedule_skips_total: {
    type: "counter",
    of: "engine",
    labels: ["reason"],
    help: "Times of schedules that were not started, by the reason that is recorded.",
    watch:
      "`missed`: no engine ran for longer than a catch-up window. `too-many`: after an outage more than a thousand times of one schedule were due. `start-refused`: a type is gone, or its input has changed.",
  },
  aion_updates_accepted_total: {
    type: "counter",
    of: "engine",
    labels: ["workflow_type"],
    help: "Updates recorded in the history of their run.",
    watch: "Load.",
  },
  aion_updates_ended_total: {
    type: "counter",
    of: "engine",
    labels: ["workflow_type", "answer"],
    help: "Updates that have their outcome.",
    watch: "Alert on `unfinished`: workflows end without waiting for their handlers.",
  },
  aion_updates_refused_total: {
    type: "counter",
    of: "engine",
    labels: ["workflow_type", "code"],
    help: "Updates that their run did not accept, by the code of the refusal. Nothing of them is recorded.",
    watch: "Alert on `updates_pending`: handlers do not keep up.",
  },
  aion_update_seconds: {
    type: "histogram",
    of: "engine",
    labels: ["workflow_type"],
    buckets: buckets.long,
    help: "From the acceptance of an update to its outcome.",
    watch: "As long as its callers can wait.",
  },
  aion_messages_sent_total: {
    type: "counter",
    of: "engine",
    labels: [],
    help: "Messages between workflows that were written: starts of children, their ends, signals, cancellations.",
    watch: "Load.",
  },
  aion_messages_delivered_total: {
    type: "counter",
    of: "engine",
    labels: [],
    help: "Messages whose effect is on disk, or that led to nothing.",
    watch: "Keeps up with those sent.",
  },
  aion_messages_pending: {
    type: "gauge",
    of: "engine",
    labels: [],
    help: "Messages on their way. Those that wait for a blocked run stay on disk, and are not among them.",
    watch: "Alert when it grows.",
  },

  // Calls and readers.
  aion_calls_total: {
    type: "counter",
    of: "engine",
    labels: ["operation", "code"],
    help: "Calls of the service, from wherever: queries, signals, deploys and all others.",
    watch: "Alert on `internal`, and on the share of codes that callers do not cause.",
  },
  aion_call_seconds: {
    type: "histogram",
    of: "engine",
    labels: ["operation"],
    buckets: buckets.brief,
    help: "How long they took. Those that were to wait for something (`waitMs`) are not among them.",
    watch: "Alert on the 99th percentile of `start` and `signal`.",
  },
  aion_repeats_answered_total: {
    type: "counter",
    of: "engine",
    labels: ["operation"],
    help: "Calls that changed nothing because they had been made before: the answer was given again.",
    watch: "A rise is clients that time out, or a network that loses answers.",
  },
  aion_runs_long_history_total: {
    type: "counter",
    of: "engine",
    labels: ["workflow_type"],
    help: "Runs whose history got so long that they had better continue as new (`historyEventsWarn`, `historyBytesWarn`).",
    watch: "Alert when it grows: those runs are held at `historyEventsMax` (`aion_runs_blocked`).",
  },
  aion_signals_refused_total: {
    type: "counter",
    of: "engine",
    labels: [],
    help: "Signals that were refused since as many wait for their run as may (`waitingSignalsMax`).",
    watch: "A rise is a run that does not receive what it is sent.",
  },
  aion_feed_readers: {
    type: "gauge",
    of: "engine",
    labels: [],
    help: "Calls that read the feed, or wait at its head.",
    watch: "Who listens.",
  },
  aion_packages: {
    type: "gauge",
    of: "engine",
    labels: [],
    help: "Packages whose code is loaded.",
    watch: "Unload what no run needs.",
  },
  ...serverMetrics,
} as const satisfies Readonly<Record<string, MetricSpec>>;

type Specs = typeof metricSpecs;
export type MetricName = keyof Specs;
export type MetricOf<Type extends MetricSpec["type"]> = {
  [Name in MetricName]: Specs[Name]["type"] extends Type ? Name : never;
}[MetricName];
/** The values of its labels, in the order of the table. */
export type LabelsOf<Name extends MetricName> = TextForEach<Specs[Name]["labels"]>;
type TextForEach<Items extends readonly unknown[]> = { readonly [Index in keyof Items]: string };
export const metricTable: Readonly<Record<MetricName, MetricSpec>> = metricSpecs;

/** Where attempts in the process of the engine stand in line. */
export const engineQueue = "(engine)";

const nothing = (): void => undefined;
const instrument = { add: nothing, observe: nothing, set: nothing };
/** Counts nothing. */
export const noMeter: Meter = {
  now: () => 0,
  counter: () => instrument,
  histogram: () => instrument,
  gauge: () => instrument,
  collect: () => nothing,
};
