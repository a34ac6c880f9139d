import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { isAionError } from "../core/errors.ts";
import { openMemoryStore } from "../store/memory.ts";
import { openSqliteStore } from "../store/sqlite/store.ts";
import { TestEngine } from "./index.ts";
import { activity, child, continueAsNew, receive, signal, sleep, step, workflow } from "../workflow/index.ts";

const go = signal("go");
const call = activity("call", async (n: number): Promise<number> => n);
const caller = workflow("caller", (n: number) => call(n));
const waiter = workflow("waiter", () => receive(go));
const napper = workflow("napper", async (ms: number) => {
  await sleep(ms);
  return "slept";
});
const forever = () => new Promise<never>(() => undefined);

/** The code of the error that a promise rejects with. */
async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return isAionError(error) ? error.code : error;
  }
  return undefined;
}

describe("TestEngine.skip", () => {
  it("fires everything on its way in order, and lets all settle in between", async () => {
    const order: string[] = [];
    const chained = workflow("chained", async (name: string) => {
      for (let round = 1; round <= 3; round++) {
        await sleep(name === "fast" ? "2m" : "3m");
        await step("note", () => void order.push(`${name} ${round}`));
      }
    });
    await using t = await TestEngine.open({ workflows: [chained] });
    await t.client.start(chained, "fast");
    await t.client.start(chained, "slow");
    await t.skip("1h");
    expect(order).toEqual(["fast 1", "slow 1", "fast 2", "fast 3", "slow 2", "slow 3"]);
  });

  it("moves the clock by exactly what it was told, whatever fires", async () => {
    await using t = await TestEngine.open({ workflows: [napper], startAt: new Date("2031-05-01T00:00:00Z") });
    await t.client.start(napper, 12_345);
    await t.skip("1 day");
    expect(new Date(t.now()).toISOString()).toBe("2031-05-02T00:00:00.000Z");
    await t.skip(1);
    expect(t.now() % 1_000).toBe(1);
  });

  it("takes milliseconds of real time for a year", async () => {
    await using t = await TestEngine.open({ workflows: [napper] });
    const run = await t.client.start(napper, 364 * 86_400_000);
    await t.skip("365 days");
    expect(await run.result()).toBe("slept");
  });
});

describe("TestEngine.settle", () => {
  it("lets no time pass", async () => {
    await using t = await TestEngine.open({ workflows: [napper] });
    const run = await t.client.start(napper, 1);
    await t.settle();
    expect((await run.describe()).status).toBe("running");
  });

  it("waits for activities that wait for the machine: files, timers, the network", async () => {
    const server = createServer((_request, response) => void setTimeout(20).then(() => response.end("pong")));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const real = workflow("real", (which: string) => activity(which, async () => undefined)(undefined));
    const t = await TestEngine.open({
      workflows: [real],
      activities: {
        file: async () => (await readFile(import.meta.filename, "utf8")).length > 0,
        timer: async () => setTimeout(20, "rang"),
        network: async () => (await fetch(`http://127.0.0.1:${port}/`)).text(),
        mixture: async () => {
          await setTimeout(5);
          await readFile(import.meta.filename);
          return (await fetch(`http://127.0.0.1:${port}/`)).text();
        },
      },
    });
    for (const [which, result] of [
      ["file", true],
      ["timer", "rang"],
      ["network", "pong"],
      // Over a connection that the one before opened.
      ["network", "pong"],
      ["mixture", "pong"],
    ] as const) {
      const run = await t.client.start(real, which);
      await t.settle();
      expect([which, t.activitiesInFlight, await run.result()]).toEqual([which, 0, result]);
    }
    await t.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it("does not wait for one that only virtual time, its signal or the test can move", async () => {
    const gate = Promise.withResolvers<number>();
    const waits: Readonly<Record<string, () => Promise<unknown>>> = {
      delay: () => t.delay("1m"),
      test: () => gate.promise,
      forever,
    };
    const real = workflow("real", (which: string) =>
      activity("wait", async (_which: string) => undefined)(which),
    );
    await using t = await TestEngine.open({
      workflows: [real],
      activities: { wait: (which: string) => waits[which]?.() },
    });
    for (const which of Object.keys(waits)) await t.client.start(real, which);
    await t.settle();
    expect(t.activitiesInFlight).toBe(3);
    gate.resolve(1);
    await t.settle();
    expect(t.activitiesInFlight).toBe(2);
    await t.skip("1m");
    expect(t.activitiesInFlight).toBe(1);
  });
});

describe("TestEngine.result", () => {
  it("skips as much time as the run needs, and no more", async () => {
    await using t = await TestEngine.open({ workflows: [napper] });
    const startedAt = t.now();
    const run = await t.client.start(napper, 3 * 86_400_000 + 7);
    expect(await t.result(run)).toBe("slept");
    expect(t.now() - startedAt).toBe(3 * 86_400_000 + 7);
  });

  it("says what the open runs wait for when nothing can move them any more", async () => {
    const stuck = workflow("stuck", () =>
      Promise.all([child(waiter, undefined, { id: "kid" }), call(1), receive(go)]),
    );
    await using t = await TestEngine.open({ workflows: [stuck, waiter], activities: { call: forever } });
    const run = await t.client.start(stuck, undefined, { id: "parent" });
    const error: unknown = await t.result(run).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "result_timeout" });
    expect(String(error)).toContain("nothing is left that time could move");
    expect(String(error)).toContain(
      'parent (stuck) waits for activity "call" (attempt 1, under way), child kid',
    );
    expect(String(error)).toContain("kid (waiter) waits for a signal");
  });

  it("gives up when more time would have to pass than it was given", async () => {
    await using t = await TestEngine.open({ workflows: [napper] });
    const run = await t.client.start(napper, 2 * 86_400_000);
    const error: unknown = await t.result(run, { within: "1 day" }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "result_timeout" });
    expect(String(error)).toContain("a timer at 2030-01-03T00:00:00.000Z");
    expect(await t.result(run)).toBe("slept");
  });

  it("throws what the run failed with", async () => {
    await using t = await TestEngine.open({
      workflows: [caller],
      activities: {
        call: () => {
          throw new RangeError("no");
        },
      },
    });
    const error: unknown = await t.result(await t.client.start(caller, 1)).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ kind: "activity", cause: { type: "RangeError" } });
  });

  it("of an unknown run says so", async () => {
    await using t = await TestEngine.open({ workflows: [caller] });
    expect(await codeOf(t.result(t.client.get("nobody")))).toBe("run_not_found");
  });

  it("goes on over a crash that comes while it waits", async () => {
    await using t = await TestEngine.open({ workflows: [napper] });
    const run = await t.client.start(napper, 3_600_000);
    const crashing = t.delay("30m").then(() => t.crash());
    expect(await t.result(run)).toBe("slept");
    await crashing;
  });
});

