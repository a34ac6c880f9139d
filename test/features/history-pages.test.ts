import { Engine } from "aion";
import { receive, signal, workflow } from "aion/workflow";
import { expect, it } from "vitest";

const part = signal<string>("part");

const collector = workflow("collector", async (count: number) => {
  let length = 0;
  for (let index = 0; index < count; index += 1) length += (await receive(part)).length;
  return length;
});

it("a page of a history is bounded in what it holds, and the pages together are all of it", async () => {
  await using t = await Engine.open({ store: "memory:", workflows: [collector] });
  const large = 1_500_000;
  const run = await t.client.start(collector, 14, { id: "large" });
  for (let index = 0; index < 14; index += 1) await run.signal(part, "x".repeat(large));
  expect(await run.result()).toBe(14 * large);

  const seqs: number[] = [];
  const pages: number[] = [];
  for (let fromSeq = 1, isEnd = false; !isEnd;) {
    const page = await t.service.history({ workflowId: "large", fromSeq, limit: 1_000 });
    expect(page.events.length).toBeGreaterThan(0);
    pages.push(JSON.stringify(page.events).length);
    seqs.push(...page.events.map(({ seq }) => seq));
    ({ nextSeq: fromSeq, isEnd } = page);
  }
  expect(Math.max(...pages)).toBeLessThan(8 * 1024 * 1024 + 1.1 * large);
  expect(pages.length).toBeGreaterThan(1);
  expect(seqs).toEqual(Array.from({ length: 16 }, (_, index) => index + 1));
});

it("small events fill a page up to its limit", async () => {
  await using t = await Engine.open({ store: "memory:", workflows: [collector] });
  const run = await t.client.start(collector, 100, { id: "small" });
  for (let index = 0; index < 100; index += 1) await run.signal(part, "x");
  await run.result();
  const first = await t.service.history({ workflowId: "small", fromSeq: 1, limit: 90 });
  expect([first.events.length, first.nextSeq, first.isEnd]).toEqual([90, 91, false]);
  const rest = await t.service.history({ workflowId: "small", fromSeq: 91, limit: 90 });
  expect([rest.events.length, rest.nextSeq, rest.isEnd]).toEqual([12, 103, true]);
});
