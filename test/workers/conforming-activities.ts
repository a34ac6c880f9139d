/** What the conformance kit asks of a worker, in our own. */
import { setTimeout as pause } from "node:timers/promises";
import { ApplicationFailure, activity } from "aion/workflow";

export function conformingActivities() {
  const gauge = { now: 0, peak: 0 };
  return [
    activity("echo", (input: unknown) => input),
    activity("fail", (message: string) => {
      throw new Error(message);
    }),
    activity("fail-for-good", (message: string) => {
      throw new ApplicationFailure(message, { nonRetryable: true });
    }),
    activity("park", (message: string) => {
      throw new ApplicationFailure(message, { park: true });
    }),
    activity("beat", async (input: unknown, task) => {
      task.heartbeat(input);
      await pause(100);
    }),
    activity("last-beat", (_input: null, task) => task.lastHeartbeat),
    activity("wait", async (_input: null, task) => {
      await new Promise((resolve) => task.signal.addEventListener("abort", resolve));
      throw new Error("it was cancelled");
    }),
    activity("gauge", async () => {
      gauge.now += 1;
      gauge.peak = Math.max(gauge.peak, gauge.now);
      await pause(100);
      gauge.now -= 1;
      return gauge.peak;
    }),
  ];
}
