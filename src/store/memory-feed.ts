import type { FeedPage, FeedRange, OwnerClaim } from "./contract.ts";
import { claimFeed, feedTrimStep, readFeedPage } from "./feed.ts";
import type { FeedEntry, FeedRun, FeedSource, FeedState, FeedTransaction } from "./feed.ts";

/**
 * The feed in memory.
 *
 * Owner: the memory store, which notes each row that it writes, and ends each of its transactions.
 */
export class MemoryFeed {
  #state: FeedState = { keepMs: undefined, era: 0, floor: 0, head: 0 };
  /** From `floor` on, without a gap. */
  readonly #transactions: (FeedTransaction & { readonly recordedAt: number })[] = [];
  #entries: FeedEntry[] = [];

  claim({ feed }: OwnerClaim, now: number): void {
    const { head } = this.#state;
    this.#state = { ...claimFeed(this.#state, feed, now), head };
    this.#drop();
  }

  note(entry: FeedEntry): void {
    if (this.#state.keepMs !== undefined) this.#entries.push(entry);
  }

  /** What was noted is one transaction. */
  end(now: number): void {
    const { keepMs, head, floor } = this.#state;
    const entries = this.#entries;
    this.#entries = [];
    if (keepMs === undefined || entries.length === 0) return;
    this.#transactions.push({ position: head + 1, entries, recordedAt: now });
    const oldest = this.#transactions[feedTrimStep - 1];
    const isOver = this.#transactions.length > feedTrimStep && (oldest?.recordedAt ?? now) < now - keepMs;
    this.#state = { ...this.#state, head: head + 1, floor: isOver ? floor + feedTrimStep : floor };
    this.#drop();
  }

  read<Run extends FeedRun>(request: FeedRange, of: Pick<FeedSource<Run>, "findRun" | "readRow">): FeedPage {
    const { floor } = this.#state;
    return readFeedPage(request, {
      state: this.#state,
      transactions: (fromPosition) => this.#transactions.slice(fromPosition - floor - 1),
      findRun: (runKey) => of.findRun(runKey),
      readRow: (run, entry) => of.readRow(run, entry),
    });
  }

  #drop(): void {
    const first = this.#transactions[0]?.position ?? 0;
    if (first > 0) this.#transactions.splice(0, this.#state.floor - first + 1);
  }
}
