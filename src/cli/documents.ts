import { z } from "zod";
import type { EventType } from "../core/event.ts";
import { errorTable } from "../core/errors.ts";
import type { ErrorCode } from "../core/errors.ts";
import { runStatuses } from "../core/status.ts";
import { checkNames, findingStatuses } from "./doctor/finding.ts";
import { templateNames } from "./project.ts";

/**
 * What commands print with `--json`, one schema each. docs/cli-json.md and docs/cli-json.schema.json are made of them.
 *
 * Law: fields are added, never renamed or removed, and none changes its meaning. Only the types of this file reach the commands,
 * which do not check what they print: the tests do.
 */

const instant = z.number().describe("Milliseconds since 1970.");
const milliseconds = z.number().describe("Milliseconds.");
const ordinal = z.number().describe("Counts what the run asked for, from 0 for each kind.");
const json = z.unknown().describe("Any JSON.");
const list = <Item extends z.ZodType>(item: Item): z.ZodReadonly<z.ZodArray<Item>> =>
  z.array(item).readonly();
const maybe = z.exactOptional;

const status = z.enum(runStatuses as readonly [(typeof runStatuses)[number]]);
const timeout = z.enum([
  "schedule-to-start",
  "start-to-close",
  "schedule-to-close",
  "heartbeat",
  "run",
  "execution",
  "scope",
]);

const failure = z.object({
  kind: z.enum(["application", "activity", "child", "timeout", "cancelled", "terminated", "engine"]),
  message: z.string(),
  type: maybe(
    z.string().describe("`application`: the author's type, else the class; `engine`: the error code."),
  ),
  nonRetryable: maybe(z.literal(true)),
  details: maybe(json),
  stack: maybe(z.string()),
  of: maybe(z.string().describe("`activity`: its type; `child`: the workflow type.")),
  attempt: maybe(z.number()),
  childWorkflowId: maybe(z.string()),
  timeout: maybe(timeout),
  get cause() {
    return maybe(failure);
  },
});

const runSummary = z.object({
  workflowId: z.string(),
  runId: z.string(),
  workflowType: z.string(),
  version: z.string().describe('Of the code: the hash of a package, or "inline".'),
  status,
  startedAt: instant,
  closedAt: maybe(instant),
  historyLength: z.number(),
  blocked: maybe(z.string().describe("Why the run cannot go on until somebody acts.")),
  parentWorkflowId: maybe(z.string()),
});

const pendingActivity = z.object({
  ordinal,
  activityType: z.string(),
  attempt: z.number(),
  failedCount: z.number(),
  state: z.enum(["running", "waiting for a slot", "backing off", "no implementation"]),
  retryAt: maybe(instant),
  lastFailure: maybe(z.string()),
});

const retry = z.object({
  maxAttempts: maybe(z.number()),
  backoff: z.enum(["exponential", "linear", "fixed"]),
  initialMs: milliseconds,
  maxMs: milliseconds,
  multiplier: z.number(),
  incrementMs: milliseconds,
  jitter: z.number(),
  nonRetryable: list(z.string()),
});

const activityOptions = z.object({
  retry: maybe(retry),
  scheduleToStartMs: maybe(milliseconds),
  startToCloseMs: maybe(milliseconds),
  scheduleToCloseMs: maybe(milliseconds),
  heartbeatMs: maybe(milliseconds),
});

const runAddress = z.object({ workflowId: z.string(), runId: z.string(), ordinal: z.number() });

const envelope = {
  seq: z.number().describe("From 1 on without a gap, over all runs of the workflow id."),
  recordedAt: instant,
  workflowId: z.string(),
};

function event<Type extends EventType, Fields extends z.ZodRawShape>(type: Type, fields: Fields) {
  return z.object({ ...envelope, type: z.literal(type), ...fields });
}

const attempt = { ordinal, attempt: z.number() };

