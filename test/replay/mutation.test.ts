import { describe, expect, it } from "vitest";
import fc from "fast-check";
import type { Event } from "../../src/core/event.ts";
import { roleOf } from "../../src/core/event.ts";
import { isAionError } from "../../src/core/errors.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import type { RunRecord } from "../../src/store/contract.ts";
import type { Scenario } from "./arbitrary-program.ts";
import { anyScenario } from "./arbitrary-program.ts";
import { baseScenarios } from "./base-programs.ts";
import { programWorkflows } from "./interpreter.ts";
import { operators } from "./mutation.ts";
import type { Program } from "./program.ts";
import type { Recording } from "./recording.ts";
import { record, replay } from "./recording.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);
/** How many times as many tries as usual. */
const scale = Number(process.env["AION_TEST_SCALE"] ?? 1);
/** Places tried for one operator in one program. */
const placesMax = 8;

interface FirstRun {
  readonly recording: Recording;
  readonly run: RunRecord;
  /** What code issues and learns, as text. */
  readonly essence: readonly string[];
  /** Where commits end: prefixes that can be on disk. */
  readonly heads: readonly number[];
}

/** The first run of a scenario: the one that begins with the same event whatever the code does. */
async function firstRunOf(scenario: Scenario): Promise<FirstRun> {
  const recording = await record(scenario);
  const { world } = recording;
  const [run] = await world.store.readRunChain("subject" as WorkflowId);
  if (run === undefined) throw new Error("nothing was recorded");
  const events = await world.store.readSegment(run, run.firstSeq);
  const heads = recording.snapshots
    .filter((snapshot) => snapshot.runId === run.runId)
    .map((snapshot) => snapshot.headSeq);
  return { recording, run, essence: essenceOf(events), heads };
}

function essenceOf(events: readonly Event[]): readonly string[] {
  return events
    .filter((event) => roleOf(event) !== "note")
    .map(({ seq: _seq, ...event }) =>
      JSON.stringify(event, (key, value: unknown) =>
        // How often something was tried is no business of the code's, but it is told in a failure.
        key === "stack" || key === "recordedAt" || key === "fireAt" || key === "newRunId" ? undefined : value,
      ),
    );
}

/** Replays a prefix with other code. The violation, if one was found. */
async function violationOf(base: FirstRun, headSeq: number, program: Program): Promise<string | undefined> {
  const { outside, world } = base.recording;
  try {
    await replay({
      store: world.store,
      run: base.run,
      headSeq,
      workflows: programWorkflows(outside, { subject: program }),
    });
    return undefined;
  } catch (error) {
    if (isAionError(error) && error.code === "nondeterminism") return error.message;
    throw error;
  }
}

/** What of `essence` a prefix holds. */
async function essenceUpTo(base: FirstRun, headSeq: number): Promise<readonly string[]> {
  const events = await base.recording.world.store.readSegment(base.run, base.run.firstSeq);
  return essenceOf(events.filter((event) => event.seq <= headSeq));
}

const isPrefix = (shorter: readonly string[], longer: readonly string[]): boolean =>
  shorter.every((text, index) => longer[index] === text);

function places(mutants: readonly Program[]): readonly Program[] {
  if (mutants.length <= placesMax) return mutants;
  return Array.from({ length: placesMax }, (_each, index) => {
    return mutants[Math.floor((index * (mutants.length - 1)) / (placesMax - 1))];
  }).filter((mutant) => mutant !== undefined);
}

describe("code that was changed under a run", () => {
  const tally = new Map<string, { detected: number; harmless: number }>(
    operators.map(({ name }) => [name, { detected: 0, harmless: 0 }]),
  );

  // I-43: a change is found exactly when the changed code, run from the start in the same world, leaves another history.
  it.each(Object.entries(baseScenarios))(
    "is found when it matters, and only then: %s",
    async (_name, base) => {
      const recorded = await firstRunOf(base);
      expect(recorded.run.status).not.toBe("running");
      for (const operator of operators) {
        const counts = tally.get(operator.name) ?? { detected: 0, harmless: 0 };
        for (const program of places(operator.mutate(base.program))) {
          const told = `${operator.name}: ${JSON.stringify(program)}`;
          if (operator.isTolerated === true) {
            const violation = await violationOf(recorded, recorded.run.headSeq, program);
            expect({ told, violation }).toEqual({ told, violation: undefined });
            counts.harmless += 1;
            continue;
          }
          const changed = await firstRunOf({ ...base, program });
          // The whole history, and one that was cut off by a crash half-way.
          const half = recorded.heads[Math.floor(recorded.heads.length / 2)] ?? recorded.run.headSeq;
          for (const headSeq of [recorded.run.headSeq, half]) {
            const matters = !isPrefix(await essenceUpTo(recorded, headSeq), changed.essence);
            const violation = await violationOf(recorded, headSeq, program);
            expect(violation !== undefined, `${told}, up to ${headSeq}: ${violation ?? "no violation"}`).toBe(
              matters,
            );
            if (matters) counts.detected += 1;
            else counts.harmless += 1;
          }
        }
      }
    },
  );

  it("was tried in more than thirty ways, each found somewhere, if it is not one that history answers", () => {
    expect(operators.length).toBeGreaterThanOrEqual(30);
    expect(new Set(operators.map(({ name }) => name)).size).toBe(operators.length);
    // Without an order of tests: the tally is only there when the programs above were run.
    const tried = [...tally.values()].some(({ detected }) => detected > 0);
    if (!tried) return;
    // A look changes nothing that is recorded, whatever the program.
    const silent = ["insert draw of randomness"];
    for (const { name, isTolerated } of operators) {
      const { detected = 0, harmless = 0 } = tally.get(name) ?? {};
      const mayBeFound = isTolerated !== true && !silent.includes(name);
      expect({ name, isTried: detected + harmless > 0, isFound: detected > 0 }).toEqual({
        name,
        isTried: true,
        isFound: mayBeFound,
      });
    }
  });
});

// I-43
it("code that was not changed is never taken for changed, whatever the program", async () => {
  await fc.assert(
    fc.asyncProperty(anyScenario, async (scenario) => {
      const recorded = await firstRunOf(scenario);
      for (const headSeq of recorded.heads) {
        expect(await violationOf(recorded, headSeq, scenario.program)).toBeUndefined();
      }
    }),
    { seed, numRuns: 40 * scale },
  );
});

// I-43
it("any one change of any program is found exactly when it matters", async () => {
  const changes = operators.filter((operator) => operator.isTolerated !== true);
  let detected = 0;
  await fc.assert(
    fc.asyncProperty(
      anyScenario,
      fc.constantFrom(...changes.map(({ name }) => name)),
      fc.nat(),
      async (scenario, name, place) => {
        const mutants = operators.find((each) => each.name === name)?.mutate(scenario.program) ?? [];
        const program = mutants[place % Math.max(1, mutants.length)];
        // What a version mark lets pass is another question, asked above.
        if (program === undefined || JSON.stringify(program).includes('"patched"')) return;
        const recorded = await firstRunOf(scenario);
        const changed = await firstRunOf({ ...scenario, program });
        const matters = !isPrefix(recorded.essence, changed.essence);
        const violation = await violationOf(recorded, recorded.run.headSeq, program);
        expect(violation !== undefined, `${violation ?? "no violation"} of ${JSON.stringify(program)}`).toBe(
          matters,
        );
        if (matters) detected += 1;
      },
    ),
    { seed, numRuns: 400 * scale },
  );
  expect(detected).toBeGreaterThan(40);
});
