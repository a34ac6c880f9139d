/** Mutants of a random program on every prefix of its own histories. */
import type { WorkflowId } from "../../src/core/ids.ts";
import type { Scenario } from "./arbitrary-program.ts";
import type { Verdict } from "./divergence.ts";
import { judge, recordedOn } from "./divergence.ts";
import type { Prefix } from "./divergence.ts";
import { programWorkflows } from "./interpreter.ts";
import type { Operator } from "./mutation.ts";
import type { Program } from "./program.ts";
import { noCode, record } from "./recording.ts";

export interface ProgramVerdicts {
  readonly prefixCount: number;
  readonly mutantCounts: ReadonlyMap<string, number>;
  readonly verdicts: readonly {
    readonly operator: Operator;
    readonly verdict: Verdict;
    readonly where: string;
  }[];
  /** What ran outside the engine while all this was replayed: nothing may. */
  readonly effectCount: number;
}

export async function mutantsOfScenario(
  scenario: Scenario,
  operators: readonly Operator[],
  placesMax: number,
): Promise<ProgramVerdicts> {
  const { world, outside, snapshots } = await record(scenario);
  const effectsBefore = world.effects.length;
  const appendsBefore = world.appendCount;
  const workflowsOf = (program: Program): ReturnType<typeof programWorkflows> =>
    programWorkflows(outside, { subject: program });
  const originals: { readonly prefix: Prefix; readonly commands: readonly string[] }[] = [];
  for (const run of await world.store.readRunChain("subject" as WorkflowId)) {
    for (const { runId, headSeq, account } of snapshots) {
      if (runId !== run.runId || account === noCode) continue;
      const prefix = { store: world.store, run, headSeq };
      const commands = await recordedOn(prefix, workflowsOf(scenario.program));
      if (commands !== undefined) originals.push({ prefix, commands });
    }
  }
  const verdicts: ProgramVerdicts["verdicts"][number][] = [];
  const mutantCounts = new Map<string, number>();
  for (const operator of operators) {
    const mutants = operator.mutate(scenario.program);
    const step = Math.max(1, Math.ceil(mutants.length / placesMax));
    const chosen = mutants.filter((_each, index) => index % step === 0);
    mutantCounts.set(operator.name, chosen.length);
    for (const program of chosen) {
      const workflows = workflowsOf(program);
      for (const { prefix, commands } of originals) {
        const verdict = await judge(prefix, commands, workflows);
        const where = `${operator.name}: ${JSON.stringify(program)} up to event ${prefix.headSeq}`;
        verdicts.push({ operator, verdict, where });
      }
    }
  }
  const effectCount = world.effects.length - effectsBefore + world.appendCount - appendsBefore;
  return { prefixCount: originals.length, mutantCounts, verdicts, effectCount };
}
