import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { AionError, isAionError } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import { ApplicationFailure, CancelledFailure, TimeoutFailure } from "../core/failure.ts";
import type { WorkflowId } from "../core/ids.ts";
import { toPayload } from "../core/payload.ts";
import { query, signal, workflow } from "../workflow/definition.ts";
import { Client } from "./client.ts";
import type { RunHandle, RunHandleOf } from "./run-handle.ts";
import type { ListReply, ResultReply, RunSummary, Service } from "./service.ts";

const Order = z.object({ id: z.string(), amount: z.number() });
const fulfil = workflow("fulfil", { input: Order, output: z.object({ paid: z.boolean() }) }, () => ({
  paid: true,
}));
const nightly = workflow("nightly", () => 7);
const approval = signal("approval", z.object({ by: z.string() }));
const wakeUp = signal("wake-up");
const stage = query("stage", z.string());
const lines = query("lines", { input: z.object({ from: z.number() }), output: z.array(z.string()) });

const order = { id: "o1", amount: 5 };

interface Call {
  readonly method: string;
  readonly request: unknown;
}

/** Answers each method from the answers it was given, in order, and notes what it was asked. */
function fakeService(answers: { readonly [Method in keyof Service]?: readonly unknown[] } = {}): {
  readonly client: Client;
  readonly calls: Call[];
} {
  const calls: Call[] = [];
  const left = new Map(Object.entries(answers).map(([method, of]) => [method, [...of]]));
  const answer =
    (method: keyof Service) =>
    async (request: unknown): Promise<never> => {
      calls.push({ method, request });
      const answered = left.get(method)?.shift();
      if (answered instanceof Error) throw answered;
      return answered as never;
    };
  const service: Service = {
    start: answer("start"),
    signal: answer("signal"),
    query: answer("query"),
    update: answer("update"),
    updateResult: answer("updateResult"),
    cancel: answer("cancel"),
    terminate: answer("terminate"),
    pause: answer("pause"),
    resume: answer("resume"),
    resumeActivity: answer("resumeActivity"),
    reopen: answer("reopen"),
    reset: answer("reset"),
    fork: answer("fork"),
    result: answer("result"),
    describe: answer("describe"),
    list: answer("list"),
    count: answer("count"),
    history: answer("history"),
    logs: answer("logs"),
    feed: answer("feed"),
    deploy: answer("deploy"),
    listPackages: answer("listPackages"),
    listWorkers: answer("listWorkers"),
    route: answer("route"),
    unload: answer("unload"),
    createSchedule: answer("createSchedule"),
    updateSchedule: answer("updateSchedule"),
    describeSchedule: answer("describeSchedule"),
    listSchedules: answer("listSchedules"),
    pauseSchedule: answer("pauseSchedule"),
    resumeSchedule: answer("resumeSchedule"),
    triggerSchedule: answer("triggerSchedule"),
    backfillSchedule: answer("backfillSchedule"),
    deleteSchedule: answer("deleteSchedule"),
  };
  return { client: new Client(service), calls };
}

const started = { workflowId: "order-1", runId: "r1", isNew: true };

