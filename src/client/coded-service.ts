import { AionError, isAionError } from "../core/errors.ts";
import type { Failure } from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
import type { PayloadCodec, PayloadContext, PayloadMap } from "../core/payload-codec.ts";
import {
  codecMark,
  decodeFailure,
  encodeFailure,
  encodedMessageOf,
  mapPayloads,
  toCodecError,
  withMessage,
} from "../core/payload-codec.ts";
import { decodeDescription, decodeEvent, decodeFeedEvent, decodeLine } from "./decoded-views.ts";
import type {
  BackfillScheduleReply,
  BackfillScheduleRequest,
  CreateScheduleReply,
  CreateScheduleRequest,
  DescribeScheduleRequest,
  ListSchedulesReply,
  ListSchedulesRequest,
  PauseScheduleRequest,
  ScheduleActionRequest,
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
  OperatorFailure,
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

/**
 * A service of which only encoded payloads are seen outside this process. What programs go on with (results, answers) is decoded or
 * fails; what is shown (histories, descriptions, the feed) has, in the place of what cannot be decoded, an object that
 * says so.
 */
export class CodedService implements Service {
  readonly #service: Service;
  readonly #codec: PayloadCodec;

  constructor(service: Service, codec: PayloadCodec) {
    this.#service = service;
    this.#codec = codec;
  }

  async start(request: StartRequest, options?: CallOptions): Promise<StartReply> {
    const { input, signal } = request;
    // As the engine names the workflow: inputs are compared within one id.
    const workflowId = request.workflowId ?? request.requestId;
    const of = workflowId === undefined ? {} : { workflowId };
    const encoded = {
      ...request,
      input: await this.#encode(input, { kind: "start", ...of }),
      ...(signal === undefined
        ? {}
        : {
            signal: { ...signal, payload: await this.#encode(signal.payload, { kind: "signal", ...of }) },
          }),
    };
    return await this.#call(() => this.#service.start(encoded, options));
  }

  async signal(request: SignalRequest, options?: CallOptions): Promise<void> {
    const { workflowId } = request;
    const payload = await this.#encode(request.payload, { kind: "signal", workflowId });
    await this.#call(() => this.#service.signal({ ...request, payload }, options));
  }

  async query(request: QueryRequest, options?: CallOptions): Promise<Payload> {
    const { workflowId } = request;
    const input = await this.#encode(request.input, { kind: "query", workflowId });
    const answer = await this.#call(() => this.#service.query({ ...request, input }, options));
    return await this.#decode(answer, { kind: "answer", workflowId });
  }

  async update(request: UpdateRequest, options?: CallOptions): Promise<UpdateReply> {
    const { workflowId } = request;
    const input = await this.#encode(request.input, { kind: "update", workflowId });
    const reply = await this.#call(() => this.#service.update({ ...request, input }, options));
    return await this.#decodeUpdate(reply, workflowId);
  }

  async updateResult(request: UpdateResultRequest, options?: CallOptions): Promise<UpdateReply> {
    return await this.#decodeUpdate(await this.#service.updateResult(request, options), request.workflowId);
  }

  async #decodeUpdate(reply: UpdateReply, workflowId: string): Promise<UpdateReply> {
    if (reply.status === "completed")
      return { ...reply, result: await this.#decode(reply.result, { kind: "result", workflowId }) };
    if (reply.status !== "failed") return reply;
    return await this.#show((decode) => ({
      ...reply,
      failure: decodeFailure(reply.failure, decode, { workflowId }),
    }));
  }

  cancel(request: EndRequest, options?: CallOptions): Promise<void> {
    return this.#service.cancel(request, options);
  }

  terminate(request: EndRequest, options?: CallOptions): Promise<void> {
    return this.#service.terminate(request, options);
  }

  pause(request: EndRequest, options?: CallOptions): Promise<void> {
    return this.#service.pause(request, options);
  }

  resume(request: EndRequest, options?: CallOptions): Promise<void> {
    return this.#service.resume(request, options);
  }

  async resumeActivity(request: ResumeActivityRequest, options?: CallOptions): Promise<ResumeActivityReply> {
    const { workflowId, result, failure } = request;
    const encoded = {
      ...request,
      ...(result === undefined ? {} : { result: await this.#encode(result, { kind: "result", workflowId }) }),
      ...(failure === undefined ? {} : { failure: await this.#encodeFailure(failure, workflowId) }),
    };
    return await this.#call(() => this.#service.resumeActivity(encoded, options));
  }

  /** What an operator says is read by the workflow's code, as what an activity says is. */
  async #encodeFailure(
    { message, type, details }: OperatorFailure,
    workflowId: string,
  ): Promise<OperatorFailure> {
    const { failureText = "encoded" } = this.#codec;
    const plain: Failure = { kind: "application", message, ...(details === undefined ? {} : { details }) };
    const encoded = await mapPayloads(
      (encode) => encodeFailure(plain, encode, { failureText, workflowId }),
      (payload, context) => this.#encode(payload, context),
    );
    return {
      message: encoded.message,
      ...(type === undefined ? {} : { type }),
      ...(encoded.details === undefined ? {} : { details: encoded.details }),
    };
  }

  reopen(request: EndRequest, options?: CallOptions): Promise<void> {
    return this.#service.reopen(request, options);
  }

  reset(request: ResetRequest, options?: CallOptions): Promise<ResetReply> {
    return this.#service.reset(request, options);
  }

  fork(request: ForkRequest, options?: CallOptions): Promise<ResetReply> {
    return this.#service.fork(request, options);
  }

  async result(request: ResultRequest, options?: CallOptions): Promise<ResultReply> {
    const reply = await this.#service.result(request, options);
    const { workflowId } = request;
    if (reply.status === "running") return reply;
    // That it failed is worth knowing though one cannot read why.
    if (reply.status !== "completed")
      return await this.#show((decode) => ({
        ...reply,
        failure: decodeFailure(reply.failure, decode, { workflowId }),
      }));
    return { ...reply, result: await this.#decode(reply.result, { kind: "result", workflowId }) };
  }

  async describe(address: RunAddress, options?: CallOptions): Promise<RunDescription> {
    const description = await this.#service.describe(address, options);
    return await this.#show((decode) => decodeDescription(description, decode));
  }

  list(request: ListRequest, options?: CallOptions): Promise<ListReply> {
    return this.#service.list(request, options);
  }

  count(filter: ListFilter, options?: CallOptions): Promise<number> {
    return this.#service.count(filter, options);
  }

  async history(request: HistoryRequest, options?: CallOptions): Promise<HistoryReply> {
    const reply = await this.#service.history(request, options);
    const { events } = reply;
    return {
      ...reply,
      events: await this.#show((decode) => events.map((event) => decodeEvent(event, decode))),
    };
  }

  async logs(request: LogsRequest, options?: CallOptions): Promise<LogsReply> {
    const reply = await this.#service.logs(request, options);
    const { workflowId } = request;
    const lines = await this.#show((decode) =>
      reply.lines.map((line) => decodeLine(line, decode, { workflowId })),
    );
    return { ...reply, lines };
  }

  async feed(request: FeedRequest, options?: CallOptions): Promise<FeedReply> {
    const reply = await this.#service.feed(request, options);
    const { events } = reply;
    return {
      ...reply,
      events: await this.#show((decode) => events.map((item) => decodeFeedEvent(item, decode))),
    };
  }

  deploy(request: DeployRequest, options?: CallOptions): Promise<DeployReply> {
    return this.#service.deploy(request, options);
  }

  listPackages(filter: PackageFilter, options?: CallOptions): Promise<PackagesReply> {
    return this.#service.listPackages(filter, options);
  }

  listWorkers(request: WorkersRequest, options?: CallOptions): Promise<WorkersReply> {
    return this.#service.listWorkers(request, options);
  }

  route(request: RouteRequest, options?: CallOptions): Promise<void> {
    return this.#service.route(request, options);
  }

  unload(request: UnloadRequest, options?: CallOptions): Promise<void> {
    return this.#service.unload(request, options);
  }

  async createSchedule(request: CreateScheduleRequest, options?: CallOptions): Promise<CreateScheduleReply> {
    const action = await this.#encodeAction(request.action);
    return await this.#call(() => this.#service.createSchedule({ ...request, action }, options));
  }

  async updateSchedule(request: UpdateScheduleRequest, options?: CallOptions): Promise<void> {
    const { action } = request;
    const encoded = action === undefined ? {} : { action: await this.#encodeAction(action) };
    await this.#call(() => this.#service.updateSchedule({ ...request, ...encoded }, options));
  }

  async describeSchedule(
    request: DescribeScheduleRequest,
    options?: CallOptions,
  ): Promise<ScheduleDescription> {
    const description = await this.#service.describeSchedule(request, options);
    const { action } = description;
    const input = await this.#show((decode) => decode(action.input, { kind: "start" }));
    return { ...description, action: { ...action, input } };
  }

  listSchedules(request: ListSchedulesRequest, options?: CallOptions): Promise<ListSchedulesReply> {
    return this.#service.listSchedules(request, options);
  }

  pauseSchedule(request: PauseScheduleRequest, options?: CallOptions): Promise<void> {
    return this.#service.pauseSchedule(request, options);
  }

  resumeSchedule(request: ScheduleRequest, options?: CallOptions): Promise<void> {
    return this.#service.resumeSchedule(request, options);
  }

  triggerSchedule(request: TriggerScheduleRequest, options?: CallOptions): Promise<TriggerScheduleReply> {
    return this.#service.triggerSchedule(request, options);
  }

  backfillSchedule(request: BackfillScheduleRequest, options?: CallOptions): Promise<BackfillScheduleReply> {
    return this.#service.backfillSchedule(request, options);
  }

  deleteSchedule(request: ScheduleRequest, options?: CallOptions): Promise<void> {
    return this.#service.deleteSchedule(request, options);
  }

  /** It is for workflows of many ids. */
  async #encodeAction(action: ScheduleActionRequest): Promise<ScheduleActionRequest> {
    return { ...action, input: await this.#encode(action.input, { kind: "start" }) };
  }

  async #encode(text: Payload, context: PayloadContext): Promise<Payload> {
    try {
      return (await this.#codec.encode(text, context)) as Payload;
    } catch (error) {
      throw toCodecError(error, "codec_failed");
    }
  }

  async #decode(text: Payload, context: PayloadContext): Promise<Payload> {
    try {
      return (await this.#codec.decode(text, context)) as Payload;
    } catch (error) {
      throw toCodecError(error, "payload_undecodable");
    }
  }

  /** A call whose refusal may quote what it was given, encoded. */
  async #call<Reply>(call: () => Promise<Reply>): Promise<Reply> {
    try {
      return await call();
    } catch (error) {
      const encoded = encodedMessageOf(error);
      if (encoded === undefined || !isAionError(error)) throw error;
      const whole = withMessage(error, await this.#decode(encoded, { kind: "failure" }));
      const { failure } = error.details;
      if (failure === undefined) throw whole;
      const { code, message, hint } = whole;
      const decoded = await this.#show((decode) => decodeFailure(failure as Failure, decode, {}));
      throw new AionError(code, message, { hint, details: { failure: decoded } });
    }
  }

  #show<Value>(walk: (decode: PayloadMap) => Value): Promise<Value> {
    return mapPayloads(walk, async (payload, context) => {
      try {
        return await this.#decode(payload, context);
      } catch (error) {
        return toShown(payload, error);
      }
    });
  }
}

/** What is shown in the place of a payload that cannot be decoded. */
function toShown(payload: Payload, error: unknown): Payload {
  const { code, message } = toCodecError(error, "payload_undecodable");
  return JSON.stringify({
    [codecMark]: "undecodable",
    code,
    message,
    payload: JSON.parse(payload) as unknown,
  }) as Payload;
}
