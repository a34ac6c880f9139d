/** Messages on a stream of gRPC: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
import { AionError } from "../core/errors.ts";

/** Whether it is compressed, and its length. */
const prefixBytes = 5;

/** Finds the messages in what arrives. */
export class MessageReader {
  readonly #limitBytes: number;
  /** What came of a message that is not whole, in pieces: putting them together for each one costs the square of its length. */
  #pieces: Uint8Array[] = [];
  #heldBytes = 0;
  /** How many there have to be before there is more to be told. */
  #wantedBytes = prefixBytes;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** The messages that are whole now. Errors: `invalid_argument` (one is compressed), `payload_too_large`. */
  *take(chunk: Uint8Array): Generator<Uint8Array, void, undefined> {
    this.#pieces.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes < this.#wantedBytes) return;
    const bytes = this.#pieces.length === 1 ? chunk : Buffer.concat(this.#pieces);
    this.#wantedBytes = prefixBytes;
    let at = 0;
    while (bytes.length - at >= prefixBytes) {
      const length = new DataView(bytes.buffer, bytes.byteOffset + at + 1, 4).getUint32(0);
      if (bytes[at] !== 0)
        throw new AionError("invalid_argument", "a message is compressed, and none may be");
      if (length > this.#limitBytes) {
        throw new AionError("payload_too_large", `a message has ${length} bytes`, {
          details: { bytes: length, limitBytes: this.#limitBytes },
        });
      }
      const end = at + prefixBytes + length;
      if (bytes.length < end) {
        this.#wantedBytes = prefixBytes + length;
        break;
      }
      yield bytes.subarray(at + prefixBytes, end);
      at = end;
    }
    this.#heldBytes = bytes.length - at;
    this.#pieces = this.#heldBytes === 0 ? [] : [bytes.subarray(at)];
  }
}

/** What a message goes out on. */
export interface MessageSink {
  write(bytes: Uint8Array): boolean;
  end(): void;
  once(event: "drain", listener: () => void): unknown;
}

/** As much is written at once: so that whoever takes it slowly is seen to take it. */
const sliceBytes = 256 * 1024;

/**
 * Sends messages in order, those of one turn in one piece; while the other side takes nothing, they wait. Ends when more than so many
 * do, or when nothing is taken for too long: whoever takes none is not there any more.
 */
export class MessageWriter {
  readonly #sink: MessageSink;
  readonly #most: number;
  readonly #onOver: () => void;
  #waiting: Uint8Array[] = [];
  #state: "idle" | "asked" | "full" | "over" = "idle";
  #isEnding = false;
  #patienceMs: number | undefined;
  #patience: NodeJS.Timeout | undefined;

  /** `onOver`: too many waited, or for too long. */
  constructor(sink: MessageSink, most: number, onOver: () => void) {
    this.#sink = sink;
    this.#most = most;
    this.#onOver = onOver;
  }

  /** How long nothing may be taken while something waits. Before: for ever. */
  giveUpAfter(ms: number): void {
    this.#patienceMs = ms;
  }

  push(message: Uint8Array): void {
    if (this.#state === "over" || this.#isEnding) return;
    const prefix = new Uint8Array(prefixBytes);
    new DataView(prefix.buffer).setUint32(1, message.length);
    this.#waiting.push(prefix, message);
    if (this.#waiting.length > 2 * this.#most) this.#giveUp();
    else this.#ask();
  }

  /** What was pushed before is still sent. */
  end(): void {
    if (this.#state === "over" || this.#isEnding) return;
    this.#isEnding = true;
    this.#ask();
  }

  #ask(): void {
    if (this.#state !== "idle") return;
    this.#state = "asked";
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    if (this.#state === "over") return;
    this.#state = "idle";
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    for (let at = 0; at < bytes.length;) {
      const slice = bytes.subarray(at, at + sliceBytes);
      at += slice.length;
      if (this.#sink.write(slice)) continue;
      if (at < bytes.length) this.#waiting.push(bytes.subarray(at));
      this.#wait();
      return;
    }
    if (this.#isEnding) {
      this.#state = "over";
      this.#sink.end();
    }
  }

  #wait(): void {
    this.#state = "full";
    if (this.#patienceMs !== undefined)
      this.#patience = setTimeout(() => this.#giveUp(), this.#patienceMs).unref();
    this.#sink.once("drain", () => {
      clearTimeout(this.#patience);
      this.#flush();
    });
  }

  #giveUp(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#waiting = [];
    this.#onOver();
  }
}