describe("Client.start", () => {
  it("sends type, input and options as plain data, durations in milliseconds", async () => {
    const { client, calls } = fakeService({ start: [started] });
    const run = await client.start(fulfil, order, {
      id: "order-1",
      requestId: "q1",
      reuse: "after-close",
      startDelay: "2s",
      runTimeout: "1 day",
      executionTimeout: 5,
      signal: [approval, { by: "ann" }, { signalId: "s1" }],
    });
    expect(calls).toEqual([
      {
        method: "start",
        request: {
          workflowType: "fulfil",
          input: '{"id":"o1","amount":5}',
          workflowId: "order-1",
          requestId: "q1",
          reuse: "after-close",
          startDelayMs: 2_000,
          runTimeoutMs: 86_400_000,
          executionTimeoutMs: 5,
          signal: { name: "approval", payload: '{"by":"ann"}', signalId: "s1" },
        },
      },
    ]);
    expect(run).toMatchObject({ workflowId: "order-1", runId: "r1", isNew: true });
  });

  it("needs no input where the workflow takes none", async () => {
    const { client, calls } = fakeService({ start: [started] });
    await client.start(nightly);
    expect(calls[0]?.request).toEqual({ workflowType: "nightly", input: "null" });
  });

  it("starts by the name of a type whose definition is elsewhere", async () => {
    const { client, calls } = fakeService({ start: [started] });
    await client.start("fulfil", order, { signal: ["approval", { by: "ann" }] });
    expect(calls[0]?.request).toEqual({
      workflowType: "fulfil",
      input: '{"id":"o1","amount":5}',
      signal: { name: "approval", payload: '{"by":"ann"}' },
    });
  });

  it("refuses an input that does not fit, and sends nothing", async () => {
    const { client, calls } = fakeService();
    const bad = { id: "o1", amount: "five" } as unknown as typeof order;
    await expect(client.start(fulfil, bad)).rejects.toMatchObject({ code: "payload_invalid" });
    await expect(
      client.start(fulfil, order, { signal: [approval, {} as { by: string }] }),
    ).rejects.toMatchObject({ code: "payload_invalid" });
    expect(calls).toEqual([]);
  });

  it("leaves what a schema makes of the input to the engine", async () => {
    const trimmed = workflow(
      "trim",
      { input: z.string().transform((text) => text.length) },
      (length) => length,
    );
    const { client, calls } = fakeService({ start: [started] });
    await client.start(trimmed, "abc");
    expect(calls[0]?.request).toMatchObject({ input: '"abc"' });
  });

  it.each([
    ["an id with a control character", () => ({ id: "a\nb" })],
    ["an empty request id", () => ({ requestId: "" })],
    ["a duration that is none", () => ({ runTimeout: "soon" })],
  ])("refuses %s", async (_what, options) => {
    const { client, calls } = fakeService();
    await expect(client.start(nightly, undefined, options())).rejects.toMatchObject({
      code: "invalid_argument",
    });
    expect(calls).toEqual([]);
  });

  it("refuses an input that is no JSON", async () => {
    const { client } = fakeService();
    await expect(client.start("any", { n: 1n })).rejects.toMatchObject({ code: "payload_not_serializable" });
  });

  it("types input, signal and result from the definitions", () => {
    const { client } = fakeService();
    expectTypeOf<RunHandleOf<typeof fulfil>>().toEqualTypeOf<RunHandle<{ paid: boolean }>>();
    const typed = (): readonly unknown[] => [
      client.start(fulfil, order, { signal: [approval, { by: "ann" }] }) satisfies Promise<
        RunHandle<{ paid: boolean }>
      >,
      client.get("a", { workflow: fulfil }).result() satisfies Promise<{ paid: boolean }>,
      client.get("a").query(lines, { from: 1 }) satisfies Promise<string[]>,
      // @ts-expect-error -- no input
      client.start(fulfil),
      // @ts-expect-error -- another input
      client.start(fulfil, { id: 1 }),
      // @ts-expect-error -- another payload
      client.start(fulfil, order, { signal: [approval, { by: 1 }] }),
      // @ts-expect-error -- another payload
      client.get("a").signal(approval, { by: 1 }),
      // @ts-expect-error -- no payload
      client.get("a").signal(approval),
      // @ts-expect-error -- no input
      client.get("a").query(lines),
    ];
    expect(typed).toBeTypeOf("function");
  });
});

describe("a run handle", () => {
  it("from a start reaches the latest run, and waits for the chain from its own", async () => {
    const { client, calls } = fakeService({
      start: [started],
      query: ["2"],
      result: [{ status: "completed", runId: "r2", result: "7" }],
    });
    const run = await client.start(nightly);
    await run.signal(wakeUp);
    await run.query(stage);
    await run.cancel("no need");
    await run.terminate();
    await run.cancel(undefined, { requestId: "q2" });
    await run.terminate("enough", { requestId: "q3" });
    await expect(run.cancel("no need", { requestId: "" })).rejects.toMatchObject({
      code: "invalid_argument",
    });
    await run.describe();
    expect(await run.result()).toBe(7);
    expect(calls.slice(1)).toEqual([
      { method: "signal", request: { workflowId: "order-1", name: "wake-up", payload: "null" } },
      { method: "query", request: { workflowId: "order-1", name: "stage", input: "null" } },
      { method: "cancel", request: { workflowId: "order-1", reason: "no need" } },
      { method: "terminate", request: { workflowId: "order-1" } },
      { method: "cancel", request: { workflowId: "order-1", requestId: "q2" } },
      { method: "terminate", request: { workflowId: "order-1", reason: "enough", requestId: "q3" } },
      { method: "describe", request: { workflowId: "order-1" } },
      { method: "result", request: { workflowId: "order-1", runId: "r1", waitMs: 60_000 } },
    ]);
  });

  it("is given up when its signal fires, though nobody answers", async () => {
    const reason = new Error("enough");
    const { promise: never } = Promise.withResolvers<never>();
    const { client } = fakeService({ query: [never] });
    const waiting = new AbortController();
    const asked = client.get("a").query(stage, undefined, { abortSignal: waiting.signal });
    waiting.abort(reason);
    await expect(asked).rejects.toBe(reason);
  });

  it("with a run id is about that run in everything", async () => {
    const { client, calls } = fakeService({ query: ['["a"]'] });
    const run = client.get("order-1", { runId: "r1", workflow: fulfil });
    await run.signal(approval, { by: "ann" }, { signalId: "s1" });
    expect(await run.query(lines, { from: 2 })).toEqual(["a"]);
    expect(calls).toEqual([
      {
        method: "signal",
        request: {
          workflowId: "order-1",
          runId: "r1",
          name: "approval",
          payload: '{"by":"ann"}',
          signalId: "s1",
        },
      },
      {
        method: "query",
        request: { workflowId: "order-1", runId: "r1", name: "lines", input: '{"from":2}' },
      },
    ]);
  });

  it("checks payloads before it sends them", async () => {
    const { client, calls } = fakeService();
    const run = client.get("order-1");
    await expect(run.signal(approval, {} as { by: string })).rejects.toMatchObject({
      code: "payload_invalid",
    });
    await expect(run.query(lines, {} as { from: number })).rejects.toMatchObject({ code: "payload_invalid" });
    await expect(run.signal("", 1)).rejects.toMatchObject({ code: "invalid_argument" });
    expect(() => client.get("")).toThrow(/workflow id/);
    expect(calls).toEqual([]);
  });

  it("passes on what the engine says", async () => {
    const closed = new AionError("run_closed", "run r1 has ended");
    const { client } = fakeService({ signal: [closed] });
    await expect(client.get("order-1").signal(wakeUp)).rejects.toBe(closed);
  });
});

