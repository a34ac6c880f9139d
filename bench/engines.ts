import { BenchError } from "./engine-under-test.ts";
import type { CrashableEngine, EngineOptions, EngineUnderTest, RealEngineName } from "./engine-under-test.ts";

/** Loads the engine's adapter only when it is measured: a peer's packages need not be installed. */
export async function createEngine(name: RealEngineName, options: EngineOptions): Promise<EngineUnderTest> {
  switch (name) {
    case "aion":
      return (await import("./aion.ts")).aionEngine(options);
    case "dbos":
      return (await import("./peers/dbos/dbos.ts")).dbosEngine(options);
    case "restate":
      return (await import("./peers/restate/restate.ts")).restateEngine(options);
  }
}

export async function createCrashable(
  name: RealEngineName,
  options: EngineOptions,
): Promise<CrashableEngine> {
  switch (name) {
    case "aion":
      return (await import("./aion.ts")).aionCrashable(options);
    case "dbos":
      return (await import("./peers/dbos/dbos.ts")).dbosCrashable(options);
    case "restate":
      return (await import("./peers/restate/restate.ts")).restateCrashable(options);
  }
}

export function requireRealEngine(name: string): RealEngineName {
  if (name === "aion" || name === "dbos" || name === "restate") return name;
  throw new BenchError(`the workload does not run on "${name}"`);
}
