/** Calls that are made again: which, when, and for how long. */
import { describe, expect, it } from "vitest";
import { AionError } from "../core/errors.ts";
import { nullPayload } from "../core/payload.ts";
import type { HttpAnswer, HttpCall } from "./http-answer.ts";
import { HttpService } from "./http-service.ts";

type Outcome = HttpAnswer | Error;

const ok = (body: object): HttpAnswer => ({ status: 200, text: JSON.stringify(body) });
const failed = (code: string, status: number): HttpAnswer => ({
  status,
  text: JSON.stringify({ error: { code, message: code, hint: "", details: {} } }),
});
const unreachable = (): Error => new AionError("transport_failed", "no answer");

interface Tried {
  readonly service: HttpService;
  readonly calls: HttpCall[];
  readonly waits: number[];
}

/**
 * A server that answers so, the last answer again and again; time passes while somebody waits to ask again, and `answerMs` before an
 * answer to who waits for it, and before the first.
 */
function serviceOf(outcomes: readonly Outcome[], patienceMs = 10_000, answerMs = 0): Tried {
  const calls: HttpCall[] = [];
  const waits: number[] = [];
  let nowMs = 0;
  const service = new HttpService({
    send: async (call) => {
      calls.push(call);
      if (calls.length === 1 || /waitMs=[1-9]/.test(call.path)) nowMs += answerMs;
      const outcome = outcomes[Math.min(calls.length, outcomes.length) - 1];
      if (outcome instanceof Error || outcome === undefined) throw outcome ?? new Error("no outcome");
      return outcome;
    },
    patience: {
      patienceMs,
      wait: async (delayMs) => {
        waits.push(delayMs);
        nowMs += delayMs;
      },
      random: () => 1,
      uuid: () => "made-up",
      now: () => nowMs,
    },
  });
  return { service, calls, waits };
}

const bodyOf = (call: HttpCall | undefined): unknown => JSON.parse(String(call?.body));

describe("a call that may be repeated", () => {
  it.each([
    ["nobody answers", unreachable()],
    ["the engine is closing", failed("engine_closed", 503)],
    ["another engine took over", failed("not_owner", 503)],
  ])("is made again while %s, at growing distances", async (_what, outcome) => {
    const { service, calls, waits } = serviceOf([outcome, outcome, outcome, ok({ count: 4 })]);
    expect(await service.count({})).toBe(4);
    expect(calls).toHaveLength(4);
    expect(waits).toEqual([100, 200, 400]);
  });

  it("is also one that asks a run", async () => {
    const { service, calls } = serviceOf([unreachable(), ok({ result: 5 })]);
    expect(await service.query({ workflowId: "a", name: "n", input: nullPayload })).toBe("5");
    expect(calls).toHaveLength(2);
  });

  it("is given up when the patience is over, with the last error", async () => {
    const { service, waits } = serviceOf([unreachable()], 1_000);
    await expect(service.count({})).rejects.toMatchObject({ code: "transport_failed" });
    expect(waits).toEqual([100, 200, 400]);
  });

  it("that waits is broken off as often as it likes, however long it had waited, if it is answered in between", async () => {
    const running = ok({ runId: "r", status: "running" });
    const ended = ok({ runId: "r", status: "completed", result: 7 });
    const cut = [failed("engine_closed", 503), unreachable(), running];
    const { service, calls, waits } = serviceOf([...cut, ...cut, ...cut, ended], 1_000, 20_000);
    expect(await service.result({ workflowId: "a", waitMs: 25_000 })).toMatchObject({ result: "7" });
    const once = [100, 200];
    expect(waits).toEqual([...once, ...once, ...once]);
    // Whether the other side is there again is asked at once; then the rest is waited for.
    const asked = calls.map(({ path }) => Number(/waitMs=(\d+)/.exec(path)?.[1]));
    expect(asked.map((ms) => ms > 0)).toEqual([
      true,
      false,
      false,
      true,
      false,
      false,
      true,
      false,
      false,
      true,
    ]);
  });

  it("that waits is given up when the patience is over since it was broken off", async () => {
    const { service, waits } = serviceOf([unreachable()], 1_000, 20_000);
    const call = service.result({ workflowId: "a", waitMs: 25_000 });
    await expect(call).rejects.toMatchObject({ code: "transport_failed" });
    expect(waits).toEqual([100, 200, 400]);
  });

  it("that was to be answered at once, and was not, has used up its time", async () => {
    const { service, calls } = serviceOf([unreachable()], 1_000, 20_000);
    await expect(service.count({})).rejects.toMatchObject({ code: "transport_failed" });
    expect(calls).toHaveLength(1);
  });

  it.each(["run_not_found", "invalid_argument", "internal", "run_closed"])(
    "is not made again after %s",
    async (code) => {
      const { service, calls } = serviceOf([failed(code, 400), ok({ count: 4 })]);
      await expect(service.count({})).rejects.toMatchObject({ code });
      expect(calls).toHaveLength(1);
    },
  );

  it("is not made again when its caller does not want it any more", async () => {
    const abort = new AbortController();
    const { service, calls } = serviceOf([unreachable()]);
    abort.abort(new Error("enough"));
    const call = service.result({ workflowId: "a", waitMs: 0 }, { abortSignal: abort.signal });
    await expect(call).rejects.toThrow("enough");
    expect(calls).toHaveLength(1);
  });
});

