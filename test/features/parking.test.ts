import { AionError, Engine } from "aion";
import { openMemoryStore } from "aion/store";
import { TestEngine } from "aion/testing";
import {
  activity,
  ApplicationFailure,
  continueAsNew,
  expose,
  isFailure,
  query,
  receive,
  scope,
  signal,
  sleep,
  step,
  workflow,
} from "aion/workflow";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { parseWorkflowId } from "../../src/core/ids.ts";
import { toPayload } from "../../src/core/payload.ts";
import { errorOf, eventsOfType, rootOf, typesOf } from "./run-history.ts";

/** A provider whose key has expired, until it is renewed. */
function provider() {
  const state = { isUp: false, calls: 0 };
  const charge = activity(
    "charge",
    { output: z.string().startsWith("pay_"), retry: { initialDelay: "1s", jitter: 0 } },
    async (amount: number) => {
      state.calls += 1;
      if (state.isUp) return `pay_${amount}`;
      throw new ApplicationFailure("the key has expired", { type: "KeyExpired", park: true });
    },
  );
  return { state, charge };
}

const look = query<string>("look");
const go = signal("go");

describe("a failure that asks for an operator", () => {
  // I-60
  it("parks the activity: it is tried no more, is shown, and the run does not fail", async () => {
    const { state, charge } = provider();
    const order = workflow("order", (amount: number) => charge(amount));
    await using t = await TestEngine.open({ workflows: [order], activities: [charge] });
    const run = await t.client.start(order, 7, { id: "order-1" });
    await t.settle();
    await t.skip("30 days");
    expect(state.calls).toBe(1);
    const described = await run.describe();
    expect(described).toMatchObject({
      status: "running",
      parked: { count: 1, activities: [{ ordinal: 0, activityType: "charge", attempt: 1 }] },
      pendingActivities: [
        { state: "parked", attempt: 1, failedCount: 1, lastFailure: "the key has expired" },
      ],
    });
    expect(described.parked?.activities[0]).toMatchObject({
      message: "the key has expired",
      parkedAt: described.pendingActivities[0]?.parkedAt,
    });
    expect(described.blocked).toBeUndefined();
    const { runs } = await t.client.listPage({ isParked: true }, { limit: 10 });
    expect(runs).toMatchObject([{ workflowId: "order-1", parked: { count: 1 } }]);
    expect(await t.client.count({ isParked: true })).toBe(1);
    expect(await t.client.count({ isParked: false })).toBe(0);
    expect((await eventsOfType(run, "ActivityParked"))[0]).toMatchObject({
      ordinal: 0,
      attempt: 1,
      failure: { type: "KeyExpired", park: true },
    });
    state.isUp = true;
    expect(await run.resumeActivity({ reason: "the key is renewed" })).toEqual([0]);
    expect(await t.result(run)).toBe("pay_7");
    expect(await t.client.count({ isParked: true })).toBe(0);
    expect((await run.describe()).parked).toBeUndefined();
    expect(await eventsOfType(run, "ActivityResumed")).toMatchObject([
      { ordinals: [0], reason: "the key is renewed" },
    ]);
    // A further attempt of the same activity, by the same idempotency key.
    const tasks = t.calls("charge");
    expect(tasks.map(({ attempt }) => attempt)).toEqual([1, 2]);
  });

  it("holds up nothing else of the run", async () => {
    const { state, charge } = provider();
    const ship = activity("ship", async () => "shipped");
    const order = workflow("order", async (amount: number) => {
      let at = "begun";
      expose(look, () => at);
      const paid = charge(amount);
      at = await ship(undefined);
      await sleep("1 hour");
      await receive(go);
      at = "gone";
      return await paid;
    });
    await using t = await TestEngine.open({ workflows: [order], activities: [charge, ship] });
    const run = await t.client.start(order, 7);
    await t.settle();
    expect(await run.query(look)).toBe("shipped");
    await t.skip("2 hours");
    await run.signal(go);
    await t.settle();
    expect(await run.query(look)).toBe("gone");
    state.isUp = true;
    await run.resumeActivity();
    expect(await t.result(run)).toBe("pay_7");
  });

  it("is overruled by a policy that calls its type final, and fails like any other from a workflow", async () => {
    const { charge } = provider();
    const order = workflow("order", (amount: number) =>
      charge(amount, { retry: { nonRetryable: ["KeyExpired"] } }),
    );
    const own = workflow("own", async () => {
      throw new ApplicationFailure("no", { park: true });
    });
    await using t = await TestEngine.open({ workflows: [order, own], activities: [charge] });
    expect(await errorOf(t.result(await t.client.start(order, 7)))).toMatchObject({ kind: "activity" });
    expect(await errorOf(t.result(await t.client.start(own)))).toMatchObject({ kind: "application" });
  });
});

