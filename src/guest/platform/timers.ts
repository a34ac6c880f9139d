/** `setTimeout` and its kin over durable timers, with what Node's have besides: an object that is also a number. */
import { durationMsMax } from "../../core/duration.ts";
import { defineMembers } from "./define.ts";
import { addHidden } from "./intrinsics.ts";
import type { CurrentPort } from "./port.ts";
import { RunLocal } from "./runs.ts";

type Callback = (...args: readonly unknown[]) => unknown;

/** As in Node: less than a millisecond, or no number at all, is one millisecond. */
const delayMsMin = 1;

interface Timers {
  nextId: number;
  /** Those that have not fired, by id. */
  readonly pending: Map<number, Timeout>;
}

interface TimeoutInit {
  readonly id: number;
  readonly delayMs: number;
  readonly isRepeated: boolean;
  readonly callback: Callback;
  readonly args: readonly unknown[];
}

/** A timer belongs to the run that started it. */
class Timeout {
  readonly #timers: Timers;
  readonly #port: CurrentPort;
  readonly #init: TimeoutInit;
  #callOff: (() => void) | undefined;

  static {
    addHidden(Timeout.prototype);
  }

  static start(timers: Timers, port: CurrentPort, init: TimeoutInit): Timeout {
    const timeout = new Timeout(timers, port, init);
    timeout.#arm();
    return timeout;
  }

  private constructor(timers: Timers, port: CurrentPort, init: TimeoutInit) {
    this.#timers = timers;
    this.#port = port;
    this.#init = init;
  }

  #arm(): void {
    this.#timers.pending.set(this.#init.id, this);
    this.#callOff = this.#port().startTimer(this.#init.delayMs, () => this.#fire());
  }

  #fire(): void {
    const { id, isRepeated, callback, args } = this.#init;
    this.#callOff = undefined;
    if (!isRepeated) this.#timers.pending.delete(id);
    Reflect.apply(callback, this, args);
    // The callback may have cleared the interval, or begun it anew.
    if (isRepeated && this.#timers.pending.get(id) === this && this.#callOff === undefined) this.#arm();
  }

  close(): this {
    this.#timers.pending.delete(this.#init.id);
    const callOff = this.#callOff;
    this.#callOff = undefined;
    callOff?.();
    return this;
  }

  /** Begins the delay anew, even after the timer fired. */
  refresh(): this {
    this.close();
    this.#arm();
    return this;
  }

  /** A workflow waits for what it awaits, and for no timer besides: there is nothing to hold or to let go. */
  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }

  [Symbol.toPrimitive](): number {
    return this.#init.id;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  static clear(timers: Timers, timer: unknown): void {
    if (typeof timer === "object" && timer !== null && #init in timer) timer.close();
    if (typeof timer === "number" || typeof timer === "string") timers.pending.get(Number(timer))?.close();
  }
}

export function installTimers(global: object, port: CurrentPort): void {
  const runs = new RunLocal<Timers>(port, () => ({ nextId: 1, pending: new Map() }));

  const start = (
    isRepeated: boolean,
    callback: unknown,
    delay: unknown,
    args: readonly unknown[],
  ): Timeout => {
    if (typeof callback !== "function") {
      throw notCallable(callback);
    }
    const timers = runs.current;
    return Timeout.start(timers, port, {
      id: timers.nextId++,
      delayMs: toDelayMs(delay),
      isRepeated,
      callback: callback as Callback,
      args,
    });
  };

  defineMembers(global, {
    setTimeout: (callback: unknown, delay?: unknown, ...args: readonly unknown[]) =>
      start(false, callback, delay, args),
    setInterval: (callback: unknown, delay?: unknown, ...args: readonly unknown[]) =>
      start(true, callback, delay, args),
    clearTimeout: (timer?: unknown) => Timeout.clear(runs.current, timer),
    clearInterval: (timer?: unknown) => Timeout.clear(runs.current, timer),
    queueMicrotask(callback: unknown): void {
      if (typeof callback !== "function") {
        throw notCallable(callback);
      }
      // What it throws is an unhandled rejection of the run.
      void Promise.resolve().then(() => {
        // oxlint-disable-next-line promise/no-callback-in-promise -- that is what it is for
        Reflect.apply(callback, undefined, []);
      });
    },
  });
}

/** Whoever waits for `Infinity` waits for the longest there is. */
function toDelayMs(delay: unknown): number {
  const given = Number(delay);
  return given >= delayMsMin ? Math.trunc(Math.min(given, durationMsMax)) : delayMsMin;
}

function notCallable(callback: unknown): TypeError {
  return new TypeError(`The "callback" argument must be of type function. Received type ${typeof callback}`);
}
