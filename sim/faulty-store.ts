import { AionError } from "../src/core/errors.ts";
import type { Commit, CommitResult, Store } from "../src/store/contract.ts";
import { overStore } from "../test/recovery/over-store.ts";
import type { Dice } from "./dice.ts";
import { SimulationFailure } from "./failure.ts";

export interface FaultyStoreOptions {
  readonly dice: Dice;
  /** How many appends of all are refused, or answered with nobody knowing what became of them. */
  readonly shares: { readonly refused: number; readonly lost: number; readonly made: number };
  /** From now on nothing goes wrong. */
  readonly isCalm: () => boolean;
  /** Holds an accepted commit against the laws. Throws `SimulationFailure`. */
  readonly committed: (commit: Commit, result: CommitResult) => void;
  readonly onBroken: (failure: SimulationFailure) => void;
  /** After that the store answers no more. */
  readonly isBroken: () => boolean;
  readonly note: (what: string) => void;
}

/** The store as the engine of a world has it: audited, and now and then out of order. */
export function faultyStore(inner: Store, of: FaultyStoreOptions): Store {
  const { dice, shares, note } = of;
  const lostFrom = shares.refused;
  const madeFrom = lostFrom + shares.lost;
  return overStore(inner, {
    append: async (token, commits) => {
      const fault = of.isCalm() ? 1 : dice.number();
      if (fault < lostFrom) {
        note("write refused");
        throw new AionError("store_unavailable", "the store is busy");
      }
      if (fault < madeFrom) {
        note("commit of unknown outcome, not made");
        throw new AionError("commit_unknown", "nobody knows");
      }
      const results = await inner.append(token, commits);
      for (const [index, commit] of commits.entries()) {
        const result = results[index];
        try {
          if (result !== undefined) of.committed(commit, result);
        } catch (error) {
          if (!(error instanceof SimulationFailure)) throw error;
          of.onBroken(error);
        }
      }
      if (of.isBroken()) throw new AionError("store_failed", "a law was broken");
      if (fault < madeFrom + shares.made) {
        note("commit of unknown outcome, made");
        throw new AionError("commit_unknown", "nobody knows");
      }
      return results;
    },
  });
}
