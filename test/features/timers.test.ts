import { TestEngine } from "aion/testing";
import { activity, expose, now, receive, scope, signal, sleep, waitUntil, workflow } from "aion/workflow";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { errorOf, eventsOfType, typesOf } from "./run-history.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

const nap = workflow("nap", async (ms: number) => {
  const startedAt = now();
  await sleep(ms);
  return now() - startedAt;
});

describe("a timer", () => {
  it("fires at its instant and not before, whatever its length", async () => {
    // I-28: never early, always fires
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 40 * dayMs }), { minLength: 1, maxLength: 8 }),
        async (lengths) => {
          await using t = await TestEngine.open({ workflows: [nap] });
          const startedAt = t.now();
          const runs = await Promise.all(lengths.map((ms) => t.client.start(nap, ms)));
          const ordered = runs
            .map((run, index) => ({ run, ms: lengths[index] ?? 0 }))
            .toSorted((a, b) => a.ms - b.ms);
          for (const { run, ms } of ordered) {
            if (startedAt + ms - 1 > t.now()) {
              await t.skip(startedAt + ms - 1 - t.now());
              expect((await run.describe()).status).toBe("running");
            }
            if (startedAt + ms > t.now()) await t.skip(startedAt + ms - t.now());
            expect(await t.result(run)).toBe(ms);
          }
        },
      ),
      { numRuns: 15 },
    );
  });

  it("fires at its own instant beside others of the same run that are due a little earlier or later", async () => {
    // I-28
    const many = workflow("many", async (lengths: readonly number[]) => {
      const startedAt = now();
      return Promise.all(lengths.map((ms) => sleep(ms).then(() => now() - startedAt)));
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 2, maxLength: 12 }),
        fc.boolean(),
        async (lengths, mayCrash) => {
          await using t = await TestEngine.open({ workflows: [many] });
          const run = await t.client.start(many, lengths);
          await t.skip(2_500);
          if (mayCrash) await t.crash();
          expect(await t.result(run)).toEqual(lengths);
        },
      ),
      { numRuns: 40 },
    );
  });

  it.each([25 * dayMs, 2 ** 31 - 1, 2 ** 31, 100 * dayMs])("of %d ms is no problem", async (ms) => {
    // I-31: delays over 24.8 days
    await using t = await TestEngine.open({ workflows: [nap] });
    const startedAt = t.now();
    const run = await t.client.start(nap, ms);
    expect(await t.result(run)).toBe(ms);
    expect(t.now() - startedAt).toBe(ms);
  });

  it("survives crashes with the instant it had", async () => {
    // I-28
    await using t = await TestEngine.open({ workflows: [nap] });
    const startedAt = t.now();
    const run = await t.client.start(nap, 10 * hourMs);
    for (let hours = 0; hours < 9; hours++) {
      await t.skip("1h");
      await t.crash();
    }
    expect(await t.result(run)).toBe(10 * hourMs);
    expect(t.now() - startedAt).toBe(10 * hourMs);
  });

  it("that came due while no engine ran fires when one is there again", async () => {
    // I-28
    await using t = await TestEngine.open({ workflows: [nap] });
    const run = await t.client.start(nap, hourMs);
    await t.settle();
    t.jumpClock(3 * dayMs);
    await t.crash();
    expect(await run.result()).toBe(3 * dayMs);
  });

  it("fires after one that is due earlier, also when both are overdue", async () => {
    const order: string[] = [];
    const both = workflow("both", async () => {
      const fired: string[] = [];
      await Promise.all([
        sleep("2h").then(() => fired.push("two")),
        sleep("1h").then(() => fired.push("one")),
        sleep("2h").then(() => fired.push("two again")),
      ]);
      return fired;
    });
    await using t = await TestEngine.open({ workflows: [both] });
    const run = await t.client.start(both);
    await t.settle();
    t.jumpClock(dayMs);
    await t.crash();
    order.push(...(await run.result()));
    expect(order).toEqual(["one", "two", "two again"]);
  });

  it("fires beside an activity that is under way for days", async () => {
    // I-28
    const call = activity("call", () => new Promise<never>(() => undefined));
    const racer = workflow("racer", () =>
      Promise.race([call(undefined), sleep("2 days").then(() => "slept")]),
    );
    await using t = await TestEngine.open({ workflows: [racer], activities: [call] });
    const startedAt = t.now();
    const run = await t.client.start(racer);
    await t.skip("1 day");
    await t.crash();
    expect(await t.result(run)).toBe("slept");
    expect(t.now() - startedAt).toBe(2 * dayMs);
  });

  it("fires beside an activity that nobody can run, however often others come and go", async () => {
    // I-28, I-29
    const lost = activity("unheard-of", async () => "never");
    const waiter = workflow("waiter", async () => {
      lost(undefined).catch(() => undefined);
      for (let round = 0; round < 5; round++) {
        await scope(
          async () => {
            await sleep("1h");
          },
          { timeout: "3m" },
        );
        await sleep("7m");
      }
      return "through";
    });
    await using t = await TestEngine.open({ workflows: [waiter] });
    const startedAt = t.now();
    expect(await t.result(await t.client.start(waiter))).toBe("through");
    expect(t.now() - startedAt).toBe(50 * 60_000);
  });

  it("fires after an earlier one was called off, beside an activity that nobody can run", async () => {
    // I-28, I-29
    const ready = signal("ready");
    const lost = activity("unheard-of", async () => "never");
    const waiter = workflow("waiter", async () => {
      lost(undefined).catch(() => undefined);
      await receive(ready, { timeout: "1m" });
      await sleep("2m");
      return "through";
    });
    await using t = await TestEngine.open({ workflows: [waiter] });
    const startedAt = t.now();
    const run = await t.client.start(waiter);
    await t.skip("30s");
    await run.signal(ready);
    expect(await t.result(run)).toBe("through");
    expect(t.now() - startedAt).toBe(150_000);
  });

  it("does not fire once it is called off", async () => {
    const ready = signal("ready");
    const waiter = workflow("waiter", async () => {
      const answer = await receive(ready, { timeout: "1h" });
      await sleep("2h");
      return answer.ok;
    });
    await using t = await TestEngine.open({ workflows: [waiter] });
    const run = await t.client.start(waiter);
    await t.skip("30m");
    await run.signal(ready);
    expect(await t.result(run)).toBe(true);
    expect((await eventsOfType(run, "TimerFired")).map((event) => event.ordinal)).toEqual([1]);
    expect((await eventsOfType(run, "TimerCancelled")).map((event) => event.ordinal)).toEqual([0]);
  });

  it("of no length at all fires at once", async () => {
    await using t = await TestEngine.open({ workflows: [nap] });
    const run = await t.client.start(nap, 0);
    await t.settle();
    expect(await t.result(run)).toBe(0);
  });

  it("is one of two thousand that come due together, and none is lost", async () => {
    // I-28
    await using t = await TestEngine.open({ workflows: [nap], residentMax: 100 });
    const runs = await Promise.all(Array.from({ length: 2_000 }, () => t.client.start(nap, hourMs)));
    await t.settle();
    expect(t.residents.length).toBeLessThanOrEqual(100);
    await t.skip("1h");
    for (const run of runs) expect((await run.describe()).status).toBe("completed");
    await t.close({ checkReplay: false });
  });
});

