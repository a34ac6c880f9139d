import { randomUUID } from "node:crypto";
import { createCrashable, createEngine, requireRealEngine } from "../engines.ts";
import type { RealEngineName } from "../engine-under-test.ts";
import type { MeasureContext, Workload } from "../workload.ts";

const warmUpSteps = 3_000;

export const sequence: Workload = {
  id: "W4",
  title: "one workflow, 10,000 sequential steps, and a crash half-way",
  measures:
    "Seconds from the client's call to the result of an undisturbed workflow; then, for another that is killed " +
    "(`kill -9`) in the middle of step 5,000, milliseconds from the spawn of the new process until it begins the " +
    "first step that it really runs.",
  cases(engine, isQuick) {
    if (engine === "floor") return [];
    return [{ count: isQuick ? 200 : 10_000 }];
  },
  async measure(context) {
    const { count } = context.measuredCase;
    const name = requireRealEngine(context.engine);
    const engine = await createEngine(name, { directory: context.directory("undisturbed") });
    await engine.open();
    await engine.runSequence(randomUUID(), Math.min(count, warmUpSteps));
    const cost = await context.timed(async () => {
      await engine.runSequence(randomUUID(), count);
    });
    await engine.close();

    return {
      workflows: 1,
      seconds: cost.seconds,
      fsyncs: cost.fsyncs,
      metrics: {
        steps: count,
        stepsPerSecond: count / cost.seconds,
        cpuSeconds: cost.cpuSeconds,
        ...(await measureRestarts(context, name, count)),
      },
    };
  },
};

/** A restart for each thing that can be killed, each on a fresh directory. */
async function measureRestarts(
  context: MeasureContext,
  name: RealEngineName,
  count: number,
): Promise<Readonly<Record<string, number>>> {
  const metrics: Record<string, number> = {};
  let best = Number.POSITIVE_INFINITY;
  for (let scopeIndex = 0; ; scopeIndex += 1) {
    const crashable = await createCrashable(name, { directory: context.directory(`crash-${scopeIndex}`) });
    const scope = crashable.killScopes[scopeIndex];
    if (scope === undefined) break;
    await crashable.prepare();
    const first = await crashable.spawn({ killAtStep: Math.floor(count / 2) });
    await first.opened;
    await first.startSequence(randomUUID(), count);
    await first.died;
    await first.kill(scope);
    const second = await crashable.spawn({});
    const firstStepMs = await second.firstStepMs;
    await second.kill();
    await crashable.dispose();
    metrics[`restartMs (${scope})`] = firstStepMs;
    best = Math.min(best, firstStepMs);
  }
  return { ...metrics, bestRestartMs: best };
}
