import { runBatch } from "./batch.ts";
import type { PlantedBug } from "./planted-bugs.ts";

export interface Trial {
  readonly bug: PlantedBug;
  /** Worlds until one broke a law; `undefined`: none did. */
  readonly seedsNeeded: number | undefined;
  /** The law. */
  readonly kind: string | undefined;
}

/** The worlds of schedules in which bugs are looked for. */
const plantedScheduleDays = 40;

/** Runs worlds with the bug, from seed 1 on, until one breaks a law. */
export async function tryPlantedBug(
  bug: PlantedBug,
  of: { readonly seedsMax: number; readonly workerCount: number },
): Promise<Trial> {
  const { failures } = await runBatch({
    from: 1,
    count: of.seedsMax,
    workerCount: of.workerCount,
    seedsPerChunk: 5,
    stopsAtFailure: true,
    planted: bug.name,
    hasWorkers: bug.isOfWorkers === true,
    ...(bug.isOfResets === true ? { hasResets: true as const } : {}),
    ...(bug.isOfSchedules === true ? { scheduleDays: plantedScheduleDays } : {}),
  });
  const [first] = failures;
  return { bug, seedsNeeded: first?.seed, kind: first?.kind };
}
