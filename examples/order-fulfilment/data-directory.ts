import { mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Everything that a run leaves behind. A fresh start removes these and nothing else, whatever directory it is given. */
const remains = [
  "orders.jsonl",
  "server",
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

export const STANDARD_DATA_DIRECTORY = fileURLToPath(new URL("../../.data/shop", import.meta.url));

/** `--data`, else `AION_DATA`, else `.data/shop` in the repository. */
export function resolveDataDirectory(flag: string | undefined, environment: NodeJS.ProcessEnv): string {
  const given = flag ?? environment["AION_DATA"];
  return given === undefined || given === "" ? STANDARD_DATA_DIRECTORY : resolve(given);
}

/** Where `--chaos`, which always begins again, leaves alone what runs without it keep. */
export function chaosDirectoryIn(dataDir: string): string {
  return join(dataDir, "chaos");
}

/** Removes what earlier runs left. Whoever calls it holds the lock, and has ended the services. */
export function emptyDataDirectory(dataDir: string): void {
  mkdirSync(dataDir, { recursive: true });
  for (const name of remains) rmSync(join(dataDir, name), { recursive: true, force: true });
}
