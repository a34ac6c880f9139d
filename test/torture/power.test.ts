import { expect, it } from "vitest";
import { cutPower, cutPowerOfLyingDisk } from "./power.ts";
import { seedOfCommit } from "./scenario.ts";
import { clean, skipAloud, verdictOf } from "./verdict.ts";

const seed = seedOfCommit();
const timeout = 600_000;

// I-2, I-3, I-4, I-7, I-49
it(
  `a power cut loses nothing that was acknowledged, whatever becomes of what was not synced (seed ${seed})`,
  { timeout },
  async ({ skip }) => {
    const result = await cutPower({ seed });
    skipAloud(skip, result.skipped);
    expect(verdictOf(result)).toEqual(clean);
  },
);

it("a disk whose fsync does nothing is found out", { timeout }, async ({ skip }) => {
  const found = await cutPowerOfLyingDisk({ seed });
  skipAloud(skip, found === undefined ? "it needs the preloaded library" : undefined);
  expect(found).toBeGreaterThan(10);
});