describe("a jump of the wall clock", () => {
  it.each([
    ["an hour", hourMs],
    ["thirty days", 30 * dayMs],
    ["to 2038", Date.UTC(2038, 0, 19, 3, 14, 8) - Date.UTC(2030, 0, 1)],
  ])("of %s forwards loses no timer and fires none that is not due", async (_what, jumpMs) => {
    // I-30
    await using t = await TestEngine.open({ workflows: [nap] });
    const due = await t.client.start(nap, jumpMs - 1_000);
    const later = await t.client.start(nap, jumpMs + 10 * dayMs);
    await t.skip("1m");
    t.jumpClock(jumpMs - 60_000);
    await t.skip("30s");
    expect((await due.describe()).status).toBe("completed");
    expect((await later.describe()).status).toBe("running");
    expect(await t.result(later)).toBe(jumpMs + 10 * dayMs);
  });

  it.each([
    ["an hour", -hourMs],
    ["thirty days", -30 * dayMs],
    ["to 1970", -Date.UTC(2030, 0, 1) + dayMs],
  ])("of %s backwards fires nothing early, and everything in the end", async (_what, jumpMs) => {
    // I-30, I-28: by the wall clock, to which the instants were written
    await using t = await TestEngine.open({ workflows: [nap] });
    const run = await t.client.start(nap, 2 * hourMs);
    await t.skip("1h");
    t.jumpClock(jumpMs);
    const other = await t.client.start(nap, hourMs);
    await t.skip("59m");
    expect((await run.describe()).status).toBe("running");
    expect((await other.describe()).status).toBe("running");
    await t.skip("1m");
    expect((await other.describe()).status).toBe("completed");
    t.jumpClock(-jumpMs);
    await t.skip("1m");
    expect((await run.describe()).status).toBe("completed");
  });

  it("does not make now() run backwards within a run by more than the jump, and replay says the same", async () => {
    // I-30
    const clockwork = workflow("clockwork", async () => {
      const instants = [now()];
      for (let round = 0; round < 3; round++) {
        await sleep("1h");
        instants.push(now());
      }
      return instants;
    });
    await using t = await TestEngine.open({ workflows: [clockwork] });
    const startedAt = t.now();
    const run = await t.client.start(clockwork);
    await t.skip("90m");
    t.jumpClock(-30 * 60_000);
    await t.crash();
    const instants = await t.result(run);
    expect(instants).toEqual([0, 1, 2, 3].map((hours) => startedAt + hours * hourMs));
  });

  it("causes no storm: what is due fires once", async () => {
    // I-30
    const ticker = workflow("ticker", async () => {
      for (let tick = 0; tick < 10; tick++) await sleep("1h");
    });
    await using t = await TestEngine.open({ workflows: [ticker] });
    const run = await t.client.start(ticker);
    for (let jump = 0; jump < 5; jump++) {
      t.jumpClock(dayMs);
      await t.skip("1m");
      t.jumpClock(-dayMs);
      await t.skip("1m");
    }
    const fired = await eventsOfType(run, "TimerFired");
    // Each jump forwards lets one timer fire; the next one is then due a day and an hour ahead.
    expect(fired.length).toBeLessThanOrEqual(10);
    await t.result(run);
    expect(await eventsOfType(run, "TimerFired")).toHaveLength(10);
  });
});