describe("TestEngine.crash", () => {
  it("keeps what was acknowledged and cuts off the rest", async () => {
    await using t = await TestEngine.open({ workflows: [waiter] });
    const kept = await t.client.start(waiter, undefined, { id: "kept" });
    const lost = t.client.start(waiter, undefined, { id: "lost" });
    lost.catch(() => undefined);
    await t.crash();
    expect(await codeOf(lost)).toBe("transport_failed");
    expect((await kept.describe()).status).toBe("running");
    expect(await t.client.count()).toBe(1);
  });

  it("lets readers wait on, and the mocks of the dead process count for nothing", async () => {
    const gate = Promise.withResolvers<number>();
    let lives = 0;
    const mock = async (n: number) => (++lives === 1 ? gate.promise : n);
    await using t = await TestEngine.open({ workflows: [caller], activities: { call: mock } });
    const run = await t.client.start(caller, 5);
    const result = run.result();
    await t.settle();
    await t.crash();
    gate.resolve(999);
    expect(await result).toBe(5);
    await t.settle();
    expect(t.calls("call").map((each) => each.outcome)).toEqual([
      { ok: true, value: 999 },
      { ok: true, value: 5 },
    ]);
  });

  it("may come while another one is on its way", async () => {
    await using t = await TestEngine.open({ workflows: [napper] });
    const run = await t.client.start(napper, 1_000);
    await Promise.all([t.crash(), t.crash(), t.crash()]);
    expect(await t.result(run)).toBe("slept");
  });

  it("opens with other code and other mocks, if it is given any", async () => {
    await using t = await TestEngine.open({ workflows: [caller], activities: { call: forever } });
    const run = await t.client.start(caller, 5);
    await t.settle();
    await t.crash({ activities: { call: (n: number) => n + 1 } });
    expect(await t.result(run)).toBe(6);
  });

  it("fails, and so does all that comes after it, when the new code cannot be opened", async () => {
    const t = await TestEngine.open({ workflows: [caller] });
    expect(await codeOf(t.crash({ workflows: [caller, caller] }))).toBe("definition_duplicate");
    expect(await codeOf(t.client.count())).toBe("definition_duplicate");
    expect(await codeOf(t.close())).toBe("definition_duplicate");
  });
});

