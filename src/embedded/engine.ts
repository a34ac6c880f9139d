import { dirname } from "node:path";
import { setTimeout } from "node:timers/promises";
import { Client } from "../client/client.ts";
import { defaultNamespace } from "../client/routes.ts";
import type { DeployReply, PackagesReply, Service, TaskQueueInfo, WorkerInfo } from "../client/service.ts";
import type { Duration } from "../core/duration.ts";
import { parseDuration } from "../core/duration.ts";
import { AionError, isAionError } from "../core/errors.ts";
import { parseName } from "../core/ids.ts";
import type { OptionNames } from "../core/options.ts";
import { demandKnownOptions } from "../core/options.ts";
import { packageBytesMax } from "../core/package-version.ts";
import { payloadLimitBytesDefault } from "../core/payload.ts";
import type { PayloadCodec, SyncPayloadCodec } from "../core/payload-codec.ts";
import { checkedSync } from "../core/payload-codec.ts";
import type { Log, Meter, Ports, Scheduler } from "../core/ports.ts";
import type { Tracing } from "../core/tracing.ts";
import { Catalog } from "../engine/catalog.ts";
import { Kernel } from "../engine/kernel.ts";
import { meteredService } from "../engine/metered-service.ts";
import { Operations } from "../engine/operations.ts";
import type { RecoveryReport } from "../engine/recovery.ts";
import type { Residency } from "../engine/residency.ts";
import { deleteClosedRuns } from "../engine/retention.ts";
import type { RunLimits } from "../engine/run-limits.ts";
import { parseRunLimits } from "../engine/run-limits.ts";
import type { TaskQueueLimits } from "../engine/task-queues.ts";
import type { WorkerOptions } from "../engine/workers.ts";
import { workerOptionsDefault } from "../engine/workers.ts";
import type { LocalServer } from "../local/server.ts";
import { serveLocal } from "../local/server.ts";
import { socketPathFor } from "../local/socket-path.ts";
import { Metrics } from "../metrics/metrics.ts";
import { withCodec } from "../program/coded-programs.ts";
import { loadInline, outsideWorkflow } from "../program/inline.ts";
import type { EngineLink, EngineReceiver, WorkerAcceptor } from "../protocol/transport.ts";
import type { OwnerClaim, OwnerToken, Store } from "../store/contract.ts";
import { openMemoryStore } from "../store/memory.ts";
import { openSqliteStore } from "../store/sqlite/store.ts";
import { thisVersion } from "../store/sqlite/version.ts";
import type { AnyActivity, AnyWorkflow } from "../workflow/definition.ts";
import { nodePorts } from "./node-ports.ts";
import { ProcessLoader } from "./package-loader.ts";
import { logToStderr } from "./stderr-log.ts";
import { guardRejections } from "./unhandled.ts";

export type { RunLimits, TaskQueueInfo, WorkerInfo };

