import { expect, it } from "vitest";
import { flipBits } from "./damage.ts";
import { seedOfCommit } from "./scenario.ts";
import { clean, skipAloud, verdictOf } from "./verdict.ts";

const seed = seedOfCommit();

// I-50
it(
  `a flipped bit is found before it is replayed, and hurts only what it hit (seed ${seed})`,
  { timeout: 600_000 },
  async ({ skip }) => {
    const result = await flipBits({ seed, cycles: 80 });
    skipAloud(skip, result.skipped);
    expect(verdictOf(result)).toEqual(clean);
  },
);
