import { byType, execute } from "../attempt/execute.ts";
import { abort } from "../attempt/task.ts";
import type { Duration } from "../core/duration.ts";
import { parseServerUrl } from "../client/fetch-send.ts";
import { parseDuration } from "../core/duration.ts";
import { AionError } from "../core/errors.ts";
import { defaultTaskQueue } from "../core/event.ts";
import { parseName } from "../core/ids.ts";
import type { OptionNames } from "../core/options.ts";
import { demandKnownOptions } from "../core/options.ts";
import type { Payload } from "../core/payload.ts";
import { payloadLimitBytesDefault } from "../core/payload.ts";
import type { PayloadCodec } from "../core/payload-codec.ts";
import type { Log } from "../core/ports.ts";
import type { Tracing } from "../core/tracing.ts";
import type {
  CancelFrame,
  EngineFrame,
  RegisteredFrame,
  RegisterFrame,
  ReportFrame,
  TaskFrame,
  TaskOutcome,
  TaskToken,
} from "../protocol/frames.ts";
import { protocolVersion } from "../protocol/frames.ts";
import type { ClientTls } from "../http/worker-transport.ts";
import type { WorkerTransport } from "../protocol/transport.ts";
import type { AnyActivity } from "../workflow/definition.ts";
import type { ConnectionUser } from "./connection.ts";
import { Connection } from "./connection.ts";
import type { WorkerPorts } from "./node-ports.ts";
import { defaultIdentity, logToStderr, nodeWorkerPorts } from "./node-ports.ts";
import type { ActivityInterceptor, TaskOwner } from "./worker-task.ts";
import { WorkerTask } from "./worker-task.ts";

export interface WorkerOptions {
  /** The server that it works for: `http://127.0.0.1:4466`. This, or a `transport`. */
  readonly url?: string;
  /** For a server that asks who calls. A function is asked before each connection: tokens expire. */
  readonly token?: string | (() => string | Promise<string>);
  /** For a server over TLS: an authority of its own, a certificate of the worker. */
  readonly tls?: ClientTls;
  /** Of the server. Default `"default"`. */
  readonly namespace?: string;
  /** Another way to an engine. */
  readonly transport?: WorkerTransport;
  /** What it runs: the definitions that the workflow files use, with their implementations. */
  readonly activities: readonly AnyActivity[];
  /** The lines that it takes tasks from. Default: `["default"]`. */
  readonly taskQueues?: readonly string[];
  /** Tasks at once, 1 to 10,000. Default 100. */
  readonly concurrency?: number;
  /** Names this process; no other may have the same at the same time. Default: host, process id and a random part. */
  readonly identity?: string;
  /** Of the code, for people. */
  readonly build?: string;
  /** Stand around each execution, the first outermost. */
  readonly interceptors?: readonly ActivityInterceptor[];
  /** Decodes inputs, and encodes results, heartbeats and failures: the one that the clients and the engine have. */
  readonly codec?: PayloadCodec;
  /** Makes a span of each attempt, outside the interceptors: `otelTracing()` of `aion/otel`. Default: none. */
  readonly tracing?: Tracing;
  /** Where it tells operators what it had to do. Default: warnings and errors to stderr. */
  readonly log?: Log;
  /** For tests: time and randomness. Default: those of the machine. */
  readonly ports?: Omit<WorkerPorts, "log">;
}

const workerOptionNames: OptionNames<WorkerOptions> = {
  url: true,
  token: true,
  tls: true,
  namespace: true,
  transport: true,
  activities: true,
  taskQueues: true,
  concurrency: true,
  identity: true,
  build: true,
  interceptors: true,
  codec: true,
  tracing: true,
  log: true,
  ports: true,
};

export interface WorkerStopOptions {
  /** How long tasks under way may go on before they are told to stop and given to others. Default 10 s. */
  readonly drain?: Duration;
}

const stopOptionNames: OptionNames<WorkerStopOptions> = { drain: true };

