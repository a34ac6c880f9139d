import { expect, it } from "vitest";
import { openAgain } from "./opening.ts";
import { seedOfCommit } from "./scenario.ts";
import { clean, skipAloud, verdictOf } from "./verdict.ts";

const seed = seedOfCommit();

// I-1, I-3, I-18
it(
  `an engine that is killed while it opens leaves a file that the next one opens (seed ${seed})`,
  { timeout: 600_000 },
  async ({ skip }) => {
    const result = await openAgain({ seed, cycles: 20 });
    skipAloud(skip, result.skipped);
    expect(verdictOf(result)).toEqual(clean);
  },
);
