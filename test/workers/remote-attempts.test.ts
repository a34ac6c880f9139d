/** Attempts on workers as the engine sees them: over a real engine, with a worker that says what the test tells it. */
import { describe, expect, it } from "vitest";
import { isFailure } from "../../src/core/failure.ts";
import type { AppendSeen, World } from "../recovery/world.ts";
import { scope, sleep } from "../../src/workflow/index.ts";
import { workflow } from "../../src/workflow/definition.ts";
import { attemptsOf, connectUp, joinUp, openRemoteWorld } from "./remote-world.ts";
import { ScriptedWorker } from "./scripted-worker.ts";

describe("an attempt on a worker", () => {
  // I-9
  it("is given out when its start, which names the worker, is on disk", async () => {
    const worker = new ScriptedWorker({ activityTypes: ["work"] });
    const seen: string[] = [];
    const { world, start } = await openRemoteWorld({
      onAppend: ({ commits }: AppendSeen) => {
        const events = commits.flatMap((commit) => commit.run?.events ?? commit.start?.events ?? []);
        for (const event of events) if (event.type === "ActivityStarted") seen.push(`${worker.tasks.length}`);
      },
    });
    joinUp(world, worker);
    await start("a", "x");
    expect(seen).toEqual(["0"]);
    const { runId } = (await world.runs())[0] ?? {};
    expect(worker.tasks).toMatchObject([
      {
        activityType: "work",
        workflowId: "a",
        runId,
        attempt: 1,
        idempotencyKey: `${runId}:0`,
        input: '"x"',
      },
    ]);
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1"]);
  });

  // I-7
  it("is acknowledged when its outcome is on disk, and not before", async () => {
    let answersBefore = -1;
    const worker = new ScriptedWorker({ activityTypes: ["work"] });
    const { world, start } = await openRemoteWorld({
      onAppend: ({ commits }) => {
        const events = commits.flatMap((commit) => commit.run?.events ?? []);
        if (events.some((event) => event.type === "ActivityCompleted")) answersBefore = worker.answers.length;
      },
    });
    joinUp(world, worker);
    const run = await start("a", "x");
    worker.complete(worker.task(), "done");
    expect(worker.answers).toEqual([]);
    expect(await world.during(run.result())).toEqual(["done"]);
    expect(answersBefore).toBe(0);
    expect(worker.answers).toEqual(["recorded"]);
  });

  // I-11
  it("has one outcome, however often it is reported", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join();
    const run = await start("a", "x");
    worker.complete(worker.task(), 1).complete(worker.task(), 2);
    expect(await world.during(run.result())).toEqual([1]);
    worker.complete(worker.task(), 3);
    await world.settle();
    expect(worker.answers).toEqual(["recorded", "already-recorded"]);
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1", "completed 1"]);
  });

  // I-12
  it("that failed and was recorded stays so when its activity then runs out of time", async () => {
    const { world, start, join } = await openRemoteWorld({
      work: { retry: { initialDelay: "5s" }, scheduleToClose: "10s" },
    });
    const worker = await join();
    const run = await start("a", "x");
    worker.fail(worker.task(), "not now").send({ type: "drain" });
    await world.advance(10_000);
    expect(await world.during(run.describe())).toMatchObject({ status: "failed" });
    expect(await attemptsOf(world, "a")).toEqual([
      "started 1 on w1",
      "failed 1",
      "timed out (schedule-to-close) 1 for good",
    ]);
    worker.fail(worker.task(), "not now");
    await world.settle();
    expect(worker.answers).toEqual(["recorded", "already-recorded"]);
  });

  it("fails, is tried again, and fails for good as the policy of its activity says", async () => {
    const { world, start, join } = await openRemoteWorld({ work: { retry: { maxAttempts: 2 } } });
    const worker = await join();
    const run = await start("a", "x");
    worker.fail(worker.task(), "down");
    await world.advance(2_000);
    expect(worker.task(1)).toMatchObject({ attempt: 2, idempotencyKey: worker.task().idempotencyKey });
    worker.fail(worker.task(1), "down again");
    const error: unknown = await world.during(run.result().catch((reason: unknown) => reason));
    expect(isFailure(error) && error.cause).toMatchObject({ message: "down again" });
    expect(await attemptsOf(world, "a")).toEqual([
      "started 1 on w1",
      "failed 1",
      "started 2 on w1",
      "failed 2 for good",
    ]);
  });

  // I-12
  it("whose time is over counts for nothing: it is told, and the next one begins", async () => {
    const { world, start, join } = await openRemoteWorld({ work: { startToClose: "10s", retry: {} } });
    const worker = await join();
    const run = await start("a", "x");
    const alive = setTicks(worker, world);
    await world.advance(12_000);
    expect(worker.all("cancel")).toMatchObject([{ token: worker.task().token, reason: "timed-out" }]);
    worker.complete(worker.task(), "late");
    await world.settle();
    expect(worker.answers).toEqual(["not-wanted"]);
    worker.complete(worker.task(1), "in time");
    expect(await world.during(run.result())).toEqual(["in time"]);
    alive.stop();
  });

  // I-14
  it("hands its heartbeat details to the next one, and shows them meanwhile", async () => {
    const { world, start, join } = await openRemoteWorld({ work: { heartbeat: "5s", retry: {} } });
    const worker = await join();
    const run = await start("a", "x");
    const { token } = worker.task();
    await world.advance(4_000);
    worker.send({ type: "heartbeat", token, details: '{"row":7}' });
    await world.advance(4_000);
    expect((await world.during(run.describe())).pendingActivities).toMatchObject([
      { state: "running", worker: "w1", taskQueue: "default", progress: '{"row":7}' },
    ]);
    expect(worker.task()).toMatchObject({ heartbeatMs: 5_000 });
    await world.advance(4_000);
    expect(worker.task(1)).toMatchObject({ attempt: 2, lastHeartbeat: '{"row":7}' });
    expect(await attemptsOf(world, "a")).toEqual([
      "started 1 on w1",
      "timed out (heartbeat) 1",
      "started 2 on w1",
    ]);
  });

  it("gives its credit back when its start cannot be recorded", async () => {
    let full = 1;
    const { world, start, join } = await openRemoteWorld({
      fault: ({ commits }) => {
        const starts = commits.some((commit) =>
          (commit.run?.events ?? []).some((event) => event.type === "ActivityStarted"),
        );
        return starts && full-- > 0 ? "full" : undefined;
      },
    });
    const worker = await join({ capacity: 1 });
    const run = await start("a", "x", "y");
    worker.complete(worker.task(), 1);
    await world.advance(5_000);
    worker.complete(worker.task(1), 2);
    expect(await world.during(run.result())).toEqual([1, 2]);
    expect(full).toBeLessThanOrEqual(0);
    expect(worker.tasks).toHaveLength(2);
  });

  it("that returns what is no JSON, or too large, fails for good", async () => {
    const { world, start, join } = await openRemoteWorld({ work: { retry: {} } });
    const worker = await join();
    for (const [id, result] of [
      ["a", "{"],
      ["b", JSON.stringify("x".repeat(2_000_000))],
    ] as const) {
      const run = await start(id, "x");
      const task = worker.task(worker.tasks.length - 1);
      worker.send({ type: "report", token: task.token, outcome: { kind: "completed", result } });
      const error: unknown = await world.during(run.result().catch((reason: unknown) => reason));
      expect(isFailure(error) && error.cause).toMatchObject({
        code: id === "a" ? "payload_not_serializable" : "payload_too_large",
      });
    }
    expect(worker.isConnected).toBe(true);
  });
});

