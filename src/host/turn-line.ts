import type { Scheduler } from "../core/ports.ts";
import type { HostLine } from "./code-host.ts";
import { RealmHost } from "./realm-host.ts";

/** A code host in this thread, on the engine's own scheduler: for tests and simulations. An endless loop is one here. */
export function turnLine(guest: string, scheduler: Scheduler, onHost?: (host: RealmHost) => void): HostLine {
  return {
    open: (on) => {
      const host = new RealmHost({
        guest,
        turn: (callback) => scheduler.turn(callback),
        reply: (replies) => scheduler.turn(() => on.reply(replies)),
      });
      onHost?.(host);
      return {
        post: (requests) => scheduler.turn(() => host.take(requests)),
        expect: () => undefined,
        close: async () => undefined,
      };
    },
  };
}
