import { messageOf } from "../core/payload.ts";
import type { Ports } from "../core/ports.ts";

const retryMs = 1_000;

/** For what nobody waits for and must happen all the same: tried again until it succeeds, or is no longer wanted. Never rejects. */
export async function insist(
  work: () => Promise<unknown>,
  of: { readonly ports: Ports; readonly what: string; readonly isWanted: () => boolean },
): Promise<void> {
  while (of.isWanted()) {
    try {
      await work();
      return;
    } catch (error) {
      if (!of.isWanted()) return;
      of.ports.log("warn", `${of.what} failed; trying again`, { error: messageOf(error) });
      await new Promise<void>((resolve) => of.ports.scheduler.delay(retryMs, resolve));
    }
  }
}
