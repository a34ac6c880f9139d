import type { RunHandle } from "aion/client";
import { TestEngine } from "aion/testing";
import { activity, child, receive, signal, sleep, workflow } from "aion/workflow";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { errorOf, eventsOf } from "./run-history.ts";

/** Takes as long as its name says, in seconds, and fails if the name ends in "!". */
const work = activity("work", async (name: string): Promise<string> => {
  throw new Error(`${name} is mocked`);
});

async function openWorker(
  workflows: Parameters<typeof TestEngine.open>[0]["workflows"],
  extraMs: () => number = () => 0,
) {
  const t: TestEngine = await TestEngine.open({
    workflows,
    activities: {
      work: async (name: string) => {
        await t.delay(Number.parseInt(name, 10) * 1_000 + extraMs());
        if (name.endsWith("!")) throw new Error(name);
        return name;
      },
    },
  });
  return t;
}

describe("Promise.all", () => {
  it("gives all results in their order, whatever order they come in", async () => {
    const all = workflow("all", (names: readonly string[]) => Promise.all(names.map((name) => work(name))));
    await using t = await openWorker([all]);
    expect(await t.result(await t.client.start(all, ["3", "1", "2"]))).toEqual(["3", "1", "2"]);
  });

  it("fails with the first failure", async () => {
    const all = workflow("all", (names: readonly string[]) => Promise.all(names.map((name) => work(name))));
    await using t = await openWorker([all]);
    const startedAt = t.now();
    const error = await errorOf(t.result(await t.client.start(all, ["5", "2!", "1", "3!"])));
    expect(error).toMatchObject({ cause: { message: "2!" } });
    expect(t.now() - startedAt).toBe(2_000);
  });

  it("over five hundred activities gives five hundred results, from one commit of commands", async () => {
    const wide = workflow("wide", async (count: number) => {
      const names = Array.from({ length: count }, (_, index) => `${index % 7} #${index}`);
      const results = await Promise.all(names.map((name) => work(name)));
      return results.every((result, index) => result === names[index]) ? results.length : -1;
    });
    await using t = await openWorker([wide]);
    const run = await t.client.start(wide, 500);
    expect(await t.result(run)).toBe(500);
    const events = await eventsOf(run);
    expect(events.filter((event) => event.type === "ActivityCompleted")).toHaveLength(500);
    expect(events[500]?.type).toMatch(/^Activity(Scheduled|Started)$/);
  });

  it("over five hundred children gives five hundred results", async () => {
    const leaf = workflow("leaf", async (n: number) => {
      await sleep((n % 10) * 1_000);
      return n;
    });
    const wide = workflow("wide", async (count: number) => {
      const results = await Promise.all(Array.from({ length: count }, (_, n) => child(leaf, n)));
      return results.reduce((sum, n) => sum + n, 0);
    });
    await using t = await TestEngine.open({ workflows: [wide, leaf], residentMax: 50 });
    expect(await t.result(await t.client.start(wide, 500))).toBe((499 * 500) / 2);
  });
});

describe("Promise.race", () => {
  it("goes to what was recorded first, and a replay in the middle does not change that", async () => {
    // I-46
    const race = workflow("race", async (names: readonly string[]) => {
      const winner = await Promise.race(
        names.map((name) => work(name).catch((error: Error) => error.message)),
      );
      await sleep("1h");
      return winner;
    });
    await using t = await openWorker([race]);
    const run = await t.client.start(race, ["3", "1", "2"]);
    await t.skip("10s");
    await t.crash();
    expect(await t.result(run)).toBe("1");
  });

  it("between a signal, a timer and an activity", async () => {
    const go = signal<string>("go");
    const race = workflow("race", (seconds: string) =>
      Promise.race([receive(go), sleep("3s").then(() => "timer"), work(seconds)]),
    );
    await using t = await openWorker([race]);
    expect(await t.result(await t.client.start(race, "5"))).toBe("timer");
    expect(await t.result(await t.client.start(race, "2"))).toBe("2");
    const third = await t.client.start(race, "5");
    await t.skip("1s");
    await third.signal(go, "signal");
    expect(await t.result(third)).toBe("signal");
  });
});