describe("TestEngine.close", () => {
  it("replays every history and throws when the code has diverged from one, naming the run", async () => {
    let isChanged = false;
    const shifty = workflow("shifty", async () => {
      if (isChanged) await sleep("1s");
      return call(1);
    });
    const t = await TestEngine.open({ workflows: [shifty, napper], activities: { call: (n: number) => n } });
    const run = await t.client.start(shifty);
    await t.result(run);
    await t.result(await t.client.start(napper, 10));
    expect(await t.checkReplay()).toBe(2);
    isChanged = true;
    const error: unknown = await t.close().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "nondeterminism" });
    expect(String(error)).toContain(`run ${run.runId} of workflow ${run.workflowId}`);
    expect(String(error)).toContain("1 fault(s) in 2 run(s)");
  });

  it("replays each run of a chain, and runs that are still open", async () => {
    const chain = workflow("chain", async (left: number): Promise<void> => {
      await sleep("1s");
      if (left > 0) continueAsNew(left - 1);
      await receive(go);
    });
    await using t = await TestEngine.open({ workflows: [chain] });
    await t.client.start(chain, 3);
    await t.skip("1m");
    expect(await t.checkReplay()).toBe(4);
  });

  it("sees code that asks for more than its open history holds", async () => {
    let isGreedy = false;
    const greedy = workflow("greedy", async () => {
      if (isGreedy) void call(1);
      await receive(go);
    });
    const t = await TestEngine.open({ workflows: [greedy], activities: { call: (n: number) => n } });
    await t.client.start(greedy);
    isGreedy = true;
    const error: unknown = await t.close().catch((reason: unknown) => reason);
    expect(String(error)).toContain('run-activity "call" #0 beyond the end of its history');
  });

  it("reports a run that the engine failed for it while nobody looked", async () => {
    const bad = workflow("bad", async () => {
      await forever();
    });
    const t = await TestEngine.open({ workflows: [bad] });
    await t.client.start(bad);
    await t.settle();
    expect(await codeOf(t.close())).toBe("nondeterminism");
    const other = await TestEngine.open({ workflows: [bad] });
    await other.client.start(bad);
    await other.settle();
    await other.close({ checkReplay: false });
  });

  it("may be called twice, and ends what is still asked", async () => {
    const t = await TestEngine.open({ workflows: [waiter] });
    const run = await t.client.start(waiter);
    const result = codeOf(run.result());
    await Promise.all([t.close(), t.close()]);
    await t[Symbol.asyncDispose]();
    expect(await result).toBe("engine_closed");
    expect(await codeOf(t.client.count())).toBe("engine_closed");
    expect(await codeOf(t.crash())).toBe("engine_closed");
  });

  it("gives the listeners for rejections back", async () => {
    const before = process.listeners("unhandledRejection");
    const first = await TestEngine.open({ workflows: [waiter] });
    const second = await TestEngine.open({ workflows: [waiter] });
    await first.close();
    expect(process.listeners("unhandledRejection")).not.toEqual(before);
    await second.close();
    expect(process.listeners("unhandledRejection")).toEqual(before);
  });
});

describe("mocks", () => {
  it("stand in by name for what the workflow calls, and their calls are noted", async () => {
    await using t = await TestEngine.open({
      workflows: [caller],
      activities: { call: async (n: number) => n * 10 },
    });
    const startedAt = t.now();
    const run = await t.client.start(caller, 4);
    expect(await t.result(run)).toBe(40);
    expect(t.calls("call")).toEqual([
      {
        input: 4,
        workflowId: run.workflowId,
        runId: run.runId,
        attempt: 1,
        idempotencyKey: `${run.runId}:0`,
        calledAt: startedAt,
        outcome: { ok: true, value: 40 },
      },
    ]);
    expect(t.calls("nobody")).toEqual([]);
  });

  it("may be definitions, in a list or among mocks", async () => {
    for (const activities of [[call], { call }]) {
      await using t = await TestEngine.open({ workflows: [caller], activities });
      expect(await t.result(await t.client.start(caller, 4))).toBe(4);
      expect(t.calls("call")).toHaveLength(1);
    }
  });

  it("must be functions", async () => {
    const activities = { call: 5 } as unknown as Record<string, () => number>;
    expect(await codeOf(TestEngine.open({ workflows: [caller], activities }))).toBe("invalid_argument");
    const children = { kid: "no" } as unknown as Record<string, () => string>;
    expect(await codeOf(TestEngine.open({ workflows: [caller], children }))).toBe("invalid_argument");
  });
});

describe("a test engine", () => {
  it("gives the same run ids for the same seed, and others for another", async () => {
    const runIds = async (seed: number) => {
      await using t = await TestEngine.open({ workflows: [waiter], seed });
      const runs = [await t.client.start(waiter), await t.client.start(waiter)];
      return runs.map((run) => run.runId);
    };
    expect(await runIds(1)).toEqual(await runIds(1));
    expect(await runIds(1)).not.toEqual(await runIds(2));
  });

  it.each([
    ["memory", () => openMemoryStore()],
    ["SQLite", () => openSqliteStore({ path: ":memory:" })],
  ])("runs over a %s store that it is given, and leaves it open", async (_name, openStore) => {
    const store = openStore();
    {
      await using t = await TestEngine.open({ workflows: [caller, waiter], activities: [call], store });
      expect(await t.result(await t.client.start(caller, 1, { id: "first" }))).toBe(1);
      await t.client.start(waiter, undefined, { id: "second" });
      await t.crash();
    }
    {
      await using t = await TestEngine.open({ workflows: [caller, waiter], activities: [call], store });
      expect(await t.client.get("first").result()).toBe(1);
      const second = t.client.get("second");
      await second.signal(go);
      await t.result(second);
    }
    await store.close();
  });

  it("lives beside others, each with its own time", async () => {
    await using first = await TestEngine.open({ workflows: [napper] });
    await using second = await TestEngine.open({ workflows: [napper] });
    const run = await first.client.start(napper, 60_000);
    await second.skip("1 day");
    expect((await run.describe()).status).toBe("running");
    expect(await first.result(run)).toBe("slept");
  });
});