describe("a call that changes something", () => {
  it("names itself, with the same name each time", async () => {
    const started = { workflowId: "made-up", runId: "r1", isNew: true };
    const { service, calls } = serviceOf([unreachable(), ok(started)]);
    expect(await service.start({ workflowType: "t", input: nullPayload })).toEqual(started);
    expect(calls.map(bodyOf)).toEqual([
      { workflowType: "t", input: null, requestId: "made-up" },
      { workflowType: "t", input: null, requestId: "made-up" },
    ]);
    const signal = serviceOf([unreachable(), { status: 204, text: "" }]);
    await signal.service.signal({ workflowId: "a", name: "n", payload: nullPayload });
    expect(signal.calls.map(bodyOf)).toEqual([
      { name: "n", payload: null, signalId: "made-up" },
      { name: "n", payload: null, signalId: "made-up" },
    ]);
  });

  it("keeps the name that it was given", async () => {
    const { service, calls } = serviceOf([{ status: 204, text: "" }]);
    await service.signal({ workflowId: "a", name: "n", payload: nullPayload, signalId: "mine" });
    expect(bodyOf(calls[0])).toMatchObject({ signalId: "mine" });
  });

  it.each([
    ["cancel", { workflowId: "a" }],
    ["terminate", { workflowId: "a" }],
    ["route", { workflowTypes: ["t"], version: "v" }],
    ["unload", { version: "v" }],
    ["deploy", { archive: Uint8Array.of(1) }],
  ] as const)("is made again, whatever it is: %s", async (method, request) => {
    const { service, calls } = serviceOf([unreachable(), ok({})]);
    await (service[method] as (asked: unknown) => Promise<unknown>).call(service, request);
    expect(calls).toHaveLength(2);
    for (const { path, body } of calls) expect(`${path} ${String(body)}`).toMatch(/requestId.{1,3}made-up/);
  });

  it("is made once, and as it is, by a service without patience", async () => {
    const calls: HttpCall[] = [];
    const service = new HttpService({
      send: async (call) => {
        calls.push(call);
        throw unreachable();
      },
    });
    await expect(service.start({ workflowType: "t", input: nullPayload })).rejects.toMatchObject({
      code: "transport_failed",
    });
    expect(calls.map(bodyOf)).toEqual([{ workflowType: "t", input: null }]);
  });
});

describe("an address", () => {
  it("is of the namespace, and written so that it cannot be taken for another", async () => {
    const calls: HttpCall[] = [];
    const service = new HttpService({
      namespace: "a/b",
      send: async (call) => {
        calls.push(call);
        return ok({ events: [], nextSeq: 1, isEnd: true });
      },
    });
    await service.history({ workflowId: "x/../y?z", fromSeq: 1, limit: 2 });
    expect(calls[0]).toMatchObject({
      verb: "GET",
      path: "/v1/namespaces/a%2Fb/workflows/x%2F..%2Fy%3Fz/history?fromSeq=1&limit=2",
    });
    expect(() => new HttpService({ namespace: "..", send: () => Promise.reject(new Error("no")) })).toThrow(
      /cannot be part of a URL/,
    );
  });
});