export interface EngineOptions {
  /** `"sqlite:path/to/file.db"` (made if missing), `"memory:"`, or a store of your own. */
  readonly store: string | Store;
  /** Default: none, for an engine that runs packages. */
  readonly workflows?: readonly AnyWorkflow[];
  readonly activities?: readonly AnyActivity[];
  /** Attempts of activities under way at once. Default 1,000. */
  readonly activityConcurrency?: number;
  /** The same for single activity types, by name. */
  readonly activityConcurrencyPerType?: Readonly<Record<string, number>>;
  /** A worker that is silent for longer is lost, and its tasks are begun anew. Default 30 s. */
  readonly workerSession?: Duration;
  /** Limits of task queues by their names, for all workers together. */
  readonly taskQueues?: Readonly<Record<string, TaskQueueLimits>>;
  /** Runs whose code stays in memory while they wait; others are brought back by replay. Default 2,000. */
  readonly residentMax?: number;
  /** The largest payload, in bytes. Default 2 MiB. */
  readonly payloadLimitBytes?: number;
  /** A run whose code diverges from its history: fail it (default), or hold it until the code is mended. */
  readonly onNondeterminism?: "fail" | "block";
  /** How much one run may have: its history, what is pending in it, what waits for it. Each has a default. */
  readonly limits?: Partial<RunLimits>;
  /** A run that reaches a limit: hold it (default), so that it goes on under a larger one, or fail it. */
  readonly onRunLimit?: "fail" | "block";
  /** An owner that has been silent for this long counts as frozen, and may be replaced. Default 30 s. */
  readonly lease?: Duration;
  /** For packages: how long one activation of their code may take. Longer ends the process that runs it. Default 5 s. */
  readonly activationBudget?: Duration;
  /** The largest package that may be deployed, in bytes. Default, and the most that there may be: 32 MiB. */
  readonly packageLimitBytes?: number;
  /** For packages: the heap of the process that runs their code, in MiB. Default 512. */
  readonly packageMemoryMb?: number;
  /**
   * Keep a feed of all events in the order of their commits, for `client.feed`. It costs each transaction a row. Turned on, it
   * begins then; turned off, it ends. Default false.
   */
  readonly feed?: boolean;
  /** How long events stay in the feed, at the least. Default 3 days. */
  readonly feedRetention?: Duration;
  /** Serve the `aion` command through a socket beside the file. Default true for a SQLite file. */
  readonly localSocket?: boolean;
  /**
   * Decodes payloads for workflow code and the activities of this process, and encodes what they give: the store holds encoded ones
   * alone. The codec of the clients and the workers, and one that answers at once (`aes256gcm` of `aion/codec`). Without it workflow
   * code can pass encoded values on, and not read them. `engine.client` has it, too.
   */
  readonly codec?: PayloadCodec;
  /** Makes spans of runs and activities, and of the calls of `engine.client`: `otelTracing()` of `aion/otel`. Default: none. */
  readonly tracing?: Tracing | undefined;
  /** Where the engine tells operators what it had to do. Default: warnings and errors to stderr. */
  readonly log?: Log;
  /** Where it counts and measures, for engines that are shown together. Default: its own. `engine.metrics()` shows it. */
  readonly metrics?: Metrics;
  /** Takes the place of the event loop's own turns, for engines that share a thread. Default: each takes as much as it can. */
  readonly turn?: Scheduler["turn"];
  /** The value of the label `namespace` in its metrics, to tell such engines apart. Default `default`. */
  readonly namespace?: string;
  /** Called for each run that had to be taken up when the engine was opened. */
  readonly onRecovery?: (report: RecoveryReport) => void;
  /** Called once if the engine can write no more: another owner took over, or the disk failed. */
  readonly onStopped?: (error: AionError) => void;
}

const engineOptionNames: OptionNames<EngineOptions> = {
  store: true,
  workflows: true,
  activities: true,
  activityConcurrency: true,
  activityConcurrencyPerType: true,
  workerSession: true,
  taskQueues: true,
  residentMax: true,
  payloadLimitBytes: true,
  onNondeterminism: true,
  limits: true,
  onRunLimit: true,
  lease: true,
  activationBudget: true,
  packageLimitBytes: true,
  packageMemoryMb: true,
  feed: true,
  feedRetention: true,
  localSocket: true,
  codec: true,
  tracing: true,
  log: true,
  metrics: true,
  turn: true,
  namespace: true,
  onRecovery: true,
  onStopped: true,
};

export interface RequestOptions {
  /** Names the call. Repeated with the same one it changes nothing more, though others have changed something in between. */
  readonly requestId?: string;
}

export interface CloseOptions {
  /** How long attempts under way may go on before they are told to stop. Default 5 s. What has not ended then runs again. */
  readonly drain?: Duration;
}

const requestOptionNames: OptionNames<RequestOptions> = { requestId: true };
const closeOptionNames: OptionNames<CloseOptions> = { drain: true };
const taskQueueLimitNames: OptionNames<TaskQueueLimits> = { concurrency: true, perSecond: true };

/**
 * The engine, embedded: durable workflows in this process, on one file.
 *
 * One engine owns a store at a time. Opening refuses with `store_owned` while another owner is alive, and takes over from
 * one that is dead or frozen. A graceful close and a `kill -9` leave the same durable state.
 *
 * @example
 * const engine = await Engine.open({ store: "sqlite:aion.db", workflows: [greet] });
 * const run = await engine.client.start(greet, "Ann", { id: "greet-ann" });
 * console.log(await run.result());
 * await engine.close();
 */
