import assert from "node:assert/strict";
import type * as FastCheck from "fast-check";
import { messageOf } from "../../core/payload.ts";
import { minimize } from "./minimize.ts";

/** How the properties of the suite are tried. A failure prints the seed and the path that repeat it. */
export interface PropertyOptions {
  readonly seed?: number;
  readonly path?: string;
  /** How many cases each property is tried with. Default: 20, and 40 of calls at one time. */
  readonly runCount?: number;
  /** How long a counterexample may be made smaller. Default: 10,000. */
  readonly minimizeMs?: number;
}

export const runCountDefault = 20;

/** Both end before a test runner's patience does. */
const tryMillisMax = 15_000;
const minimizeMsDefault = 10_000;

/** A law that holds for every case. */
export interface Property<Case> {
  readonly cases: FastCheck.Arbitrary<Case>;
  /** Rejects if the case breaks the law. */
  readonly hold: (given: Case) => Promise<void>;
  readonly simpler: (given: Case) => Iterable<Case>;
}

/**
 * Throws what the smallest counterexample came to. Returns whether so many cases were tried that each kind of
 * answer must have been among them.
 */
export async function checkProperty<Case>(
  fc: typeof FastCheck,
  { cases, hold, simpler }: Property<Case>,
  options: PropertyOptions,
  runCountUsual: number,
): Promise<boolean> {
  const { seed, path, runCount = runCountUsual } = options;
  const details = await fc.check(fc.asyncProperty(cases, hold), {
    numRuns: runCount,
    ...(seed === undefined ? {} : { seed }),
    ...(path === undefined ? {} : { path }),
    interruptAfterTimeLimit: tryMillisMax,
    // Made smaller below, by whole operations first: a case takes long on a backend that writes to disks.
    endOnFailure: true,
  });
  if (!details.failed) return details.numRuns >= runCountUsual;
  const [given] = details.counterexample ?? [];
  assert.ok(given !== undefined, "a property that failed has a counterexample");
  const { failure, stepCount } = await minimize(
    { given, failure: details.errorInstance },
    {
      simpler,
      failureOf: async (candidate) => {
        try {
          await hold(candidate);
          return undefined;
        } catch (error) {
          return error;
        }
      },
      endAt: performance.now() + (options.minimizeMs ?? minimizeMsDefault),
    },
  );
  const again = `{ seed: ${details.seed}, path: ${JSON.stringify(details.counterexamplePath)} }`;
  throw new assert.AssertionError({
    message: `${messageOf(failure)}\nAgain with ${again} (made smaller ${stepCount} times)`,
  });
}
