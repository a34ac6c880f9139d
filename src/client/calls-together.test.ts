import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { AionError } from "../core/errors.ts";
import { CallsTogether } from "./calls-together.ts";
import type { HttpAnswer, HttpCall } from "./http-answer.ts";

interface Sent {
  readonly call: HttpCall;
  readonly operations: readonly string[];
  readonly answer: (answer: HttpAnswer) => void;
  readonly fail: (error: AionError) => void;
}

/** A server by hand: what was sent to it, and what it is told to say. */
function byHand() {
  const sent: Sent[] = [];
  const alone: string[] = [];
  const together = new CallsTogether((call) => {
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    const { calls } = JSON.parse(String(call.body)) as { calls: { operation: string }[] };
    sent.push({ call, operations: calls.map(({ operation }) => operation), answer: resolve, fail: reject });
    return promise;
  }, "/calls");
  const call = (workflowId: string) =>
    together.call("describe", { workflowId }, undefined, async () => {
      alone.push(workflowId);
      return { status: 200, text: JSON.stringify({ workflowId, isAlone: true }) };
    });
  return { sent, alone, together, call };
}

const line = (call: number, status: number, body?: unknown): string => JSON.stringify({ call, status, body });
const refusal = { error: { code: "run_not_found", message: "no", hint: "h", details: {} } };

describe("calls that are made at once", () => {
  it("go in one request, and each has its own answer as soon as it is there", async () => {
    const { sent, alone, call } = byHand();
    const told: string[] = [];
    const calls = ["a", "b", "c"].map((id) => call(id));
    for (const [index, one] of calls.entries())
      one.then(
        () => told.push(`${index} ok`),
        (error: AionError) => told.push(`${index} ${error.code}`),
      );
    await delay(5);
    expect(sent.map(({ operations }) => operations)).toEqual([["describe", "describe", "describe"]]);
    const [{ call: request, answer } = sent[0] as Sent] = sent;
    request.onLine?.(line(2, 200, { workflowId: "c" }));
    request.onLine?.(line(0, 404, refusal));
    await delay(0);
    expect(told).toEqual(["2 ok", "0 run_not_found"]);
    request.onLine?.(line(1, 204));
    answer({ status: 200, text: "" });
    expect(await calls[1]).toEqual({});
    expect(await calls[2]).toEqual({ workflowId: "c" });
    expect(alone).toEqual([]);
  });

  it("that are left without an answer fail when the answer ends, and no other does", async () => {
    const { sent, call } = byHand();
    const calls = [call("a"), call("b")];
    const outcomes = Promise.allSettled(calls);
    await delay(5);
    sent[0]?.call.onLine?.(line(1, 200, { workflowId: "b" }));
    // A line that is for nobody says nothing.
    sent[0]?.call.onLine?.(line(7, 200, {}));
    sent[0]?.answer({ status: 200, text: "" });
    expect(await outcomes).toMatchObject([
      { status: "rejected", reason: { code: "transport_failed" } },
      { status: "fulfilled", value: { workflowId: "b" } },
    ]);
  });

  it("fail together when the request does", async () => {
    const { sent, call } = byHand();
    const outcomes = Promise.allSettled([call("a"), call("b")]);
    await delay(5);
    sent[0]?.fail(new AionError("unauthenticated", "who?"));
    expect(await outcomes).toMatchObject([
      { reason: { code: "unauthenticated" } },
      { reason: { code: "unauthenticated" } },
    ]);
  });

  it("go alone if they are too large together, and together again later", async () => {
    const { sent, alone, call, together } = byHand();
    const calls = [call("a"), call("b")];
    await delay(5);
    const body = { error: { code: "payload_too_large", message: "no", hint: "h", details: {} } };
    sent[0]?.answer({ status: 413, text: JSON.stringify(body) });
    expect(await Promise.all(calls)).toEqual([
      { workflowId: "a", isAlone: true },
      { workflowId: "b", isAlone: true },
    ]);
    expect(alone).toEqual(["a", "b"]);
    expect(together.takes("describe")).toBe(true);
  });

  it("go alone, then and later, if the server knows no such request", async () => {
    const { sent, alone, call, together } = byHand();
    const calls = [call("a"), call("b")];
    await delay(5);
    const body = { error: { code: "endpoint_unknown", message: "no", hint: "h", details: {} } };
    sent[0]?.answer({ status: 404, text: JSON.stringify(body) });
    expect(await Promise.all(calls)).toEqual([
      { workflowId: "a", isAlone: true },
      { workflowId: "b", isAlone: true },
    ]);
    expect(alone).toEqual(["a", "b"]);
    expect(together.takes("describe")).toBe(false);
  });

  it("are parted when they are too many, or too long together", async () => {
    const { sent, call } = byHand();
    const calls = Array.from({ length: 501 }, (_, index) => call(`${index}`));
    const long = call("x".repeat(200_000));
    const longer = call("y".repeat(200_000));
    const outcomes = Promise.allSettled([...calls, long, longer]);
    await delay(20);
    expect(sent.map(({ operations }) => operations.length)).toEqual([500, 2]);
    for (const { fail } of sent) fail(new AionError("transport_failed", "over"));
    expect((await outcomes).map(({ status }) => status)).toEqual([
      ...Array.from({ length: 502 }, () => "rejected"),
      "fulfilled",
    ]);
  });
});

describe("a call that has no company", () => {
  it("goes alone, at once", async () => {
    const { sent, alone, call } = byHand();
    expect(await call("a")).toEqual({ workflowId: "a", isAlone: true });
    expect([sent, alone]).toEqual([[], ["a"]]);
  });

  it("waits for others, but not for long, when many are under way", async () => {
    const { sent, alone, call } = byHand();
    const many = Promise.allSettled(Array.from({ length: 40 }, (_, index) => call(`${index}`)));
    await delay(5);
    const late = [call("late"), delay(1).then(() => call("later"))];
    await delay(30);
    expect(sent.map(({ operations }) => operations.length)).toEqual([40, 2]);
    for (const { fail } of sent) fail(new AionError("transport_failed", "over"));
    expect((await Promise.allSettled(late)).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await many;
    expect(alone).toEqual([]);
  });
});
