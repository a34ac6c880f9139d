import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import { isAionError } from "../core/errors.ts";
import type { Connection, ConnectOptions } from "./connect.ts";
import { connect, isGone, parseStoreUrl } from "./connect.ts";
import { Output } from "./output.ts";
import { asUsage, usageError } from "./usage.ts";

interface GlobalOptions {
  readonly store?: string;
  readonly json?: boolean;
}

const reconnectMs = 250;
const writeAttemptsMax = 3;

/** One command at work: its store, where it writes, and how it ends. */
export class Session {
  readonly output: Output;
  readonly store: string;

  constructor(command: Command) {
    const { store, json } = command.optsWithGlobals<GlobalOptions>();
    if (store === undefined) {
      throw usageError("no store is named", "Pass --store sqlite:path/to/file.db, or set AION_STORE.");
    }
    asUsage(() => parseStoreUrl(store));
    this.store = store;
    this.output = new Output({ isJson: json === true });
  }

  /** The command did what it was asked to, and the answer is a failure. */
  fail(): void {
    process.exitCode = 1;
  }

  /** Does something with the store, once. */
  async with<Result>(
    options: Omit<ConnectOptions, "store">,
    work: (connection: Connection) => Promise<Result>,
  ): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      const connection = await connect({ store: this.store, ...options });
      if (connection.via === "beside") {
        this.output.note(`the engine on ${this.store} does not answer; read from the file, beside it`);
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
      this.output.note(`no engine is running on ${this.store}; the run will move when one does`);
    }
  }
}
