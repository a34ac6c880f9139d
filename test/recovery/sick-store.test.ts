/** A store that fails for a while, and what that must not do: it holds nothing against a run, and nothing known is forgotten. */
import { describe, expect, it } from "vitest";
import { AionError } from "../../src/core/errors.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import type { Commit, Store } from "../../src/store/contract.ts";
import type { ActivityTask } from "../../src/workflow/definition.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import {
  activity,
  ApplicationFailure,
  child,
  continueAsNew,
  expose,
  query,
  receive,
  signal,
  sleep,
  workflow,
} from "../../src/workflow/index.ts";
import { crashActivities } from "./crash-programs.ts";
import { checkAtRest, checkLaws } from "./laws.ts";
import { overStore } from "./over-store.ts";
import { World } from "./world.ts";
import type { WorldOptions } from "./world.ts";

const work = activity("work", (_input: object): string => "never called here");
const go = signal<number>("go");

function busy(): AionError {
  return new AionError("store_unavailable", "the store is busy");
}

/** A memory store on the world's clock, some methods of which are replaced. */
function sickStore(
  methods: (inner: Store, world: World) => Partial<Store>,
): Pick<WorldOptions, "store" | "activities"> {
  return {
    activities: crashActivities,
    store: (world) => {
      const inner = openMemoryStore({
        clock: { now: () => world.nowMs },
        defer: (done) => queueMicrotask(done),
      });
      return overStore(inner, methods(inner, world));
    },
  };
}

function holds(commits: readonly Commit[], type: string): boolean {
  return commits.some(({ run, start }) =>
    [...(run?.events ?? []), ...(start?.events ?? [])].some((event) => event.type === type),
  );
}

describe("a store that cannot be read for a while", () => {
  // I-29, I-8
  it("does not make the engine forget an outcome that it could not record either", async () => {
    const sick = { reads: 0 };
    const world = new World({
      ...sickStore((inner) => ({
        findRun: (...args) => {
          sick.reads -= 1;
          return sick.reads >= 0 ? Promise.reject(busy()) : inner.findRun(...args);
        },
      })),
      workflows: () => [workflow("main", async () => work({ label: "one", ms: 100 }))],
      fault: ({ commits }) => {
        if (!holds(commits, "ActivityCompleted") || sick.reads < 0) return undefined;
        sick.reads = 3;
        return "full";
      },
    });
    const { client } = await world.open();
    const run = await world.during(client.start("main", null, { id: "main" }));
    sick.reads = 0;
    expect(await world.during(run.result())).toBe("one done");
    expect(world.effects).toHaveLength(1);
    await checkLaws(world);
    await checkAtRest(world);
  });

  // I-6, I-34
  it("does not make the engine take a commit for refused of which only reading can tell", async () => {
    const sick = { reads: 0 };
    const world = new World({
      ...sickStore((inner) => ({
        readSegment: (...args) => {
          sick.reads -= 1;
          return sick.reads >= 0 ? Promise.reject(busy()) : inner.readSegment(...args);
        },
      })),
      workflows: () => [
        workflow("leaf", async () => {
          await sleep(100);
          return "leaf";
        }),
        workflow("main", async () => child("leaf", null)),
      ],
      fault: ({ commits }) => {
        if (!holds(commits, "WorkflowCompleted") || sick.reads < 0) return undefined;
        sick.reads = 5;
        return "unknown-made";
      },
    });
    const { client } = await world.open();
    const run = await world.during(client.start("main", null, { id: "main" }));
    sick.reads = 0;
    expect(await world.during(run.result(), 60_000)).toBe("leaf");
    await checkAtRest(world);
  });

  // I-11, I-29
  it("is no reason to hold a run, however long it lasts", async () => {
    const sick = { untilMs: 0 };
    const world: World = new World({
      ...sickStore((inner) => ({
        readSegment: (...args) =>
          world.nowMs < sick.untilMs ? Promise.reject(busy()) : inner.readSegment(...args),
      })),
      workflows: () => [workflow("main", async () => work({ label: "one", ms: 100 }))],
    });
    const { client } = await world.open();
    await world.during(client.start("main", null, { id: "main" }));
    sick.untilMs = world.nowMs + 10 * 60_000;
    world.kill();
    await world.during(world.up());
    await world.advance(10 * 60_000);
    const result = world.call((again) => again.get("main").result());
    expect(await world.during(result, 60_000)).toBe("one done");
    expect((await world.runs())[0]?.blocked).toBeUndefined();
  });
});