export class Engine implements WorkerAcceptor {
  readonly client: Client;
  /** What `client` stands on, as plain data: for transports. */
  readonly service: Service;
  /** Runs that were taken up when the engine was opened. */
  readonly recoveredCount: number;
  readonly #kernel: Kernel;
  readonly #store: Store;
  readonly #server: LocalServer | undefined;
  readonly #loader: ProcessLoader;
  readonly #metrics: Metrics;
  readonly #release: () => void;
  #closing: Promise<void> | undefined;

  private constructor(of: {
    readonly kernel: Kernel;
    readonly store: Store;
    readonly service: Service;
    readonly server: LocalServer | undefined;
    readonly loader: ProcessLoader;
    readonly metrics: Metrics;
    readonly recoveredCount: number;
    readonly release: () => void;
    readonly codec: SyncPayloadCodec | undefined;
    readonly tracing: Tracing | undefined;
  }) {
    this.#kernel = of.kernel;
    this.#store = of.store;
    this.#server = of.server;
    this.#loader = of.loader;
    this.#metrics = of.metrics;
    this.service = of.service;
    this.#release = of.release;
    const { codec, tracing } = of;
    this.client = new Client(of.service, { tracing, ...(codec === undefined ? {} : { codec }) });
    this.recoveredCount = of.recoveredCount;
  }

  /**
   * Opens the store, becomes its owner, recovers what must move, and goes live.
   * Errors: `store_owned`, `store_unavailable`, `store_read_only`, `store_corrupt`, `store_newer_format`,
   * `store_url_invalid`, `definition_duplicate`, `invalid_argument`.
   */
  static async open(options: EngineOptions): Promise<Engine> {
    demandKnownOptions(options, engineOptionNames, "an engine");
    const inline = loadInline(options.workflows ?? []);
    const metrics = options.metrics ?? new Metrics();
    const meter = metrics.meter({ namespace: options.namespace ?? defaultNamespace });
    const machine = nodePorts(options.log ?? logToStderr);
    const scheduler = { ...machine.scheduler, ...(options.turn === undefined ? {} : { turn: options.turn }) };
    const ports: Ports = { ...machine, scheduler, meter };
    const leaseMs = parseDuration(options.lease ?? 30_000, "lease");
    const feedKeepMs = parseDuration(options.feedRetention ?? "3 days", "feedRetention");
    const numbers = parseNumbers(options);
    const workers = parseWorkers(options);
    const limits = parseRunLimits(options.limits);
    const codec = options.codec === undefined ? undefined : checkedSync(options.codec);
    const path = typeof options.store === "string" ? sqlitePath(options.store) : undefined;
    const store = await openStore(options.store, meter);
    const hasSocket = path !== undefined && options.localSocket !== false;
    const endpoint = hasSocket ? socketPathFor(path) : undefined;
    const release = guardRejections();
    const hostEnds = meter.counter("aion_code_host_ended_total");
    const loader = new ProcessLoader(
      {
        activationBudgetMs: parseDuration(options.activationBudget ?? 5_000, "activationBudget"),
        memoryMb: numbers.packageMemoryMb,
        // Where the store can make files, so can this.
        ...(path === undefined ? {} : { directory: dirname(path) }),
      },
      (end, error) => {
        hostEnds.add(1, end);
        ports.log("error", "the process of workflow code has ended; the next one is started", {
          error: error.message,
        });
      },
    );
    let kernel: Kernel | undefined;
    let server: LocalServer | undefined;
    try {
      const token = await claimPatiently(store, {
        leaseMs,
        feed: options.feed === true ? { keepMs: feedKeepMs } : "off",
        ...(endpoint === undefined ? {} : { endpoint }),
      });
      const catalog = await Catalog.open({
        store,
        token,
        ports,
        inline,
        loader,
        packageLimitBytes: numbers.packageLimitBytes,
      });
      kernel = new Kernel({
        store,
        token,
        leaseMs,
        ports,
        programs: codec === undefined ? catalog : withCodec(catalog, codec),
        catalog,
        ...(codec === undefined ? {} : { codec }),
        activities: options.activities ?? [],
        activityConcurrencyPerType: options.activityConcurrencyPerType ?? {},
        workers,
        onNondeterminism: options.onNondeterminism ?? "fail",
        limits,
        onRunLimit: options.onRunLimit ?? "block",
        outsideWorkflow,
        tracing: options.tracing,
        ...numbers,
        ...(options.onRecovery === undefined ? {} : { onRecovery: options.onRecovery }),
        onStopped: (error) => {
          // Whoever comes to the socket from now on is to find the new owner there.
          void server?.close();
          options.onStopped?.(error);
        },
      });
      const service = meteredService(new Operations(kernel), meter);
      const { recoveredCount } = await kernel.start();
      if (endpoint !== undefined) {
        const { payloadLimitBytes } = numbers;
        server = await serveLocal(service, {
          path: endpoint,
          payloadLimitBytes,
          version: thisVersion(),
          metrics: () => metrics.text(),
          log: ports.log,
        });
      }
      return new Engine({
        kernel,
        store,
        service,
        server,
        loader,
        metrics,
        recoveredCount,
        release,
        codec,
        tracing: options.tracing,
      });
    } catch (error) {
      release();
      await server?.close();
      await kernel?.close(0);
      await loader.close();
      if (typeof options.store === "string") await store.close();
      throw error;
    }
  }

