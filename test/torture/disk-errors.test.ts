import { expect, it } from "vitest";
import { failWithEio, failWithEnospc, refuseSecondConnection } from "./disk-errors.ts";
import { seedOfCommit } from "./scenario.ts";
import { clean, skipAloud, verdictOf } from "./verdict.ts";

const seed = seedOfCommit();
const timeout = 600_000;

// I-48, I-3, I-8
it(
  `an I/O error at the Nth call stops the engine or is borne, and loses nothing (seed ${seed})`,
  { timeout },
  async ({ skip }) => {
    const result = await failWithEio({ seed, cycles: 40 });
    skipAloud(skip, result.skipped);
    expect(verdictOf(result)).toEqual(clean);
  },
);

// I-47, I-3, I-8
it(
  `a disk that is full at the Nth call loses nothing, and all goes on when there is room (seed ${seed})`,
  { timeout },
  async ({ skip }) => {
    const result = await failWithEnospc({ seed, cycles: 40 });
    skipAloud(skip, result.skipped);
    expect(verdictOf(result)).toEqual(clean);
  },
);

it(
  "a writer thread that could open the file only for reading is not written with",
  { timeout },
  async ({ skip }) => {
    const ending = await refuseSecondConnection();
    skipAloud(skip, ending === undefined ? "it needs the preloaded library" : undefined);
    expect(ending).toBe("done");
  },
);
