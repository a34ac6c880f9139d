import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import type { RemoteOptions } from "../client/remote.ts";
import { connectRemote } from "../client/remote.ts";
import type { RunAddress } from "../client/service.ts";
import { isAionError } from "../core/errors.ts";
import type { PayloadCodec } from "../core/payload-codec.ts";
import type { Connection, ConnectOptions } from "./connect.ts";
import { loadCodec } from "./codec-file.ts";
import { connect, isGone, parseStoreUrl } from "./connect.ts";
import { messageOf } from "../core/payload.ts";
import { Output } from "./output.ts";
import { tlsFetch } from "./tls-fetch.ts";
import type { TlsFiles } from "./tls-fetch.ts";
import { asUsage, usageError } from "./usage.ts";

interface GlobalOptions {
  readonly store?: string;
  readonly url?: string;
  readonly namespace?: string;
  readonly token?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly codec?: string;
  readonly json?: boolean;
}

/** Where the runs are: in a file on this machine, or at a server. */
export type Place = { readonly store: string } | { readonly server: RemoteServer };

interface RemoteServer extends RemoteOptions {
  /** What `fetch` has in it, for those who call by other means. */
  readonly tls?: TlsFiles;
}

const reconnectMs = 250;
const writeAttemptsMax = 3;
/** Long enough for a server that is being started anew, and short enough for who mistyped its address. */
const patienceMs = 3_000;

/** One command at work: where the runs are, where it writes, and how it ends. */
export class Session {
  readonly output: Output;
  readonly place: Place;
  readonly #codecFile: string | undefined;
  #codec: Promise<PayloadCodec> | undefined;

  constructor(command: Command) {
    const options = command.optsWithGlobals<GlobalOptions>();
    this.place = placeOf(command, options);
    this.#codecFile = options.codec === "" ? undefined : options.codec;
    this.output = new Output({ isJson: options.json === true });
  }

  /** The store, for a command that works on the file itself. */
  get store(): string {
    if ("store" in this.place) return this.place.store;
    throw usageError("this command works on a file", "Pass --store sqlite:path/to/file.db instead of --url.");
  }

  /** As people call it. */
  get placeName(): string {
    return "store" in this.place ? this.place.store : this.place.server.url;
  }

  /** What `--codec` names. Error: `invalid_argument`. */
  async codec(): Promise<PayloadCodec | undefined> {
    if (this.#codecFile === undefined) return undefined;
    this.#codec ??= loadCodec(this.#codecFile);
    return await this.#codec;
  }

  /** The command did what it was asked to, and the answer is a failure. */
  fail(): void {
    process.exitCode = 1;
  }

  /** Does something with the store, once. */
  async with<Result>(
    options: Omit<ConnectOptions, "place" | "codec">,
    work: (connection: Connection) => Promise<Result>,
  ): Promise<Result> {
    const codec = await this.codec();
    for (let attempt = 1; ; attempt++) {
      const connection = await connect({ place: this.place, codec, ...options });
      if (connection.via === "beside") {
        this.output.note(`the engine on ${this.placeName} does not answer; read from the file, beside it`);
      }
      try {
        return await work(connection);
      } catch (error) {
        // An engine was opened between the look and the claim; nothing was written.
        const isOvertaken = connection.via === "file" && isAionError(error) && error.code === "store_owned";
        if (!isOvertaken || attempt >= writeAttemptsMax) throw error;
      } finally {
        await connection.close();
      }
    }
  }

  /** Waits for something, over restarts of the engine. `work` is called again when the engine went away under it. */
  async waiting<Result>(work: (connection: Connection) => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        return await this.with({ purpose: "read" }, work);
      } catch (error) {
        if (!isGone(error)) throw error;
        this.output.note("the engine went away; looking again");
        await delay(reconnectMs);
      }
    }
  }

  /** After a write: says what moves the run when nothing does now. */
  noteIdle(connection: Connection): void {
    if (connection.via === "file") {
      this.output.note(`no engine is running on ${this.placeName}; the run will move when one does`);
    }
  }

  /** Before a wait: the same, if there is anything to wait for. */
  async noteIdleWait(connection: Connection, run: RunAddress): Promise<void> {
    if (connection.via !== "file") return;
    const { status } = await connection.service.result({ ...run, waitMs: 0 });
    if (status === "running") this.noteIdle(connection);
  }
}

/** A flag goes before what the environment says. */
function placeOf(command: Command, options: GlobalOptions): Place {
  // A variable that is set to nothing is not set.
  const [store, url, namespace, token] = [options.store, options.url, options.namespace, options.token].map(
    (text) => (text === "" ? undefined : text),
  );
  const isFlag = (name: string): boolean => command.getOptionValueSourceWithGlobals(name) === "cli";
  const isServer = url !== undefined && (store === undefined || isFlag("url") || !isFlag("store"));
  if (store !== undefined && url !== undefined && isFlag("store") === isFlag("url")) {
    throw usageError("both a store and a server are named", "Pass --store or --url, not both.");
  }
  if (isServer) {
    const server = {
      url,
      patience: patienceMs,
      ...(namespace === undefined ? {} : { namespace }),
      ...(token === undefined ? {} : { token }),
      ...tlsOf(options),
    };
    // Says now what is wrong with the address.
    asUsage(() => connectRemote(server));
    return { server };
  }
  if (store === undefined) {
    throw usageError(
      "neither a store nor a server is named",
      "Pass --store sqlite:path/to/file.db (or set AION_STORE), or --url http://127.0.0.1:4466 (or set AION_URL).",
    );
  }
  if (isFlag("namespace")) throw usageError("a file has no namespaces", "Pass --namespace with --url.");
  asUsage(() => parseStoreUrl(store));
  return { store };
}

function tlsOf({ ca, cert, key }: GlobalOptions): Pick<RemoteServer, "tls" | "fetch"> {
  const named = Object.entries({ ca, cert, key }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "",
  );
  if (named.length === 0) return {};
  const tls: TlsFiles = Object.fromEntries(
    named.map(([name, file]) => {
      try {
        return [name, readFileSync(file)];
      } catch (error) {
        throw usageError(`cannot read --${name}: ${messageOf(error)}`, "Name a file in PEM.");
      }
    }),
  );
  return { tls, fetch: tlsFetch(tls) };
}
