import { randomUUID } from "node:crypto";
import { createCrashable, requireRealEngine } from "../engines.ts";
import type { RealEngineName } from "../engine-under-test.ts";
import { quantile } from "../fsync-rate.ts";
import type { MeasureContext, Workload } from "../workload.ts";

const shortHistory = 200;
/** One start of a process is a matter of luck. */
const recoveryCount = 5;

export const longHistory: Workload = {
  id: "W7",
  title: "recovery of a history of 100,000 events",
  measures:
    "A run whose history has that many events waits in a step when its process is killed; milliseconds from the spawn " +
    `of the new process until that step runs again, the median of ${recoveryCount} such processes. Replay alone is what this ` +
    "takes longer than the same with a " +
    `history of ${shortHistory} events. Memory is the new process's, with the run resident.`,
  cases(engine, isQuick) {
    return engine === "aion" ? [{ count: isQuick ? 2_000 : 100_000 }] : [];
  },
  async measure(context) {
    const name = requireRealEngine(context.engine);
    const short = await recover(context, name, "short", shortHistory);
    let long: Recovery | undefined;
    const cost = await context.timed(async () => {
      long = await recover(context, name, "long", context.measuredCase.count);
    });
    if (long === undefined) throw new TypeError("the recovery was not measured");
    const replaySeconds = Math.max(0, long.recoverMs - short.recoverMs) / 1000;
    return {
      workflows: 1,
      seconds: long.recoverMs / 1000,
      fsyncs: cost.fsyncs,
      metrics: {
        events: long.events,
        recoverMs: long.recoverMs,
        recoverShortMs: short.recoverMs,
        replayEventsPerSecond: (long.events - short.events) / replaySeconds,
        rssMib: long.rssMib,
        rssShortMib: short.rssMib,
      },
    };
  },
};

interface Recovery {
  readonly events: number;
  readonly recoverMs: number;
  readonly rssMib: number;
}

async function recover(
  context: MeasureContext,
  name: RealEngineName,
  directory: string,
  eventCount: number,
): Promise<Recovery> {
  const crashable = await createCrashable(name, { directory: context.directory(directory) });
  await crashable.prepare();
  const first = await crashable.spawn({});
  await first.opened;
  const events = await first.startLongHistory(randomUUID(), eventCount);
  await first.kill();
  const millis: number[] = [];
  let rssMib = Number.NaN;
  for (let count = 0; count < recoveryCount; count += 1) {
    const next = await crashable.spawn({});
    millis.push(await next.firstStepMs);
    rssMib = next.memory()["process"] ?? Number.NaN;
    await next.kill();
  }
  await crashable.dispose();
  return { events, recoverMs: quantile(millis, 0.5), rssMib };
}
