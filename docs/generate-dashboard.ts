/**
 * Makes docs/grafana/aion.json from the list of panels below: node scripts/bootstrap.mjs docs/generate-dashboard.ts
 * A test fails when the file is not what this makes. What a panel is about is said by the table of metrics.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { metricTable } from "../src/core/metrics.ts";

interface Query {
  readonly expr: string;
  readonly legend: string;
}
type Unit = "short" | "s" | "ops" | "bytes" | "percentunit" | "dateTimeFromNow";
interface Panel {
  readonly title: string;
  readonly unit: Unit;
  readonly queries: readonly Query[];
  /** One figure, as it is now. Red from `badFrom` on, or below `badBelow`. */
  readonly figure?: { readonly badFrom?: number; readonly badBelow?: number };
}

// What stands in each selector.
const server = 'job=~"$job"';
const engine = `${server}, namespace=~"$namespace"`;
const queue = `${engine}, task_queue=~"$task_queue"`;

const sum = (by: string, expr: string): string => (by === "" ? `sum(${expr})` : `sum by (${by}) (${expr})`);
const rate = (name: string, by: string, where = engine): string =>
  sum(by, `rate(${name}{${where}}[$__rate_interval])`);
const quantile = (q: number, name: string, by = "", where = engine): string =>
  `histogram_quantile(${q}, ${rate(`${name}_bucket`, by === "" ? "le" : `le, ${by}`, where)})`;
const mean = (name: string): string => `${rate(`${name}_sum`, "")} / ${rate(`${name}_count`, "")}`;

const graph = (title: string, unit: Unit, ...queries: readonly Query[]): Panel => ({ title, unit, queries });
const figure = (title: string, unit: Unit, bad: Panel["figure"], expr: string, legend = ""): Panel => ({
  title,
  unit,
  queries: [{ expr, legend }],
  figure: bad ?? {},
});
const as = (legend: string, expr: string): Query => ({ expr, legend });
/** Of what is rare the count itself is shown: a rate does not see a series begin. */
const sinceStart = "since the process began";