describe("a store that cannot be written for a while", () => {
  // I-47, I-27
  it("answers questions all the while, however long it lasts", async () => {
    const stage = query<string>("stage");
    let isFull = false;
    const full = () => Promise.reject(new AionError("store_full", "no space is left"));
    const world = new World({
      ...sickStore((inner) => ({
        renew: (...args) => (isFull ? full() : inner.renew(...args)),
        append: (...args) => (isFull ? full() : inner.append(...args)),
      })),
      workflows: () => [
        workflow("main", async () => {
          expose(stage, () => "waiting");
          return receive(go);
        }),
      ],
    });
    const { client } = await world.open();
    const run = await world.during(client.start("main", null, { id: "main" }));
    isFull = true;
    expect(await world.during(run.query(stage))).toBe("waiting");
    await expect(world.during(run.signal(go, 1))).rejects.toMatchObject({ code: "store_full" });
    // Nobody has owned the store since, though the lease may have run out.
    world.nowMs += 1e14;
    expect(await world.during(run.query(stage))).toBe("waiting");
    isFull = false;
    await world.during(run.signal(go, 2));
    expect(await world.during(run.result())).toBe(2);
  });
});

describe("a store that cannot be read while an engine starts", () => {
  // I-29, I-11
  it.each([true, false])(
    "leaves no run behind that must move, its report read or not (%s)",
    async (reports) => {
      const sick = { isSick: false, refusals: 0 };
      const world = new World({
        ...sickStore((inner) => ({
          readHeartbeats: (...args) => {
            if (!sick.isSick) return inner.readHeartbeats(...args);
            sick.refusals += 1;
            return Promise.reject(busy());
          },
        })),
        workflows: () => [workflow("main", async () => work({ label: "one", ms: 100 }))],
        reports,
        restarts: false,
      });
      const { client } = await world.open();
      await world.during(client.start("main", null, { id: "main" }));
      world.kill();
      sick.isSick = true;
      const next = await world.open();
      expect(next.reports).toHaveLength(reports ? 1 : 0);
      await world.advance(5_000);
      sick.isSick = false;
      expect(await world.during(next.client.get("main").result())).toBe("one done");
      expect(sick.refusals).toBeGreaterThan(0);
      await checkLaws(world);
      await checkAtRest(world);
    },
  );
});

describe("a commit that is refused late", () => {
  // I-28
  it("leaves no timer of the turn that never was to fire in the next", async () => {
    let refusals = 1;
    const world: World = new World({
      ...sickStore((inner) => ({
        append: async (token, commits) => {
          if (refusals === 0 || !holds(commits, "TimerStarted")) return inner.append(token, commits);
          refusals -= 1;
          await world.idle(150);
          throw new AionError("store_full", "no space is left");
        },
      })),
      workflows: () => [
        workflow("main", async (round: number) => {
          if (round === 0) continueAsNew(1);
          await sleep(100);
        }),
      ],
    });
    const { client } = await world.open();
    const run = await world.during(client.start("main", 0, { id: "main" }));
    await world.during(run.result());
    const events = await world.history("main");
    const begun = events.find((event) => event.type === "TimerStarted");
    const fired = events.find((event) => event.type === "TimerFired");
    expect(fired?.recordedAt).toBeGreaterThanOrEqual(
      begun?.type === "TimerStarted" ? begun.fireAt : Infinity,
    );
    expect(refusals).toBe(0);
  });
});

describe("a commit that is refused while activities stand in line", () => {
  // I-10: who waits for a slot is served
  it("takes with it what stood in line by that commit alone: no slot is kept for it", async () => {
    let refusals = 1;
    const tell = activity("tell", (_input: object): string => "never called here");
    const slow = async (input: { readonly ms?: number }, task: ActivityTask): Promise<string> => {
      await world.effect(task, input);
      await world.pause(input.ms ?? 1);
      return "done";
    };
    const world: World = new World({
      workflows: () => [
        workflow("holder", async (isTelling: boolean) => (isTelling ? tell : work)({ ms: 100 })),
        // Which of the two is the first activity hangs on what comes first.
        workflow("main", async () => {
          await Promise.all([receive(go).then(() => tell({})), sleep(50).then(() => work({}))]);
        }),
      ],
      activities: () => [activity("work", slow), activity("tell", slow)],
      kernel: { activityConcurrencyPerType: { work: 1, tell: 1 } },
      fault: ({ commits }) => {
        if (refusals === 0 || !holds(commits, "SignalReceived")) return undefined;
        refusals -= 1;
        return "full";
      },
    });
    const { client } = await world.open();
    const begin = (type: string, input: unknown) => client.start(type, input);
    const [main, ...holders] = await world.during(
      Promise.all([begin("main", null), begin("holder", true), begin("holder", false)]),
    );
    await expect(world.during(main.signal(go, 1))).rejects.toMatchObject({ code: "store_full" });
    await world.advance(70);
    await world.during(main.signal(go, 1));
    for (const run of [...holders, main]) await world.during(run.result());
    // Nobody has the slots now.
    for (const isTelling of [true, false]) {
      const run = await world.during(begin("holder", isTelling));
      await world.during(run.result());
    }
    await checkAtRest(world);
  });
});

