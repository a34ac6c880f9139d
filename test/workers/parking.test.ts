/** Activities that wait for an operator, whose attempts are run by workers. */
import { describe, expect, it } from "vitest";
import type { TaskFrame } from "../../src/protocol/frames.ts";
import { attemptsOf, joinUp, openRemoteWorld } from "./remote-world.ts";
import { ScriptedWorker } from "./scripted-worker.ts";

function park(worker: ScriptedWorker, task: TaskFrame): ScriptedWorker {
  return worker.report(task, {
    kind: "failed",
    failure: { kind: "application", message: "no key", type: "NoKey", park: true },
  });
}

describe("an attempt on a worker that asks for an operator", () => {
  // I-60
  it("parks its activity: its report is acknowledged, and nobody is given it before it is resumed", async () => {
    const { world, start, join } = await openRemoteWorld({ work: { retry: {} } });
    const worker = await join();
    const run = await start("a", "x");
    park(worker, worker.task());
    await world.settle();
    expect(worker.answers).toEqual(["recorded"]);
    // Told again, since the answer was lost.
    park(worker, worker.task());
    await world.settle();
    expect(worker.answers).toEqual(["recorded", "already-recorded"]);
    await world.advance(20_000);
    expect(worker.tasks).toHaveLength(1);
    expect((await world.during(run.describe())).parked?.activities).toMatchObject([
      { ordinal: 0, activityType: "work", taskQueue: "default", attempt: 1, message: "no key" },
    ]);
    expect(world.process.kernel.workers.listQueues()).toEqual([]);
    await world.during(run.resumeActivity());
    await world.advance(10);
    worker.complete(worker.task(1), "done");
    expect(await world.during(run.result())).toEqual(["done"]);
    expect(worker.tasks.map(({ attempt }) => attempt)).toEqual([1, 2]);
  });

  it("may be resumed while nobody serves its queue: the attempt goes to whoever comes", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join();
    const run = await start("a", "x");
    park(worker, worker.task());
    worker.send({ type: "leave" });
    await world.settle();
    await world.during(run.resumeActivity());
    await world.advance(10);
    expect((await world.during(run.describe())).pendingActivities).toMatchObject([{ state: "no worker" }]);
    const other = joinUp(world, new ScriptedWorker({ identity: "w2", activityTypes: ["work"] }));
    await world.advance(10);
    other.complete(other.task(), "done");
    expect(await world.during(run.result())).toEqual(["done"]);
  });

  it("changes nothing any more when it reports after its activity was given an outcome, or began anew", async () => {
    const { world, start, join } = await openRemoteWorld({
      work: { startToClose: "1 minute", retry: { maxAttempts: 1, onExhausted: "park" } },
    });
    const worker = await join();
    const run = await start("a", "x");
    const late = worker.task();
    for (let passed = 0; passed < 61; passed += 10) {
      worker.send({ type: "alive" });
      await world.advance(10_000);
    }
    expect((await world.during(run.describe())).parked?.count).toBe(1);
    worker.complete(late, "too late");
    await world.settle();
    expect((await world.during(run.describe())).parked?.count).toBe(1);
    await world.during(run.resumeActivity({ ordinal: 0, result: "by hand" }));
    worker.complete(late, "later still");
    expect(await world.during(run.result())).toEqual(["by hand"]);
    expect(worker.answers).toEqual(["not-wanted", "not-wanted"]);
  });

  it("is the fifth in a row whose worker fell silent, if the policy says so: four of them cost nothing", async () => {
    const { world, start } = await openRemoteWorld({
      work: { retry: { maxAttempts: 1, onExhausted: "park" } },
      workers: { sessionTimeoutMs: 10_000 },
    });
    const run = await start("a", "x");
    for (const identity of ["a", "b", "c", "d", "e"]) {
      const worker = joinUp(world, new ScriptedWorker({ identity, activityTypes: ["work"] }));
      await world.advance(60_000);
      expect(worker.tasks).toHaveLength(1);
      worker.cut();
      await world.advance(60_000);
    }
    expect((await world.during(run.describe())).parked?.activities).toMatchObject([
      { attempt: 5, message: expect.stringContaining("5th in a row") as string },
    ]);
    expect((await attemptsOf(world, "a")).filter((what) => what.startsWith("lost"))).toHaveLength(4);
    await world.during(run.resumeActivity());
    const worker = joinUp(world, new ScriptedWorker({ identity: "f", activityTypes: ["work"] }));
    await world.advance(1_000);
    worker.complete(worker.task(), "done");
    expect(await world.during(run.result())).toEqual(["done"]);
  });

  // I-60
  it("is given to nobody by a restart; the decision that was made before one is", async () => {
    const { world, start, join } = await openRemoteWorld();
    const worker = await join();
    await start("a", "x");
    park(worker, worker.task());
    await world.settle();
    world.kill();
    await world.open();
    const second = joinUp(world, new ScriptedWorker({ identity: "w2", activityTypes: ["work"] }));
    await world.advance(20_000);
    expect(second.tasks).toEqual([]);
    await world.during(world.process.client.get("a").resumeActivity());
    world.kill();
    await world.open();
    const third = joinUp(world, new ScriptedWorker({ identity: "w3", activityTypes: ["work"] }));
    await world.advance(10);
    third.complete(third.task(), "done");
    expect(await world.during(world.process.client.get("a").result())).toEqual(["done"]);
  });
});
