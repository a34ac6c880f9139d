import type { SpanAttributes, TraceContext, Tracing } from "../core/tracing.ts";
import { spanAttribute } from "../core/tracing.ts";
import type {
  EndRequest,
  QueryRequest,
  ResumeActivityRequest,
  Service,
  SignalRequest,
  StartRequest,
  UpdateRequest,
  ForkRequest,
  ResetRequest,
} from "./service.ts";

/** Calls that get a span: those that are part of what a program does. Reading and waiting would be noise. */
export interface TracedRequests {
  readonly start: StartRequest;
  readonly signal: SignalRequest;
  readonly query: QueryRequest;
  readonly update: UpdateRequest;
  readonly cancel: EndRequest;
  readonly terminate: EndRequest;
  readonly pause: EndRequest;
  readonly resume: EndRequest;
  readonly resumeActivity: ResumeActivityRequest;
  readonly reopen: EndRequest;
  readonly reset: ResetRequest;
  readonly fork: ForkRequest;
}

/** How the span of a call is named, and what it says. For both sides. */
export function describeCall<Method extends keyof TracedRequests>(
  method: Method,
  request: TracedRequests[Method],
): { readonly name: string; readonly attributes: SpanAttributes } {
  if ("workflowType" in request) {
    const { workflowType, workflowId } = request;
    const attributes = {
      [spanAttribute.workflowType]: workflowType,
      [spanAttribute.workflowId]: workflowId,
    };
    return { name: `start ${workflowType}`, attributes };
  }
  const { workflowId, runId } = request;
  const address = { [spanAttribute.workflowId]: workflowId, [spanAttribute.runId]: runId };
  if (!("name" in request)) return { name: method, attributes: address };
  const { name } = request;
  const of =
    method === "signal"
      ? spanAttribute.signal
      : method === "update"
        ? spanAttribute.update
        : spanAttribute.query;
  return { name: `${method} ${name}`, attributes: { ...address, [of]: name } };
}

const tracedMethods: Readonly<Record<keyof TracedRequests, true>> = {
  start: true,
  signal: true,
  query: true,
  update: true,
  cancel: true,
  terminate: true,
  pause: true,
  resume: true,
  resumeActivity: true,
  reopen: true,
  reset: true,
  fork: true,
};

export function isTraced(method: keyof Service): method is keyof TracedRequests {
  return Object.hasOwn(tracedMethods, method);
}

/** A service whose calls are made within spans of their own, inside whatever span is current where they are made. */
export function traceService(service: Service, tracing: Tracing): Service {
  const call = <Method extends keyof TracedRequests, Reply>(
    method: Method,
    request: TracedRequests[Method],
    work: (traced: TracedRequests[Method]) => Promise<Reply>,
  ): Promise<Reply> => {
    const span = { ...describeCall(method, request), kind: "client", inside: "current" } as const;
    return tracing.within({ ...span, parent: request.trace }, (trace: TraceContext | undefined) =>
      work(trace === undefined ? request : { ...request, trace }),
    );
  };
  const traced: Partial<Service> = {
    start: (request, options) => call("start", request, (one) => service.start(one, options)),
    signal: (request, options) => call("signal", request, (one) => service.signal(one, options)),
    query: (request, options) => call("query", request, (one) => service.query(one, options)),
    update: (request, options) => call("update", request, (one) => service.update(one, options)),
    cancel: (request, options) => call("cancel", request, (one) => service.cancel(one, options)),
    terminate: (request, options) => call("terminate", request, (one) => service.terminate(one, options)),
    pause: (request, options) => call("pause", request, (one) => service.pause(one, options)),
    resume: (request, options) => call("resume", request, (one) => service.resume(one, options)),
    resumeActivity: (request, options) =>
      call("resumeActivity", request, (one) => service.resumeActivity(one, options)),
    reopen: (request, options) => call("reopen", request, (one) => service.reopen(one, options)),
    reset: (request, options) => call("reset", request, (one) => service.reset(one, options)),
    fork: (request, options) => call("fork", request, (one) => service.fork(one, options)),
  };
  return new Proxy(service, {
    get: (target, name) => {
      const own: unknown = Reflect.get(traced, name);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (value as (...given: readonly unknown[]) => unknown).bind(target);
    },
  });
}