it("a policy parks the types that it names, whatever their errors say, and tries others again", async () => {
  class QuotaExceeded extends Error {}
  let what: Error = new Error("down");
  const call = activity(
    "call",
    { retry: { maxAttempts: 3, initialDelay: "1s", jitter: 0, park: ["QuotaExceeded", "KeyExpired"] } },
    async () => {
      throw what;
    },
  );
  const caller = workflow("caller", () => call(undefined));
  await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
  const run = await t.client.start(caller);
  await t.settle();
  what = new QuotaExceeded("no more today");
  await t.skip("1 hour");
  expect((await run.describe()).parked?.activities).toMatchObject([{ attempt: 2, message: "no more today" }]);
  what = new ApplicationFailure("expired", { type: "KeyExpired", nonRetryable: true });
  await run.resumeActivity();
  await t.settle();
  expect((await run.describe()).parked?.activities).toMatchObject([{ attempt: 3, message: "expired" }]);
  what = new ApplicationFailure("never", { type: "Fraud", nonRetryable: true });
  await run.resumeActivity();
  expect(await errorOf(t.result(run))).toMatchObject({ kind: "activity", attempt: 4 });
});

describe("attempts that are exhausted", () => {
  const retry = { maxAttempts: 3, initialDelay: "1s", jitter: 0, onExhausted: "park" } as const;

  it("park the activity where the policy says so, and a resumption gives it all of them again", async () => {
    const call = activity("call", { retry }, async () => {
      throw new Error("down");
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    const run = await t.client.start(caller);
    await t.skip("1 hour");
    expect(t.calls("call")).toHaveLength(3);
    await run.resumeActivity();
    await t.skip("1 hour");
    expect(t.calls("call").map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6]);
    expect((await run.describe()).pendingActivities).toMatchObject([
      { state: "parked", attempt: 6, failedCount: 3 },
    ]);
    // The waits between them are those of the policy, from the first on.
    const starts = await eventsOfType(run, "ActivityStarted");
    const at = starts.map(({ recordedAt }) => recordedAt);
    expect([(at[4] ?? 0) - (at[3] ?? 0), (at[5] ?? 0) - (at[4] ?? 0)]).toEqual([1_000, 2_000]);
  });

  it("fail it by default", async () => {
    const { onExhausted: _default, ...policy } = retry;
    const call = activity("call", { retry: policy }, async () => {
      throw new Error("down");
    });
    const caller = workflow("caller", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [call] });
    expect(await errorOf(t.result(await t.client.start(caller)))).toMatchObject({
      kind: "activity",
      attempt: 3,
    });
  });

  it("do so by time-outs of attempts too, which the event tells", async () => {
    const hang = activity(
      "hang",
      { startToClose: "10s", retry: { ...retry, maxAttempts: 1 } },
      (_: unknown, task) => {
        if (task.attempt > 1) return "up";
        return new Promise<string>(() => undefined);
      },
    );
    const caller = workflow("caller", () => hang(undefined));
    await using t = await TestEngine.open({ workflows: [caller], activities: [hang] });
    const run = await t.client.start(caller);
    await t.skip("1 minute");
    expect(await eventsOfType(run, "ActivityParked")).toMatchObject([
      { attempt: 1, timeout: "start-to-close", failure: { kind: "timeout" } },
    ]);
    await run.resumeActivity();
    expect(await t.result(run)).toBe("up");
  });

  it("leave what is final to fail: a failure that is not to be retried, and one that came too late", async () => {
    const final = activity("final", { retry }, async () => {
      throw new ApplicationFailure("never", { nonRetryable: true });
    });
    const late = activity(
      "late",
      { retry: { ...retry, maxAttempts: 9 }, scheduleToClose: "3s" },
      async () => {
        throw new Error("down");
      },
    );
    const caller = workflow("caller", (which: "final" | "late") =>
      which === "final" ? final(undefined) : late(undefined),
    );
    await using t = await TestEngine.open({ workflows: [caller], activities: [final, late] });
    for (const which of ["final", "late"] as const)
      expect(await errorOf(t.result(await t.client.start(caller, which)))).toMatchObject({
        kind: "activity",
      });
  });
});

