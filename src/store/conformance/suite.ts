import { appendScenarios } from "./append-scenarios.ts";
import { attributeScenarios } from "./attribute-scenarios.ts";
import { catalogScenarios, packageDamageScenarios } from "./catalog-scenarios.ts";
import { chainScenarios } from "./chain-scenarios.ts";
import { damageScenarios, handleScenarios } from "./handle-scenarios.ts";
import { feedScenarios } from "./feed-scenarios.ts";
import { interleavingScenario } from "./interleaving.ts";
import { logScenarios } from "./log-scenarios.ts";
import { listScenarios } from "./list-scenarios.ts";
import { messageScenarios } from "./message-scenarios.ts";
import { ownerScenarios } from "./owner-scenarios.ts";
import type { PropertyOptions } from "./property.ts";
import { readScenarios } from "./read-scenarios.ts";
import { requestScenarios } from "./request-scenarios.ts";
import { sequenceScenario } from "./sequence.ts";
import { sizeScenarios } from "./size-scenarios.ts";
import { World, feedKeepMs, leaseMs, openFresh } from "./world.ts";
import type { OpenedStore, Scenario, StoreBackend } from "./world.ts";

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
  "two objects on the same data": handleScenarios,
  sizes: sizeScenarios,
  damage: damageScenarios,
  packages: [...catalogScenarios, ...packageDamageScenarios],
  "requests that are repeated": requestScenarios,
  "the feed": feedScenarios,
  "the logs of runs": logScenarios,
  "search attributes": attributeScenarios,
  properties: [sequenceScenario, interleavingScenario],
};

/**
 * The conformance suite: a backend that passes it carries the engine. Call it from a test file, once per
 * backend. The last group needs the package `fast-check`, and when it fails it prints a small counterexample
 * and the `seed` and `path` that repeat it.
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
export function describeStoreConformance<Opened extends OpenedStore>(
  name: string,
  backend: StoreBackend<Opened>,
  testApi: ConformanceTestApi,
  options: PropertyOptions = {},
): void {
  testApi.describe(`store conformance: ${name}`, () => {
    for (const [group, all] of Object.entries(groups)) {
      const scenarios = all.filter(({ needs }) => needs === undefined || backend[needs] !== undefined);
      if (scenarios.length === 0) continue;
      testApi.describe(group, () => {
        for (const scenario of scenarios) {
          testApi.it(scenario.name, () => runScenario(scenario, backend, options));
        }
      });
    }
  });
}

async function runScenario(
  scenario: Scenario,
  backend: StoreBackend,
  options: PropertyOptions,
): Promise<void> {
  const { opened, time } = await openFresh(backend);
  try {
    const feed = { keepMs: feedKeepMs };
    const token = await opened.store.claim({ leaseMs, endpoint: "/run/aion.sock", feed });
    await scenario.run(new World(opened, time, token), backend, options);
  } finally {
    await opened.dispose();
  }
}