describe("a worker", () => {
  it("is given no more than its capacity, and the others wait in order of arrival without failing", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join({ capacity: 2 });
    const run = await start("a", [1, 2, 3, 4, 5]);
    let peak = 0;
    for (let done = 0; done < 5; done++) {
      peak = Math.max(peak, worker.tasks.length - done);
      worker.complete(worker.task(done), done);
      await world.settle();
    }
    expect(peak).toBe(2);
    expect(worker.tasks.map(({ input }) => input)).toEqual(["1", "2", "3", "4", "5"]);
    expect(await world.during(run.result())).toEqual([[0, 1, 2, 3, 4]]);
    expect(await attemptsOf(world, "a")).toHaveLength(10);
  });

  it("gets the types and queues that it serves, and no others", async () => {
    const { world, start, join } = await openRemoteWorld({ work: { taskQueue: "gpu" } });
    const other = await join({ identity: "other" });
    const lazy = await join({ identity: "lazy", taskQueues: ["gpu"], activityTypes: ["play"] });
    const run = await start("a", "x");
    expect((await world.during(run.describe())).pendingActivities).toMatchObject([
      { state: "no worker", taskQueue: "gpu", attempt: 0 },
    ]);
    const right = await join({
      identity: "right",
      taskQueues: ["cpu", "gpu"],
      activityTypes: ["play", "work"],
    });
    expect([other.tasks.length, lazy.tasks.length, right.tasks.length]).toEqual([0, 0, 1]);
    right.complete(right.task(), "done");
    expect(await world.during(run.result())).toEqual(["done"]);
  });

  it("that had the latest activity of the run is preferred while it has credit, and not waited for", async () => {
    const { world, start, join } = await openRemoteWorld();
    const busy = await join({ identity: "busy", capacity: 4 });
    await start("other", [1, 2]);
    const idle = await join({ identity: "idle", capacity: 4 });
    const run = await start("a", "x", "y", ["p", "q", "r", "s"]);
    // The one with more credit left; from then on the same one, though the other has as much.
    expect(idle.tasks).toHaveLength(1);
    busy.complete(busy.task(0), 0).complete(busy.task(1), 0);
    idle.complete(idle.task(0), "x");
    await world.settle();
    expect(idle.tasks).toHaveLength(2);
    idle.complete(idle.task(1), "y");
    await world.settle();
    expect(idle.tasks).toHaveLength(6);
    const second = await start("b", ["t"]);
    expect(busy.tasks).toHaveLength(3);
    busy.complete(busy.task(2), "t");
    expect(await world.during(second.result())).toEqual([["t"]]);
    for (let index = 2; index < 6; index++) idle.complete(idle.task(index), index);
    expect(await world.during(run.result())).toEqual(["x", "y", [2, 3, 4, 5]]);
  });

  it("that drains ends what it has, gets nothing more, and leaves", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join({ capacity: 1 });
    const run = await start("a", "x", "y");
    worker.send({ type: "drain" }).complete(worker.task(), 1);
    await world.settle();
    expect(worker.answers).toEqual(["recorded"]);
    expect(worker.tasks).toHaveLength(1);
    expect((await world.during(run.describe())).pendingActivities).toMatchObject([{ state: "no worker" }]);
    worker.send({ type: "leave" });
    expect(worker.isConnected).toBe(false);
    const next = await join({ identity: "w2" });
    next.complete(next.task(), 2);
    expect(await world.during(run.result())).toEqual([1, 2]);
  });

  it("that leaves with tasks under way gives them to others, and nobody counts that", async () => {
    const { world, start, join } = await openRemoteWorld();
    const run = await start("a", "x");
    const waits: (number | undefined)[] = [];
    for (let count = 1; count <= 7; count++) {
      const worker = await join({ identity: `w${count}` });
      worker.send({ type: "leave" });
      await world.settle();
      const { recordedAt, ...event } = (await world.history("a")).at(-1) ?? {};
      waits.push("retryAt" in event ? Number(event.retryAt) - Number(recordedAt) : undefined);
      await world.advance(waits.at(-1) ?? 0);
    }
    // A process that ends itself each time is not to do so without a pause.
    expect(waits).toEqual([0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000]);
    const last = await join({ identity: "last" });
    expect(last.task()).toMatchObject({ attempt: 8 });
    last.complete(last.task(), "done");
    expect(await world.during(run.result())).toEqual(["done"]);
    expect((await attemptsOf(world, "a")).filter((text) => text.startsWith("lost (left)"))).toHaveLength(7);
  });
});

