import type { CancelledFailure } from "../core/failure.ts";

/** Something that waits inside a scope and can be told to stop. */
export interface Cancellable {
  cancel(failure: CancelledFailure): void;
}

/**
 * The tree of cancellation. Owner: the runtime of one run. Law: cancelling a scope reaches, in the order in which
 * they were added, everything that waits in it and in the scopes below it, but for shields.
 */
export class CancellationScope {
  readonly #parent: CancellationScope | undefined;
  readonly #members = new Set<Cancellable>();
  #cancelled: CancelledFailure | undefined;
  #controller: AbortController | undefined;

  constructor(parent: CancellationScope | undefined) {
    this.#parent = parent;
    parent?.add(this);
  }

  get cancelled(): CancelledFailure | undefined {
    return this.#cancelled;
  }

  /** Made when first asked for: few scopes are. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#cancelled !== undefined) this.#controller.abort(this.#cancelled);
    }
    return this.#controller.signal;
  }

  add(member: Cancellable): void {
    this.#members.add(member);
  }

  remove(member: Cancellable): void {
    this.#members.delete(member);
  }

  leave(): void {
    this.#parent?.remove(this);
  }

  cancel(failure: CancelledFailure): void {
    if (this.#cancelled !== undefined) return;
    this.#cancelled = failure;
    this.#controller?.abort(failure);
    for (const member of [...this.#members]) member.cancel(failure);
  }
}
