/** Runs that wait for workers: many, for long, and not in memory. */
import { describe, expect, it } from "vitest";
import { AionError } from "../../src/core/errors.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { overStore } from "../recovery/over-store.ts";
import { attemptsOf, openRemoteWorld } from "./remote-world.ts";

async function openWaiting(options: Parameters<typeof openRemoteWorld>[0] = {}) {
  const opened = await openRemoteWorld({ residentMax: 2, ...options });
  const runs = [];
  for (let count = 0; count < 10; count++) runs.push(await opened.start(`run-${count}`, count));
  return { ...opened, runs };
}

describe("runs that wait for a worker", () => {
  it("make room for others, and are brought back in their turn", async () => {
    const { world, join, runs } = await openWaiting();
    expect(world.process.kernel.residency.size).toBeLessThanOrEqual(3);
    const worker = await join({ capacity: 1 });
    for (const [index, run] of runs.entries()) {
      expect(worker.task(index)).toMatchObject({ workflowId: run.workflowId, attempt: 1 });
      worker.complete(worker.task(index), `did ${index}`);
      await world.settle();
    }
    expect(await Promise.all(runs.map((run) => world.during(run.result())))).toEqual(
      runs.map((_run, index) => [`did ${index}`]),
    );
  });

  // I-39
  it("run into their time-outs though they are not in memory", async () => {
    const { world, runs } = await openWaiting({ work: { scheduleToClose: "10m" } });
    await world.advance(600_000);
    for (const run of runs) {
      expect(await attemptsOf(world, run.workflowId)).toEqual(["timed out (schedule-to-close) 0 for good"]);
    }
  });

  it("stay while a worker has an attempt: its heartbeats are theirs", async () => {
    const { world, start, join } = await openRemoteWorld({ residentMax: 1 });
    const worker = await join({ capacity: 3 });
    for (const id of ["a", "b", "c", "d"]) await start(id, id);
    const residents = world.process.kernel.residency.list().map(({ workflowId }) => workflowId);
    expect(residents).toEqual(expect.arrayContaining(["a", "b", "c"]));
    expect(worker.tasks).toHaveLength(3);
  });

  it("do not lose their turn when the store cannot be read at that moment", async () => {
    let failures = 0;
    const { world, join, runs } = await openWaiting({
      store: (at) => {
        const store = openMemoryStore({
          clock: { now: () => at.nowMs },
          defer: (done) => queueMicrotask(done),
        });
        return overStore(store, {
          findRun: (...args) =>
            failures-- > 0
              ? Promise.reject(new AionError("store_unavailable", "the disk does not answer"))
              : store.findRun(...args),
        });
      },
    });
    failures = 4;
    const worker = await join({ capacity: 20 });
    await world.advance(10_000);
    expect(failures).toBeLessThanOrEqual(0);
    expect(worker.tasks).toHaveLength(10);
    for (const task of worker.tasks) worker.complete(task, "done");
    for (const run of runs) expect(await world.during(run.result())).toEqual(["done"]);
  });

  it("are ended from outside, and stand in no line then", async () => {
    const { world, join, runs } = await openWaiting();
    for (const run of runs.slice(0, 9)) await world.during(run.terminate("enough"));
    const worker = await join();
    expect(worker.tasks.map(({ workflowId }) => workflowId)).toEqual(["run-9"]);
    expect(world.process.kernel.workers.listQueues()).toMatchObject([{ waitingCount: 0, inFlightCount: 1 }]);
  });
});
