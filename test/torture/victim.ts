/**
 * A process that embeds an engine, carries the script out, and says what it was told, line by line, on standard
 * output: an acknowledgement after the engine's promise was kept, a side effect as it begins. `node victim.ts OPTIONS`
 */
import { writeSync } from "node:fs";
import { isAionError, Engine } from "aion";
import type { Said, Script } from "./workload.ts";
import { defineWorkload } from "./workload.ts";

export interface VictimOptions {
  readonly path: string;
  readonly script: Script;
  readonly lease?: string;
  /** Listens for the `aion` command, as engines do. */
  readonly hasSocket?: boolean;
  /** Opens again and again until the store can be had. */
  readonly isPatient?: boolean;
  /** Says that something is done before it asks for it: what the audit is to find. */
  readonly isLiar?: boolean;
}

/** How a victim that was not killed ends. */
export const exitCodes = { done: 0, gaveUp: 3, unopened: 5 } as const;

async function main({ path, script, lease, hasSocket, isPatient, isLiar }: VictimOptions): Promise<number> {
  const say = (what: Said): void => {
    writeSync(1, `${JSON.stringify(what)}\n`);
  };
  const { workflows, activities, drive } = defineWorkload(say, isLiar);
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => undefined);
  const open = (): Promise<Engine> =>
    Engine.open({
      store: `sqlite:${path}`,
      workflows,
      activities,
      localSocket: hasSocket === true,
      feed: true,
      // Whatever the clock does: the audit wants all of it.
      feedRetention: "36500 days",
      ...(lease === undefined ? {} : { lease }),
      onStopped: (error) => {
        say({ said: "lost", code: error.code });
        lost.reject(error);
      },
    });
  let engine: Engine | undefined;
  while (engine === undefined) {
    try {
      engine = await open();
    } catch (error) {
      const { code, message } = describe(error);
      if (isPatient === true && (code === "store_owned" || code === "store_unavailable")) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      say({ said: "unopened", code, message });
      return exitCodes.unopened;
    }
  }
  say({ said: "opened", recovered: engine.recoveredCount, at: Date.now() });
  try {
    const driven = drive(engine, script);
    driven.catch(() => undefined);
    await Promise.race([driven, lost.promise]);
    await engine.close();
    say({ said: "done" });
    return exitCodes.done;
  } catch (error) {
    const { code, message } = describe(error);
    say({ said: "gave-up", code, message });
    await engine.close({ drain: 0 });
    return exitCodes.gaveUp;
  }
}

function describe(error: unknown): { readonly code: string; readonly message: string } {
  if (isAionError(error)) return { code: error.code, message: error.message };
  return { code: "other", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

if (import.meta.main) {
  // Not by the end of the event loop: whatever still waits in it is of no more interest.
  process.exit(await main(JSON.parse(process.argv[2] ?? "") as VictimOptions));
}
