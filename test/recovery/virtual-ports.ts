/** Ports on virtual time, for tests of one part of the engine. */
import type { Ports } from "../../src/core/ports.ts";
import { VirtualTime } from "../../src/testing/virtual-time.ts";
import type { LogLine } from "./world.ts";

const startMs = 1_700_000_000_000;
/** Far more than any test needs: somebody calls himself back at once, again and again. */
const stormDelays = 1_000_000;

export interface VirtualPorts {
  readonly ports: Ports;
  readonly time: VirtualTime;
  readonly logged: readonly LogLine[];
  /** How long each delay is that was asked for, in order. */
  readonly delays: readonly number[];
  /** Delays that have neither fired nor been called off. */
  readonly waitingCount: number;
  /** Wall clock. */
  readonly now: () => number;
  /** Until nothing moves; time stands still. */
  readonly settle: () => Promise<void>;
  /** Lets so much time pass, and everybody act on it. */
  readonly pass: (ms: number) => Promise<void>;
}

export function virtualPorts(): VirtualPorts {
  const time = new VirtualTime(startMs);
  const logged: LogLine[] = [];
  const delays: number[] = [];
  const waiting = new Set<object>();
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  let uuidCount = 0;
  return {
    ports: {
      clock: time.clock,
      random: { number: () => 0.5, uuid: () => `uuid-${(uuidCount += 1)}` },
      scheduler: {
        turn: (callback) => void setImmediate(callback),
        delay: (delayMs, callback) => {
          delays.push(delayMs);
          const delay = {};
          waiting.add(delay);
          const callOff = time.delay(delayMs, () => {
            waiting.delete(delay);
            callback();
          });
          return () => {
            waiting.delete(delay);
            callOff();
          };
        },
      },
      log: (level, message, fields) => logged.push({ level, message, fields }),
    },
    time,
    logged,
    delays,
    get waitingCount() {
      return waiting.size;
    },
    now: () => time.clock.now(),
    settle,
    pass: async (ms) => {
      const end = time.elapsedMs + ms;
      await settle();
      for (let count = 0; (time.nextAt ?? Number.POSITIVE_INFINITY) <= end; count++) {
        if (count > stormDelays) throw new Error("delays without end");
        time.fireNext();
        await settle();
      }
      time.passUntil(end);
    },
  };
}
