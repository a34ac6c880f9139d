/** The service over gRPC, gRPC-Web and Connect, on the port of HTTP. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import type { IncomingHttpHeaders } from "node:http2";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { fromJson } from "@bufbuild/protobuf";
import type { JsonObject } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import type { Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { endStreamFromJson, errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import { beforeEach, describe, expect, it } from "vitest";
import { routes } from "../../src/client/routes.ts";
import { AionError, errorTable } from "../../src/core/errors.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import type { Event as RecordedEvent } from "../../src/core/event.ts";
import {
  ErrorDetailSchema,
  PackageService,
  WorkflowService,
} from "../../src/http/gen/aion/v1/workflows_pb.ts";
import { ScheduleService } from "../../src/http/gen/aion/v1/schedules_pb.ts";
import { rpcCodeOf } from "../../src/http/rpc-error.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { errorOf, events, failure, input, serve, under } from "./serve.ts";

const root = path.dirname(path.dirname(import.meta.dirname));

const transports: readonly (readonly [name: string, open: (baseUrl: string) => Transport])[] = [
  ["gRPC", (baseUrl) => createGrpcTransport({ baseUrl })],
  ["gRPC-Web", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ["Connect over HTTP/1.1", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  [
    "Connect over HTTP/2, as JSON",
    (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: false }),
  ],
];

describe.each(transports)("%s", (_name, open) => {
  let received: unknown[];

  beforeEach(() => {
    received = [];
  });

  const answering =
    <Reply>(reply: Reply) =>
    async (request: unknown): Promise<Reply> => {
      received.push(request);
      return reply;
    };

  it("carries each call there and its answer back", async () => {
    const run = {
      workflowId: "a/é",
      runId: "r1",
      workflowType: "t",
      version: "inline",
      status: "failed",
      startedAt: 1_700_000_000_000,
      historyLength: 3,
      attributes: { amount: 5, due: { at: 7 }, tags: ["a"] },
      parked: {
        count: 2,
        activities: [
          { ordinal: 0, activityType: "x", taskQueue: "q", attempt: 2, parkedAt: 5.5, message: "no" },
        ],
      },
    } as const;
    const { url } = await serve({
      start: answering({ workflowId: "a/é", runId: "r1", isNew: true }),
      signal: answering(undefined),
      query: answering(input),
      cancel: answering(undefined),
      terminate: answering(undefined),
      resumeActivity: answering({ runId: "r1", ordinals: [0, 7] }),
      reset: answering({ workflowId: "a", runId: "r2", toSeq: 4, resetFrom: "r1", isNew: true }),
      fork: answering({ workflowId: "b", runId: "r3", toSeq: 4_000_000_000, resetFrom: "r1", isNew: false }),
      result: answering({ status: "failed", runId: "r1", failure } as const),
      describe: answering({
        ...run,
        input,
        failure,
        pendingActivities: [{ ordinal: 0, activityType: "x", attempt: 1, failedCount: 0, state: "running" }],
        pendingTimers: [{ ordinal: -1, fireAt: 5.5 }],
        pendingChildren: [],
        pendingUpdates: [{ updateId: "u1", name: "move", acceptedAt: 6.5 }],
        isCancelRequested: true,
        resetOf: { workflowId: "o", runId: "r0", toSeq: 4, at: 7.5, reason: "once more", requestId: "q1" },
        resetTo: "r2",
        reopened: { count: 3, at: 8.5, requestId: "q2" },
        historySize: {
          events: 3,
          bytes: 5_000_000_000,
          eventsMax: 50_000,
          bytesMax: 6_000_000_000,
          isLong: true,
          waitingSignals: 2,
        },
        runs: [run],
      } as const),
      list: answering({ runs: [run], nextCursor: "7" }),
      count: answering(12),
      history: answering({ events, nextSeq: 8, isEnd: true }),
      feed: answering({
        events: [
          {
            cursor: "6.0",
            workflowId: "a",
            runId: "r1",
            workflowType: "t",
            event: events[1] as RecordedEvent,
          },
          {
            cursor: "6.1",
            workflowId: "b",
            runId: "r2",
            workflowType: "t",
            unreadable: { firstSeq: 2, lastSeq: 3, code: "history_corrupt", message: "damaged" },
          },
        ],
        nextCursor: "7.0",
        isAtHead: true,
      }),
      deploy: async ({ archive, isRouted }) => {
        received.push({ archive: [...archive], isRouted });
        return { version: "v", workflowTypes: ["t"], isNew: false };
      },
      listPackages: answering({
        packages: [{ version: "v", sizeBytes: 4, deployedAt: 5, workflowTypes: ["t"], routedTypes: [] }],
        routes: [{ workflowType: "t", version: "v", routedAt: 6 }],
      }),
      listWorkers: answering({
        workers: [
          {
            identity: "w1",
            state: "cut off",
            taskQueues: ["q"],
            activityTypes: ["charge"],
            capacity: 3,
            tasksInFlight: 0,
          },
        ],
        taskQueues: [{ taskQueue: "q", waitingCount: 2, waitingSince: 7, inFlightCount: 0 }],
      }),
      route: answering(undefined),
      unload: answering(undefined),
    });
    const workflows = createClient(WorkflowService, open(url));
    const packages = createClient(PackageService, open(url));
    const value = JSON.parse(input) as JsonObject;
    const jsonValue = fromJson(ValueSchema, value);
    const started = await workflows.start({
      workflowType: "t",
      input: jsonValue,
      workflowId: "a/é",
      requestId: "q",
      startDelayMs: 5,
      signal: { name: "s" },
      attributes: { amount: 5, due: { at: 7 }, tags: ["a"] },
    });
    expect(started).toMatchObject({ workflowId: "a/é", runId: "r1", isNew: true });
    await workflows.signal({ workflowId: "a", name: "s", payload: jsonValue });
    const answer = await workflows.query({ workflowId: "a", name: "q" });
    expect(answer.result).toEqual(jsonValue);
    await workflows.cancel({ workflowId: "a", reason: "no need" });
    await workflows.terminate({ workflowId: "a", runId: "r1" });
    expect(await workflows.resumeActivity({ workflowId: "a" })).toMatchObject({
      runId: "r1",
      ordinals: [0, 7],
    });
    await workflows.resumeActivity({ workflowId: "a", ordinal: 0, outcome: "complete", result: jsonValue });
    await workflows.resumeActivity({
      workflowId: "a",
      ordinal: 1,
      outcome: "fail",
      failure: { message: "no", type: "Gone", details: jsonValue },
      requestId: "q",
    });
    expect(await workflows.reset({ workflowId: "a", toSeq: 4, signals: "drop" })).toMatchObject({
      runId: "r2",
      toSeq: 4,
      resetFrom: "r1",
      isNew: true,
    });
    expect(
      await workflows.fork({ workflowId: "a", runId: "r1", toSeq: 4_000_000_000, newWorkflowId: "b" }),
    ).toMatchObject({ workflowId: "b", toSeq: 4_000_000_000, isNew: false });
    const result = await workflows.result({ workflowId: "a", waitMs: 5 });
    expect(result).toMatchObject({
      status: "failed",
      failure: { kind: "activity", cause: { type: "Declined" } },
    });
    expect(result.failure?.cause?.details).toEqual(jsonValue);
    expect(await workflows.describe({ workflowId: "a" })).toMatchObject({
      startedAt: 1_700_000_000_000,
      isCancelRequested: true,
      pendingTimers: [{ ordinal: -1, fireAt: 5.5 }],
      runs: [{ historyLength: 3 }],
      attributes: run.attributes,
      resetOf: { workflowId: "o", runId: "r0", toSeq: 4, at: 7.5, reason: "once more", requestId: "q1" },
      resetTo: "r2",
      reopened: { count: 3, at: 8.5, requestId: "q2" },
      parked: { count: 2, activities: [{ taskQueue: "q", parkedAt: 5.5 }] },
    });
    const where = ["amount>=5", "region in (eu, us)"];
    expect(await workflows.list({ isBlocked: false, limit: 2, where, withAttributes: true })).toMatchObject({
      runs: [{ runId: "r1", attributes: run.attributes }],
      nextCursor: "7",
    });
    expect((await workflows.count({ status: "failed", where })).count).toBe(12);
    const history = await workflows.history({ workflowId: "a", fromSeq: 2 });
    expect(history.events[1]).toMatchObject({ type: "ActivityScheduled", seq: 2, input: value });
    expect(history).toMatchObject({ nextSeq: 8, isEnd: true });
    expect(
      await workflows.feed({ after: "oldest", types: "TimerFired,TimerStarted", where, waitMs: 5 }),
    ).toMatchObject({
      events: [
        { cursor: "6.0", event: { type: "ActivityScheduled" } },
        { cursor: "6.1", workflowId: "b", unreadable: { firstSeq: 2, code: "history_corrupt" } },
      ],
      nextCursor: "7.0",
      isAtHead: true,
    });
    await packages.deploy({ archive: Uint8Array.from([0, 255, 80]), isRouted: false });
    expect(await workflows.listWorkers({ taskQueue: "q" })).toMatchObject({
      workers: [{ identity: "w1", state: "cut off", activityTypes: ["charge"], capacity: 3 }],
      taskQueues: [{ taskQueue: "q", waitingCount: 2, waitingSince: 7, inFlightCount: 0 }],
    });
    expect((await packages.listPackages({})).routes[0]).toMatchObject({ routedAt: 6 });
    await packages.route({ workflowTypes: ["t"], version: "ab".repeat(32), requestId: "r" });
    await packages.unload({ version: "ab".repeat(32), requestId: "u" });
    expect(received).toEqual([
      {
        workflowType: "t",
        input,
        workflowId: "a/é",
        requestId: "q",
        startDelayMs: 5,
        signal: { name: "s", payload: "null" },
        attributes: { amount: 5, due: { at: 7 }, tags: ["a"] },
      },
      { workflowId: "a", name: "s", payload: input },
      { workflowId: "a", name: "q", input: "null" },
      { workflowId: "a", reason: "no need" },
      { workflowId: "a", runId: "r1" },
      { workflowId: "a" },
      { workflowId: "a", ordinal: 0, outcome: "complete", result: input },
      {
        workflowId: "a",
        ordinal: 1,
        outcome: "fail",
        failure: { message: "no", type: "Gone", details: input },
        requestId: "q",
      },
      { workflowId: "a", toSeq: 4, signals: "drop" },
      { workflowId: "a", runId: "r1", toSeq: 4_000_000_000, newWorkflowId: "b" },
      { workflowId: "a", waitMs: 5 },
      { workflowId: "a" },
      { filter: { isBlocked: false, where }, limit: 2, withAttributes: true },
      { status: "failed", where },
      { workflowId: "a", fromSeq: 2, limit: 500 },
      { after: "oldest", limit: 500, waitMs: 5, filter: { types: ["TimerFired", "TimerStarted"], where } },
      { archive: [0, 255, 80], isRouted: false },
      { taskQueue: "q" },
      {},
      { workflowTypes: ["t"], version: "ab".repeat(32), requestId: "r" },
      { version: "ab".repeat(32), requestId: "u" },
    ]);
  });

  it("reads the feed of all runs", async () => {
    const item = { cursor: "1.2.0", workflowId: "a", runId: "r1", workflowType: "t" };
    const [event] = events;
    if (event === undefined) throw new Error("there are events");
    const asked: unknown[] = [];
    const { url } = await serve({
      feed: async (request) => {
        asked.push(request);
        return { events: [{ ...item, event }], nextCursor: "1.2.0", isAtHead: true };
      },
    });
    const workflows = createClient(WorkflowService, open(url));
    const reply = await workflows.feed({ after: "oldest", types: "TimerFired", workflowId: "a" });
    expect(asked).toEqual([
      { after: "oldest", limit: 500, filter: { workflowId: "a", types: ["TimerFired"] } },
    ]);
    expect(reply).toMatchObject({
      nextCursor: "1.2.0",
      isAtHead: true,
      events: [{ cursor: "1.2.0", runId: "r1" }],
    });
    expect(reply.events[0]?.event?.["type"]).toBe(event.type);
  });

  it("follows events, and goes on where it was", async () => {
    const { url } = await serve({
      history: async ({ fromSeq, limit }) => {
        const found = events.filter(({ seq }) => seq >= fromSeq).slice(0, Math.min(limit, 3));
        const nextSeq = (found.at(-1)?.seq ?? fromSeq - 1) + 1;
        return { events: found, nextSeq, isEnd: nextSeq > events.length };
      },
    });
    const workflows = createClient(WorkflowService, open(url));
    const follow = async (fromSeq: number): Promise<readonly number[]> => {
      const seqs: number[] = [];
      for await (const { seq, event } of workflows.follow({ workflowId: "a", fromSeq })) {
        expect(event?.["type"]).toBe(events[seq - 1]?.type);
        seqs.push(seq);
      }
      return seqs;
    };
    expect(await follow(1)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(await follow(5)).toEqual([5, 6, 7]);
  });

  it("watches the events of all runs from a cursor on", async () => {
    const asked: unknown[] = [];
    const { url } = await serve({
      feed: async ({ after, filter }) => {
        asked.push([after, filter]);
        if (asked.length > 2) throw new AionError("cursor_expired", "too late");
        const seq = asked.length;
        const event = {
          cursor: `${seq}.0`,
          workflowId: "a",
          runId: "r1",
          workflowType: "t",
          event: events[seq] as RecordedEvent,
        };
        return { events: [event], nextCursor: `${seq}.5`, isAtHead: false };
      },
    });
    const cursors: string[] = [];
    const error = await failing(
      (async () => {
        const watched = createClient(WorkflowService, open(url)).watch({ after: "0.7", workflowType: "t" });
        for await (const { cursor } of watched) cursors.push(cursor);
      })(),
    );
    expect(error.findDetails(ErrorDetailSchema)[0]?.code).toBe("cursor_expired");
    expect(cursors).toEqual(["1.0", "2.0"]);
    expect(asked).toEqual(["0.7", "1.5", "2.5"].map((after) => [after, { workflowType: "t" }]));
  });

  it("says of an answer that is nested too deeply for a message that it is so, and passes one that is not", async () => {
    const levels = (count: number): string => `${"[".repeat(count)}1${"]".repeat(count)}`;
    const answer = async (count: number): Promise<unknown> => {
      const event = { ...events[3], result: levels(count) } as RecordedEvent;
      const page = { events: [event], nextSeq: 2, isEnd: true };
      const { url } = await serve({ history: async () => page });
      const client = createClient(WorkflowService, open(url));
      const follow = async (): Promise<unknown> => {
        for await (const { event: told } of client.follow({ workflowId: "a" })) return told?.["result"];
        return undefined;
      };
      const followed = await follow().catch((error: unknown) => ConnectError.from(error).code);
      const read = await client
        .history({ workflowId: "a" })
        .then((reply) => reply.events[0]?.["result"])
        .catch((error: unknown) => {
          const detail = ConnectError.from(error).findDetails(ErrorDetailSchema)[0];
          return [ConnectError.from(error).code, detail?.code];
        });
      return [read, followed];
    };
    const shallow = JSON.parse(levels(45)) as unknown;
    expect(await answer(45)).toEqual([shallow, shallow]);
    for (const count of [97, 150])
      expect(await answer(count)).toEqual([
        [Code.ResourceExhausted, "payload_too_large"],
        Code.ResourceExhausted,
      ]);
  });

  it("brings errors with their code, hint and details", async () => {
    const { url } = await serve({
      describe: async () => {
        throw new AionError("run_closed", "it has ended", {
          hint: "do this",
          details: { seq: 5, of: ["a"] },
        });
      },
      history: async () => {
        throw new AionError("run_not_found", "there is no workflow a");
      },
    });
    const workflows = createClient(WorkflowService, open(url));
    const error = await failing(workflows.describe({ workflowId: "a" }));
    expect([error.code, error.rawMessage]).toEqual([Code.FailedPrecondition, "it has ended"]);
    expect(error.findDetails(ErrorDetailSchema)).toMatchObject([
      { code: "run_closed", hint: "do this", details: { seq: 5, of: ["a"] } },
    ]);
    const followed = await failing(all(workflows.follow({ workflowId: "a" })));
    expect([followed.code, followed.findDetails(ErrorDetailSchema)[0]?.code]).toEqual([
      Code.NotFound,
      "run_not_found",
    ]);
    const malformed = await failing(workflows.describe({}));
    expect(malformed.code).toBe(Code.InvalidArgument);
    expect(malformed.rawMessage).toContain("workflowId");
    const foreign = await failing(workflows.count({ namespace: "other" }));
    expect([foreign.code, foreign.findDetails(ErrorDetailSchema)[0]?.code]).toEqual([
      Code.NotFound,
      "namespace_not_found",
    ]);
  });

  it("answers who waits when the server closes", async () => {
    const arrived = Promise.withResolvers<void>();
    const { url, close } = await serve({
      result: () => {
        arrived.resolve();
        return new Promise(() => undefined);
      },
    });
    const waiting = failing(
      createClient(WorkflowService, open(url)).result({ workflowId: "a", waitMs: 20_000 }),
    );
    await arrived.promise;
    const closed = close();
    expect((await waiting).code).toBe(Code.Unavailable);
    await closed;
  });
});

async function failing(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ConnectError);
  return ConnectError.from(error);
}

async function all(messages: AsyncIterable<unknown>): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const message of messages) found.push(message);
  return found;
}

describe("what the protocol refuses by itself", () => {
  const framed = (bytes: Uint8Array): Uint8Array => {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(bytes.length, 1);
    return Buffer.concat([prefix, bytes]);
  };
  const text = (string: string): Uint8Array => new TextEncoder().encode(string);
  /** No message is that: a field that goes on where it ends. */
  const broken = new Uint8Array([0x0a, 0xff]);

  /** A call as bytes, and what it is told, in whatever protocol. */
  async function tell(
    url: string,
    type: string,
    name: string,
    body: Uint8Array,
    more: Readonly<Record<string, string>> = {},
  ): Promise<ConnectError> {
    const session = connectHttp2(url);
    const stream = session.request({
      ":method": "POST",
      ":path": `/aion.v1.WorkflowService/${name}`,
      "content-type": type,
      te: "trailers",
      ...more,
    });
    const trailers = new Headers();
    const keep = (headers: IncomingHttpHeaders): void => {
      for (const [key, value] of Object.entries(headers))
        if (!key.startsWith(":") && typeof value === "string") trailers.set(key, value);
    };
    stream.on("response", keep);
    stream.on("trailers", keep);
    stream.end(body);
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    session.close();
    const answer = Buffer.concat(chunks);
    const unread = new ConnectError(`there is no error in ${answer.toString()}`);
    let error: ConnectError | undefined;
    if (type.startsWith("application/grpc-web") && answer.length > 0)
      error = findTrailerError(trailerParse(answer.subarray(5)));
    else if (type.startsWith("application/grpc")) error = findTrailerError(trailers);
    else if (type.startsWith("application/connect+")) error = endStreamFromJson(answer.subarray(5)).error;
    else error = errorFromJsonBytes(answer, undefined, unread);
    if (error === undefined) throw unread;
    return error;
  }

  const cases: readonly (readonly [type: string, name: string, what: string, body: Uint8Array])[] = [
    ["application/grpc", "Describe", "bytes that are no message", framed(broken)],
    ["application/grpc+json", "Describe", "text that is no JSON", framed(text("{"))],
    ["application/grpc", "Follow", "bytes that are no message", framed(broken)],
    ["application/grpc-web", "Describe", "bytes that are no message", framed(broken)],
    ["application/grpc-web+json", "Watch", "a field that there is not", framed(text('{"no": 1}'))],
    ["application/proto", "Describe", "bytes that are no message", broken],
    ["application/json", "Describe", "text that is no JSON", text("{")],
    ["application/json", "Describe", "a field that there is not", text('{"no": 1}')],
    ["application/connect+json", "Follow", "text that is no JSON", framed(text("{"))],
    ["application/connect+proto", "Follow", "bytes that are no message", framed(broken)],
  ];
  it.each(cases)("%s, %s: %s", async (type, name, _what, body) => {
    const { url } = await serve({});
    const error = await tell(url, type, name, body);
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.findDetails(ErrorDetailSchema)).toMatchObject([
      { code: "invalid_argument", hint: expect.stringContaining("proto/aion/v1") as string },
    ]);
  });

  it.each([
    ["gzip", gzipSync(broken)],
    ["br", brotliCompressSync(broken)],
  ])("a message in %s that is cut, as a mistake of the caller", async (encoding, whole) => {
    const { url } = await serve({});
    const cut = whole.subarray(0, whole.length - 5);
    for (const type of ["application/grpc", "application/grpc-web"]) {
      const body = framed(cut);
      body[0] = 1;
      const error = await tell(url, type, "Describe", body, { "grpc-encoding": encoding });
      expect([type, error.code, error.findDetails(ErrorDetailSchema)[0]?.code]).toEqual([
        type,
        Code.InvalidArgument,
        "invalid_argument",
      ]);
    }
    const error = await tell(url, "application/proto", "Describe", cut, { "content-encoding": encoding });
    expect(error.code).toBe(Code.InvalidArgument);
  });

  it("once in what is counted, and what it lets through once, too", async () => {
    const metrics = new Metrics({ log: () => undefined });
    const { url } = await serve(
      { count: async () => 3 },
      { meter: metrics.meter(), limits: { requestBytes: 1_000, packageBytes: 1_000 } },
    );
    const large = new Uint8Array(100_000);
    for (const type of ["application/grpc", "application/grpc-web", "application/proto"]) {
      const form = (bytes: Uint8Array): Uint8Array => (type === "application/proto" ? bytes : framed(bytes));
      await tell(url, type, "Describe", form(broken));
      await tell(url, type, "Describe", form(large));
      await tell(url, type, "Nothing", form(new Uint8Array()));
    }
    await tell(url, "application/connect+proto", "Follow", framed(broken));
    await tell(url, "application/connect+proto", "Follow", framed(large));
    await fetch(`${url}/aion.v1.WorkflowService/Describe`, { method: "PUT" });
    await createClient(WorkflowService, createGrpcTransport({ baseUrl: url })).count({});
    const counted = (await metrics.text())
      .split("\n")
      .filter((line) => line.startsWith("aion_requests_total{"))
      .toSorted();
    expect(counted).toEqual([
      'aion_requests_total{transport="rpc",operation="count",code="ok"} 1',
      'aion_requests_total{transport="rpc",operation="describe",code="invalid_argument"} 4',
      'aion_requests_total{transport="rpc",operation="describe",code="payload_too_large"} 3',
      'aion_requests_total{transport="rpc",operation="events",code="invalid_argument"} 1',
      'aion_requests_total{transport="rpc",operation="events",code="payload_too_large"} 1',
      'aion_requests_total{transport="rpc",operation="unknown",code="endpoint_unknown"} 3',
    ]);
  });

  it.each(["application/grpc", "application/grpc-web", "application/proto", "application/connect+proto"])(
    "a message that is too large, in %s",
    async (type) => {
      const { url } = await serve({}, { limits: { requestBytes: 1_000, packageBytes: 1_000 } });
      const bytes = new Uint8Array(100_000);
      const isStream = type.includes("connect+");
      const body = type === "application/proto" ? bytes : framed(bytes);
      const error = await tell(url, type, isStream ? "Follow" : "Describe", body);
      expect(error.code).toBe(Code.ResourceExhausted);
      expect(error.findDetails(ErrorDetailSchema)).toMatchObject([{ code: "payload_too_large" }]);
    },
  );

  it.each([
    "application/grpc",
    "application/grpc-web+proto",
    "application/connect+json",
    "application/proto",
  ])("a method that is not there, in %s", async (type) => {
    const { url } = await serve({});
    const error = await tell(url, type, "Nothing", new Uint8Array());
    expect(error.code).toBe(Code.Unimplemented);
    expect(error.findDetails(ErrorDetailSchema)).toMatchObject([{ code: "endpoint_unknown" }]);
  });

  it("a form of messages that there is not, and a method of HTTP", async () => {
    const { url } = await serve({});
    const describeCall = `${url}/aion.v1.WorkflowService/Describe`;
    for (const request of [
      { method: "PUT" },
      { method: "POST", headers: { "content-type": "text/plain" } },
    ]) {
      const response = await fetch(describeCall, request);
      expect([405, 415]).toContain(response.status);
      const { code, details } = (await response.json()) as { code: string; details: unknown[] };
      expect([code, details.length]).toEqual(["invalid_argument", 1]);
    }
  });
});

