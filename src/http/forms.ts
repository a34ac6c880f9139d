import { z } from "zod";
import { roles } from "../client/access.ts";
import type { EventType } from "../core/event.ts";
import { runStatuses } from "../core/status.ts";
import { attributeChanges, attributes, instant, json, list, maybe, milliseconds } from "./basic-forms.ts";
import { backfillOverlap, scheduleConfig, skipReason, startCause } from "./schedule-forms.ts";

export { instant, json, list, maybe, milliseconds };

/**
 * The forms of what is told of runs, packages and namespaces: what goes over HTTP, and what commands print. The OpenAPI document and the
 * documents of the command are made of them. Nothing is checked with them but by tests.
 *
 * Law: fields are added, never renamed or removed, and none changes its meaning.
 */

export const ordinal = z.number().describe("Counts what the run asked for, from 0 for each kind.");

export const status = z.enum(runStatuses as readonly [(typeof runStatuses)[number]]);
export const timeout = z.enum([
  "schedule-to-start",
  "start-to-close",
  "schedule-to-close",
  "heartbeat",
  "run",
  "execution",
  "scope",
]);

export const failure = z.object({
  kind: z.enum(["application", "activity", "child", "timeout", "cancelled", "terminated", "engine"]),
  message: z.string(),
  type: maybe(
    z.string().describe("`application`: the author's type, else the class; `engine`: the error code."),
  ),
  nonRetryable: maybe(z.literal(true)),
  park: maybe(z.literal(true).describe("An operator has to mend the cause.")),
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

export const runSummary = z.object({
  workflowId: z.string(),
  runId: z.string(),
  workflowType: z.string(),
  version: z.string().describe('Of the code: the hash of a package, or "inline".'),
  status,
  startedAt: instant,
  closedAt: maybe(instant),
  historyLength: z.number(),
  blocked: maybe(z.string().describe("Why the run cannot go on until somebody acts.")),
  parked: maybe(
    z
      .object({
        count: z.number(),
        activities: list(
          z.object({
            ordinal,
            activityType: z.string(),
            taskQueue: maybe(z.string()),
            attempt: z.number(),
            parkedAt: instant,
            message: z.string().describe("What the latest attempt failed with: its beginning."),
          }),
        ).describe("Those that wait for the longest time: 20 at most."),
      })
      .describe("Activities of it that wait for an operator; the rest of the run goes on."),
  ),
  parentWorkflowId: maybe(z.string()),
  attributes: maybe(attributes.describe("What it can be found by. In lists: if it was asked for.")),
});

export const pendingActivity = z.object({
  ordinal,
  activityType: z.string(),
  attempt: z.number(),
  failedCount: z.number(),
  state: z
    .enum(["running", "waiting for a slot", "backing off", "no worker", "parked"])
    .describe(
      "`no worker`: its implementation is not in the process of the engine, and no worker serves it. `parked`: it waits for an operator.",
    ),
  taskQueue: maybe(z.string().describe("Where it waits for a worker.")),
  worker: maybe(z.string().describe("Who has the attempt that is under way, if that is a worker.")),
  progress: maybe(json.describe("The latest heartbeat details.")),
  retryAt: maybe(instant),
  parkedAt: maybe(instant.describe("Since when it waits for an operator.")),
  lastFailure: maybe(z.string()),
});

export const retry = z.object({
  maxAttempts: maybe(z.number()),
  backoff: z.enum(["exponential", "linear", "fixed"]),
  initialMs: milliseconds,
  maxMs: milliseconds,
  multiplier: z.number(),
  incrementMs: milliseconds,
  jitter: z.number(),
  nonRetryable: list(z.string()),
  park: maybe(list(z.string()).describe("Types of failure that wait for an operator.")),
  onExhausted: maybe(z.literal("park").describe("Absent: it fails.")),
});

export const activityOptions = z.object({
  retry: maybe(retry),
  scheduleToStartMs: maybe(milliseconds),
  startToCloseMs: maybe(milliseconds),
  scheduleToCloseMs: maybe(milliseconds),
  heartbeatMs: maybe(milliseconds),
  taskQueue: maybe(z.string()),
});

export const runAddress = z.object({ workflowId: z.string(), runId: z.string(), ordinal: z.number() });

export const envelope = {
  seq: z.number().describe("From 1 on without a gap, over all runs of the workflow id."),
  recordedAt: instant,
  workflowId: z.string(),
};

function event<Type extends EventType, Fields extends z.ZodRawShape>(type: Type, fields: Fields) {
  return z.object({ ...envelope, type: z.literal(type), ...fields });
}

export const attempt = { ordinal, attempt: z.number() };

const trace = z
  .object({ traceparent: z.string(), tracestate: maybe(z.string()) })
  .describe("The span that it belongs to, as W3C Trace Context has it.");

const codeIdentity = z
  .object({
    workflowId: z.string(),
    runId: z.string(),
    parent: maybe(runAddress),
    continuedFrom: maybe(z.string()),
    schedule: maybe(z.object({ id: z.string(), nominalAt: instant })),
  })
  .describe("As whom its code acts.");

/** Of what somebody asked for. */
const requested = { reason: maybe(z.string()), requestId: maybe(z.string()) };

/** Of the outcome that an operator gave to what was parked. */
const decided = { byOperator: maybe(z.literal(true)), ...requested };

export const events = {
  WorkflowStarted: event("WorkflowStarted", {
    runId: z.string(),
    workflowType: z.string(),
    version: z.string(),
    input: json,
    parent: maybe(runAddress),
    continuedFrom: maybe(z.string()),
    requestId: maybe(z.string()),
    sent: maybe(
      json.describe("With a request id: what its sender gave, if the schema made something else of it."),
    ),
    startAt: maybe(instant),
    runDeadlineAt: maybe(instant),
    runTimeoutMs: maybe(milliseconds),
    executionDeadlineAt: maybe(instant),
    unchecked: maybe(z.literal(true)),
    signalIds: maybe(list(z.string())),
    cancelRequestIds: maybe(list(z.string())),
    controlRequestIds: maybe(list(z.string())),
    updateIds: maybe(list(z.string())),
    signals: maybe(list(z.object({ name: z.string(), payload: json, signalId: maybe(z.string()) }))),
    trace: maybe(trace),
    scheduled: maybe(
      z
        .object({ scheduleId: z.string(), nominalAt: instant })
        .describe("A schedule started it, for this time of its."),
    ),
    resetOf: maybe(
      z
        .object({
          workflowId: maybe(z.string().describe("Of another workflow: it is a fork.")),
          runId: z.string(),
          toSeq: z.number().describe("The last event that was copied, by its seq there."),
          eventCount: z.number().describe("So many events are copies, this one among them."),
          at: instant,
          latestRunId: maybe(z.string().describe("The run that was the latest then, if another one.")),
          requestId: maybe(z.string()),
          begunAs: codeIdentity,
        })
        .describe("It begins with a copy of the events of another run, up to its WorkflowReset."),
    ),
    longHistory: maybe(
      z
        .object({ events: z.number(), bytes: z.number() })
        .describe("From which size on its code is told to continue as new."),
    ),
    attributes: maybe(attributes),
  }),
  WorkflowCompleted: event("WorkflowCompleted", { result: json }),
  WorkflowFailed: event("WorkflowFailed", { failure }),
  WorkflowCancelled: event("WorkflowCancelled", requested),
  WorkflowTerminated: event("WorkflowTerminated", {
    ...requested,
    resetTo: maybe(z.string().describe("It was reset: the workflow goes on as that run.")),
  }),
  WorkflowTimedOut: event("WorkflowTimedOut", { timeout: z.enum(["run", "execution"]) }),
  WorkflowContinuedAsNew: event("WorkflowContinuedAsNew", {
    newRunId: z.string(),
    workflowType: z.string(),
    input: json,
  }),
  WorkflowCancelRequested: event("WorkflowCancelRequested", {
    ...requested,
    isFurther: maybe(z.literal(true).describe("It was asked before.")),
  }),
  WorkflowPaused: event("WorkflowPaused", {
    ...requested,
    isFurther: maybe(z.literal(true).describe("It was paused before.")),
  }),
  WorkflowResumed: event("WorkflowResumed", {
    ...requested,
    isFurther: maybe(z.literal(true).describe("It was not paused.")),
  }),
  WorkflowReopened: event("WorkflowReopened", {
    voids: list(z.number()).describe("The seqs of what does not count any more."),
    ...requested,
    runDeadlineAt: maybe(instant.describe("Given anew, since it had run out.")),
    executionDeadlineAt: maybe(instant),
  }),
  WorkflowReset: event("WorkflowReset", {
    as: codeIdentity,
    keysRunId: maybe(
      z
        .string()
        .describe("Activities that are open here have the idempotency keys of that run from here on."),
    ),
    isRedone: maybe(z.literal(true).describe("What its code learned last it acts on anew.")),
    carriedSignals: maybe(z.number().describe("So many signals follow that came after that point.")),
    reason: maybe(z.string()),
    runDeadlineAt: maybe(instant.describe("Given anew, since it had run out.")),
    executionDeadlineAt: maybe(instant),
  }),
  InputDelivered: event("InputDelivered", {
    of: z.number().describe("The seq of what was recorded before, and is told to the code now."),
  }),
  ActivityScheduled: event("ActivityScheduled", {
    ordinal,
    activityType: z.string(),
    input: json,
    options: activityOptions,
    isStep: maybe(z.literal(true)),
  }),
  ActivityStarted: event("ActivityStarted", {
    ...attempt,
    worker: maybe(z.string().describe("Who was given it. Absent: the process of the engine runs it.")),
  }),
  ActivityCompleted: event("ActivityCompleted", { ...attempt, result: json, ...decided }),
  ActivityFailed: event("ActivityFailed", {
    ...attempt,
    failure,
    retryAt: maybe(instant.describe("Present: it will be tried again, then or later.")),
    heartbeat: maybe(json),
    lost: maybe(z.enum(["silent", "left"]).describe("Its worker is gone; the policy does not count it.")),
    ...decided,
  }),
  ActivityTimedOut: event("ActivityTimedOut", {
    ...attempt,
    timeout,
    retryAt: maybe(instant),
    heartbeat: maybe(json),
  }),
  ActivityParked: event("ActivityParked", {
    ...attempt,
    failure,
    timeout: maybe(timeout.describe("The attempt ran into this time-out.")),
    heartbeat: maybe(json),
  }),
  ActivityResumed: event("ActivityResumed", { ordinals: list(z.number()), ...requested }),
  ActivityCancelRequested: event("ActivityCancelRequested", { ordinal }),
  ActivityCancelled: event("ActivityCancelled", attempt),
  TimerStarted: event("TimerStarted", { ordinal, durationMs: milliseconds, fireAt: instant }),
  TimerFired: event("TimerFired", { ordinal: ordinal.describe("-1: the start delay is over.") }),
  TimerCancelled: event("TimerCancelled", { ordinal }),
  SignalReceived: event("SignalReceived", {
    name: z.string(),
    payload: json,
    signalId: maybe(z.string()),
    trace: maybe(trace),
  }),
  SignalSent: event("SignalSent", { ordinal, target: z.string(), name: z.string(), payload: json }),
  SignalSettled: event("SignalSettled", { ordinal, failure: maybe(failure) }),
  UpdateAccepted: event("UpdateAccepted", {
    updateId: z.string(),
    name: z.string(),
    input: json,
    sent: maybe(json.describe("What its sender gave, if the schema made something else of it.")),
    trace: maybe(trace),
  }),
  UpdateCompleted: event("UpdateCompleted", {
    updateId: z.string(),
    result: maybe(json),
    failure: maybe(failure),
  }),
  ChildWorkflowStarted: event("ChildWorkflowStarted", {
    ordinal,
    childWorkflowId: z.string(),
    workflowType: z.string(),
    input: json,
    parentClosePolicy: z.enum(["terminate", "cancel", "abandon"]),
    runTimeoutMs: maybe(milliseconds),
    attributes: maybe(attributes),
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
  SearchAttributesUpdated: event("SearchAttributesUpdated", {
    attributes: attributeChanges.describe("By name; null: taken away."),
  }),
  ScheduleCreated: event("ScheduleCreated", {
    scheduleId: z.string(),
    config: scheduleConfig,
    input: json,
    isPaused: maybe(z.literal(true)),
    note: maybe(z.string()),
    requestId: maybe(z.string()),
  }),
  ScheduleUpdated: event("ScheduleUpdated", {
    config: scheduleConfig,
    input: json,
    fromAt: instant.describe("Times after it are those of the new specification."),
    requestId: maybe(z.string()),
  }),
  SchedulePaused: event("SchedulePaused", { note: maybe(z.string()), requestId: maybe(z.string()) }),
  ScheduleResumed: event("ScheduleResumed", {
    fromAt: instant.describe("Times up to it are decided."),
    requestId: maybe(z.string()),
  }),
  ScheduleDeleted: event("ScheduleDeleted", { requestId: maybe(z.string()) }),
  ScheduleTriggered: event("ScheduleTriggered", {
    ordinal: z.number().describe("Among the starts of the schedule, from 1 on."),
    nominalAt: instant,
    startedId: z.string().describe("The workflow id of what is started."),
    cause: startCause,
    isWatched: z.boolean().describe("Its end is waited for."),
    hasWaited: maybe(z.literal(true).describe("It came due while another run was open.")),
    requestId: maybe(z.string()),
  }),
  ScheduleSkipped: event("ScheduleSkipped", {
    fromAt: instant.describe("The first time that was skipped."),
    toAt: instant.describe("The last one."),
    count: z.number(),
    isCountLeast: maybe(z.literal(true).describe("There are more than were counted.")),
    untilAt: maybe(instant.describe("Up to here everything is decided. Absent: up to `toAt`.")),
    reason: skipReason,
    cause: startCause,
    ordinal: maybe(z.number().describe("Of a start that could not be made.")),
    startedId: maybe(z.string()),
    message: maybe(z.string()),
  }),
  ScheduleBackfillRequested: event("ScheduleBackfillRequested", {
    fromAt: instant,
    toAt: instant,
    count: z.number(),
    overlap: backfillOverlap,
    requestId: maybe(z.string()),
  }),
} satisfies Readonly<Record<EventType, z.ZodType>>;

export const [firstEvent, ...otherEvents] = Object.values(events);
export const anyEvent = z.discriminatedUnion("type", [firstEvent, ...otherEvents] as [
  (typeof events)[EventType],
  ...(typeof events)[EventType][],
]);

/** Of a run and what it waits for. */
export const description = runSummary.extend({
  paused: maybe(
    z.object({ since: instant, reason: maybe(z.string()) }).describe("Present while the run is paused."),
  ),
  resetOf: maybe(
    z
      .object({
        workflowId: maybe(z.string()),
        runId: z.string(),
        toSeq: z.number(),
        at: instant,
        reason: maybe(z.string()),
        requestId: maybe(z.string()),
      })
      .describe("It goes on from a point of that run; with a workflow id, it is a fork of that workflow."),
  ),
  reopened: maybe(
    z
      .object({
        count: z.number(),
        at: instant.describe("The last time."),
        reason: maybe(z.string()),
        requestId: maybe(z.string()),
      })
      .describe("It had ended, and goes on."),
  ),
  resetTo: maybe(z.string().describe("It was ended by a reset: the workflow goes on as that run.")),
  input: maybe(json),
  result: maybe(json),
  failure: maybe(failure),
  pendingActivities: list(pendingActivity),
  pendingTimers: list(z.object({ ordinal, fireAt: instant })),
  pendingChildren: list(z.object({ workflowId: z.string(), workflowType: z.string() })),
  pendingUpdates: list(z.object({ updateId: z.string(), name: z.string(), acceptedAt: instant })),
  isCancelRequested: z.boolean(),
  historySize: z
    .object({
      events: z.number(),
      bytes: z.number().describe("About."),
      eventsMax: maybe(z.number()),
      bytesMax: maybe(z.number()),
      isLong: z.boolean().describe("The code is told to continue as new."),
      waitingSignals: maybe(z.number().describe("Signals that the code has not asked for.")),
    })
    .describe("How long the history of the run is, beside what it may be."),
  pid: maybe(z.string().describe("While the run's code is in memory.")),
  runs: list(runSummary).describe("All runs of the workflow id."),
});

export const runPage = z.object({
  runs: list(runSummary),
  nextCursor: maybe(z.string().describe("There are more: where the next page begins.")),
});

export const count = z.object({ count: z.number() });

export const activitiesResumed = z.object({
  runId: z.string(),
  ordinals: list(z.number()).describe("Of the activities that were decided on."),
});

export const started = z.object({
  workflowId: z.string(),
  runId: z.string(),
  isNew: z.boolean().describe("False: it was there already."),
});

export const resetDone = z.object({
  workflowId: z.string(),
  runId: z.string().describe("The new run."),
  toSeq: z.number().describe("The last event that was kept."),
  resetFrom: z.string().describe("The run that it was copied from."),
  isNew: z.boolean().describe("False: the call was made before."),
});

/** Of the run asked for or, if it continued as new, of the last one after it. */
export const results = [
  z.object({ runId: z.string(), status: z.literal("completed"), result: json }),
  z.object({ runId: z.string(), status: z.literal("running"), blocked: maybe(z.string()) }),
  z.object({
    runId: z.string(),
    status: z.enum(["failed", "cancelled", "terminated", "timed-out"]),
    failure,
  }),
] as const;

const updateNamed = { runId: z.string(), updateId: z.string() };

/** Of an update. */
export const updates = [
  z.object({ ...updateNamed, status: z.literal("completed"), result: json }),
  z.object({ ...updateNamed, status: z.literal("failed"), failure }),
  z.object({ ...updateNamed, status: z.literal("accepted"), blocked: maybe(z.string()) }),
  z
    .object({ ...updateNamed, status: z.literal("waiting") })
    .describe(
      "Its code may not move yet (a start delay, a pause), and nothing is accepted: make the update again, with its id.",
    ),
] as const;

export const historyPage = z.object({
  events: list(anyEvent),
  nextSeq: z.number().describe("Where the next page begins."),
  isEnd: z.boolean().describe("The latest run has ended, and these events reach its end."),
});

/** One line of what workflow code said. */
export const logsLine = z.object({
  runId: z.string(),
  seq: z.number().describe("Of the event at which the code said it."),
  recordedAt: z.number().describe("When that was recorded."),
  level: z.enum(["debug", "info", "warn", "error"]),
  message: z.string(),
  fields: maybe(z.record(z.string(), z.unknown())),
});

export const logsPage = z.object({
  lines: list(logsLine),
  nextCursor: z.string().describe("Where the next page begins."),
  isEnd: z.boolean().describe("The latest run has ended, and there is nothing more."),
  droppedCount: z
    .number()
    .describe("Lines that would stand before those of this page, and were dropped for newer ones."),
});

/** An event in the order of commits, or what stands in the place of events that cannot be read. */
export const feedEvent = z.object({
  cursor: z.string().describe("Where to read on after this event."),
  workflowId: z.string(),
  runId: z.string(),
  workflowType: z.string(),
  event: maybe(anyEvent),
  unreadable: maybe(
    z
      .object({ firstSeq: z.number(), lastSeq: z.number(), code: z.string(), message: z.string() })
      .describe("In the place of events that are damaged, or that a newer version wrote."),
  ),
});

export const feedPage = z.object({
  events: list(feedEvent),
  nextCursor: z.string().describe("Where to read on, though there are no events."),
  isAtHead: z.boolean().describe("There was nothing more when it was read."),
});

const packageSummary = z.object({
  version: z.string(),
  sizeBytes: z.number(),
  deployedAt: instant,
  workflowTypes: list(z.string()),
  routedTypes: list(z.string()).describe("Those of its types whose new runs get it."),
});

export const packages = z.object({
  packages: list(packageSummary),
  routes: list(z.object({ workflowType: z.string(), version: z.string(), routedAt: instant })),
});

export const workers = z.object({
  workers: list(
    z.object({
      identity: z.string(),
      build: maybe(z.string().describe("Of its code.")),
      state: z
        .enum(["ready", "draining", "cut off"])
        .describe("`cut off`: it has no connection, and may come back."),
      taskQueues: list(z.string()),
      activityTypes: list(z.string()),
      capacity: z.number().describe("Tasks that it runs at once."),
      tasksInFlight: z.number(),
    }),
  ),
  taskQueues: list(
    z.object({
      taskQueue: z.string(),
      waitingCount: z.number().describe("Activities that stand in line."),
      waitingSince: maybe(instant.describe("Since when the first of them does.")),
      inFlightCount: z.number().describe("Attempts that workers have, or are about to get."),
    }),
  ),
});

export const deployed = z.object({
  version: z.string().describe("SHA-256 of the archive, in hexadecimal digits."),
  workflowTypes: list(z.string()),
  isNew: z.boolean().describe("False: it was there already."),
});

export const namespaceSummary = z.object({
  name: z.string(),
  state: z.enum(["open", "unavailable"]),
  error: maybe(z.string().describe("Why it is not open.")),
});

const namesOrAll = z.union([z.literal("*"), list(z.string())]);
export const grant = z.object({
  roles: list(z.enum(roles)),
  namespaces: namesOrAll.describe("`*`: all."),
  taskQueues: maybe(namesOrAll.describe("What a worker may serve. Absent: all.")),
});

/** Without its secret. */
export const keySummary = z.object({
  id: z.string(),
  subject: z.string().describe("Who holds it."),
  grants: list(grant),
  createdAt: instant,
  createdBy: maybe(z.string()),
  expiresAt: maybe(instant),
  revokedAt: maybe(instant),
  rotatedAt: maybe(instant),
  previousUntil: maybe(instant.describe("Until when the secret of before the rotation is taken, too.")),
});

export const keySecret = z.object({
  key: keySummary,
  token: z.string().describe("`aion_<id>_<secret>`: shown now, and never again."),
});

export const auditEntry = z.object({
  id: z.number(),
  at: instant,
  subject: maybe(z.string().describe("Who. Absent: nobody that the server knows.")),
  keyId: maybe(z.string()),
  operation: z.string(),
  namespace: maybe(z.string()),
  ids: z.record(z.string(), z.string()).describe("What the request, or its answer, named."),
  address: z.string().describe("Where the call came from."),
  outcome: z
    .string()
    .describe(
      "`ok`, the code of the error, or `unknown`: the call is under way, or the server ended before it did.",
    ),
  count: z
    .number()
    .describe("More than 1: so many refusals alike, of which the later ones were only counted."),
});

export const auditPage = z.object({
  entries: list(auditEntry),
  nextCursor: maybe(z.string().describe("There are more: where the next page begins.")),
});
