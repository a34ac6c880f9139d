import { z } from "zod";
import {
  apiPrefix,
  auditPath,
  callsMax,
  callsPath,
  defaultNamespace,
  keysPath,
  livePath,
  namespacePattern,
  namespacesPath,
  readyPath,
  streamPaths,
} from "../client/routes.ts";
import type { Service } from "../client/service.ts";
import { errorTable } from "../core/errors.ts";
import { accessForms } from "./access.ts";
import { callsFormUpTo } from "./calls.ts";
import { statusOf } from "./errors.ts";
import { streamForms } from "./event-stream.ts";
import { exampleBodies } from "./examples.ts";
import type { JsonSchema, Operation } from "./operations.ts";
import { replyNames, replySchemas } from "./replies.ts";

type JsonObject = Readonly<Record<string, unknown>>;

const texts: Readonly<Record<keyof Service, readonly [summary: string, description?: string]>> = {
  start: [
    "Start a run",
    "Answered when the start is on disk. Idempotent by `workflowId`: with the same type and input it gives the run that exists (see `reuse`). The header `Idempotency-Key` is the same as `requestId`.",
  ],
  list: [
    "List runs",
    "All that match, the latest first. All given conditions must hold; bounds are included.",
  ],
  count: ["Count runs"],
  describe: ["Describe a run", "Its state, what it waits for, and the chain of runs of its workflow id."],
  result: [
    "Wait for the result of a run",
    "Of the run asked for or, if it continued as new, of the last one after it. `running` when it has not ended within `waitMs`: ask again.",
  ],
  history: ["Read events", "From `fromSeq`; with `waitMs`, waits that long for the first one."],
  logs: [
    "Read what workflow code said",
    "The lines of `log` in the code of the runs of a workflow id, after a cursor; with `waitMs`, waits that long for something to happen. Bounded for each run: the oldest are dropped first.",
  ],
  feed: [
    "Read events of all runs",
    "In the order of their commits, after a cursor; with `waitMs`, waits that long for the first one. `nextCursor` moves on behind what the filter leaves out, too.",
  ],
  signal: [
    "Send a signal",
    "Answered when it is recorded; the run receives it exactly once, in order of sending. The header `Idempotency-Key` is the same as `signalId`.",
  ],
  query: ["Ask a run", "The answer reflects all that was acknowledged before; nothing is recorded."],
  update: [
    "Update a run",
    "A request that its code checks, deals with and answers. Answered when it is accepted and on disk, and its outcome is there or `waitMs` has passed: wait on with `GET …/updates/{updateId}`. Refused before it is accepted, nothing is recorded. The header `Idempotency-Key` is the same as `updateId`.",
  ],
  updateResult: [
    "Wait for the outcome of an update",
    "Of one that was accepted. `accepted` when there is none within `waitMs`: ask again.",
  ],
  cancel: ["Ask a run to stop", "Its code sees a cancellation, may clean up, and decides how it ends."],
  terminate: ["End a run at once", "Without asking its code; nothing is compensated."],
  pause: [
    "Pause a run",
    "No code of it moves and no attempt begins until it is resumed. What happens meanwhile is recorded, and told to it then. Cancelling it ends the pause.",
  ],
  resume: ["Resume a paused run", "Its code learns what happened meanwhile, in that order, and goes on."],
  resumeActivity: [
    "Decide on parked activities",
    "Each is tried again, at once and with a fresh count of attempts; or the one of an ordinal is given its result or its failure. Refused with `activity_not_parked` when none of them waits for an operator.",
  ],
  reopen: [
    "Reopen a run",
    "One that failed, was cancelled or timed out goes on from before its end, as the same run: what succeeded is kept, what failed last runs again. Refused with `run_not_reopenable` if it could not go on exactly.",
  ],
  reset: [
    "Reset a workflow",
    "It goes on as a new run from an earlier point of one of its runs: that run's events up to there are the beginning of the new one, and the code of today acts on. A run that is open is terminated in the same step; who waits for the result of the workflow waits on. Refused with `run_not_resettable` if the code could not go on exactly from there.",
  ],
  fork: [
    "Fork a workflow",
    "The same under a workflow id of its own: nothing happens to the workflow that it is a copy of. Needs the role `start`, too.",
  ],
  deploy: [
    "Deploy a package",
    "The body is the archive that `aion build` wrote. Its types are routed to it. Doing so again changes nothing.",
  ],
  listPackages: ["List packages", "Oldest first, and which of them new runs get."],
  listWorkers: [
    "List workers and task queues",
    "Who is here, or may come back; and the queues in which an activity waits for a worker, or has one.",
  ],
  unload: ["Take a package out", "Refused with `package_in_use` while anything needs it."],
  createSchedule: [
    "Create a schedule",
    "Idempotent by its id: the same again changes nothing. It takes the role `start`, too: what it starts later is started for whoever created it.",
  ],
  updateSchedule: [
    "Change a schedule",
    "What is not given stays as it is. With an action it takes the role `start`, too.",
  ],
  describeSchedule: ["Describe a schedule", "Its state, the times to come, and what became of the latest."],
  listSchedules: ["List schedules", "The one that was made last comes first."],
  pauseSchedule: ["Pause a schedule", "Times that come meanwhile are skipped."],
  resumeSchedule: ["Resume a schedule"],
  triggerSchedule: ["Start the action of a schedule now"],
  backfillSchedule: ["Start the times of a range that has passed", "At most 1,000 times."],
  deleteSchedule: ["Delete a schedule", "Runs that it has started go on."],
  route: ["Route workflow types to a version", "All of them or none: new runs of them get that version."],
};

