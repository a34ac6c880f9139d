import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { seedOfCommit } from "../torture/scenario.ts";
import { killsMin, playOperations } from "./play.ts";

function newDirectory(): string {
  const directory = mkdtempSync(path.join(tmpdir(), "aion-operations-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const seed = String(seedOfCommit());

// I-1, I-3, I-8, I-9, I-10, I-20, I-26, I-32, I-33, I-58, I-59, I-60, I-61, I-62, I-63
it(
  `what operators and callers do to runs holds while their process dies of kill -9 (seed ${seed})`,
  { timeout: 400_000 },
  async () => {
    const end = await playOperations({ directory: newDirectory(), seed, isServed: false, lastsMs: 5_000 });
    expect(end.violations).toEqual([]);
    expect(end.killCount).toBeGreaterThanOrEqual(killsMin);
    expect(end.auditedCount).toBeGreaterThan(200);
  },
);

// I-1, I-3, I-7, I-8, I-9, I-10, I-20, I-26, I-32, I-33, I-58, I-59, I-60, I-61, I-62, I-63
it(
  `it holds while a server, its code host and its workers die, over connections that break (seed ${seed})`,
  { timeout: 400_000 },
  async () => {
    const end = await playOperations({ directory: newDirectory(), seed, isServed: true, lastsMs: 7_000 });
    expect(end.violations).toEqual([]);
    expect(end.killCount).toBeGreaterThanOrEqual(killsMin);
    expect(end.cutCount).toBeGreaterThan(0);
    expect(end.auditedCount).toBeGreaterThan(200);
  },
);
