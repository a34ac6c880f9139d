/** Activities that a workflow names and somebody else implements. */
import { Engine } from "aion";
import { InProcessTransport, TestEngine } from "aion/testing";
import { Worker } from "aion/worker";
import { activity, workflow } from "aion/workflow";
import type { Activity } from "aion/workflow";
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";

const render = activity<string, number>("render", { taskQueue: "gpu" });
const film = workflow("film", async (scene: string) => (await render(scene)) + 1);

describe("an activity without an implementation", () => {
  it("is run by a worker that has one", async () => {
    const engine = await Engine.open({ store: "memory:", workflows: [film], localSocket: false });
    const worker = new Worker({
      transport: new InProcessTransport(() => engine),
      activities: [activity("render", (scene: string) => scene.length)],
      taskQueues: ["gpu"],
    });
    const working = worker.run();
    const run = await engine.client.start(film, "opening");
    expect(await run.result()).toBe(8);
    await worker.stop();
    await working;
    await engine.close();
  });

  it("is no implementation: not for an engine, not for a worker, and not for whoever calls it", async () => {
    const refusal = {
      code: "invalid_argument",
      message: expect.stringContaining("no implementation") as string,
    };
    await expect(
      Engine.open({ store: "memory:", workflows: [film], activities: [render], localSocket: false }),
    ).rejects.toMatchObject(refusal);
    expect(() => new Worker({ url: "http://127.0.0.1:1", activities: [render] })).toThrow(
      expect.objectContaining(refusal),
    );
    await expect(render("opening")).rejects.toMatchObject({ code: "outside_workflow" });
  });

  it("has a mock in tests", async () => {
    const engine = await TestEngine.open({ workflows: [film], activities: { render: () => 41 } });
    const run = await engine.client.start(film, "opening");
    expect(await run.result()).toBe(42);
    await engine.close();
  });

  it("is typed as it is declared, or by its schema", () => {
    expectTypeOf(render).toEqualTypeOf<Activity<string, number>>();
    const cut = activity("cut", { input: z.object({ atMs: z.number().default(0) }) });
    expectTypeOf(cut).parameter(0).toEqualTypeOf<{ atMs?: number | undefined }>();
    expect(cut.inputSchema).toBeDefined();
  });

  it("is not what a mistake makes", () => {
    const define = activity as (...args: readonly unknown[]) => unknown;
    for (const args of [["a"], ["a", undefined], ["a", {}, undefined], ["a", {}, 5]]) {
      expect(() => define(...args)).toThrow(/has no implementation/);
    }
  });
});