export function summaryOf(method: keyof Service): string {
  return texts[method][0];
}

/** The API as an OpenAPI 3.1 document: what the requests are parsed with, and the answers that come. */
export function documentOf(
  operations: readonly Operation[],
  version: string,
  callsPerRequest = callsMax,
): JsonObject {
  const paths: Record<string, Record<string, JsonObject>> = {};
  for (const operation of operations) {
    const { method, route, form } = operation;
    const [summary, description] = texts[method];
    const parameters = parametersOf(route.path, form, route.rest !== "body");
    const path = toPath(route.path);
    paths[path] = {
      ...paths[path],
      [route.verb.toLowerCase()]: {
        operationId: method,
        summary,
        ...(description === undefined ? {} : { description }),
        tags: [tagOf(route.path)],
        parameters:
          route.idempotencyKey === undefined ? parameters : [...parameters, idempotencyKeyParameter()],
        ...(route.rest === "query" ? {} : { requestBody: bodyOf(operation) }),
        responses: { ...successOf(method), ...failuresOf() },
      },
    };
  }
  for (const kind of ["run", "feed"] as const) {
    const path = streamPaths[kind];
    const [operationId, summary, cursor] = {
      run: [
        "events",
        "Follow the events of a run",
        "`id` is the seq of the event: come back with it as `Last-Event-ID`, or with the next as `fromSeq`",
      ],
      feed: [
        "feedEvents",
        "Follow the events of all runs",
        "In the order of their commits. `id` is the cursor of the event: come back with it as `Last-Event-ID` or `after`",
      ],
    }[kind];
    paths[toPath(path)] = {
      get: {
        operationId,
        summary,
        description: `Server-sent events, or a WebSocket if the request asks for one. ${cursor}, and nothing is missed and nothing comes twice.${kind === "run" ? " Ends when the run has ended." : ""}`,
        tags: ["workflows"],
        parameters: [
          ...parametersOf(path, streamForms[kind], true),
          { name: "Last-Event-ID", in: "header", schema: { type: "string" } },
        ],
        responses: {
          "200": {
            description: "The events",
            content: { "text/event-stream": { schema: { type: "string" } } },
          },
          ...failuresOf(),
        },
      },
    };
  }
  paths[toPath(callsPath)] = { post: callsTogether(callsPerRequest) };
  paths[namespacesPath] = {
    get: namespaceCall("listNamespaces", "List namespaces", { "200": "Namespaces" }),
    post: {
      ...namespaceCall("createNamespace", "Make a namespace, if it is not there", {
        "200": "Namespace",
        "201": "Namespace",
      }),
      requestBody: {
        required: true,
        content: {
          "application/json": {
            schema: {
              type: "object",
              properties: { name: { type: "string", pattern: namespacePattern } },
              required: ["name"],
              additionalProperties: false,
            },
          },
        },
      },
    },
  };
  Object.assign(paths, accessPaths());
  for (const [path, summary] of [
    [livePath, "Whether the process answers"],
    [readyPath, "Whether calls are taken"],
  ] as const) {
    paths[path] = {
      get: {
        operationId: path === livePath ? "live" : "ready",
        summary,
        tags: ["health"],
        security: [],
        responses: {
          "200": { description: "Yes" },
          ...(path === readyPath ? { "503": { description: "No" } } : {}),
        },
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Aion",
      version,
      description:
        "Durable workflows. Payloads are JSON values. Instants are milliseconds since 1970. Every call that changes something is answered after its commit is on disk.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    tags: [
      { name: "workflows" },
      { name: "schedules" },
      { name: "packages" },
      { name: "namespaces" },
      { name: "access" },
      { name: "health" },
    ],
    // A server that asks nobody who he is takes calls without it, too.
    security: [{}, { bearer: [] }],
    paths,
    components: {
      schemas: componentsOf(),
      securitySchemes: {
        bearer: {
          type: "http",
          scheme: "bearer",
          description: "An API key, or a token of the issuer that the server trusts.",
        },
      },
    },
  };
}

const callsExample = (["order-42", "order-43"] as const).map((workflowId) => ({
  operation: "signal",
  request: { workflowId, ...exampleBodies.signal },
}));

function callsTogether(callsPerRequest: number): JsonObject {
  const { $schema: _, ...schema } = callsFormUpTo(callsPerRequest) as JsonSchema;
  const line = {
    type: "object",
    properties: {
      call: { type: "integer", description: "Which of the calls, counted from 0." },
      status: { type: "integer", description: "As the call has it by itself." },
      body: { description: "The answer, or the error; absent with status 204." },
    },
    required: ["call", "status"],
  };
  return {
    operationId: "calls",
    summary: "Make many calls in one request",
    description:
      "For callers that make hundreds at once. Each call is admitted, recorded and answered by itself: a line of JSON each, in the order in which the answers are there. A connection that breaks says nothing of the calls whose lines have not come.",
    tags: ["workflows"],
    parameters: parametersOf(callsPath, {}, false),
    requestBody: {
      required: true,
      content: { "application/json": { schema, example: { calls: callsExample } } },
    },
    responses: {
      "200": {
        description: "The answers, one line each",
        content: { "application/jsonl": { schema: line } },
      },
      ...failuresOf(),
    },
  };
}

/** Of servers that ask who calls; others do not have them. */
function accessPaths(): Record<string, Record<string, JsonObject>> {
  const call = (operationId: string, summary: string, answer: keyof typeof replySchemas, status = "200") =>
    namespaceCall(operationId, summary, { [status]: answer }, "access");
  const withBody = (form: JsonSchema): JsonObject => {
    const { $schema: _, ...schema } = form;
    return { requestBody: { required: true, content: { "application/json": { schema } } } };
  };
  const id = { name: "id", in: "path", required: true, schema: { type: "string" } };
  return {
    [keysPath]: {
      get: call("listKeys", "List API keys", "Keys"),
      post: {
        ...call("createKey", "Make an API key; its secret is in this answer only", "KeySecret", "201"),
        parameters: [idempotencyKeyParameter()],
        ...withBody(accessForms.create),
      },
    },
    [`${keysPath}/{id}`]: {
      delete: { ...call("revokeKey", "Revoke an API key, at once", "Key"), parameters: [id] },
    },
    [`${keysPath}/{id}/rotate`]: {
      post: {
        ...call("rotateKey", "Give an API key a new secret", "KeySecret"),
        parameters: [id, idempotencyKeyParameter()],
        ...withBody(accessForms.rotate),
      },
    },
    [auditPath]: {
      get: {
        ...call("readAudit", "What was asked of the server, the latest first", "Audit"),
        parameters: parametersOf("", accessForms.audit, true).filter(({ in: place }) => place === "query"),
      },
    },
  };
}

function namespaceCall(
  operationId: string,
  summary: string,
  answers: Readonly<Record<string, keyof typeof replySchemas>>,
  tag = "namespaces",
): JsonObject {
  const responses = Object.entries(answers).map(([status, name]) => [
    status,
    {
      description: status === "201" ? "Made, and on disk" : "The answer",
      content: { "application/json": { schema: { $ref: referenceTo(name) } } },
    },
  ]);
  return {
    operationId,
    summary,
    tags: [tag],
    responses: { ...(Object.fromEntries(responses) as JsonObject), ...failuresOf() },
  };
}

function toPath(path: string): string {
  return `${apiPrefix}{namespace}${path}`;
}

function tagOf(path: string): string {
  if (path.startsWith("/schedules")) return "schedules";
  return path.startsWith("/workflow") || path === "/feed" ? "workflows" : "packages";
}

function parametersOf(path: string, form: JsonSchema, hasQuery: boolean): JsonObject[] {
  const inPath = new Set(["namespace", ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name)]);
  const parameters: JsonObject[] = [...inPath].map((name) => ({
    name,
    in: "path",
    required: true,
    schema: form.properties?.[name] ?? { type: "string" },
    // The one that is there without anybody having made it.
    ...(name === "namespace" ? { example: defaultNamespace } : {}),
  }));
  if (!hasQuery) return parameters;
  for (const [name, schema] of Object.entries(form.properties ?? {})) {
    // The archive is the body.
    if (inPath.has(name) || name === "archive") continue;
    const { description, ...rest } = schema;
    parameters.push({
      name,
      in: "query",
      required: form.required?.includes(name) === true && !("default" in schema),
      ...(description === undefined ? {} : { description }),
      schema: rest,
    });
  }
  return parameters;
}

