/** The worker as it is published, against a real engine, through connections that break. */
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { isAionError } from "../../src/core/errors.ts";
import { ApplicationFailure, isFailure } from "../../src/core/failure.ts";
import { SeededRandom } from "../../src/program/random.ts";
import { InProcessTransport } from "../../src/testing/in-process-transport.ts";
import type { ActivityTask } from "../../src/workflow/definition.ts";
import { activity } from "../../src/workflow/definition.ts";
import { Worker } from "../../src/worker/worker.ts";
import type { Fate } from "./real-worker.ts";
import { startWorker } from "./real-worker.ts";
import { attemptsOf, openRemoteWorld } from "./remote-world.ts";

function throwOdd(): never {
  throw new Error("odd");
}

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => value,
    (error: unknown) => error,
  );
}

describe("a worker", () => {
  it("runs activities, with the task that an attempt in the engine's process gets", async () => {
    const { world, start } = await openRemoteWorld();
    const tasks: ActivityTask[] = [];
    startWorker(world, (input, task) => {
      tasks.push(task);
      return `did ${String(input)}`;
    });
    const run = await start("a", "x");
    expect(await world.during(run.result())).toEqual(["did x"]);
    const { runId } = (await world.runs())[0] ?? {};
    expect(tasks).toMatchObject([
      {
        idempotencyKey: `${runId}:0`,
        attempt: 1,
        activityType: "work",
        workflowId: "a",
        runId,
        lastHeartbeat: undefined,
      },
    ]);
    expect(tasks[0]?.signal.aborted).toBe(false);
  });

  it("holds the input against the schema of the activity: one that does not fit is final", async () => {
    const { world, start } = await openRemoteWorld({ work: { retry: {} } });
    let isCalled = false;
    startWorker(world, () => 0, {
      activities: [
        activity("work", { input: z.object({ amount: z.number() }) }, () => {
          isCalled = true;
        }),
      ],
    });
    const run = await start("a", { amount: "much" });
    const error = await errorOf(world.during(run.result()));
    expect(isFailure(error) && error.cause).toMatchObject({ kind: "engine", code: "payload_invalid" });
    expect(isCalled).toBe(false);
  });

  it("holds the result against the schema of the activity before it reports it", async () => {
    const { world, start } = await openRemoteWorld({ work: { retry: {} } });
    let callCount = 0;
    startWorker(world, () => 0, {
      activities: [
        activity("work", { output: z.object({ at: z.string().transform(Number) }) }, (at: unknown) => {
          callCount += 1;
          return { at: at as string };
        }),
      ],
    });
    expect(await world.during((await start("fits", "7")).result())).toEqual([{ at: 7 }]);
    const error = await errorOf(world.during((await start("odd", 7)).result()));
    expect(isFailure(error) && error.cause).toMatchObject({ kind: "engine", code: "payload_invalid" });
    expect(callCount).toBe(2);
  });

  it("fails the attempt, and nothing else, whatever the implementation does", async () => {
    const { world, start } = await openRemoteWorld();
    const worker = startWorker(world, (input) => {
      switch (input) {
        case "throws":
          throw new Error("thrown");
        case "rejects":
          return Promise.reject(new ApplicationFailure("rejected", { type: "No" }));
        case "odd":
          // oxlint-disable-next-line unicorn/no-thenable -- what a library may return
          return Object.fromEntries([["then", throwOdd]]);
        case "cannot be written":
          return 1n;
        default:
          return "fine";
      }
    });
    const messages: unknown[] = [];
    for (const input of ["throws", "rejects", "odd", "cannot be written"]) {
      const run = await start(input, input);
      const error = await errorOf(world.during(run.result()));
      messages.push(isFailure(error) && error.cause instanceof Error ? error.cause.message : error);
    }
    expect(messages).toEqual([
      "thrown",
      "rejected",
      "odd",
      expect.stringContaining("cannot be written as JSON"),
    ]);
    const last = await start("last", "well");
    expect(await world.during(last.result())).toEqual(["fine"]);
    expect(worker.worker.tasksInFlight).toBe(0);
  });

  it("runs no more at once than it has room for, and others have to wait", async () => {
    const { world, start } = await openRemoteWorld();
    const meter = { now: 0, peak: 0 };
    startWorker(
      world,
      async () => {
        meter.now += 1;
        meter.peak = Math.max(meter.peak, meter.now);
        await world.idle(1_000);
        meter.now -= 1;
      },
      { concurrency: 2 },
    );
    const run = await start("a", [1, 2, 3, 4, 5]);
    await world.during(run.result());
    expect(meter).toEqual({ now: 0, peak: 2 });
    expect((await attemptsOf(world, "a")).every((text) => !text.startsWith("failed"))).toBe(true);
  });

  it("stands each execution between its interceptors, the first outermost", async () => {
    const { world, start } = await openRemoteWorld();
    const order: string[] = [];
    const trace = new AsyncLocalStorage<string>();
    startWorker(world, (input) => `${String(input)} in ${trace.getStore()}`, {
      interceptors: [
        async ({ task, input }, next) => {
          order.push(`outer ${String(input)} ${task.attempt}`);
          return trace.run("a trace", () => next(`${String(input)}!`));
        },
        async ({ input }, next) => {
          order.push(`inner ${String(input)}`);
          return [await next(input)];
        },
      ],
    });
    const run = await start("a", "x");
    expect(await world.during(run.result())).toEqual([["x! in a trace"]]);
    expect(order).toEqual(["outer x 1", "inner x!"]);
  });

  it("whose interceptor throws fails the attempt", async () => {
    const { world, start } = await openRemoteWorld();
    startWorker(world, () => 0, {
      interceptors: [
        () => {
          throw new Error("not today");
        },
      ],
    });
    const run = await start("a", "x");
    const error = await errorOf(world.during(run.result()));
    expect(isFailure(error) && error.cause).toMatchObject({ message: "not today" });
  });

  // I-14
  it("keeps an attempt alive by heartbeats, and their details reach the next one", async () => {
    const { world, start } = await openRemoteWorld({ work: { heartbeat: "4s", retry: { jitter: 0 } } });
    const seen: unknown[] = [];
    startWorker(world, async (_input, task) => {
      seen.push(task.lastHeartbeat);
      for (let row = 1; row <= 20; row++) {
        task.heartbeat(row);
        await world.idle(500);
      }
      if (task.attempt === 1) throw new Error("at the end");
      return "done";
    });
    const run = await start("a", "x");
    expect(await world.during(run.result())).toEqual(["done"]);
    // The last of them, though it was held back.
    expect(seen).toEqual([undefined, 20]);
    expect(await attemptsOf(world, "a")).toEqual([
      "started 1 on w1",
      "failed 1",
      "started 2 on w1",
      "completed 2",
    ]);
  });

  it("does not send more heartbeats than are written", async () => {
    let beats = 0;
    const { world, start } = await openRemoteWorld({ work: { heartbeat: "10s" } });
    startWorker(
      world,
      async (_input, task) => {
        for (let count = 0; count < 1_000; count++) {
          task.heartbeat(count);
          await world.idle(10);
        }
      },
      {
        fate: (frame) => {
          if (frame.type === "heartbeat") beats += 1;
          return "arrives";
        },
      },
    );
    const run = await start("a", "x");
    await world.during(run.result());
    expect(beats).toBeGreaterThanOrEqual(10);
    expect(beats).toBeLessThanOrEqual(11);
  });

  it("is told of a cancellation through the signal, and the activity decides what comes of it", async () => {
    const { world, start } = await openRemoteWorld();
    startWorker(world, async (_input, task) => {
      await new Promise((resolve) => task.signal.addEventListener("abort", resolve));
      throw task.signal.reason as Error;
    });
    const run = await start("a", "x");
    await world.during(run.cancel("enough"));
    expect(await errorOf(world.during(run.result()))).toMatchObject({ kind: "cancelled" });
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1", "cancelled 1"]);
  });

  it("is told when its time is over, and its room is free for others", async () => {
    const { world, start } = await openRemoteWorld({ work: { startToClose: "5s", retry: { jitter: 0 } } });
    const reasons: unknown[] = [];
    startWorker(
      world,
      (_input, task) => {
        if (task.attempt > 1) return "done";
        task.signal.addEventListener("abort", () => reasons.push(task.signal.reason));
        return new Promise(() => undefined);
      },
      { concurrency: 1 },
    );
    const run = await start("a", "x");
    expect(await world.during(run.result())).toEqual(["done"]);
    expect(reasons).toMatchObject([{ code: "result_timeout" }]);
  });

  it("says nothing of an attempt that is over, though it goes on", async () => {
    const { world, start } = await openRemoteWorld({ work: { startToClose: "5s" } });
    const said: string[] = [];
    startWorker(
      world,
      async (_input, task) => {
        while (!task.signal.aborted) await world.idle(1_000);
        for (let count = 0; count < 5; count++) {
          task.heartbeat(count);
          await world.idle(1_000);
        }
        return "late";
      },
      {
        fate: (frame, to) => {
          if (to === "engine" && frame.type !== "alive") said.push(frame.type);
          return "arrives";
        },
      },
    );
    const run = await start("a", "x");
    expect(await errorOf(world.during(run.result()))).toMatchObject({ kind: "activity" });
    await world.advance(20_000);
    expect(said).toEqual(["register", "ready"]);
  });

  it("stops gracefully: what it has ends and is recorded, and nothing new begins", async () => {
    const { world, start } = await openRemoteWorld();
    const { worker, working } = startWorker(
      world,
      async (input) => {
        await world.idle(3_000);
        return input;
      },
      { concurrency: 1 },
    );
    const run = await start("a", "x", "y");
    await world.during(worker.stop());
    await world.during(working);
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1", "completed 1"]);
    startWorker(world, (input) => input, { identity: "w2" });
    expect(await world.during(run.result())).toEqual(["x", "y"]);
  });

  it("that may not wait tells its tasks, and leaves them to others at once", async () => {
    const { world, start } = await openRemoteWorld();
    const reasons: unknown[] = [];
    const { worker, working } = startWorker(world, (_input, task) => {
      task.signal.addEventListener("abort", () => reasons.push(task.signal.reason));
      return new Promise(() => undefined);
    });
    const run = await start("a", "x");
    startWorker(world, (_input, task) => task.attempt, { identity: "w2" });
    await world.during(worker.stop({ drain: "2s" }));
    await world.during(working);
    expect(reasons).toMatchObject([{ code: "engine_closed" }]);
    expect(await world.during(run.result())).toEqual([2]);
    expect(await attemptsOf(world, "a")).toEqual([
      "started 1 on w1",
      "lost (left) 1",
      "started 2 on w2",
      "completed 2",
    ]);
  });

  it("comes back to an engine that was killed, and its work counts", async () => {
    const { world, start } = await openRemoteWorld({ restarts: true });
    let began = 0;
    startWorker(world, async () => {
      began += 1;
      await world.idle(5_000);
      return "done";
    });
    await start("a", "x");
    world.kill();
    await world.advance(10_000);
    expect(began).toBe(1);
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1", "completed 1"]);
  });

  it("notices a connection that has gone silent, and comes back before it is lost", async () => {
    const { world, start } = await openRemoteWorld();
    let isPulled = false;
    const { logged } = startWorker(
      world,
      async () => {
        await world.idle(60_000);
        return "done";
      },
      {
        fate: () => {
          if (!isPulled) return "arrives";
          isPulled = false;
          return "vanishes";
        },
      },
    );
    const run = await start("a", "x");
    isPulled = true;
    expect(await world.during(run.result())).toEqual(["done"]);
    expect(logged).toContain("a worker has no connection; trying again");
    // The engine misses it as soon as it misses the engine, so the attempt may be somebody's else; here it is its own again.
    const attempts = await attemptsOf(world, "a");
    expect(attempts.at(-1)).toMatch(/^completed/);
  });

  it("that no engine takes gives up and says why", async () => {
    const { world } = await openRemoteWorld();
    const { working } = startWorker(world, () => 0, {
      fate: (frame) => {
        if (frame.type === "register") (frame as { protocol: number }).protocol = 99;
        return "arrives";
      },
    });
    const error = await errorOf(world.during(working));
    expect(isAionError(error) && error.code).toBe("worker_refused");
  });

  it.each([
    ["no activities", { activities: [] }],
    ["no queues", { taskQueues: [] }],
    ["a queue without a name", { taskQueues: [""] }],
    ["room for nothing", { concurrency: 0 }],
    ["room for too much", { concurrency: 10_001 }],
  ])("refuses to be made with %s", async (_what, options) => {
    const transport = new InProcessTransport(() => undefined);
    const activities = [activity("work", () => 0)];
    expect(() => new Worker({ transport, activities, ...options })).toThrow(
      expect.objectContaining({ code: "invalid_argument" }),
    );
  });

  it("runs once", async () => {
    const { world } = await openRemoteWorld();
    const { worker, working } = startWorker(world, () => 0);
    expect(await errorOf(worker.run())).toMatchObject({ code: "invalid_argument" });
    await world.during(worker.stop());
    await world.during(working);
  });
});

