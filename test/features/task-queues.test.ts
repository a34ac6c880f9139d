import { TestEngine } from "aion/testing";
import { activity, step, workflow } from "aion/workflow";
import { describe, expect, it } from "vitest";
import { eventsOfType } from "./run-history.ts";

describe("the task queue of an activity", () => {
  it("is recorded when it is scheduled, and left out when it is the default", async () => {
    const render = activity("render", { taskQueue: "gpu" }, async (name: string) => `${name}.png`);
    const note = activity("note", async (text: string) => text);
    const one = workflow("one", async () => [
      await render("a"),
      await render("b", { taskQueue: "gpu-large" }),
      await note("c"),
    ]);
    await using t = await TestEngine.open({ workflows: [one], activities: [render, note] });
    const run = await t.client.start(one);
    // Its implementation is in this process, and so it runs here.
    expect(await t.result(run)).toEqual(["a.png", "b.png", "c"]);
    expect((await eventsOfType(run, "ActivityScheduled")).map(({ options }) => options)).toEqual([
      { taskQueue: "gpu" },
      { taskQueue: "gpu-large" },
      {},
    ]);
  });

  it.each([[""], ["a\nb"], ["x".repeat(256)]])("is a name: %j is none", (taskQueue) => {
    expect(() => activity("render", { taskQueue }, () => 0)).toThrow(
      expect.objectContaining({ code: "invalid_argument" }),
    );
  });

  it("is shown of an activity that nobody serves, and of none that runs here", async () => {
    const render = activity("render", { taskQueue: "gpu" }, async (name: string) => `${name}.png`);
    const note = activity("note", async (text: string) => text);
    const here = activity("here", () => new Promise<void>(() => undefined));
    const one = workflow("one", () =>
      Promise.all([
        render("a"),
        note("c"),
        here(undefined),
        step("place", () => new Promise(() => undefined)),
      ]),
    );
    await using t = await TestEngine.open({ workflows: [one], activities: [here] });
    const run = await t.client.start(one);
    await t.settle();
    const { pendingActivities } = await run.describe();
    expect(pendingActivities.map(({ state, taskQueue }) => [state, taskQueue])).toEqual([
      ["no worker", "gpu"],
      ["no worker", "default"],
      ["running", undefined],
      ["running", undefined],
    ]);
  });
});
