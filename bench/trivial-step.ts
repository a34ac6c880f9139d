/**
 * The payload and the step body that every engine runs, and the probe through which a workload
 * learns that a step ran. Identical code on all sides, so that what differs is the engine.
 */

/** About 100 bytes as JSON. */
export interface Payload {
  readonly orderId: string;
  readonly amount: number;
  readonly currency: string;
  readonly note: string;
}

export function payloadFor(orderId: string): Payload {
  return { orderId, amount: 4_200, currency: "EUR", note: "deliver to the back door" };
}

interface StepProbe {
  /** Steps run by this process. A replayed step does not run, so this counts live steps only. */
  executedCount: number;
  /** The process kills itself in the middle of this step, before its outcome can be recorded. */
  killAtStep: number;
  onFirstStep: (() => void) | undefined;
}

export const stepProbe: StepProbe = {
  executedCount: 0,
  killAtStep: Number.POSITIVE_INFINITY,
  onFirstStep: undefined,
};

/** What a step does: next to nothing, with a new object of the same size as its result. */
export function trivialStep(input: Payload): Payload {
  stepProbe.executedCount += 1;
  if (stepProbe.executedCount === 1) stepProbe.onFirstStep?.();
  if (stepProbe.executedCount === stepProbe.killAtStep) process.kill(process.pid, "SIGKILL");
  return { ...input, amount: input.amount + 1 };
}
