import { chmodSync, lstatSync, mkdtempSync, renameSync, rmSync, unlinkSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { defaultNamespace } from "../client/routes.ts";
import type { Service } from "../client/service.ts";
import { AionError } from "../core/errors.ts";
import { messageOf, payloadLimitBytesDefault } from "../core/payload.ts";
import type { Log } from "../core/ports.ts";
import { pingLocal } from "./client.ts";
import type { HttpAnswers } from "../http/node-http.ts";

export interface LocalServerOptions {
  /** Where to listen: see `socketPathFor`. */
  readonly path: string;
  /** The engine's limit for one payload. */
  readonly payloadLimitBytes?: number;
  /** Of Aion. */
  readonly version: string;
  /** What was counted, as text for Prometheus. */
  readonly metrics?: () => Promise<string>;
  /** Where trouble with accepting connections is told. */
  readonly log?: Log;
}

export interface LocalServer {
  readonly path: string;
  /**
   * Stops listening and removes the socket. Calls that wait are answered with `engine_closed` at once; the others with
   * what they lead to.
   */
  close(): Promise<void>;
}

const silenceAttemptsMax = 8;
const silenceRetryMs = 250;

/**
 * Lets other processes of the same user reach the service through a unix socket.
 *
 * A socket file that a dead process left is replaced; one behind which somebody answers is not.
 * Errors: `store_owned` (another engine answers there), `store_unavailable` (the socket cannot be made).
 */
export async function serveLocal(service: Service, options: LocalServerOptions): Promise<LocalServer> {
  const door = new Door(service, options);
  await demandSilence(options.path);
  const inode = await bindPrivately(door.server, options.path);
  return {
    path: options.path,
    close: async () => {
      // Another owner may have put its own there since.
      if (inodeOf(options.path) === inode) unlinkSync(options.path);
      await door.close();
    },
  };
}

/**
 * Listens, and loads what answers when somebody first connects: most engines are never called by another process,
 * and HTTP and the schemas of requests would be half of what an engine takes in memory and to start.
 */
class Door {
  readonly server: Server;
  readonly #service: Service;
  readonly #options: LocalServerOptions;
  #answers: Promise<HttpAnswers> | undefined;

  constructor(service: Service, options: LocalServerOptions) {
    this.#service = service;
    this.#options = options;
    // Nothing of what a caller sends may be read before there is somebody to read it.
    this.server = createServer({ pauseOnConnect: true }, (caller) => void this.#admit(caller));
    this.server.on("error", (error) => this.#warn(error));
    // It must not be what keeps the process alive: an engine that nobody needs any more may end with its program.
    this.server.unref();
  }

  async #admit(caller: Socket): Promise<void> {
    caller.on("error", () => caller.destroy());
    try {
      this.#answers ??= this.#load();
      (await this.#answers).take(caller);
    } catch (error) {
      // The next caller has another try.
      this.#answers = undefined;
      this.#warn(error);
      caller.destroy();
    }
  }

  async #load(): Promise<HttpAnswers> {
    const { answerHttp } = await import("../http/node-http.ts");
    const { payloadLimitBytes = payloadLimitBytesDefault, version, metrics, log } = this.#options;
    return answerHttp({
      // A file is one namespace.
      serviceOf: (namespace) => {
        if (namespace === defaultNamespace) return this.#service;
        throw new AionError("namespace_not_found", `there is no namespace ${JSON.stringify(namespace)}`);
      },
      payloadLimitBytes,
      version,
      ...(metrics === undefined ? {} : { metrics }),
      ...(log === undefined ? {} : { log }),
    });
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    await (await this.#answers)?.close();
    await closed;
  }

  #warn(error: unknown): void {
    this.#options.log?.("warn", "the local socket had an error", { error: messageOf(error) });
  }
}

// An engine that was overtaken while it was frozen answers until it notices, which it soon does.
async function demandSilence(socketPath: string): Promise<void> {
  if (!(await isListenedTo(socketPath))) return;
  for (let attempt = 1; (await pingLocal(socketPath)) === undefined; attempt++) {
    if (attempt === silenceAttemptsMax) {
      throw new AionError("store_owned", `another engine answers at ${socketPath}`);
    }
    await delay(silenceRetryMs);
  }
}

/** The file may be what a dead process left; only behind a living socket it is worth asking who is there. */
function isListenedTo(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const answer = (isThere: boolean): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once("connect", () => answer(true));
    socket.once("error", () => answer(false));
  });
}

/**
 * Binds in a directory that only this user can enter, restricts the socket, and moves it into place: at no moment can
 * anybody else connect, whatever the umask, and a stale file is replaced in one step. Returns the inode.
 */
async function bindPrivately(server: Server, socketPath: string): Promise<number> {
  let directory: string | undefined;
  try {
    directory = mkdtempSync(path.join(path.dirname(socketPath), ".a"));
    const staging = path.join(directory, "s");
    await listen(server, staging);
    chmodSync(staging, 0o600);
    const found = lstatSync(socketPath, { throwIfNoEntry: false });
    if (found !== undefined && !found.isSocket())
      throw new Error("there is a file of that name, which is no socket");
    renameSync(staging, socketPath);
    return lstatSync(socketPath).ino;
  } catch (error) {
    server.close();
    throw new AionError("store_unavailable", `cannot make the socket ${socketPath}: ${messageOf(error)}`, {
      cause: error,
      hint: "Check that the directory can be written and that nothing else has that name.",
    });
  } finally {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  }
}

function listen(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function inodeOf(socketPath: string): number | undefined {
  return lstatSync(socketPath, { throwIfNoEntry: false })?.ino;
}
