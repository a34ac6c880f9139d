/** Random programs, and random messages to them. */
import fc from "fast-check";
import type { AttributeData } from "../../src/core/attributes.ts";
import type { Program, Statement } from "./program.ts";

/** A client's signal, or its update (`bump`), so long after the start. */
export interface Sent {
  readonly afterMs: number;
  readonly signal: "alpha" | "beta" | "tick" | "bump";
  readonly value: number;
}

export interface Scenario {
  readonly program: Program;
  readonly sent: readonly Sent[];
  /** The client cancels the run so long after its start; 0: it does not. */
  readonly cancelAfterMs: number;
}

const ms = fc.integer({ min: 1, max: 90 });
const label = fc.constantFrom("a", "b", "c", "d");
const signalName = fc.constantFrom("alpha", "beta");

const simple: fc.Arbitrary<Statement> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant("activity" as const),
      type: fc.constantFrom("work" as const, "toil" as const),
      label,
      ms,
      failures: fc.constantFrom(0, 0, 0, 1, 2, -1),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("step" as const), name: label, value: label, ms }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("sleep" as const), ms }) },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant("receive" as const), signal: signalName, timeoutMs: ms }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant("send" as const),
      target: fc.constantFrom("listener", "nobody"),
      signal: fc.constant("word"),
      payload: label,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant("child" as const),
      type: fc.constantFrom("leaf" as const, "twig" as const, "rotten" as const),
      id: fc.constant(""),
      input: label,
      policy: fc.constantFrom("terminate" as const, "cancel" as const, "abandon" as const),
      isDetached: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("side-effect" as const), value: label }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant("attribute" as const),
      name: label,
      value: fc.constantFrom<AttributeData | null>("x", 1, true, { at: 5 }, ["x", "y"], null),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant("wait-until" as const),
      count: fc.integer({ min: 1, max: 4 }),
      timeoutMs: ms,
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("compensate" as const), label }) },
  { weight: 2, arbitrary: fc.constant({ op: "look" as const }) },
);

function list(depth: number, maxLength = 4): fc.Arbitrary<readonly Statement[]> {
  return fc.array(statement(depth), { minLength: 1, maxLength });
}

function statement(depth: number): fc.Arbitrary<Statement> {
  if (depth === 0) return simple;
  const inner = list(depth - 1, 3);
  return fc.oneof(
    { weight: 5, arbitrary: simple },
    {
      weight: 3,
      arbitrary: fc.record({
        op: fc.constantFrom("all" as const, "settled" as const, "race" as const, "any" as const),
        branches: fc.array(inner, { minLength: 2, maxLength: 3 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        op: fc.constant("scope" as const),
        timeoutMs: fc.oneof(fc.constant(0), ms),
        body: inner,
      }),
    },
    { weight: 1, arbitrary: fc.record({ op: fc.constant("shield" as const), body: inner }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant("try" as const), body: inner, otherwise: inner }) },
    {
      weight: 1,
      arbitrary: fc.record({
        op: fc.constant("patched" as const),
        id: label,
        taken: inner,
        otherwise: inner,
      }),
    },
    { weight: 1, arbitrary: fc.record({ op: fc.constant("fail" as const), message: label }) },
  );
}

export const anyScenario: fc.Arbitrary<Scenario> = fc.record({
  program: fc.record({
    body: list(2, 5),
    result: label,
    rounds: fc.constantFrom(0, 0, 1, 2),
  }),
  sent: fc.array(
    fc.record({
      afterMs: fc.integer({ min: 0, max: 400 }),
      signal: fc.constantFrom("alpha" as const, "beta" as const, "tick" as const, "bump" as const),
      value: fc.integer({ min: 1, max: 3 }),
    }),
    { maxLength: 8 },
  ),
  cancelAfterMs: fc.constantFrom(0, 0, 0, 0, 60, 150),
});
