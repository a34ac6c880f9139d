/** The same programs inline and packaged: what either records, the other replays without a difference. */
import { sample } from "fast-check";
import { describe, expect, it } from "vitest";
import type { Event, EventOf } from "../../src/core/event.ts";
import { parseRunId } from "../../src/core/ids.ts";
import { copyRun } from "../../src/engine/copying.ts";
import { guestScript } from "../../src/host/guest-script.ts";
import { turnLine } from "../../src/host/turn-line.ts";
import type { PackageCode } from "../../src/program/border.ts";
import type { ProgramSource } from "../../src/program/program.ts";
import { resetPoints } from "../../src/replay/reset-points.ts";
import type { ResetPoint } from "../../src/replay/reset-points.ts";
import type { RunRecord } from "../../src/store/contract.ts";
import { overStore } from "../recovery/over-store.ts";
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

/** What a run is copied as that goes on from there, as if it were in the store. */
function copyAt(run: RunRecord, events: readonly Event[], point: ResetPoint): readonly Event[] {
  const isLater = (event: Event): event is Event & EventOf<"SignalReceived"> =>
    event.type === "SignalReceived" && event.seq > point.seq;
  return copyRun(events, {
    workflowId: run.workflowId,
    runId: copyId,
    version: run.version,
    firstSeq: run.firstSeq,
    at: (events.at(-1)?.recordedAt ?? 0) + 1,
    point,
    known: { signalIds: [], updateIds: [], cancelRequestIds: [], controlRequestIds: [] },
    latestRunId: undefined,
    carried: events.filter(isLater),
    deadlines: {},
    reason: undefined,
    requestId: undefined,
  });
}

const copyId = parseRunId("00000000-0000-4000-8000-000000000000");

/** Both codes on the histories that runs have which are reset, and how many there were. */
async function demandSameCopies(
  recording: Recording,
  program: Program,
  programs: ProgramSource,
): Promise<number> {
  const workflows = programWorkflows(recording.outside, { subject: program });
  const { store: recorded } = recording.world;
  let copyCount = 0;
  for (const run of await runsOf(recording)) {
    const events = await recorded.readSegment(run, run.firstSeq, 10_000);
    const points = resetPoints(events);
    const some = new Set([points[0], points[Math.floor(points.length / 2)], points.at(-1)]);
    for (const point of some) {
      if (point === undefined) continue;
      const copied = copyAt(run, events, point);
      const store = overStore(recorded, {
        readSegment: async (_run, from) => copied.filter(({ seq }) => seq >= from),
      });
      const copy: RunRecord = { ...run, runId: copyId, headSeq: copied.at(-1)?.seq ?? 0 };
      const inline = await replay({ store, run: copy, workflows });
      expect(inline.commands).not.toBe("");
      expect(await replay({ store, run: copy, workflows, programs })).toEqual(inline);
      copyCount += 1;
    }
  }
  return copyCount;
}

describe("packaged code", () => {
  it("replays what inline code recorded, and the other way round", async () => {
    // I-41, I-45
    const guest = await guestScript();
    let replayCount = 0;
    let copyCount = 0;
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
      // I-61
      copyCount += await demandSameCopies(recording, program, programs);
    }
    expect(replayCount).toBeGreaterThan(scenarioCount * 6);
    expect(copyCount).toBeGreaterThan(scenarioCount * 3);
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
    await expect(demandSameCopies(recording, program, programs)).rejects.toMatchObject({
      name: "AssertionError",
    });
  });
});
