import { takeRejections } from "../../src/testing/rejections.ts";
import { generate } from "../blackbox/generator.ts";
import { attempt } from "../blackbox/trial.ts";
import { goldenScenarios } from "../golden/scenarios.ts";
import { baseScenarios } from "../replay/base-programs.ts";
import { goldenPrefixes } from "../replay/golden-prefixes.ts";
import { programWorkflows } from "../replay/interpreter.ts";
import { operators } from "../replay/mutation.ts";
import { prefixFaults } from "../replay/prefix-trial.ts";
import { record, replay } from "../replay/recording.ts";

const programCount = 150;

async function told(look: () => Promise<unknown>): Promise<string> {
  try {
    return JSON.stringify(await look());
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message.split("\n")[0]}`;
  }
}

/** The same on every run of the same code, and nearly always another on other code. */
export async function observe(): Promise<readonly string[]> {
  takeRejections();
  const lines: string[] = [];
  const workflows = [...new Set(Object.values(goldenScenarios).flatMap((scenario) => scenario.workflows))];
  for (const prefix of goldenPrefixes()) {
    lines.push(await told(() => replay({ ...prefix, workflows })));
  }
  for (const [name, scenario] of Object.entries(baseScenarios)) {
    const recording = await record(scenario);
    lines.push(name, JSON.stringify(await prefixFaults(recording, scenario)));
    const { world, outside } = recording;
    const runs = (await world.runs()).filter(({ workflowType }) => workflowType === "subject");
    for (const operator of operators) {
      const [program] = operator.mutate(scenario.program);
      if (program === undefined) continue;
      for (const run of runs) {
        const changed = programWorkflows(outside, { subject: program });
        lines.push(await told(() => replay({ store: world.store, run, workflows: changed })));
      }
    }
  }
  for (let index = 0; index < programCount; index++) {
    lines.push((await attempt(generate(`mutation:${index}`, 3))).kind);
  }
  return lines;
}
