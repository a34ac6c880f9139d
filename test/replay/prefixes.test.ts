import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RunId, WorkflowId } from "../../src/core/ids.ts";
import { RunState } from "../../src/replay/run-state.ts";
import { anyScenario } from "./arbitrary-program.ts";
import { programWorkflows } from "./interpreter.ts";
import { describeState, record, replay } from "./recording.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);

describe("a random program", () => {
  // I-41, I-42, I-45, C-2
  it("replayed from every prefix of its history is what it was then, byte for byte, and touches nothing", async () => {
    const seen = { snapshots: 0, closed: 0, longest: 0 };
    await fc.assert(
      fc.asyncProperty(anyScenario, async (scenario) => {
        const { world, outside, snapshots } = await record(scenario);
        const effectCount = world.effects.length;
        const producedCount = outside.produced.length;
        const { appendCount } = world;
        let logCount = 0;
        for (const snapshot of snapshots) {
          const run = await world.store.findRun(snapshot.workflowId, snapshot.runId as RunId);
          if (run === undefined) throw new Error(`run ${snapshot.runId} is gone`);
          const replayed = await replay({
            store: world.store,
            run,
            headSeq: snapshot.headSeq,
            workflows: programWorkflows(outside, { subject: scenario.program }),
            onLog: () => (logCount += 1),
          });
          const { state, account, commands } = snapshot;
          // A run that continues as new in its first turn is begun by one commit and ended by the next.
          const isContinuing = /"kind":"continue-as-new"[^\n]*$/.test(commands);
          const liveCount = isContinuing && state.includes('"status":"running"') ? 1 : 0;
          expect({ ...replayed, of: snapshot.headSeq }).toEqual({
            state,
            account,
            commands,
            liveCount,
            of: snapshot.headSeq,
          });
          seen.snapshots += 1;
        }
        // I-42: neither activities nor steps nor recorded values nor appends nor words to the log.
        expect(world.effects).toHaveLength(effectCount);
        expect(outside.produced).toHaveLength(producedCount);
        expect(world.appendCount).toBe(appendCount);
        expect(logCount).toBe(0);
        const history = await world.history("subject");
        seen.longest = Math.max(seen.longest, history.length);
        seen.closed += (await world.runs()).filter((run) => run.status !== "running").length;
      }),
      { seed, numRuns: 120 },
    );
    // The programs did something.
    expect(seen.snapshots).toBeGreaterThan(1_000);
    expect(seen.closed).toBeGreaterThan(120);
    expect(seen.longest).toBeGreaterThan(40);
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
      { seed, numRuns: 30 },
    );
  });
});
