import { AionError, errorTable, isAionError } from "../core/errors.ts";
import { fromPayload } from "../core/payload.ts";
import {
  descriptionFromJson,
  feedFromJson,
  historyFromJson,
  logsFromJson,
  resultFromJson,
  scheduleFromJson,
  scheduleToJson,
  textOf,
  updateFromJson,
} from "./json-form.ts";
import type { JsonObject } from "./json-form.ts";
import { CallsTogether } from "./calls-together.ts";
import { callTimeoutMs, readAnswer, strange } from "./http-answer.ts";
import type { HttpAnswer, HttpCall, HttpSend } from "./http-answer.ts";
import { apiPrefix, callsPath, defaultNamespace, routes, waitMsMax } from "./routes.ts";
import type { Route } from "./routes.ts";
import type {
  BackfillScheduleReply,
  BackfillScheduleRequest,
  CreateScheduleReply,
  CreateScheduleRequest,
  DescribeScheduleRequest,
  ListSchedulesReply,
  ListSchedulesRequest,
  PauseScheduleRequest,
  ScheduleDescription,
  ScheduleRequest,
  TriggerScheduleReply,
  TriggerScheduleRequest,
  UpdateScheduleRequest,
} from "./schedule-service.ts";
import type {
  CallOptions,
  DeployReply,
  DeployRequest,
  EndRequest,
  FeedReply,
  FeedRequest,
  HistoryReply,
  HistoryRequest,
  ListFilter,
  ListReply,
  ListRequest,
  LogsReply,
  LogsRequest,
  PackageFilter,
  PackagesReply,
  QueryRequest,
  ResultReply,
  ResultRequest,
  ResumeActivityReply,
  ResumeActivityRequest,
  RouteRequest,
  RunAddress,
  RunDescription,
  Service,
  SignalRequest,
  StartReply,
  StartRequest,
  UnloadRequest,
  UpdateReply,
  UpdateRequest,
  UpdateResultRequest,
  WorkersReply,
  WorkersRequest,
  ForkRequest,
  ResetReply,
  ResetRequest,
} from "./service.ts";
import type { Payload } from "../core/payload.ts";
import type { TraceContext } from "../core/tracing.ts";

/** How calls that may be repeated are repeated while the other side cannot be reached or is being started anew. */
export interface Patience {
  /** For how long, in milliseconds. */
  readonly patienceMs: number;
  /** Resolves after that time, or when the signal fires. */
  readonly wait: (delayMs: number, abortSignal: AbortSignal | undefined) => Promise<void>;
  /** In [0, 1). */
  readonly random: () => number;
  /** For calls that have no name of their own. */
  readonly uuid: () => string;
  /** In milliseconds, never set back. */
  readonly now: () => number;
}

export interface HttpServiceOptions {
  readonly send: HttpSend;
  readonly namespace?: string;
  /** Default: no call is repeated. */
  readonly patience?: Patience;
  /** Calls that are made at once go together, if `send` can tell of lines. Default: each goes alone. */
  readonly isTogether?: boolean;
}

const firstDelayMs = 100;
const delayMsMax = 5_000;

type Rest = Readonly<Record<string, unknown>>;

/**
 * The service of an engine elsewhere, over HTTP. Errors: those of the service, under the same codes; `transport_failed`.
 *
 * A call is repeated only if it reads, or names itself by an idempotency key: then a second one has no second effect.
 */
export class HttpService implements Service {
  readonly #send: HttpSend;
  readonly #prefix: string;
  readonly #patience: Patience | undefined;
  readonly #together: CallsTogether | undefined;

  constructor({ send, namespace = defaultNamespace, patience, isTogether = false }: HttpServiceOptions) {
    this.#send = send;
    this.#prefix = `${apiPrefix}${segment(namespace, "namespace")}`;
    this.#patience = patience;
    if (isTogether) this.#together = new CallsTogether(send, `${this.#prefix}${callsPath}`);
  }

