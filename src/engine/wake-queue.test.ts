import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { overStore } from "../../test/recovery/over-store.ts";
import { virtualPorts } from "../../test/recovery/virtual-ports.ts";
import type { VirtualPorts } from "../../test/recovery/virtual-ports.ts";
import { started, writeRuns } from "../../test/recovery/written-history.ts";
import { AionError } from "../core/errors.ts";
import type { WorkflowId } from "../core/ids.ts";
import type { DueRun, Store } from "../store/contract.ts";
import { openMemoryStore } from "../store/memory.ts";
import { WakeQueue } from "./wake-queue.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
/** How far ahead the queue looks, and how long it takes at most to notice that the wall clock jumped. */
const horizonMs = 5 * minute;
const clockCheckMs = 30 * second;
const pageSize = 1_000;

type ListDue = Store["listDue"];

interface Watched extends VirtualPorts {
  readonly queue: WakeQueue;
  readonly began: number;
  /** Whom it woke, and when: milliseconds after the beginning. */
  readonly woken: (readonly [workflowId: string, atMs: number])[];
  /** When it asked the store: milliseconds after the beginning. */
  readonly queries: number[];
}

/** A queue over a store; `listDue` may stand between the two. */
function watched(
  store: Store = openMemoryStore(),
  between: (listDue: ListDue, hand: VirtualPorts) => ListDue = (listDue) => listDue,
): Watched {
  const hand = virtualPorts();
  const began = hand.now();
  const woken: (readonly [string, number])[] = [];
  const queries: number[] = [];
  const listDue = between((...args) => store.listDue(...args), hand);
  const queue = new WakeQueue(
    hand.ports,
    overStore(store, {
      listDue: (...args) => {
        queries.push(hand.now() - began);
        return listDue(...args);
      },
    }),
    async (workflowId) => {
      woken.push([workflowId, hand.now() - began]);
    },
  );
  return Object.assign(Object.create(hand) as VirtualPorts, { queue, began, woken, queries });
}

/** A store whose rows ask to be looked at then. */
async function rowsDue(rows: readonly (readonly [workflowId: string, wakeAt: number])[]): Promise<Store> {
  const store = openMemoryStore();
  await writeRuns(
    store,
    rows.map(([workflowId, wakeAt]) => ({ workflowId, bodies: [started("main")], wakeAt })),
  );
  return store;
}

/** Where time begins in `watched`. */
const start = virtualPorts().now();

