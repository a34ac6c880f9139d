import type { HistorySizeInfo, PendingActivity, RunDescription, RunSummary } from "../client/service.ts";
import { formatAttribute } from "../core/attribute-filter.ts";
import type { AttributeChanges } from "../core/attributes.ts";
import { noAttributes } from "../core/attributes.ts";
import type { Failure } from "../core/failure.ts";
import { isClosed } from "../core/status.ts";
import type { RunStatus } from "../core/status.ts";
import { placeNameOf } from "./failure-place.ts";
import { formatInstant, formatRelative, formatSpan, formatWhen } from "./instant.ts";
import type { Style } from "./output.ts";
import { style } from "./output.ts";
import { oneLine, printable } from "./printable.ts";
import { table } from "./table.ts";
import type { Column } from "./table.ts";

export interface ViewOptions {
  readonly nowMs: number;
  /** Of the terminal, in characters. */
  readonly width: number;
  /** Payloads and messages in full. */
  readonly isFull: boolean;
}

const statusStyles: Readonly<Record<RunStatus, Style>> = {
  running: "cyan",
  paused: "yellow",
  completed: "green",
  failed: "red",
  cancelled: "yellow",
  terminated: "magenta",
  "timed-out": "red",
  "continued-as-new": "blue",
};

/** The runs, one in a line. */
export function runTable(runs: readonly RunSummary[], options: ViewOptions, withAttributes = false): string {
  const rows = runs.map((run) => [
    style("bold", printable(run.workflowId)),
    printable(run.workflowType),
    shownStatus(run),
    formatInstant(run.startedAt),
    style("dim", formatRelative(run.startedAt, options.nowMs)),
    run.closedAt === undefined ? "" : formatSpan(run.closedAt - run.startedAt),
    String(run.historyLength),
    ...(withAttributes ? [shownAttributes(run.attributes ?? noAttributes)] : []),
  ]);
  const columns: readonly Column[] = [
    { title: "WORKFLOW ID", cut: "middle" },
    { title: "TYPE", cut: "middle" },
    { title: "STATUS" },
    // The next one tells it, too.
    { title: "STARTED", leaveOut: 1 },
    { title: "" },
    { title: "TOOK", leaveOut: 3 },
    { title: "EVENTS", leaveOut: 2 },
  ];
  return table(withAttributes ? [...columns, { title: "ATTRIBUTES", cut: "end" }] : columns, rows);
}

/** `amount=99  tags=["a"]`, and of one that is taken away `-amount`. */
export function shownAttributes(attributes: AttributeChanges): string {
  return Object.entries(attributes)
    .map(([name, data]) => printable(data === null ? `-${name}` : `${name}=${formatAttribute(data)}`))
    .join("  ");
}

function shownStatus(run: RunSummary): string {
  const status = style(statusStyles[run.status], run.status);
  const facts = [status];
  if (run.blocked !== undefined) facts.push(style(["bold", "red"], "blocked"));
  if (run.parked !== undefined) facts.push(style(["bold", "yellow"], `${run.parked.count} parked`));
  return facts.join(" ");
}

/** The activities of the runs that wait for an operator, one in a line, and why each does. */
export function parkedTable(runs: readonly RunSummary[], { nowMs, width, isFull }: ViewOptions): string {
  const rows: string[][] = [];
  const left: number[] = [];
  for (const { workflowId, parked } of runs) {
    for (const { ordinal, activityType, attempt, parkedAt } of parked?.activities ?? []) {
      rows.push([
        style("bold", printable(workflowId)),
        `#${ordinal}`,
        printable(activityType),
        String(attempt),
        style("dim", formatRelative(parkedAt, nowMs)),
      ]);
    }
    left.push((parked?.count ?? 0) - (parked?.activities.length ?? 0));
  }
  const messages = runs.flatMap(({ parked }) => parked?.activities.map(({ message }) => message) ?? []);
  const room = isFull ? Number.POSITIVE_INFINITY : width;
  const shown = table(
    [
      { title: "WORKFLOW ID", cut: "middle" },
      { title: "#" },
      { title: "ACTIVITY", cut: "middle" },
      { title: "ATTEMPTS", leaveOut: 1 },
      { title: "PARKED" },
      { title: "WHY", ...(isFull ? {} : { cut: "end" }) },
    ],
    rows.map((row, index) => [...row, style("red", oneLine(messages[index] ?? "", room))]),
  );
  const more = left.reduce((sum, count) => sum + count, 0);
  return more === 0 ? shown : `${shown}\n${style("dim", `and ${more} more of these runs`)}`;
}

