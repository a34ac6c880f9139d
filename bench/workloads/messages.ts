import { randomUUID } from "node:crypto";
import { createEngine, requireRealEngine } from "../engines.ts";
import type { EngineUnderTest } from "../engine-under-test.ts";
import { runInFlight } from "../pool.ts";
import { payloadFor } from "../trivial-step.ts";
import type { Workload } from "../workload.ts";

const senderCandidates = [20, 100, 1000] as const;

export const messages: Workload = {
  id: "W6",
  title: "1,000 signals to one workflow",
  measures:
    "From the first send until the workflow has handled the last; the best of " +
    `${senderCandidates.join(", ")} sends in flight and of the engine's ways to do it.`,
  cases(engine, isQuick) {
    if (engine === "floor") return [];
    return [{ count: isQuick ? 100 : 1_000 }];
  },
  async measure(context) {
    const { count } = context.measuredCase;
    const engine = await createEngine(requireRealEngine(context.engine), {
      directory: context.directory("engine"),
    });
    await engine.open();
    const metrics: Record<string, number | string> = { messages: count };
    let best = { seconds: Number.POSITIVE_INFINITY, how: "" };
    const cost = await context.timed(async () => {
      for (const style of engine.messageStyles) {
        await sendAll(engine, style, Math.min(count, 200), 20);
        for (const senders of senderCandidates) {
          const seconds = await sendAll(engine, style, count, senders);
          const how = `${style}, ${senders} in flight`;
          metrics[`seconds (${how})`] = seconds;
          if (seconds < best.seconds) best = { seconds, how };
        }
      }
    });
    await engine.close();
    return {
      workflows: 1,
      seconds: best.seconds,
      // Of the warm-up and of every way together, so no figure of the best alone.
      fsyncs: undefined,
      metrics: { ...metrics, best: best.how, cpuSecondsAll: cost.cpuSeconds },
    };
  },
};

async function sendAll(
  engine: EngineUnderTest,
  style: string,
  count: number,
  senders: number,
): Promise<number> {
  const id = randomUUID();
  const receiver = await engine.startReceiver(id, count, style);
  const startedAt = performance.now();
  await runInFlight(count, senders, (index) => receiver.send(index, payloadFor(id)));
  await receiver.result();
  return (performance.now() - startedAt) / 1000;
}
