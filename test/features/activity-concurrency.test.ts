import { TestEngine } from "aion/testing";
import type { TestEngineOptions } from "aion/testing";
import { activity, receive, scope, signal, sleep, step, workflow } from "aion/workflow";
import { describe, expect, it } from "vitest";
import { errorOf } from "./run-history.ts";

/** An engine whose activities "small" and "large" take ten seconds, and what was under way at once. */
async function openMeter(options: Partial<TestEngineOptions>) {
  const underWay = { small: 0, large: 0 };
  const peak = { small: 0, large: 0, total: 0 };
  const order: string[] = [];
  const measure = (type: "small" | "large") =>
    activity(type, async (name: string) => {
      order.push(name);
      underWay[type] += 1;
      peak[type] = Math.max(peak[type], underWay[type]);
      peak.total = Math.max(peak.total, underWay.small + underWay.large);
      await t.delay("10s");
      underWay[type] -= 1;
      return name;
    });
  const small = measure("small");
  const large = measure("large");
  const one = workflow("one", (input: { readonly type: "small" | "large"; readonly name: string }) =>
    (input.type === "small" ? small : large)(input.name),
  );
  const many = workflow("many", (names: readonly string[]) =>
    Promise.all(names.map((name) => (name.startsWith("s") ? small : large)(name))),
  );
  const t = await TestEngine.open({ workflows: [one, many], activities: [small, large], ...options });
  return { t, one, many, peak, order };
}

const numbered = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