/** In the order in which they are asked. */
const rows: readonly { readonly title: string; readonly panels: readonly Panel[] }[] = [
  {
    title: "Is it up?",
    panels: [
      figure("Ready", "short", { badBelow: 1 }, `aion_server_ready{${server}}`, "{{instance}}"),
      figure(
        "Namespaces unavailable",
        "short",
        { badFrom: 1 },
        `sum(aion_namespaces{${server}, state="unavailable"})`,
      ),
      figure(
        "Started",
        "dateTimeFromNow",
        {},
        `process_start_time_seconds{${server}} * 1000`,
        "{{instance}}",
      ),
      figure(
        "What runs",
        "short",
        {},
        `count by (version, node) (aion_build_info{${server}})`,
        "{{version}} on Node {{node}}",
      ),
      graph(
        `Engines stopped, ${sinceStart}`,
        "short",
        as("{{namespace}} {{code}}", sum("namespace, code", `aion_engine_stops_total{${engine}}`)),
      ),
      graph("Namespaces", "short", as("{{state}}", sum("state", `aion_namespaces{${server}}`))),
    ],
  },
  {
    title: "Are runs blocked?",
    panels: [
      figure("Blocked", "short", { badFrom: 1 }, `sum(aion_runs{${engine}, residence="blocked"})`),
      graph(
        "Blocked, by reason",
        "short",
        as("{{namespace}} {{code}}", sum("namespace, code", `aion_runs_blocked{${engine}}`)),
      ),
      graph(
        "Activities parked, by type",
        "short",
        as(
          "{{namespace}} {{activity_type}} {{task_queue}}",
          sum("namespace, activity_type, task_queue", `aion_activities_parked{${engine}}`),
        ),
      ),
      graph(
        `Parked, ${sinceStart}`,
        "short",
        as(
          "{{namespace}} {{activity_type}}",
          sum("namespace, activity_type", `aion_activities_parked_total{${engine}}`),
        ),
      ),
      graph(
        `Laws of durable execution broken, ${sinceStart}`,
        "short",
        as("{{namespace}} {{code}}", sum("namespace, code", `aion_nondeterminism_total{${engine}}`)),
      ),
      graph(
        `Thrown away, ${sinceStart}`,
        "short",
        as("runs {{namespace}}", sum("namespace", `aion_run_crashes_total{${engine}}`)),
        as("hosts of code: {{end}}", sum("end", `aion_code_host_ended_total{${engine}}`)),
      ),
      graph(
        `Histories that got long, ${sinceStart}`,
        "short",
        as(
          "{{namespace}} {{workflow_type}}",
          sum("namespace, workflow_type", `aion_runs_long_history_total{${engine}}`),
        ),
      ),
      graph("Running runs", "short", as("{{residence}}", sum("residence", `aion_runs{${engine}}`))),
      graph(
        "Begun and ended",
        "ops",
        as("begun", rate("aion_runs_started_total", "")),
        as("reopened", rate("aion_runs_reopened_total", "")),
        as("{{status}}", rate("aion_runs_ended_total", "status")),
      ),
      graph(
        "Duration of runs, 95th percentile",
        "s",
        as("{{workflow_type}}", quantile(0.95, "aion_run_duration_seconds", "workflow_type")),
      ),
    ],
  },
  {
    title: "Is work waiting?",
    panels: [
      graph(
        "In line",
        "short",
        as("{{namespace}} {{task_queue}}", sum("namespace, task_queue", `aion_task_queue_depth{${queue}}`)),
      ),
      graph(
        "The first in line has waited",
        "s",
        as(
          "{{namespace}} {{task_queue}}",
          `max by (namespace, task_queue) (aion_task_queue_oldest_seconds{${queue}})`,
        ),
      ),
      graph(
        "Slots",
        "short",
        as("{{task_queue}}", sum("task_queue", `aion_task_queue_slots{${queue}}`)),
        as("{{task_queue}} used", sum("task_queue", `aion_task_queue_slots_used{${queue}}`)),
      ),
      graph(
        "Waited for somebody to run it, 95th percentile",
        "s",
        as("{{task_queue}}", quantile(0.95, "aion_activity_schedule_to_start_seconds", "task_queue", queue)),
      ),
      graph(
        "Activities",
        "ops",
        as("scheduled", rate("aion_activities_scheduled_total", "")),
        as("{{outcome}}", rate("aion_activities_ended_total", "outcome")),
      ),
      graph(
        "Attempts",
        "ops",
        as("started", rate("aion_activity_attempts_started_total", "")),
        as("{{outcome}}", rate("aion_activity_attempts_ended_total", "outcome")),
      ),
      graph("Retries", "ops", as("{{activity_type}}", rate("aion_activity_retries_total", "activity_type"))),
      graph(
        "Execution of an attempt, 95th percentile",
        "s",
        as("{{activity_type}}", quantile(0.95, "aion_activity_execution_seconds", "activity_type")),
      ),
      graph(
        "Messages on their way",
        "short",
        as("{{namespace}}", sum("namespace", `aion_messages_pending{${engine}}`)),
      ),
      graph(
        "Messages",
        "ops",
        as("sent", rate("aion_messages_sent_total", "")),
        as("delivered", rate("aion_messages_delivered_total", "")),
      ),
    ],
  },
  {
    title: "How late is it?",
    panels: [
      graph(
        "Wake-ups overdue",
        "short",
        as("{{namespace}}", sum("namespace", `aion_timers_overdue{${engine}}`)),
      ),
      graph(
        "The first is overdue for",
        "s",
        as("{{namespace}}", `max by (namespace) (aion_timers_overdue_seconds{${engine}})`),
      ),
      graph(
        "Lateness of timers",
        "s",
        as("median", quantile(0.5, "aion_timer_lateness_seconds")),
        as("99th percentile", quantile(0.99, "aion_timer_lateness_seconds")),
      ),
      graph(
        "Timers and signals",
        "ops",
        as("timers started", rate("aion_timers_started_total", "")),
        as("timers fired", rate("aion_timers_fired_total", "")),
        as("signals", rate("aion_signals_received_total", "")),
      ),
      graph(
        "Schedules",
        "ops",
        as("started: {{cause}}", rate("aion_schedule_starts_total", "cause")),
        as("skipped: {{reason}}", rate("aion_schedule_skips_total", "reason")),
      ),
      graph(
        "Updates",
        "ops",
        as("accepted", rate("aion_updates_accepted_total", "")),
        as("{{answer}}", rate("aion_updates_ended_total", "answer")),
        as("refused: {{code}}", rate("aion_updates_refused_total", "code")),
      ),
      graph(
        "From the acceptance of an update to its outcome, 99th percentile",
        "s",
        as("{{workflow_type}}", quantile(0.99, "aion_update_seconds", "workflow_type")),
      ),
      graph(
        "Turn of workflow code, 99th percentile",
        "s",
        as("{{workflow_type}}", quantile(0.99, "aion_activation_seconds", "workflow_type")),
      ),
    ],
  },
  {
    title: "The store",
    panels: [
      graph(
        "Until a commit is on disk",
        "s",
        as("median", quantile(0.5, "aion_commit_seconds")),
        as("99th percentile", quantile(0.99, "aion_commit_seconds")),
      ),
      graph(
        `Commits that failed, ${sinceStart}`,
        "short",
        as("{{namespace}} {{code}}", sum("namespace, code", `aion_commit_failures_total{${engine}}`)),
      ),
      graph(
        "Of that the file and the disk, 99th percentile",
        "s",
        as("transaction", quantile(0.99, "aion_store_transaction_seconds")),
        as("flush", quantile(0.99, "aion_store_flush_seconds")),
      ),
      graph(
        "In one transaction, mean",
        "short",
        as("commits", mean("aion_store_transaction_commits")),
        as("events", mean("aion_store_transaction_events")),
      ),
      graph(
        "Size",
        "bytes",
        as("{{namespace}} file", sum("namespace", `aion_store_database_bytes{${engine}}`)),
        as("{{namespace}} log", sum("namespace", `aion_store_log_bytes{${engine}}`)),
      ),
      graph("Events written", "ops", as("{{event}}", rate("aion_events_appended_total", "event"))),
    ],
  },
  {
    title: "Recovery and replay",
    panels: [
      figure(
        "Last recovery took",
        "s",
        {},
        `max by (namespace) (aion_recovery_seconds{${engine}})`,
        "{{namespace}}",
      ),
      graph(
        `Runs recovered, ${sinceStart}`,
        "short",
        as("{{recovery}}", sum("recovery", `aion_recovered_runs_total{${engine}}`)),
      ),
      graph(
        "Replays and evictions",
        "ops",
        as("replays: {{code}}", rate("aion_replays_total", "code")),
        as("evicted", rate("aion_runs_evicted_total", "")),
      ),
      graph(
        "A replay",
        "s",
        as("median", quantile(0.5, "aion_replay_seconds")),
        as("99th percentile", quantile(0.99, "aion_replay_seconds")),
      ),
      graph(
        "Events of a replay",
        "short",
        as("median", quantile(0.5, "aion_replay_events")),
        as("99th percentile", quantile(0.99, "aion_replay_events")),
      ),
      graph("Packages loaded", "short", as("{{namespace}}", sum("namespace", `aion_packages{${engine}}`))),
    ],
  },
  {
    title: "Workers",
    panels: [
      graph("Workers", "short", as("{{connection}}", sum("connection", `aion_workers{${engine}}`))),
      graph(
        `Workers gone, ${sinceStart}`,
        "short",
        as("{{namespace}} {{how}}", sum("namespace, how", `aion_workers_gone_total{${engine}}`)),
      ),
    ],
  },
  {
    title: "Calls and HTTP",
    panels: [
      graph("Calls", "ops", as("{{code}}", rate("aion_calls_total", "code"))),
      graph(
        "A call, 99th percentile",
        "s",
        as("{{operation}}", quantile(0.99, "aion_call_seconds", "operation")),
      ),
      graph("Signals refused", "ops", as("refused", rate("aion_signals_refused_total", ""))),
      graph(
        "Calls answered again",
        "ops",
        as("{{operation}}", rate("aion_repeats_answered_total", "operation")),
      ),
      graph(
        "Requests",
        "ops",
        as("{{transport}} {{code}}", rate("aion_requests_total", "transport, code", server)),
      ),
      graph(
        "A request, 99th percentile",
        "s",
        as(
          "{{transport}} {{operation}}",
          quantile(0.99, "aion_request_seconds", "transport, operation", server),
        ),
      ),
      graph("Connections", "short", as("{{instance}}", `aion_connections{${server}}`)),
      graph(
        "Readers",
        "short",
        as("streams: {{stream}}", sum("stream", `aion_streams{${server}}`)),
        as("calls that read the feed", sum("", `aion_feed_readers{${engine}}`)),
      ),
      graph(
        "The reader furthest behind",
        "s",
        as("{{stream}}", `max by (stream) (aion_stream_lag_seconds{${server}})`),
      ),
      graph(
        "Events taken by readers",
        "ops",
        as("{{stream}}", rate("aion_stream_events_total", "stream", server)),
      ),
    ],
  },
  {
    title: "The process",
    panels: [
      graph(
        "Load of the engine's thread",
        "percentunit",
        as("{{instance}}", rate("nodejs_eventloop_active_seconds_total", "instance", server)),
      ),
      graph("Lag of the event loop", "s", as("{{instance}}", `nodejs_eventloop_lag_seconds{${server}}`)),
      graph("CPUs", "short", as("{{instance}}", rate("process_cpu_seconds_total", "instance", server))),
      graph(
        "Memory",
        "bytes",
        as("{{instance}} process", `process_resident_memory_bytes{${server}}`),
        as("{{instance}} heap", `nodejs_heap_size_total_bytes{${server}}`),
        as("{{instance}} heap in use", `nodejs_heap_size_used_bytes{${server}}`),
        as("{{instance}} outside of the heap", `nodejs_external_memory_bytes{${server}}`),
      ),
    ],
  },
];

