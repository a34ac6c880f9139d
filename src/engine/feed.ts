import type { FeedReply, FeedRequest } from "../client/service.ts";
import type { AionError } from "../core/errors.ts";
import type { Scheduler } from "../core/ports.ts";
import type { FeedPage, FeedRange, Store } from "../store/contract.ts";
import { toFeedEvents, toFeedRange } from "./views.ts";

/** Pages that one call reads through without finding anything, before it says how far it came. */
const pagesPerCall = 64;

/**
 * Reads of the feed, and waits at its head. Owner: the kernel, which tells of each append that has ended.
 *
 * Laws: a call that waits looks again after each append, and never without one. It holds one page at the most. Calls that are woken
 * together and ask for the same share one look at the store.
 */
export class Feed {
  readonly #store: Pick<Store, "readFeed">;
  readonly #scheduler: Scheduler;
  readonly #callers = new Set<Caller>();
  /** Of this turn, and of one state of the store. */
  readonly #pages = new Map<string, Promise<FeedPage>>();

  constructor(store: Pick<Store, "readFeed">, scheduler: Scheduler) {
    this.#store = store;
    this.#scheduler = scheduler;
  }

  /** Calls that read, or wait. */
  get readerCount(): number {
    return this.#callers.size;
  }

  /** Something may be on disk that was not. */
  appended(): void {
    this.#pages.clear();
    for (const caller of this.#callers) caller.wake();
  }

  fail(error: AionError): void {
    for (const caller of this.#callers) caller.fail(error);
  }

  /** Errors: those of `Store.readFeed`, and why the engine stopped. */
  async read(request: FeedRequest, limit: number): Promise<FeedReply> {
    const range = toFeedRange(request, limit);
    const { waitMs = 0, filter = {} } = request;
    const caller = new Caller();
    const isPatient = waitMs > 0;
    const stopTimer =
      isPatient && waitMs < Number.MAX_SAFE_INTEGER
        ? this.#scheduler.delay(waitMs, () => caller.giveUp())
        : () => undefined;
    this.#callers.add(caller);
    try {
      let { after } = range;
      for (let pageCount = 1; ; pageCount += 1) {
        // What is appended from here on wakes it, so nothing is missed between the look and the wait.
        caller.look();
        const page = await this.#page({ ...range, after });
        const events = toFeedEvents(page, filter);
        const { nextCursor, isAtHead } = page;
        const isOver = isAtHead ? !isPatient || caller.hasGivenUp : pageCount >= pagesPerCall;
        if (events.length > 0 || isOver) return { events, nextCursor, isAtHead };
        after = nextCursor;
        if (isAtHead) {
          await caller.woken();
          pageCount = 0;
        } else {
          await new Promise<void>((resolve) => this.#scheduler.turn(resolve));
        }
      }
    } finally {
      this.#callers.delete(caller);
      stopTimer();
    }
  }

  #page(range: FeedRange): Promise<FeedPage> {
    const key = JSON.stringify(range);
    const known = this.#pages.get(key);
    if (known !== undefined) return known;
    const page = this.#store.readFeed(range);
    if (this.#pages.size === 0) this.#scheduler.turn(() => this.#pages.clear());
    this.#pages.set(key, page);
    return page;
  }
}

/** One call that reads, and waits at the head now and then. */
class Caller {
  hasGivenUp = false;
  #isWoken = false;
  #error: AionError | undefined;
  #resolve: (() => void) | undefined;

  look(): void {
    if (this.#error !== undefined) throw this.#error;
    this.#isWoken = this.hasGivenUp;
  }

  wake(): void {
    this.#isWoken = true;
    this.#resolve?.();
  }

  giveUp(): void {
    this.hasGivenUp = true;
    this.wake();
  }

  fail(error: AionError): void {
    this.#error = error;
    this.wake();
  }

  /** Resolves when something has happened since the look. */
  async woken(): Promise<void> {
    if (!this.#isWoken) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
    }
    this.#resolve = undefined;
    if (this.#error !== undefined) throw this.#error;
  }
}
