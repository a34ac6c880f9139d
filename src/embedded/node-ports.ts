import { randomUUID } from "node:crypto";
import type { Log, Ports } from "../core/ports.ts";

/** `setTimeout` fires at once above this (2³¹−1 ms, about 24.8 days). */
const timeoutMsMax = 2_147_483_647;

/** The machine's clock, randomness and event loop. */
export function nodePorts(log: Log): Ports {
  return {
    clock: { now: () => Date.now() },
    random: { number: () => Math.random(), uuid: () => randomUUID() },
    scheduler: {
      // Immediates run after all microtasks; many runs share one.
      turn: (callback) => void setImmediate(callback),
      delay: (delayMs, callback) => {
        let left = delayMs;
        let timer: NodeJS.Timeout;
        const arm = (): void => {
          const part = Math.min(left, timeoutMsMax);
          left -= part;
          timer = setTimeout(() => (left > 0 ? arm() : callback()), part);
        };
        arm();
        return () => clearTimeout(timer);
      },
    },
    log,
  };
}
