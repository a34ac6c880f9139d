import { AionError } from "../core/errors.ts";
import type { OwnerRecord } from "./contract.ts";

/** The refusal of a claim, naming who owns the store. */
export function storeOwned(storeName: string, owner: OwnerRecord, now: number): AionError {
  const where = owner.endpoint === undefined ? "" : `, reached at ${owner.endpoint}`;
  const leaseMs = Math.max(0, owner.leaseUntil - now);
  return new AionError(
    "store_owned",
    `store ${storeName} is owned by process ${owner.pid} on ${owner.host}${where} (epoch ${owner.epoch}, lease for another ${leaseMs} ms)`,
    {
      details: {
        pid: owner.pid,
        host: owner.host,
        epoch: owner.epoch,
        leaseUntil: owner.leaseUntil,
        ...(owner.endpoint === undefined ? {} : { endpoint: owner.endpoint }),
      },
    },
  );
}
