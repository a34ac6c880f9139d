import { mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Everything that a run leaves behind. A fresh start removes these and nothing else, whatever directory it is given. */
const remains = [
  "orders.jsonl",
  "orders.db",
  "orders.db-wal",
  "orders.db-shm",
  "orders.db-journal",
  "payments.ledger.jsonl",
  "approvals.journal.jsonl",
  "payment-service.log",
  "payment-service.state.json",
  "approval-desk.log",
  "approval-desk.state.json",
  "labels",
  "parcels",
  "outbox",
];

/** `--data`, else `AION_DATA`, else `.data/order-fulfilment` in the repository. */
export function resolveDataDirectory(flag: string | undefined, environment: NodeJS.ProcessEnv): string {
  const given = flag ?? environment["AION_DATA"];
  if (given !== undefined && given !== "") return resolve(given);
  return fileURLToPath(new URL("../../.data/order-fulfilment", import.meta.url));
}

/** Removes what earlier runs left. Whoever calls it holds the lock, and has ended the services. */
export function emptyDataDirectory(dataDir: string): void {
  mkdirSync(dataDir, { recursive: true });
  for (const name of remains) rmSync(join(dataDir, name), { recursive: true, force: true });
}