describe("the port", () => {
  it("answers whoever has nothing but HTTP and JSON", async () => {
    const { url } = await serve({ count: async () => 0 });
    const response = await fetch(`${url}/aion.v1.WorkflowService/Count`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"status":"running"}',
    });
    expect([response.status, await response.json()]).toEqual([200, { count: 0 }]);
    // Beside it, the other form of the same.
    expect(await (await fetch(under(url, "/workflow-count"))).json()).toEqual({ count: 0 });
  });

  it("tells that nothing is there of what it does not know", async () => {
    const { url } = await serve({});
    const response = await fetch(`${url}/aion.v1.WorkflowService/Nothing`, { method: "POST", body: "{}" });
    expect(await errorOf(response)).toMatchObject({ status: 404, code: "endpoint_unknown" });
  });

  it("lets nobody pass who may not, whatever he speaks", async () => {
    const asked: { readonly operation: string; readonly namespace: string | undefined }[] = [];
    const { url } = await serve(
      {},
      {
        admit: async ({ operation, namespace, isUnread }) => {
          // Before the message has come it is not known whose business it is; that is asked again then.
          if (isUnread === true) return {};
          asked.push({ operation, namespace });
          throw new AionError("permission_denied", "no");
        },
      },
    );
    const workflows = createClient(WorkflowService, createGrpcTransport({ baseUrl: url }));
    const packages = createClient(PackageService, createGrpcTransport({ baseUrl: url }));
    const schedules = createClient(ScheduleService, createGrpcTransport({ baseUrl: url }));
    const calls: (() => Promise<unknown>)[] = [
      () => all(workflows.follow({ namespace: "n", workflowId: "a" })),
      () => all(workflows.watch({ namespace: "n" })),
      ...Object.values(WorkflowService.method)
        .filter(({ methodKind }) => methodKind === "unary")
        .map(
          ({ localName }) =>
            () =>
              workflows[localName as "count"]({ namespace: "n" }),
        ),
      ...Object.values(PackageService.method).map(
        ({ localName }) =>
          () =>
            (packages[localName as keyof typeof packages] as (request: object) => Promise<unknown>)({
              namespace: "n",
            }),
      ),
      ...Object.values(ScheduleService.method).map(
        ({ localName }) =>
          () =>
            (schedules[localName as keyof typeof schedules] as (request: object) => Promise<unknown>)({
              namespace: "n",
            }),
      ),
    ];
    for (const call of calls) expect((await failing(call())).code).toBe(Code.PermissionDenied);
    expect(asked.map(({ namespace }) => namespace)).toEqual(calls.map(() => "n"));
    expect(new Set(asked.map(({ operation }) => operation))).toEqual(
      new Set([...Object.keys(routes), "events"]),
    );
  });

  it("waits for who begins slowly, and not for ever with one who says nothing", async () => {
    const { url, service } = await serve({ count: async () => 3 });
    const { hostname, port } = new URL(url);
    const socket = connectSocket(Number(port), hostname);
    const text = new Promise<string>((resolve) => socket.once("data", (data) => resolve(String(data))));
    // The first letter might still be that of HTTP/2.
    for (const part of [
      "P",
      "OST /v1/namespaces/default/workflows/a/signal HTTP/1.1\r\n",
      "host: a\r\ncontent-length: 0\r\n\r\n",
    ]) {
      socket.write(part);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(await text).toContain("400 Bad Request");
    socket.destroy();
    expect(await service.count({})).toBe(3);
  });

  it("refuses values that JSON does not have, as a mistake of the caller", async () => {
    const { url } = await serve({});
    const client = createClient(WorkflowService, createGrpcTransport({ baseUrl: url }));
    for (const kind of [{ case: undefined }, { case: "numberValue", value: Number.NaN }] as const) {
      const refusal: unknown = await client
        .start({ workflowType: "t", input: { kind } })
        .catch((error: unknown) => error);
      expect(ConnectError.from(refusal)).toMatchObject({ code: Code.InvalidArgument });
    }
  });

  it("has a code of the protocol for every error", () => {
    for (const code of Object.keys(errorTable) as ErrorCode[]) {
      expect([code, Code[rpcCodeOf(code)]]).toEqual([code, expect.any(String)]);
    }
  });
});

