import { Client } from "../client/client.ts";
import { AionError } from "../core/errors.ts";
import { connectLocal } from "../local/client.ts";
import { openSqliteStore } from "../store/sqlite/store.ts";

export interface Connection {
  readonly client: Client;
  close(): void;
}

/**
 * Connects to the engine that runs on a store in another process of this machine.
 * Errors: `no_owner` (none is running), `store_url_invalid`, `transport_failed`.
 *
 * @example
 * const { client, close } = await connect("sqlite:aion.db");
 * await client.get("order-42").signal(approval, { by: "ann", ok: true });
 * close();
 */
export async function connect(store: string): Promise<Connection> {
  if (!store.startsWith("sqlite:"))
    throw new AionError("store_url_invalid", `${JSON.stringify(store)} is no SQLite store`);
  const file = openSqliteStore({ path: store.slice("sqlite:".length), readOnly: true });
  const owner = await file.readOwner();
  await file.close();
  if (owner === undefined || !owner.isAlive || owner.endpoint === undefined) {
    throw new AionError("no_owner", `no engine that can be reached runs on ${store}`);
  }
  const service = connectLocal(owner.endpoint);
  return { client: new Client(service), close: () => service.close() };
}