/** All there is to say about a run. */
export function describeRun(run: RunDescription, options: ViewOptions): string {
  const { nowMs } = options;
  const index = run.runs.findIndex(({ runId }) => runId === run.runId) + 1;
  const place = run.runs.length > 1 ? style("dim", ` (${index} of ${run.runs.length})`) : "";
  const facts: readonly (readonly [string, string | undefined])[] = [
    ["type", `${printable(run.workflowType)} ${style("dim", `version ${printable(run.version)}`)}`],
    [
      "status",
      `${shownStatus(run)}${run.isCancelRequested && !isClosed(run.status) ? ", asked to cancel" : ""}`,
    ],
    ["paused", run.paused === undefined ? undefined : shownPause(run.paused, nowMs)],
    ["blocked", run.blocked === undefined ? undefined : style("red", printable(run.blocked))],
    ["run", `${printable(run.runId)}${place}`],
    [
      run.resetOf?.workflowId === undefined ? "reset" : "fork",
      run.resetOf === undefined ? undefined : shownOrigin(run.resetOf, nowMs),
    ],
    ["reopened", run.reopened === undefined ? undefined : shownReopening(run.reopened, nowMs)],
    ["went on", run.resetTo === undefined ? undefined : `as run ${printable(run.resetTo)}, by a reset`],
    ["started", formatWhen(run.startedAt, nowMs)],
    ["ended", run.closedAt === undefined ? undefined : formatWhen(run.closedAt, nowMs)],
    ["took", run.closedAt === undefined ? undefined : formatSpan(run.closedAt - run.startedAt)],
    ["events", shownSize(run.historySize)],
    ["found by", run.attributes === undefined ? undefined : shownAttributes(run.attributes)],
    ["parent", run.parentWorkflowId === undefined ? undefined : printable(run.parentWorkflowId)],
    ["resident", run.pid === undefined ? undefined : `pid ${run.pid}`],
    ["input", run.input === undefined ? undefined : shownPayload(run.input, options, factIndent)],
    ["result", run.result === undefined ? undefined : shownPayload(run.result, options, factIndent)],
    [
      run.status === "failed" ? "failure" : "because",
      run.failure === undefined ? undefined : failureLines(run.failure).join(`\n${" ".repeat(factIndent)}`),
    ],
  ];
  const lines = [style("bold", printable(run.workflowId))];
  for (const [name, value] of facts) {
    if (value !== undefined) lines.push(`  ${style("dim", name.padEnd(factIndent - 2))}${value}`);
  }
  const waits = !isClosed(run.status) ? waitingFor(run, options) : [];
  if (waits.length > 0) lines.push("", style("dim", "WAITING FOR"), waitsTable(waits, options));
  if (run.runs.length > 1) lines.push("", style("dim", "RUNS"), runsOfChain(run.runs, options));
  return lines.join("\n");
}

const factIndent = 12;

function shownPause({ since, reason }: NonNullable<RunDescription["paused"]>, nowMs: number): string {
  return `since ${formatWhen(since, nowMs)}${reason === undefined ? "" : `: ${printable(reason)}`}`;
}

function shownOrigin(
  { workflowId, runId, toSeq, at, ...by }: NonNullable<RunDescription["resetOf"]>,
  nowMs: number,
): string {
  const of = workflowId === undefined ? "" : ` of ${printable(workflowId)}`;
  return `from event ${toSeq} of run ${printable(runId)}${of} on, ${formatWhen(at, nowMs)}${shownRequest(by)}`;
}

function shownReopening(
  { count, at, ...by }: NonNullable<RunDescription["reopened"]>,
  nowMs: number,
): string {
  const often = count === 1 ? "" : `${count} times, the last `;
  return `${often}${formatWhen(at, nowMs)}${shownRequest(by)}`;
}

function shownRequest({
  reason,
  requestId,
}: {
  readonly reason?: string;
  readonly requestId?: string;
}): string {
  const by = requestId === undefined ? "" : `, by request ${printable(requestId)}`;
  return `${by}${reason === undefined ? "" : `: ${printable(reason)}`}`;
}

function shownSize({
  events,
  bytes,
  eventsMax,
  bytesMax,
  isLong,
  waitingSignals = 0,
}: HistorySizeInfo): string {
  const parts = [
    eventsMax === undefined ? formatCount(events) : `${formatCount(events)} of ${formatCount(eventsMax)}`,
    bytesMax === undefined
      ? `about ${formatBytes(bytes)}`
      : `about ${formatBytes(bytes)} of ${formatBytes(bytesMax)}`,
  ];
  if (waitingSignals > 0)
    parts.push(`${formatCount(waitingSignals)} ${waitingSignals === 1 ? "signal" : "signals"} not received`);
  const size = parts.join(", ");
  return isLong ? `${style("yellow", size)}, time to continue as new` : size;
}