describe("a connection that breaks at any frame", () => {
  /** Three rounds of activities, some of which fail once, with a heartbeat each, on a worker with room for two. */
  async function play(fate: Fate, onFrame: () => void = () => undefined) {
    const { world, start } = await openRemoteWorld({
      work: { retry: { jitter: 0 }, heartbeat: "20s" },
      workers: { sessionTimeoutMs: 30_000 },
    });
    const effects: string[] = [];
    startWorker(
      world,
      async (input, task) => {
        effects.push(`${task.idempotencyKey} ${task.attempt}`);
        task.heartbeat(input);
        await world.idle(2_000);
        if (input === "fails once" && task.attempt === 1) throw new Error("once");
        return input;
      },
      {
        concurrency: 2,
        fate: (frame, to) => {
          onFrame();
          return fate(frame, to);
        },
      },
    );
    const run = await start("a", "x", [1, 2, 3], "fails once");
    const result = await world.during(run.result(), 3_600_000);
    return { result, effects, attempts: await attemptsOf(world, "a") };
  }

  const undisturbed = [
    ...Array.from({ length: 5 }, () => "started 1 on w1"),
    ...Array.from({ length: 4 }, () => "completed 1"),
    "failed 1",
    "started 2 on w1",
    "completed 2",
  ].toSorted();

  it.each(["cut-before", "cut-after", "arrives-twice"] as const)(
    "%s: nothing is lost, nothing has two outcomes, and no task runs twice",
    async (fate) => {
      let frameCount = 0;
      await play(
        () => "arrives",
        () => (frameCount += 1),
      );
      expect(frameCount).toBeGreaterThan(20);
      for (let at = 1; at <= frameCount; at++) {
        let number = 0;
        const played = await play(() => ((number += 1) === at ? fate : "arrives"));
        // The worker is alive all the time and comes back soon: no attempt is lost, so none begins anew.
        expect({
          at,
          result: played.result,
          attempts: played.attempts.toSorted(),
          twice: played.effects.length - new Set(played.effects).size,
        }).toEqual({ at, result: ["x", [1, 2, 3], "fails once"], attempts: undisturbed, twice: 0 });
      }
    },
  );

  it("vanishes: the worker comes back when it has heard nothing for a session, and all comes to its end", async () => {
    let frameCount = 0;
    await play(
      () => "arrives",
      () => (frameCount += 1),
    );
    for (let at = 1; at <= frameCount; at++) {
      let number = 0;
      const played = await play(() => ((number += 1) === at ? "vanishes" : "arrives"));
      expect([at, played.result]).toEqual([at, ["x", [1, 2, 3], "fails once"]]);
      const outcomes = played.attempts.filter((text) => text.startsWith("completed"));
      expect([at, outcomes.length]).toEqual([at, 5]);
    }
  });

  it("and breaks again and again, on the way there and back, ends all the same", async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = new SeededRandom(`connection ${seed}`);
      const played = await play(() => (random.number() < 0.2 ? "cut-before" : "arrives"));
      expect([seed, played.result]).toEqual([seed, ["x", [1, 2, 3], "fails once"]]);
    }
  });
});

