/** What dividing a thread takes from the machine, handed in. */
export interface TurnPorts {
  /** Calls back in a later turn of the event loop, after what is ready by now. */
  turn(callback: () => void): void;
  /** Calls back in this turn, when no microtask is left. */
  settled(callback: () => void): void;
  /** Milliseconds from some instant on, never backwards. */
  now(): number;
}

/** Those of Node. */
export const loopTurns: TurnPorts = {
  turn: (callback) => void setImmediate(callback),
  // A tick comes before the microtasks, unless a microtask has asked for it.
  settled: (callback) => queueMicrotask(() => process.nextTick(callback)),
  now: () => performance.now(),
};

/**
 * For how long tasks are begun in one turn of the event loop. Short, since what the others wait for comes in between: from disks, workers
 * and callers.
 */
const turnMs = 0.5;
/** What no clock is fine enough for is not for nothing. */
const leastMs = 0.001;

/** For what a namespace wants the thread. */
const lanes = ["engine", "workers", "calls"] as const;
export type Lane = (typeof lanes)[number];

/** What a namespace has of the thread. */
export interface Share {
  /** Calls back in a later turn, as `Scheduler.turn`. */
  readonly turn: (task: () => void) => void;
  /** Resolves when it is the namespace's turn. `undefined`: it is. */
  readonly enter: (lane: Lane) => Promise<void> | undefined;
}

/**
 * Divides the thread of a server among its namespaces. The turns of their engines, what their workers send, what is asked of them and the
 * answers to that are tasks; which one begins next is decided here.
 *
 * Laws:
 *  1. Of the namespaces that have tasks the one that has used the least time is next. Its time is what passes from the beginning of a
 *     task until no microtask is left.
 *  2. Who has nothing to do saves nothing up: when it has, it has used as much as the one that is served then, or more.
 *  3. The lanes of a namespace take turns, so that no flood in one of them stops another. Within a lane the order stays.
 *  4. A turn of the event loop begins tasks for a bounded time, and one at least.
 *  5. No task waits while the thread has nothing else to do. With one namespace nothing is divided, and nothing waits.
 */
export class FairTurns {
  readonly #ports: TurnPorts;
  readonly #namespaces = new Map<string, Account>();
  readonly #waiting = new Set<Account>();
  /** What the one that was served last had used before. */
  #servedMs = 0;
  #isTurnAsked = false;
  #turnEndsAt = 0;

  constructor(ports: TurnPorts) {
    this.#ports = ports;
  }

  shareOf(name: string): Share {
    const account = this.#namespaces.get(name) ?? new Account();
    this.#namespaces.set(name, account);
    return {
      turn: (task) => {
        if (this.#namespaces.size === 1) this.#ports.turn(task);
        else this.#ask(account, "engine", task);
      },
      enter: (lane) =>
        this.#namespaces.size === 1
          ? undefined
          : new Promise<void>((resolve) => this.#ask(account, lane, resolve)),
    };
  }

  #ask(account: Account, lane: Lane, task: () => void): void {
    account.add(lane, task);
    if (!this.#waiting.has(account)) {
      this.#waiting.add(account);
      account.usedMs = Math.max(account.usedMs, this.#servedMs);
    }
    this.#askTurn();
  }

  #askTurn(): void {
    if (this.#isTurnAsked) return;
    this.#isTurnAsked = true;
    this.#ports.turn(() => {
      const now = this.#ports.now();
      this.#turnEndsAt = now + turnMs;
      this.#begin(now);
    });
  }

  #begin(now: number): void {
    const account = this.#next();
    const task = account?.take();
    if (account === undefined || task === undefined) {
      this.#isTurnAsked = false;
      return;
    }
    if (account.isEmpty) this.#waiting.delete(account);
    this.#servedMs = account.usedMs;
    this.#ports.settled(() => {
      const after = this.#ports.now();
      account.usedMs += Math.max(after - now, leastMs);
      if (after < this.#turnEndsAt) {
        this.#begin(after);
        return;
      }
      this.#isTurnAsked = false;
      if (this.#waiting.size > 0) this.#askTurn();
    });
    // Last: what it throws is its own affair, and stops nobody.
    task();
  }

  #next(): Account | undefined {
    let next: Account | undefined;
    for (const account of this.#waiting) {
      if (next === undefined || account.usedMs < next.usedMs) next = account;
    }
    return next;
  }
}

/** What one namespace has used, and what it waits for. */
class Account {
  usedMs = 0;
  readonly #lines: Readonly<Record<Lane, Line>> = {
    engine: new Line(),
    workers: new Line(),
    calls: new Line(),
  };
  #lane = 0;

  add(lane: Lane, task: () => void): void {
    this.#lines[lane].add(task);
  }

  take(): (() => void) | undefined {
    for (let tried = 0; tried < lanes.length; tried += 1) {
      const lane = lanes[this.#lane % lanes.length] ?? "engine";
      this.#lane += 1;
      const task = this.#lines[lane].take();
      if (task !== undefined) return task;
    }
    return undefined;
  }

  get isEmpty(): boolean {
    return lanes.every((lane) => this.#lines[lane].length === 0);
  }
}

/** How many that are gone may stand before those that wait. */
const goneMax = 1_000;

/** First in, first out; without moving all of them for each. */
class Line {
  #tasks: (() => void)[] = [];
  #at = 0;

  get length(): number {
    return this.#tasks.length - this.#at;
  }

  add(task: () => void): void {
    this.#tasks.push(task);
  }

  take(): (() => void) | undefined {
    const task = this.#tasks[this.#at];
    if (task === undefined) return undefined;
    this.#at += 1;
    if (this.#at === this.#tasks.length || this.#at === goneMax) {
      this.#tasks = this.#tasks.slice(this.#at);
      this.#at = 0;
    }
    return task;
  }
}