describe("a wake-up", () => {
  // I-28
  it("comes at its instant, not before and not after, whatever else was asked for and in which order", async () => {
    const asked = fc.record({ afterMs: fc.nat({ max: 3 * minute }), passMs: fc.nat({ max: 20 * second }) });
    await fc.assert(
      fc.asyncProperty(fc.array(asked, { maxLength: 60 }), async (wakes) => {
        const { queue, pass, now, began, woken } = watched();
        await queue.start();
        const expected: (readonly [string, number])[] = [];
        for (const [index, { afterMs, passMs }] of wakes.entries()) {
          const at = now() + afterMs;
          queue.add(`w${index}`, at, false);
          expected.push([`w${index}`, at - began]);
          await pass(passMs);
        }
        await pass(4 * minute);
        expect(new Map(woken)).toEqual(new Map(expected));
        expect(woken).toHaveLength(expected.length);
        expect(woken.map(([, at]) => at)).toEqual(woken.map(([, at]) => at).toSorted((a, b) => a - b));
        expect(queue.size).toBe(0);
      }),
      { seed, numRuns: 60 },
    );
  });

  // I-28
  it("that is overdue comes at once", async () => {
    const { queue, pass, now, woken } = watched();
    await queue.start();
    queue.add("late", now() - hour, false);
    await pass(0);
    expect(woken).toEqual([["late", 0]]);
  });

  // I-28
  it("comes after those of earlier instants when many are overdue at once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 100 }), { minLength: 1, maxLength: 150 }), async (offsets) => {
        const { queue, time, pass, now, woken } = watched();
        await queue.start();
        const at = new Map(offsets.map((offset, index) => [`w${index}`, offset]));
        for (const [id, offset] of at) queue.add(id, now() + minute + offset, false);
        expect(queue.size).toBe(offsets.length);
        time.jump(hour);
        await pass(clockCheckMs);
        expect(woken.map(([id]) => at.get(id))).toEqual(offsets.toSorted((a, b) => a - b));
      }),
      { seed, numRuns: 60 },
    );
  });

  it("of an earlier instant than the timer that runs replaces it: one timer at a time", async () => {
    const hand = watched();
    const { queue, pass, now, woken } = hand;
    await queue.start();
    for (const afterMs of [20, 10, 15, 5]) {
      queue.add(`after ${afterMs}`, now() + afterMs * second, false);
      expect(hand.waitingCount).toBe(1);
    }
    // Those of later instants need none.
    expect(hand.delays).toHaveLength(4);
    await pass(20 * second);
    expect(woken).toEqual([5, 10, 15, 20].map((afterMs) => [`after ${afterMs}`, afterMs * second]));
    expect(hand.waitingCount).toBe(1);
  });

  it("that is asked for twice comes twice: too often, never too seldom", async () => {
    const { queue, pass, now, woken } = watched();
    await queue.start();
    queue.add("w", now() + 10, false);
    queue.add("w", now() + 10, false);
    await pass(10);
    expect(woken).toEqual([
      ["w", 10],
      ["w", 10],
    ]);
  });

  // I-31
  it("may be further away than what the platform's timers can hold, though no row tells of it", async () => {
    const { queue, pass, now, woken, delays } = watched();
    await queue.start();
    const afterMs = 25 * day;
    expect(afterMs).toBeGreaterThan(2 ** 31 - 1);
    expect(queue.add("far", now() + afterMs, false)).toBe(true);
    await pass(afterMs - 1);
    expect(woken).toEqual([]);
    await pass(1);
    expect(woken).toEqual([["far", afterMs]]);
    expect(Math.max(...delays.slice(0, 1_000))).toBeLessThanOrEqual(clockCheckMs);
    expect(delays.every((delayMs) => delayMs >= 0 && delayMs <= clockCheckMs)).toBe(true);
  });

  it("waits for the start: runs that recovery has not taken up are left alone", async () => {
    const { queue, pass, now, woken, delays } = watched();
    queue.add("early", now() + 10, false);
    await pass(hour);
    expect(woken).toEqual([]);
    expect(delays).toEqual([]);
    await queue.start();
    await pass(0);
    expect(woken).toEqual([["early", hour]]);
  });
});

describe("a jump of the wall clock", () => {
  // I-30, I-28
  it("back makes no wake-up early: it comes when the clock shows its instant", async () => {
    const { queue, time, pass, now, woken, delays, began } = watched();
    await queue.start();
    queue.add("w", now() + 10 * second, false);
    time.jump(-hour);
    await pass(hour + 10 * second - 1);
    expect(woken).toEqual([]);
    await pass(1);
    expect(woken).toEqual([["w", 10 * second]]);
    expect(now() - began).toBe(10 * second);
    // No storm.
    expect(delays.length).toBeLessThan(2 * (hour / clockCheckMs));
  });

  // I-30, I-28
  it("forward is noticed within half a minute", async () => {
    const store = await rowsDue([["row", start + 30 * day]]);
    const { queue, time, pass, now, woken } = watched(store);
    await queue.start();
    queue.add("held", now() + 4 * minute, false);
    await pass(second);
    time.jump(31 * day);
    await pass(clockCheckMs);
    expect(woken.map(([id]) => id).toSorted()).toEqual(["held", "row"]);
  });

  // I-30, I-29
  it("back by a month loses nothing that is asked for meanwhile", async () => {
    const store = await rowsDue([["row", start + 10 * minute]]);
    const { queue, time, pass, now, woken } = watched(store);
    await queue.start();
    time.jump(-30 * day);
    // Its row is there, but so is the horizon: beyond all that is near.
    expect(queue.add("near", now() + minute, true)).toBe(true);
    await pass(minute);
    expect(woken).toEqual([["near", minute - 30 * day]]);
    await pass(30 * day + 9 * minute);
    expect(woken).toEqual([
      ["near", minute - 30 * day],
      ["row", 10 * minute],
    ]);
  });
});

