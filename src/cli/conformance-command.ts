import type { Command } from "commander";
import { Option } from "commander";
import { messageOf } from "../core/payload.ts";
import { Output, style } from "./output.ts";
import { printable } from "./printable.ts";
import { durationOption, usageError } from "./usage.ts";

interface ConformanceFlags {
  readonly only?: string;
  readonly within: number;
}

const withinDefaultMs = 10_000;
/** Of what a worker wrote in a scenario that it failed: the end. */
const outputLengthMax = 4_000;

/** The command that holds a worker of another make against the protocol: worker-conformance. */
export function addConformanceCommand(program: Command): void {
  program
    .command("worker-conformance")
    .description("Holds a worker, in whatever language, against the protocol of workers.")
    .argument("<command...>", "starts the worker: after --, with its arguments")
    .option("--only <text>", "only scenarios whose names have this in them")
    .addOption(
      new Option("--within <duration>", "how long the worker has for each thing that it is to do")
        .argParser(durationOption("--within"))
        .default(withinDefaultMs, "10s"),
    )
    .addHelpText(
      "after",
      `
The command is started once for each scenario, with AION_URL, AION_TASK_QUEUES
(separated by commas) and AION_CONCURRENCY in its environment. It is to serve a
few activities: docs/worker-protocol.md tells which.

Example:
  aion worker-conformance -- python my_worker.py`,
    )
    .action(prove);
}

async function prove(
  [file = "", ...args]: readonly string[],
  flags: ConformanceFlags,
  command: Command,
): Promise<void> {
  const { json } = command.optsWithGlobals<{ readonly json?: boolean }>();
  const output = new Output({ isJson: json === true });
  // Only this command needs them.
  const { runWorkerScenario, workerProcess, workerScenarios } = await import("../worker/index.ts");
  const chosen = workerScenarios.filter(({ name }) => name.includes(flags.only ?? ""));
  if (chosen.length === 0)
    throw usageError(`no scenario has ${JSON.stringify(flags.only)} in its name`, "Leave --only out.");
  const results: { name: string; status: "passed" | "failed"; message?: string; output?: string }[] = [];
  for (const scenario of chosen) {
    const { name } = scenario;
    let written = "";
    const worker = workerProcess([file, ...args], {
      onOutput: (text) => {
        written = `${written}${text}`.slice(-outputLengthMax);
      },
    });
    try {
      await runWorkerScenario(scenario, worker, { withinMs: flags.within });
      results.push({ name, status: "passed" });
      if (!output.isJson) output.line(`${style("green", "passed")}  ${name}`);
    } catch (error) {
      const message = messageOf(error);
      results.push({ name, status: "failed", message, output: written });
      process.exitCode = 1;
      if (output.isJson) continue;
      output.line(`${style(["bold", "red"], "FAILED")}  ${printable(message)}`);
      for (const line of written.trimEnd().split("\n"))
        output.line(style("dim", `        ${printable(line)}`));
    }
  }
  const failedCount = results.filter(({ status }) => status === "failed").length;
  output.told("worker-conformance", `${results.length - failedCount} passed, ${failedCount} failed`, {
    command: [file, ...args],
    scenarios: results,
  });
}