const datasource = { type: "prometheus", uid: "${datasource}" };
const width = { page: 24, figure: 6, graph: 8 };
const height = { row: 1, figure: 4, graph: 8 };

/** From left to right, and on the next line when there is no room; what stands on a line is as high as the highest. */
function place(): readonly object[] {
  const placed: object[] = [];
  let y = 0;
  const at = (x: number, w: number, h: number): object => ({
    id: placed.length + 1,
    gridPos: { h, w, x, y },
  });
  for (const { title, panels } of rows) {
    placed.push({ ...at(0, width.page, height.row), type: "row", title, collapsed: false, panels: [] });
    y += height.row;
    let x = 0;
    let lineHeight = 0;
    for (const panel of panels) {
      const kind = panel.figure === undefined ? "graph" : "figure";
      if (x + width[kind] > width.page) {
        y += lineHeight;
        x = 0;
        lineHeight = 0;
      }
      placed.push({ ...at(x, width[kind], height[kind]), ...render(panel) });
      x += width[kind];
      lineHeight = Math.max(lineHeight, height[kind]);
    }
    y += lineHeight;
  }
  return placed;
}

function render({ title, unit, queries, figure: bad }: Panel): object {
  const steps =
    bad?.badBelow === undefined
      ? [
          { color: "green", value: null },
          ...(bad?.badFrom === undefined ? [] : [{ color: "red", value: bad.badFrom }]),
        ]
      : [
          { color: "red", value: null },
          { color: "green", value: bad.badBelow },
        ];
  return {
    type: bad === undefined ? "timeseries" : "stat",
    title,
    description: describePanel(queries),
    datasource,
    fieldConfig: {
      defaults: {
        unit,
        ...(bad === undefined ? { min: 0 } : { thresholds: { mode: "absolute", steps } }),
      },
      overrides: [],
    },
    options:
      bad === undefined
        ? {
            legend: { displayMode: "list", placement: "bottom", showLegend: true },
            tooltip: { mode: "multi", sort: "desc" },
          }
        : {
            reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
            textMode: queries.some(({ legend }) => legend !== "") ? "value_and_name" : "value",
            graphMode: "none",
            colorMode: "value",
          },
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCodePoint(65 + index),
      datasource,
      editorMode: "code",
      expr,
      legendFormat: legend === "" ? "__auto" : legend,
      ...(bad === undefined ? { range: true } : { instant: true, range: false }),
    })),
  };
}

