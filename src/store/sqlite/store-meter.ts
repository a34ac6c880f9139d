import { statSync } from "node:fs";
import type { Meter } from "../../core/ports.ts";

/** What one transaction took and held, as four numbers: seconds, seconds of its commit, commits made, events written. */
export const numbersPerTransaction = 4;

/** What the store counts. `numbers` come from the thread that writes. Owner: the store. */
export class StoreMeter {
  readonly #transaction;
  readonly #flush;
  readonly #commits;
  readonly #events;
  readonly #stop: () => void;

  constructor(meter: Meter, path: string) {
    this.#transaction = meter.histogram("aion_store_transaction_seconds");
    this.#flush = meter.histogram("aion_store_flush_seconds");
    this.#commits = meter.histogram("aion_store_transaction_commits");
    this.#events = meter.histogram("aion_store_transaction_events");
    const database = meter.gauge("aion_store_database_bytes");
    const log = meter.gauge("aion_store_log_bytes");
    this.#stop = meter.collect(() => {
      database.set(sizeOf(path));
      log.set(sizeOf(`${path}-wal`));
    });
  }

  written(numbers: readonly number[]): void {
    for (let at = 0; at < numbers.length; at += numbersPerTransaction) {
      this.#transaction.observe(numbers[at] ?? 0);
      this.#flush.observe(numbers[at + 1] ?? 0);
      this.#commits.observe(numbers[at + 2] ?? 0);
      this.#events.observe(numbers[at + 3] ?? 0);
    }
  }

  close(): void {
    this.#stop();
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
