import process from "node:process";
import type { TestContext } from "vitest";
import type { ScenarioResult } from "./scenario.ts";

/** What every scenario has to show: its fault hit, things were said and held against the files, and nothing was wrong. */
export const clean = { violations: [], hasHit: true, hasAudited: true } as const;

export function verdictOf({ violations, hits, audited, notes = [] }: ScenarioResult): {
  readonly violations: readonly string[];
  readonly hasHit: boolean;
  readonly hasAudited: boolean;
} {
  const found = violations.length === 0 ? [] : [...violations.slice(0, 20), ...notes];
  return { violations: found, hasHit: hits > 0, hasAudited: audited > 0 };
}

/** Of a test that is left out the reporter says nothing but that it was; easily taken for one that passed. */
export function skipAloud(skip: TestContext["skip"], reason: string | undefined): void {
  if (reason === undefined) return;
  process.stderr.write(`SKIPPED: ${reason}\n`);
  skip(reason);
}
