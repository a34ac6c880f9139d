import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { MessageReader, MessageWriter } from "./grpc-messages.ts";

/** Keeps what is written; takes it or not. */
function sink() {
  const writes: Uint8Array[] = [];
  let onDrain: () => void = () => undefined;
  const state = { isFull: false, isEnded: false, overCount: 0 };
  const writer = new MessageWriter(
    {
      write: (bytes) => {
        writes.push(bytes);
        return !state.isFull;
      },
      end: () => (state.isEnded = true),
      once: (_event, listener) => (onDrain = listener),
    },
    3,
    () => (state.overCount += 1),
  );
  return { writer, writes, state, drain: () => onDrain() };
}

const read = (writes: readonly Uint8Array[]): number[][] => {
  const reader = new MessageReader(1_000);
  return writes.flatMap((bytes) => [...reader.take(bytes)].map((message) => [...message]));
};

describe("messages of a stream", () => {
  it("are read as they were written, however the bytes arrive", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 3 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 7 })),
        async (messages, lengths) => {
          const { writer, writes } = sink();
          for (const message of messages) writer.push(message);
          await turn();
          const bytes = Buffer.concat(writes);
          const chunks: Uint8Array[] = [];
          for (let at = 0; at < bytes.length; at += chunks.at(-1)?.length ?? 1)
            chunks.push(bytes.subarray(at, at + Number(lengths.next().value)));
          expect(read(chunks)).toEqual(messages.map((message) => [...message]));
        },
      ),
    );
  });

  it("of one turn go out in one piece", async () => {
    const { writer, writes } = sink();
    writer.push(Uint8Array.of(1));
    writer.push(Uint8Array.of(2));
    await turn();
    writer.push(Uint8Array.of(3));
    await turn();
    expect([writes.length, read(writes)]).toEqual([2, [[1], [2], [3]]]);
  });

  it("wait while the other side takes nothing, and end when too many do", async () => {
    const { writer, writes, state, drain } = sink();
    state.isFull = true;
    writer.push(Uint8Array.of(1));
    await turn();
    writer.push(Uint8Array.of(2));
    writer.end();
    await turn();
    expect([writes.length, state.isEnded]).toEqual([1, false]);
    state.isFull = false;
    drain();
    expect(read(writes)).toEqual([[1], [2]]);
    await turn();
    expect(state.isEnded).toBe(true);

    const slow = sink();
    slow.state.isFull = true;
    slow.writer.push(Uint8Array.of(1));
    await turn();
    for (let count = 0; count < 4; count++) slow.writer.push(Uint8Array.of(2));
    slow.drain();
    expect([slow.state.overCount, slow.writes.length, slow.state.isEnded]).toEqual([1, 1, false]);
  });

  it("end when nothing is taken for too long, and not while they are taken slowly", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const { writer, writes, state, drain } = sink();
      writer.giveUpAfter(1_000);
      state.isFull = true;
      const large = new Uint8Array(3 * 256 * 1024);
      writer.push(large);
      await turn();
      for (const count of [1, 2, 3]) {
        expect(writes).toHaveLength(count);
        vi.advanceTimersByTime(999);
        drain();
      }
      drain();
      // Whoever has all keeps the stream for as long as he likes.
      vi.advanceTimersByTime(60_000);
      expect(state.overCount).toBe(0);
      writer.push(Uint8Array.of(1));
      await turn();
      vi.advanceTimersByTime(1_000);
      expect(state.overCount).toBe(1);
    } finally {
      vi.useRealTimers();
    }
  });

  it("that are compressed or too long are refused", () => {
    const reader = new MessageReader(2);
    expect(() => [...reader.take(Uint8Array.of(1, 0, 0, 0, 0))]).toThrow("compressed");
    expect(() => [...new MessageReader(2).take(Uint8Array.of(0, 0, 0, 0, 3))]).toThrow("3 bytes");
  });
});

describe("a message that comes in many pieces", () => {
  it("is put together once", () => {
    const message = new Uint8Array(5 + 900);
    new DataView(message.buffer).setUint32(1, 900);
    const reader = new MessageReader(1_000);
    const concat = vi.spyOn(Buffer, "concat");
    const taken: number[] = [];
    for (const byte of message) {
      for (const { length } of reader.take(Uint8Array.of(byte))) taken.push(length);
    }
    const concatCount = concat.mock.calls.length;
    concat.mockRestore();
    expect(taken).toEqual([900]);
    // Once for what stands before it.
    expect(concatCount).toBe(2);
  });
});