const events = {
  WorkflowStarted: event("WorkflowStarted", {
    runId: z.string(),
    workflowType: z.string(),
    version: z.string(),
    input: json,
    parent: maybe(runAddress),
    continuedFrom: maybe(z.string()),
    requestId: maybe(z.string()),
    startAt: maybe(instant),
    runDeadlineAt: maybe(instant),
    runTimeoutMs: maybe(milliseconds),
    executionDeadlineAt: maybe(instant),
    unchecked: maybe(z.literal(true)),
    signalIds: maybe(list(z.string())),
    signals: maybe(list(z.object({ name: z.string(), payload: json, signalId: maybe(z.string()) }))),
  }),
  WorkflowCompleted: event("WorkflowCompleted", { result: json }),
  WorkflowFailed: event("WorkflowFailed", { failure }),
  WorkflowCancelled: event("WorkflowCancelled", { reason: maybe(z.string()) }),
  WorkflowTerminated: event("WorkflowTerminated", { reason: maybe(z.string()) }),
  WorkflowTimedOut: event("WorkflowTimedOut", { timeout: z.enum(["run", "execution"]) }),
  WorkflowContinuedAsNew: event("WorkflowContinuedAsNew", {
    newRunId: z.string(),
    workflowType: z.string(),
    input: json,
  }),
  WorkflowCancelRequested: event("WorkflowCancelRequested", { reason: maybe(z.string()) }),
  ActivityScheduled: event("ActivityScheduled", {
    ordinal,
    activityType: z.string(),
    input: json,
    options: activityOptions,
    isStep: maybe(z.literal(true)),
  }),
  ActivityStarted: event("ActivityStarted", attempt),
  ActivityCompleted: event("ActivityCompleted", { ...attempt, result: json }),
  ActivityFailed: event("ActivityFailed", {
    ...attempt,
    failure,
    retryAt: maybe(instant.describe("Present: it will be tried again, then or later.")),
    heartbeat: maybe(json),
  }),
  ActivityTimedOut: event("ActivityTimedOut", {
    ...attempt,
    timeout,
    retryAt: maybe(instant),
    heartbeat: maybe(json),
  }),
  ActivityCancelRequested: event("ActivityCancelRequested", { ordinal }),
  ActivityCancelled: event("ActivityCancelled", attempt),
  TimerStarted: event("TimerStarted", { ordinal, durationMs: milliseconds, fireAt: instant }),
  TimerFired: event("TimerFired", { ordinal: ordinal.describe("-1: the start delay is over.") }),
  TimerCancelled: event("TimerCancelled", { ordinal }),
  SignalReceived: event("SignalReceived", {
    name: z.string(),
    payload: json,
    signalId: maybe(z.string()),
  }),
  SignalSent: event("SignalSent", { ordinal, target: z.string(), name: z.string(), payload: json }),
  SignalSettled: event("SignalSettled", { ordinal, failure: maybe(failure) }),
  ChildWorkflowStarted: event("ChildWorkflowStarted", {
    ordinal,
    childWorkflowId: z.string(),
    workflowType: z.string(),
    input: json,
    parentClosePolicy: z.enum(["terminate", "cancel", "abandon"]),
    runTimeoutMs: maybe(milliseconds),
  }),
  ChildWorkflowCompleted: event("ChildWorkflowCompleted", { ordinal, result: json }),
  ChildWorkflowFailed: event("ChildWorkflowFailed", { ordinal, failure }),
  ChildWorkflowCancelled: event("ChildWorkflowCancelled", { ordinal }),
  ChildWorkflowTimedOut: event("ChildWorkflowTimedOut", { ordinal }),
  ChildWorkflowTerminated: event("ChildWorkflowTerminated", { ordinal }),
  ChildWorkflowCancelRequested: event("ChildWorkflowCancelRequested", { ordinal }),
  SideEffectRecorded: event("SideEffectRecorded", {
    ordinal,
    value: maybe(json),
    failure: maybe(failure),
  }),
  VersionMarked: event("VersionMarked", { changeId: z.string() }),
} satisfies Readonly<Record<EventType, z.ZodType>>;

const [firstEvent, ...otherEvents] = Object.values(events);
const anyEvent = z.discriminatedUnion("type", [firstEvent, ...otherEvents] as [
  (typeof events)[EventType],
  ...(typeof events)[EventType][],
]);

const problemPlace = z.object({
  file: z.string(),
  line: z.number(),
  column: z.number(),
  length: z.number(),
  lineText: z.string(),
});

const problem = z.object({
  text: z.string(),
  place: maybe(problemPlace),
  chain: maybe(list(z.string())),
  neededBy: maybe(problemPlace),
  remedy: z.string().optional(),
});

const shape = z.enum(["any", "described", "opaque"]);

const manifest = z.object({
  format: z.number(),
  aion: z.string().describe("The version that built it."),
  entry: z.string(),
  workflows: list(z.object({ type: z.string(), input: shape, output: shape, signals: list(z.string()) })),
  activities: list(z.object({ type: z.string(), input: shape, options: z.record(z.string(), json) })),
  signals: list(z.object({ name: z.string(), payload: shape })),
  queries: list(z.object({ name: z.string(), input: shape, output: shape })),
});

const packageSummary = z.object({
  version: z.string(),
  sizeBytes: z.number(),
  deployedAt: instant,
  workflowTypes: list(z.string()),
  routedTypes: list(z.string()).describe("Those of its types whose new runs get it."),
});

const details = z.record(z.string(), json).describe("The facts, for programs.");
const code = z
  .enum(Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]])
  .describe("See errors.md. There will be more of them.");