describe("the horizon", () => {
  it("divides the rows: what lies beyond it is left to the store, and comes from there", async () => {
    const store = await rowsDue([
      ["at", start + horizonMs],
      ["beyond", start + horizonMs + 1],
      ["far", start + 3 * day],
    ]);
    const { queue, pass, woken } = watched(store);
    await queue.start();
    expect(queue.size).toBe(1);
    expect(queue.add("another", start + horizonMs, true)).toBe(true);
    expect(queue.add("beyond", start + horizonMs + 1, true)).toBe(false);
    expect(queue.add("far", start + 3 * day, true)).toBe(false);
    expect(queue.size).toBe(2);
    await pass(4 * day);
    // I-28, I-29
    expect(woken).toHaveLength(4);
    expect(new Map(woken)).toEqual(
      new Map([
        ["another", horizonMs],
        ["at", horizonMs],
        ["beyond", horizonMs + 1],
        ["far", 3 * day],
      ]),
    );
  });

  it("is read once every five minutes while nothing happens: nothing else is asked for", async () => {
    const hand = watched();
    await hand.queue.start();
    await hand.pass(hour);
    expect(hand.queries).toEqual(Array.from({ length: 13 }, (_, index) => index * horizonMs));
    expect(hand.waitingCount).toBe(1);
    expect(hand.delays).toHaveLength(1 + hour / clockCheckMs);
  });

  it("leaves rows that ask for an engine at once to recovery", async () => {
    const store = await rowsDue([
      ["at once", 0],
      ["overdue", start - day],
      ["first of all", 1],
    ]);
    const { queue, pass, woken } = watched(store);
    await queue.start();
    await pass(hour);
    expect(woken).toEqual([
      ["first of all", 0],
      ["overdue", 0],
    ]);
  });

  // I-29
  it.each([1, pageSize - 1, pageSize, pageSize + 1, 2 * pageSize + 500])(
    "is read page by page: of %d rows none is lost, and none comes twice",
    async (count) => {
      const rows = Array.from(
        { length: count },
        // Many of one instant, so that pages end amid them.
        (_, index) => [`w${index}`, start + second + 100 * Math.floor(index / 300)] as const,
      );
      const { queue, pass, woken } = watched(await rowsDue(rows));
      await queue.start();
      expect(queue.size).toBe(count);
      await pass(2 * horizonMs);
      expect(woken.map(([id, at]) => `${id} ${at}`).toSorted()).toEqual(
        rows.map(([id, at]) => `${id} ${at - start}`).toSorted(),
      );
    },
  );

  it("is not read again: a row within it that was written later is known from its commit", async () => {
    const store = await rowsDue([["before", start + minute]]);
    const { queue, pass, woken } = watched(store);
    await queue.start();
    await writeRuns(store, [{ workflowId: "since", bodies: [started("main")], wakeAt: start + 2 * minute }]);
    expect(queue.add("since", start + 2 * minute, true)).toBe(true);
    await pass(hour);
    expect(woken).toEqual([
      ["before", minute],
      ["since", 2 * minute],
    ]);
  });

  // I-29
  it("is raised before it is read: what is asked for meanwhile does not fall between the two", async () => {
    let answer: (() => void) | undefined;
    const { queue, pass, now, woken, settle } = watched(openMemoryStore(), (listDue) => async (...args) => {
      const due = await listDue(...args);
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return due;
    });
    const starting = queue.start();
    await settle();
    // Committed after the page was read, so the page does not tell of it.
    expect(queue.add("meanwhile", now() + minute, true)).toBe(true);
    answer?.();
    await starting;
    await pass(minute);
    expect(woken).toEqual([["meanwhile", minute]]);
  });

  it("is read by one query at a time, however slow the store is", async () => {
    let [underWay, most] = [0, 0];
    const { queue, pass, now, woken } = watched(openMemoryStore(), (listDue, hand) => async (...args) => {
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise<void>((resolve) => hand.time.delay(20 * minute, resolve));
      underWay -= 1;
      return listDue(...args);
    });
    void queue.start();
    for (let count = 0; count < 60; count++) {
      await pass(minute);
      queue.add(`w${count}`, now() + second, false);
    }
    await pass(hour);
    expect(most).toBe(1);
    expect(woken).toHaveLength(60);
    // Those within the horizon do not wait for the answer.
    expect(woken.slice(0, 3).map(([, at]) => at)).toEqual([1, 2, 3].map((n) => n * minute + second));
  });
});

