/** Attempts on workers of runs that the engine cannot turn to: their code is missing, or their outcome is on its way to the disk. */
import { describe, expect, it } from "vitest";
import { workerOptionsDefault } from "../../src/engine/workers.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import type { ActivityOptions } from "../../src/workflow/definition.ts";
import { activity, workflow } from "../../src/workflow/definition.ts";
import { overStore } from "../recovery/over-store.ts";
import { World } from "../recovery/world.ts";
import { attemptsOf, connectUp, joinUp, openRemoteWorld } from "./remote-world.ts";
import { ScriptedWorker } from "./scripted-worker.ts";

/** A run with an attempt on a worker; then its engine is closed, and the next one lacks the code of the run. */
async function openHeld(options: ActivityOptions = {}) {
  const code = { isThere: true };
  const work = activity("work", options, (_input: unknown): unknown => undefined);
  const job = workflow("job", (input: string) => work(input));
  const world = new World({
    workflows: () => [job],
    wrapPrograms: (programs) => ({
      ...programs,
      route: (type) => (code.isThere ? programs.route(type) : undefined),
      find: (type, version) => (code.isThere ? programs.find(type, version) : undefined),
    }),
    kernel: { workers: workerOptionsDefault },
    restarts: false,
  });
  await world.open();
  const worker = new ScriptedWorker({ activityTypes: ["work"] });
  joinUp(world, worker);
  const run = await world.during(world.process.client.start(job, "x", { id: "a" }));
  await world.settle();
  const { token } = worker.task();
  await world.close();
  code.isThere = false;
  await world.open();
  const handle = world.process.client.get("a");
  expect(await world.during(handle.describe())).toMatchObject({
    status: "running",
    blocked: expect.stringContaining("workflow_type_unknown") as string,
  });
  return { world, worker, token, code, run, handle };
}

describe("an attempt of a run whose code is missing", () => {
  // I-11, I-13
  it("goes on, and its outcome is kept by the worker until the code is there", async () => {
    const { world, worker, token, code } = await openHeld();
    connectUp(world, worker)
      .register({ held: [token] })
      .send({ type: "ready" });
    await world.settle();
    expect(worker.all("registered").at(-1)).toMatchObject({ stop: [] });
    expect(worker.all("cancel")).toEqual([]);
    worker.complete(worker.task(), "done");
    await world.settle();
    expect(worker.answers).toEqual([]);

    code.isThere = true;
    world.process.kernel.codeHasCome();
    await world.advance(1);
    // It is asked to come again.
    expect(worker.isConnected).toBe(false);
    connectUp(world, worker)
      .register({ unacknowledged: [token] })
      .complete(worker.task(), "done");
    await world.settle();
    expect(worker.answers).toEqual(["recorded"]);
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1", "completed 1"]);
  });

  // I-13
  it("is taken up by the next engine that has the code", async () => {
    const { world, worker, token, code } = await openHeld();
    connectUp(world, worker)
      .register({ unacknowledged: [token] })
      .complete(worker.task(), "done");
    await world.settle();
    expect(worker.answers).toEqual([]);
    await world.close();
    code.isThere = true;
    await world.open();
    connectUp(world, worker)
      .register({ unacknowledged: [token] })
      .complete(worker.task(), "done");
    await world.settle();
    expect(worker.answers).toEqual(["recorded"]);
    expect(await attemptsOf(world, "a")).toEqual(["started 1 on w1", "completed 1"]);
  });

  it("is over when the run is ended, and the worker hears of it", async () => {
    const { world, worker, token, handle } = await openHeld();
    connectUp(world, worker)
      .register({ unacknowledged: [token] })
      .complete(worker.task(), "done");
    await world.settle();
    await world.during(handle.terminate("enough"));
    await world.settle();
    expect(worker.isConnected).toBe(false);
    connectUp(world, worker)
      .register({ unacknowledged: [token] })
      .complete(worker.task(), "done");
    await world.settle();
    expect(worker.answers).toEqual(["not-wanted"]);
  });

  it("is nobody else's: a worker that was not given it is told that it is not wanted", async () => {
    const { world, worker, token } = await openHeld();
    const thief = new ScriptedWorker({ activityTypes: ["work"], identity: "thief" });
    connectUp(world, thief)
      .register({ held: [token] })
      .complete(worker.task(), "stolen");
    await world.settle();
    expect([thief.all("cancel"), thief.answers]).toMatchObject([[{ reason: "closed" }], ["not-wanted"]]);
  });
});

describe("an attempt whose outcome is on its way to the disk", () => {
  // I-21, I-29
  it("does not keep the engine busy when its run is woken meanwhile", async () => {
    const gate = { isShut: false, wait: Promise.withResolvers<void>() };
    const { world, start, join } = await openRemoteWorld({
      work: { retry: { initialDelay: 0, jitter: 0 } },
      store: (of) => {
        const inner = openMemoryStore({ clock: { now: () => of.nowMs } });
        return overStore(inner, {
          append: async (token, commits) => {
            if (gate.isShut) await gate.wait.promise;
            return inner.append(token, commits);
          },
        });
      },
    });
    const worker = await join();
    const run = await start("a", "x");
    gate.isShut = true;
    worker.fail(worker.task(), "not yet");
    await new Promise((resolve) => setTimeout(resolve, 20));
    // An engine that is caught in a loop of its own never comes to the line after this one.
    world.process.kernel.wakeAt(run.workflowId as never, 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    gate.isShut = false;
    gate.wait.resolve();
    await world.advance(1);
    worker.complete(worker.task(1), "done");
    expect(await world.during(run.result())).toEqual(["done"]);
  });
});