describe("Promise.any", () => {
  it("goes to the first success", async () => {
    const any = workflow("any", (names: readonly string[]) => Promise.any(names.map((name) => work(name))));
    await using t = await openWorker([any]);
    expect(await t.result(await t.client.start(any, ["1!", "3", "2"]))).toBe("2");
  });

  it("fails when all fail", async () => {
    const any = workflow("any", (names: readonly string[]) => Promise.any(names.map((name) => work(name))));
    await using t = await openWorker([any]);
    const error = await errorOf(t.result(await t.client.start(any, ["1!", "2!"])));
    expect(error).toMatchObject({ kind: "application", type: "AggregateError" });
  });
});

describe("Promise.allSettled", () => {
  it("gives every outcome", async () => {
    const settle = workflow("settle", async (names: readonly string[]) => {
      const outcomes = await Promise.allSettled(names.map((name) => work(name)));
      return outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : "failed"));
    });
    await using t = await openWorker([settle]);
    expect(await t.result(await t.client.start(settle, ["2", "1!", "3"]))).toEqual(["2", "failed", "3"]);
  });
});

describe("any mixture of promises", () => {
  type Plan =
    | { readonly kind: "work"; readonly name: string }
    | { readonly kind: "sleep"; readonly seconds: number }
    | { readonly kind: "receive" }
    | { readonly kind: "all" | "race" | "any" | "settled" | "sequence"; readonly of: readonly Plan[] };

  const item = signal<number>("item");

  async function follow(plan: Plan): Promise<unknown> {
    switch (plan.kind) {
      case "work":
        return work(plan.name);
      case "sleep":
        await sleep(plan.seconds * 1_000);
        return `slept ${plan.seconds}`;
      case "receive":
        return receive(item, { timeout: "3s" });
      case "all":
        return Promise.all(plan.of.map(follow));
      case "race":
        return Promise.race(plan.of.map(follow));
      case "any":
        return Promise.any(plan.of.map(follow));
      case "settled":
        return (await Promise.allSettled(plan.of.map(follow))).map(({ status }) => status);
      case "sequence": {
        const results: unknown[] = [];
        for (const part of plan.of) results.push(await follow(part));
        return results;
      }
    }
  }

  const planned = workflow("planned", async (plan: Plan) => {
    try {
      return await follow(plan);
    } catch (error) {
      return `failed: ${(error as Error).message}`;
    }
  });

  const { plan: anyPlan } = fc.letrec<{ plan: Plan; leaf: Plan; node: Plan }>((tie) => ({
    plan: fc.oneof({ maxDepth: 3, withCrossShrink: true }, tie("leaf"), tie("node")),
    leaf: fc.oneof(
      fc.tuple(fc.nat({ max: 9 }), fc.constantFrom("", "!")).map(([seconds, mark]) => ({
        kind: "work" as const,
        name: `${seconds}${mark}`,
      })),
      fc.nat({ max: 9 }).map((seconds) => ({ kind: "sleep" as const, seconds })),
      fc.constant({ kind: "receive" as const }),
    ),
    node: fc.record({
      kind: fc.constantFrom("all", "race", "any", "settled", "sequence"),
      of: fc.array(tie("plan"), { minLength: 1, maxLength: 4 }),
    }),
  }));

  /** The commands and outcomes of a run, without what differs from life to life. */
  async function shapeOf(run: RunHandle): Promise<readonly string[]> {
    return (await eventsOf(run))
      .filter((event) => event.type !== "ActivityStarted")
      .map((event) => `${event.type} ${"ordinal" in event ? event.ordinal : ""}`);
  }

  it("replays from every point, and comes to the same end with crashes between all its events", async () => {
    // I-41, I-46: the replay check at the end of the scope replays every history
    await fc.assert(
      fc.asyncProperty(anyPlan, fc.array(fc.nat({ max: 10 }), { maxLength: 3 }), async (plan, signalsAt) => {
        const play = async (mayCrash: boolean) => {
          // No activity ends at the instant of a timer or of another: who comes first then is nobody's promise, and a
          // crash may change it.
          let callCount = 0;
          await using t = await openWorker([planned], () => (++callCount * 37) % 997);
          const run = await t.client.start(planned, plan);
          for (let second = 0; second <= 40; second++) {
            for (const at of signalsAt) {
              if (at === second) await run.signal(item, at).catch(() => undefined);
            }
            // A crash where nothing is under way leaves the outcomes at their instants.
            if (mayCrash && t.activitiesInFlight === 0) await t.crash();
            await t.skip("1s");
          }
          return { result: await t.result(run), shape: await shapeOf(run) };
        };
        const control = await play(false);
        expect(await play(true)).toEqual(control);
      }),
      { numRuns: 60 },
    );
  });
});
