import { rejectCurrentRun } from "../program/inline.ts";

let engineCount = 0;

/**
 * A promise that workflow code made and let go of fails its run when it rejects, not the process. Rejections of other
 * origin keep the meaning they have without this listener.
 */
function onUnhandledRejection(reason: unknown): void {
  if (rejectCurrentRun(reason)) return;
  if (process.listenerCount("unhandledRejection") === 1) throw reason;
}

/** Listens while at least one engine is open. */
export function guardRejections(): () => void {
  if (engineCount === 0) process.on("unhandledRejection", onUnhandledRejection);
  engineCount += 1;
  return () => {
    engineCount -= 1;
    if (engineCount === 0) process.off("unhandledRejection", onUnhandledRejection);
  };
}
