import { Hono } from "hono";
import { matchedRoutes } from "hono/route";
import { z } from "zod";
import type { Context } from "hono";
import type { Service } from "../client/service.ts";
import type { NamespaceSummary } from "../client/server-client.ts";
import {
  apiPrefix,
  auditPath,
  callsPath,
  keysPath,
  livePath,
  metricsPath,
  namespacesPath,
  readyPath,
  streamPaths,
} from "../client/routes.ts";
import { AionError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { Tracing } from "../core/tracing.ts";
import type { WorkerAcceptor } from "../protocol/transport.ts";
import { addAccess } from "./access.ts";
import type { AccessOptions } from "./access.ts";
import { underAdmission } from "./admission.ts";
import type { Admit } from "./admission.ts";
import { addCalls } from "./calls.ts";
import { discardBody, readBody } from "./body.ts";
import { errorHeaders, errorToJson, statusOf, toAionError } from "./errors.ts";
import { streamEvents, toStreamRequest } from "./event-stream.ts";
import { httpLimits } from "./http-limits.ts";
import type { HttpLimits, OpenStreams } from "./http-limits.ts";
import type { HttpMeter } from "./http-meter.ts";
import { documentOf } from "./openapi.ts";
import { operationsFor, orOver, readQuery, traceIn } from "./operations.ts";
import type { Operation } from "./operations.ts";
import { showAsset, showIndex, showReference } from "./reference.ts";
import { askedOf, parseJson } from "./request-context.ts";
import type { Env } from "./request-context.ts";
import { parseRequest } from "./requests.ts";

export interface NamespaceDirectory {
  list(): readonly NamespaceSummary[];
  /** Returns whether it is new. */
  create(name: string): Promise<boolean>;
}

export interface AppOptions {
  /** Stands before everything but the questions for health: throws what stands against the caller. */
  readonly admit?: Admit;
  /** The service of a namespace. Throws `namespace_not_found`, and why it cannot be reached. */
  readonly serviceOf: (namespace: string) => Service;
  /** Resolves when the next that a worker of the namespace sends may be taken. Absent: at once. */
  readonly turnOfWorkers?: (namespace: string) => Promise<void> | undefined;
  /** Who takes the workers of a namespace. Absent: no workers are taken. Throws as `serviceOf`. */
  readonly workersOf?: (namespace: string) => WorkerAcceptor;
  /** Of a server that has more than one. */
  readonly namespaces?: NamespaceDirectory;
  /** What was counted, as text for Prometheus. Absent: nobody is told. */
  readonly metrics?: () => Promise<string>;
  readonly httpMeter?: HttpMeter;
  /** Of a server that asks who calls. */
  readonly access?: AccessOptions;
  /** False while what it stands on is being opened. Default: it is ready. */
  readonly isReady?: () => boolean;
  readonly payloadLimitBytes: number;
  /** Default: `httpLimits`. */
  readonly limits?: Partial<HttpLimits>;
  readonly streams: OpenStreams;
  /** Pages of these origins are told that they may read the answers. Whether they may call is for `admit`. */
  readonly origins?: readonly string[];
  readonly version: string;
  /** Fires when no more calls are taken: those that wait are answered with `engine_closed`. */
  readonly closing: AbortSignal;
  readonly log?: Log;
  /** Makes a span of each call that changes or asks something of a run. */
  readonly tracing?: Tracing | undefined;
}

/** The API as an application that takes requests; where they come from is others' business. */
export function createApp(options: AppOptions): Hono<Env> {
  const { closing, payloadLimitBytes } = options;
  const app = new Hono<Env>();
  const limits = httpLimits(payloadLimitBytes, options.limits);
  const operations = operationsFor(payloadLimitBytes, limits);
  const document = documentOf(operations, options.version, limits.callsPerRequest);
  countRequests(app, operations, options);

  app.use(async (context, next) => {
    try {
      decodeURIComponent(context.req.path);
    } catch (error) {
      throw new AionError("invalid_argument", "the address is no valid URL", { cause: error });
    }
    await next();
  });
  app.get(livePath, async (context) => {
    const who = { pid: process.pid, version: options.version };
    return context.json({ isLive: true, ...((await isKnown(context, options)) ? who : {}) });
  });
  app.get(readyPath, (context) =>
    closing.aborted || options.isReady?.() === false
      ? context.json({ isReady: false }, 503)
      : context.json({ isReady: true }),
  );
  const described = async (context: Context<Env>, answer: () => Promise<Response>): Promise<Response> =>
    await underAdmission(options.admit, askedOf(context, "describeApi"), answer);
  app.get("/", (context) => described(context, async () => showIndex(context)));
  app.get("/openapi.json", (context) => described(context, async () => context.json(document)));
  app.get("/docs", (context) => described(context, async () => showReference(context)));
  app.get("/docs/:asset", (context) =>
    described(
      context,
      async () => (await showAsset(context, context.req.param("asset"))) ?? (await context.notFound()),
    ),
  );
  const { namespaces, metrics } = options;
  if (metrics !== undefined) {
    app.get(metricsPath, (context) =>
      underAdmission(options.admit, askedOf(context, "metrics"), async () =>
        context.body(await metrics(), 200, { "content-type": metricsType }),
      ),
    );
  }
  if (namespaces !== undefined) addNamespaces(app, namespaces, options);
  if (options.access !== undefined) addAccess(app, options.access, options.admit);

  addCalls(app, operations, options);
  for (const operation of operations) {
    app.on(operation.route.verb, toPattern(operation.route.path), async (context) => {
      const namespace = context.req.param("namespace") ?? "";
      const asked = askedOf(context, operation.method, namespace);
      return await underAdmission(options.admit, asked, async ({ admission, begin, note }) => {
        const body = await readBody(context.req.raw, operation.bodyLimitBytes);
        const request = toRequest(context, operation, body);
        await begin(request);
        const service = options.serviceOf(namespace);
        const answer = await orOver(operation, { closing, admission }, (abortSignal) =>
          operation.perform(service, request, {
            abortSignal,
            trace: traceIn(context.req.raw.headers),
            namespace,
            tracing: options.tracing,
          }),
        );
        if (answer.body === undefined) return context.body(null, answer.status as 204);
        note(answer.body);
        return context.json(answer.body, answer.status as 200);
      });
    });
  }
  for (const [kind, path] of Object.entries(streamPaths) as [keyof typeof streamPaths, string][]) {
    app.get(toPattern(path), async (context) => {
      const { namespace = "", ...params } = context.req.param() as Record<string, string>;
      const { headers, signal } = context.req.raw;
      const asked = askedOf(context, "events", namespace);
      return await underAdmission(options.admit, asked, async ({ admission }) => {
        const service = options.serviceOf(namespace);
        const query = new URL(context.req.url).searchParams;
        const lastEventId = headers.get("last-event-id") ?? undefined;
        const request = toStreamRequest({ kind, params, query, lastEventId });
        const over = admission.ends === undefined ? [] : [admission.ends];
        const answer = await streamEvents(service, request, {
          abortSignal: AbortSignal.any([signal, closing, ...over]),
          meter: options.httpMeter,
          count: (pages) => options.streams.counted(asked, admission, pages),
        });
        // Nobody reads the body of an answer to that, and nobody would close it.
        if (context.req.method === "HEAD") await answer.body?.cancel();
        return answer;
      });
    });
  }
  app.notFound(async (context) => {
    await discardBody(context.req.raw);
    const { method, path } = context.req;
    const shown = path.slice(0, 200);
    const verbs = verbsAt(app, path);
    const isTaken = verbs.includes(method === "HEAD" ? "GET" : method);
    if (verbs.length > 0 && !isTaken) {
      const takes = verbs.join(", ");
      const error = new AionError("endpoint_unknown", `${shown} takes ${takes}, and not ${method}`, {
        hint: "Make the call with a method that the address takes: `GET /openapi.json` has them all.",
        details: { verbs },
      });
      const response = toResponse(error, methodNotAllowed);
      response.headers.set("allow", takes);
      return response;
    }
    return toResponse(
      new AionError("endpoint_unknown", `there is no ${method} ${shown}`, hintFor(path, options)),
      statusOf("endpoint_unknown"),
    );
  });
  app.onError(async (reason, context) => {
    const error = toAionError(reason);
    // Of who was not let in nothing was read.
    if (!context.req.raw.bodyUsed) await discardBody(context.req.raw);
    // What is thrown at a caller who hung up before the end of the request is no bug.
    if (error.code === "internal" && !context.req.raw.signal.aborted) {
      options.log?.("error", "a call met a bug", { error: error.message, stack: error.stack });
    }
    return toResponse(error, statusOf(error.code));
  });
  return app;
}

/** https://www.rfc-editor.org/rfc/rfc9110#section-15.5.6 */
const methodNotAllowed = 405;

/** With which methods there is something at the address. */
function verbsAt(app: Hono<Env>, path: string): readonly string[] {
  const handlerCount = (verb: string): number => app.router.match(verb, path)[0].length;
  // What is in the way of every request.
  const anyway = handlerCount("NONE");
  return ["GET", "POST", "DELETE"].filter((verb) => handlerCount(verb) > anyway);
}

/** Whether it is somebody who may ask what is for all who are known. Who shows nothing is not refused for it. Where nobody is asked who he is, everybody is known. */
async function isKnown(context: Context<Env>, { access, admit }: AppOptions): Promise<boolean> {
  if (access === undefined) return true;
  const asked = askedOf(context, "listNamespaces");
  if (asked.headers.get("authorization") === null && asked.peer.certificate === undefined) return false;
  return await underAdmission(admit, asked, async () => true).catch(() => false);
}

/** The text format of Prometheus. */
const metricsType = "text/plain; version=0.0.4; charset=utf-8";

/** Each request with what it asked for and what became of it; which of them it was is known when it has been answered. */
function countRequests(app: Hono<Env>, operations: readonly Operation[], { httpMeter }: AppOptions): void {
  if (httpMeter === undefined) return;
  const names = new Map<string, string>([
    [`GET ${livePath}`, "health"],
    [`GET ${readyPath}`, "health"],
    [`GET ${metricsPath}`, "metrics"],
    ["GET /openapi.json", "describeApi"],
    ["GET /docs", "describeApi"],
    ["GET /docs/:asset", "describeApi"],
    [`GET ${namespacesPath}`, "listNamespaces"],
    [`POST ${namespacesPath}`, "createNamespace"],
    ...operations.map(({ method, route }) => [`${route.verb} ${toPattern(route.path)}`, method] as const),
    [`POST ${toPattern(callsPath)}`, "calls"],
    ...Object.values(streamPaths).map((path) => [`GET ${toPattern(path)}`, "events"] as const),
  ]);
  app.use(async (context, next) => {
    const since = httpMeter.now();
    await next();
    const path = matchedRoutes(context).at(-1)?.path ?? "";
    const operation = names.get(`${context.req.method} ${path}`) ?? "unknown";
    httpMeter.answered(
      "http",
      operation,
      since,
      operation === "unknown" && isNotThere(context.res.status) ? notThere : context.error,
    );
  });
}

const isNotThere = (status: number): boolean => status === 404 || status === methodNotAllowed;
/** Who asks for keys where nobody is asked for them. */
function hintFor(path: string, { access }: AppOptions): { readonly hint?: string } {
  const isOfAccess = [keysPath, auditPath].some((known) => path === known || path.startsWith(`${known}/`));
  if (!isOfAccess || access !== undefined) return {};
  return {
    hint: "The server asks nobody who calls, so it has no keys and no audit log. Start it with `auth: required` (`--auth required`).",
  };
}

const notThere = new AionError("endpoint_unknown", "there is no such endpoint");

const namespaceSchema = z.strictObject({ name: z.string().max(200) });

function addNamespaces(app: Hono<Env>, namespaces: NamespaceDirectory, { admit }: AppOptions): void {
  app.get(namespacesPath, (context) =>
    underAdmission(admit, askedOf(context, "listNamespaces"), async ({ admission: { mayKnow } }) =>
      context.json({ namespaces: namespaces.list().filter(({ name }) => mayKnow?.(name) ?? true) }),
    ),
  );
  app.post(namespacesPath, (context) =>
    underAdmission(admit, askedOf(context, "createNamespace"), async ({ begin }) => {
      const body = await readBody(context.req.raw, 1_024);
      const request = parseRequest(namespaceSchema, parseJson(body), "createNamespace");
      await begin(request);
      const isNew = await namespaces.create(request.name);
      return context.json({ name: request.name, isNew }, isNew ? 201 : 200);
    }),
  );
}

function toPattern(path: string): string {
  return `${apiPrefix}:namespace${path.replaceAll(/\{(\w+)\}/g, ":$1")}`;
}

function toResponse(error: AionError, status: number): Response {
  return new Response(errorToJson(error), {
    status,
    headers: { "content-type": "application/json", ...errorHeaders(error) },
  });
}

function toRequest(
  context: Context<Env>,
  { route, form }: Operation,
  body: Uint8Array,
): Record<string, unknown> {
  const { namespace: _, ...params } = context.req.param() as Record<string, string>;
  const key = context.req.header("idempotency-key");
  const named =
    route.idempotencyKey === undefined || key === undefined ? {} : { [route.idempotencyKey]: key };
  if (route.rest === "body") return { ...named, ...parseJson(body), ...params };
  const query = readQuery(new URL(context.req.url).searchParams, form);
  return { ...named, ...query, ...params, ...(route.rest === "archive" ? { archive: body } : {}) };
}