describe("the number of activities at once", () => {
  it("is limited in all", async () => {
    const { t, many, peak } = await openMeter({ activityConcurrency: 3 });
    await using _ = t;
    const startedAt = t.now();
    await t.result(await t.client.start(many, [...numbered("s", 10), ...numbered("l", 5)]));
    expect(peak.total).toBe(3);
    expect(t.now() - startedAt).toBe(50_000);
  });

  it("is limited by type, each for itself", async () => {
    const { t, many, peak } = await openMeter({ activityConcurrencyPerType: { large: 2 } });
    await using _ = t;
    const startedAt = t.now();
    await t.result(await t.client.start(many, [...numbered("l", 6), ...numbered("s", 20)]));
    expect(peak).toMatchObject({ large: 2, small: 20 });
    expect(t.now() - startedAt).toBe(30_000);
  });

  it("counts steps too", async () => {
    let underWay = 0;
    let peak = 0;
    const stepper = workflow("stepper", () =>
      Promise.all(
        numbered("n", 6).map((name) =>
          step("work", async () => {
            peak = Math.max(peak, ++underWay);
            await t.delay("1s");
            underWay -= 1;
            return name;
          }),
        ),
      ),
    );
    await using t = await TestEngine.open({ workflows: [stepper], activityConcurrencyPerType: { work: 2 } });
    expect(await t.result(await t.client.start(stepper))).toEqual(numbered("n", 6));
    expect(peak).toBe(2);
  });

  it("serves in order of arrival, over runs and over types", async () => {
    const { t, one, order } = await openMeter({ activityConcurrency: 1 });
    await using _ = t;
    const names = ["s0", "l0", "s1", "s2", "l1", "s3", "l2", "s4"];
    const runs = [];
    for (const name of names) {
      runs.push(
        await t.client.start(one, {
          type: name.startsWith("s") ? ("small" as const) : ("large" as const),
          name,
        }),
      );
      await t.settle();
    }
    for (const run of runs) await t.result(run);
    expect(order).toEqual(names);
  });

  it("does not let a newcomer pass one who waits, even when that one's run is busy as the slot frees", async () => {
    const nudge = signal("nudge");
    const order: string[] = [];
    let burst: () => readonly Promise<unknown>[] = () => [];
    let sent: readonly Promise<unknown>[] = [];
    const call = activity("call", async (name: string) => {
      order.push(name);
      await t.delay("10s");
      if (name === "one") sent = burst();
    });
    const first = workflow("first", (name: string) => call(name));
    const busy = workflow("busy", async (name: string) => {
      const called = call(name);
      for (let count = 0; count < 20; count++) await receive(nudge);
      await called;
    });
    await using t = await TestEngine.open({
      workflows: [first, busy],
      activities: [call],
      activityConcurrency: 1,
    });
    await t.client.start(first, "one");
    await t.settle();
    const waiting = await t.client.start(busy, "two");
    burst = () => [
      ...numbered("n", 20).map(() => waiting.signal(nudge)),
      ...numbered("late", 5).map((name) => t.client.start(first, name)),
    ];
    await t.result(waiting);
    await Promise.all(sent);
    await t.skip("2m");
    expect(order.slice(0, 2)).toEqual(["one", "two"]);
    expect(order).toHaveLength(7);
  });

  it("passes on the slot of one who waited and no longer wants it", async () => {
    const { t, one, order } = await openMeter({ activityConcurrency: 1 });
    await using _ = t;
    const start = (name: string) => t.client.start(one, { type: "small", name });
    const first = await start("s0");
    await t.settle();
    const cancelled = await start("s1");
    const terminated = await start("s2");
    const last = await start("s3");
    await t.settle();
    await cancelled.cancel();
    await terminated.terminate();
    expect(await t.result(last)).toBe("s3");
    expect(await t.result(first)).toBe("s0");
    expect(order).toEqual(["s0", "s3"]);
    await errorOf(t.result(cancelled));
    await errorOf(t.result(terminated));
  });

  it("passes it on as well when the run that no longer wants it goes on", async () => {
    const call = activity("call", async (_name: string): Promise<void> => t.delay("1m"));
    const one = workflow("one", (name: string) => call(name));
    const fickle = workflow("fickle", async () => {
      await scope(() => call("fickle"), { timeout: "10s" });
      await sleep("1 day");
    });
    await using t = await TestEngine.open({
      workflows: [one, fickle],
      activities: [call],
      activityConcurrency: 1,
    });
    await t.client.start(one, "first");
    await t.settle();
    await t.client.start(fickle);
    await t.settle();
    await t.client.start(one, "last");
    await t.skip("1m");
    expect(t.calls("call").map((noted) => noted.input)).toEqual(["first", "last"]);
  });

  it("gives the slot back when a run ends while its attempt is under way", async () => {
    const { t, one, order } = await openMeter({ activityConcurrency: 1 });
    await using _ = t;
    const first = await t.client.start(one, { type: "small", name: "s0" });
    await t.settle();
    const second = await t.client.start(one, { type: "large", name: "l0" });
    await t.settle();
    await first.terminate();
    await t.settle();
    expect(order).toEqual(["s0", "l0"]);
    expect(await t.result(second)).toBe("l0");
  });

  it("is kept after a crash, in which all that were under way begin again in their turn", async () => {
    const { t, many, peak } = await openMeter({ activityConcurrency: 2 });
    await using _ = t;
    const run = await t.client.start(many, numbered("s", 8));
    await t.skip("15s");
    expect(peak.total).toBe(2);
    await t.crash();
    expect(t.activitiesInFlight).toBe(2);
    expect(await t.result(run)).toEqual(numbered("s", 8));
  });

  it("shows who waits for a slot", async () => {
    const { t, many } = await openMeter({ activityConcurrency: 1 });
    await using _ = t;
    const run = await t.client.start(many, ["s0", "s1"]);
    await t.settle();
    expect((await run.describe()).pendingActivities.map(({ state }) => state)).toEqual([
      "running",
      "waiting for a slot",
    ]);
    await t.result(run);
  });

  it("is not touched by activities that nobody can run", async () => {
    const { t } = await openMeter({ activityConcurrency: 1 });
    await using _ = t;
    await t.close();
    const known = activity("known", async (name: string) => name);
    const unknown = activity("unknown", async (name: string) => name);
    const caller = workflow("caller", async () => {
      const lost = unknown("x");
      lost.catch(() => undefined);
      return Promise.all(numbered("k", 5).map((name) => known(name)));
    });
    await using other = await TestEngine.open({
      workflows: [caller],
      activities: [known],
      activityConcurrency: 1,
    });
    expect(await other.result(await other.client.start(caller))).toEqual(numbered("k", 5));
  });
});