describe("waitUntil", () => {
  it("comes true by a signal, and says so", async () => {
    const item = signal<string>("item");
    const collector = workflow("collector", async () => {
      const items: string[] = [];
      expose(item, (name) => {
        items.push(name);
      });
      const isFull = await waitUntil(() => items.length >= 3, "1h");
      return { isFull, items };
    });
    await using t = await TestEngine.open({ workflows: [collector] });
    const run = await t.client.start(collector);
    for (const name of ["a", "b", "c"]) await run.signal(item, name);
    expect(await t.result(run)).toEqual({ isFull: true, items: ["a", "b", "c"] });
  });

  it("times out as a value, and calls its timer off when it does not", async () => {
    const waiter = workflow("waiter", async () => {
      let flag = false;
      const first = await waitUntil(() => flag, "1h");
      sleep("30m").then(
        () => {
          flag = true;
        },
        () => undefined,
      );
      const second = await waitUntil(() => flag, "1h");
      return [first, second];
    });
    await using t = await TestEngine.open({ workflows: [waiter] });
    const startedAt = t.now();
    const run = await t.client.start(waiter);
    expect(await t.result(run)).toEqual([false, true]);
    expect(t.now() - startedAt).toBe(1.5 * hourMs);
    expect(await typesOf(run)).toContain("TimerCancelled");
  });

  it("waits for ever without a time-out, across crashes", async () => {
    const go = signal("go");
    const waiter = workflow("waiter", async () => {
      let hasCome = false;
      void receive(go).then(() => {
        hasCome = true;
      });
      return waitUntil(() => hasCome);
    });
    await using t = await TestEngine.open({ workflows: [waiter] });
    const run = await t.client.start(waiter);
    await t.skip("100 days");
    await t.crash();
    await run.signal(go);
    expect(await t.result(run)).toBe(true);
  });

  it("wakes those who wait in the order in which they began, and each sees what the one before did", async () => {
    const waiter = workflow("waiter", async () => {
      let tokens = 0;
      const order: number[] = [];
      const take = async (who: number) => {
        await waitUntil(() => tokens > 0);
        tokens -= 1;
        order.push(who);
      };
      const all = Promise.all([take(1), take(2), take(3)]);
      await sleep("1s");
      tokens = 1;
      await sleep("1s");
      order.push(0);
      tokens = 2;
      await all;
      return order;
    });
    await using t = await TestEngine.open({ workflows: [waiter] });
    expect(await t.result(await t.client.start(waiter))).toEqual([1, 0, 2, 3]);
  });

  it("fails the wait, not the engine, when its predicate throws", async () => {
    const waiter = workflow("waiter", async () => {
      let count = 0;
      const waited = waitUntil(() => {
        if (++count > 1) throw new Error("bad predicate");
        return false;
      });
      await Promise.all([waited, sleep("1s")]);
    });
    await using t = await TestEngine.open({ workflows: [waiter] });
    expect(await errorOf(t.result(await t.client.start(waiter)))).toMatchObject({ message: "bad predicate" });
  });
});
