import { z } from "zod";
import type { FeedFilter, Service } from "../client/service.ts";
import { waitMsMax } from "../client/routes.ts";
import { parseWhere } from "../core/attribute-filter.ts";
import type { Attributes } from "../core/attributes.ts";
import { noAttributes, parseAttributes } from "../core/attributes.ts";
import { AionError } from "../core/errors.ts";
import { isEventType } from "../core/event.ts";
import type { EventType } from "../core/event.ts";
import { idLengthMax, parseName, parseRunId, parseWorkflowId } from "../core/ids.ts";
import { isPackageVersion } from "../core/package-version.ts";
import { toPayload } from "../core/payload.ts";
import type { Payload } from "../core/payload.ts";
import { runStatuses } from "../core/status.ts";
import { attribute } from "./basic-forms.ts";
import { backfillOverlap, overlapPolicy } from "./schedule-forms.ts";

export type RequestOf<Method extends keyof Service> = Parameters<Service[Method]>[0];
export type ReplyOf<Method extends keyof Service> = Awaited<ReturnType<Service[Method]>>;

const pageMax = 1_000;
const listLimitDefault = 100;
const historyLimitDefault = 500;
const routedTypesMax = 1_000;

const idForm = { minLength: 1, maxLength: idLengthMax };

// Borders throw their own errors, whose codes say more than "invalid".
const workflowId = z
  .string()
  .transform((text): string => parseWorkflowId(text))
  .meta({ ...idForm, description: "Names a chain of runs." });
const runId = z
  .string()
  .transform((text): string => parseRunId(text))
  .meta({ ...idForm, description: "One run of the chain. Default: the latest." });
const name = (what: string): z.ZodType<string> =>
  z
    .string()
    .transform((text) => parseName(text, what))
    .meta(idForm);
const instant = z.number().meta({ description: "Milliseconds since 1970." });
const durationMs = z.number().int().nonnegative().meta({ description: "In milliseconds." });
const pageLimit = z.number().int().min(1).max(pageMax);
const waitMs = z
  .number()
  .int()
  .nonnegative()
  .transform((ms) => Math.min(ms, waitMsMax))
  .meta({
    description: `How long to wait for what is asked for, in milliseconds; no longer than ${waitMsMax}. Default 0.`,
  });
const address = { workflowId, runId: runId.exactOptional() };
const version = z
  .string()
  .refine(isPackageVersion, "is no version of a package: 64 hexadecimal digits")
  .meta({ description: "SHA-256 of the archive, in hexadecimal digits." });
const reason = z.string().max(10_000).exactOptional();
const requestId = name("request id")
  .exactOptional()
  .meta({ description: "Names this call: made again with the same one, it has no second effect." });
const scheduleId = name("schedule id");
const note = z.string().max(1_000).exactOptional();
const scheduleRulesMax = 50;
const scheduleSpec = z.strictObject({
  crons: z
    .array(
      z.strictObject({
        expression: z.string().max(200),
        timeZone: z.string().max(100).exactOptional().meta({ description: "An IANA name. Default UTC." }),
      }),
    )
    .max(scheduleRulesMax)
    .exactOptional(),
  intervals: z
    .array(z.strictObject({ everyMs: durationMs, offsetMs: durationMs.exactOptional() }))
    .max(scheduleRulesMax)
    .exactOptional(),
  startAt: instant.exactOptional(),
  endAt: instant.exactOptional(),
  jitterMs: durationMs.exactOptional(),
});
const attributes = z
  .record(z.string(), attribute)
  .transform((values): Attributes => parseAttributes(values, "the attributes of the request") ?? noAttributes)
  .meta({ description: "What the run can be found by from the beginning: names, and what they are." });
const where = z
  .array(z.string())
  .transform((texts): readonly string[] => {
    parseWhere(texts);
    return texts;
  })
  .exactOptional()
  .meta({
    description:
      "Conditions on search attributes, all of which hold: `customerId=c-1`, `amount>=100`, `region in (eu, us)`, `dueAt exists`.",
  });