describe("time", () => {
  it("schedule-to-close ends a parked activity, and counts from its schedule after a resumption too", async () => {
    const { charge } = provider();
    const order = workflow("order", (amount: number) => charge(amount, { scheduleToClose: "1 hour" }));
    await using t = await TestEngine.open({ workflows: [order], activities: [charge] });
    const run = await t.client.start(order, 7);
    await t.skip("50 minutes");
    await run.resumeActivity();
    await t.skip("5 minutes");
    expect((await run.describe()).parked?.count).toBe(1);
    const failure = await errorOf(t.result(run));
    expect(rootOf(failure)).toMatchObject({ kind: "timeout", timeout: "schedule-to-close" });
    expect(await t.client.count({ isParked: true })).toBe(0);
    const [scheduled] = await eventsOfType(run, "ActivityScheduled");
    const [ended] = await eventsOfType(run, "ActivityTimedOut");
    expect((ended?.recordedAt ?? 0) - (scheduled?.recordedAt ?? 0)).toBe(3_600_000);
  });

  it("a time-out of the run ends it with what is parked", async () => {
    const { state, charge } = provider();
    const order = workflow("order", (amount: number) => charge(amount));
    await using t = await TestEngine.open({ workflows: [order], activities: [charge] });
    const run = await t.client.start(order, 7, { runTimeout: "1 hour" });
    expect(await errorOf(t.result(run))).toMatchObject({ kind: "timeout" });
    expect(await t.client.count({ isParked: true })).toBe(0);
    expect(await errorOf(run.resumeActivity())).toMatchObject({ code: "run_closed" });
    expect(state.calls).toBe(1);
  });
});