/** Tokens of tasks that have ended, kept so that one that comes twice does not run twice. */
const endedMax = 1_000;

/**
 * A worker: runs activities for an engine elsewhere.
 *
 * It takes as many tasks as it has room for, and comes back by itself when its connection breaks: tasks under way go on meanwhile, and
 * what has ended is reported again until the engine has it on disk. An error of an implementation fails its attempt and nothing
 * else. A task is at least once: whatever must not happen twice needs `task.idempotencyKey`, which is the one that an attempt in the
 * engine's own process gets.
 *
 * @example
 * import { Engine } from "aion";
 * import { InProcessTransport } from "aion/testing";
 * import { Worker } from "aion/worker";
 * import { activity, workflow } from "aion/workflow";
 *
 * const render = activity("render", { taskQueue: "gpu" }, async (scene: string) => `${scene}.png`);
 * const film = workflow("film", (scene: string) => render(scene));
 *
 * const engine = await Engine.open({ store: "memory:", workflows: [film] });
 * const transport = new InProcessTransport(() => engine);
 * const worker = new Worker({ transport, activities: [render], taskQueues: ["gpu"] });
 * const working = worker.run();
 * const run = await engine.client.start(film, "opening");
 * console.log(await run.result()); // opening.png
 * await worker.stop();
 * await working;
 * await engine.close();
 */
export class Worker {
  readonly identity: string;
  readonly #core: WorkerCore;

  /** Errors: `invalid_argument`, `definition_duplicate`. */
  constructor(options: WorkerOptions) {
    this.#core = new WorkerCore(options);
    this.identity = this.#core.identity;
  }

  /** Tasks under way. */
  get tasksInFlight(): number {
    return this.#core.underWay;
  }

  /**
   * Takes tasks until it is stopped. Resolves when it has been; rejects with `worker_refused` when the engine will never take
   * it. To be called once.
   */
  run(): Promise<void> {
    return this.#core.run();
  }

