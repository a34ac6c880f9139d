import type { SimulationFailure } from "./failure.ts";
import type { Reduction } from "./plan.ts";
import { noReduction, planOf } from "./plan.ts";
import { runWorld } from "./world.ts";

export interface Shrunk {
  readonly reduction: Reduction;
  readonly failure: SimulationFailure;
  readonly stepCount: number;
  readonly triedCount: number;
}

/**
 * Looks for the smallest world of a seed that breaks the same law: leaves out faults, then operations of clients (many at once
 * first), then engines, then workers. Every decision has dice of its own, so what stays goes its way much as before.
 */
export async function shrink(seed: number, begin: Reduction = noReduction): Promise<Shrunk | undefined> {
  const first = await runWorld(planOf(seed, begin));
  if (first.failure === undefined) return undefined;
  const { kind } = first.failure;
  let best: Shrunk = { reduction: begin, failure: first.failure, stepCount: first.stepCount, triedCount: 1 };
  let triedCount = 1;
  const attempt = async (reduction: Reduction): Promise<boolean> => {
    triedCount += 1;
    const { failure, stepCount } = await runWorld(planOf(seed, reduction));
    if (failure?.kind !== kind) return false;
    best = { reduction, failure, stepCount, triedCount };
    return true;
  };
  const leaveOutFaults = async (): Promise<void> => {
    for (const fault of planOf(seed, best.reduction).faults) {
      await attempt({ ...best.reduction, faults: [...best.reduction.faults, fault] });
    }
  };
  await leaveOutFaults();
  for (let size = 8; size >= 1; size = Math.floor(size / 2)) {
    const numbers = planOf(seed, best.reduction).clients.flatMap((operations) =>
      operations.map(({ number }) => number),
    );
    for (let at = 0; at < numbers.length; at += size) {
      const some = numbers.slice(at, at + size);
      await attempt({ ...best.reduction, operations: [...best.reduction.operations, ...some] });
    }
  }
  for (let count = 1; count < planOf(seed, best.reduction).engineCount; count++) {
    if (await attempt({ ...best.reduction, engineCount: count })) break;
  }
  if (planOf(seed, best.reduction).workers !== undefined)
    await attempt({ ...best.reduction, hasWorkers: false });
  await leaveOutFaults();
  return { ...best, triedCount };
}

/** The arguments that run the smaller world. */
export function toArguments(seed: number, of: Reduction): string {
  const { faults, operations, engineCount, hasWorkers } = of;
  return [
    `--seed ${seed}`,
    ...(faults.length === 0 ? [] : [`--without ${faults.join(",")}`]),
    ...(operations.length === 0 ? [] : [`--drop ${operations.toSorted((a, b) => a - b).join(",")}`]),
    ...(engineCount === undefined ? [] : [`--engines ${engineCount}`]),
    ...(hasWorkers === undefined ? [] : [`--labour ${hasWorkers ? "workers" : "engines"}`]),
  ].join(" ");
}