/** What the table says of the metrics that are shown. */
function describePanel(queries: readonly Query[]): string {
  return Object.entries(metricTable)
    .filter(([name]) =>
      queries.some(({ expr }) => new RegExp(String.raw`\b${name}(?:_bucket|_sum|_count)?\{`).test(expr)),
    )
    .map(([name, { help, watch }]) => `**${name}**: ${help} ${watch}`)
    .join("\n\n");
}

function variable(name: string, label: string, query: string): object {
  return {
    type: "query",
    name,
    label,
    datasource,
    definition: query,
    query: { query, refId: name },
    refresh: 2,
    sort: 1,
    includeAll: true,
    allValue: ".*",
    multi: true,
    current: { text: ["All"], value: ["$__all"] },
  };
}

export function renderDashboard(): string {
  const dashboard = {
    uid: "aion",
    title: "Aion",
    description: "In the order of what is asked first. Made by docs/generate-dashboard.ts.",
    tags: ["aion"],
    // Of Grafana 11; later ones convert it.
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    time: { from: "now-3h", to: "now" },
    timezone: "browser",
    templating: {
      list: [
        { type: "datasource", name: "datasource", label: "Data source", query: "prometheus" },
        variable("job", "Job", "label_values(aion_runs, job)"),
        variable("namespace", "Namespace", 'label_values(aion_runs{job=~"$job"}, namespace)'),
        variable("task_queue", "Task queue", `label_values(aion_task_queue_depth{${engine}}, task_queue)`),
      ],
    },
    annotations: { list: [] },
    links: [],
    panels: place(),
  };
  return `${JSON.stringify(dashboard, undefined, 2)}\n`;
}

export const dashboardFile = path.join(import.meta.dirname, "grafana/aion.json");

if (process.argv[1] === import.meta.filename) writeFileSync(dashboardFile, renderDashboard());