describe("a run that begins while it is looked for", () => {
  /** The first look comes after the start is on disk, and the engine hears of that later still. */
  function lookingWorld(): { readonly world: World; readonly seen: (string | undefined)[] } {
    const isOnDisk = Promise.withResolvers<void>();
    let lookCount = 0;
    const seen: (string | undefined)[] = [];
    const inner: { store?: Store } = {};
    const slow = activity("work", async (_input: object, task) => {
      await world.effect(task, null);
      seen.push((await inner.store?.findRun("main" as WorkflowId))?.status);
      await world.pause(20);
      return "done";
    });
    const world: World = new World({
      ...sickStore((store) => {
        inner.store = store;
        return {
          append: async (token, commits) => {
            const results = await store.append(token, commits);
            if (commits.some(({ start }) => start !== undefined)) {
              isOnDisk.resolve();
              await world.idle(50);
            }
            return results;
          },
          findRun: async (...args) => {
            lookCount += 1;
            if (lookCount === 1) await isOnDisk.promise;
            return store.findRun(...args);
          },
        };
      }),
      activities: () => [slow],
      workflows: () => [workflow("main", async () => work({}))],
    });
    return { world, seen };
  }

  // I-17, I-8
  it("is the one that was begun, and no second one from the disk", async () => {
    const { world } = lookingWorld();
    const { client } = await world.open();
    const early = client.get("main").cancel();
    early.catch(() => undefined);
    const run = await world.during(client.start("main", null, { id: "main" }));
    await world.during(Promise.allSettled([early, run.result()]));
    expect(world.effects.map(({ attempt }) => attempt)).toEqual([1]);
    await checkLaws(world);
  });

  // I-37
  it("does not go on in memory when it is ended on disk", async () => {
    const { world, seen } = lookingWorld();
    const { client } = await world.open();
    const early = client.get("main").terminate();
    const run = await world.during(client.start("main", null, { id: "main" }));
    await world.during(early);
    await expect(world.during(run.result())).rejects.toMatchObject({ kind: "terminated" });
    await world.advance(1_000);
    // Nothing is begun for a run that has ended.
    expect(seen).toEqual(["running"]);
    await checkLaws(world);
  });
});

describe("a start that is repeated", () => {
  const brief = workflow("main", async () => {
    throw new ApplicationFailure("at once");
  });

  // I-5
  it("while its first copy is under way gives the same run, also if that has ended by then", async () => {
    let lookCount = 0;
    const world: World = new World({
      ...sickStore((inner) => ({
        readRunChain: async (workflowId) => {
          const chain = await inner.readRunChain(workflowId);
          lookCount += 1;
          if (lookCount === 2) await world.idle(100);
          return chain;
        },
      })),
      workflows: () => [brief],
    });
    const { client } = await world.open();
    await world.during(client.start("main", null, { id: "main" }));
    const start = () =>
      client.start("main", null, { id: "main", requestId: "again", signal: [go, 1, { signalId: "s" }] });
    const [first, second] = await world.during(Promise.all([start(), start()]));
    expect(second.runId).toBe(first.runId);
    expect(await world.runs()).toHaveLength(2);
  });

  // I-25, I-22
  it("with a signal that reached a run which has ended since gives that run, and begins no other", async () => {
    const world = new World({
      ...sickStore(() => ({})),
      workflows: () => [workflow("main", async () => receive(go))],
    });
    const { client } = await world.open();
    await world.during(client.start("main", null, { id: "main" }));
    const start = () =>
      client.start("main", null, { id: "main", requestId: "again", signal: [go, 1, { signalId: "s" }] });
    const first = await world.during(start());
    await world.during(first.result());
    const second = await world.during(start());
    expect(second.runId).toBe(first.runId);
    expect(await world.runs()).toHaveLength(1);
  });
});

