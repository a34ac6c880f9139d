/** One case: predicted, played, judged. */
import { differences } from "./control.ts";
import type { Trial } from "./generator.ts";
import type { Prediction } from "./model.ts";
import { predict, simulate } from "./model.ts";
import type { Observed, PlayOptions } from "./play.ts";
import { play } from "./play.ts";
import type { Case, Outcome } from "./program.ts";
import { judge } from "./verdict.ts";

export type TrialEnd =
  /** The case has no one outcome: it was not played, or nothing can be said. */
  | { readonly kind: "ambiguous" }
  | { readonly kind: "right"; readonly prediction: Prediction; readonly observed: Observed }
  | { readonly kind: "wrong"; readonly violations: readonly string[] };

const closeDrawCount = 200;
const killDrawCount = 12;

export interface TrialOptions extends PlayOptions {
  /** The histories, too, must be those of a play without kills. */
  readonly hasControl?: boolean;
}

export async function attempt({ of, kills }: Trial, options: TrialOptions = {}): Promise<TrialEnd> {
  const prediction = predict(of);
  if (prediction === undefined) return { kind: "ambiguous" };
  let violations: readonly string[];
  let isAllowed = (): boolean => false;
  try {
    const observed = await play(of, prediction.quietAtMs, kills, options);
    violations = judge(prediction.outcome, observed);
    const isComparable = violations.length === 0 && !prediction.hasTies && observed.killedAtMs.length > 0;
    if (isComparable && options.hasControl === true) {
      const control = await play(of, prediction.quietAtMs, [], options);
      if (!hasToldWork({ of, kills }, control)) violations = differences(control, observed);
    } else if (violations.length > 0) {
      if (allowsForKills(of, observed, killDrawCount)) violations = [];
      else isAllowed = () => allowsForKills(of, observed, closeDrawCount);
    }
    if (violations.length === 0) return { kind: "right", prediction, observed };
  } catch (error) {
    violations = [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  }
  // A few draws find nearly all cases that hang on an order; before anything is called wrong, look closely.
  if (predict(of, closeDrawCount) === undefined || isAllowed()) return { kind: "ambiguous" };
  return { kind: "wrong", violations };
}

/** Whether it is right once the model is told when the engine died. See `simulate`. */
function allowsForKills(of: Case, observed: Observed, drawCount: number): boolean {
  if (observed.killedAtMs.length === 0 || !JSON.stringify(of).includes('"go on"')) return false;
  const orders = Array.from({ length: drawCount }, (_each, index) => index * 31 + 1);
  const seen = { ...observed, outcome: forgiving(of, observed.outcome) };
  return (["first", "last", ...orders] as const).some((order) => {
    const { outcome } = simulate(of, order, observed.killedAtMs);
    return judge(forgiving(of, outcome), seen, { mayBeUndone: true }).length === 0;
  });
}

/** Work that is told to stop and goes on: a kill ends it. */
function hasToldWork({ of }: Trial, { histories }: Observed): boolean {
  if (!JSON.stringify(of).includes('"go on"')) return false;
  return Object.values(histories).some((events) =>
    events.some(({ type }) => type === "ActivityCancelRequested"),
  );
}

/** Whoever repeats a request to stop is not told whether it was the request that stopped the run. */
export function forgiving(of: Case, outcome: Outcome): Outcome {
  return {
    ...outcome,
    answers: outcome.answers.map((answer, index) => {
      const kind = of.acts[index]?.kind;
      return answer === "run_closed" && (kind === "cancel" || kind === "terminate") ? "ok" : answer;
    }),
  };
}
