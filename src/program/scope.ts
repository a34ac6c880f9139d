import type { CancelledFailure } from "../core/failure.ts";

/** Something that waits inside a scope and can be told to stop. */
export interface Cancellable {
  cancel(failure: CancelledFailure): void;
}

/**
 * The tree of cancellation. Owner: the runtime of one run. Law: cancelling a scope reaches, in the order in which
 * they were added, everything that waits in it and in the scopes below it, but for shields. That goes for what was left
 * behind in a scope that is over, too.
 */
export class CancellationScope {
  readonly #parent: CancellationScope | undefined;
  readonly #members = new Set<Cancellable>();
  #cancelled: CancelledFailure | undefined;
  #controller: AbortController | undefined;
  #isOver = false;

  constructor(parent: CancellationScope | undefined) {
    this.#parent = parent;
    parent?.add(this);
  }

  get cancelled(): CancelledFailure | undefined {
    // A scope that is over and empty is not in the tree any more.
    return this.#cancelled ?? (this.#isOver ? this.#parent?.cancelled : undefined);
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
    if (this.#isOver && this.#members.size === 0) this.#parent?.add(this);
    this.#members.add(member);
  }

  remove(member: Cancellable): void {
    this.#members.delete(member);
    if (this.#isOver && this.#members.size === 0) this.#parent?.remove(this);
  }

  /** The scope is over. It stays in the tree for as long as something waits in it. */
  leave(): void {
    this.#isOver = true;
    if (this.#members.size === 0) this.#parent?.remove(this);
  }

  cancel(failure: CancelledFailure): void {
    if (this.#cancelled !== undefined) return;
    this.#cancelled = failure;
    this.#controller?.abort(failure);
    for (const member of [...this.#members]) member.cancel(failure);
  }
}