describe("a worker that is silent", () => {
  // I-13
  it("is lost after the time-out of its session and not before: the next attempt begins, without a policy too", async () => {
    const { world, start, join } = await openRemoteWorld({ workers: { sessionTimeoutMs: 20_000 } });
    const silent = await join({ identity: "silent", capacity: 1 });
    const run = await start("a", "x");
    const heir = await join({ identity: "heir" });
    const alive = setTicks(heir, world);
    await world.advance(19_999);
    expect(heir.tasks).toHaveLength(0);
    await world.advance(1);
    expect(heir.tasks).toMatchObject([{ attempt: 2, idempotencyKey: silent.task().idempotencyKey }]);
    expect(silent.isConnected).toBe(false);
    heir.complete(heir.task(), "done");
    expect(await world.during(run.result())).toEqual(["done"]);
    expect(await attemptsOf(world, "a")).toEqual([
      "started 1 on silent",
      "lost (silent) 1",
      "started 2 on heir",
      "completed 2",
    ]);
    alive.stop();
  });

  it("again and again with one activity, makes it fail: the fifth in a row counts", async () => {
    const { world, start } = await openRemoteWorld({ workers: { sessionTimeoutMs: 1_000 } });
    const run = await start("a", "x");
    for (let count = 1; count <= 5; count++) {
      joinUp(world, new ScriptedWorker({ identity: `w${count}`, activityTypes: ["work"] }));
      await world.advance(1_000 + 1_000 * 2 ** count);
    }
    const error: unknown = await world.during(run.result().catch((reason: unknown) => reason));
    expect(isFailure(error) && error.cause).toMatchObject({ kind: "engine", code: "worker_lost" });
    expect((await attemptsOf(world, "a")).filter((text) => !text.startsWith("started"))).toEqual([
      "lost (silent) 1",
      "lost (silent) 2",
      "lost (silent) 3",
      "lost (silent) 4",
      "failed 5 for good",
    ]);
  });

  it("hands the details of its last heartbeat on", async () => {
    const { world, start, join } = await openRemoteWorld({ workers: { sessionTimeoutMs: 1_000 } });
    const worker = await join();
    await start("a", "x");
    worker.send({ type: "heartbeat", token: worker.task().token, details: "[3]" });
    await world.advance(2_000);
    const heir = await join({ identity: "heir" });
    expect(heir.task()).toMatchObject({ attempt: 2, lastHeartbeat: "[3]" });
  });
});

