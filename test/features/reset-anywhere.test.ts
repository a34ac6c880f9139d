/** Any program, reset and forked at every point that there is: it comes to what it came to, and draws nothing twice. */
import type { RunHandle } from "aion/client";
import { TestEngine } from "aion/testing";
import {
  activity,
  child,
  expose,
  query,
  random,
  receive,
  sideEffect,
  signal,
  signalWorkflow,
  sleep,
  uuid,
  workflow,
} from "aion/workflow";
import fc from "fast-check";
import { expect, it } from "vitest";
import { runChain } from "../../src/core/run-chain.ts";
import { resetPoints } from "../../src/replay/reset-points.ts";
import { errorOf, eventsOf } from "./run-history.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);
const scale = Number(process.env["AION_TEST_SCALE"] ?? 1);

type Op = "work" | "both" | "flaky" | "sleep" | "receive" | "timed" | "child" | "send" | "record" | "catch";
const anyProgram = fc.array(
  fc.constantFrom<Op>(
    "work",
    "both",
    "flaky",
    "sleep",
    "receive",
    "timed",
    "child",
    "send",
    "record",
    "catch",
  ),
  { minLength: 1, maxLength: 6 },
);

const word = signal<string>("word");
const drawn = query<readonly string[]>("drawn");

/** Pure: what comes of it follows from what it is given. */
const work = activity("work", async (text: string) => `did ${text}`);
const flaky = activity(
  "flaky",
  { retry: { maxAttempts: 3, initialDelay: "1s" } },
  async (text: string, task) => {
    if (task.attempt % 3 !== 0) throw new Error("not yet");
    return `at last ${text}`;
  },
);
const broken = activity("broken", async (text: string): Promise<string> => {
  throw new Error(`no ${text}`);
});
const leaf = workflow("leaf", async (text: string) => {
  await sleep("1 minute");
  return `grown ${text}`;
});
const sink = workflow("sink", async (): Promise<never> => {
  for (;;) await receive(word);
});
const subject = workflow("subject", async (ops: readonly Op[]) => {
  const draws: string[] = [];
  expose(drawn, () => draws);
  const told: string[] = [];
  for (const [index, op] of ops.entries()) {
    const text = `${op} ${index}`;
    draws.push(uuid(), String(random()));
    switch (op) {
      case "work":
        told.push(await work(text));
        break;
      case "both":
        told.push(
          ...(await Promise.all([work(`${text} a`), work(`${text} b`), sleep("5s").then(() => "slept")])),
        );
        break;
      case "flaky":
        told.push(await flaky(text));
        break;
      case "sleep":
        await sleep("1 minute");
        break;
      case "receive":
        told.push(await receive(word));
        break;
      case "timed": {
        const got = await receive(word, { timeout: "30 days" });
        told.push(got.ok ? got.value : "nothing");
        break;
      }
      case "child":
        told.push(await child(leaf, text));
        break;
      case "send":
        await signalWorkflow("sink", word, text);
        break;
      case "record":
        sideEffect(() => text);
        break;
      case "catch":
        told.push(
          await broken(text).catch((error: unknown) => String((error as Error).message.includes("no"))),
        );
        break;
    }
  }
  return told;
});

async function demandSameFrom(
  t: TestEngine,
  next: RunHandle<readonly string[]>,
  of: { readonly told: readonly string[]; readonly draws: readonly string[] },
): Promise<void> {
  expect(await t.result(next)).toEqual(of.told);
  const draws = await t.client.get(next.workflowId).query(drawn);
  // Up to the point the same, and none of the others again.
  const common = draws.findIndex((draw, index) => draw !== of.draws[index]);
  const own = common < 0 ? [] : draws.slice(common);
  expect(own.filter((draw) => of.draws.includes(draw))).toEqual([]);
}

function demandEnded(error: unknown): void {
  expect(error).toMatchObject({ code: "run_closed" });
}

// I-41, I-61, I-62
it("comes to what it came to from any point, as a fork and as a reset", async () => {
  let pointCount = 0;
  let redoneCount = 0;
  await fc.assert(
    fc.asyncProperty(
      anyProgram,
      fc.array(fc.nat(), { maxLength: 3 }),
      fc.boolean(),
      async (ops, places, isHeld) => {
        await using t = await TestEngine.open({
          workflows: [subject, leaf, sink],
          activities: [work, flaky, broken],
          seed: ops.length,
        });
        await t.client.start(sink, undefined, { id: "sink" });
        const run = await t.client.start(subject, ops, { id: "subject" });
        // A short one may be over by then.
        if (isHeld) await run.pause().catch(demandEnded);
        for (const op of ops) if (op === "receive" || op === "timed") await run.signal(word, `word ${op}`);
        if (isHeld) {
          await t.settle();
          await run.resume().catch(demandEnded);
        }
        const told = await t.result(run);
        const draws = await run.query(drawn);
        const events = await eventsOf(run);
        const points = resetPoints(events);
        for (const { seq, isRedone } of points) {
          pointCount += 1;
          if (isRedone) redoneCount += 1;
          const copy = await run.fork(`fork at ${seq}`, { toSeq: seq, signals: "carry" });
          if (seq % 3 === 0) await t.crash();
          await demandSameFrom(t, copy, { told, draws });
        }
        // Whatever is no point is refused.
        const known = new Set(points.map(({ seq }) => seq));
        for (const { seq } of events)
          if (!known.has(seq))
            expect(await errorOf(run.fork("never", { toSeq: seq }))).toMatchObject({
              code: "run_not_resettable",
            });
        // One after the other, each from a point of the latest: what was copied among them.
        for (const place of places) {
          const chain = runChain(await eventsOf(run));
          const latest = chain.at(-1);
          const segment = (await eventsOf(run)).filter(({ seq }) => seq >= (latest?.firstSeq ?? 0));
          const there = resetPoints(segment);
          const point = there[place % there.length];
          const before = await run.query(drawn);
          const next = await run.reset({ toSeq: point?.seq ?? 0 });
          await t.crash();
          await demandSameFrom(t, next, { told, draws: before });
        }
        // I-40
        expect(runChain(await eventsOf(run))).toHaveLength(1 + places.length);
        await t.client.get("sink").terminate();
      },
    ),
    { numRuns: 25 * scale, seed },
  );
  expect(pointCount).toBeGreaterThan(200);
  expect(redoneCount).toBeGreaterThan(50);
});