const eventTypesMax = 100;
const eventType = z.string().transform((text, context): EventType => {
  if (isEventType(text)) return text;
  context.addIssue({
    code: "custom",
    message: `there are no events of type ${JSON.stringify(text.slice(0, 100))}`,
  });
  return z.NEVER;
});

/** What is asked of the feed, and what of its stream. */
export const feedFields = {
  after: z.string().max(200).exactOptional().meta({
    description: "A cursor. Absent: from now on. `oldest`: from the oldest that is kept.",
  }),
  workflowId: workflowId.exactOptional(),
  workflowType: name("workflow type").exactOptional(),
  types: z
    .string()
    .max(10_000)
    .transform((text) => text.split(","))
    .pipe(z.array(eventType).max(eventTypesMax))
    .exactOptional()
    .meta({ description: "Types of events, with commas between." }),
  where,
};

/** The filter that stands in such fields. */
export function toFeedFilter({
  workflowId: id,
  workflowType,
  types,
  where: conditions,
}: z.output<z.ZodObject<typeof feedFields>>): {
  readonly filter?: FeedFilter;
} {
  if (id === undefined && workflowType === undefined && types === undefined && conditions === undefined)
    return {};
  return {
    filter: {
      ...(id === undefined ? {} : { workflowId: id }),
      ...(workflowType === undefined ? {} : { workflowType }),
      ...(types === undefined ? {} : { types }),
      ...(conditions === undefined ? {} : { where: conditions }),
    },
  };
}

const listFilter = {
  workflowId: workflowId.exactOptional(),
  workflowType: name("workflow type").exactOptional(),
  status: z.enum(runStatuses).exactOptional(),
  isBlocked: z.boolean().exactOptional(),
  isParked: z.boolean().exactOptional(),
  startedAfter: instant.exactOptional(),
  startedBefore: instant.exactOptional(),
  closedAfter: instant.exactOptional(),
  closedBefore: instant.exactOptional(),
  parentWorkflowId: workflowId.exactOptional(),
  where,
};

type RequestSchemas = { readonly [Method in keyof Service]: z.ZodType<RequestOf<Method>> };

/** The archive of a package comes as bytes; all else that a request says is JSON. */
const archive = z.instanceof(Uint8Array);

