import { z } from "zod";
import type { Service } from "../client/service.ts";
import { errorTable } from "../core/errors.ts";
import { runStatuses } from "../core/status.ts";

/** The forms of answers, for the document that describes them. */

const instant = z.number().meta({ description: "Milliseconds since 1970." });
const anyJson = z.unknown().meta({ description: "Any JSON value." });

export const failureSchema: z.ZodType = z
  .object({
    kind: z.enum(["application", "activity", "child", "timeout", "cancelled", "terminated", "engine"]),
    message: z.string(),
    type: z.string().optional(),
    nonRetryable: z.literal(true).optional(),
    details: anyJson.optional(),
    stack: z.string().optional(),
    get cause() {
      return failureSchema.optional();
    },
    of: z.string().optional(),
    attempt: z.number().int().optional(),
    childWorkflowId: z.string().optional(),
    timeout: z
      .enum([
        "schedule-to-start",
        "start-to-close",
        "schedule-to-close",
        "heartbeat",
        "run",
        "execution",
        "scope",
      ])
      .optional(),
  })
  .meta({ id: "Failure", description: "Why a run, an activity or a child failed." });

const runSummary = z
  .object({
    workflowId: z.string(),
    runId: z.string(),
    workflowType: z.string(),
    version: z.string(),
    status: z.enum(runStatuses),
    startedAt: instant,
    closedAt: instant.optional(),
    historyLength: z.number().int(),
    blocked: z.string().optional().meta({ description: "Why the run cannot go on until somebody acts." }),
    parentWorkflowId: z.string().optional(),
  })
  .meta({ id: "RunSummary" });

const event = z
  .looseObject({
    type: z.string(),
    seq: z.number().int().meta({ description: "From 1, without gaps over all runs of the workflow id." }),
    recordedAt: instant,
    workflowId: z.string(),
  })
  .meta({ id: "Event", description: "One entry of a history; its other fields depend on its type." });

const description = runSummary
  .extend({
    input: anyJson.optional(),
    result: anyJson.optional(),
    failure: failureSchema.optional(),
    pendingActivities: z.array(
      z.looseObject({
        ordinal: z.number().int(),
        activityType: z.string(),
        attempt: z.number().int(),
        failedCount: z.number().int(),
        state: z.string(),
        retryAt: instant.optional(),
        lastFailure: z.string().optional(),
      }),
    ),
    pendingTimers: z.array(z.object({ ordinal: z.number().int(), fireAt: instant })),
    pendingChildren: z.array(z.object({ workflowId: z.string(), workflowType: z.string() })),
    isCancelRequested: z.boolean(),
    pid: z.string().optional().meta({ description: "Present while the run's code is in memory." }),
    runs: z.array(runSummary),
  })
  .meta({ id: "RunDescription" });

const result = z
  .union([
    z.object({ status: z.literal("running"), runId: z.string(), blocked: z.string().optional() }),
    z.object({ status: z.literal("completed"), runId: z.string(), result: anyJson }),
    z.object({
      status: z.enum(["failed", "cancelled", "terminated", "timed-out"]),
      runId: z.string(),
      failure: failureSchema,
    }),
  ])
  .meta({ id: "Result" });

/** What each method answers with; `undefined`: nothing but that it was done. */
export const replySchemas: Readonly<Record<keyof Service, z.ZodType | undefined>> = {
  start: z
    .object({
      workflowId: z.string(),
      runId: z.string(),
      isNew: z.boolean().meta({ description: "False: the run was there already." }),
    })
    .meta({ id: "Started" }),
  signal: undefined,
  query: z.object({ result: anyJson }).meta({ id: "Answer" }),
  cancel: undefined,
  terminate: undefined,
  result,
  describe: description,
  list: z.object({ runs: z.array(runSummary), nextCursor: z.string().optional() }).meta({ id: "RunPage" }),
  count: z.object({ count: z.number().int() }).meta({ id: "Count" }),
  history: z
    .object({
      events: z.array(event),
      nextSeq: z.number().int().meta({ description: "Where the next page begins." }),
      isEnd: z.boolean().meta({ description: "The latest run has ended, and these events reach its end." }),
    })
    .meta({ id: "History" }),
  feed: z
    .object({
      events: z.array(
        z.object({
          cursor: z.string().meta({ description: "Where to read on after this event." }),
          workflowId: z.string(),
          runId: z.string(),
          workflowType: z.string(),
          event: event.optional(),
          unreadable: z
            .object({
              firstSeq: z.number().int(),
              lastSeq: z.number().int(),
              code: z.string(),
              message: z.string(),
            })
            .optional()
            .meta({
              description: "In the place of events that are damaged on the disk, whatever their types.",
            }),
        }),
      ),
      nextCursor: z.string().meta({ description: "Where to read on, also if there are no events." }),
      isAtHead: z.boolean().meta({ description: "There was nothing more when it was read." }),
    })
    .meta({ id: "Feed" }),
  deploy: z
    .object({ version: z.string(), workflowTypes: z.array(z.string()), isNew: z.boolean() })
    .meta({ id: "Deployed" }),
  listPackages: z
    .object({
      packages: z.array(
        z.object({
          version: z.string(),
          sizeBytes: z.number().int(),
          deployedAt: instant,
          workflowTypes: z.array(z.string()),
          routedTypes: z.array(z.string()),
        }),
      ),
      routes: z.array(z.object({ workflowType: z.string(), version: z.string(), routedAt: instant })),
    })
    .meta({ id: "Packages" }),
  route: undefined,
  unload: undefined,
};

export const errorSchema = z
  .object({
    error: z.object({
      code: z.string().meta({
        description: "Stable: what programs match on.",
        examples: Object.keys(errorTable).slice(0, 3),
      }),
      message: z.string(),
      hint: z.string(),
      details: z.record(z.string(), z.unknown()),
    }),
  })
  .meta({ id: "Error" });
