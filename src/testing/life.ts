import { isAionError } from "../core/errors.ts";
import type { Log, Ports, Random } from "../core/ports.ts";
import { Kernel } from "../engine/kernel.ts";
import type { KernelOptions } from "../engine/kernel-options.ts";
import { Operations } from "../engine/operations.ts";
import type { RecoveryReport } from "../engine/recovery.ts";
import type { OwnerToken, Store } from "../store/contract.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** Longer than any test skips: nobody competes for the store, so the lease need not be renewed again and again. */
const leaseMs = 3_000 * 365 * 86_400_000;
/** As long, so that nothing of a test leaves the feed. */
const feed = { keepMs: leaseMs };

/** Captured, so that a test may replace the platform's timers. */
const { setImmediate: immediate } = globalThis;

export interface LifeOptions {
  readonly store: Store;
  readonly time: VirtualTime;
  readonly random: Random;
  readonly log: Log;
  readonly kernel: Omit<KernelOptions, "store" | "token" | "leaseMs" | "ports" | "onRecovery">;
}

/**
 * One life of the engine: from an opening to a crash or a close. Owner: one test engine.
 *
 * Law: when it is over, nothing of it moves any more. Its turns and delays are not called, what it asked of the store is neither
 * done nor answered, and what it had not written is lost: as after `kill -9`.
 */
export class Life {
  readonly kernel: Kernel;
  readonly service: Operations;
  readonly reports: RecoveryReport[] = [];
  /** Resolves when it is over. */
  readonly over: Promise<undefined>;
  readonly #store: Store;
  readonly #token: OwnerToken;
  #end: () => void = () => undefined;
  #isOver = false;
  #turnCount = 0;
  #storeCallCount = 0;
  #appendCount = 0;

  static async begin(options: LifeOptions): Promise<Life> {
    const life = new Life(options, await options.store.claim({ leaseMs, feed }));
    await life.kernel.start();
    return life;
  }

  private constructor(options: LifeOptions, token: OwnerToken) {
    const { store, time, random, log } = options;
    this.#store = store;
    this.#token = token;
    this.over = new Promise((resolve) => {
      this.#end = () => resolve(undefined);
    });
    const ports: Ports = {
      clock: time.clock,
      random,
      log: (...entry) => {
        if (!this.#isOver) log(...entry);
      },
      scheduler: {
        turn: (callback) => this.#turn(callback),
        delay: (delayMs, callback) =>
          time.delay(delayMs, () => {
            if (!this.#isOver) callback();
          }),
      },
    };
    this.kernel = new Kernel({
      ...options.kernel,
      store: this.#gate(store),
      token,
      leaseMs,
      ports,
      onRecovery: (report) => this.reports.push(report),
    });
    this.service = new Operations(this.kernel);
  }

  /** A turn is asked for, or the store has not answered yet. */
  get isMoving(): boolean {
    return !this.#isOver && this.#turnCount + this.#storeCallCount > 0;
  }

  /** How often the store was written to: unchanged, nothing has happened. */
  get appendCount(): number {
    return this.#appendCount;
  }

  /** As `kill -9` would. The store sees that its owner is gone. */
  async kill(): Promise<void> {
    this.#isOver = true;
    this.#end();
    try {
      await this.#store.release(this.#token);
    } catch (error) {
      if (!isAionError(error)) throw error;
    }
  }

  async close(): Promise<void> {
    await this.kernel.close(0);
    this.#isOver = true;
    this.#end();
  }

  #turn(callback: () => void): void {
    this.#turnCount += 1;
    immediate(() => {
      this.#turnCount -= 1;
      if (!this.#isOver) callback();
    });
  }

  /** The store as this life sees it: counted, and cut off at its end. */
  #gate(store: Store): Store {
    return new Proxy(store, {
      get: (target, key): unknown => {
        const member: unknown = Reflect.get(target, key);
        if (typeof member !== "function") return member;
        return (...args: readonly unknown[]) => {
          if (key === "append") this.#appendCount += 1;
          return this.#ask(() => Reflect.apply(member, target, args) as Promise<unknown>);
        };
      },
    });
  }

  #ask(call: () => Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#isOver) return;
      this.#storeCallCount += 1;
      const answered = (pass: () => void): void => {
        this.#storeCallCount -= 1;
        if (!this.#isOver) pass();
      };
      call().then(
        (value) => answered(() => resolve(value)),
        (error: unknown) => answered(() => reject(error)),
      );
    });
  }
}