describe("an operator's decision", () => {
  const two = () => {
    const { state, charge } = provider();
    const both = workflow("both", () =>
      Promise.allSettled([charge(1), charge(2)]).then((all) =>
        all.map((one) => (one.status === "fulfilled" ? one.value : String((one.reason as Error).message))),
      ),
    );
    return { state, charge, both };
  };

  it("completes one activity with a result, which has to fit its output schema", async () => {
    const { charge, both } = two();
    await using t = await TestEngine.open({ workflows: [both], activities: [charge] });
    const run = await t.client.start(both);
    await t.settle();
    expect(await errorOf(run.resumeActivity({ ordinal: 0, result: 12 }))).toMatchObject({
      code: "payload_invalid",
    });
    expect(await errorOf(run.resumeActivity({ ordinal: 0, result: "x" }))).toMatchObject({
      code: "payload_invalid",
    });
    expect((await run.describe()).parked?.count).toBe(2);
    expect(await run.resumeActivity({ ordinal: 0, result: "pay_by_hand", reason: "paid by hand" })).toEqual([
      0,
    ]);
    await t.settle();
    expect((await run.describe()).parked?.activities).toMatchObject([{ ordinal: 1 }]);
    expect(await eventsOfType(run, "ActivityCompleted")).toMatchObject([
      { ordinal: 0, attempt: 1, byOperator: true, reason: "paid by hand" },
    ]);
    await run.resumeActivity({ ordinal: 1, result: "pay_2" });
    expect(await t.result(run)).toEqual(["pay_by_hand", "pay_2"]);
  });

  it("fails one activity with a failure, which reaches the workflow as that of an attempt does", async () => {
    const { charge } = provider();
    const order = workflow("order", async (amount: number) => {
      try {
        return await charge(amount);
      } catch (error) {
        if (!isFailure(error) || error.kind !== "activity" || !isFailure(error.cause)) throw error;
        const { cause } = error;
        return cause.kind === "application" ? [cause.type, cause.message, cause.details] : cause.kind;
      }
    });
    await using t = await TestEngine.open({ workflows: [order], activities: [charge] });
    const run = await t.client.start(order, 7);
    await t.settle();
    const failure = new ApplicationFailure("the card is stolen", { type: "Fraud", details: { by: "ann" } });
    await run.resumeActivity({ ordinal: 0, failure });
    expect(await t.result(run)).toEqual(["Fraud", "the card is stolen", { by: "ann" }]);
  });

  it("is for all that are parked, or those of a type, or one", async () => {
    const { state, charge } = provider();
    const fetch = activity("fetch", async () => {
      throw new ApplicationFailure("no disk", { park: true });
    });
    const all = workflow("all", () =>
      Promise.all([charge(1), fetch(undefined), charge(2), fetch(undefined), charge(3)]),
    );
    await using t = await TestEngine.open({ workflows: [all], activities: [charge, fetch] });
    const run = await t.client.start(all);
    await t.settle();
    state.isUp = true;
    expect(await run.resumeActivity({ ordinal: 2 })).toEqual([2]);
    await t.settle();
    expect(await run.resumeActivity({ activity: charge })).toEqual([0, 4]);
    await t.settle();
    expect(await run.resumeActivity()).toEqual([1, 3]);
    await t.settle();
    expect((await run.describe()).parked).toMatchObject({
      count: 2,
      activities: [
        { ordinal: 1, attempt: 2 },
        { ordinal: 3, attempt: 2 },
      ],
    });
  });

  it("is refused, with the reason, where nothing waits for it", async () => {
    const { state, charge, both } = two();
    await using t = await TestEngine.open({ workflows: [both], activities: [charge] });
    const run = await t.client.start(both);
    await t.settle();
    const refused = async (options: Parameters<typeof run.resumeActivity>[0]) =>
      await errorOf(run.resumeActivity(options));
    expect(await refused({ ordinal: 9 })).toMatchObject({ code: "activity_not_parked" });
    expect(await refused({ activity: "ship" })).toMatchObject({ code: "activity_not_parked" });
    expect(await refused({ ordinal: 0, activity: "ship" })).toMatchObject({
      code: "activity_not_parked",
      message: expect.stringContaining('is "charge", not "ship"') as unknown,
    });
    expect(await refused({ result: 1 })).toMatchObject({ code: "invalid_argument" });
    expect(await refused({ failure: { message: "no" } })).toMatchObject({ code: "invalid_argument" });
    expect(await refused({ ordinal: 0, result: 1, failure: { message: "no" } })).toMatchObject({
      code: "invalid_argument",
    });
    expect(await refused({ ordinal: -1 })).toMatchObject({ code: "invalid_argument" });
    expect(await errorOf(t.client.get("nobody").resumeActivity())).toMatchObject({ code: "run_not_found" });
    state.isUp = true;
    await run.resumeActivity({ ordinal: 0 });
    await t.settle();
    expect(await refused({ ordinal: 0 })).toMatchObject({ code: "activity_not_parked" });
    expect((await typesOf(run)).filter((type) => type === "ActivityResumed")).toHaveLength(1);
  });

  it("is answered with the run that it was made of, though that was reset since", async () => {
    const { state, charge } = provider();
    const order = workflow("order", async (amount: number) => [await charge(amount), await receive(go)]);
    await using engine = await Engine.open({
      store: openMemoryStore(),
      workflows: [order],
      activities: [charge],
    });
    const run = await engine.client.start(order, 7);
    const { workflowId } = run;
    await expect.poll(async () => (await run.describe()).parked?.count).toBe(1);
    state.isUp = true;
    const request = { workflowId, requestId: "night-1" };
    const reply = await engine.service.resumeActivity(request);
    await expect.poll(async () => (await run.describe()).pendingActivities.length).toBe(0);
    const [completed] = await eventsOfType(run, "ActivityCompleted");
    await run.reset({ toSeq: completed?.seq ?? 0 });
    expect(await engine.service.resumeActivity(request)).toEqual(reply);
    await run.terminate();
  });

  it("is made once for each request id, though the run has gone on, and is answered as it was", async () => {
    const { state, charge, both } = two();
    await using t = await TestEngine.open({ workflows: [both], activities: [charge] });
    const run = await t.client.start(both);
    await t.settle();
    const once = { requestId: "night-1" };
    expect(await run.resumeActivity(once)).toEqual([0, 1]);
    // Both are parked again, and this is not meant for that.
    await t.settle();
    expect((await run.describe()).parked?.count).toBe(2);
    expect(await run.resumeActivity(once)).toEqual([0, 1]);
    await t.crash();
    expect(await run.resumeActivity(once)).toEqual([0, 1]);
    expect(state.calls).toBe(4);
    const byHand = { ordinal: 1, result: "pay_b", requestId: "hand-1" };
    expect(await run.resumeActivity(byHand)).toEqual([1]);
    expect(await run.resumeActivity(byHand)).toEqual([1]);
    const refuse = { ordinal: 0, failure: { message: "no" }, requestId: "hand-2" };
    expect(await run.resumeActivity(refuse)).toEqual([0]);
    await t.result(run);
    expect(await run.resumeActivity(refuse)).toEqual([0]);
    expect(await run.resumeActivity(once)).toEqual([0, 1]);
    expect(await errorOf(run.resumeActivity({ requestId: "later" }))).toMatchObject({ code: "run_closed" });
    const types = await typesOf(run);
    expect(types.filter((type) => type === "ActivityResumed")).toHaveLength(1);
  });

  it("is refused when it repeats the id of another one, and changes nothing", async () => {
    const { state, charge, both } = two();
    await using t = await TestEngine.open({ workflows: [both], activities: [charge] });
    const run = await t.client.start(both);
    await t.settle();
    const requestId = "night-1";
    await run.resumeActivity({ ordinal: 0, result: "pay_by_hand", requestId });
    const others: readonly Parameters<typeof run.resumeActivity>[0][] = [
      { ordinal: 0, failure: { message: "stolen" }, requestId },
      { ordinal: 1, result: "pay_by_hand", requestId },
      { ordinal: 0, requestId },
      { requestId },
    ];
    for (const crash of [false, true]) {
      if (crash) await t.crash();
      for (const other of others) {
        expect(await errorOf(run.resumeActivity(other))).toMatchObject({
          code: "request_conflict",
          message: expect.stringContaining('"night-1"') as unknown,
        });
      }
    }
    expect((await run.describe()).parked?.activities).toMatchObject([{ ordinal: 1 }]);
    state.isUp = true;
    await run.resumeActivity();
    await t.result(run);
    for (const other of others)
      expect(await errorOf(run.resumeActivity(other))).toMatchObject({ code: "request_conflict" });
  });

  it("about one activity is of one run: the run that it goes on as has another of that number", async () => {
    const { charge } = provider();
    const order = workflow("order", async (round: number): Promise<void> => {
      void charge(round).catch(() => undefined);
      await receive(go);
      continueAsNew(round + 1);
    });
    const store = openMemoryStore();
    const reading = Promise.withResolvers<undefined>();
    const gate = Promise.withResolvers<undefined>();
    let isHeld = true;
    const readRunChain = store.readRunChain.bind(store);
    store.readRunChain = async (workflowId) => {
      if (isHeld) {
        isHeld = false;
        reading.resolve(undefined);
        await gate.promise;
      }
      return await readRunChain(workflowId);
    };
    await using engine = await Engine.open({ store, workflows: [order], activities: [charge] });
    const { client, service } = engine;
    const first = await client.start(order, 1, { id: "order-1" });
    const parkedIn = async (): Promise<string | undefined> =>
      (await client.listPage({ isParked: true }, { limit: 1 })).runs[0]?.runId;
    await expect.poll(parkedIn).toBe(first.runId);
    const asked = errorOf(
      service.resumeActivity({
        workflowId: "order-1",
        ordinal: 0,
        outcome: "complete",
        result: toPayload("pay_1", "a result"),
        requestId: "night-1",
      }),
    );
    await reading.promise;
    await client.get("order-1").signal(go);
    await expect.poll(parkedIn).not.toBeOneOf([undefined, first.runId]);
    gate.resolve(undefined);
    expect(await asked).toMatchObject({ code: "run_closed" });
    expect((await client.get("order-1").describe()).parked?.count).toBe(1);
    // What is meant for all that are parked is meant for whichever run is there.
    expect(await client.get("order-1").resumeActivity()).toEqual([0]);
    await client.get("order-1").terminate();
  });

  it("is answered as it was though another run of the chain cannot be read", async () => {
    const { state, charge } = provider();
    const order = workflow("order", async (round: number): Promise<string> => {
      await receive(go);
      return round === 1 ? continueAsNew(2) : await charge(round);
    });
    const store = openMemoryStore();
    await using engine = await Engine.open({ store, workflows: [order], activities: [charge] });
    const first = await engine.client.start(order, 1, { id: "order-1" });
    const run = engine.client.get("order-1");
    await run.signal(go);
    await run.signal(go);
    await expect.poll(async () => (await run.describe()).parked?.count).toBe(1);
    state.isUp = true;
    expect(await run.resumeActivity({ requestId: "night-1" })).toEqual([0]);
    await run.result();
    const readSegment = store.readSegment.bind(store);
    const damaged = (await store.readRunChain(parseWorkflowId("order-1")))[0];
    expect(damaged?.runId).toBe(first.runId);
    store.readSegment = async (of, ...range) => {
      if (of.runKey === damaged?.runKey) throw new AionError("history_corrupt", "a row is damaged");
      return await readSegment(of, ...range);
    };
    expect(await run.resumeActivity({ requestId: "night-1" })).toEqual([0]);
  });
});

