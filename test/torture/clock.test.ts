import { expect, it } from "vitest";
import { jumpClock, liveInOtherTimes } from "./clock.ts";
import { seedOfCommit } from "./scenario.ts";
import { clean, skipAloud, verdictOf } from "./verdict.ts";

const seed = seedOfCommit();
const timeout = 600_000;

// I-30, I-28
it(
  "when the wall clock jumps no timer fires before its instant, none is lost, and there is no storm",
  { timeout },
  async ({ skip }) => {
    const result = await jumpClock({ seed, cycles: 7 });
    skipAloud(skip, result.skipped);
    expect(verdictOf(result)).toEqual(clean);
  },
);

// I-30
it("a file lives through 1970, 2038 and 2100", { timeout }, async ({ skip }) => {
  const result = await liveInOtherTimes();
  skipAloud(skip, result.skipped);
  expect(verdictOf(result)).toEqual(clean);
});
