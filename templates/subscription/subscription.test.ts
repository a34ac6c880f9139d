import assert from "node:assert/strict";
import { test } from "node:test";
import { TestEngine } from "aion/testing";
import { changePlan, status, subscription, unsubscribe, workflows } from "./subscription.ts";

const ann = { customer: "ann", plan: "basic" } as const;

function openTestEngine(charge: () => Promise<void> = async () => undefined): Promise<TestEngine> {
  return TestEngine.open({ workflows, activities: { charge, "send-mail": async () => undefined } });
}

test("each period is paid once, at its beginning", async () => {
  await using t = await openTestEngine();
  const run = await t.client.start(subscription, ann);
  await t.skip("60 days");
  assert.deepEqual(await run.query(status), { plan: "basic", paidCount: 3 });
  assert.equal(t.calls("charge").length, 3);
});

test("another plan is charged from the next period on", async () => {
  await using t = await openTestEngine();
  const run = await t.client.start(subscription, ann);
  await t.skip("10 days");
  await run.signal(changePlan, "team");
  await t.skip("20 days");
  assert.deepEqual(
    t.calls("charge").map((call) => call.input),
    [
      { customer: "ann", plan: "basic", number: 1 },
      { customer: "ann", plan: "team", number: 2 },
    ],
  );
});

test("who leaves is not charged again", async () => {
  await using t = await openTestEngine();
  const run = await t.client.start(subscription, ann);
  await t.skip("45 days");
  await run.signal(unsubscribe);
  assert.deepEqual(await t.result(run), { paidCount: 2, because: "unsubscribed" });
});

test("a card that fails for a day is tried until it works", async () => {
  let isBroken = true;
  await using t = await openTestEngine(async () => {
    if (isBroken) throw new Error("no answer");
  });
  const run = await t.client.start(subscription, ann);
  await t.skip("1 day");
  isBroken = false;
  await t.skip("1 day");
  assert.deepEqual(await run.query(status), { plan: "basic", paidCount: 1 });
});

test("who cannot be charged for a week is told, and leaves", async () => {
  await using t = await openTestEngine(async () => {
    throw new Error("card expired");
  });
  const run = await t.client.start(subscription, ann);
  assert.deepEqual(await t.result(run), { paidCount: 0, because: "unpaid" });
  assert.match(JSON.stringify(t.calls("send-mail").at(-1)?.input), /could not charge you/);
});

test("it goes on for as long as it has to, in runs of twelve periods, and through crashes", async () => {
  await using t = await openTestEngine();
  const run = await t.client.start(subscription, { ...ann, period: "1 hour" });
  for (let round = 1; round <= 3; round += 1) {
    await t.skip("12 hours");
    await t.crash();
  }
  const { runs, historyLength } = await run.describe();
  assert.equal(runs.length, 4);
  assert.ok(historyLength < 100);
  assert.deepEqual(await run.query(status), { plan: "basic", paidCount: 37 });
  assert.equal(t.calls("charge").length, 37);
});