function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

function formatBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  let size = bytes;
  let unit = 0;
  for (; size >= 1_024 && unit < units.length - 1; unit++) size /= 1_024;
  return `${size >= 10 || unit === 0 ? Math.round(size) : Number(size.toFixed(1))} ${units[unit]}`;
}

function waitsTable(waits: readonly (readonly string[])[], { isFull }: ViewOptions): string {
  const cut = isFull ? {} : ({ cut: "end" } as const);
  return table([{ title: "" }, { title: "", cut: "middle" }, { title: "", ...cut }], waits);
}

function waitingFor(run: RunDescription, options: ViewOptions): readonly (readonly string[])[] {
  const { nowMs } = options;
  return [
    ...run.pendingActivities.map((activity) => [
      "  activity",
      `${style("bold", printable(activity.activityType))} #${activity.ordinal}`,
      shownActivity(activity, options),
    ]),
    ...run.pendingTimers.map(({ ordinal, fireAt }) => [
      "  timer",
      ordinal < 0 ? "start delay" : `#${ordinal}`,
      formatWhen(fireAt, nowMs),
    ]),
    ...run.pendingChildren.map(({ workflowId, workflowType }) => [
      "  child",
      style("bold", printable(workflowId)),
      printable(workflowType),
    ]),
    ...run.pendingUpdates.map(({ updateId, name, acceptedAt }) => [
      "  update",
      style("bold", printable(name)),
      `${printable(updateId)}, accepted ${formatRelative(acceptedAt, nowMs)}`,
    ]),
  ];
}

function shownActivity(activity: PendingActivity, { nowMs, width, isFull }: ViewOptions): string {
  const { state, attempt, failedCount, retryAt, parkedAt, lastFailure, taskQueue, worker } = activity;
  const facts: string[] = [
    parkedAt === undefined ? state : `${style(["bold", "yellow"], state)} ${formatRelative(parkedAt, nowMs)}`,
  ];
  if (worker !== undefined) facts.push(`on ${printable(worker)}`);
  else if (taskQueue !== undefined) facts.push(`in queue ${printable(taskQueue)}`);
  if (attempt > 0) facts.push(`attempt ${attempt}`);
  if (retryAt !== undefined) facts.push(`next ${formatRelative(retryAt, nowMs)}`);
  if (failedCount > 0) facts.push(`failed ${failedCount}×`);
  const text = facts.join(", ");
  if (lastFailure === undefined) return text;
  const room = isFull ? Number.POSITIVE_INFINITY : Math.max(30, width - text.length);
  return `${text}: ${style("red", oneLine(lastFailure, room))}`;
}

function runsOfChain(runs: readonly RunSummary[], { nowMs }: ViewOptions): string {
  return table(
    [{ title: "" }, { title: "" }, { title: "" }, { title: "", leaveOut: 1 }, { title: "", leaveOut: 2 }],
    runs.map((run) => [
      `  ${printable(run.runId)}`,
      shownStatus(run),
      formatInstant(run.startedAt),
      `(${formatRelative(run.startedAt, nowMs)})`,
      `${run.historyLength} events`,
    ]),
  );
}

/** A payload as one line, cut to what is left of the terminal's. */
export function shownPayload(payload: string, { width, isFull }: ViewOptions, indent: number): string {
  return oneLine(payload, isFull ? Number.POSITIVE_INFINITY : Math.max(20, width - indent));
}

/** `Declined: no money left`, then its causes, each a line, and where the first of them was thrown. */
export function failureLines(failure: Failure, paint: typeof style = style): readonly string[] {
  const lines = [paint("red", failureTitle(failure))];
  for (let cause = failure.cause; cause !== undefined; cause = cause.cause) {
    lines.push(`${paint("dim", "because")} ${failureTitle(cause)}`);
  }
  const place = placeNameOf(failure);
  if (place !== undefined) lines.push(paint("dim", `at ${printable(place)}`));
  return lines;
}

export function failureTitle({ kind, type, message }: Failure): string {
  const name = kind === "application" || kind === "engine" ? type : undefined;
  return printable(name === undefined || name === "Error" ? message : `${name}: ${message}`);
}