  /** Takes no more tasks, lets those under way end and be recorded, and leaves. Calling it again waits for the same. */
  stop(options: WorkerStopOptions = {}): Promise<void> {
    demandKnownOptions(options, stopOptionNames, "stop of a worker");
    return this.#core.stop(parseDuration(options.drain ?? 10_000, "drain"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function toTransport({ url, token, tls, namespace, transport }: WorkerOptions): WorkerTransport {
  if ((url === undefined) === (transport === undefined))
    throw invalid("a worker needs either the `url` of a server or a `transport`");
  if (transport !== undefined) return transport;
  const options = {
    url: parseServerUrl(url ?? ""),
    ...(token === undefined ? {} : { token }),
    ...(tls === undefined ? {} : { tls }),
    ...(namespace === undefined ? {} : { namespace: parseName(namespace, "namespace") }),
  };
  // Only who works over a network needs what that takes.
  const loaded = import("../http/worker-transport.ts").then(({ grpcWorkerTransport }) =>
    grpcWorkerTransport(options),
  );
  return { connect: async (worker) => await (await loaded).connect(worker) };
}

/**
 * What a worker has, and what it owes. Owner: one worker.
 *
 * Laws: at most `concurrency` tasks are under way. A token that it knows names no new task. A report is kept until it is
 * acknowledged, and told first on each connection. What the engine does not want any more is aborted and forgotten.
 */
class WorkerCore implements ConnectionUser, TaskOwner {
  readonly identity: string;
  readonly scheduler: WorkerPorts["scheduler"];
  readonly interceptors: readonly ActivityInterceptor[];
  readonly codec: PayloadCodec | undefined;
  readonly tracing: Tracing | undefined;
  payloadLimitBytes = payloadLimitBytesDefault;
  readonly #ports: WorkerPorts;
  readonly #activities: ReadonlyMap<string, AnyActivity>;
  readonly #taskQueues: readonly string[];
  readonly #concurrency: number;
  readonly #build: string | undefined;
  readonly #connection: Connection;
  /** Waiting for room, or under way. */
  readonly #tasks = new Map<TaskToken, WorkerTask>();
  readonly #unacknowledged = new Map<TaskToken, ReportFrame>();
  readonly #ended = new Set<TaskToken>();
  #underWay = 0;
  #session: string | undefined;
  #isDraining = false;
  /** What it still had is for others: nothing is begun any more, whatever comes before the engine has heard of it. */
  #isLeaving = false;
  #state: "new" | "running" | "over" = "new";
  readonly #over = Promise.withResolvers<void>();
  #stopping: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: WorkerOptions) {
    demandKnownOptions(options, workerOptionNames, "a worker");
    this.#ports = { ...(options.ports ?? nodeWorkerPorts(logToStderr)), log: options.log ?? logToStderr };
    this.scheduler = this.#ports.scheduler;
    this.interceptors = options.interceptors ?? [];
    this.codec = options.codec;
    this.tracing = options.tracing;
    this.#activities = byType(options.activities);
    if (this.#activities.size === 0) throw invalid("a worker without activities has nothing to do");
    this.#taskQueues = (options.taskQueues ?? [defaultTaskQueue]).map((name) =>
      parseName(name, "task queue"),
    );
    if (this.#taskQueues.length === 0) throw invalid("a worker without task queues gets nothing to do");
    this.#concurrency = options.concurrency ?? 100;
    if (!Number.isSafeInteger(this.#concurrency) || this.#concurrency < 1 || this.#concurrency > 10_000)
      throw invalid(`concurrency must be a whole number of 1 to 10,000, got ${String(this.#concurrency)}`);
    this.#build = options.build === undefined ? undefined : parseName(options.build, "build");
    this.identity = parseName(options.identity ?? defaultIdentity(this.#ports.random), "identity");
    this.#connection = new Connection(toTransport(options), this.#ports, this);
  }

  get underWay(): number {
    return this.#underWay;
  }

  async run(): Promise<void> {
    if (this.#state !== "new") throw invalid("a worker runs once");
    this.#state = "running";
    this.#connection.open();
    await this.#over.promise;
  }

  stop(drainMs: number): Promise<void> {
    this.#stopping ??= this.#stop(drainMs);
    return this.#stopping;
  }

  async #stop(drainMs: number): Promise<void> {
    this.#isDraining = true;
    if (this.#state === "running") {
      this.#connection.send({ type: "drain" });
      if (!this.#isIdle && drainMs > 0) {
        await new Promise<void>((resolve) => {
          const cancel = this.scheduler.delay(drainMs, resolve);
          this.#onIdle = () => {
            cancel();
            resolve();
          };
        });
      }
      this.#isLeaving = true;
      const reason = new AionError("engine_closed", "the worker is stopping");
      for (const task of this.#tasks.values()) this.#forget(task, reason);
      await this.#connection.leave();
    }
    this.#finish(undefined);
  }

  get #isIdle(): boolean {
    return this.#tasks.size === 0 && this.#unacknowledged.size === 0;
  }

  #finish(error: AionError | undefined): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#connection.close();
    for (const task of this.#tasks.values())
      this.#forget(task, new AionError("engine_closed", "the worker has stopped"));
    this.#onIdle?.();
    if (error === undefined) this.#over.resolve();
    else this.#over.reject(error);
  }

  // What the connection asks for.

  greeting(): RegisterFrame {
    return {
      type: "register",
      protocol: protocolVersion,
      identity: this.identity,
      taskQueues: this.#taskQueues,
      activityTypes: [...this.#activities.keys()],
      capacity: this.#concurrency,
      ...(this.#build === undefined ? {} : { build: this.#build }),
      ...(this.#session === undefined ? {} : { session: this.#session }),
      held: [...this.#tasks.keys()],
      unacknowledged: [...this.#unacknowledged.keys()],
    };
  }

  registered(frame: RegisteredFrame): void {
    this.#session = frame.session;
    this.payloadLimitBytes = frame.payloadLimitBytes;
    for (const token of frame.stop) this.#drop(token, "closed");
    for (const report of this.#unacknowledged.values()) this.#connection.send(report);
    for (const task of this.#tasks.values()) if (task.isUnderWay) task.repeatHeartbeat();
    if (this.#isDraining) this.#connection.send({ type: "drain" });
    this.#connection.send({ type: "ready" });
  }

  receive(frame: Exclude<EngineFrame, RegisteredFrame>): void {
    switch (frame.type) {
      case "task":
        this.#take(frame);
        return;
      case "cancel":
        if (frame.reason === "requested") this.#cancel(frame.token);
        else this.#drop(frame.token, frame.reason);
        return;
      case "acknowledged":
        if (this.#unacknowledged.delete(frame.token)) this.#remember(frame.token);
        this.#look();
        return;
      default:
    }
  }

  refused(message: string): void {
    this.#finish(new AionError("worker_refused", `worker ${JSON.stringify(this.identity)}: ${message}`));
  }

  // Tasks.

  #take(frame: TaskFrame): void {
    const { token } = frame;
    if (this.#isLeaving) return;
    if (this.#tasks.has(token) || this.#unacknowledged.has(token) || this.#ended.has(token)) return;
    this.#tasks.set(token, new WorkerTask(this, frame, this.#activities.get(frame.activityType)));
    this.#begin();
  }

  #begin(): void {
    for (const task of this.#tasks.values()) {
      if (this.#underWay >= this.#concurrency) return;
      if (task.isUnderWay) continue;
      task.isUnderWay = true;
      this.#underWay += 1;
      execute(task);
    }
  }

  ended(task: WorkerTask, outcome: TaskOutcome): void {
    const { token } = task.frame;
    if (!this.#remove(task)) return;
    const report: ReportFrame = { type: "report", token, outcome };
    this.#unacknowledged.set(token, report);
    this.#connection.send(report);
    this.#begin();
  }

  get log(): Log {
    return this.#ports.log;
  }

  sendHeartbeat({ frame }: WorkerTask, details: Payload | undefined): void {
    const { token } = frame;
    this.#connection.send({ type: "heartbeat", token, ...(details === undefined ? {} : { details }) });
  }

  #cancel(token: TaskToken): void {
    const task = this.#tasks.get(token);
    if (task !== undefined) abort(task, new AionError("run_closed", "the activity was cancelled"));
  }

  /** The outcome is not wanted. JavaScript cannot stop what is under way: its room is given to others. */
  #drop(token: TaskToken, reason: Exclude<CancelFrame["reason"], "requested">): void {
    const task = this.#tasks.get(token);
    if (task === undefined) return;
    const why =
      reason === "timed-out"
        ? new AionError("result_timeout", "the attempt ran into a time-out")
        : new AionError("run_closed", "the outcome of the activity is not wanted any more");
    this.#forget(task, why);
    this.#remember(token);
    this.#begin();
    this.#look();
  }

  #forget(task: WorkerTask, reason: AionError): void {
    task.isOver = true;
    task.stopHeartbeats();
    this.#remove(task);
    abort(task, reason);
  }

  #remove(task: WorkerTask): boolean {
    if (!this.#tasks.delete(task.frame.token)) return false;
    if (task.isUnderWay) this.#underWay -= 1;
    return true;
  }

  #remember(token: TaskToken): void {
    this.#ended.add(token);
    if (this.#ended.size <= endedMax) return;
    const [oldest] = this.#ended;
    if (oldest !== undefined) this.#ended.delete(oldest);
  }

  #look(): void {
    if (this.#isIdle) this.#onIdle?.();
  }
}

function invalid(what: string): AionError {
  return new AionError("invalid_argument", what);
}
