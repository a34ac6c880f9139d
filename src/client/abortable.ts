import type { OptionNames } from "../core/options.ts";
import type { CallOptions } from "./service.ts";

export const callOptionNames: OptionNames<CallOptions> = { abortSignal: true };

/**
 * Waits for a call for as long as its caller wants to: throws the reason of the signal when that fires, whether the other side
 * has heard of it or not.
 */
export async function abortable<Result>(
  abortSignal: AbortSignal | undefined,
  call: (options: CallOptions) => Promise<Result>,
): Promise<Result> {
  if (abortSignal === undefined) return await call({});
  abortSignal.throwIfAborted();
  const fired = Promise.withResolvers<never>();
  const onAbort = (): void => fired.reject(abortSignal.reason);
  abortSignal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([call({ abortSignal }), fired.promise]);
  } finally {
    abortSignal.removeEventListener("abort", onAbort);
  }
}
