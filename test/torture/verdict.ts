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
