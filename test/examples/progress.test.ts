import { stripVTControlCharacters } from "node:util";
import { expect, it } from "vitest";
import { makeKillPlan } from "../../examples/order-fulfilment/kill-plan.ts";
import { renderBlock, renderLine, type Snapshot } from "../../examples/order-fulfilment/progress.ts";
import { RateMeter } from "../../examples/order-fulfilment/rate-meter.ts";

const snapshot: Snapshot = {
  orderCount: 1_000,
  ended: { fulfilled: 540, declined: 41, "not approved in time": 9 },
  inFlight: { charging: 21, "waiting for approval": 9, shipping: 20 },
  retryCount: 131,
  ratePerSecond: 34.2,
};

it("shows states, rate, work in flight, retries, kills and time in a block", () => {
  const text = renderBlock(snapshot, { columns: 120, hasColor: false, elapsedMs: 78_000, killCount: 3 }).join(
    "\n",
  );
  for (const part of [
    "590/1000",
    "59 %",
    "34/s",
    "01:18",
    "in flight     50   charging 21  waiting for approval 9  shipping 20",
    "done         590   fulfilled 540  declined 41  not approved in time 9",
    "retries      131   kills 3",
  ]) {
    expect(text).toContain(part);
  }
});

it("draws no line that would wrap, at any width, with colours or without", () => {
  for (let columns = 1; columns <= 140; columns += 1) {
    for (const hasColor of [true, false]) {
      for (const line of renderBlock(snapshot, { columns, hasColor, elapsedMs: 0 })) {
        expect(stripVTControlCharacters(line).length).toBeLessThan(Math.max(2, columns));
      }
    }
  }
});

it("says the same in one plain line for a log", () => {
  expect(renderLine(snapshot, { elapsedMs: 78_000, killCount: undefined })).toBe(
    "[01:18] done 590/1000 (fulfilled 540, declined 41, not approved in time 9); in flight 50 (charging 21, waiting for approval 9, shipping 20); 34/s; retries 131",
  );
});

it("measures the rate of the last five seconds", () => {
  const meter = new RateMeter(0);
  for (let timeMs = 0; timeMs < 10_000; timeMs += 100) meter.count(timeMs);
  expect(meter.perSecond(10_000)).toBeCloseTo(10, 0);
  expect(meter.perSecond(14_000)).toBeCloseTo(2, 0);
  expect(meter.perSecond(20_000)).toBe(0);
});

it("plans as many kills as asked for, in both places, spread over the run, the same for the same seed", () => {
  const plan = makeKillPlan({ killCount: 20, orderCount: 1_000, seed: 1 });
  expect(plan).toHaveLength(20);
  expect(makeKillPlan({ killCount: 20, orderCount: 1_000, seed: 1 })).toEqual(plan);
  const moments = plan.flatMap((kill) => (kill.kind === "progress" ? [kill.endedCount] : []));
  expect(moments).toEqual(moments.toSorted((left, right) => left - right));
  expect(moments.length).toBeGreaterThan(8);
  expect(moments.length).toBeLessThan(20);
  expect(moments[0]).toBeLessThan(200);
  expect(moments.at(-1)).toBeGreaterThan(600);
  expect(moments.at(-1)).toBeLessThan(950);
});
