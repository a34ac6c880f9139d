import { setTimeout as delay } from "node:timers/promises";
import { CodedService } from "../client/coded-service.ts";
import { connectRemote } from "../client/remote.ts";
import type { Service } from "../client/service.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { PayloadCodec } from "../core/payload-codec.ts";
import { connectLocal, pingLocal } from "../local/client.ts";
import type { OwnerRecord, Store } from "../store/contract.ts";
import { openSqliteStore } from "../store/sqlite/store.ts";
import { FileService } from "./file-service.ts";
import type { Place } from "./session.ts";
import { loadWorkflowFile } from "./workflow-file.ts";

/** How an operation reaches the store. */
export interface Connection {
  readonly service: Service;
  /**
   * `engine`: through the owner's socket. `file`: no engine is running. `beside`: one is, and cannot be reached.
   * `server`: over the network.
   */
  readonly via: "engine" | "file" | "beside" | "server";
  close(): Promise<void>;
}

export interface ConnectOptions {
  readonly place: Place;
  /** A file may be read beside an engine that does not answer; for all else the engine is waited for, and then refused. */
  readonly purpose: "read" | "write";
  /** The file with the workflows, for queries while no engine is running. */
  readonly workflows?: string | undefined;
  /** Of encrypted payloads: what is sent is encoded, and what is read decoded. */
  readonly codec?: PayloadCodec | undefined;
}

/** An engine that is just being opened owns the store already, and does not answer yet. */
const startingMs = 5_000;
const retryMs = 100;

/**
 * Decides which way an operation goes: through the engine that owns the store, or, when none is alive, to the file.
 * Errors: `store_url_invalid`, `store_owned` (an engine is alive and cannot be reached), and those of opening the store.
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const connection = await connectPlain(options);
  const { codec } = options;
  if (codec === undefined) return connection;
  return { ...connection, service: new CodedService(connection.service, codec) };
}

async function connectPlain(options: ConnectOptions): Promise<Connection> {
  const { place } = options;
  if ("server" in place) {
    return { service: connectRemote(place.server), via: "server", close: async () => undefined };
  }
  const path = parseStoreUrl(place.store);
  const store = openSqliteStore({ path, readOnly: true });
  try {
    const endAt = performance.now() + startingMs;
    for (;;) {
      const owner = await store.readOwner();
      if (owner?.isAlive !== true) return await viaFile(store, path, options, false);
      const refusal = owner.endpoint === undefined ? undefined : await pingLocal(owner.endpoint);
      if (owner.endpoint !== undefined && refusal === undefined) {
        await store.close();
        const service = connectLocal(owner.endpoint);
        return { service, via: "engine", close: async () => service.close() };
      }
      if (options.purpose === "read") return await viaFile(store, path, options, true);
      if (performance.now() >= endAt) throw unreachable(store.name, owner, refusal);
      await delay(retryMs);
    }
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function viaFile(
  store: Store,
  path: string,
  options: ConnectOptions,
  isOwned: boolean,
): Promise<Connection> {
  const { workflows, codec } = options;
  const programs = workflows === undefined ? undefined : await loadWorkflowFile(workflows, codec);
  const service = new FileService({ path, store, isOwned, programs });
  return { service, via: isOwned ? "beside" : "file", close: () => store.close() };
}

function unreachable(storeName: string, owner: OwnerRecord, refusal: AionError | undefined): AionError {
  const { pid, host, endpoint } = owner;
  const why = refusal === undefined ? "it serves no socket" : refusal.message;
  return new AionError(
    "store_owned",
    `store ${storeName} is owned by process ${pid} on ${host}, which cannot be reached: ${why}`,
    {
      hint: "Run the command on that machine, as the same user; or stop that process, and the file is written directly.",
      details: { pid, host, ...(endpoint === undefined ? {} : { endpoint }) },
      ...(refusal === undefined ? {} : { cause: refusal }),
    },
  );
}

/** The path in `sqlite:PATH`. */
export function parseStoreUrl(url: string): string {
  const path = url.startsWith("sqlite:") ? url.slice("sqlite:".length) : "";
  if (path !== "" && path !== ":memory:") return path;
  throw new AionError(
    "store_url_invalid",
    `${JSON.stringify(url)} names no store that a command could open`,
    {
      hint: 'Use "sqlite:path/to/file.db".',
    },
  );
}

/** True when the engine went away under a call: what was asked can be asked again of whoever comes next. */
export function isGone(error: unknown): boolean {
  return (
    isAionError(error) &&
    (error.code === "transport_failed" || error.code === "engine_closed" || error.code === "not_owner")
  );
}
