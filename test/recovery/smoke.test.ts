import { expect, it } from "vitest";
import { activity, sleep, workflow } from "../../src/workflow/index.ts";
import { World } from "./world.ts";
it("smoke", async () => {
  const world = new World({
    activities: (w) => [activity("a", async (n: number, task) => { await w.effect(task, n); await w.pause(5); return n + 1; })],
    workflows: (w) => {
      const a = activity("a", async (n: number, task) => { await w.effect(task, n); await w.pause(5); return n + 1; });
      return [workflow("w", async (n: number) => { const m = await a(n); await sleep("2 days"); return a(m); })];
    },
    fault: ({ number }) => (number === 2 ? "crash-after" : undefined),
  });
  await world.open();
  const result = await world.during(world.call(async (client) => (await client.start("w", 1, { id: "x" })).result()));
  console.log(result, world.effects, (await world.history("x")).map((e) => `${e.seq} ${e.type}`), world.appendCount, world.nowMs);
  console.log(JSON.stringify(await world.history("x")), world.logged);
  expect(result).toBe(3);
});