describe("what is parked", () => {
  // I-60
  it("stays so over crashes, without an attempt, and what was decided just before one happens", async () => {
    const { state, charge } = provider();
    const order = workflow("order", (amount: number) => charge(amount));
    await using t = await TestEngine.open({ workflows: [order], activities: [charge] });
    const run = await t.client.start(order, 7);
    await t.settle();
    for (let restart = 0; restart < 3; restart++) {
      await t.crash();
      await t.skip("1 day");
    }
    expect(state.calls).toBe(1);
    expect((await run.describe()).pendingActivities).toMatchObject([{ state: "parked", attempt: 1 }]);
    state.isUp = true;
    await run.resumeActivity();
    await t.crash();
    expect(await t.result(run)).toBe("pay_7");
  });

  it("need not be in memory: thousands of such runs cost a row each", async () => {
    const { state, charge } = provider();
    const order = workflow("order", (amount: number) => charge(amount));
    await using t = await TestEngine.open({ workflows: [order], activities: [charge] });
    for (let count = 0; count < 30; count++) await t.client.start(order, count, { id: `order-${count}` });
    await t.settle();
    await t.crash();
    await t.settle();
    expect(state.calls).toBe(30);
    // Nobody has turned to them since.
    expect((await t.client.get("order-3").describe()).pid).toBeUndefined();
    state.isUp = true;
    for (let count = 0; count < 30; count++) await t.client.get(`order-${count}`).resumeActivity();
    for (let count = 0; count < 30; count++) await t.result(t.client.get(`order-${count}`));
    expect(state.calls).toBe(60);
  });

  it("is called off by a cancellation, at once, of the run or of the scope", async () => {
    const { state, charge } = provider();
    const order = workflow("order", async (amount: number) => {
      await scope(async (handle) => {
        const charged = charge(amount);
        await receive(go);
        handle.cancel();
        await charged.catch(() => undefined);
      }).catch(() => undefined);
      return await charge(amount + 1);
    });
    await using t = await TestEngine.open({ workflows: [order], activities: [charge] });
    const run = await t.client.start(order, 7);
    await t.settle();
    await run.signal(go);
    await t.settle();
    expect((await run.describe()).parked?.activities).toMatchObject([{ ordinal: 1 }]);
    expect(await errorOf(run.resumeActivity({ ordinal: 0 }))).toMatchObject({ code: "activity_not_parked" });
    await run.cancel();
    expect(await errorOf(t.result(run))).toMatchObject({ kind: "cancelled" });
    expect(await t.client.count({ isParked: true })).toBe(0);
    expect(state.calls).toBe(2);
    expect((await typesOf(run)).filter((type) => type === "ActivityCancelled")).toHaveLength(2);
  });

  it("goes with its run: terminated, continued as new, deleted", async () => {
    const { charge } = provider();
    const order = workflow("order", async (round: number): Promise<void> => {
      void charge(round).catch(() => undefined);
      await receive(go);
      if (round < 2) continueAsNew(round + 1);
    });
    await using t = await TestEngine.open({ workflows: [order], activities: [charge] });
    const run = await t.client.start(order, 1, { id: "order-1" });
    await t.settle();
    await run.signal(go);
    await t.settle();
    const parked = await t.client.get("order-1").describe();
    expect([parked.parked?.count, parked.runs.map(({ parked: of }) => of?.count)]).toEqual([
      1,
      [undefined, 1],
    ]);
    await t.client.get("order-1").terminate();
    expect(await t.client.count({ isParked: true })).toBe(0);
  });

  it("may be decided on while the run is paused: the attempt begins after the pause", async () => {
    const { state, charge } = provider();
    const order = workflow("order", (amount: number) => charge(amount));
    await using t = await TestEngine.open({ workflows: [order], activities: [charge] });
    const run = await t.client.start(order, 7);
    await t.settle();
    await run.pause();
    state.isUp = true;
    await run.resumeActivity();
    await t.skip("1 hour");
    expect(state.calls).toBe(1);
    // A pause alone decides nothing about it.
    await run.resume();
    expect(await t.result(run)).toBe("pay_7");
    state.isUp = false;
    const { calls } = state;
    const again = await t.client.start(order, 9);
    await t.settle();
    await again.pause();
    await again.resume();
    await t.skip("1 hour");
    expect(state.calls).toBe(calls + 1);
    await again.pause();
    await again.resumeActivity({ ordinal: 0, result: "pay_9" });
    await t.settle();
    expect((await again.describe()).status).toBe("paused");
    await again.resume();
    expect(await t.result(again)).toBe("pay_9");
  });

  it("is parked still when its run is reopened, also if an operator had let it fail", async () => {
    const { state, charge } = provider();
    const order = workflow("order", async (amount: number) => await charge(amount));
    await using t = await TestEngine.open({ workflows: [order], activities: [charge] });
    const run = await t.client.start(order, 7);
    await t.settle();
    const fail = { ordinal: 0, failure: { message: "give up" }, requestId: "f-1" };
    await run.resumeActivity(fail);
    await errorOf(t.result(run));
    await run.reopen();
    await t.skip("1 hour");
    expect((await run.describe()).parked?.count).toBe(1);
    expect(state.calls).toBe(1);
    expect(await t.client.count({ isParked: true })).toBe(1);
    // The request was made, though it was undone.
    expect(await run.resumeActivity(fail)).toEqual([0]);
    expect((await run.describe()).parked?.count).toBe(1);
    state.isUp = true;
    await run.resumeActivity();
    expect(await t.result(run)).toBe("pay_7");
  });

  it("may be a step", async () => {
    let isUp = false;
    const stepping = workflow("stepping", () =>
      step(
        "write",
        () => {
          if (isUp) return "written";
          throw new ApplicationFailure("the disk is full", { park: true });
        },
        {},
      ),
    );
    await using t = await TestEngine.open({ workflows: [stepping], activities: [] });
    const run = await t.client.start(stepping);
    await t.settle();
    isUp = true;
    await t.crash();
    await run.resumeActivity();
    expect(await t.result(run)).toBe("written");
  });

  it("shows the first twenty of a run and counts all", async () => {
    const { state, charge } = provider();
    const many = workflow("many", () => Promise.all(Array.from({ length: 50 }, (_each, at) => charge(at))));
    await using t = await TestEngine.open({ workflows: [many], activities: [charge] });
    const run = await t.client.start(many);
    await t.settle();
    const { parked } = await run.describe();
    expect([parked?.count, parked?.activities.map(({ ordinal }) => ordinal)]).toEqual([
      50,
      Array.from({ length: 20 }, (_each, at) => at),
    ]);
    state.isUp = true;
    expect(await run.resumeActivity()).toHaveLength(50);
    expect(await t.result(run)).toHaveLength(50);
  });

  it("is told by the clock alone to nobody who waits: the wait for a result says what it waits for", async () => {
    const { charge } = provider();
    const order = workflow("order", (amount: number) => charge(amount));
    await using t = await TestEngine.open({ workflows: [order], activities: [charge] });
    const run = await t.client.start(order, 7);
    const error = await errorOf(t.result(run));
    expect(error).toMatchObject({
      code: "result_timeout",
      message: expect.stringMatching(/parked.*the key has expired/) as unknown,
    });
  });
});

