import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AionError } from "../core/errors.ts";
import { Leases } from "./leases.ts";

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => vi.useRealTimers());

const over = new AionError("unauthenticated", "it is over");

/** Over at an instant, and looked at then. */
const until = (endsAt: number) => ({
  whyOver: vi.fn<() => AionError | undefined>(() => (Date.now() < endsAt ? undefined : over)),
  lookAt: () => endsAt,
});

describe("what is open on the strength of a proof", () => {
  it("costs nothing while nothing is open, or nothing can be over by itself", () => {
    const leases = new Leases();
    expect(vi.getTimerCount()).toBe(0);
    const whyOver = vi.fn<() => undefined>(() => undefined);
    const signal = leases.signalOf("a", { whyOver, lookAt: () => undefined });
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(3_600_000);
    expect(whyOver).not.toHaveBeenCalled();
    expect(signal.aborted).toBe(false);
  });

  it("ends when its proof does, and is not looked at before", () => {
    const leases = new Leases();
    const [soon, later] = [until(1_005_000), until(1_030_000)];
    const signals = [leases.signalOf("soon", soon), leases.signalOf("later", later)];
    vi.advanceTimersByTime(4_999);
    expect(soon.whyOver).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    expect(signals[0]?.reason).toBe(over);
    vi.advanceTimersByTime(25_000);
    expect(signals[1]?.aborted).toBe(true);
    expect(later.whyOver).toHaveBeenCalledTimes(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("ends within a minute if the clock was set forward meanwhile", () => {
    const leases = new Leases();
    const signal = leases.signalOf("a", until(1_000_000 + 3_600_000));
    vi.setSystemTime(1_000_000 + 7_200_000);
    vi.advanceTimersByTime(60_000);
    expect(signal.aborted).toBe(true);
  });

  it("ends at once when somebody says that there is something to see", () => {
    const leases = new Leases();
    const whyOver = vi.fn<() => AionError | undefined>(() => undefined);
    const signal = leases.signalOf("a", { whyOver, lookAt: () => undefined });
    leases.look();
    expect(signal.aborted).toBe(false);
    whyOver.mockReturnValue(over);
    leases.look();
    expect(signal.aborted).toBe(true);
  });

  it("is looked at in a bounded part of the time, however much there is", () => {
    const leases = new Leases();
    let lookedAtCount = 0;
    const signals = Array.from({ length: 150_000 }, (_, index) => {
      const endsAt = 1_060_000 + index / 100;
      const whyOver = (): AionError | undefined => {
        lookedAtCount += 1;
        return Date.now() < endsAt ? undefined : over;
      };
      return leases.signalOf(String(index), { whyOver, lookAt: () => endsAt });
    });
    vi.advanceTimersByTime(59_999);
    expect(lookedAtCount).toBe(0);
    vi.advanceTimersByTime(60_000);
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
    expect(lookedAtCount).toBeLessThan(3 * signals.length);
  });

  it("is one signal for one proof, and a new one after its end", () => {
    const leases = new Leases();
    const term = until(1_001_000);
    const first = leases.signalOf("a", term);
    expect(leases.signalOf("a", term)).toBe(first);
    vi.advanceTimersByTime(1_000);
    expect(first.aborted).toBe(true);
    expect(leases.signalOf("a", until(1_100_000))).not.toBe(first);
    leases.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});
