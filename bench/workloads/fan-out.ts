import { randomUUID } from "node:crypto";
import { createEngine, requireRealEngine } from "../engines.ts";
import { quantile } from "../fsync-rate.ts";
import type { Workload } from "../workload.ts";

const roundCount = 5;

export const fanOut: Workload = {
  id: "W3",
  title: "one workflow, 1,000 parallel steps",
  measures:
    `From the client's call to the result; the median of ${roundCount} workflows one after the other, ` +
    "after one of the same size to warm up.",
  cases(engine, isQuick) {
    if (engine === "floor") return [];
    return [{ count: isQuick ? 100 : 1_000, tracedCount: isQuick ? 100 : 1_000 }];
  },
  async measure(context) {
    const { count } = context.measuredCase;
    const engine = await createEngine(requireRealEngine(context.engine), {
      directory: context.directory("engine"),
    });
    await engine.open();
    await engine.runFanOut(randomUUID(), count);
    // A trace counts all that happens, and one workflow is what is reported.
    const rounds = context.isTraced ? 1 : roundCount;
    const seconds: number[] = [];
    const cost = await context.timed(async () => {
      for (let round = 0; round < rounds; round += 1) {
        const startedAt = performance.now();
        await engine.runFanOut(randomUUID(), count);
        seconds.push((performance.now() - startedAt) / 1000);
      }
    });
    await engine.close();
    return {
      workflows: 1,
      seconds: quantile(seconds, 0.5),
      fsyncs: cost.fsyncs === undefined ? undefined : Math.round(cost.fsyncs / rounds),
      metrics: { steps: count, slowestSeconds: Math.max(...seconds), cpuSeconds: cost.cpuSeconds / rounds },
    };
  },
};
