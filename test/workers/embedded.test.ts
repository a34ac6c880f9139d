/** Workers of an engine as it is embedded, on a file. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Engine } from "aion";
import { InProcessTransport } from "aion/testing";
import { activity, workflow } from "aion/workflow";
import { Worker } from "aion/worker";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "aion-workers-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const work = activity("work", { taskQueue: "gpu" }, async (input: number) => input * 2);
const double = workflow("double", (input: number) => work(input));

describe("an embedded engine", () => {
  it("gives its activities to workers, and tells who is there and who waits", async () => {
    const store = `sqlite:${path.join(folder, "aion.db")}`;
    const open = (): Promise<Engine> => Engine.open({ store, workflows: [double], localSocket: false });
    let engine = await open();
    const first = await engine.client.start(double, 4, { id: "first" });
    await until(() => engine.taskQueues.length > 0);
    expect(engine.taskQueues).toEqual([
      { taskQueue: "gpu", waitingCount: 1, waitingSince: expect.any(Number), inFlightCount: 0 },
    ]);
    expect(engine.workers).toEqual([]);

    const worker = new Worker({
      transport: new InProcessTransport(() => engine),
      activities: [work],
      taskQueues: ["gpu"],
      concurrency: 3,
      build: "7",
      log: () => undefined,
    });
    const working = worker.run();
    expect(await first.result()).toBe(8);
    expect(engine.workers).toEqual([
      {
        identity: worker.identity,
        build: "7",
        state: "ready",
        taskQueues: ["gpu"],
        activityTypes: ["work"],
        capacity: 3,
        tasksInFlight: 0,
      },
    ]);

    await engine.close();
    engine = await open();
    expect(await (await engine.client.start(double, 5)).result()).toBe(10);
    await worker.stop();
    await working;
    expect(engine.workers).toEqual([]);
    await engine.close();
  });

  it.each([
    [{ workerSession: 0 }],
    [{ taskQueues: { "": {} } }],
    [{ taskQueues: { gpu: { concurrency: 0 } } }],
    [{ taskQueues: { gpu: { concurrency: 1.5 } } }],
    [{ taskQueues: { gpu: { perSecond: 0 } } }],
    [{ taskQueues: { gpu: { perSecond: Number.NaN } } }],
  ])("is not opened with %j", async (options) => {
    await expect(Engine.open({ store: "memory:", ...options })).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });
});

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 5));
}
