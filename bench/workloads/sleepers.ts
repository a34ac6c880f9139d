import { createCrashable, requireRealEngine } from "../engines.ts";
import { measureIdleNodeMib, settle } from "../process-meter.ts";
import type { Workload } from "../workload.ts";

const settleTimeoutMs = 60_000;
/** What suited each engine best in trials. */
const startsInFlight = { aion: 1_000, dbos: 300, restate: 1_000 } as const;

export const sleepers: Workload = {
  id: "W5",
  title: "workflows that sleep an hour, and a crash",
  measures:
    "Seconds until all the starts are durable; `kill -9` of everything that holds workflows; milliseconds from the " +
    "spawn of the new process until a new workflow of three steps had its result there; resident memory when the " +
    "new process has come to rest.",
  cases(engine, isQuick) {
    switch (engine) {
      case "floor":
        return [];
      case "aion":
        return isQuick ? [{ count: 1_000 }] : [{ count: 10_000 }, { count: 100_000 }, { count: 1_000_000 }];
      case "dbos":
      case "restate":
        return [{ count: isQuick ? 200 : 10_000 }];
    }
  },
  async measure(context) {
    const { count } = context.measuredCase;
    const name = requireRealEngine(context.engine);
    const crashable = await createCrashable(name, { directory: context.directory("engine") });
    await crashable.prepare();
    const first = await crashable.spawn({});
    await first.opened;
    let startSeconds = Number.NaN;
    const cost = await context.timed(async () => {
      startSeconds = await first.startSleepers(count, startsInFlight[name]);
    });
    const before = first.memory();
    await first.kill();

    const second = await crashable.spawn({ probe: true });
    const readyMs = await second.readyMs;
    await settle(process.pid, settleTimeoutMs);
    const after = second.memory();
    await second.kill();
    await crashable.dispose();
    const idleNodeMib = await measureIdleNodeMib();
    const programMib = after["process"] ?? after["service"] ?? Number.NaN;
    return {
      workflows: count,
      seconds: startSeconds,
      fsyncs: cost.fsyncs,
      metrics: {
        startsPerSecond: count / startSeconds,
        readyMs,
        rssBeforeMib: sum(before),
        rssAfterMib: sum(after),
        ...(after["server"] === undefined ? {} : { serverRssMib: after["server"] }),
        programRssMib: programMib,
        idleNodeMib,
        overIdleNodeMib: programMib - idleNodeMib,
      },
    };
  },
};

function sum(parts: Readonly<Record<string, number>>): number {
  return Object.values(parts).reduce((total, part) => total + part, 0);
}