describe("a worker whose connection is cut", () => {
  it("goes on with what it holds when it has come back, and reports before it takes more", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join({ capacity: 2 });
    const run = await start("a", [1, 2, 3]);
    const [first, second] = [worker.task(0), worker.task(1)];
    worker.cut();
    await world.advance(20_000);
    connectUp(world, worker).register({ held: [second.token], unacknowledged: [first.token] });
    worker.complete(first, "one");
    await world.settle();
    expect(worker.answers).toEqual(["recorded"]);
    expect(worker.all("registered").at(-1)).toMatchObject({ stop: [] });
    expect(worker.tasks).toHaveLength(2);
    worker.send({ type: "ready" });
    await world.settle();
    expect(worker.tasks).toHaveLength(3);
    worker.complete(second, "two").complete(worker.task(2), "three");
    expect(await world.during(run.result())).toEqual([["one", "two", "three"]]);
    expect((await attemptsOf(world, "a")).filter((text) => text.startsWith("lost"))).toEqual([]);
  });

  it("is sent again what was lost on its way to it, under the same token", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join();
    await start("a", "x");
    worker.cut();
    await world.settle();
    joinUp(world, worker);
    expect(worker.tasks).toHaveLength(2);
    expect(worker.task(1)).toEqual(worker.task(0));
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1"]);
  });

  it("is told to stop what is no longer its own", async () => {
    const { world, start, join } = await openRemoteWorld({ work: { startToClose: "5s", retry: {} } });
    const worker = await join();
    await start("a", "x");
    const { token } = worker.task();
    worker.cut();
    await world.advance(8_000);
    connectUp(world, worker).register({ held: [token, "nonsense"] });
    expect(worker.all("registered").at(-1)).toMatchObject({ stop: [token, "nonsense"] });
  });

  it("hears of a cancellation that came meanwhile", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join();
    const run = await start("a", "x");
    const { token } = worker.task();
    worker.cut();
    await world.during(run.cancel("enough"));
    await world.settle();
    connectUp(world, worker).register({ held: [token] });
    expect(worker.all("cancel")).toMatchObject([{ token, reason: "requested" }]);
  });

  it("is nobody else: who does not know its session does not get its name, until it is lost", async () => {
    const { world, start, join } = await openRemoteWorld({ workers: { sessionTimeoutMs: 10_000 } });
    const worker = await join();
    await start("a", "x");
    worker.cut();
    for (const session of [undefined, "guessed"]) {
      const thief = new ScriptedWorker({ activityTypes: ["work"] });
      thief.session = session;
      connectUp(world, thief).register({ held: [worker.task().token] });
      expect(thief.frames).toMatchObject([{ type: "refused", isFinal: false }]);
      expect(thief.isConnected).toBe(false);
    }
    await world.advance(10_000);
    const next = await join();
    expect(next.task()).toMatchObject({ attempt: 2 });
  });
});