/** Every method with the form of its request: one without an entry does not compile. Payloads are JSON values. */
export function requestSchemasFor(payloadLimitBytes: number): RequestSchemas {
  const payload = (what: string): z.ZodType<Payload> =>
    z
      .unknown()
      .optional()
      .transform((value) => toPayload(value, what, payloadLimitBytes))
      .meta({ description: "Any JSON value. Default null." });
  const maybePayload = (what: string) =>
    z
      .unknown()
      .transform((value) => toPayload(value, what, payloadLimitBytes))
      .exactOptional();
  const signal = {
    name: name("signal name"),
    payload: payload("the payload of the signal"),
    signalId: name("signal id")
      .exactOptional()
      .meta({ description: "A second signal with this id is the first one." }),
  };
  const end = z.strictObject({ ...address, reason, requestId });
  const reset = {
    ...address,
    toSeq: z.number().int().min(1).exactOptional().meta({
      description:
        "The last event that is kept. Absent, of a run that did not end well or is blocked: the last one before what went wrong.",
    }),
    reason,
    requestId,
    signals: z.enum(["carry", "drop"]).exactOptional().meta({
      description: "What becomes of signals that came after it. Default: carry, of a fork drop.",
    }),
    version: name("version").exactOptional().meta({
      description: "Of the code; `same`: that of the old run. Default: the one that new runs get.",
    }),
  };
  const scheduleAction = z.strictObject({
    workflowType: name("workflow type"),
    input: payload("the input of the workflow"),
    workflowIdPrefix: name("workflow id prefix").exactOptional(),
    runTimeoutMs: durationMs.exactOptional(),
    executionTimeoutMs: durationMs.exactOptional(),
    attributes: attributes.exactOptional(),
  });
  return {
    start: z.strictObject({
      workflowType: name("workflow type"),
      input: payload("the input of the workflow"),
      workflowId: workflowId.exactOptional(),
      requestId,
      reuse: z
        .enum(["return", "reject", "after-close", "after-failure", "terminate"])
        .exactOptional()
        .meta({ description: "What to do when the workflow id is taken. Default: return." }),
      startDelayMs: durationMs.exactOptional(),
      runTimeoutMs: durationMs.exactOptional(),
      executionTimeoutMs: durationMs.exactOptional(),
      signal: z
        .strictObject(signal)
        .exactOptional()
        .meta({ description: "Recorded with the start in one step, or sent to the run that exists." }),
      attributes: attributes.exactOptional(),
    }),
    signal: z.strictObject({ ...address, ...signal }),
    query: z.strictObject({ ...address, name: name("query name"), input: payload("the input of the query") }),
    update: z.strictObject({
      ...address,
      name: name("update name"),
      input: payload("the input of the update"),
      updateId: name("update id").exactOptional().meta({
        description: "A second update with this id is the first one. Default: one that is made up.",
      }),
      waitMs: waitMs.exactOptional(),
      waitFor: z
        .enum(["accepted", "completed"])
        .exactOptional()
        .meta({ description: "What to wait for. Default: completed." }),
    }),
    updateResult: z.strictObject({ ...address, updateId: name("update id"), waitMs: waitMs.default(0) }),
    cancel: end,
    terminate: end,
    pause: end,
    resume: end,
    resumeActivity: z.strictObject({
      ...address,
      ordinal: z.number().int().min(0).exactOptional().meta({
        description: "Which of its activities. Absent: all of them that are parked.",
      }),
      activityType: name("activity type").exactOptional().meta({ description: "Only those of this type." }),
      outcome: z.enum(["retry", "complete", "fail"]).exactOptional().meta({
        description:
          "retry (default): each is tried again, with a fresh count of attempts. complete, fail: the one of that ordinal is given its outcome.",
      }),
      result: maybePayload("the result of the activity").meta({
        description: "Of complete: any JSON value that fits the output schema of the activity. Default null.",
      }),
      failure: z
        .strictObject({
          message: z.string().max(8_000),
          type: name("failure type").exactOptional(),
          details: maybePayload("the details of the failure"),
        })
        .exactOptional()
        .meta({ description: "Of fail: what the workflow is told that its activity failed with." }),
      reason,
      requestId,
    }),
    reopen: end,
    reset: z.strictObject(reset),
    fork: z.strictObject({ ...reset, newWorkflowId: workflowId }),
    result: z.strictObject({ ...address, waitMs: waitMs.default(0) }),
    describe: z.strictObject(address),
    list: z
      .strictObject({
        ...listFilter,
        limit: pageLimit.default(listLimitDefault),
        cursor: z.string().max(200).exactOptional().meta({ description: "`nextCursor` of the page before." }),
        withAttributes: z
          .boolean()
          .exactOptional()
          .meta({ description: "The runs are given with their search attributes. Default false." }),
      })
      .transform(({ limit, cursor, withAttributes, ...filter }) => ({
        filter,
        limit,
        ...(cursor === undefined ? {} : { cursor }),
        ...(withAttributes === undefined ? {} : { withAttributes }),
      })),
    count: z.strictObject(listFilter),
    history: z.strictObject({
      ...address,
      fromSeq: z.number().int().min(1).default(1),
      limit: pageLimit.default(historyLimitDefault),
      waitMs: waitMs.exactOptional(),
    }),
    logs: z.strictObject({
      ...address,
      after: z.string().max(200).exactOptional().meta({
        description: "`nextCursor` of the page before. Absent: from the oldest line that is kept.",
      }),
      limit: pageLimit.default(historyLimitDefault),
      waitMs: waitMs.exactOptional(),
    }),
    feed: z
      .strictObject({
        ...feedFields,
        limit: pageLimit.default(historyLimitDefault),
        waitMs: waitMs.exactOptional(),
      })
      .transform((fields) => {
        const { after, limit, waitMs: wait } = fields;
        return {
          limit,
          ...(after === undefined ? {} : { after }),
          ...(wait === undefined ? {} : { waitMs: wait }),
          ...toFeedFilter(fields),
        };
      }),
    deploy: z.strictObject({
      archive,
      requestId,
      isRouted: z
        .boolean()
        .exactOptional()
        .meta({ description: "False: its types keep the routes that they have. Default true." }),
    }),
    listPackages: z.strictObject({ workflowType: name("workflow type").exactOptional() }),
    listWorkers: z.strictObject({ taskQueue: name("task queue").exactOptional() }),
    route: z.strictObject({
      workflowTypes: z.array(name("workflow type")).min(1).max(routedTypesMax),
      version,
      requestId,
    }),
    unload: z.strictObject({ version, requestId }),
    createSchedule: z.strictObject({
      scheduleId,
      spec: scheduleSpec,
      action: scheduleAction,
      overlap: overlapPolicy.exactOptional(),
      catchUpWindowMs: durationMs.exactOptional(),
      actionsMax: z.number().int().min(1).exactOptional().meta({
        description: "So many times start, and then none any more. Default: without end.",
      }),
      isPaused: z.boolean().exactOptional(),
      note,
      requestId,
    }),
    updateSchedule: z.strictObject({
      scheduleId,
      spec: scheduleSpec.exactOptional(),
      action: scheduleAction.exactOptional(),
      overlap: overlapPolicy.exactOptional(),
      catchUpWindowMs: durationMs.exactOptional(),
      actionsMax: z.number().int().min(1).nullable().exactOptional().meta({
        description: "From now on. Null: without end.",
      }),
      requestId,
    }),
    describeSchedule: z.strictObject({
      scheduleId,
      nextCount: z.number().int().min(0).max(100).exactOptional().meta({
        description: "How many of the times to come are told. Default 5.",
      }),
    }),
    listSchedules: z.strictObject({
      limit: pageLimit.default(listLimitDefault),
      cursor: z.string().max(200).exactOptional().meta({ description: "`nextCursor` of the page before." }),
    }),
    pauseSchedule: z.strictObject({ scheduleId, note, requestId }),
    resumeSchedule: z.strictObject({ scheduleId, requestId }),
    triggerSchedule: z.strictObject({
      scheduleId,
      overlap: z.enum(["skip", "allow-all"]).exactOptional().meta({
        description:
          "skip: refused while a run is open that the schedule waits for. Default: allow-all if that is the policy of the schedule, else skip.",
      }),
      requestId,
    }),
    backfillSchedule: z.strictObject({
      scheduleId,
      fromAt: instant,
      toAt: instant,
      overlap: backfillOverlap.exactOptional().meta({
        description: "one-by-one (default): each waits for the end of the one before it.",
      }),
      requestId,
    }),
    deleteSchedule: z.strictObject({ scheduleId, requestId }),
  };
}

const issuesMax = 20;
const issueLengthMax = 300;

/** Errors: `invalid_argument` with what is wrong and where, or what the field's own check says. */
export function parseRequest<Request>(schema: z.ZodType<Request>, value: unknown, method: string): Request {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  // They tell of what came, and who sends much is not to be sent as much back.
  const issues = parsed.error.issues.slice(0, issuesMax).map((issue) => ({
    path: issue.path.map(String).join(".").slice(0, issueLengthMax).toWellFormed(),
    message: issue.message.slice(0, issueLengthMax).toWellFormed(),
  }));
  const shown = issues.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`)).join("; ");
  throw new AionError("invalid_argument", `the request of ${method} is malformed: ${shown}`, {
    details: { issues },
  });
}
