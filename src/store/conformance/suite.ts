import { appendScenarios } from "./append-scenarios.ts";
import { chainScenarios } from "./chain-scenarios.ts";
import { listScenarios } from "./list-scenarios.ts";
import { messageScenarios } from "./message-scenarios.ts";
import { modelScenario } from "./model.ts";
import { ownerScenarios } from "./owner-scenarios.ts";
import { readScenarios } from "./read-scenarios.ts";
import { VirtualClock, World, leaseMs } from "./world.ts";
import type { Scenario, StoreBackend } from "./world.ts";

/** The two functions of a test runner that the suite needs: vitest's, node:test's and others' fit. */
export interface ConformanceTestApi {
  describe(name: string, body: () => void): unknown;
  it(name: string, body: () => Promise<void>): unknown;
}

/** By what they are about; each scenario gets a fresh store. */
const groups: Readonly<Record<string, readonly Scenario[]>> = {
  appending: appendScenarios,
  reading: readScenarios,
  "runs of one workflow": chainScenarios,
  listing: listScenarios,
  messages: messageScenarios,
  ownership: ownerScenarios,
  "any sequence of operations": [modelScenario],
};

/**
 * The conformance suite: a backend that passes it carries the engine. Call it from a test file, once per
 * backend. The last group needs the package `fast-check`.
 *
 * @example
 * import { describe, it } from "vitest";
 * import { describeStoreConformance, openMemoryStore } from "aion/store";
 *
 * describeStoreConformance(
 *   "memory",
 *   {
 *     async open({ clock }) {
 *       const store = openMemoryStore({ clock });
 *       return { store, dispose: () => store.close() };
 *     },
 *   },
 *   { describe, it },
 * );
 */
export function describeStoreConformance(
  name: string,
  backend: StoreBackend,
  testApi: ConformanceTestApi,
): void {
  testApi.describe(`store conformance: ${name}`, () => {
    for (const [group, scenarios] of Object.entries(groups)) {
      testApi.describe(group, () => {
        for (const scenario of scenarios) testApi.it(scenario.name, () => runScenario(scenario, backend));
      });
    }
  });
}

async function runScenario(scenario: Scenario, backend: StoreBackend): Promise<void> {
  const clock = new VirtualClock();
  const opened = await backend.open({ clock });
  try {
    const token = await opened.store.claim({ leaseMs, endpoint: "/run/aion.sock" });
    await scenario.run(new World(opened, clock, token), backend);
  } finally {
    await opened.dispose();
  }
}