  /** Runs whose code is in memory, with their pids. */
  get residents(): ReturnType<Residency["list"]> {
    return this.#kernel.residency.list();
  }

  /** Takes a connection of a worker: what a transport calls. Whatever comes over it is checked here. */
  acceptWorker(link: EngineLink): EngineReceiver {
    return this.#kernel.workers.acceptWorker(link);
  }

  /** Workers that are here, or may come back. */
  get workers(): readonly WorkerInfo[] {
    return this.#kernel.workers.list();
  }

  /** Task queues in which an activity waits for a worker, or has one. */
  get taskQueues(): readonly TaskQueueInfo[] {
    return this.#kernel.workers.listQueues();
  }

  /** Attempts of activities under way, here and on workers. */
  get activitiesInFlight(): number {
    return this.#kernel.inFlightCount;
  }

  /**
   * What was counted and measured, as text for Prometheus (`metricsContentType`). Reading costs some milliseconds; what nobody reads,
   * next to nothing.
   *
   * @example
   * createServer(async (_, response) => response.end(await engine.metrics())).listen(9464);
   */
  metrics(): Promise<string> {
    return this.#metrics.text();
  }

  /** Replays all active runs and reports on each: what `open` does for those that must move. See `RecoveryReport`. */
  recover(): AsyncGenerator<RecoveryReport> {
    return this.#kernel.recover("all");
  }

  /**
   * Puts a package that `aion build` wrote into the store, and gives it the new runs of its types (unless `route` is false). Runs
   * that wait for its code go on. Errors: `package_invalid`, `package_too_large`, `package_failed`, `package_stopped`, those of the
   * store. Doing so again changes nothing.
   *
   * @example
   * const { version } = await engine.deploy(readFileSync("order.aion"));
   */
  async deploy(
    archive: Uint8Array,
    options: { readonly route?: boolean } & RequestOptions = {},
  ): Promise<DeployReply> {
    demandKnownOptions(options, { ...requestOptionNames, route: true }, "deploy");
    const { route = true, ...request } = options;
    return await this.service.deploy({ archive, isRouted: route, ...request });
  }

  /** The packages of the store, oldest first, and the routes. */
  async packages(): Promise<PackagesReply> {
    return await this.service.listPackages({});
  }

  /**
   * Gives new runs of these types another version that is in the store: all of them, or none.
   * Errors: `package_not_found`, `workflow_type_unknown`.
   */
  async route(
    workflowTypes: readonly string[],
    version: string,
    options: RequestOptions = {},
  ): Promise<void> {
    demandKnownOptions(options, requestOptionNames, "route");
    await this.service.route({ workflowTypes, version, ...options });
  }

  /** Takes a package out of the store. Errors: `package_not_found`, `package_in_use` (its details say by what). */
  async unload(version: string, options: RequestOptions = {}): Promise<void> {
    demandKnownOptions(options, requestOptionNames, "unload");
    await this.service.unload({ version, ...options });
  }

