/** The same programs inline and packaged: what either records, the other replays without a difference. */
import { sample } from "fast-check";
import { describe, expect, it } from "vitest";
import { guestScript } from "../../src/host/guest-script.ts";
import { turnLine } from "../../src/host/turn-line.ts";
import type { PackageCode } from "../../src/program/border.ts";
import type { ProgramSource } from "../../src/program/program.ts";
import { anyScenario } from "../replay/arbitrary-program.ts";
import type { Scenario } from "../replay/arbitrary-program.ts";
import { programWorkflows } from "../replay/interpreter.ts";
import type { Program, Statement } from "../replay/program.ts";
import { record, replay } from "../replay/recording.ts";
import type { Recording } from "../replay/recording.ts";
import { hostPackage, pack } from "./pack.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);
const scenarioCount = 60;

/** A package has no steps: activities take their place. */
function withoutSteps(program: Program): Program {
  return JSON.parse(JSON.stringify(program), (_key, value: unknown) => {
    const statement = value as Statement | null;
    if (typeof statement !== "object" || statement === null || statement.op !== "step") return value;
    const { value: label, ms } = statement;
    return { op: "activity", type: "work", label, ms, failures: 0 } satisfies Statement;
  }) as Program;
}

function scenarios(): readonly Scenario[] {
  return sample(anyScenario, { seed, numRuns: scenarioCount }).map((scenario) => ({
    ...scenario,
    program: withoutSteps(scenario.program),
  }));
}

const workflowTypes = ["leaf", "twig", "rotten", "listener", "subject"];

function packed(program: Program): Promise<PackageCode> {
  return pack(`
    import { programWorkflows } from "../replay/interpreter.ts";
    const world = { effect: async () => {}, pause: async () => {} };
    const definitions = programWorkflows({ world, produced: [] }, { subject: ${JSON.stringify(program)} });
    module.exports = Object.fromEntries(definitions.map((definition) => [definition.workflowType, definition]));
  `);
}

const immediately = {
  turn: (callback: () => void) => void setImmediate(callback),
  delay: () => () => undefined,
};

async function runsOf({ world }: Recording) {
  return (await world.store.list({}, { limit: 1_000 })).runs;
}

/** Both codes on one history, at its end and at some places before. */
async function demandSame(recording: Recording, program: Program, programs: ProgramSource): Promise<number> {
  const workflows = programWorkflows(recording.outside, { subject: program });
  let replayCount = 0;
  for (const run of await runsOf(recording)) {
    const { store } = recording.world;
    const heads = new Set([run.headSeq, run.firstSeq, Math.ceil((run.firstSeq + run.headSeq) / 2)]);
    for (const headSeq of heads) {
      const inline = await replay({ store, run, headSeq, workflows });
      expect(await replay({ store, run, headSeq, workflows, programs })).toEqual(inline);
      replayCount += 1;
    }
  }
  return replayCount;
}

describe("packaged code", () => {
  it("replays what inline code recorded, and the other way round", { timeout: 120_000 }, async () => {
    // I-41, I-45
    const guest = await guestScript();
    let replayCount = 0;
    for (const scenario of scenarios()) {
      const { program } = scenario;
      const code = await packed(program);
      const { programs } = hostPackage(code, workflowTypes, turnLine(guest, immediately));
      replayCount += await demandSame(await record(scenario), program, programs);
      const recording = await record(
        scenario,
        new Map(),
        (_inline, { scheduler }) => hostPackage(code, workflowTypes, turnLine(guest, scheduler)).programs,
      );
      replayCount += await demandSame(recording, program, programs);
    }
    expect(replayCount).toBeGreaterThan(scenarioCount * 6);
  });

  it("is told apart by the histories if it is not the same", async () => {
    const program: Program = {
      body: [{ op: "activity", type: "work", label: "a", ms: 5, failures: 0 }],
      result: "done",
      rounds: 0,
    };
    const recording = await record({ program, sent: [], cancelAfterMs: 0 });
    const code = await packed({ ...program, result: "done otherwise" });
    const { programs } = hostPackage(code, workflowTypes, turnLine(await guestScript(), immediately));
    await expect(demandSame(recording, program, programs)).rejects.toMatchObject({ code: "nondeterminism" });
  });
});
