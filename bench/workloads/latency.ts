import { randomUUID } from "node:crypto";
import { createEngine, requireRealEngine } from "../engines.ts";
import { quantile } from "../fsync-rate.ts";
import { payloadFor } from "../trivial-step.ts";
import type { Workload } from "../workload.ts";

/** Until the compiler of the machine code has seen every path. */
const warmUpCount = 2_000;

export const latency: Workload = {
  id: "W2",
  title: "one workflow at a time, three steps",
  measures:
    "From the client's call to the result in the client's hands, one after the other, after a warm-up.",
  cases(engine, isQuick) {
    if (engine === "floor") return [];
    if (engine === "aion") return [{ count: isQuick ? 200 : 3_000, tracedCount: 200 }];
    return [{ count: isQuick ? 50 : 500, tracedCount: 100 }];
  },
  async measure(context) {
    const { count } = context.measuredCase;
    const engine = await createEngine(requireRealEngine(context.engine), {
      directory: context.directory("engine"),
    });
    await engine.open();
    const runOnce = async (): Promise<number> => {
      const id = randomUUID();
      const startedAt = performance.now();
      await engine.runSteps(id, payloadFor(id));
      return performance.now() - startedAt;
    };
    for (let index = 0; index < Math.min(count, warmUpCount); index += 1) await runOnce();
    const millis: number[] = [];
    const cost = await context.timed(async () => {
      for (let index = 0; index < count; index += 1) millis.push(await runOnce());
    });
    await engine.close();
    return {
      workflows: count,
      seconds: cost.seconds,
      fsyncs: cost.fsyncs,
      metrics: {
        p50Ms: quantile(millis, 0.5),
        p99Ms: quantile(millis, 0.99),
        maxMs: Math.max(...millis),
        cpuSeconds: cost.cpuSeconds,
      },
    };
  },
};
