import { expect, it } from "vitest";
import { fillDisk } from "./full-disk.ts";
import { contendForFile, freezeOwner } from "./owners.ts";
import { seedOfCommit } from "./scenario.ts";
import { clean, skipAloud, verdictOf } from "./verdict.ts";

const seed = seedOfCommit();
const timeout = 600_000;

// I-16, I-8, I-21
it(
  "an owner that is frozen beyond its lease is replaced, and adds nothing when it wakes",
  { timeout },
  async () => {
    expect(verdictOf(await freezeOwner({ seed, cycles: 4 }))).toEqual(clean);
  },
);

// I-18, I-51
it(
  "of three processes that open a file at one time one does, and the others are told",
  { timeout },
  async () => {
    expect(verdictOf(await contendForFile({ seed, cycles: 6 }))).toEqual(clean);
  },
);

// I-47
it(
  "a file system that fills up under load loses nothing, answers, and goes on",
  { timeout },
  async ({ skip }) => {
    const result = await fillDisk({ seed, cycles: 6 });
    skipAloud(skip, result.skipped);
    expect(verdictOf(result)).toEqual(clean);
  },
);