describe("the protocol's files", () => {
  const proto = path.join(root, "proto");

  function run(...args: readonly string[]): string {
    const { stdout, stderr } = spawnSync(path.join(root, "node_modules", ".bin", "buf"), args, {
      cwd: proto,
      encoding: "utf8",
      env: {
        ...process.env,
        PATH: `${path.join(root, "node_modules", ".bin")}:${process.env["PATH"] ?? ""}`,
      },
    });
    return `${stdout}${stderr}`;
  }

  it("are as they should be written", () => {
    expect(run("lint")).toBe("");
  });

  it("are what the code was made of: cd proto && npx buf generate", () => {
    const copy = mkdtempSync(path.join(tmpdir(), "aion-proto-"));
    try {
      cpSync(proto, path.join(copy, "proto"), { recursive: true });
      symlinkSync(path.join(root, "node_modules"), path.join(copy, "node_modules"));
      expect(
        run(
          "generate",
          path.join(copy, "proto"),
          "--template",
          path.join(copy, "proto", "buf.gen.yaml"),
          "--output",
          path.join(copy, "proto"),
        ),
      ).toBe("");
      const made = path.join(copy, "src", "http", "gen", "aion", "v1");
      const here = path.join(root, "src", "http", "gen", "aion", "v1");
      expect(readdirSync(made)).toEqual(readdirSync(here));
      for (const file of readdirSync(made)) {
        expect(
          readFileSync(path.join(here, file), "utf8") === readFileSync(path.join(made, file), "utf8"),
        ).toBe(true);
      }
    } finally {
      rmSync(copy, { recursive: true });
    }
  });
});