describe("an engine that was replaced while it was frozen", () => {
  // I-27, I-19
  it("answers no question from its memory", async () => {
    const stage = query<string>("stage");
    const world = new World({
      ...sickStore(() => ({})),
      restarts: false,
      workflows: () => [
        workflow("main", async () => {
          let at = "waiting";
          expose(stage, () => at);
          await receive(go);
          at = "gone on";
          await sleep("1 day");
        }),
      ],
    });
    const old = await world.open();
    const run = await world.during(old.client.start("main", null, { id: "main" }));
    expect(await world.during(run.query(stage))).toBe("waiting");
    const next = await world.takeOver();
    await world.during(next.client.get("main").signal(go, 1));
    expect(await world.during(next.client.get("main").query(stage))).toBe("gone on");
    await expect(world.during(run.query(stage))).rejects.toMatchObject({ code: "not_owner" });
  });
});

describe("a run that is not in memory", () => {
  // I-37
  it("is terminated once by two who ask for it, one of them while the other reads it", async () => {
    let isSlow = false;
    const world: World = new World({
      ...sickStore((inner) => ({
        findRun: async (...args) => {
          const found = await inner.findRun(...args);
          if (isSlow) {
            isSlow = false;
            await world.idle(100);
          }
          return found;
        },
      })),
      workflows: () => [workflow("main", async () => sleep("1 day"))],
    });
    const { client } = await world.open();
    await world.during(client.start("main", null, { id: "main" }));
    world.kill();
    const next = await world.during(world.up());
    isSlow = true;
    const run = next.client.get("main");
    const both = Promise.allSettled([run.terminate("first"), run.terminate("second")]);
    const [first, second] = await world.during(both);
    expect(first.status).toBe("fulfilled");
    expect(second).toMatchObject({ status: "rejected", reason: { code: "run_closed" } });
    await checkLaws(world);
  });
});

describe("a report on all runs", () => {
  // I-17, I-37
  it("takes no run into memory that is ended while the report reads it", async () => {
    let isSlow = false;
    const world: World = new World({
      ...sickStore((inner) => ({
        readSegment: async (...args) => {
          const events = await inner.readSegment(...args);
          if (isSlow) {
            isSlow = false;
            await world.idle(100);
          }
          return events;
        },
      })),
      workflows: () => [workflow("main", async () => sleep("1 day"))],
    });
    const { client } = await world.open();
    await world.during(client.start("main", null, { id: "main" }));
    world.kill();
    const next = await world.during(world.up());
    isSlow = true;
    const reporting = (async () => {
      const outcomes: string[] = [];
      for await (const { outcome } of next.kernel.recover("all")) outcomes.push(outcome.kind);
      return outcomes;
    })();
    await world.advance(50);
    expect(isSlow).toBe(false);
    const ending = next.client.get("main").terminate();
    expect(await world.during(reporting)).toEqual(["resumed"]);
    await world.during(ending);
    expect(next.kernel.residency.size).toBe(0);
    await checkLaws(world);
    await checkAtRest(world);
  });
});

describe("a wake-up", () => {
  // I-29
  it("reaches a run that is put away for another at that very moment", async () => {
    const world = new World({
      ...sickStore(() => ({})),
      kernel: { residentMax: 1, activityConcurrency: 1 },
      workflows: () => [
        workflow("waits", async () =>
          work(
            { label: "waits", ms: 50, failures: 1 },
            { retry: { maxAttempts: 3, initialDelay: 1_000, backoff: "fixed", jitter: 0 } },
          ),
        ),
        workflow("holds", async () => work({ label: "holds", ms: 60_000 })),
        workflow("sleeps", async () => {
          await sleep(500);
          return "awake";
        }),
      ],
    });
    const { client } = await world.open();
    await world.during(client.start("waits", null, { id: "waits" }));
    await world.during(client.start("holds", null, { id: "holds" }));
    await world.advance(550);
    await world.during(client.start("sleeps", null, { id: "sleeps" }));
    expect(await world.during(client.get("sleeps").result(), 5_000)).toBe("awake");
    expect(await world.store.findRun("waits" as WorkflowId)).toMatchObject({ status: "running" });
  });
});
