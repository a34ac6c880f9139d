import { randomUUID } from "node:crypto";
import { createEngine, requireRealEngine } from "../engines.ts";
import { quantile } from "../fsync-rate.ts";
import { runInFlight } from "../pool.ts";
import { ownCpuSeconds, treeMemory } from "../process-meter.ts";
import { aionService } from "../service/aion-service.ts";
import type { StepService } from "../service/aion-service.ts";
import { payloadFor } from "../trivial-step.ts";
import type { MeasureContext, Workload } from "../workload.ts";

const inFlightCandidates = [30, 100, 300, 600, 1000] as const;

/** Steps run in a process of their own, so it is W1 and W2 with the network between. */
export const networked: Workload = {
  id: "W9",
  title: "a server and a worker, over the network",
  measures:
    "W1 and then W2 with server, worker and caller as processes of their own on one machine: started over HTTP, steps run by the worker. " +
    `As many in flight as suits the engine (the best of ${inFlightCandidates.join(", ")} in a short search); then one at a time.`,
  cases(engine, isQuick) {
    if (engine === "floor") return [];
    if (engine === "aion")
      return [isQuick ? { count: 300, tracedCount: 100 } : { count: 10_000, tracedCount: 1_000 }];
    return [isQuick ? { count: 100 } : { count: 3_000 }];
  },
  async measure(context) {
    const { count, inFlight: given } = context.measuredCase;
    const service = await openService(context);
    await runMany(service, context.isQuick ? 60 : 2_000, 100);
    const inFlight = given ?? (await searchInFlight(service, context.isQuick ? 60 : 1_000));
    const before = cpuByProcess(service);
    const cost = await context.timed(() => runMany(service, count, inFlight));
    const cpuMicros = Object.entries(cpuByProcess(service)).map(([name, seconds]): [string, number] => [
      `${name}CpuMicros`,
      ((seconds - (before[name] ?? 0)) / count) * 1e6,
    ]);
    const millis: number[] = [];
    for (let index = 0; index < (context.isQuick ? 20 : 500); index += 1) {
      const startedAt = performance.now();
      await runOnce(service);
      millis.push(performance.now() - startedAt);
    }
    const { peakMib } = treeMemory(process.pid);
    await service.close();
    return {
      workflows: count,
      seconds: cost.seconds,
      fsyncs: cost.fsyncs,
      metrics: {
        workflowsPerSecond: count / cost.seconds,
        inFlight,
        p50Ms: quantile(millis, 0.5),
        p99Ms: quantile(millis, 0.99),
        cpuSeconds: cost.cpuSeconds,
        callerCpuSeconds: cost.callerCpuSeconds,
        ...Object.fromEntries(cpuMicros),
        peakRssMib: peakMib,
      },
    };
  },
};

async function openService(context: MeasureContext): Promise<StepService> {
  const options = { directory: context.directory("engine") };
  const service =
    context.engine === "aion"
      ? aionService(options)
      : await createEngine(requireRealEngine(context.engine), options);
  await service.open();
  return service;
}

/** CPU seconds of each process of the service, as far as they are known. */
function cpuByProcess(service: StepService): Readonly<Record<string, number>> {
  const entries = Object.entries(service.processIds?.() ?? {});
  return Object.fromEntries(entries.map(([name, pid]) => [name, ownCpuSeconds(pid)]));
}

function runOnce(service: StepService): Promise<unknown> {
  const id = randomUUID();
  return service.runSteps(id, payloadFor(id));
}

async function runMany(service: StepService, count: number, inFlight: number): Promise<void> {
  await runInFlight(count, inFlight, () => runOnce(service));
}

async function searchInFlight(service: StepService, minimumCount: number): Promise<number> {
  let best: { readonly inFlight: number; readonly rate: number } = { inFlight: 0, rate: 0 };
  for (const inFlight of inFlightCandidates) {
    const count = Math.max(minimumCount, inFlight * 2);
    const startedAt = performance.now();
    await runMany(service, count, inFlight);
    const rate = (count / (performance.now() - startedAt)) * 1000;
    if (rate > best.rate) best = { inFlight, rate };
  }
  return best.inFlight;
}