  /** Deletes runs that ended more than `age` ago, with all that hangs on them. Returns how many. */
  async deleteClosed(age: Duration): Promise<number> {
    return await deleteClosedRuns(this.#kernel, parseDuration(age, "age"));
  }

  /** Takes no more calls, lets attempts under way end, and gives the store up. Calling it again waits for the same. */
  close(options: CloseOptions = {}): Promise<void> {
    demandKnownOptions(options, closeOptionNames, "close");
    this.#closing ??= this.#close(parseDuration(options.drain ?? 5_000, "drain"));
    return this.#closing;
  }

  async #close(drainMs: number): Promise<void> {
    await this.#kernel.close(drainMs);
    await this.#server?.close();
    await this.#loader.close();
    this.#release();
    await this.#store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A command line that writes while no engine runs owns the store for some milliseconds, and has no endpoint. */
async function claimPatiently(store: Store, claim: OwnerClaim): Promise<OwnerToken> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await store.claim(claim);
    } catch (error) {
      const isBrief = isAionError(error) && error.code === "store_owned" && attempt < claimAttemptsMax;
      if (!isBrief || (await store.readOwner())?.endpoint !== undefined) throw error;
      await setTimeout(claimRetryMs);
    }
  }
}

const claimAttemptsMax = 20;
const claimRetryMs = 50;

function sqlitePath(url: string): string | undefined {
  if (!url.startsWith("sqlite:")) return undefined;
  const path = url.slice("sqlite:".length);
  return path === ":memory:" ? undefined : path;
}

/** Opens a store by its URL. Errors: `store_url_invalid` and those of the backend. */
export async function openStore(store: string | Store, meter?: Meter): Promise<Store> {
  if (typeof store !== "string") return store;
  if (store === "memory:") return openMemoryStore();
  if (store.startsWith("sqlite:") && store.length > "sqlite:".length) {
    const path = store.slice("sqlite:".length);
    return openSqliteStore({ path, ...(meter === undefined ? {} : { meter }) });
  }
  throw new AionError("store_url_invalid", `${JSON.stringify(store)} names no store`);
}

function parseWorkers({ workerSession, taskQueues = {} }: EngineOptions): WorkerOptions {
  const sessionTimeoutMs = parseDuration(
    workerSession ?? workerOptionsDefault.sessionTimeoutMs,
    "workerSession",
  );
  if (sessionTimeoutMs < 1)
    throw new AionError("invalid_argument", "workerSession must be longer than nothing");
  for (const [name, queueLimits] of Object.entries(taskQueues)) {
    parseName(name, "task queue");
    demandKnownOptions(queueLimits, taskQueueLimitNames, `task queue ${JSON.stringify(name)}`);
    const { concurrency, perSecond } = queueLimits;
    if (concurrency !== undefined && (!Number.isSafeInteger(concurrency) || concurrency < 1)) {
      throw new AionError(
        "invalid_argument",
        `taskQueues[${JSON.stringify(name)}].concurrency must be a whole number of 1 or more, got ${String(concurrency)}`,
      );
    }
    if (perSecond !== undefined && !(perSecond > 0 && Number.isFinite(perSecond))) {
      throw new AionError(
        "invalid_argument",
        `taskQueues[${JSON.stringify(name)}].perSecond must be a number above 0, got ${String(perSecond)}`,
      );
    }
  }
  return { ...workerOptionsDefault, sessionTimeoutMs, taskQueues };
}

function parseNumbers(options: EngineOptions) {
  const check = (
    name:
      | "activityConcurrency"
      | "residentMax"
      | "payloadLimitBytes"
      | "packageLimitBytes"
      | "packageMemoryMb",
    standard: number,
    most = Number.MAX_SAFE_INTEGER,
  ): number => {
    const value = options[name] ?? standard;
    if (!Number.isSafeInteger(value) || value < 1 || value > most) {
      const range = most === Number.MAX_SAFE_INTEGER ? "of 1 or more" : `from 1 to ${most}`;
      throw new AionError(
        "invalid_argument",
        `${name} must be a whole number ${range}, got ${String(value)}`,
      );
    }
    return value;
  };
  return {
    activityConcurrency: check("activityConcurrency", 1_000),
    residentMax: check("residentMax", 2_000),
    payloadLimitBytes: check("payloadLimitBytes", payloadLimitBytesDefault),
    packageLimitBytes: check("packageLimitBytes", packageBytesMax, packageBytesMax),
    packageMemoryMb: check("packageMemoryMb", 512),
  };
}