describe("RunHandle.result", () => {
  const running: ResultReply = { status: "running", runId: "r1" };

  it("asks again for as long as the run takes", async () => {
    const { client, calls } = fakeService({
      result: [
        running,
        running,
        { status: "completed", runId: "r1", result: toPayload({ paid: true }, "result") },
      ],
    });
    expect(await client.get("order-1").result()).toEqual({ paid: true });
    expect(calls).toHaveLength(3);
  });

  it("gives up after its time-out, which several waits make up", async () => {
    const { client, calls } = fakeService({ result: [running, running] });
    await expect(client.get("order-1").result({ timeout: "90s" })).rejects.toMatchObject({
      code: "result_timeout",
      message: "workflow order-1 did not end within 90000 ms",
    });
    expect(calls.map(({ request }) => (request as { waitMs: number }).waitMs)).toEqual([60_000, 30_000]);
  });

  it("looks once when the time-out is zero", async () => {
    const { client, calls } = fakeService({ result: [running] });
    await expect(client.get("order-1").result({ timeout: 0 })).rejects.toMatchObject({
      code: "result_timeout",
    });
    expect(calls).toEqual([{ method: "result", request: { workflowId: "order-1", waitMs: 0 } }]);
  });

  it("does not wait for a run that cannot go on", async () => {
    const { client } = fakeService({ result: [{ ...running, blocked: "its type is not registered" }] });
    await expect(client.get("order-1").result()).rejects.toMatchObject({
      code: "run_blocked",
      message: "run r1 of workflow order-1 is blocked: its type is not registered",
    });
  });

  it("throws what the workflow failed with, causes and all", async () => {
    const failure = {
      kind: "application",
      message: "declined",
      type: "Declined",
      details: toPayload({ card: 1 }, "details"),
      cause: { kind: "timeout", message: "slow", timeout: "run" },
    } as const;
    const { client } = fakeService({ result: [{ status: "failed", runId: "r1", failure }] });
    const error: unknown = await client
      .get("order-1")
      .result()
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ApplicationFailure);
    expect(error).toMatchObject({ message: "declined", type: "Declined", details: { card: 1 } });
    expect((error as Error).cause).toBeInstanceOf(TimeoutFailure);
    expect(isAionError(error)).toBe(false);
  });

  it("tells a cancelled run from a failed one", async () => {
    const failure = { kind: "cancelled", message: "cancelled: no need" } as const;
    const { client } = fakeService({ result: [{ status: "cancelled", runId: "r1", failure }] });
    await expect(client.get("order-1").result()).rejects.toBeInstanceOf(CancelledFailure);
  });
});