describe("a cancellation", () => {
  // I-38
  it("is told to the worker, and its outcome waited for", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join();
    const run = await start("a", "x");
    await world.during(run.cancel("enough"));
    await world.settle();
    expect(worker.all("cancel")).toMatchObject([{ token: worker.task().token, reason: "requested" }]);
    expect(await world.during(run.describe())).toMatchObject({ status: "running" });
    worker.fail(worker.task(), "aborted");
    await world.settle();
    expect(await world.during(run.describe())).toMatchObject({ status: "cancelled" });
    expect(worker.answers).toEqual(["recorded"]);
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1", "cancelled 1"]);
  });

  it("does not bring a lost attempt back", async () => {
    const { world, start, join } = await openRemoteWorld({ workers: { sessionTimeoutMs: 1_000 } });
    await join();
    const run = await start("a", "x");
    await world.during(run.cancel("enough"));
    await world.advance(1_000);
    expect(await world.during(run.describe())).toMatchObject({ status: "cancelled" });
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1", "cancelled 1"]);
  });

  it("of the whole run by force is told, and what the worker reports then is not wanted", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join({ capacity: 1 });
    const run = await start("a", "x");
    await world.during(run.terminate("gone"));
    await world.settle();
    expect(worker.all("cancel")).toMatchObject([{ reason: "closed" }]);
    worker.complete(worker.task(), 1);
    await start("b", "y");
    expect(worker.answers).toEqual(["not-wanted"]);
    // Its credit is free again.
    expect(worker.tasks).toHaveLength(2);
  });

  it("of a scope reaches an activity that waits for a worker", async () => {
    const { world, work } = await openRemoteWorld({
      workflows: (of) => [
        workflow("brief", async () => {
          const outcome = await scope(() => of("x"), { timeout: "1m" });
          await sleep("1m");
          return outcome.ok;
        }),
      ],
    });
    expect(work.activityType).toBe("work");
    const run = await world.during(world.process.client.start("brief", undefined, { id: "a" }));
    expect(world.process.kernel.workers.listQueues()).toMatchObject([{ waitingCount: 1 }]);
    await world.advance(60_000);
    // It stands in line no more, though its run goes on.
    expect(await attemptsOf(world, "a")).toEqual(["cancelled 0"]);
    expect(world.process.kernel.workers.listQueues()).toEqual([]);
    expect(await world.during(run.result())).toBe(false);
  });
});

