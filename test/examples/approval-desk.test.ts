import { expect, it } from "vitest";
import {
  ApprovalDesk,
  type ApprovalRequest,
  type Decision,
  type SendDecision,
} from "../../examples/order-fulfilment/outside/approval-desk.ts";
import { scratchDirectory } from "./scratch-directory.ts";

const request = (orderId: string, credit: ApprovalRequest["credit"] = "good"): ApprovalRequest => ({
  orderId,
  amount: 90_000,
  currency: "EUR",
  credit,
});

/** An engine that is down for its first `failures` calls. */
function engine(failures = 0) {
  const received: (readonly [string, Decision])[] = [];
  let calls = 0;
  const arrived = Promise.withResolvers<void>();
  const send: SendDecision = async (orderId, decision) => {
    calls += 1;
    if (calls <= failures) throw new Error("nobody there");
    received.push([orderId, decision]);
    arrived.resolve();
    return "delivered";
  };
  return { received, send, arrived: arrived.promise, calls: () => calls };
}

it("approves good credit, refuses poor credit, and never decides about unknown credit", async () => {
  const { received, send } = engine();
  const desk = await ApprovalDesk.open(scratchDirectory(), send);
  await Promise.all([
    desk.request(request("a")),
    desk.request(request("b", "poor")),
    desk.request(request("c", "unknown")),
  ]);
  await expect.poll(() => desk.counts).toEqual({ requested: 3, settled: 2 });
  expect(new Map(received.map(([orderId, { ok }]) => [orderId, ok]))).toEqual(
    new Map([
      ["a", true],
      ["b", false],
    ]),
  );
  await desk.close();
});

it("sends one decision for a request that comes in again and again", async () => {
  const { received, send } = engine();
  const desk = await ApprovalDesk.open(scratchDirectory(), send);
  await Promise.all([desk.request(request("a")), desk.request(request("a"))]);
  await expect.poll(() => desk.counts.settled).toBe(1);
  await desk.request(request("a"));
  await desk.close();
  expect(received).toHaveLength(1);
});

it("goes on sending while the engine is down", async () => {
  const { received, send, arrived, calls } = engine(3);
  const desk = await ApprovalDesk.open(scratchDirectory(), send);
  await desk.request(request("a"));
  await arrived;
  expect(calls()).toBe(4);
  expect(received).toHaveLength(1);
  await desk.close();
});

it("answers after a restart what it had accepted before, and nothing twice", async () => {
  const directory = scratchDirectory();
  const down = engine(Number.POSITIVE_INFINITY);
  const first = await ApprovalDesk.open(directory, down.send);
  await first.request(request("a"));
  await first.close();
  const up = engine();
  const second = await ApprovalDesk.open(directory, up.send);
  await expect.poll(() => second.counts).toEqual({ requested: 1, settled: 1 });
  await second.close();
  const later = engine();
  const third = await ApprovalDesk.open(directory, later.send);
  expect(third.counts).toEqual({ requested: 1, settled: 1 });
  await third.close();
  expect(up.received).toHaveLength(1);
  expect(later.received).toHaveLength(0);
});
