import type { Payload } from "./trivial-step.ts";

export const engineNames = ["floor", "aion", "dbos", "restate"] as const;
export type EngineName = (typeof engineNames)[number];
/** The floor is a loop, not an engine: it has no crash to recover from and no message to receive. */
export type RealEngineName = Exclude<EngineName, "floor">;

export interface EngineOptions {
  /** Empty when the engine is opened first; what a restart finds again. */
  readonly directory: string;
}

/**
 * An engine as the workloads see it. Ids are chosen by the caller, and a promise of a start
 * resolves when the start is durable.
 */
export interface EngineUnderTest {
  readonly name: RealEngineName;
  /** Starts the engine and everything that it needs; resolves when it accepts work. */
  open(): Promise<void>;
  close(): Promise<void>;
  /** Three sequential trivial steps, from the client's call to the result. */
  runSteps(id: string, input: Payload): Promise<unknown>;
  /** One workflow with `width` trivial steps at once. */
  runFanOut(id: string, width: number): Promise<unknown>;
  /** One workflow with `steps` trivial steps, one after the other. */
  runSequence(id: string, steps: number): Promise<unknown>;
  /** Starts a workflow that sleeps an hour. */
  startSleeper(id: string): Promise<void>;
  /** The ways in which this engine receives many messages in one workflow; the best one counts. */
  readonly messageStyles: readonly string[];
  /** Starts a workflow that ends when it has handled `count` messages. */
  startReceiver(id: string, count: number, style: string): Promise<Receiver>;
  /**
   * Builds a history of at least this many events whose run then waits in a step that never ends;
   * resolves with the number of events once they are durable. Only where replay is measured.
   */
  startLongHistory?(id: string, events: number): Promise<number>;
}

export interface Receiver {
  /** Resolves when the message is durable. `index` is 0-based and used once. */
  send(index: number, payload: Payload): Promise<void>;
  /** Resolves when every message is handled. */
  result(): Promise<unknown>;
}

/** What a crash workload kills and starts again. */
export interface CrashableEngine {
  /** What can be killed: the embedding process, or the parts of an engine that has several. */
  readonly killScopes: readonly string[];
  /** Starts what is not killed, such as a database server. */
  prepare(): Promise<void>;
  /** Starts the processes; the clock of the host starts just before the first is spawned. */
  spawn(options: SpawnOptions): Promise<CrashableHost>;
  dispose(): Promise<void>;
}

export interface SpawnOptions {
  /** The process that runs the steps dies in the middle of this one. */
  readonly killAtStep?: number;
  /** Run one workflow as soon as the engine accepts it (see `ready`). */
  readonly probe?: boolean;
}

export interface CrashableHost {
  /** Resolves when the engine accepts work. */
  readonly opened: Promise<void>;
  /** Milliseconds from spawn until the first step began that this process really ran. */
  readonly firstStepMs: Promise<number>;
  /** Milliseconds from spawn until a workflow started by the probe had its result. */
  readonly readyMs: Promise<number>;
  /** Resolves when the process that runs steps is gone. */
  readonly died: Promise<void>;
  /** Resolves when the start is durable; the sequence goes on by itself. */
  startSequence(id: string, steps: number): Promise<void>;
  /** Resolves with the seconds until all the starts were durable. */
  startSleepers(count: number, inFlight: number): Promise<number>;
  /** As `EngineUnderTest.startLongHistory`. */
  startLongHistory(id: string, events: number): Promise<number>;
  /** Resident memory in MiB by part. */
  memory(): Readonly<Record<string, number>>;
  /** `kill -9` of the scope, or of all that `spawn` started. */
  kill(scope?: string): Promise<void>;
}

/** Raised between an engine and the bench when a part that must run has ended or never came up. */
export class BenchError extends Error {
  override readonly name = "BenchError";
}
