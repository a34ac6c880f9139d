/** The conformance kit: our worker passes it, and workers that do one thing wrong do not. */
import path from "node:path";
import process from "node:process";
import { InProcessTransport } from "aion/testing";
import type { FrameFate } from "aion/testing";
import {
  Worker,
  conformanceActivities,
  runWorkerScenario,
  workerProcess,
  workerScenarios,
} from "aion/worker";
import type { EngineFrame, RunningWorker, WorkerAcceptor, WorkerFrame, WorkerUnderTest } from "aion/worker";
import { describe, expect, it } from "vitest";
import { isLike } from "../../src/worker/conformance/run-scenario.ts";
import { conformingActivities } from "./conforming-activities.ts";

/** Our worker, perhaps with a connection that changes what it says or hears. */
function ourWorker(
  twist: {
    readonly concurrency?: (capacity: number) => number;
    readonly fate?: (frame: WorkerFrame | EngineFrame, to: "engine" | "worker") => FrameFate;
    readonly stop?: (worker: Worker) => Promise<void>;
  } = {},
): WorkerUnderTest {
  return {
    start: async (engine: WorkerAcceptor, { taskQueues, capacity }): Promise<RunningWorker> => {
      const worker = new Worker({
        transport: new InProcessTransport(() => engine, twist.fate === undefined ? {} : { fate: twist.fate }),
        activities: conformingActivities(),
        taskQueues,
        concurrency: twist.concurrency?.(capacity) ?? capacity,
        log: () => undefined,
      });
      const stopped = worker.run();
      return { stop: () => (twist.stop ?? ((each) => each.stop({ drain: 200 })))(worker), stopped };
    },
  };
}

describe("our worker", () => {
  it.each(workerScenarios.map((scenario) => [scenario.name, scenario] as const))(
    "%s",
    async (_name, scenario) => {
      await expect(runWorkerScenario(scenario, ourWorker())).resolves.toBeUndefined();
    },
  );
});

describe("our worker in a process of its own", () => {
  const file = path.join(import.meta.dirname, "conforming-worker-process.ts");
  it.each(workerScenarios.map((scenario) => [scenario.name, scenario] as const))(
    "%s",
    async (_name, scenario) => {
      const worker = workerProcess([process.execPath, file]);
      await expect(runWorkerScenario(scenario, worker)).resolves.toBeUndefined();
    },
  );
});

describe("the kit", () => {
  it("asks for the activities that it names", () => {
    expect(conformingActivities().map(({ activityType }) => activityType)).toEqual([
      ...conformanceActivities,
    ]);
  });

  it("says what cannot be started", async () => {
    const [scenario] = workerScenarios;
    if (scenario === undefined) throw new Error("there are no scenarios");
    await expect(runWorkerScenario(scenario, workerProcess(["./no-such-worker"]))).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("no-such-worker") as string,
    });
  });

  const silent: FrameFate = "arrives";
  /** A frame that is changed on its way. */
  const changed =
    (type: string, change: (frame: Record<string, unknown>) => void) =>
    (frame: WorkerFrame | EngineFrame): FrameFate => {
      if (frame.type === type) change(frame as unknown as Record<string, unknown>);
      return silent;
    };
  it.each<[string, string, Parameters<typeof ourWorker>[0]]>([
    [
      "a worker that asks for more than it was told",
      "registers:",
      { concurrency: (capacity) => capacity + 1 },
    ],
    ["one that runs one at a time", "runs two of five", { concurrency: () => 1 }],
    [
      "one that runs all at once",
      "runs two of five",
      { concurrency: () => 5, fate: changed("register", (frame) => (frame["capacity"] = 2)) },
    ],
    [
      "one that forgets what it reported",
      "reports again",
      { fate: changed("register", (frame) => (frame["unacknowledged"] = [])) },
    ],
    [
      "one that forgets its session",
      "reports again",
      { fate: changed("register", (frame) => delete frame["session"]) },
    ],
    [
      "one that calls every failure final",
      "fails a task that",
      { fate: changed("report", (frame) => (frame["outcome"] = { kind: "failed" })) },
    ],
    [
      "one that sends no details",
      "sends heartbeats",
      { fate: changed("heartbeat", (frame) => delete frame["details"]) },
    ],
    [
      "one that does not hear of cancellations",
      "cancels a task",
      { fate: changed("cancel", (frame) => (frame["token"] = "another")) },
    ],
    [
      "one that reports what is not wanted",
      "stops what",
      { fate: changed("cancel", (frame) => (frame["reason"] = "requested")) },
    ],
    ["one that goes without a word", "drains:", { stop: async (worker) => worker.stop({ drain: 0 }) }],
  ])("does not pass %s", async (_what, name, twist) => {
    const scenario = workerScenarios.find((each) => each.name.startsWith(name));
    if (scenario === undefined) throw new Error(`there is no scenario ${name}`);
    await expect(runWorkerScenario(scenario, ourWorker(twist), { withinMs: 700 })).rejects.toThrow(
      scenario.name,
    );
  });

  it.each([
    ["a field too many", { a: 1, b: 2 }, { a: 1 }, true],
    ["a field missing", { b: 2 }, { a: 1 }, false],
    ["text that is JSON, however it is spaced", '{"a": [1] }', { json: { a: [1] } }, true],
    ["text that is other JSON", "[2]", { json: [1] }, false],
    ["text that is no JSON", "{", { json: {} }, false],
    ["an entry too many", [1, 2], [1], false],
    ["any text", "x", { text: true as const }, true],
    ["no text", "", { text: true as const }, false],
    ["one of several", 2, { oneOf: [1, 2] }, true],
    ["none of several", 3, { oneOf: [1, 2] }, false],
  ])("compares %s", (_what, value, pattern, isAlike) => {
    expect(isLike(value, pattern)).toBe(isAlike);
  });
});
