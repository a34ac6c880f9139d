import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SeededRandom } from "./random.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);

/**
 * What runs have drawn from their ids since the first release. Part of the replay contract: code that branched on one of
 * these must branch the same way for ever, so a line may be added here and none may be changed.
 */
const drawn: readonly (readonly [
  seed: string,
  numbers: readonly number[],
  uuids: readonly string[],
  after: number,
])[] = [
  [
    "",
    [0.7279744312051596, 0.47566529344108377, 0.33714313421632913],
    ["ab8fd883-efde-462b-be31-441acc5fbf1d", "90f79bbb-b5e9-4a9d-889e-793eafb2eb6d"],
    0.04860037185287336,
  ],
  [
    "a",
    [0.6252908682724572, 0.30157107775254055, 0.25957012109933486],
    ["fb68773d-cd91-4b2e-acb2-84acc8091a50", "50a11d44-b76b-4e98-b8a9-b9151d33f55d"],
    0.5919230683577231,
  ],
  [
    "order-42",
    [0.8176655873360454, 0.2952442644195331, 0.8076930815645189],
    ["b48e3b96-37de-4246-bb29-7d54c5f57ca9", "0bd88d58-4e74-45c2-ade2-f04ee36c6878"],
    0.07032671944689972,
  ],
  [
    "7d0c8a52-7d0e-4c4e-9a5e-2f1c8a9b3d10",
    [0.2541253966543845, 0.690796908734767, 0.610063911151289],
    ["51910ad7-4393-43fc-adb5-19d4b840510a", "e9d280bd-3f9e-46ff-8349-7dc7623c7eb6"],
    0.2863025316590826,
  ],
  [
    "日本",
    [0.038438677297944035, 0.05940009477875474, 0.9799938443601429],
    ["2ed17adf-9927-42e7-b6a4-306914bc3370", "e67ff3ba-98e5-43da-b1c3-4063239ebe06"],
    0.2555887503178845,
  ],
];

describe("the random numbers of a run", () => {
  // I-44
  it.each(drawn)("of the seed %j are the ones that were always drawn", (of, numbers, uuids, after) => {
    const random = new SeededRandom(of);
    expect(numbers.map(() => random.number())).toEqual(numbers);
    expect(uuids.map(() => random.uuid())).toEqual(uuids);
    expect(random.number()).toBe(after);
  });

  it("lie in [0, 1) and are spread over it", () => {
    const random = new SeededRandom("spread");
    const buckets = Array.from({ length: 10 }, () => 0);
    for (let index = 0; index < 20_000; index++) {
      const draw = random.number();
      expect(draw >= 0 && draw < 1).toBe(true);
      const bucket = Math.floor(draw * 10);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    // Seven standard deviations around 2,000.
    for (const count of buckets) expect(Math.abs(count - 2_000)).toBeLessThan(300);
  });

  it("make UUIDs in the form of version 4, each another", () => {
    fc.assert(
      fc.property(fc.string(), (of) => {
        const random = new SeededRandom(of);
        const uuids = Array.from({ length: 50 }, () => random.uuid());
        for (const uuid of uuids) {
          expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        }
        expect(new Set(uuids).size).toBe(50);
      }),
      { seed, numRuns: 50 },
    );
  });

  it("differ for seeds that are alike", () => {
    const first = Array.from({ length: 2_000 }, (_each, index) => new SeededRandom(`run-${index}`).uuid());
    expect(new Set(first).size).toBe(2_000);
  });
});
