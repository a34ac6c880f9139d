/** Engines that have no implementation of the activity "work", over a store that survives them, and what tests ask of both. */
import type { RunHandle } from "../../src/client/run-handle.ts";
import type { Event } from "../../src/core/event.ts";
import type { WorkerOptions } from "../../src/engine/workers.ts";
import { workerOptionsDefault } from "../../src/engine/workers.ts";
import type { ActivityOptions, AnyWorkflow } from "../../src/workflow/definition.ts";
import { activity, workflow } from "../../src/workflow/definition.ts";
import type { WorldOptions } from "../recovery/world.ts";
import { World } from "../recovery/world.ts";
import { ScriptedWorker } from "./scripted-worker.ts";

interface RemoteOptions extends Pick<WorldOptions, "fault" | "onAppend" | "restarts" | "store"> {
  readonly residentMax?: number;
  readonly work?: ActivityOptions;
  readonly workers?: Partial<WorkerOptions>;
  readonly workflows?: (work: Work) => readonly AnyWorkflow[];
}

export type Work = ReturnType<typeof defineWork>;

function defineWork(name: string, options: ActivityOptions) {
  return activity(name, options, (_input: unknown): unknown => {
    throw new Error("it runs on workers alone");
  });
}

export async function openRemoteWorld(options: RemoteOptions = {}) {
  const work = defineWork("work", options.work ?? {});
  /** Does the works of its input one after the other, or those of a list in it at once. */
  const job = workflow("job", async (inputs: readonly unknown[]) => {
    const results: unknown[] = [];
    for (const input of inputs) {
      results.push(
        Array.isArray(input) ? await Promise.all(input.map((each) => work(each))) : await work(input),
      );
    }
    return results;
  });
  const world = new World({
    workflows: () => [job, ...(options.workflows?.(work) ?? [])],
    kernel: {
      workers: { ...workerOptionsDefault, ...options.workers },
      ...(options.residentMax === undefined ? {} : { residentMax: options.residentMax }),
    },
    ...(options.store === undefined ? {} : { store: options.store }),
    ...(options.fault === undefined ? {} : { fault: options.fault }),
    ...(options.onAppend === undefined ? {} : { onAppend: options.onAppend }),
    restarts: options.restarts ?? false,
  });
  await world.open();
  return {
    world,
    work,
    job,
    /** A worker that has joined the engine that is up. */
    join: async (of: Partial<ConstructorParameters<typeof ScriptedWorker>[0]> = {}) => {
      const worker = new ScriptedWorker({ activityTypes: ["work"], ...of });
      joinUp(world, worker);
      await world.settle();
      return worker;
    },
    start: async (id: string, ...inputs: readonly unknown[]): Promise<RunHandle> => {
      const run = await world.during(world.process.client.start(job, inputs, { id }));
      await world.settle();
      return run;
    },
  };
}

export function joinUp(world: World, worker: ScriptedWorker): ScriptedWorker {
  const { process } = world;
  return worker.join(process.kernel.workers, () => process.isAlive);
}

/** Connects to the engine that is up, and says nothing yet. */
export function connectUp(world: World, worker: ScriptedWorker): ScriptedWorker {
  const { process } = world;
  return worker.connect(process.kernel.workers, () => process.isAlive);
}

/** The events of activities in a few words: `started 1 on w1`. */
export async function attemptsOf(world: World, workflowId: string): Promise<readonly string[]> {
  return (await world.history(workflowId)).flatMap((event) => describeEvent(event) ?? []);
}

function describeEvent(event: Event): string | undefined {
  switch (event.type) {
    case "ActivityStarted":
      return `started ${event.attempt}${event.worker === undefined ? "" : ` on ${event.worker}`}`;
    case "ActivityCompleted":
      return `completed ${event.attempt}`;
    case "ActivityFailed": {
      const what = event.lost === undefined ? "failed" : `lost (${event.lost})`;
      return `${what} ${event.attempt}${event.retryAt === undefined ? " for good" : ""}`;
    }
    case "ActivityTimedOut":
      return `timed out (${event.timeout}) ${event.attempt}${event.retryAt === undefined ? " for good" : ""}`;
    case "ActivityCancelled":
      return `cancelled ${event.attempt}`;
    default:
      return undefined;
  }
}