function idempotencyKeyParameter(): JsonObject {
  return {
    name: "Idempotency-Key",
    in: "header",
    description: "Names this call: made again with the same key, it has no second effect.",
    schema: { type: "string" },
  };
}

function bodyOf({ method, route, form }: Operation): JsonObject {
  if (route.rest === "archive")
    return {
      required: true,
      content: { "application/zip": { schema: { type: "string", format: "binary" } } },
    };
  const { $schema: _, properties = {}, required = [], ...rest } = form;
  const inPath = new Set([...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name));
  const own = Object.entries(properties).filter(([name]) => !inPath.has(name));
  const needed = required.filter((name) => !inPath.has(name) && properties[name]?.["type"] !== undefined);
  return {
    required: needed.length > 0,
    content: {
      "application/json": {
        schema: {
          ...rest,
          properties: Object.fromEntries(own),
          ...(needed.length === 0 ? {} : { required: needed }),
        },
        example: exampleBodies[method] ?? {},
      },
    },
  };
}

function successOf(method: keyof Service): JsonObject {
  const name = replyNames[method];
  if (name === undefined) return { "204": { description: "Done, and on disk" } };
  const content = { "application/json": { schema: { $ref: referenceTo(name) } } };
  const isMaking = method === "start" || method === "deploy" || method === "createSchedule";
  return {
    "200": { description: isMaking ? "It was there already" : "The answer", content },
    ...(isMaking ? { "201": { description: "Made, and on disk", content } } : {}),
  };
}

function failuresOf(): JsonObject {
  const content = { "application/json": { schema: { $ref: referenceTo("Error") } } };
  const byStatus = Map.groupBy(Object.keys(errorTable) as (keyof typeof errorTable)[], (code) =>
    statusOf(code),
  );
  return Object.fromEntries(
    [...byStatus]
      .toSorted(([left], [right]) => left - right)
      .map(([status, codes]) => [
        String(status),
        { description: codes.map((code) => `\`${code}\``).join(", "), content },
      ]),
  );
}

/** The forms of all answers by name; what occurs in several is referred to. */
function componentsOf(): JsonObject {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries<z.ZodType>(replySchemas)) registry.add(schema, { id });
  // "input": whoever reads by this must not be told that a field which is added later is wrong.
  const { schemas } = z.toJSONSchema(registry, {
    io: "input",
    uri: referenceTo,
    override: ({ jsonSchema }) => {
      delete jsonSchema.readOnly;
      delete jsonSchema.$schema;
      delete jsonSchema.$id;
    },
  });
  return Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => {
      const { $schema: _dialect, $id: _id, ...rest } = schema as Record<string, unknown>;
      return [name, rest];
    }),
  );
}

function referenceTo(name: string): string {
  return `#/components/schemas/${name}`;
}
