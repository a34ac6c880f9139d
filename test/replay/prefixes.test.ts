import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { WorkflowId } from "../../src/core/ids.ts";
import { RunState } from "../../src/replay/run-state.ts";
import { checkLaws, settledKeys } from "../recovery/laws.ts";
import type { Fault } from "../recovery/world.ts";
import { anyScenario } from "./arbitrary-program.ts";
import { prefixFaults } from "./prefix-trial.ts";
import { describeState, record } from "./recording.ts";

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
    await fc.assert(
      fc.asyncProperty(anyScenario, plan, async (scenario, faults) => {
        const recording = await record(scenario, faults);
        await checkLaws(recording.world);
        expect(await prefixFaults(recording, scenario)).toEqual([]);
        // The listener waits for ever; all else has ended.
        const open = (await recording.world.runs()).filter((run) => run.status === "running");
        expect(open.map((run) => run.workflowType)).toEqual(["listener"]);
        expect(await recording.world.store.listMessages(0, 10)).toEqual([]);
        const counts = recording.world.effectCounts();
        for (const key of await settledKeys(recording.world)) {
          // Each crash, and each commit that was not made, may cost one execution more than the retries do.
          expect(counts.get(key) ?? 0).toBeLessThanOrEqual(5 + faults.size);
        }
      }),
      { seed, numRuns: 100 * scale },
    );
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
