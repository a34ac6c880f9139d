import { Hono } from "hono";
import type { Context } from "hono";
import type { HttpBindings } from "@hono/node-server";
import type { Service } from "../client/service.ts";
import { apiPrefix, eventStreamPath, livePath, readyPath } from "../client/routes.ts";
import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { Log } from "../core/ports.ts";
import { readBody } from "./body.ts";
import { errorToJson, statusOf, toAionError } from "./errors.ts";
import { streamEvents } from "./event-stream.ts";
import { documentOf } from "./openapi.ts";
import { operationsFor, readQuery } from "./operations.ts";
import type { Operation } from "./operations.ts";

/** What a caller asks for, as far as it is known before anything of it is done. */
export interface Asked {
  readonly operation: keyof Service | "events";
  readonly namespace: string;
  readonly headers: Headers;
}

export interface AppOptions {
  /** The service of a namespace. Throws `namespace_not_found`, and what stands against the caller. */
  readonly serviceFor: (asked: Asked) => Promise<Service>;
  readonly payloadLimitBytes: number;
  readonly version: string;
  /** Fires when no more calls are taken: those that wait are answered with `engine_closed`. */
  readonly closing: AbortSignal;
  readonly log?: Log;
}

type Env = { Bindings: HttpBindings };

/** The API as an application that takes requests; where they come from is others' business. */
export function createApp(options: AppOptions): Hono<Env> {
  const { closing, payloadLimitBytes } = options;
  const app = new Hono<Env>();
  const operations = operationsFor(payloadLimitBytes);
  const document = documentOf(operations, options.version);

  app.use(async (context, next) => {
    try {
      decodeURIComponent(context.req.path);
    } catch (error) {
      throw new AionError("invalid_argument", "the address is no valid URL", { cause: error });
    }
    await next();
  });
  app.get(livePath, (context) => context.json({ isLive: true, pid: process.pid, version: options.version }));
  app.get(readyPath, (context) =>
    closing.aborted ? context.json({ isReady: false }, 503) : context.json({ isReady: true }),
  );
  app.get("/openapi.json", (context) => context.json(document));

  for (const operation of operations) {
    app.on(operation.route.verb, toPattern(operation.route.path), async (context) => {
      const body = await readBody(context.req.raw, operation.bodyLimitBytes);
      const namespace = context.req.param("namespace") ?? "";
      const { headers } = context.req.raw;
      const service = await options.serviceFor({ operation: operation.method, namespace, headers });
      const request = toRequest(context, operation, body);
      const answer = await orClosing(operation, closing, (abortSignal) =>
        operation.perform(service, request, { abortSignal }),
      );
      return answer.body === undefined
        ? context.body(null, answer.status as 204)
        : context.json(answer.body, answer.status as 200);
    });
  }
  app.get(toPattern(eventStreamPath), async (context) => {
    const namespace = context.req.param("namespace") ?? "";
    const { headers, signal } = context.req.raw;
    const service = await options.serviceFor({ operation: "events", namespace, headers });
    return await streamEvents(service, {
      workflowId: context.req.param("workflowId") ?? "",
      query: new URL(context.req.url).searchParams,
      lastEventId: headers.get("last-event-id") ?? undefined,
      abortSignal: AbortSignal.any([signal, closing]),
    });
  });

  app.notFound(async (context) => {
    await readBody(context.req.raw, 0).catch(() => undefined);
    const { method, path } = context.req;
    return toResponse(
      new AionError("endpoint_unknown", `there is no ${method} ${path.slice(0, 200)}`),
      statusOf("endpoint_unknown"),
    );
  });
  app.onError((reason) => {
    const error = toAionError(reason);
    if (error.code === "internal") {
      options.log?.("error", "a call met a bug", { error: error.message, stack: error.stack });
    }
    return toResponse(error, statusOf(error.code));
  });
  return app;
}

function toPattern(path: string): string {
  return `${apiPrefix}:namespace${path.replaceAll(/\{(\w+)\}/g, ":$1")}`;
}

function toResponse(error: AionError, status: number): Response {
  return new Response(errorToJson(error), { status, headers: { "content-type": "application/json" } });
}

function toRequest(
  context: Context<Env>,
  { route, form }: Operation,
  body: Uint8Array,
): Record<string, unknown> {
  const { namespace: _, ...params } = context.req.param() as Record<string, string>;
  const query = readQuery(new URL(context.req.url).searchParams, form);
  if (route.rest === "query") return { ...query, ...params };
  if (route.rest === "archive") return { ...query, ...params, archive: body };
  const key = context.req.header("idempotency-key");
  return {
    ...(route.idempotencyKey === undefined || key === undefined ? {} : { [route.idempotencyKey]: key }),
    ...parseJson(body),
    ...params,
  };
}

function parseJson(body: Uint8Array): object {
  if (body.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    throw new AionError("invalid_argument", `the body of the request is no JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new AionError("invalid_argument", "the body of the request is no JSON object");
}

// Only for calls that wait and change nothing: the caller of any other must learn what became of it.
function orClosing<Result>(
  { method }: Operation,
  closing: AbortSignal,
  call: (abortSignal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const waits = method === "result" || method === "history";
  if (!waits) return call(closing);
  return new Promise((resolve, reject) => {
    const onClosing = (): void => reject(new AionError("engine_closed", "the engine is closing"));
    if (closing.aborted) {
      onClosing();
      return;
    }
    closing.addEventListener("abort", onClosing, { once: true });
    call(closing)
      .then(resolve, reject)
      .finally(() => closing.removeEventListener("abort", onClosing));
  });
}
