/**
 * A process that deploys packages without end, each with its routes, unloads those before it, and says the version
 * of each after its acknowledgement: `node deploy-process.ts PATH WRITER`
 */
import { archiveOf, deployOf, leaseMs } from "../../src/store/conformance/world.ts";
import type { Archive } from "../../src/store/conformance/world.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import type { SqliteStoreOptions } from "../../src/store/sqlite/store.ts";

/** How many are there at one time. */
export const keptCount = 3;

export const typesOfAll: readonly string[] = ["order", "bill"];

/** Sizes from a few bytes to more than what SQLite holds in memory of a transaction. */
export function archiveAt(index: number): Archive {
  const size = 10 + (index % 4) * 1_500_000;
  return archiveOf(Buffer.alloc(size, `package ${index} `), typesOfAll);
}

async function deploy(): Promise<void> {
  const [path = "", writer = "auto"] = process.argv.slice(2);
  const store = openSqliteStore({ path, writer: writer as NonNullable<SqliteStoreOptions["writer"]> });
  const token = await store.claim({ leaseMs });
  for (let index = 0; ; index += 1) {
    await store.changeCatalog(token, deployOf(archiveAt(index), { route: typesOfAll, deployedAt: index }));
    process.stdout.write(`${index}\n`);
    if (index < keptCount) continue;
    await store.changeCatalog(token, { kind: "unload", version: archiveAt(index - keptCount).version });
  }
}

if (import.meta.main) await deploy();
