import { describe, expect, it } from "vitest";
import { virtualPorts } from "../../test/recovery/virtual-ports.ts";
import { insist } from "./insist.ts";

/** Work that fails so many times before it succeeds; `atMs`: when it was tried, after the beginning. */
function failing(
  failures: number,
  now: () => number,
): { readonly work: () => Promise<void>; readonly atMs: readonly number[] } {
  const began = now();
  const atMs: number[] = [];
  return {
    atMs,
    work: async () => {
      atMs.push(now() - began);
      if (atMs.length <= failures) throw new Error(`failure ${atMs.length}`);
    },
  };
}

describe("work that is insisted on", () => {
  it("is done once when it succeeds, with nothing logged and nobody waited for", async () => {
    const { ports, delays, logged, now } = virtualPorts();
    const { work, atMs } = failing(0, now);
    await insist(work, { ports, what: "sweeping", isWanted: () => true });
    expect(atMs).toHaveLength(1);
    expect(delays).toEqual([]);
    expect(logged).toEqual([]);
  });

  // I-29
  it("is tried again a second after each failure until it succeeds, and says why", async () => {
    const { ports, pass, logged, now } = virtualPorts();
    const { work, atMs } = failing(3, now);
    let isDone = false;
    const insisted = insist(work, { ports, what: "sweeping", isWanted: () => true }).then(() => {
      isDone = true;
    });
    await pass(2_999);
    expect(atMs).toEqual([0, 1_000, 2_000]);
    expect(isDone).toBe(false);
    await pass(1);
    await insisted;
    expect(atMs).toEqual([0, 1_000, 2_000, 3_000]);
    expect(logged).toEqual(
      [1, 2, 3].map((count) => ({
        level: "warn",
        message: "sweeping failed; trying again",
        fields: { error: `failure ${count}` },
      })),
    );
  });

  it("is not begun when nobody wants it", async () => {
    const { ports, now } = virtualPorts();
    const { work, atMs } = failing(0, now);
    await insist(work, { ports, what: "sweeping", isWanted: () => false });
    expect(atMs).toEqual([]);
  });

  it("is given up in silence when nobody wants it any more by the time it fails", async () => {
    const { ports, delays, logged } = virtualPorts();
    let isWanted = true;
    await insist(
      async () => {
        isWanted = false;
        throw new Error("the engine stopped under it");
      },
      { ports, what: "sweeping", isWanted: () => isWanted },
    );
    expect(delays).toEqual([]);
    expect(logged).toEqual([]);
  });

  it("is given up when nobody wants it any more after the wait", async () => {
    const { ports, pass, now } = virtualPorts();
    const { work, atMs } = failing(9, now);
    let isWanted = true;
    const insisted = insist(work, { ports, what: "sweeping", isWanted: () => isWanted });
    await pass(500);
    isWanted = false;
    await pass(500);
    await insisted;
    expect(atMs).toHaveLength(1);
  });
});
