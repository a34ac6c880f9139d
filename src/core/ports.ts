import type { LabelsOf, MetricOf } from "./metrics.ts";

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
  /** Where it counts and measures. Absent: nowhere. */
  readonly meter?: Meter;
}

/**
 * Where the engine counts and measures. Nothing that it does depends on it. The metrics and their labels are those of `metrics.ts`;
 * values of labels are given in their order there.
 */
export interface Meter {
  /** Milliseconds from some instant on, never backwards, for durations. */
  now(): number;
  counter<Name extends MetricOf<"counter">>(name: Name): Counter<LabelsOf<Name>>;
  histogram<Name extends MetricOf<"histogram">>(name: Name): Histogram<LabelsOf<Name>>;
  gauge<Name extends MetricOf<"gauge">>(name: Name): Gauge<LabelsOf<Name>>;
  /** Calls back before metrics are read, to set gauges: what nobody reads costs nothing. Returns how to end that. */
  collect(read: () => void | Promise<void>): () => void;
}

export interface Counter<Labels extends readonly string[]> {
  add(amount: number, ...labels: Labels): void;
}

export interface Histogram<Labels extends readonly string[]> {
  observe(value: number, ...labels: Labels): void;
}

export interface Gauge<Labels extends readonly string[]> {
  set(value: number, ...labels: Labels): void;
}

export type LogLevel = "debug" | "info" | "warn" | "error";
export type Log = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void;
