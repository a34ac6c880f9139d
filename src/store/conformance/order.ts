import type { Call, Outcome } from "./call.ts";
import type { State } from "./model.ts";
import { explain } from "./model.ts";

/** A call that was made beside others. */
export interface Made {
  readonly lane: number;
  readonly call: Call;
  readonly outcome: Outcome;
  /** Places in the order of all beginnings and ends. */
  readonly beganAt: number;
  readonly endedAt: number;
}

export interface Order {
  /** The calls in an order that explains the most answers: all of them, if the store is linearizable. */
  readonly explained: readonly Made[];
  readonly isWhole: boolean;
  /** What the model asks for where it goes on no more. */
  readonly stuckAt: readonly { readonly made: Made; readonly expected: unknown }[];
}

/** Of a store that is sound the order is found in milliseconds. */
const searchMillisMax = 3_000;

/**
 * Looks for an order of the calls, one after another, in which each has the answer that it got, and which
 * keeps every call that ended before another began before it. (Wing & Gong, 1993, with Lowe's memory of
 * what was tried.)
 */
export function findOrder(states: readonly State[], made: readonly Made[], now: number): Order {
  const tried = new Set<string>();
  const endAt = performance.now() + searchMillisMax;
  let best: Order = { explained: [], isWhole: made.length === 0, stuckAt: [] };

  const search = (state: State, left: readonly Made[], explained: readonly Made[]): boolean => {
    if (left.length === 0) {
      best = { explained, isWhole: true, stuckAt: [] };
      return true;
    }
    const key = `${left.map((one) => made.indexOf(one)).join(",")} ${JSON.stringify(state)}`;
    if (tried.has(key) || performance.now() >= endAt) return false;
    tried.add(key);
    const firstEnd = Math.min(...left.map((one) => one.endedAt));
    const candidates = left.filter((one) => one.beganAt < firstEnd);
    const stuckAt: { made: Made; expected: unknown }[] = [];
    for (const one of candidates) {
      const { next, expected } = explain(state, one.call, one.outcome, now);
      if (next.length === 0) stuckAt.push({ made: one, expected });
      const rest = left.filter((other) => other !== one);
      for (const after of next) if (search(after, rest, [...explained, one])) return true;
    }
    if (explained.length >= best.explained.length) best = { explained, isWhole: false, stuckAt };
    return false;
  };

  for (const state of states) if (search(state, made, [])) break;
  return best;
}
