import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { WorkflowId } from "../../src/core/ids.ts";
import { isTerminal } from "../../src/core/status.ts";
import { RunState } from "../../src/replay/run-state.ts";
import { checkLaws, settledKeys } from "../recovery/laws.ts";
import type { Fault } from "../recovery/world.ts";
import { anyScenario } from "./arbitrary-program.ts";
import { prefixFaults } from "./prefix-trial.ts";
import { describeState, record } from "./recording.ts";
import type { Recording } from "./recording.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);
/** How many times as many programs as usual. */
const scale = Number(process.env["AION_TEST_SCALE"] ?? 1);

describe("a random program", () => {
  // I-41, I-42, I-45, C-2
  it("replayed from every prefix of its history is what it was then, byte for byte, and touches nothing", async () => {
    const seen = { snapshots: 0, closed: 0, longest: 0 };
    await fc.assert(
      fc.asyncProperty(anyScenario, async (scenario) => {
        const recording = await record(scenario);
        const { world, snapshots } = recording;
        expect(await prefixFaults(recording, scenario)).toEqual([]);
        seen.snapshots += snapshots.length;
        const history = await world.history("subject");
        seen.longest = Math.max(seen.longest, history.length);
        seen.closed += (await world.runs()).filter((run) => run.status !== "running").length;
      }),
      { seed, numRuns: 120 * scale },
    );
    // The programs did something.
    expect(seen.snapshots).toBeGreaterThan(1_000);
    expect(seen.closed).toBeGreaterThan(120);
    expect(seen.longest).toBeGreaterThan(40);
  });

  // I-41, I-46, I-8: the same of one that died several times on its way.
  it("that dies on its way keeps the laws, comes to an end, and is at every prefix what it was then", async () => {
    const fault = fc.constantFrom<Fault>(
      "crash-before",
      "crash-after",
      "unknown-made",
      "unknown-lost",
      "full",
      "failed-made",
      "failed-lost",
    );
    const plan = fc
      .array(fc.tuple(fc.integer({ min: 1, max: 30 }), fault), { minLength: 1, maxLength: 4 })
      .map((entries) => new Map(entries));
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(anyScenario, plan, async (scenario, faults) => {
        const recording = await record(scenario, faults);
        await checkLaws(recording.world);
        expect(await prefixFaults(recording, scenario)).toEqual([]);
        // The listener waits for ever; all else has ended.
        const open = (await recording.world.runs()).filter((run) => run.status === "running");
        expect(open.map((run) => run.workflowType)).toEqual(["listener"]);
        expect(await recording.world.store.listMessages(0, 10)).toEqual([]);
        for (const how of await outcomesOf(recording)) seen.set(how, (seen.get(how) ?? 0) + 1);
        const counts = recording.world.effectCounts();
        for (const key of await settledKeys(recording.world)) {
          // Each crash, and each commit that was not made, may cost one execution more than the retries do.
          expect(counts.get(key) ?? 0).toBeLessThanOrEqual(5 + faults.size);
        }
      }),
      { seed, numRuns: 100 * scale },
    );
    for (const how of ["answered", "failed", "refused", "update_unfinished"])
      expect(seen.get(how) ?? 0).toBeGreaterThan(2);
  });

  // I-41: what is open is a projection, at whatever event one looks.
  it("has at every event a state that follows from the events alone", async () => {
    await fc.assert(
      fc.asyncProperty(anyScenario, async (scenario) => {
        const { world } = await record(scenario);
        for (const run of await world.store.readRunChain("subject" as WorkflowId)) {
          const events = await world.store.readSegment(run, run.firstSeq);
          const growing = new RunState(run.workflowId);
          for (const [index, event] of events.entries()) {
            growing.apply(event);
            const anew = new RunState(run.workflowId);
            for (const each of events.slice(0, index + 1)) anew.apply(each);
            expect(describeState(growing)).toBe(describeState(anew));
          }
        }
      }),
      { seed, numRuns: 30 * scale },
    );
  });
});

/** I-26: of each update one record, one outcome by the history, and that is what its client was told. Gives back what came of each. */
async function outcomesOf({ world, answers }: Recording): Promise<readonly string[]> {
  const found: string[] = [];
  const outcomes = new Map<string, { readonly result: unknown } | { readonly failure: unknown }>();
  for (const run of await world.store.readRunChain("subject" as WorkflowId)) {
    const open = new Set<string>();
    for (const event of await world.store.readSegment(run, run.firstSeq)) {
      if (event.type === "UpdateAccepted") {
        expect(outcomes.has(event.updateId) || open.has(event.updateId)).toBe(false);
        open.add(event.updateId);
      }
      if (event.type === "UpdateCompleted") {
        expect(open.delete(event.updateId)).toBe(true);
        const { result, failure } = event;
        outcomes.set(
          event.updateId,
          result === undefined ? { failure: failure?.message } : { result: JSON.parse(result) as unknown },
        );
      }
      if (isTerminal(event)) for (const id of open) outcomes.set(id, { failure: "update_unfinished" });
    }
  }
  const refusals = ["update_rejected", "run_closed", "update_unknown"];
  for (const [updateId, answer] of answers) {
    const outcome = outcomes.get(updateId);
    const error = "failure" in answer ? (answer.failure as Error & { readonly code?: string }) : undefined;
    if (outcome === undefined) expect(refusals).toContain(error?.code);
    else if (error === undefined) expect(answer).toEqual(outcome);
    else expect(outcome).toEqual({ failure: error.code ?? error.message });
    found.push(
      outcome === undefined ? "refused" : error === undefined ? "answered" : (error.code ?? "failed"),
    );
  }
  for (const updateId of outcomes.keys()) expect(answers.has(updateId)).toBe(true);
  return found;
}