  async start({ input, signal, ...rest }: StartRequest, options?: CallOptions): Promise<StartReply> {
    const body = {
      ...this.#named(rest),
      input: fromPayload(input),
      ...(signal === undefined ? {} : { signal: { ...signal, payload: fromPayload(signal.payload) } }),
    };
    return (await this.#call("start", body, options)) as unknown as StartReply;
  }

  async signal({ payload, ...rest }: SignalRequest, options?: CallOptions): Promise<void> {
    const signalId = rest.signalId ?? this.#patience?.uuid();
    const name = signalId === undefined ? {} : { signalId };
    await this.#call("signal", { ...rest, ...name, payload: fromPayload(payload) }, options);
  }

  async query({ input, ...rest }: QueryRequest, options?: CallOptions): Promise<Payload> {
    const reply = await this.#call("query", { ...rest, input: fromPayload(input) }, options);
    return readReply(reply, ({ result }) => {
      if (result === undefined) throw new TypeError("it has no result");
      return textOf(result);
    });
  }

  async update({ input, ...rest }: UpdateRequest, options?: CallOptions): Promise<UpdateReply> {
    // The parts of one wait are one update.
    const updateId = rest.updateId ?? this.#patience?.uuid();
    const body = { ...rest, ...(updateId === undefined ? {} : { updateId }), input: fromPayload(input) };
    let known: UpdateReply | undefined;
    return await inParts(
      rest.waitMs ?? 0,
      async (part) => {
        const reply: JsonObject =
          known?.status === "accepted"
            ? await this.#call("updateResult", toPlace(rest, known), options, { part })
            : await this.#call("update", { ...body, ...(known && { updateId: known.updateId }) }, options, {
                part,
              });
        known = readReply(reply, updateFromJson);
        return known;
      },
      (reply) => isUpdateAnswer(reply) || (rest.waitFor === "accepted" && reply.status === "accepted"),
    );
  }

  async updateResult(request: UpdateResultRequest, options?: CallOptions): Promise<UpdateReply> {
    return await inParts(
      request.waitMs,
      async (part) =>
        readReply(await this.#call("updateResult", { ...request }, options, { part }), updateFromJson),
      isUpdateAnswer,
    );
  }

  async cancel(request: EndRequest, options?: CallOptions): Promise<void> {
    await this.#call("cancel", this.#named(request), options);
  }

  async terminate(request: EndRequest, options?: CallOptions): Promise<void> {
    await this.#call("terminate", this.#named(request), options);
  }

  async pause(request: EndRequest, options?: CallOptions): Promise<void> {
    await this.#call("pause", this.#named(request), options);
  }

  async resume(request: EndRequest, options?: CallOptions): Promise<void> {
    await this.#call("resume", this.#named(request), options);
  }

  async resumeActivity(
    { result, failure, ...rest }: ResumeActivityRequest,
    options?: CallOptions,
  ): Promise<ResumeActivityReply> {
    const { details, ...said } = failure ?? {};
    const body = {
      ...this.#named(rest),
      ...(result === undefined ? {} : { result: fromPayload(result) }),
      ...(failure === undefined
        ? {}
        : { failure: { ...said, ...(details === undefined ? {} : { details: fromPayload(details) }) } }),
    };
    return (await this.#call("resumeActivity", body, options)) as unknown as ResumeActivityReply;
  }

  async reopen(request: EndRequest, options?: CallOptions): Promise<void> {
    await this.#call("reopen", this.#named(request), options);
  }

  async reset(request: ResetRequest, options?: CallOptions): Promise<ResetReply> {
    return (await this.#call("reset", this.#named(request), options)) as unknown as ResetReply;
  }

  async fork(request: ForkRequest, options?: CallOptions): Promise<ResetReply> {
    return (await this.#call("fork", this.#named(request), options)) as unknown as ResetReply;
  }

  async result(request: ResultRequest, options?: CallOptions): Promise<ResultReply> {
    return await inParts(
      request.waitMs,
      async (part) =>
        readReply(await this.#call("result", { ...request }, options, { part }), resultFromJson),
      (reply) => reply.status !== "running" || reply.blocked !== undefined,
    );
  }

  async describe(address: RunAddress, options?: CallOptions): Promise<RunDescription> {
    return readReply(await this.#call("describe", { ...address }, options), descriptionFromJson);
  }

  async list({ filter, ...page }: ListRequest, options?: CallOptions): Promise<ListReply> {
    return (await this.#call("list", { ...filter, ...page }, options)) as unknown as ListReply;
  }

  async count(filter: ListFilter, options?: CallOptions): Promise<number> {
    return Number((await this.#call("count", { ...filter }, options))["count"]);
  }

  async history(request: HistoryRequest, options?: CallOptions): Promise<HistoryReply> {
    return await inParts(
      request.waitMs,
      async (part) =>
        readReply(await this.#call("history", { ...request }, options, { part }), historyFromJson),
      (reply) => reply.events.length > 0 || reply.isEnd,
    );
  }

  async logs(request: LogsRequest, options?: CallOptions): Promise<LogsReply> {
    return await inParts(
      request.waitMs,
      async (part) => logsFromJson(await this.#call("logs", { ...request }, options, { part })),
      (reply) => reply.lines.length > 0 || reply.isEnd,
    );
  }

  async feed({ filter, ...request }: FeedRequest, options?: CallOptions): Promise<FeedReply> {
    const { types, ...rest } = filter ?? {};
    let { after } = request;
    return await inParts(
      request.waitMs,
      async (part) => {
        const asked = { ...request, ...rest, after, types: types?.join(",") };
        const reply = readReply(await this.#call("feed", asked, options, { part }), feedFromJson);
        after = reply.nextCursor;
        return reply;
      },
      (reply) => reply.events.length > 0 || !reply.isAtHead,
    );
  }

  async deploy({ archive, ...rest }: DeployRequest, options?: CallOptions): Promise<DeployReply> {
    return (await this.#call("deploy", this.#named(rest), options, { archive })) as unknown as DeployReply;
  }

  async listPackages(filter: PackageFilter, options?: CallOptions): Promise<PackagesReply> {
    return (await this.#call("listPackages", { ...filter }, options)) as unknown as PackagesReply;
  }

  async listWorkers(request: WorkersRequest, options?: CallOptions): Promise<WorkersReply> {
    return (await this.#call("listWorkers", { ...request }, options)) as unknown as WorkersReply;
  }

  async route(request: RouteRequest, options?: CallOptions): Promise<void> {
    await this.#call("route", this.#named(request), options);
  }

  async unload(request: UnloadRequest, options?: CallOptions): Promise<void> {
    await this.#call("unload", this.#named(request), options);
  }

  async createSchedule(request: CreateScheduleRequest, options?: CallOptions): Promise<CreateScheduleReply> {
    const reply = await this.#call("createSchedule", this.#named(scheduleToJson(request)), options);
    return reply as unknown as CreateScheduleReply;
  }

  async updateSchedule(request: UpdateScheduleRequest, options?: CallOptions): Promise<void> {
    await this.#call("updateSchedule", this.#named(scheduleToJson(request)), options);
  }

  async describeSchedule(
    request: DescribeScheduleRequest,
    options?: CallOptions,
  ): Promise<ScheduleDescription> {
    return readReply(await this.#call("describeSchedule", { ...request }, options), scheduleFromJson);
  }

  async listSchedules(request: ListSchedulesRequest, options?: CallOptions): Promise<ListSchedulesReply> {
    return (await this.#call("listSchedules", { ...request }, options)) as unknown as ListSchedulesReply;
  }

  async pauseSchedule(request: PauseScheduleRequest, options?: CallOptions): Promise<void> {
    await this.#call("pauseSchedule", this.#named(request), options);
  }

  async resumeSchedule(request: ScheduleRequest, options?: CallOptions): Promise<void> {
    await this.#call("resumeSchedule", this.#named(request), options);
  }

  async triggerSchedule(
    request: TriggerScheduleRequest,
    options?: CallOptions,
  ): Promise<TriggerScheduleReply> {
    return (await this.#call(
      "triggerSchedule",
      this.#named(request),
      options,
    )) as unknown as TriggerScheduleReply;
  }

  async backfillSchedule(
    request: BackfillScheduleRequest,
    options?: CallOptions,
  ): Promise<BackfillScheduleReply> {
    return (await this.#call(
      "backfillSchedule",
      this.#named(request),
      options,
    )) as unknown as BackfillScheduleReply;
  }

  async deleteSchedule(request: ScheduleRequest, options?: CallOptions): Promise<void> {
    await this.#call("deleteSchedule", this.#named(request), options);
  }

  /** A call that changes something and may be repeated names itself. */
  #named(request: { readonly requestId?: string }): Rest {
    const requestId = request.requestId ?? this.#patience?.uuid();
    return requestId === undefined ? { ...request } : { ...request, requestId };
  }

  async #call(
    method: keyof Service,
    request: Rest,
    { abortSignal }: CallOptions = {},
    { archive, part }: { readonly archive?: Uint8Array; readonly part?: Part } = {},
  ): Promise<JsonObject> {
    // How a caller's span goes over HTTP is a standard, with headers of its own.
    const { trace, ...said } = request as Rest & { readonly trace?: TraceContext };
    let fields: Rest = part?.waitMs === undefined ? said : { ...said, waitMs: part.waitMs };
    const alone = async (): Promise<HttpAnswer> =>
      await this.#send({
        ...toCall(this.#prefix, routes[method], fields, archive),
        ...(trace === undefined ? {} : { trace }),
        timeoutMs: callTimeoutMs,
        ...(abortSignal === undefined ? {} : { abortSignal }),
      });
    // One that may be broken off has to be alone.
    const together = abortSignal === undefined ? this.#together : undefined;
    const ask = async (): Promise<JsonObject> =>
      together?.takes(method) === true
        ? await together.call(method, fields, trace, alone)
        : readAnswer(await alone());
    const patience = mayRepeat(routes[method], request) ? this.#patience : undefined;
    if (patience === undefined) return await ask();
    // To wait is no trouble: that begins when a call that waits goes wrong, and the next answer of the other side ends it.
    const waiting = (part?.waitMs ?? 0) > 0 ? part : undefined;
    let since = waiting === undefined ? patience.now() : undefined;
    for (let delayMs = firstDelayMs; ; delayMs = Math.min(2 * delayMs, delayMsMax)) {
      try {
        return await ask();
      } catch (error) {
        since ??= patience.now();
        if (waiting !== undefined) {
          waiting.isCutShort = true;
          fields = { ...said, waitMs: 0 };
        }
        if (!isPassing(error) || patience.now() + delayMs > since + patience.patienceMs) throw error;
        await patience.wait(delayMs * (0.5 + patience.random() / 2), abortSignal);
        abortSignal?.throwIfAborted();
      }
    }
  }
}

function toPlace({ workflowId }: RunAddress, { runId, updateId }: UpdateReply): Rest {
  return { workflowId, runId, updateId };
}

function isUpdateAnswer(reply: UpdateReply): boolean {
  if (reply.status === "accepted") return reply.blocked !== undefined;
  return reply.status !== "waiting";
}

function mayRepeat(route: Route, request: Rest): boolean {
  if (route.verb === "GET" || route.onlyReads === true) return true;
  return route.idempotencyKey !== undefined && request[route.idempotencyKey] !== undefined;
}

function isPassing(error: unknown): boolean {
  return isAionError(error) && errorTable[error.code].kind === "unavailable";
}

/** Of a wait. */
interface Part {
  readonly waitMs?: number;
  /** It went wrong, and the answer is to a repetition, which did not wait. */
  isCutShort: boolean;
}

/** One call waits no longer than the other side lets it; a longer wait is several. */
async function inParts<Reply>(
  waitMs: number | undefined,
  ask: (part: Part) => Promise<Reply>,
  isAnswer: (reply: Reply) => boolean,
): Promise<Reply> {
  const endAt = performance.now() + (waitMs ?? 0);
  for (;;) {
    const leftMs = Math.max(0, Math.ceil(endAt - performance.now()));
    const wait = waitMs === undefined ? {} : { waitMs: Math.min(leftMs, waitMsMax) };
    const part: Part = { ...wait, isCutShort: false };
    const reply = await ask(part);
    if (isAnswer(reply) || (leftMs <= waitMsMax && !part.isCutShort)) return reply;
  }
}

function toCall(
  prefix: string,
  route: Route,
  request: Rest,
  archive: Uint8Array | undefined,
): Pick<HttpCall, "verb" | "path" | "body" | "contentType"> {
  const rest = new Map(Object.entries(request).filter(([, value]) => value !== undefined));
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_all, field: string) => {
    const value = String(rest.get(field));
    rest.delete(field);
    return segment(value, field);
  });
  const { verb } = route;
  if (route.rest === "body") {
    const body = JSON.stringify(Object.fromEntries(rest));
    return { verb, path: `${prefix}${path}`, body, contentType: "application/json" };
  }
  const query = new URLSearchParams(
    [...rest].flatMap(([name, value]): [string, string][] =>
      Array.isArray(value) ? value.map((one) => [name, String(one)]) : [[name, String(value)]],
    ),
  ).toString();
  const whole = `${prefix}${path}${query === "" ? "" : `?${query}`}`;
  if (route.rest === "query") return { verb, path: whole };
  return {
    verb,
    path: whole,
    body: Uint8Array.from(archive ?? []),
    contentType: "application/zip",
  };
}

/** URLs have a meaning of their own for these two, however they are written. */
function segment(value: string, what: string): string {
  if (value === "." || value === "..") {
    throw new AionError("invalid_argument", `a ${what} of ${JSON.stringify(value)} cannot be part of a URL`);
  }
  return encodeURIComponent(value);
}

/** What a reply says, if it has the form of one. Error: `transport_failed`. */
function readReply<Reply>(json: JsonObject, read: (json: JsonObject) => Reply): Reply {
  try {
    return read(json);
  } catch (error) {
    throw strange("the answer has not the form that it should have", error);
  }
}
