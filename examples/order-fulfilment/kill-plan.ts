import type { Victim } from "./backend.ts";
import { Seeded } from "./outside/seeded.ts";

export type Kill = {
  readonly victim: Victim;
  /** After the moment that `kind` names. */
  readonly delayMs: number;
} & (
  | /** When the process before it had been killed: most often its successor is still being started. */
    { readonly kind: "start-up" }
  /** When so many orders had ended. */
  | { readonly kind: "progress"; readonly endedCount: number }
);

const WORKER_SHARE = 0.4;
const START_UP_SHARE = 0.3;
const START_UP_DELAY_MS_MAX = 900;
const PROGRESS_DELAY_MS_MAX = 250;

/** When to kill what: the moments are random, spread over the whole run, and the same for the same seed. */
export function makeKillPlan(options: {
  readonly killCount: number;
  readonly orderCount: number;
  readonly seed: number;
}): readonly Kill[] {
  const random = new Seeded("kills", options.seed);
  const { killCount, orderCount } = options;
  return Array.from({ length: killCount }, (_, index): Kill => {
    const victim = random.chance(WORKER_SHARE) ? "worker" : "server";
    if (random.chance(START_UP_SHARE)) {
      return { victim, kind: "start-up", delayMs: random.integer(0, START_UP_DELAY_MS_MAX) };
    }
    // One random moment in each slice, and none in the last tenth, where the run might end before its turn.
    const part = ((index + random.next()) / killCount) * 0.9;
    return {
      victim,
      kind: "progress",
      endedCount: Math.floor(part * orderCount),
      delayMs: random.integer(0, PROGRESS_DELAY_MS_MAX),
    };
  });
}
