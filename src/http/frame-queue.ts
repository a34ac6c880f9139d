/** What is to be sent, until it is taken: pushed by one side, iterated over by the other. */
export class FrameQueue<Frame> implements AsyncIterable<Frame> {
  readonly #frames: Frame[] = [];
  readonly #most: number;
  #isOver = false;
  #wake: (() => void) | undefined;
  #patience: { readonly ms: number; readonly onOver: () => void } | undefined;

  /** Ends when there are more than so many: whoever takes none is not there any more. */
  constructor(most: number) {
    this.#most = most;
  }

  /** How long a frame may be on its way while the next is not asked for. Before: for ever. */
  giveUpAfter(ms: number, onOver: () => void): void {
    this.#patience = { ms, onOver };
  }

  push(frame: Frame): void {
    if (this.#isOver) return;
    this.#frames.push(frame);
    if (this.#frames.length > this.#most) this.#frames.length = 0;
    if (this.#frames.length === 0) this.#isOver = true;
    this.#wake?.();
  }

  /** What was pushed before is still taken. */
  end(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Frame, void, undefined> {
    for (;;) {
      while (this.#frames.length > 0) {
        const timer = this.#giveUpLater();
        try {
          yield this.#frames.shift() as Frame;
        } finally {
          clearTimeout(timer);
        }
      }
      if (this.#isOver) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }

  #giveUpLater(): NodeJS.Timeout | undefined {
    if (this.#patience === undefined) return undefined;
    const { ms, onOver } = this.#patience;
    return setTimeout(() => {
      this.#frames.length = 0;
      this.#isOver = true;
      onOver();
    }, ms).unref();
  }
}
