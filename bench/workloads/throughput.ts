import { randomUUID } from "node:crypto";
import { createEngine, requireRealEngine } from "../engines.ts";
import type { EngineUnderTest } from "../engine-under-test.ts";
import { floorInFlight, openFloor } from "../floor.ts";
import { runInFlight } from "../pool.ts";
import { treeMemory } from "../process-meter.ts";
import { payloadFor } from "../trivial-step.ts";
import type { Cost, MeasureContext, Measured, Workload } from "../workload.ts";

const stepsPerWorkflow = 3;
const warmUpCount = 15_000;
/** Engines differ in what suits them, and so does the disk of the hour. */
const inFlightCandidates = [50, 100, 300, 600, 1000] as const;

export const throughput: Workload = {
  id: "W1",
  title: "many workflows of three sequential trivial steps",
  measures:
    "Workflows with random ids, as many in flight as suits the engine (the best of " +
    `${inFlightCandidates.join(", ")} in a short search; the floor has ${floorInFlight}), from the first start to the last result, after a warm-up.`,
  cases(engine, isQuick) {
    if (engine === "floor" || engine === "aion") {
      return isQuick
        ? [{ count: 2_000, tracedCount: 1_000 }]
        : [
            { count: 20_000, tracedCount: 2_000 },
            { count: 200_000, tracedCount: 2_000 },
          ];
    }
    return isQuick ? [{ count: 200, tracedCount: 100 }] : [{ count: 3_000, tracedCount: 600 }];
  },
  measure: async (context) =>
    context.engine === "floor" ? await measureFloor(context) : await measureEngine(context),
};

async function measureFloor(context: MeasureContext): Promise<Measured> {
  const { count } = context.measuredCase;
  const floor = openFloor(context.directory("floor"));
  // As many as the engines have run in their search.
  floor.run(context.isQuick ? 100 : warmUpCount);
  const cost = await context.timed(() => {
    floor.run(count);
  });
  const measured = toMeasured(count, floorInFlight, cost);
  floor.close();
  return measured;
}

async function measureEngine(context: MeasureContext): Promise<Measured> {
  const { count } = context.measuredCase;
  const isEmbedded = context.engine === "aion";
  const engine = await createEngine(requireRealEngine(context.engine), {
    directory: context.directory("engine"),
  });
  await engine.open();
  await runSteps(engine, context.isQuick ? 100 : 600, 100);
  const searchCount = isEmbedded ? 3_000 : 600;
  const inFlight =
    context.measuredCase.inFlight ?? (await searchInFlight(engine, context.isQuick ? 60 : searchCount));
  const cost = await context.timed(() => runSteps(engine, count, inFlight));
  const measured = toMeasured(count, inFlight, cost);
  await engine.close();
  return measured;
}

async function runSteps(engine: EngineUnderTest, count: number, inFlight: number): Promise<void> {
  await runInFlight(count, inFlight, () => {
    const id = randomUUID();
    return engine.runSteps(id, payloadFor(id));
  });
}

async function searchInFlight(engine: EngineUnderTest, minimumCount: number): Promise<number> {
  let best: { readonly inFlight: number; readonly rate: number } = { inFlight: 0, rate: 0 };
  for (const inFlight of inFlightCandidates) {
    // Twice through the pool at least, or the largest candidates would only be bursts.
    const count = Math.max(minimumCount, inFlight * 2);
    const startedAt = performance.now();
    await runSteps(engine, count, inFlight);
    const rate = (count / (performance.now() - startedAt)) * 1000;
    if (rate > best.rate) best = { inFlight, rate };
  }
  return best.inFlight;
}

function toMeasured(workflows: number, inFlight: number, cost: Cost): Measured {
  return {
    workflows,
    seconds: cost.seconds,
    fsyncs: cost.fsyncs,
    metrics: {
      workflowsPerSecond: workflows / cost.seconds,
      stepsPerSecond: (workflows * stepsPerWorkflow) / cost.seconds,
      inFlight,
      cpuSeconds: cost.cpuSeconds,
      callerCpuSeconds: cost.callerCpuSeconds,
      peakRssMib: treeMemory(process.pid).peakMib,
    },
  };
}
