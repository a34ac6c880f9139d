/** One realm holds many runs: nothing that one of them does to the realm reaches another. */
import { describe, expect, it } from "vitest";
import { leakAttempts, moduleOf } from "../../../test/guest/leak-attempts.ts";
import type { LeakAttempt } from "../../../test/guest/leak-attempts.ts";
import { createRun, TestRealm } from "../../../test/guest/realm.ts";

const untouched = new TestRealm();
const touched = new TestRealm();

/** What the second instance finds. */
function attempt(
  realm: TestRealm,
  { isLeft, ...given }: LeakAttempt & { readonly isLeft: boolean },
): unknown {
  return realm.instantiateTwice(moduleOf(given), (first, second) => {
    realm.run = createRun();
    if (isLeft) first.leave();
    realm.run = createRun();
    return second.find();
  });
}

describe("a run", () => {
  it("has tried enough", () => {
    expect(leakAttempts.length).toBeGreaterThan(100);
    expect(new Set(leakAttempts.map(({ what }) => what)).size).toBe(leakAttempts.length);
  });

  // All in one realm, so that what one leaves is there for all that come after.
  it.each(leakAttempts)("leaves for another: not $what", (given) => {
    const expected = attempt(untouched, { ...given, isLeft: false });
    expect(attempt(touched, { ...given, isLeft: true })).toEqual(expected);
    expect(attempt(touched, { ...given, isLeft: false })).toEqual(expected);
  });
});

describe("without the freeze, a run", () => {
  it.each(leakAttempts.filter(({ isHarmless }) => isHarmless !== true))(
    "leaves for another: $what",
    (given) => {
      const expected = attempt(untouched, { ...given, isLeft: false });
      expect(attempt(new TestRealm({ isFrozen: false }), { ...given, isLeft: true })).not.toEqual(expected);
    },
  );
});
