/** What is said twice counts once. */
import { describe, expect, it } from "vitest";
import { AionError } from "../../src/core/errors.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { activity, receive, signal, sleep, workflow } from "../../src/workflow/index.ts";
import { checkAtRest, checkLaws } from "./laws.ts";
import { overStore } from "./over-store.ts";
import { World } from "./world.ts";
import type { Fault } from "./world.ts";

const one = activity("one", (_input: unknown): unknown => "never called here");
const two = activity("two", (_input: unknown): unknown => "never called here");
const go = signal<string>("go");

const countOf = async (world: World, type: string): Promise<number> =>
  (await world.history("main")).filter((event) => event.type === type).length;

describe("the completion of an attempt", () => {
  type Settle = (resolve: (value: unknown) => void, reject: (error: unknown) => void) => void;

  // I-11
  it.each<[string, Settle, "completes" | "fails"]>([
    ["completes twice", (resolve) => [resolve("first"), resolve("second")], "completes"],
    [
      "completes and then fails",
      (resolve, reject) => [resolve("first"), reject(new Error("late"))],
      "completes",
    ],
    ["fails and then completes", (resolve, reject) => [reject(new Error("first")), resolve("late")], "fails"],
    ["fails twice", (_resolve, reject) => [reject(new Error("first")), reject(new Error("late"))], "fails"],
    [
      "completes and then throws",
      (resolve) => {
        resolve("first");
        throw new Error("late");
      },
      "completes",
    ],
    [
      "throws",
      () => {
        throw new Error("first");
      },
      "fails",
    ],
  ])("by an object with a `then` that %s is the first one alone", async (_what, settle, end) => {
    const world = new World({
      activities: (of) => [
        activity("one", async (input: unknown, task) => of.effect(task, input)),
        activity("two", (_input: unknown, task): unknown => ({
          // oxlint-disable-next-line unicorn/no-thenable -- the subject: query builders and their kin
          then: (resolve: (value: unknown) => void, reject: (error: unknown) => void) => {
            void of.effect(task, undefined);
            settle(resolve, reject);
          },
        })),
      ],
      workflows: () => [
        workflow("main", async () => {
          const outcome = await two(null).then(
            (value) => `completed: ${String(value)}`,
            (error: Error) => `failed: ${(error.cause as Error).message}`,
          );
          await one(null);
          return outcome;
        }),
        workflow("beside", async () => {
          await one(null);
          return "unharmed";
        }),
      ],
    });
    const { client } = await world.open();
    // In one batch, so that what one commit leads to could keep the other from being heard of.
    const runs = [client.start("main", null, { id: "main" }), client.start("beside", null)] as const;
    const [main, beside] = await world.during(Promise.all(runs));
    expect(await world.during(main.result())).toBe(
      end === "completes" ? "completed: first" : "failed: first",
    );
    expect(await world.during(beside.result())).toBe("unharmed");
    expect(await countOf(world, "ActivityCompleted")).toBe(end === "completes" ? 2 : 1);
    expect(await countOf(world, "ActivityFailed")).toBe(end === "completes" ? 0 : 1);
    expect(world.logged.filter(({ level }) => level === "error")).toEqual([]);
    for (const count of world.effectCounts().values()) expect(count).toBe(1);
    await checkLaws(world);
    await checkAtRest(world);
  });

  // I-11, I-6, I-8
  it("that was recorded, and is offered again because nobody could tell, is recorded once", async () => {
    const inner = openMemoryStore();
    let refusals = 0;
    let isBlind = false;
    const world: World = new World({
      activities: (of) => [
        activity("one", async (input: unknown, task) => {
          await of.effect(task, input);
          return task.attempt;
        }),
      ],
      workflows: () => [
        workflow("main", async () => {
          const first = await one("a");
          await sleep("1 minute");
          return [first, await one("b")];
        }),
      ],
      fault: ({ commits }): Fault | undefined => {
        const isMeant = commits.some(({ run }) => run?.events[0]?.type === "ActivityCompleted");
        if (!isMeant || refusals > 0) return undefined;
        isBlind = true;
        return "unknown-made";
      },
      store: () =>
        overStore(inner, {
          // The commit is to be resolved by reading, and the disk does not answer either.
          readSegment: (...args) => {
            if (!isBlind) return inner.readSegment(...args);
            isBlind = false;
            refusals += 1;
            return Promise.reject(new AionError("store_unavailable", "the disk does not answer"));
          },
        }),
    });
    const { client } = await world.open();
    const run = await world.during(client.start("main", null, { id: "main" }));
    expect(await world.during(run.result())).toEqual([1, 1]);
    expect(refusals).toBe(1);
    expect(await countOf(world, "ActivityCompleted")).toBe(2);
    expect(world.effects).toHaveLength(2);
    await checkLaws(world);
    await checkAtRest(world);
  });
});

describe("a heartbeat", () => {
  // I-14
  it("that comes while the run's commit is under way is on disk a second later all the same", async () => {
    const inner = openMemoryStore();
    let slowMs = 0;
    const seen: unknown[] = [];
    const world: World = new World({
      activities: (of) => [
        activity("one", async (_input: unknown, task) => {
          seen.push(task.lastHeartbeat);
          if (task.attempt > 1) return "done";
          task.heartbeat("before the commit");
          await of.pause(700);
          task.heartbeat("during the commit");
          await of.pause(1e9);
          return "never";
        }),
      ],
      workflows: () => [
        workflow("main", async () => {
          void receive(go);
          return one(null);
        }),
      ],
      store: () =>
        overStore(inner, {
          append: async (token, commits) => {
            if (slowMs > 0) await world.idle(slowMs);
            return inner.append(token, commits);
          },
        }),
    });
    const { client } = await world.open();
    const run = await world.during(client.start("main", null, { id: "main" }));
    await world.advance(500);
    // Holds the first beat, and takes until after the moment at which the second would be written by itself.
    slowMs = 1_000;
    const signalled = run.signal(go, "now");
    await world.advance(600);
    slowMs = 0;
    await world.during(signalled);
    await world.advance(1_000);
    world.kill();
    await world.during(world.up());
    expect(await world.during(world.process.client.get("main").result())).toBe("done");
    expect(seen).toEqual([undefined, "during the commit"]);
  });
});
