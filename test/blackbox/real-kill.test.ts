import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { playReal } from "./real-play.ts";
import { steadyCases } from "./steady.ts";

const seed = process.env["AION_TEST_SEED"] ?? "1";
/** How many times as many programs as usual. */
const scale = Number(process.env["AION_TEST_SCALE"] ?? 1);

// I-1, I-3, I-8, I-10, I-22, I-24, I-34, I-35
it("random programs come to what the model says when their process dies of kill -9, again and again", async () => {
  const directory = mkdtempSync(path.join(tmpdir(), "aion-blackbox-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const killCount = 8 * scale;
  const end = await playReal({ cases: steadyCases(seed, 60 * scale), directory, killCount, seed });
  expect(end.violations).toEqual([]);
  expect(end.killCount).toBe(killCount);
  // Kills hit work that was under way.
  expect(end.repeatedCount).toBeGreaterThan(0);
});

// I-1, I-3, I-7, I-8, I-10, I-11, I-12, I-13, I-22, I-24, I-34, I-35
it("random programs come to what the model says on a server and workers that die, over connections that break", async () => {
  const directory = mkdtempSync(path.join(tmpdir(), "aion-blackbox-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const killCount = 5 * scale;
  const cases = steadyCases(seed, 25 * scale);
  const end = await playReal({ cases, directory, killCount, seed, isServed: true });
  expect(end.violations).toEqual([]);
  expect(end.killCount).toBeGreaterThanOrEqual(killCount / 2);
  expect(end.cutCount).toBeGreaterThan(0);
});
