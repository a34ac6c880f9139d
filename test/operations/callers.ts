/** The ways in which callers reach an engine: its socket, HTTP, and gRPC. Answers are plain data, the same on each. */
import { fromJson, toJson } from "@bufbuild/protobuf";
import type { DescMethodUnary, DescService, JsonObject } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  descriptionFromJson,
  historyFromJson,
  resultFromJson,
  scheduleFromJson,
  scheduleToJson,
  textOf,
  updateFromJson,
} from "../../src/client/json-form.ts";
import { connectRemote } from "../../src/client/remote.ts";
import type { Service } from "../../src/client/service.ts";
import { AionError } from "../../src/core/errors.ts";
import { fromPayload } from "../../src/core/payload.ts";
import { ScheduleService } from "../../src/http/gen/aion/v1/schedules_pb.ts";
import { WorkflowService } from "../../src/http/gen/aion/v1/workflows_pb.ts";
import { fromConnectError } from "../../src/http/rpc-error.ts";
import { connectLocal } from "../../src/local/client.ts";
import { socketPathFor } from "../../src/local/socket-path.ts";

/** What the operations ask for. */
export type Desk = Pick<
  Service,
  | "start"
  | "signal"
  | "query"
  | "update"
  | "updateResult"
  | "cancel"
  | "terminate"
  | "pause"
  | "resume"
  | "reopen"
  | "reset"
  | "fork"
  | "resumeActivity"
  | "result"
  | "describe"
  | "list"
  | "count"
  | "history"
  | "createSchedule"
  | "describeSchedule"
  | "pauseSchedule"
  | "resumeSchedule"
  | "triggerSchedule"
  | "backfillSchedule"
  | "deleteSchedule"
>;

/** Of the engine that runs on it, by its socket. It does not look into the file: many callers would keep it from those who open it. */
export function deskOfFile(file: string): Desk {
  return connectLocal(socketPathFor(file));
}

/** One that repeats calls by itself for a while. */
export function deskOverHttp(url: string): Desk {
  return connectRemote({ url, patience: "3s" });
}

/** Each call once. */
export function deskOverGrpc(url: string): Desk {
  const rpc = new Rpc(createGrpcTransport({ baseUrl: url }));
  const none = async (asked: Promise<unknown>): Promise<void> => void (await asked);
  return {
    start: async ({ input, signal: _signal, trace: _trace, ...rest }) =>
      (await rpc.call("start", { ...rest, input: fromPayload(input) })) as never,
    signal: ({ payload, trace: _trace, ...rest }) =>
      none(rpc.call("signal", { ...rest, payload: fromPayload(payload) })),
    query: async ({ input, trace: _trace, ...rest }) =>
      textOf((await rpc.call("query", { ...rest, input: fromPayload(input) }))["result"]),
    update: async ({ input, trace: _trace, ...rest }) =>
      updateFromJson(await rpc.call("update", { ...rest, input: fromPayload(input) })),
    updateResult: async (request) => updateFromJson(await rpc.call("updateResult", request)),
    cancel: ({ trace: _trace, ...rest }) => none(rpc.call("cancel", rest)),
    terminate: ({ trace: _trace, ...rest }) => none(rpc.call("terminate", rest)),
    pause: ({ trace: _trace, ...rest }) => none(rpc.call("pause", rest)),
    resume: ({ trace: _trace, ...rest }) => none(rpc.call("resume", rest)),
    reopen: ({ trace: _trace, ...rest }) => none(rpc.call("reopen", rest)),
    reset: async ({ trace: _trace, ...rest }) => (await rpc.call("reset", rest)) as never,
    fork: async ({ trace: _trace, ...rest }) => (await rpc.call("fork", rest)) as never,
    resumeActivity: async ({ result, failure, trace: _trace, ...rest }) =>
      (await rpc.call("resumeActivity", {
        ...rest,
        ...(result === undefined ? {} : { result: fromPayload(result) }),
        ...(failure === undefined ? {} : { failure }),
      })) as never,
    result: async (request) => resultFromJson(await rpc.call("result", request)),
    describe: async (request) => descriptionFromJson(await rpc.call("describe", request)),
    list: async ({ filter, ...rest }) => {
      const { runs = [], ...page } = await rpc.call("list", { ...filter, ...rest });
      return { runs, ...page } as never;
    },
    count: async (filter) => (await rpc.call("count", filter))["count"] as never,
    history: async (request) => historyFromJson(await rpc.call("history", request)),
    createSchedule: async (request) =>
      (await rpc.call("createSchedule", { ...request, ...scheduleToJson(request) })) as never,
    describeSchedule: async (request) => scheduleFromJson(await rpc.call("describeSchedule", request)),
    pauseSchedule: (request) => none(rpc.call("pauseSchedule", request)),
    resumeSchedule: (request) => none(rpc.call("resumeSchedule", request)),
    triggerSchedule: async (request) => (await rpc.call("triggerSchedule", request)) as never,
    backfillSchedule: async (request) => (await rpc.call("backfillSchedule", request)) as never,
    deleteSchedule: (request) => none(rpc.call("deleteSchedule", request)),
  };
}

class Rpc {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** By the JSON form of its messages, which is that of HTTP. */
  async call(method: string, request: object): Promise<JsonObject> {
    const found = findMethod(WorkflowService, method) ?? findMethod(ScheduleService, method);
    if (found === undefined) throw new Error(`no method is named ${method}`);
    // What is `undefined` is no JSON.
    const json = JSON.parse(JSON.stringify(request)) as JsonObject;
    try {
      const { message } = await this.#transport.unary(
        found,
        undefined,
        20_000,
        undefined,
        fromJson(found.input, json),
      );
      return toJson(found.output, message, { alwaysEmitImplicit: true }) as JsonObject;
    } catch (error) {
      const known = fromConnectError(error);
      // Of the connection, and not of the service.
      if (known instanceof ConnectError)
        throw new AionError("transport_failed", known.message, { cause: error });
      throw known;
    }
  }
}

function findMethod(service: DescService, name: string): DescMethodUnary | undefined {
  const found = service.method[name];
  return found?.methodKind === "unary" ? (found as DescMethodUnary) : undefined;
}
