import { z } from "zod";
import type { Service } from "../client/service.ts";
import { AionError } from "../core/errors.ts";
import type { EventType } from "../core/event.ts";
import { isEventType } from "../core/event.ts";
import { isPackageVersion, packageBytesMax } from "../core/package-version.ts";
import { parseName, parseRunId, parseWorkflowId } from "../core/ids.ts";
import { parsePayload, payloadLimitBytesDefault } from "../core/payload.ts";
import type { Payload } from "../core/payload.ts";
import { runStatuses } from "../core/status.ts";
import type { RequestOf } from "./wire.ts";
import { waitMsMax } from "./wire.ts";

const pageMax = 1_000;
const routedTypesMax = 1_000;

/** JSON text within JSON text at worst doubles; a request has two payloads at most, and little else. */
export function bodyLimitBytesFor(method: string, payloadLimitBytes: number): number {
  const rest = 64 * 1024;
  return method === "deploy" ? Math.ceil((packageBytesMax * 4) / 3) + rest : 4 * payloadLimitBytes + rest;
}

// Borders throw their own errors, whose codes say more than "invalid".
const workflowId = z.string().transform((text): string => parseWorkflowId(text));
const runId = z.string().transform((text): string => parseRunId(text));
const name = (what: string): z.ZodType<string> => z.string().transform((text) => parseName(text, what));
const instant = z.number();
const durationMs = z.number().int().nonnegative();
const pageLimit = z.number().int().min(1).max(pageMax);
const waitMs = durationMs.transform((ms) => Math.min(ms, waitMsMax));
const address = { workflowId, runId: runId.exactOptional() };
const version = z.string().refine(isPackageVersion, "is no version of a package: 64 hexadecimal digits");
const eventType = z.custom<EventType>(
  (text) => typeof text === "string" && isEventType(text),
  "is no type of an event",
);
const reason = z.string().max(10_000).exactOptional();

const listFilter = z.strictObject({
  workflowId: workflowId.exactOptional(),
  workflowType: name("workflow type").exactOptional(),
  status: z.enum(runStatuses).exactOptional(),
  isBlocked: z.boolean().exactOptional(),
  startedAfter: instant.exactOptional(),
  startedBefore: instant.exactOptional(),
  closedAfter: instant.exactOptional(),
  closedBefore: instant.exactOptional(),
  parentWorkflowId: workflowId.exactOptional(),
});

type RequestSchemas = { readonly [Method in keyof Service]: z.ZodType<RequestOf<Method>> };

/** Every method with the form of its request: one without an entry does not compile. */
export function requestSchemasFor(payloadLimitBytes: number = payloadLimitBytesDefault): RequestSchemas {
  const payload = (what: string): z.ZodType<Payload> =>
    z.string().transform((text) => parsePayload(text, what, payloadLimitBytes));
  const signal = {
    name: name("signal name"),
    payload: payload("the payload of the signal"),
    signalId: name("signal id").exactOptional(),
  };
  const requestId = name("request id").exactOptional();
  const end = z.strictObject({ ...address, reason, requestId });
  return {
    start: z.strictObject({
      workflowType: name("workflow type"),
      input: payload("the input of the workflow"),
      workflowId: workflowId.exactOptional(),
      requestId: name("request id").exactOptional(),
      reuse: z.enum(["return", "reject", "after-close", "after-failure", "terminate"]).exactOptional(),
      startDelayMs: durationMs.exactOptional(),
      runTimeoutMs: durationMs.exactOptional(),
      executionTimeoutMs: durationMs.exactOptional(),
      signal: z.strictObject(signal).exactOptional(),
    }),
    signal: z.strictObject({ ...address, ...signal }),
    query: z.strictObject({ ...address, name: name("query name"), input: payload("the input of the query") }),
    cancel: end,
    terminate: end,
    result: z.strictObject({ ...address, waitMs }),
    describe: z.strictObject(address),
    list: z.strictObject({
      filter: listFilter,
      limit: pageLimit,
      cursor: z.string().max(200).exactOptional(),
    }),
    count: listFilter,
    feed: z.strictObject({
      after: z.string().max(200).exactOptional(),
      limit: pageLimit,
      waitMs: waitMs.exactOptional(),
      filter: z
        .strictObject({
          workflowId: workflowId.exactOptional(),
          workflowType: name("workflow type").exactOptional(),
          types: z.array(eventType).max(100).exactOptional(),
        })
        .exactOptional(),
    }),
    deploy: z.strictObject({
      archive: z.base64().transform((text): Uint8Array => Buffer.from(text, "base64")),
      isRouted: z.boolean().exactOptional(),
      requestId,
    }),
    listPackages: z.strictObject({ workflowType: name("workflow type").exactOptional() }),
    route: z.strictObject({
      workflowTypes: z.array(name("workflow type")).min(1).max(routedTypesMax),
      version,
      requestId,
    }),
    unload: z.strictObject({ version, requestId }),
    history: z.strictObject({
      ...address,
      fromSeq: z.number().int().min(1),
      limit: pageLimit,
      waitMs: waitMs.exactOptional(),
    }),
  };
}

export function isMethod(text: string, schemas: RequestSchemas): text is keyof Service {
  return Object.hasOwn(schemas, text);
}

/** Errors: `invalid_argument` with what is wrong and where, or what the field's own check says. */
export function parseRequest<Request>(schema: z.ZodType<Request>, value: unknown, method: string): Request {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => ({
    path: issue.path.map(String).join("."),
    message: issue.message,
  }));
  const shown = issues.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`)).join("; ");
  throw new AionError("invalid_argument", `the request of ${method} is malformed: ${shown}`, {
    details: { issues },
  });
}
