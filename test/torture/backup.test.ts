import { expect, it } from "vitest";
import { backUpUnderLoad } from "./backup.ts";
import { runOutOfMemory } from "./memory.ts";
import { seedOfCommit } from "./scenario.ts";
import { clean, verdictOf } from "./verdict.ts";

const seed = seedOfCommit();
const timeout = 600_000;

// I-51
it(
  "a backup taken under load holds all that was acknowledged before it, and goes on",
  { timeout },
  async () => {
    expect(verdictOf(await backUpUnderLoad({ seed, cycles: 12 }))).toEqual(clean);
  },
);

// I-1, I-3, I-8
it("a process whose memory runs out loses nothing that was acknowledged", { timeout }, async () => {
  expect(verdictOf(await runOutOfMemory({ seed }))).toEqual(clean);
});
