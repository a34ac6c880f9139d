/**
 * Finds a service that runs in a process of its own, and starts it when it does not run.
 *
 * Owner: each process that calls a service has one `Companion` for it.
 * Law: at most one process serves a data directory; a service outlives its callers and a caller outlives its service.
 * 1. What the state file says is believed only after a health call with its token was answered.
 * 2. A service with other settings than wanted is ended, in good order, before one with the right ones starts.
 * 3. `forget` makes the next `locate` look again, so a killed service is back for the caller's next attempt.
 */
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import {
  type ServiceHealth,
  ServiceHealth as HealthSchema,
  ServiceState,
  statePath,
} from "./service-host.ts";

export const PAYMENT_SERVICE = "payment-service";
export const APPROVAL_DESK = "approval-desk";

/** The exit code of a service that found another one at work. */
export const ALREADY_RUNNING_EXIT_CODE = 17;

const START_TIMEOUT_MS = 60_000;
const HEALTH_TIMEOUT_MS = 2_000;

export interface Location {
  readonly url: string;
  readonly token: string;
  readonly pid: number;
}

export interface CompanionOptions {
  readonly name: string;
  readonly dataDir: string;
  /** The service's program, next to this file. */
  readonly script: string;
  readonly arguments: readonly string[];
  /** What the service's health must say; anything else is another service than the one wanted. */
  readonly settings: ServiceHealth["settings"];
}

export interface CallOptions {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: unknown;
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

interface Spawned {
  readonly pid: number | undefined;
  exitCode(): number | string | undefined;
  kill(): void;
}

export class Companion {
  readonly #options: CompanionOptions;
  #located: Promise<Location> | undefined;

  constructor(options: CompanionOptions) {
    this.#options = options;
  }

  /** Where the service is; starts it when there is none. */
  locate(): Promise<Location> {
    this.#located ??= this.#findOrStart().catch((cause: unknown) => {
      this.#located = undefined;
      throw cause;
    });
    return this.#located;
  }

  forget(): void {
    this.#located = undefined;
  }

  /** One HTTP call. A connection that cannot be made makes the next call look for the service again. */
  async call(options: CallOptions): Promise<Response> {
    const { url, token } = await this.locate();
    let response: Response;
    try {
      response = await fetch(url + options.path, {
        method: options.method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(options.body === undefined ? {} : { "content-type": "application/json" }),
          ...(options.idempotencyKey === undefined ? {} : { "idempotency-key": options.idempotencyKey }),
        },
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
    } catch (cause) {
      if (options.signal?.aborted !== true) this.forget();
      throw cause;
    }
    if (response.status !== 401) return response;
    this.forget();
    throw new Error(`the ${this.#options.name} at ${url} is another one than before`);
  }

  /** Starts the service again when it has died; returns whether it had to. */
  async ensure(): Promise<boolean> {
    const before = await this.locate();
    if ((await healthOf(before)) !== undefined) return false;
    this.forget();
    return (await this.locate()).pid !== before.pid;
  }

  /** Ends the service, if one runs. */
  async stop(): Promise<void> {
    this.forget();
    const found = await this.#find();
    if (found !== undefined) await shutDown(found.location);
  }

  async #find(): Promise<{ readonly location: Location; readonly health: ServiceHealth } | undefined> {
    const location = readLocation(this.#options);
    const health = location === undefined ? undefined : await healthOf(location);
    return location === undefined || health === undefined ? undefined : { location, health };
  }

  async #findOrStart(): Promise<Location> {
    const { name, dataDir, settings } = this.#options;
    const found = await this.#find();
    if (found !== undefined) {
      if (isDeepStrictEqual(found.health.settings, settings)) return found.location;
      await shutDown(found.location);
    }
    const deadlineMs = Date.now() + START_TIMEOUT_MS;
    let child = this.#spawn();
    while (Date.now() < deadlineMs) {
      const started = await this.#find();
      if (started !== undefined && isDeepStrictEqual(started.health.settings, settings)) {
        // One that came second would take over as soon as the first is stopped, when nobody wants it any more.
        if (started.location.pid !== child.pid) child.kill();
        return started.location;
      }
      const exitCode = child.exitCode();
      // Another process may have started it in the same moment, or an old one may not have let go yet.
      if (exitCode === ALREADY_RUNNING_EXIT_CODE) child = this.#spawn();
      else if (exitCode !== undefined)
        throw new Error(`the ${name} ended with ${exitCode}; see ${logPath(dataDir, name)}`);
      await delay(exitCode === undefined ? 20 : 200);
    }
    child.kill();
    throw new Error(`the ${name} did not start within ${START_TIMEOUT_MS} ms; see ${logPath(dataDir, name)}`);
  }

  #spawn(): Spawned {
    const { name, dataDir, script } = this.#options;
    mkdirSync(dataDir, { recursive: true });
    const log = openSync(logPath(dataDir, name), "a", 0o600);
    try {
      const program = fileURLToPath(new URL(script, import.meta.url));
      const child = spawn(process.execPath, [...process.execArgv, program, ...this.#options.arguments], {
        // A session of its own: neither Ctrl-C in the terminal nor the death of this process reaches it.
        detached: true,
        stdio: ["ignore", log, log],
      });
      let failure: string | undefined;
      child.once("error", (error) => {
        failure = error.message;
      });
      child.unref();
      return {
        pid: child.pid,
        exitCode: () => failure ?? child.exitCode ?? child.signalCode ?? undefined,
        kill: () => void child.kill("SIGKILL"),
      };
    } finally {
      closeSync(log);
    }
  }
}

function logPath(dataDir: string, name: string): string {
  return join(dataDir, `${name}.log`);
}

function readLocation(options: { readonly dataDir: string; readonly name: string }): Location | undefined {
  try {
    const text = readFileSync(statePath(options.dataDir, options.name), "utf8");
    const { port, token, pid } = ServiceState.parse(JSON.parse(text));
    return { url: `http://127.0.0.1:${port}`, token, pid };
  } catch {
    return undefined;
  }
}

async function healthOf(location: Location): Promise<ServiceHealth | undefined> {
  try {
    const response = await fetch(`${location.url}/health`, {
      headers: { authorization: `Bearer ${location.token}` },
      signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS),
    });
    const health = HealthSchema.parse(await response.json());
    return health.pid === location.pid ? health : undefined;
  } catch {
    return undefined;
  }
}

async function shutDown(location: Location): Promise<void> {
  await fetch(`${location.url}/shutdown`, {
    method: "POST",
    headers: { authorization: `Bearer ${location.token}` },
    signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS),
  }).catch(() => undefined);
  const deadlineMs = Date.now() + START_TIMEOUT_MS;
  while ((await healthOf(location)) !== undefined && Date.now() < deadlineMs) await delay(20);
}