describe("a store that cannot list what is due", () => {
  const busy = new AionError("store_unavailable", "the store is busy");

  // I-29
  it("is asked again a second later, until it can", async () => {
    const store = await rowsDue([["w", start + 2 * second]]);
    let failures = 3;
    const { queue, pass, woken, queries, logged } = watched(store, (listDue) => async (...args) => {
      failures -= 1;
      if (failures >= 0) throw busy;
      return listDue(...args);
    });
    await queue.start();
    await pass(10 * second);
    expect(queries).toEqual([0, second, 2 * second, 3 * second]);
    expect(woken).toEqual([["w", 3 * second]]);
    expect(logged).toHaveLength(3);
    expect(logged[0]).toEqual({
      level: "warn",
      message: "the store could not list due runs; trying again",
      fields: { error: String(busy) },
    });
  });

  // I-29
  it("is asked again a second later also when the clock is set back meanwhile", async () => {
    const store = await rowsDue([["w", start - minute]]);
    let failures = 1;
    const { queue, pass, woken, time } = watched(store, (listDue) => async (...args) => {
      failures -= 1;
      if (failures >= 0) throw busy;
      return listDue(...args);
    });
    await queue.start();
    time.jump(-minute);
    await pass(2 * second);
    expect(woken).toEqual([["w", second - minute]]);
  });

  it("that is asked again is asked no more when the queue has stopped", async () => {
    const { queue, waitingCount } = watched(openMemoryStore(), () => () => Promise.reject(busy));
    await queue.start();
    queue.stop();
    expect(waitingCount).toBe(0);
  });

  it("holds up nobody whom the queue knows", async () => {
    const { queue, pass, now, woken } = watched(openMemoryStore(), () => () => Promise.reject(busy));
    await queue.start();
    queue.add("w", now() + 1_500, false);
    queue.add("on disk", now() + 500, true);
    await pass(hour);
    expect(woken).toEqual([
      ["on disk", 500],
      ["w", 1_500],
    ]);
  });

  // I-29
  it("amid the pages loses no run whose row is written then, before what was read already", async () => {
    const rows = Array.from({ length: pageSize + 5 }, (_, index) => [`w${index}`, start + minute] as const);
    const store = await rowsDue(rows);
    let pages = 0;
    const { queue, pass, woken } = watched(store, (listDue) => async (...args) => {
      pages += 1;
      if (pages === 2) throw busy;
      return listDue(...args);
    });
    await queue.start();
    await writeRuns(store, [
      { workflowId: "meanwhile", bodies: [started("main")], wakeAt: start + 10 * second },
    ]);
    queue.add("meanwhile", start + 10 * second, true);
    await pass(hour);
    expect(woken[0]).toEqual(["meanwhile", 10 * second]);
    expect(woken).toHaveLength(pageSize + 6);
    expect(woken.slice(1).every(([, at]) => at === minute)).toBe(true);
  });
});

