/** `AbortController` and `AbortSignal`, whose time-out is a durable timer. */
import { defineInterface } from "./define.ts";
import { DOMException } from "./dom-exception.ts";
import { Event, EventTarget } from "./event-target.ts";

/** Only this file makes signals. */
const key = {};

/** Aborts a signal and all that follow it; the state of a signal is its own. */
let abort: (signal: AbortSignal, reason: unknown) => void;
let follow: (signal: AbortSignal, sources: readonly AbortSignal[]) => void;

class AbortSignal extends EventTarget {
  #isAborted = false;
  #reason: unknown;
  /** Undefined until something is assigned. */
  #onabort: unknown;
  /** Signals made of others listen to the sources of those, never to each other. */
  #sources: readonly AbortSignal[] = [this];
  readonly #followers = new Set<AbortSignal>();

  constructor(given?: unknown) {
    super();
    if (given !== key) throw new TypeError("Illegal constructor");
  }

  static {
    abort = (signal, reason) => {
      if (signal.#isAborted) return;
      const affected = [signal, ...[...signal.#followers].filter((it) => !it.#isAborted)];
      // All are aborted before the first listener hears of any.
      for (const it of affected) {
        it.#isAborted = true;
        it.#reason = reason;
      }
      signal.#followers.clear();
      for (const it of affected) it.dispatchEvent(new Event("abort"));
    };
    follow = (signal, signals) => {
      const done = signals.find((it) => it.#isAborted);
      signal.#sources = done === undefined ? [...new Set(signals.flatMap((it) => it.#sources))] : [];
      if (done !== undefined) {
        signal.#isAborted = true;
        signal.#reason = done.#reason;
      }
      for (const source of signal.#sources) source.#followers.add(signal);
    };
  }

  get aborted(): boolean {
    return this.#isAborted;
  }
  get reason(): unknown {
    return this.#reason;
  }
  get onabort(): unknown {
    return this.#onabort ?? null;
  }
  set onabort(handler: unknown) {
    // It is called in its turn among the listeners, from the first time that something was assigned.
    if (this.#onabort === undefined) {
      this.addEventListener("abort", (event: unknown) => {
        if (typeof this.#onabort === "function") Reflect.apply(this.#onabort, this, [event]);
      });
    }
    this.#onabort = typeof handler === "function" ? handler : null;
  }
  throwIfAborted(): void {
    if (this.#isAborted) throw this.#reason;
  }

  static abort(reason?: unknown): AbortSignal {
    const signal = new AbortSignal(key);
    abort(signal, reason ?? aborted());
    return signal;
  }

  /** The global `setTimeout` is durable. */
  static timeout(delay: unknown): AbortSignal {
    const signal = new AbortSignal(key);
    setTimeout(() => {
      abort(signal, new DOMException("The operation was aborted due to timeout", "TimeoutError"));
    }, toMilliseconds(delay));
    return signal;
  }

  static any(signals: Iterable<unknown>): AbortSignal {
    const given = [...signals].map((signal) => {
      if (signal instanceof AbortSignal) return signal;
      throw new TypeError('The "signals" argument must hold instances of AbortSignal only');
    });
    const signal = new AbortSignal(key);
    follow(signal, given);
    return signal;
  }
}

class AbortController {
  readonly #signal = new AbortSignal(key);

  get signal(): AbortSignal {
    return this.#signal;
  }
  abort(reason?: unknown): void {
    abort(this.#signal, reason === undefined ? aborted() : reason);
  }
}

function aborted(): DOMException {
  return new DOMException("This operation was aborted", "AbortError");
}

/** As in the standard: a whole number that is no less than 0 and exact. */
function toMilliseconds(given: unknown): number {
  const ms = Math.trunc(Number(given));
  if (ms >= 0 && ms <= Number.MAX_SAFE_INTEGER) return ms;
  throw new RangeError(`The "delay" must be between 0 and ${Number.MAX_SAFE_INTEGER}, got ${String(given)}`);
}

export function installAbort(global: object): void {
  defineInterface(global, "AbortSignal", AbortSignal);
  defineInterface(global, "AbortController", AbortController);
}
