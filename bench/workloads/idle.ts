import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { createEngine, requireRealEngine } from "../engines.ts";
import { runInFlight } from "../pool.ts";
import { settle } from "../process-meter.ts";
import { readQueryCount } from "../query-counter.ts";
import { payloadFor } from "../trivial-step.ts";
import type { Workload } from "../workload.ts";

export const idle: Workload = {
  id: "W8",
  title: "idle with 10,000 sleepers",
  measures:
    "CPU seconds of the process and statements that reach SQLite in a minute without traffic, after the start of the " +
    "sleepers has come to rest.",
  cases(engine, isQuick) {
    return engine === "aion" ? [{ count: isQuick ? 500 : 10_000 }] : [];
  },
  async measure(context) {
    const { count } = context.measuredCase;
    const windowMs = context.isQuick ? 5_000 : 60_000;
    const engine = await createEngine(requireRealEngine(context.engine), {
      directory: context.directory("engine"),
    });
    await engine.open();
    await runInFlight(count, 400, () => engine.startSleeper(randomUUID()));
    // One real workflow, so that nothing that starts lazily is left out.
    await engine.runSteps(randomUUID(), payloadFor("probe"));
    await settle(process.pid, 15_000);
    const queriesBefore = readQueryCount();
    const cost = await context.timed(async () => {
      await delay(windowMs);
    });
    const queries = readQueryCount() - queriesBefore;
    await engine.close();
    const minutes = windowMs / 60_000;
    return {
      workflows: count,
      seconds: cost.seconds,
      fsyncs: cost.fsyncs,
      metrics: { cpuSecondsPerMinute: cost.cpuSeconds / minutes, queriesPerMinute: queries / minutes },
    };
  },
};
