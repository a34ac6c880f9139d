import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { FrameQueue } from "./frame-queue.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

it("ends when the next frame is not asked for in time, and waits for ever for one that is not there", async () => {
  const onOver = vi.fn<() => void>();
  const queue = new FrameQueue<number>(10);
  queue.giveUpAfter(1_000, onOver);
  const frames = queue[Symbol.asyncIterator]();
  queue.push(1);
  queue.push(2);
  queue.push(3);
  expect(await frames.next()).toMatchObject({ value: 1 });
  vi.advanceTimersByTime(999);
  expect(await frames.next()).toMatchObject({ value: 2 });
  expect(await frames.next()).toMatchObject({ value: 3 });
  const waiting = frames.next();
  await Promise.resolve();
  vi.advanceTimersByTime(60_000);
  queue.push(4);
  expect(await waiting).toMatchObject({ value: 4 });
  queue.push(5);
  expect(onOver).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1_000);
  expect(onOver).toHaveBeenCalledOnce();
  expect(await frames.next()).toEqual({ done: true, value: undefined });
});