describe("an engine that is killed at any commit", () => {
  it.each(["crash-before", "crash-after"] as const)(
    "%s: the worker comes back, and no attempt that it has is begun anew",
    async (fault) => {
      for (let at = 2; at <= 9; at++) {
        let isDone = false;
        const { world, job } = await openRemoteWorld({
          restarts: true,
          fault: ({ number }) => {
            if (number !== at) return undefined;
            isDone = true;
            return fault;
          },
        });
        const effects: string[] = [];
        startWorker(world, async (input, task) => {
          effects.push(`${task.idempotencyKey} ${task.attempt}`);
          await world.idle(1_000);
          return input;
        });
        const run = world.call((client) => client.start(job, ["x", [1, 2], "y"], { id: "a" }));
        await world.during(run);
        const result = await world.during(world.call((client) => client.get("a").result()));
        expect([at, result]).toEqual([at, ["x", [1, 2], "y"]]);
        expect([at, effects.length, new Set(effects).size]).toEqual([at, 4, 4]);
        if (!isDone) {
          expect(at).toBeGreaterThan(4);
          return;
        }
      }
    },
  );
});

// I-10
it("a worker that leaves begins no task that still comes, nor again one that it was told of before", async () => {
  const begun: string[] = [];
  const sent: string[] = [];
  let receive: (frame: unknown) => void = () => undefined;
  const work = activity("work", async (name: string) => {
    begun.push(name);
    await new Promise(() => undefined);
  });
  const worker = new Worker({
    activities: [work],
    log: () => undefined,
    transport: {
      connect: async (user) => {
        receive = (frame) => user.receive(frame as never);
        return { send: (frame) => sent.push(frame.type), close: () => undefined };
      },
    },
  });
  const running = worker.run();
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  await turn();
  const task = (token: string): object => ({
    type: "task",
    token,
    activityType: "work",
    workflowId: "w",
    runId: "r",
    attempt: 1,
    idempotencyKey: token,
    input: JSON.stringify(token),
  });
  receive({
    type: "registered",
    session: "s",
    sessionTimeoutMs: 30_000,
    payloadLimitBytes: 1_000_000,
    stop: [],
  });
  receive(task("first"));
  await turn();
  expect(begun).toEqual(["first"]);
  const stopped = worker.stop({ drain: 0 });
  receive(task("first"));
  receive(task("second"));
  await stopped;
  await running;
  expect(begun).toEqual(["first"]);
  expect(sent).toContain("leave");
});
