import { rejectCurrentRun } from "../program/inline.ts";

type Listener = NodeJS.UnhandledRejectionListener;

const event = "unhandledRejection";
let engineCount = 0;
let others: readonly Listener[] = [];

/**
 * A promise that workflow code made and let go of fails its run when it rejects. A test runner counts every unhandled
 * rejection as an error of the test, so while a test engine is open its listeners are asked only about those of other
 * origin.
 */
function onUnhandledRejection(reason: unknown, promise: Promise<unknown>): void {
  if (rejectCurrentRun(reason)) return;
  if (others.length === 0) throw reason;
  for (const listener of others) listener.call(process, reason, promise);
}

/** Returns how to give the rejections back. */
export function takeRejections(): () => void {
  if (engineCount++ === 0) {
    others = process.listeners(event);
    process.removeAllListeners(event);
    process.on(event, onUnhandledRejection);
  }
  return () => {
    if (--engineCount > 0) return;
    process.off(event, onUnhandledRejection);
    for (const listener of others) process.on(event, listener);
    others = [];
  };
}
