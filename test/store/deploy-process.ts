/**
 * A process that deploys packages, each with its routes, unloads those before it, and says the number of each after its
 * acknowledgement: `node deploy-process.ts PATH WRITER [COUNT [STEP]]`. Without COUNT it does so without end.
 */
import { writeSync } from "node:fs";
import { archiveOf, deployOf, leaseMs } from "../../src/store/conformance/world.ts";
import type { Archive } from "../../src/store/conformance/world.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import type { SqliteStoreOptions } from "../../src/store/sqlite/store.ts";

/** How many are there at one time. */
const keptCount = 3;

const typesOfAll: readonly string[] = ["order", "bill"];

/** By default from a few bytes to more than what SQLite holds in memory of a transaction. */
export const stepBytesDefault = 1_500_000;

function archiveAt(index: number, stepBytes: number): Archive {
  return archiveOf(Buffer.alloc(10 + (index % 4) * stepBytes, `package ${index} `), typesOfAll);
}

/** Holds a file against the last deployment that such a process was told of; -1: of none. */
export async function auditDeployments(
  path: string,
  last: number,
  stepBytes = stepBytesDefault,
): Promise<readonly string[]> {
  const wrong: string[] = [];
  const store = openSqliteStore({ path });
  const { packages, routes } = await store.readCatalog();
  const newest = packages.at(-1)?.deployedAt ?? -1;
  // The one that was under way may be there, too.
  if (newest !== last && newest !== last + 1)
    wrong.push(`the latest package is ${newest}, ${last} was acknowledged`);
  // Before it those that were not unloaded yet, of which the first may just have been.
  const oldest = packages[0]?.deployedAt ?? -1;
  const expected = [newest - keptCount, newest - keptCount + 1].map((index) =>
    Math.max(Math.min(newest, 0), index),
  );
  if (!expected.includes(oldest)) wrong.push(`the oldest package is ${oldest} of ${newest}`);
  const versions = packages.map((_, index) => archiveAt(oldest + index, stepBytes).version);
  if (packages.map(({ version }) => version).join() !== versions.join())
    wrong.push(`the packages are ${packages.map(({ deployedAt }) => deployedAt).join()}`);
  const routed = packages.flatMap(({ version, deployedAt }) =>
    typesOfAll.map((workflowType) => ({ workflowType, version, routedAt: deployedAt })),
  );
  if (JSON.stringify(routes) !== JSON.stringify(routed))
    wrong.push(`the routes are ${JSON.stringify(routes)}`);
  for (const { version, deployedAt } of packages) {
    const archive = await store.readPackage(version);
    if (archive === undefined || Buffer.compare(archive, archiveAt(deployedAt, stepBytes).bytes) !== 0)
      wrong.push(`package ${deployedAt} is not what was deployed`);
  }
  await store.close();
  return wrong;
}

async function deploy(): Promise<void> {
  const [path = "", writer = "auto", count = "Infinity", step = String(stepBytesDefault)] =
    process.argv.slice(2);
  const store = openSqliteStore({ path, writer: writer as NonNullable<SqliteStoreOptions["writer"]> });
  const token = await store.claim({ leaseMs });
  for (let index = 0; index < Number(count); index += 1) {
    const archive = archiveAt(index, Number(step));
    await store.changeCatalog(token, deployOf(archive, { route: typesOfAll, deployedAt: index }));
    writeSync(1, `${index}\n`);
    if (index < keptCount) continue;
    const { version } = archiveAt(index - keptCount, Number(step));
    await store.changeCatalog(token, { kind: "unload", version });
  }
  await store.close();
}

if (import.meta.main) await deploy();
