import { encodeRow } from "../core/codec.ts";
import type { NewEvent } from "../core/codec.ts";
import { AionError, isAionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { Commit, CommitResult, OwnerToken, Store } from "../store/contract.ts";
import { EngineMeter } from "./engine-meter.ts";

/** A long turn hands over what it has so far, so that the store writes while the engine goes on. */
const chunkCommits = 32;

/** How often the store is asked what became of a commit, before the engine stops, not knowing. */
const looksMax = 60;

interface Pending {
  readonly commit: Commit;
  readonly done: (result: CommitResult) => void;
}

/**
 * The only thing that appends. Owner: the kernel; holds the right to write.
 *
 * Laws: what is handed in during one turn goes to the store as one append, so commits of many runs share an fsync,
 * and further appends may be under way meanwhile. A run has one commit under way at a time (its caller sees to that).
 * A commit of unknown outcome is resolved by reading, never by writing again.
 */
export class Recorder {
  readonly #store: Store;
  readonly #token: OwnerToken;
  readonly #onLost: (error: AionError) => void;
  readonly #pause: () => Promise<void>;
  readonly #onAppended: () => void;
  readonly #meter: EngineMeter;
  #pending: Pending[] = [];
  #underWay = 0;
  readonly #idle: (() => void)[] = [];
  #commitCount = 0;

  /** `pause`: waits a while before the store is asked once more. `onAppended`: an append has ended, and its callers know of it. */
  constructor(
    store: Store,
    token: OwnerToken,
    onLost: (error: AionError) => void,
    pause: () => Promise<void>,
    onAppended: () => void = () => undefined,
    meter: EngineMeter = new EngineMeter(),
  ) {
    this.#store = store;
    this.#token = token;
    this.#onLost = onLost;
    this.#pause = pause;
    this.#onAppended = onAppended;
    this.#meter = meter;
  }

  get commitCount(): number {
    return this.#commitCount;
  }

  /** `done` is called once, after the commit is on disk or refused. */
  record(commit: Commit, done: (result: CommitResult) => void): void {
    this.#pending.push({ commit, done });
    if (this.#pending.length >= chunkCommits) this.flush();
  }

  /** For callers outside a turn. */
  commit(commit: Commit): Promise<CommitResult> {
    return new Promise((resolve) => {
      this.record(commit, resolve);
      this.flush();
    });
  }

  flush(): void {
    if (this.#pending.length === 0) return;
    const batch = this.#pending;
    this.#pending = [];
    this.#underWay += 1;
    this.#commitCount += batch.length;
    const since = this.#meter.now();
    this.#store
      .append(
        this.#token,
        batch.map((pending) => pending.commit),
      )
      .then(
        (results) => {
          this.#meter.appended(since);
          for (const [index, pending] of batch.entries()) this.#done(pending, results[index] ?? missing);
          this.#settled();
        },
        (error: unknown) => {
          this.#fail(batch, error).then(
            () => this.#settled(),
            (reason: unknown) => this.#onLost(toStoreError(reason)),
          );
        },
      );
  }

  /** Resolves when no append is under way. */
  async drained(): Promise<void> {
    while (this.#underWay > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #settled(): void {
    this.#underWay -= 1;
    this.#onAppended();
    if (this.#underWay === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #fail(batch: readonly Pending[], reason: unknown): Promise<void> {
    const error = toStoreError(reason);
    if (error.code === "commit_unknown") {
      for (const pending of batch) this.#done(pending, await this.#resolve(pending.commit, error));
      return;
    }
    if (error.code === "not_owner" || error.code === "store_failed") this.#onLost(error);
    for (const pending of batch) this.#done(pending, { ok: false, error });
  }

  #done({ commit, done }: Pending, result: CommitResult): void {
    this.#meter.recorded(commit, result);
    done(result);
  }

  /** Only reading can tell: until it can, the commit is neither made nor refused, and its run waits. */
  async #resolve(commit: Commit, error: AionError): Promise<CommitResult> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#look(commit, error);
      } catch (reason) {
        const failure = toStoreError(reason);
        if (failure.code === "store_unavailable" && attempt < looksMax) await this.#pause();
        else {
          this.#onLost(failure);
          return { ok: false, error: failure };
        }
      }
    }
  }

  /** Whether a commit of unknown outcome was made: its first row is there, byte for byte, or it is not. */
  async #look({ run, start }: Commit, error: AionError): Promise<CommitResult> {
    if (start !== undefined) {
      const found = await this.#store.findRun(start.workflowId, start.runId);
      if (found !== undefined) return { ok: true, startedKey: found.runKey, messageIds: [] };
    } else if (run !== undefined && run.events.length > 0) {
      const found = await this.#store.readSegment(run, run.expectedSeq + 1, run.events.length);
      const bodies = found
        .slice(0, run.events.length)
        .map(({ seq: _seq, workflowId: _id, ...event }): NewEvent => event);
      if (bodies.length > 0 && encodeRow(bodies) === encodeRow(run.events))
        return { ok: true, messageIds: [] };
    }
    return { ok: false, error };
  }
}

const missing: CommitResult = {
  ok: false,
  error: new AionError("internal", "the store gave no result for a commit"),
};

function toStoreError(reason: unknown): AionError {
  return isAionError(reason)
    ? reason
    : new AionError("store_failed", `the store failed: ${messageOf(reason)}`, { cause: reason });
}
