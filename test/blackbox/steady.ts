/** Cases for real processes on a real clock: their outcome hangs on no instant. */
import { generate } from "./generator.ts";
import { predictUntimed } from "./model.ts";
import type { Act, Case, Outcome, Program, Statement } from "./program.ts";
import { listsOf, withLists } from "./program.ts";

export interface SteadyCase {
  readonly of: Case;
  readonly expected: Outcome;
}

const triesMax = 60_000;
const drawCount = 400;

/** So many cases of a seed, each with names of its own. */
export function steadyCases(seed: string, count: number): readonly SteadyCase[] {
  const cases: SteadyCase[] = [];
  for (let index = 0; cases.length < count; index++) {
    if (index > triesMax) throw new Error(`only ${cases.length} steady cases in ${triesMax}`);
    const { acts } = generate(`${seed}:${index}`, 0).of;
    const of = { acts: acts.filter((act) => act.kind !== "query").map((act) => named(act, `p${index}`)) };
    const expected = predictUntimed(of, drawCount);
    const isMuch = expected !== undefined && Object.values(expected.calls).length > 1;
    if (isMuch) cases.push({ of, expected });
  }
  return cases;
}

function named(act: Act, prefix: string): Act {
  const target = `${prefix}/${act.target}`;
  return act.kind === "start"
    ? { ...act, target, program: namedProgram(act.program, prefix) }
    : { ...act, target };
}

const namedProgram = (program: Program, prefix: string): Program => ({
  ...program,
  body: program.body.map((statement) => namedStatement(statement, prefix)),
});

function namedStatement(statement: Statement, prefix: string): Statement {
  const inner = withLists(
    statement,
    listsOf(statement).map((list) => list.map((each) => namedStatement(each, prefix))),
  );
  if (inner.op === "send") return { ...inner, target: `${prefix}/${inner.target}` };
  if (inner.op !== "activity" && inner.op !== "step") return inner;
  // Work that is told to stop and goes on dies in a kill, and nobody begins it again: it stops.
  // A failure that a kill cuts off counts outside and not inside. So it fails a few times, too few to matter, or for ever.
  const { failures, maxAttempts, isFinal } = inner.work;
  const isHopeless = failures >= maxAttempts || (isFinal && failures > 0);
  return { ...inner, work: { ...inner.work, failures: isHopeless ? 1_000 : failures, whenTold: "stop" } };
}
