import { mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { namespaceNotFound } from "../auth/policy.ts";
import { makePrivate } from "../auth/private-file.ts";
import { namespacePattern } from "../client/routes.ts";
import { AionError, errorTable } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { Log } from "../core/ports.ts";
import { spanAttribute, withAttributes } from "../core/tracing.ts";
import type { EngineOptions } from "../embedded/engine.ts";
import { Engine } from "../embedded/engine.ts";
import type { FairTurns, Lane, Share } from "./fair-turns.ts";
import { toAionError } from "../http/errors.ts";
import type { NamespaceSummary } from "../client/server-client.ts";

export interface NamespacesOptions {
  /** Where the files are, one for each namespace. */
  readonly directory: string;
  readonly engine: Omit<EngineOptions, "store" | "onStopped" | "namespace" | "turn">;
  readonly turns: FairTurns;
  readonly log: Log;
  /** How long one that failed is left alone before it is tried again: the first time, and at most. */
  readonly reopenMs?: { readonly first: number; readonly most: number };
}

const fileEnding = ".db";
const namePattern = new RegExp(namespacePattern);
const openedAtOnce = 4;

interface Namespace {
  readonly name: string;
  readonly share: Share;
  engine: Engine | undefined;
  /** Why there is none. */
  error: AionError | undefined;
}

/**
 * The namespaces of a server: each is a store of its own, on a file of its own, with an engine of its own. So what is in one
 * cannot be met from another, and what befalls one (a damaged file, a disk that failed) is not felt in another.
 *
 * One whose engine stops is opened again, at growing distances, for as long as the server is there.
 */
export class Namespaces {
  readonly #options: NamespacesOptions;
  readonly #namespaces = new Map<string, Namespace>();
  readonly #making = new Map<string, Promise<void>>();
  readonly #opening = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: NamespacesOptions) {
    this.#options = options;
  }

  /**
   * Opens all that are there, and makes those of these that are not. What cannot be opened is told by `list`, and tried again.
   * Errors: `invalid_argument` and the like (of what every engine is opened with), `store_unavailable` (the directory).
   */
  async open(names: readonly string[]): Promise<void> {
    for (const name of new Set([...names.map(parseNamespace), ...this.#find()])) {
      this.#namespaces.set(name, this.#known(name));
    }
    const left = [...this.#namespaces.values()];
    const openSome = async (): Promise<void> => {
      for (let namespace = left.shift(); namespace !== undefined; namespace = left.shift()) {
        await this.#open(namespace);
        if (namespace.engine === undefined) void this.#openAgain(namespace);
      }
    };
    await Promise.all(Array.from({ length: openedAtOnce }, openSome));
    // What they are opened with is the same for all, and will not be another the next time.
    for (const { error } of this.#namespaces.values())
      if (error !== undefined && errorTable[error.code].kind === "usage") throw error;
  }

  #known(name: string): Namespace {
    return { name, share: this.#options.turns.shareOf(name), engine: undefined, error: undefined };
  }

  #find(): readonly string[] {
    const { directory } = this.#options;
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      return readdirSync(directory)
        .filter((file) => file.endsWith(fileEnding))
        .map((file) => file.slice(0, -fileEnding.length))
        .filter((name) => namePattern.test(name));
    } catch (error) {
      throw new AionError("store_unavailable", `cannot use the directory ${directory}: ${messageOf(error)}`, {
        cause: error,
        hint: "Check that it is a directory, and that this user may write in it.",
      });
    }
  }

  /** Errors: `namespace_not_found`; why its engine is not there. */
  engineOf(name: string): Engine {
    const namespace = this.#namespaces.get(name);
    if (namespace === undefined) throw namespaceNotFound(name);
    if (namespace.engine !== undefined) return namespace.engine;
    throw namespace.error ?? new AionError("engine_closed", `namespace ${name} is being opened`);
  }

  /** Resolves when it is the namespace's turn; `undefined`: it is, or there is no such namespace. */
  enter(name: string, lane: Lane): Promise<void> | undefined {
    return this.#namespaces.get(name)?.share.enter(lane);
  }

  list(): readonly NamespaceSummary[] {
    return [...this.#namespaces.values()]
      .map(({ name, engine, error }): NamespaceSummary => {
        if (engine !== undefined) return { name, state: "open" };
        return { name, state: "unavailable", ...(error === undefined ? {} : { error: error.message }) };
      })
      .toSorted((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** Makes it, if it is not there. Resolves when its store is on disk. Returns whether it is new. */
  async create(name: string): Promise<boolean> {
    parseNamespace(name);
    if (this.#closing.signal.aborted) throw new AionError("engine_closed", "the server is closing");
    const making = this.#making.get(name);
    if (making !== undefined) await making;
    if (this.#namespaces.has(name)) return false;
    const made = this.#make(name).finally(() => this.#making.delete(name));
    this.#making.set(name, made);
    await made;
    return true;
  }

  async #make(name: string): Promise<void> {
    const namespace = this.#known(name);
    await this.#open(namespace);
    if (namespace.error !== undefined) throw namespace.error;
    this.#namespaces.set(name, namespace);
  }

  /** Takes no more calls, and closes every engine. */
  async close(drainMs: number): Promise<void> {
    this.#closing.abort();
    // One that is being opened is given up when it is.
    await Promise.allSettled([...this.#making.values(), ...this.#opening]);
    await Promise.all(
      [...this.#namespaces.values()].map(async ({ engine }) => await engine?.close({ drain: drainMs })),
    );
  }

  async #open(namespace: Namespace): Promise<void> {
    const opening = this.#openNow(namespace).finally(() => this.#opening.delete(opening));
    this.#opening.add(opening);
    await opening;
  }

  async #openNow(namespace: Namespace): Promise<void> {
    const { directory, engine, log } = this.#options;
    const { name } = namespace;
    let isThere = false;
    let stoppedEarly: AionError | undefined;
    try {
      const file = path.join(directory, `${name}${fileEnding}`);
      makePrivate(file);
      const opened = await Engine.open({
        ...engine,
        namespace: name,
        turn: namespace.share.turn,
        ...(engine.tracing === undefined
          ? {}
          : { tracing: withAttributes(engine.tracing, { [spanAttribute.namespace]: name }) }),
        feed: true,
        store: `sqlite:${file}`,
        log: (level, message, fields) => log(level, message, { namespace: name, ...fields }),
        onStopped: (error) => {
          if (isThere) void this.#stopped(namespace, error);
          else stoppedEarly = error;
        },
      });
      // It stopped before it was there: then it never was.
      if (stoppedEarly !== undefined) {
        await opened.close({ drain: 0 });
        throw stoppedEarly;
      }
      isThere = true;
      if (this.#closing.signal.aborted) {
        await opened.close();
        return;
      }
      namespace.engine = opened;
      namespace.error = undefined;
      log("info", "namespace opened", { namespace: name, recovered: opened.recoveredCount });
    } catch (reason) {
      namespace.error = toAionError(reason);
      const { code, message, hint } = namespace.error;
      log("error", "a namespace cannot be opened", { namespace: name, code, error: message, hint });
    }
  }

  async #stopped(namespace: Namespace, error: AionError): Promise<void> {
    const { engine } = namespace;
    namespace.engine = undefined;
    namespace.error = error;
    const { code, message } = error;
    this.#options.log("error", "the engine of a namespace stopped", {
      namespace: namespace.name,
      code,
      error: message,
    });
    try {
      await engine?.close({ drain: 0 });
    } catch (reason) {
      const { message: why } = toAionError(reason);
      this.#options.log("warn", "a stopped engine did not close", { namespace: namespace.name, error: why });
    }
    await this.#openAgain(namespace);
  }

  async #openAgain(namespace: Namespace): Promise<void> {
    const { signal } = this.#closing;
    const { first, most } = this.#options.reopenMs ?? { first: 1_000, most: 60_000 };
    for (let pauseMs = first; !signal.aborted; pauseMs = Math.min(2 * pauseMs, most)) {
      await delay(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      await this.#open(namespace);
      if (namespace.engine !== undefined) return;
    }
  }
}

/** Errors: `invalid_argument`. */
export function parseNamespace(name: string): string {
  if (namePattern.test(name)) return name;
  throw new AionError(
    "invalid_argument",
    `a namespace has 1 to 63 of the characters a-z, 0-9 and -, and neither begins nor ends with -: got ${JSON.stringify(name.slice(0, 100))}`,
  );
}
