/**
 * `performance.now` and `timeOrigin`, because libraries take differences of times by them. The clock is the run's: it
 * begins when the run first asks, and stands still between two events.
 */
import { defineMembers, defineValue } from "./define.ts";
import type { CurrentPort } from "./port.ts";
import { RunLocal } from "./runs.ts";

export function installPerformance(global: object, port: CurrentPort): void {
  const origins = new RunLocal(port, () => ({ at: port().now() }));
  const performance = {};
  defineMembers(performance, {
    now: () => port().now() - origins.current.at,
    get timeOrigin(): number {
      return origins.current.at;
    },
  });
  Object.defineProperty(performance, Symbol.toStringTag, { value: "Performance", configurable: true });
  defineValue(global, "performance", performance);
}
