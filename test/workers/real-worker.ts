/** The worker as it is published, on the clock of a world, which it outlives the engines of. */
import { InProcessTransport } from "../../src/testing/in-process-transport.ts";
import type { FrameFate } from "../../src/testing/in-process-transport.ts";
import type { EngineFrame, WorkerFrame } from "../../src/protocol/frames.ts";
import type { WorkerAcceptor } from "../../src/protocol/transport.ts";
import type { ActivityTask } from "../../src/workflow/definition.ts";
import { activity } from "../../src/workflow/definition.ts";
import type { WorkerOptions } from "../../src/worker/worker.ts";
import { Worker } from "../../src/worker/worker.ts";
import type { Process, World } from "../recovery/world.ts";

export type Fate = (frame: WorkerFrame | EngineFrame, to: "engine" | "worker") => FrameFate;
export type Work = (input: unknown, task: ActivityTask) => unknown;

/** A worker of the world: it outlives the engines, on the world's clock. */
export function startWorker(
  world: World,
  work: Work,
  options: Partial<WorkerOptions> & { readonly fate?: Fate } = {},
) {
  const { fate, ...rest } = options;
  const transport = new InProcessTransport(
    () => (world.isUp ? ofProcess(world.process) : undefined),
    fate === undefined ? {} : { fate },
  );
  void (async () => {
    for (;;) {
      await world.up();
      await world.death();
      transport.cut();
    }
  })();
  let uuidCount = 0;
  const logged: string[] = [];
  const worker = new Worker({
    transport,
    activities: [activity("work", work)],
    identity: "w1",
    log: (_level, message) => logged.push(message),
    ports: {
      random: { number: () => 0.5, uuid: () => `worker-${(uuidCount += 1)}` },
      scheduler: {
        delay: (ms, callback) => {
          let isOn = true;
          const wait = async (): Promise<void> => {
            await world.idle(ms);
            if (isOn) callback();
          };
          void wait();
          return () => {
            isOn = false;
          };
        },
      },
    },
    ...rest,
  });
  return { worker, transport, logged, working: worker.run() };
}

/** A dead process hears nothing. */
function ofProcess(process: Process): WorkerAcceptor {
  const isAlive = (): boolean => process.isAlive;
  return {
    acceptWorker: (link) => {
      const receiver = process.kernel.workers.acceptWorker(link);
      return {
        receive: (frame) => {
          if (isAlive()) receiver.receive(frame);
        },
        closed: () => {
          if (isAlive()) receiver.closed();
        },
      };
    },
  };
}