it("a store keeps what is parked for the next engine", async () => {
  const { state, charge } = provider();
  const order = workflow("order", (amount: number) => charge(amount));
  const store = openMemoryStore();
  {
    await using t = await TestEngine.open({ workflows: [order], activities: [charge], store });
    await t.client.start(order, 7, { id: "order-1" });
    await t.settle();
  }
  expect(await store.count({ isParked: true })).toBe(1);
  await using t = await TestEngine.open({ workflows: [order], activities: [charge], store });
  await t.skip("1 day");
  expect(state.calls).toBe(1);
  state.isUp = true;
  await t.client.get("order-1").resumeActivity();
  expect(await t.result(t.client.get("order-1"))).toBe("pay_7");
});

describe("a run that is reset while an activity of it is parked", () => {
  it("tries it again in the run that goes on, and the run before shows nothing as parked any more", async () => {
    const { state, charge } = provider();
    const order = workflow("order", async (amount: number) => {
      const charged = charge(amount);
      await sleep("1 minute");
      await sleep("1 day");
      return await charged;
    });
    await using t = await TestEngine.open({ workflows: [order], activities: [charge] });
    const run = await t.client.start(order, 7, { id: "order-1" });
    await t.skip("2 minutes");
    expect((await run.describe()).parked?.count).toBe(1);
    const second = (await eventsOfType(run, "TimerStarted")).at(-1);
    await t.client.get("order-1").reset({ toSeq: second?.seq ?? 0 });
    await t.settle();
    // Tried again, and parked again by its own failure.
    expect(state.calls).toBe(2);
    const { runs, parked } = await t.client.get("order-1").describe();
    expect([parked?.count, runs.map((one) => one.parked?.count)]).toEqual([1, [undefined, 1]]);
    expect(await t.client.count({ isParked: true })).toBe(1);
    state.isUp = true;
    await t.client.get("order-1").resumeActivity();
    expect(await t.result(t.client.get("order-1"))).toBe("pay_7");
  });
});