describe("many runs", () => {
  const instantOf = (runKey: number): number => Math.ceil(runKey / 3);

  /** `count` runs, three of each millisecond, so that pages end amid them. */
  function manyDue(count: number): ListDue {
    return async (untilAt, after, limit) => {
      const seenMs = after === undefined ? 0 : Math.max(0, after.wakeAt - start);
      const seen = Math.max(3 * (seenMs - 1), Math.min(3 * seenMs, after?.runKey ?? 0));
      const end = Math.min(count, 3 * (untilAt - start), seen + limit);
      return Array.from({ length: Math.max(0, end - seen) }, (_, index): DueRun => {
        const runKey = seen + index + 1;
        return { runKey, workflowId: `w${runKey}` as WorkflowId, wakeAt: start + instantOf(runKey) };
      });
    };
  }

  it("within the horizon are read as those before them are done: memory is bounded", async () => {
    const count = 120_000;
    const { queue, pass, woken } = watched(openMemoryStore(), () => manyDue(count));
    await queue.start();
    expect(queue.size).toBe(50_000);
    // I-28, I-29: the next are read with the last of these, at whose instant there is one more.
    expect(instantOf(50_001)).toBe(instantOf(50_000));
    await pass(instantOf(50_000) - 1);
    expect(queue.size).toBe(2);
    await pass(1);
    expect(queue.size).toBe(49_999);
    expect(queue.add("beyond", start + instantOf(110_000), true)).toBe(false);
    expect(queue.add("before", start + instantOf(90_000), true)).toBe(true);
    await pass(count);
    const runs = woken.filter(([id]) => id !== "before");
    expect(new Set(runs.map(([id]) => id)).size).toBe(count);
    expect(runs).toHaveLength(count);
    expect(runs.every(([id, at]) => at === instantOf(Number(id.slice(1))))).toBe(true);
    expect(woken.find(([id]) => id === "before")).toEqual(["before", instantOf(90_000)]);
    expect(queue.size).toBe(0);
  });

  it("that are overdue are read as those before them are brought back: memory is bounded", async () => {
    const hand = virtualPorts();
    const count = 120_000;
    let [begun, read] = [0, 0];
    let finish: (() => void)[] = [];
    const listDue = manyDue(count);
    const store = overStore(openMemoryStore(), {
      listDue: async (...args) => {
        const due = await listDue(...args);
        read += due.length;
        return due;
      },
    });
    const queue = new WakeQueue(hand.ports, store, () => {
      begun += 1;
      return new Promise((resolve) => finish.push(resolve));
    });
    hand.time.jump(day);
    await queue.start();
    await hand.pass(minute);
    expect(begun).toBe(256);
    expect(read).toBe(50_000);
    // I-29
    for (let turns = 0; finish.length > 0 && turns < count; turns++) {
      const done = finish;
      finish = [];
      for (const each of done) each();
      await hand.settle();
      if (finish.length === 0) await hand.pass(0);
      expect(read - begun).toBeLessThanOrEqual(51_000);
    }
    expect(begun).toBe(count);
  });

  it("at one instant are brought back 256 at a time, in order, each when another is back", async () => {
    const hand = virtualPorts();
    const begun: string[] = [];
    const finish: (() => void)[] = [];
    const queue = new WakeQueue(hand.ports, openMemoryStore(), (workflowId) => {
      begun.push(workflowId);
      return new Promise((resolve) => finish.push(resolve));
    });
    await queue.start();
    for (let index = 0; index < 300; index++) queue.add(`w${index}`, hand.now() + 1_000 + index, false);
    hand.time.jump(minute);
    await hand.pass(clockCheckMs);
    expect(begun).toHaveLength(256);
    finish[7]?.();
    await hand.settle();
    expect(begun).toHaveLength(257);
    for (let index = 0; index < finish.length; index++) {
      if (index !== 7) finish[index]?.();
      await hand.settle();
    }
    expect(begun).toEqual(Array.from({ length: 300 }, (_, index) => `w${index}`));
    // There is room again.
    queue.add("later", hand.now() + 1, false);
    await hand.pass(1);
    expect(begun.at(-1)).toBe("later");
  });

  it("that stand in line are left there by a stop", async () => {
    const hand = virtualPorts();
    let begun = 0;
    const finish: (() => void)[] = [];
    const queue = new WakeQueue(hand.ports, openMemoryStore(), () => {
      begun += 1;
      return new Promise((resolve) => finish.push(resolve));
    });
    await queue.start();
    for (let index = 0; index < 300; index++) queue.add(`w${index}`, hand.now(), false);
    await hand.pass(0);
    expect(begun).toBe(256);
    queue.stop();
    for (const done of finish) done();
    await hand.settle();
    expect(begun).toBe(256);
  });
});

describe("a queue that was stopped", () => {
  // I-19
  it("forgets everything and takes nothing more", async () => {
    const hand = watched(await rowsDue([["row", start + minute]]));
    const { queue, pass, now, woken, queries } = hand;
    await queue.start();
    queue.add("w", now() + second, false);
    queue.stop();
    expect(queue.size).toBe(0);
    expect(hand.waitingCount).toBe(0);
    expect(queue.add("more", now() + second, false)).toBe(false);
    await pass(hour);
    expect(woken).toEqual([]);
    expect(queries).toEqual([0]);
    expect(hand.waitingCount).toBe(0);
  });

  it("while it read the store does not begin again when the answer comes", async () => {
    let answer: (() => void) | undefined;
    const hand = watched(openMemoryStore(), (listDue) => async (...args) => {
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return listDue(...args);
    });
    const starting = hand.queue.start();
    await hand.settle();
    hand.queue.stop();
    answer?.();
    await starting;
    expect(hand.waitingCount).toBe(0);
    expect(hand.queries).toEqual([0]);
  });

  it("before it was started reads nothing", async () => {
    const hand = watched();
    hand.queue.stop();
    await hand.queue.start();
    await hand.pass(hour);
    expect(hand.queries).toEqual([]);
    expect(hand.waitingCount).toBe(0);
  });
});
