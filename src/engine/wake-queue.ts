import type { Ports } from "../core/ports.ts";
import type { DueCursor, DueRun, Store } from "../store/contract.ts";

interface Wake {
  readonly at: number;
  readonly workflowId: string;
}

/** How far ahead wake-ups are held in memory; what lies beyond is a row of the store. */
const horizonMs = 5 * 60_000;
const pageSize = 1_000;
/** The wall clock is looked at this often, in case it jumped. Costs no query. */
const clockCheckMs = 30_000;
const retryMs = 1_000;
const wakingMax = 256;

/**
 * Which runs must be looked at, and when. Owner: the kernel.
 *
 * Laws: a run whose wake-up lies before the horizon is in the heap, and so is every one that no row tells of; the others are in
 * the store alone, written by the commit that decided them. The heap may name a run too often, never too seldom. Nothing is called before its
 * instant by the wall clock. One timer at a time, and one more while the store has to be asked again; no query while nothing comes into
 * the horizon.
 */
export class WakeQueue {
  readonly #ports: Ports;
  readonly #store: Store;
  readonly #wake: (workflowId: string) => Promise<void>;
  readonly #heap: Wake[] = [];
  #horizonAt: number;
  // Runs marked to move at once (0) are taken up by recovery.
  #cursor: DueCursor = { wakeAt: 0, runKey: Number.MAX_SAFE_INTEGER };
  #cancelTimer: (() => void) | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  /** The store could not be read, and is asked again after a while, however the clock is set meanwhile. */
  #cancelRetry: (() => void) | undefined;
  #isRefilling = false;
  #wakingCount = 0;
  #isStarted = false;
  #isStopped = false;

  constructor(ports: Ports, store: Store, wake: (workflowId: string) => Promise<void>) {
    this.#ports = ports;
    this.#store = store;
    this.#wake = wake;
    this.#horizonAt = 0;
  }

  /** Reads the first horizon. */
  async start(): Promise<void> {
    this.#isStarted = true;
    await this.#refill();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer?.();
    this.#cancelRetry?.();
    this.#heap.length = 0;
  }

  /** The run must be looked at then. `isOnDisk`: its row says so. False: it was left to the row. */
  add(workflowId: string, at: number, isOnDisk: boolean): boolean {
    if (this.#isStopped || (isOnDisk && at > this.#horizonAt)) return false;
    this.#push({ at, workflowId });
    this.#arm();
    return true;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** What should have been looked at by now: how many, and since when the first of them. */
  overdue(now: number): { readonly count: number; readonly since?: number } {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined || first.at > now) return { count: 0 };
    let count = 0;
    // Of a heap only what lies below something overdue can be overdue.
    const places = [0];
    for (let place = places.pop(); place !== undefined; place = places.pop()) {
      const wake = heap[place];
      if (wake === undefined || wake.at > now) continue;
      count += 1;
      places.push(2 * place + 1, 2 * place + 2);
    }
    return { count, since: first.at };
  }

  #arm(): void {
    if (this.#isStopped || !this.#isStarted) return;
    const horizonAt = this.#cancelRetry === undefined ? this.#horizonAt : Number.POSITIVE_INFINITY;
    const at = Math.min(this.#heap[0]?.at ?? Number.POSITIVE_INFINITY, horizonAt);
    if (at >= this.#timerAt) return;
    this.#cancelTimer?.();
    this.#timerAt = at;
    const delayMs = Math.max(0, Math.min(at - this.#ports.clock.now(), clockCheckMs));
    this.#cancelTimer = this.#ports.scheduler.delay(delayMs, () => {
      this.#cancelTimer = undefined;
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#fire();
    });
  }

  #fire(): void {
    const now = this.#ports.clock.now();
    for (let first = this.#heap[0]; first !== undefined && first.at <= now; first = this.#heap[0]) {
      // Many runs may come due at one instant: only so many are brought back at once. The others keep their place.
      if (this.#wakingCount >= wakingMax) return;
      this.#pop();
      this.#wakingCount += 1;
      void this.#wake(first.workflowId).finally(() => {
        this.#wakingCount -= 1;
        this.#fire();
      });
    }
    if (this.#cancelRetry === undefined && now >= this.#horizonAt) void this.#refill();
    else this.#arm();
  }

  async #refill(): Promise<void> {
    if (this.#isRefilling || this.#isStopped) return;
    this.#isRefilling = true;
    try {
      const until = this.#ports.clock.now() + horizonMs;
      // Raised first: a commit made while the page is read must not fall between the two.
      const before = this.#horizonAt;
      this.#horizonAt = Math.max(until, before);
      let due: readonly DueRun[] = [];
      do {
        due = await this.#store.listDue(this.#horizonAt, this.#cursor, pageSize);
        for (const run of due) {
          this.#push({ at: run.wakeAt, workflowId: run.workflowId });
          this.#cursor = { wakeAt: run.wakeAt, runKey: run.runKey };
        }
        if (due.length === pageSize && this.#heap.length >= heapMax) {
          // Bounded memory: the rest is read when these are done.
          this.#horizonAt = this.#cursor.wakeAt;
          break;
        }
      } while (due.length === pageSize);
      if (due.length < pageSize) this.#cursor = { wakeAt: this.#horizonAt, runKey: Number.MAX_SAFE_INTEGER };
    } catch (error) {
      this.#ports.log("warn", "the store could not list due runs; trying again", { error: String(error) });
      // No lower than what was read already: rows before that are not read again, so who is told of one has to hold it.
      this.#horizonAt = Math.max(this.#ports.clock.now() + retryMs, this.#cursor.wakeAt);
      if (!this.#isStopped)
        this.#cancelRetry = this.#ports.scheduler.delay(retryMs, () => {
          this.#cancelRetry = undefined;
          void this.#refill();
        });
    } finally {
      this.#isRefilling = false;
      this.#arm();
    }
  }

  #push(wake: Wake): void {
    const heap = this.#heap;
    let index = heap.push(wake) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || above.at <= wake.at) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = wake;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      const left = heap[child];
      if (left === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && right.at < left.at) child += 1;
      const least = heap[child];
      if (least === undefined || least.at >= last.at) break;
      heap[index] = least;
      index = child;
    }
    heap[index] = last;
  }
}

const heapMax = 50_000;
