import type { Service } from "./service.ts";

/** How a method of `Service` goes over HTTP. The server, its OpenAPI document and the client go by the same table. */
export interface Route {
  readonly verb: "GET" | "POST" | "DELETE";
  /** Under the namespace. `{name}` stands for that field of the request. */
  readonly path: string;
  /** Where the other fields are: in the query string, in a JSON object, or the archive is the body and they are in the query string. */
  readonly rest: "query" | "body" | "archive";
  /** A `POST` that changes nothing. */
  readonly onlyReads?: true;
  /** What the field is called that makes a repeated call the same call. */
  readonly idempotencyKey?: string;
}

export const namespacesPath = "/v1/namespaces";
/** The API keys of a server, and what was asked of it. */
export const keysPath = "/v1/keys";
export const auditPath = "/v1/audit";
export const apiPrefix = `${namespacesPath}/`;
/** Names of namespaces are as names of hosts are, so that they are names of files and parts of URLs everywhere. */
export const namespacePattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
export const defaultNamespace = "default";

export const routes = {
  start: { verb: "POST", path: "/workflows", rest: "body", idempotencyKey: "requestId" },
  list: { verb: "GET", path: "/workflows", rest: "query" },
  count: { verb: "GET", path: "/workflow-count", rest: "query" },
  describe: { verb: "GET", path: "/workflows/{workflowId}", rest: "query" },
  result: { verb: "GET", path: "/workflows/{workflowId}/result", rest: "query" },
  history: { verb: "GET", path: "/workflows/{workflowId}/history", rest: "query" },
  logs: { verb: "GET", path: "/workflows/{workflowId}/logs", rest: "query" },
  signal: { verb: "POST", path: "/workflows/{workflowId}/signal", rest: "body", idempotencyKey: "signalId" },
  update: { verb: "POST", path: "/workflows/{workflowId}/update", rest: "body", idempotencyKey: "updateId" },
  updateResult: { verb: "GET", path: "/workflows/{workflowId}/updates/{updateId}", rest: "query" },
  query: { verb: "POST", path: "/workflows/{workflowId}/query", rest: "body", onlyReads: true },
  cancel: {
    verb: "POST",
    path: "/workflows/{workflowId}/cancel",
    rest: "body",
    idempotencyKey: "requestId",
  },
  terminate: {
    verb: "POST",
    path: "/workflows/{workflowId}/terminate",
    rest: "body",
    idempotencyKey: "requestId",
  },
  pause: { verb: "POST", path: "/workflows/{workflowId}/pause", rest: "body", idempotencyKey: "requestId" },
  resume: { verb: "POST", path: "/workflows/{workflowId}/resume", rest: "body", idempotencyKey: "requestId" },
  resumeActivity: {
    verb: "POST",
    path: "/workflows/{workflowId}/resume-activity",
    rest: "body",
    idempotencyKey: "requestId",
  },
  reopen: {
    verb: "POST",
    path: "/workflows/{workflowId}/reopen",
    rest: "body",
    idempotencyKey: "requestId",
  },
  reset: { verb: "POST", path: "/workflows/{workflowId}/reset", rest: "body", idempotencyKey: "requestId" },
  fork: { verb: "POST", path: "/workflows/{workflowId}/fork", rest: "body", idempotencyKey: "requestId" },
  feed: { verb: "GET", path: "/feed", rest: "query" },
  deploy: { verb: "POST", path: "/packages", rest: "archive", idempotencyKey: "requestId" },
  listPackages: { verb: "GET", path: "/packages", rest: "query" },
  listWorkers: { verb: "GET", path: "/workers", rest: "query" },
  unload: { verb: "DELETE", path: "/packages/{version}", rest: "query", idempotencyKey: "requestId" },
  route: { verb: "POST", path: "/routes", rest: "body", idempotencyKey: "requestId" },
  createSchedule: { verb: "POST", path: "/schedules", rest: "body", idempotencyKey: "requestId" },
  listSchedules: { verb: "GET", path: "/schedules", rest: "query" },
  describeSchedule: { verb: "GET", path: "/schedules/{scheduleId}", rest: "query" },
  updateSchedule: {
    verb: "POST",
    path: "/schedules/{scheduleId}/update",
    rest: "body",
    idempotencyKey: "requestId",
  },
  pauseSchedule: {
    verb: "POST",
    path: "/schedules/{scheduleId}/pause",
    rest: "body",
    idempotencyKey: "requestId",
  },
  resumeSchedule: {
    verb: "POST",
    path: "/schedules/{scheduleId}/resume",
    rest: "body",
    idempotencyKey: "requestId",
  },
  triggerSchedule: {
    verb: "POST",
    path: "/schedules/{scheduleId}/trigger",
    rest: "body",
    idempotencyKey: "requestId",
  },
  backfillSchedule: {
    verb: "POST",
    path: "/schedules/{scheduleId}/backfill",
    rest: "body",
    idempotencyKey: "requestId",
  },
  deleteSchedule: {
    verb: "DELETE",
    path: "/schedules/{scheduleId}",
    rest: "query",
    idempotencyKey: "requestId",
  },
} as const satisfies Readonly<Record<keyof Service, Route>>;

/** Many calls in one request. */
export const callsPath = "/calls";
/** What may be asked for that way: what is small and answered as a whole. */
export const togetherMethods = [
  "start",
  "describe",
  "result",
  "signal",
  "query",
  "update",
  "updateResult",
  "cancel",
  "terminate",
  "pause",
  "resume",
  "resumeActivity",
  "reopen",
] as const satisfies readonly (keyof Service)[];
export type TogetherMethod = (typeof togetherMethods)[number];
export const callsMax = 500;

/** Events as they are recorded, of one run and of all: server-sent events, or a WebSocket. */
export const streamPaths = { run: "/workflows/{workflowId}/events", feed: "/events" } as const;
/** Whether somebody is there. No namespace, no authentication. */
export const livePath = "/health/live";
/** Whether calls are taken: false while the server drains. */
export const readyPath = "/health/ready";

/** What was counted and measured, for Prometheus. */
export const metricsPath = "/metrics";

/** One call waits at most this long; who wants to wait longer asks again. */
export const waitMsMax = 25_000;
