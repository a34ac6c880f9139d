import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Client } from "aion/client";
import { type ProgramMessage, ProgramProcess } from "./child-process.ts";
import type { ServerProcessSettings } from "./server-process.ts";
import type { WorkerProcessSettings } from "./worker-process.ts";

export interface BackendOptions {
  /** Where the server keeps what it has. */
  readonly data: string;
  /** 0: one that is free. */
  readonly port: number;
  readonly faultRate: number;
  readonly seed: number;
  /** Of the services that the worker calls. */
  readonly dataDir: string;
}

export interface BackendHooks {
  readonly onNote: (text: string) => void;
  /** An activity is tried again. */
  readonly onRetry: () => void;
}

export type Victim = "server" | "worker";

/** How long calls wait for a server that is being started again. */
const PATIENCE = "2 minutes";

/** The server and the worker: two processes, each of which may die at any moment. */
export class Backend {
  readonly #options: BackendOptions;
  readonly #programs: Readonly<Record<Victim, ProgramProcess>>;
  readonly #listening = Promise.withResolvers<string>();
  readonly #failed = Promise.withResolvers<never>();
  #readyCallbacks: (() => void)[] = [];
  #url: string | undefined;

  constructor(options: BackendOptions, hooks: BackendHooks) {
    this.#options = options;
    this.#failed.promise.catch(() => undefined);
    const program = (name: Victim, settings: () => object): ProgramProcess =>
      new ProgramProcess({
        name,
        script: `${name}-process.ts`,
        settings,
        onMessage: (message) => this.#heard(message, hooks),
        onNote: hooks.onNote,
        onFailed: (error) => this.#failed.reject(error),
      });
    this.#programs = {
      server: program("server", () => this.#serverSettings()),
      worker: program("worker", () => this.#workerSettings()),
    };
  }

  /** Rejects when the server or the worker cannot be started. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** Starts the server, and gives it the workflows. The client of it goes on when another takes the server's place. */
  async serve(): Promise<{ readonly url: string; readonly client: Client }> {
    this.#programs.server.start();
    const url = await Promise.race([this.#listening.promise, this.failed]);
    await deployWorkflows(url);
    return { url, client: new Client({ url, patience: PATIENCE }) };
  }

  work(): void {
    this.#programs.worker.start();
  }

  /** Ends a process with a signal that it cannot see coming; another takes its place at once. False: there was none. */
  kill(victim: Victim): boolean {
    return this.#programs[victim].kill();
  }

  /** When the next process is ready. */
  ready(victim: Victim): Promise<void> {
    const program = this.#programs[victim];
    return new Promise((resolve) => {
      const look = (): void => {
        if (program.isReady) resolve();
        else this.#readyCallbacks.push(look);
      };
      look();
    });
  }

  /** The worker first, so that what it has done is still recorded. */
  async stop(): Promise<void> {
    await this.#programs.worker.stop();
    await this.#programs.server.stop();
  }

  #heard(message: ProgramMessage, { onNote, onRetry }: BackendHooks): void {
    switch (message.type) {
      case "ready": {
        if (message.url !== undefined) {
          this.#url = message.url;
          this.#listening.resolve(message.url);
        }
        const callbacks = this.#readyCallbacks;
        this.#readyCallbacks = [];
        for (const callback of callbacks) callback();
        break;
      }
      case "retry":
        onRetry();
        break;
      case "note":
        onNote(message.text);
        break;
      case "failed":
        break;
    }
  }

  /** A server that takes the place of another listens where that one did. */
  #serverSettings(): ServerProcessSettings {
    const { data, port } = this.#options;
    return { data, port: this.#url === undefined ? port : Number(new URL(this.#url).port) };
  }

  #workerSettings(): WorkerProcessSettings {
    const { dataDir, faultRate, seed } = this.#options;
    return { serverUrl: this.#url ?? "", dataDir, faultRate, seed };
  }
}

/** By the command, as one does it: the file is built without its activities. What is there already changes nothing. */
async function deployWorkflows(url: string): Promise<void> {
  const command = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const file = fileURLToPath(new URL("workflow.ts", import.meta.url));
  await promisify(execFile)(process.execPath, [...process.execArgv, command, "deploy", file, "--url", url]);
}
