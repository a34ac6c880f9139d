import assert from "node:assert/strict";
import { test } from "node:test";
import { TestEngine } from "aion/testing";
import { approval, fulfil, stage, workflows } from "./order.ts";

/** The engine over a store in memory and a clock that stands still, with mocks instead of the services. */
function openTestEngine(): Promise<TestEngine> {
  return TestEngine.open({
    workflows,
    activities: {
      charge: async () => "payment",
      refund: async () => undefined,
      "ask-for-approval": async () => undefined,
      ship: async () => "parcel",
    },
  });
}

test("a small order is charged and shipped, and nobody is asked", async () => {
  await using t = await openTestEngine();
  const run = await t.client.start(fulfil, { id: "1", amount: 40 });
  assert.deepEqual(await t.result(run), { paymentId: "payment", parcel: "parcel" });
  assert.equal(t.calls("ask-for-approval").length, 0);
  assert.equal(t.calls("refund").length, 0);
});

test("a large order waits for its approval, also over a crash, and is charged once", async () => {
  await using t = await openTestEngine();
  const run = await t.client.start(fulfil, { id: "2", amount: 400 });
  await t.settle();
  assert.equal(await run.query(stage), "waiting for approval");
  await t.crash();
  await run.signal(approval, { by: "ann", ok: true });
  assert.deepEqual(await t.result(run), { paymentId: "payment", parcel: "parcel" });
  assert.equal(t.calls("charge").length, 1);
});

test("a large order that nobody approves in two days is refunded", async () => {
  await using t = await openTestEngine();
  const run = await t.client.start(fulfil, { id: "3", amount: 400 });
  await t.skip("2 days");
  await assert.rejects(t.result(run), /nobody approved it in time/);
  assert.deepEqual(
    t.calls("refund").map((call) => call.input),
    ["3"],
  );
  assert.equal(t.calls("ship").length, 0);
});

test("a refused order is refunded", async () => {
  await using t = await openTestEngine();
  const run = await t.client.start(fulfil, { id: "4", amount: 400 });
  await run.signal(approval, { by: "eve", ok: false });
  await assert.rejects(t.result(run), /refused by eve/);
  assert.equal(t.calls("refund").length, 1);
});