describe("an activity that nobody serves", () => {
  // I-39
  it("waits, and its time-outs hold", async () => {
    const { world, start, join } = await openRemoteWorld({ work: { scheduleToClose: "1h", retry: {} } });
    const run = await start("a", "x");
    await world.advance(3_599_999);
    expect(await world.during(run.describe())).toMatchObject({
      status: "running",
      pendingActivities: [{ state: "no worker" }],
    });
    const error: unknown = await world.during(run.result().catch((reason: unknown) => reason));
    expect(isFailure(error) && error.cause).toMatchObject({ timeout: "schedule-to-close" });
    // It stands in no line any more.
    const worker = await join();
    expect(worker.tasks).toEqual([]);
  });
});

describe("the limits of a task queue", () => {
  it("hold for all its workers together: so many at once", async () => {
    const { world, start, join } = await openRemoteWorld({
      workers: { taskQueues: { default: { concurrency: 3 } } },
    });
    const workers = [await join({ identity: "w1" }), await join({ identity: "w2" })];
    const run = await start("a", [1, 2, 3, 4, 5]);
    const given = (): number => workers.reduce((sum, { tasks }) => sum + tasks.length, 0);
    expect(given()).toBe(3);
    for (const [index, worker] of workers.entries()) {
      for (const task of worker.tasks) worker.complete(task, index);
    }
    await world.settle();
    expect(given()).toBe(5);
    for (const worker of workers) for (const task of worker.tasks) worker.complete(task, 0);
    await world.during(run.result());
  });

  it("hold for the rate: a burst, and then so many in a second", async () => {
    const { world, start, join } = await openRemoteWorld({
      workers: { taskQueues: { default: { perSecond: 2 } } },
    });
    const worker = await join();
    await start("a", [1, 2, 3, 4, 5, 6]);
    const seen = [worker.tasks.length];
    for (let step = 0; step < 4; step++) {
      await world.advance(500);
      seen.push(worker.tasks.length);
    }
    expect(seen).toEqual([2, 3, 4, 5, 6]);
  });

  it("let nobody pass who came later", async () => {
    const { world, start, join } = await openRemoteWorld({
      workers: { taskQueues: { default: { perSecond: 1 } } },
    });
    const worker = await join();
    await start("a", [1, 2]);
    await world.advance(999);
    await start("b", [3]);
    await world.advance(3_000);
    expect(worker.tasks.map(({ input }) => input)).toEqual(["1", "2", "3"]);
  });
});

