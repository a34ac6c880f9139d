import { expect, it } from "vitest";
import { killAtEverySync, killAtRandom, killLiar } from "./kill.ts";
import { seedOfCommit } from "./scenario.ts";
import { clean, skipAloud, verdictOf } from "./verdict.ts";

const seed = seedOfCommit();
const timeout = 600_000;

// I-1, I-3, I-4, I-8
it(
  "kill -9 at every fsync of a script loses nothing that was acknowledged",
  { timeout },
  async ({ skip }) => {
    const result = await killAtEverySync({ seed });
    skipAloud(skip, result.skipped);
    expect(verdictOf(result)).toEqual(clean);
  },
);

// I-1, I-3, I-4, I-8, I-9, I-10, I-22, I-34, I-36
it(
  `kill -9 three hundred times under load loses nothing that was acknowledged (seed ${seed})`,
  { timeout },
  async () => {
    const result = await killAtRandom({ seed, cycles: 300 });
    expect(verdictOf(result)).toEqual(clean);
    expect(result.hits).toBeGreaterThanOrEqual(300);
  },
);

it("an acknowledgement that is given before its commit is found out", { timeout }, async ({ skip }) => {
  const found = await killLiar();
  skipAloud(skip, found === undefined ? "it needs the preloaded library" : undefined);
  expect(found).toBeGreaterThan(0);
});
