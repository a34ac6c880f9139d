import { InProcessTransport } from "aion/testing";
import { Worker, runWorkerScenario } from "aion/worker";
import type { ScenarioStep, WorkerUnderTest } from "aion/worker";
import { activity } from "aion/workflow";
import { expect, it } from "vitest";
import { nullPayload } from "../../src/core/payload.ts";

const holding: WorkerUnderTest = {
  start: async (engine, { taskQueues, capacity }) => {
    const worker = new Worker({
      transport: new InProcessTransport(() => engine),
      activities: [
        activity("hold", async (_input: null, task) => {
          task.heartbeat();
          await new Promise((resolve) => task.signal.addEventListener("abort", resolve));
        }),
      ],
      taskQueues,
      concurrency: capacity,
      log: () => undefined,
    });
    const stopped = worker.run();
    return { stop: () => worker.stop({ drain: 0 }), stopped };
  },
};

it("that say no more than that an attempt is alive are repeated when the worker comes again", async () => {
  const says = (type: string): ScenarioStep => ({ step: "says", frame: { type } });
  const comes = (): readonly ScenarioStep[] => [
    { step: "connects" },
    says("register"),
    {
      step: "tell",
      frame: {
        type: "registered",
        session: "s",
        sessionTimeoutMs: 60_000,
        payloadLimitBytes: 1_000,
        stop: [],
      },
    },
  ];
  const steps: readonly ScenarioStep[] = [
    ...comes(),
    says("ready"),
    {
      step: "tell",
      frame: {
        type: "task",
        token: "t1",
        activityType: "hold",
        workflowId: "w",
        runId: "r",
        attempt: 1,
        idempotencyKey: "r:1",
        input: nullPayload,
        heartbeatMs: 60_000,
      },
    },
    says("heartbeat"),
    { step: "cut" },
    ...comes(),
    says("heartbeat"),
    says("ready"),
  ];
  await expect(
    runWorkerScenario({ name: "heartbeats", capacity: 1, steps }, holding),
  ).resolves.toBeUndefined();
});