describe("an engine that was killed", () => {
  it("does not begin anew what a worker has: it comes back, goes on, and its result counts", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join();
    await start("a", "x");
    const task = worker.task();
    world.kill();
    await world.open();
    await world.advance(10_000);
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1"]);
    connectUp(world, worker)
      .register({ held: [task.token] })
      .send({ type: "ready" });
    await world.settle();
    expect(worker.all("registered").at(-1)).toMatchObject({ stop: [] });
    expect(worker.tasks).toHaveLength(1);
    worker.complete(task, "done");
    await world.settle();
    expect(worker.answers).toEqual(["recorded"]);
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1", "completed 1"]);
  });

  it("takes a report that came to nobody, and one that it had recorded before", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join();
    await start("a", [1, 2]);
    worker.complete(worker.task(0), "one");
    await world.settle();
    world.kill();
    await world.open();
    const unacknowledged = worker.tasks.map(({ token }) => token);
    connectUp(world, worker).register({ unacknowledged });
    worker.complete(worker.task(0), "one").complete(worker.task(1), "two").send({ type: "ready" });
    await world.settle();
    expect(
      worker
        .all("acknowledged")
        .slice(1)
        .map(({ token, became }) => [token, became]),
    ).toEqual(
      expect.arrayContaining([
        [worker.task(0).token, "already-recorded"],
        [worker.task(1).token, "recorded"],
      ]),
    );
    expect(await attemptsOf(world, "a")).toEqual([
      "started 1 on w1",
      "started 1 on w1",
      "completed 1",
      "completed 1",
    ]);
  });

  // I-13
  it("waits for a worker that does not come for one session's time-out, and then begins the next attempt", async () => {
    const { world, start, join } = await openRemoteWorld();
    const lost = await join({ identity: "lost" });
    const run = await start("a", "x");
    expect(lost.tasks).toHaveLength(1);
    world.kill();
    await world.open();
    const heir = await join({ identity: "heir" });
    const alive = setTicks(heir, world);
    await world.advance(29_999);
    expect(heir.tasks).toHaveLength(0);
    expect((await world.during(world.process.client.get("a").describe())).pendingActivities).toMatchObject([
      { state: "running", worker: "lost" },
    ]);
    await world.advance(1);
    expect(heir.task()).toMatchObject({ attempt: 2 });
    // It comes too late: its task is somebody else's.
    connectUp(world, lost).register({ held: [lost.task().token] });
    expect(lost.all("registered").at(-1)).toMatchObject({ stop: [lost.task().token] });
    lost.complete(lost.task(), "late");
    await world.settle();
    expect(lost.answers).toEqual(["not-wanted"]);
    heir.complete(heir.task(), "done");
    await world.settle();
    expect(run.workflowId).toBe("a");
    expect(await attemptsOf(world, "a")).toEqual([
      "started 1 on lost",
      "lost (silent) 1",
      "started 2 on heir",
      "completed 2",
    ]);
    alive.stop();
  });

  it("gives a process that has begun anew under the old name the next attempt", async () => {
    const { world, start, join } = await openRemoteWorld();
    await join();
    await start("a", "x");
    world.kill();
    await world.open();
    const reborn = await join();
    await world.advance(1);
    expect(reborn.tasks).toMatchObject([{ attempt: 2 }]);
  });

  it("gives what its worker does not claim the next attempt, which is not counted", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join();
    await start("a", "x");
    world.kill();
    await world.open();
    joinUp(world, worker);
    await world.advance(0);
    expect(worker.task(1)).toMatchObject({ attempt: 2 });
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1", "lost (left) 1", "started 2 on w1"]);
  });

  it("does not hold its own absence against an attempt", async () => {
    const { world, start, join } = await openRemoteWorld({
      work: { startToClose: "10s", heartbeat: "10s", retry: {} },
    });
    const worker = await join();
    await start("a", "x");
    world.kill();
    await world.advance(3_600_000);
    await world.open();
    await world.advance(29_000);
    connectUp(world, worker).register({ unacknowledged: [worker.task().token] });
    worker.complete(worker.task(), "done");
    await world.settle();
    expect(worker.answers).toEqual(["recorded"]);
  });

  // I-16, I-19
  it("and replaced while it lived gives nothing: no task, no acknowledgement", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join();
    await start("a", "x");
    const stale = world.process;
    await world.takeOver();
    worker.complete(worker.task(), "to the stale one");
    await world.settle();
    expect(worker.answers).toEqual([]);
    expect(worker.isConnected).toBe(false);
    expect(worker.frames.at(-1)).toMatchObject({ type: "closing" });
    const refused = new ScriptedWorker({ activityTypes: ["work"] }).join(stale.kernel.workers);
    expect(refused.frames).toMatchObject([{ type: "refused" }]);
    connectUp(world, worker).register({ unacknowledged: [worker.task().token] });
    worker.complete(worker.task(), "to the owner");
    await world.settle();
    expect(worker.answers).toEqual(["recorded"]);
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1", "completed 1"]);
  });
});

describe("an engine that is closed", () => {
  it("leaves the tasks with the workers, for the next one", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join();
    await start("a", "x");
    await world.close();
    expect(worker.frames.at(-1)).toEqual({ type: "closing" });
    await world.open();
    connectUp(world, worker)
      .register({ held: [worker.task().token] })
      .send({ type: "ready" });
    worker.complete(worker.task(), "done");
    await world.settle();
    expect(worker.answers).toEqual(["recorded"]);
  });
});

/** Keeps a worker alive while time passes. */
function setTicks(worker: ScriptedWorker, world: World) {
  const ticking = { isOn: true };
  void (async () => {
    while (ticking.isOn) {
      await world.idle(500);
      if (ticking.isOn && worker.isConnected) worker.send({ type: "alive" });
    }
  })();
  return {
    stop: () => {
      ticking.isOn = false;
    },
  };
}