describe("history", () => {
  const event = (seq: number): Event => ({
    type: "TimerFired",
    ordinal: seq,
    seq,
    recordedAt: 0,
    workflowId: "order-1" as WorkflowId,
  });

  it("reads page after page, until there is no more", async () => {
    const { client, calls } = fakeService({
      history: [
        { events: [event(3), event(4)], nextSeq: 5, isEnd: false },
        { events: [event(5)], nextSeq: 6, isEnd: false },
        { events: [], nextSeq: 6, isEnd: false },
      ],
    });
    const seqs: number[] = [];
    for await (const { seq } of client.get("order-1").history({ fromSeq: 3 })) seqs.push(seq);
    expect(seqs).toEqual([3, 4, 5]);
    expect(calls.map(({ request }) => request)).toEqual(
      [3, 5, 6].map((fromSeq) => ({ workflowId: "order-1", fromSeq, limit: 500 })),
    );
  });

  it("when followed waits for events, and ends with the run", async () => {
    const { client, calls } = fakeService({
      history: [
        { events: [event(1)], nextSeq: 2, isEnd: false },
        { events: [], nextSeq: 2, isEnd: false },
        { events: [event(2)], nextSeq: 3, isEnd: true },
      ],
    });
    const seqs: number[] = [];
    for await (const { seq } of client.get("order-1").follow()) seqs.push(seq);
    expect(seqs).toEqual([1, 2]);
    expect(calls[1]?.request).toEqual({ workflowId: "order-1", fromSeq: 2, limit: 500, waitMs: 60_000 });
  });
});

describe("list", () => {
  const run = (workflowId: string): RunSummary => ({
    workflowId,
    runId: "r1",
    workflowType: "fulfil",
    version: "inline",
    status: "running",
    startedAt: 0,
    historyLength: 1,
  });
  const pages: readonly ListReply[] = [{ runs: [run("b")], nextCursor: "7" }, { runs: [run("a")] }];

  it("goes on from the cursor of each page", async () => {
    const { client, calls } = fakeService({ list: pages });
    const ids: string[] = [];
    for await (const { workflowId } of client.list({ status: "running" }, { pageSize: 1 }))
      ids.push(workflowId);
    expect(ids).toEqual(["b", "a"]);
    expect(calls.map(({ request }) => request)).toEqual([
      { filter: { status: "running" }, limit: 1 },
      { filter: { status: "running" }, limit: 1, cursor: "7" },
    ]);
  });

  it("fetches no further page than is looked at", async () => {
    const { client, calls } = fakeService({ list: pages });
    for await (const { workflowId } of client.list()) {
      expect(workflowId).toBe("b");
      break;
    }
    expect(calls).toHaveLength(1);
  });

  it("counts with the same filter", async () => {
    const { client, calls } = fakeService({ count: [3] });
    expect(await client.count({ workflowType: "fulfil" })).toBe(3);
    expect(calls).toEqual([{ method: "count", request: { workflowType: "fulfil" } }]);
  });
});

describe("Client.feed", () => {
  const eventOf = (seq: number) => ({
    cursor: `1.${seq}.0`,
    workflowId: "a",
    runId: "r",
    workflowType: "order",
    event: { type: "TimerFired", ordinal: 0, seq, recordedAt: 0, workflowId: "a" },
  });

  it("goes on from page to page, behind what was passed over, until it is left", async () => {
    const { client, calls } = fakeService({
      feed: [
        { events: [eventOf(1), eventOf(2)], nextCursor: "1.3.0", isAtHead: true },
        { events: [], nextCursor: "1.9.0", isAtHead: true },
        { events: [eventOf(10)], nextCursor: "1.11.0", isAtHead: true },
      ],
    });
    const filter = { workflowType: "order" };
    const seen: string[] = [];
    for await (const { cursor } of client.feed({ after: "oldest", filter })) {
      seen.push(cursor);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual(["1.1.0", "1.2.0", "1.10.0"]);
    expect(calls.map(({ request }) => request)).toEqual(
      ["oldest", "1.3.0", "1.9.0"].map((after) => ({ after, limit: 200, waitMs: 60_000, filter })),
    );
  });

  it("ends with the reason of its signal: while it waits, amid a page, and before it began", async () => {
    const reason = new Error("enough");
    const waiting = new AbortController();
    const { promise: never } = Promise.withResolvers<never>();
    const { client } = fakeService({
      feed: [never, { events: [eventOf(1), eventOf(2)], nextCursor: "1.3.0" }],
    });
    const next = client.feed({ abortSignal: waiting.signal }).next();
    waiting.abort(reason);
    await expect(next).rejects.toBe(reason);
    const amid = new AbortController();
    const feed = client.feed({ abortSignal: amid.signal });
    expect((await feed.next()).value).toMatchObject({ cursor: "1.1.0" });
    amid.abort(reason);
    await expect(feed.next()).rejects.toBe(reason);
    await expect(client.feed({ abortSignal: AbortSignal.abort(reason) }).next()).rejects.toBe(reason);
  });

  it("passes on what the service refuses", async () => {
    const { client } = fakeService({ feed: [new AionError("cursor_expired", "old")] });
    await expect(client.feed({ after: "1.1.0" }).next()).rejects.toMatchObject({ code: "cursor_expired" });
  });
});
