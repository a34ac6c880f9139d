/**
 * What the engine takes from the machine, handed in: the simulator and the test engine replace them all.
 */

/** Wall clock. */
export interface Clock {
  /** Milliseconds since 1970. May jump; the engine never fires early because of it. */
  now(): number;
}

export interface Random {
  /** A number in [0, 1), for jitter. */
  number(): number;
  /** A fresh random UUID (v4), for run ids. */
  uuid(): string;
}

export interface Scheduler {
  /**
   * Calls back in a later turn: after every microtask that is queued now, and every one those queue.
   * The one way in which the engine learns that workflow code can move no further.
   */
  turn(callback: () => void): void;
  /** Calls back once, no earlier than after `delayMs` of real time (any length). Returns a way to call it off. */
  delay(delayMs: number, callback: () => void): () => void;
}

export interface Ports {
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  /** Where the engine tells operators what it had to do. */
  readonly log: Log;
}

export type LogLevel = "debug" | "info" | "warn" | "error";
export type Log = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void;