const error = z.object({ code, message: z.string(), hint: z.string(), details });

const finding = z.object({
  check: z.enum(checkNames).describe("There will be more of them."),
  status: z.enum(findingStatuses),
  message: z.string(),
  remedy: maybe(z.string().describe("What to do; present unless all is well.")),
  facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});

/** What occurs in more than one document. */
export const parts = { Event: anyEvent, Failure: failure, RunSummary: runSummary, Error: error };

/** What each command prints on stdout. */
export const documents = {
  init: z.object({
    directory: z.string(),
    name: z.string().describe("Of its npm package."),
    template: z.enum(templateNames as readonly [(typeof templateNames)[number]]),
    files: list(z.string()),
    next: list(z.string()).describe("Commands to type now, one after the other."),
  }),
  list: z.object({
    runs: list(runSummary),
    nextCursor: maybe(z.string().describe("There are more: for --cursor.")),
  }),
  count: z.object({ count: z.number() }),
  describe: runSummary.extend({
    input: maybe(json),
    result: maybe(json),
    failure: maybe(failure),
    pendingActivities: list(pendingActivity),
    pendingTimers: list(z.object({ ordinal, fireAt: instant })),
    pendingChildren: list(z.object({ workflowId: z.string(), workflowType: z.string() })),
    isCancelRequested: z.boolean(),
    pid: maybe(z.string().describe("While the run's code is in memory.")),
    runs: list(runSummary).describe("All runs of the workflow id."),
  }),
  history: z.object({ workflowId: z.string(), events: list(anyEvent) }),
  start: z.object({
    workflowId: z.string(),
    runId: z.string(),
    isNew: z.boolean().describe("False: it was there already."),
  }),
  signal: z.object({ workflowId: z.string(), name: z.string() }),
  cancel: z.object({ workflowId: z.string() }),
  terminate: z.object({ workflowId: z.string() }),
  query: json.describe("The answer itself: any JSON."),
  result: z.discriminatedUnion("status", [
    z.object({ workflowId: z.string(), runId: z.string(), status: z.literal("completed"), result: json }),
    z.object({
      workflowId: z.string(),
      runId: z.string(),
      status: z.literal("running"),
      blocked: maybe(z.string()),
    }),
    z.object({
      workflowId: z.string(),
      runId: z.string(),
      status: z.enum(["failed", "cancelled", "terminated", "timed-out"]),
      failure,
    }),
  ]),
  replay: z.object({
    workflowId: z.string(),
    runId: z.string(),
    workflowType: z.string(),
    events: z.number(),
    outcome: z.enum(["ok", "diverged", "failed"]),
    resumesAt: maybe(z.object({ commandIndex: z.number(), command: z.string() })),
    error: maybe(error),
  }),
  backup: z.object({
    file: z.string(),
    runCount: z.number(),
    eventCount: z.number(),
    messageCount: z.number(),
    packageCount: z.number(),
    byteCount: z.number(),
  }),
  build: z.object({
    file: z.string(),
    hash: z.string().describe("SHA-256 of the package: its version."),
    byteCount: z.number(),
    durationMs: milliseconds,
    manifest,
    dropped: list(
      z.object({
        file: z.string(),
        activities: list(z.string()),
        imports: list(z.string()),
        names: list(z.string()),
      }),
    ),
    warnings: list(problem),
  }),
  deploy: z.object({ version: z.string(), workflowTypes: list(z.string()), isNew: z.boolean() }),
  versions: z.object({
    packages: list(packageSummary),
    routes: list(z.object({ workflowType: z.string(), version: z.string(), routedAt: instant })),
  }),
  route: z.object({ workflowTypes: list(z.string()), version: z.string() }),
  unload: z.object({ version: z.string() }),
  doctor: z.object({
    aionVersion: z.string(),
    store: maybe(z.string()),
    status: z
      .enum(["ok", "warning", "failed"])
      .describe("The worst of them; the exit code is 1 for `failed`."),
    checks: list(finding),
  }),
  completion: z.object({ shell: z.enum(["bash", "zsh", "fish"]), script: z.string() }),
};

/** Lines: one document each, as it comes. */
export const lines = {
  "history-follow": anyEvent,
  "error-line": z.object({
    error: error.extend({ stack: maybe(z.string().describe("Of a bug of Aion's.")) }),
  }),
  "note-line": z.object({ note: z.string() }),
};

export type DocumentName = keyof typeof documents;
export type DocumentOf<Name extends DocumentName> = z.input<(typeof documents)[Name]>;
export type EventDocument = z.input<typeof anyEvent>;
export type FailureDocument = z.input<typeof failure>;
export type ErrorLine = z.input<(typeof lines)["error-line"]>;
export type NoteLine = z.input<(typeof lines)["note-line"]>;
